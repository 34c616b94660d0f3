"""Directions out of what a person knows: two piles of pictures, or a table of seeds or files and a value of each.

A picture counts by the w it has at truncation 1, averaged over its layers; a seed by its own w.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import SettingError
from core.latents import MOST_SEEDS, SEED_LIMIT
from core.numbers import natural
from explorer import fitting, kept
from explorer.directions import deviation
from explorer.fitting import Fit, Score
from explorer.kept import Direction
from explorer.recipe import Blend, Recipe, Toward

if TYPE_CHECKING:
    from explorer.networks import Network
    from explorer.studio import Studio

__all__ = ["LEARNED", "MOST_TABLE", "Row", "Table", "from_piles", "from_table", "read_table", "w_of"]

LEARNED = ("difference", "classifier")
MOST_TABLE = 16 << 20  # characters of a table
_KEYS = ("seed", "file", "point")
_CLASSES = ("class", "label")
_SOURCE = "a table with a column seed or file, and one or more of values"

Cancelled = Callable[[], bool]
Unknown = Callable[[str], Callable[[], np.ndarray] | None]


@dataclass(frozen=True)
class Row:
    """One picture of a table: a seed and its class, or a file."""

    seed: int | None
    file: str | None
    label: int | None


@dataclass(frozen=True)
class Table:
    """Pictures and a value of each, [n] float64. `words` are what 0 and 1 stand for, where the column has two words."""

    rows: tuple[Row, ...]
    values: np.ndarray
    column: str
    words: tuple[str, str] | None
    left_out: int  # rows without a value

    @property
    def two(self) -> bool:
        """Whether there are two values only."""
        return len(np.unique(self.values)) == 2


# --- piles -------------------------------------------------------------------------------------------------------


def from_piles(
    studio: Studio,
    checkpoint: str | None,
    *,
    name: str,
    method: str,
    a: Sequence[Recipe],
    b: Sequence[Recipe],
    cancelled: Cancelled = lambda: False,
) -> Direction:
    """The direction from the pictures of `a` to those of `b`: the difference of their means, or a classifier's normal.

    Raises SettingError for an unknown method, an empty or too long pile and piles with the same mean; Stopped.
    """
    if method not in LEARNED:
        raise SettingError("method", method, " or ".join(LEARNED))
    for field, pile in (("a", a), ("b", b)):
        if not 1 <= len(pile) <= MOST_SEEDS:
            raise SettingError(field, f"{len(pile)} pictures", f"a pile of 1 to {MOST_SEEDS} pictures")
    network = studio.network(checkpoint)
    # A picture that lies twice in a pile would be held out and seen at once.
    once = [list(dict.fromkeys(_plain(one, network.name) for one in pile)) for pile in (a, b)]
    w = w_of(studio, network.name, [*once[0], *once[1]])
    groups = np.arange(len(w)) >= len(once[0])
    samples = studio.open(network.name).samples()
    try:
        if method == "difference":
            fit = fitting.difference(w, groups, cancelled=cancelled)
        else:
            fit = fitting.classify(w, groups, fitting.Space(samples), cancelled=cancelled)
    except ValueError as wrong:
        raise SettingError("b", f"{len(b)} pictures", "pictures other than those of a") from wrong
    about = {**_about(network, method, fit), "piles": [len(pile) for pile in once]}
    return _direction(name, fit, samples, about)


def w_of(studio: Studio, checkpoint: str, recipes: Sequence[Recipe]) -> np.ndarray:
    """w [n, w_dim] float64 of pictures: their own of seeds, else the average of the layers' at truncation 1."""
    pictures = [_plain(one, checkpoint) for one in recipes]
    for one in pictures:
        studio.check(one)
    found = np.empty((len(pictures), studio.open(checkpoint).generator.w_dim))
    classes = studio.network(checkpoint).classes
    seeds = [k for k, one in enumerate(pictures) if one == Recipe(checkpoint, one.seed, label=one.label, psi=1.0)]
    if seeds:
        labels = [pictures[k].label or 0 for k in seeds] if classes else None
        found[seeds] = studio.styles(checkpoint, [pictures[k].seed for k in seeds], label=labels)
    for k in sorted(set(range(len(pictures))).difference(seeds)):
        found[k] = studio.ws(pictures[k]).double().mean(dim=0).numpy()
    return found


