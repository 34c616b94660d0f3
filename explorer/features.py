"""What two pictures are compared by besides their pixels: the maps inside a network that looks at pictures.

A picture is [N, channels, H, W] in -1 .. 1, the whole frame of the network. Features are a list of maps [N, C, h, w],
each scaled to unit length over its channels, as LPIPS does (Zhang et al. 2018, equation 1), so that no channel counts
for its size alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.devices import laid_out
from core.errors import CheckpointError
from core.foreign.inert import Stored
from core.foreign.opening import contents
from core.foreign.source import Budget, Source
from core.generator import Discriminator
from core.stylegan import Discriminator as GrowingDiscriminator

__all__ = ["Features", "apart", "of_discriminator", "of_file", "of_random", "pyramid"]

Features = Callable[[Tensor], list[Tensor]]

_RANDOM_WIDTHS = (16, 32, 64, 96)
_RANDOM_SEED = 20190612
_EPSILON = 1e-8
# VGG16's convolutions by the numbers that torchvision gives them, and their widths; a pooling stands before the first
# of each width but the first, and the last of each size is looked at.
_VGG = {0: 64, 2: 64, 5: 128, 7: 128, 10: 256, 12: 256, 14: 256, 17: 512, 19: 512, 21: 512, 24: 512, 26: 512, 28: 512}
_VGG_POOLED = (5, 10, 17, 24)
_VGG_SEEN = (2, 7, 14, 21, 28)
_MOST_WEIGHTS = 512 * 512 * 9  # in one of its layers


def apart(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """The mean squared difference of features, averaged over the maps; 0 for equal ones, at most 4 each."""
    each = [(a - b).square().sum(dim=1).mean() for a, b in zip(ours, theirs, strict=True)]
    return torch.stack(each).mean()


def pyramid(picture: Tensor, levels: int = 4) -> list[Tensor]:
    """A picture, and its 2 x 2 averages again and again while they are 4 pixels or more a side: `levels` at most."""
    found = [picture]
    while len(found) < levels and min(found[-1].shape[-2:]) >= 8:
        found.append(F.avg_pool2d(found[-1], 2))
    return found


def of_discriminator(discriminator: Discriminator, alpha: float = 1.0) -> Features:
    """What leaves each block of a network's own discriminator; `alpha` as in the fade that the pictures are of."""

    def features(picture: Tensor) -> list[Tensor]:
        if isinstance(discriminator, GrowingDiscriminator):
            return [_unit(one) for one in _grown(discriminator, picture, alpha)]
        found: list[Tensor] = []
        x, rest = None, cast("Tensor | None", picture)
        for block in discriminator.blocks:
            x, rest = block(x, rest)
            found.append(_unit(cast(Tensor, x)))
        return found

    return features


def _grown(discriminator: GrowingDiscriminator, picture: Tensor, alpha: float) -> list[Tensor]:
    sizes = discriminator.config.level_sizes
    level = sizes.index((picture.shape[2], picture.shape[3]))
    newest = len(discriminator.blocks) - level
    x, found = discriminator.fromrgb[level](picture), []
    for k in range(newest, len(discriminator.blocks)):
        x = discriminator.blocks[k](x)
        if k == newest and alpha < 1:
            x = torch.lerp(discriminator.fromrgb[level - 1](F.avg_pool2d(picture, 2)), x, alpha)
        found.append(x)
    return found or [x]


