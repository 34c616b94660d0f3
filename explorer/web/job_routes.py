"""The addresses of long work: POST /jobs, then GET and DELETE /jobs/ID, and GET /jobs/ID/file."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from core.errors import SettingError, StyloscopeError
from core.latents import parse_layers, parse_seeds
from explorer import atlas, atlas_values, compare, sheets
from explorer.animate import FPS, Walk
from explorer.recipe import Recipe, parse_grown
from explorer.schema import inner
from explorer.timeline import Timeline, alone, loaded
from explorer.web.answers import read_object, refusal
from explorer.web.jobs import Jobs, UnknownJobError
from explorer.web.routes import PIXEL_LIMIT

if TYPE_CHECKING:
    from explorer.networks import Network

__all__ = ["add_job_routes", "found_name", "looked_at"]

MOST_POINTS = 256  # kept pictures in one walk
_FIELDS = ("checkpoint", "psi", "cutoff", "noise", "label", "grown")


def add_job_routes(app: Starlette, *, jobs: Jobs, check: Callable[[Recipe], Network]) -> None:
    """Add the routes to `app` before Gradio is mounted; `check` raises what is wrong with a recipe here."""

    async def submit(request: Request) -> Response:
        try:
            wish = await _wish(request)
            verb = wish.pop("verb", None)
            if not isinstance(verb, str):
                raise SettingError("verb", verb, "the name of what is to be made")
            if verb == "nearest":  # its data is a path, which nobody names from outside
                raise SettingError("verb", verb, "asked for at /nearest/job, where a set of pictures is a name")
            if verb == "project":  # whose picture is a body of its own
                raise SettingError("verb", verb, "asked for at /project, with the picture as the body")
            settings = await asyncio.to_thread(looked_at, verb, wish, check=check)
            return JSONResponse({"id": await asyncio.to_thread(jobs.submit, verb, settings)}, status_code=202)
        except StyloscopeError as wrong:
            return _error(wrong)

    async def status(request: Request) -> Response:
        return _answer(lambda: JSONResponse(jobs.status(request.path_params["id"])))

    async def cancel(request: Request) -> Response:
        try:
            await asyncio.to_thread(jobs.cancel, request.path_params["id"])
        except StyloscopeError as wrong:
            return _error(wrong)
        return JSONResponse({"state": "cancelled"})

    async def file(request: Request) -> Response:
        identity = request.path_params["id"]
        return _answer(lambda: FileResponse(jobs.file(identity), filename=jobs.status(identity)["name"]))

    app.router.add_route("/jobs", submit, methods=["POST"])
    app.router.add_route("/jobs/{id}", status, methods=["GET"])
    app.router.add_route("/jobs/{id}", cancel, methods=["DELETE"])
    app.router.add_route("/jobs/{id}/file", file, methods=["GET"])


def looked_at(verb: str, settings: Mapping[str, Any], *, check: Callable[[Recipe], Network]) -> dict[str, Any]:
    """Return settings after everything that can be wrong without drawing has been looked for.

    `check` knows the networks by name, so that no path comes through; the command then gets the path of the network
    found, since it does not know what the server was opened with. Raises what the command would say.
    """
    clean = {key: value for key, value in settings.items() if value is not None}
    seeds: dict[str, list[int]] = {
        key: parse_seeds(clean[key], field=key) for key in ("seeds", "rows", "columns") if key in clean
    }
    given: dict[str, Any] = {key: clean[key] for key in _FIELDS if key in clean}
    if isinstance(given.get("grown"), str):
        given["grown"] = parse_grown(given["grown"])
    points: list[Recipe] = []
    if "timeline" in clean:
        clean["timeline"], timeline = _timeline(clean, base=given)
        points = list(timeline.recipes)
        given.setdefault("checkpoint", points[0].checkpoint)
    base = Recipe.parse({**Recipe.parse(inner(clean.get("recipe", {}), "recipe")).to_dict(), **given})
    network = check(base)
    if "grown" in clean:
        clean["grown"] = str(base.grown)
    if "recipes" in clean:
        listed = enumerate(_listed(clean["recipes"]))
        points = [Recipe.parse(inner(point, f"recipes[{place}]")) for place, point in listed]
    for point in points:
        check(replace(point, checkpoint=network.name))
    if "layers" in clean:
        parse_layers(clean["layers"], network.layers)
    if verb == "mix":
        _matrix(base, clean, seeds=seeds)
    if verb == "map":
        _map(clean, network, label=base.label)
    ends = points or [replace(base, seed=seed, point=None, blend=(), toward=None) for seed in seeds.get("seeds", [])]
    if verb == "interpolate" and "timeline" not in clean:
        walk = {key: clean[key] for key in ("steps", "space", "loop", "fps", "ease") if key in clean}
        _walk(tuple(ends), **walk)
    if verb == "bilinear":
        if len(ends) != 4:
            raise SettingError("seeds", clean.get("seeds", f"{len(ends)} pictures"), "a sheet has four corners")
        sheets.bilinear(ends, steps=clean.get("steps", 10), title=clean.get("title"))
    if verb == "compare":
        clean = {**clean, **_comparison(ends or [base], clean, check=check)}
    _small_enough(verb, clean, seeds=seeds, pixels=network.pixels(base.grown))
    return {**clean, "checkpoint": found_name(network)}


def found_name(network: Network) -> str:
    """What the command is told: a run's network it knows by RUN/000012, any other by its stem, as a path gives it."""
    return str(network.path.resolve()) if network.path.stem == network.name else network.name


