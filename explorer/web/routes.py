"""The addresses that give pictures and facts: /frame, /networks and /static."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from core.errors import SettingError
from core.files import cache_folder
from core.numbers import natural
from explorer.recipe import Recipe
from explorer.studio import PRECISIONS
from explorer.web.answers import hide_places, read_body, refusal, telling
from explorer.web.desk import Desk, answered, client_of

if TYPE_CHECKING:
    from explorer.studio import Frame, Studio

__all__ = ["PIXEL_LIMIT", "add_routes", "recipe_of"]

FORMATS = ("png", "webp", "jpeg")
PIXEL_LIMIT = 16_000_000  # pixels that one request may ask for
STATIC = Path(__file__).with_name("static")
STATIC_NAME = re.compile(r"[a-z_]{1,40}\.[a-z]{2,4}")


@dataclass(frozen=True)
class Wish:
    """What one request asks for."""

    recipe: Recipe
    format: str
    size: int | None
    client: str | None
    bits: int = 8
    precision: str = "auto"


def add_routes(app: Starlette, *, studio: Studio, desk: Desk) -> None:
    """Add /frame, /networks and /static/NAME to `app`; to be called before Gradio is mounted at /.

    From here on the studio is asked by strangers, who are not told where its folders lie.
    """

    hide_places(app, [*studio.folders, cache_folder(), *_opened_by_path(studio)])
    studio.be_discreet()

    async def frame(request: Request) -> Response:
        return await _frame(request, studio=studio, desk=desk)

    async def networks(request: Request) -> Response:
        return await _networks(studio)

    app.router.add_route("/frame", telling(frame), methods=["GET", "POST"])
    app.router.add_route("/networks", telling(networks), methods=["GET"])
    app.router.add_route("/static/{name}", _static, methods=["GET"])


def _opened_by_path(studio: Studio) -> set[Path]:
    """The folders of networks that lie elsewhere than in the studio's own, where their points and directions lie, too.

    A link among the networks leads elsewhere as well.
    """
    paths = [network.path for network in studio.networks()]
    return {path.parent for one in paths for path in (one, Path(os.path.realpath(one)))}


async def _frame(request: Request, *, studio: Studio, desk: Desk) -> Response:
    wish = await read_wish(request)
    drawing = desk.ask(lambda: _draw(studio, wish), client=wish.client)
    return await answered(request, drawing, _picture)


def _draw(studio: Studio, wish: Wish) -> Frame:
    return studio.frame(
        wish.recipe,
        format=wish.format,
        size=wish.size,
        exact=wish.format == "png",
        bits=wish.bits,
        precision=wish.precision,
    )


def _picture(frame: Frame) -> Response:
    headers = {
        "Server-Timing": f"render;dur={frame.milliseconds:.1f}",
        "Styloscope-Precision": frame.precision,
        "Styloscope-Device": frame.device,
    }
    if frame.note:
        headers["Styloscope-Note"] = quote(frame.note)
    return Response(frame.data, media_type=frame.media_type, headers=headers)


async def read_wish(request: Request) -> Wish:
    """Read format, size, bits, precision, client and the recipe from the query or, for POST, the body.

    Raises SettingError, or what Recipe.parse raises, for everything that is not allowed.
    """
    query = request.query_params
    picture_format = query.get("format", "png")
    if picture_format not in FORMATS:
        raise SettingError("format", picture_format, f"it must be one of {', '.join(FORMATS)}")
    client = client_of(request)
    bits = query.get("bits", "8")
    if bits != "8" and (bits != "16" or picture_format != "png"):
        raise SettingError("bits", bits, "it must be 8, or 16 as png")
    precision = query.get("precision", "auto")
    if precision not in PRECISIONS:
        raise SettingError("precision", precision, f"it must be one of {', '.join(PRECISIONS)}")
    size = _size(query.get("size"))
    recipe = await recipe_of(request)
    return Wish(recipe, format=picture_format, size=size, client=client, bits=int(bits), precision=precision)


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    largest = int(PIXEL_LIMIT**0.5)
    found = natural(text, least=1, most=largest)
    if found is None:
        raise SettingError("size", text, f"it must be a whole number of pixels from 1 to {largest}")
    return found


async def recipe_of(request: Request) -> Recipe:
    """The recipe in the body of a POST, or in the query. Raises what Recipe.parse raises, SettingError for the body."""
    if request.method != "POST":
        return Recipe.parse(request.query_params.get("recipe", "{}"))
    try:
        return Recipe.parse((await read_body(request, field="recipe")).decode("utf-8"))
    except UnicodeDecodeError as wrong:
        raise SettingError("recipe", "these bytes", "it must be JSON in UTF-8") from wrong


async def _networks(studio: Studio) -> Response:
    networks = await asyncio.to_thread(studio.networks)
    return JSONResponse([network.entry() for network in networks])


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    path = STATIC / name
    if not STATIC_NAME.fullmatch(name) or not path.is_file():
        return refusal(f"there is no /static/{name[:60]}", status=404)
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}
    return FileResponse(path, media_type=kinds.get(path.suffix))
