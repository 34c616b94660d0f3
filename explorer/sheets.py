"""Many recipes on one sheet: the grid, the matrix of mixed styles, the four corners. Each cell is the exact picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core import latents, pictures
from core.errors import SettingError
from explorer.recipe import Mix, Recipe, blended
from explorer.studio import TEXT_KEY, Studio

__all__ = [
    "CELLS_A_SIDE",
    "MOST_CELLS",
    "MOST_STEPS",
    "MOST_TITLE",
    "SHARE",
    "Progress",
    "Sheet",
    "bilinear",
    "check_title",
    "draw",
    "grid",
    "matrix",
    "text",
]

Progress = Callable[[int, int], None]

MOST_CELLS = latents.MOST_SEEDS
MOST_TITLE = 200  # characters
MOST_STEPS = math.isqrt(MOST_CELLS)
SHARE = "a number from 0 to 1"
CELLS_A_SIDE = f"1 to {MOST_STEPS} cells a side"


@dataclass(frozen=True)
class Sheet:
    """A sheet before it is drawn: its cells row by row, and in `about` what it takes to make it again."""

    cells: tuple[Recipe, ...]
    columns: int
    about: dict[str, Any]
    title: str | None = None
    row_labels: tuple[str, ...] = field(default=())
    column_labels: tuple[str, ...] = field(default=())


def grid(base: Recipe, seeds: Sequence[int], *, columns: int | None = None, title: str | None = None) -> Sheet:
    """The seeds in rows, everything else as `base` says; as square as it goes where `columns` is None.

    Raises SettingError for more than MOST_CELLS seeds, for columns below 1 and for a title of more than MOST_TITLE.
    """
    _cells("seeds", len(seeds))
    if columns is not None and columns < 1:
        raise SettingError("columns", columns, "1 or more")
    columns = min(columns or math.ceil(math.sqrt(len(seeds))), len(seeds))
    cells = tuple(base.with_seed(seed) for seed in seeds)
    about = {"verb": "grid", "recipe": base.to_dict(), "seeds": list(seeds), "columns": columns}
    return Sheet(cells, columns, _titled(about, title), title=title)


def matrix(
    base: Recipe,
    *,
    rows: Sequence[int],
    columns: Sequence[int],
    layers: str,
    amount: float = 1.0,
    column_label: int | None = None,
    title: str | None = None,
) -> Sheet:
    """A row gives the picture, a column the styles of `layers`, labelled on the margins. Raises SettingError.

    Rows are of the class of `base`, and so are columns unless `column_label` is given.
    """
    _cells("rows x columns", len(rows) * len(columns))
    latents.parse_layers(layers)
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1:
        raise SettingError("amount", amount, SHARE)
    if column_label is not None and (type(column_label) is not int or column_label < 0):
        raise SettingError("column_label", column_label, "a whole number, 0 or more")
    cells = tuple(
        replace(one, mix=(*one.mix, Mix(seed=column, layers=layers, amount=amount, label=column_label)))
        for one in (base.with_seed(row) for row in rows)
        for column in columns
    )
    about: dict[str, Any] = {
        "verb": "mix",
        "recipe": base.to_dict(),
        "rows": list(rows),
        "columns": list(columns),
        "layers": layers,
    }
    if amount != 1:
        about["amount"] = amount
    if column_label is not None:
        about["column_label"] = column_label
    names = (tuple(map(str, rows)), tuple(map(str, columns)))
    return Sheet(cells, len(columns), _titled(about, title), title=title, row_labels=names[0], column_labels=names[1])


def bilinear(corners: Sequence[Recipe], *, steps: int, title: str | None = None) -> Sheet:
    """steps x steps cells between four pictures, weights linear in w: top left, top right, bottom left, bottom right.

    The corners are the four pictures themselves. Raises SettingError for other than 4 of them or steps out of range.
    """
    if len(corners) != 4:
        raise SettingError("corners", f"{len(corners)} pictures", "a sheet has four corners")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise SettingError("steps", steps, CELLS_A_SIDE)
    cells = []
    for weights in latents.corners(steps):
        counting = [(weight, corner) for weight, corner in zip(weights, corners, strict=True) if weight != 0]
        cells.append(counting[0][1] if len(counting) == 1 else blended(counting))
    about = {"verb": "bilinear", "recipes": [corner.to_dict() for corner in corners], "steps": steps}
    return Sheet(tuple(cells), steps, _titled(about, title), title=title)


def draw(studio: Studio, sheet: Sheet, *, progress: Progress | None = None) -> np.ndarray:
    """The sheet as uint8 [H, W] or [H, W, 3]. Raises SettingError before anything is loaded where a cell cannot be."""
    for cell in sheet.cells:
        network = studio.check(cell)
    if len(sheet.cells) * network.pixels(sheet.cells[0].grown) > pictures.PIXEL_LIMIT:
        limit = pictures.PIXEL_LIMIT // 10**6
        raise SettingError("number", f"{len(sheet.cells)} pictures", f"a sheet has at most {limit} million pixels")
    drawn = []
    for index, cell in enumerate(sheet.cells):
        drawn.append(studio.exact(cell))
        if progress:
            progress(index + 1, len(sheet.cells))
    return pictures.grid(
        drawn,
        columns=sheet.columns,
        title=sheet.title,
        row_labels=sheet.row_labels or None,
        column_labels=sheet.column_labels or None,
    )


def text(studio: Studio, sheet: Sheet) -> dict[str, str]:
    """The text chunk of a sheet's PNG: what makes it again, the network's full name and sha."""
    network = studio.network(sheet.cells[0].checkpoint)
    told = {**sheet.about, "checkpoint": network.name, "sha": network.sha}
    return {TEXT_KEY: json.dumps(told)}


def check_title(title: object) -> None:
    """Raise SettingError for a title that is neither None nor one line of at most MOST_TITLE characters."""
    if title is None or (isinstance(title, str) and len(title) <= MOST_TITLE and title.isprintable()):
        return
    raise SettingError("title", title, f"one line of at most {MOST_TITLE} characters")


def _cells(name: str, count: int) -> None:
    if not 1 <= count <= MOST_CELLS:
        raise SettingError(name, count, f"a sheet has 1 to {MOST_CELLS} pictures")


def _titled(about: dict[str, Any], title: str | None) -> dict[str, Any]:
    check_title(title)
    return about if title is None else {**about, "title": title}
