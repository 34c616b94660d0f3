"""DICOM series as slices: ordered along the normal, in the scanner's values, through a window."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from core import pictures
from core.errors import DataError, PictureError
from core.intensity import Intensity
from core.pictures import Header
from core.sources import Folder, Zip, reason
from train.items import Shot
from train.slicing import BYTES_LIMIT, Slicing, floor, is_empty, levels, sampled, squared

__all__ = ["Scan", "SeriesItem", "group", "look"]

_HEAD = (
    "SOPClassUID", "PatientID", "SeriesInstanceUID", "SeriesDescription", "Modality", "InstanceNumber",
    "Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel", "PhotometricInterpretation",
    "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio", "SharedFunctionalGroupsSequence",
)  # fmt: skip
_MOST_FRAMES = 100_000


@dataclass(frozen=True)
class Scan:
    """What one file's head says. `size` is None where it holds no picture: reports, plans, structures."""

    index: int
    name: str
    series: str
    patient: str
    about: str
    size: tuple[int, int] | None
    frames: int
    colour: bool
    bytes: int
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel: tuple[float, float] | None = None  # height and width of one, in mm, or as they are to each other


def look(source: Folder | Zip, index: int) -> Scan:
    """Read the head of a file. Raises PictureError, and DataError where pydicom is missing."""
    name = source.names[index]
    with source.stream(index) as stream:
        try:
            head = _dataset(stream, stop_before_pixels=True, specific_tags=list(_HEAD))
            rows, columns = int(head.get("Rows") or 0), int(head.get("Columns") or 0)
            frames = max(1, int(head.get("NumberOfFrames") or 1))
            samples, bits = int(head.get("SamplesPerPixel") or 1), int(head.get("BitsAllocated") or 8)
            scan = Scan(
                index=index,
                name=name,
                series=str(head.get("SeriesInstanceUID") or ""),
                patient=str(head.get("PatientID") or "").strip(),
                about=str(head.get("SeriesDescription") or head.get("Modality") or "no description").strip(),
                size=(rows, columns) if rows > 0 and columns > 0 else None,
                frames=frames,
                colour=samples == 3 or "PALETTE" in str(head.get("PhotometricInterpretation") or ""),
                bytes=rows * columns * frames * samples * max(1, bits // 8),
                number=int(head.get("InstanceNumber") or 0),
                position=_numbers(head.get("ImagePositionPatient"), 3),
                orientation=_numbers(head.get("ImageOrientationPatient"), 6),
                pixel=_pixel(head),
            )
        except DataError:
            raise
        except Exception as wrong:  # pydicom raises whatever a damaged file makes it trip over
            raise _damaged(name, wrong) from wrong
    if rows * columns > pictures.PIXEL_LIMIT or scan.bytes > BYTES_LIMIT or frames > _MOST_FRAMES:
        raise PictureError(f"{name} declares {rows} x {columns} pixels and {frames} frames, which is too much; cut it")
    return scan


@dataclass(frozen=True)
class SeriesItem:
    """The files of one series, in the order of their slices."""

    source: Folder | Zip
    scans: tuple[Scan, ...]
    slicing: Slicing
    who: str | None

    @property
    def name(self) -> str:
        """The first file, by name."""
        return min(scan.name for scan in self.scans)

    @property
    def indices(self) -> tuple[int, ...]:
        """Its files, in the order of their slices."""
        return tuple(scan.index for scan in self.scans)

    @property
    def count(self) -> int:
        """How many pictures it holds, at most."""
        return len(self.slicing.chosen(sum(scan.frames for scan in self.scans)))

    @property
    def header(self) -> Header:
        """Shape, gray and depth of its pictures, whose pixels are square."""
        size, colour = self.scans[0].size, self.scans[0].colour
        assert size is not None
        return Header(squared(size, self.pixel), gray=not colour, wide=not colour)

    @property
    def pixel(self) -> tuple[float, float] | None:
        """Height and width of a pixel as it lies in the files, None where they do not say."""
        return self.scans[0].pixel

    @property
    def bytes(self) -> int:
        """About how much memory reading it takes."""
        return sum(scan.bytes for scan in self.scans)

    def read(self) -> Iterator[Shot]:
        """Its slices along the normal, those at the feet, the front or the left first; empty ones passed over.

        A file that cannot be read gives a shot without pixels.
        """
        places = [(scan, frame) for scan in self.scans for frame in range(scan.frames)]
        chosen = [places[k] for k in self.slicing.chosen(len(places))]
        held: dict[str, _Pixels] = {}
        for scan in {scan.index: scan for scan, _ in chosen}.values():
            try:
                held[scan.name] = _read(self.source, scan)
            except (PictureError, OSError, EOFError, ValueError) as wrong:
                yield Shot(scan.name, None, wrong=reason(wrong))
        if not held:
            return
        middle, sample = list(held.values())[len(held) // 2], self._sample(list(held.values()))
        least = floor(sample)
        low, high = self.slicing.limits(sample, own=middle.window, unit=middle.unit)
        for scan, frame in chosen:
            if scan.name not in held:
                continue
            pixels = held[scan.name]
            picture, intensity = pixels.picture(frame, low, high)
            values = pixels.values(pixels.raw[frame], frame)
            if len(chosen) == 1 or not is_empty(values, picture, floor=least):
                name = f"{scan.name}#{frame:03}" if scan.frames > 1 else scan.name
                yield Shot(name, pictures.resize(picture, squared(picture.shape[:2], self.pixel)), intensity)

    def _sample(self, held: list[_Pixels]) -> np.ndarray:
        parts = [sampled(one.raw[:: max(1, len(held) // 16)]) for one in held]
        return np.concatenate([one.values(part) for one, part in zip(held, parts, strict=True)])


@dataclass(frozen=True)
class _Pixels:
    """Decoded frames [n, h, w] or [n, h, w, 3] of one file, and what its numbers mean."""

    raw: np.ndarray
    slopes: tuple[tuple[float, float], ...]  # (slope, intercept), one for all frames or one each
    window: tuple[float, float] | None
    unit: str | None
    inverted: bool

    def values(self, raw: np.ndarray, frame: int = 0) -> np.ndarray:
        """Stored numbers as the scanner's values."""
        slope, intercept = self.slopes[frame % len(self.slopes)]
        return raw.astype(np.float64) * slope + intercept

    def picture(self, frame: int, low: float, high: float) -> tuple[np.ndarray, Intensity | None]:
        """One frame as gray or RGB levels, and what they stand for."""
        if self.raw.ndim == 4:
            top = np.iinfo(self.raw.dtype).max
            eight = self.raw[frame] if top == 255 else (self.raw[frame].astype(np.float64) * (255 / top)).round()
            return np.ascontiguousarray(eight.astype(np.uint8)), None
        shown = levels(self.values(self.raw[frame], frame), low, high)
        if not high > low:
            return shown, None
        if self.inverted:
            return np.iinfo(np.uint16).max - shown, Intensity.between(high, low, unit=self.unit)
        return shown, Intensity.between(low, high, unit=self.unit)


def group(source: Folder | Zip, scans: Sequence[Scan], slicing: Slicing) -> tuple[list[SeriesItem], list[str]]:
    """Files as series, of each person's in one folder the largest, and what was left out, a sentence each."""
    pictured = [scan for scan in scans if scan.size is not None]
    says = []
    if len(pictured) < len(scans):
        says.append(f"{len(scans) - len(pictured)} DICOM files hold no picture (reports, plans and the like)")
    folders: dict[tuple[str, str], dict[str, list[Scan]]] = defaultdict(lambda: defaultdict(list))
    for scan in pictured:
        folders[str(PurePosixPath(scan.name).parent), scan.patient][scan.series].append(scan)
    numbers = {patient: n for n, patient in enumerate(sorted({scan.patient for scan in pictured if scan.patient}), 1)}
    items, left, mixed, example = [], 0, 0, ""
    for (folder, patient), series in sorted(folders.items()):
        largest = max(series, key=lambda uid: (sum(scan.frames for scan in series[uid]), uid))
        chosen = _alike(series[largest])
        missing = sum(map(len, series.values())) - len(chosen)
        if missing:
            left, mixed = left + missing, mixed + 1
            example = example or f"{chosen[0].about!r} of {len(chosen)} files in {folder}"
        who = f"patient-{numbers[patient]:04}" if patient else None
        items.append(SeriesItem(source, tuple(_ordered(chosen)), slicing, who))
    if mixed:
        says.append(
            f"{mixed} folders hold several DICOM series; the largest is used, such as {example}; {left} files left out"
        )
    return items, says


def _alike(scans: list[Scan]) -> list[Scan]:
    """Those of the most common shape: a scout may bear its series' number."""
    shapes = [(scan.size, scan.colour, scan.size and squared(scan.size, scan.pixel)) for scan in scans]
    common = Counter(shapes).most_common(1)[0][0]
    return [scan for scan, shape in zip(scans, shapes, strict=True) if shape == common]


def _ordered(scans: list[Scan]) -> list[Scan]:
    """Along the normal of the slices where every file says where it lies, else by instance number, then by name."""
    orientation = next((scan.orientation for scan in scans if scan.orientation is not None), None)
    if orientation is None or any(scan.position is None for scan in scans):
        return sorted(scans, key=lambda scan: (scan.number, scan.name))
    normal = np.cross(orientation[:3], orientation[3:])
    return sorted(
        scans, key=lambda scan: (round(float(np.dot(normal, scan.position or (0, 0, 0))), 4), scan.number, scan.name)
    )


def _read(source: Folder | Zip, scan: Scan) -> _Pixels:
    """Decode one file. Raises PictureError, naming what is missing where its compression needs another package."""
    pydicom = _pydicom()
    with source.stream(scan.index) as stream:
        try:
            file = _dataset(stream)
            meta = getattr(file, "file_meta", None)
            syntax = getattr(meta, "TransferSyntaxUID", None)
            if not any(tag in file for tag in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
                raise PictureError(f"{scan.name} has no pixels; copy it again or take it out")
            if syntax is None:
                meta = file.ensure_file_meta()
                little = file.original_encoding[1] is not False
                file.file_meta.TransferSyntaxUID = syntax = (
                    pydicom.uid.ImplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
                )
            raw = _decoded(pydicom, file, scan=scan, syntax=syntax)
        except PictureError:
            raise
        except MemoryError:
            raise PictureError(f"{scan.name} does not fit into memory; cut it in parts") from None
        except Exception as wrong:  # as in look
            raise _damaged(scan.name, wrong) from wrong
    return _Pixels(
        raw=raw,
        slopes=_slopes(file, len(raw)),
        window=_window(file),
        unit="HU" if file.get("Modality") == "CT" else (str(file.get("Units") or "")[:16] or None),
        inverted=file.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _dataset(stream: BinaryIO, **how: Any) -> Any:
    """A file's elements; one without the usual 132 bytes in front is taken where it says what it is."""
    pydicom = _pydicom()
    try:
        return pydicom.dcmread(stream, **how)
    except pydicom.errors.InvalidDicomError:
        stream.seek(0)
        found = pydicom.dcmread(stream, force=True, **how)
        if "SOPClassUID" not in found:
            raise
        return found


def _decoded(pydicom: ModuleType, file: Any, *, scan: Scan, syntax: Any) -> np.ndarray:
    """Frames [n, h, w] or [n, h, w, 3]."""
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import pixel_array

    try:
        raw = pixel_array(file)
    except (NotImplementedError, RuntimeError) as wrong:
        if not getattr(syntax, "is_compressed", False) or "missing" not in str(wrong).lower():
            raise
        need = "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise PictureError(f"{scan.name} is compressed as {syntax.name}, which needs a decoder: {need}") from wrong
    if "PALETTE" in str(file.get("PhotometricInterpretation") or ""):
        raw = apply_color_lut(raw, file)
    planes = raw.ndim >= 3 and raw.shape[-1] == 3 and scan.colour
    return raw if raw.ndim == 3 + planes else raw[None]


def _slopes(file: Any, frames: int) -> tuple[tuple[float, float], ...]:
    """Rescale slope and intercept, of the file or, in enhanced files, of each frame."""
    shared = _transform(next(iter(file.get("SharedFunctionalGroupsSequence") or []), None))
    each = [_transform(group) for group in file.get("PerFrameFunctionalGroupsSequence") or []]
    if len(each) == frames and all(each):
        return tuple(pair for pair in each if pair is not None)
    return (shared or _line(file) or (1.0, 0.0),)


def _transform(group: Any) -> tuple[float, float] | None:
    sequence = group.get("PixelValueTransformationSequence") if group is not None else None
    return _line(sequence[0]) if sequence else None


def _line(part: Any) -> tuple[float, float] | None:
    found = [_numbers(part.get(key), 1) for key in ("RescaleSlope", "RescaleIntercept")]
    slope, intercept = (number[0] if number else None for number in found)
    return (slope, intercept or 0.0) if slope else None


def _window(file: Any) -> tuple[float, float] | None:
    """The first window that a file recommends: half its width below and above its centre."""
    centre, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    return None if centre is None or width is None or width <= 0 else (centre - width / 2, centre + width / 2)


def _pixel(head: Any) -> tuple[float, float] | None:
    """Height and width of a pixel: the distance of rows comes first (DICOM PS3.3, 10.7)."""
    shared: Any = next(iter(head.get("SharedFunctionalGroupsSequence") or []), {})
    measures: Any = next(iter(shared.get("PixelMeasuresSequence") or []), {})
    said = (measures.get("PixelSpacing"), *map(head.get, ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio")))
    found = next((pair for value in said if (pair := _numbers(value, 2)) is not None), None)
    return None if found is None else (round(found[0], 6), round(found[1], 6))


def _first(value: Any) -> float | None:
    many = (
        value
        if isinstance(value, list | tuple) or hasattr(value, "__len__") and not isinstance(value, str)
        else [value]
    )
    found = _numbers(list(many)[:1], 1)
    return found[0] if found else None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` finite numbers, or None."""
    if value is None:
        return None
    try:
        found = tuple(float(one) for one in (value if count > 1 or isinstance(value, list) else [value]))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def _pydicom() -> ModuleType:
    try:
        import pydicom
    except ImportError as wrong:
        raise DataError("DICOM files need the package pydicom; pip install pydicom") from wrong
    return pydicom


def _damaged(name: str, wrong: Exception) -> PictureError:
    reason = " ".join(str(wrong).split())[:80] or type(wrong).__name__
    return PictureError(f"{PurePosixPath(name).name} is damaged or no DICOM file ({reason}); copy it again")
