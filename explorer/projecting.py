"""The verb project: a picture, or many of them -> points kept beside a network, with what is said of them."""

from __future__ import annotations

import argparse
import base64
import csv
import functools
import hashlib
import json
import math
import os
import re
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any

import numpy as np

from core import pictures, sources
from core.errors import DataError, OutputError, PictureError, SettingError, StyloscopeError
from core.files import cache_folder, writing
from explorer import features, kept
from explorer.flags import Steps, needed, place_for, recipe_of, say
from explorer.kept import Point
from explorer.networks import Network
from explorer.projection import Distance, Found, Moment, Wish
from explorer.projector import Projector

__all__ = ["PREVIEW", "STOP", "Watched", "do_project", "free_name", "point_of", "words"]

PREVIEW, STOP = "preview.json", "stop"  # in the folder that a job is watched through
MOST_PICTURES = 2000
_MOST_YARDSTICK = 4096  # bytes
_PREVIEW_SECONDS = 0.7
_TRIES = 10  # to show the last one
_PER_ROW = 4
_GAP = 2  # pixels between two pictures of the sheet
_COLUMNS = ("file", "point", "levels", "psnr", "features", "own_levels", "own_psnr", "own_features", "label", "steps")


def do_project(flags: argparse.Namespace) -> None:
    """Write the point of a picture, or those of a folder or zip with a table and a sheet."""
    wish = wish_of(flags)
    out = needed(flags.out, "a point's name or X.safetensors; X.csv for a folder or zip")
    source: Path = flags.source
    many = source.is_dir() or _is_zip(source)
    if flags.watch is not None:
        place_for(flags.watch / PREVIEW)
    named = _checked_out(out, many=many)
    found = _listed(source) if many else []
    studio, base = recipe_of(flags)
    network = studio.check(base)
    if named is not None:
        _check_free(network, named, replace=flags.replace)
    else:
        place_for(out)
        if many:
            place_for(out.with_suffix(".png"))
    picture = None if many else pictures.read(source)
    if flags.watch is not None:
        flags.watch.mkdir(parents=True, exist_ok=True)
    projector = Projector(
        network,
        growth=network.growth(base.grown),
        looks=None if flags.features is None else features.of_file(flags.features),
        device=flags.device,
    )
    yardstick = Yardsticks(network, projector)
    watched = Watched(flags.watch, Steps(flags, None))
    with stopping() as stopped:
        stop = lambda: stopped() or watched.asked  # noqa: E731
        if picture is None:
            _many(flags, found, out, network=network, projector=projector, wish=wish, watched=watched, stop=stop)
            return
        made = yardstick.project(picture, wish, progress=watched, stop=stop)
    name = named or _stem(out)
    point = point_of(made, network, name=name, source=source.name, wish=wish)
    path = kept.keep(network, point, replace=flags.replace) if named is not None else _write(out, point)
    if flags.watch is not None:
        watched.show(made)
    say(flags, [path], point=point.name, **told(made), network=network.name, sha=network.sha, looks=projector.looks)
    if not flags.json:
        print(words(made.distance, made.own), file=sys.stderr)


def wish_of(flags: argparse.Namespace) -> Wish:
    """What the flags ask for. Raises SettingError."""
    return Wish(
        space=flags.space,
        steps=flags.steps,
        seconds=flags.seconds,
        noise_maps=flags.noise_maps,
        label=flags.label,
    )


def words(distance: Distance, own: Distance | None) -> str:
    """The distance as a sentence that can be read by itself."""
    said = f"{distance.levels:.1f} gray levels from the picture (root mean square of 0 to 255; {distance.psnr:.1f} dB)"
    if own is None:
        return f"{said}; a picture of the network's own was not measured."
    beside = f"a picture of the network's own comes back to {own.levels:.1f} ({own.psnr:.1f} dB)"
    if distance.levels > 2 * own.levels + 1:
        return f"{said}; {beside}: what is left over the network does not show."
    return f"{said}; {beside}: the network shows this picture as well as its own."


