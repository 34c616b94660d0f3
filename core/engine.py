"""A generator made ready for looking: folded weights, precision chosen by measurement, unchanged layers kept.

One picture at a time, on one thread of the caller's. On the CPU the network is unrolled into a list of steps, each
with everything that does not depend on w worked out once; what a step leaves is kept, so that the next picture
starts at the first step whose w or noise is another. On other devices the network runs as it is, under autocast.

The float32 engine always takes the same route, so a recipe has the same pixels wherever it is rendered; bfloat16,
which is for the hand while it moves, takes for each layer the route that was the faster one at load.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from core.errors import SettingError
from core.folded import RGB, SQRT2, Phases, Plain, Styled, Transposed, channels_last, faster, milliseconds
from core.generator import Generator
from core.latents import seeds_to_z
from core.layers import upsample
from core.stylegan2 import Noise, StyledConv, SynthesisBlock, checked_noise

__all__ = ["Engine", "choose_device", "prepare"]

_QUICK = 20  # milliseconds: with the browser's share of 30, the picture still follows the hand


class Engine:
    """A prepared generator. `synthesis(ws, noise)` gives pictures; `says` is one line on precision, device and why.

    `warning` is a sentence where this is not the device that was asked for; `steady` is whether float32 pictures come
    out the same to the bit however many threads the caller has.
    """

    steady = True
    warning: str | None = None

    def __init__(self, generator: Generator, *, device: torch.device, precision: str, says: str) -> None:
        self.generator = generator
        self.device = device
        self.precision = precision
        self.says = says

    def synthesis(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        """ws [N, num_ws, w_dim], N at least 1 -> [N, channels, H, W] float32 on the CPU.

        Raises SettingError for a ws of another shape and an unknown noise.
        """
        wanted = (self.generator.num_ws, self.generator.w_dim)
        shape = tuple(ws.shape)
        if len(shape) != 3 or shape[1:] != wanted or not shape[0]:
            allowed = f"[N, {wanted[0]}, {wanted[1]}], N pictures of {wanted[0]} layers each, N at least 1"
            raise SettingError("the shape of ws", list(shape), allowed)
        return self._pictures(ws, checked_noise(noise))

    def _pictures(self, ws: Tensor, noise: Noise) -> Tensor:
        raise NotImplementedError


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
            return _Unrolled(generator, precision=precision, why="as asked")
        return _measured(generator)


def _measured(generator: Generator) -> Engine:
    """The engine for this processor: by its own measure of precisions and of threads."""
    narrow, wide = (_Unrolled(generator, precision=precision) for precision in ("bfloat16", "float32"))
    ws = generator.w_avg.expand(1, generator.num_ws, -1)
    # Threads wait for each other: beside a busy process two of them are several times slower than one, and a second
    # core is of more use to the browser. More than one only where one would keep the hand waiting.
    for threads in sorted({1, torch.get_num_threads()}):
        with _threads(threads):
            # One thread is timed by its own clock, which stands still while other processes have the processor.
            clock = time.thread_time if threads == 1 else time.perf_counter
            fast, slow = (milliseconds(partial(engine.fresh, ws), 3, clock=clock) for engine in (narrow, wide))
        if min(fast, slow) <= _QUICK:
            break
    # Where both are about as fast, a preview that is the exact picture is the better one.
    chosen, other = (narrow, wide) if fast < 0.85 * slow else (wide, narrow)
    taken, beside = (fast, slow) if chosen is narrow else (slow, fast)
    chosen.threads = threads
    plural = "thread" if threads == 1 else "threads"
    chosen.says += f": {taken:.0f} ms a picture on {threads} {plural}, {other.precision} {beside:.0f} ms"
    return chosen


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Compute on `count` threads (None: as many as the caller does), and put back what was set."""
    before = torch.get_num_threads()
    if count is not None and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


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
_TOLERANCES = {"float32": 0.05, "bfloat16": 0.25}


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
    """Whether an engine's picture of one seed is the network's own, in float32 on the CPU, within its precision."""
    label = torch.zeros(1, dtype=torch.int64) if generator.num_classes else None
    ws = generator.truncate(generator.mapping(seeds_to_z([_PROOF_SEED], generator.z_dim), label))
    expected = generator.synthesis(ws)
    error = (engine.synthesis(ws) - expected).square().mean().sqrt()
    return bool(error <= _TOLERANCES[engine.precision] * expected.std() + 1e-6)  # False for nan


# --- other devices -----------------------------------------------------------------------------------------------


class _Whole(Engine):
    """The network as it is, on a device where launching counts for more than arithmetic."""

    def __init__(self, generator: Generator, *, device: torch.device, precision: str) -> None:
        dtype = "bfloat16" if precision == "bfloat16" or (precision == "auto" and device.type == "cuda") else "float32"
        super().__init__(generator, device=device, precision=dtype, says=f"{dtype}, {device.type}")
        self.network = _copy(generator).to(device)
        for name, parameter in self.network.named_parameters():
            if name.endswith("conv.weight"):
                parameter.data = channels_last(parameter.data)

    @torch.inference_mode()
    def _pictures(self, ws: Tensor, noise: Noise) -> Tensor:
        narrow = self.precision == "bfloat16"
        # cuDNN rounds the factors of float32 convolutions to 10 bits unless told not to.
        exactly = torch.backends.cudnn.flags(allow_tf32=narrow)
        with exactly, torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
            pictures = [self.network.synthesis(one[None].to(self.device), noise) for one in ws]
        return torch.cat(pictures).float().cpu()


def _copy(generator: Generator) -> Generator:
    twin = Generator(generator.config)
    twin.load_state_dict(generator.state_dict())
    return twin.eval().requires_grad_(False)


