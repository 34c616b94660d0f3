"""Curves of a training, drawn with Pillow: one panel a quantity, kimg along the bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["losses"]

_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("losses", (("loss_g", "generator"), ("loss_d", "discriminator"))),
    ("logits", (("logit_real", "real"), ("logit_fake", "generated"))),
    ("R1, squared gradient", (("r1", "r1"),)),
    ("path length", (("path_length", "path length"),)),
)
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 900, 220, 76, 30, 30
_PAPER, _INK, _LINE = (255, 255, 255), (40, 40, 40), (222, 222, 222)
_COLOURS = ((31, 95, 173), (214, 96, 28))


def losses(log: Sequence[dict[str, Any]]) -> np.ndarray:
    """Draw the curves of log.jsonl, uint8 [H, W, 3]; quantities that were never measured have no panel."""
    panels = [
        (title, [(label, _points(log, key)) for key, label in curves])
        for title, curves in _PANELS
        if any(_points(log, key) for key, _ in curves)
    ]
    image = Image.new("RGB", (_WIDTH, _HEIGHT * max(1, len(panels))), _PAPER)
    draw = ImageDraw.Draw(image)
    for row, (title, curves) in enumerate(panels):
        _panel(draw, title, curves, top=row * _HEIGHT)
    return np.array(image)


Points = list[tuple[float, float]]


def _points(log: Sequence[dict[str, Any]], key: str) -> Points:
    return [
        (line["kimg"], line[key]) for line in log if isinstance(line.get(key), int | float) and math.isfinite(line[key])
    ]


def _panel(draw: ImageDraw.ImageDraw, title: str, curves: list[tuple[str, Points]], *, top: int) -> None:
    font = ImageFont.load_default(size=12)
    points = [point for _, curve in curves for point in curve]
    across = _ticks(min(0.0, *(x for x, _ in points)), max(x for x, _ in points))
    up = _ticks(min(y for _, y in points), max(y for _, y in points))
    box = (_LEFT, top + _TOP, _WIDTH - 16, top + _HEIGHT - _BOTTOM)

    def place(x: float, y: float) -> tuple[float, float]:
        u = (x - across[0]) / (across[-1] - across[0])
        v = (y - up[0]) / (up[-1] - up[0])
        return box[0] + u * (box[2] - box[0]), box[3] - v * (box[3] - box[1])

    for y in up:
        draw.line([place(across[0], y), place(across[-1], y)], fill=_LINE)
        draw.text((box[0] - 6, place(0, y)[1]), f"{y:g}", fill=_INK, font=font, anchor="rm")
    for x in across:
        draw.line([place(x, up[0]), place(x, up[-1])], fill=_LINE)
        draw.text((place(x, up[0])[0], box[3] + 4), f"{x:g}", fill=_INK, font=font, anchor="mt")
    draw.text((box[0], top + 8), title, fill=_INK, font=font)
    draw.text((box[2], top + _HEIGHT - 3), "kimg", fill=_INK, font=font, anchor="rb")
    right = float(box[2])
    for colour, (label, curve) in zip(_COLOURS, curves, strict=False):
        placed = [place(x, y) for x, y in curve]
        if len(placed) == 1:
            x, y = placed[0]
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
        else:
            draw.line(placed, fill=colour, width=2, joint="curve")
        if len(curves) > 1:
            draw.text((right, top + 8), label, fill=colour, font=font, anchor="ra")
            right -= font.getlength(label) + 16


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers that enclose low..high."""
    span = high - low if high > low else max(abs(high), 1.0) * 0.1
    raw = span / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, max(last, first + 1) + 1)]