def told(found: Found) -> dict[str, Any]:
    """What is said of a projection, as JSON."""
    return {
        "distance": found.distance.values(),
        "own_distance": None if found.own is None else found.own.values(),
        "label": found.label,
        "steps": found.steps,
        "seconds": round(found.seconds, 1),
        "stopped": found.stopped,
    }


def point_of(found: Found, network: Network, *, name: str, source: str, wish: Wish) -> Point:
    """The point of a projection, with what its maker found."""
    facts = {key: value for key, value in told(found).items() if key != "seconds"}
    about = {"network": network.name, "sha": network.sha, "made": "project", "source": _printable(source)}
    return Point(name, found.ws, found.noise, {**about, "space": wish.space, **facts})


def free_name(network: Network, wished: str, taken: Sequence[str] = ()) -> str:
    """A name like the one wished that no point has: letters and digits of it, numbered where it is taken."""
    stem = re.sub(r"[^\w.-]+", "-", wished, flags=re.ASCII).strip("-._")[:48] or "picture"
    try:
        kept.check_name(stem)
    except SettingError:
        stem = f"picture-{stem}"[:48]
    there = {name.casefold() for name in [*kept.names(network, "points"), *taken]}
    numbered = (stem if number == 1 else f"{stem}-{number}" for number in range(1, kept.MOST_KEPT + MOST_PICTURES + 2))
    return next(name for name in numbered if name.casefold() not in there)


# --- a folder or zip ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Own:
    """One of many pictures, by the path inside its folder or zip; `read` raises PictureError."""

    path: PurePosixPath
    read: Callable[[], np.ndarray]


def _listed(source: Path) -> list[_Own]:
    """The pictures directly in a folder, or anywhere in a zip, by name. Raises DataError."""
    if source.is_dir():
        files = sorted(path for path in source.iterdir() if path.suffix.lower() in sources.SUFFIXES and path.is_file())
        found = [_Own(PurePosixPath(file.name), functools.partial(pictures.read, file)) for file in files]
    else:
        inside = sources.find(source, bare=False)
        if inside.says:
            print(f"note: {inside.says}", file=sys.stderr)
        which = [k for k in range(len(inside.names)) if inside.kind(k) == "picture"]
        found = [_Own(PurePosixPath(inside.names[k]), functools.partial(_member, inside, k)) for k in which]
    if not found:
        raise DataError(f"{source} holds no pictures; {', '.join(sorted(sources.SUFFIXES))} are read")
    if len(found) > MOST_PICTURES:
        raise DataError(f"{source} holds {len(found)} pictures; at most {MOST_PICTURES} are projected at once")
    return found


