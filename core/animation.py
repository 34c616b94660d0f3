"""Pictures one after the other -> GIF, WebP, MP4 or a folder of PNG, never more than one of them in memory.

GIF and WebP are put together here, block by block, because Pillow merges equal frames and holds all of them; each
frame is still packed by Pillow.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from core.carried import CARRIED_NAME, exif, gif_comment, marked
from core.encoding import as_8bit, encode
from core.errors import OutputError, SettingError, StyloscopeError
from core.files import sweep, temporary_beside, usable_folder, writing

__all__ = ["MOST_SCALE", "SCALES", "SUFFIXES", "animation_suffix", "check_scale", "size_in_file", "write_animation"]

SUFFIXES = (".gif", ".webp", ".mp4", "")
MOST_SCALE = 8
SCALES = f"a whole number from 1 to {MOST_SCALE}"
_LARGE = 1 << 22  # pixels of a frame from which x264, which holds some fifty of them in memory, is told to hold few
_HOLD_FEW = "rc-lookahead=4:sync-lookahead=0:bframes=0:ref=1:threads=2"

Text = Callable[[int], dict[str, str]]


def animation_suffix(path: str | Path) -> str:
    """The suffix of an animation's path in lower case, "" for a folder of PNG. SettingError for any other."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise SettingError("out", path, "an animation ends in .gif, .webp or .mp4, or is a folder of PNG (no suffix)")
    return suffix


def check_scale(scale: object) -> int:
    """How many pixels a side each pixel becomes. Raises SettingError for anything but 1 to MOST_SCALE."""
    if isinstance(scale, bool) or not isinstance(scale, int) or not 1 <= scale <= MOST_SCALE:
        raise SettingError("scale", scale, SCALES)
    return scale


def size_in_file(path: str | Path, size: tuple[int, int], *, scale: int = 1) -> tuple[int, int]:
    """(height, width) that frames of `size` have in that film. Raises SettingError (suffix)."""
    odd = 1 if animation_suffix(path) == ".mp4" else 0
    height, width = (scale * side for side in size)
    return height + (height & odd), width + (width & odd)


def write_animation(
    path: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float,
    count: int,
    loop: bool = True,
    scale: int = 1,
    text: Text | None = None,
    carried: str | None = None,
) -> None:
    """Write `count` frames of one shape ([H, W] or [H, W, 3]) at `fps`, whole or not at all; the suffix is the format.

    GIF: lossless for gray and for frames of at most 256 colours, else the best 256 of each frame; a frame stands for
    whole hundredths of a second, never less than two, because browsers slow anything faster. WebP: lossless. In both,
    equal frames stay separate frames, and `loop` plays them for ever. MP4: H.264, odd sides padded by their last row or
    column. A folder has 000000.png and so on, with the text chunks `text(index)`; one with something in it is refused.
    With `scale` N every pixel becomes N x N of the same colour, when its frame is written. `carried` is a text of ASCII
    that the film carries inside, for core.carried; in a folder it is timeline.json.

    Raises SettingError (suffix, scale), OutputError (the path, or no av for MP4), and ValueError where `count` does not
    hold.
    """
    suffix = animation_suffix(path)
    check_scale(scale)
    inside = None if carried is None else marked(carried)
    counted = _counted(frames, count=count)
    if suffix == "":
        with _writing_folder(Path(path)) as folder:
            for index, frame in enumerate(counted):
                data = encode(_enlarged(frame, scale), "png", text(index) if text else None, level=6)
                (folder / f"{index:06d}.png").write_bytes(data)
            if carried is not None:
                (folder / CARRIED_NAME).write_text(carried + "\n", encoding="ascii")
        return
    with writing(path) as temporary:
        if suffix == ".mp4":
            _write_mp4(temporary, counted, fps=fps, scale=scale, inside=inside)
            return
        with open(temporary, "wb") as file:
            if suffix == ".gif":
                _write_gif(file, counted, fps=fps, loop=loop, scale=scale, inside=inside)
            else:
                _write_webp(file, counted, fps=fps, loop=loop, scale=scale, inside=inside)


def _counted(frames: Iterable[np.ndarray], *, count: int) -> Iterator[np.ndarray]:
    shape, seen = None, 0
    for frame in frames:
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ValueError(f"frame {seen} is {frame.shape}, the first {shape}")
        seen += 1
        yield as_8bit(frame)
    if seen != count or not count:
        raise ValueError(f"{seen} frames came, {count} were announced")


def _enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    """A picture [H, W, ...] of any kind of number, every pixel of it `times` a side."""
    return picture if times == 1 else np.repeat(np.repeat(picture, times, axis=1), times, axis=0)


