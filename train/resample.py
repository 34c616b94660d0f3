"""Pictures moved by affine maps, as well as an orthonormal wavelet can (Karras et al. 2020a, appendix B).

A picture goes on beyond its edges as its mirror image. It is doubled in size with the lowpass filter of sym6, looked up
bilinearly, and halved again with the same filter; doubling and halving alone give it back.

All of it is linear in the picture and made of index and matrix operations, which can be differentiated any number of
times on every device. torch's `grid_sample` has its second derivative in newer versions only, and on a CPU its first
alone takes longer than these.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from core.devices import sent
from core.layers import full_precision

__all__ = ["CENTRE", "SYM6", "blit", "mirrored", "warp"]

# Lowpass filter of the least asymmetric Daubechies wavelet with 6 vanishing moments (Daubechies 1992, table 6.3):
# orthonormal, sum sqrt(2).
SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_BEFORE = 5  # taps before the one that a pixel of the doubled picture is counted from
# Where a pixel's light is in the doubled picture: pixel x at 2 x + CENTRE. The filter is not quite symmetric, so that
# this is not the middle of its taps; with the middle, a turn by 180 degrees would move the picture by 0.4 pixels.
CENTRE = sum(k * tap for k, tap in enumerate(SYM6)) / sum(SYM6) - _BEFORE
_TILE = 16
_PIXELS_AT_ONCE = 24_576  # on a CPU: what a picture doubled and its places are then stay in the cache, twice as fast


def mirrored(index: Tensor, size: int) -> Tensor:
    """Positions on a line that goes on as its mirror image, the ends not repeated: any integers -> 0 .. size - 1."""
    period = _period(size)
    within = index.remainder(period)
    return torch.minimum(within, period - within)


def blit(images: Tensor, inverse: Tensor) -> Tensor:
    """Move whole pixels: exact copies, for maps that take pixel centres to pixel centres.

    images [N, C, H, W]; inverse [N, 3, 3], float64 on the CPU: from a place (x, y, 1) in the result to the one in the
    picture it shows, in pixels from the centre -> [N, C, H, W].
    """
    height, width = images.shape[2:]
    y, x = _places(images, _from_corner(inverse, height, width), first=0, height=height, width=width, zoom=1)
    source = mirrored(y.round().long(), height) * width + mirrored(x.round().long(), width)
    source = source.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, source).unflatten(2, (height, width))


def warp(images: Tensor, inverse: Tensor) -> Tensor:
    """Move by any affine map: doubled, looked up bilinearly, halved.

    images [N, C, H, W] float32 or float64; inverse [N, 3, 3], float64 on the CPU, as in `blit` -> [N, C, H, W].
    """
    at_once = len(images)
    if images.device.type == "cpu":
        at_once = max(1, _PIXELS_AT_ONCE // images[0].numel())
    with full_precision(images):
        parts = zip(images.split(at_once), inverse.split(at_once), strict=True)
        return torch.cat([_warped(some, by) for some, by in parts])


def _warped(images: Tensor, inverse: Tensor) -> Tensor:
    height, width = images.shape[2:]
    doubled = _doubled(_doubled(images, axis=3), axis=2)
    stride, margin = doubled.shape[3], len(SYM6) - 2
    place = _doubled_place(_from_corner(inverse, height, width))
    y, x = _places(images, place, first=-_BEFORE, height=2 * height + margin, width=2 * width + margin, zoom=2)
    top, left = y.floor(), x.floor()
    corner = (top.long() * stride + left.long()).flatten(1)[:, None]
    below, right = (y - top).flatten(1)[:, None], (x - left).flatten(1)[:, None]
    moved = _Look.apply(doubled.flatten(2), corner, below, right, stride).unflatten(2, y.shape[1:])
    return _halved(_halved(moved, axis=2, size=height), axis=3, size=width)


def _period(size: int) -> int:
    """After how many pixels a mirrored line repeats itself."""
    return max(2 * (size - 1), 1)


# --- places ------------------------------------------------------------------------------------------------------


def _from_corner(inverse: Tensor, height: int, width: int) -> Tensor:
    """The same map in pixels from the centre of the first pixel: [N, 3, 3] -> [N, 2, 3]."""
    centre = torch.tensor([[(width - 1) / 2], [(height - 1) / 2]], dtype=torch.float64)
    linear = inverse[:, :2, :2]
    return torch.cat([linear, inverse[:, :2, 2:] + centre - linear @ centre], dim=2)


def _doubled_place(place: Tensor) -> Tensor:
    """The same map in pixels of the doubled picture, pixel x being at 2 x + CENTRE: [N, 2, 3] -> [N, 2, 3]."""
    linear = place[:, :, :2]
    return torch.cat([linear, 2 * place[:, :, 2:] + CENTRE - CENTRE * linear.sum(2, keepdim=True)], dim=2)


def _places(images: Tensor, place: Tensor, *, first: int, height: int, width: int, zoom: int) -> tuple[Tensor, Tensor]:
    """(y, x), each [N, height, width], that a grid of pixels from `first` on shows, within one period of the picture.

    On the device and in the precision of `images`; what is large is taken off in float64 before.
    """
    column, row = torch.arange(first, first + width), torch.arange(first, first + height)
    found = []
    for axis in (1, 0):
        period = zoom * _period(images.shape[3 - axis])
        across = (place[:, axis, 0, None] * column).remainder(period).to(images.dtype)
        down = (place[:, axis, 1, None] * row + place[:, axis, 2, None]).remainder(period).to(images.dtype)
        whole = sent(across, images.device)[:, None, :] + sent(down, images.device)[:, :, None]
        # Rounding may leave a place a hair outside, where there is no pixel to look up.
        found.append(whole.remainder_(period).clamp_(0, period))
    return found[0], found[1]


# --- filters -----------------------------------------------------------------------------------------------------


def _doubled(images: Tensor, *, axis: int) -> Tensor:
    """One period of the mirrored picture at twice its size along one axis, and a little more: [.., >= 4 size - 2, ..].

    u[s] = sqrt(2) sum over x of images[x] h[s - 2 x + 5]. Of T pixels' neighbourhood one small matrix makes 2 T pixels.
    """
    size = images.shape[axis]
    tiles = math.ceil((2 * _period(size) + 2) / (2 * _TILE))
    windows = mirrored(_windows(tiles, hop=_TILE, length=_TILE + 6) - 3, size)
    matrix = _taps(torch.arange(2 * _TILE)[:, None] - 2 * torch.arange(-3, _TILE + 3) + _BEFORE) * math.sqrt(2)
    return _tiled(images, matrix, windows, axis=axis)


def _halved(images: Tensor, *, axis: int, size: int) -> Tensor:
    """y[x] = sum over k of images[2 x + k] h[k] / sqrt(2) for `size` pixels along one axis."""
    tiles = math.ceil(size / _TILE)
    length = 2 * _TILE + len(SYM6) - 2
    windows = _windows(tiles, hop=2 * _TILE, length=length).clamp(max=images.shape[axis] - 1)
    matrix = _taps(torch.arange(length) - 2 * torch.arange(_TILE)[:, None]) / math.sqrt(2)
    return _tiled(images, matrix, windows, axis=axis).narrow(axis, 0, size)


def _windows(tiles: int, *, hop: int, length: int) -> Tensor:
    """[tiles, length]: positions of overlapping windows on a line."""
    return torch.arange(tiles)[:, None] * hop + torch.arange(length)


def _taps(index: Tensor) -> Tensor:
    """h[index], zero where there is no such tap, float64."""
    last = len(SYM6) - 1
    taps = torch.tensor(SYM6, dtype=torch.float64)[index.clamp(0, last)]
    return taps * ((index >= 0) & (index <= last))


def _tiled(images: Tensor, matrix: Tensor, windows: Tensor, *, axis: int) -> Tensor:
    """One small matrix [R, K] times every window [tiles, K] of axis 2 or 3, side by side.

    A CPU does this five times as fast as a convolution of one channel, whose derivative is slower still.
    """
    matrix = sent(matrix.to(images.dtype), images.device)
    parts = images.index_select(axis, sent(windows.flatten(), images.device)).unflatten(axis, windows.shape)
    made = matrix @ parts if axis == 2 else parts @ matrix.T
    return made.flatten(axis, axis + 1)


# --- bilinear lookup ---------------------------------------------------------------------------------------------


class _Look(torch.autograd.Function):
    """Bilinear lookup, linear in the picture; its derivative is its transpose, and the other way round.

    picture [N, C, L], `stride` to a row; corner [N, 1, M] int64: the upper left of four neighbours, below and right
    [N, 1, M]: how far from it -> [N, C, M]. Only the places are kept for the derivative, not the picture.
    """

    @staticmethod
    def forward(ctx: Any, picture: Tensor, corner: Tensor, below: Tensor, right: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(corner, below, right)
        ctx.stride, ctx.pixels = stride, picture.shape[2]
        where = corner.expand(-1, picture.shape[1], -1)
        reach = picture.shape[2] - stride - 1
        a, b, c, d = (picture.narrow(2, step, reach).gather(2, where) for step in (0, 1, stride, stride + 1))
        return torch.lerp(a.lerp_(b, right), c.lerp_(d, right), below)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        corner, below, right = ctx.saved_tensors
        return _Spread.apply(gradients[0], corner, below, right, ctx.stride, ctx.pixels), None, None, None, None


class _Spread(torch.autograd.Function):
    """The transpose of `_Look`: values [N, C, M], each given to four neighbours by its weights -> [N, C, pixels]."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, corner: Tensor, below: Tensor, right: Tensor, stride: int, pixels: int
    ) -> Tensor:
        ctx.save_for_backward(corner, below, right)
        ctx.stride = stride
        spread = values.new_zeros(*values.shape[:2], pixels)
        for row, part in ((0, values * (1 - below)), (stride, values * below)):
            for step, weighted in ((row, part * (1 - right)), (row + 1, part * right)):
                # Not into a part of it: MPS adds nothing to what does not begin a tensor (PyTorch up to 2.12).
                spread.scatter_add_(2, (corner + step).expand_as(values), weighted)
        return spread

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None, None]:
        corner, below, right = ctx.saved_tensors
        return _Look.apply(gradients[0], corner, below, right, ctx.stride), None, None, None, None, None
