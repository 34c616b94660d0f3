"""A map as files: seed, x, y as CSV, and the picture of it, in the colours that the page has for the same values."""

from __future__ import annotations

import colorsys
import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core import pictures
from core.files import writing
from core.sheet import lettering
from explorer.atlas import Atlas
from explorer.atlas_values import Values

__all__ = ["MOST_HUES", "drawn", "hue", "ramp", "write"]

SIDE = 1000
MOST_HUES = 8
# Okabe & Ito 2008: eight colours that people with any kind of colour vision tell apart; the last of them, black, is
# a gray here, so that it can be seen on the dark ground.
PALETTE = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#999999")
# A ramp from blue to yellow whose lightness rises evenly; page and picture have its dark form in common.
RAMP = ((84, 118, 204), (84, 142, 196), (112, 164, 178), (152, 184, 154), (200, 206, 124), (248, 228, 92))
GROUND = 18
_FINE = 3  # a dot is drawn this many times larger, then made small
_THUMB = 36  # pixels of a small picture's longer side


def write(
    table: Path,
    picture: Path,
    atlas: Atlas,
    *,
    method: str | None = None,
    text: dict[str, str] | None = None,
    values: Values | None = None,
    thumb: Callable[[int], np.ndarray | None] | None = None,
) -> None:
    """Write seed, x, y, one line a sample, and the map as a PNG with `text`: both or neither. Raises OutputError.

    A map by class has a column `class`, one with `values` a column of their name. Kept pictures follow, the first
    column empty and the last one, `point`, their name; `thumb` draws small pictures in place of dots.
    """
    lines = io.StringIO()
    rows = csv.writer(lines, lineterminator="\n")
    named = atlas.named.names
    head = ["seed", "x", "y", *(["class"] if atlas.classes else [])]
    extra = values is not None and values.name not in head
    rows.writerow([*head, *([values.name] if extra and values else []), *(["point"] if named else [])])
    for seed, (x, y) in enumerate(atlas.points(method)):
        own = [seed % atlas.classes] if atlas.classes else []
        told = [values.told(seed)] if extra and values else []
        rows.writerow([seed, f"{x:.6g}", f"{y:.6g}", *own, *told, *([""] if named else [])])
    for name, (x, y) in zip(named, atlas.stand_named(method), strict=True):
        rows.writerow(["", f"{x:.6g}", f"{y:.6g}", *([""] if atlas.classes else []), *([""] if extra else []), name])
    with writing(table) as first, writing(picture) as second:
        first.write_text(lines.getvalue(), encoding="utf-8")
        made = drawn(atlas, method=method, values=values, thumb=thumb)
        second.write_bytes(pictures.encode(made, "png", text, level=6))


def drawn(
    atlas: Atlas,
    *,
    method: str | None = None,
    side: int = SIDE,
    values: Values | None = None,
    thumb: Callable[[int], np.ndarray | None] | None = None,
) -> np.ndarray:
    """The map as a picture, uint8 [side, side]: one soft dot a sample, brighter where they lie close.

    By class, with values, with kept pictures (white diamonds) or with small pictures (where they have room) it is
    RGB; values have their colours' meaning below, which makes it taller.
    """
    points = atlas.points(method).astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    span = max(float((high - low).max()), 1e-9)

    def spots(where: np.ndarray) -> np.ndarray:
        """[N, 2] of x to the right and y downwards, in pixels."""
        inner = side - 2 * (side // 20)
        return np.asarray((where - (low + high) / 2) / span * inner * [1, -1] + side / 2)

    colours = _colours(atlas, values)
    picture = _dots(spots(points), colours, side=side)
    if thumb is not None:
        picture = _with_thumbs(_rgb(picture), spots(points), thumb)
    if atlas.named.names:
        picture = _with_named(_rgb(picture), spots(atlas.stand_named(method)))
    return picture if values is None else np.concatenate([_rgb(picture), _legend(values, side)])


def ramp(shares: np.ndarray) -> np.ndarray:
    """RGB [N, 3] from 0 to 255 of shares [N] of the way from the lowest to the highest value."""
    stops = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(shares, stops, [colour[c] for colour in RAMP]) for c in range(3)], axis=1)


def hue(label: int) -> float:
    """The hue of a class in degrees, by the golden angle: for more classes than the palette has colours."""
    return (137.508 * label + 200) % 360


def _category(index: int, count: int) -> tuple[float, ...]:
    if count <= MOST_HUES:
        return tuple(int(PALETTE[index][k : k + 2], 16) for k in (1, 3, 5))
    return tuple(255 * part for part in colorsys.hls_to_rgb(hue(index) / 360, 0.6, 0.7))


