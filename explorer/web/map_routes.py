"""The addresses of the map: where seeds lie and a recipe stands, values that colour it, small pictures, drawn paths."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from core.errors import SettingError
from core.numbers import natural
from explorer import atlas, atlas_path, atlas_values, kept
from explorer.atlas import Atlas
from explorer.atlas_sheets import COLUMNS, MOST_SHEETS, SEEDS, Sheets
from explorer.recipe import Recipe
from explorer.web.answers import read_body, read_object, refusal, telling

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["Maps", "add_map_routes"]

NEAREST_BY = ("w", "map")
_MOST_MAPS = 3
_MOST_NEAREST = 64
_CLOSE = 4  # decimals of a place on the map


class Maps:
    """The maps that were looked at last, made one at a time; a map that gets its UMAP is read again."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._kept: OrderedDict[tuple, Atlas] = OrderedDict()
        self._making = Lock()

    def get(self, name: str | None, *, samples: int, label: int | None, by_class: bool, points: bool = False) -> Atlas:
        """The map of a network, from memory where it is there. Raises SettingError and CheckpointError."""
        network = self.studio.network(name)
        key = (network.sha, samples, label, by_class, points, _points_of(network))
        about: dict[str, Any] = {"samples": samples, "label": label, "by_class": by_class, "points": points}
        with self._making:
            found = self._kept.pop(key, None)
            if found is None or (found.umap is None and atlas.cached(self.studio, found, name)):
                found = atlas.survey(self.studio, name, **about)
            self._kept[key] = found
            while len(self._kept) > _MOST_MAPS:
                self._kept.popitem(last=False)
            return found

    def points(self, name: str | None, *, method: str, **about: Any) -> dict[str, Any]:
        """Where seeds 0 .. samples-1 and kept pictures lie, by `method` or, while there is no UMAP yet, by PCA.

        `classes` is 0, or of a map by class how many there are: seed k is of class k modulo that. `among` says whether
        kept pictures have their part in the UMAP.
        """
        found = self.get(name, **about)
        if method == "umap" and found.umap is None:
            method = "pca"
        x, y = np.round(found.points(method).astype(float), _CLOSE).T.tolist()
        stand = np.round(found.stand_named(method), _CLOSE).tolist()
        named = [{"name": one, "x": x, "y": y} for one, (x, y) in zip(found.named.names, stand, strict=True)]
        told = {"method": method, "samples": found.count, "classes": found.classes, "among": found.among}
        return {**told, "x": x, "y": y, "points": named}

    def place(self, recipe: Recipe, *, nearest: int, by: str, method: str, **about: Any) -> dict[str, Any]:
        """Where a recipe stands on the map of its network, and the seeds nearest to it, in W or on the map.

        `away` has their distances: in W in standard deviations of w, on the map in its own unit.
        """
        found = self.get(recipe.checkpoint, **about)
        w = atlas.seen(self.studio, found, recipe)
        x, y = atlas.stand(found, w[None], method=method)[0].tolist()
        if by == "w":
            seeds, away = atlas.nearest(found, w, nearest)
        else:
            apart = np.hypot(*(found.points(method) - (x, y)).T)
            seeds = np.argsort(apart, kind="stable")[:nearest]
            away = apart[seeds]
        return {"x": x, "y": y, "nearest": seeds.tolist(), "away": np.round(away, _CLOSE).tolist()}

    def values(self, name: str | None, *, color: str, method: str, **about: Any) -> dict[str, Any]:
        """One value a sample, null where it is not known, and what they mean."""
        found = atlas_values.values(self.studio, self.get(name, **about), name, color)
        known = [round(float(one), 6) if np.isfinite(one) else None for one in found.values]
        return {"color": color, "words": found.words, "names": list(found.names), "reach": found.reach, "values": known}

    def sheets(self, name: str | None, *, label: int | None, by_class: bool) -> Sheets:
        """The sheets of small pictures of a network. Raises SettingError, CheckpointError."""
        network = self.studio.check(Recipe(checkpoint=self.studio.network(name).name, label=label))
        if by_class:
            atlas.check_by_class(network, label=label)
        return Sheets(network, label, network.classes if by_class else 0)

    def path(self, base: Recipe, given: dict[str, Any], *, method: str, **about: Any) -> dict[str, Any]:
        """Keyframes along `line` [[x, y], ...] on the map, or through chosen `seeds`."""
        found = self.get(base.checkpoint, **about)
        if "line" in given:
            recipes, seeds, loop = atlas_path.along(found, given["line"], base, method=method)
        else:
            recipes, seeds = atlas_path.through(found, _seeds(given.get("seeds")), base, method=method)
            loop = False
        return {"recipes": [one.to_dict() for one in recipes], "seeds": seeds, "loop": loop}


