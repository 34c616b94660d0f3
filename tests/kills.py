"""Kill a training with SIGKILL at random moments, over and over, and compare what it ends with to one never killed.

    python -m tests.kills [KILLS] [SEED]        20 kills by default; Linux and macOS
    python -m tests.kills aimed [SHARE] [SEED]  a run of its own for each moment in a save, an evaluation, a beginning

There are about a thousand such moments (tests/train/aimed.py), of which SHARE, 0.1 by default, are tried.

A toy network with everything that has state: adaptive augmentation, lazy regularisers, held-out pictures,
watching, measures, a bounded number of network files. Each attempt is the same command with --resume.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from core import runs
from tests.train import aimed, make
from train.__main__ import main as train

FLAGS = [
    *("--size", "16", "--channel-base", "128", "--channel-max", "16", "--z-dim", "16", "--w-dim", "16", "--batch", "8"),
    *("--mapping-layers", "2", "--threads", "1", "--precision", "float32", "--samples", "4", "--tick", "0.04"),
    *("--augment", "ada", "--ada-kimg", "0.2", "--mirror", "--holdout", "0.2", "--path-every", "2", "--r1-every", "3"),
    *("--micro-batch", "4", "--metrics", "spread", "--every", "0.2", "--keep", "2", "--snapshot", "2"),
]
KEPT = ("kimg", "loss_g", "loss_d", "r1", "path_length", "ada_p", "overfit", "spread")


def attempt(arguments: list[str], *, seconds: float | None) -> int:
    """One training in a process of its own, killed after so many seconds; returns its status, negative where killed."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 2)
        sys.argv = ["train", *arguments]
        os._exit(train())
    end = time.monotonic() + (seconds if seconds is not None else 1e9)
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def left(run: Path) -> tuple[dict[str, torch.Tensor], list[list[object]], list[str]]:
    """The state's tensors, the log's figures, and the names of the network files."""
    (file,) = (run / "state").glob("*.safetensors")
    log = [[line[key] for key in KEPT] for line in runs.log(run)]
    return load_file(file), log, [path.name for path in runs.checkpoints(run)]


def main(kills: int = 20, seed: int = 0) -> int:
    """Returns 0 where both runs are the same to the bit."""
    chance, done, moments = random.Random(seed), 0, list[str]()
    with tempfile.TemporaryDirectory() as folder:
        data = make.folder(Path(folder) / "in", count=80)
        whole, cut = Path(folder) / "whole", Path(folder) / "cut"
        kimg = f"{kills * 0.16:g}"
        took = []
        for end in ("0.04", kimg):
            began = time.monotonic()
            command = ["--data", str(data), "--out", str(whole), *FLAGS, "--resume", "--kimg", end]
            assert attempt(command, seconds=None) == 0
            took.append(time.monotonic() - began)
        start, tick = took[0], took[1] / (4 * kills)
        while True:
            seconds = chance.uniform(0.5 * start, start + 3 * tick) if done < kills else None
            command = ["--data", str(data), "--out", str(cut), *FLAGS, "--kimg", kimg, "--resume"]
            status = attempt(command, seconds=seconds)
            if status == 0:
                break
            assert status == -signal.SIGKILL, f"an attempt ended with status {status}"
            done += 1
            moments.append(f"{(runs.log(cut) or [{'kimg': 0}])[-1]['kimg']:g}")
        a, b = left(whole), left(cut)
        same = [name for name in a[0] if torch.equal(a[0][name], b[0][name])]
        facts = {
            "kills": done,
            "at kimg": " ".join(moments),
            "tensors": len(a[0]),
            "equal": len(same),
            "log": a[1] == b[1],
            "networks": a[2] == b[2],
            "measures": [line["kimg"] for line in runs.metrics(whole)] == [line["kimg"] for line in runs.metrics(cut)],
            "litter": sorted(path.name for path in cut.rglob(".*")),
        }
        print(json.dumps(facts, indent=1))
        return 0 if len(same) == len(a[0]) == len(b[0]) and facts["log"] and facts["networks"] else 1


def aim(share: float = 0.1, seed: int = 0) -> int:
    """Returns 0 where each run ends as the one that nobody kills."""
    with tempfile.TemporaryDirectory() as folder:
        data = make.folder(Path(folder) / "in", count=80, size=(8, 8))
        return min(1, aimed.every(Path(folder), data, kimg="4", share=share, seed=seed, say=print))


if __name__ == "__main__":
    if sys.argv[1:2] == ["aimed"]:
        sys.exit(aim(*map(float, sys.argv[2:])))
    sys.exit(main(*map(int, sys.argv[1:])))
