"""The Fourier view against numpy in float64, and on pictures whose spectrum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from explorer import plates
from explorer.spectra import spectrum


def by_hand(maps: np.ndarray) -> np.ndarray:
    """Mean power of windowed channels, from the definition of the transform."""
    _, height, width = maps.shape
    rows, columns = ((np.arange(n) + 0.5) / n for n in (height, width))
    window = np.outer(np.sin(np.pi * rows) ** 2, np.sin(np.pi * columns) ** 2)
    total = np.zeros((height, width))
    for one in maps.astype(np.float64):
        faded = (one - (one * window).sum() / window.sum()) * window
        down = np.exp(-2j * np.pi * np.outer(np.arange(height), np.arange(height)) / height)
        across = np.exp(-2j * np.pi * np.outer(np.arange(width), np.arange(width)) / width)
        total += abs(down @ faded @ across.T) ** 2
    return np.fft.fftshift(total / len(maps) / (window**2).sum())


@pytest.mark.parametrize("shape", [(5, 28, 24), (3, 7, 6), (2, 33, 48), (4, 3, 3)])
def test_power_and_radial_mean_are_what_float64_gives(shape: tuple[int, int, int]) -> None:
    maps = np.random.RandomState(0).randn(*shape).astype(np.float32) + 40
    found = spectrum(torch.from_numpy(maps))
    expected = by_hand(maps)
    assert np.allclose(found.power, expected, rtol=1e-3, atol=1e-6 * expected.max())
    height, width = shape[1:]
    longer, sums = max(height, width), dict[int, list[float]]()
    for row in range(height):
        for column in range(width):
            y, x = (row - height // 2) / height, (column - width // 2) / width
            sums.setdefault(int(longer * np.hypot(y, x) + 0.5 + 1e-9), []).append(expected[row, column])
    assert len(found.radial) == longer // 2 + 1 and np.isnan(found.radial[0])
    for frequency in range(1, longer // 2 + 1):
        assert found.radial[frequency] == pytest.approx(np.mean(sums[frequency]), rel=1e-3)


def test_white_noise_has_its_variance_everywhere_and_the_mean_is_gone() -> None:
    torch.manual_seed(1)
    found = spectrum(0.5 * torch.randn(200, 32, 48) + 100)
    assert found.power[16, 24] < 1e-3
    assert np.mean(found.power) == pytest.approx(0.25, rel=0.05)
    assert np.allclose(found.radial[4:], 0.25, rtol=0.15)


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 1), (1, 1), (1, -1)])
def test_a_planted_grid_stands_out_at_its_size_and_nowhere_else(down: int, right: int) -> None:
    torch.manual_seed(2)
    y, x = torch.arange(112)[:, None] / 112, torch.arange(96)[None, :] / 96
    grid = torch.cos(2 * torch.pi * (down * 28 * y + right * 24 * x))
    found = spectrum(torch.randn(4, 112, 96) + 0.5 * grid, [(7, 6), (14, 12), (28, 24), (56, 48)])
    times = {mark.size: mark.times for mark in found.marks}
    assert times[(28, 24)] is not None and times[(28, 24)] > 100
    assert all(one is not None and one < 6 for size, one in times.items() if size != (28, 24))
    longer = np.hypot(down, right * 96 / 112 * 112 / 96) * 28
    assert abs(int(np.nanargmax(found.radial)) - longer) <= 1.5
    assert [mark.frequency for mark in found.marks] == [7, 14, 28, 56]
    white = plates.log_power(found)
    assert white[56 + down * 28, 48 + right * 24] == 255 and white.shape == (112, 96)


def test_a_nearest_neighbour_doubling_is_seen_at_the_grid_it_came_from() -> None:
    """Neighbours copied leave replicas around the smaller size's sampling frequency; a smooth doubling does not."""
    torch.manual_seed(3)
    small = torch.nn.functional.avg_pool2d(torch.randn(64, 30, 26), 3, stride=1) * 3
    blocky = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    smooth = torch.nn.functional.interpolate(small[None], scale_factor=2, mode="bicubic")[0]
    high = [spectrum(one, [(28, 24)]).radial[20:28].mean() for one in (blocky, smooth)]
    assert high[0] > 5 * high[1]


def test_what_is_flat_or_not_finite_is_drawn_all_the_same() -> None:
    for maps in (torch.zeros(2, 28, 24), torch.full((2, 28, 24), torch.nan), torch.zeros(1, 1, 1)):
        found = spectrum(maps, [(7, 6)])
        assert plates.log_power(found).dtype == np.uint8
        assert plates.curve(found).shape == (260, 420)
        assert all(mark.times is None for mark in found.marks)
