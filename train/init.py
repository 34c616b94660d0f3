"""Beginning with another network's weights: of the same size, of half, or of any a growing network grows through."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import nn

import core
from core.errors import SettingError

__all__ = ["start_from"]

LUMA = (0.299, 0.587, 0.114)


def start_from(opened: core.Opened, *, g: core.Generator, g_ema: core.Generator, d: core.Discriminator) -> None:
    """Copy the weights of `opened` into g, g_ema and d, level by level from the coarsest.

    A level that `opened` lacks keeps its fresh weights, but its toRGB starts at zero, so that the first pictures are
    those of `opened`, enlarged. Where one of the two is gray and the other RGB, the first pictures are the gray of
    theirs (ITU-R 601 luma, as for gray training pictures), or theirs in three equal planes. A discriminator is taken
    where the file has one. A StyleGAN blends new levels in while it grows, so theirs stay as they are. Raises
    SettingError where the networks differ in more than one doubling, or for a StyleGAN in more than size.
    """
    if opened.generator.arch != g.arch:
        theirs = opened.generator.arch
        raise SettingError("init", str(opened.path), f"it is a {theirs}; give --arch {theirs}")
    _check(opened.generator.config, g.config, name=str(opened.path))
    live = opened.live or opened.generator
    for source, target in ((live, g), (opened.generator, g_ema)):
        _copy(source, target)
        fresh = len(target.synthesis.blocks) > len(source.synthesis.blocks)
        if fresh and getattr(g.config, "architecture", "") == "skip":
            nn.init.zeros_(target.synthesis.blocks[-1].torgb.conv.weight)  # type: ignore[union-attr,arg-type]
    if opened.discriminator is not None:
        _check(opened.discriminator.config, d.config, name=str(opened.path))
        _copy(opened.discriminator, d)


def _check(theirs: Any, ours: Any, *, name: str) -> None:
    """Same everything, but for one level more, or for any number where they grow."""
    a, b = dataclasses.asdict(theirs), dataclasses.asdict(ours)
    levels = len(theirs.filters)
    bigger = len(ours.filters) - levels
    grows = isinstance(ours, core.stylegan.GeneratorConfig | core.stylegan.DiscriminatorConfig)
    if not 0 <= bigger <= (levels + bigger if grows else 1) or theirs.level_sizes != ours.level_sizes[:levels]:
        sizes = "x".join(map(str, theirs.size)), "x".join(map(str, ours.size))
        known = f"no size that {sizes[1]} grows through" if grows else f"neither {sizes[1]} nor half of it"
        raise SettingError("init", name, f"its size is {sizes[0]}, which is {known}; {_fits(theirs, grows=grows)}")
    wrong = []
    if theirs.filters != ours.filters[:levels]:
        shown = ",".join(map(str, theirs.filters))
        wrong.append(f"its channels are {shown}; give the same with --filters")
    free = {"size", "start", "filters", "channels"}
    if hasattr(theirs, "map_dim") and theirs.num_classes == ours.num_classes == 0:
        free |= {"map_dim", "mapping_layers", "mapping_lr"}  # of the classes' mapping, which neither has
    if getattr(theirs, "group_size", 0) is None:
        free.add("group_size")  # the whole batch there, as many as --group says here
    for field in a:
        if field not in free and a[field] != b[field]:
            wrong.append(f"its {field} is {a[field]}, and this run's is {b[field]}; give the same")
    if wrong:
        raise SettingError("init", name, "; ".join(wrong))


def _fits(theirs: Any, *, grows: bool) -> str:
    """What begins with a network, in words: a start shape is fixed, since its first layer is as large."""
    start, sizes = theirs.level_sizes[0], [tuple(side << more for side in theirs.size) for more in (0, 1)]
    shown = [f"{height}x{width}" for height, width in (start, *sizes)]
    larger = f"{shown[2]} or any other doubling" if grows else f"{shown[2]}, twice that"
    return f"it starts from {shown[0]}, so give --size {shown[1]} or {larger}, into which any pictures are fitted"


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copy every parameter and buffer that both have; levels are counted from the coarsest in both."""
    theirs = dict(_by_level(source))
    for name, tensor in _by_level(target):
        if name not in theirs:
            continue
        if ".torgb." in name and ".affine." not in name:
            tensor.copy_(_outputs(theirs[name], len(tensor)))
        elif "fromrgb." in name and name.endswith("weight"):
            tensor.copy_(_inputs(theirs[name], tensor.shape[1]))
        elif theirs[name].shape == tensor.shape:
            tensor.copy_(theirs[name])


def _outputs(theirs: torch.Tensor, channels: int) -> torch.Tensor:
    """Weights [C, ...] or biases [C] that give pictures, for `channels` of them.

    The luma of a picture is the luma of its weights and biases, since toRGB, its sums and their enlarging are linear.
    """
    if len(theirs) == channels:
        return theirs
    if channels == 3:
        return theirs.expand(3, *theirs.shape[1:])
    return torch.tensordot(torch.tensor(LUMA).to(theirs), theirs, dims=1)[None]


def _inputs(theirs: torch.Tensor, channels: int) -> torch.Tensor:
    """Weights [O, C, 1, 1] that take pictures, for `channels` of them.

    From RGB to gray: what they make of three equal planes. From gray to RGB: what they make of the luma. Weights are
    divided by the square root of their inputs when they are used (equalised), hence sqrt(3).
    """
    if theirs.shape[1] == channels:
        return theirs
    if channels == 1:
        return theirs.sum(dim=1, keepdim=True) / math.sqrt(3)
    return theirs * torch.tensor(LUMA).to(theirs)[None, :, None, None] * math.sqrt(3)


def _by_level(network: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """state_dict with the discriminator's blocks, which run from fine to coarse, numbered from the coarsest."""
    state = network.state_dict()
    if not isinstance(network, core.Discriminator):
        return list(state.items())
    count = len(network.blocks)
    renamed = []
    for name, tensor in state.items():
        parts = name.split(".")
        if parts[0] == "blocks":
            parts[1] = f"level{count - int(parts[1])}"
        renamed.append((".".join(parts), tensor))
    return renamed
