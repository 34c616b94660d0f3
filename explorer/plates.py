"""A look inside a network as pictures: channels as small multiples, spectrum, the picture becoming the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from core import pictures
from core.errors import SettingError
from explorer.inside import Layer, Look
from explorer.spectra import Spectrum

__all__ = [
    "GAP",
    "SCALES",
    "SORTS",
    "VIEWS",
    "Plate",
    "check",
    "curve",
    "growing",
    "log_power",
    "order",
    "sheet",
]

VIEWS = ("channels", "spectrum", "growing")
SORTS = ("index", "deviation")
SCALES = ("common", "own")
MOST_SHOWN = 4096  # channels on one sheet
CELL = (8, 1024)  # pixels of the longer side
GAP = 2  # pixels between pictures
_REACH = 3  # deviations on each side of the middle gray
_DECADES = 8  # of power between white and black
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Plate:
    """How the channels of a layer are laid out.

    `cell` is the longer side of each, in pixels: enlarged by a whole multiple, or shrunk. `common` scales all alike,
    middle gray the layer's mean and black and white three of its deviations away; `own` does so for each channel.
    """

    sort: str = "index"
    scale: str = "common"
    first: int = 0
    count: int = 64
    columns: int | None = None  # None: as square as it goes
    cell: int = 64

    def __post_init__(self) -> None:
        check("sort", self.sort, SORTS)
        check("scale", self.scale, SCALES)
        _whole("first", self.first, 0, 1 << 16)
        _whole("count", self.count, 1, MOST_SHOWN)
        if self.columns is not None:
            _whole("columns", self.columns, 1, MOST_SHOWN)
        _whole("cell", self.cell, *CELL)

    def shape(self, layer: Layer) -> Size:
        """(height, width) of each channel of a layer as it is drawn."""
        return _fitted(layer.size, self.cell)

    def shown(self, layer: Layer) -> int:
        """How many channels of a layer there are to be drawn."""
        return max(0, min(self.count, layer.channels - self.first))

    def across(self, layer: Layer) -> int:
        """How many channels stand side by side."""
        count = max(1, self.shown(layer))
        height, width = self.shape(layer)
        return min(count, self.columns or _across(count, math.sqrt(count * height / width)))

    def pixels(self, layer: Layer) -> int:
        """Pixels of the whole sheet."""
        (height, width), columns = self.shape(layer), self.across(layer)
        return -(-max(1, self.shown(layer)) // columns) * (height + GAP) * columns * (width + GAP)


Size = tuple[int, int]


def _across(count: int, square: float) -> int:
    """A number of columns near the one that makes a square, with full rows where there is one within a quarter."""
    near = range(max(1, math.ceil(0.75 * square)), math.floor(1.25 * square) + 1)
    full = [columns for columns in near if count % columns == 0]
    return min(full, key=lambda columns: abs(columns - square)) if full else max(1, round(square))


def check(field: str, value: object, allowed: Sequence[str]) -> None:
    """Raise SettingError unless `value` is one of the words."""
    if value not in allowed:
        raise SettingError(field, value, f"{', '.join(allowed[:-1])} or {allowed[-1]}")


def _whole(field: str, value: object, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise SettingError(field, value, f"a whole number from {lowest} to {highest}")


def order(seen: Look, layer: Layer, plate: Plate) -> list[int]:
    """The channels that a plate shows, in their order: by index, or those that vary most first. Raises SettingError."""
    if plate.first >= layer.channels:
        raise SettingError("first", plate.first, f"{layer.name} has channels 0 to {layer.channels - 1}")
    everything: Sequence[int] = range(layer.channels)
    if plate.sort == "deviation":
        deviations = seen.deviations[layer.name].nan_to_num(nan=-1.0).tolist()
        everything = sorted(everything, key=lambda k: -deviations[k])
    return list(everything)[plate.first : plate.first + plate.count]


def sheet(seen: Look, layer: Layer, plate: Plate, *, title: str | None = None, numbered: bool = False) -> np.ndarray:
    """The channels of a layer side by side, uint8 [H, W]; `numbered` writes the first of each row beside it."""
    chosen = order(seen, layer, plate)
    height, width = plate.shape(layer)
    drawn = [_sized(_levels(seen, layer, plate, one), (height, width)) for one in chosen]
    columns = plate.across(layer)
    numbers = [str(chosen[k]) for k in range(0, len(chosen), columns)] if numbered else None
    return pictures.grid(drawn, columns=columns, gap=GAP, title=title, row_labels=numbers)


def _levels(seen: Look, layer: Layer, plate: Plate, channel: int) -> np.ndarray:
    """Gray levels of a channel, uint8 [height, width]."""
    one = seen.maps[layer.name][channel]
    if layer.kind == "picture" and plate.scale == "common":
        return pictures.to_8bit(one[None, None])[0]  # as a picture is shown: -1 black, 1 white
    if plate.scale == "common":
        return _gray(one, *seen.overall(layer.name))
    return _gray(one, float(seen.means[layer.name][channel]), float(seen.deviations[layer.name][channel]))


def _gray(one: Tensor, mean: float, deviation: float) -> np.ndarray:
    """128 + 127 (x - mean) / (3 deviations), rounded and clamped; all 128 where nothing varies."""
    factor = 127 / (_REACH * deviation) if deviation > 0 else 0.0
    levels = (one.double() - mean) * factor + 128
    return levels.nan_to_num(nan=0.0).round().clamp(0, 255).byte().numpy()


def _fitted(size: Size, longest: int) -> Size:
    """A size enlarged by the largest whole multiple with its longer side in `longest`, or shrunk to it."""
    longer = max(size)
    if longer <= longest:
        return size[0] * (longest // longer), size[1] * (longest // longer)
    return max(1, round(size[0] * longest / longer)), max(1, round(size[1] * longest / longer))


def _sized(picture: np.ndarray, size: Size) -> np.ndarray:
    """A picture at a size that `_fitted` gave."""
    times = size[0] // picture.shape[0]
    if times > 1:
        return picture.repeat(times, axis=0).repeat(times, axis=1)
    return pictures.resize(picture, size)


# --- the picture becoming the picture ----------------------------------------------------------------------------


def growing(seen: Look, crop: Box, *, cell: int | None = None) -> list[np.ndarray]:
    """The picture at each size, coarse to fine, uint8 [h, w] or [h, w, 3]: the last is what the stage shows.

    Each is enlarged by nearest neighbours to the finest size and cut to `crop` in its pixels, so that they lie on each
    other; then fitted to `cell` pixels where given. Where a size has no picture, it is what its channels share most:
    their first principal component.
    """
    finest = seen.layers[-1]
    drawn = []
    for level in range(finest.level + 1):
        layer = seen.of_size(level)
        times = 2 ** (finest.level - level)
        whole = _shown(seen, layer).repeat(times, axis=0).repeat(times, axis=1)
        cut = pictures.crop(whole, crop)
        drawn.append(cut if cell is None else _sized(cut, _fitted((cut.shape[0], cut.shape[1]), cell)))
    return drawn


def _shown(seen: Look, layer: Layer) -> np.ndarray:
    maps = seen.maps[layer.name]
    if layer.kind == "picture":
        return pictures.to_8bit(maps[None])[0]
    return _gray(*_component(maps, seen.maps[seen.layers[-1].name]))


def _component(maps: Tensor, picture: Tensor) -> tuple[Tensor, float, float]:
    """First principal component of channels [C, h, w], bright where the picture is: [h, w], mean, deviation."""
    channels, height, width = maps.shape
    flat = maps.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).double().flatten(1)
    centred = flat - flat.mean(dim=1, keepdim=True)
    # The smaller of both products has the same first component, but for its length, which gray levels do not see.
    few = channels <= height * width
    _, vectors = torch.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    scores = (vectors[:, -1] @ centred if few else vectors[:, -1]).reshape(height, width)
    small = torch.nn.functional.adaptive_avg_pool2d(picture[None].double(), (height, width))[0].mean(dim=0)
    if (scores * (small - small.mean())).sum() < 0:
        scores = -scores
    return scores, float(scores.mean()), float(scores.std(correction=0))


# --- the Fourier view --------------------------------------------------------------------------------------------


def log_power(found: Spectrum, *, cell: int | None = None) -> np.ndarray:
    """The power over two dimensions, uint8 [h, w]: white the largest, black eight decades below it, logarithmic."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(found.power / np.nan_to_num(found.power).max())
    levels = np.nan_to_num(255 * (1 + decades / _DECADES), nan=0.0, neginf=0.0)
    drawn = np.rint(np.clip(levels, 0, 255)).astype(np.uint8)
    return drawn if cell is None else _sized(drawn, _fitted((drawn.shape[0], drawn.shape[1]), cell))


