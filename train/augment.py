"""Adaptive discriminator augmentation, which lets small sets suffice (Karras et al. 2020a).

All that the discriminator sees, real and generated, is moved and recoloured first, each transformation with the
probability p for each picture by itself. As long as p stays below about 0.8 the generator does not learn to make moved
pictures, since which pictures there were can still be told from what became of them (section 2.2). How large p has to
be shows in how sure the discriminator is of the training pictures (section 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from core.devices import sent
from core.layers import full_precision, wide
from train.resample import blit, warp
from train.transforms import TRANSFORMS

__all__ = ["apply", "draw", "kinds", "next_p"]


def kinds(size: tuple[int, int], channels: int) -> tuple[str, ...]:
    """The transformations for pictures of (height, width) and 1 or 3 channels, in the order they are applied.

    Rotation by 90 degrees is for squares; luma flip, hue and saturation are for RGB. Gray pictures keep brightness and
    contrast, which are no matter of colour.
    """
    return tuple(
        name
        for name, one in TRANSFORMS.items()
        if (size[0] == size[1] or not one.needs_square) and (channels == 3 or not one.needs_rgb)
    )


def draw(count: int, kinds: Collection[str], *, generator: torch.Generator | None = None) -> dict[str, Tensor]:
    """Draw everything that `apply` needs for `count` pictures, whatever p will be (None: torch's global generator).

    -> a tensor [count, 1 + k] float32 on the CPU for each kind: a uniform number, below p where the kind is applied,
    and its k parameters. Slices of all of them are the draws of a part of the pictures.
    """
    return {
        name: torch.cat([torch.rand(count, 1, generator=generator), TRANSFORMS[name].draw(count, generator)], dim=1)
        for name in _ordered(kinds)
    }


def apply(images: Tensor, draws: dict[str, Tensor], p: float | Tensor, kinds: Collection[str]) -> Tensor:
    """Transform pictures [N, C, H, W], C 1 or 3, as `draws` for N pictures say, each kind with probability p.

    Returns pictures of the same shape and dtype. Linear in the pictures, but for what brightness adds, and
    differentiable any number of times, on their device. Pictures that no kind moves or recolours come back with the
    same bits; with p = 0 that is `images` itself. Half precision is worked out in float32. Raises ValueError where
    there are not N draws.
    """
    count, _, height, width = images.shape
    for name in kinds:
        if len(draws[name]) != count:
            raise ValueError(f"{count} pictures and {len(draws[name])} draws of {name}")
    p = float(p)
    if p <= 0 or count == 0:
        return images
    blits, warps, colours = (_of_space(kinds, space) for space in ("blit", "warp", "colour"))
    size = (height, width)
    place = _matrix(draws, p, [*blits, *warps], size=size, count=count, side=3)
    colour = _matrix(draws, p, colours, size=size, count=count, side=4)
    is_warped = torch.zeros(count, dtype=torch.bool)
    for name in warps:
        is_warped |= _is_applied(draws, p, name)
    with full_precision(images):
        y, inverse = wide(images), torch.linalg.inv(place)
        y = _where(_is_moved(place) & ~is_warped, y, lambda some, which: blit(some, inverse[which]))
        y = _where(is_warped, y, lambda some, which: warp(some, inverse[which]))
        y = _where(_is_moved(colour), y, lambda some, which: _recoloured(some, colour[which]))
        return y.to(images.dtype)


def next_p(p: float, sign_mean: float, *, images: int, kimg: float, target: float) -> float:
    """p after `images` more pictures (section 3): up where the discriminator is surer than `target`, else down.

    sign_mean: the mean of sign(D(x)) over the training pictures since the last time, r_t of the paper. p takes `kimg`
    thousand pictures from 0 to 1, and stays within.
    """
    step = images / (kimg * 1000)
    direction = (sign_mean > target) - (sign_mean < target)
    return min(max(p + direction * step, 0.0), 1.0)


def _ordered(kinds: Collection[str]) -> list[str]:
    """The kinds in the order they are applied."""
    return [name for name in TRANSFORMS if name in kinds]


def _of_space(kinds: Collection[str], space: str) -> list[str]:
    return [name for name in _ordered(kinds) if TRANSFORMS[name].space == space]


def _is_applied(draws: dict[str, Tensor], p: float, name: str) -> Tensor:
    """[N] bool. A rotation comes twice, so that one of the two comes with probability p (appendix B)."""
    share = 1 - math.sqrt(1 - p) if TRANSFORMS[name].rotation else p
    return draws[name][:, 0] < share


def _matrix(
    draws: dict[str, Tensor], p: float, names: list[str], *, size: tuple[int, int], count: int, side: int
) -> Tensor:
    """What the kinds make together, the first one innermost: [N, side, side] float64, the unit matrix where none is."""
    whole = torch.eye(side, dtype=torch.float64).repeat(count, 1, 1)
    for name in names:
        one = TRANSFORMS[name].matrix(draws[name][:, 1:].double(), size)
        whole = torch.where(_is_applied(draws, p, name)[:, None, None], one @ whole, whole)
    return whole


def _is_moved(matrix: Tensor) -> Tensor:
    """[N] bool: where a matrix [N, side, side] is not the unit matrix."""
    return (matrix != torch.eye(matrix.shape[1], dtype=matrix.dtype)).any(2).any(1)


def _where(chosen: Tensor, images: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Replace the chosen pictures [N] bool by change(the pictures, their numbers); the others keep their bits."""
    which = chosen.nonzero()[:, 0]
    if len(which) == 0:
        return images
    if len(which) == len(images):
        return change(images, which)
    # Taken from both, since MPS has no index_copy before PyTorch 2.8.
    places = torch.arange(len(images))
    places[which] = torch.arange(len(images), len(images) + len(which))
    changed = change(images.index_select(0, sent(which, images.device)), which)
    return torch.cat([images, changed]).index_select(0, sent(places, images.device))


def _recoloured(images: Tensor, matrix: Tensor) -> Tensor:
    """Colours through a matrix [N, 4, 4]; a gray picture is (g, g, g), which brightness and contrast leave gray."""
    channels = images.shape[1]
    matrix = sent(matrix.to(images.dtype), images.device)
    offset = matrix[:, :channels, 3, None]
    return torch.baddbmm(offset, matrix[:, :channels, :channels], images.flatten(2)).view_as(images)
