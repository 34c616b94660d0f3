"""Pictures of any kind <-> arrays: reading, 8-bit, resizing. Encoding, sheets and films live next door and come along.

A picture is a C-contiguous array [H, W] (gray) or [H, W, 3] (RGB), uint8 or uint16.
"""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from core import deep
from core.animation import write_animation
from core.encoding import as_8bit, encode
from core.errors import PictureError
from core.files import writing
from core.sheet import Layout, grid

if TYPE_CHECKING:
    import torch

__all__ = [
    "PIXEL_LIMIT",
    "UNIT_LIMIT",
    "Header",
    "Layout",
    "as_8bit",
    "crop",
    "encode",
    "grid",
    "is_gray",
    "read",
    "read_header",
    "read_pages",
    "read_text",
    "resize",
    "to_16bit",
    "to_8bit",
    "write_animation",
    "write_png",
]

PIXEL_LIMIT = 300_000_000
UNIT_LIMIT = 1.5  # floats up to here are from 0 to 1: sharpening and resizing overshoot
_MOST_PAGES = 100_000
_HEAD = 4096  # bytes that tell what a file is

Source = Path | str | bytes | BinaryIO

_GRAY_MODES = ("1", "L", "LA", "La")
_WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_EXIF_ORIENTATION = 0x0112
_SUBFILE, _REDUCED, _MASK = 254, 1, 4  # TIFF 6.0: what kind of picture a page is
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_TURNED = (5, 6, 7, 8)
_opening = threading.Lock()


def read(source: Source, *, name: str = "", raw: bool = False) -> np.ndarray:
    """Read a picture upright: [H, W] or [H, W, 3], uint8, or uint16 where the file holds more than 8 bits.

    Palettes, CMYK and the like become RGB, alpha is composed on black, the EXIF orientation is applied, of an animation
    the first frame is taken, of a TIFF the first page that is no thumbnail or mask. Gray of 32 bits or in floats
    becomes uint16: 0..65535 as it is, floats within 0..1 (a little above is cut off) or 0..255 stretched from that
    range, anything else from its own minimum and maximum; with `raw` it comes as the numbers that the file holds, of
    whatever kind. Colour of 16 bits stays 16-bit in PNG and in TIFF of strips; other files of it (tiles, separate
    planes, BigTIFF), or all without av, come in 8 bits.

    Raises PictureError, naming `name` or the path, for what is no picture, is cut short, or has more than 300 million
    pixels.
    """
    shown = name or (str(source) if isinstance(source, Path | str) else "the picture")
    with _open(source, shown=shown) as image:
        try:
            is_deep = deep.is_deep(image) and image.tell() == 0  # av takes the first page
            image.load()
            found = deep.decode(_bytes(source), image) if is_deep else None
            if found is not None:
                array = found
            else:
                wide = _numbers if raw else _wide
                array = wide(image) if image.mode in _WIDE_MODES else np.asarray(_narrow(image))
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        except MemoryError:
            raise PictureError(f"{shown} does not fit into memory; use a smaller picture") from None
        except Exception as wrong:  # Pillow's readers raise whatever their parsers trip over
            raise PictureError(f"{shown} is damaged ({_reason(wrong)}); save it again as PNG") from wrong
    return np.ascontiguousarray(_upright(array, orientation))


def read_pages(source: Source, pages: Sequence[int], *, name: str = "") -> Iterator[np.ndarray]:
    """Read some pages of a TIFF, upright, in the order given: [H, W] or [H, W, 3], uint8.

    Gray of more than 8 bits comes as the numbers that the file holds, of whatever kind; colour of 16 bits in 8. Raises
    PictureError as `read` does.
    """
    shown = name or (str(source) if isinstance(source, Path | str) else "the picture")
    with _open(source, shown=shown) as image:
        for page in pages:
            try:
                image.seek(page)
                array = np.array(_numbers(image) if image.mode in _WIDE_MODES else _narrow(image))
                orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            except MemoryError:
                raise PictureError(f"{shown} does not fit into memory; use a smaller picture") from None
            except Exception as wrong:  # as in read
                raise PictureError(f"{shown} is damaged ({_reason(wrong)}); save it again as PNG") from wrong
            yield np.ascontiguousarray(_upright(array, orientation))


