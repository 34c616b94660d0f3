"""How volumes become pictures: which way they are cut, which slices, and which values become black and white."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.intensity import LEVELS, Intensity

__all__ = [
    "AXES",
    "BYTES_LIMIT",
    "DARK",
    "Slicing",
    "common",
    "darkness",
    "floor",
    "is_empty",
    "is_slices",
    "is_square",
    "is_window",
    "levels",
    "robust",
    "sampled",
    "squared",
]

AXES = ("axial", "coronal", "sagittal")
BYTES_LIMIT = 2 * 1024**3
HOUNSFIELD = (-1000.0, 1000.0)
SAMPLE = 2**20
DARK = LEVELS // 4  # 16-bit pictures that do not reach beyond it use 14 bits or fewer
# Of pixels whose sides differ by less than 1 in 100 a picture is at most a few pixels off; sides that differ more than
# 50 times are a mistake of whoever wrote the file.
LEAST_STRETCH, MOST_STRETCH = 1.01, 50.0

_NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?"
_WINDOW = re.compile(rf"({_NUMBER}),({_NUMBER})", re.ASCII)
_SLICES = re.compile(r"([0-9]{1,6})-([0-9]{1,6})|([0-9]{1,3})%-([0-9]{1,3})%", re.ASCII)


def is_slices(value: object) -> bool:
    """Whether `value` is `all`, `40-120` or `25%-75%`, upwards."""
    if value == "all":
        return True
    found = _SLICES.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    first, last = (int(part) for part in found.groups() if part is not None)
    return first <= last and (found[3] is None or last <= 100)


def is_window(value: object) -> bool:
    """Whether `value` is `auto`, `file`, `full` or `LOW,HIGH`, upwards."""
    return value in ("auto", "file", "full") or (isinstance(value, str) and _pair(value) is not None)


def _pair(window: str) -> tuple[float, float] | None:
    found = _WINDOW.fullmatch(window)
    if found is None:
        return None
    low, high = float(found[1]), float(found[2])
    return (low, high) if math.isfinite(high - low) and low < high else None


@dataclass(frozen=True)
class Slicing:
    """The settings of volumes, as the flags of the same names give them."""

    axis: str = "axial"
    slices: str = "all"
    window: str = "auto"

    def chosen(self, count: int) -> range:
        """Which of `count` slices are taken; of a single one always that, and of shares at least the nearest one."""
        found = _SLICES.fullmatch(self.slices)
        if found is None or count == 1:
            return range(count)
        if found[1] is not None:
            return range(min(count, int(found[1])), min(count, int(found[2]) + 1))
        first = min(count - 1, math.floor(count * int(found[3]) / 100))
        return range(first, max(first + 1, math.ceil(count * int(found[4]) / 100)))

    def limits(
        self, sample: np.ndarray, *, own: tuple[float, float] | None = None, unit: str | None = None
    ) -> tuple[float, float]:
        """The values that become black and white; `sample` holds finite values of the scan.

        LOW,HIGH is taken as it is; `file` is the window that the file itself recommends, `own`, where it has one;
        `full` runs from the least to the greatest value. `auto` is -1000 to 1000 where the unit is HU, so that one
        scale holds for every scan, else what `robust` finds.
        """
        pair = _pair(self.window)
        if pair is not None:
            return pair
        if self.window == "file" and own is not None:
            return own
        if self.window == "full":
            return (float(sample.min()), float(sample.max())) if sample.size else (0.0, 0.0)
        return HOUNSFIELD if unit == "HU" else robust(sample)


def squared(size: tuple[int, int], pixel: tuple[float, float] | None) -> tuple[int, int]:
    """The size of a picture made of square pixels as fine as the finer side of its own.

    size (height, width) in pixels, pixel (height, width) of one, in mm or any unit; None where nobody says, which
    leaves the size as it is.
    """
    if pixel is None or is_square(pixel):
        return size
    fine = min(pixel)
    return max(1, round(size[0] * pixel[0] / fine)), max(1, round(size[1] * pixel[1] / fine))


def is_square(pixel: tuple[float, float] | None) -> bool:
    """Whether pixels of this height and width are taken as square: near enough, or not told in earnest."""
    if pixel is None or not all(math.isfinite(side) and side > 0 for side in pixel):
        return True
    return not LEAST_STRETCH < max(pixel) / min(pixel) <= MOST_STRETCH


def robust(sample: np.ndarray) -> tuple[float, float]:
    """From the 0.5th percentile of all values to the 99.5th of those above it: a large background does not count."""
    if not sample.size:
        return 0.0, 0.0
    low = float(np.percentile(sample, 0.5))
    above = sample[sample > low]
    return low, float(np.percentile(above, 99.5)) if above.size else low


def sampled(raw: np.ndarray) -> np.ndarray:
    """At most a million finite values of an array, float64, the same ones each time."""
    if raw.size > SAMPLE:
        places = np.random.Generator(np.random.PCG64(0)).integers(0, raw.size, SAMPLE)
        values = raw[np.unravel_index(places, raw.shape)].astype(np.float64)
    else:
        values = raw.astype(np.float64).ravel()
    return values[np.isfinite(values)]


def levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as uint16, `low` 0 and `high` 65535, cut off beyond; what is no number becomes 0."""
    if not high > low:
        return np.zeros(values.shape, np.uint16)
    scaled = np.nan_to_num((values.astype(np.float64) - low) * (LEVELS / (high - low)), posinf=np.inf, neginf=-np.inf)
    return np.rint(scaled.clip(0, LEVELS)).astype(np.uint16)


def darkness(brightest: int, *, gray: bool, others: bool) -> str | None:
    """That 16-bit pictures, taken as they are, use too little of the range, and the remedy; None where they do not.

    Scanners and cameras of 10, 12 or 14 bits leave the upper levels of their files unused. A window is for gray, and
    holds for all files of a set: `others` says that there are some that it would spoil.
    """
    if not 0 < brightest <= DARK:
        return None
    top = (1 << brightest.bit_length()) - 1
    dark = f"the brightest of these 16-bit pictures reaches {brightest} of {LEVELS}, so they are dark"
    if not gray:
        return f"{dark}; save them with their levels {LEVELS // top} times as large, to fill the range"
    if others:
        return f"{dark}; prepare them apart, with --window 0,{top}, which would cut off the other files"
    return f"{dark}; give --window 0,{top} to fill the range"


def common(meant: Sequence[Intensity | None]) -> tuple[Intensity | None, int, str]:
    """What the levels of pictures stand for where they stand for one thing; of how many they do otherwise, and how so.

    The number is 0 and the words are empty where all stand for one thing or nothing is known of any.
    """
    kinds = set(meant)
    if len(kinds) < 2:
        return next(iter(kinds), None), 0, ""
    known, without = kinds - {None}, sum(one is None for one in meant)
    if not without:
        return None, len(known), f"a range of its own in each of {len(known)} scans"
    (first, *more) = known
    others = f"{len(known)} ranges" if more or first is None else first.says()
    return None, len(known), f"not known in {without} of {len(meant)} pictures, {others} in the others"


def floor(sample: np.ndarray) -> float:
    """The value above which there is something to see: a tenth of the way up the robust range of the scan."""
    low, high = robust(sample)
    return low + (high - low) / 10


def is_empty(values: np.ndarray, picture: np.ndarray, *, floor: float) -> bool:
    """Whether fewer than 1 in 100 values of a slice lie above `floor`, or its picture has a single level."""
    few = int(np.count_nonzero(values > floor)) * 100 < values.size
    return few or bool(picture.min() == picture.max())