def _is_zip(path: Path) -> bool:
    """Whether a file is a zip from its beginning on: a picture may have one behind it."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"PK" and zipfile.is_zipfile(file)
    except OSError:
        return False


def _member(inside: sources.Folder | sources.Zip, index: int) -> np.ndarray:
    shown = f"{inside.names[index]} in {inside.path}"
    try:
        return pictures.read(inside.open(index), name=shown)
    except PictureError:
        raise
    except sources.UNREADABLE as wrong:
        raise PictureError(f"{shown} cannot be read ({sources.reason(wrong)}); make the zip again") from wrong


def _many(
    flags: argparse.Namespace,
    found: list[_Own],
    out: Path,
    *,
    network: Network,
    projector: Projector,
    wish: Wish,
    watched: Watched,
    stop: Callable[[], bool],
) -> None:
    yardstick, rows, pairs, names, unread = Yardsticks(network, projector), [], [], list[str](), list[str]()
    room = _room(projector.window[2:])
    for index, own in enumerate(found):
        if stop():
            break
        watched.among(index, len(found))
        try:
            made = yardstick.project(own.read(), wish, progress=watched, stop=stop)
        except PictureError as wrong:
            unread.append(str(wrong))
            continue
        name = _printable(own.path.stem)
        # What this very run has made is never replaced: a.png and a.jpg are two pictures.
        made_now = name.casefold() in (one.casefold() for one in names)
        if not flags.replace or made_now or not _is_name(name):
            name = free_name(network, own.path.stem, names)
        kept.keep(network, point_of(made, network, name=name, source=own.path.name, wish=wish), replace=flags.replace)
        names.append(name)
        rows.append(_row(own.path, name, made))
        if len(rows) <= room:
            pairs.extend([made.target, made.picture])
    if not rows:
        raise DataError(unread[0] if unread else f"nothing was projected; the first picture is {found[0].path}")
    sheet = out.with_suffix(".png")
    with writing(out) as first, writing(sheet) as second:
        with open(first, "w", newline="", encoding="utf-8") as table:
            writer = csv.DictWriter(table, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        second.write_bytes(pictures.encode(pictures.grid(pairs, columns=2 * _PER_ROW, gap=_GAP), "png", level=6))
    if len(rows) > room:
        print(f"note: {sheet} shows the first {room} of {len(rows)}; a picture has no room for more", file=sys.stderr)
    for sentence in unread:
        print(f"left out: {sentence}", file=sys.stderr)
    say(flags, [out, sheet], points=names, rows=rows, network=network.name, sha=network.sha, left_out=len(unread))


def _room(shape: tuple[int, int]) -> int:
    """How many pairs of pictures of that height and width a sheet holds: whole rows of them."""
    height, width = (side + _GAP for side in shape)
    return max(1, pictures.PIXEL_LIMIT // (height * width * 2 * _PER_ROW)) * _PER_ROW


def _row(path: PurePosixPath, name: str, made: Found) -> dict[str, Any]:
    own = {} if made.own is None else {f"own_{key}": value for key, value in made.own.values().items()}
    about = {"file": _printable(str(path)), "point": name, "label": made.label, "steps": made.steps}
    return {**dict.fromkeys(_COLUMNS), **about, **made.distance.values(), **own}


# --- what own pictures come back to --------------------------------------------------------------------------------


class Yardsticks:
    """Projects, and keeps what the network's own picture came back to, so that it is worked out once."""

    def __init__(self, network: Network, projector: Projector) -> None:
        self.network, self.projector = network, projector
        self._known: dict[str, Distance] = {}

    def project(
        self, picture: Any, wish: Wish, *, progress: Callable[[Moment], None] | None, stop: Callable[[], bool]
    ) -> Found:
        """As Projector.project, with a yardstick that is worked out only where none is known."""
        found = self.projector.project(picture, wish, progress=progress, stop=stop, yardstick=self._read)
        # Of what was stopped, no yardstick was worked out by these steps.
        if found.own is not None and not found.stopped:
            self._keep(replace(wish, steps=found.steps, seconds=None, label=found.label), found.own)
        return found

    def _path(self, wish: Wish) -> Path:
        about = {**asdict(wish), "looks": self.projector.looks, "size": self.projector.size, "version": 2}
        key = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=8).hexdigest()
        return cache_folder() / f"{self.network.sha}.{key}.own.json"

    def _read(self, wish: Wish) -> Distance | None:
        path = self._path(wish)
        if str(path) in self._known:
            return self._known[str(path)]
        try:
            with open(path, "rb") as file:
                said = json.loads(file.read(_MOST_YARDSTICK))
            values = [said[name] for name in ("levels", "psnr", "features")]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        if not all(type(value) in (int, float) and math.isfinite(value) and value >= 0 for value in values):
            return None
        self._known[str(path)] = found = Distance(*map(float, values))
        return found

    def _keep(self, wish: Wish, own: Distance) -> None:
        if self.projector.looks == "a file":  # whose content the name of the kept one does not hold
            return
        path = self._path(wish)
        if self._known.get(str(path)) == own:
            return
        self._known[str(path)] = own
        with suppress(OutputError), writing(path) as temporary:
            temporary.write_text(json.dumps(own.values()), encoding="utf-8")


