"""The Fourier view: how much of a layer, or of a picture, is coarse and how much is fine, and which grids stand out.

A network doubles its maps from size to size. Where a doubling leaves traces, they repeat with the pixels of the smaller
size, and stand out as peaks at that size's sampling frequency and its multiples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.prepared import threads

__all__ = ["Mark", "Spectrum", "spectrum"]

_ONCE = 1 << 22  # numbers that are transformed at once
_AROUND = 3  # points on each side that a peak is compared with; those next to it hold its own skirts
_TIE = 1e-9  # halves go up, whatever their last bits
_SMALLEST = 16  # pixels a side below which there is nothing to compare with

Size = tuple[int, int]


@dataclass(frozen=True)
class Mark:
    """A size that the network came through: its grid's frequency, and how far that stands out."""

    size: Size
    frequency: int  # cycles per picture, along the longer side
    times: float | None  # power at the grid's frequencies over the median around them, the largest; None: too small


@dataclass(frozen=True)
class Spectrum:
    """Mean power of the channels of a layer.

    `power` [height, width], no frequency in the middle; `radial` [n], element f the mean over all directions at f
    cycles per picture (its longer side), nan at 0, up to half the pixels of that side; `marks` coarse to fine.
    """

    power: np.ndarray
    radial: np.ndarray
    marks: tuple[Mark, ...]


def spectrum(maps: Tensor, sizes: Sequence[Size] = ()) -> Spectrum:
    """The spectrum of `maps` [channels, height, width]; `sizes` are the smaller ones that the network came through.

    Each channel loses its mean and is faded out towards its edges by a Hann window, since a Fourier transform takes a
    picture for a tile and would see the edges' jumps as a cross; the window makes each peak three points wide. Power is
    |F|^2 over the sum of the window's squares: white noise of deviation s has s^2 everywhere.
    """
    height, width = maps.shape[1:]
    power = _power(maps)
    frequencies = _frequencies(height, width)
    longest = max(height, width) // 2
    rounded = np.floor(frequencies + 0.5 + _TIE).astype(int)
    counts = np.bincount(rounded.ravel())[: longest + 1]
    sums = np.bincount(rounded.ravel(), weights=power.ravel())[: longest + 1]
    with np.errstate(invalid="ignore"):
        radial = sums / counts
    radial[0] = np.nan
    smaller = [size for size in sizes if max(size) <= longest]
    return Spectrum(power, radial, tuple(Mark(size, max(size), _times(power, size)) for size in smaller))


def _power(maps: Tensor) -> np.ndarray:
    """Mean power, float64 [height, width], shifted so that no frequency stands at [height // 2, width // 2]."""
    channels, height, width = maps.shape
    window = torch.outer(_hann(height), _hann(width))
    total = torch.zeros(height, width, dtype=torch.float64)
    step = max(1, _ONCE // (height * width))
    with torch.inference_mode(), threads(1):
        for start in range(0, channels, step):
            part = maps[start : start + step].float()
            mean = (part * window).sum(dim=(1, 2), keepdim=True) / window.sum()
            faded = (part - mean) * window
            total += torch.fft.fft2(faded).abs().square().sum(dim=0, dtype=torch.float64)
    power = total / (channels * float(window.double().square().sum()))
    return np.fft.fftshift(power.numpy())


def _hann(length: int) -> Tensor:
    """A Hann window whose first and last numbers are half a step inside, so that a short one keeps all its pixels."""
    return torch.sin(torch.pi * (torch.arange(length) + 0.5) / length).square()


def _frequencies(height: int, width: int) -> np.ndarray:
    """Cycles per picture along its longer side, [height, width], no frequency in the middle."""
    y, x = np.fft.fftshift(np.fft.fftfreq(height)), np.fft.fftshift(np.fft.fftfreq(width))
    return np.hypot(y[:, None], x[None, :]) * max(height, width)


def _times(power: np.ndarray, size: Size) -> float | None:
    """How far the grid of a smaller size stands out: along both axes and both diagonals, the largest."""
    height, width = power.shape
    if min(height, width) < _SMALLEST:
        return None
    reach = np.arange(-_AROUND, _AROUND + 1)
    ring = np.maximum(abs(reach)[:, None], abs(reach)[None, :]) > 1
    found = []
    for down, right in ((1, 0), (0, 1), (1, 1), (1, -1)):
        # Beyond the finest frequency the spectrum goes on at its other side.
        y = (height // 2 + down * size[0] + reach) % height
        x = (width // 2 + right * size[1] + reach) % width
        patch = power[np.ix_(y, x)]
        around = float(np.median(patch[ring]))
        if around > 0:
            found.append(float(patch[_AROUND, _AROUND]) / around)
    return max(found) if found else None
