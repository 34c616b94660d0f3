"""The word "size" of the contract: start shapes, doublings, channels, and the place of a picture in its frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingError
from core.sizes import LARGEST, filters, halved_start, level_sizes, placed, smallest_size, start_shape

SIDES = st.integers(1, LARGEST)
EVERY_SIZE = sorted(
    {(h << n, w << n) for n in range(1, 9) for h in range(3, 10) for w in range(3, 10) if max(h, w) << n <= LARGEST}
)


def refused(call: object, *arguments: object, **keywords: object) -> SettingError:
    with pytest.raises(SettingError) as caught:
        call(*arguments, **keywords)  # type: ignore[operator]
    return caught.value


@pytest.mark.parametrize(
    ("size", "start", "doublings"),
    [
        ((256, 256), (4, 4), 6),
        ((224, 192), (7, 6), 5),
        ((112, 96), (7, 6), 4),
        ((32, 32), (4, 4), 3),
        ((192, 192), (3, 3), 6),
        ((288, 288), (9, 9), 5),
        ((6, 18), (3, 9), 1),
        ((6, 6), (3, 3), 1),
        ((16, 16), (4, 4), 2),
        ((768, 768), (3, 3), 8),
        ((1024, 1024), (4, 4), 8),
        ((1024, 384), (8, 3), 7),
    ],
)
def test_start_shapes(size: tuple[int, int], start: tuple[int, int], doublings: int) -> None:
    assert start_shape(size) == (start, doublings)


def test_every_size_has_the_smallest_of_its_start_shapes() -> None:
    for size in EVERY_SIZE:
        (height, width), doublings = start_shape(size)
        assert (height << doublings, width << doublings) == size
        assert 3 <= height <= 9 and 3 <= width <= 9 and doublings >= 1
        assert height % 2 or width % 2 or min(height, width) // 2 < 3
        assert level_sizes((height, width), doublings)[0] == (height, width)
        assert level_sizes((height, width), doublings)[-1] == size


@given(st.integers(-5, 1100), st.integers(-5, 1100))
def test_any_other_size_is_refused(height: int, width: int) -> None:
    if (height, width) in EVERY_SIZE:
        start_shape((height, width))
    else:
        wrong = refused(start_shape, (height, width))
        assert wrong.field == "size" and str(wrong).startswith(f"size cannot be '{height}x{width}': ")


@pytest.mark.parametrize("size", [(0, 0), (4, 4), (9, 9), (208, 176), (260, 209), (1152, 1152), (1024, 256)])
def test_sizes_without_a_start(size: tuple[int, int]) -> None:
    assert refused(start_shape, size).field == "size"


def test_a_start_shape_by_name() -> None:
    assert start_shape((256, 256), (8, 8)) == ((8, 8), 5)
    assert start_shape((192, 192), (6, 6)) == ((6, 6), 5)
    for start in ((16, 16), (2, 2), (5, 5), (4, 8)):
        wrong = refused(start_shape, (256, 256), start)
        assert wrong.field == "start" and "8x8, 4x4" in str(wrong)


def test_channels_follow_the_usual_rule_for_squares() -> None:
    assert filters((256, 256), base=16384, maximum=512) == (512, 512, 512, 512, 256, 128, 64)
    assert filters((1024, 1024), base=32768, maximum=512) == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert filters((32, 32), base=512, maximum=64) == (64, 64, 32, 16)


def test_channels_follow_the_power_of_two_at_or_above_the_longer_side() -> None:
    # 7 14 28 56 112 224 count as 8 16 32 64 128 256
    assert filters((224, 192), base=16384, maximum=512) == (512, 512, 512, 256, 128, 64)
    assert filters((192, 224), base=16384, maximum=512) == (512, 512, 512, 256, 128, 64)
    assert filters((256, 256), (8, 8), base=16384, maximum=512) == (512, 512, 512, 256, 128, 64)
    # 9 18 36 count as 16 32 64
    assert filters((36, 36), base=1024, maximum=512) == (64, 32, 16)
    assert filters((1024, 1024), base=16, maximum=512)[-1] == 1


@pytest.mark.parametrize(
    ("picture", "size"),
    [
        ((208, 176), (224, 192)),
        ((256, 256), (256, 256)),
        ((260, 209), (288, 224)),
        ((28, 28), (28, 28)),
        ((1, 1), (6, 6)),
        ((6, 6), (6, 6)),
        ((7, 6), (8, 6)),
        ((512, 100), (512, 192)),
        ((1024, 1024), (1024, 1024)),
        ((1000, 10), (1024, 384)),
    ],
)
def test_the_auto_size(picture: tuple[int, int], size: tuple[int, int]) -> None:
    assert smallest_size(picture) == size


@given(SIDES, SIDES)
def test_the_auto_size_is_the_smallest_area_that_holds_the_picture(height: int, width: int) -> None:
    best = smallest_size((height, width))
    assert best in EVERY_SIZE
    holding = [size for size in EVERY_SIZE if size[0] >= height and size[1] >= width]
    assert best in holding
    area = best[0] * best[1]
    assert area == min(h * w for h, w in holding)
    (h, w), _ = start_shape(best)
    equal = [start_shape(size)[0] for size in holding if size[0] * size[1] == area]
    assert h * w == min(a * b for a, b in equal)


@pytest.mark.parametrize("picture", [(1025, 10), (10, 1025), (5000, 5000)])
def test_no_auto_size_beyond_the_largest(picture: tuple[int, int]) -> None:
    wrong = refused(smallest_size, picture)
    assert wrong.field == "size" and f"{picture[0]}x{picture[1]}" in str(wrong)


def test_halved_sizes() -> None:
    assert halved_start((224, 192), (224, 192)) == 0
    assert halved_start((112, 96), (224, 192)) == 1
    assert halved_start((28, 24), (224, 192)) == 3
    for size in ((448, 384), (112, 112), (96, 112), (111, 96)):
        assert halved_start(size, (224, 192)) is None


def test_the_picture_sits_in_the_middle() -> None:
    assert placed((224, 192), (208, 176)) == (8, 8, 208, 176)
    assert placed((256, 256), (256, 256)) == (0, 0, 256, 256)
    assert placed((8, 8), (5, 6)) == (1, 1, 5, 6)
    # halved with its margin, as the brain at 112 x 96 shows [4, 4, 104, 88]
    assert tuple(side // 2 for side in placed((224, 192), (208, 176))) == (4, 4, 104, 88)


@given(SIDES, SIDES)
def test_the_picture_always_lies_inside_its_auto_size(height: int, width: int) -> None:
    size = smallest_size((height, width))
    top, left, h, w = placed(size, (height, width))
    assert (h, w) == (height, width)
    assert 0 <= size[0] - (top + h) - top <= 1 and 0 <= size[1] - (left + w) - left <= 1
