"""One picture -> the bytes of a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, PngImagePlugin

from core.deep import encode_png

__all__ = ["as_8bit", "encode"]

LONG_TEXT = 1 << 13  # characters, from which on a chunk is worth packing


def as_8bit(array: np.ndarray) -> np.ndarray:
    """A uint16 picture as uint8 (rounded, 65535 -> 255); a uint8 picture as it is."""
    if array.dtype == np.uint8:
        return array
    return ((array.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def encode(array: np.ndarray, format: str = "png", text: dict[str, str] | None = None, *, level: int = 1) -> bytes:
    """A picture as the bytes of a file: "png" (with text chunks), "jpeg" (quality 92, 4:4:4) or "webp" (lossless).

    `level` is PNG's compression, 1 fast to 9 small. uint16 stays 16-bit in PNG; all else is written in 8 bits.
    """
    if format == "png" and array.dtype == np.uint16 and array.ndim == 3:
        return encode_png(array, [(one[0], one[1]) for one in _chunks(text or {}).chunks], level=level)
    keep = array.dtype == np.uint8 or (format == "png" and array.ndim == 2)
    image = Image.fromarray(array if keep else as_8bit(array))
    out = io.BytesIO()
    if format == "png":
        image.save(out, "PNG", compress_level=level, pnginfo=_chunks(text or {}))
    elif format == "jpeg":
        image.save(out, "JPEG", quality=92, subsampling=0)
    elif format == "webp":
        image.save(out, "WEBP", lossless=True, quality=20, method=0)
    else:
        raise ValueError(f"format {format!r} is not png, jpeg or webp")
    return out.getvalue()


def _chunks(text: dict[str, str]) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    for key, value in text.items():
        chunks.add_text(key, value, zip=len(value) > LONG_TEXT)
    return chunks
