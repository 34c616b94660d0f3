"""NIfTI, MGH and Analyze volumes as slices: turned to a known orientation, cut, and put through a window.

A picture of an axial slice has the front of the head up and the person's right on the left, as radiologists hang it;
coronal and sagittal ones have the head up, sagittal ones the face to the left.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np

from core import pictures
from core.errors import DataError, PictureError
from core.intensity import Intensity
from core.pictures import Header
from core.sources import Folder, Zip
from train.items import OneFile, Shot
from train.slicing import BYTES_LIMIT, Slicing, floor, is_empty, levels, sampled, squared

__all__ = ["VolumeItem", "remarks"]

_ALONG = {"sagittal": 0, "coronal": 1, "axial": 2}  # right, front and up: the axes of RAS+
_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_RGBA = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])


@dataclass(frozen=True)
class VolumeItem(OneFile):
    """One volume; the other half of its file, where there is one, is not counted.

    `shape` is of its voxels as they lie in the file, without time; `turn` is nibabel's orientation.
    """

    source: Folder | Zip
    index: int
    slicing: Slicing
    shape: tuple[int, int, int]
    turn: np.ndarray
    spacing: tuple[float, float, float]
    dtype: np.dtype
    scaled: bool
    times: int
    who: str | None = None

    @classmethod
    def at(cls, source: Folder | Zip, index: int, slicing: Slicing) -> VolumeItem:
        """Look at the head of a file. Raises PictureError, and DataError where nibabel is missing."""
        name = source.names[index]
        with _opened(source, index) as (image, _):
            try:
                full, dtype = tuple(int(n) for n in image.shape), image.get_data_dtype()
                spacing = [abs(float(n)) for n in image.header.get_zooms()[:3]]
                slope, inter = _scale(image)
                turn = _orientation(image.affine)
            except Exception as wrong:  # as in _opened
                raise _damaged(name, wrong) from wrong
        shape = (*full[:3], 1, 1)[:3]
        if min(shape, default=0) < 1 or len(full) < 2:
            raise PictureError(f"{name} holds a volume of {' x '.join(map(str, full)) or 'nothing'}; make it again")
        if dtype.kind not in "buif" and dtype not in (_RGB, _RGBA):
            raise PictureError(f"{name} holds numbers that are no gray levels ({str(dtype)[:40]}); save them as floats")
        size = math.prod(shape) * dtype.itemsize
        if size > BYTES_LIMIT:
            raise PictureError(f"{name} declares {size} bytes, more than {BYTES_LIMIT}; cut it in parts")
        return cls(
            source=source,
            index=index,
            slicing=slicing,
            shape=(shape[0], shape[1], shape[2]),
            turn=turn,
            spacing=(*spacing, 1.0, 1.0)[:3],  # type: ignore[arg-type]
            dtype=dtype,
            scaled=(slope, inter) != (1.0, 0.0),
            times=math.prod(full[3:]),
        )

    @property
    def along(self) -> int:
        """The axis of RAS+ that it is cut along: that of the settings; of one a single voxel thick, that one."""
        turned = self._turned(self.shape)
        wanted = _ALONG[self.slicing.axis]
        thin = [axis for axis in (2, 1, 0) if turned[axis] == 1]
        return wanted if not thin or turned[wanted] == 1 else thin[0]

    @property
    def count(self) -> int:
        """How many pictures it holds, at most."""
        return len(self.slicing.chosen(self._turned(self.shape)[self.along]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures, whose pixels are square."""
        turned = self._turned(self.shape)
        width, height = (turned[axis] for axis in range(3) if axis != self.along)
        return squared((height, width), self.pixel)

    @property
    def pixel(self) -> tuple[float, float]:
        """Height and width of a pixel as it lies in the file, in mm as far as that says."""
        turned = self._turned(self.spacing)
        width, height = (turned[axis] for axis in range(3) if axis != self.along)
        return height, width

    @property
    def header(self) -> Header:
        """Shape, gray and depth of its pictures."""
        colour = self.dtype in (_RGB, _RGBA)
        return Header(self.size, gray=not colour, wide=not colour and not self._plain)

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def _plain(self) -> bool:
        """Whether its numbers are gray levels already."""
        return self.dtype == np.uint8 and not self.scaled and self.slicing.window in ("auto", "file")

    def read(self) -> Iterator[Shot]:
        """Its slices, those at the lower end, the back or the left first; empty ones are passed over."""
        with _opened(self.source, self.index) as (image, _):
            raw, (slope, inter) = self._voxels(image), _scale(image)
            own = _recommended(image)
        turned = _turn(raw, self.turn)
        count = turned.shape[self.along]
        if math.prod(self.size) > pictures.PIXEL_LIMIT:
            raise PictureError(f"{self.name} has slices of {self.size[0]} x {self.size[1]} pixels; shrink it first")
        if raw.dtype.names is not None:
            yield from self._coloured(turned)
            return
        sample = sampled(raw) * slope + inter
        least = floor(sample)
        low, high, intensity = 0.0, 0.0, None
        if not self._plain:
            low, high = self.slicing.limits(sample, own=own)
            intensity = Intensity.between(low, high) if high > low else None
        for k in self.slicing.chosen(count):
            cut = np.ascontiguousarray(_cut(turned, k, self.along))
            picture = cut if self._plain else levels(cut * slope + inter, low, high)
            if count == 1 or not is_empty(cut * slope + inter, picture, floor=least):
                yield Shot(self._named(k), pictures.resize(picture, self.size), intensity)

    def _coloured(self, turned: np.ndarray) -> Iterator[Shot]:
        for k in self.slicing.chosen(turned.shape[self.along]):
            cut = _cut(turned, k, self.along)
            picture = np.stack([cut["R"], cut["G"], cut["B"]], axis=2)
            if turned.shape[self.along] == 1 or picture.any():
                yield Shot(self._named(k), pictures.resize(picture, self.size))

    def _named(self, k: int) -> str:
        return f"{self.name}#{k:03}" if self._turned(self.shape)[self.along] > 1 else self.name

    def _voxels(self, image: Any) -> np.ndarray:
        """The numbers of the first volume in the file, unscaled, [x, y, z]."""
        proxy = image.dataobj
        try:
            if self.times > 1:
                first = (slice(None),) * 3 + (0,) * (len(image.shape) - 3)
                raw = proxy._get_unscaled(first)
            else:
                raw = proxy.get_unscaled()
        except MemoryError:
            raise PictureError(f"{self.name} does not fit into memory; cut it in parts") from None
        except Exception as wrong:  # as in _opened
            raise _damaged(self.name, wrong) from wrong
        return np.asanyarray(raw).reshape(self.shape)

    def _turned(self, numbers: Sequence[Any]) -> list[Any]:
        """Numbers of the file's three axes in the order of RAS+."""
        found = [None] * 3
        for axis in range(3):
            found[int(self.turn[axis, 0])] = numbers[axis]
        return found


