"""What the benchmarks share: how to time, and the floor under every figure, the convolution peak of this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Timing", "median", "peak", "shortest"]

Timing = Callable[..., float]  # of a call, `repeat` times: `median` or `shortest`


def median(
    call: Callable[[int], object], *, repeat: int, warm: int = 2, wait: Callable[[], object] | None = None
) -> float:
    """Median seconds of `repeat` calls after `warm` others; each gets its number. `wait` lets a device catch up."""
    taken = []
    for k in range(repeat + warm):
        if wait:
            wait()
        began = time.perf_counter()
        call(k)
        if wait:
            wait()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[warm:])


def shortest(call: Callable[[int], object], *, repeat: int, warm: int = 2) -> float:
    """Seconds of the shortest of `repeat` calls after `warm` others, by the clock of this thread.

    That clock stands still while other processes have the processor: for machines that are not idle, one thread.
    """
    taken = []
    for k in range(repeat + warm):
        began = time.thread_time()
        call(k)
        taken.append(time.thread_time() - began)
    return min(taken[warm:])


def peak(
    dtype: torch.dtype,
    *,
    batch: int,
    device: torch.device | None = None,
    wait: Callable[[], object] | None = None,
    timing: Timing | None = None,
) -> float:
    """GFLOP/s of the fastest of some 3x3 convolutions in channels_last: what this machine gives a convolution."""
    timing = timing or partial(median, wait=wait)
    best = 0.0
    for channels, side in ((64, 256), (128, 128), (256, 64), (512, 32)):
        if batch > 1:
            side //= 2  # else the pictures of a batch outgrow the caches, which is not what is asked
        x = _laid(torch.randn(batch, channels, side, side, device=device).to(dtype))
        weight = _laid(torch.randn(channels, channels, 3, 3, device=device).to(dtype))
        taken = timing(partial(_convolve, x, weight), repeat=7)
        best = max(best, 2 * 9 * channels**2 * side**2 * batch / taken / 1e9)
    return best


def _laid(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _convolve(x: Tensor, weight: Tensor, k: int) -> Tensor:
    """One 3x3 convolution, the same for every k."""
    return F.conv2d(x, weight, padding=1)
