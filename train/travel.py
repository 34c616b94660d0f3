"""python -m train.travel pack RUN DIR | unpack DIR RUN: a run's state in a few small files, for machines that are lent.

A state for exact resuming holds every number in full. What travels is what a training needs to go on as well, though
not to the same bit: weights, averages and codes in float16, Adam's second moments in bfloat16, and its first moments
only where they count: with beta1 0 they are the last gradient, which the next step overwrites. What the average has
from the weights unchanged, such as maps of noise, goes once. The run's settings, command and log are among the tensors.

    DIR/travel-000123456-1-of-3.safetensors ...     images seen; each at most --limit megabytes
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
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
MOST = 1_000_000.0
ALLOWED = "megabytes from 1 to 1000000"
MEGABYTE = 1024**2
FORMAT = 1
TRIES = 5  # to read a state, which a training may replace meanwhile
_KEY = "styloscope_travel"
_FILES = (runs.CONFIG, runs.COMMAND, runs.LOG)
_MARGIN = 64 * 1024  # of a file, for names, shapes and facts
_NAME = re.compile(r"travel-([0-9]{9,12})-([1-9][0-9]{0,3})-of-([1-9][0-9]{0,3})\.safetensors")


def parser() -> Parser:
    """All arguments."""
    top = Parser(prog="python -m train.travel", description="Carry a run from machine to machine in small files.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    one = verbs.add_parser("pack", help="write what going on needs into small files")
    one.add_argument("source", metavar="RUN", type=command.place("run", "a run's folder"))
    one.add_argument(
        "dest", metavar="DIR", type=command.place("dir", "a folder"), help="files that travelled before are replaced"
    )
    one.add_argument(
        "--limit",
        default=LIMIT,
        type=command.real("limit", ALLOWED),
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
    if not 1 <= given.limit <= MOST:
        raise SettingError("limit", given.limit, ALLOWED)
    made = pack(given.source, given.dest, limit=int(given.limit * MEGABYTE))
    files = "1 file" if len(made) == 1 else f"{len(made)} files"
    print(f"{files}, {sum(path.stat().st_size for path in made) / MEGABYTE:.1f} MB, in {given.dest}")
    return 0


def pack(run: Path, folder: Path, *, limit: int) -> list[Path]:
    """Write the newest state of a run into files of at most `limit` bytes; returns them.

    What was packed before is removed once the new files are there. Raises TrainingError where the run has no state, or
    a tensor is larger than a file may be, and OutputError.
    """
    saved = _newest(run)
    texts = {name: (run / name).read_bytes() for name in _FILES if (run / name).is_file()}
    light = _lighter(saved.tensors, beta1=float(saved.facts.get("settings", {}).get("beta1", 0.0)))
    light |= {
        f"file.{name}": torch.frombuffer(bytearray(text), dtype=torch.uint8) for name, text in texts.items() if text
    }
    shards = _shards(light, limit=limit - _MARGIN, run=run)
    usable_folder(folder)
    old, images = set(_files(folder)), int(saved.facts["images"])
    # The same state in the same parts is the same pack, so that packing it again can be cut short without harm.
    stamp = hashlib.sha256(json.dumps([saved.facts, len(light), limit]).encode()).hexdigest()[:16]
    made = []
    for number, tensors in enumerate(shards, 1):
        says: dict[str, Any] = {"format": FORMAT, "stamp": stamp, "number": number, "of": len(shards)}
        if number == 1:
            says["facts"] = saved.facts
        path = folder / f"travel-{images:09d}-{number}-of-{len(shards)}.safetensors"
        with writing(path) as temporary:
            temporary.write_bytes(serialise(tensors, metadata={_KEY: json.dumps(says)}))
        made.append(path)
    for path in old - set(made):
        with suppress(OSError):  # Windows keeps one that is being read
            path.unlink(missing_ok=True)
    return made


def unpack(folder: Path, run: Path) -> Path:
    """Make a run of what travelled, to go on with by `--resume`; returns its folder.

    Of several packs the newest one that is whole is taken. Raises TrainingError where there is none, and OutputError
    where the folder of the run is not empty.
    """
    Run.check(run, resume=False)
    tensors, facts = _read(folder)
    texts = {name: tensors.pop(f"file.{name}", None) for name in _FILES}
    with Run.beginning(run, resume=False) as made:
        written = [run / name for name in _FILES]
        try:
            written.append(state.save(run / runs.STATE, _heavier(tensors), facts, images=facts["images"]))
            for name, text in texts.items():
                if text is not None:
                    with writing(run / name) as temporary:
                        temporary.write_bytes(text.numpy().tobytes())
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        finally:
            made.release()
    return run


def _newest(run: Path) -> state.State:
    """The newest state of a run, whose training may replace it while it is read. Raises TrainingError."""
    for left in reversed(range(TRIES)):
        try:
            saved = state.latest(run / runs.STATE)
        except (TrainingError, OSError):
            if not left:
                raise
            time.sleep(0.2)
            continue
        if saved is not None:
            return saved
        break
    raise TrainingError(f"{run} has no state to travel with; name the folder of a run that has been saved")


# --- lighter and heavier -----------------------------------------------------------------------------------------


def _lighter(tensors: Mapping[str, Tensor], *, beta1: float) -> dict[str, Tensor]:
    light = {}
    for name, tensor in tensors.items():
        if name.endswith(":exp_avg"):
            # In the head start, whose codes are there, the generator's Adam has a beta1 of its own.
            ahead = "codes.mean" in tensors and "codes.over" not in tensors
            if beta1 or (name.startswith("g_adam.") and ahead):
                light[name] = tensor.to(torch.bfloat16)
        elif name.endswith(":exp_avg_sq"):
            light[name] = tensor.to(torch.bfloat16)
        elif name.startswith("g_ema.") and (same := tensors.get(f"g.{name[6:]}")) is not None and same.equal(tensor):
            continue
        elif name.startswith(("g.", "g_ema.", "d.", "codes.")) and tensor.numel() > 1:
            fits = tensor.abs().max().item() < torch.finfo(torch.float16).max
            light[name] = tensor.to(torch.float16 if fits else torch.bfloat16)
        else:
            light[name] = tensor
    return {name: tensor.contiguous() for name, tensor in light.items()}


def _heavier(light: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors = {
        name: tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
        for name, tensor in light.items()
    }
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
    """What was packed there; other files, whatever they are called, are left alone."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All tensors of the newest whole pack, and the facts of its state. Raises TrainingError."""
    packs: dict[tuple[int, str, int], dict[int, Path]] = {}
    facts: dict[tuple[int, str, int], dict[str, Any]] = {}
    for path in _files(folder):
        says = _says(path)
        images = int(path.name.split("-")[1])
        one = images, says["stamp"], says["of"]
        packs.setdefault(one, {})[says["number"]] = path
        if says["number"] == 1:
            facts[one] = says["facts"]
    if not packs:
        raise TrainingError(f"{folder} has no file that train.travel packed; name the folder that was packed into")
    whole = [one for one, parts in packs.items() if len(parts) == one[2] and facts[one]["images"] == one[0]]
    if not whole:
        raise TrainingError(f"{folder} does not hold all files of one pack; bring those that belong together")
    chosen = max(whole)
    tensors: dict[str, Tensor] = {}
    for path in packs[chosen].values():
        try:
            tensors |= load_file(path)
        except (OSError, ValueError, SafetensorError) as wrong:
            raise _damaged(path) from wrong
    return tensors, facts[chosen]