@dataclass(frozen=True)
class Header:
    """What a picture says before it is decoded: (height, width) upright, gray or not, more than 8 bits or not.

    `pages` are those of a TIFF that are pictures of one size and kind; where they differ, the first of them; of any
    other file the first alone. `left_out` is how many pictures a TIFF has besides, where they differ.
    """

    size: tuple[int, int]
    gray: bool
    wide: bool
    pages: tuple[int, ...] = (0,)
    left_out: int = 0


def read_header(source: Source, *, name: str = "") -> Header:
    """Look at a picture of any size without decoding it. PictureError, naming `name` or the path, if it is none."""
    shown = name or (str(source) if isinstance(source, Path | str) else "the picture")
    with _open(source, shown=shown, limit=None) as image:
        try:
            # Of a PNG that does not begin with its EXIF all pixels would be decoded in search of it.
            known = not isinstance(image, PngImagePlugin.PngImageFile) or "exif" in image.info
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1) if known else 1
            wide, is_deep = image.mode in _WIDE_MODES, deep.is_deep(image)
            is_gray = wide or image.mode in _GRAY_MODES or deep.raw_mode(image).startswith("LA")
            height, width = image.size if orientation in _TURNED else image.size[::-1]
            pages, left_out = _pages(image)
        except Exception as wrong:  # as in read
            raise PictureError(f"{shown} is damaged ({_reason(wrong)}); save it again as PNG") from wrong
        # Colour of 16 bits is read from single pages alone, and from the first alone.
        wide = wide or (is_deep and pages == (0,) and deep.can_decode())
        return Header((height, width), gray=is_gray, wide=wide, pages=pages, left_out=left_out)


def is_gray(array: np.ndarray) -> bool:
    """Whether a picture is gray: one plane, or three equal ones."""
    if array.ndim == 2:
        return True
    first = array[..., 0]
    return bool(np.array_equal(first, array[..., 1]) and np.array_equal(first, array[..., 2]))


def to_8bit(images: torch.Tensor) -> np.ndarray:
    """Network output [N, C, H, W], about -1 .. 1, as uint8 [N, H, W] or [N, H, W, 3]: floor(127.5 x + 128), clamped."""
    levels = images.detach().float().mul(127.5).add(128).floor().clamp(0, 255).byte().cpu().numpy()
    return np.ascontiguousarray(levels[:, 0] if levels.shape[1] == 1 else levels.transpose(0, 2, 3, 1))


def to_16bit(images: torch.Tensor) -> np.ndarray:
    """Network output [N, C, H, W] as uint16 [N, H, W] or [N, H, W, 3]: 32767.5 (x + 1), rounded and clamped.

    The reverse of how a training sees 16-bit levels, so that a level stands for what it stood for there.
    """
    levels = images.detach().cpu().double().add(1).mul(32767.5).round().clamp(0, 65535).numpy().astype(np.uint16)
    return np.ascontiguousarray(levels[:, 0] if levels.shape[1] == 1 else levels.transpose(0, 2, 3, 1))


