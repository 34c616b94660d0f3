"""Drawings of the networks at every size they grow through: RUN/drawings/generator-014x012-fade.svg and the like.

An SVG stands by itself: no scripts, no fonts from elsewhere, dark where the system is dark. The same networks give the
same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import core
from core.files import writing
from train import tracing
from train.tracing import Part, Row, Size

if TYPE_CHECKING:
    from train.growth import Stage

__all__ = ["draw_networks", "drawn"]

_WIDTH, _LEFT, _CARD = 1040, 60, 686  # of the page; of the cards with layers: left edge and width
_OUTPUT, _PARAMETERS, _BAR = 526, 612, 624  # where their columns end, and the bars begin, from the left edge
_LANE, _BOX = 804, 176  # of the lane with the way to or from pictures
_RAIL = _LANE + _BOX + 24  # where the way of the smaller size goes past the newest level
_HEAD, _ROW, _FOOT = 34, 21, 10  # of a card: heights
_GAP, _JOIN = 24, 106  # between cards, and where two ways are joined between them
_HALF = 33  # of the height of a layer in the lane
_TALL = 78  # a picture in the lane, and the height of the nest of sizes
_MEANING = "α goes from 0 to 1 while this size fades in; afterwards the smaller size's branch is no longer used."
_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:#1d1d1f}
.h{font-size:21px;font-weight:600}.t{font-weight:600}.s{fill:#63636b}.m{font:12px ui-monospace,"SF Mono",Menlo,Consolas,
"DejaVu Sans Mono",monospace}.a{fill:#1f5fad}.paper{fill:#fff}.card{fill:#f5f5f7;stroke:#dcdce1}.new{stroke:#1f5fad;
stroke-width:1.5}.line{stroke:#9a9aa3;fill:none;stroke-width:1.5}.way{stroke:#1f5fad;fill:none;stroke-width:1.5}
.bar{fill:#c4c4cc}.bara{fill:#1f5fad}.tip{fill:#9a9aa3}.tipa{fill:#1f5fad}.rule{stroke:#dcdce1}.open{fill:none;
stroke:#9a9aa3}.todo{fill:none;stroke:#c4c4cc;stroke-dasharray:3 3}.here{fill:#1f5fad;fill-opacity:.14;stroke:#1f5fad;
stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#ececf0}.s{fill:#a3a3ad}.a{fill:#7fb2f0}.paper{fill:#161618}
.card{fill:#202024;stroke:#37373d}.new{stroke:#7fb2f0}.line{stroke:#7c7c86}.way{stroke:#7fb2f0}.bar{fill:#4a4a52}
.bara{fill:#7fb2f0}.tip{fill:#7c7c86}.tipa{fill:#7fb2f0}.rule{stroke:#37373d}.open{stroke:#7c7c86}.todo{stroke:#4a4a52}
.here{fill:#7fb2f0;stroke:#7fb2f0}}
"""


