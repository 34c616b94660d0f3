"""Which network file is the best, and which may go: `--best`, `--keep N` and best.json.

    RUN/best.json  {"checkpoint": "000012.safetensors", "measure": "swd", "value": 6.1, "rank": 6.1, "kimg": 12.0}

and "size": [28, 24] of a network that grows, whose best is that of the size it has reached.

The rank is how far the value is from the best that there could be (train.metrics.rank): the smallest wins, whether more
of the measure is better, or less, or what is nearest to the real pictures' own.

A network file whose number comes again (kimg, rounded down) replaces its namesake; if that was the best, it is kept as
RUN/checkpoints/best.safetensors, and were it the last of a smaller size, as RUN/checkpoints/014x012.safetensors.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from core import runs
from core.errors import CheckpointError, DataError
from core.files import writing
from core.header import read_about

__all__ = ["Best", "forget_after", "gone", "judge", "prune", "read", "spare"]

_SPARED = "best.safetensors"
_SIZE = re.compile(r"\d{3,}x\d{3,}")


@dataclass(frozen=True)
class Best:
    """A network file by its name in RUN/checkpoints, the measure that chose it, value and rank, and its time.

    `size` (height, width) where the network grows: measures at one size say nothing of another.
    """

    checkpoint: str
    measure: str
    value: float
    rank: float
    kimg: float
    size: tuple[int, int] | None = None


def gone(files: Sequence[Path], *, keep: int, best: Path | None, spared: Collection[Path] = ()) -> list[Path]:
    """Those of a run's network files, oldest first, that `--keep` lets go of; 0 keeps all.

    `keep` files stay: the best, the newest, and the next newest. The best and the newest stay even where keep is 1.
    `spared` stay, too, beside those.
    """
    files = [file for file in files if file not in spared or file == best]
    if keep == 0 or len(files) <= keep:
        return []
    apart = 1 if best in files[:-keep] else 0
    newest = files[len(files) - max(1, keep - apart) :]
    return [file for file in files if file not in newest and file != best]


def read(run: Path) -> Best | None:
    """What best.json says; None where there is none, or it or its network file cannot be used."""
    try:
        facts = runs.best_facts(run)
        if facts is None or runs.best(run) is None:
            return None
        value, rank, kimg = (float(facts[key]) for key in ("value", "rank", "kimg"))
        size = facts.get("size")
        return Best(
            str(facts["checkpoint"]), str(facts["measure"]), value, rank, kimg, (size[0], size[1]) if size else None
        )
    except (DataError, LookupError, TypeError, ValueError):
        return None


def judge(
    run: Path,
    checkpoint: Path,
    *,
    measure: str,
    value: float | None,
    rank: float,
    images: int,
    size: tuple[int, int] | None = None,
) -> bool:
    """Whether the network file just measured is the best yet; if so, say so in best.json. Raises OutputError.

    Of equals the earlier stays; what has no value is never the best; another measure or size than before begins anew.
    """
    if value is None or not math.isfinite(rank):
        return False
    old = read(run)
    if old is not None and (old.measure, old.size) == (measure, size) and rank >= old.rank:
        return False
    _write(run, Best(checkpoint.name, measure, value, rank, images / 1000, size))
    (run / runs.CHECKPOINTS / _SPARED).unlink(missing_ok=True)
    return True


def spare(run: Path, checkpoint: Path, *, images: int, size: tuple[int, int] | None = None) -> None:
    """Before `checkpoint` is written: where its namesake is to stay, keep that by another name. Raises OutputError.

    That is the best of an earlier time, and the last of a smaller size than `size`.
    """
    before = _told(checkpoint)
    if size is not None and before is not None and before.size < size and before.images < images:
        _linked(checkpoint, checkpoint.with_name(f"{before.size[0]:03d}x{before.size[1]:03d}.safetensors"))
    old = read(run)
    if old is None or old.checkpoint != checkpoint.name or round(old.kimg * 1000) == images:
        return
    _linked(checkpoint, checkpoint.with_name(_SPARED))
    _write(run, replace(old, checkpoint=_SPARED))


def _linked(file: Path, name: Path) -> None:
    with writing(name) as temporary:
        try:
            os.link(file, temporary)
        except OSError:  # a drive without links
            shutil.copyfile(file, temporary)


@dataclass(frozen=True)
class _Told:
    """What a network file says of itself."""

    size: tuple[int, int]
    images: int


def _told(file: Path) -> _Told | None:
    """None where there is no such file, or none that can be read."""
    try:
        about = read_about(file)
        height, width = about["config"]["size"]
        return _Told((height, width), int(about["training"]["images_seen"]))
    except (CheckpointError, KeyError, TypeError, ValueError):
        return None


def forget_after(run: Path, images: int) -> None:
    """Where best.json names a network made after `images`, which the resumed run makes again, take it away."""
    old = read(run)
    if old is None or old.kimg * 1000 > images + 0.5:
        (run / runs.BEST).unlink(missing_ok=True)
        old = None
    if old is None or old.checkpoint != _SPARED:
        (run / runs.CHECKPOINTS / _SPARED).unlink(missing_ok=True)
    for file in (run / runs.CHECKPOINTS).glob("*x*.safetensors"):
        told = _told(file) if _SIZE.fullmatch(file.stem) else None
        if told is not None and told.images > images:
            file.unlink(missing_ok=True)


def prune(run: Path, *, keep: int, spared: Collection[Path] = ()) -> list[Path]:
    """Delete what `--keep` lets go of, but for `spared`, the networks at the end of each size; returns what went.

    A file that cannot be deleted stays till the next time.
    """
    went = []
    for file in gone(runs.checkpoints(run), keep=keep, best=runs.best(run), spared=spared):
        with suppress(OSError):
            file.unlink()
            went.append(file)
    return went


def _write(run: Path, best: Best) -> None:
    with writing(run / runs.BEST) as temporary:
        told = {key: value for key, value in asdict(best).items() if value is not None}
        temporary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
