"""How pictures sit in a network's frame: sizes, margins and the four ways to fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from core import pictures, sizes

__all__ = ["FITS", "Frame", "as_planes", "at_depth", "averaged"]

FITS = ("native", "pad", "crop", "stretch")

Size = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """The frame of a network and the place of the most common picture in it. All pairs are (height, width), in pixels.

    native  pictures are centred unscaled, scaled down only where they do not fit. Where the frame is `whole` halved
            k times, the picture is put into `whole` and everything is halved, margin and all.
    pad     the whole picture is scaled to the box of the most common one, black around it
    crop    the picture is scaled to cover the frame, what hangs over is cut off
    stretch the picture is scaled to the frame, whatever its shape
    """

    size: Size
    whole: Size
    picture: Size
    fit: str

    @classmethod
    def of(cls, picture: Size, *, size: Size | None, fit: str) -> Frame:
        """The frame for pictures of which `picture` is the most common shape; `size` None is auto.

        Raises SettingError where auto finds no size.
        """
        if size is None:
            size = sizes.smallest_size(picture)
        whole = size
        if fit == "native" and max(picture) <= sizes.LARGEST:
            auto = sizes.smallest_size(picture)
            whole = auto if sizes.halved_start(size, auto) is not None else size
        return cls(size=size, whole=whole, picture=picture, fit=fit)

    @classmethod
    def showing(
        cls, picture: Size, *, size: Size, full: Size, crop: tuple[int, int, int, int], fit: str | None = None
    ) -> Frame:
        """The frame that a network of `size`, in the end of `full`, was trained with, and that shows its `crop`.

        By its name `fit` where that is known, else the first of FITS that shows the same; the first of all where none.
        """
        frames = [cls.of(picture, size=full, fit=one) for one in ([fit] if fit in FITS else FITS)]
        return next((frame for frame in frames if replace(frame, size=size).crop == crop), frames[0])

    @property
    def crop(self) -> tuple[int, int, int, int]:
        """(top, left, height, width): where people look, in pixels of the frame."""
        if self.fit in ("crop", "stretch"):
            return 0, 0, *self.size
        return sizes.crop_at(self._box, (self.whole[0] // self.size[0]).bit_length() - 1)

    @property
    def says(self) -> str:
        """The frame and its margin in words, such as `208x176 in a frame of 224x192, margin 8+8 rows, 8+8 columns`."""
        top, left, height, width = self.crop
        below, after = self.size[0] - top - height, self.size[1] - left - width
        margin = f"margin {top}+{below} rows, {left}+{after} columns" if top + below + left + after else "no margin"
        return f"{height}x{width} in a frame of {self.size[0]}x{self.size[1]}, {margin}"

    @property
    def _box(self) -> tuple[int, int, int, int]:
        return sizes.placed(self.whole, _within(self.picture, self.whole, grow=self.fit == "pad"))

    def place(self, array: np.ndarray) -> np.ndarray:
        """Put one picture [h, w] or [h, w, 3] into the frame: [height, width] or [height, width, 3], same dtype."""
        if self.fit == "stretch":
            return pictures.resize(array, self.size)
        if self.fit == "crop":
            return self._cover(array)
        top, left, height, width = self._box
        inner = pictures.resize(array, _within(array.shape[:2], (height, width), grow=self.fit == "pad"))
        frame = np.zeros((*self.whole, *array.shape[2:]), array.dtype)
        down, right = sizes.placed((height, width), inner.shape[:2])[:2]
        frame[top + down : top + down + inner.shape[0], left + right : left + right + inner.shape[1]] = inner
        return frame if self.whole == self.size else pictures.resize(frame, self.size)

    def _cover(self, array: np.ndarray) -> np.ndarray:
        height, width = array.shape[:2]
        scale = max(self.size[0] / height, self.size[1] / width)
        target = (max(self.size[0], round(height * scale)), max(self.size[1], round(width * scale)))
        top, left = (target[0] - self.size[0]) // 2, (target[1] - self.size[1]) // 2
        return pictures.crop(pictures.resize(array, target), [top, left, *self.size])


def _within(picture: Size, box: Size, *, grow: bool) -> Size:
    """The size of `picture` inside `box`, shape kept; larger than it is only where `grow`."""
    scale = min(box[0] / picture[0], box[1] / picture[1])
    if scale >= 1 and not grow:
        return picture
    return min(box[0], max(1, round(picture[0] * scale))), min(box[1], max(1, round(picture[1] * scale)))


def at_depth(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A picture as uint8 or uint16: 8-bit levels among 16-bit ones x 257, which takes 255 to 65535."""
    if dtype == np.uint8:
        return pictures.as_8bit(array)
    return array if array.dtype == np.uint16 else array.astype(np.uint16) * 257


def as_planes(array: np.ndarray, channels: int) -> np.ndarray:
    """[h, w] or [h, w, 3] -> [channels, h, w]; RGB becomes gray by ITU-R 601 luma."""
    if array.ndim == 2:
        return np.broadcast_to(array, (channels, *array.shape))
    if channels == 3:
        return array.transpose(2, 0, 1)
    luma = array.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return np.rint(luma).astype(array.dtype)[None]


def averaged(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Whole levels [N, C, H, W] as means of equal rectangles [N, C, *size], rounded: dtype is kept.

    Means of whole levels in float64 are exact, so the same on every machine. H and W are multiples of `size`.
    """
    height, width = pixels.shape[2] // size[0], pixels.shape[3] // size[1]
    if (height, width) == (1, 1):
        return pixels
    parts = pixels.reshape(*pixels.shape[:2], size[0], height, size[1], width)
    return np.rint(parts.mean(axis=(3, 5), dtype=np.float64)).astype(pixels.dtype)
