"""What a run says while it runs, over the bounded readers of core.runs: columns, pictures, facts for a page.

Everything in a run folder is data and may be anything: only finite numbers of log lines are taken, and links that lead
out of the folder are not followed.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core import lock, runs
from core.errors import DataError, SettingError

__all__ = ["Moment", "Rows", "facts", "listed", "moments", "rows", "sheet", "state"]

MOST_ROWS = 2000  # points of a curve in one answer
MOST_RUNS = 200
MOST_MOMENTS = 1000
MOST_KEYS = 64
MOST_WORDS = 2000  # characters of a text taken from a run
MOST_COMMANDS = 1 << 16  # bytes of command.txt that are read
LARGEST_SHEET = 32 << 20  # bytes
LARGEST_SIDES = 64_000_000  # pixels of a sheet
LARGEST_LOCK = 1 << 12
READINGS = ("value", "real", "noise")
STARTING = 300.0  # seconds that a run may take to its first tick and still count as running
SHORTEST_WAIT, WAITS = 30.0, 4  # a run is given up after so many seconds, and so many of its own ticks
_PLACES = ("fade_from", "fade_to")  # of the log: kimg where something begins or ends
_KEY = re.compile(r"[\w.:@/ -]{1,60}")
_NUMBER, _FRAME = re.compile(r"[0-9]{6,12}"), re.compile(r"frame-[0-9]{9,12}")
_FILE = re.compile(r"[\w-]{1,60}\.safetensors")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Rows:
    """Lines of a log from one place on, as columns of equal length; None where a line has no such number.

    `next` is the place to ask from the next time, `fresh` says that they begin at the file's beginning, `more` that
    there are further lines already, `steps` are the places (kimg, name) where the pictures grew.
    """

    columns: dict[str, list[float | None]]
    steps: list[tuple[float, str]]
    next: str
    fresh: bool
    more: bool


@dataclass(frozen=True)
class Moment:
    """A sample sheet: the name to ask for it by, what changes when a later one takes its place, and images seen.

    A name is "000012", the number of a sheet in samples/, whose images are those of whole kimg, or "frame-000012345",
    one of the sheets kept for evolution.gif, whose images are exact.
    """

    name: str
    stamp: str
    images: int


def listed(folder: Path) -> list[tuple[float, Path]]:
    """(seconds since it last wrote, path) of the runs in `folder`, newest first; a name that is no text is left out."""
    found = []
    for run in runs.runs(folder):
        if _is_text(run.name):
            found.append((_age(run), run))
    return sorted(found, key=lambda one: one[0])[:MOST_RUNS]


def rows(run: Path, name: str, *, after: str = "") -> Rows:
    """The numbers of RUN/name (log.jsonl, metrics.jsonl) after the place `after`, as core.runs.part reads it.

    Of more than MOST_ROWS lines neighbours are averaged. Raises SettingError for an `after` that no answer has given.
    """
    part = runs.part(run, name, after=after)
    return Rows(*_columns(part.entries), next=part.next, fresh=part.fresh, more=part.more)


def state(run: Path, *, age: float | None = None) -> str:
    """Whether the run is "running", "done" or "stopped", as its folder tells: by its end and by how long it is quiet.

    A lock says it at once. Without one, as of older runs and until the first tick, a run that was heard of lately runs;
    an evaluation keeps it quiet for minutes.
    """
    held = _holder(run) if age is None or age > 0 else None
    if held is not None and held.alive:
        return "running"
    age = _age(run) if age is None else age
    lines = runs.tail(run)
    config = _config(run)
    end = _end(config)
    if not lines:
        return "running" if age < STARTING and held is None else "stopped"
    seen = _number(lines[-1].get("kimg"))
    if seen is not None and end is not None and seen >= end:
        return "done"
    seconds = [second for line in lines if (second := _number(line.get("seconds"))) is not None]
    tick = max((b - a for a, b in zip(seconds, seconds[1:], strict=False)), default=seconds[-1] if seconds else 0.0)
    return (
        "running"
        if held is None and age < max(STARTING if config.get("metrics") else SHORTEST_WAIT, WAITS * tick)
        else "stopped"
    )


def facts(run: Path, *, told: Callable[[str, str], str] = lambda name, text: text) -> dict[str, Any]:
    """What the panel shows of a run beside its curves and pictures: texts and finite numbers only.

    `told` gives what is to be read of a text by its name, a setting's, "command" or "warning", before it is cut.
    """
    lines, config, best = runs.tail(run), _config(run), _best(run)
    # What the measures warn of, that nothing better has come, is over with the next best network.
    since = best["kimg"] if best else -math.inf
    measured = [line for line in runs.tail(run, runs.METRICS) if (_number(line.get("kimg")) or 0.0) > since]
    warning = _warning(lines, measured)
    end = _end(config)
    seen = _number(lines[-1].get("kimg")) if lines else None
    phases = _phases(config, end)
    rate = _rate(lines, since=_begin(phases, seen))
    left = _left(phases, seen) / rate if rate and seen is not None and phases and seen < phases[-1][0] else None
    return {
        "kimg": seen,
        "end": end,
        "seconds_left": _number(left),
        "seconds_per_kimg": _number(1 / rate) if rate else None,
        "warning": _clean(told("warning", warning)) if warning is not None else None,
        "best": best,
        "command": _command(run, told),
        "config": _table(config, told),
        "networks": [path.stem for path in _thinned(_numbered(run, runs.CHECKPOINTS))],
    }


def moments(run: Path) -> list[Moment]:
    """The run's sample sheets, oldest first; of very many some, the first and the newest always among them.

    Several of one kimg bear one name in samples/, so the frames of evolution.gif stand for them where there are any of
    that kimg; the trainer keeps the newest as a frame in any case.
    """
    frames = _frames(run)
    framed = {images // 1000 for images, _ in frames}
    sheets = [(1000 * int(path.stem), path) for path in _numbered(run, runs.SAMPLES) if int(path.stem) not in framed]
    found = []
    for images, path in _thinned(sorted(frames + sheets)):
        try:
            looked = path.lstat()
        except OSError:  # the training has just taken it away
            continue
        if stat.S_ISREG(looked.st_mode):
            found.append(Moment(path.stem, f"{looked.st_mtime_ns:x}-{looked.st_size:x}", images))
    return found


def sheet(run: Path, name: str) -> bytes:
    """The sample sheet of that moment. Raises SettingError where there is none that a browser should be given."""
    folder = runs.SAMPLES if _NUMBER.fullmatch(name) else runs.STATE if _FRAME.fullmatch(name) else None
    path = runs.inside(run, folder, f"{name}.png") if folder is not None else None
    content = b""
    with contextlib.suppress(OSError):  # the training may take it away at this moment
        if path is not None:
            with open(path, "rb") as file:
                content = file.read(LARGEST_SHEET + 1)
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    png = content[:8] == b"\x89PNG\r\n\x1a\n" and content[12:16] == b"IHDR"
    if not png or len(content) > LARGEST_SHEET or not 0 < width * height <= LARGEST_SIDES:
        raise SettingError("moment", name, "the name of one of the run's sample sheets, as /training/run lists them")
    return content


def _columns(entries: list[dict[str, Any]]) -> tuple[dict[str, list[float | None]], list[tuple[float, str]]]:
    """The finite numbers of the lines by name, and where the size of the pictures changed."""
    taken = [dict(_numbers(entry)) for entry in entries]
    names = list(dict.fromkeys(name for row in taken for name in row))[:MOST_KEYS]
    columns = {name: _decimated([row.get(name) for row in taken], mean=name not in _PLACES) for name in names}
    steps: list[tuple[float, str]] = []
    before = None
    for entry in entries:
        size, kimg = _size(entry.get("size")), _number(entry.get("kimg"))
        if size and size != before and kimg is not None:
            steps.append((kimg, size))
            before = size
    return columns, steps[:MOST_KEYS]


def _numbers(value: Mapping[str, Any], *, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """Numbers by name; of measures, which lie under "figures", what was measured and its two rows to be read by."""
    for key, inner in list(value.items())[:MOST_KEYS]:
        name = f"{prefix}{key}"
        if not _KEY.fullmatch(name):
            continue
        if isinstance(inner, dict) and depth < 2:
            below = "" if depth == 0 and key == "figures" else f"{name}."
            yield from _numbers(inner, prefix=below, depth=depth + 1)
        elif (number := _number(inner)) is not None and (depth < 2 or key in READINGS):
            yield name, number


def _decimated(values: list[float | None], *, mean: bool = True) -> list[float | None]:
    """At most MOST_ROWS means of neighbours; the last value stays as it is, since it is the one that people read.

    Without `mean` the first of the neighbours: between two places there is none.
    """
    step = math.ceil(len(values) / MOST_ROWS)
    if step <= 1:
        return values
    if not mean:
        return [*values[: len(values) - 1 : step], values[-1]]
    made: list[float | None] = []
    for at in range(0, len(values) - 1, step):
        some = [value for value in values[at : min(at + step, len(values) - 1)] if value is not None]
        made.append(_number(sum(some) / len(some)) if some else None)  # a sum may be beyond any number
    return [*made, values[-1]]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _size(value: object) -> str | None:
    sides = value if isinstance(value, list) else [value, value]
    numbers = [number for side in sides[:2] if (number := _number(side)) is not None and 0 < number < 1e6]
    return f"{numbers[0]:.0f} × {numbers[1]:.0f}" if len(numbers) == 2 else None


def _phases(config: Mapping[str, Any], end: float | None) -> list[tuple[float, float]]:
    """(kimg at its end, work of one image in it) of the phases of a run; none where they or its end are not known.

    A run from before its settings said so has a head start at most, whose images take about a quarter of the others'.
    """
    resolved, found = config.get("resolved"), list[tuple[float, float]]()
    said = resolved.get("phases") if isinstance(resolved, dict) else None
    if end is None:
        return []
    for pair in said[:MOST_KEYS] if isinstance(said, list) else []:
        last, work = (_number(one) for one in pair) if isinstance(pair, list) and len(pair) == 2 else (None, None)
        if last is None or work is None or work <= 0 or last < (found[-1][0] if found else 0):
            return [(end, 1.0)]
        found.append((last, work))
    ahead = _number(config.get("reconstruct")) or 0.0
    return found or ([(ahead, 1.0), (end, 4.0)] if 0 < ahead < end else [(end, 1.0)])


def _begin(phases: list[tuple[float, float]], seen: float | None) -> float:
    """Where the phase begins that led to `seen` kimg."""
    return max((last for last, _ in phases if seen is not None and last < seen), default=0.0)


def _left(phases: list[tuple[float, float]], seen: float) -> float:
    """What is left after `seen` kimg, in kimg of the phase that led there."""
    total, first, unit = 0.0, 0.0, next((work for last, work in phases if last >= seen), phases[-1][1])
    for last, work in phases:
        total += max(0.0, last - max(first, seen)) * work / unit
        first = last
    return total


def _rate(lines: list[dict[str, Any]], *, since: float) -> float | None:
    """kimg a second over the last ticks that lie beyond `since` kimg, since phases differ in speed."""
    places = [(_number(line.get("seconds")), _number(line.get("kimg"))) for line in lines[-20:]]
    known = [(seconds, kimg) for seconds, kimg in places if seconds is not None and kimg is not None and kimg >= since]
    if len(known) > 1 and known[-1][0] > known[0][0] and known[-1][1] > known[0][1]:
        return (known[-1][1] - known[0][1]) / (known[-1][0] - known[0][0])
    rate = _number(lines[-1].get("images_per_second")) if lines else None
    return rate / 1000 if rate and rate > 0 else None


def _warning(*logs: list[dict[str, Any]]) -> str | None:
    """The latest by kimg of the warnings in these logs, each oldest first."""
    found = [told for lines in logs if (told := _last_warning(lines)) is not None]
    return max(found, key=lambda told: told[0])[1] if found else None


def _last_warning(lines: list[dict[str, Any]]) -> tuple[float, str] | None:
    """(kimg, words) of the last line that warns of something."""
    for line in reversed(lines):
        for key in ("warnings", "warning"):
            said = line.get(key)
            texts = [said] if isinstance(said, str) else said if isinstance(said, list) else []
            words = " ".join(text for text in texts if isinstance(text, str))
            if words:
                return _number(line.get("kimg")) or 0.0, words
    return None


def _best(run: Path) -> dict[str, Any] | None:
    """{network, measure, value, kimg} of best.json; None where it is missing, damaged, or names a file that is gone."""
    try:
        named = runs.best_facts(run) if runs.inside(run, runs.BEST) else None
    except (DataError, OSError):
        return None
    file, measure = ((named or {}).get(key) for key in ("checkpoint", "measure"))
    value, kimg = (_number((named or {}).get(key)) for key in ("value", "kimg"))
    if not isinstance(file, str) or not isinstance(measure, str) or value is None or kimg is None:
        return None
    if not _FILE.fullmatch(file) or runs.inside(run, runs.CHECKPOINTS, file) is None:
        return None
    return {"network": file.removesuffix(".safetensors"), "measure": _clean(measure)[:60], "value": value, "kimg": kimg}


def _end(config: Mapping[str, Any]) -> float | None:
    """The kimg at which the run is done: as asked for, or what "auto" became."""
    resolved = config.get("resolved")
    asked = _number(config.get("kimg"))
    return asked if asked is not None or not isinstance(resolved, dict) else _number(resolved.get("kimg"))


def _config(run: Path) -> dict[str, Any]:
    try:
        return runs.config(run) if runs.inside(run, runs.CONFIG) else {}
    except (DataError, OSError):
        return {}


def _command(run: Path, told: Callable[[str, str], str]) -> str:
    """Whole lines of command.txt alone: of a path that is cut nobody could tell where it ends."""
    text, whole = runs.text(run, runs.COMMAND, most=MOST_COMMANDS), runs.text(run, runs.COMMAND, most=2 * MOST_COMMANDS)
    if text != whole:
        text = text.rpartition("\n")[0]
    lines = told("command", text).splitlines()
    while len(lines) > 1 and sum(map(len, lines)) + len(lines) > MOST_WORDS:
        lines.pop(0)  # the newest is what the run does now
    return "\n".join(lines)[:MOST_WORDS]


def _table(config: Mapping[str, Any], told: Callable[[str, str], str]) -> list[tuple[str, str]]:
    """Settings as rows of text; what auto became follows the rest."""
    resolved = config.get("resolved")
    pairs = [(key, value) for key, value in config.items() if key != "resolved"]
    pairs += [(f"resolved {key}", value) for key, value in resolved.items()] if isinstance(resolved, dict) else []
    return [(_clean(key)[:60], _clean(told(key, _words(value)))[:200]) for key, value in pairs[:200]]


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    """A text without control characters and lone surrogates, of bounded length."""
    plain = "".join(c if c.isprintable() or c == " " else " " for c in text[:MOST_WORDS])
    return " ".join(plain.split())


def _numbered(run: Path, folder: str) -> list[Path]:
    """The sheets or networks of the run, by their folder, oldest first; links are left out."""
    find = runs.samples if folder == runs.SAMPLES else runs.checkpoints
    try:
        if not _is_within(run, folder):
            return []
        return [path for path in find(run) if _NUMBER.fullmatch(path.stem) and not path.is_symlink()]
    except OSError:
        return []


def _frames(run: Path) -> list[tuple[int, Path]]:
    """(images seen, file) of the sheets kept for evolution.gif, oldest first; no links, files only."""
    try:
        if not _is_within(run, runs.STATE):
            return []
        return [(images, path) for images, path in runs.frames(run) if path.is_file() and not path.is_symlink()]
    except OSError:
        return []


def _is_within(run: Path, folder: str) -> bool:
    """Whether RUN/folder is no link that leads out of the run. Raises OSError where nobody may look."""
    return (run / folder).resolve().is_relative_to(run.resolve())


def _thinned(found: list[_T]) -> list[_T]:
    if len(found) <= MOST_MOMENTS:
        return found
    step = (len(found) - 1) / (MOST_MOMENTS - 1)
    return [found[round(k * step)] for k in range(MOST_MOMENTS)]


def _holder(run: Path) -> lock.Holder | None:
    path = runs.inside(run, runs.STATE, runs.LOCK)
    try:
        return lock.holder(path) if path is not None and path.stat().st_size < LARGEST_LOCK else None
    except OSError:
        return None


def _age(run: Path) -> float:
    """Seconds since the run last wrote its log, or its settings where it has no log yet."""
    found = runs.inside(run, runs.LOG) or runs.inside(run, runs.CONFIG)
    try:
        return time.time() - found.stat().st_mtime if found is not None else math.inf
    except OSError:
        return math.inf


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
