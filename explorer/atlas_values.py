"""What the dots of a map can be coloured by: a number for each seed, or one of a few words.

Seed; distance from the average (psi); class; the amount of a direction; brightness of the drawn pictures; a column of
a CSV file that has a column `seed`.
"""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import SettingError
from core.latents import SEED_LIMIT
from core.numbers import natural
from explorer import kept
from explorer.atlas import Atlas
from explorer.atlas_sheets import Sheets
from explorer.networks import Network
from explorer.studio import Studio

__all__ = ["COLORS", "Values", "check", "of_table", "read_table", "values"]

COLORS = ("seed", "psi", "class", "brightness")
MOST_BYTES = 16 << 20  # of a CSV file
MOST_COLUMNS = 500
MOST_NAMES = 24  # different words in a column, above which it is no class
_OUTER = (1, 99)  # per cent: where the colours end, so that a few strange seeds do not take them all
_ALLOWED = "seed, psi, class, brightness, the name of a direction, or FILE.csv:COLUMN"


@dataclass(frozen=True)
class Values:
    """One value a seed: float64 [N], nan where there is none; with `names` each is the index of a name."""

    name: str
    words: str
    values: np.ndarray = field(repr=False)
    names: tuple[str, ...] = ()

    @property
    def reach(self) -> tuple[float, float]:
        """The values that the ends of the colours stand for."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return 0.0, 1.0
        low, high = (float(one) for one in np.percentile(known, _OUTER))
        return (low, high) if high > low else (float(known.min()), float(known.max()))

    def told(self, seed: int) -> str:
        """A value as a table has it; empty where there is none."""
        value = self.values[seed]
        if not math.isfinite(value):
            return ""
        return self.names[int(value)] if self.names else f"{value:.6g}"


def check(network: Network, color: object, *, by_class: bool) -> None:
    """Raise SettingError for a colour that a map of this network cannot have, before anything is loaded."""
    if color == "class" and not by_class:
        raise SettingError("color", color, "only of a map of all classes")
    known = isinstance(color, str) and (
        color in COLORS or kept.BUILT_IN.fullmatch(color) is not None or color in kept.names(network, "directions")
    )
    if not known:
        raise SettingError("color", color, _ALLOWED)


def values(studio: Studio, atlas: Atlas, name: str | None, color: str) -> Values:
    """The values of a map's samples by a word of COLORS or the name of a direction, built-in or kept.

    Brightness is known of the seeds whose pictures have been drawn. Raises SettingError for what there is not.
    """
    if color == "seed":
        return Values("seed", "seed", np.arange(atlas.count, dtype=np.float64))
    if color == "psi":
        away = np.linalg.norm(atlas.samples.astype(np.float64) - atlas.w_avg, axis=1) / atlas.spread
        return Values("psi", "distance from the average, in standard deviations of w", away)
    if color == "class":
        if not atlas.classes:
            raise SettingError("color", color, "only of a map of all classes")
        labels = np.arange(atlas.count) % atlas.classes
        return Values("class", "class", labels.astype(np.float64), tuple(f"class {k}" for k in range(atlas.classes)))
    if color == "brightness":
        known = Sheets.of(studio, atlas, name).brightness(atlas.count)
        return Values("brightness", "mean gray level of the picture", known)
    return _along(studio, atlas, name, color)


def _along(studio: Studio, atlas: Atlas, name: str | None, color: str) -> Values:
    try:
        direction = studio.open(name).direction(color)
    except SettingError as wrong:
        raise SettingError("color", color, _ALLOWED) from wrong
    away = (atlas.samples.astype(np.float64) - atlas.w_avg) @ np.asarray(direction.vector, np.float64)
    return Values(color, f"{color}, in standard deviations from the average", away / (direction.sd or 1.0))


def read_table(path: Path, column: str, count: int) -> Values:
    """The values of seeds 0 to count - 1 in a column of a CSV file. Raises SettingError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SettingError("color", path, f"a CSV file of at most {MOST_BYTES >> 20} MB")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as wrong:
        reason = getattr(wrong, "strerror", None) or str(wrong)
        raise SettingError("color", path, f"that file cannot be read ({reason})") from wrong
    return of_table(text, column, count)


def of_table(text: str, column: str, count: int) -> Values:
    """The same of the text of a CSV file: its first line names the columns, one of them `seed`.

    A column of numbers is a scale, one of at most MOST_NAMES different words is classes; empty cells have no value, and
    seeds that the map does not have are left out. Raises SettingError.
    """
    rows = csv.reader(io.StringIO(text))
    try:
        head = [cell.strip() for cell in next(rows, [])][:MOST_COLUMNS]
        if "seed" not in head or column not in head:
            known = ", ".join(repr(one[:30]) for one in head[:12] if one != "seed")
            raise SettingError("color", column[:60], f"a CSV with a column seed and one of this name; it has {known}")
        seed_at, at = head.index("seed"), head.index(column)
        cells = {}
        for row in rows:
            if len(row) > max(seed_at, at) and row[at].strip():
                seed = row[seed_at].strip()
                number = natural(seed, most=SEED_LIMIT - 1)
                if number is None:
                    raise SettingError("color", seed[:60], f"whole numbers as seeds (line {rows.line_num} of the CSV)")
                if number < count:
                    cells[number] = row[at].strip()
    except csv.Error as wrong:
        raise SettingError("color", column[:60], f"a CSV file ({wrong}, line {rows.line_num})") from wrong
    return _of_cells(column, cells, count)


def _of_cells(column: str, cells: dict[int, str], count: int) -> Values:
    found = np.full(count, np.nan)
    numbers = {seed: _number(cell) for seed, cell in cells.items()}
    if all(number is not None for number in numbers.values()):
        for seed, number in numbers.items():
            found[seed] = number
        return Values(column, column, found)
    names = sorted(set(cells.values()))
    if len(names) > MOST_NAMES:
        raise SettingError("color", column[:60], f"a column of numbers, or of at most {MOST_NAMES} different words")
    for seed, cell in cells.items():
        found[seed] = names.index(cell)
    return Values(column, column, found, tuple(name[:60] for name in names))


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e100 else None
