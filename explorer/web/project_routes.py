"""The addresses of projecting: POST /project with a picture, how far it is, stop and keep, the point it became.

A projection is a job like any other (GET and DELETE /jobs/ID); its picture lies in the job's private folder, where the
process also leaves what it has reached, and finds that it shall stop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import pictures
from core.errors import PictureError, SettingError
from explorer import kept
from explorer.projecting import PREVIEW, STOP, free_name
from explorer.projection import Wish
from explorer.recipe import Recipe, parse_grown
from explorer.web.answers import read_object, telling
from explorer.web.job_routes import file_of
from explorer.web.jobs import Jobs
from explorer.web.uploads import received

if TYPE_CHECKING:
    from explorer.networks import Network
    from explorer.studio import Studio

__all__ = ["MOST_PIXELS", "UPLOAD_LIMIT", "add_project_routes", "checked", "kept_point", "wished"]

UPLOAD_LIMIT = 64 << 20  # bytes
MOST_PIXELS = 64_000_000
_AT_ONCE = 4
_MOST_PREVIEW = 32 << 20
_SETTINGS = ("checkpoint", "space", "steps", "seconds", "noise_maps", "label", "grown")


def add_project_routes(app: Starlette, *, studio: Studio, jobs: Jobs) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /."""
    under_way = asyncio.Semaphore(_AT_ONCE)

    async def begin(request: Request) -> Response:
        query = {key: value for key, value in request.query_params.items() if key != "name"}
        settings = await asyncio.to_thread(wished, studio, _typed(query))
        async with under_way:
            data = await received(request, most=UPLOAD_LIMIT, what="a picture")
            await asyncio.to_thread(checked, data, request.query_params.get("name", ""))
            identity = await asyncio.to_thread(jobs.submit, "project", {**settings, "source": data})
            return JSONResponse({"id": identity}, status_code=202)

    async def status(request: Request) -> dict[str, Any]:
        identity = request.path_params["id"]
        told = jobs.status(identity)
        return {**told, "preview": await asyncio.to_thread(_preview, jobs.folder(identity))}

    async def stop(request: Request) -> dict[str, Any]:
        folder = jobs.folder(request.path_params["id"])
        with suppress(FileNotFoundError):  # cancelled already
            (folder / STOP).touch()
        return {"state": "stopping"}

    async def keep(request: Request) -> dict[str, Any]:
        wish = await read_object(request, field="point") or {}
        path = await asyncio.to_thread(jobs.file, request.path_params["id"])
        named = wish.get("checkpoint")
        network = await asyncio.to_thread(studio.network, named if isinstance(named, str) else None)
        name, source = (str(wish.get(key) or "")[:200] for key in ("name", "source"))
        return await asyncio.to_thread(kept_point, network, path, name=name or "picture", source=source or name)

    app.router.add_route("/project", telling(begin), methods=["POST"])
    app.router.add_route("/project/{id}", telling(status), methods=["GET"])
    app.router.add_route("/project/{id}/stop", telling(stop), methods=["POST"])
    app.router.add_route("/project/{id}/keep", telling(keep), methods=["POST"])


def wished(studio: Studio, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the job, after all was looked at that can be wrong before a picture is read."""
    for key in settings:
        if key not in _SETTINGS:
            raise SettingError(key, settings[key], "one of " + ", ".join(_SETTINGS))
    given = {key: value for key, value in settings.items() if value is not None}
    grown = given.get("grown")
    base = Recipe.parse(
        {
            **{key: given[key] for key in ("checkpoint", "label") if key in given},
            **({"grown": parse_grown(grown) if isinstance(grown, str) else grown} if grown is not None else {}),
        }
    )
    network = studio.check(base)
    Wish(**{key: given[key] for key in ("space", "steps", "seconds", "noise_maps", "label") if key in given})
    told = {"grown": str(base.grown)} if base.grown is not None else {}
    return {**given, **told, "checkpoint": file_of(network)}


def _typed(query: Mapping[str, str]) -> dict[str, Any]:
    """The values of an address as what they stand for."""
    found: dict[str, Any] = dict(query)
    for key, kind in (("steps", int), ("label", int), ("seconds", float)):
        if key in found:
            try:
                found[key] = kind(found[key][:20])
            except ValueError:
                raise SettingError(key, found[key], "a number") from None
    if "noise_maps" in found:
        if found["noise_maps"] not in ("true", "false"):
            raise SettingError("noise_maps", found["noise_maps"], "true or false")
        found["noise_maps"] = found["noise_maps"] == "true"
    return found


def checked(data: bytes, name: str) -> None:
    """Raise PictureError for what is no picture, or has more pixels than the page may send."""
    shown = name[:80] or "the picture"
    height, width = pictures.read_header(data, name=shown).size
    if height * width > MOST_PIXELS:
        raise PictureError(
            f"{shown} has {height} x {width} pixels, more than {MOST_PIXELS // 10**6} million; shrink it first"
        )


def _preview(folder: Path) -> dict[str, Any] | None:
    """What the process has reached, None before there is anything."""
    try:
        with open(folder / PREVIEW, "rb") as file:
            return dict(json.loads(file.read(_MOST_PREVIEW)))
    except (OSError, ValueError, TypeError):
        return None


def kept_point(network: Network, path: Path, *, name: str | None, source: str) -> dict[str, Any]:
    """What the point of a job says of itself; kept under `name`, numbered where that is taken, unless it is None."""
    point = kept.point_from(path, network, name="the point")
    if point.about.get("sha") != network.sha:
        raise SettingError("checkpoint", network.name, "the network that the point was found in, which has changed")
    if name is not None:
        point = replace(point, name=free_name(network, name), about={**point.about, "source": source})
        kept.keep(network, point)
    named = {} if name is None else {"name": point.name}
    return {**named, **{key: point.about.get(key) for key in ("distance", "own_distance", "label")}}
