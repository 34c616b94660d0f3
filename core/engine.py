"""A generator made ready for looking: folded weights, precision chosen by measurement, unchanged layers kept.

One picture at a time, on one thread of the caller's. On the CPU the network is unrolled into a list of steps, each
with everything that does not depend on w worked out once; what a step leaves is kept, so that the next picture
starts at the first step whose w or noise is another; a size on the way there, or another alpha, costs only the
picture's own end. On other devices the network runs as it is, under autocast.

The float32 engine always takes the same route, so a recipe has the same pixels wherever it is rendered; bfloat16,
which is for the hand while it moves, takes for each layer the route that was the faster one at load.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor

from core.devices import full_float32, has_bfloat16, laid_out, out_of_memory
from core.errors import SettingError
from core.folded import milliseconds
from core.generator import Generator
from core.growing import Growing
from core.latents import seeds_to_z
from core.noise import Noise
from core.prepared import Engine, Keeping, threads
from core.unrolled import Unrolled

__all__ = ["Engine", "choose_device", "prepare"]

_QUICK = 20  # milliseconds: with the browser's share of 30, the picture still follows the hand


def prepare(generator: Generator, *, device: str = "auto", precision: str = "auto") -> Engine:
    """Make `generator` ready for looking; it must not be changed afterwards.

    `device` auto, cpu, cuda or mps; `precision` auto, float32 or bfloat16. On a CPU auto measures both, which takes
    a fraction of a second, and keeps to one thread where that is quick enough. Another device has to draw one picture
    as the CPU does, or the CPU takes its place. Raises SettingError.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise SettingError("precision", precision, "auto, float32 or bfloat16")
    where = choose_device(device)
    with torch.inference_mode():
        if where.type != "cpu":
            return _proven(lambda: _Whole(generator, device=where, precision=precision), generator, precision=precision)
        if precision != "auto":
            return _kept(generator, precision=precision, why="as asked")
        return _measured(generator)


def _kept(generator: Generator, *, precision: str, why: str = "") -> Keeping:
    """The CPU's engine for this architecture."""
    kind = Growing if generator.grows else Unrolled
    return kind(generator, precision=precision, why=why)


def _measured(generator: Generator) -> Engine:
    """The engine for this processor: by its own measure of precisions and of threads."""
    narrow, wide = (_kept(generator, precision=precision) for precision in ("bfloat16", "float32"))
    ws = generator.w_avg.expand(1, generator.num_ws, -1)
    # Threads wait for each other: beside a busy process two of them are several times slower than one, and a second
    # core is of more use to the browser. More than one only where one would keep the hand waiting.
    for count in sorted({1, torch.get_num_threads()}):
        with threads(count):
            # One thread is timed by its own clock, which stands still while other processes have the processor.
            # On Windows that clock moves by 16 ms at once.
            clock = time.thread_time if count == 1 and sys.platform != "win32" else time.perf_counter
            fast, slow = (milliseconds(partial(engine.fresh, ws), 3, clock=clock) for engine in (narrow, wide))
        if min(fast, slow) <= _QUICK:
            break
    # Where both are about as fast, a preview that is the exact picture is the better one.
    chosen, other = (narrow, wide) if fast < 0.85 * slow else (wide, narrow)
    taken, beside = (fast, slow) if chosen is narrow else (slow, fast)
    chosen.threads = count
    plural = "thread" if count == 1 else "threads"
    chosen.says += f": {taken:.0f} ms a picture on {count} {plural}, {other.precision} {beside:.0f} ms"
    return chosen


def choose_device(name: str) -> torch.device:
    """auto takes CUDA, then MPS, then the CPU. Raises SettingError for a device that is not there."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, there in has.items() if there))
    if name not in has or not has[name]:
        there = ", ".join(device for device, is_there in has.items() if is_there)
        raise SettingError("device", name, f"auto or one that this machine has: {there}")
    return torch.device(name)


# --- the proof ---------------------------------------------------------------------------------------------------

_PROOF_SEED = 0
# Root mean square error in standard deviations of the picture: bfloat16 stays below 0.1, a gray picture has 1.
_TOLERANCES = {"float32": 0.01, "bfloat16": 0.25}


def _proven(make: Callable[[], Engine], generator: Generator, *, precision: str) -> Engine:
    """The engine that `make` gives if it draws what the CPU draws in float32; else the CPU's, which says why."""
    try:
        engine = make()
        if _agrees(engine, generator):
            return engine
        where, why = engine.device.type, "draws another picture than the CPU, so it is not used"
    except RuntimeError as wrong:  # out of memory, an operation that is missing, a driver that does not fit
        where, why = "the device", f"cannot draw ({' '.join(str(wrong).split())[:80]}), so it is not used"
    instead = prepare(generator, device="cpu", precision=precision)
    instead.warning = f"{where} {why}"
    instead.says += f"; {instead.warning}"
    return instead


def _agrees(engine: Engine, generator: Generator) -> bool:
    """Whether an engine's picture of one seed is the network's own, in float32 on the CPU, within its precision.

    Of a network that grows it is a picture inside the last fade, to which both of the finest levels add.
    """
    label = torch.zeros(1, dtype=torch.int64) if generator.num_classes else None
    ws = generator.truncate(generator.mapping(seeds_to_z([_PROOF_SEED], generator.z_dim), label))
    alpha = 0.5 if generator.grows else 1.0
    expected = generator.synthesis(ws, alpha=alpha)
    error = (engine.synthesis(ws, alpha=alpha) - expected).square().mean().sqrt()
    return bool(error <= _TOLERANCES[engine.precision] * expected.std() + 1e-6)  # False for nan


# --- other devices -----------------------------------------------------------------------------------------------


class _Whole(Engine):
    """The network as it is, on a device where launching counts for more than arithmetic."""

    def __init__(self, generator: Generator, *, device: torch.device, precision: str) -> None:
        dtype = "bfloat16" if precision == "bfloat16" or (precision == "auto" and has_bfloat16(device)) else "float32"
        super().__init__(generator, device=device, precision=dtype, says=f"{dtype}, {device.type}")
        self.network = _copy(generator)
        laid_out(self.network, device)
        self._asked = precision
        self._instead: Engine | None = None

    def _pictures(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        if self._instead is None:
            try:
                return self._drawn(ws, noise, level, alpha)
            except RuntimeError as wrong:  # a training, say, has taken the device's memory since
                if not out_of_memory(wrong):
                    raise
            self._leave()
        assert self._instead is not None
        return self._instead._pictures(ws, noise, level, alpha)

    def _leave(self) -> None:
        """Draw on the CPU from now on."""
        self._instead = prepare(self.generator, device="cpu", precision=self._asked)
        if isinstance(self._instead, Keeping):
            self._instead.threads = 1  # so that it is as steady as this one was
        self.warning = f"{self.device.type} has no memory left, so it is not used until the network is opened again"
        self.says = f"{self._instead.says}; {self.warning}"
        self.device, self.precision = self._instead.device, self._instead.precision
        del self.network
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _drawn(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        size = self.generator.config.level_sizes[level]
        narrow = self.precision == "bfloat16"
        with (
            nullcontext() if narrow else full_float32(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=narrow),
        ):
            pictures = [self.network.synthesis(one[None].to(self.device), noise, size, alpha) for one in ws]
        return torch.cat(pictures).float().cpu()


def _copy(generator: Generator) -> Generator:
    twin = Generator(generator.config)
    twin.load_state_dict(generator.state_dict())
    return twin.eval().requires_grad_(False)
