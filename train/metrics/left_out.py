"""Distances between features without each group of pictures in turn, in little more time than the distance itself.

Features are [N, D] and [M, D], numpy or torch, taken as float64, each with the group of every row, int64 from 0 to
G - 1. What comes back is one number for each group, which both sides are without: see train/metrics/jackknife.py.
Too few rows and numbers that are not finite raise DataError.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from core.errors import DataError
from train.metrics.distances import NEAREST, Array, balls, frechet_distance, kernel_blocks, pair

__all__ = ["WIDEST", "frechet", "kernel", "manifolds"]

WIDEST = 1024  # features, and pictures of them: more of both take longer than the features themselves on a GPU


def frechet(a: Array, b: Array, groups_a: np.ndarray, groups_b: np.ndarray) -> list[float]:
    """`frechet_distance` without each group; an empty list for more than 1024 pictures of more than 1024 features.

    Fewer pictures than features are compared by singular values: for centred features X and Y of n and m pictures,
    tr (A B)^(1/2) is the sum of those of X Y' over ((n - 1) (m - 1))^(1/2).
    """
    x, y = pair(a, b, least=3)
    width = x.shape[1]
    few = min(len(x), len(y)) < width
    if width > WIDEST and (not few or max(len(x), len(y)) > WIDEST):
        return []
    if few:
        both = (_kept(part, groups) for part, groups in ((x, groups_a), (y, groups_b)))
        return [_by_singular_values(first, second) for first, second in zip(*both, strict=True)]
    both_moments = (_moments(part, groups) for part, groups in ((x, groups_a), (y, groups_b)))
    return [frechet_distance(*first, *second) for first, second in zip(*both_moments, strict=True)]


def kernel(a: Array, b: Array, groups_a: np.ndarray, groups_b: np.ndarray) -> list[float]:
    """`kernel_distance` without each group: the kernel is summed over pairs of groups once."""
    x, y = pair(a, b, least=2)
    one, other = _members(groups_a), _members(groups_b)
    xx, yy, xy = kernel_blocks(x, x, one, one), kernel_blocks(y, y, other, other), kernel_blocks(x, y, one, other)
    own = [_own(x, one), _own(y, other)]
    found = []
    for g in range(one.shape[1]):
        n, m = len(x) - one[:, g].sum(), len(y) - other[:, g].sum()
        _enough(min(int(n), int(m)))
        within = (_without(xx, g) - own[0].sum() + own[0][g]) / (n * (n - 1))
        within += (_without(yy, g) - own[1].sum() + own[1][g]) / (m * (m - 1))
        found.append(float(within - 2 * _without(xy, g) / (n * m)))
    return found


def manifolds(real: Array, fake: Array, groups_real: np.ndarray, groups_fake: np.ndarray) -> list[list[float]]:
    """Precision, recall, density and coverage without each group, four lists.

    Balls keep the radii that they have with all pictures. Without that, which pictures are in which ball would change
    with every group, and the jackknife, which is no good for what jumps, would make twice as much of it.
    """
    x, y = pair(real, fake, least=NEAREST + 1)
    one, other = _members(groups_real), _members(groups_fake)
    around_fake = torch.zeros(one.shape[1], len(y), dtype=torch.float64)  # real balls of a group that a fake lies in
    covered, within = [], []  # fake balls of a group that a real one lies in; fakes of a group in a real one's ball
    for rows, in_real, in_fake in balls(x, y):
        around_fake += one[rows].T @ in_real.double()
        within.append(in_real.double() @ other)
        covered.append(in_fake.double() @ other)
    hits, balls_of = torch.cat(within), torch.cat(covered)
    found: list[list[float]] = [[], [], [], []]
    for g in range(one.shape[1]):
        kept, left = one[:, g] == 0, other[:, g] == 0
        _enough(min(int(kept.sum()), int(left.sum())))
        around, inside = (around_fake.sum(0) - around_fake[g])[left], (hits.sum(1) - hits[:, g])[kept]
        reached = (balls_of.sum(1) - balls_of[:, g])[kept]
        found[0].append(float((around > 0).double().mean()))
        found[1].append(float((reached > 0).double().mean()))
        found[2].append(float(inside.sum() / (NEAREST * int(left.sum()))))
        found[3].append(float((inside > 0).double().mean()))
    return found


def _enough(left: int) -> None:
    if left < 2:
        raise DataError("one group has nearly all pictures; an error needs at least 2 outside of each group")


def _members(groups: np.ndarray) -> Tensor:
    """Who is in which group: float64 [N, G] of 0 and 1."""
    return torch.nn.functional.one_hot(torch.from_numpy(groups)).double()


def _without(sums: Tensor, g: int) -> Tensor:
    """Sums over pairs of groups [G, G] -> their sum without the row and the column of a group."""
    return sums.sum() - sums[g].sum() - sums[:, g].sum() + sums[g, g]


def _own(x: Tensor, members: Tensor) -> Tensor:
    """The kernel of each picture with itself, summed over every group: [G]."""
    return (x.square().sum(1) / x.shape[1] + 1).pow(3) @ members


def _kept(x: Tensor, groups: np.ndarray) -> Iterator[Tensor]:
    for g in range(int(groups.max()) + 1):
        part = x[torch.from_numpy(groups != g)]
        _enough(len(part))
        yield part


def _by_singular_values(x: Tensor, y: Tensor) -> float:
    a, b = x - x.mean(0), y - y.mean(0)
    n, m = len(x) - 1, len(y) - 1
    cross = torch.linalg.svdvals(a @ b.T).sum() / (n * m) ** 0.5
    total = (x.mean(0) - y.mean(0)).square().sum() + a.square().sum() / n + b.square().sum() / m - 2 * cross
    return max(0.0, float(total))


def _moments(x: Tensor, groups: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Mean and unbiased covariance without each group, from sums over the groups."""
    middle = x.mean(0)
    centred = x - middle  # so that differences of sums lose no digits
    products = centred.T @ centred
    for g in range(int(groups.max()) + 1):
        part = centred[torch.from_numpy(groups == g)]
        left = len(x) - len(part)
        _enough(left)
        mean = -part.sum(0) / left  # the centred features sum to zero
        covariance = (products - part.T @ part - left * torch.outer(mean, mean)) / (left - 1)
        yield (middle + mean).numpy(), covariance.numpy()