def draw_networks(g: core.Generator, d: core.Discriminator, stages: Sequence[Stage], folder: Path) -> None:
    """Write a drawing of both networks for every stage into `folder`. Raises OutputError.

    Shapes and parameters are asked of the networks themselves (train.tracing), whose weights, gradients and random
    streams are left alone.
    """
    sizes, channels = g.config.level_sizes, g.channels
    for stage in stages:
        size, fading = stage.size, stage.fading
        for kind, parts, total in (
            ("generator", tracing.generator(g, size=size, fading=fading), _count(g)),
            ("discriminator", tracing.discriminator(d, size=size, fading=fading), _count(d)),
        ):
            text = drawn(kind, parts, sizes=sizes, stage=stage, total=total, channels=channels)
            name = f"{kind}-{size[0]:03d}x{size[1]:03d}{'-fade' if fading else ''}.svg"
            with writing(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")


def drawn(kind: str, parts: Sequence[Part], *, sizes: Sequence[Size], stage: Stage, total: int, channels: int) -> str:
    """One drawing as the text of an SVG.

    `kind` is generator or discriminator, `parts` what train.tracing gave for `stage`, `sizes` all sizes of the network
    from coarse to fine, `total` the number of its parameters when it is full-grown, `channels` those of the pictures.
    """
    page = _Page(kind, parts, sizes=sizes, stage=stage, total=total, channels=channels)
    if kind == "generator":
        _generator(page)
    else:
        _discriminator(page)
    return page.text()


def _count(network: core.Generator | core.Discriminator) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# --- the page ----------------------------------------------------------------------------------------------------


class _Page:
    """Elements from top to bottom; `y` is where the next one begins."""

    def __init__(
        self, kind: str, parts: Sequence[Part], *, sizes: Sequence[Size], stage: Stage, total: int, channels: int
    ) -> None:
        self.kind, self.parts, self.sizes, self.stage, self.total = kind, parts, sizes, stage, total
        self.channels = channels
        self.headed = False  # whether the columns have their names
        self.halved = (0.0, 0.0)  # where the way of the smaller size leaves the picture
        self.newest = sizes.index(stage.size)
        self.most = max((row.parameters for part in parts for row in part.rows), default=1) or 1
        self.body: list[str] = []
        self.y = 150.0
        self._head()

    def add(self, *elements: str) -> None:
        """Elements as they are to stand in the file."""
        self.body += elements

    def words(self, x: float, y: float, text: str, *, look: str = "", anchor: str = "start") -> None:
        """A line of text; `look` names classes, `anchor` where x is."""
        shown = f' class="{look}"' if look else ""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.add(f'<text x="{_n(x)}" y="{_n(y)}"{shown}{at}>{escape(text)}</text>')

    def way(self, *points: tuple[float, float], look: str = "line", tip: bool = True) -> None:
        """A line through points, with a tip at its end."""
        self.add(f'<path class="{look}" d="M{" L".join(f"{_n(x)} {_n(y)}" for x, y in points)}"/>')
        if tip:
            (x0, y0), (x, y) = points[-2:]
            dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
            back = [(x - 7 * dx + 4 * dy * side, y - 7 * dy + 4 * dx * side) for side in (1, -1)]
            corners = " ".join(f"{_n(a)},{_n(b)}" for a, b in [(x, y), *back])
            self.add(f'<polygon class="{"tipa" if look == "way" else "tip"}" points="{corners}"/>')

    def rectangle(self, x: float, y: float, width: float, height: float, *, look: str, round: float = 7) -> None:
        """A rectangle with round corners."""
        self.add(
            f'<rect class="{look}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(round)}"/>'
        )

    def join(self, x: float, y: float) -> None:
        """Where two ways are added up."""
        self.add(f'<circle class="paper new" cx="{_n(x)}" cy="{_n(y)}" r="11"/>')
        self.add(f'<path class="way" d="M{_n(x - 5)} {_n(y)} h10 M{_n(x)} {_n(y - 5)} v10"/>')

    def card(self, part: Part, title: str, *, note: str = "", new: bool = False) -> tuple[float, float]:
        """The layers of a part; returns where it begins and ends, and moves on below it."""
        top, height = self.y, _HEAD + _ROW * len(part.rows) + _FOOT
        if not self.headed:
            self.headed = True
            self.words(_LEFT + 16, top - 10, "layer", look="s")
            self.words(_LEFT + _OUTPUT, top - 10, "output", look="s", anchor="end")
            self.words(_LEFT + _PARAMETERS, top - 10, "parameters", look="s", anchor="end")
        self.rectangle(_LEFT, top, _CARD, height, look="card new" if new else "card")
        self.words(_LEFT + 16, top + 22, title, look="t a" if new else "t")
        if note:
            self.words(_LEFT + _CARD - 16, top + 22, note, look="s", anchor="end")
        for number, row in enumerate(part.rows):
            self._row(row, top + _HEAD + _ROW * number + 14, new=new)
        self.y += height
        return top, top + height

    def _row(self, row: Row, y: float, *, new: bool) -> None:
        name, style = row.name.removesuffix(".affine").removesuffix(".conv"), row.name.endswith("affine")
        if row.times > 1:
            first = int(name.rpartition(".")[2])
            name = f"layers.{first}-{first + row.times - 1}"
        self.words(_LEFT + 16, y, "" if style else name, look="m")
        self.words(_LEFT + 104, y, row.says, look="s" if style else "")
        self.words(_LEFT + _OUTPUT, y, _shape(row.shape), look="m", anchor="end")
        self.words(_LEFT + _PARAMETERS, y, f"{row.parameters:,}" if row.parameters else "–", look="m", anchor="end")
        width = 46 * row.parameters / self.most
        if width:
            self.rectangle(_LEFT + _BAR, y - 8, max(1.0, width), 7, look="bara" if new else "bar", round=1)

    def box(self, part: Part, x: float, y: float, *, title: str, new: bool) -> None:
        """A layer between features and pictures, its middle at (x, y)."""
        row, left = part.rows[-1], x - _BOX / 2
        self.rectangle(left, y - _HALF, _BOX, 2 * _HALF, look="card new" if new else "card")
        self.words(left + 14, y - 12, title, look="t a" if new else "t")
        self.words(left + 14, y + 6, row.says, look="s")
        self.words(left + 14, y + 24, _shape(row.shape), look="m")
        self.words(left + _BOX - 14, y + 24, f"{part.parameters:,}", look="m", anchor="end")

    def picture(self, x: float, y: float) -> tuple[float, float]:
        """A picture in the shape that it has, its upper edge at y and x its middle; returns its (height, width)."""
        size = self.stage.size
        height, width = (side * _TALL / max(size) for side in size)
        self.rectangle(x - width / 2, y, width, height, look="here", round=2)
        self.words(x - width / 2 - 14, y + height / 2 - 3, "picture", look="t", anchor="end")
        self.words(x - width / 2 - 14, y + height / 2 + 15, _shape((self.channels, *size)), look="m", anchor="end")
        return height, width

    def _head(self) -> None:
        stage = self.stage
        grows = any(part.kind == "rgb" for part in self.parts)
        what = "fading in" if stage.fading else "stable" if grows else "does not grow"
        used = sum(part.parameters for part in self.parts)
        self.words(_LEFT, 52, f"{self.kind.capitalize()}, {_by(stage.size)}", look="h")
        self.words(_LEFT, 78, what, look="t a")
        share = "" if used == self.total else f" at work, {self.total:,} when it is full-grown"
        self.words(_LEFT, 100, f"{used:,} parameters{share}", look="s")
        right, bottom = _RAIL, 24 + _TALL
        longest = max(self.sizes[-1])
        for level in reversed(range(len(self.sizes))):
            height, width = (side * _TALL / longest for side in self.sizes[level])
            look = "here" if level == self.newest else "open" if level < self.newest else "todo"
            self.rectangle(right - width, bottom - height, width, height, look=look, round=1)

    def text(self) -> str:
        """The whole file."""
        height = self.y + 32
        fading = ", fading in" if self.stage.fading else ""
        title = escape(f"{self.kind.capitalize()} at {_by(self.stage.size)}{fading}")
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_n(height)}" width="{_WIDTH}" '
                f'height="{_n(height)}" role="img" aria-label="{title}">',
                f"<title>{title}</title>",
                f"<style>{_STYLE}</style>",
                f'<rect class="paper" width="{_WIDTH}" height="{_n(height)}"/>',
                *self.body,
                "</svg>\n",
            ]
        )


