"""A training killed with SIGKILL at chosen moments: before and after every rename, sync and unlink, in every write.

The training runs in a fork of this process, whose functions are wrapped so that it kills itself at its Nth moment;
the product knows nothing of it. Resumed, killed again and resumed to its end, it is compared with one never killed.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

import core.lock
import train.keep
import train.loop
import train.measuring
import train.metrics.record
import train.output
import train.session
import train.state
from core import pictures, runs
from train.__main__ import main

# Few steps, many images: numbers of network files are thousands of images, and some of them have to go.
TOY = [
    *("--size", "8", "--channel-base", "16", "--channel-max", "4", "--z-dim", "4", "--w-dim", "4", "--threads", "1"),
    *("--device", "cpu"),
    *("--mapping-layers", "1", "--precision", "float32", "--batch", "500", "--samples", "4", "--tick", "0.5"),
    *("--augment", "ada", "--ada-kimg", "2", "--mirror", "--holdout", "0.4", "--path-every", "2", "--r1-every", "3"),
    *("--metrics", "spread", "--every", "1", "--keep", "2", "--snapshot", "1"),
]
BROKEN = 70
# What tells how long it took, and `sha`, of network files that tell it.
TIMES = frozenset({"seconds", "hours", "images_per_second", "memory_gib", "commit", "sha"})


# The name of a moment, "" for every one, and which of them: the first is 1, and 0 never comes.
Aim = tuple[str, int]
NEVER: Aim = ("", 0)


class Moments:
    """Counts the moments of this process, kills it at one of them, or writes down what they are called."""

    def __init__(self, run: Path, *, aim: Aim, notes: Path | None) -> None:
        self.run = run
        self.name, self.left = aim
        self.notes = notes

    def come(self, name: str, first: Callable[[], object] = lambda: None) -> None:
        """A moment; where it is the last one, `first` is done and then nothing."""
        self.left -= self.name in ("", name)
        if self.notes is not None:
            with builtins.open(self.notes, "a", encoding="utf-8") as out:
                out.write(name + "\n")
        if self.left == 0:
            first()
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, room: Any, name: str, called: str, *, of: int | None = None) -> None:
        """Moments before and after a function; `of` is the argument whose path is told."""
        whole = getattr(room, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            what = called if of is None else f"{called} {self.place(args[of])}"
            self.come(f"before {what}")
            done = whole(*args, **kwargs)
            self.come(f"after {what}")
            return done

        setattr(room, name, call)

    def halfway(self, name: str) -> None:
        """Moments with half of what a Path writes on the disk."""
        whole = getattr(Path, name)

        def write(path: Path, data: Any, **kwargs: Any) -> Any:
            self.come(f"half of {self.place(path)}", lambda: whole(path, data[: len(data) // 2], **kwargs))
            return whole(path, data, **kwargs)

        setattr(Path, name, write)

    def opened(self, room: Any) -> None:
        """Moments with half of what a module writes into files that it opens itself."""

        whole_open = builtins.open

        def opening(file: Any, mode: str = "r", **kwargs: Any) -> Any:
            out = whole_open(file, mode, **kwargs)
            if not set(mode) & set("awx"):
                return out
            whole = out.write

            def write(data: Any) -> Any:
                self.come(f"half of {self.place(file)}", lambda: (whole(data[: len(data) // 2]), out.flush()))
                return whole(data)

            # Files of this kind take no new attributes.
            return _Opened(out, write)

        room.open = opening

    def place(self, path: Any) -> str:
        """The name of a file of the run: its folder, or itself where it lies in the run's own."""
        path = Path(path)
        if not path.is_relative_to(self.run):
            return "elsewhere"
        inside = re.sub(r"\.styloscope-[0-9a-f-]+|(?<=lock)\.[0-9a-f]{8}", "", path.relative_to(self.run).as_posix())
        return re.sub(r"[0-9]{6,}", "N", inside.replace("/.", "/").lstrip("."))


class _Opened:
    """A file that writes otherwise."""

    def __init__(self, file: Any, write: Callable[[Any], Any]) -> None:
        self._file = file
        self.write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *wrong: object) -> None:
        self._file.close()


def wrap(moments: Moments) -> None:
    """Put moments into everything that a training leaves on the disk, and into what it does between."""
    moments.around(os, "replace", "rename to", of=1)
    moments.around(os, "fsync", "sync")
    moments.around(os, "unlink", "unlink", of=0)
    moments.around(os, "mkdir", "mkdir", of=0)
    moments.halfway("write_bytes")
    moments.halfway("write_text")
    for room in (train.output, train.metrics.record, core.lock):
        moments.opened(room)
    moments.around(train.state, "_holds", "reading back")
    moments.around(train.keep, "prune", "prune")
    moments.around(pictures, "write_png", "drawing", of=0)
    moments.around(train.session, "draw", "sheet")
    moments.around(train.loop.Trainer, "step", "step")
    moments.around(torch.optim.Adam, "step", "Adam")
    moments.around(train.measuring, "evaluate", "evaluation")


