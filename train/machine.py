"""What a training runs on: device, threads, precision, memory."""

from __future__ import annotations

import copy
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from core.devices import full_float32, has_bfloat16, out_of_memory, wait
from core.errors import SettingError, TrainingError
from core.memory import keep_freed_memory
from train.config import Config
from train.console import place
from train.growth import Stage
from train.loop import UNCOMPILED, Trainer, brief
from train.losses import path_lengths, r1_penalty
from train.networks import frozen

__all__ = [
    "commit",
    "compiled",
    "device",
    "doubts",
    "few",
    "fitting",
    "forget",
    "grown",
    "memory",
    "name",
    "precision",
    "says",
    "set_up",
    "wait",
]

T = TypeVar("T")

GAIN = 1.1
SLOW = 4.0
DOUBT = 0.03
LARGEST = 2**17  # pixels


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
    # With its number, as every tensor on it has it.
    return torch.device("cuda", torch.cuda.current_device()) if word == "cuda" else torch.device(word)


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
        trainer.bfloat16 = has_bfloat16(trainer.device)
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
    networks = trainer.networks
    began, micro = time.perf_counter(), trainer.micro
    try:
        _allow(programs=8 * len(trainer.growth.sizes))
        trainer.synthesis = torch.compile(networks.g.synthesis, dynamic=False)
        trainer.discriminator = torch.compile(networks.d, dynamic=False)
        fitting(trainer, lambda: _rehearse(trainer))
    except (*UNCOMPILED, TrainingError) as wrong:
        trainer.plain()
        trainer.micro = micro
        forget(trainer)
        return [f"not compiled, which only makes it slower ({brief(wrong)})"]
    return [f"compiled in {time.perf_counter() - began:.0f} s"]


def _allow(*, programs: int) -> None:
    """Let torch compile so many programs of one network: a growing one has several for each size, 8 is its limit."""
    config = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, name, max(programs, getattr(config, name)))


def fitting(trainer: Trainer, work: Callable[[], T]) -> T:
    """What `work` gives, with fewer images at once where memory runs out. Raises TrainingError."""
    while True:
        try:
            return work()
        except (MemoryError, RuntimeError) as wrong:
            if not out_of_memory(wrong):
                raise
        # Outside the handler: until it is left, its traceback holds on to everything that was computed.
        forget(trainer)
        trainer.halve()


def forget(trainer: Trainer) -> None:
    """Drop the gradients of both networks."""
    for network in (trainer.networks.g, trainer.networks.d):
        network.zero_grad(set_to_none=True)


def _rehearse(trainer: Trainer) -> None:
    """Pass through both networks as a step does, with as many pictures, so that nothing is left to compile.

    While a size fades in its networks are not compiled, so that it is rehearsed as it will be afterwards.
    """
    now = trainer.stage
    whole = [one for one in trainer.growth.stages() if one.size == now.size and not one.fading]
    with grown(trainer, whole[0] if now.fading and whole else None if now.fading else now):
        part = slice(trainer.mine.start, trainer.mine.start + trainer.micro)
        with frozen(trainer.networks.d):
            trainer.generator_loss(part)[0].backward()
        trainer.discriminator_loss(part, trainer.reals())[0].backward()
    forget(trainer)


def _pass(trainer: Trainer) -> float:
    part = few(trainer)
    began = time.perf_counter()
    trainer.discriminator_loss(part, trainer.reals())[0].backward()
    trainer.generator_loss(part)[0].backward()
    forget(trainer)
    return time.perf_counter() - began


def doubts(trainer: Trainer) -> list[str]:
    """A sentence where a GPU differentiates otherwise than the CPU, whose pictures and gradients are the measure.

    Drivers and kernels have been wrong without a word. Both networks are passed once and differentiated twice with two
    pictures, in float32: a rounding moves the gradients by a thousandth, a mistake by as much as they are. Larger
    networks would keep a CPU busy for minutes; one process looks for all.
    """
    if trainer.device.type == "cpu" or trainer.processes.rank or math.prod(trainer.networks.g.size) > LARGEST:
        return []
    try:
        with full_float32(), grown(trainer):
            found, expected = (_judged(trainer, on) for on in (trainer.device, torch.device("cpu")))
    except RuntimeError as wrong:  # memory, or an operation that this training may never need
        return [f"the gradients on {trainer.device.type} could not be compared with the CPU's ({brief(wrong)})"]
    away = float((found - expected).norm() / expected.norm())
    if away <= DOUBT:
        return []
    return [
        f"the gradients on {trainer.device.type} are {100 * away:.0f}% away from the CPU's, so what is learnt there is "
        "not to be trusted; update PyTorch, or take --device cpu"
    ]


def _judged(trainer: Trainer, on: torch.device) -> torch.Tensor:
    """The gradients of R1 and path lengths at both networks' weights, of copies on a device; float32 on the CPU."""
    g, d = (copy.deepcopy(network).to(on) for network in (trainer.networks.g.synthesis, trainer.networks.d))
    random = torch.Generator().manual_seed(0)
    owner, count = trainer.networks.g, 2
    ws = torch.randn(count, owner.num_ws, owner.w_dim, generator=random).to(on).requires_grad_()
    classes = torch.eye(owner.num_classes)[[0] * count].to(on) if owner.num_classes else None
    picture = g(ws, noise="const")
    y = torch.randn(picture.shape, generator=random).to(on)
    lengths = path_lengths(picture, ws, y)
    image = picture.detach().requires_grad_()
    logits = d(image, classes)
    penalty = r1_penalty(logits, image)
    found = []
    for loss, network in ((lengths.mean(), g), (penalty.mean() + logits.mean(), d)):
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, learning, allow_unused=True)
        flat = torch.cat([one.detach().float().cpu().flatten() for one in gradients if one is not None])
        found.append(flat / flat.norm().clamp_min(1e-12))
    return torch.cat(found)


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
