"""What a training zip knows of one of its pictures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Record"]


@dataclass(frozen=True)
class Record:
    """One picture of the zip. `pixels` is a hash of its levels, `number` the item it comes from."""

    name: str
    source: str
    size: tuple[int, int]
    mode: str
    pixels: str
    number: int
    intensity: tuple[float, float, str | None] | None
    before: tuple[int, int] | None = None  # its size in the source, where it was fitted into a frame
    ends: tuple[float, float] = (0.0, 0.0)  # shares of its values that are black and white to the last level
    brightest: int = 0  # of 16 bits that are taken as they are
    cut: bool = True  # whether a window changes it
