"""Pictures -> frames in memory -> batches. Every picture is read once, fitted once, and kept as the integers it was."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from core import pictures
from core.errors import DataError
from train import people, phantoms, schedule, sources
from train.frame import Frame

__all__ = ["Data", "Frames", "Phantoms", "Survey", "survey"]

UNREADABLE_SHARE = 20

Size = tuple[int, int]


class Data(Protocol):
    """What training asks of its pictures. Pictures are counted from 0, in the order in which they are shown."""

    frame: Frame
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


@dataclass(frozen=True)
class Survey:
    """What the headers of all pictures say, before any is decoded."""

    source: sources.Folder | sources.Zip
    picture: Size  # the most common shape, height x width
    shapes: int  # how many different shapes
    gray: bool  # whether every header says gray
    wide: bool  # whether any picture has more than 8 bits
    broken: tuple[str, ...]


def survey(path: str | Path, *, each: Callable[[], None] = lambda: None) -> Survey:
    """Look at the header of every picture below `path`. Raises DataError.

    `each` is called after each picture, so that a caller can show progress or stop by raising.
    """
    source = sources.find(path)
    shapes: Counter[Size] = Counter()
    gray, wide = True, False
    broken = []
    for index, name in enumerate(source.names):
        each()
        try:
            header = pictures.read_header(source.open(index), name=name)
        except sources.UNREADABLE:
            broken.append(name)
            continue
        pixels = header.size[0] * header.size[1]
        if pixels > pictures.PIXEL_LIMIT:
            limit = f"at most {pictures.PIXEL_LIMIT} can be read"
            raise DataError(f"{path}: {name} has {pixels} pixels, and {limit}; shrink it or take it out")
        shapes[header.size] += 1
        gray, wide = gray and header.gray, wide or header.wide
    _judge(path, broken, len(source.names))
    # Of shapes that are equally common the larger one, so that the answer does not hang on the order of names.
    common = max(shapes, key=lambda size: (shapes[size], size[0] * size[1], size))
    return Survey(source, common, len(shapes), gray, wide, tuple(broken))


def _judge(path: str | Path, broken: list[str], total: int) -> None:
    """Raise DataError where more than 1 in 20 pictures cannot be read, or all of them."""
    if len(broken) * UNREADABLE_SHARE <= total:
        return
    count = f"{len(broken)} of {total} pictures cannot be read, more than 1 in {UNREADABLE_SHARE}"
    raise DataError(f"{path}: {count}: {_ten(broken)}; mend them or take them out")


def _ten(names: list[str]) -> str:
    """Up to ten names, and how many more there are."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


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
        labels: np.ndarray | None = None,
        classes: tuple[str, ...] = (),
        facts: Mapping[str, Any] | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self.pixels = pixels
        self.frame = frame
        self.channels = pixels.shape[1]
        self.says = says
        self.names = tuple(names)
        self.labels = labels
        self.classes = classes
        self._facts = dict(facts or {})
        self._kept = kept
        self._rows = np.arange(len(pixels)) if rows is None else rows
        self._resident: Tensor | None = None

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
    ) -> Frames:
        """Read every picture of a survey. Raises DataError naming those that cannot be read when there are too many.

        channels None is gray where all pictures are, three equal planes counting as gray; `labels` asks for classes;
        `folder` is where the temporary file goes when the frames need more than `memory` bytes (None: half of what is
        free).
        """
        source, count = found.source, len(found.source.names)
        classes, numbers = sources.classes(source) if labels else ((), None)
        planes = channels or (1 if found.gray else 3)
        shape, dtype = (count, planes, *frame.size), np.uint16 if found.wide else np.uint8
        kept, pixels = _room(shape, np.dtype(dtype), folder=folder, memory=_free() // 2 if memory is None else memory)
        missing = set(found.broken)

        def one(index: int) -> tuple[str | None, bool]:
            name = source.names[index]
            if name in missing:
                return name, True
            try:
                array = pictures.read(source.open(index), name=name)
            except sources.UNREADABLE:
                return name, True
            gray = pictures.is_gray(array)
            pixels[index] = _planes(frame.place(_depth(array, dtype)), planes)
            return None, gray

        broken, gray = [], True
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for name, is_gray in pool.map(one, range(count)):
                each()
                gray = gray and is_gray
                if name is not None:
                    broken.append(name)
        _judge(source.path, broken, count)
        gone = set(broken)
        good = [index for index, name in enumerate(source.names) if name not in gone]
        if channels is None and gray and planes == 3:
            pixels = pixels[:, :1] if kept else np.ascontiguousarray(pixels[:, :1])
        says = [source.says] if source.says else []
        says += _remarks(found, broken, pixels)
        return cls(
            _compact(pixels, good),
            frame=frame,
            says=says,
            kept=kept,
            names=[source.names[index] for index in good],
            labels=None if numbers is None else numbers[good],
            classes=classes,
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
        found = people.split([people.person(name) for name in self.names] or [None] * len(self), share, seed=seed)
        return self._part(found.training, [*self.says, found.says]), self._part(found.held, [])

    def _part(self, chosen: np.ndarray, says: list[str]) -> Frames:
        return Frames(
            self.pixels,
            frame=self.frame,
            says=says,
            kept=self._kept,
            names=[self.names[index] for index in chosen.tolist()] if self.names else (),
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
            chosen = self._resident[torch.from_numpy(indices).to(device)]
            return chosen.float().div_(127.5).sub_(1)
        return _floats(self.pixels[self._rows[indices]]).to(device, non_blocking=True)

    def move(self, device: torch.device) -> bool:
        """Keep the 8-bit pictures on a GPU where they take at most a quarter of its free memory."""
        if device.type != "cuda" or self.pixels.dtype != np.uint8:
            return False
        if self.pixels[:1].nbytes * len(self) * 4 > torch.cuda.mem_get_info(device)[0]:
            return False
        self._resident = torch.from_numpy(np.ascontiguousarray(self.pixels[self._rows])).to(device)
        return True


class Phantoms:
    """Head phantoms without end, each drawn when it is shown; `heads` are the first and the end of those it draws."""

    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    fingerprint = "phantoms"

    def __init__(self, *, frame: Frame, channels: int, heads: tuple[int, int] = (0, 2**31)) -> None:
        self.frame = frame
        self.channels = channels
        self.heads = heads
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
        head = phantoms.phantom(self.heads[0] + index, size=self.frame.picture)
        return _planes(self.frame.place(head), self.channels)

    def order(self, shown: np.ndarray, *, seed: int) -> np.ndarray:
        """Every place has a head of its own."""
        return (shown + schedule.stream(seed, "heads") % 2**30) % len(self)

    def batch(self, indices: np.ndarray, *, device: torch.device) -> Tensor:
        """Pictures as float32 [N, C, H, W] from -1 to 1."""
        return _floats(np.stack([self.picture(index) for index in indices.tolist()])).to(device)


@functools.lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, count: int) -> np.ndarray:
    return schedule.shuffled(seed, epoch, count)


def _floats(pixels: np.ndarray) -> Tensor:
    half = np.float32(np.iinfo(pixels.dtype).max / 2)
    return torch.from_numpy(pixels.astype(np.float32)).div_(float(half)).sub_(1)


def _depth(array: np.ndarray, dtype: type) -> np.ndarray:
    """8-bit levels among 16-bit ones: x 257 takes 255 to 65535."""
    if dtype is np.uint8:
        return pictures.as_8bit(array)
    return array if array.dtype == np.uint16 else array.astype(np.uint16) * 257


def _planes(array: np.ndarray, channels: int) -> np.ndarray:
    """[h, w] or [h, w, 3] -> [channels, h, w]; RGB becomes gray by ITU-R 601 luma."""
    if array.ndim == 2:
        return np.broadcast_to(array, (channels, *array.shape))
    if channels == 3:
        return array.transpose(2, 0, 1)
    luma = array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.rint(luma).astype(array.dtype)[None]


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
    kept = tempfile.TemporaryDirectory(dir=folder, prefix="frames-", ignore_cleanup_errors=True)
    return kept, np.memmap(Path(kept.name) / "frames", dtype, mode="w+", shape=shape)


def _free() -> int:
    """Bytes of memory that are free; 4 GiB where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 * 2**30


def _remarks(found: Survey, broken: list[str], pixels: np.ndarray) -> list[str]:
    """What a person should know about their data, one sentence each."""
    says = []
    if broken:
        count = f"{len(broken)} of {len(found.source.names)}"
        says.append(f"{count} pictures cannot be read and are left out: {_ten(broken)}")
    if found.shapes > 1:
        says.append(f"{found.shapes} shapes, fitted to the most common one, {found.picture[0]}x{found.picture[1]}")
    if pixels.dtype == np.uint16:
        brightest = int(pixels[:64].max())
        if brightest < 2**14:
            says.append(f"these 16-bit pictures are dark: the brightest of the first ones reaches {brightest} of 65535")
    return says
