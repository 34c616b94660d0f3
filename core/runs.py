"""The names of what lies in a run folder, and its bounded readers. Nothing here writes.

A run folder may come from anywhere, and somebody may be writing it at this moment: no reader takes more bytes than it
says, and numbers that are none (NaN, Infinity) are read as null.

RUN/config.json  command.txt  data.png  log.jsonl  losses.csv  losses.png  evolution.gif  best.json  metrics.jsonl
RUN/samples/000012.png  checkpoints/000012.safetensors  state/          the number is kimg, rounded down
RUN/state/frame-000012345.png  the sheets of evolution.gif; the number is images seen
RUN/state/lock  of the training that writes it      tensorboard/  events, where tensorboard is installed
RUN/drawings/generator-014x012-fade.svg             the networks at every size
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from core import lock
from core.errors import DataError, SettingError

__all__ = [
    "Part",
    "best",
    "best_facts",
    "checkpoint_path",
    "checkpoints",
    "command",
    "config",
    "find",
    "frame_path",
    "frames",
    "holder",
    "inside",
    "is_run",
    "log",
    "metrics",
    "newest",
    "part",
    "runs",
    "sample_path",
    "samples",
    "tail",
    "text",
]

CONFIG = "config.json"
COMMAND = "command.txt"
DATA = "data.png"
LOG = "log.jsonl"
CURVES = "losses.csv"
LOSSES = "losses.png"
EVOLUTION = "evolution.gif"
METRICS = "metrics.jsonl"
BEST = "best.json"
GRID = "grid.png"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
DRAWINGS = "drawings"
STATE = "state"
LOCK = "lock"
BOARD = "tensorboard"

LARGEST_LOG = 256 << 20  # bytes; four hundred thousand ticks
LARGEST_FACTS = 4 << 20  # of a file with one JSON object
LARGEST_COMMAND = 1 << 20
READ = 8 << 20  # of a log that is followed, in one answer
TAIL = 1 << 16
_MARK = 64  # bytes before a place that tell whether it is still the same file
_PLACE = re.compile(r"(\d{1,15})-([0-9a-f]{8})", re.ASCII)
_NUMBERED = re.compile(r"\d{6,}")
_FRAME = re.compile(r"frame-([0-9]{9,12})\.png")


@dataclass(frozen=True)
class Part:
    """Lines of a log from one place on. `next` is the place to ask from the next time.

    `fresh` says that they begin at the file's beginning, or at the last READ bytes of it; `more` that there are further
    lines already.
    """

    entries: list[dict[str, Any]]
    next: str
    fresh: bool
    more: bool


def is_run(path: str | Path) -> bool:
    """Whether the folder at `path` is one that a training left behind; False where nobody may look."""
    return _is_file(Path(path) / CONFIG)


def runs(folder: str | Path) -> list[Path]:
    """The runs directly inside `folder`, by name; empty where there is no such folder, or nobody may look into it."""
    return sorted(entry for entry in _entries(Path(folder)) if is_run(entry))


def latest(folder: str | Path) -> Path | None:
    """The run directly inside `folder` whose log was written last, or that began last; None where there is none."""
    return max(runs(folder), key=_written, default=None)


def _written(run: Path) -> tuple[float, str]:
    """When a run last wrote to its log, in seconds, and its name."""
    times = []
    for name in (LOG, CONFIG):
        with contextlib.suppress(OSError):
            times.append((run / name).stat().st_mtime)
    return max(times, default=0.0), run.name


def config(path: str | Path) -> dict[str, Any]:
    """config.json of the run at `path`: every setting by name, and under "resolved" what auto became."""
    return _object(Path(path) / CONFIG)


def command(path: str | Path) -> str:
    """The command line that began the run, or an empty string where it was not kept."""
    try:
        return _decoded(_bytes(Path(path) / COMMAND, most=LARGEST_COMMAND)[:LARGEST_COMMAND]).strip()
    except OSError:
        return ""


def log(path: str | Path) -> list[dict[str, Any]]:
    """log.jsonl as a list, one entry a tick, oldest first; a last line that is still being written is left out.

    Raises DataError for a line that is no JSON object, and for a log beyond LARGEST_LOG bytes.
    """
    return _lines(Path(path) / LOG)


def metrics(path: str | Path) -> list[dict[str, Any]]:
    """metrics.jsonl as a list, oldest first. Raises DataError as `log` does."""
    return _lines(Path(path) / METRICS)


def part(path: str | Path, name: str, *, after: str = "") -> Part:
    """Lines of RUN/name (log.jsonl, metrics.jsonl) after the place `after`, "" for its beginning.

    A last line that is still being written is left for the next time, a line that is no JSON object is passed over; a
    log that was cut back, and perhaps written on, begins anew. Raises SettingError for an `after` that no part has
    given.
    """
    offset, mark = _place(after)
    file = inside(path, name)
    if file is None:
        return Part([], "", True, False)
    try:
        with open(file, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            fresh = offset == 0 or offset > size or _mark(stream, offset) != mark
            if fresh:
                offset = max(0, size - READ)
            stream.seek(offset)
            content = stream.read(READ)
            end = content.rfind(b"\n") + 1
            if end == 0 and len(content) == READ:
                end = len(content)  # nobody's line is as long as that
            place = f"{offset + end}-{_mark(stream, offset + end)}"
    except OSError:
        return Part([], "", True, False)
    entries = list(_objects(content[:end]))
    return Part(entries, next=place, fresh=fresh, more=end > 0 and offset + len(content) < size)


def tail(path: str | Path, name: str = LOG) -> list[dict[str, Any]]:
    """The whole lines among the last TAIL bytes of a log; empty where there is none."""
    file = inside(path, name)
    if file is None:
        return []
    try:
        with open(file, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
            content = stream.read(TAIL)
    except OSError:
        return []
    return list(_objects(content[: content.rfind(b"\n") + 1]))


def text(path: str | Path, name: str, *, most: int) -> str:
    """The first `most` bytes of RUN/name as text; empty where there is no such file."""
    file = inside(path, name)
    try:
        return _decoded(_bytes(file, most=most)[:most]).strip() if file is not None else ""
    except OSError:
        return ""


def inside(path: str | Path, *parts: str) -> Path | None:
    """The regular file at RUN/parts; None where there is none or a link leads to it out of the run."""
    try:
        file = Path(path, *parts).resolve(strict=True)
        ordinary = file.is_relative_to(Path(path).resolve(strict=True)) and stat.S_ISREG(file.stat().st_mode)
    except (OSError, RuntimeError, ValueError):
        return None
    return file if ordinary else None


def checkpoints(path: str | Path) -> list[Path]:
    """The run's network files, oldest first."""
    return _numbered(Path(path) / CHECKPOINTS, suffix=".safetensors")


