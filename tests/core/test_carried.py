"""A text inside a film: there again in every format, with the frames as they were; files that lie cost nothing."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import carried, pictures
from core.errors import PictureError
from tests.core.gif import decode_gif
from tests.pace import soon

FRAMES = [np.random.RandomState(seed).randint(0, 256, (16, 12)).astype(np.uint8) for seed in (0, 0, 1)]
SHORT, LONG = '{"a":1}', '{"a":"' + "x" * 300_000 + '"}'


def film(path: Path, text: str | None) -> Path:
    pictures.write_animation(path, iter(FRAMES), fps=24, count=3, carried=text)
    return path


@pytest.mark.parametrize("suffix", ["gif", "webp", "mp4"])
def test_a_text_comes_back_from_every_film(tmp_path: Path, suffix: str) -> None:
    if suffix == "mp4":
        pytest.importorskip("av")
    plain = film(tmp_path / f"plain.{suffix}", None)
    assert carried.read_carried(plain) is None
    for text in (SHORT, LONG):
        path = film(tmp_path / f"told.{suffix}", text)
        assert carried.is_film(path.read_bytes()[:12])
        assert carried.read_carried(path) == carried.read_carried(path.read_bytes()) == text
        assert 0 < path.stat().st_size - plain.stat().st_size - len(text) < 2000


def test_frames_stay_as_they_were(tmp_path: Path) -> None:
    shown, delays = decode_gif(film(tmp_path / "a.gif", LONG).read_bytes())
    assert len(shown) == 3 and sum(delays) == round(3 * 100 / 24)
    with Image.open(film(tmp_path / "a.webp", SHORT)) as webp:
        assert webp.n_frames == 3 and webp.getexif()[0x010E] == carried.MARK + SHORT
        for index, frame in enumerate(FRAMES):
            webp.seek(index)
            assert np.array_equal(shown[index][..., 0], frame)
            assert np.array_equal(np.asarray(webp.convert("L")), frame)
    folder = film(tmp_path / "frames", SHORT)
    assert (folder / carried.CARRIED_NAME).read_text(encoding="ascii") == SHORT + "\n"


def test_comments_of_other_people_are_not_ours(tmp_path: Path) -> None:
    images = [Image.fromarray(frame) for frame in FRAMES]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], comment=b"made by hand")
    exif = Image.Exif()
    exif[0x010E] = "a walk"
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=images[1:], exif=exif)
    assert carried.read_carried(tmp_path / "a.gif") is carried.read_carried(tmp_path / "a.webp") is None
    # Another program's EXIF chunk stands at the end, and what it holds is found there too.
    exif[0x010E] = carried.MARK + SHORT
    images[0].save(tmp_path / "b.webp", save_all=True, append_images=images[1:], exif=exif)
    assert carried.read_carried(tmp_path / "b.webp") == SHORT
    with pytest.raises(PictureError, match="cannot be read"):
        carried.read_carried(tmp_path / "none.gif")


def box(name: bytes, inside: bytes, *, length: int | None = None) -> bytes:
    return struct.pack(">I4s", 8 + len(inside) if length is None else length, name) + inside


LIES = {
    "a GIF of endless extensions": b"GIF89a" + bytes(7) + b"\x21\x01\x01a\x00" * 200_000,
    "a GIF that ends inside its comment": b"GIF89a" + bytes(7) + b"\x21\xfe\xffstyloscope ",
    "a WebP of empty chunks": b"RIFF\xff\xff\xff\xffWEBP" + b"JUNK\x00\x00\x00\x00" * 200_000,
    "an EXIF that points far away": b"RIFF0000WEBPEXIF\xff\xff\xff\x7fII*\x00" + struct.pack("<I", 2**32 - 1),
    "an EXIF of many entries": b"RIFF0000WEBPEXIF\xff\xff\xff\x7fII*\x00" + struct.pack("<IH", 8, 65535) + bytes(900),
    "boxes without an end": box(b"ftyp", b"isom") + box(b"moov", b"", length=2**32 - 1),
    "a box in front of itself": box(b"ftyp", b"isom") + box(b"moov", box(b"udta", b"", length=3)),
    "a huge box": box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"moov", 2**64 - 1),
    "many boxes": box(b"ftyp", b"isom") + box(b"free", b"") * 200_000,
    "nothing": b"",
}


@pytest.mark.parametrize("name", LIES)
def test_films_that_lie_are_left_soon(name: str) -> None:
    began = time.process_time()
    assert carried.read_carried(LIES[name]) is None
    assert soon(time.process_time() - began, seconds=0.5)


def test_every_cut_and_many_changes_are_survived(tmp_path: Path) -> None:
    pytest.importorskip("av")
    random = np.random.RandomState(0)
    for suffix in ("gif", "webp", "mp4"):
        data = film(tmp_path / f"a.{suffix}", SHORT).read_bytes()
        for end in range(0, min(len(data), 400)):
            assert carried.read_carried(data[:end]) in (None, SHORT)
        for _ in range(300):
            changed = bytearray(data)
            changed[random.randint(len(data))] = random.randint(256)
            found = carried.read_carried(bytes(changed))
            assert found is None or len(found) <= carried.MOST_CARRIED
    with pytest.raises(ValueError, match="too many"):
        carried.marked("x" * carried.MOST_CARRIED)