def add_map_routes(app: Starlette, *, studio: Studio) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /."""
    maps = Maps(studio)

    async def points(request: Request) -> Response:
        name, settings = _name(request), _settings(request)
        return JSONResponse(await asyncio.to_thread(maps.points, name, **settings))

    async def values(request: Request) -> Response:
        color = request.query_params.get("color", "")
        if not 0 < len(color) <= 200:
            raise SettingError("color", color[:60], "seed, psi, class, brightness or the name of a direction")
        name, settings = _name(request), _settings(request)
        return JSONResponse(await asyncio.to_thread(maps.values, name, color=color, **settings))

    async def place(request: Request) -> Response:
        recipe = Recipe.parse(await read_body(request, field="recipe"))
        nearest = _whole(request.query_params.get("nearest", "8"), "nearest", highest=_MOST_NEAREST)
        by = request.query_params.get("by", "w")
        if by not in NEAREST_BY:
            raise SettingError("by", by, " or ".join(NEAREST_BY))
        settings = {**_settings(request, label=recipe.label), "nearest": nearest, "by": by}
        return JSONResponse(await asyncio.to_thread(maps.place, recipe, **settings))

    async def path(request: Request) -> Response:
        given = await read_object(request, field="path")
        if given is None or not ({"line", "seeds"} & set(given)):
            raise SettingError("path", "this body", "a JSON object with `line` or `seeds`, and `recipe`")
        base = Recipe.parse(given.get("recipe", {}))
        settings = _settings(request, label=base.label)
        return JSONResponse(await asyncio.to_thread(maps.path, base, given, **settings))

    async def sheets(request: Request) -> Response:
        asked = _settings(request)
        found = await asyncio.to_thread(maps.sheets, _name(request), label=asked["label"], by_class=asked["by_class"])
        there = await asyncio.to_thread(found.there)
        return JSONResponse({"cell": found.cell, "columns": COLUMNS, "seeds": SEEDS, "there": there})

    async def sheet(request: Request) -> Response:
        index = _whole(request.query_params.get("sheet"), "sheet", highest=MOST_SHEETS - 1)
        asked = _settings(request)
        found = await asyncio.to_thread(maps.sheets, _name(request), label=asked["label"], by_class=asked["by_class"])
        path = found.path(index)
        if not await asyncio.to_thread(path.is_file):
            return refusal(f"sheet {index} of the map's pictures has not been drawn yet", status=404)
        return FileResponse(path, media_type="image/jpeg")

    for address, handler, method in (
        ("", points, "GET"),
        ("/values", values, "GET"),
        ("/place", place, "POST"),
        ("/path", path, "POST"),
        ("/sheets", sheets, "GET"),
        ("/sheet", sheet, "GET"),
    ):
        app.router.add_route(f"/map{address}", telling(handler), methods=[method])


def _points_of(network: Any) -> tuple:
    """What changes when a picture is kept beside a network, removed or made anew."""
    return kept.stamps(network, "points")[: atlas.MOST_POINTS]


def _name(request: Request) -> str | None:
    return request.query_params.get("checkpoint") or None


def _settings(request: Request, *, label: int | None = None) -> dict[str, Any]:
    """What says which map is meant; `label` is a recipe's, for addresses that are given one."""
    query = request.query_params
    method = query.get("method", "umap")
    if method not in atlas.METHODS:
        raise SettingError("method", method, " or ".join(atlas.METHODS))
    samples = _whole(query.get("samples", "5000"), "samples", highest=atlas.MOST_SAMPLES)
    ticks = {key: query.get(key, "false") for key in ("by_class", "points")}
    for key, said in ticks.items():
        if said not in ("true", "false"):
            raise SettingError(key, said, "true or false")
    found: dict[str, Any] = {key: said == "true" for key, said in ticks.items()}
    if found["by_class"]:
        label = None  # a recipe has one class, the map all of them; naming one beside by_class is refused below
    if "label" in query:
        label = _whole(query.get("label"), "label", highest=65535)
    return {**found, "samples": samples, "method": method, "label": label}


def _seeds(given: object) -> list[int]:
    fits = isinstance(given, list) and 2 <= len(given) <= atlas.MOST_SAMPLES
    if not fits or any(isinstance(one, bool) or not isinstance(one, int) for one in given):  # type: ignore[attr-defined]
        raise SettingError("seeds", "this list", f"2 to {atlas.MOST_SAMPLES} whole numbers")
    return given  # type: ignore[return-value]


def _whole(text: str | None, field: str, *, highest: int) -> int:
    found = natural(text, most=highest)
    if found is None:
        raise SettingError(field, text, f"a whole number up to {highest}")
    return found