def _plain(recipe: Recipe, checkpoint: str) -> Recipe:
    """The recipe untruncated, of that network; noise and growth change no w."""
    toward, blend = recipe.toward, recipe.blend
    if toward is not None:
        toward = Toward(_untruncated(toward.given), toward.t, toward.space)
    return replace(
        recipe,
        checkpoint=checkpoint,
        psi=1.0,
        cutoff=None,
        noise="const",
        grown=None,
        sha=None,
        toward=toward,
        blend=tuple(Blend(_untruncated(one.given), one.weight) for one in blend),
    )


def _untruncated(given: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    return tuple((key, value) for key, value in given if key not in ("psi", "cutoff", "noise", "grown"))


# --- tables ------------------------------------------------------------------------------------------------------


def read_table(text: str, *, column: str | None = None) -> Table:
    """Read CSV (commas, semicolons or tabs) with a column `seed` or `file`, perhaps `class`, and columns of values.

    Values are numbers, or two words, of which the first in the alphabet is 0. Raises SettingError naming what is wrong.
    """
    if len(text) > MOST_TABLE:
        raise SettingError("labels", f"{len(text)} characters", f"a table of at most {MOST_TABLE >> 20} MB")
    head, lines, comma = _cells(text.removeprefix("\ufeff"))
    small = [cell.casefold() for cell in head]
    key = next((k for k, cell in enumerate(small) if cell in _KEYS), None)
    if key is None:
        raise SettingError("labels", ", ".join(head), _SOURCE)
    label = next((k for k, cell in enumerate(small) if cell in _CLASSES and cell != (column or "").casefold()), None)
    chosen = _column(head, column, {key, label})
    if label is not None and small[key] != "seed":
        label = None
    rows, cells = [], []
    for number, line in lines:
        if len(line) <= max(key, chosen) or not line[key] or not line[chosen]:
            continue
        rows.append(_row(line, small[key], key=key, label=label, number=number))
        cells.append((number, line[chosen]))
    if not fitting.FEWEST <= len(rows) <= MOST_SEEDS:
        raise SettingError("labels", f"{len(rows)} rows with a value", f"{fitting.FEWEST} to {MOST_SEEDS} of them")
    values, words = _values(cells, comma=comma, column=head[chosen])
    return Table(tuple(rows), values, head[chosen], words, len(lines) - len(rows))


def from_table(
    studio: Studio,
    checkpoint: str | None,
    table: Table,
    *,
    name: str,
    label: int | None = None,
    unknown: Unknown = lambda file: None,
    cancelled: Cancelled = lambda: False,
) -> Direction:
    """The direction along which the value of a table grows, by ridge regression; of two values a classifier's normal.

    A file is a point kept beside the network, by its name with or without suffix, or made of that file; what
    `unknown` returns for any other makes its ws [num_ws, w_dim], None to refuse it. `label` is the class of the seeds
    whose row names none. Raises SettingError, Stopped.
    """
    network = studio.network(checkpoint)
    unnamed = [row.seed is not None and row.label is None for row in table.rows]
    rows = [replace(row, label=label) if bare else row for row, bare in zip(table.rows, unnamed, strict=True)]
    table = replace(table, rows=tuple(rows))
    seeds = [k for k, row in enumerate(table.rows) if row.seed is not None]
    files = _files(studio, network, table, unknown)
    w = np.empty((len(table.rows), studio.open(network.name).generator.w_dim))
    if seeds:
        given = [Recipe(seed=table.rows[k].seed or 0, label=table.rows[k].label) for k in seeds]
        w[seeds] = w_of(studio, network.name, given)
    for k, ws in files.items():
        if cancelled():
            raise fitting.Stopped
        w[k] = np.asarray(ws(), np.float64).mean(axis=0)
    return _fitted(studio, network, table, w, name=name, cancelled=cancelled)


def _files(studio: Studio, network: Network, table: Table, unknown: Unknown) -> dict[int, Callable[[], np.ndarray]]:
    """Row -> what gives the ws of its file. Raises SettingError for files that are not known, before any is made."""
    rows = [k for k, row in enumerate(table.rows) if row.seed is None]
    points = _points(network) if rows else {}
    found: dict[int, Callable[[], np.ndarray]] = {}
    missing = []
    for k in rows:
        file = table.rows[k].file or ""
        point = next((points[spelling] for spelling in _spellings(file) if spelling in points), None)
        made = unknown(file) if point is None else None
        if made is not None:
            found[k] = made
        elif point is not None:
            found[k] = lambda point=point: studio.open(network.name).point(point).ws  # type: ignore[misc]
        else:
            missing.append(file)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        allowed = f"the name or file of a point kept beside {network.name}; project these pictures first"
        raise SettingError("file", missing[0] + more, allowed)
    return found


def _fitted(
    studio: Studio, network: Network, table: Table, w: np.ndarray, *, name: str, cancelled: Cancelled
) -> Direction:
    samples = studio.open(network.name).samples()
    space = fitting.Space(samples)
    w, which = _once(table.rows, w)
    # A picture that is named twice would be held out and seen at once.
    values = np.bincount(which, weights=table.values) / np.bincount(which)
    # A mean of equal values may be rounded: where they are all one value, it is that one.
    least, most = np.full(len(w), np.inf), np.full(len(w), -np.inf)
    np.minimum.at(least, which, table.values)
    np.maximum.at(most, which, table.values)
    agreed = least == most
    values[agreed] = least[agreed]
    facts: dict[str, Any] = {"column": table.column[:80], "rows": len(w)}
    try:
        fit = fitting.regress(w, values, space, cancelled=cancelled)
        if table.two:
            facts["r2"] = None if fit.score is None else fit.score.value
            high = values[agreed] > table.values.min()
            fit = fitting.classify(w[agreed], high, space, cancelled=cancelled)
        else:
            # What one step of the slider adds to the value, in the middle of the table.
            along = w @ fit.vector
            spread = along - along.mean()
            slope = float(spread @ (values - values.mean()) / max(float(spread @ spread), 1e-300))
            facts["per_step"] = slope * deviation(samples, fit.vector)
            if fit.score is not None and fit.score.believable:
                facts["words"] = f"{_words(fit.score)}; one step adds {facts['per_step']:.3g}"
    except ValueError as wrong:
        raise SettingError("labels", table.column, "a column whose values differ from picture to picture") from wrong
    if table.words is not None:
        facts["ends"] = list(table.words)
    return _direction(name, fit, samples, {**_about(network, "labels", fit), **facts})


def _once(rows: Sequence[Row], w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each picture of w [n, w_dim] once, in the order given, and which of them each row is."""
    known: dict[object, int] = {}
    keys = [one.tobytes() if row.seed is None else (row.seed, row.label or 0) for row, one in zip(rows, w, strict=True)]
    which = np.array([known.setdefault(key, len(known)) for key in keys])
    return w[np.unique(which, return_index=True)[1]], which


def _cells(text: str) -> tuple[list[str], list[tuple[int, list[str]]], bool]:
    """Head, numbered lines of cells, and whether a comma is in a number rather than between cells."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    try:
        found = [
            (number, [cell.strip() for cell in line])
            for number, line in enumerate(csv.reader(io.StringIO(text), delimiter=mark), start=1)
            if any(cell.strip() for cell in line)
        ]
    except csv.Error as wrong:
        raise SettingError("labels", first, f"{_SOURCE} ({wrong})") from wrong
    if not found:
        raise SettingError("labels", "nothing", _SOURCE)
    head = found[0][1]
    if len(head) > 1 and head[0].isascii() and head[0].isdigit():
        names = ["value"] if len(head) == 2 else [f"value{k}" for k in range(1, len(head))]
        return ["seed", *names], found, mark != ","
    return head, found[1:], mark != ","


def _column(head: Sequence[str], column: str | None, used: set[int | None]) -> int:
    free = [k for k, cell in enumerate(head) if k not in used and cell and cell.casefold() not in _KEYS]
    if column is not None:
        wanted = [k for k in free if head[k].casefold() == column.casefold()]
        if not wanted:
            raise SettingError("column", column, f"one of {_listed(head[k] for k in free)}")
        return wanted[0]
    if len(free) != 1:
        raise SettingError("column", "nothing", f"one of {_listed(head[k] for k in free)}" if free else _SOURCE)
    return free[0]


def _listed(names: Iterable[str]) -> str:
    """The first of many names, each cut, as a sentence has room for them."""
    few = [name[:40] for name in islice(names, 13)]
    return ", ".join(few[:12]) + (", ..." if len(few) > 12 else "")


def _row(line: list[str], kind: str, *, key: int, label: int | None, number: int) -> Row:
    if kind != "seed":
        return Row(None, line[key][:1000], None)
    seed = natural(line[key], most=SEED_LIMIT - 1)
    if seed is None:
        raise SettingError("labels", f"{line[key]} in line {number}", f"a seed from 0 to {SEED_LIMIT - 1}")
    given = line[label] if label is not None and len(line) > label else ""
    found = natural(given, most=65535) if given else None
    if given and found is None:
        raise SettingError("labels", f"{given} in line {number}", "a class of the network, by its number")
    return Row(seed, None, found)


def _values(cells: list[tuple[int, str]], *, comma: bool, column: str) -> tuple[np.ndarray, tuple[str, str] | None]:
    numbers = [_number(cell, comma=comma) for _, cell in cells]
    if all(one is not None for one in numbers):
        values = np.array(numbers, np.float64)
        if not np.ptp(values) > 0:
            raise SettingError("labels", f"{cells[0][1]} in every row", f"values of {column} that differ")
        return values, None
    words = sorted({cell for _, cell in cells})
    if len(words) == 2:
        return np.array([float(cell == words[1]) for _, cell in cells]), (words[0][:80], words[1][:80])
    number, wrong = next(cell for cell, one in zip(cells, numbers, strict=True) if one is None)
    raise SettingError("labels", f"{wrong} in line {number}", f"numbers in the column {column}, or two words")


def _number(text: str, *, comma: bool) -> float | None:
    try:
        found = float(text.replace(",", ".") if comma and text.count(",") == 1 else text)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e12 else None


def _points(network: Network) -> dict[str, str]:
    """What the points beside a network may be called in a table -> their names; a name goes before a file."""
    found: dict[str, str] = {}
    for entry in kept.entries(network, "points"):
        source = entry.get("source")
        if isinstance(source, str):
            for spelling in _spellings(source):
                found[spelling] = entry["name"]
    return found | {name: name for name in kept.names(network, "points")}


def _spellings(file: str) -> list[str]:
    """A file's name, and the same without folders and without suffix."""
    name = PurePosixPath(PureWindowsPath(file).as_posix()).name
    return [file, name, name.rsplit(".", 1)[0]]


# --- what a direction says of itself -----------------------------------------------------------------------------


def _direction(name: str, fit: Fit, samples: np.ndarray, about: dict[str, Any]) -> Direction:
    return Direction(name, fit.vector.astype(np.float32), deviation(samples, fit.vector), about)


def _about(network: Network, method: str, fit: Fit) -> dict[str, Any]:
    score = fit.score
    told: dict[str, Any] = {"network": network.name, "sha": network.sha, "method": method, "layers": None}
    if score is None:
        few = "too few pictures to hold any out, so nobody knows how good it is"
        return {**told, "value": None, "unit": None, "score": None, "words": few}
    return {
        **told,
        "value": score.value,
        "unit": score.kind,
        "score": score.value,
        "chance": score.chance,
        "p": score.p,
        "believable": score.believable,
        "words": _words(score),
    }


def _words(score: Score) -> str:
    if score.kind == "R2":
        found = f"R2 {score.value:.2f} on values it had not seen"
    else:
        found = f"{score.value:.0%} right on pictures it had not seen, where guessing gives {score.chance:.0%}"
    return found if score.believable else f"no better than chance: {found}"
