"""How pictures sit in a network's frame."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import SettingError
from core.frame import Frame


def place(size: tuple[int, int], frame: Frame, *, value: int = 200) -> np.ndarray:
    return frame.place(np.full(size, value, np.uint8))


def test_a_brain_slice_is_not_scaled() -> None:
    frame = Frame.of((208, 176), size=None, fit="native")
    assert (frame.size, frame.crop) == ((224, 192), (8, 8, 208, 176))
    picture = np.random.default_rng(0).integers(0, 256, (208, 176), np.uint8)
    placed = frame.place(picture)
    assert np.array_equal(placed[8:216, 8:184], picture)
    assert placed.sum(dtype=np.int64) == picture.sum(dtype=np.int64)


def test_half_the_auto_size_halves_the_margin() -> None:
    frame = Frame.of((208, 176), size=(112, 96), fit="native")
    assert frame.crop == (4, 4, 104, 88)
    placed = place((208, 176), frame)
    assert placed.shape == (112, 96)
    assert (abs(placed[8:104, 8:88].astype(int) - 200) <= 2).all()
    assert (placed[:2] <= 1).all() and (placed[:, -2:] <= 1).all()
    assert Frame.of((208, 176), size=(56, 48), fit="native").crop == (2, 2, 52, 44)


@pytest.mark.parametrize("picture", [(260, 209), (260, 228), (33, 21), (7, 5), (1024, 1000), (640, 480)])
def test_auto_holds_the_picture_and_the_crop_is_inside(picture: tuple[int, int]) -> None:
    frame = Frame.of(picture, size=None, fit="native")
    assert frame.size[0] >= picture[0] and frame.size[1] >= picture[1]
    assert frame.crop[2:] == picture
    half = Frame.of(picture, size=(frame.size[0] // 2, frame.size[1] // 2), fit="native")
    top, left, height, width = half.crop
    assert top + height <= half.size[0] and left + width <= half.size[1]
    assert 0 <= 2 * height - picture[0] <= 2 and 0 <= 2 * width - picture[1] <= 2


def test_native_scales_only_what_does_not_fit() -> None:
    frame = Frame.of((20, 30), size=(64, 64), fit="native")
    assert frame.crop == (22, 17, 20, 30)
    assert np.count_nonzero(place((20, 30), frame)) == 600
    large = Frame.of((300, 100), size=(64, 64), fit="native")
    assert large.crop[2:] == (64, 21)
    assert place((300, 100), large).shape == (64, 64)


def test_mixed_shapes_go_into_the_most_common_one() -> None:
    frame = Frame.of((40, 40), size=(64, 64), fit="native")
    top, left, height, width = frame.crop
    for size in [(40, 40), (60, 30), (20, 50), (10, 10), (500, 3)]:
        placed = place(size, frame)
        outside = placed.copy()
        outside[top : top + height, left : left + width] = 0
        assert placed.any() and not outside.any()
    assert np.count_nonzero(place((10, 10), frame)) == 100


def test_pad_crop_and_stretch() -> None:
    pad = Frame.of((20, 40), size=(64, 64), fit="pad")
    assert pad.crop == (16, 0, 32, 64)
    assert np.count_nonzero(place((20, 40), pad)) == 32 * 64
    crop = Frame.of((20, 40), size=(64, 64), fit="crop")
    assert crop.crop == (0, 0, 64, 64) and (place((20, 40), crop) == 200).all()
    halves = np.zeros((20, 40), np.uint8)
    halves[:, 10:30] = 200
    assert (crop.place(halves)[:, 3:-3] > 150).all(), "what was cut off are the two dark quarters"
    stretch = Frame.of((20, 40), size=(64, 64), fit="stretch")
    assert stretch.crop == (0, 0, 64, 64) and (place((20, 40), stretch) == 200).all()


def test_planes_and_depth_are_kept() -> None:
    frame = Frame.of((20, 18), size=(16, 16), fit="native")
    rgb = frame.place(np.full((20, 18, 3), 60000, np.uint16))
    assert rgb.shape == (16, 16, 3) and rgb.dtype == np.uint16 and rgb.max() == 60000


def test_auto_of_a_picture_too_large() -> None:
    with pytest.raises(SettingError, match="size.*auto.*--size"):
        Frame.of((2000, 100), size=None, fit="native")
    assert Frame.of((2000, 100), size=(64, 64), fit="native").crop[2] == 64
