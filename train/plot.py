"""Curves of a training, drawn with Pillow: one panel a quantity, kimg along the bottom."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["losses"]

_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("losses", (("loss_g", "generator"), ("loss_d", "discriminator"))),
    ("logits", (("logit_real", "real"), ("logit_fake", "generated"), ("logit_held", "held-out"))),
    ("overfitting, augmentation", (("ada_sign", "sign of real"), ("overfit", "overfit"), ("ada_p", "ada p"))),
    ("samples against pictures, distance", (("spread", "of any two"), ("nearest", "of the nearest two"))),
    ("R1, squared gradient", (("r1", "r1"),)),
    ("gradient penalty", (("gp", "gradient penalty"),)),
    ("path length", (("path_length", "path length"),)),
    ("reconstruction", (("reconstruction", "squared error"),)),
    ("components of samples from what w says", (("held", "squared error"),)),
)
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 900, 220, 76, 30, 30
_PAPER, _INK, _LINE, _MARK = (255, 255, 255), (40, 40, 40), (222, 222, 222), (120, 120, 120)
_COLOURS = ((31, 95, 173), (214, 96, 28), (46, 125, 50))
_FADE = (233, 239, 248)  # behind the curves while a size fades in
_MANY = 200  # points from which the outermost hundredths may leave the panel


def losses(log: Sequence[dict[str, Any]]) -> np.ndarray:
    """Draw the curves of log.jsonl, uint8 [H, W, 3]; quantities that were never measured have no panel.

    Of a growing network every size is named, a vertical line stands where one begins, and the time in which it fades in
    is shaded.
    """
    panels = [
        (title, [(label, points) for key, label in curves if (points := _points(log, key))])
        for title, curves in _PANELS
        if any(_points(log, key) for key, _ in curves)
    ]
    image = Image.new("RGB", (_WIDTH, _HEIGHT * max(1, len(panels))), _PAPER)
    draw = ImageDraw.Draw(image)
    phases = _phases(log)
    for row, (title, curves) in enumerate(panels):
        _panel(draw, title, curves, phases=phases, top=row * _HEIGHT)
    return np.array(image)


Points = list[tuple[float, float]]


def _points(log: Sequence[dict[str, Any]], key: str) -> Points:
    return [
        (line["kimg"], line[key]) for line in log if isinstance(line.get(key), int | float) and math.isfinite(line[key])
    ]


@dataclass(frozen=True)
class _Phase:
    """One size while it fades in, or while it stays: from where to where in kimg, as the lines of the log tell it."""

    size: str
    fading: bool
    begin: float
    end: float


def _phases(log: Sequence[dict[str, Any]]) -> list[_Phase]:
    """Lines with a size, those of one phase together; a phase begins where the one before ends, the first at 0.

    Where lines say from where to where their size faded in, that counts, and a tick inside is not needed; logs of
    before have only alpha to tell it by.
    """
    told = [line for line in log if line.get("size") and isinstance(line.get("kimg"), int | float)]
    ahead = _ahead(log)
    if any(_fade(line) for line in told):
        return _said(told, ahead=ahead)
    phases = [_Phase("head start", False, 0.0, ahead)] if ahead else []
    last: dict[str, Any] = {}
    for (size, fading), group in itertools.groupby(told, key=lambda line: (_size(line["size"]), _fades(line))):
        lines = list(group)
        if phases and phases[-1].fading and phases[-1].size == size:
            phases[-1] = replace(phases[-1], end=min(lines[0]["kimg"], _faded(phases[-1].begin, last)))
        last = lines[-1]
        phases.append(_Phase(size, fading, phases[-1].end if phases else 0.0, last["kimg"]))
    return phases


def _said(told: Sequence[dict[str, Any]], *, ahead: float) -> list[_Phase]:
    """Phases as lines tell them, after a head start until `ahead` kimg."""
    phases = [_Phase("head start", False, 0.0, ahead)] if ahead else []
    for size, group in itertools.groupby(told, key=lambda line: _size(line["size"])):
        last = list(group)[-1]
        begin = phases[-1].end if phases else 0.0
        fade = _fade(last)
        if fade is not None:
            begin = min(fade[0], last["kimg"])
            if phases:
                phases[-1] = replace(phases[-1], end=begin)
            phases.append(_Phase(size, True, begin, min(fade[1], last["kimg"])))
            begin = fade[1]
        if fade is None or last["kimg"] > begin:
            phases.append(_Phase(size, False, begin, last["kimg"]))
    return phases


def _ahead(log: Sequence[dict[str, Any]]) -> float:
    """How far lines tell of a head start, in kimg: to the last one before any size that has a reconstruction."""
    before = itertools.takewhile(lambda line: not line.get("size"), log)
    return max((line["kimg"] for line in before if isinstance(line.get("reconstruction"), int | float)), default=0.0)


def _fade(line: dict[str, Any]) -> tuple[float, float] | None:
    begin, end = line.get("fade_from"), line.get("fade_to")
    told = isinstance(begin, int | float) and isinstance(end, int | float) and 0 <= begin < end < math.inf
    return (begin, end) if told else None  # type: ignore[return-value]


def _faded(begin: float, line: dict[str, Any]) -> float:
    """Where a fade ends that has begun at `begin` and come to a line's alpha: alpha rises evenly."""
    return begin + (line["kimg"] - begin) / line["alpha"] if line["alpha"] else math.inf


