"""What a training runs on: device, threads, precision, memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from core.errors import SettingError
from core.memory import keep_freed_memory
from train.config import Config
from train.console import place
from train.growth import Stage
from train.loop import Trainer
from train.networks import frozen

__all__ = ["commit", "compiled", "device", "few", "grown", "memory", "name", "precision", "says", "set_up", "wait"]

GAIN = 1.1
SLOW = 4.0


def device(word: str) -> torch.device:
    """The device of a setting; of several processes each has a GPU of its own. Raises SettingError."""
    several = place()[1] > 1
    mps = torch.backends.mps.is_available() and not several
    if word == "auto":
        word = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if word == "mps" and several:
        raise SettingError("device", word, "cpu or cuda where there are several processes")
    if (word == "cuda" and not torch.cuda.is_available()) or (word == "mps" and not mps):
        raise SettingError("device", word, "this machine or this PyTorch has none; take auto or cpu")
    if word == "cuda" and several:
        local, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if int(os.environ.get("LOCAL_WORLD_SIZE", local + 1)) > there:
            raise SettingError(
                "device", word, f"this machine has {there} GPUs; give --nproc_per_node no more than that"
            )
        return torch.device("cuda", local)
    return torch.device(word)


def set_up(config: Config, on: torch.device) -> None:
    """Set torch's threads and keep memory on the CPU; a GPU may try its convolutions and multiply as TensorFloat-32."""
    keep_freed_memory()
    if config.threads != "auto":
        torch.set_num_threads(int(config.threads))
    if on.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")


def precision(config: Config, trainer: Trainer, *, resumed: bool) -> str:
    """Choose the trainer's precision, and say why.

    auto: on a GPU what its hardware has; on a CPU one pass of both networks is timed in each, and bfloat16 is taken
    where it saves at least a tenth. A resumed run keeps what it has. Nothing of the training is touched.
    """
    if config.precision != "auto":
        trainer.bfloat16 = config.precision == "bfloat16"
        return "as asked"
    if resumed:
        return "as the run began"
    if trainer.device.type == "cuda":
        trainer.bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "this GPU has bfloat16 units" if trainer.bfloat16 else "this GPU has no bfloat16 units"
    if trainer.device.type == "mps":
        return "the safe choice on MPS"
    seconds = {}
    with grown(trainer):
        for bfloat16 in (False, True):
            trainer.bfloat16 = bfloat16
            first = _pass(trainer)
            # A network so slow that its first pass takes seconds needs no second opinion.
            seconds[bfloat16] = first if first > SLOW else min(first, _pass(trainer), _pass(trainer))
    gain = seconds[False] / seconds[True]
    trainer.bfloat16 = gain >= GAIN
    return f"measured: bfloat16 has {gain:.2f} times the speed of float32"


@contextmanager
def grown(trainer: Trainer, stage: Stage | None = None) -> Iterator[None]:
    """The trainer as it will be at `stage`, None: full-grown, where most of the time goes; as it was afterwards."""
    images = trainer.images
    if trainer.growth.grows:
        trainer.images = trainer.growth.end if stage is None else stage.begin
    try:
        yield
    finally:
        trainer.images = images


def few(trainer: Trainer) -> slice:
    """The first pictures of this process's share of the batch: few, but enough to measure, and whole groups."""
    group = trainer.config.group
    return slice(trainer.mine.start, trainer.mine.start + min(trainer.micro, -(-4 // group) * group))


def compiled(trainer: Trainer) -> list[str]:
    """Compile the passes that are differentiated once, where that is asked for; returns what a person should know.

    torch.compile has no second derivatives, so R1 and path lengths take the networks as they are. Where it does not
    work, for want of a C compiler, say, the training goes on without.
    """
    asked = trainer.config.compile
    if asked == "off" or (asked == "auto" and trainer.device.type != "cuda"):
        return []
    g, d = trainer.networks.g.synthesis, trainer.networks.d
    began = time.perf_counter()
    try:
        _allow(programs=8 * len(trainer.growth.sizes))
        trainer.synthesis, trainer.discriminator = torch.compile(g, dynamic=False), torch.compile(d, dynamic=False)
        _rehearse(trainer)
    except (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
            ValueError) as wrong:  # fmt: skip
        trainer.synthesis, trainer.discriminator = g, d
        for network in (trainer.networks.g, trainer.networks.d):
            network.zero_grad(set_to_none=True)
        reason = (str(wrong).strip().splitlines() or [type(wrong).__name__])[0][:120]
        return [f"not compiled, which only makes it slower ({reason})"]
    return [f"compiled in {time.perf_counter() - began:.0f} s"]


def _allow(*, programs: int) -> None:
    """Let torch compile so many programs of one network: a growing one has several for each size, 8 is its limit."""
    config = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, name, max(programs, getattr(config, name)))


def _rehearse(trainer: Trainer) -> None:
    """Pass through both networks as a step does, with as many pictures, so that nothing is left to compile."""
    part = slice(trainer.mine.start, trainer.mine.start + trainer.micro)
    with frozen(trainer.networks.d):
        trainer.generator_loss(part)[0].backward()
    trainer.discriminator_loss(part, trainer.reals())[0].backward()
    for network in (trainer.networks.g, trainer.networks.d):
        network.zero_grad(set_to_none=True)


def _pass(trainer: Trainer) -> float:
    part = few(trainer)
    began = time.perf_counter()
    trainer.discriminator_loss(part, trainer.reals())[0].backward()
    trainer.generator_loss(part)[0].backward()
    for network in (trainer.networks.g, trainer.networks.d):
        network.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def name(on: torch.device) -> str:
    """The device as people call it."""
    if on.type == "cuda":
        return torch.cuda.get_device_name(on)
    if on.type != "cpu":
        return on.type
    threads = torch.get_num_threads()
    return f"cpu ({platform.machine()}, {threads} thread{'s' if threads > 1 else ''})"


def says(on: torch.device, *, bfloat16: bool, why: str, processes: int = 1) -> str:
    """One line: device, torch, precision and why."""
    several = f"{processes} processes, " if processes > 1 else ""
    return f"{several}{name(on)}, PyTorch {torch.__version__}, {'bfloat16' if bfloat16 else 'float32'} ({why})"


def wait(on: torch.device) -> None:
    """Let the device finish what it was given."""
    if on.type == "cuda":
        torch.cuda.synchronize(on)
    elif on.type == "mps":
        torch.mps.synchronize()


def memory(on: torch.device) -> float | None:
    """The most memory this process has held, in GiB; None where the system does not tell."""
    if on.type == "cuda":
        return round(torch.cuda.max_memory_allocated(on) / 2**30, 3)
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30, 3)


def commit() -> str | None:
    """The commit of this program, or None where it is no checkout."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(root), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
