"""DICOM series as slices: ordered along the normal, in the scanner's values, through a window."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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
# What has pixels and is no picture of a body: outlines, doses, ways to show others (DICOM PS3.6, annex A; a trailing
# dot stands for the whole family). Their numbers of frames can be larger than those of the scan that they belong to.
_NO_PICTURE = ("SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "PR", "KO", "SR", "REG")
_NO_PICTURE_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.{part}." for part in ("11", "66", "88", "481.2", "481.3"))
_SINGLE = ("CR", "DX", "MG", "XA", "US", "PX", "IO")  # each picture stands for itself: no volumes


@dataclass(frozen=True)
class Scan:
    """What one file's head says. `size` is None where it holds no picture: reports, plans, structures, outlines."""

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
    modality: str = ""
    pixel: tuple[float, float] | None = None  # height and width of one, in mm, or as they are to each other


def look(source: Folder | Zip, index: int) -> Scan:
    """Read the head of a file. Raises PictureError, and DataError where pydicom is missing."""
    name = source.names[index]
    with source.stream(index) as stream:
        try:
            head = _dataset(stream, stop_before_pixels=True, specific_tags=list(_HEAD))
            scan = _scan(head, index, name)
        except DataError:
            raise
        except Exception as wrong:  # pydicom raises whatever a damaged file makes it trip over
            raise _damaged(name, wrong) from wrong
    if scan.size is not None:
        (rows, columns), frames = scan.size, scan.frames
        if rows * columns > pictures.PIXEL_LIMIT or scan.bytes > BYTES_LIMIT or frames > _MOST_FRAMES:
            raise PictureError(
                f"{name} declares {rows} x {columns} pixels and {frames} frames, which is too much; cut it"
            )
    return scan


