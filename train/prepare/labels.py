"""Classes of pictures: from the folders they lie in, or from a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from core.errors import DataError
from core.people import person, stem
from train.items import Item
from train.survey import Survey

__all__ = ["classes"]

_COLUMNS = ("label", "class", "group", "diagnosis", "dx", "target")
_MOST_BYTES = 256 * 1024**2


def classes(found: Survey, asked: str) -> tuple[tuple[str, ...], np.ndarray | None]:
    """Names of the classes and that of each item, int64: `folders`, a path of a CSV, or none. Raises DataError."""
    if not asked:
        return found.classes() if found.manifest.labels else ((), None)
    if asked == "folders":
        return found.classes()
    table, empty = _read(Path(asked))
    keys = [_key(table, item) for item in found.items]
    files = set(keys)
    persons = _persons({key: kind for key, kind in table.items() if key not in files})
    kinds = [
        persons.get(person(item.name) or "") if key is None else table[key]
        for key, item in zip(keys, found.items, strict=True)
    ]
    missing = [item.name for item, kind in zip(found.items, kinds, strict=True) if kind is None]
    if missing:
        without = f" (rows without a class, which count for nothing: {empty})" if empty else ""
        raise DataError(
            f"{asked} has no row for {len(missing)} of {len(kinds)} files, such as {missing[0]}{without}; "
            "its first column names a file, with or without folder and suffix, or a person, whose rows have to agree"
        )
    names = tuple(sorted({kind for kind in kinds if kind is not None}, key=_natural))
    number = {name: index for index, name in enumerate(names)}
    return names, np.array([number[kind] for kind in kinds if kind is not None], np.int64)


def _read(path: Path) -> tuple[dict[str, str], int]:
    """The table as name -> class, names in lower case, and how many rows have no class and are left out.

    With a header, the class is the column called label, class or the like.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is too large for a table of labels; give a CSV of names and classes")
        text = path.read_text(encoding="utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if len(row) > 1 and row[0].strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise DataError(
            f"{path} cannot be read as a table of labels; give --labels folders or a CSV in UTF-8"
        ) from wrong
    if not rows:
        raise DataError(f"{path} has no rows of a name and a class; give two columns")
    head = [cell.strip().lower() for cell in rows[0]]
    column = next((head.index(name) for name in _COLUMNS if name in head[1:]), None)
    body = rows if column is None else rows[1:]
    column = column or 1
    full = [row for row in body if len(row) > column and row[column].strip()]
    if not full:
        raise DataError(f"{path} has no rows of a name and a class; give two columns")
    return {row[0].strip().replace("\\", "/").lower(): row[column].strip() for row in full}, len(body) - len(full)


def _key(table: Mapping[str, str], item: Item) -> str | None:
    """The row that names an item or the person on it; None where none does."""
    name = PurePosixPath(item.name)
    keys: Sequence[str | None] = (item.name, name.name, stem(item.name), person(item.name))
    return next((key.lower() for key in keys if key is not None and key.lower() in table), None)


def _persons(table: Mapping[str, str]) -> dict[str, str]:
    """Person -> class of rows that name no file, such as OAS1_0001_MR1, where all rows of the person agree."""
    kinds: dict[str, set[str]] = {}
    for key, kind in table.items():
        if (who := person(key)) is not None:
            kinds.setdefault(who, set()).add(kind)
    return {who: next(iter(said)) for who, said in kinds.items() if len(said) == 1}


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers by their value, before words."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
