"""The addresses of directions: GET /directions finds and lists them, POST /directions makes one and keeps it.

DELETE /directions/NAME forgets one, POST /directions/rename names it anew; GET /directions/NAME/file gives its file
and POST /directions/open takes one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import SettingError
from core.latents import MOST_SEEDS
from core.numbers import natural
from explorer import directions, kept, labels
from explorer.fitting import Stopped
from explorer.kept import Direction
from explorer.recipe import Recipe
from explorer.web.answers import CLOSED_BY_CLIENT, read_body, read_keys, telling, while_there

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["add_directions_routes", "listed", "made"]

_KEYS = ("checkpoint", "name", "method", "a", "b", "direction", "labels", "column", "replace")


def add_directions_routes(app: Starlette, *, studio: Studio) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /."""
    one_at_a_time = asyncio.Semaphore(1)  # who waits takes none of the few threads that answer everybody

    async def shown(request: Request) -> Response:
        query = request.query_params
        count = _whole(query.get("count", "8"), "count", highest=directions.MOST_FOUND)
        within = query.get("layers") or None
        settings: dict[str, Any] = {"method": query.get("method", "sefa"), "layers": within, "count": count}
        found = await asyncio.to_thread(listed, studio, query.get("checkpoint") or None, **settings)
        return JSONResponse({"directions": found})

    async def make(request: Request) -> Response:
        wish = await read_keys(request, _KEYS, field="direction")
        gone = threading.Event()

        def work() -> dict[str, Any]:
            return made(studio, wish, cancelled=gone.is_set)

        try:
            async with one_at_a_time:
                return await while_there(request, work, gone)
        except Stopped:
            return Response(status_code=CLOSED_BY_CLIENT)

    async def rename(request: Request) -> Response:
        wish = await read_keys(request, ("checkpoint", "name", "new"), field="direction")
        network = await asyncio.to_thread(studio.network, _text(wish, "checkpoint"))
        old, new = _text(wish, "name", needed=True), _text(wish, "new", needed=True)
        await asyncio.to_thread(kept.rename, network, "directions", str(old), str(new))
        return JSONResponse({"name": new})

    async def forget(request: Request) -> Response:
        network = await asyncio.to_thread(studio.network, request.query_params.get("checkpoint") or None)
        await asyncio.to_thread(kept.forget, network, "directions", request.path_params["name"])
        return JSONResponse({"name": request.path_params["name"]})

    async def file(request: Request) -> Response:
        checkpoint = request.query_params.get("checkpoint") or None
        data, name = await asyncio.to_thread(_file, studio, checkpoint, request.path_params["name"])
        disposition = f"attachment; filename*=utf-8''{quote(name)}.safetensors"
        headers = {"Content-Disposition": disposition}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def opened(request: Request) -> Response:
        query = request.query_params
        data = await read_body(request, field="direction")
        found = await asyncio.to_thread(
            _opened, studio, query.get("checkpoint") or None, data, query.get("name") or None
        )
        return JSONResponse(found, status_code=201)

    routes = app.router
    routes.add_route("/directions", telling(shown), methods=["GET"])
    routes.add_route("/directions", telling(make), methods=["POST"])
    routes.add_route("/directions/rename", telling(rename), methods=["POST"])
    routes.add_route("/directions/open", telling(opened), methods=["POST"])
    routes.add_route("/directions/{name}", telling(forget), methods=["DELETE"])
    routes.add_route("/directions/{name}/file", telling(file), methods=["GET"])


def listed(
    studio: Studio, checkpoint: str | None, *, method: str, layers: str | None, count: int
) -> list[dict[str, Any]]:
    """What is kept, then what `sefa` or `pca` finds; of `kept` nothing more. Raises SettingError."""
    network = studio.network(checkpoint)
    mine = [directions.entry(one, kept=True) for one in kept.entries(network, "directions")]
    if method == "kept":
        return mine
    room = studio.open(network.name)
    found = directions.found(room.generator, room.samples, method=method, layers=layers, count=count)
    return [*mine, *(directions.entry(one, kept=False) for one in found)]


def made(studio: Studio, wish: dict[str, Any], *, cancelled: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Make the direction that is asked for, keep it, and say what it is."""
    network = studio.network(_text(wish, "checkpoint"))
    name = kept.check_name(_text(wish, "name", needed=True), "directions")
    over = wish.get("replace", False)
    if not isinstance(over, bool):
        raise SettingError("replace", over, "true or false")
    if not over and name.casefold() in {one.casefold() for one in kept.names(network, "directions")}:
        raise SettingError("direction", name, "that name is taken; choose another or remove the old one")
    method, common = _text(wish, "method"), {"name": name, "cancelled": cancelled}
    if method == "labels":
        table = labels.read_table(str(_text(wish, "labels", needed=True)), column=_text(wish, "column"))
        found = labels.from_table(studio, network.name, table, **common)  # type: ignore[arg-type]
    elif method is not None:
        piles = {field: _pile(wish.get(field), field) for field in ("a", "b")}
        found = labels.from_piles(studio, network.name, method=method, **piles, **common)  # type: ignore[arg-type]
    else:
        found = _named(studio, network.name, str(_text(wish, "direction", needed=True)), name)
    kept.keep(network, found, replace=over)
    return directions.entry(found, kept=True)


def _named(studio: Studio, checkpoint: str, direction: str, name: str) -> Direction:
    """A direction that is there already, built-in or kept, under a name."""
    room = studio.open(checkpoint)
    found = replace(room.direction(direction), name=name)
    said = directions.entry(found, kept=True)["words"]
    facts = {"network": room.network.name, "sha": room.network.sha, "words": said}
    return replace(found, about={**facts, **found.about, "found": direction})


def _file(studio: Studio, checkpoint: str | None, name: str) -> tuple[bytes, str]:
    network = studio.network(checkpoint)
    if kept.BUILT_IN.fullmatch(name):
        return kept.file_bytes(_named(studio, network.name, name, name)), name
    return kept.file_bytes(kept.read_direction(network, name)), name


def _opened(studio: Studio, checkpoint: str | None, data: bytes, name: str | None) -> dict[str, Any]:
    """Keep a direction out of a file, under a free name where its own is taken."""
    network = studio.network(checkpoint)
    found = kept.direction_from(data, network)
    wanted = name or found.name
    if kept.BUILT_IN.fullmatch(wanted):
        wanted = f"{wanted} opened"
    taken = {one.casefold() for one in kept.names(network, "directions")}
    free = (f"{wanted[:70]} {k}" for k in range(2, kept.MOST_KEPT + 3))
    chosen = wanted if wanted.casefold() not in taken else next(one for one in free if one.casefold() not in taken)
    mine = replace(found, name=kept.check_name(chosen, "directions"))
    kept.keep(network, mine)
    return directions.entry(mine, kept=True)


def _pile(given: object, field: str) -> list[Recipe]:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_SEEDS:
        raise SettingError(field, "a list" if isinstance(given, list) else given, f"1 to {MOST_SEEDS} recipes")
    return [Recipe.parse(one) for one in given]


def _text(wish: dict[str, Any], key: str, *, needed: bool = False) -> str | None:
    found = wish.get(key)
    if isinstance(found, str) or (found is None and not needed):
        return found
    raise SettingError(key, "nothing" if found is None else found, "a text")


def _whole(text: str, field: str, *, highest: int) -> int:
    found = natural(text, least=1, most=highest)
    if found is None:
        raise SettingError(field, text, f"a whole number from 1 to {highest}")
    return found
