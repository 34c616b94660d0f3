"""The transformations of adaptive discriminator augmentation (Karras et al. 2020a, appendix B): how each one's
parameters are drawn, and the matrix they make.

Geometry acts on (x, y, 1), x to the right and y down, in pixels from the centre; colour on (r, g, b, 1), -1 to 1.
Matrices are worked out in float64 on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

__all__ = ["TRANSFORMS", "Transform"]

Size = tuple[int, int]
Draw = Callable[[int, torch.Generator | None], Tensor]


@dataclass(frozen=True)
class Transform:
    """One transformation.

    draw: how many pictures, and the random stream (None: torch's global one) -> parameters [count, k]. matrix:
    parameters [count, k] float64 and the pictures' (height, width) -> [count, 3, 3], or [count, 4, 4] where `space` is
    colour. A blit moves whole pixels on to whole pixels.
    A rotation is drawn twice, so that each comes with the probability 1 - sqrt(1 - p).
    """

    space: str
    draw: Draw
    matrix: Callable[[Tensor, Size], Tensor]
    rotation: bool = False
    needs_rgb: bool = False
    needs_square: bool = False


# --- parameters --------------------------------------------------------------------------------------------------


def _one_of(choices: int) -> Draw:
    return lambda count, stream: torch.randint(choices, (count, 1), generator=stream).float()


def _angle(count: int, stream: torch.Generator | None) -> Tensor:
    return (torch.rand(count, 1, generator=stream) * 2 - 1) * math.pi


def _eighth_either_way(count: int, stream: torch.Generator | None) -> Tensor:
    return (torch.rand(count, 2, generator=stream) * 2 - 1) / 8


def _normal(deviation: float, *, parameters: int = 1) -> Draw:
    return lambda count, stream: torch.randn(count, parameters, generator=stream) * deviation


def _log_normal(octaves: float) -> Draw:
    """exp(N(0, (octaves ln 2)^2))."""
    return lambda count, stream: torch.exp2(torch.randn(count, 1, generator=stream) * octaves)


# --- geometry ----------------------------------------------------------------------------------------------------


def _filled(entries: dict[tuple[int, int], Tensor], *, side: int) -> Tensor:
    """The unit matrix with some entries [N] replaced: [N, side, side]."""
    count = len(next(iter(entries.values())))
    matrix = torch.eye(side, dtype=torch.float64).repeat(count, 1, 1)
    for (row, column), values in entries.items():
        matrix[:, row, column] = values
    return matrix


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    return _filled({(0, 0): x, (1, 1): y}, side=3)


def _translation(x: Tensor, y: Tensor) -> Tensor:
    return _filled({(0, 2): x, (1, 2): y}, side=3)


def _turn(cosine: Tensor, sine: Tensor) -> Tensor:
    return _filled({(0, 0): cosine, (0, 1): -sine, (1, 0): sine, (1, 1): cosine}, side=3)


def _x_flip(v: Tensor, size: Size) -> Tensor:
    return _scaling(1 - 2 * v[:, 0], torch.ones_like(v[:, 0]))


def _rotate_90(v: Tensor, size: Size) -> Tensor:
    """Zeros and ones without rounding."""
    quarters = v[:, 0].long()
    cosine, sine = torch.tensor([1.0, 0, -1, 0]), torch.tensor([0.0, 1, 0, -1])
    return _turn(cosine.double()[quarters], sine.double()[quarters])


def _integer_translation(v: Tensor, size: Size) -> Tensor:
    return _translation((v[:, 0] * size[1]).round(), (v[:, 1] * size[0]).round())


def _isotropic_scaling(v: Tensor, size: Size) -> Tensor:
    return _scaling(v[:, 0], v[:, 0])


def _rotation(v: Tensor, size: Size) -> Tensor:
    return _turn(v[:, 0].cos(), v[:, 0].sin())


def _anisotropic_scaling(v: Tensor, size: Size) -> Tensor:
    return _scaling(v[:, 0], 1 / v[:, 0])


def _fractional_translation(v: Tensor, size: Size) -> Tensor:
    return _translation(v[:, 0] * size[1], v[:, 1] * size[0])


# --- colour ------------------------------------------------------------------------------------------------------


def _along_gray(along: Tensor, across: Tensor) -> Tensor:
    """Scale colours along and across the gray axis v = (1, 1, 1) / sqrt(3): along v v^T + across (I - v v^T)."""
    matrix = torch.eye(4, dtype=torch.float64).repeat(len(along), 1, 1)
    matrix[:, :3, :3] = across[:, None, None] * torch.eye(3, dtype=torch.float64)
    matrix[:, :3, :3] += ((along - across) / 3)[:, None, None]
    return matrix


def _brightness(v: Tensor, size: Size) -> Tensor:
    return _filled({(channel, 3): v[:, 0] for channel in range(3)}, side=4)


def _contrast(v: Tensor, size: Size) -> Tensor:
    return _filled({(channel, channel): v[:, 0] for channel in range(3)}, side=4)


def _luma_flip(v: Tensor, size: Size) -> Tensor:
    """I - 2 v v^T: light and dark change places, hues stay."""
    return _along_gray(1 - 2 * v[:, 0], torch.ones_like(v[:, 0]))


def _hue(v: Tensor, size: Size) -> Tensor:
    """Turn colours about the gray axis (Rodrigues' formula)."""
    cross = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    matrix = _along_gray(torch.ones_like(v[:, 0]), v[:, 0].cos())
    matrix[:, :3, :3] += v[:, 0].sin()[:, None, None] * cross
    return matrix


def _saturation(v: Tensor, size: Size) -> Tensor:
    return _along_gray(torch.ones_like(v[:, 0]), v[:, 0])


TRANSFORMS = MappingProxyType(
    {
        "x_flip": Transform("blit", _one_of(2), _x_flip),
        "rotate_90": Transform("blit", _one_of(4), _rotate_90, needs_square=True),
        "integer_translation": Transform("blit", _eighth_either_way, _integer_translation),
        "isotropic_scaling": Transform("warp", _log_normal(0.2), _isotropic_scaling),
        "pre_rotation": Transform("warp", _angle, _rotation, rotation=True),
        "anisotropic_scaling": Transform("warp", _log_normal(0.2), _anisotropic_scaling),
        "post_rotation": Transform("warp", _angle, _rotation, rotation=True),
        "fractional_translation": Transform("warp", _normal(1 / 8, parameters=2), _fractional_translation),
        "brightness": Transform("colour", _normal(0.2), _brightness),
        "contrast": Transform("colour", _log_normal(0.5), _contrast),
        "luma_flip": Transform("colour", _one_of(2), _luma_flip, needs_rgb=True),
        "hue": Transform("colour", _angle, _hue, needs_rgb=True),
        "saturation": Transform("colour", _log_normal(1.0), _saturation, needs_rgb=True),
    }
)
"""All of them, in the order they are applied."""