# --- watching and stopping -----------------------------------------------------------------------------------------


class Watched:
    """Says how far a projection is; through a folder also shows it, and hears there that it shall stop and keep."""

    def __init__(self, folder: Path | None, steps: Steps) -> None:
        self.folder, self.steps = folder, steps
        self._shown = -math.inf
        self._place = (0, 1)

    @property
    def asked(self) -> bool:
        """Whether somebody has put the file there that asks to stop."""
        return self.folder is not None and (self.folder / STOP).exists()

    def among(self, index: int, count: int) -> None:
        """The picture that comes is number `index` of `count`."""
        self._place = (index, count)

    def __call__(self, moment: Moment) -> None:
        """Tell of one step."""
        index, count = self._place
        if count == 1:
            self.steps.at(moment.done, moment.total)
        elif moment.done % 10 == 0 or moment.done == moment.total:
            done = index + moment.done / max(1, moment.total)
            self.steps.at(round(100 * done), 100 * count)
        now = time.monotonic()
        if self.folder is not None and moment.shown and now - self._shown >= _PREVIEW_SECONDS:
            self._shown = now
            self.show(moment.reached(), stage=moment.stage)

    def show(self, found: Found, *, stage: str = "") -> None:
        """Put what there is by now into the folder, whole."""
        assert self.folder is not None
        data = base64.b64encode(pictures.encode(found.picture, "png")).decode("ascii")
        target = base64.b64encode(pictures.encode(found.target, "png")).decode("ascii")
        about = {**told(found), "stage": stage, "words": words(found.distance, found.own)}
        temporary = self.folder / f".{PREVIEW}.{os.getpid()}"
        text = json.dumps({**about, "picture": data, "target": target})
        # Windows refuses while the page reads the one before. The projection goes on: another one comes, and of the
        # last one, which has no stage, it is tried again.
        for _ in range(1 if stage else _TRIES):
            try:
                temporary.write_text(text, encoding="utf-8")
                os.replace(temporary, self.folder / PREVIEW)
                return
            except OSError:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                time.sleep(0 if stage else 0.05)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, which then stops at the next step; a second one ends the program as ever."""
    pressed = threading.Event()

    def hear(_number: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, hear)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


# --- names and files -----------------------------------------------------------------------------------------------


def _checked_out(out: Path, *, many: bool) -> str | None:
    """The name of a point, None where --out is a file. Raises SettingError."""
    suffix = out.suffix.lower()
    if many:
        if suffix != ".csv":
            allowed = "the table of a folder or zip is written as .csv, with its sheet as .png beside it"
            raise SettingError("out", out, allowed)
        return None
    if suffix == kept.SUFFIX:
        return None
    if out.name != str(out) or suffix in (".csv", *sources.SUFFIXES):
        raise SettingError("out", out, "the name of a point, or a path with .safetensors")
    return kept.check_name(str(out))


def _check_free(network: Network, name: str, *, replace: bool) -> None:
    taken = name.casefold() in (one.casefold() for one in kept.names(network, "points"))
    if taken and not replace:
        raise SettingError("out", name, "that point is there already; choose another name, or give --replace")


def _is_name(name: str) -> bool:
    try:
        kept.check_name(name)
    except StyloscopeError:
        return False
    return True


def _stem(out: Path) -> str:
    return out.stem if _is_name(out.stem) else "point"


def _printable(text: str) -> str:
    """A file's name as JSON and CSV can hold it."""
    return "".join(c for c in text.encode("utf-8", "replace").decode() if c.isprintable())[:200]


def _write(out: Path, point: Point) -> Path:
    with writing(out) as temporary:
        temporary.write_bytes(kept.file_bytes(point))
    return out