def crop(array: np.ndarray, box: Sequence[int]) -> np.ndarray:
    """The part [top, left, height, width] of a picture [H, W, ...]. ValueError where the box is not inside."""
    top, left, height, width = box
    if top < 0 or left < 0 or height < 1 or width < 1 or top + height > array.shape[0] or left + width > array.shape[1]:
        raise ValueError(f"crop {list(box)} is not inside {array.shape[0]} x {array.shape[1]}")
    return np.ascontiguousarray(array[top : top + height, left : left + width])


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to (height, width), antialiased (Lanczos); dtype and number of planes are kept."""
    height, width = size
    if array.shape[:2] == (height, width):
        return array
    if array.dtype == np.uint8:
        return np.array(Image.fromarray(array).resize((width, height), Image.Resampling.LANCZOS))
    planes = array[..., None] if array.ndim == 2 else array
    resized = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS))
        for plane in np.moveaxis(planes, 2, 0)
    ]
    levels = np.clip(np.rint(np.stack(resized, axis=2)), 0, np.iinfo(array.dtype).max).astype(array.dtype)
    return np.ascontiguousarray(levels[..., 0] if array.ndim == 2 else levels)


def read_text(source: Source, *, name: str = "") -> dict[str, str]:
    """The text chunks of a PNG, keyword -> text; empty for other pictures. PictureError for what is no picture."""
    shown = name or (str(source) if isinstance(source, Path | str) else "the picture")
    with _open(source, shown=shown) as image:
        if not isinstance(image, PngImagePlugin.PngImageFile):
            return {}
        try:
            return {key: str(value) for key, value in image.text.items()}
        except Exception as wrong:  # chunks may stand after the pixels, so all of the file is read
            raise PictureError(f"{shown} is damaged ({_reason(wrong)}); save it again as PNG") from wrong


def write_png(path: str | Path, array: np.ndarray, text: dict[str, str] | None = None) -> None:
    """Write a PNG whole or not at all. Raises OutputError naming the path."""
    data = encode(array, "png", text, level=6)
    with writing(path) as temporary:
        temporary.write_bytes(data)


def _is_scan(source: Source) -> bool:
    """Whether a file that is no picture is of DICOM or NIfTI, by its first bytes; False where they cannot be read."""
    try:
        if isinstance(source, str | Path):
            with open(source, "rb") as file:
                head = file.read(_HEAD)
        elif isinstance(source, bytes | bytearray | memoryview):
            head = bytes(source[:_HEAD])
        else:
            source.seek(0)
            head = source.read(_HEAD)
        if head.startswith(b"\x1f\x8b"):
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD)
    except (OSError, ValueError, zlib.error):
        return False
    return head[128:132] == b"DICM" or head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def _open(source: Source, *, shown: str, limit: int | None = PIXEL_LIMIT) -> Image.Image:
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source
    try:
        # Opening reads the header alone. Pillow's own limit is lower than ours and warns below it, hence the lock.
        with _opening:
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(file)
            finally:
                Image.MAX_IMAGE_PIXELS = before
        _to_first(image)
    except FileNotFoundError:
        raise PictureError(f"{shown} is missing; give the path of a picture") from None
    except IsADirectoryError:
        raise PictureError(f"{shown} is a folder; give the path of a picture") from None
    except Exception as wrong:  # as above: any parser may trip
        if _is_scan(source):
            raise PictureError(
                f"{shown} is a scan; python -m train.prepare makes a zip of its slices as PNGs, which are pictures"
            ) from wrong
        raise PictureError(f"{shown} is not a picture that can be read; use PNG, JPEG, TIFF or WebP") from wrong
    if limit is not None and image.width * image.height > limit:
        pixels = f"{image.height} x {image.width}"
        image.close()
        raise PictureError(f"{shown} has {pixels} pixels, more than {limit // 10**6} million; shrink it first")
    return image


def _to_first(image: Image.Image) -> None:
    """Go to the first page of a TIFF that is a picture: some begin with a thumbnail of it. If there is none, stay."""
    if image.format != "TIFF":
        return
    try:
        for page in range(_MOST_PAGES):
            image.seek(page)
            if _is_picture(image):
                return
    except (EOFError, SyntaxError):  # as in _pages
        pass
    image.seek(0)


def _is_picture(image: Image.Image) -> bool:
    """Whether the page of a TIFF is a picture of its own, neither a smaller copy nor a mask of another."""
    kind = getattr(image, "tag_v2", {}).get(_SUBFILE, 0)
    return not isinstance(kind, int) or kind & (_REDUCED | _MASK) == 0


def _pages(image: Image.Image) -> tuple[tuple[int, ...], int]:
    """The pages of a TIFF that are pictures of one size and kind; where they differ the first, and how many others.

    Raises whatever Pillow trips over in a file that is cut short.
    """
    if image.format != "TIFF":
        return (0,), 0
    found, kinds = list[int](), set[tuple[object, ...]]()
    try:
        for page in range(_MOST_PAGES):
            image.seek(page)
            if _is_picture(image):
                found.append(page)
                kinds.add((image.size, image.mode, image.getexif().get(_EXIF_ORIENTATION, 1)))
    except EOFError:
        if len(found) > 1:
            _check_chain(image)
        if len(kinds) == 1:
            return tuple(found), 0
    except SyntaxError:  # a page of a kind that Pillow does not know
        found.append(page)
    return (found[0] if kinds else 0,), max(0, len(found) - 1)


def _check_chain(image: Any) -> None:
    """Raise ValueError where a TIFF is cut short within its chain of pages, whose end Pillow then takes for the last.

    TIFF 6.0, section 2: the head says where the first directory is; each has a count, its entries, and the next place.
    """
    stream = image.fp
    stream.seek(0)
    head = stream.read(16)
    order = "<" if head[:2] == b"II" else ">"
    # A file beyond 4 GiB (version 43) has 8 bytes where others have 4 or 2.
    count, entry, place, first = ("Q", 20, "Q", 8) if head[2:4] in (b"+\0", b"\0+") else ("H", 12, "I", 4)
    (offset,) = struct.unpack_from(order + place, head, first)
    for _ in range(_MOST_PAGES):
        if offset == 0:
            return
        stream.seek(offset)
        (entries,) = struct.unpack(order + count, stream.read(struct.calcsize(count)))
        stream.seek(offset + struct.calcsize(count) + entry * entries)
        following = stream.read(struct.calcsize(place))
        if len(following) < struct.calcsize(place):
            raise ValueError("cut short between its pages")
        (offset,) = struct.unpack(order + place, following)


def _bytes(source: Source) -> bytes:
    if isinstance(source, Path | str):
        return Path(source).read_bytes()
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    source.seek(0)
    return source.read()


def _reason(wrong: Exception) -> str:
    return " ".join(str(wrong).split())[:80] or type(wrong).__name__


def _narrow(image: Image.Image) -> Image.Image:
    """Any 8-bit mode as L or RGB, alpha on black."""
    gray = image.mode in _GRAY_MODES
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        straight = image.convert("RGBA") if image.mode != "La" else image.convert("LA")
        opaque = Image.new("RGB", image.size)
        opaque.paste(straight.convert("RGB"), mask=straight.getchannel("A"))
        return opaque.getchannel(0) if gray else opaque
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image.convert("L" if gray else "RGB")


def _is_white_zero(image: Image.Image) -> bool:
    """Whether the least number of a TIFF is white. Pillow turns those of 8 bits round, and no others."""
    return image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _numbers(image: Image.Image) -> np.ndarray:
    """Gray of 16 bits, 32 bits or in floats as it is; of 16 bits with more for white, whatever the file has."""
    array = np.asarray(image)
    return 65535 - array if array.dtype.kind == "u" and _is_white_zero(image) else array


def _wide(image: Image.Image) -> np.ndarray:
    """Gray of 16 bits, 32 bits or in floats as uint16."""
    array = _numbers(image)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return array.astype(np.uint16)
    values = np.nan_to_num(array.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if array.dtype.kind == "f" and low >= 0 and high <= 255:
        low, high = 0.0, 1.0 if high <= UNIT_LIMIT else 255.0
    elif low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    scale = 65535.0 / (high - low) if high > low else 0.0
    levels = np.rint((values - low) * scale).clip(0, 65535).astype(np.uint16)
    return 65535 - levels if _is_white_zero(image) else levels


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF orientation 1..8; any other number is left alone."""
    if orientation in _TURNED:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array