def samples(path: str | Path) -> list[Path]:
    """The run's sample sheets, oldest first."""
    return _numbered(Path(path) / SAMPLES, suffix=".png")


def frames(path: str | Path) -> list[tuple[int, Path]]:
    """(images seen, file) of the sheets behind evolution.gif, oldest first; there may be several of one kimg."""
    named = [(_FRAME.fullmatch(file.name), file) for file in _entries(Path(path) / STATE)]
    return sorted((int(name[1]), file) for name, file in named if name)


def holder(path: str | Path) -> lock.Holder | None:
    """Who writes the run at `path`, dead or alive; None where nobody does. Without a live one it is not running."""
    return lock.holder(Path(path) / STATE / LOCK)


def newest(path: str | Path) -> Path | None:
    """The run's latest network file, or None while it has none."""
    found = checkpoints(path)
    return found[-1] if found else None


def best_facts(path: str | Path) -> dict[str, Any] | None:
    """best.json: checkpoint (a file name), measure, value and kimg; None where no measure has chosen one."""
    file = Path(path) / BEST
    return _object(file) if _is_file(file) else None


def best(path: str | Path) -> Path | None:
    """The network file that best.json names, or None where no measure has chosen one."""
    facts = best_facts(path)
    named = Path(path) / CHECKPOINTS / Path(str((facts or {}).get("checkpoint", ""))).name
    return named if _is_file(named) else None


