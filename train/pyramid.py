"""Pictures at the sizes a network grows through: made once, blended while a size fades in (Karras et al. 2018, 2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from train.data import Data
from train.growth import Stage

__all__ = ["blend", "shown"]


def shown(data: Data, indices: np.ndarray, stage: Stage, *, device: torch.device) -> Tensor:
    """Pictures as the discriminator is shown real ones at `stage`, float32 [N, C, h, w] from -1 to 1."""
    fine = data if data.frame.size == stage.size else data.at(stage.size)
    if stage.alpha >= 1:
        return fine.batch(indices, device=device)
    coarse = data.at((stage.size[0] // 2, stage.size[1] // 2))
    return blend(coarse.batch(indices, device=device), fine.batch(indices, device=device), stage.alpha)


def blend(coarse: Tensor, fine: Tensor, alpha: float) -> Tensor:
    """(1 - alpha) coarse, every pixel made four, + alpha fine: as the generator's pictures are blended.

    coarse [N, C, h, w], fine [N, C, 2 h, 2 w], alpha from 0 to 1 -> [N, C, 2 h, 2 w].
    """
    return torch.lerp(functional.interpolate(coarse, scale_factor=2, mode="nearest"), fine, alpha)
