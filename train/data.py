"""Pictures -> frames in memory -> batches. Every picture is read once, fitted once, and kept as the integers it was."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from core import people, pictures, sources
from core.devices import sent
from core.errors import DataError, OutputError
from core.frame import Frame, as_planes, at_depth, averaged
from core.intensity import Intensity
from train import phantoms, schedule
from train.items import Item
from train.slicing import common
from train.survey import Survey, judge, survey, ten

__all__ = ["Data", "Frames", "Phantoms", "Survey", "survey"]

WORKING_BYTES = 2 * 1024**3
TEMPORARY = "frames-"  # how names of temporary folders with pictures begin


class Data(Protocol):
    """What training asks of its pictures. Pictures are counted from 0, in the order in which they are shown."""

    frame: Frame
    averaged: bool  # whether these are averages of blocks of larger pictures
    channels: int
    says: list[str]
    labels: np.ndarray | None  # the class of each picture, int64 [N], only where classes are asked for
    classes: tuple[str, ...]  # their names

    @property
    def fingerprint(self) -> str:
        """12 hex digits that tell these pictures in this frame from any others."""
        ...

    def facts(self) -> dict[str, Any]:
        """What travels into the network file under `picture`, beside the crop; empty where there is nothing to say."""
        ...

    def split(self, share: float, *, seed: int) -> tuple[Data, Data]:
        """What is trained on, and what is held out: about `share` of the pictures, whole people where names say who.

        The training part's `says` ends with a sentence about it. Raises DataError where there are too few pictures.
        """
        ...

    def __len__(self) -> int:
        """How many different pictures there are."""
        ...

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` in its frame, [C, H, W], uint8 or uint16."""
        ...

    def order(self, shown: np.ndarray, *, seed: int) -> np.ndarray:
        """Indices of the pictures that come at places `shown` of the training; a pure function."""
        ...

    def batch(self, indices: np.ndarray, *, device: torch.device) -> Tensor:
        """Pictures as float32 [N, C, H, W] from -1 to 1."""
        ...

    def at(self, size: tuple[int, int]) -> Data:
        """The same pictures at a size of which theirs is a multiple: means of squares of pixels, made once and kept."""
        ...


