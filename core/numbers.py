"""Whole numbers as people and programs spell them, in digits."""

from __future__ import annotations

__all__ = ["natural"]


def natural(text: str | None, *, least: int = 0, most: int) -> int | None:
    """The whole number from `least` to `most` that `text` spells in ASCII digits; None for anything else."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if least <= number <= most else None