def curve(found: Spectrum, *, size: Size = (260, 420)) -> np.ndarray:
    """The radial mean as a curve, uint8 [h, w]: log power over cycles per picture, the smaller sizes' grids marked."""
    height, width = size
    left, right, top, bottom = 44, 12, 18, 34
    image = Image.new("L", (width, height), 18)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    values = found.radial[1:]
    usable = values[np.isfinite(values) & (values > 0)]
    draw.rectangle((left, top, width - right, height - bottom), outline=80)
    draw.text((width / 2, height - 14), "cycles per picture", fill=170, font=font, anchor="ma")
    draw.text((4, 3), "power, log10", fill=170, font=font)
    if len(usable) == 0:
        return np.asarray(image)
    low, high = math.floor(math.log10(usable.min())), math.ceil(math.log10(usable.max()))
    high = max(high, low + 1)

    def x(frequency: float) -> float:
        return left + (width - left - right) * frequency / len(values)

    def y(power: float) -> float:
        return top + (height - top - bottom) * (high - math.log10(power)) / (high - low)

    for decade in range(low, high + 1, max(1, (high - low) // 6)):
        draw.text((left - 5, y(10.0**decade)), str(decade), fill=170, font=font, anchor="rm")
        draw.line((left, y(10.0**decade), width - right, y(10.0**decade)), fill=40)
    for mark in found.marks:
        draw.line((x(mark.frequency), top, x(mark.frequency), height - bottom), fill=100)
        draw.text((x(mark.frequency), height - bottom + 3), str(mark.frequency), fill=200, font=font, anchor="ma")
    points = [(x(k + 1), y(one)) for k, one in enumerate(values) if np.isfinite(one) and one > 0]
    draw.line(points, fill=225, width=2)
    return np.asarray(image)
