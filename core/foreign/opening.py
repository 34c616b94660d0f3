"""A file of somebody else's program -> what `core.load` gives: recognised by content, read without running anything."""

from __future__ import annotations

import dataclasses
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.foreign import nvidia, rosinality
from core.foreign.archive import Archive
from core.foreign.filling import AVERAGED, Networks
from core.foreign.inert import plain
from core.foreign.nvidia_flat import is_table
from core.foreign.pickles import NVIDIA, Machine, check_known
from core.foreign.source import Budget, Source, Window
from core.foreign.torchfiles import LEGACY, read_legacy, read_storage, read_zip
from core.header import FORMAT, Opened, configs

__all__ = ["about_of", "contents", "described", "open_foreign", "recognise"]

_PICKLE = re.compile(rb"\x80[\x02-\x05](?!\x95\0{8})[^\0]")  # what has a frame has something in it
_KINDS = {
    "nvidia-pickle": "a pickle of NVIDIA's networks",
    "torch-zip": "a zip of torch.save",
    "torch-legacy": "an older file of torch.save",
}


def recognise(path: str | Path) -> str | None:
    """What a file is by its content: nvidia-pickle, torch-zip, torch-legacy, or None for anything else."""
    try:
        with Source(Path(path)) as source:
            return _recognised(source)
    except CheckpointError:
        return None


def _recognised(source: Source) -> str | None:
    head = bytes(source.read(0, min(source.size, 64)))
    if LEGACY.match(head):
        return "torch-legacy"
    # The first bytes of a safetensors file are the length of its header, which may look like the first of a pickle.
    if _PICKLE.match(head) and head[8:9] != b"{":
        return "nvidia-pickle"
    if head.startswith(b"PK\x03\x04"):
        name = source.read(30, min(int.from_bytes(head[26:28], "little"), source.size - 30, 512))
        if name.endswith(b"/data.pkl"):
            return "torch-zip"
        try:
            return "torch-zip" if any(n.endswith("/data.pkl") for n in Archive(source).entries) else None
        except CheckpointError:
            return None
    return None


def described(source: Source) -> tuple[str, str]:
    """(kind as of `recognise`, the same in words). Raises CheckpointError for what is not recognised."""
    kind = _recognised(source)
    if kind is None:
        raise CheckpointError(f"{source.path} is a file of another program; no network is recognised in it")
    return kind, _KINDS[kind]


def contents(source: Source, budget: Budget) -> tuple[str, Any]:
    """(kind as of `recognise`, the object in the file), inert. Raises CheckpointError, also for what is not known."""
    kind, _ = described(source)
    try:
        return kind, _READERS[kind](source, budget)
    except CheckpointError:
        check_known(budget)  # says more than what else is wrong
        raise


def _read_pickle(source: Source, budget: Budget) -> Any:
    """The object in a pickle of NVIDIA's. Raises CheckpointError."""
    window = Window(source, 0, source.size)
    root = Machine(window, budget, NVIDIA, storage=partial(read_storage, source, budget)).load()
    if window.at != window.end:
        raise source.damaged("something follows behind its end")
    return root


_READERS = {"torch-legacy": read_legacy, "torch-zip": read_zip, "nvidia-pickle": _read_pickle}


def open_foreign(path: str | Path, *, generator_only: bool = False) -> Opened:
    """Open a network of another program as one of ours: float32, on the CPU, in evaluation mode.

    Nothing in the file is run. `about` has `provenance`: source (the file's name), sha256, format, and notes where
    something had to be estimated. Raises CheckpointError that says what the file is and why it cannot be read.
    """
    path = Path(path)
    with Source(path) as source:
        found, about = _found(source, generator_only=generator_only)
        critic, live = (None if part is None else part.read() for part in (found.discriminator, found.live))
        return Opened(found.generator.read(), critic, about, path, live)


def about_of(path: str | Path) -> dict[str, Any]:
    """The header that a file of ours with its generator would have; no weights are read. Raises CheckpointError."""
    with Source(Path(path)) as source:
        return _found(source, generator_only=True)[1]


def _found(source: Source, *, generator_only: bool) -> tuple[Networks, dict[str, Any]]:
    """The networks of a file, checked and not read, and the header that our own file of them would have."""
    budget = Budget(source.path)
    kind, root = contents(source, budget)
    theirs = kind == "nvidia-pickle" or is_table(root)
    read = nvidia.networks if theirs else rosinality.networks
    nvidia.check_kind(source, root)
    check_known(budget)
    found = read(source, root, generator_only=generator_only)
    return found, _about(source, kind, found)


def _about(source: Source, kind: str, found: Networks) -> dict[str, Any]:
    """The header that our own file of these networks would have."""
    config = dataclasses.asdict(found.generator.config)
    critic = found.discriminator
    if critic is not None:
        shown = found.generator.config
        if (critic.config.size, critic.config.channels) != (shown.size, shown.channels):
            raise CheckpointError(f"{source.path} has a discriminator for other pictures than its generator's")
    config["discriminator"] = None if critic is None else dataclasses.asdict(critic.config)
    notes = list(found.notes)
    if found.generator.estimated:
        notes.append(f"w_avg is not in the file; it was estimated as the mean w of {AVERAGED} z of the seed 0")
    about = {
        "format": FORMAT,
        "arch": found.generator.network.arch,
        "config": config,
        "training": found.training,
        "picture": {"crop": [0, 0, *found.generator.config.size]},
        "credit": found.credit,
        "provenance": {
            "source": plain(source.path.name),
            "sha256": source.sha256(),
            "format": f"{found.program}, {_KINDS[kind]}",
            "notes": notes,
        },
    }
    about = json.loads(json.dumps(about))  # lists where there are tuples, as in a header that was read
    configs(source.path, about)  # what our own file of it would be refused for
    return about
