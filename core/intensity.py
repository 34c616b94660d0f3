"""What gray levels stand for: the straight line from a picture's levels to the values that a scanner measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LEVELS", "Intensity"]

LEVELS = 65535


@dataclass(frozen=True)
class Intensity:
    """value = slope x level + intercept, level 0 to 65535. A level of an 8-bit picture counts 257 of these.

    `unit` is what the values are in, such as HU, or None where nothing says so.
    """

    slope: float
    intercept: float
    unit: str | None = None

    @classmethod
    def between(cls, low: float, high: float, *, unit: str | None = None) -> Intensity:
        """Level 0 is `low` and level 65535 is `high`; `high` below `low` is a picture whose dark is high."""
        return cls((high - low) / LEVELS, low, unit)

    @classmethod
    def read(cls, said: object) -> Intensity | None:
        """What a file says under `intensity`; None where it says nothing that can be used."""
        if not isinstance(said, Mapping):
            return None
        slope, intercept = (_number(said.get(key)) for key in ("slope", "intercept"))
        unit = said.get("unit")
        if not slope or intercept is None or not (unit is None or isinstance(unit, str)):
            return None
        # The value of each level, also where a file names a slope as large as numbers go.
        if not math.isfinite(slope * LEVELS + intercept):
            return None
        return cls(slope, intercept, unit[:32] if unit else None)

    def values(self) -> dict[str, Any]:
        """As JSON: {"slope", "intercept", "unit"}."""
        return {"slope": self.slope, "intercept": self.intercept, "unit": self.unit}

    def through(self, window: Intensity) -> Intensity:
        """What levels stand for that a `window` made of these levels, the numbers of a 16-bit file."""
        return Intensity(self.slope * window.slope, self.slope * window.intercept + self.intercept, self.unit)

    def says(self) -> str:
        """The range in words, such as `-1000 to 1000 HU`."""
        return f"{self.intercept:g} to {self.slope * LEVELS + self.intercept:g} {self.unit or '(no unit known)'}"


def _number(value: object) -> float | None:
    """A finite number; None for whatever else a file may have there, such as a whole number of a thousand digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
