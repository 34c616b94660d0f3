"""The names of what lies in a run folder, and its readers. Nothing here writes.

RUN/config.json  command.txt  data.png  log.jsonl  losses.csv  losses.png  evolution.gif  best.json  metrics.jsonl
RUN/samples/000012.png  checkpoints/000012.safetensors  state/          the number is kimg, rounded down
RUN/state/lock  of the training that writes it      tensorboard/  events, where tensorboard is installed
RUN/drawings/generator-014x012-fade.svg             the networks at every size
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from core import lock
from core.errors import DataError

__all__ = [
    "best",
    "best_facts",
    "checkpoint_path",
    "checkpoints",
    "command",
    "config",
    "find",
    "holder",
    "is_run",
    "log",
    "metrics",
    "newest",
    "runs",
    "sample_path",
    "samples",
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

_NUMBERED = re.compile(r"\d{6,}")


def is_run(path: str | Path) -> bool:
    """Whether the folder at `path` is one that a training left behind."""
    return (Path(path) / CONFIG).is_file()


def runs(folder: str | Path) -> list[Path]:
    """The runs directly inside `folder`, by name; empty where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if is_run(entry))


def config(path: str | Path) -> dict[str, Any]:
    """config.json of the run at `path`: every setting by name, and under "resolved" what auto became."""
    return _object(Path(path) / CONFIG)


def command(path: str | Path) -> str:
    """The command line that began the run, or an empty string where it was not kept."""
    file = Path(path) / COMMAND
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def log(path: str | Path) -> list[dict[str, Any]]:
    """log.jsonl as a list, one entry a tick, oldest first; a last line that is still being written is left out."""
    return _lines(Path(path) / LOG)


def metrics(path: str | Path) -> list[dict[str, Any]]:
    """metrics.jsonl as a list, oldest first."""
    return _lines(Path(path) / METRICS)


def checkpoints(path: str | Path) -> list[Path]:
    """The run's network files, oldest first."""
    return _numbered(Path(path) / CHECKPOINTS, suffix=".safetensors")


def samples(path: str | Path) -> list[Path]:
    """The run's sample sheets, oldest first."""
    return _numbered(Path(path) / SAMPLES, suffix=".png")


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
    return _object(file) if file.is_file() else None


def best(path: str | Path) -> Path | None:
    """The network file that best.json names, or None where no measure has chosen one."""
    facts = best_facts(path)
    named = Path(path) / CHECKPOINTS / Path(str((facts or {}).get("checkpoint", ""))).name
    return named if named.is_file() else None


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


def _numbered(folder: Path, *, suffix: str) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [file for file in folder.iterdir() if file.suffix == suffix and _NUMBERED.fullmatch(file.stem)]
    return sorted(found, key=lambda file: int(file.stem))


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as wrong:
        sentence = f"{file} is missing, so {file.parent} is no run; name the folder that a training made"
        raise DataError(sentence) from wrong
    except ValueError as wrong:
        raise DataError(f"{file} is not readable as JSON ({wrong}); restore it or train again") from wrong
    if not isinstance(value, dict):
        raise DataError(f"{file} does not hold a JSON object; restore it or train again")
    return value


def _lines(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(json.loads(line))
        except ValueError as wrong:
            if number == len(lines):
                break
            raise DataError(f"{file} line {number} is not JSON ({wrong}); take the line out") from wrong
    return entries
