"""Many pictures on one sheet, with a title and labels in the margins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

__all__ = ["Layout", "grid", "lettering"]

_PAPER = 18
_INK = 225
_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "arial.ttf",
    "Helvetica.ttc",
)


@dataclass(frozen=True)
class Layout:
    """Where everything stands on a sheet, in pixels: rows x columns cells of (height, width), and margins."""

    rows: int
    columns: int
    cell: tuple[int, int]
    gap: int = 2
    top: int = 0
    left: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the sheet."""
        height, width = self.cell
        return (
            self.top + self.rows * (height + self.gap) - self.gap,
            self.left + self.columns * (width + self.gap) - self.gap,
        )

    def corner(self, row: int, column: int) -> tuple[int, int]:
        """(top, left) of a cell."""
        return self.top + row * (self.cell[0] + self.gap), self.left + column * (self.cell[1] + self.gap)

    @classmethod
    def of(
        cls,
        *,
        count: int,
        columns: int,
        cell: tuple[int, int],
        gap: int = 2,
        title: str | None = None,
        row_labels: Sequence[str] | None = None,
        column_labels: Sequence[str] | None = None,
    ) -> Layout:
        """The layout that `grid` uses for these arguments."""
        columns = max(1, min(columns, count))
        line = _font_size(cell) + 6
        left = 0
        if row_labels:
            left = 8 + max(int(_font(cell).getlength(label)) for label in row_labels)
        top = (line + 4 if title else 0) + (line if column_labels else 0)
        return cls(rows=-(-count // columns), columns=columns, cell=cell, gap=gap, top=top, left=left)


def grid(
    pictures: Sequence[np.ndarray],
    *,
    columns: int,
    gap: int = 2,
    title: str | None = None,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
) -> np.ndarray:
    """Pictures (uint8, [h, w] or [h, w, 3]) in rows of `columns`, `gap` pixels apart; every pixel of theirs is kept.

    Without title and labels nothing else is added: cell (r, c) begins at (r (h + gap), c (w + gap)). Pictures of other
    sizes than the largest stand in the top left of their cells. The sheet is gray [H, W] where all pictures are.
    """
    if not pictures:
        raise ValueError("a grid needs at least one picture")
    cell = (max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures))
    layout = Layout.of(
        count=len(pictures), columns=columns, cell=cell, gap=gap,
        title=title, row_labels=row_labels, column_labels=column_labels,
    )  # fmt: skip
    height, width = layout.size
    if title:
        width = max(width, int(_font(cell).getlength(title)) + 8)
    planes = () if all(p.ndim == 2 for p in pictures) else (3,)
    sheet = np.full((height, width, *planes), _PAPER, np.uint8)
    if layout.top or layout.left:
        sheet = _lettered(
            sheet, layout=layout, title=title, row_labels=row_labels or (), column_labels=column_labels or ()
        )
    for index, picture in enumerate(pictures):
        top, left = layout.corner(*divmod(index, layout.columns))
        where = sheet[top : top + picture.shape[0], left : left + picture.shape[1]]
        where[...] = picture[..., None] if planes and picture.ndim == 2 else picture
    return sheet


def _lettered(
    sheet: np.ndarray, *, layout: Layout, title: str | None, row_labels: Sequence[str], column_labels: Sequence[str]
) -> np.ndarray:
    font = _font(layout.cell)
    image = Image.fromarray(sheet)
    draw = ImageDraw.Draw(image)
    ink = _INK if image.mode == "L" else (_INK, _INK, _INK)
    height, width = layout.cell
    if title:
        draw.text((image.width / 2, 3), title, fill=ink, font=font, anchor="ma")
    for column, label in enumerate(column_labels):
        _, left = layout.corner(0, column)
        draw.text((left + width / 2, layout.top - 4), label, fill=ink, font=font, anchor="md")
    for row, label in enumerate(row_labels):
        top, _ = layout.corner(row, 0)
        draw.text((layout.left - 4, top + height / 2), label, fill=ink, font=font, anchor="rm")
    return np.array(image)


def _font_size(cell: tuple[int, int]) -> int:
    return max(10, min(18, min(cell) // 10))


def _font(cell: tuple[int, int]) -> ImageFont.FreeTypeFont:
    return lettering(_font_size(cell))


def lettering(size: int) -> ImageFont.FreeTypeFont:
    """The font of everything that is written on pictures, `size` pixels high."""
    # Pillow's own font has the letters of ASCII alone; the first of these that the system has knows many alphabets.
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size=size)
        except OSError:
            continue
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def captioned(picture: np.ndarray, lines: Sequence[str], *, times: int = 1) -> np.ndarray:
    """A picture, every pixel of it `times` a side, with lines of text below; too long a line loses its beginning."""
    large = np.repeat(np.repeat(picture, times, axis=0), times, axis=1)
    font = _font(large.shape[:2])
    step = _font_size(large.shape[:2]) + 4
    strip = Image.new("L", (large.shape[1], step * len(lines) + 4), _PAPER)
    draw = ImageDraw.Draw(strip)
    for place, line in enumerate(lines):
        while font.getlength(line) > strip.width and len(line) > 2:
            line = "…" + line[2:]
        draw.text((strip.width / 2, step * place + 2), line, fill=_INK, font=font, anchor="ma")
    below = np.asarray(strip)
    return np.concatenate([large, np.dstack([below] * 3) if large.ndim == 3 else below])
