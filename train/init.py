"""Beginning with another network's weights: one of the same size, or of half the size, which then grows by a level."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

import core
from core.errors import SettingError

__all__ = ["start_from"]


def start_from(opened: core.Opened, *, g: core.Generator, g_ema: core.Generator, d: core.Discriminator) -> None:
    """Copy the weights of `opened` into g, g_ema and d, level by level from the coarsest.

    A level that `opened` lacks keeps its fresh weights, but its toRGB starts at zero, so that the first pictures are
    those of `opened`, enlarged. A discriminator is taken where the file has one. Raises SettingError where the networks
    differ in more than one doubling.
    """
    _check(opened.generator.config, g.config, name=str(opened.path))
    live = opened.live or opened.generator
    for source, target in ((live, g), (opened.generator, g_ema)):
        _copy(source, target)
        fresh = len(target.synthesis.blocks) > len(source.synthesis.blocks)
        if fresh and g.config.architecture == "skip":
            nn.init.zeros_(target.synthesis.blocks[-1].torgb.conv.weight)  # type: ignore[union-attr,arg-type]
    if opened.discriminator is not None:
        _check(opened.discriminator.config, d.config, name=str(opened.path))
        _copy(opened.discriminator, d)


def _check(theirs: Any, ours: Any, *, name: str) -> None:
    """Same everything, but for one level more."""
    a, b = dataclasses.asdict(theirs), dataclasses.asdict(ours)
    levels = len(theirs.filters)
    bigger = len(ours.filters) - levels
    if bigger not in (0, 1) or theirs.level_sizes != ours.level_sizes[:levels]:
        sizes = "x".join(map(str, theirs.size)), "x".join(map(str, ours.size))
        raise SettingError("init", name, f"its size is {sizes[0]}, which is neither {sizes[1]} nor half of it")
    if theirs.filters != ours.filters[:levels]:
        shown = ",".join(map(str, theirs.filters))
        raise SettingError("init", name, f"its channels are {shown}; give the same with --filters")
    for field in a:
        if field not in ("size", "start", "filters") and a[field] != b[field]:
            raise SettingError("init", name, f"its {field} is {a[field]}, and this run's is {b[field]}; give the same")


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    """Copy every parameter and buffer that both have; levels are counted from the coarsest in both."""
    theirs = dict(_by_level(source))
    for name, tensor in _by_level(target):
        if name in theirs and theirs[name].shape == tensor.shape:
            tensor.copy_(theirs[name])


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
