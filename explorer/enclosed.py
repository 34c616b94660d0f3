"""Points and directions enclosed in a PNG beside its recipe, which names them: so it says its picture on any server.

The text chunk `styloscope-kept` is JSON: {"points": {NAME: FILE}, "directions": {NAME: FILE}}, each FILE the bytes of
the point's or direction's own file in base64. What a point was made from is not told: a PNG is for everybody.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from core.errors import CheckpointError
from explorer import kept
from explorer.kept import Direction, Kind, Point
from explorer.networks import Network

__all__ = ["KEPT_KEY", "enclose", "unpack"]

KEPT_KEY = "styloscope-kept"
MOST_BYTES = 1 << 19  # of all files together: noise maps of 224 x 192 fit
_KEYS: dict[Kind, str] = {"points": "point", "directions": "direction"}  # of a recipe, where the names stand
_TOLD = ("network", "sha", "made", "space", "method", "layers", "value", "unit", "score")


def enclose(found: Iterable[Point | Direction]) -> str | None:
    """The text of the chunk; None where there is nothing to enclose. What is too large for it stays out."""
    files: dict[Kind, dict[str, str]] = {}
    room = MOST_BYTES
    for one in found:
        kind: Kind = "directions" if isinstance(one, Direction) else "points"
        about = {key: one.about[key] for key in _TOLD if key in one.about}
        data = kept.file_bytes(replace(one, about=about))
        if one.name in files.get(kind, {}) or len(data) > room:
            continue
        room -= len(data)
        files.setdefault(kind, {})[one.name] = base64.b64encode(data).decode("ascii")
    return json.dumps(files) if files else None


def unpack(recipe: Mapping[str, Any], told: object, network: Network) -> tuple[dict[str, Any], list[str]]:
    """Keep what a recipe names and `told` encloses beside `network`, where that does not have it yet; both are JSON.

    What is there under its name and is the same stays as it is; where something else has the name, it gets a free one.
    Returns the recipe with the names that they have here, and the names of what was kept. Nothing is kept where a part
    is wrong. Raises CheckpointError, SettingError and OutputError.
    """
    found = [_read(kind, name, file, network) for kind, name, file in _files(told) if name in _named(recipe, kind)]
    names: dict[tuple[Kind, str], str] = {}
    new = []
    for kind, one in found:
        here = _there(network, kind, one)
        if here is None:
            here = _free(network, kind, one.name)
            kept.keep(network, replace(one, name=here))
            new.append(here)
        names[kind, one.name] = here
    return _renamed(recipe, names), new


def _files(told: object) -> list[tuple[Kind, str, bytes]]:
    """What is enclosed, from its JSON."""
    damaged = CheckpointError("what this picture encloses beside its recipe is damaged; save the picture again")
    if not isinstance(told, dict):
        raise damaged
    found: list[tuple[Kind, str, bytes]] = []
    for kind in kept.KINDS:
        files = told.get(kind, {})
        if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
            raise damaged
        try:
            found += [(kind, name, base64.b64decode(file, validate=True)) for name, file in files.items()]
        except ValueError as wrong:
            raise damaged from wrong
    return found


def _read(kind: Kind, name: str, data: bytes, network: Network) -> tuple[Kind, Point | Direction]:
    read = kept.direction_from if kind == "directions" else kept.point_from
    return kind, replace(read(data, network, name=name), name=kept.check_name(name, kind))


def _there(network: Network, kind: Kind, one: Point | Direction) -> str | None:
    """The name under which the very same is kept already: its own, or one that `unpack` gave it before."""
    for name in _candidates(network, kind, one.name):
        try:
            other = kept.read_direction(network, name) if kind == "directions" else kept.read_point(network, name)
        except CheckpointError:
            continue
        if _same(one, other):
            return name
    return None


def _candidates(network: Network, kind: Kind, name: str) -> list[str]:
    """The names, of those that are kept, which `_free` may have given."""
    before = _numbered(name, kind)
    own = [one for one in kept.names(network, kind) if one.startswith(before) and one[len(before) :].isdecimal()]
    return [*([name] if kept.find(network, kind, name) else []), *own]


def _numbered(name: str, kind: Kind) -> str:
    """What a number is put behind, for a name that is free and that may be one."""
    stem = name[:70].rstrip(". ")
    while len(stem.encode("utf-8", "replace")) > 180:
        stem = stem[:-1]
    # `sefa-2` is a direction that every network has.
    return f"{stem}." if kind == "directions" and kept.BUILT_IN.fullmatch(f"{stem}-2") else f"{stem}-"


def _same(one: Point | Direction, other: Point | Direction) -> bool:
    if isinstance(one, Direction) and isinstance(other, Direction):
        return one.sd == other.sd and np.array_equal(one.vector, other.vector)
    if isinstance(one, Point) and isinstance(other, Point):
        maps, others = one.noise or (), other.noise or ()
        alike = len(maps) == len(others) and all(map(np.array_equal, maps, others))
        return alike and np.array_equal(one.ws, other.ws)
    return False


def _free(network: Network, kind: Kind, name: str) -> str:
    """The name, numbered where something else has it."""
    taken = {one.casefold() for one in kept.names(network, kind)}
    numbered = (name if number == 1 else f"{_numbered(name, kind)}{number}" for number in range(1, kept.MOST_KEPT + 2))
    return next(one for one in numbered if one.casefold() not in taken)


def _named(recipe: Mapping[str, Any], kind: Kind) -> set[str]:
    """The names that a recipe says, at any depth."""
    found: set[str] = set()

    def note(key: str, name: Any) -> Any:
        if key == _KEYS[kind] and isinstance(name, str):
            found.add(name)
        return name

    _changed(recipe, note)
    return found


def _renamed(recipe: Mapping[str, Any], names: Mapping[tuple[Kind, str], str]) -> dict[str, Any]:
    given = {(_KEYS[kind], old): new for (kind, old), new in names.items()}
    return _changed(recipe, lambda key, value: given.get((key, value), value) if isinstance(value, str) else value)


def _changed(value: Any, change: Any, key: str = "") -> Any:
    """A JSON value with `change(key, value)` in the place of everything that is no list or object."""
    if isinstance(value, Mapping):
        return {name: _changed(inner, change, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_changed(inner, change, key) for inner in value]
    return change(key, value)
