"""Two networks side by side on one recipe, or one network in two precisions, and how far their pictures lie apart.

static/compare.js does on the page what `counterpart` and `apart` do here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core import pictures
from core.errors import SettingError
from core.latents import parse_layers
from explorer.kept import BUILT_IN
from explorer.networks import Network
from explorer.recipe import Blend, Given, Mix, Recipe, Steer, Toward
from explorer.sheets import MOST_CELLS, Progress, check_title
from explorer.studio import PRECISIONS, TEXT_KEY, Studio

__all__ = ["AMPLIFY", "IMPOSSIBLE", "Apart", "Comparison", "apart", "counterpart", "draw", "picture", "pixels", "text"]

AMPLIFY = (1, 4, 16)
IMPOSSIBLE = "pictures of two sizes have no difference; each is shown at its own"
EQUAL = 128  # the gray of a signed difference where there is none


@dataclass(frozen=True)
class Apart:
    """How far two pictures lie apart, in gray levels of 0 to 255 over all pixels and colours, signs left out."""

    mean: float
    largest: int


@dataclass(frozen=True)
class Comparison:
    """What is compared: `recipes` on the left, the same ones on the network `other` on the right.

    `precisions` are those of the two sides (auto, float32 or bfloat16); the difference is multiplied by `amplify`, and
    `signed` shows it around the gray 128. Raises SettingError for what is out of range, and where nothing could differ.
    """

    recipes: tuple[Recipe, ...]
    other: str | None
    precisions: tuple[str, str] = ("auto", "auto")
    amplify: int = 4
    signed: bool = False
    title: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.recipes) <= MOST_CELLS // 3:
            raise SettingError("seeds", f"{len(self.recipes)} of them", f"1 to {MOST_CELLS // 3} to compare")
        for field, precision in zip(("precision", "with_precision"), self.precisions, strict=True):
            if precision not in PRECISIONS:
                raise SettingError(field, precision, ", ".join(PRECISIONS))
        if isinstance(self.amplify, bool) or self.amplify not in AMPLIFY:
            raise SettingError("amplify", self.amplify, ", ".join(map(str, AMPLIFY)))
        if not isinstance(self.signed, bool):
            raise SettingError("signed", self.signed, "true or false")
        check_title(self.title)
        if self.other in (None, self.recipes[0].checkpoint) and len(set(map(_written, self.precisions))) == 1:
            raise SettingError("with", self.other or "nothing", "another network, or another precision of the same one")

    def pairs(self, check: Callable[[Recipe], Network]) -> list[tuple[Recipe, Recipe]]:
        """Left and right recipe of each row; `check` (Studio.check) raises what is wrong with one of them."""
        found = []
        for recipe in self.recipes:
            network = check(recipe)
            right = counterpart(recipe, network if self.other is None else check(Recipe(checkpoint=self.other)))
            check(right)
            found.append((recipe, right))
        return found


def counterpart(recipe: Recipe, network: Network) -> Recipe:
    """The same picture on another network: what that one does not have (layers, classes, a size) is left out."""
    if network.name == recipe.checkpoint:
        return recipe
    values = {name: getattr(recipe, name) for name in ("label", "cutoff", "mix", "steer")}
    toward, blend = recipe.toward, recipe.blend
    return replace(
        recipe,
        checkpoint=network.name,
        sha=None,
        toward=None if toward is None else Toward(_elsewhere(toward.given, network), toward.t, toward.space),
        blend=tuple(Blend(_elsewhere(one.given, network), one.weight) for one in blend),
        grown=recipe.grown if recipe.grown and network.grows and recipe.grown.size in network.sizes else None,
        **_fitting(values, network),
    )


def apart(left: np.ndarray, right: np.ndarray) -> Apart | None:
    """How far two uint8 pictures lie apart; None where their sizes differ. Gray stands beside RGB as equal colours."""
    if left.shape[:2] != right.shape[:2]:
        return None
    distance = np.abs(_difference(left, right))
    return Apart(mean=float(distance.mean()), largest=int(distance.max()))


def picture(left: np.ndarray, right: np.ndarray, *, amplify: int, signed: bool) -> np.ndarray:
    """The difference as uint8 [H, W] or [H, W, 3]: absolute, or signed around 128, brighter where the right one is."""
    difference = _difference(left, right).astype(np.int32) * amplify
    levels = EQUAL + difference if signed else np.abs(difference)
    return np.clip(levels, 0, 255).astype(np.uint8)


def pixels(pair: Sequence[Recipe], check: Callable[[Recipe], Network]) -> int:
    """How many pixels a cell of the sheet has: those of the larger of both pictures."""
    return max(check(one).pixels(one.grown) for one in pair)


def draw(
    studio: Studio, comparison: Comparison, *, progress: Progress | None = None
) -> tuple[np.ndarray, list[Apart | None]]:
    """The sheet of a comparison, a row a recipe: left, right and, where sizes agree, difference; and the distances.

    Raises SettingError before anything is loaded where a picture cannot be or the sheet would be too large.
    """
    pairs = comparison.pairs(studio.check)
    if 3 * len(pairs) * pixels(pairs[0], studio.check) > pictures.PIXEL_LIMIT:
        limit = pictures.PIXEL_LIMIT // 10**6
        raise SettingError("seeds", f"{len(pairs)} of them", f"a sheet has at most {limit} million pixels")
    rows, distances = [], []
    for index, pair in enumerate(pairs):
        left, right = (
            studio.exact(one, precision=_written(precision))
            for one, precision in zip(pair, comparison.precisions, strict=True)
        )
        distances.append(apart(left, right))
        row = [left, right]
        if distances[-1] is not None:
            row.append(picture(left, right, amplify=comparison.amplify, signed=comparison.signed))
        rows.append(row)
        if progress:
            progress(index + 1, len(pairs))
    names = ["A", "B", f"{'B - A' if comparison.signed else '|B - A|'} x{comparison.amplify}"]
    columns = len(rows[0])
    sheet = pictures.grid(
        [one for row in rows for one in row],
        columns=columns,
        title=comparison.title or _title(pairs[0], comparison.precisions),
        row_labels=[str(one.seed) for one in comparison.recipes],
        column_labels=names[:columns],
    )
    return sheet, distances


def text(studio: Studio, comparison: Comparison) -> dict[str, str]:
    """The text chunk of the sheet's PNG: what makes it again, both networks' full names and shas."""
    left, right = (studio.network(one.checkpoint) for one in comparison.pairs(studio.check)[0])
    told: dict[str, Any] = {
        "verb": "compare",
        "recipes": [one.to_dict() for one in comparison.recipes],
        "checkpoint": left.name,
        "sha": left.sha,
        "with": right.name,
        "with_sha": right.sha,
        "precisions": list(comparison.precisions),
        "amplify": comparison.amplify,
        "signed": comparison.signed,
    }
    return {TEXT_KEY: json.dumps(told)}


def _written(precision: str) -> str:
    """What auto means for what is written."""
    return "float32" if precision == "auto" else precision


def _difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """right - left as int16 [H, W] or [H, W, 3]."""
    if left.ndim != right.ndim:
        left, right = (one[..., None] if one.ndim == 2 else one for one in (left, right))
    return right.astype(np.int16) - left.astype(np.int16)


def _title(pair: Sequence[Recipe], precisions: Sequence[str]) -> str:
    words = [str(one.checkpoint) for one in pair]
    if precisions[0] != precisions[1] or words[0] == words[1]:
        words = [f"{name} in {_written(precision)}" for name, precision in zip(words, precisions, strict=True)]
    return f"A {words[0]}, B {words[1]}"


def _elsewhere(given: Given, network: Network) -> Given:
    """The fields of an entry of toward or blend, on another network."""
    values = {name: value for name, value in given if name not in ("checkpoint", "grown")}
    return tuple({**values, **_fitting(values, network)}.items())


def _fitting(values: dict[str, Any], network: Network) -> dict[str, Any]:
    """Class, cutoff, mix and steering as far as a network has them."""
    fitted = dict(values)
    if values.get("label") is not None and values["label"] >= network.classes:
        fitted["label"] = None
    if values.get("cutoff") is not None:
        fitted["cutoff"] = min(values["cutoff"], network.layers)
    if "mix" in values:
        fitted["mix"] = tuple(one for one in (_source(entry, network) for entry in values["mix"]) if one is not None)
    if "steer" in values:
        kept = (_steered(entry, network) for entry in values["steer"])
        fitted["steer"] = tuple(one for one in kept if one is not None)
    return {name: fitted[name] for name in ("label", "cutoff", "mix", "steer") if name in fitted}


def _steered(entry: Steer, network: Network) -> Steer | None:
    """A direction that the other network has, too, in the layers that it has; None where there is none."""
    known = BUILT_IN.fullmatch(entry.direction)
    if known is None or int(known[2]) >= network.w_dim or int(known[4] or 0) >= network.layers:
        return None
    if entry.layers is None:
        return entry
    left = _there(entry.layers, network)
    return None if left is None else replace(entry, layers=left)


def _there(layers: str, network: Network) -> str | None:
    """Those of the layers that a network has, as they are where it has all; None where it has none."""
    asked = parse_layers(layers)
    there = [layer for layer in asked if layer < network.layers]
    if len(there) == len(asked):
        return layers
    return ",".join(map(str, there)) or None


def _source(entry: Mix, network: Network) -> Mix | None:
    """A source of a mix in the layers that a network has; None where none of them is there."""
    label = entry.label if entry.label is not None and entry.label < network.classes else None
    if entry.layers is None:
        return replace(entry, label=label)
    there = _there(entry.layers, network)
    return None if there is None else replace(entry, layers=there, label=label)
