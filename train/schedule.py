"""What depends on the number of images seen, and on nothing else: intervals, averages, ticks, random streams.

`images seen` is the only clock of a training; everything here is a pure function of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.streams import stream

__all__ = ["Adam", "ema_beta", "lazy_adam", "next_tick", "shuffled", "stream"]


@dataclass(frozen=True)
class Adam:
    """Settings of an Adam optimizer."""

    lr: float
    betas: tuple[float, float]
    eps: float = 1e-8


def lazy_adam(lr: float, betas: tuple[float, float], *, every: int | None) -> Adam:
    """Adam corrected for a regulariser with a step of its own every `every` steps (Karras et al. 2020, appendix B).

    With c = k / (k + 1): lr c, beta1^c, beta2^c. None is no such regulariser, and no correction.
    """
    if every is None:
        return Adam(lr=lr, betas=betas)
    c = every / (every + 1)
    return Adam(lr=lr * c, betas=(betas[0] ** c, betas[1] ** c))


def ema_beta(images: int, *, batch: int, half_life_kimg: float, ramp: float) -> float:
    """Weight of the old average in one step: 0.5^(batch / half-life), in images.

    The half-life is at most `ramp` x images seen, so that the first random weights are soon forgotten.
    """
    half_life = half_life_kimg * 1000
    if ramp > 0:
        half_life = min(half_life, images * ramp)
    return 0.5 ** (batch / max(half_life, 1e-8))


def next_tick(images: int, *, tick: int) -> int:
    """The first multiple of `tick` images after `images`."""
    return (images // tick + 1) * tick


def shuffled(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of `count` pictures in an epoch, int64 [count]: a pure function of its arguments."""
    return np.random.Generator(np.random.PCG64(stream(seed, "order", epoch))).permutation(count)