def _says(path: Path) -> dict[str, Any]:
    """The header of a file that travelled, every value of it as it has to be. Raises TrainingError."""
    named = _NAME.fullmatch(path.name)
    assert named is not None
    number, of = int(named[2]), int(named[3])
    try:
        with safe_open(path, framework="pt") as file:
            says: Any = json.loads((file.metadata() or {})[_KEY])
    except (OSError, ValueError, KeyError, RecursionError, SafetensorError) as wrong:
        raise _damaged(path) from wrong
    match says:
        case {"format": int(), "stamp": str(), "number": int(), "of": int()} if (
            [type(says[key]) for key in ("format", "number", "of")] == [int, int, int]
            and (says["format"], says["number"], says["of"]) == (FORMAT, number, of)
            and number <= of
            and (number > 1 or _are_facts(says.get("facts")))
        ):
            return dict(says)
    raise _damaged(path)


def _are_facts(facts: Any) -> bool:
    """Whether they are those of a state."""
    match facts:
        case {"images": int(images), "settings": dict(), "seconds": int() | float()}:
            return type(images) is int and images >= 0 and "format" not in facts
    return False


def _damaged(path: Path) -> TrainingError:
    return TrainingError(f"{path} is no file that travelled, or it is damaged; pack the run again")


if __name__ == "__main__":
    sys.exit(command.run(main))
