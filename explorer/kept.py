"""Points and directions that a person has kept, each a small file in a folder beside its network.

`X/NAME.safetensors` has `X/NAME.points/POINT.safetensors` and `X/NAME.directions/DIRECTION.safetensors`; where nothing
can be written there, the user's cache folder has them. A name that becomes a path has no separator in it and begins
with a letter or a digit, so it stays in there. Nothing here is cached: a file that somebody changes counts at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np

from core.arrays import arrays_to_bytes, read_arrays, read_facts
from core.errors import CheckpointError, OutputError, SettingError
from core.files import cache_folder, is_device, writing
from explorer.networks import Network
from explorer.schema import NAME

__all__ = [
    "BUILT_IN",
    "KINDS",
    "Direction",
    "Kind",
    "Point",
    "check_free",
    "check_name",
    "direction_from",
    "entries",
    "file_bytes",
    "find",
    "forget",
    "keep",
    "names",
    "path_of",
    "point_from",
    "read_direction",
    "read_point",
    "rename",
    "stamps",
]

Kind = Literal["points", "directions"]
KINDS: tuple[Kind, ...] = ("points", "directions")
MOST_KEPT = 5000  # of a kind beside one network
SUFFIX = ".safetensors"
# Directions that every network has; explorer/directions.py works them out.
BUILT_IN = re.compile(r"(sefa|pca)-(\d{1,4})(?:\.(\d{1,2})-(\d{1,2}))?", re.ASCII)
_CHANGING = RLock()  # of two people who want a name at once the second is told that it is taken
_MOST_NAME = 200  # bytes, so that the file's name fits everywhere


@dataclass(frozen=True)
class Point:
    """Finished styles, as found: ws [num_ws, w_dim]; noise maps [h, w] in place of the network's own, where it has any.

    `about` says network, sha, made (how), source (of what) and what else its maker found worth telling.
    """

    name: str
    ws: np.ndarray = field(repr=False)
    noise: tuple[np.ndarray, ...] | None = field(default=None, repr=False)
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Direction:
    """A unit vector [w_dim] in W, and the standard deviation of w along it: what an amount of 1 goes.

    `about` says network, sha, method, layers, and the value, unit and score of its method.
    """

    name: str
    vector: np.ndarray = field(repr=False)
    sd: float
    about: Mapping[str, Any] = field(default_factory=dict)


def check_name(name: object, kind: Kind = "points") -> str:
    """Return a name that a point or direction may be kept under. Raises SettingError."""
    what = kind.removesuffix("s")
    if not isinstance(name, str) or not re.fullmatch(NAME["pattern"], name):
        raise SettingError(what, name, NAME["description"])
    if len(name.encode("utf-8", "replace")) > _MOST_NAME or name.endswith((".", " ")) or is_device(name):
        raise SettingError(what, name, "a shorter name that a file can have on every system")
    if kind == "directions" and BUILT_IN.fullmatch(name):
        raise SettingError(what, name, "another name, since every network has a direction of that name already")
    return name


def names(network: Network, kind: Kind) -> list[str]:
    """The names of all that is kept beside a network, in order."""
    return sorted(_files(network, kind))


def stamps(network: Network, kind: Kind) -> tuple[tuple[str, int], ...]:
    """(name, when its file was last written in ns) of all that is kept, in order; 0 for a file that has just gone."""
    found = []
    for name, path in sorted(_files(network, kind).items()):
        try:
            found.append((name, path.stat().st_mtime_ns))
        except OSError:
            found.append((name, 0))
    return tuple(found)


def entries(network: Network, kind: Kind) -> list[dict[str, Any]]:
    """What the headers of all that is kept say, as JSON values with `name`; files that cannot be read are left out."""
    found = []
    for name, path in sorted(_files(network, kind).items()):
        try:
            facts = read_facts(path, kind=kind.removesuffix("s"))
        except CheckpointError:
            continue
        found.append({**{key: value for key, value in facts.items() if key not in ("format", "kind")}, "name": name})
    return found


def path_of(network: Network, kind: Kind, name: str) -> Path:
    """The file of that name. Raises SettingError that says what there is."""
    found = find(network, kind, name)
    if found is None:
        what, files = kind.removesuffix("s"), names(network, kind)
        some = ", ".join(files[:8]) + (", ..." if len(files) > 8 else "")
        known = f"; there is {some}" if files else ""
        raise SettingError(what, name, f"no {what} of that name is kept beside {network.name}{known}")
    return found


def find(network: Network, kind: Kind, name: str) -> Path | None:
    """The file of that name, None where there is none: two looks at the disk, however many are kept."""
    if not re.fullmatch(NAME["pattern"], name):  # without it a name could lead out of the folder
        return None
    places = (folder / f"{name}{SUFFIX}" for folder in _folders(network, kind))
    return next((path for path in places if path.is_file()), None)


def read_point(network: Network, name: str) -> Point:
    """A point that was kept. Raises SettingError where there is none, CheckpointError where it does not fit."""
    return replace(point_from(path_of(network, "points", name), network), name=name)


def read_direction(network: Network, name: str) -> Direction:
    """A direction that was kept. Raises SettingError where there is none, CheckpointError where it does not fit."""
    return replace(direction_from(path_of(network, "directions", name), network), name=name)


def point_from(source: Path | bytes, network: Network, *, name: str | None = None) -> Point:
    """A point out of a file, checked against the network. Raises CheckpointError."""
    arrays, facts = read_arrays(source, kind="point", name=name)
    shown = name or (str(source) if isinstance(source, Path) else "this point")
    ws = arrays.pop("ws", None)
    wanted = (network.layers, network.w_dim)
    if ws is None or ws.shape != wanted:
        raise CheckpointError(
            f"{shown} is a point of another network: {network.name} has {wanted[0]} layers of {wanted[1]}"
        )
    maps = [arrays.pop(f"noise.{layer}", None) for layer in range(len(arrays))]
    if arrays or any(one is None or one.ndim != 2 for one in maps):
        raise CheckpointError(f"{shown} is damaged; copy it again, or make the point once more")
    noise = tuple(one for one in maps if one is not None)
    return Point(_said_name(facts, source), ws, noise or None, _facts(facts))


def direction_from(source: Path | bytes, network: Network, *, name: str | None = None) -> Direction:
    """A direction out of a file, checked against the network. Raises CheckpointError."""
    arrays, facts = read_arrays(source, kind="direction", name=name)
    shown = name or (str(source) if isinstance(source, Path) else "this direction")
    vector, sd = arrays.get("direction"), facts.pop("sd", None)
    if vector is None or vector.shape != (network.w_dim,):
        raise CheckpointError(
            f"{shown} is a direction of another network: a w of {network.name} has {network.w_dim} numbers"
        )
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if len(arrays) != 1 or abs(length - 1) > 1e-3 or type(sd) not in (int, float) or not 0 < sd < 1e6:
        raise CheckpointError(f"{shown} is damaged; copy it again, or make the direction once more")
    return Direction(_said_name(facts, source), vector, float(sd), _facts(facts))


def file_bytes(one: Point | Direction) -> bytes:
    """The file of a point or a direction, to be kept or shared."""
    facts = {key: value for key, value in one.about.items() if key not in ("format", "kind", "name")}
    if isinstance(one, Direction):
        about = {**facts, "kind": "direction", "name": one.name, "sd": one.sd}
        return arrays_to_bytes({"direction": one.vector}, about)
    maps = {f"noise.{layer}": array for layer, array in enumerate(one.noise or ())}
    return arrays_to_bytes({"ws": one.ws, **maps}, {**facts, "kind": "point", "name": one.name})


def keep(network: Network, one: Point | Direction, *, replace: bool = False) -> Path:
    """Write a point or direction beside its network under its name, and return the file.

    Raises SettingError for a name that cannot be, or that is taken and may not be replaced; OutputError.
    """
    kind: Kind = "directions" if isinstance(one, Direction) else "points"
    check_name(one.name, kind)
    data = file_bytes(one)
    with _CHANGING:
        files = _files(network, kind)
        taken = _spelt(files, one.name)
        if taken is not None and not replace:
            raise _taken(kind, one.name)
        if taken is None and len(files) >= MOST_KEPT:
            raise SettingError(kind.removesuffix("s"), one.name, f"{MOST_KEPT} are kept already; remove some first")
        if taken is None:
            return _write(network, kind, one.name, data)
        # Where the old one lies: elsewhere the new one would be hidden behind it.
        path = files[taken].with_name(f"{one.name}{SUFFIX}")
        _respell(files[taken], path)
        try:
            with writing(path) as temporary:
                temporary.write_bytes(data)
        except OutputError:
            with suppress(OutputError):
                _respell(path, files[taken])
            raise
        return path


def check_free(network: Network, kind: Kind, name: str) -> None:
    """Raise SettingError where something is kept under that name, in any case of its letters."""
    if _spelt(_files(network, kind), name) is not None:
        raise _taken(kind, name)


def forget(network: Network, kind: Kind, name: str) -> None:
    """Remove what is kept under that name. Raises SettingError where there is nothing, OutputError."""
    path = path_of(network, kind, name)
    try:
        path.unlink()
    except OSError as wrong:
        raise OutputError(f"{path} could not be removed ({wrong.strerror or wrong}); change its permissions") from wrong


def rename(network: Network, kind: Kind, old: str, new: str) -> None:
    """Give what is kept another name. Raises SettingError for names that cannot be, OutputError."""
    one = read_direction(network, old) if kind == "directions" else read_point(network, old)
    check_name(new, kind)
    if new == old:
        return
    with _CHANGING:
        if new.casefold() != old.casefold():
            keep(network, replace(one, name=new))
            try:
                forget(network, kind, old)
            except OutputError:
                forget(network, kind, new)
                raise
            return
        path = path_of(network, kind, old)
        if new in names(network, kind):
            raise _taken(kind, new)
        _respell(path, path.with_name(f"{new}{SUFFIX}"))


def _respell(path: Path, new: Path) -> None:
    """Rename a file where only the case of its letters changes, which file systems that ignore case do, too."""
    if new.name == path.name:
        return
    try:
        path.rename(new)
    except OSError as wrong:
        reason = wrong.strerror or wrong
        raise OutputError(f"{path} could not be renamed ({reason}); change its permissions") from wrong


def _spelt(files: Mapping[str, Path], name: str) -> str | None:
    """The name as it is kept: that very one, else one that differs in the case of its letters alone."""
    if name in files:
        return name
    return next((one for one in files if one.casefold() == name.casefold()), None)


def _taken(kind: Kind, name: str) -> SettingError:
    return SettingError(kind.removesuffix("s"), name, "that name is taken; choose another or remove the old one")


def _write(network: Network, kind: Kind, name: str, data: bytes) -> Path:
    places = _folders(network, kind)
    for index, folder in enumerate(places):
        path = folder / f"{name}{SUFFIX}"
        try:
            if index:
                _private(folder)
            with writing(path) as temporary:
                temporary.write_bytes(data)
            return path
        except OutputError:
            if index == len(places) - 1:
                raise
    raise AssertionError("there is always a place")


def _private(folder: Path) -> None:
    """Make a folder that nobody else can look into: what is kept may be of a person's picture."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as wrong:
        raise OutputError(
            f"the folder {folder} cannot be made ({wrong.strerror or wrong}); name another place"
        ) from wrong


def _folders(network: Network, kind: Kind) -> tuple[Path, Path]:
    """Where they lie: beside the network, and where that cannot be written in the user's cache folder."""
    return network.path.with_name(f"{network.path.stem}.{kind}"), cache_folder() / f"{network.sha}.{kind}"


def _files(network: Network, kind: Kind) -> dict[str, Path]:
    """Name -> file of all that is kept, those beside the network first."""
    found: dict[str, Path] = {}
    for folder in _folders(network, kind):
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            continue
        for path in inside[: 2 * MOST_KEPT]:
            if path.suffix == SUFFIX and re.fullmatch(NAME["pattern"], path.stem):
                found.setdefault(path.stem, path)
    return found


def _said_name(facts: Mapping[str, Any], source: Path | bytes) -> str:
    """The name a file gives itself, its own where that is none."""
    said = facts.get("name")
    if isinstance(said, str) and re.fullmatch(NAME["pattern"], said):
        return said
    return source.stem if isinstance(source, Path) else "opened"


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if key not in ("format", "kind", "name")}
