"""The addresses of long work: POST /jobs, then GET and DELETE /jobs/ID, and GET /jobs/ID/file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from core.animation import check_scale
from core.errors import SettingError
from core.latents import parse_layers, parse_seeds
from explorer import atlas, atlas_values, compare, sheets
from explorer.animate import FPS, Walk, fits
from explorer.recipe import Recipe, parse_grown
from explorer.schema import inner
from explorer.timeline import Timeline, alone, loaded
from explorer.web.answers import read_object, telling
from explorer.web.jobs import Jobs
from explorer.web.routes import PIXEL_LIMIT

if TYPE_CHECKING:
    from explorer.networks import Network

__all__ = ["CHECKS", "add_job_routes", "file_of", "looked_at", "small_enough"]

MOST_POINTS = 256  # kept pictures in one walk
STEPS = 10  # of a sheet between four corners, as the command has it
_FIELDS = ("checkpoint", "psi", "cutoff", "noise", "label", "grown")
_SEEDS = ("seeds", "rows", "columns")

Check = Callable[[Recipe], "Network"]


def add_job_routes(app: Starlette, *, jobs: Jobs, check: Check) -> None:
    """Add the routes to `app` before Gradio is mounted; `check` raises what is wrong with a recipe here."""

    async def submit(request: Request) -> Response:
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

    async def status(request: Request) -> dict[str, Any]:
        return jobs.status(request.path_params["id"])

    async def cancel(request: Request) -> dict[str, Any]:
        await asyncio.to_thread(jobs.cancel, request.path_params["id"])
        return {"state": "cancelled"}

    async def file(request: Request) -> Response:
        identity = request.path_params["id"]
        return FileResponse(jobs.file(identity), filename=jobs.status(identity)["name"])

    app.router.add_route("/jobs", telling(submit), methods=["POST"])
    app.router.add_route("/jobs/{id}", telling(status), methods=["GET"])
    app.router.add_route("/jobs/{id}", telling(cancel), methods=["DELETE"])
    app.router.add_route("/jobs/{id}/file", telling(file), methods=["GET"])


@dataclass(frozen=True)
class Asked:
    """What is asked of a verb, as far as verbs have it in common: `settings` as given, and what they say.

    `points` are the pictures named one by one, or those of a `timeline`; `other` is the network on the right of a
    comparison.
    """

    settings: dict[str, Any]
    base: Recipe
    network: Network
    seeds: Mapping[str, list[int]]
    points: list[Recipe]
    timeline: Timeline | None
    other: Network | None
    check: Check

    def among(self, *keys: str) -> dict[str, Any]:
        """Those of the settings that are given."""
        return {key: self.settings[key] for key in keys if key in self.settings}

    @property
    def pictures(self) -> list[Recipe]:
        """The pictures that are asked for, by recipes or by seeds; empty where there are neither."""
        return self.points or [self.base.with_seed(seed) for seed in self.seeds.get("seeds", [])]


def looked_at(verb: str, settings: Mapping[str, Any], *, check: Check) -> dict[str, Any]:
    """Return settings after everything that can be wrong without drawing has been looked for.

    `check` knows the networks by name, so that no path comes through; the command then gets the path of the network
    found, since it does not know what the server was opened with. Raises what the command would say.
    """
    if verb not in CHECKS:
        raise SettingError("verb", verb, "one of " + ", ".join(CHECKS))
    asked = _asked(settings, check=check)
    CHECKS[verb](asked)
    told = {**asked.settings, "checkpoint": file_of(asked.network)}
    return told if asked.other is None else {**told, "with": file_of(asked.other)}


def file_of(network: Network) -> str:
    """What a command is told: the file itself, since the server may have been opened with another one of that name."""
    return str(network.path.absolute())


def small_enough(count: int, pixels: int, *, things: str = "cells") -> None:
    """Hold pictures of so many pixels to what one request may ask for; the command line knows no such limit."""
    if count * pixels > PIXEL_LIMIT:
        allowed = f"a request may ask for {PIXEL_LIMIT // 10**6} megapixels, here {PIXEL_LIMIT // pixels} {things}"
        raise SettingError(things, count, allowed)


def _asked(settings: Mapping[str, Any], *, check: Check) -> Asked:
    clean = {key: value for key, value in settings.items() if value is not None}
    seeds = {key: parse_seeds(clean[key], field=key) for key in _SEEDS if key in clean}
    given: dict[str, Any] = {key: clean[key] for key in _FIELDS if key in clean}
    if isinstance(given.get("grown"), str):
        given["grown"] = parse_grown(given["grown"])
    points: list[Recipe] = []
    timeline = None
    if "timeline" in clean:
        clean["timeline"], timeline = _timeline(clean, base=given)
        points = list(timeline.recipes)
        given.setdefault("checkpoint", points[0].checkpoint)
    if "recipes" in clean:
        listed = enumerate(_listed(clean["recipes"]))
        points = [Recipe.parse(inner(point, f"recipes[{place}]")) for place, point in listed]
        if "recipe" not in clean:
            given.setdefault("checkpoint", points[0].checkpoint)
    base = Recipe.parse({**Recipe.parse(inner(clean.get("recipe", {}), "recipe")).to_dict(), **given})
    network = check(base)
    if "grown" in clean:
        clean["grown"] = str(base.grown)
    spot = "keys[{}].recipe" if "timeline" in clean else "recipes[{}]"
    for place, point in enumerate(points):
        # The file says which network it is, whatever its name: two copies of one draw the same.
        if "checkpoint" not in clean and point.checkpoint is not None and check(point).sha != network.sha:
            where = f"{spot.format(place)}.checkpoint"
            raise SettingError(where, point.checkpoint, f"a walk keeps one network, here {network.name}")
    points = [replace(point, checkpoint=network.name) for point in points]
    for point in points:
        check(point)
    if "layers" in clean:
        parse_layers(clean["layers"], network.layers)
    other = check(Recipe.parse({"checkpoint": clean["with"]})) if "with" in clean else None
    return Asked(clean, base, network, seeds, points, timeline, other, check)


def _check_interpolate(asked: Asked) -> None:
    scale = check_scale(asked.settings.get("scale", 1))
    if asked.timeline is not None:  # which says all of the rest itself, and was looked at
        fits(asked.timeline, asked.network, scale=scale)
        return
    walk = asked.among("steps", "space", "loop", "fps", "ease")
    for key, kind, words in (("steps", int, "1 or more"), ("fps", int | float, FPS)):
        if isinstance(walk.get(key), bool) or not isinstance(walk.get(key, 1), kind):
            raise SettingError(key, walk[key], words)
    if not isinstance(walk.get("loop", False), bool):
        raise SettingError("loop", walk["loop"], "true or false")
    pictures = tuple(replace(one, grown=one.grown or asked.base.grown) for one in asked.pictures)
    fits(Walk(pictures, **walk), asked.network, scale=scale)


def _check_mix(asked: Asked) -> None:
    for key in ("rows", "columns", "layers"):
        if key not in asked.settings:
            raise SettingError(key, "nothing", f"give {key}")
    rows, columns = asked.seeds["rows"], asked.seeds["columns"]
    more = asked.among("amount", "column_label", "title")
    sheet = sheets.matrix(asked.base, rows=rows, columns=columns, layers=str(asked.settings["layers"]), **more)
    asked.check(sheet.cells[0])
    small_enough((len(rows) + 1) * (len(columns) + 1), asked.network.pixels(asked.base.grown))


def _check_bilinear(asked: Asked) -> None:
    corners = asked.pictures
    if len(corners) != 4:
        shown = asked.settings.get("seeds", f"{len(corners)} pictures")
        raise SettingError("seeds", shown, "a sheet has four corners")
    steps = asked.settings.get("steps", STEPS)
    sheets.bilinear(corners, steps=steps, title=asked.settings.get("title"))
    small_enough(steps**2, max(asked.network.pixels(one.grown or asked.base.grown) for one in corners))


def _check_compare(asked: Asked) -> None:
    recipes = tuple(replace(one, checkpoint=asked.network.name) for one in asked.pictures or [asked.base])
    precision = asked.settings.get("precision", "auto")
    precisions = (precision, asked.settings.get("with_precision", precision))
    other = None if asked.other is None else asked.other.name
    comparison = compare.Comparison(recipes, other, precisions=precisions, **asked.among("amplify", "signed", "title"))
    pairs = comparison.pairs(asked.check)
    small_enough(3 * len(pairs), compare.pixels(pairs[0], asked.check))


def _check_map(asked: Asked) -> None:
    atlas.check(**asked.among("samples", "method"))
    for key, value in asked.among("by_class", "points", "pictures").items():
        if not isinstance(value, bool):
            raise SettingError(key, value, "true or false")
    by_class = asked.settings.get("by_class", False)
    if by_class:
        atlas.check_by_class(asked.network, label=asked.base.label)
    if "color" in asked.settings:
        # A file of this machine is for the command line alone.
        atlas_values.check(asked.network, asked.settings["color"], by_class=by_class)


# What POST /jobs and gradio_client may ask for; what else is in VERBS has an address of its own.
CHECKS: Mapping[str, Callable[[Asked], None]] = {
    "interpolate": _check_interpolate,
    "mix": _check_mix,
    "bilinear": _check_bilinear,
    "compare": _check_compare,
    "map": _check_map,
}


def _timeline(settings: Mapping[str, Any], *, base: Mapping[str, Any]) -> tuple[dict[str, Any], Timeline]:
    """The JSON value of a timeline, and what it says; beside it nothing else says how the film goes."""
    alone({key: settings.get(key) for key in ("steps", "space", "loop", "fps", "ease", "seeds", "recipes", "recipe")})
    given = settings["timeline"]
    value = loaded(given) if isinstance(given, str) else given
    return value, Timeline.parse(value, base={key: base[key] for key in base if key != "checkpoint"})


def _listed(points: object) -> list[Any]:
    if not isinstance(points, list) or not 2 <= len(points) <= MOST_POINTS:
        raise SettingError("recipes", points, f"a list of 2 to {MOST_POINTS} pictures")
    return points


async def _wish(request: Request) -> dict[str, Any]:
    wish = await read_object(request, field="job")
    if wish is None:
        raise SettingError("job", "this body", "a JSON object with a verb and its settings")
    return wish
