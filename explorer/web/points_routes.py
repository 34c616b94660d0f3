"""The addresses of points: GET and POST /points, DELETE /points/NAME, its file, files taken in, and other names.

And POST /restore: a picture's recipe with the points and directions that its PNG encloses.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from core.arrays import LARGEST_FILE
from core.errors import SettingError
from explorer import kept
from explorer.enclosed import unpack
from explorer.kept import Point
from explorer.recipe import Recipe
from explorer.web.answers import read_keys, telling
from explorer.web.uploads import received

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["add_points_routes"]

_TEXTS = ("name", "made", "source", "network", "sha", "space")
_LENGTHS = ("levels", "psnr", "features")


def add_points_routes(app: Starlette, *, studio: Studio) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /."""

    async def listed(request: Request) -> dict[str, Any]:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        return {"points": await asyncio.to_thread(lambda: [_told(one) for one in kept.entries(network, "points")])}

    async def add(request: Request) -> dict[str, Any]:
        wish = await read_keys(request, ("name", "recipe"), field="point")
        recipe = Recipe.parse(wish.get("recipe", {}))
        return await asyncio.to_thread(_keep_picture, studio, recipe, wish.get("name"))

    async def remove(request: Request) -> dict[str, Any]:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        await asyncio.to_thread(kept.forget, network, "points", request.path_params["name"])
        return {"removed": request.path_params["name"]}

    async def rename(request: Request) -> dict[str, Any]:
        wish = await read_keys(request, ("checkpoint", "old", "new"), field="point")
        network = await asyncio.to_thread(studio.network, _text(wish.get("checkpoint"), "checkpoint"))
        old, new = (_text(wish.get(key, ""), key) or "" for key in ("old", "new"))
        await asyncio.to_thread(kept.rename, network, "points", old, new)
        return {"name": new}

    async def file(request: Request) -> Response:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        name = request.path_params["name"]
        data = await asyncio.to_thread(lambda: kept.file_bytes(kept.read_point(network, name)))
        how = f"attachment; filename*=UTF-8''{quote(f'{name}{kept.SUFFIX}')}"
        return Response(data, media_type="application/octet-stream", headers={"Content-Disposition": how})

    async def opened(request: Request) -> dict[str, Any]:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        data = await received(request, most=LARGEST_FILE, what="a point's file")
        return await asyncio.to_thread(_take_in, network, data, request.query_params.get("name", ""))

    async def restored(request: Request) -> dict[str, Any]:
        wish = await read_keys(request, ("recipe", "kept"), field="picture")
        recipe = Recipe.parse(wish.get("recipe", {}))
        network = await asyncio.to_thread(studio.network, recipe.checkpoint)
        found, new = await asyncio.to_thread(unpack, wish.get("recipe", {}), wish.get("kept"), network)
        return {"recipe": found, "kept": new}

    app.router.add_route("/restore", telling(restored), methods=["POST"])
    app.router.add_route("/points", telling(listed), methods=["GET"])
    app.router.add_route("/points", telling(add), methods=["POST"])
    app.router.add_route("/points/rename", telling(rename), methods=["POST"])
    app.router.add_route("/points/open", telling(opened), methods=["POST"])
    app.router.add_route("/points/{name}", telling(remove), methods=["DELETE"])
    app.router.add_route("/points/{name}/file", telling(file), methods=["GET"])


def _keep_picture(studio: Studio, recipe: Recipe, name: object) -> dict[str, Any]:
    """Keep the finished styles of a picture, and its noise where that is maps of its own."""
    room, ws, noise = studio.inputs(recipe)
    maps = tuple(np.asarray(one, np.float32) for one in noise) if isinstance(noise, list) else None
    about = {"network": room.network.name, "sha": room.network.sha, "made": "stage"}
    point = Point(kept.check_name(name), ws.float().cpu().numpy(), maps, about)
    kept.keep(room.network, point)
    return _told({"name": point.name, **about})


def _take_in(network: Any, data: bytes, name: str) -> dict[str, Any]:
    from explorer.projecting import free_name

    point = kept.point_from(data, network, name=name[:80] or "this point")
    named = Point(free_name(network, point.name), point.ws, point.noise, point.about)
    kept.keep(network, named)
    return _told({**point.about, "name": named.name})


def _told(about: dict[str, Any]) -> dict[str, Any]:
    """What the page is told of a point, whose file may be somebody else's: texts, numbers, nothing else."""
    told: dict[str, Any] = {key: _kind(about.get(key), str) for key in _TEXTS}
    for key in ("distance", "own_distance"):
        found = about.get(key)
        fits = isinstance(found, dict) and all(type(found.get(name)) in (int, float) for name in _LENGTHS)
        told[key] = {name: found[name] for name in _LENGTHS} if fits and found is not None else None
    return {
        **told,
        **{key: _kind(about.get(key), int) for key in ("label", "steps")},
        "stopped": _kind(about.get("stopped"), bool),
    }


def _kind(value: object, kind: type) -> Any:
    return (value[:200] if isinstance(value, str) else value) if type(value) is kind else None


def _text(value: object, field: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise SettingError(field, value, "a name")
    return value
