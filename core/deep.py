"""Colour of 16 bits a plane, which Pillow reads as 8 bits and does not write: PNG and TIFF in, PNG out.

The pixels come from av (imported late), and are taken only where their upper 8 bits are what Pillow has read.
"""

from __future__ import annotations

import importlib.util
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

__all__ = ["can_decode", "decode", "encode_png", "is_deep", "raw_mode"]

_PLANES = {"rgb48be": 3, "rgb48le": 3, "rgba64be": 4, "rgba64le": 4, "ya16be": 2, "ya16le": 2}
_BITS, _PHOTOMETRIC, _SAMPLES, _EXTRA, _RGB, _STRAIGHT = 258, 262, 277, 338, 2, 2


def is_deep(image: Image.Image) -> bool:
    """Whether a picture that Pillow has opened, but not loaded, is colour (or gray with alpha) of 16 bits a plane."""
    if image.format == "PNG":
        return raw_mode(image) in ("RGB;16B", "RGBA;16B", "LA;16B")
    if image.format != "TIFF":
        return False
    tags = getattr(image, "tag_v2", {})
    samples = tags.get(_SAMPLES, 1)
    plain = samples == 3 or (samples == 4 and tags.get(_EXTRA) == (_STRAIGHT,))
    return plain and tags.get(_BITS) == (16,) * samples and tags.get(_PHOTOMETRIC) == _RGB


def raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, in Pillow's words, such as RGB;16B; empty where Pillow does not say."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0][3]) if tiles else ""


def can_decode() -> bool:
    """Whether av is installed, without importing it."""
    return importlib.util.find_spec("av") is not None


def decode(data: bytes, image: Image.Image) -> np.ndarray | None:
    """The bytes of a picture that `is_deep` -> uint16 [H, W, 3], [H, W] where it is gray, alpha composed on black.

    `image` is the same as Pillow has read it. None where av is not there, or does not read the same picture.
    """
    try:
        import av
    except ImportError:
        return None
    try:
        context: Any = av.CodecContext.create(str(image.format).lower(), "r")
        frames = context.decode(av.Packet(data)) or context.decode(None)
    except (av.FFmpegError, ValueError):
        return None
    if len(frames) != 1 or frames[0].format.name not in _PLANES:
        return None
    frame = frames[0]
    count = _PLANES[frame.format.name]
    order = ">u2" if frame.format.name.endswith("be") else "<u2"
    lines = np.frombuffer(bytes(frame.planes[0]), order).reshape(frame.height, -1)
    planes = lines[:, : frame.width * count].reshape(frame.height, frame.width, count)
    colours = planes[..., : 3 if count > 2 else 1].astype(np.uint16)
    shown = np.asarray(image)
    if shown.shape[:2] != colours.shape[:2] or not np.array_equal(colours >> 8, shown[..., : colours.shape[2]]):
        return None
    if count in (2, 4):
        alpha = planes[..., -1:].astype(np.uint32)
        colours = ((colours * alpha + 32767) // 65535).astype(np.uint16)
    return colours if count > 2 else colours[..., 0]


def encode_png(array: np.ndarray, chunks: Iterable[tuple[bytes, bytes]] = (), *, level: int = 1) -> bytes:
    """uint16 [H, W, 3] as a PNG (W3C Recommendation of 2003), each line as its difference to the one above."""
    height, width = array.shape[:2]
    lines = np.ascontiguousarray(array.astype(">u2")).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, lines.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = lines[0]
    np.subtract(lines[1:], lines[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    pixels = zlib.compress(filtered.tobytes(), level)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
