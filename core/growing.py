"""A StyleGAN on a CPU, unrolled into steps that are cut before AdaIN: what a step leaves does not know its own w.

A picture of another alpha draws the blend again; one of a smaller size takes the coarse steps of the larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from core.folded_adain import Features, Layer, Picture
from core.generator import Generator
from core.layers import Conv
from core.noise import Noise
from core.prepared import Keeping
from core.stylegan import StyledLayer, Synthesis, SynthesisBlock

__all__ = ["Growing"]


@dataclass
class _Kept:
    """What a step left, and what it was made of besides what the step before left."""

    w: Tensor | None  # [w_dim] of the layer before
    noise: Tensor | None
    features: Features
    picture: tuple[Tensor, Tensor] | None = field(default=None)  # toRGB of these features: its w, and what it gave


class Growing(Keeping):
    """StyleGAN's steps: one a layer. `pictures` is one toRGB a level."""

    def __init__(self, generator: Generator, *, precision: str, why: str = "") -> None:
        super().__init__(generator, precision=precision, why=why)
        assert isinstance(generator.synthesis, Synthesis)
        self._network = generator.synthesis
        self.steps: list[Callable[[Features | None, Tensor | None, Tensor | None], Features]] = []
        self.pictures: list[Picture] = []
        self._layers: list[Layer] = []
        before: StyledLayer | None = None
        blocks = cast(Iterable[SynthesisBlock], self._network.blocks)
        for block, torgb in zip(blocks, cast(Iterable[Conv], self._network.torgb), strict=True):
            const = None if block.level else block.const
            for layer in block.layers():
                self._layers.append(Layer(layer, before, const, self.dtype))
                before, const = layer, None
            self.pictures.append(Picture(torgb, block.conv1, self.dtype))
        self.steps.extend(self._layers)
        self._kept: list[_Kept] = []
        self._key: object = None
        self._noise: list[Tensor | None] = []

    def forget(self) -> None:
        """Let go of what is kept from the picture before."""
        self._kept.clear()

    def _one(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        ws = ws.clone()  # what is kept must not change with the caller's
        maps = self._maps(noise, level, ws)
        for index in range(2 * level + 2):
            self._step(index, ws[index - 1] if index else None, maps[index])
        img = self._picture(level, ws)
        if alpha == 1 or not level:
            return img.clone()
        smaller = F.interpolate(self._picture(level - 1, ws), scale_factor=2, mode="nearest")
        return torch.lerp(smaller, img, alpha)

    def _step(self, index: int, w: Tensor | None, noise: Tensor | None) -> None:
        """Have step `index` kept, those before it being as wanted."""
        kept = self._kept
        if index < len(kept):
            if _same(kept[index].w, w) and _same(kept[index].noise, noise):
                return
            del kept[index:]
        before = kept[-1].features if kept else None
        kept.append(_Kept(w, noise, self.steps[index](before, w, noise)))

    def _picture(self, level: int, ws: Tensor) -> Tensor:
        """toRGB of a level whose steps are kept."""
        last = 2 * level + 1
        kept, w = self._kept[last], ws[last]
        if kept.picture is None or not torch.equal(kept.picture[0], w):
            kept.picture = (w, self.pictures[level](kept.features, w))
        return kept.picture[1]

    def _maps(self, noise: Noise, level: int, like: Tensor) -> list[Tensor | None]:
        """What noise adds in each layer, at least of the levels up to `level`."""
        lasting = isinstance(noise, str | int) and noise != "random"
        if not lasting or noise != self._key or type(noise) is not type(self._key):
            levels = None if lasting else level + 1
            resolved = self._network.noise_maps(noise, 1, like, levels=levels)
            self._noise = [layer.noise(one) for layer, one in zip(self._layers, resolved, strict=False)]
            self._key = noise if lasting else None
        return self._noise


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether both are the same tensor, or equal ones."""
    if a is None or b is None:
        return a is b
    return a is b or torch.equal(a, b)
