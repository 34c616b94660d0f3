"""Distances between sets of features and between sets of numbers. Arrays are [N, D], numpy or torch, taken as float64.

Everything here is a pure function; sets that are too small, of unequal width or not finite raise DataError.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from core.errors import DataError

__all__ = [
    "NEAREST",
    "Array",
    "balls",
    "density_coverage",
    "distances",
    "frechet_distance",
    "kernel_blocks",
    "kernel_distance",
    "kolmogorov_smirnov",
    "moments",
    "nearest",
    "pair",
    "precision_recall",
    "spread",
]

Array = np.ndarray | Tensor

NEAREST = 5  # k of precision, recall, density and coverage
ROWS = 1024  # of a matrix of distances at a time


def moments(features: Array) -> tuple[np.ndarray, np.ndarray]:
    """Mean [D] and unbiased covariance [D, D] of features [N, D], N of 2 or more."""
    x = _features(features, least=2)
    centred = x - x.mean(0)
    return x.mean(0).numpy(), (centred.T @ centred / (len(x) - 1)).numpy()


def frechet_distance(mean_a: Array, cov_a: Array, mean_b: Array, cov_b: Array) -> float:
    """|a - b|^2 + tr(A + B - 2 (A B)^(1/2)) between two Gaussians (Dowson and Landau 1982; Heusel et al. 2017, eq. 6).

    Means [D], covariances [D, D], which may be singular. tr (A B)^(1/2) is the sum of the square roots of the
    eigenvalues of A^(1/2) B A^(1/2), which is symmetric; what rounding makes negative there counts as 0.
    """
    a, b, first, second = (_finite(part) for part in (mean_a, mean_b, cov_a, cov_b))
    if a.ndim != 1 or b.shape != a.shape or first.shape != (len(a), len(a)) or second.shape != first.shape:
        shapes = ", ".join(str(list(part.shape)) for part in (a, first, b, second))
        raise DataError(f"a Frechet distance needs means [D] and covariances [D, D], and was given {shapes}")
    values, vectors = torch.linalg.eigh((first + first.T) / 2)
    root = vectors * _root(values) @ vectors.T
    inner = root @ ((second + second.T) / 2) @ root
    cross = _root(torch.linalg.eigvalsh((inner + inner.T) / 2)).sum()
    total = (a - b).square().sum() + first.trace() + second.trace() - 2 * cross
    return max(0.0, float(total))


def kernel_distance(a: Array, b: Array) -> float:
    """Squared maximum mean discrepancy, kernel (x.y/D + 1)^3, unbiased.

    Gretton et al. 2012, eq. 3; Binkowski et al. 2018, for pictures. Features [N, D] and [M, D], two or more
    of each. Zero on average for equal distributions, so it may be negative.
    """
    x, y = pair(a, b, least=2)
    within = sum((_kernel_sum(z, z) - _kernel(z, z, paired=True)) / (len(z) * (len(z) - 1)) for z in (x, y))
    return within - 2 * _kernel_sum(x, y) / (len(x) * len(y))


def precision_recall(real: Array, fake: Array) -> tuple[float, float]:
    """Share of fakes inside the real manifold, and of reals inside the fakes' (Kynkaanniemi et al. 2019, eq. 1 and 2).

    A manifold is the union of balls around its pictures, each reaching to the fifth nearest other one.
    """
    x, y = pair(real, fake, least=NEAREST + 1)
    inside, covered = torch.zeros(len(y), dtype=torch.bool), []
    for _, in_real, in_fake in balls(x, y):
        inside |= in_real.any(0)
        covered.append(in_fake.any(1))
    return float(inside.double().mean()), float(torch.cat(covered).double().mean())


def density_coverage(real: Array, fake: Array) -> tuple[float, float]:
    """How many real balls a fake lies in, over k, and the share of real balls with a fake inside (Naeem et al. 2020).

    Their equations 5 and 6 with k = 5: for equal distributions about 1, and 1 - 2^-5 = 0.97.
    """
    x, y = pair(real, fake, least=NEAREST + 1)
    around = _radius(x)
    hits, covered = 0, []
    for rows, squared in _blocks(x, y):
        inside = squared <= around[rows, None]
        hits += int(inside.sum())
        covered.append(inside.any(1))
    return hits / (NEAREST * len(y)), float(torch.cat(covered).double().mean())


def balls(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """For a few rows of x [N, D] at a time: the slice, and which rows of y lie in their balls, and they in y's.

    Both bool [rows, M]; float64 features, six rows or more on either side.
    """
    around_x, around_y = _radius(x), _radius(y)
    for rows, squared in _blocks(x, y):
        yield rows, squared <= around_x[rows, None], squared <= around_y


def kernel_blocks(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor) -> Tensor:
    """The kernel summed over all pairs of a group of x and a group of y: [G, H] for `in_x` [N, G], `in_y` [M, H]."""
    parts = zip(x.split(ROWS), in_x.split(ROWS), strict=True)
    return torch.stack([own.T @ (part @ y.T / x.shape[1] + 1).pow(3) @ in_y for part, own in parts]).sum(0)


def nearest(a: Array, b: Array) -> np.ndarray:
    """Euclidean distance of each row of `a` [N, D] to the nearest row of `b` [M, D]: [N]."""
    x, y = pair(a, b, least=1)
    return torch.cat([squared.min(1).values for _, squared in _blocks(x, y)]).sqrt().numpy()


def spread(features: Array) -> float:
    """Mean Euclidean distance between two different rows of features [N, D], N of 2 or more."""
    x = _features(features, least=2)
    return sum(float(rows.sum()) for rows in _apart(x)) / (len(x) * (len(x) - 1))


def distances(features: Array) -> np.ndarray:
    """Euclidean distances between all rows of features [N, D], N of 2 or more: [N, N], 0 from each to itself."""
    return torch.cat(list(_apart(_features(features, least=2)))).numpy()


def kolmogorov_smirnov(a: Array, b: Array) -> float:
    """Largest difference between the empirical distribution functions of two sets of numbers [N] and [M]: 0 to 1."""
    first, second = (np.sort(_finite(part).reshape(-1).numpy()) for part in (a, b))
    if not len(first) or not len(second):
        raise DataError("a Kolmogorov-Smirnov distance needs at least 1 number on each side; take more pictures")
    both = np.concatenate([first, second])
    gap = [np.searchsorted(part, both, side="right") / len(part) for part in (first, second)]
    return float(np.abs(gap[0] - gap[1]).max())


def _root(values: Tensor) -> Tensor:
    """Square roots of eigenvalues, ascending; those that are only rounding are 0, or their roots would add up."""
    least = values[-1].clamp(min=0) * len(values) * torch.finfo(values.dtype).eps
    return values.where(values > least, 0.0).sqrt()


def _kernel(x: Tensor, y: Tensor, *, paired: bool) -> float:
    dots = (x * y).sum(1) if paired else x @ y.T
    return float((dots / x.shape[1] + 1).pow(3).sum())


def _kernel_sum(x: Tensor, y: Tensor) -> float:
    return sum(_kernel(part, y, paired=False) for part in x.split(ROWS))


def _blocks(x: Tensor, y: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Squared distances [rows, M] of a few rows of x at a time, each with the slice of its rows.

    Distances that differ from 0 by rounding alone are 0, so that a picture lies in its twin's ball.
    """
    middle = y.mean(0)
    x, y = x - middle, y - middle
    lengths = y.square().sum(1)
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        own = part.square().sum(1, keepdim=True)
        squared = (own + lengths - 2 * part @ y.T).clamp_(min=0)
        squared[squared < 1e-13 * (own + lengths)] = 0
        yield slice(start, start + len(part)), squared


