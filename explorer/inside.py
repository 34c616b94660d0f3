"""What a network makes on the way to a picture: its feature maps, their means and deviations, the picture so far.

A layer's maps are those that the next layer reads: after noise, bias, activation and, in a StyleGAN, AdaIN. They come
from forward hooks on the network as it is, in float32 on the CPU, whatever engine draws the stage.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core import stylegan, stylegan2
from core.errors import SettingError
from core.generator import Generator
from core.noise import Noise
from core.prepared import threads

__all__ = ["Layer", "Look", "find", "layers", "look"]

_KEPT = 1 << 25  # numbers that a look holds on to (128 MiB); beyond it those of one layer, and the pictures

Size = tuple[int, int]
Synthesis = stylegan.Synthesis | stylegan2.Synthesis


@dataclass(frozen=True)
class Layer:
    """One place in the synthesis network where something can be looked at."""

    index: int
    name: str  # such as conv1-14x12
    kind: str  # const | conv | sum | rgb | picture
    level: int  # 0 the coarsest
    size: Size  # height, width
    channels: int
    w: int | None  # the layer of styles that goes in here, as recipes count them; None where none does
    words: str  # what it is, in half a sentence

    def entry(self) -> dict[str, Any]:
        """The layer as JSON values."""
        return {**vars(self), "size": list(self.size)}


@dataclass(frozen=True)
class Look:
    """One picture, looked at from inside.

    `layers` from coarse to fine; `means` and `deviations` by name, one number a channel, float64 [channels]; `maps`
    by name, float32 [channels, height, width], of all layers; where those are too many, of the one asked for and of
    those that stand for a size.
    """

    layers: tuple[Layer, ...]
    means: dict[str, Tensor]
    deviations: dict[str, Tensor]  # over the pixels of a channel, biased
    maps: dict[str, Tensor]

    def of_size(self, level: int) -> Layer:
        """The layer that stands for a size: the picture so far, or its last maps where there is no picture yet."""
        return _of_size(self.layers, level)

    def overall(self, name: str) -> tuple[float, float]:
        """Mean and deviation over all numbers of a layer."""
        means, deviations = self.means[name], self.deviations[name]
        mean = means.mean()
        variance = (deviations.square() + (means - mean).square()).mean()
        return float(mean), float(variance.sqrt())


def layers(generator: Generator, level: int | None = None) -> tuple[Layer, ...]:
    """Every layer of a generator up to `level` (the finest for None), coarse to fine.

    StyleGAN2: the constant, then for each size its convolutions (with the way around them: "sum"), what its toRGB adds
    and the picture so far. StyleGAN: the constant, two styled layers a size and the picture that its toRGB makes.
    """
    synthesis = generator.synthesis
    last = len(synthesis.blocks) - 1 if level is None else level
    found = list[Layer]()

    def add(kind: str, level: int, words: str, *, channels: int, w: int | None = None, part: str = "") -> None:
        size = generator.config.level_sizes[level]
        name = "const" if kind == "const" else f"{part or kind}-{size[0]}x{size[1]}"
        found.append(Layer(len(found), name, kind, level, size, channels, w, words))

    channels = generator.config.filters
    add("const", 0, "the learned constant, the same for every picture", channels=channels[0])
    for k in range(last + 1):
        if isinstance(synthesis, stylegan2.Synthesis):
            _stylegan2_level(add, synthesis, k, channels=channels[k], colours=generator.channels)
        else:
            first = "convolution, doubled in size" if k else "the constant with noise and style"
            add("conv", k, first, channels=channels[k], w=2 * k, part="conv0")
            add("conv", k, "convolution", channels=channels[k], w=2 * k + 1, part="conv1")
            if k == last and k:
                add("rgb", k, "what toRGB makes of this size", channels=generator.channels)
            words = "the picture" if k == last else "the picture, had it stopped here"
            add("picture", k, words, channels=generator.channels)
    return tuple(found)


def _stylegan2_level(
    add: Callable[..., None], synthesis: stylegan2.Synthesis, k: int, *, channels: int, colours: int
) -> None:
    block, last = synthesis.blocks[k], k == len(synthesis.blocks) - 1
    if k:
        add("conv", k, "convolution, doubled in size", channels=channels, w=2 * k - 1, part="conv0")
    add("conv", k, "convolution", channels=channels, w=2 * k, part="conv1")
    if block.residual:
        add("sum", k, "both convolutions and the way around them", channels=channels)
    if block.torgb is not None:
        add("rgb", k, "what toRGB adds to the picture at this size", channels=colours, w=2 * k + 1)
        add("picture", k, "the picture" if last else "the picture so far", channels=colours)


def _of_size(known: tuple[Layer, ...], level: int) -> Layer:
    own = [layer for layer in known if layer.level == level]
    return next((layer for layer in own if layer.kind == "picture"), own[-1])


def find(known: tuple[Layer, ...], text: str | int) -> Layer:
    """The layer of that name or index. Raises SettingError."""
    spelled = str(text)
    for layer in known:
        if spelled in (layer.name, str(layer.index)):
            return layer
    allowed = f"0 to {len(known) - 1}, coarse to fine, or a name such as {known[1].name} or {known[-1].name}"
    raise SettingError("layer", text, allowed)


def look(
    generator: Generator,
    ws: Tensor,
    noise: Noise = "const",
    size: Size | None = None,
    alpha: float = 1.0,
    *,
    layer: str | None = None,
) -> Look:
    """Draw one picture and keep what is met on the way: ws [num_ws, w_dim], the rest as for the synthesis.

    `layer` is the one whose maps are kept for certain. Takes one pass of the network as it is; the generator itself is
    not touched, so it may draw in another thread meanwhile. Raises SettingError as the synthesis does.
    """
    level = generator.synthesis.level(size, alpha)
    known = layers(generator, level)
    every = sum(one.channels * math.prod(one.size) for one in known) <= _KEPT
    kept = {layer, *(_of_size(known, k).name for k in range(level + 1))}
    means, deviations, maps = dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()
    by_place = {(one.level, one.name.split("-")[0]): one for one in known}

    def met(level: int, part: str, x: Tensor) -> None:
        one = by_place.get((level, part))
        if one is None:
            return
        x = x[0].detach().float()
        variance, mean = torch.var_mean(x, dim=(1, 2), correction=0)
        means[one.name], deviations[one.name] = mean.double(), variance.double().sqrt()
        if every or one.name in kept:
            maps[one.name] = x

    with torch.inference_mode(), threads(1):
        _run(generator, ws[None].float().cpu(), noise, size=size, alpha=alpha, met=met)
    return Look(known, means, deviations, maps)


Met = Callable[[int, str, Tensor], None]


def _run(generator: Generator, ws: Tensor, noise: Noise, *, size: Size | None, alpha: float, met: Met) -> None:
    """One pass; `met` is called with the level, the part and the maps of everything on the way."""
    synthesis = _twin(generator.synthesis)
    level = synthesis.level(size, alpha)
    blocks: list[Any] = list(synthesis.blocks)
    met(0, "const", blocks[0].const[None])

    def hear(module: nn.Module, k: int, part: str) -> None:
        module.register_forward_hook(lambda _, inputs, output: met(k, part, output))

    for k, block in enumerate(blocks[: level + 1]):
        if k or isinstance(synthesis, stylegan.Synthesis):
            hear(block.conv0, k, "conv0")
        hear(block.conv1, k, "conv1")
    if isinstance(synthesis, stylegan2.Synthesis):
        for k, block in enumerate(blocks):
            if block.torgb is not None:
                hear(block.torgb, k, "rgb")
            block.register_forward_hook(lambda _, inputs, output, k=k: _after(met, k, *output))
        synthesis(ws, noise)
        return
    for k in range(level):
        # What a size that the picture is past would have shown; of the last fade's two it is met once more, alike.
        rgb = synthesis.torgb[k]
        blocks[k].register_forward_hook(lambda _, inputs, x, k=k, rgb=rgb: met(k, "picture", rgb(x)))
    hear(synthesis.torgb[level], level, "rgb")
    met(level, "picture", synthesis(ws, noise, size, alpha))


def _after(met: Met, level: int, x: Tensor, img: Tensor | None) -> None:
    met(level, "sum", x)
    if img is not None:
        met(level, "picture", img)


def _twin(synthesis: Synthesis) -> Synthesis:
    """The same network on the same tensors, whose hooks are its own."""
    shared = {id(one): one for one in (*synthesis.parameters(), *synthesis.buffers())}
    return copy.deepcopy(synthesis, shared)
