"""What exact resuming needs: one safetensors file with every tensor, and the facts of the training in its header.

    RUN/state/000123456.safetensors      the number is images seen

It is written to a temporary name, read back, synced, renamed; only then the one before is removed. An empty state of
0 images stands for a run that has saved none yet; one without any has lost it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialise
from torch import Tensor

from core.errors import TrainingError
from core.files import writing

__all__ = ["State", "begin", "forget_others", "is_begun", "latest", "save"]

FORMAT = 1
_KEY = "styloscope_state"
_NONE = f"{0:09d}.safetensors"


@dataclass(frozen=True)
class State:
    """Tensors by name, and facts as JSON."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(folder: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], *, images: int) -> Path:
    """Save; returns the path. Raises OutputError where it cannot be written: the state before stays whole."""
    held = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    path = folder / f"{images:09d}.safetensors"
    with writing(path) as temporary:
        # Not safetensors' save_file: a temporary file of its own would stay where the process is killed.
        temporary.write_bytes(serialise(held, metadata={_KEY: json.dumps({"format": FORMAT, **facts})}))
        if not _holds(temporary, held):
            raise TrainingError(
                f"{path} does not read back as it was written; check the disk, the state before it is kept"
            )
    forget_others(folder, images=images)
    return path


def begin(folder: Path) -> None:
    """Leave word that no state has been saved yet. Raises OutputError."""
    with writing(folder / _NONE) as temporary:
        temporary.touch()


def is_begun(folder: Path) -> bool:
    """Whether it was said that no state has been saved yet, and none has."""
    return [path.name for path in _files(folder)] == [_NONE]


def forget_others(folder: Path, *, images: int) -> None:
    """Remove the states of other moments: a training that is killed may leave the one before, too."""
    for path in _files(folder):
        if int(path.stem) != images:
            with suppress(OSError):  # Windows keeps one that is being read; the next call removes it
                path.unlink(missing_ok=True)


def latest(folder: Path) -> State | None:
    """The newest state that can be read, or None where there is none. Raises TrainingError where none can be read."""
    wrong: Exception | None = None
    for path in reversed([path for path in _files(folder) if path.stat().st_size]):
        try:
            found = _read(path)
            # Copies, since those read are views of the file as long as one of them lives: Windows would not remove it.
            return State({name: tensor.clone() for name, tensor in found.tensors.items()}, found.facts)
        except (OSError, ValueError, SafetensorError) as failed:
            wrong = failed
    if wrong is not None:
        raise TrainingError(
            f"no state in {folder} can be read ({wrong}); start again with another --out, or --init from a checkpoint"
        )
    return None


def _holds(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a file can be read and holds these very bits; a number that is none equals itself here."""
    try:
        written = _read(path).tensors
    except (ValueError, SafetensorError):
        return False
    return all(
        torch.equal(written[name].view(-1).view(torch.uint8), tensor.view(-1).view(torch.uint8))
        for name, tensor in tensors.items()
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.stem.isdigit()) if folder.is_dir() else []


def _read(path: Path) -> State:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if _KEY not in metadata:
        raise ValueError(f"{path} is no training state")
    facts = json.loads(metadata[_KEY])
    if facts.pop("format") != FORMAT:
        raise ValueError(f"{path} is of another format")
    return State(load_file(path), facts)
