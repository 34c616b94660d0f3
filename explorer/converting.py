"""Somebody else's network file as ours: python -m explorer convert IN OUT.safetensors, and what the page opens."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch

import core
from core.checkpoint import Opened
from core.errors import OutputError, SettingError
from core.files import temporary_beside
from explorer.flags import place_for, say
from explorer.inspection import file_of
from explorer.networks import SUFFIX

__all__ = ["DTYPES", "claim", "convert", "do_convert"]

DTYPES = {"float32": torch.float32, "float16": torch.float16}


def do_convert(flags: argparse.Namespace) -> None:
    """Write a network file of any program that is read here as one of ours."""
    target: Path = flags.target
    if target.suffix != SUFFIX:
        raise SettingError("OUT", target, f"a network of ours is written as X{SUFFIX}")
    if flags.dtype not in DTYPES:
        raise SettingError("dtype", flags.dtype, " or ".join(DTYPES))
    place_for(target)
    _free(target)
    opened = convert(file_of(flags, flags.source), target, dtype=DTYPES[flags.dtype])
    provenance = opened.about.get("provenance") or {}
    generator = opened.generator
    say(
        flags,
        [target],
        architecture=generator.arch,
        size=list(generator.size),
        networks=["g_ema", *(["g"] if opened.live else []), *(["d"] if opened.discriminator else [])],
        provenance=provenance,
    )
    for sentence in provenance.get("notes") or () if not flags.json else ():
        print(f"note: {sentence}", file=sys.stderr)


def convert(source: Path, target: Path, *, dtype: torch.dtype = torch.float32, name: str | None = None) -> Opened:
    """Open `source`, of whatever program, and write all its networks to `target`, which must not be there yet.

    Where it came from stands in the header; `name` is the file's name for it where `source` is only a copy of it.
    Returns what was opened. Raises CheckpointError for a file that does not open, OutputError for a place that cannot
    be written or is taken: what is there stays.
    """
    opened = core.load(source)
    about = dict(opened.about)
    if name is not None and "source" in about.get("provenance", {}) and about["provenance"]["source"] == source.name:
        about["provenance"] = {**about["provenance"], "source": name}
    beside = temporary_beside(target)
    try:
        core.save(beside, opened.generator, opened.discriminator, about, live=opened.live, dtype=dtype)
        claim(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return Opened(opened.generator, opened.discriminator, about, target, opened.live)


def claim(written: Path, target: Path) -> None:
    """Rename a finished file to a name in the same folder that is free. Raises OutputError where it is taken."""
    try:
        # Made here and by nobody else, the name cannot become somebody's file before the rename.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise _taken(target) from None
    except OSError as wrong:
        raise OutputError(f"{target} could not be written ({wrong.strerror or wrong}); name another place") from wrong
    try:
        os.replace(written, target)
    except OSError as wrong:
        target.unlink(missing_ok=True)
        raise OutputError(f"{target} could not be written ({wrong.strerror or wrong}); name another place") from wrong


def _free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise _taken(target)


def _taken(target: Path) -> OutputError:
    return OutputError(f"{target} is there already; name another place, or move it away")
