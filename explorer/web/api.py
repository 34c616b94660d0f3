"""What gradio_client calls: verbs of the command line, with its words.

Each gives a file to fetch, or a list of files where the verb writes several; what a verb says comes as an object. The
files are the queue's, which removes them after a while. What is wrong comes back as the same one sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial, wraps
from inspect import Parameter, iscoroutinefunction, signature
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from gradio import Error, Request
from gradio.events import api
from gradio.utils import get_upload_folder

from core.errors import DataError, SettingError, StyloscopeError
from core.latents import parse_seeds
from explorer import directions
from explorer.recipe import Recipe, parse_grown
from explorer.web.directions_routes import listed, made
from explorer.web.inside_routes import Looks, drawn, facts, wished_look
from explorer.web.job_routes import looked_at, small_enough
from explorer.web.nearest_routes import counted
from explorer.web.project_routes import UPLOAD_LIMIT, checked, kept_point, wished
from explorer.web.training_routes import near

if TYPE_CHECKING:
    from explorer.studio import Studio
    from explorer.web.desk import Desk
    from explorer.web.jobs import Jobs
    from explorer.web.nearest_routes import RealSets

__all__ = ["add_endpoints", "files_folder"]

Seeds = str | int | list
Words = str | dict
_AT_ONCE = 4
_LONGEST_NAME = 200
_ROW = Parameter.POSITIONAL_OR_KEYWORD
_GLANCE = 0.05  # seconds between two looks at a job


def files_folder() -> Path:
    """Where Gradio serves files from without copying them; give it to Jobs as `parent`."""
    return Path(get_upload_folder())


def add_endpoints(
    studio: Studio,
    jobs: Jobs,
    *,
    desk: Desk,
    inside: Desk,
    looks: Looks,
    sets: RealSets,
    host: str,
    hide: Callable[[str], str],
) -> None:
    """Add the endpoints to the gr.Blocks that is being built; `inside` is the desk of `looks` inside a network.

    `hide` leaves out of an error where things lie, as in the refusals of every other address.
    """
    made, looked = _Verbs(studio, jobs, desk), _Looks(studio, jobs, inside, looks, sets, host)
    verbs: list[Callable[..., Any]] = [made.render, made.mix, made.interpolate, made.bilinear, made.compare, made.map]
    verbs += [made.directions, looked.layers, looked.nearest, looked.project]
    for verb in verbs:
        api(_endpoint(verb, hide), api_name=verb.__name__, concurrency_limit=_AT_ONCE)


class _Verbs:
    """The endpoints: what clients see is made of their signatures by `_endpoint`."""

    def __init__(self, studio: Studio, jobs: Jobs, desk: Desk) -> None:
        self._studio = studio
        self._jobs = jobs
        self._desk = desk

    def render(
        self,
        seeds: Seeds | None = None,
        *,
        bits: int = 8,
        **picture: Any,
    ) -> dict | list:
        """One PNG a seed, its recipe inside: a file for one picture, a list of files for several."""
        base = _recipe(**picture)
        recipes = [base.with_seed(seed) for seed in dict.fromkeys(parse_seeds(seeds))] if seeds is not None else [base]
        network = self._studio.check(recipes[0])
        small_enough(len(recipes), network.pixels(base.grown), things="pictures")
        folder = self._jobs.hold()
        made = []
        for one in recipes:
            self._jobs.touch(folder)
            path = folder / ("picture.png" if seeds is None else f"seed{one.seed:04d}.png")
            drawing = self._desk.ask(partial(self._studio.frame, one, format="png", bits=bits))
            path.write_bytes(drawing.result().data)
            made.append(_file(path))
        return made[0] if len(made) == 1 else made

    async def mix(
        self,
        rows: Seeds,
        columns: Seeds,
        layers: str,
        amount: float = 1.0,
        title: str | None = None,
        *,
        column_label: int | None = None,
        **picture: Any,
    ) -> dict:
        """The matrix as one PNG: a row gives the picture, a column the styles of the layers."""
        base = _given(**picture)
        settings = {"rows": rows, "columns": columns, "layers": str(layers), "amount": amount, "title": title}
        return _file(await self._made("mix", {**settings, "column_label": column_label, **base}))

    async def interpolate(
        self,
        seeds: Seeds | None = None,
        steps: int = 24,
        space: str = "w",
        loop: bool = False,
        fps: float = 24.0,
        ease: str = "linear",
        format: str = "gif",
        *,
        recipes: list | None = None,
        timeline: Words | None = None,
        scale: int = 1,
        **picture: Any,
    ) -> dict:
        """The frames between neighbours, or of a timeline, as gif, webp or mp4, or as a zip of png.

        With `scale` N every pixel becomes N x N.
        """
        base = _given(**picture)
        settings: dict[str, Any] = {"seeds": seeds, "steps": steps, "space": space}
        settings |= {"loop": loop, "fps": fps, "ease": ease}
        if timeline is not None:
            # What a client leaves out comes as its default, which a timeline does not go with.
            usual = {"steps": 24, "space": "w", "loop": False, "fps": 24.0, "ease": "linear"}
            settings = {key: value for key, value in settings.items() if value != usual.get(key)}
            settings["timeline"] = timeline
        film = {"format": format, "scale": scale}
        return _file(await self._made("interpolate", {**settings, **film, "recipes": recipes, **base}))

    async def bilinear(
        self,
        seeds: Seeds | None = None,
        steps: int = 10,
        title: str | None = None,
        *,
        recipes: list | None = None,
        **picture: Any,
    ) -> dict:
        """The sheet between four corners as one PNG."""
        base = _given(**picture)
        settings = {"seeds": seeds, "steps": steps, "title": title, "recipes": recipes}
        return _file(await self._made("bilinear", {**settings, **base}))

    async def compare(
        self,
        other: str | None = None,
        seeds: Seeds | None = None,
        precision: str | None = None,
        with_precision: str | None = None,
        amplify: int = 4,
        signed: bool = False,
        title: str | None = None,
        **picture: Any,
    ) -> dict:
        """Two networks, or one in two precisions, and their difference as one PNG, a row a seed."""
        base = _given(**picture)
        settings = {"with": other, "seeds": seeds, "precision": precision, "with_precision": with_precision}
        more = {"amplify": amplify, "signed": signed, "title": title}
        return _file(await self._made("compare", {**settings, **more, **base}))

    async def map(
        self,
        samples: int = 5000,
        method: str = "umap",
        label: int | None = None,
        checkpoint: str | None = None,
        by_class: bool = False,
        color: str | None = None,
        points: bool = False,
        pictures: bool = False,
        psi: float | None = None,
        cutoff: int | None = None,
        noise: str | int | None = None,
        grown: Words | None = None,
    ) -> list:
        """Seed, x, y of the samples as CSV, and the picture of the map as PNG."""
        base = _given(psi=psi, cutoff=cutoff, noise=noise, label=label, grown=grown, checkpoint=checkpoint)
        settings = {"samples": samples, "method": method, "by_class": by_class, "color": color}
        made = await self._made("map", {**settings, "points": points, "pictures": pictures, **base})
        return [_file(made), _file(made.with_suffix(".png"))]

    def directions(
        self,
        method: str = "sefa",
        layers: str | None = None,
        number: int = 8,
        a: Seeds | None = None,
        b: Seeds | None = None,
        labels: str | None = None,
        column: str | None = None,
        name: str | None = None,
        replace: bool = False,
        checkpoint: str | None = None,
    ) -> dict:
        """Directions in W: found by sefa or pca, after the kept ones; or one made of piles or a table, kept as `name`.

        `a` and `b` are seeds or lists of recipes, `labels` is the text of a CSV.
        """
        if method in directions.METHODS:
            found = listed(
                self._studio,
                _recipe(checkpoint=checkpoint).checkpoint,
                method=method,
                layers=layers,
                count=number,
            )
            return {"directions": found}
        piles = {field: _pile(given) for field, given in (("a", a), ("b", b)) if given is not None}
        wish = {"checkpoint": checkpoint, "name": name, "method": method, "labels": labels, "column": column}
        return {"directions": [made(self._studio, {**wish, **piles, "replace": replace})]}

    async def _made(self, verb: str, settings: dict[str, Any]) -> Path:
        return await _done(self._jobs, verb, lambda: looked_at(verb, settings, check=self._studio.check))


async def _done(jobs: Jobs, verb: str, settings: Callable[[], dict[str, Any]]) -> Path:
    """What a job made of `settings`, once it is done. Where the client cancels, or leaves, the job ends too."""
    begun = asyncio.ensure_future(asyncio.to_thread(lambda: jobs.submit(verb, settings())))
    try:
        identity = await asyncio.shield(begun)
        while jobs.status(identity)["state"] in ("waiting", "running"):
            await asyncio.sleep(_GLANCE)
    except asyncio.CancelledError:
        begun.add_done_callback(lambda done: _end(jobs, done))  # which may not have come so far yet
        raise
    return jobs.file(identity)


def _end(jobs: Jobs, begun: asyncio.Future[str]) -> None:
    """Cancel a job that was begun, if it was, without holding up the server."""
    if not begun.cancelled() and begun.exception() is None:
        Thread(target=_cancelled, args=(jobs, begun.result()), daemon=True).start()


def _cancelled(jobs: Jobs, identity: str) -> None:
    with suppress(StyloscopeError):  # it has ended by itself and is forgotten
        jobs.cancel(identity)


class _Looks:
    """The endpoints that look at a network, or at a picture, more closely."""

    def __init__(self, studio: Studio, jobs: Jobs, desk: Desk, looks: Looks, sets: RealSets, host: str) -> None:
        self._studio = studio
        self._jobs = jobs
        self._desk = desk
        self._sets = sets
        self._looks = looks
        self._host = host

    def layers(
        self,
        seeds: Seeds | None = None,
        layer: str | int | None = None,
        view: str | None = None,
        sort: str | None = None,
        scale: str | None = None,
        first: int | None = None,
        count: int | None = None,
        columns: int | None = None,
        cell: int | None = None,
        **picture: Any,
    ) -> dict:
        """What the layers of a picture are; with `view` one of them, or the picture so far, as PNG."""
        base = _recipe(**picture)
        asked = {"sort": sort, "scale": scale, "first": first, "count": count, "columns": columns, "cell": cell}
        wish = wished_look(
            _seeded(base, seeds),
            layer=None if layer is None else str(layer),
            view=view,
            plate={key: value for key, value in asked.items() if value is not None},
        )
        if view is None:
            return dict(self._desk.ask(lambda: facts(self._looks, wish)).result())
        if layer is None and view != "growing":
            raise SettingError("layer", "nothing", "a name or number of those that are told without view")
        shown = self._desk.ask(lambda: drawn(self._looks, wish)).result()
        path = self._jobs.hold() / f"{view}.png"
        path.write_bytes(shown)
        return _file(path)

    async def nearest(
        self,
        seeds: Seeds | None = None,
        data: str | None = None,
        number: int = 4,
        *,
        request: Request | None = None,
        **picture: Any,
    ) -> list:
        """What is said of the nearest real pictures, and the sheet as PNG; `data` is the name of a set."""
        base = _recipe(**picture)
        many = counted(str(number))
        # Of a run the newest network is meant; it is looked for once, since a training may save the next meanwhile.
        network = await asyncio.to_thread(self._studio.check, base)
        one = replace(_seeded(base, seeds), checkpoint=network.name)
        follow = request is not None and request.request is not None and near(request.request, host=self._host)
        wish = {"recipe": one.to_dict(), "data": data, "number": many}
        sheet = await _done(self._jobs, "nearest", lambda: self._sets.settings(wish, follow=follow))
        found = await asyncio.to_thread(self._sets.look, one, data, number=many, follow=follow)
        if found is None:
            raise DataError("these pictures have changed while they were read; ask once more")
        return [found, _file(sheet)]

    async def project(
        self,
        picture: dict,
        space: str = "w+",
        steps: int | None = None,
        seconds: float | None = None,
        noise_maps: bool = False,
        label: int | None = None,
        grown: Words | None = None,
        checkpoint: str | None = None,
        keep: str | None = None,
    ) -> list:
        """How near a picture of your own came, and its point; under the name `keep` it is kept beside the network."""
        if keep is not None and not (isinstance(keep, str) and 0 < len(keep) <= _LONGEST_NAME):
            raise SettingError("keep", keep, f"a name of 1 to {_LONGEST_NAME} characters")
        network = await asyncio.to_thread(self._studio.check, _recipe(checkpoint=checkpoint))
        asked = {"space": space, "steps": steps, "seconds": seconds, "noise_maps": noise_maps, "label": label}
        settings = await asyncio.to_thread(wished, self._studio, {**asked, "grown": grown, "checkpoint": network.name})
        data, name = await asyncio.to_thread(_uploaded, picture)
        await asyncio.to_thread(checked, data, name)
        path = await _done(self._jobs, "project", lambda: {**settings, "source": data})
        return [await asyncio.to_thread(kept_point, network, path, name=keep, source=name), _file(path)]


def _picture(
    psi: float | None = None,
    cutoff: int | None = None,
    noise: str | int | None = None,
    label: int | None = None,
    grown: Words | None = None,
    checkpoint: str | None = None,
    recipe: Words | None = None,
) -> None:
    """What says a picture, for every verb that takes **picture."""


def _endpoint(verb: Callable[..., Any], hide: Callable[[str], str]) -> Callable[..., Any]:
    """The verb as clients know it, whose StyloscopeErrors reach them as their one sentence.

    Gradio knows parameters in a row: a verb's own, then those of _picture where it takes **picture, then its own after
    the star. `other` bears the name of the flag, which Python keeps to itself.
    """
    told = signature(verb)
    own = list(told.parameters.values())
    rest = next((one.name for one in own if one.kind is Parameter.VAR_KEYWORD), None)
    shared = [] if rest is None else list(signature(_picture).parameters.values())
    before, after = ([one for one in own if one.kind is kind] for kind in (_ROW, Parameter.KEYWORD_ONLY))
    row = [*before, *shared, *after]

    def settings(values: tuple[Any, ...]) -> dict[str, Any]:
        return {one.name: value for one, value in zip(row, values, strict=False)}

    @wraps(verb)
    def called(*values: Any) -> Any:
        with _sentences(hide):
            return verb(**settings(values))

    @wraps(verb)
    async def waited(*values: Any) -> Any:
        with _sentences(hide):
            return await verb(**settings(values))

    made: Callable[..., Any] = waited if iscoroutinefunction(verb) else called
    spelled = {"other": "with"}
    shown = [Parameter(spelled.get(one.name, one.name), Parameter.POSITIONAL_ONLY, default=one.default) for one in row]
    made.__signature__ = told.replace(parameters=shown)  # type: ignore[attr-defined]
    hints = {**_picture.__annotations__, **verb.__annotations__}
    made.__annotations__ = {spelled.get(name, name): hint for name, hint in hints.items() if name != rest}
    return made


@contextmanager
def _sentences(hide: Callable[[str], str]) -> Iterator[None]:
    try:
        yield
    except StyloscopeError as wrong:
        raise Error(hide(" ".join(str(wrong).split())), print_exception=False) from wrong
    except CancelledError as wrong:
        raise Error("the explorer is going down", print_exception=False) from wrong


def _recipe(recipe: Words | None = None, **given: Any) -> Recipe:
    """What `recipe` (JSON or an object) and the single settings say; those win."""
    base = Recipe.parse(recipe).to_dict() if recipe is not None else {}
    return Recipe.parse({**base, **_plain(given)})


def _given(recipe: Words | None = None, **given: Any) -> dict[str, Any]:
    """The same as the settings of a job."""
    settings = _plain(given)
    if recipe is None:
        return settings
    return {**settings, "recipe": Recipe.parse(recipe).to_dict()}


def _pile(given: Seeds) -> list[Any]:
    """Seeds as people write them, or a list of them and of recipes."""
    if isinstance(given, list):
        return [one if isinstance(one, dict) else {"seed": one} for one in given]
    return [{"seed": seed} for seed in parse_seeds(given)]


def _seeded(base: Recipe, seeds: Seeds | None) -> Recipe:
    """That recipe, or where a seed is given, the picture of it. Raises SettingError for several."""
    found = [] if seeds is None else parse_seeds(seeds)
    if len(found) > 1:
        raise SettingError("seeds", seeds, "one seed")
    return base.with_seed(found[0]) if found else base


def _uploaded(picture: Any) -> tuple[bytes, str]:
    """The bytes and the name of a file that a client has sent. Raises SettingError for any other file."""
    wrong = SettingError("picture", "this", "a file that the client sends, in Python handle_file('scan.png')")
    if not isinstance(picture, dict) or not isinstance(picture.get("path"), str):
        raise wrong
    try:
        path = Path(picture["path"]).resolve()
        if not path.is_file() or files_folder().resolve() not in path.parents:
            raise wrong
        size = path.stat().st_size
        if size > UPLOAD_LIMIT:
            raise SettingError("picture", f"{size} bytes", f"a picture of at most {UPLOAD_LIMIT >> 20} MB")
        return path.read_bytes(), str(picture.get("orig_name") or path.name)[:200]
    except (OSError, ValueError) as unread:
        raise wrong from unread


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    found = {key: value for key, value in given.items() if value is not None}
    noise = found.get("noise")
    if isinstance(noise, str) and noise.isascii() and noise.isdigit():
        try:
            found["noise"] = int(noise)
        except ValueError as wrong:
            raise SettingError("noise", noise, "const, none or a whole number") from wrong
    if isinstance(found.get("grown"), str):
        found["grown"] = parse_grown(found["grown"])
    return found


def _file(path: Path) -> dict[str, Any]:
    """What Gradio takes for a file to be fetched."""
    return {
        "path": str(path),
        "orig_name": path.name,
        "size": path.stat().st_size,
        "meta": {"_type": "gradio.FileData"},
    }
