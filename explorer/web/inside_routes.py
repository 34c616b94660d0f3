"""The addresses of what is inside a network: /layers tells, /layers/picture draws.

They have a desk of their own and take the network as it is, so the stage's pictures do not wait for them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import pictures
from core.errors import SettingError
from core.noise import Noise
from core.numbers import natural
from explorer import inside, plates
from explorer.inside import Layer, Look
from explorer.layering import numbers, spectrum_of, statistics
from explorer.networks import Network
from explorer.plates import Plate
from explorer.recipe import Recipe
from explorer.spectra import Spectrum
from explorer.web.answers import telling
from explorer.web.desk import Desk, answered, client_of
from explorer.web.routes import PIXEL_LIMIT, recipe_of

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["Looks", "add_inside_routes", "drawn", "facts", "wished_look"]

FORMATS = {"png": "image/png", "webp": "image/webp"}
_LONGEST_WEBP = 16383  # pixels a side, by the format
_MOST_LOOKS = 2  # a tab asks for the parts of one picture after each other


@dataclass
class Held:
    """One look, and the spectra that were asked of it."""

    network: Network
    seen: Look
    spectra: dict[str, Spectrum] = field(default_factory=dict)

    def spectrum(self, layer: Layer) -> Spectrum:
        """The spectrum of a layer, worked out once."""
        if layer.name not in self.spectra:
            self.spectra[layer.name] = spectrum_of(self.seen, layer)
        return self.spectra[layer.name]


class Looks:
    """The pictures that were looked at last, from inside. For one thread."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._held: OrderedDict[str, Held] = OrderedDict()

    def get(self, recipe: Recipe, layer: str | None) -> tuple[Held, Layer | None]:
        """The look at a recipe, in which `layer` (name or index) has its maps. Raises SettingError, CheckpointError."""
        room, ws, noise = self.studio.inputs(recipe)
        size, alpha = room.network.growth(recipe.grown)
        generator = room.generator
        known = inside.layers(generator, generator.synthesis.level(size, alpha))
        chosen = None if layer is None else inside.find(known, layer)
        key = f"{room.network.path} {room.network.sha} {size} {alpha} {_digest(ws.numpy())} {_told(noise)}"
        held = self._held.pop(key, None)
        if held is None or (chosen is not None and chosen.name not in held.seen.maps):
            name = None if chosen is None else chosen.name
            held = Held(room.network, inside.look(generator, ws, noise, size, alpha, layer=name))
        self._held[key] = held
        while len(self._held) > _MOST_LOOKS:
            self._held.popitem(last=False)
        return held, chosen


def _told(noise: Noise) -> str:
    return " ".join(_digest(np.asarray(one)) for one in noise) if isinstance(noise, list) else str(noise)


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@dataclass(frozen=True)
class Wish:
    """What one request asks for."""

    recipe: Recipe
    layer: str | None
    plate: Plate
    view: str
    format: str = "png"
    client: str | None = None


def add_inside_routes(app: Starlette, *, looks: Looks, desk: Desk) -> None:
    """Add /layers and /layers/picture to `app`; to be called before Gradio is mounted at /."""

    async def listed(request: Request) -> Response:
        wish = await _wish(request)
        return await answered(request, desk.ask(lambda: facts(looks, wish), client=wish.client), JSONResponse)

    async def picture(request: Request) -> Response:
        wish = await _wish(request)
        if wish.layer is None and wish.view != "growing":
            raise SettingError("layer", "nothing", "a name or number that /layers lists")
        drawing = desk.ask(lambda: drawn(looks, wish), client=wish.client)
        return await answered(request, drawing, lambda data: Response(data, media_type=FORMATS[wish.format]))

    app.router.add_route("/layers", telling(listed), methods=["GET", "POST"])
    app.router.add_route("/layers/picture", telling(picture), methods=["GET", "POST"])


async def _wish(request: Request) -> Wish:
    query = request.query_params
    if "format" in query:
        plates.check("format", query["format"], tuple(FORMATS))
    plate: dict[str, Any] = {name: query[name] for name in ("sort", "scale") if name in query}
    plate |= {name: _whole(query[name], name) for name in ("first", "count", "columns", "cell") if name in query}
    wish = wished_look(await recipe_of(request), layer=query.get("layer"), view=query.get("view"), plate=plate)
    return replace(wish, format=query.get("format", "png"), client=client_of(request))


def wished_look(recipe: Recipe, *, layer: str | None, view: str | None, plate: Mapping[str, Any]) -> Wish:
    """What is wished for, after what can be wrong without a network was looked at; no view is the list alone."""
    if view is not None:
        plates.check("view", view, plates.VIEWS)
    for name in ("first", "count", "columns", "cell"):
        if type(plate.get(name, 0)) is not int:
            raise SettingError(name, plate[name], "a whole number, 0 or more")
    return Wish(recipe, layer, Plate(**plate), view or "channels")


def _whole(text: str, name: str) -> int:
    found = natural(text, most=10**9)
    if found is None:
        raise SettingError(name, text, "a whole number, 0 or more")
    return found


def facts(looks: Looks, wish: Wish) -> dict[str, Any]:
    """All layers with their statistics; of the one that is asked for also its channels, their layout, its spectrum."""
    held, layer = looks.get(wish.recipe, wish.layer)
    seen, network = held.seen, held.network
    told: dict[str, Any] = {
        "network": network.name,
        "size": list(seen.layers[-1].size),
        "crop": list(network.window(wish.recipe.grown)),
        "layers": [statistics(seen, one) for one in seen.layers],
    }
    if layer is not None:
        plate = wish.plate
        sheet = {
            "order": plates.order(seen, layer, plate),
            "columns": plate.across(layer),
            "cell": list(plate.shape(layer)),
            "gap": plates.GAP,
        }
        told |= {"layer": layer.name, **numbers(seen, layer, held.spectrum(layer)), "sheet": sheet}
    return told


def drawn(looks: Looks, wish: Wish) -> bytes:
    """The picture that is wished for, encoded."""
    held, layer = looks.get(wish.recipe, wish.layer)
    plate = wish.plate
    if wish.view == "growing":
        row = plates.growing(held.seen, held.network.window(wish.recipe.grown), cell=plate.cell)
        picture = pictures.grid(row, columns=len(row), gap=plates.GAP)
    elif layer is None:
        raise SettingError("layer", "nothing", "a name or number that /layers lists")
    elif wish.view == "spectrum":
        picture = plates.log_power(held.spectrum(layer), cell=plate.cell)
    else:
        if plate.pixels(layer) > PIXEL_LIMIT:
            allowed = f"a request may ask for {PIXEL_LIMIT // 10**6} megapixels"
            raise SettingError("cells", plate.shown(layer), allowed)
        picture = plates.sheet(held.seen, layer, plate)
    if wish.format == "webp" and max(picture.shape) > _LONGEST_WEBP:
        raise SettingError("format", "webp", f"png for a sheet of more than {_LONGEST_WEBP} pixels a side")
    return pictures.encode(picture, wish.format)
