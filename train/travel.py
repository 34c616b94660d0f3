"""python -m train.travel pack RUN DIR | unpack DIR RUN: a run's state in a few small files, for machines that are lent.

A state for exact resuming holds five numbers a weight in full precision. What travels is what a training needs to go on
as well, though not to the same bit: weights, averages and codes in float16, Adam's second moments in bfloat16, and its
first moments only where beta1 is not 0, since without it they are the last gradient, which the next step overwrites.
What the average has from the weights unchanged, such as maps of noise, goes once. The settings, the command and the log
are in the header of the first file.

    DIR/travel-1-of-3.safetensors ...     each at most --limit megabytes
"""

from __future__ import annotations

import json
import math
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from core import command, runs
from core.command import Parser
from core.errors import SettingError, TrainingError
from core.files import usable_folder, writing
from train import state
from train.output import Run

__all__ = ["main", "pack", "parser", "unpack"]

LIMIT = 16.0
MEGABYTE = 1024**2
FORMAT = 1
_KEY = "styloscope_travel"
_FILES = (runs.CONFIG, runs.COMMAND, runs.LOG)
_MARGIN = 64 * 1024  # of a file, for names and shapes


def parser() -> Parser:
    """All arguments."""
    top = Parser(prog="python -m train.travel", description="Carry a run from machine to machine in small files.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("pack", help="write what going on needs into small files")
    one.add_argument("source", metavar="RUN", type=command.place("run", "a run's folder"))
    one.add_argument(
        "dest", metavar="DIR", type=command.place("dir", "a folder"), help="files that travelled before are replaced"
    )
    allowed = "megabytes from 1 up"
    one.add_argument(
        "--limit",
        default=LIMIT,
        type=command.real("limit", allowed),
        metavar="MB",
        help="the most that one file takes (default: 16)",
    )
    other = verbs.add_parser("unpack", help="make a run of them, for --resume")
    other.add_argument("source", metavar="DIR", type=command.place("dir", "a folder"))
    other.add_argument("dest", metavar="RUN", type=command.place("run", "a new folder"))
    return top


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, do it, and print what there is now. Raises StyloscopeError."""
    given = parser().parse_args(arguments)
    if given.verb == "unpack":
        print(unpack(given.source, given.dest))
        return 0
    if not 1 <= given.limit < math.inf:
        raise SettingError("limit", given.limit, "megabytes from 1 up")
    made = pack(given.source, given.dest, limit=int(given.limit * MEGABYTE))
    files = "1 file" if len(made) == 1 else f"{len(made)} files"
    print(f"{files}, {sum(path.stat().st_size for path in made) / MEGABYTE:.1f} MB, in {given.dest}")
    return 0


def pack(run: Path, folder: Path, *, limit: int) -> list[Path]:
    """Write the newest state of a run into files of at most `limit` bytes; returns them.

    Files that were packed before are removed once the new ones are there. Raises TrainingError where the run has no
    state, or a tensor is larger than a file may be, and OutputError.
    """
    saved = state.latest(run / runs.STATE)
    if saved is None:
        raise TrainingError(f"{run} has no state to travel with; name the folder of a run that has been saved")
    beta1 = float(saved.facts["settings"]["beta1"])
    shards = _shards(_lighter(saved.tensors, beta1=beta1), limit=limit - _MARGIN, run=run)
    usable_folder(folder)
    old, stamp = _files(folder), uuid.uuid4().hex
    texts = {name: (run / name).read_text(encoding="utf-8") for name in _FILES if (run / name).is_file()}
    made = []
    for number, tensors in enumerate(shards, 1):
        says: dict[str, Any] = {"format": FORMAT, "stamp": stamp, "number": number, "of": len(shards)}
        if number == 1:
            says |= {"facts": saved.facts, "files": texts, "beta1": beta1}
        path = folder / f"travel-{number}-of-{len(shards)}.safetensors"
        with writing(path) as temporary:
            temporary.write_bytes(serialise(tensors, metadata={_KEY: json.dumps(says)}))
        made.append(path)
    for path in set(old) - set(made):
        path.unlink(missing_ok=True)
    return made


def unpack(folder: Path, run: Path) -> Path:
    """Make a run of what travelled, to go on with by `--resume`; returns its folder.

    Raises TrainingError where files are missing, cannot be read or are of different runs, and OutputError where the
    folder of the run is not empty.
    """
    Run.check(run, resume=False)
    tensors, first = _read(folder)
    facts = first["facts"]
    with Run.beginning(run, resume=False) as made:
        try:
            for name, text in first["files"].items():
                with writing(run / name) as temporary:
                    temporary.write_text(text, encoding="utf-8")
            state.save(run / runs.STATE, _heavier(tensors), facts, images=int(facts["images"]))
        finally:
            made.release()
    return run


# --- lighter and heavier -----------------------------------------------------------------------------------------


def _lighter(tensors: Mapping[str, Tensor], *, beta1: float) -> dict[str, Tensor]:
    light = {}
    for name, tensor in tensors.items():
        if name.endswith(":exp_avg"):
            if beta1:
                light[name] = tensor.to(torch.bfloat16)
        elif name.endswith(":exp_avg_sq"):
            light[name] = tensor.to(torch.bfloat16)
        elif name.startswith("g_ema.") and torch.equal(tensor, tensors[f"g.{name[6:]}"]):
            continue
        elif name.startswith(("g.", "g_ema.", "d.", "codes.")) and tensor.numel() > 1:
            most = tensor.abs().max().item() if tensor.numel() else 0.0
            light[name] = tensor.to(torch.float16 if most < torch.finfo(torch.float16).max else torch.bfloat16)
        else:
            light[name] = tensor
    return {name: tensor.contiguous() for name, tensor in light.items()}


def _heavier(light: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in light.items()}
    tensors |= {
        f"g_ema.{name[2:]}": tensor.clone()
        for name, tensor in list(tensors.items())
        if name.startswith("g.") and f"g_ema.{name[2:]}" not in tensors
    }
    squares = [name.removesuffix("_sq") for name in tensors if name.endswith(":exp_avg_sq")]
    return tensors | {name: torch.zeros_like(tensors[f"{name}_sq"]) for name in squares if name not in tensors}


def _shards(tensors: Mapping[str, Tensor], *, limit: int, run: Path) -> list[dict[str, Tensor]]:
    """Tensors in the order of their names, as many together as fit."""
    shards: list[dict[str, Tensor]] = [{}]
    room = limit
    for name in sorted(tensors):
        size = tensors[name].numel() * tensors[name].element_size() + 200
        if size > limit:
            more = math.ceil((size + _MARGIN) / MEGABYTE)
            raise TrainingError(f"{name} of {run} alone takes {more} MB; give --limit as much")
        if size > room:
            shards.append({})
            room = limit
        shards[-1][name] = tensors[name]
        room -= size
    return shards


# --- files -------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("travel-*-of-*.safetensors")) if folder.is_dir() else []


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors, and what the first file says. Raises TrainingError."""
    tensors: dict[str, Tensor] = {}
    said: dict[int, dict[str, Any]] = {}
    for path in _files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                says = json.loads((file.metadata() or {})[_KEY])
                if says["format"] != FORMAT:
                    raise ValueError("it is of another format")
                said[int(says["number"])] = says
                tensors |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as wrong:
            raise TrainingError(f"{path} is no file that travelled, or it is damaged; pack the run again") from wrong
    if not said:
        raise TrainingError(f"{folder} has no travel-1-of-N.safetensors; name the folder that was packed into")
    whole = sorted(said) == list(range(1, said[min(said)]["of"] + 1))
    if not whole or len({says["stamp"] for says in said.values()}) > 1 or not _first(said[1]):
        raise TrainingError(
            f"{folder} does not hold all files of one run; bring those of one pack together, and no others"
        )
    return tensors, said[1]


def _first(says: Mapping[str, Any]) -> bool:
    """Whether it is what a first file says: no names but those of a run's own files."""
    match says:
        case {"facts": {"images": int()}, "files": dict() as files}:
            return set(files) <= set(_FILES) and all(isinstance(text, str) for text in files.values())
    return False


if __name__ == "__main__":
    sys.exit(command.run(main))