def find(folder: str | Path, name: str) -> Path | None:
    """The network file called `RUN` (its newest) or `RUN/000012` among the runs in `folder`, or None.

    Only names that are listed can be found, so that a name from outside never leaves the folder.
    """
    run, _, number = name.partition("/")
    for candidate in runs(folder):
        if candidate.name == run:
            if not number:
                return newest(candidate)
            return next((file for file in checkpoints(candidate) if file.stem == number), None)
    return None


def checkpoint_path(path: str | Path, images: int) -> Path:
    """Where the networks after `images` images belong."""
    return Path(path) / CHECKPOINTS / f"{images // 1000:06d}.safetensors"


def sample_path(path: str | Path, images: int) -> Path:
    """Where the sample sheet after `images` images belongs."""
    return Path(path) / SAMPLES / f"{images // 1000:06d}.png"


def frame_path(path: str | Path, images: int) -> Path:
    """Where the sheet after `images` images is kept for evolution.gif."""
    return Path(path) / STATE / f"frame-{images:09d}.png"


def _numbered(folder: Path, *, suffix: str) -> list[Path]:
    found = [file for file in _entries(folder) if file.suffix == suffix and _NUMBERED.fullmatch(file.stem)]
    return sorted(found, key=lambda file: int(file.stem))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder of somebody else, who lets nobody in
        return False


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where there is none, or nobody may look."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _unreadable(file: Path, wrong: OSError) -> DataError:
    return DataError(f"{file} cannot be read ({wrong.strerror}); make it readable or name another run")


def _object(file: Path) -> dict[str, Any]:
    try:
        content = _bytes(file, most=LARGEST_FACTS)
    except FileNotFoundError as wrong:
        sentence = f"{file} is missing, so {file.parent} is no run; name the folder that a training made"
        raise DataError(sentence) from wrong
    except OSError as wrong:
        raise _unreadable(file, wrong) from wrong
    if len(content) > LARGEST_FACTS:
        raise DataError(f"{file} is larger than any that a training writes; restore it or train again")
    try:
        value = _value(content)
    except (ValueError, RecursionError) as wrong:
        raise DataError(f"{file} is not readable as JSON ({wrong}); restore it or train again") from wrong
    if not isinstance(value, dict):
        raise DataError(f"{file} does not hold a JSON object; restore it or train again")
    return value


def _lines(file: Path) -> list[dict[str, Any]]:
    if not _is_file(file):
        return []
    try:
        content = _bytes(file, most=LARGEST_LOG)
    except OSError as wrong:
        raise _unreadable(file, wrong) from wrong
    if len(content) > LARGEST_LOG:
        raise DataError(f"{file} is larger than any that a training writes; restore it or train again")
    # Bytes, since a text's own lines end at other characters, too, which may stand in a name.
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            value = _value(line)
            if not isinstance(value, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as wrong:
            if number == len(lines):
                break
            raise DataError(f"{file} line {number} is not JSON ({wrong}); take the line out") from wrong
        entries.append(value)
    return entries


def _objects(content: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects among lines; whatever else there is, is passed over."""
    for line in content.split(b"\n"):
        try:
            value = _value(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _value(content: bytes) -> Any:
    """JSON, with null for numbers that are none or beyond any float. Raises ValueError, RecursionError."""
    return json.loads(_decoded(content), parse_constant=lambda _: None, parse_float=_float, parse_int=_int)


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _int(digits: str) -> int | None:
    return int(digits) if len(digits) <= 300 else None


def _bytes(file: Path, *, most: int) -> bytes:
    """At most one byte more than `most`, which tells that there are more."""
    with open(file, "rb") as stream:
        return stream.read(most + 1)


def _decoded(content: bytes) -> str:
    """UTF-8; what is none becomes marks in its place."""
    return content.decode("utf-8", "replace")


def _place(after: str) -> tuple[int, str]:
    if after == "":
        return 0, ""
    found = _PLACE.fullmatch(after)
    if found is None:
        raise SettingError("after", after, "the place that the answer before gave as next, or nothing")
    return int(found[1]), found[2]


def _mark(stream: BinaryIO, offset: int) -> str:
    """What stands before a place, in short: a log that was cut back and written on is another log."""
    stream.seek(max(0, offset - _MARK))
    return hashlib.sha256(stream.read(min(offset, _MARK))).hexdigest()[:8]
