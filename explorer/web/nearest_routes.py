"""The addresses of the nearest real pictures: GET and POST /nearest, POST /nearest/job, GET /nearest/picture.

A set is a name, looked up among those that the person who started the explorer gave with --data, and those that runs
name of themselves; these only for who sits at this machine, since pictures of people are then shown, not a network's.
Reading a set is a job in a process of its own; what it has read lies in the cache, and here it is only looked at.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import pictures, sources
from core.errors import SettingError
from core.numbers import natural
from explorer import realset
from explorer.gathering import MOST_FILES, Gathered, Look
from explorer.nearest import Yardstick, answer
from explorer.nearing import MOST_NEAR, measure, told
from explorer.recipe import Grown, Recipe, parse_grown
from explorer.web.answers import read_body, read_object, refusal, telling
from explorer.web.job_routes import file_of
from explorer.web.jobs import Jobs
from explorer.web.training_routes import near

if TYPE_CHECKING:
    from explorer.studio import Network, Studio

__all__ = ["RealSets", "add_nearest_routes", "counted"]

BARS = 48  # of the histogram, from 0 to the farthest held-out picture
_MOST_OPEN = 3
_FRESH = 20.0  # seconds that a folder is taken to be what it was; a zip says itself that it changed
_UNREAD = "these pictures have not been read for this network yet; POST /nearest/job reads them"


@dataclass(frozen=True)
class _Open:
    """A set that was read, and what shows that it is still the same."""

    stamp: tuple[int, int]
    looked: float
    real: Gathered
    yard: Yardstick


class RealSets:
    """The sets of one server: `given` by the person who started it, and those of runs. Thread-safe.

    Raises DataError for a given one that is no set of pictures.
    """

    def __init__(self, studio: Studio, given: Sequence[Path]) -> None:
        self.studio = studio
        self._given = [path.absolute() for path in given]
        for path in self._given:
            sources.find(path, most=MOST_FILES, bare=False)
        self._open: OrderedDict[tuple[Path, str, Grown | None], _Open] = OrderedDict()
        self._looking = Lock()

    def choices(self, network: Network, *, follow: bool) -> list[realset.Choice]:
        """The sets for a network, the likeliest first; its run's own only where `follow` says so."""
        return realset.choices(network, self._given, follow=follow)

    def choice(self, network: Network, name: str | None, *, follow: bool) -> realset.Choice:
        """The set of that name, or the likeliest. Raises SettingError where there is none."""
        found = self.choices(network, follow=follow)
        chosen = next((one for one in found if name in (None, "", one.name)), None)
        if chosen is None:
            known = ", ".join(one.name for one in found)
            words = f"one of {known}" if known else realset.nothing(network)
            raise SettingError("data", name or "nothing", words)
        return chosen

    def read(self, choice: realset.Choice, network: Network, grown: Grown | None) -> tuple[Gathered, Yardstick] | None:
        """A set as it lies in the cache; None where it was not read yet. Raises DataError."""
        size = Grown(network.growth(grown)[0]) if network.grows else None
        key = choice.path, network.sha, size
        with self._looking:
            known = self._open.pop(key, None)
            stamp = _stamp(choice.path)
            fresh = choice.path.is_file() or (known is not None and time.monotonic() - known.looked < _FRESH)
            if known is None or known.stamp != stamp or not fresh:
                real = Look(choice, network, size).kept()
                yard = None if real is None else real.measured(work=False)
                if real is None or yard is None:
                    return None
                known = _Open(stamp, time.monotonic(), real, yard)
            self._open[key] = known
            while len(self._open) > _MOST_OPEN:
                self._open.popitem(last=False)
            return known.real, known.yard

    def look(self, recipe: Recipe, name: str | None, *, number: int, follow: bool) -> dict[str, Any] | None:
        """The answer for a recipe as JSON values; None where the set was not read yet."""
        network = self.studio.check(recipe)
        choice = self.choice(network, name, follow=follow)
        found = self.read(choice, network, recipe.grown)
        if found is None:
            return None
        real, yard = found
        (answered,) = answer(real.real, yard, [real.fitted(self.studio.exact(recipe))], number=number)
        edges = np.linspace(0, max(1.0, float(yard.distances.max())), BARS + 1)
        bars = {"most": float(edges[-1]), "counts": np.histogram(yard.distances, edges)[0].tolist()}
        return {**measure(yard, real), **told(answered, yard, real), "bars": bars, "size": list(real.real.box[2:])}

    def settings(self, wish: dict[str, Any], *, follow: bool) -> dict[str, Any]:
        """What the verb is told: the network's file, and the path of a set that here is a name."""
        data = wish.get("data")
        if data is not None and not isinstance(data, str):
            raise SettingError("data", data, "the name of a set, as GET /nearest lists them")
        recipe = Recipe.parse(wish["recipe"])
        network = self.studio.check(recipe)
        data = str(self.choice(network, data, follow=follow).path.absolute())
        told = {"recipe": recipe.to_dict(), "checkpoint": file_of(network), "data": data}
        return {**told, "number": counted(str(wish.get("number", 4)))}

    def picture(
        self, name: str | None, data: str | None, picture: str, *, grown: Grown | None, mirrored: bool, follow: bool
    ) -> bytes | None:
        """A real picture as PNG, by its name in a set that was read; None where there is none of that name."""
        network = self.studio.check(Recipe(checkpoint=name, grown=grown))
        found = self.read(self.choice(network, data, follow=follow), network, grown)
        row = None if found is None else found[0].row(picture)
        if found is None or row is None:
            return None
        return pictures.encode(found[0].real.shown(row, mirrored=mirrored), "png")


