"""A StyleGAN2 on a CPU, unrolled into a list of steps, each with what does not depend on w worked out once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from core.folded import RGB, SQRT2, Phases, Plain, Styled, Transposed, channels_last, faster
from core.generator import Generator
from core.layers import upsample
from core.noise import Noise
from core.prepared import Keeping
from core.stylegan2 import StyledConv, Synthesis, SynthesisBlock

__all__ = ["Unrolled"]


@dataclass(frozen=True)
class _State:
    """What flows between steps: features, the running picture, and a residual block's shortcut."""

    x: Tensor | None = None
    img: Tensor | None = None
    shortcut: Tensor | None = None


_Step = Callable[[_State, Tensor, Tensor | None], _State]


class Unrolled(Keeping):
    """StyleGAN2's steps: one a convolution, one a level of the running picture."""

    def __init__(self, generator: Generator, *, precision: str, why: str = "") -> None:
        super().__init__(generator, precision=precision, why=why)
        assert isinstance(generator.synthesis, Synthesis)
        self._network = generator.synthesis
        self.steps: list[_Step] = []
        self.rows: list[int] = []  # the w that each step takes
        self.maps: list[StyledConv | None] = []  # the layer whose noise each step takes
        self._unroll(cast(Sequence[SynthesisBlock], self._network.blocks))
        self._before: list[_State] = []
        self._ws: Tensor | None = None
        self._key: object = None
        self._noise: list[Tensor | None] = []

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

    def forget(self) -> None:
        """Let go of what is kept from the picture before."""
        self._ws = None

    def _one(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
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
            resolved = self._network.noise_maps(noise, 1, ws)
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
