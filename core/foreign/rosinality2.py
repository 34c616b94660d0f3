"""StyleGAN2 networks of rosinality/stylegan2-pytorch: their names -> ours.

The scales agree: their 1 / sqrt(fan_in) before demodulation cancels in it. Everything that is not in the shapes of the
tensors is what that program always does: lr 0.01 in the mapping, skip and resnet, groups of 4, no clamp, no classes.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from core import latents, stylegan2
from core.foreign.filling import Blank, Piece, Plan, Tensors, blank, configured, refuse, two_filters
from core.foreign.inert import Stored
from core.foreign.taps import taps_of
from core.generator import Generator

__all__ = [
    "discriminator",
    "generator",
    "is_generator",
    "named_discriminator",
    "named_generator",
    "planned_discriminator",
    "planned_generator",
]

_MOST_LAYERS = 64
_MOST_LEVELS = 16
_MOST_KERNELS = 64
_KERNELS = re.compile(r".*\.kernel")  # each is compared with the others in _filter


def is_generator(names: Any) -> bool:
    """Whether these are the names of such a generator's tensors."""
    return "input.input" in names and "to_rgb1.conv.weight" in names


def _first(x: Tensor) -> Tensor:
    return x[0]


def _map(x: Tensor) -> Tensor:
    return x[0, 0]


def _scalar(x: Tensor) -> Tensor:
    return x.reshape(())


def _before(x: Tensor) -> Tensor:
    return x[None]


def _as_map(x: Tensor) -> Tensor:
    return x[None, None]


def _as_colours(x: Tensor) -> Tensor:
    return x.reshape(1, -1, 1, 1)


def _filter(tensors: Tensors, doubled: str) -> tuple[float, ...]:
    """The one filter of all the kernels in a network; those whose names match `doubled` hold it times 4."""
    found: dict[tuple[float, ...], str] = {}
    names = [name for name in tensors.table if _KERNELS.fullmatch(name)]
    if not 0 < len(names) <= _MOST_KERNELS:
        raise refuse(tensors, [f"{len(names)} filters, of which each size has one or two"])
    for name in names:
        stored = tensors.table[name]
        few = len(stored.size) == 2 and max(stored.size) <= 64
        total = 4.0 if re.fullmatch(doubled, name) else 1.0
        taps = taps_of(tensors.read(name), total=total) if few else None
        if taps is None:
            raise refuse(tensors, [f"{name} is no outer product of a filter with itself, or has another sum"])
        found.setdefault(taps, name)
    if len(found) > 1:
        raise two_filters(tensors, *list(found.values())[:2])
    return next(iter(found))


def generator(tensors: Tensors, average: Stored | None) -> Blank:
    """Their generator as ours; w_avg is estimated where the file has no `average`. Raises CheckpointError."""
    config, plan = planned_generator(tensors, average)
    return blank(Generator, config, tensors, plan, _KERNELS, estimated=average is None)