# --- the two networks --------------------------------------------------------------------------------------------


def _generator(page: _Page) -> None:
    """From z down to the picture; every layer takes w from the line on the left."""
    middle = _LEFT + _CARD / 2
    ends: dict[int, tuple[float, float]] = {}
    branches: list[float] = []
    fed = 0.0
    boxes = {part.level: part for part in page.parts if part.kind == "rgb"}
    for part in page.parts:
        if part.kind == "mapping":
            classes = any(row.name == "embed" for row in part.rows)
            _, fed = page.card(part, f"Mapping, z {'and class ' * classes}to w", note=_width(part))
        elif part.kind == "level" and part.level is not None:
            page.y += _GAP
            if part.level:
                page.way((middle, page.y - _GAP), (middle, page.y), look=_look(page, part.level))
            top, bottom = page.card(part, _by(page.sizes[part.level]), note=f"level {part.level}", new=_new(page, part))
            ends[part.level] = top, bottom
            styles = enumerate(part.rows)
            branches += [top + _HEAD + _ROW * k + 10 for k, row in styles if row.name.endswith("affine")]
    if branches and fed:
        rail = _LEFT - 26
        page.way((_LEFT, fed - 22), (rail, fed - 22), (rail, branches[-1]), tip=False)
        page.words(rail, fed - 30, "w", look="t", anchor="middle")
        for y in branches:
            page.way((rail, y), (_LEFT, y))
    if not boxes:  # pictures come out of the levels' own rows
        page.way((middle, page.y), (middle, page.y + _GAP), look="way")
        page.y += _GAP + 4 + page.picture(middle, page.y + _GAP + 2)[0]
        return
    _to_picture(page, boxes, ends)