def remarks(items: Sequence[VolumeItem]) -> list[str]:
    """What a person should know about the volumes of a set, one sentence each."""
    says = []
    timed = [item for item in items if item.times > 1]
    if timed:
        says.append(f"{len(timed)} of {len(items)} volumes hold several, such as {timed[0].name}: the first is used")
    return says


def _nibabel() -> ModuleType:
    try:
        import nibabel
    except ImportError as wrong:
        raise DataError("NIfTI, MGH and Analyze volumes need the package nibabel; pip install nibabel") from wrong
    return nibabel


class _opened:
    """A volume's image object, its numbers still in the file, and the streams it reads from, closed on leaving."""

    def __init__(self, source: Folder | Zip, index: int) -> None:
        self._source, self._index = source, index
        self._streams: list[Any] = []

    def __enter__(self) -> tuple[Any, str]:
        nibabel, name = _nibabel(), self._source.names[self._index]
        lower = name.lower()
        try:
            stream = self._stream(self._index, zipped=lower.endswith((".gz", ".mgz")))
            holder = nibabel.FileHolder(fileobj=stream)
            if lower.endswith((".img", ".img.gz")):
                head = self._stream(self._source.partner(self._index), zipped=lower.endswith(".gz"))
                magic = head.read(348)[344:347]
                head.seek(0)
                kind = nibabel.Nifti1Pair if magic == b"ni1" else nibabel.AnalyzeImage
                files = {"header": nibabel.FileHolder(fileobj=head), "image": holder}
            elif lower.endswith((".mgz", ".mgh")):
                kind, files = nibabel.MGHImage, {"image": holder}
            else:
                length = stream.read(4)
                stream.seek(0)
                kind = (
                    nibabel.Nifti2Image
                    if 540 in (_integer(length, "<"), _integer(length, ">"))
                    else nibabel.Nifti1Image
                )
                files = {"image": holder}
            return kind.from_file_map(files, mmap=False), name
        except DataError:
            self.__exit__()
            raise
        except Exception as wrong:  # nibabel, gzip and zipfile raise whatever a damaged file makes them trip over
            self.__exit__()
            raise _damaged(name, wrong) from wrong

    def _stream(self, index: int | str, *, zipped: bool) -> Any:
        self._streams.append(self._source.stream(index))
        if zipped:
            self._streams.append(gzip.GzipFile(fileobj=self._streams[-1]))
        return self._streams[-1]

    def __exit__(self, *wrong: object) -> None:
        for stream in reversed(self._streams):
            stream.close()


def _integer(four: bytes, order: str) -> int:
    return int.from_bytes(four, "little" if order == "<" else "big")


def _damaged(name: str, wrong: Exception) -> PictureError:
    reason = " ".join(str(wrong).split())[:80] or type(wrong).__name__
    return PictureError(f"{PurePosixPath(name).name} is damaged or no volume ({reason}); copy or make it again")


def _scale(image: Any) -> tuple[float, float]:
    """Slope and intercept from stored numbers to values; 1 and 0 where the file has none."""
    slope, inter = float(getattr(image.dataobj, "slope", 1.0)), float(getattr(image.dataobj, "inter", 0.0))
    return (slope, inter) if math.isfinite(slope) and slope and math.isfinite(inter) else (1.0, 0.0)


def _recommended(image: Any) -> tuple[float, float] | None:
    """The window that a NIfTI file recommends."""
    try:
        low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
    except (KeyError, ValueError, IndexError):
        return None
    return (low, high) if math.isfinite(high - low) and high > low else None


def _orientation(affine: Any) -> np.ndarray:
    """Which axis of RAS+ each axis of the file is, and whether it runs backwards, [3, 2]; as it lies where unsaid."""
    plain = np.array([[0, 1], [1, 1], [2, 1]], float)
    if affine is None or not np.isfinite(affine).all():
        return plain
    found = _nibabel().io_orientation(affine)
    return found if np.isfinite(found).all() else plain


def _cut(turned: np.ndarray, k: int, along: int) -> np.ndarray:
    """Slice k of voxels [right, front, up], as it is hung."""
    return np.take(turned, k, axis=along).T[::-1, ::-1]


def _turn(raw: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """A view of voxels [i, j, k] as [right, front, up]."""
    flipped = raw[tuple(slice(None, None, int(way)) for way in turn[:, 1])]
    return flipped.transpose(np.argsort(turn[:, 0]))
