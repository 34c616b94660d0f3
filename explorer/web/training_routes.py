"""The addresses of the Training panel: GET /training and what lies below it, POST /training starts, DELETE stops."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import runs
from core.errors import SettingError, StyloscopeError
from explorer import following
from explorer.web.answers import is_this_machine, read_object, telling
from explorer.web.places import bare_fact
from explorer.web.trainings import PHANTOMS, Trainings

__all__ = ["add_training_routes", "near"]

_LOCAL = ("127.0.0.1", "localhost", "::1")
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
_FARAWAY = "a folder may be named only where the explorer listens on 127.0.0.1 and nobody else reaches it"


class FarawayError(StyloscopeError):
    """The folder of a person's machine was named by somebody who may be another."""

    status = 403


def add_training_routes(app: Starlette, *, trainings: Trainings, host: str) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /. `host` is what the server listens on."""

    async def every(request: Request) -> dict[str, Any]:
        return await asyncio.to_thread(_every, trainings, here=near(request, host=host))

    async def one(request: Request) -> dict[str, Any]:
        query = request.query_params
        name, log, metrics = (query.get(key, "") for key in ("run", "log", "metrics"))
        here = near(request, host=host)
        return await asyncio.to_thread(_one, trainings, name, log=log, metrics=metrics, here=here)

    async def sheet(request: Request) -> Response:
        query = request.query_params
        run = await asyncio.to_thread(_run, trainings.runs, query.get("run", ""))
        content = await asyncio.to_thread(following.sheet, run, query.get("moment", ""))
        return Response(content, media_type="image/png")

    async def start(request: Request) -> Response:
        wish = await _wish(request)
        if wish.get("data", PHANTOMS) != PHANTOMS and not near(request, host=host):
            raise FarawayError(f"{_FARAWAY}; name it in a terminal: python -m train --preset smoke --data PATH")
        training = await asyncio.to_thread(trainings.start, **wish)
        return JSONResponse(training.entry(here=near(request, host=host)), status_code=202)

    async def stop(request: Request) -> dict[str, Any]:
        await asyncio.to_thread(trainings.stop)
        return {"own": _own(trainings, here=near(request, host=host))}

    app.router.add_route("/training", telling(every), methods=["GET"])
    app.router.add_route("/training", telling(start), methods=["POST"])
    app.router.add_route("/training", telling(stop), methods=["DELETE"])
    app.router.add_route("/training/run", telling(one), methods=["GET"])
    app.router.add_route("/training/sheet", telling(sheet, status=404), methods=["GET"])


def near(request: Request, *, host: str) -> bool:
    """Whether only this machine reaches the server and the request comes from it, by no proxy that says so."""
    if host.strip("[]").lower() not in _LOCAL or any(name in request.headers for name in _PASSED_ON):
        return False
    return request.client is not None and is_this_machine(request.client.host)


def _every(trainings: Trainings, *, here: bool) -> dict[str, Any]:
    """The runs and our own training, for somebody who sits `here` or elsewhere."""
    own = trainings.current()
    found = [
        {"name": run.name, "state": _state(run, own=own, age=age)} for age, run in following.listed(trainings.runs)
    ]
    return {"runs": found, "own": _own(trainings, here=here), "folder": here}


def _one(trainings: Trainings, name: str, *, log: str, metrics: str, here: bool) -> dict[str, Any]:
    run = _run(trainings.runs, name)
    lines = following.rows(run, runs.LOG, after=log)
    measures = following.rows(run, runs.METRICS, after=metrics)
    facts = following.facts(run) if here else following.facts(run, told=bare_fact)
    return {
        "name": run.name,
        "state": _state(run, own=trainings.current()),
        "facts": facts,
        "log": vars(lines),
        "metrics": vars(measures),
        "moments": [[moment.name, moment.stamp, moment.images] for moment in following.moments(run)],
        "own": _own(trainings, here=here),
    }


def _state(run: Path, *, own: Any, age: float | None = None) -> str:
    """Our own process is known to live or not; of others the folder tells."""
    if own is not None and own.name == run.name:
        told = following.state(run, age=0.0 if own.alive else float("inf"))
        return "running" if own.alive else told
    return following.state(run, age=age)


def _own(trainings: Trainings, *, here: bool) -> dict[str, Any] | None:
    own = trainings.current()
    return own.entry(here=here) if own is not None else None


def _run(folder: Path, name: str) -> Path:
    """The run of that name: looked up among those listed, never joined to a path."""
    found = next((run for _, run in following.listed(folder) if run.name == name), None)
    if found is None:
        raise SettingError("run", name, "it has to be a run in the folder of runs")
    return found


async def _wish(request: Request) -> dict[str, Any]:
    wish = await read_object(request, field="training")
    if wish is None or not set(wish) <= {"name", "data", "size", "images"} or "name" not in wish:
        raise SettingError("training", "this body", "JSON with name, data, size and images")
    return wish