def _colours(atlas: Atlas, values: Values | None) -> np.ndarray | None:
    """RGB [N, 3] of the samples; None for plain ones, black for those without a value."""
    if values is None:
        if not atlas.classes:
            return None
        return np.array([_category(seed % atlas.classes, atlas.classes) for seed in range(atlas.count)])
    known = np.isfinite(values.values)
    colours = np.full((atlas.count, 3), 40.0)
    if values.names:
        palette = np.array([_category(k, len(values.names)) for k in range(len(values.names))])
        colours[known] = palette[values.values[known].astype(int)]
    else:
        low, high = values.reach
        colours[known] = ramp(np.clip((values.values[known] - low) / max(high - low, 1e-12), 0, 1))
    return colours


def _dots(spots: np.ndarray, colours: np.ndarray | None, *, side: int) -> np.ndarray:
    wide = side * _FINE
    columns, rows = (spots * _FINE).astype(int).T
    disc = [(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5) if dy * dy + dx * dx <= 20]

    def soft(weights: np.ndarray | float) -> np.ndarray:
        heat = np.zeros((wide, wide), np.float32)
        for dy, dx in disc:
            np.add.at(heat, (np.clip(rows + dy, 0, wide - 1), np.clip(columns + dx, 0, wide - 1)), weights)
        return np.asarray(Image.fromarray(heat).resize((side, side), Image.Resampling.BOX))

    amount = soft(1.0)
    shade = 1 - np.exp(-0.8 * amount)
    if colours is None:
        return (GROUND + (243 - GROUND) * shade).astype(np.uint8)
    # Where dots meet, their colours are averaged, so that a colour always is one of the legend's.
    mean = np.stack([soft(one.astype(np.float32)) for one in colours.T], axis=-1) / np.maximum(amount, 1e-6)[..., None]
    cover = np.minimum(1.6 * shade, 1)[..., None]
    return (GROUND + (mean - GROUND) * cover).clip(0, 255).astype(np.uint8)


def _with_thumbs(picture: np.ndarray, spots: np.ndarray, thumb: Callable[[int], np.ndarray | None]) -> np.ndarray:
    """Small pictures on the map, those of the lowest seeds first, none over another."""
    taken: set[tuple[int, int]] = set()
    for seed, (x, y) in enumerate(spots):
        column, row = int(x // _THUMB), int(y // _THUMB)
        if (row, column) in taken:
            continue
        one = thumb(seed)
        if one is None:
            continue
        taken.add((row, column))
        scale = (_THUMB - 2) / max(one.shape[:2])
        height, width = (max(1, round(side * scale)) for side in one.shape[:2])
        small = _rgb(pictures.resize(one, (height, width)))
        top, left = row * _THUMB + (_THUMB - height) // 2, column * _THUMB + (_THUMB - width) // 2
        where = picture[top : top + height, left : left + width]
        where[...] = small[: where.shape[0], : where.shape[1]]
    return picture


def _with_named(picture: np.ndarray, spots: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y in spots:
        draw.polygon([(x, y - 8), (x + 8, y), (x, y + 8), (x - 8, y)], fill=(255, 255, 255), outline=(0, 0, 0))
    return np.array(image)


def _legend(values: Values, side: int) -> np.ndarray:
    """What the colours mean, uint8 [side // 14, side, 3]: a bar with its ends, or a swatch a name."""
    height = max(24, side // 14)
    image = Image.fromarray(np.full((height, side, 3), GROUND, np.uint8))
    draw, font = ImageDraw.Draw(image), lettering(max(10, side // 55))
    middle, margin, ink = height / 2, side // 20, (225, 225, 225)
    if values.names:
        at = float(margin)
        for index, name in enumerate(values.names):
            shown = name if len(name) <= 24 else f"{name[:23]}…"
            colour = tuple(round(part) for part in _category(index, len(values.names)))
            draw.ellipse([at, middle - 6, at + 12, middle + 6], fill=colour)
            draw.text((at + 18, middle), shown, fill=ink, font=font, anchor="lm")
            at += 36 + font.getlength(shown)
        return np.array(image)
    width = side // 4
    bar = ramp(np.linspace(0, 1, width)).astype(np.uint8)[None].repeat(max(8, height // 4), axis=0)
    low, high = (f"{end:.4g}" for end in values.reach)
    left = margin + int(font.getlength(low)) + 8
    image.paste(Image.fromarray(bar), (left, int(middle - len(bar) / 2)))
    draw.text((margin, middle), low, fill=ink, font=font, anchor="lm")
    draw.text((left + width + 8, middle), high, fill=ink, font=font, anchor="lm")
    draw.text((left + width + 24 + font.getlength(high), middle), values.words, fill=ink, font=font, anchor="lm")
    return np.array(image)


def _rgb(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