def _fades(line: dict[str, Any]) -> bool:
    alpha = line.get("alpha")
    return isinstance(alpha, int | float) and alpha < 1


def _size(size: Any) -> str:
    return "x".join(map(str, size)) if isinstance(size, list) else str(size)


def _panel(
    draw: ImageDraw.ImageDraw,
    title: str,
    curves: list[tuple[str, Points]],
    *,
    phases: list[_Phase],
    top: int,
) -> None:
    font = ImageFont.load_default(size=12)
    points = [point for _, curve in curves for point in curve]
    across = _ticks(min(0.0, *(x for x, _ in points)), max(x for x, _ in points))
    up = _ticks(*_range([y for _, y in points]))
    box = (_LEFT, top + _TOP, _WIDTH - 24, top + _HEIGHT - _BOTTOM)

    def place(x: float, y: float) -> tuple[float, float]:
        u = (x - across[0]) / (across[-1] - across[0])
        v = min(1.0, max(0.0, (y - up[0]) / (up[-1] - up[0])))
        return box[0] + u * (box[2] - box[0]), box[3] - v * (box[3] - box[1])

    for phase in phases:
        if phase.fading and place(phase.begin, 0)[0] < box[2]:
            (left, _), (right, _) = place(phase.begin, 0), place(phase.end, 0)
            draw.rectangle([left, box[1], min(right, box[2]), box[3]], fill=_FADE)
    for y in up:
        draw.line([place(across[0], y), place(across[-1], y)], fill=_LINE)
        draw.text((box[0] - 6, place(0, y)[1]), f"{y:g}", fill=_INK, font=font, anchor="rm")
    for x in across:
        draw.line([place(x, up[0]), place(x, up[-1])], fill=_LINE)
        draw.text((place(x, up[0])[0], box[3] + 4), f"{x:g}", fill=_INK, font=font, anchor="mt")
    _sizes(draw, [(place(phase.begin, 0)[0], phase) for phase in phases], top=box[1], bottom=box[3], right=box[2])
    draw.text((box[0], top + 8), title, fill=_INK, font=font)
    if any(phase.fading for phase in phases):
        at = box[0] + font.getlength(title) + 18
        draw.rectangle([at, top + 10, at + 16, top + 20], fill=_FADE, outline=_LINE)
        draw.text((at + 22, top + 8), "fading in", fill=_MARK, font=font)
    draw.text((box[2], top + _HEIGHT - 3), "kimg", fill=_INK, font=font, anchor="rb")
    right = float(box[2])
    coloured = list(zip(_COLOURS, curves, strict=False))
    lines = [_thinned(draw, [place(x, y) for x, y in curve], colour=colour) for colour, (_, curve) in coloured]
    for (colour, (label, _)), line in zip(coloured, lines, strict=True):
        _curve(draw, line, colour=colour)
        if len(curves) > 1:
            draw.text((right, top + 8), label, fill=colour, font=font, anchor="ra")
            right -= font.getlength(label) + 16


def _sizes(
    draw: ImageDraw.ImageDraw, placed: list[tuple[float, _Phase]], *, top: float, bottom: float, right: float
) -> None:
    """A line where each size but the first begins, and the names of the sizes, phases having their x."""
    font, free, before = ImageFont.load_default(size=12), 0.0, ""
    for x, phase in placed:
        if phase.size == before or x >= right:  # or where this panel has nothing yet
            continue
        if before:
            draw.line([x, top, x, bottom], fill=_MARK)
        if x >= free:  # a name that would stand on another is left out
            draw.text((x + 3, top + 2), phase.size, fill=_MARK, font=font)
            free = x + 3 + font.getlength(phase.size)
        before = phase.size


def _thinned(draw: ImageDraw.ImageDraw, placed: Points, *, colour: tuple[int, int, int]) -> Points:
    """The points as they are; of many, their mean in every column of the picture, whose range is drawn as a tint."""
    columns = [list(some) for _, some in itertools.groupby(placed, key=lambda point: round(point[0]))]
    if len(placed) <= 2 * len(columns):
        return placed
    tint = tuple((3 * 255 + part) // 4 for part in colour)
    means: Points = []
    for some in columns:
        heights = [y for _, y in some]
        draw.line([(some[0][0], min(heights)), (some[0][0], max(heights))], fill=tint)
        means.append((some[0][0], sum(heights) / len(heights)))
    return means


def _curve(draw: ImageDraw.ImageDraw, placed: Points, *, colour: tuple[int, int, int]) -> None:
    if len(placed) == 1:
        x, y = placed[0]
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
    else:
        draw.line(placed, fill=colour, width=2, joint="curve")


def _range(values: list[float]) -> tuple[float, float]:
    """Lowest and highest; of many values without the outermost hundredths, which would flatten the rest."""
    ordered = sorted(values)
    cut = len(ordered) // 100 if len(ordered) >= _MANY else 0
    return ordered[cut], ordered[-1 - cut]


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers that enclose low..high."""
    span = high - low if high > low else max(abs(high), 1.0) * 0.1
    raw = span / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, max(last, first + 1) + 1)]
