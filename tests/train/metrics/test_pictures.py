"""Pyramids, sliced Wasserstein, sharpness, MS-SSIM and looks, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from train.metrics import descriptors, ms_ssim, sharpness, sliced_wasserstein
from train.metrics.looks import looks
from train.metrics.pyramid import laplacian, level_names
from train.metrics.similarity import scales


def noise(count: int, size: tuple[int, int], *, seed: int = 0, deviation: float = 30) -> np.ndarray:
    levels = 128 + deviation * np.random.default_rng(seed).standard_normal((count, 1, *size))
    return levels.clip(0, 255).astype(np.uint8)


def blurred(pictures: np.ndarray) -> np.ndarray:
    return F.avg_pool2d(torch.from_numpy(pictures).float(), 3, stride=1, padding=1).numpy().astype(np.uint8)


def test_the_bands_give_the_picture_back() -> None:
    picture = torch.randn(2, 3, 37, 50)
    bands = laplacian(picture, levels=3)
    assert [tuple(band.shape[-2:]) for band in bands] == [(37, 50), (19, 25), (10, 13)]
    whole = bands[-1]
    for band in reversed(bands[:-1]):
        sparse = torch.zeros_like(band)
        sparse[..., ::2, ::2] = whole
        taps = torch.tensor([1, 4, 6, 4, 1]) / 8
        kernel = torch.outer(taps, taps).expand(3, 1, 5, 5)
        whole = band + F.conv2d(F.pad(sparse, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)
    torch.testing.assert_close(whole, picture, atol=1e-5, rtol=0)


def test_a_flat_picture_has_no_bands() -> None:
    bands = laplacian(torch.full((1, 1, 64, 48), 0.5))
    assert len(bands) == 2 and level_names((64, 48)) == ["64x48", "32x24"]
    assert bands[0].abs().max() < 1e-6 and bands[1] == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "names"),
    [
        ((16, 16), ["16x16"]),
        ((104, 88), ["104x88", "52x44", "26x22"]),
        ((128, 128), ["128x128", "64x64", "32x32", "16x16"]),
    ],
)
def test_levels_end_at_sixteen_pixels(size: tuple[int, int], names: list[str]) -> None:
    assert level_names(size) == names


def test_descriptors_are_patches_with_nothing_to_tell_but_their_shape() -> None:
    levels = descriptors(noise(3, (32, 32)), seed=0)
    assert [tuple(level.shape) for level in levels] == [(3 * 128, 49)] * 2
    for level in levels:
        assert float(level.mean()) == pytest.approx(0, abs=1e-5) and float(level.std()) == pytest.approx(1, abs=1e-3)


def test_sliced_wasserstein_of_a_shift() -> None:
    """A shift by v is |v.d| in every direction d: on average |v| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2))."""
    x = torch.randn(500, 49)
    v = torch.ones(49)
    mean = math.exp(math.lgamma(24.5) - math.lgamma(25)) / math.sqrt(math.pi)
    (found,) = sliced_wasserstein([x], [x + v], seed=0)
    assert found == pytest.approx(7 * mean, rel=0.15)
    assert sliced_wasserstein([x], [x[torch.randperm(500)]], seed=0) == [pytest.approx(0, abs=1e-6)]


def test_sliced_wasserstein_of_a_wider_distribution() -> None:
    """Between N(0, 1) and N(0, 9) it is (3 - 1) sqrt(2 / pi)."""
    x, y = torch.randn(8000, 10), 3 * torch.randn(4000, 10)
    (found,) = sliced_wasserstein([x], [y], seed=0)
    assert found == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.05)


def test_sliced_wasserstein_tells_noise_from_blurred_noise() -> None:
    sets = [noise(12, (32, 32), seed=0), noise(12, (32, 32), seed=1), blurred(noise(12, (32, 32), seed=2))]
    a, same, soft = (descriptors(part, seed=0) for part in sets)
    floor, found = sliced_wasserstein(a, same, seed=0), sliced_wasserstein(a, soft, seed=0)
    assert found[0] > 2 * floor[0] and sliced_wasserstein(a, a, seed=0) == [0, 0]


def test_sharpness() -> None:
    weak, strong = noise(8, (64, 64), deviation=15), noise(8, (64, 64), deviation=30)
    assert sharpness(strong) / sharpness(weak) == pytest.approx([2, 2, 2], rel=0.05)
    soft = sharpness(blurred(strong)) / sharpness(strong)
    assert soft[0] < 0.4 and soft[0] < soft[1] < soft[2] < 1.1
    assert sharpness(noise(2, (16, 16))).shape == (3,)


@pytest.mark.parametrize(
    ("size", "count"), [((176, 176), 5), ((175, 400), 4), ((104, 88), 4), ((32, 32), 2), ((8, 8), 1)]
)
def test_ms_ssim_of_equal_pictures_is_one(size: tuple[int, int], count: int) -> None:
    x = noise(2, size)
    assert scales(size) == count
    assert ms_ssim(x, x) == pytest.approx([1, 1], abs=1e-9)


def test_ms_ssim_of_flat_pictures() -> None:
    """Only the luminance of the coarsest scale differs: ((2 a b + C1) / (a^2 + b^2 + C1))^0.1333."""
    a, b = np.full((1, 3, 200, 200), 50, np.uint8), np.full((1, 3, 200, 200), 100, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = ((2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)) ** 0.1333
    assert ms_ssim(a, b) == pytest.approx([expected], rel=1e-9)
    assert ms_ssim(b, a) == pytest.approx([expected], rel=1e-9)


def test_ms_ssim_falls_with_what_differs() -> None:
    x, other = noise(3, (64, 64)), noise(3, (64, 64), seed=1)
    near = (x.astype(int) + noise(3, (64, 64), seed=2, deviation=8) - 128).clip(0, 255).astype(np.uint8)
    assert (ms_ssim(x, other) < 0.3).all() and (ms_ssim(x, near) > 0.8).all()


def test_looks() -> None:
    black, white = np.zeros((1, 8, 8), np.uint8), np.full((1, 8, 8), 255, np.uint8)
    left = black.copy()
    left[:, :, :4] = 200
    middle = black.copy()
    middle[:, 2:6, 2:6] = 200
    found = looks(np.stack([black, white, left, middle]))
    assert found["brightness"].tolist() == [0, 255, 100, 50]
    assert found["contrast"].tolist() == pytest.approx([0, 0, 100, 200 * math.sqrt(3) / 4])
    assert found["symmetry"].tolist() == pytest.approx([1, 1, -1, 1])
    assert found["outline"].tolist() == [0, 1, 0.5, 0.25]
    red = np.zeros((1, 3, 2, 2), np.uint8)
    red[:, 0] = 100
    assert looks(red)["brightness"] == pytest.approx([29.9])
