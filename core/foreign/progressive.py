"""StyleGAN networks of rosinality/style-based-gan-pytorch: their names and scales -> ours.

Theirs are W sqrt(2 / fan_in) everywhere with a leaky ReLU without factor. Where our layer has the factor sqrt(2) in
its activation that is the same but for the bias; where it has none, sqrt(2) goes into the weight.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from core import stylegan
from core.foreign.filling import Blank, Piece, Plan, Tensors, blank, configured, refuse
from core.foreign.inert import Stored
from core.generator import Generator

__all__ = ["discriminator", "generator", "is_generator", "planned_discriminator", "planned_generator"]

_ROOT2 = math.sqrt(2)
_MOST_LAYERS = 64
_WIDEST = 1 << 14
_BLURS = re.compile(r"(generator\.progression\.\d+\.conv1\.[12]|progression\.\d+\.conv2\.0)\.weight(_flip)?")


def is_generator(names: Any) -> bool:
    """Whether these are the names of such a generator's tensors."""
    return "generator.progression.0.conv1.input" in names


def _plain(x: Tensor) -> Tensor:
    return x * _ROOT2


def _strength(x: Tensor) -> Tensor:
    return x.flatten() * math.sqrt(2 / x.numel())


def _shrunk(x: Tensor) -> Tensor:
    return x / _ROOT2


def _fused_up(x: Tensor) -> Tensor:
    """[in, out, 3, 3], whose four shifts over 4 are transposed -> the convolution of nearest neighbours it equals."""
    return x.transpose(0, 1).flip(2, 3) / 4


def _linear(plan: Plan, ours: str, theirs: str, *, activated: bool) -> None:
    """A layer of our layers.EqualLinear or layers.Conv."""
    plan[f"{ours}.weight"] = Piece(f"{theirs}.weight_orig", None if activated else _plain)
    plan[f"{ours}.bias"] = Piece(f"{theirs}.bias", _shrunk if activated else None)


def generator(tensors: Tensors, average: Stored | None) -> Blank:
    """Their generator as ours; w_avg is estimated where the file has no `average`. Raises CheckpointError."""
    config, plan = planned_generator(tensors, average)
    return blank(Generator, config, tensors, plan, _BLURS, estimated=average is None)


def planned_generator(tensors: Tensors, average: Stored | None) -> tuple[stylegan.GeneratorConfig, Plan]:
    """What would be built of their generator, and from which of its tensors. Raises CheckpointError."""
    style = sorted(int(m[1]) for name in tensors.table if (m := re.fullmatch(r"style\.(\d{1,4})\.linear\.bias", name)))
    levels = min(tensors.count("generator.to_rgb.{}.conv.bias"), 16)
    widths = [tensors.size(f"generator.to_rgb.{k}.conv.weight_orig", 4)[1] for k in range(levels)]
    channels = tensors.size("generator.to_rgb.0.conv.weight_orig", 4)[0]
    w_dim, z_dim = tensors.size("style.1.linear.weight_orig", 2)
    config = configured(
        tensors.source.path,
        stylegan.GeneratorConfig,
        size=_size(tensors, "generator.progression.0.conv1.input", levels),
        start=_size(tensors, "generator.progression.0.conv1.input", 1),
        filters=tuple(widths),
        channels=channels,
        z_dim=z_dim,
        w_dim=w_dim,
        mapping_layers=min(len(style), _MOST_LAYERS),
        mapping_lr=1.0,
        noise="level",
        blur_bias=True,
    )
    plan: Plan = {"mapping.w_avg": torch.zeros(w_dim) if average is None else average.read(tensors.source).flatten()}
    for k, index in enumerate(style):
        _linear(plan, f"mapping.layers.{k}", f"style.{index}.linear", activated=True)
    for k in range(levels):
        _block(plan, tensors, k, widths[k])
        _linear(plan, f"synthesis.torgb.{k}", f"generator.to_rgb.{k}.conv", activated=False)
    _check_blurs(tensors, plan)
    return config, plan


def _size(tensors: Tensors, name: str, levels: int) -> tuple[int, int]:
    """Height and width after `levels` levels, of which `name` is the constant of the first."""
    height, width = tensors.size(name, 4)[2:]
    return height << max(levels - 1, 0), width << max(levels - 1, 0)