def add_nearest_routes(app: Starlette, *, sets: RealSets, jobs: Jobs, host: str) -> None:
    """Add the routes to `app` before Gradio is mounted at /."""
    studio = sets.studio

    async def there(request: Request) -> dict[str, Any]:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        found = await asyncio.to_thread(sets.choices, network, follow=near(request, host=host))
        return {"sets": [one.name for one in found], "says": _says(network, found)}

    async def look(request: Request) -> dict[str, Any]:
        recipe = Recipe.parse(await read_body(request, field="recipe"))
        number = counted(request.query_params.get("number", "4"))
        data, follow = request.query_params.get("data"), near(request, host=host)
        found = await asyncio.to_thread(sets.look, recipe, data, number=number, follow=follow)
        return {"ready": False, "says": _UNREAD} if found is None else {"ready": True, **found}

    async def job(request: Request) -> Response:
        wish = await read_object(request, field="job")
        if wish is None or not set(wish) <= {"recipe", "data", "number"} or not isinstance(wish.get("recipe"), dict):
            raise SettingError("job", "this body", "a JSON object with recipe, and perhaps data and number")
        settings = await asyncio.to_thread(sets.settings, wish, follow=near(request, host=host))
        return JSONResponse({"id": await asyncio.to_thread(jobs.submit, "nearest", settings)}, status_code=202)

    async def picture(request: Request) -> Response:
        query = request.query_params
        grown = Recipe.parse({"grown": parse_grown(query["grown"])}).grown if query.get("grown") else None
        wanted: dict[str, Any] = {
            "name": query.get("checkpoint") or None,
            "data": query.get("data"),
            "picture": query.get("name", ""),
            "grown": grown,
            "mirrored": query.get("mirrored") == "true",
            "follow": near(request, host=host),
        }
        found = await asyncio.to_thread(sets.picture, **wanted)
        if found is None:
            return refusal(f"no picture {query.get('name', '')[:60]!r} was read of that set", status=404)
        return Response(found, media_type="image/png")

    app.router.add_route("/nearest", telling(there), methods=["GET"])
    app.router.add_route("/nearest", telling(look), methods=["POST"])
    app.router.add_route("/nearest/job", telling(job), methods=["POST"])
    app.router.add_route("/nearest/picture", telling(picture), methods=["GET"])


def _says(network: Network, found: Sequence[realset.Choice]) -> str | None:
    return None if found else realset.nothing(network)


def counted(text: str) -> int:
    """How many pictures are asked for. Raises SettingError."""
    found = natural(text, least=1, most=MOST_NEAR)
    if found is None:
        raise SettingError("number", text, f"1 to {MOST_NEAR}")
    return found


def _stamp(path: Path) -> tuple[int, int]:
    """Changes when a zip does, or the topmost names of a folder."""
    try:
        looked = path.stat()
    except OSError:
        return 0, 0
    return looked.st_mtime_ns, looked.st_size