def _comparison(
    recipes: list[Recipe], settings: Mapping[str, Any], *, check: Callable[[Recipe], Network]
) -> dict[str, Any]:
    """The network on the right as the command is told it, after all was looked at."""
    precision = settings.get("precision", "auto")
    more = {key: settings[key] for key in ("amplify", "signed", "title") if key in settings}
    other = Recipe.parse({"checkpoint": settings.get("with")}).checkpoint
    precisions = (precision, settings.get("with_precision", precision))
    comparison = compare.Comparison(tuple(recipes), other, precisions=precisions, **more)
    right = check(comparison.pairs(check)[0][1])
    return {} if other is None else {"with": found_name(right)}


def _walk(ends: tuple[Recipe, ...], **settings: Any) -> None:
    for key, kind, words in (("steps", int, "1 or more"), ("fps", int | float, FPS)):
        if isinstance(settings.get(key), bool) or not isinstance(settings.get(key, 1), kind):
            raise SettingError(key, settings[key], words)
    if not isinstance(settings.get("loop", False), bool):
        raise SettingError("loop", settings["loop"], "true or false")
    Walk(ends, **settings)


def _timeline(settings: Mapping[str, Any], *, base: Mapping[str, Any]) -> tuple[dict[str, Any], Timeline]:
    """The JSON value of a timeline, and what it says; beside it nothing else says how the film goes."""
    alone({key: settings.get(key) for key in ("steps", "space", "loop", "fps", "ease", "seeds", "recipes", "recipe")})
    given = settings["timeline"]
    value = loaded(given) if isinstance(given, str) else given
    return value, Timeline.parse(value, base={key: base[key] for key in base if key != "checkpoint"})


def _map(settings: Mapping[str, Any], network: Network, *, label: int | None) -> None:
    atlas.check(**{key: settings[key] for key in ("samples", "method") if key in settings})
    for key in ("by_class", "points", "pictures"):
        if not isinstance(settings.get(key, False), bool):
            raise SettingError(key, settings[key], "true or false")
    if settings.get("by_class"):
        atlas.check_by_class(network, label=label)
    if "color" in settings:
        # A file of this machine is for the command line alone.
        atlas_values.check(network, settings["color"], by_class=bool(settings.get("by_class")))


def _matrix(base: Recipe, settings: Mapping[str, Any], *, seeds: Mapping[str, list[int]]) -> None:
    for key in ("rows", "columns", "layers"):
        if key not in settings:
            raise SettingError(key, "nothing", f"give {key}")
    more = {key: settings[key] for key in ("amount", "column_label", "title") if key in settings}
    sheets.matrix(base, rows=seeds["rows"], columns=seeds["columns"], layers=str(settings["layers"]), **more)


def _small_enough(verb: str, settings: Mapping[str, Any], *, seeds: Mapping[str, list[int]], pixels: int) -> None:
    """Hold a sheet to what one request may ask for; the command line knows no such limit."""
    if verb == "mix":
        cells = math.prod(len(seeds.get(side, [0])) + 1 for side in ("rows", "columns"))
    elif verb == "bilinear" and isinstance(settings.get("steps"), int):
        cells = settings["steps"] ** 2
    elif verb == "compare":
        cells = 3 * len(seeds.get("seeds", [0]))
    else:
        return
    if cells * pixels > PIXEL_LIMIT:
        largest = PIXEL_LIMIT // pixels
        allowed = f"a request may ask for {PIXEL_LIMIT // 10**6} megapixels, here {largest} cells"
        raise SettingError("cells", cells, allowed)


def _listed(points: object) -> list[Any]:
    if not isinstance(points, list) or not 2 <= len(points) <= MOST_POINTS:
        raise SettingError("recipes", points, f"a list of 2 to {MOST_POINTS} pictures")
    return points


async def _wish(request: Request) -> dict[str, Any]:
    wish = await read_object(request, field="job")
    if wish is None:
        raise SettingError("job", "this body", "a JSON object with a verb and its settings")
    return wish


def _answer(make: Callable[[], Response]) -> Response:
    try:
        return make()
    except StyloscopeError as wrong:
        return _error(wrong)


def _error(wrong: StyloscopeError) -> JSONResponse:
    return refusal(wrong, status=404 if isinstance(wrong, UnknownJobError) else 400)