@contextmanager
def _writing_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder` that takes its place at the end, or vanishes when anything fails."""
    temporary = temporary_beside(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder} already has something in it; name a new folder for the frames")
        usable_folder(folder.parent)
        try:
            temporary.mkdir()
            yield temporary
            if folder.exists():
                folder.rmdir()
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as wrong:
        raise OutputError(
            f"{folder} could not be written ({wrong.strerror or wrong}); free some space or name another place"
        ) from wrong
    sweep(folder.parent)


def _ticks(index: int, *, fps: float, per_second: int) -> int:
    """How long frame `index` stands, in whole ticks, so that the film as a whole keeps time."""
    return round((index + 1) * per_second / fps) - round(index * per_second / fps)


def _write_gif(
    file: BinaryIO, frames: Iterable[np.ndarray], *, fps: float, loop: bool, scale: int, inside: bytes | None = None
) -> None:
    """GIF89a: every frame whole, with a colour table of its own, no disposal, no transparency."""
    for index, frame in enumerate(frames):
        if index == 0:
            height, width = (scale * side for side in frame.shape[:2])
            file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
            if loop:
                file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")
            if inside is not None:
                file.write(gif_comment(inside))
        delay = max(2, _ticks(index, fps=fps, per_second=100))
        file.write(b"\x21\xf9\x04" + struct.pack("<BHB", 0x04, min(delay, 65535), 0) + b"\x00")
        file.write(_gif_image(frame, scale=scale))
    file.write(b"\x3b")


def _gif_image(frame: np.ndarray, *, scale: int) -> bytes:
    """The image block of one frame: descriptor, local colour table, packed pixels."""
    out = io.BytesIO()
    # Enlarged once it has its colours: dithered afterwards, a pixel would not be of one colour.
    _repeated(_indexed(frame), scale).save(out, "GIF", optimize=False, interlace=False)
    data = out.getvalue()
    packed = data[10]
    table_end = 13 + (3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0)
    position = table_end
    while data[position] == 0x21:  # extensions, which Pillow may put first
        position += 2
        while data[position]:
            position += data[position] + 1
        position += 1
    descriptor = data[position : position + 10]
    if descriptor[9] & 0x80:  # the table is local already
        return data[position:-1]
    flags = 0x80 | (descriptor[9] & 0x40) | (packed & 7)
    return descriptor[:9] + bytes([flags]) + data[13:table_end] + data[position + 10 : -1]


def _indexed(frame: np.ndarray) -> Image.Image:
    """A frame in mode L or P, exact where at most 256 colours are in it."""
    image = Image.fromarray(frame)
    if frame.ndim == 2:
        return image
    few = image.getcolors(256)
    if few is None:
        return image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    flat = frame.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    codes, places = np.unique(flat, return_inverse=True)
    palette = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)
    exact = Image.fromarray(places.reshape(flat.shape).astype(np.uint8), "P")
    exact.putpalette(palette.tobytes())
    return exact


def _repeated(image: Image.Image, times: int) -> Image.Image:
    """An image in mode L or P, every pixel of it `times` a side."""
    if times == 1:
        return image
    large = Image.fromarray(_enlarged(np.asarray(image), times), image.mode)
    palette = image.getpalette()
    if palette is not None:
        large.putpalette(palette)
    return large


def _write_webp(
    file: BinaryIO, frames: Iterable[np.ndarray], *, fps: float, loop: bool, scale: int, inside: bytes | None = None
) -> None:
    """A RIFF of one ANMF chunk a frame, each a lossless picture. EXIF may stand anywhere; first, it is soon found."""
    for index, small in enumerate(frames):
        frame = _enlarged(small, scale)
        if index == 0:
            height, width = frame.shape[:2]
            canvas = _u24(width - 1) + _u24(height - 1)
            file.write(b"RIFF\x00\x00\x00\x00WEBP")
            flags = 0x02 | (0x08 if inside is not None else 0)  # it moves; it has EXIF
            file.write(_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + canvas))
            file.write(_chunk(b"ANIM", struct.pack("<IH", 0xFF000000, 0 if loop else 1)))
            if inside is not None:
                file.write(_chunk(b"EXIF", exif(inside)))
        single = io.BytesIO()
        Image.fromarray(frame).save(single, "WEBP", lossless=True, quality=50, method=2)
        lasting = _u24(min(_ticks(index, fps=fps, per_second=1000), 0xFFFFFF))
        # flags 2: do not blend with the frame before, do not dispose
        file.write(_chunk(b"ANMF", _u24(0) + _u24(0) + canvas + lasting + b"\x02" + single.getvalue()[12:]))
    length = file.tell()
    file.seek(4)
    file.write(struct.pack("<I", length - 8))


def _chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\x00" * (len(payload) % 2)


def _u24(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _write_mp4(
    path: Path, frames: Iterable[np.ndarray], *, fps: float, scale: int, inside: bytes | None = None
) -> None:
    try:
        import av
    except ImportError as wrong:
        raise OutputError(f"MP4 needs the package av, which cannot be imported ({wrong}); use .gif or .webp") from wrong
    if "libx264" not in av.codecs_available:
        raise OutputError("MP4 needs libx264, which this build of av lacks; use .gif or .webp")
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as film:
            stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "15"})
            stream.pix_fmt = "yuv420p"
            if inside is not None:
                film.metadata["comment"] = inside.decode("ascii")
            for index, frame in enumerate(frames):
                even = _even(_enlarged(frame, scale))
                if index == 0:
                    stream.height, stream.width = even.shape[:2]
                    if stream.height * stream.width >= _LARGE:
                        stream.options = {**stream.options, "x264-params": _HOLD_FEW}
                picture = av.VideoFrame.from_ndarray(even, format="gray" if even.ndim == 2 else "rgb24")
                film.mux(stream.encode(picture))
            film.mux(stream.encode())
    except (OSError, StyloscopeError):
        raise
    except av.FFmpegError as wrong:
        raise OutputError(f"the film could not be written as MP4 ({wrong}); use .gif or .webp") from wrong


def _even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    padding = ((0, height % 2), (0, width % 2)) + ((0, 0),) * (frame.ndim - 2)
    return np.ascontiguousarray(np.pad(frame, padding, mode="edge"))