def _apart(x: Tensor) -> Iterator[Tensor]:
    for rows, squared in _blocks(x, x):
        squared[torch.arange(len(squared)), torch.arange(len(x))[rows]] = 0
        yield squared.sqrt()


def _radius(x: Tensor) -> Tensor:
    """Squared distance to the k-th nearest other row, [N], with room for rounding."""
    # The nearest of all is the row itself.
    reach = [squared.kthvalue(NEAREST + 1, dim=1).values for _, squared in _blocks(x, x)]
    return torch.cat(reach) * (1 + 1e-9)


def pair(a: Array, b: Array, *, least: int) -> tuple[Tensor, Tensor]:
    """Features of equal width as float64. Raises DataError for others, for too few, and where some are not finite."""
    x, y = _features(a, least=least), _features(b, least=least)
    if x.shape[1] != y.shape[1]:
        raise DataError(f"features of {x.shape[1]} and of {y.shape[1]} numbers cannot be compared; use one extractor")
    return x, y


def _features(features: Array, *, least: int) -> Tensor:
    x = _finite(features)
    if x.ndim != 2:
        raise DataError(f"features are [N, D], not {list(x.shape)}; flatten what is one picture's")
    if len(x) < least:
        raise DataError(f"{len(x)} pictures are too few for this measure: it needs at least {least}")
    return x


def _finite(array: Array) -> Tensor:
    x = torch.as_tensor(array).detach().to("cpu", torch.float64)
    if not bool(x.isfinite().all()):
        raise DataError("features that are not finite cannot be measured; look at the network that made them")
    return x
