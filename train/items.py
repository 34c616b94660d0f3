"""What is read at once: a picture file, an array file, a volume, a DICOM series. Each gives one or more pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from core import pictures
from core.errors import PictureError
from core.intensity import Intensity
from core.pictures import Header
from core.sources import Folder, Zip
from train.slicing import BYTES_LIMIT, DARK, Slicing, levels, sampled

__all__ = ["ArrayItem", "Item", "OneFile", "PictureItem", "Shot", "StackItem"]


@dataclass(frozen=True)
class Shot:
    """One picture: its name in the set, and its pixels, None where it cannot be read, for the reason `wrong`.

    `plain` says that its 16-bit levels are the numbers of its file, `cut` that a window that is asked for changes it.
    """

    name: str
    pixels: np.ndarray | None
    intensity: Intensity | None = None
    wrong: str = ""
    plain: bool = False
    cut: bool = True

    @property
    def brightest(self) -> int:
        """The greatest number, at least 1, of a file of 16 bits that is taken as it is, else 0."""
        return max(1, int(self.pixels.max())) if self.pixels is not None and self.plain else 0


class Item(Protocol):
    """Pictures that are read together."""

    @property
    def name(self) -> str:
        """The file, or the first of a series."""
        ...

    @property
    def indices(self) -> tuple[int, ...]:
        """The files of the source that it is made of."""
        ...

    @property
    def count(self) -> int:
        """How many pictures it holds, at most: empty slices are found only when they are read."""
        ...

    @property
    def header(self) -> Header:
        """Shape, gray and depth of its pictures."""
        ...

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        ...

    @property
    def who(self) -> str | None:
        """The person on it, where the file itself says so."""
        ...

    def read(self) -> Iterator[Shot]:
        """Its pictures, in order. Raises one of sources.UNREADABLE."""
        ...


class OneFile:
    """An item that is one file of a source, where its name and its indices come from."""

    source: Folder | Zip
    index: int

    @property
    def name(self) -> str:
        """The file."""
        return self.source.names[self.index]

    @property
    def indices(self) -> tuple[int, ...]:
        """The one file."""
        return (self.index,)


@dataclass(frozen=True)
class PictureItem(OneFile):
    """A picture file, of which Pillow reads one picture. A window that is asked for holds for gray beyond 8 bits."""

    source: Folder | Zip
    index: int
    header: Header
    count: int = 1
    who: str | None = None
    slicing: Slicing = Slicing()

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        return math.prod(self.header.size) * 8

    def read(self) -> Iterator[Shot]:
        """The picture."""
        cut = self.header.gray and self.header.wide
        windowed = cut and self.slicing.window != "auto"
        picture = self._picture(raw=windowed)
        if windowed:
            turn, intensity = _depth(picture[None], self.slicing)
            yield Shot(self.name, turn(picture), intensity)
            return
        plain = picture.dtype == np.uint16
        if plain and cut and picture.max() <= DARK:
            # Floats are stretched; only of a dark picture it matters whether these were some.
            plain = bool(self._picture(raw=True).max() == picture.max())
        yield Shot(self.name, picture, plain=plain, cut=cut)

    def _picture(self, *, raw: bool) -> np.ndarray:
        return pictures.read(self.source.open(self.index), name=self.name, raw=raw)


@dataclass(frozen=True)
class StackItem(OneFile):
    """A TIFF with several pages of one size and kind: each is a slice. Gray of 32 bits has one window for all."""

    source: Folder | Zip
    index: int
    slicing: Slicing
    head: Header
    who: str | None = None

    @classmethod
    def at(cls, source: Folder | Zip, index: int, slicing: Slicing, head: Header) -> StackItem:
        """Of a file whose head was read. Raises PictureError for more than 2 GiB."""
        item = cls(source, index, slicing, head)
        if item.bytes > BYTES_LIMIT:
            raise PictureError(f"{item.name} declares {item.bytes} bytes, more than {BYTES_LIMIT}; save it in parts")
        return item

    @property
    def count(self) -> int:
        """How many pictures it holds."""
        return len(self._chosen)

    @property
    def header(self) -> Header:
        """Shape, gray and depth of its pictures."""
        return self.head

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        return math.prod(self.head.size) * len(self.head.pages) * 4

    @property
    def _chosen(self) -> list[int]:
        return [self.head.pages[k] for k in self.slicing.chosen(len(self.head.pages))]

    def read(self) -> Iterator[Shot]:
        """Its pages, in order."""
        names = [f"{self.name}#{page:03}" for page in self._chosen]
        pages = pictures.read_pages(self.source.open(self.index), self._chosen, name=self.name)
        if not (self.head.gray and self.head.wide):
            for name, page in zip(names, pages, strict=True):
                yield Shot(name, page, plain=page.dtype == np.uint16, cut=False)
            return
        stack = np.stack(list(pages))
        turn, intensity = _depth(stack, self.slicing)
        for name, page in zip(names, stack, strict=True):
            yield Shot(name, turn(page), intensity, plain=_is_plain(stack.dtype, self.slicing))


@dataclass(frozen=True)
class ArrayItem(OneFile):
    """A NumPy file: [h, w], [h, w, 3 or 4], a stack [n, h, w] or [n, h, w, 1, 3 or 4]. Never unpickled."""

    source: Folder | Zip
    index: int
    slicing: Slicing
    shape: tuple[int, ...]  # as a stack: (n, h, w) or (n, h, w, planes)
    dtype: np.dtype
    who: str | None = None

    @classmethod
    def at(cls, source: Folder | Zip, index: int, slicing: Slicing) -> ArrayItem:
        """Look at the head of a file. Raises PictureError."""
        name = source.names[index]
        with source.stream(index) as stream:
            shape, _, dtype = _head(stream, name=name)
            if dtype.hasobject or dtype.kind not in "buif":
                raise PictureError(f"{name} holds no plain numbers ({str(dtype)[:40]}); save whole numbers or floats")
            size = math.prod(shape) * dtype.itemsize
            if size > BYTES_LIMIT:
                raise PictureError(f"{name} declares {size} bytes, more than {BYTES_LIMIT}; save it in parts")
            if source.length(index) - stream.tell() < size:
                raise PictureError(f"{name} is cut short: {size} bytes of numbers are declared; copy it again")
        return cls(source, index, slicing, _stack(shape, name=name), dtype)

    @property
    def count(self) -> int:
        """How many pictures it holds."""
        return len(self.slicing.chosen(self.shape[0]))

    @property
    def header(self) -> Header:
        """Shape, gray and depth of its pictures."""
        gray = len(self.shape) == 3 or self.shape[3] == 1
        wide = self.slicing.window != "auto" or self.dtype not in (np.uint8, np.bool_)
        return Header((self.shape[1], self.shape[2]), gray=gray, wide=wide)

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Iterator[Shot]:
        """Its pictures; numbers other than 8 and 16 bits through the window, 0..1 and 0..255 as they are usual."""
        where = self.source.open(self.index) if isinstance(self.source, Folder) else None
        if isinstance(where, Path):
            stack = np.load(where, mmap_mode="r", allow_pickle=False).reshape(self.shape)
        else:
            with self.source.stream(self.index) as stream:
                stack = np.load(stream, allow_pickle=False).reshape(self.shape)
        turn, intensity = _depth(stack, self.slicing)
        for k in self.slicing.chosen(len(stack)):
            name = f"{self.name}#{k:03}" if len(stack) > 1 else self.name
            picture = _planes(turn(np.ascontiguousarray(stack[k])))
            yield Shot(name, picture, intensity, plain=_is_plain(self.dtype, self.slicing))


def _is_plain(dtype: np.dtype, slicing: Slicing) -> bool:
    """Whether numbers of this kind are taken as levels of 16 bits as they are."""
    return slicing.window == "auto" and dtype.kind == "u" and dtype.itemsize == 2


def _depth(stack: np.ndarray, slicing: Slicing) -> tuple[Callable[[np.ndarray], np.ndarray], Intensity | None]:
    """What makes levels of a picture of a stack of any numbers, and what they stand for."""
    if slicing.window == "auto":
        if stack.dtype == np.bool_:
            return (lambda picture: picture.astype(np.uint8) * 255), None
        if stack.dtype.kind == "u" and stack.dtype.itemsize <= 2:  # in either order of bytes
            return (lambda picture: picture.astype(stack.dtype.newbyteorder("="))), None
        values = sampled(stack)
        if stack.dtype.kind == "f" and values.size and values.min() >= 0 and values.max() <= 255:
            top = 1.0 if values.max() <= pictures.UNIT_LIMIT else 255.0
            return (lambda picture: levels(picture, 0.0, top)), None
    low, high = slicing.limits(sampled(stack))
    intensity = Intensity.between(low, high) if high > low else None
    return (lambda picture: levels(picture, low, high)), intensity


def _head(stream: BinaryIO, *, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether Fortran's order, and kind of numbers of a NumPy file."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        return readers[np.lib.format.read_magic(stream)](stream)
    except Exception as wrong:  # what a damaged head makes NumPy's parser raise is not said anywhere
        raise PictureError(f"{name} is not a NumPy file of plain numbers; save it with numpy.save") from wrong


def _stack(shape: tuple[int, ...], *, name: str) -> tuple[int, ...]:
    planes = len(shape) >= 3 and shape[-1] in (1, 3, 4)
    if min(shape, default=0) < 1 or len(shape) - planes not in (2, 3):
        shown = " x ".join(map(str, shape)) or "nothing"
        raise PictureError(f"{name} holds an array of {shown}; save [height, width] or [count, height, width]")
    stack = shape if len(shape) - planes == 3 else (1, *shape)
    if math.prod(stack[1:3]) > pictures.PIXEL_LIMIT:
        raise PictureError(f"{name} has more than {pictures.PIXEL_LIMIT} pixels in a picture; shrink it first")
    return stack


def _planes(picture: np.ndarray) -> np.ndarray:
    """[h, w], [h, w, 1], [h, w, 3] or [h, w, 4] as gray or RGB, alpha on black."""
    if picture.ndim == 2 or picture.shape[2] == 3:
        return picture
    if picture.shape[2] == 1:
        return np.ascontiguousarray(picture[..., 0])
    top = np.iinfo(picture.dtype).max
    return np.rint(picture[..., :3] * (picture[..., 3:].astype(np.float64) / top)).astype(picture.dtype)
