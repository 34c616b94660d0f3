"""What is asked of a projection, and what it finds: plain values, checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.errors import SettingError

__all__ = ["FEWEST_STEPS", "MOST_SECONDS", "MOST_STEPS", "SPACES", "STEPS", "Distance", "Found", "Moment", "Wish"]

SPACES = ("w+", "w")
STEPS = 500
FEWEST_STEPS = 20
MOST_STEPS = 20_000
MOST_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Wish:
    """How to project. Raises SettingError for what cannot be.

    `steps` of descent in all; `seconds` instead plans as many as fit (yardstick included) and then stops, so that the
    outcome depends on the machine. `label` None searches all classes.
    """

    space: str = "w+"
    steps: int = STEPS
    seconds: float | None = None
    noise_maps: bool = False
    label: int | None = None

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise SettingError("space", self.space, " or ".join(SPACES))
        if type(self.steps) is not int or not FEWEST_STEPS <= self.steps <= MOST_STEPS:
            raise SettingError("steps", self.steps, f"{FEWEST_STEPS} to {MOST_STEPS}")
        if self.seconds is not None and not (_is_number(self.seconds) and 1 <= self.seconds <= MOST_SECONDS):
            raise SettingError("seconds", self.seconds, f"1 to {MOST_SECONDS}")
        if not isinstance(self.noise_maps, bool):
            raise SettingError("noise_maps", self.noise_maps, "true or false")


@dataclass(frozen=True)
class Distance:
    """How far a picture is from another: root mean square of 8-bit levels, the same as PSNR in dB, and of features."""

    levels: float
    psnr: float
    features: float

    def values(self) -> dict[str, float]:
        """As JSON."""
        return {name: round(getattr(self, name), 5) for name in ("levels", "psnr", "features")}


@dataclass(frozen=True)
class Moment:
    """Where a projection is: `done` of `total` steps and the stage in words; `reached` draws what there is by now.

    `shown` is False while it is the yardstick that moves.
    """

    done: int
    total: int
    stage: str
    shown: bool
    reached: Callable[[], Found] = field(repr=False)


@dataclass(frozen=True)
class Found:
    """The point: ws [num_ws, w_dim] and noise maps or None, float32; what it shows, uint8; how far it is.

    `own` is the distance that a picture of the network's own came back to by the same way; None where it was left out.
    """

    ws: np.ndarray = field(repr=False)
    noise: tuple[np.ndarray, ...] | None = field(repr=False)
    picture: np.ndarray = field(repr=False)
    target: np.ndarray = field(repr=False)
    label: int | None
    distance: Distance
    steps: int
    seconds: float
    stopped: bool = False
    own: Distance | None = None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
