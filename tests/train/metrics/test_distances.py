"""Distances against closed forms, slow restatements and what their papers say of equal distributions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.errors import DataError
from train.metrics import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    kolmogorov_smirnov,
    moments,
    nearest,
    precision_recall,
    spread,
)


def normals(count: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, width))


def covariance(width: int, *, seed: int) -> np.ndarray:
    x = normals(2 * width, width, seed=seed)
    return x.T @ x / len(x)


def test_frechet_of_two_gaussians_with_independent_parts() -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 4.0])
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.0])
    expected = 0 + 4 + 1 + (1 - 3) ** 2 + 0 + 0.5**2
    assert frechet_distance(a, np.diag(s**2), b, np.diag(t**2)) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_any_two_gaussians() -> None:
    """tr (A B)^(1/2) is the sum of the roots of the eigenvalues of A B, which is not symmetric."""
    first, second = covariance(6, seed=1), covariance(6, seed=2)
    cross = np.sqrt(np.linalg.eigvals(first @ second).real).sum()
    expected = 6 + np.trace(first) + np.trace(second) - 2 * cross
    found = frechet_distance(np.zeros(6), first, np.ones(6), second)
    assert found == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(np.ones(6), second, np.zeros(6), first) == pytest.approx(found, rel=1e-9)


def test_frechet_of_few_pictures_with_many_features() -> None:
    x = normals(20, 100)
    mean, cov = moments(x)
    np.testing.assert_allclose(cov, np.cov(x, rowvar=False), atol=1e-12)
    assert np.linalg.matrix_rank(cov) < 100
    assert frechet_distance(mean, cov, mean, cov) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(mean, cov, mean + 0.5, cov) == pytest.approx(25, abs=1e-6)
    assert frechet_distance(mean, 0 * cov, mean, cov) == pytest.approx(np.trace(cov), rel=1e-12)


def test_kernel_distance_of_points() -> None:
    """x.y/D + 1 is 1 at 0.0, 2 at 1.1 and 1 at 0.1: 1 + 8 - 2."""
    assert kernel_distance(np.zeros((3, 4)), np.ones((2, 4))) == pytest.approx(7, rel=1e-12)


def test_kernel_distance_in_loops() -> None:
    a, b = normals(5, 3), normals(4, 3, seed=1) + 1

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 3 + 1) ** 3)

    def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        return sum(kernel(x, y) for x, y in pairs) / len(pairs)

    parts = [list(itertools.permutations(z, 2)) for z in (a, b)]
    expected = mean(parts[0]) + mean(parts[1]) - 2 * mean(list(itertools.product(a, b)))
    assert kernel_distance(a, torch.from_numpy(b)) == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_is_zero_on_average_for_equal_distributions() -> None:
    found = [kernel_distance(normals(20, 8, seed=2 * k), normals(20, 8, seed=2 * k + 1)) for k in range(300)]
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * error and min(found) < 0
    assert kernel_distance(normals(20, 8), normals(20, 8, seed=1) + 1) > 10 * np.std(found)


def inside(real: np.ndarray, fake: np.ndarray) -> np.ndarray:
    """Whether fake j lies in the ball of real i, [N, M], ball by ball."""
    gaps = np.linalg.norm(real[:, None] - real, axis=2)
    radius = np.sort(gaps, axis=1)[:, 5]
    return np.linalg.norm(real[:, None] - fake, axis=2) <= radius[:, None]


def test_manifolds_in_loops() -> None:
    real, fake = normals(40, 3), 0.7 * normals(30, 3, seed=1) + 0.4
    balls = inside(real, fake)
    assert precision_recall(real, fake) == (balls.any(0).mean(), inside(fake, real).any(0).mean())
    density, coverage = density_coverage(real, fake)
    assert density == pytest.approx(balls.sum() / (5 * 30)) and coverage == balls.any(1).mean()


def test_manifolds_of_the_same_pictures() -> None:
    x = normals(50, 4) + 1000
    assert precision_recall(x, x) == (1, 1)
    assert density_coverage(x, x)[1] == 1
    same = np.tile(x[:1], (10, 1))
    assert precision_recall(same, same) == (1, 1)


@pytest.mark.parametrize(("shift", "expected"), [(0.0, (1.0, 1.0)), (100.0, (0.0, 0.0))])
def test_manifolds_of_shifted_distributions(shift: float, expected: tuple[float, float]) -> None:
    real, fake = normals(600, 4), normals(600, 4, seed=1) + shift
    assert precision_recall(real, fake) == pytest.approx(expected, abs=0.06)
    # Naeem et al. 2020: for equal distributions density is 1 and coverage 1 - 2^-k.
    wanted = (1, 1 - 2**-5) if not shift else (0, 0)
    assert density_coverage(real, fake) == pytest.approx(wanted, abs=0.06)


def test_half_the_modes_are_half_the_recall() -> None:
    real = np.concatenate([normals(300, 4), normals(300, 4, seed=1) + 50])
    fake = normals(600, 4, seed=2)
    precision, recall = precision_recall(real, fake)
    assert precision > 0.93 and recall == pytest.approx(0.5, abs=0.05)
    assert density_coverage(real, fake)[1] == pytest.approx(0.5, abs=0.02)
    precision, recall = precision_recall(fake, real)
    assert precision == pytest.approx(0.5, abs=0.05) and recall > 0.93


def test_blocks_are_whole() -> None:
    """More rows than are taken at a time."""
    real, fake = normals(1100, 2), normals(1030, 2, seed=1)
    assert density_coverage(real, fake)[1] == inside(real, fake).any(1).mean()
    assert nearest(fake, real) == pytest.approx(np.linalg.norm(fake[:, None] - real, axis=2).min(1))


def test_spread_and_nearest() -> None:
    corners = np.eye(3) * math.sqrt(2)  # all 2 apart
    assert spread(corners) == pytest.approx(2)
    assert spread(np.ones((4, 3))) == 0
    assert nearest(corners, np.zeros((1, 3))) == pytest.approx([math.sqrt(2)] * 3)
    assert nearest(corners, corners).tolist() == [0, 0, 0]


def test_kolmogorov_smirnov() -> None:
    steps = np.arange(100)
    assert kolmogorov_smirnov(steps, steps) == 0
    assert kolmogorov_smirnov(steps, steps + 30) == pytest.approx(0.3)
    assert kolmogorov_smirnov(steps, steps[:10] + 1000) == 1
    assert kolmogorov_smirnov([0, 0, 1, 1], [0, 1, 1, 1]) == pytest.approx(0.25)  # type: ignore[arg-type]


ONE, FEW = np.ones((1, 3)), np.ones((5, 3))
NAN = np.full((8, 3), np.nan)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: moments(ONE), "1 pictures are too few"),
        (lambda: kernel_distance(ONE, FEW), "at least 2"),
        (lambda: precision_recall(FEW, FEW), "at least 6"),
        (lambda: density_coverage(np.ones((9, 3)), FEW), "at least 6"),
        (lambda: spread(ONE), "at least 2"),
        (lambda: nearest(np.ones((0, 3)), FEW), "at least 1"),
        (lambda: kernel_distance(NAN, NAN), "not finite"),
        (lambda: moments(NAN), "not finite"),
        (lambda: frechet_distance(np.ones(3), np.full((3, 3), np.inf), np.ones(3), np.eye(3)), "not finite"),
        (lambda: frechet_distance(np.ones(3), np.eye(3), np.ones(2), np.eye(2)), r"\[3\], \[3, 3\], \[2\], \[2, 2\]"),
        (lambda: kernel_distance(FEW, np.ones((5, 4))), "of 3 and of 4 numbers"),
        (lambda: moments(np.ones(3)), r"\[N, D\], not \[3\]"),
        (lambda: kolmogorov_smirnov(np.ones(0), ONE), "at least 1 number"),
    ],
)
def test_what_cannot_be_measured_is_said(call: Callable[[], object], says: str) -> None:
    with pytest.raises(DataError, match=says):
        call()
