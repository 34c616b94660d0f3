"""Random head phantoms: ellipses after Shepp and Logan 1974, a new head for every index, drawn when asked for."""

from __future__ import annotations

import numpy as np

from train.schedule import stream

__all__ = ["SHAPE", "phantom"]

SHAPE = (128, 128)


def phantom(index: int, *, size: tuple[int, int]) -> np.ndarray:
    """Draw head `index` as uint8 [height, width], edges anti-aliased: a pure function of its arguments.

    The head fills most of the frame. Skull, brain, two ventricles and up to eight small ellipses vary in place, size,
    angle and brightness.
    """
    random = np.random.Generator(np.random.PCG64(stream("phantom", index)))
    height, width = size
    y, x = np.meshgrid(_axis(height), _axis(width), indexing="ij")
    picture = np.zeros(size)
    for ellipse in _head(random):
        _paint(picture, x, y, *ellipse, pixel=2.0 / min(height, width))
    return np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def _axis(length: int) -> np.ndarray:
    return (np.arange(length) + 0.5) * (2.0 / length) - 1.0


def _head(random: np.random.Generator) -> list[tuple[float, float, float, float, float, float]]:
    """Ellipses as (x, y, half width, half height, angle, brightness), painted one over the other."""
    turn = random.normal(0, 0.06)
    wide, tall = random.uniform(0.66, 0.76), random.uniform(0.86, 0.94)
    skull = random.uniform(0.03, 0.06)
    gray = random.uniform(0.35, 0.5)
    head = [
        (0.0, 0.0, wide, tall, turn, random.uniform(0.8, 1.0)),
        (0.0, 0.0, wide - skull, tall - skull, turn, gray),
    ]
    gap, length = random.uniform(0.1, 0.24), random.uniform(0.18, 0.42)
    dark, lift = random.uniform(0.05, 0.2), random.uniform(-0.15, 0.1)
    for side in (-1, 1):
        lean = side * random.uniform(0.15, 0.4)
        head.append((side * gap, lift, random.uniform(0.05, 0.14), length * random.uniform(0.9, 1.1), lean, dark))
    for _ in range(int(random.integers(3, 9))):
        angle, reach = random.uniform(0, 2 * np.pi), np.sqrt(random.uniform(0.02, 0.6))
        place = (np.cos(angle) * reach * wide, np.sin(angle) * reach * tall)
        radii = random.uniform(0.03, 0.13, 2)
        bright = gray + random.choice([-1, 1]) * random.uniform(0.1, 0.25)
        head.append((*place, *radii, random.uniform(0, np.pi), bright))
    return head


def _paint(
    picture: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    angle: float,
    level: float,
    *,
    pixel: float,
) -> None:
    """Blend one ellipse over the picture; coverage falls from 1 to 0 over about one pixel at its edge."""
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = (x - cx) * cos + (y - cy) * sin, (y - cy) * cos - (x - cx) * sin
    radius = np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
    slope = np.sqrt((u / rx**2) ** 2 + (v / ry**2) ** 2) / np.maximum(radius, 1e-9)
    coverage = np.clip((1 - radius) / (np.maximum(slope, 1e-9) * pixel) + 0.5, 0, 1)
    picture += coverage * (level - picture)