def _to_picture(page: _Page, boxes: dict[int | None, Part], ends: dict[int, tuple[float, float]]) -> None:
    """The lane: toRGB of the newest level, and inside a fade that of the level before, enlarged."""
    level, centre = page.newest, _LANE + _BOX / 2
    at = sum(ends[level]) / 2
    page.box(boxes[level], centre, at, title=f"toRGB {_by(page.sizes[level])}", new=True)
    page.way((_LEFT + _CARD, at), (_LANE, at), look="way")
    low = at + _HALF
    if page.stage.fading:
        before = sum(ends[level - 1]) / 2
        page.box(boxes[level - 1], centre, before, title=f"toRGB {_by(page.sizes[level - 1])}", new=False)
        page.way((_LEFT + _CARD, before), (_LANE, before))
        joined = low + 52
        page.way((_LANE + _BOX, before), (_RAIL, before), (_RAIL, joined), (centre + 11, joined))
        page.way((centre, low), (centre, joined - 11), look="way")
        page.words(centre - 10, low + 24, "× α", look="t a", anchor="end")
        page.words(_RAIL - 8, joined - 26, "doubled", look="s", anchor="end")
        page.words(_RAIL - 8, joined - 9, "× (1 − α)", look="t", anchor="end")
        page.join(centre, joined)
        low = joined + 11
    page.way((centre, low), (centre, low + 26), look="way")
    page.y = max(page.y, low + 32 + page.picture(centre, low + 28)[0])
    if page.stage.fading:
        page.words(_LEFT, page.y, _MEANING, look="s")


def _discriminator(page: _Page) -> None:
    """From the picture down to the logit."""
    middle, level = _LEFT + _CARD / 2, page.newest
    boxes = {part.level: part for part in page.parts if part.kind == "rgb"}
    height, width = page.picture(middle, page.y - 20)
    at = page.y - 20 + height
    if page.stage.fading:
        page.halved = (middle + width / 2, at - height / 2)
    page.y = at + _GAP
    page.way((middle, at + 2), (middle, page.y), look="way")
    if level in boxes:
        page.box(boxes[level], middle, page.y + _HALF, title=f"fromRGB {_by(page.stage.size)}", new=True)
        page.y += 2 * _HALF + _GAP
        page.way((middle, page.y - _GAP), (middle, page.y), look="way")
    for number, part in enumerate(part for part in page.parts if part.kind in ("level", "end")):
        entered = part.level or 0
        if number:
            page.y += _enter(page, boxes, entered, middle)
        title = _by(page.sizes[entered]) if part.kind == "level" else f"{_by(page.sizes[0])}, to the end"
        page.card(part, title, note=f"level {entered}", new=entered == level)
    page.way((middle, page.y), (middle, page.y + 26))
    page.words(middle, page.y + 44, "logit", look="t", anchor="middle")
    page.y += 52
    for part in (part for part in page.parts if part.kind == "mapping"):
        page.y += _GAP
        page.card(part, "Mapping, class to the direction of features that makes the logit", note=_width(part))
    if page.stage.fading:
        page.y += 24
        page.words(_LEFT, page.y, _MEANING, look="s")


def _enter(page: _Page, boxes: dict[int | None, Part], level: int, middle: float) -> float:
    """The way into a card from the one above it; where a size fades in, two are joined. Returns its height."""
    top, centre = page.y, _LANE + _BOX / 2
    if not page.stage.fading or level != page.newest - 1:
        page.way((middle, top), (middle, top + _GAP))
        return _GAP
    joined = top + _JOIN / 2
    page.way((middle, top), (middle, joined - 11), look="way")
    page.words(middle - 10, top + 26, "× α", look="t a", anchor="end")
    page.join(middle, joined)
    page.way((middle, joined + 11), (middle, top + _JOIN))
    page.box(boxes[level], centre, joined, title=f"fromRGB {_by(page.sizes[level])}", new=False)
    page.way((_LANE, joined), (middle + 11, joined))
    page.words(_LANE - 12, joined - 9, "× (1 − α)", look="t", anchor="end")
    page.way((page.halved[0] + 2, page.halved[1]), (centre, page.halved[1]), (centre, joined - _HALF))
    page.words(centre + 10, page.halved[1] + 22, "halved", look="s")
    return _JOIN


def _new(page: _Page, part: Part) -> bool:
    return part.kind == "level" and part.level == page.newest


def _look(page: _Page, level: int) -> str:
    return "way" if level == page.newest and page.stage.fading else "line"


def _width(part: Part) -> str:
    return f"{part.rows[-1].shape[0]} wide"


def _by(size: Size) -> str:
    return f"{size[0]} × {size[1]}"


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))


def _n(number: float) -> str:
    """A coordinate, without needless digits."""
    return f"{number:.1f}".removesuffix(".0")
