"""MS-SSIM between pictures: how alike two pictures are, scale by scale (Wang, Simoncelli and Bovik 2003)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ms_ssim", "scales"]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
BATCH = 64


def scales(size: tuple[int, int]) -> int:
    """How many of the five scales `size` has room for, the window being 11 pixels wide; at least one."""
    count = 1
    while count < len(WEIGHTS) and min(size) >> count >= WINDOW:
        count += 1
    return count


def ms_ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """MS-SSIM of the pairs (a[i], b[i]), uint8 [N, C, H, W] -> [N], 1 for equal pictures (equation 7).

    The luminance term of the coarsest scale and the contrast and structure terms of all, to the published weights.
    Sizes too small for five scales use `scales(size)` of them, the weights scaled to the same sum. Channels are
    averaged; a negative term counts as 0.
    """
    found = []
    for start in range(0, len(a), BATCH):
        x, y = (torch.from_numpy(np.ascontiguousarray(part[start : start + BATCH])).double() for part in (a, b))
        found.append(_pairs(x, y))
    return torch.cat(found).numpy()


def _pairs(x: Tensor, y: Tensor) -> Tensor:
    count = scales((x.shape[-2], x.shape[-1]))
    weights = np.array(WEIGHTS[:count]) * (sum(WEIGHTS) / sum(WEIGHTS[:count]))
    result = x.new_ones(x.shape[:2])
    for scale in range(count):
        luminance, structure = _terms(x, y)
        term = luminance * structure if scale == count - 1 else structure
        result = result * term.mean(dim=(2, 3)).clamp(min=0).pow(float(weights[scale]))
        if scale < count - 1:
            x, y = (F.avg_pool2d(part, 2) for part in (x, y))
    return result.mean(dim=1)


def _terms(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Maps of the luminance term, and of contrast times structure."""
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    together = _window(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance, (2 * together + C2) / (var_x + var_y + C2)


def _window(x: Tensor) -> Tensor:
    """The mean under a Gaussian of 11 pixels, or of the whole picture where that is smaller."""
    channels = x.shape[1]
    for axis in (-1, -2):
        side = min(WINDOW, x.shape[axis])
        places = torch.arange(side, dtype=x.dtype) - (side - 1) / 2
        taps = torch.exp(-(places**2) / (2 * SIGMA**2))
        kernel = (taps / taps.sum()).expand(channels, 1, 1, side)
        x = F.conv2d(x, kernel if axis == -1 else kernel.mT, groups=channels)
    return x