def _check_blurs(tensors: Tensors, plan: Plan) -> None:
    """The filters in the file are the [1, 2, 1] that our layers have: only then they need not be read."""
    used = {piece.name for piece in plan.values() if isinstance(piece, Piece)}
    taps = torch.tensor([1.0, 2.0, 1.0]) / 4
    names = [name for name in tensors.table if name not in used and _BLURS.fullmatch(name)]
    if len(names) > _MOST_LAYERS:
        raise refuse(tensors, [f"{len(names)} filters, of which each size has one or two"])
    for name in names:
        size = tensors.table[name].size
        usual = len(size) == 4 and size[1:] == (1, 3, 3) and size[0] <= _WIDEST
        if not usual or not torch.allclose(tensors.read(name), torch.outer(taps, taps), atol=1e-6):
            raise refuse(tensors, [f"{name} is another filter than [1, 2, 1]"])


def _block(plan: Plan, tensors: Tensors, level: int, width: int) -> None:
    ours, theirs = f"synthesis.blocks.{level}", f"generator.progression.{level}"
    for j in (0, 1):
        _linear(plan, f"{ours}.conv{j}.affine", f"{theirs}.adain{j + 1}.style.linear", activated=False)
        plan[f"{ours}.conv{j}.strength"] = Piece(f"{theirs}.noise{j + 1}.weight_orig", _strength)
    plan[f"{ours}.conv1.weight"] = Piece(f"{theirs}.conv2.conv.weight_orig")
    plan[f"{ours}.conv1.bias"] = Piece(f"{theirs}.conv2.conv.bias")
    if not level:
        plan[f"{ours}.const"] = Piece(f"{theirs}.conv1.input", lambda x: x[0])
        plan[f"{ours}.conv0.bias"] = torch.zeros(width)
    elif f"{theirs}.conv1.0.bias" in tensors:
        plan[f"{ours}.conv0.weight"] = Piece(f"{theirs}.conv1.0.weight", _fused_up)
        plan[f"{ours}.conv0.bias"] = Piece(f"{theirs}.conv1.0.bias")
    else:
        plan[f"{ours}.conv0.weight"] = Piece(f"{theirs}.conv1.1.conv.weight_orig")
        plan[f"{ours}.conv0.bias"] = Piece(f"{theirs}.conv1.1.conv.bias")


def discriminator(tensors: Tensors) -> Blank:
    """Their discriminator as ours. Raises CheckpointError."""
    config, plan = planned_discriminator(tensors)
    return blank(stylegan.Discriminator, config, tensors, plan, _BLURS)


def planned_discriminator(tensors: Tensors) -> tuple[stylegan.DiscriminatorConfig, Plan]:
    """What would be built of their discriminator, and from which of its tensors. Raises CheckpointError."""
    levels = min(tensors.count("from_rgb.{}.conv.bias"), 16)
    sizes = [tensors.size(f"from_rgb.{k}.conv.weight_orig", 4) for k in reversed(range(levels))]
    last = max(levels - 1, 0)
    # The last convolution has no padding: its kernel is as large as what the coarsest level sees.
    height, width = tensors.size(f"progression.{last}.conv2.0.conv.weight_orig", 4)[2:]
    config = configured(
        tensors.source.path,
        stylegan.DiscriminatorConfig,
        size=(height << last, width << last),
        start=(height, width),
        filters=tuple(size[0] for size in sizes),
        channels=sizes[0][1] if sizes else 0,
        group_size=None,
        rgb_activation=False,
        widen_first=True,
    )
    plan: Plan = {}
    for k in range(levels):
        _linear(plan, f"fromrgb.{k}", f"from_rgb.{last - k}.conv", activated=False)
        theirs = f"progression.{k}"
        first, second = (f"blocks.{k}.conv0", f"blocks.{k}.conv1") if k < last else ("epilogue.conv", "epilogue.linear")
        _linear(plan, first, f"{theirs}.conv1.0.conv", activated=True)
        if k == last:
            _linear(plan, second, f"{theirs}.conv2.0.conv", activated=True)
            plan[f"{second}.weight"] = Piece(f"{theirs}.conv2.0.conv.weight_orig", lambda x: x.flatten(1))
        elif f"{theirs}.conv2.1.bias" in tensors:  # convolution and average in one
            plan[f"{second}.weight"] = Piece(f"{theirs}.conv2.1.weight")
            plan[f"{second}.bias"] = Piece(f"{theirs}.conv2.1.bias", _shrunk)
        else:
            _linear(plan, second, f"{theirs}.conv2.1.conv", activated=True)
    _linear(plan, "epilogue.out", "linear.linear", activated=False)
    _check_blurs(tensors, plan)
    return config, plan
