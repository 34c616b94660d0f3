"""Standard errors of figures, from what has been measured already: the delete-one-group jackknife.

Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 11: a figure is worked out again without each of
about ten groups of pictures in turn, and how far these differ says how far it would differ with other pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np

__all__ = ["GROUPS", "blocks", "grouped", "standard_error"]

GROUPS = 10


def standard_error(without: Iterable[float]) -> float:
    """sqrt((G - 1) / G  sum of (t_g - their mean)^2) of a figure t_g worked out without group g, one for each of G.

    Equation 11.5 there, for groups of about one size; of a mean, and for groups of one, it is s / sqrt(N) exactly. NaN
    for fewer than two groups, which say nothing.
    """
    found = np.array(list(without), np.float64)
    if len(found) < 2:
        return float("nan")
    return float(np.sqrt((len(found) - 1) / len(found) * np.square(found - found.mean()).sum()))


def blocks(count: int, groups: int) -> np.ndarray:
    """The group of each of `count` pictures that are independent of each other: int64 [N], neighbours together."""
    return np.arange(count) * groups // max(1, count)


def grouped(units: Sequence[Hashable], groups: int) -> np.ndarray:
    """The group of each picture, int64 [N], all pictures of one unit, such as a person, in one group.

    The largest units are dealt out first, each to the group that has the fewest pictures, so that groups are as equal
    as they can be.
    """
    sizes, place = np.zeros(groups, np.int64), dict[Hashable, int]()
    for unit, count in Counter(units).most_common():
        place[unit] = int(sizes.argmin())
        sizes[place[unit]] += count
    return np.array([place[unit] for unit in units], np.int64)
