"""A set of real pictures read once into a network's frame, and kept in the cache folder of this user.

Folders and zips of pictures; volumes, scans and arrays become pictures by `python -m train.prepare`. What is read is
what the training reads: core.sources, core.people and core.frame are the trainer's own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np

from core import people, pictures, sources
from core.errors import DataError
from core.files import cache_folder, writing
from core.frame import Frame, as_planes, at_depth, averaged
from core.manifest import Manifest
from core.sizes import LARGEST, crop_at
from explorer import nearest
from explorer.nearest import Real, Yardstick
from explorer.networks import Network
from explorer.realset import Choice
from explorer.recipe import Grown

__all__ = ["Gathered", "Look"]

MOST_FILES = 200_000
MOST_BYTES = 1 << 30  # of the pictures of one set; larger ones are compared at half their size, a quarter, ...
MOST_KEPT = 4 << 30  # bytes of the cache, the set used last among them
SMALLEST = 16  # pixels that are never halved
_FORMAT = 1  # of what is kept
_AT_ONCE = 64  # pictures read between two steps of the progress
_WORKING = 1 << 30  # bytes that decoders may take at once
_SIZE = tuple[int, int]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Gathered:
    """A set as a network would show it: `real` row by row, the pictures' `names` in the set, what there is to `say`.

    `proof` is how it is known that the network was trained on it: "same" (the pictures' fingerprint is the one in the
    network's header), "count" (as many pictures as the header says), "unknown", or "other" (neither).
    """

    look: Look
    real: Real
    names: tuple[str, ...]
    picture: _SIZE
    proof: str
    says: tuple[str, ...]

    @property
    def halvings(self) -> int:
        """How often pictures were halved, beyond what the network did, to stay within the bounds."""
        return self.look.halvings

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}

    def row(self, name: str) -> int | None:
        """The row of a picture by its name in the set."""
        return self._rows.get(name)

    def fitted(self, shown: np.ndarray) -> np.ndarray:
        """A picture as the network shows it, uint8, as `real` has them: the same but where those were halved."""
        planes = as_planes(
            np.dstack([shown] * 3) if shown.ndim == 2 and self.look.channels == 3 else shown, self.look.channels
        )
        if not self.halvings:
            return _upright(planes)
        top, left, height, width = self.look.window
        frame = np.zeros((1, len(planes), *self.look.size), np.uint8)
        frame[0, :, top : top + height, left : left + width] = planes
        return pictures.crop(_upright(averaged(frame, self.look.kept_size)[0]), self.look.box)

    def placed(self, picture: np.ndarray) -> np.ndarray:
        """A picture of any size, put where a real one would be: uint8, as `real` has them."""
        if picture.shape[:2] == self.look.window[2:]:
            return self.fitted(pictures.as_8bit(picture))
        planes = self.look.framed(pictures.as_8bit(picture), self.look.frame(self.picture))
        return pictures.crop(_upright(averaged(planes[None], self.look.kept_size)[0]), self.look.box)

    def measured(self, *, work: bool = True, progress: Progress = lambda done, total: None) -> Yardstick | None:
        """What held-out pictures say, from the cache or worked out; None where it would be `work`. DataError."""
        flipped = "-mirrored" if self.real.mirrored else ""
        path = self.look.place(f"{self.real.kind}{flipped}.npz")
        try:
            with np.load(path, allow_pickle=False) as kept:
                found = Yardstick(self.real.kind, kept["distances"], kept["leads"])
            whole = found.distances.shape == found.leads.shape == (found.distances.size,)
            if found.distances.size and whole and np.isfinite(found.distances).all():
                return found
        except (OSError, ValueError, KeyError, EOFError, TypeError, BadZipFile, ZlibError, MemoryError):
            pass  # not there, or damaged: it is worked out again
        if not work:
            return None
        if len(np.unique(self.real.who[self.real.training])) < 2:
            raise DataError(f"{self.look.choice.path} has too few pictures to look among; name a set of several people")
        found = nearest.measured(self.real, tick=lambda share: progress(round(1000 * share), 1000))
        with writing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, distances=found.distances, leads=found.leads)
        return found


class Look:
    """A set and a network's frame, before any picture is read: which files, whose, and where they are kept.

    Raises DataError where the set cannot be used.
    """

    def __init__(self, choice: Choice, network: Network, grown: Grown | None) -> None:
        self.choice = choice
        self.channels = network.channels
        self._network = network
        self._source = sources.find(choice.path, only=choice.only, most=MOST_FILES, bare=False)
        every = range(len(self._source.names))
        self._chosen = [index for index in every if self._source.kind(index) == "picture"]
        if not self._chosen:
            raise DataError(
                f"{choice.path} holds volumes, scans or arrays and no pictures; make a zip of slices of them with "
                "python -m train.prepare"
            )
        self._people = Manifest.of(self._source).people
        self.size = network.growth(grown)[0]
        self.window = network.window(grown)  # of what people are shown, at that size
        self.halvings = _halvings(len(self._chosen) * self.channels, self.size)
        self.box = crop_at(self.window, self.halvings)
        self.kept_size = self.size[0] >> self.halvings, self.size[1] >> self.halvings

    @cached_property
    def key(self) -> str:
        """Another key, other pictures: of the files' names and stamps, and of what says how they are shown."""
        choice, picture = self.choice, self._network.about["picture"]
        shown = [_FORMAT, self._network.sizes[-1], self.kept_size, self._network.crop, self.channels]
        about = [*shown, choice.fit, choice.holdout, choice.seed, picture.get("full"), picture.get("fit")]
        digest = hashlib.sha256(json.dumps(about).encode())
        for index in self._chosen:
            name = self._source.names[index]
            digest.update(f"\0{name}\0{self._source.stamp(index)}\0{self._who(name)}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]

    def place(self, ending: str) -> Path:
        """Where something about this set is kept."""
        return _folder() / f"{self.key}.{ending}"

    def frame(self, picture: _SIZE) -> Frame:
        """The frame that the training used for pictures of which `picture` is the most common shape."""
        about, size = self._network.about["picture"], self._network.sizes[-1]
        larger = [(size[0] << k, size[1] << k) for k in range(1, LARGEST.bit_length())]
        full = next((one for one in larger if list(one) == about.get("full") and max(one) <= LARGEST), size)
        fit = self.choice.fit or about.get("fit")
        return Frame.showing(picture, size=size, full=full, crop=self._network.crop, fit=fit)

    def framed(self, picture: np.ndarray, frame: Frame) -> np.ndarray:
        """A picture in the frame, [C, H, W], the dtype kept."""
        return as_planes(frame.place(picture), self.channels)

    def kept(self) -> Gathered | None:
        """What was read before, from the cache; None where there is nothing, or it is damaged."""
        facts = self._facts()
        try:
            pixels = np.load(self.place("npy"), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if (
            facts is None
            or pixels.dtype != np.uint8
            or pixels.shape != (len(self._chosen), self.channels, *self.kept_size)
        ):
            return None
        for ending in ("npy", "json"):
            _touch(self.place(ending))
        return self._gathered(pixels, facts)

    def read(self, *, progress: Progress = lambda done, total: None) -> Gathered:
        """Read every picture and keep them. Raises DataError where more than 1 in 20 cannot be, OutputError."""
        heads, broken = self._heads()
        sources.judge(self.choice.path, broken, len(self._chosen))
        shapes = Counter(head.size for head in heads.values())
        # As train/survey.py: of shapes that are equally common the larger one.
        picture = max(shapes, key=lambda size: (shapes[size], size[0] * size[1], size))
        reading = _Reading(self, heads, self.frame(picture))
        _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        with writing(self.place("npy")) as temporary:
            shape = (len(self._chosen), self.channels, *self.kept_size)
            pixels = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            try:
                reading.into(pixels, broken, progress=progress)
                pixels.flush()
            finally:
                del pixels  # Windows removes and renames no file that is mapped
        sources.judge(self.choice.path, broken, len(self._chosen))
        facts = {
            "read": reading.read,
            "broken": len(broken),
            "picture": picture,
            "fingerprint": "" if broken else reading.fingerprint,
        }
        with writing(self.place("json")) as temporary:
            temporary.write_text(json.dumps(facts), encoding="utf-8")
        _bounded(keep=self.key)
        found = self.kept()
        if found is None:
            raise DataError(f"{self.choice.path} changed while it was read; look again when it is at rest")
        return found

    def name(self, index: int) -> str:
        """The name of a file of the set."""
        return self._source.names[index]

    def open(self, index: int) -> Path | bytes:
        """A file of the set, as core.pictures takes it."""
        return self._source.open(index)

    def split(self, chosen: Sequence[int]) -> tuple[np.ndarray, str]:
        """Which of these files the network was trained on, bool [N], and the sentence about what was held out."""
        training = np.ones(len(chosen), bool)
        if not self.choice.holdout or len(chosen) < 2:
            return training, ""
        known = [self._who(self.name(index)) for index in chosen]
        found = people.split(known, self.choice.holdout, seed=self.choice.seed)
        training[found.held] = False
        return training, found.says

    def _who(self, name: str) -> str | None:
        return self._people.get(name) or people.person(name)

    def _heads(self) -> tuple[dict[int, pictures.Header], dict[str, str]]:
        """What single pictures say before they are decoded, by file, and the files that cannot be read and why."""
        heads, broken = dict[int, pictures.Header](), dict[str, str]()
        for index in self._chosen:
            try:
                head = pictures.read_header(self.open(index), name=self.name(index))
                if head.size[0] * head.size[1] > pictures.PIXEL_LIMIT:
                    raise DataError(f"{self.name(index)} has more pixels than can be read")
                heads[index] = head
            except (*sources.UNREADABLE, DataError) as wrong:
                broken[self.name(index)] = sources.reason(wrong)
        return heads, broken

    def _facts(self) -> dict[str, Any] | None:
        """What was written down about the pictures that were read; None where it is not there, or damaged."""
        try:
            with open(self.place("json"), encoding="utf-8") as file:
                facts = json.load(file)
            read, picture = facts["read"], facts["picture"]
            fits = all(type(index) is int and 0 <= index < len(self._source.names) for index in read)
            whole = len(picture) == 2 and all(type(side) is int and side > 0 for side in picture)
            return facts if fits and whole and read and len(read) <= len(self._chosen) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _gathered(self, pixels: np.ndarray, facts: dict[str, Any]) -> Gathered:
        read = facts["read"]
        known = [self._who(self.name(index)) for index in read]
        training, says = self.split(read)
        named = len({who for who in known if who is not None}) > 1
        numbers: dict[str, int] = {}
        who = [
            numbers.setdefault(f"p{one}" if one is not None and named else f"r{row}", len(numbers))
            for row, one in enumerate(known)
        ]
        real = Real(
            pixels[: len(read)], self.box, np.array(who, np.int64), training, named=named, mirrored=self.choice.mirror
        )
        proof = _proof(self._network, str(facts.get("fingerprint", "")), int(training.sum()))
        told = [self._source.says, says, *self._left_out(int(facts.get("broken", 0)))]
        names = tuple(self.name(index) for index in read)
        return Gathered(self, real, names, tuple(facts["picture"]), proof, tuple(one for one in told if one))

    def _left_out(self, broken: int) -> Iterator[str]:
        others = len(self._source.names) - len(self._chosen)
        if others:
            yield f"{others} volumes, scans and arrays are left out; python -m train.prepare makes pictures of them"
        if broken:
            yield f"{broken} pictures cannot be read and are left out"
        if self.halvings:
            shown, small = (f"{box[2]}x{box[3]}" for box in (self.window, self.box))
            yield f"pictures of {shown} are compared at {small}, since there are many"


class _Reading:
    """Pictures of a set put into their frame, many at a time, in order; and the fingerprint of those trained on.

    The fingerprint is that of train/data.py: 12 hex digits of a SHA-256 over count, shape, depth and pixels.
    """

    def __init__(self, look: Look, heads: dict[int, pictures.Header], frame: Frame) -> None:
        self._look = look
        self._heads = heads
        self._frame = frame
        self._depth = np.dtype(np.uint16 if any(head.wide for head in heads.values()) else np.uint8)
        self.read: list[int] = []
        self._training = dict(zip(heads, look.split(list(heads))[0].tolist(), strict=True))
        count, shape = sum(self._training.values()), (look.channels, *frame.size)
        self._digest = hashlib.sha256(f"{count} {shape} {self._depth.name}".encode())

    @property
    def fingerprint(self) -> str:
        """Of what was read, where all of it could be."""
        return self._digest.hexdigest()[:12]

    def into(self, pixels: np.ndarray, broken: dict[str, str], *, progress: Progress) -> None:
        """Fill the first rows of uint8 [N, C, h, w]; adds files that cannot be decoded to `broken`."""
        order = list(self._heads)
        largest = max(head.size[0] * head.size[1] for head in self._heads.values())
        threads = max(1, min(os.cpu_count() or 1, _WORKING // (8 * largest)))
        most = max(1, min(_AT_ONCE, _WORKING // (2 * self._frame.size[0] * self._frame.size[1] * self._look.channels)))
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(order), most):
                part = order[start : start + most]
                for index, framed in zip(part, pool.map(self._one, part), strict=True):
                    if isinstance(framed, str):
                        broken[self._look.name(index)] = framed
                        continue
                    if self._training[index]:
                        self._digest.update(framed.tobytes())
                    levels = framed if framed.dtype == np.uint8 else np.rint(framed / 257).astype(np.uint8)
                    pixels[len(self.read)] = averaged(levels[None], self._look.kept_size)[0]
                    self.read.append(index)
                progress(start + len(part), len(order))

    def _one(self, index: int) -> np.ndarray | str:
        """A picture in the frame, or why it cannot be read."""
        try:
            picture = pictures.read(self._look.open(index), name=self._look.name(index))
            return self._look.framed(at_depth(picture, self._depth), self._frame)
        except sources.UNREADABLE as wrong:
            return sources.reason(wrong)


def _halvings(planes: int, size: _SIZE) -> int:
    """How often so many planes of `size` are halved to stay within MOST_BYTES."""
    count = 0
    while planes * (size[0] >> count) * (size[1] >> count) > MOST_BYTES:
        sides = [side >> count for side in size]
        if any(side % 2 for side in sides) or min(sides) <= SMALLEST:
            break
        count += 1
    return count


def _upright(planes: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [H, W] or [H, W, 3]."""
    return np.ascontiguousarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))


def _proof(network: Network, fingerprint: str, count: int) -> str:
    """Whether the network was trained on these pictures, as far as its header says."""
    training = network.about.get("training")
    said = training if isinstance(training, dict) else {}
    if isinstance(said.get("fingerprint"), str) and fingerprint:
        return "same" if said["fingerprint"] == fingerprint else "other"
    if isinstance(said.get("pictures"), int):
        return "count" if said["pictures"] == count else "other"
    return "unknown"


def _folder() -> Path:
    return cache_folder() / "nearest"


def _touch(path: Path) -> None:
    """Say that a file was used, where that can be said."""
    try:
        os.utime(path)
    except OSError:
        return


def _bounded(*, keep: str) -> None:
    """Remove the sets used longest ago until the folder holds at most MOST_KEPT bytes; `keep` stays."""
    found = []
    for path in _folder().iterdir():
        try:
            looked = path.stat()
        except OSError:
            continue
        if not path.name.startswith((keep, ".")):
            found.append((looked.st_mtime, looked.st_size, path))
    room = MOST_KEPT - sum(path.stat().st_size for path in _folder().glob(f"{keep}.*"))
    for _, size, path in sorted(found, reverse=True):
        room -= size
        if room < 0:
            with suppress(OSError):  # Windows keeps what a page looks at
                path.unlink(missing_ok=True)
