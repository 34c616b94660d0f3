"""What the objects of a pickle become here: names, numbers, places in the file. None of them can do anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.foreign.source import Source, Text

__all__ = [
    "STORAGES",
    "Dtype",
    "Encoded",
    "Module",
    "Named",
    "Namespace",
    "Opaque",
    "Ordered",
    "Storage",
    "Stored",
    "credit_of",
    "holds_tensors",
    "plain",
    "printable",
]

# The storages of torch that may stand in a network file -> type of an element.
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MOST_AXES = 8
_MOST_CREDIT = 10_000  # characters
_MOST_SIDE = 1 << 40


@dataclass(frozen=True, slots=True)
class Named:
    """A global: two words, nothing more."""

    name: str  # module and name, a blank between
    known: bool


class Ordered(dict):
    """An OrderedDict or an EasyDict."""


class Namespace(dict):
    """An argparse.Namespace."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something made by a global that is not looked into."""

    name: str


@dataclass(frozen=True, slots=True)
class Dtype:
    """A numpy type of numbers, such as f8."""

    code: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes that stand as a text, a character each."""

    text: str | Text


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """A network or layer of a persistent NVIDIA pickle: a table of class_name, state and module_src."""

    meta: dict[Any, Any]

    @property
    def kind(self) -> str:
        """The name of its class."""
        found = self.meta.get("class_name")
        return found if isinstance(found, str) else ""

    @property
    def state(self) -> dict[Any, Any]:
        """Its attributes, tensors and parts."""
        found = self.meta.get("state")
        return found if isinstance(found, dict) else {}


@dataclass(slots=True, eq=False)
class Storage:
    """`count` elements from `shift` on of the bytes that lie at `begin`; None as long as that is not known."""

    key: str
    dtype: torch.dtype
    count: int
    begin: int | None = None
    shift: int = 0
    root: Storage | None = None  # of a view: where its elements really are
    source: Source | None = None  # where its bytes lie, if not in the file


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A tensor in the file, in elements of its storage. The geometry was checked when it was made."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @staticmethod
    def checked(source: Source, storage: Any, offset: Any, size: Any, stride: Any) -> Stored:
        """A tensor that lies whole inside its storage and is no larger. Raises CheckpointError for any other."""
        paired = type(size) is type(stride) is tuple and len(size) == len(stride) <= _MOST_AXES
        numbers = (offset, *size, *stride) if paired else (None,)
        if type(storage) is not Storage or any(type(n) is not int or not 0 <= n < _MOST_SIDE for n in numbers):
            raise source.damaged("a tensor in it has a shape that cannot be")
        count = math.prod(size)
        if max(size, default=0) > max(storage.count, 1):  # beside a side of zero any other could be
            raise source.damaged("a tensor in it has a shape that cannot be")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else -1
        # A stride of zero could make gigabytes of one number: no tensor is larger than what it lies in.
        if last >= storage.count or count > storage.count:
            raise source.damaged("a tensor in it lies outside its storage")
        return Stored(storage, offset, size, stride)

    @property
    def bytes(self) -> int:
        """How many bytes its elements are."""
        return math.prod(self.size) * self.storage.dtype.itemsize

    def read(self, source: Source) -> Tensor:
        """The tensor, contiguous, float32."""
        root = self.storage.root or self.storage
        assert root.begin is not None, "the place of every storage is known once its file is read"
        width = self.storage.dtype.itemsize
        if not math.prod(self.size):
            return torch.zeros(self.size)
        last = sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True))
        data = (root.source or source).read(root.begin + (self.storage.shift + self.offset) * width, (last + 1) * width)
        flat = torch.frombuffer(data, dtype=self.storage.dtype)
        shaped = flat.as_strided(self.size, self.stride)
        return shaped.to(torch.float32).contiguous()  # of float32 as they lie there is no second copy


def plain(value: Any, *, most: int = 300) -> Any:
    """What of a value can stand in a JSON header: numbers that are finite, short printable text, tables of these.

    At most `most` values in all: a few lists that hold one another can stand for a billion.
    """
    return _plain(value, [most], deep=4)


def _plain(value: Any, left: list[int], *, deep: int) -> Any:
    left[0] -= 1
    if type(value) is bool:
        return value
    if type(value) is int:
        return value if abs(value) < 1 << 53 else None
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is str:
        return printable(value[:200])
    if isinstance(value, dict) and deep:
        items = ((k, v) for k, v in value.items() if type(k) is str and left[0] > 0)
        return {printable(k[:200]): _plain(v, left, deep=deep - 1) for k, v in items}
    if type(value) in (list, tuple) and deep:
        return [_plain(v, left, deep=deep - 1) for v in value[: max(0, left[0])] if left[0] > 0]
    return None


def printable(text: str) -> str:
    """The text on one line, with a question mark for each character that cannot be shown."""
    return "".join(c if c.isprintable() else "?" for c in text)


def credit_of(root: Any) -> str:
    """The credit that stands in a table beside its networks, line by line; empty where there is none."""
    found = root.get("credit") if isinstance(root, dict) else None
    return "\n".join(map(printable, found[:_MOST_CREDIT].splitlines())) if type(found) is str else ""


def holds_tensors(value: Any) -> bool:
    """Whether tensors lie anywhere inside a value; every container is looked at once."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Stored | Storage | Module):
            return True
        if isinstance(one, dict | list | tuple) and id(one) not in seen:
            seen.add(id(one))
            waiting.extend(one.values() if isinstance(one, dict) else one)
    return False
