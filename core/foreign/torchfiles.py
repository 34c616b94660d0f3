"""The two containers of torch.save: the older one of five pickles and raw data, and the zip of today."""

from __future__ import annotations

import re
from typing import Any

from core.foreign.archive import Archive
from core.foreign.inert import STORAGES, Encoded, Named, Storage
from core.foreign.pickles import STORAGE, TORCH, Machine
from core.foreign.source import Budget, Source, Span, Window

__all__ = ["LEGACY", "read_legacy", "read_storage", "read_zip"]

_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY = re.compile(rb"\x80[\x02-\x05]\x8a\x0a" + re.escape(_MAGIC.to_bytes(10, "little")) + rb"\.")
_MOST = 1 << 40


class _Places:
    """The storages that a pickle refers to, by their keys; where they lie is filled in afterwards."""

    def __init__(self, source: Source, parts: int) -> None:
        self.source = source
        self.parts = parts  # of a persistent id
        self.found: dict[str, Storage] = {}

    def __call__(self, name: Any) -> Storage:
        """A persistent id -> the storage it means. Raises CheckpointError."""
        if type(name) is not tuple or len(name) != self.parts or name[0] != "storage":
            raise self.source.damaged("it refers to something that is no storage")
        _, kind, key, location, count, *rest = name
        known = type(kind) is Named and kind.known and kind.name in STORAGE
        if not known or type(key) is not str or type(location) is not str or not _is_count(count) or len(key) > 64:
            raise self.source.damaged("it has a storage of no known type")
        dtype = STORAGES[kind.name.split(" ")[1]]
        storage = self.found.setdefault(key, Storage(key, dtype, count))
        if (storage.dtype, storage.count) != (dtype, count):
            raise self.source.damaged("it has two storages under one key")
        return self._view(storage, rest[0]) if rest and rest[0] is not None else storage

    def _view(self, root: Storage, view: Any) -> Storage:
        """A stretch of another storage, as old files have them."""
        if type(view) is not tuple or len(view) != 3 or not _is_count(view[1]) or not _is_count(view[2]):
            raise self.source.damaged("it has a storage that views nothing")
        _, shift, count = view
        if shift + count > root.count:
            raise self.source.damaged("it has a storage that views what lies outside another")
        return Storage(root.key, root.dtype, count, shift=shift, root=root)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def read_legacy(source: Source, budget: Budget) -> Any:
    """Return the object of a file of the older format. Raises CheckpointError."""
    return _five_pickles(Window(source, 0, source.size), budget, TORCH)


def read_storage(source: Source, budget: Budget, data: Span | Encoded) -> Storage:
    """Return the storage whose own file, of the older format, lies inside another. Raises CheckpointError."""
    if isinstance(data, Encoded):
        held = source.unpack(data.text)
        storage = _five_pickles(Window(held, 0, held.size), budget, STORAGE)
    else:
        storage = _five_pickles(Window(source, data.begin, data.end), budget, STORAGE)
    if type(storage) is not Storage:
        raise source.damaged("the bytes of a storage in it hold something else")
    return storage


def _five_pickles(window: Window, budget: Budget, known: frozenset[str]) -> Any:
    """A magic number, a version, what the machine was, the object, the keys; then each storage's count and data."""
    source = window.source

    def plain() -> Any:
        return Machine(window, budget, frozenset()).load()

    places = _Places(source, parts=6)
    if plain() != _MAGIC or plain() != 1001:
        raise source.damaged("it does not begin as torch.save begins a file")
    system = plain()
    if type(system) is not dict or system.get("little_endian") is not True:
        raise source.damaged("it was written by a machine of another byte order")
    root = Machine(window, budget, known, persistent=places).load()
    keys = plain()
    if type(keys) is not list or any(type(key) is not str for key in keys) or sorted(keys) != sorted(places.found):
        raise source.damaged("its storages are not those that its tensors lie in")
    for key in keys:
        storage = places.found[key]
        if int.from_bytes(window.take(8), "little", signed=True) != storage.count:
            raise source.damaged("a storage in it is of another length than announced")
        storage.begin = window.skip(storage.count * storage.dtype.itemsize).begin
        storage.source = source
    if window.at != window.end:
        raise source.damaged("something follows behind its end")
    return root


# --- the zip ---------------------------------------------------------------------------------------------------------

_BESIDE = re.compile(r"version|byteorder|\.(?!\.)[\w./-]{1,80}")


def read_zip(source: Source, budget: Budget) -> Any:
    """Return the object of a zip that torch.save wrote. Raises CheckpointError."""
    archive = Archive(source)
    entries = archive.entries
    roots = [name.removesuffix("/data.pkl") for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1 or not 0 < len(roots[0]) <= 256:
        raise source.damaged(f"it has {len(roots)} pickles named data.pkl where torch.save writes one")
    root = f"{roots[0]}/"
    if any(name.startswith(f"{root}code/") or name == f"{root}constants.pkl" for name in entries):
        raise source.damaged("it is a TorchScript program, not a set of weights")
    inside = f"{root}data/"
    data = {name.removeprefix(inside): span for name, span in entries.items() if name.startswith(inside)}
    strange = [
        name
        for name in entries
        if name != f"{root}data.pkl"
        and not name.startswith(inside)
        and not (name.startswith(root) and _BESIDE.fullmatch(name.removeprefix(root)))
    ]
    if strange:
        shown = strange[0][:60]
        raise source.damaged(f"it holds {shown!r}, which torch.save does not write")
    order = entries.get(f"{root}byteorder")
    if order is not None and (len(order) != 6 or source.read(order.begin, 6) != b"little"):
        raise source.damaged("it was written by a machine of another byte order")
    places = _Places(source, parts=5)
    span = entries[f"{root}data.pkl"]
    window = Window(source, span.begin, span.end)
    value = Machine(window, budget, TORCH, persistent=places).load()
    if window.at != window.end:
        raise source.damaged("something follows behind its end")
    for key, storage in places.found.items():
        if key not in data or len(data[key]) != storage.count * storage.dtype.itemsize:
            raise source.damaged("its storages are not those that its tensors lie in")
        storage.begin = data[key].begin
    if not data.keys() <= places.found.keys():
        raise source.damaged("its storages are not those that its tensors lie in")
    return value