def of_random(channels: int) -> Features:
    """A convolutional network of fixed random weights, the same everywhere: what a file without a discriminator gets.

    Random filters keep edges and textures apart (Ulyanov et al. 2018, He et al. 2016 use the like), at every scale.
    """
    stream = torch.Generator().manual_seed(_RANDOM_SEED)
    weights, inputs = [], channels
    for width in _RANDOM_WIDTHS:
        weight = torch.randn(width, inputs, 3, 3, generator=stream) * math.sqrt(2 / (9 * inputs))
        # Half of the filters see no brightness, only differences.
        weight[: width // 2] -= weight[: width // 2].mean(dim=(2, 3), keepdim=True)
        weights.append(weight)
        inputs = width

    beside = _carried(weights)

    def features(picture: Tensor) -> list[Tensor]:
        x, found = picture, []
        for index, weight in enumerate(beside(x)):
            if index and min(x.shape[-2:]) >= 4:
                x = F.avg_pool2d(x, 2)
            x = F.leaky_relu(F.conv2d(x, weight, padding=1), 0.2)
            found.append(_unit(x))
        return found

    return features


def of_file(path: Path) -> Features:
    """VGG16 (Simonyan and Zisserman 2015) with the weights in a file: safetensors, or a state dict of torch.

    The names are torchvision's, `features.0.weight` and so on. Nothing in the file is run. Raises CheckpointError.
    """
    tensors = _tensors(path)
    layers: dict[int, tuple[Tensor, Tensor]] = {}
    inputs = 3
    for number, width in _VGG.items():
        weight, bias = (tensors.get(f"features.{number}.{part}") for part in ("weight", "bias"))
        if weight is None or bias is None or weight.shape != (width, inputs, 3, 3) or bias.shape != (width,):
            raise CheckpointError(f"{path} holds no VGG16; torchvision's state dict of it is accepted")
        layers[number], inputs = (weight.float(), bias.float()), width
        if not all(bool(one.isfinite().all()) for one in layers[number]):
            raise CheckpointError(f"{path} is not finite in features.{number}; copy it again")
    mean, deviation = (torch.tensor(row).view(1, 3, 1, 1) for row in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    beside = _carried([mean, deviation, *(one for parts in layers.values() for one in parts)])

    def features(picture: Tensor) -> list[Tensor]:
        centre, spread, *parts = beside(picture)
        x = (picture.expand(-1, 3, -1, -1) / 2 + 0.5 - centre) / spread
        found = []
        for number, weight, bias in zip(layers, parts[::2], parts[1::2], strict=True):
            x = F.max_pool2d(x, 2) if number in _VGG_POOLED and min(x.shape[-2:]) >= 2 else x
            x = F.relu(F.conv2d(x, weight, bias, padding=1))
            if number in _VGG_SEEN:
                found.append(_unit(x))
        return found

    return features


def _carried(tensors: Sequence[Tensor]) -> Callable[[Tensor], list[Tensor]]:
    """The same tensors on the device and in the precision of what they meet, taken there once."""
    there: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}

    def beside(x: Tensor) -> list[Tensor]:
        key = x.device, x.dtype
        if key not in there:
            with torch.inference_mode(False):  # they are differentiated through later
                there[key] = [one.to(x.device, x.dtype) for one in tensors]
        return there[key]

    return beside


def _tensors(path: Path) -> dict[str, Tensor]:
    """The convolutions among the tensors of a file, by name."""
    from safetensors import SafetensorError, safe_open

    wanted = {f"features.{number}.{part}" for number in _VGG for part in ("weight", "bias")}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in wanted.intersection(file.keys())}
    except (SafetensorError, OSError, ValueError) as wrong:
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; name a file with the weights of VGG16") from wrong
    return _foreign_tensors(path, wanted)


def _foreign_tensors(path: Path, wanted: set[str]) -> dict[str, Tensor]:
    """The same out of a state dict of torch, through the reader that runs nothing. Raises CheckpointError."""
    with Source(path) as source:
        _, root = contents(source, Budget(path))
        table = root if isinstance(root, Mapping) else {}
        known = {name: table.get(name) for name in wanted}
        return {
            name: one.read(source)
            for name, one in known.items()
            if isinstance(one, Stored) and math.prod(one.size) <= _MOST_WEIGHTS
        }


def _unit(x: Tensor) -> Tensor:
    x = x.float()
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + _EPSILON)


def frozen(module: nn.Module, device: torch.device) -> Any:
    """The module on the device without gradients of its own, convolutions laid out as that likes them."""
    laid_out(module.eval().requires_grad_(False), device)
    return module