# --- the CPU -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """What flows between steps: features, the running picture, and a residual block's shortcut."""

    x: Tensor | None = None
    img: Tensor | None = None
    shortcut: Tensor | None = None


_Step = Callable[[_State, Tensor, Tensor | None], _State]


class _Unrolled(Engine):
    def __init__(self, generator: Generator, *, precision: str, why: str = "") -> None:
        says = f"{precision}, cpu" + (f", {why}" if why else "")
        super().__init__(generator, device=torch.device("cpu"), precision=precision, says=says)
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        self.threads: int | None = None  # None: as many as the caller has
        self.steps: list[_Step] = []
        self.rows: list[int] = []  # the w that each step takes
        self.maps: list[StyledConv | None] = []  # the layer whose noise each step takes
        self._unroll(cast(Sequence[SynthesisBlock], generator.synthesis.blocks))
        self._before: list[_State] = []
        self._ws: Tensor | None = None
        self._key: object = None
        self._noise: list[Tensor | None] = []

    @property
    def steady(self) -> bool:  # type: ignore[override]
        """Two threads add up in another order than one, and what is kept would carry that into the next picture."""
        return self.threads == 1

    def _unroll(self, blocks: Sequence[SynthesisBlock]) -> None:
        row = 0
        for block in blocks:
            for conv in block.convs():
                first, last = conv is block.convs()[0], conv is block.conv1
                self._add(_conv_step(conv, block, dtype=self.dtype, first=first, last=last), row, conv)
                row += 1
            self._add(_picture_step(block, dtype=self.dtype), row, None)

    def _add(self, step: _Step, row: int, layer: StyledConv | None) -> None:
        self.steps.append(step)
        self.rows.append(row)
        self.maps.append(layer)

    @torch.inference_mode()
    def _pictures(self, ws: Tensor, noise: Noise) -> Tensor:
        with _threads(self.threads):
            return torch.cat([self._one(one.float().cpu(), noise) for one in ws])

    def fresh(self, ws: Tensor) -> Tensor:
        """Synthesis that keeps nothing from the picture before."""
        self._ws = None
        return self.synthesis(ws)

    def _one(self, ws: Tensor, noise: Noise) -> Tensor:
        start = self._first_changed(ws, noise)
        state = self._before[start] if start else _State()
        del self._before[start:]
        # Until this picture is whole, the rows it was made of are not those of what is kept.
        self._ws = None
        for index in range(start, len(self.steps)):
            self._before.append(state)
            state = self.steps[index](state, ws[self.rows[index]], self._noise[index])
        self._before.append(state)
        self._ws = ws.clone()
        assert state.img is not None
        return state.img.clone()

    def _first_changed(self, ws: Tensor, noise: Noise) -> int:
        """The index of the first step that must run again; all of them when the noise is another."""
        key = noise if isinstance(noise, str | int) and noise != "random" else object()
        known = self._ws is not None and key == self._key and type(key) is type(self._key)
        if not known:
            resolved = self.generator.synthesis.noise_maps(noise, 1, ws)
            maps = iter(resolved)
            self._noise = [None if layer is None else self._prepared(layer, next(maps)) for layer in self.maps]
            self._key = key
            return 0
        assert self._ws is not None
        changed = (ws != self._ws).any(dim=1).tolist()
        return next((k for k, row in enumerate(self.rows) if changed[row]), len(self.steps))

    def _prepared(self, layer: StyledConv, noise: Tensor | None) -> Tensor | None:
        if noise is None or not layer.use_noise or layer.strength.item() == 0:
            return None
        return (noise * (layer.strength * (SQRT2 * layer.gain))).to(self.dtype).reshape(1, 1, *layer.size)


def _conv_step(layer: StyledConv, block: SynthesisBlock, *, dtype: torch.dtype, first: bool, last: bool) -> _Step:
    """The step of one styled convolution; `first` and `last` of its block, where shortcuts begin and end."""
    run: Styled
    if not layer.conv.up:
        run = Plain(layer, dtype)
    elif dtype == torch.float32 or not block.plain:
        run = Transposed(layer, dtype)
    else:
        run = faster(Transposed(layer, dtype), Phases(layer, dtype))
    const = None if block.level else channels_last(block.const[None].to(dtype))
    skip = block.skip if block.residual else None
    weight = None
    if skip is not None:
        weight = channels_last((skip.weight * (skip.gain / math.sqrt(skip.weight.shape[1]))).to(dtype))

    def step(state: _State, w: Tensor, noise: Tensor | None) -> _State:
        x = state.x if const is None else const
        assert x is not None
        shortcut = state.shortcut
        if first and weight is not None and skip is not None:
            shortcut = upsample(F.conv2d(x, weight), skip.filter)
        y = run(x, w, noise)
        if layer.clamp is not None:
            y = y.clamp_(-layer.clamp * layer.gain, layer.clamp * layer.gain)
        if last and shortcut is not None:
            y, shortcut = shortcut + y, None
        return _State(y, state.img, shortcut)

    return step


def _picture_step(block: SynthesisBlock, *, dtype: torch.dtype) -> _Step:
    """The step that doubles the running picture and adds this block's toRGB."""
    rgb = None if block.torgb is None else RGB(block.torgb, dtype)

    def step(state: _State, w: Tensor, noise: Tensor | None) -> _State:
        img = state.img
        if img is not None:
            img = block.doubled(img)
        if rgb is not None:
            assert state.x is not None
            y = rgb(state.x, w)
            img = y if img is None else img.add_(y)
        return _State(state.x, img, state.shortcut)

    return step