def planned_generator(tensors: Tensors, average: Stored | None) -> tuple[stylegan2.GeneratorConfig, Plan]:
    """What would be built of their generator, and from which of its tensors. Raises CheckpointError."""
    doublings = min(tensors.count("to_rgbs.{}.bias"), _MOST_LEVELS)
    layers = 0
    while f"style.{layers + 1}.weight" in tensors:
        layers += 1
    channels = tensors.size("to_rgb1.conv.weight", 5)[1]
    height, width = tensors.size("input.input", 4)[2:]
    w_dim = tensors.size("conv1.conv.modulation.weight", 2)[1]
    filters = [tensors.size("conv1.conv.weight", 5)[1]]
    filters += [tensors.size(f"convs.{2 * j}.conv.weight", 5)[1] for j in range(doublings)]
    config = configured(
        tensors.source.path,
        stylegan2.GeneratorConfig,
        size=(height << doublings, width << doublings),
        start=(height, width),
        filters=tuple(filters),
        channels=channels,
        z_dim=w_dim,
        w_dim=w_dim,
        mapping_layers=min(layers, _MOST_LAYERS),
        resample_filter=_filter(tensors, r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel"),
    )
    plan = named_generator(config)
    plan["mapping.w_avg"] = torch.zeros(w_dim) if average is None else average.read(tensors.source).flatten()
    if not any(name.startswith("noises.") for name in tensors.table):  # files before that program kept them
        _own_noise(plan, config.level_sizes)
    return config, plan


def named_generator(config: stylegan2.GeneratorConfig) -> Plan:
    """Which tensor of theirs is which of ours, in a generator of this configuration; w_avg is not among them."""
    plan: Plan = {"synthesis.blocks.0.const": Piece("input.input", _first, _before)}
    for k in range(config.mapping_layers):
        for leaf in ("weight", "bias"):
            plan[f"mapping.layers.{k}.{leaf}"] = Piece(f"style.{k + 1}.{leaf}")
    _layer(plan, "synthesis.blocks.0.conv1", "conv1", "noises.noise_0")
    _to_rgb(plan, "synthesis.blocks.0.torgb", "to_rgb1")
    for j in range(len(config.filters) - 1):
        block = f"synthesis.blocks.{j + 1}"
        _layer(plan, f"{block}.conv0", f"convs.{2 * j}", f"noises.noise_{2 * j + 1}")
        _layer(plan, f"{block}.conv1", f"convs.{2 * j + 1}", f"noises.noise_{2 * j + 2}")
        _to_rgb(plan, f"{block}.torgb", f"to_rgbs.{j}")
    return plan


def _modulated(plan: Plan, ours: str, theirs: str) -> None:
    plan[f"{ours}.conv.weight"] = Piece(f"{theirs}.conv.weight", _first, _before)
    for leaf in ("weight", "bias"):
        plan[f"{ours}.conv.affine.{leaf}"] = Piece(f"{theirs}.conv.modulation.{leaf}")


def _layer(plan: Plan, ours: str, theirs: str, noise: str) -> None:
    _modulated(plan, ours, theirs)
    plan[f"{ours}.bias"] = Piece(f"{theirs}.activate.bias")
    plan[f"{ours}.strength"] = Piece(f"{theirs}.noise.weight", _scalar, torch.flatten)
    plan[f"{ours}.noise"] = Piece(noise, _map, _as_map)


def _to_rgb(plan: Plan, ours: str, theirs: str) -> None:
    _modulated(plan, ours, theirs)
    plan[f"{ours}.bias"] = Piece(f"{theirs}.bias", torch.flatten, _as_colours)


def _own_noise(plan: Plan, sizes: list[tuple[int, int]]) -> None:
    """Noise maps of the integer 0 in the place of those that the file does not have: two a level, one at the first."""
    names = [name for name in plan if name.endswith(".noise")]
    maps = latents.noise_maps(0, [size for size in sizes for _ in range(2)][1:])
    plan.update({name: torch.as_tensor(one) for name, one in zip(names, maps, strict=True)})


def discriminator(tensors: Tensors) -> Blank:
    """Their discriminator as ours. Raises CheckpointError."""
    config, plan = planned_discriminator(tensors)
    return blank(stylegan2.Discriminator, config, tensors, plan, _KERNELS)


def planned_discriminator(tensors: Tensors) -> tuple[stylegan2.DiscriminatorConfig, Plan]:
    """What would be built of their discriminator, and from which of its tensors. Raises CheckpointError."""
    halvings = 0
    while f"convs.{halvings + 1}.conv1.0.weight" in tensors and halvings < _MOST_LEVELS:
        halvings += 1
    widths = [tensors.size("convs.0.0.weight", 4)[0]]
    widths += [tensors.size(f"convs.{j + 1}.conv2.1.weight", 4)[0] for j in range(halvings)]
    inputs = tensors.size("final_linear.0.weight", 2)[1]
    side = round((inputs / max(1, widths[-1])) ** 0.5)
    config = configured(
        tensors.source.path,
        stylegan2.DiscriminatorConfig,
        size=(side << halvings, side << halvings),
        start=(side, side),
        filters=tuple(reversed(widths)),
        channels=tensors.size("convs.0.0.weight", 4)[1],
        resample_filter=_filter(tensors, r"(?!)"),
    )
    return config, named_discriminator(config)


def named_discriminator(config: stylegan2.DiscriminatorConfig) -> Plan:
    """Which tensor of theirs is which of ours, in a discriminator of this configuration."""
    plan: Plan = {}

    def pair(ours: str, weight: str, bias: str | None) -> None:
        plan[f"{ours}.weight"] = Piece(f"{weight}.weight")
        if bias is not None:
            plan[f"{ours}.bias"] = Piece(f"{bias}.bias")

    pair("blocks.0.fromrgb", "convs.0.0", "convs.0.1")
    for j in range(len(config.filters) - 1):
        ours, theirs = f"blocks.{j}", f"convs.{j + 1}"
        pair(f"{ours}.conv0", f"{theirs}.conv1.0", f"{theirs}.conv1.1")
        pair(f"{ours}.conv1", f"{theirs}.conv2.1", f"{theirs}.conv2.2")
        pair(f"{ours}.skip", f"{theirs}.skip.1", None)
    pair("epilogue.conv", "final_conv.0", "final_conv.1")
    pair("epilogue.linear", "final_linear.0", "final_linear.0")
    pair("epilogue.out", "final_linear.1", "final_linear.1")
    return plan
