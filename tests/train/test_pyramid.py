"""Pictures at every size, against float64: means of squares of pixels, and blends of two sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.frame import Frame, averaged
from tests.train import make
from tests.train.test_data import opened
from train.data import Frames, Phantoms
from train.growth import Stage
from train.pyramid import blend, shown

CPU = torch.device("cpu")
STAGE = Stage(level=2, size=(8, 6), alpha=0.3, batch=4, begin=0, fading=True, end=100)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_means_of_squares_keep_their_depth(dtype: type) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(dtype).max + 1, (3, 2, 16, 12)).astype(dtype)
    ours = averaged(pixels, (4, 3))
    by_hand = np.zeros((3, 2, 4, 3))
    for row, column in np.ndindex(4, 3):
        square = pixels[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].astype(np.float64)
        by_hand[:, :, row, column] = square.mean(axis=(2, 3))
    assert ours.dtype == dtype and np.array_equal(ours, np.rint(by_hand).astype(dtype))
    assert averaged(pixels, (16, 12)) is pixels


def test_reals_are_blended_like_fakes() -> None:
    """(1 - alpha) of the smaller picture, every pixel made four, + alpha of the larger, in float64."""
    coarse, fine = torch.rand(2, 1, 4, 3) * 2 - 1, torch.rand(2, 1, 8, 6) * 2 - 1
    large = coarse.double().numpy().repeat(2, axis=2).repeat(2, axis=3)
    for alpha in (0.0, 0.25, 0.7):
        expected = (1 - alpha) * large + alpha * fine.double().numpy()
        np.testing.assert_allclose(blend(coarse, fine, alpha), expected, atol=1e-6)


def test_a_fade_begins_with_the_size_before_and_ends_with_its_own(tmp_path: Path) -> None:
    data = opened(make.folder(tmp_path, count=5, size=(16, 12)))
    indices = np.array([3, 0, 4])
    small, large = (data.at(size).batch(indices, device=CPU) for size in ((4, 3), (8, 6)))
    first, middle, last = (shown(data, indices, replace(STAGE, alpha=a), device=CPU) for a in (0.0, 0.3, 1.0))
    assert torch.equal(first, small.repeat_interleave(2, 2).repeat_interleave(2, 3)) and torch.equal(last, large)
    torch.testing.assert_close(middle, 0.7 * first + 0.3 * last)


def test_pictures_are_resized_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(make.folder(tmp_path, count=5, size=(16, 12)))
    calls: list[int] = []
    monkeypatch.setattr("train.data.averaged", lambda *args: (calls.append(1), averaged(*args))[1])
    for _ in range(3):
        shown(data, np.arange(5), STAGE, device=CPU)
    assert len(calls) == 2 and data.at((8, 6)) is data.at((8, 6)) and data.at((16, 12)) is data


def test_smaller_pictures_are_of_the_same_people(tmp_path: Path) -> None:
    for index in range(6):
        make.save(tmp_path / f"person{index // 2:03}_slice{index}.png", make.picture("L", (16, 12), seed=index))
    data = opened(tmp_path)
    training, held = data.split(0.34, seed=0)
    assert len(set(data.who)) == 3 and data.at((8, 6)).who == data.who and data.at((8, 6)).names == data.names
    for part in (training, held):
        assert part.at((8, 6)).who == part.who and len(part.who) == len(part)


def test_smaller_pictures_are_those_of_the_same_places(tmp_path: Path) -> None:
    """Of a part of the pictures, with its classes, its frame, and its crop."""
    data = opened(make.folder(tmp_path, count=8, size=(26, 20)), size="32x24")
    train, held = data.split(0.25, seed=0)
    for part in (train, held):
        small = part.at((8, 6))
        assert isinstance(small, Frames) and len(small) == len(part)
        for index in range(len(part)):
            assert np.array_equal(small.picture(index), averaged(part.picture(index)[None], (8, 6))[0])
    assert train.frame.crop == (3, 2, 26, 20) and train.at((8, 6)).frame.crop == (0, 0, 8, 6)


def test_pictures_on_the_disk_have_smaller_ones_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.data._free", lambda: 0)
    data = opened(make.folder(tmp_path, count=5, size=(16, 12)))
    small = data.at((8, 6))
    assert isinstance(small.pixels, np.memmap) and np.array_equal(
        small.picture(2), averaged(data.pixels[2:3], (8, 6))[0]
    )


def test_phantoms_are_the_same_heads_at_every_size() -> None:
    data = Phantoms(frame=Frame.of((16, 16), size=(16, 16), fit="native"), channels=1)
    small = data.at((4, 4))
    assert small.frame.size == (4, 4) and np.array_equal(small.picture(7), averaged(data.picture(7)[None], (4, 4))[0])
    assert np.array_equal(data.at((8, 8)).at((4, 4)).picture(7), small.picture(7))
