"""The taps of a resampling filter from the kernel that a file keeps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["taps_of"]

_MOST = 64
_SMALL_WHOLE = 64


def taps_of(kernel: Tensor, *, total: float) -> tuple[float, ...] | None:
    """Taps for `resample_filter`, whole numbers where they are such, of a kernel [t] or [t, t] that sums to `total`.

    None where it is not the outer product of one filter with itself, or has another sum: no filter of ours does that.
    """
    kernel = kernel.double()
    square = kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1]
    if not (square or kernel.ndim == 1) or not 1 <= len(kernel) <= _MOST or not bool(kernel.isfinite().all()):
        return None
    if abs(float(kernel.sum()) - total) > 1e-4 * total:
        return None
    taps = (kernel.sum(dim=1) if square else kernel) / kernel.sum()
    if square and not torch.allclose(torch.outer(taps, taps) * total, kernel, rtol=1e-4, atol=1e-6 * total):
        return None
    smallest = taps[taps.abs() > 1e-6].abs().min()
    whole = taps / smallest
    if float(whole.abs().max()) <= _SMALL_WHOLE and torch.allclose(whole, whole.round(), rtol=0, atol=1e-4):
        taps = whole.round()
    return tuple(taps.tolist())
