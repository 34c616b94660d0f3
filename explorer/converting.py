"""Somebody else's network file as ours and ours as theirs: python -m explorer convert, and what the page opens."""

from __future__ import annotations

import argparse
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import core
from core import foreign
from core.checkpoint import sha256
from core.errors import CheckpointError, OutputError, SettingError
from core.files import is_device, temporary_beside
from core.header import Opened
from explorer.flags import place_for, say
from explorer.inspection import file_of
from explorer.networks import SUFFIX, Network

__all__ = ["DTYPES", "CancelledOpening", "claim", "convert", "do_convert", "safe_stem", "take_in"]

TORCH_SUFFIX = ".pt"
DTYPES = {"float32": torch.float32, "float16": torch.float16}


def do_convert(flags: argparse.Namespace) -> None:
    """Write a network file of any program that is read here as one of ours, or as one of another program."""
    target: Path = flags.target
    if flags.program is None and target.suffix != SUFFIX:
        raise SettingError("OUT", target, f"a network of ours is written as X{SUFFIX}, another program's with --as")
    if flags.program is not None and flags.program not in foreign.PROGRAMS:
        raise SettingError("as", flags.program, " or ".join(foreign.PROGRAMS))
    if flags.program is not None and target.suffix != TORCH_SUFFIX:
        raise SettingError("OUT", target, f"another program's network is written as X{TORCH_SUFFIX}")
    if flags.dtype not in DTYPES:
        raise SettingError("dtype", flags.dtype, " or ".join(DTYPES))
    place_for(target)
    _free(target)
    opened, written = convert(file_of(flags, flags.source), target, dtype=DTYPES[flags.dtype], program=flags.program)
    generator = opened.generator
    say(
        flags,
        [target],
        architecture=generator.arch,
        size=list(generator.size),
        networks=written.networks,
        provenance=opened.about.get("provenance") or {},
        notes=written.notes,
    )
    for sentence in written.notes if not flags.json else ():
        print(f"note: {sentence}", file=sys.stderr)


def convert(
    source: Path, target: Path, *, dtype: torch.dtype = torch.float32, program: str | None = None
) -> tuple[Opened, foreign.Written]:
    """Open `source`, of whatever program, and write all its networks to `target`, which must not be there yet.

    As a file of ours, where it came from stands in the header; `program` makes it one of another program, as
    `foreign.write_foreign` does. Returns what was opened and what was written. Raises CheckpointError for a file that
    does not open or that the program cannot have, OutputError for a place that cannot be written or is taken: what is
    there stays.
    """
    opened = core.load(source)
    notes = list((opened.about.get("provenance") or {}).get("notes") or ())
    beside = temporary_beside(target)
    try:
        if program is None:
            core.save(beside, opened.generator, opened.discriminator, opened.about, live=opened.live, dtype=dtype)
            parts = {"g_ema": True, "g": opened.live, "d": opened.discriminator}
            written = foreign.Written([key for key, network in parts.items() if network is not None])
        else:
            written = foreign.write_foreign(beside, opened, program, dtype=dtype)
        claim(beside, target)
    except (CheckpointError, OutputError) as wrong:
        raise type(wrong)(str(wrong).replace(str(beside), str(target))) from wrong
    finally:
        beside.unlink(missing_ok=True)
    return opened, foreign.Written(written.networks, notes + written.notes)


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


# --- a file that somebody opens in the page ----------------------------------------------------------------------

_LONGEST_STEM = 100  # bytes


class CancelledOpening(Exception):
    """Whoever asked for the file does not want it any more."""


def take_in(
    copy: Path,
    folder: Path,
    *,
    name: str,
    networks: Callable[[], Sequence[Network]] = tuple,
    cancelled: Callable[[], bool] = bool,
) -> dict[str, Any]:
    """Make a file that was sent here, `copy` in `folder`, a network of that folder under a free name like `name`.

    Ours is moved as it is once it was read through, another program's is converted; one that `networks` has already
    with the same bytes stays the only one. Returns name, architecture, source and notes. Raises CheckpointError that
    calls the file by its name, CancelledOpening where `cancelled()` before it has its name. `copy` is the caller's.
    """
    shown = "".join(c if c.isprintable() else "?" for c in re.split(r"[\\/]", name)[-1])[:80] or "the file"
    beside = temporary_beside(folder / f"opened{SUFFIX}")
    try:
        opened = core.load(copy)
        about = opened.about
        if foreign.recognise(copy) is None:
            os.replace(copy, beside)
        else:
            about = {**about, "provenance": {**about["provenance"], "source": shown}}
            core.save(beside, opened.generator, opened.discriminator, about, live=opened.live)
        digest = sha256(beside)
        if cancelled():
            raise CancelledOpening
        there = networks()
        known = next((one for one in there if _is(one, digest, folder=folder)), None)
        stem = known.name if known else _named(beside, folder, stem=safe_stem(name), there=there)
    except CheckpointError as wrong:
        raise CheckpointError(str(wrong).replace(str(copy), shown).replace(str(beside), shown)) from wrong
    finally:
        beside.unlink(missing_ok=True)
    provenance = about.get("provenance") or {}
    return {
        "name": stem,
        "architecture": opened.generator.arch,
        "format": provenance.get("format"),
        "notes": provenance.get("notes") or [],
    }


def _is(network: Network, digest: str, *, folder: Path) -> bool:
    return (
        network.sha == digest[:12]
        and network.path.parent.resolve() == folder.resolve()
        and sha256(network.path) == digest
    )


def safe_stem(name: str) -> str:
    """The name of a file that a browser sent, made a name that every system takes; never empty, hidden or a path."""
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    stem = re.sub(r"(?<=.)\.[A-Za-z0-9]{1,11}$", "", last)
    stem = re.sub(r"[^\w .-]+", "-", stem)
    stem = stem.encode("utf-8", "ignore")[:_LONGEST_STEM].decode("utf-8", "ignore").strip(" ._-")
    return f"network-{stem}".rstrip("-") if not stem or is_device(stem) else stem


def _named(written: Path, folder: Path, *, stem: str, there: Sequence[Network]) -> str:
    """Give a finished file the first free name of stem, stem-2, stem-3 ...; RUN and a card's name are not free."""
    # A card or a map beside it would be taken for this network's.
    names = [path.name.casefold() for path in folder.iterdir()]
    runs = {network.name.split("/")[0].casefold() for network in there}
    for number in range(1, 10_000):
        free = stem if number == 1 else f"{stem}-{number}"
        if free.casefold() in runs or any(other.startswith(f"{free.casefold()}.") for other in names):
            continue
        try:
            claim(written, folder / f"{free}{SUFFIX}")
        except OutputError:
            if (folder / f"{free}{SUFFIX}").exists():
                continue  # somebody was faster
            raise
        return free
    raise _taken(folder / f"{stem}{SUFFIX}")
