"""The wavelet's filter, and what resampling with it must leave as it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from train import resample


def test_the_wavelet_is_orthonormal() -> None:
    h = np.array(resample.SYM6)
    assert h.sum() == pytest.approx(math.sqrt(2), abs=1e-10)
    for step in range(0, 12, 2):
        assert h[step:] @ h[: 12 - step] == pytest.approx(float(step == 0), abs=1e-10)
    signs = (-1.0) ** np.arange(12)
    moments = [(signs * h * np.arange(-5, 7) ** power).sum() for power in range(6)]
    np.testing.assert_allclose(moments, 0, atol=1e-4)  # the six vanishing moments that name it


@pytest.mark.parametrize("size", [(3, 3), (17, 16), (20, 35), (40, 3)])
def test_doubling_and_halving_give_the_picture_back(size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(resample.warp(images, torch.eye(3).double().repeat(2, 1, 1)), images, atol=1e-10, rtol=0)


def test_straight_slopes_stay_straight() -> None:
    """Where the light of a pixel is taken to be is right: no map shifts a slope, whose true result is known."""
    y, x = np.mgrid[:41, :52] - np.array([20.0, 25.5])[:, None, None]
    slope = torch.from_numpy(0.3 * x - 0.7 * y)[None, None]
    c, s = math.cos(2.7), math.sin(2.7)
    inverse = np.linalg.inv(np.array([[1.2 * c, -1.2 * s, 1.3], [0.9 * s, 0.9 * c, -2.2], [0, 0, 1]]))
    there = np.tensordot(inverse, np.stack([x, y, np.ones_like(x)]), axes=1)
    ours = resample.warp(slope, torch.from_numpy(inverse)[None])[0, 0].numpy()
    inner = (slice(14, 27), slice(18, 34))
    np.testing.assert_allclose(ours[inner], (0.3 * there[0] - 0.7 * there[1])[inner], atol=1e-5)


def test_a_mirrored_line() -> None:
    assert resample.mirrored(torch.arange(-5, 9), 4).tolist() == [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert resample.mirrored(torch.arange(-2, 2), 1).tolist() == [0, 0, 0, 0]