class Frames:
    """Pictures of a folder or zip, read once into one array: in memory where they fit, else in a temporary file.

    `pixels` is [N, C, H, W], uint8, or uint16 where any file holds more than 8 bits.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        *,
        frame: Frame,
        says: list[str],
        kept: tempfile.TemporaryDirectory[str] | None = None,
        names: Sequence[str] = (),
        who: Sequence[str | None] = (),
        labels: np.ndarray | None = None,
        classes: tuple[str, ...] = (),
        facts: Mapping[str, Any] | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.pixels = pixels
        self.averaged = False
        self.frame = frame
        self.channels = pixels.shape[1]
        self.says = says
        self.names = tuple(names)
        self.who = tuple(who)
        self.labels = labels
        self.classes = classes
        self._facts = dict(facts or {})
        self._kept = kept
        self._rows = np.arange(len(pixels)) if rows is None else rows
        self._resident: Tensor | None = None
        self._device: torch.device | None = None
        self._smaller: dict[tuple[int, int], Frames] = {}

    @classmethod
    def read(
        cls,
        found: Survey,
        *,
        frame: Frame,
        channels: int | None,
        labels: bool = False,
        folder: Path | None = None,
        each: Callable[[], None] = lambda: None,
        memory: int | None = None,
        sharing: int = 1,
    ) -> Frames:
        """Read every picture of a survey. Raises DataError naming those that cannot be read when there are too many.

        channels None is gray where all pictures are, three equal planes counting as gray; `labels` asks for classes;
        `folder` is where the temporary file goes when the frames need more than `memory` bytes (None: half of what is
        free, divided among `sharing` processes of this machine).
        """
        count = found.count
        classes, numbers = found.classes() if labels else ((), None)
        planes = channels or (1 if found.gray else 3)
        shape, dtype = (count, planes, *frame.size), np.dtype(np.uint16 if found.wide else np.uint8)
        kept, pixels = _room(shape, dtype, folder=folder, memory=_free() // (2 * sharing) if memory is None else memory)

        def put(row: int, picture: np.ndarray) -> None:
            pixels[row] = as_planes(frame.place(at_depth(picture, dtype)), planes)

        read, broken = _read(found, put, each=each)
        judge(found.source.path, broken, found.files)
        rows = sorted(read)
        if not rows:
            raise DataError(f"{found.source.path} has only empty slices; give other --slices or another --window")
        pixels = _compact(pixels, rows)
        if channels is None and planes == 3 and all(read[row].gray for row in rows):
            pixels = pixels[:, :1] if kept else np.ascontiguousarray(pixels[:, :1])
        intensity, units = _units(found, [read[row] for row in rows])
        return cls(
            pixels,
            frame=frame,
            says=[
                *_remarks(found, broken, pixels),
                *_mixed(read, planes, asked=channels),
                *found.dark(read.values()),
                *units,
            ],
            kept=kept,
            names=[read[row].name for row in rows],
            who=[found.who(read[row].item) for row in rows],
            labels=None if numbers is None else numbers[[read[row].number for row in rows]],
            classes=classes,
            facts={"intensity": intensity.values()} if intensity else {},
        )

    def __len__(self) -> int:
        return len(self._rows)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The first 12 hex digits of a SHA-256 over shape, depth and pixels, in the order of the names."""
        digest = hashlib.sha256(f"{len(self)} {self.pixels.shape[1:]} {self.pixels.dtype.name}".encode())
        for row in self._rows.tolist():
            digest.update(self.pixels[row].tobytes())
        return digest.hexdigest()[:12]

    def facts(self) -> dict[str, Any]:
        """What travels into the network file under `picture`, beside the crop."""
        return dict(self._facts)

    def split(self, share: float, *, seed: int) -> tuple[Frames, Frames]:
        """What is trained on, and what is held out; both look at the same pixels."""
        found = people.split(self.who or [None] * len(self), share, seed=seed)
        return self._part(found.training, [*self.says, found.says]), self._part(found.held, [])

    def _part(self, chosen: np.ndarray, says: list[str]) -> Frames:
        return Frames(
            self.pixels,
            frame=self.frame,
            says=says,
            kept=self._kept,
            names=[self.names[index] for index in chosen.tolist()] if self.names else (),
            who=[self.who[index] for index in chosen.tolist()] if self.who else (),
            labels=None if self.labels is None else self.labels[chosen],
            classes=self.classes,
            facts=self._facts,
            rows=self._rows[chosen],
        )

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` in its frame, [C, H, W], uint8 or uint16."""
        return self.pixels[self._rows[index]]

    def order(self, shown: np.ndarray, *, seed: int) -> np.ndarray:
        """Every epoch shows every picture once, in an order of its own."""
        return np.array([_epoch(seed, place // len(self), len(self))[place % len(self)] for place in shown.tolist()])

    def batch(self, indices: np.ndarray, *, device: torch.device) -> Tensor:
        """Pictures as float32 [N, C, H, W] from -1 to 1."""
        if self._resident is not None and self._resident.device == device:
            chosen = self._resident[sent(torch.from_numpy(indices), device)].float()
            if self._resident.dtype == torch.int16:
                return chosen.add_(32768).div_(32767.5).sub_(1)
            return chosen.div_(127.5).sub_(1)
        return sent(_floats(self.pixels[self._rows[indices]]), device)

    def at(self, size: tuple[int, int]) -> Frames:
        """The same pictures at a size of which theirs is a multiple; where these lie in a file, those do, too."""
        if size == self.frame.size:
            return self
        if size not in self._smaller:
            shape = (len(self), self.channels, *size)
            folder = None if self._kept is None else Path(self._kept.name).parent
            kept, pixels = _room(shape, self.pixels.dtype, folder=folder, memory=sys.maxsize if folder is None else 0)
            for first in range(0, len(self), 64):
                rows = self._rows[first : first + 64]
                pixels[first : first + 64] = averaged(self.pixels[rows], size)
            small = Frames(
                pixels, frame=replace(self.frame, size=size), says=[], kept=kept, names=self.names, who=self.who,
                labels=self.labels, classes=self.classes, facts=self._facts,
            )  # fmt: skip
            small.averaged = True
            if self._device is not None:
                small.move(self._device)
            self._smaller[size] = small
        return self._smaller[size]

    def move(self, device: torch.device) -> bool:
        """Keep the pictures on a GPU where they take at most a quarter of its free memory."""
        self._device = device
        if device.type != "cuda":
            return False
        if self.pixels[:1].nbytes * len(self) * 4 > torch.cuda.mem_get_info(device)[0]:
            return False
        pixels = np.ascontiguousarray(self.pixels[self._rows])
        if pixels.dtype == np.uint16:  # torch does little with these: as signed numbers, less 32768
            pixels = (pixels ^ np.uint16(0x8000)).view(np.int16)
        self._resident = torch.from_numpy(pixels).to(device)
        return True


class Phantoms:
    """Head phantoms without end, each drawn when it is shown; `heads` are the first and the end of those it draws."""

    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    fingerprint = "phantoms"
    averaged = False

    def __init__(
        self, *, frame: Frame, channels: int, heads: tuple[int, int] = (0, 2**31), drawn: Frame | None = None
    ) -> None:
        """`drawn` is the frame in which heads are drawn, where that of the pictures is a smaller one."""
        self.frame = frame
        self.channels = channels
        self.heads = heads
        self._drawn = drawn or frame
        self.says = ["phantoms: random heads after Shepp and Logan, drawn on the fly, none shown twice"]

    def __len__(self) -> int:
        return self.heads[1] - self.heads[0]

    def facts(self) -> dict[str, Any]:
        """Nothing: drawn heads have no units."""
        return {}

    def split(self, share: float, *, seed: int) -> tuple[Phantoms, Phantoms]:
        """Heads to train on, and others that no training draws: the last `share` of all."""
        first, end = self.heads
        edge = end - min(max(1, round(share * (end - first))), end - first - 1)
        parts = [
            Phantoms(frame=self.frame, channels=self.channels, heads=heads) for heads in ((first, edge), (edge, end))
        ]
        parts[0].says = [*self.says, f"held out {end - edge} heads, which no step draws"]
        return parts[0], parts[1]

    def picture(self, index: int) -> np.ndarray:
        """Head `index`, uint8 [C, H, W]."""
        frame = self._drawn
        head = _head(self.heads[0] + index, frame.picture)
        return averaged(as_planes(frame.place(head), self.channels)[None], self.frame.size)[0]

    def at(self, size: tuple[int, int]) -> Phantoms:
        """The same heads, drawn alike, at a size of which theirs is a multiple."""
        frame = replace(self.frame, size=size)
        small = Phantoms(frame=frame, channels=self.channels, heads=self.heads, drawn=self._drawn)
        small.averaged = size != self._drawn.size
        return small

    def order(self, shown: np.ndarray, *, seed: int) -> np.ndarray:
        """Every place has a head of its own."""
        return (shown + schedule.stream(seed, "heads") % 2**30) % len(self)

    def batch(self, indices: np.ndarray, *, device: torch.device) -> Tensor:
        """Pictures as float32 [N, C, H, W] from -1 to 1."""
        return sent(_floats(np.stack([self.picture(index) for index in indices.tolist()])), device)


@functools.lru_cache(maxsize=64)
def _head(number: int, size: tuple[int, int]) -> np.ndarray:
    """A phantom, not to be written to; kept a while, since a size that fades in is drawn twice."""
    return phantoms.phantom(number, size=size)


@functools.lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, count: int) -> np.ndarray:
    return schedule.shuffled(seed, epoch, count)


@dataclass(frozen=True)
class _Read:
    """A picture that has been put into its row."""

    name: str
    item: Item
    number: int  # of the item
    gray: bool
    intensity: Intensity | None
    brightest: int  # of 16 bits that are taken as they are, else 0
    cut: bool  # whether a window changes it


def _read(
    found: Survey, put: Callable[[int, np.ndarray], None], *, each: Callable[[], None]
) -> tuple[dict[int, _Read], dict[str, str]]:
    """Read every item with several threads, a row for each picture; and the files that cannot be read, and why.

    Rows of an item follow each other; those of slices that turn out empty stay unused.
    """
    first = np.concatenate([[0], np.cumsum([item.count for item in found.items])]).tolist()

    def one(number: int) -> tuple[dict[int, _Read], dict[str, str]]:
        item, read, broken = found.items[number], dict[int, _Read](), dict[str, str]()
        row = first[number]
        try:
            for shot in item.read():
                if shot.pixels is None:
                    broken[shot.name] = shot.wrong
                    continue
                put(row, shot.pixels)
                gray = pictures.is_gray(shot.pixels)
                read[row] = _Read(shot.name, item, number, gray, shot.intensity, shot.brightest, shot.cut)
                row += 1
        except sources.UNREADABLE as wrong:
            return {}, {item.name: sources.reason(wrong)}
        return read, broken

    largest = max((item.bytes for item in found.items), default=1)
    threads = max(1, min(os.cpu_count() or 1, WORKING_BYTES // max(1, largest)))
    whole, broken = dict[int, _Read](), dict(found.broken)
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number, (read, bad) in enumerate(pool.map(one, range(len(found.items)))):
                whole |= read
                broken |= bad
                for _ in range(found.items[number].count):
                    each()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return whole, broken


def _floats(pixels: np.ndarray) -> Tensor:
    half = np.float32(np.iinfo(pixels.dtype).max / 2)
    return torch.from_numpy(pixels.astype(np.float32)).div_(float(half)).sub_(1)


def _compact(pixels: np.ndarray, good: list[int]) -> np.ndarray:
    """The rows `good`, ascending, moved together in place, so that pictures on the disk stay there."""
    for target, row in enumerate(good):
        if target != row:
            pixels[target] = pixels[row]
    return pixels[: len(good)]


def _room(
    shape: tuple[int, ...], dtype: np.dtype, *, folder: Path | None, memory: int
) -> tuple[tempfile.TemporaryDirectory[str] | None, np.ndarray]:
    if int(np.prod(shape)) * dtype.itemsize <= memory:
        return None, np.empty(shape, dtype)
    kept = tempfile.TemporaryDirectory(dir=folder, prefix=TEMPORARY, ignore_cleanup_errors=True)
    return kept, _mapped(Path(kept.name) / "frames", shape, dtype)


def _mapped(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new file as an array. Raises OutputError where the disk has no room: writing to it later would end Python."""
    size = int(np.prod(shape)) * dtype.itemsize
    try:
        with open(file, "wb") as made:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(made.fileno(), 0, size)
            else:
                made.truncate(size)
        return np.memmap(file, dtype, mode="r+", shape=shape)
    except OSError as wrong:
        file.unlink(missing_ok=True)
        raise OutputError(
            f"{file.parent.parent} has no room for the pictures, which need {size / 2**30:.1f} GiB there since memory "
            f"is too small for them ({wrong.strerror}); free some, or take a smaller --size"
        ) from wrong


def _free() -> int:
    """Bytes of memory that are free; 4 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


def _units(found: Survey, read: Sequence[_Read]) -> tuple[Intensity | None, list[str]]:
    """What all levels stand for, where they stand for one thing, and a sentence about it."""
    intensity, ranges, apart = common([found.manifest.unit(one.intensity, name=one.name) for one in read])
    if not ranges:
        return intensity, [f"black to white is {intensity.says()}"] if intensity else []
    remedy = "prepare the scans again with" if found.manifest.intensities else "give"
    also = f"; {remedy} --window LOW,HIGH to have one" if ranges > 1 else ""
    return None, [f"black to white is {apart}, so levels have no common unit{also}"]


def _mixed(read: Mapping[int, _Read], planes: int, *, asked: int | None) -> list[str]:
    """That a set has gray pictures and coloured ones, where nobody has said which it shall be."""
    gray = sum(one.gray for one in read.values())
    if asked is not None or planes == 1 or not 0 < gray < len(read):
        return []
    return [f"{gray} of {len(read)} pictures are gray, the others RGB: trained as RGB; give --channels 1 for gray"]


def _remarks(found: Survey, broken: Mapping[str, str], pixels: np.ndarray) -> list[str]:
    """What a person should know about their data, one sentence each."""
    says = [found.source.says] if found.source.says else []
    says += found.says
    if broken:
        count = f"{len(broken)} of {found.files}"
        says.append(f"{count} pictures cannot be read and are left out: {ten(sorted(broken))}")
    if found.shapes > 1:
        says.append(f"{found.shapes} shapes, fitted to the most common one, {found.picture[0]}x{found.picture[1]}")
    if len(pixels) < found.count - len(broken):
        says.append(f"{found.count - len(pixels)} of {found.count} slices are empty or cannot be read, and left out")
    if all(np.array_equal(one, pixels[0]) for one in pixels):
        alone = "there is one picture only" if len(pixels) == 1 else f"all {len(pixels)} pictures are the same"
        says.append(f"{alone}: a network can learn nothing but to repeat it; give --data more pictures")
    return says
