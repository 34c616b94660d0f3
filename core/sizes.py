"""Heights and widths: which a network can have, which one holds a picture, and how many channels a layer gets there.

A size is a start shape of 3 to 9 pixels a side, doubled n times. Pairs are always (height, width), in pixels.
"""

from __future__ import annotations

from core.errors import SettingError

__all__ = ["LARGEST", "crop_at", "filters", "halved_start", "level_sizes", "placed", "smallest_size", "start_shape"]

LARGEST = 1024
_START = range(3, 10)

Size = tuple[int, int]


def start_shape(size: Size, start: Size | None = None, *, fewest: int = 1) -> tuple[Size, int]:
    """Return the start shape of `size` and its number of doublings, `fewest` or more.

    Of several start shapes the smallest is taken unless `start` names one. Raises SettingError naming the field.
    """
    height, width = size
    allowed = f"a size is 3 to 9 pixels a side, doubled once or more, at most {LARGEST}, such as 256 or 224x192"
    if not (0 < height <= LARGEST and 0 < width <= LARGEST):
        raise SettingError("size", f"{height}x{width}", allowed)
    found = [
        ((height >> n, width >> n), n)
        for n in range(fewest, LARGEST.bit_length())
        if height % 2**n == 0 and width % 2**n == 0 and height >> n in _START and width >> n in _START
    ]
    if not found:
        raise SettingError("size", f"{height}x{width}", allowed)
    if start is None:
        return found[-1]
    for shape, doublings in found:
        if shape == tuple(start):
            return shape, doublings
    choices = ", ".join(f"{h}x{w}" for (h, w), _ in found)
    raise SettingError("start", f"{start[0]}x{start[1]}", f"{height}x{width} can start from {choices}")


def level_sizes(start: Size, doublings: int) -> list[Size]:
    """Return the sizes a network passes through, coarse to fine: `doublings` + 1 of them."""
    return [(start[0] << n, start[1] << n) for n in range(doublings + 1)]


def filters(size: Size, start: Size | None = None, *, base: int, maximum: int) -> tuple[int, ...]:
    """Return the channels of each level, coarse to fine: min(base / p, maximum).

    p is the power of two at or above the longer side of that level, so that squares follow the usual rule.
    """
    shape, doublings = start_shape(size, start)
    longer = [max(level) for level in level_sizes(shape, doublings)]
    return tuple(max(1, min(base // (1 << (side - 1).bit_length()), maximum)) for side in longer)


def smallest_size(picture: Size) -> Size:
    """Return the smallest area that holds `picture` unscaled; of two equal ones that with the smaller start shape.

    Raises SettingError where the picture is larger than the largest network.
    """
    candidates = []
    for n in range(1, LARGEST.bit_length()):
        sides = [next((s << n for s in _START if s << n >= length), None) for length in picture]
        if sides[0] is not None and sides[1] is not None and max(sides[0], sides[1]) <= LARGEST:
            height, width = sides[0], sides[1]
            candidates.append((height * width, (height >> n) * (width >> n), (height, width)))
    if not candidates:
        given = f"{picture[0]}x{picture[1]}"
        raise SettingError("size", "auto", f"pictures of {given} are larger than {LARGEST}; give --size")
    return min(candidates)[2]


def halved_start(size: Size, auto: Size) -> int | None:
    """Return k where `size` is `auto` halved k times (0 for itself), else None."""
    for k in range(LARGEST.bit_length()):
        if (size[0] << k, size[1] << k) == auto:
            return k
    return None


def crop_at(crop: tuple[int, int, int, int], halvings: int) -> tuple[int, int, int, int]:
    """Return `crop` (top, left, height, width) in the pixels of a picture halved that often, rounded outwards."""
    top, left, height, width = crop
    # A whole number rounded up is the negative of its negative rounded down.
    bottom, right = -(-(top + height) >> halvings), -(-(left + width) >> halvings)
    top, left = top >> halvings, left >> halvings
    return top, left, bottom - top, right - left


def placed(size: Size, picture: Size) -> tuple[int, int, int, int]:
    """Return (top, left, height, width) of `picture` centred in `size`; the odd pixel goes below and to the right."""
    return (size[0] - picture[0]) // 2, (size[1] - picture[1]) // 2, picture[0], picture[1]