def spread(g: Any, *_: object, each: Callable[[], None], **__: object) -> dict[str, Any]:
    """A measure that costs nothing, and finds now a network better, now the next."""
    each()
    value = abs(float(g.w_avg.cpu().double().sum()) * 1e4) % 1
    return {"spread": {"value": value, "real": 1.0, "noise": 0.0, "goal": "lower"}}


def attempt(run: Path, arguments: list[str], *, aim: Aim = NEVER, notes: Path | None = None) -> tuple[int, str]:
    """Train in a fork, killed at the moment `aim`; its status, negative where killed, and what it said."""
    errors = run.with_name("errors.txt")
    child = os.fork()
    if child == 0:
        said = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 2)
        train.measuring.evaluate = spread
        wrap(Moments(run, aim=aim, notes=notes))
        sys.argv = ["train", *arguments, "--out", str(run), "--resume"]
        status = BROKEN
        try:
            status = main()
        finally:
            if status == BROKEN:
                traceback.print_exc()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read_text(encoding="utf-8", errors="replace")


def left(run: Path) -> dict[str, Any]:
    """All that a run leaves, times aside: names, tensors of networks and state, figures, pictures."""
    found: dict[str, Any] = {"names": sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))}
    for file in sorted(run.rglob("*.safetensors")):
        name = file.relative_to(run).as_posix()
        found |= {f"{name} {key}": tensor for key, tensor in load_file(file).items()}
        with safe_open(file, framework="pt") as opened:
            (text,) = opened.metadata().values()
        # The line that began the run names its folder.
        found[f"{name} header"] = _timeless(json.loads(text.replace(str(run), "RUN")))
    found["log"] = _timeless(runs.log(run))
    found["metrics"] = _timeless(runs.metrics(run))
    files = [run / name for name in ("best.json", "evolution.gif", "data.png", "config.json")]
    for file in [*files, *runs.samples(run)]:
        found[file.name] = file.read_bytes() if file.is_file() else None
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What is not the same to the bit; of names those that one of both lacks."""
    found = [f"{name} is in one of both" for name in sorted(set(a["names"]) ^ set(b["names"]))]
    for key in a.keys() & b.keys() - {"names"}:
        x, y = a[key], b[key]
        same = torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        found += [] if same else [key]
    return found


def prepared(folder: Path, data: Path, *, kimg: str) -> tuple[list[str], dict[str, Any], list[str]]:
    """The flags of a training, what it leaves when nobody kills it, and the names of its moments, in order."""
    importlib.import_module("torch._dynamo")  # Adam would import it late, in every fork
    flags = ["--data", str(data), *TOY, "--kimg", kimg]
    status, said = attempt(folder / "whole", flags, notes=folder / "notes.txt")
    if status:
        raise RuntimeError(said)
    return flags, left(folder / "whole"), (folder / "notes.txt").read_text(encoding="utf-8").splitlines()


def chain(folder: Path, data: Path, *, kimg: str, aims: Sequence[Aim]) -> list[str]:
    """One run killed at each of the moments in turn, counted anew in each attempt; what ends otherwise."""
    flags, whole, _ = prepared(folder, data, kimg=kimg)
    found = []
    for aim in aims:
        status, said = attempt(folder / "cut", flags, aim=aim)
        found += [] if status == -signal.SIGKILL else [f"status {status} instead of a kill {aim}: {said}"]
    status, said = attempt(folder / "cut", flags)
    return [*found, *(differences(whole, left(folder / "cut")) if status == 0 else [f"status {status}: {said}"])]


def every(folder: Path, data: Path, *, kimg: str, share: float, seed: int, say: Callable[[str], None]) -> int:
    """A run of its own for each moment, or for a share of them; returns how many ended otherwise."""
    flags, whole, names = prepared(folder, data, kimg=kimg)
    chance, wrong, tried = random.Random(seed), 0, 0
    for number, name in enumerate(names, start=1):
        if chance.random() >= share:
            continue
        tried += 1
        cut = folder / "cut"
        status, said = attempt(cut, flags, aim=("", number))
        problems = [] if status == -signal.SIGKILL else [f"status {status} instead of a kill: {said}"]
        status, said = attempt(cut, flags)
        problems += differences(whole, left(cut)) if status == 0 else [f"status {status}: {said}"]
        wrong += bool(problems)
        if problems:
            say(f"moment {number}, {name}: {'; '.join(problems)}")
        shutil.rmtree(cut)
    say(f"{tried} of {len(names)} moments of {len(set(names))} kinds; {wrong} of them ended otherwise")
    return wrong


if __name__ == "__main__":
    where, source, images, *moments = sys.argv[1:]
    pairs = [moment.rpartition(" ") for moment in moments]
    wrongs = chain(Path(where), Path(source), kimg=images, aims=[(name, int(count)) for name, _, count in pairs])
    print(*wrongs, sep="\n")
    sys.exit(bool(wrongs))
