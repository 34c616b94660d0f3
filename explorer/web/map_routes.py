"""The addresses of the map: GET /map gives where the seeds lie, POST /map/place where a recipe stands among them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core.errors import SettingError, StyloscopeError
from explorer import atlas
from explorer.atlas import Atlas
from explorer.recipe import Recipe
from explorer.web.answers import read_body, refusal

if TYPE_CHECKING:
    from explorer.studio import Studio

__all__ = ["Maps", "add_map_routes"]

_MOST_MAPS = 3
_MOST_NEAREST = 64
_CLOSE = 4  # decimals of a place on the map


class Maps:
    """The maps that were looked at last, made one at a time; a map that gets its UMAP is read again."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._kept: OrderedDict[tuple[str, int, int | None, bool], Atlas] = OrderedDict()
        self._making = Lock()

    def get(self, name: str | None, *, samples: int, label: int | None, by_class: bool) -> Atlas:
        """The map of a network, from memory where it is there. Raises SettingError and CheckpointError."""
        key = (self.studio.network(name).sha, samples, label, by_class)
        about: dict[str, Any] = {"samples": samples, "label": label, "by_class": by_class}
        with self._making:
            found = self._kept.pop(key, None)
            wanting = found is None or found.umap is None
            if found is None or (wanting and atlas.cached(self.studio, name, **about)):
                found = atlas.survey(self.studio, name, **about)
            self._kept[key] = found
            while len(self._kept) > _MOST_MAPS:
                self._kept.popitem(last=False)
            return found

    def points(self, name: str | None, *, method: str, **about: Any) -> dict[str, Any]:
        """Where seeds 0 .. samples-1 lie, by `method` or, while there is no UMAP yet, by PCA.

        `classes` is 0, or of a map by class how many there are: seed k is of class k modulo that.
        """
        found = self.get(name, **about)
        if method == "umap" and found.umap is None:
            method = "pca"
        x, y = np.round(found.points(method).astype(float), _CLOSE).T.tolist()
        return {"method": method, "samples": found.count, "classes": found.classes, "x": x, "y": y}

    def place(
        self, recipe: Recipe, *, samples: int, method: str, nearest: int, by_class: bool = False
    ) -> dict[str, Any]:
        """Where a recipe stands on the map of its network, and the seeds nearest to it there."""
        label = None if by_class else recipe.label
        found = self.get(recipe.checkpoint, samples=samples, label=label, by_class=by_class)
        x, y = atlas.place(self.studio, found, recipe, method=method)
        away = np.hypot(*(found.points(method) - (x, y)).T)
        return {"x": x, "y": y, "nearest": np.argsort(away, kind="stable")[:nearest].tolist()}


def add_map_routes(app: Starlette, *, studio: Studio) -> None:
    """Add the routes to `app`; to be called before Gradio is mounted at /."""
    maps = Maps(studio)

    async def points(request: Request) -> Response:
        try:
            query = request.query_params
            label = _whole(query.get("label"), "label", highest=65535) if "label" in query else None
            name = query.get("checkpoint") or None
            settings: dict[str, Any] = {**_settings(request), "label": label}
            return JSONResponse(await asyncio.to_thread(maps.points, name, **settings))
        except StyloscopeError as wrong:
            return refusal(wrong)

    async def place(request: Request) -> Response:
        try:
            recipe = Recipe.parse(await read_body(request, field="recipe"))
            nearest = _whole(request.query_params.get("nearest", "8"), "nearest", highest=_MOST_NEAREST)
            settings: dict[str, Any] = {**_settings(request), "nearest": nearest}
            return JSONResponse(await asyncio.to_thread(maps.place, recipe, **settings))
        except StyloscopeError as wrong:
            return refusal(wrong)

    app.router.add_route("/map", points, methods=["GET"])
    app.router.add_route("/map/place", place, methods=["POST"])


def _settings(request: Request) -> dict[str, Any]:
    method = request.query_params.get("method", "umap")
    if method not in atlas.METHODS:
        raise SettingError("method", method, " or ".join(atlas.METHODS))
    samples = _whole(request.query_params.get("samples", "5000"), "samples", highest=atlas.MOST_SAMPLES)
    by_class = request.query_params.get("by_class", "false")
    if by_class not in ("true", "false"):
        raise SettingError("by_class", by_class, "true or false")
    return {"samples": samples, "method": method, "by_class": by_class == "true"}


def _whole(text: str | None, field: str, *, highest: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or not int(text[:9]) <= highest:
        raise SettingError(field, text, f"a whole number up to {highest}")
    return int(text)