def _scan(head: Any, index: int, name: str) -> Scan:
    """What a head says; what it leaves out is 0, 1 or nothing. Raises whatever a damaged one makes it trip over."""

    def number(key: str, otherwise: int = 0) -> int:
        return int(head.get(key) or otherwise)

    def text(key: str) -> str:
        return str(head.get(key) or "")

    modality = text("Modality").strip()
    rows, columns = number("Rows"), number("Columns")
    if not _is_picture(modality, text("SOPClassUID")):
        rows = columns = 0
    frames, samples = max(1, number("NumberOfFrames", 1)), number("SamplesPerPixel", 1)
    return Scan(
        index=index,
        name=name,
        series=text("SeriesInstanceUID"),
        patient=text("PatientID").strip(),
        about=(text("SeriesDescription") or modality or "no description").strip(),
        size=(rows, columns) if rows > 0 and columns > 0 else None,
        frames=frames,
        colour=samples == 3 or "PALETTE" in text("PhotometricInterpretation"),
        bytes=rows * columns * frames * samples * max(1, number("BitsAllocated", 8) // 8),
        number=number("InstanceNumber"),
        position=_numbers(head.get("ImagePositionPatient"), 3),
        orientation=_numbers(head.get("ImageOrientationPatient"), 6),
        modality=modality,
        pixel=_pixel(head),
    )


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
        values = np.concatenate([one.values(part) for one, part in zip(held, parts, strict=True)])
        return values[np.isfinite(values)]


@dataclass(frozen=True)
class _Pixels:
    """Decoded frames [n, h, w] or [n, h, w, 3] of one file, and what its numbers mean."""

    raw: np.ndarray
    slopes: tuple[tuple[float, float], ...]  # (slope, intercept), one for all frames or one each
    window: tuple[float, float] | None
    unit: str | None
    inverted: bool
    padding: tuple[float, float] | None = None  # stored numbers, first to last, that nothing was measured at

    def values(self, raw: np.ndarray, frame: int = 0) -> np.ndarray:
        """Stored numbers as the scanner's values; padding as NaN, which is dark and counts for no window."""
        slope, intercept = self.slopes[frame % len(self.slopes)]
        values = raw.astype(np.float64) * slope + intercept
        if self.padding is not None:
            values[(raw >= self.padding[0]) & (raw <= self.padding[1])] = np.nan
        return values

    def picture(self, frame: int, low: float, high: float) -> tuple[np.ndarray, Intensity | None]:
        """One frame as gray or RGB levels, and what they stand for."""
        if self.raw.ndim == 4:
            top = np.iinfo(self.raw.dtype).max
            eight = self.raw[frame] if top == 255 else (self.raw[frame].astype(np.float64) * (255 / top)).round()
            return np.ascontiguousarray(eight.astype(np.uint8)), None
        values = self.values(self.raw[frame], frame)
        shown = levels(values, low, high)
        if not high > low:
            return shown, None
        if self.inverted:
            turned = np.where(np.isnan(values), 0, np.iinfo(np.uint16).max - shown).astype(np.uint16)
            return turned, Intensity.between(high, low, unit=self.unit)
        return shown, Intensity.between(low, high, unit=self.unit)


def group(source: Folder | Zip, scans: Sequence[Scan], slicing: Slicing) -> tuple[list[SeriesItem], list[str]]:
    """Files as series, of each person's volumes in one folder the largest; and what was left out, a sentence each."""
    pictured = [scan for scan in scans if scan.size is not None]
    says = []
    if len(pictured) < len(scans):
        kinds = ", ".join(sorted({scan.modality for scan in scans if scan.size is None and scan.modality.isalnum()}))
        what = "reports, plans, outlines and the like" + (f": {kinds[:80]}" if kinds else "")
        says.append(f"{len(scans) - len(pictured)} DICOM files hold no picture ({what})")
    folders: dict[tuple[str, str], dict[str, list[Scan]]] = defaultdict(lambda: defaultdict(list))
    for scan in pictured:
        folders[str(PurePosixPath(scan.name).parent), scan.patient][scan.series].append(scan)
    numbers = {patient: n for n, patient in enumerate(sorted({scan.patient for scan in pictured if scan.patient}), 1)}
    items, left, mixed, example = [], 0, 0, ""
    for (folder, patient), series in sorted(folders.items()):
        chosen = _chosen(series)
        missing = sum(map(len, series.values())) - sum(map(len, chosen))
        if missing:
            left, mixed = left + missing, mixed + 1
            example = example or f"{chosen[0][0].about!r} of {len(chosen[0])} files in {folder}"
        who = f"patient-{numbers[patient]:04}" if patient else None
        items += [SeriesItem(source, tuple(_ordered(files)), slicing, who) for files in chosen]
    if mixed:
        says.append(
            f"{mixed} folders hold several DICOM series; the largest is used, such as {example}; {left} files left out"
        )
    return items, says


def _is_picture(modality: str, kind: str) -> bool:
    """Whether files of a modality and of a kind (SOP class) hold what a camera or a scanner saw."""
    return modality not in _NO_PICTURE and not f"{kind}.".startswith(_NO_PICTURE_CLASSES)


def _chosen(series: Mapping[str, list[Scan]]) -> list[list[Scan]]:
    """The files of each item: the largest of several volumes first, then every picture that is none of a volume.

    Radiographs have a series each, so that nothing can be chosen among them; views of several shapes share one, too.
    """
    volumes = {uid: files for uid, files in series.items() if files[0].modality not in _SINGLE}
    singles = [files for uid, files in series.items() if uid not in volumes]
    parts = [part for files in singles for part in _shapes(files).values()]
    largest = max(volumes, key=lambda uid: (sum(scan.frames for scan in volumes[uid]), uid), default=None)
    if largest is None or sum(scan.frames for scan in volumes[largest]) == 1:
        return [*volumes.values(), *parts]
    # Of the most common shape: a scout may bear its series' number.
    return [max(_shapes(volumes[largest]).values(), key=len), *parts]


def _shapes(scans: list[Scan]) -> dict[object, list[Scan]]:
    """Files of one shape each, those that come first first."""
    found: dict[object, list[Scan]] = defaultdict(list)
    for scan in scans:
        found[scan.size, scan.colour, scan.size and squared(scan.size, scan.pixel)].append(scan)
    return found


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
        slopes=_slopes(file, len(raw)) or ((1.0, 0.0),),
        window=_window(file),
        unit=_unit(file, len(raw)),
        inverted=file.get("PhotometricInterpretation") == "MONOCHROME1",
        padding=_padding(file, raw.dtype) if raw.ndim == 3 else None,
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
    """Rescale slope and intercept, of the file or, in enhanced files, of each frame; empty where the file has none."""
    shared = _transform(next(iter(file.get("SharedFunctionalGroupsSequence") or []), None))
    each = [_transform(group) for group in file.get("PerFrameFunctionalGroupsSequence") or []]
    if len(each) == frames and all(each):
        return tuple(pair for pair in each if pair is not None)
    found = shared or _line(file)
    return (found,) if found else ()


def _transform(group: Any) -> tuple[float, float] | None:
    sequence = group.get("PixelValueTransformationSequence") if group is not None else None
    return _line(sequence[0]) if sequence else None


def _line(part: Any) -> tuple[float, float] | None:
    found = [_numbers(part.get(key), 1) for key in ("RescaleSlope", "RescaleIntercept")]
    slope, intercept = (number[0] if number else None for number in found)
    return None if slope is None and intercept is None else (slope or 1.0, intercept or 0.0)


def _unit(file: Any, frames: int) -> str | None:
    """What a file's values are in. CT of 8 bits that is not scaled has been through a window, so it is not in HU."""
    if file.get("Modality") != "CT":
        return str(file.get("Units") or "")[:16] or None
    return "HU" if _slopes(file, frames) or int(file.get("BitsStored") or 16) > 8 else None


def _padding(file: Any, kind: np.dtype) -> tuple[float, float] | None:
    """The stored numbers, first to last, that fill what was not scanned; written with or without the sign, as is."""
    said = [_first(file.get(key)) for key in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    found = [value for value in said if value is not None]
    if said[0] is None:
        return None
    if kind.kind in "iu":
        span, least = 2 ** (8 * kind.itemsize), np.iinfo(kind).min
        found = [(value - least) % span + least for value in found]
    return min(found), max(found)


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
