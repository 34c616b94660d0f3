"""A text that a film carries inside, and the bounded reader that finds it again.

GIF: a comment extension before the first picture. WebP: the ImageDescription of an EXIF chunk. MP4: the comment in
moov/udta/meta/ilst, which the muxer writes. All three begin with MARK, so that other people's comments are not ours.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import PictureError

__all__ = ["CARRIED_NAME", "MARK", "MOST_CARRIED", "exif", "gif_comment", "is_film", "marked", "read_carried"]

MARK = "styloscope "
CARRIED_NAME = "timeline.json"  # beside the frames in a folder
MOST_CARRIED = 1 << 20  # bytes
_MOST_BLOCKS = 20_000  # chunks or boxes that one walk looks at
_DESCRIPTION, _ASCII = 0x010E, 2  # a tag and a type of TIFF 6.0
_ENTRY = 12  # bytes of an entry of a TIFF directory
_PATH = (b"moov", b"udta", b"meta", b"ilst", b"\xa9cmt", b"data")


def marked(text: str) -> bytes:
    """The text as a film carries it. Raises ValueError where it is not ASCII or longer than MOST_CARRIED bytes."""
    data = (MARK + text).encode("ascii")
    if len(data) > MOST_CARRIED:
        raise ValueError(f"{len(data)} bytes are too many to carry")
    return data


def gif_comment(data: bytes) -> bytes:
    """A comment extension of GIF89a, section 24: blocks of at most 255 bytes."""
    blocks = (data[start : start + 255] for start in range(0, len(data), 255))
    return b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"


def exif(data: bytes) -> bytes:
    """A TIFF with one directory of one entry, ImageDescription, as an EXIF chunk holds it."""
    entry = struct.pack("<HHII", _DESCRIPTION, _ASCII, len(data) + 1, 8 + 2 + _ENTRY + 4)
    return b"II*\x00" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0) + data + b"\x00"


def is_film(head: bytes) -> bool:
    """Whether a file that begins with these (at least 12) bytes is a GIF, WebP or MP4."""
    return head[:6] in (b"GIF87a", b"GIF89a") or head[:4] + head[8:12] == b"RIFFWEBP" or head[4:8] == b"ftyp"


def read_carried(source: str | Path | bytes) -> str | None:
    """The text inside a GIF, WebP or MP4, given by path or content; None where there is none of ours.

    Reads little of the file, whatever it says of itself. Raises PictureError where it cannot be read.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
            return _read(file)
    except (OSError, ValueError) as wrong:
        reason = getattr(wrong, "strerror", None) or str(wrong)
        raise PictureError(f"{source!s:.200} cannot be read ({reason}); name a GIF, WebP or MP4") from wrong


def _read(file: BinaryIO) -> str | None:
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    try:
        if head.startswith(b"GIF8"):
            found = _from_gif(file)
        elif head.startswith(b"RIFF"):
            found = _from_webp(file, end=end)
        else:
            found = _from_mp4(file, end=end) if is_film(head) else None
        text = found.rstrip(b"\x00").decode("ascii") if found is not None else ""
    except (struct.error, IndexError, UnicodeDecodeError):
        return None  # cut off or not what it seems: nothing of ours
    return text[len(MARK) :] if text.startswith(MARK) else None


def _from_gif(file: BinaryIO) -> bytes | None:
    file.seek(10)
    packed = file.read(1)[0]
    file.seek(13 + (3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0))
    found = bytearray()
    comment, inside = False, False
    for _ in range(_MOST_BLOCKS):
        if not inside:
            if file.read(1) != b"\x21":
                return None  # the first picture, or the end
            comment, inside = file.read(1) == b"\xfe", True
            found.clear()
        length = file.read(1)[0]
        block = file.read(length)
        inside = length > 0
        if comment and inside:
            found += block
        elif comment and found.startswith(MARK.encode()):
            return bytes(found)
    return None


def _from_webp(file: BinaryIO, *, end: int) -> bytes | None:
    place = 12
    for _ in range(_MOST_BLOCKS):
        file.seek(place)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"EXIF":
            return _description(file.read(min(length, MOST_CARRIED + 256)))
        place += 8 + length + length % 2
        if place + 8 > end:
            return None
    return None


def _description(data: bytes) -> bytes | None:
    """The ImageDescription in the first directory of a TIFF."""
    data = data.removeprefix(b"Exif\x00\x00")
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(data[:4])
    if order is None:
        return None
    (start,) = struct.unpack(f"{order}I", data[4:8])
    (count,) = struct.unpack(f"{order}H", data[start : start + 2])
    for index in range(count):
        place = start + 2 + index * _ENTRY
        tag, kind, length, at = struct.unpack(f"{order}HHII", data[place : place + _ENTRY])
        if (tag, kind) == (_DESCRIPTION, _ASCII) and at + length <= len(data):
            return data[at : at + length]
    return None


def _from_mp4(file: BinaryIO, *, end: int) -> bytes | None:
    start = 0
    for name in _PATH:
        inside = next((span for kind, span in _boxes(file, start, end) if kind == name), None)
        if inside is None:
            return None
        start, end = inside
        if name == b"meta":
            start += 4  # its version and flags
    file.seek(start + 8)  # the kind of data, and the language
    return file.read(min(end - start - 8, MOST_CARRIED)) if start + 8 <= end else None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """The kind and the content's span of each box of ISO/IEC 14496-12 between two places."""
    for _ in range(_MOST_BLOCKS):
        if start + 8 > end:
            return
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            header = 16
        last = end if length == 0 else start + length
        if last < start + header or last > end:
            return
        yield kind, (start + header, last)
        start = last
