"""Reading pictures of any kind, and writing sheets and films that keep every level and every frame."""

from __future__ import annotations

import gzip
import importlib.util
import io
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import pictures
from core.animation import size_in_file
from core.carried import read_carried
from core.errors import OutputError, PictureError, SettingError
from tests.core.gif import decode_gif

rng = np.random.default_rng


def _bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def test_8_and_16_bit_gray_are_kept_to_the_level(tmp_path: Path) -> None:
    for dtype in (np.uint8, np.uint16):
        array = rng(0).integers(0, np.iinfo(dtype).max, (13, 9), dtype, endpoint=True)
        for suffix in (".png", ".tif"):
            Image.fromarray(array).save(tmp_path / f"a{suffix}")
            back = pictures.read(tmp_path / f"a{suffix}")
            assert back.dtype == dtype and back.flags.c_contiguous
            assert np.array_equal(back, array)
    wide = _bytes(Image.fromarray(np.arange(60_000, 60_006, dtype=np.int32).reshape(2, 3)), "TIFF")
    assert pictures.read(wide).tolist() == [[60_000, 60_001, 60_002], [60_003, 60_004, 60_005]]


def _deep_png(array: np.ndarray, *, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG of 16 bits a plane, [H, W, 2 to 4], without filters."""
    height, width, planes = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[planes], 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in array)
    parts = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _deep_tiff(array: np.ndarray, order: str) -> bytes:
    """A TIFF of 16 bits a plane, [H, W, 3 or 4], one strip, not compressed; `order` is < or >."""
    height, width, planes = array.shape
    pixels = array.astype(f"{order}u2").tobytes()
    bits = struct.pack(f"{order}{planes}H", *[16] * planes)
    tags = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, planes, 8 + len(pixels)), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 8), (277, 3, 1, planes), (278, 3, 1, height), (279, 4, 1, len(pixels)),
        *([(338, 3, 1, 2)] if planes == 4 else []),
    ]  # fmt: skip
    shorts = {3: lambda value: struct.pack(f"{order}HH", value, 0), 4: lambda value: struct.pack(f"{order}I", value)}
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + shorts[4 if count > 1 else kind](value)
        for tag, kind, count, value in tags
    )
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels) + len(bits))
    return start + pixels + bits + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("planes", [3, 4])
def test_16_bit_colour_is_kept_to_the_level(tmp_path: Path, planes: int) -> None:
    array = rng(5).integers(0, 65535, (13, 9, planes), np.uint16, endpoint=True)
    expected = array[..., :3]
    if planes == 4:
        expected = np.rint(array[..., :3] * (array[..., 3:].astype(np.float64) / 65535)).astype(np.uint16)
    for data in (_deep_png(array), _deep_tiff(array, "<"), _deep_tiff(array, ">")):
        (tmp_path / "a").write_bytes(data)
        for source in (data, tmp_path / "a", io.BytesIO(data)):
            back = pictures.read(source)
            assert back.dtype == np.uint16 and back.flags.c_contiguous and np.array_equal(back, expected)
        header = pictures.read_header(data)
        assert (header.size, header.gray, header.wide) == ((13, 9), False, True)


def test_without_av_16_bit_colour_has_its_upper_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _deep_png(rng(5).integers(0, 65535, (13, 9, 3), np.uint16, endpoint=True))
    deep = pictures.read(data)
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert np.array_equal(pictures.read(data), (deep >> 8).astype(np.uint8)) and not pictures.read_header(data).wide


def test_16_bit_gray_with_alpha_and_a_colour_made_transparent() -> None:
    gray = np.array([[[40_000, 65_535], [40_000, 0]]], np.uint16)
    assert pictures.read(_deep_png(gray)).tolist() == [[40_000, 0]]
    assert pictures.read_header(_deep_png(gray)).gray
    colour = np.array([[[1000, 2000, 3000], [1001, 2000, 3000]]], np.uint16)
    key = (b"tRNS", struct.pack(">HHH", 1000, 2000, 3000))
    assert pictures.read(_deep_png(colour, extra=(key,))).tolist() == [[[0, 0, 0], [1001, 2000, 3000]]]


def test_16_bit_colour_is_written_and_damage_is_said() -> None:
    array = rng(6).integers(0, 65535, (13, 9, 3), np.uint16, endpoint=True)
    for level in (1, 9):
        data = pictures.encode(array, "png", {"styloscope": '{"seed": 7}', "title": "Gehirn \u2013"}, level=level)
        assert np.array_equal(pictures.read(data), array)
        assert pictures.read_text(data) == {"styloscope": '{"seed": 7}', "title": "Gehirn \u2013"}
    with pytest.raises(PictureError, match="damaged"):
        pictures.read(_deep_png(array)[:-60])


def test_without_av_16_bit_colour_comes_in_8(monkeypatch: pytest.MonkeyPatch) -> None:
    array = rng(7).integers(0, 65535, (3, 2, 3), np.uint16)
    monkeypatch.setitem(sys.modules, "av", None)
    assert np.array_equal(pictures.read(_deep_png(array)), (array >> 8).astype(np.uint8))


def test_floats_become_16_bit() -> None:
    unit = np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)
    assert pictures.read(_bytes(Image.fromarray(unit), "TIFF")).tolist() == [[0, 32768, 65535, 0]]
    ct = np.array([[-1000.0, 0.0, 1000.0]], np.float32)
    assert pictures.read(_bytes(Image.fromarray(ct), "TIFF")).tolist() == [[0, 32768, 65535]]


def test_floats_that_overshoot_1_a_little_are_cut_off() -> None:
    sharp = np.array([[0.0, 0.5, 1.0, 1.02]], np.float32)
    assert pictures.read(_bytes(Image.fromarray(sharp), "TIFF")).tolist() == [[0, 32768, 65535, 65535]]
    wide = np.array([[0.0, 51.0, 255.0]], np.float32)
    assert pictures.read(_bytes(Image.fromarray(wide), "TIFF")).tolist() == [[0, 13107, 65535]]


def _retagged(data: bytes, tag: int, kind: int, *, old: int, new: int, count: int = -1) -> bytes:
    """A TIFF (II) whose directories, the first `count` of them, have another number in a tag."""
    before, after = (struct.pack("<HHII", tag, kind, 1, value) for value in (old, new))
    assert before in data
    return data.replace(before, after, count)


def test_16_bits_with_0_for_white_are_turned_round() -> None:
    levels = np.array([[0, 1000, 65535]], np.uint16)
    data = _retagged(_bytes(Image.fromarray(levels), "TIFF"), 262, 3, old=1, new=0)
    for raw in (False, True):
        assert pictures.read(data, raw=raw).tolist() == [[65535, 64535, 0]]
    assert [page.tolist() for page in pictures.read_pages(data, [0])] == [[[65535, 64535, 0]]]
    floats = _bytes(Image.fromarray(np.array([[0.0, 1.0]], np.float32)), "TIFF")
    assert pictures.read(_retagged(floats, 262, 3, old=1, new=0)).tolist() == [[65535, 0]]


@pytest.mark.parametrize("rest", [0, 1])
def test_a_tiff_that_begins_with_a_thumbnail(rest: int) -> None:
    """The picture behind it is read, also where more pages of other sizes follow."""
    small, whole = np.zeros((4, 4), np.uint16), rng(0).integers(0, 65535, (16, 12), np.uint16)
    pages = [Image.fromarray(array) for array in (whole, *[whole[:9]] * rest)]
    data = _bytes(Image.fromarray(small), "TIFF", save_all=True, append_images=pages, tiffinfo={254: 0})
    data = _retagged(data, 254, 4, old=0, new=1, count=1)
    header = pictures.read_header(data)
    assert (header.size, header.pages, header.left_out) == ((16, 12), (1,), rest)
    assert np.array_equal(pictures.read(data), whole)
    alone = _retagged(_bytes(Image.fromarray(whole), "TIFF", tiffinfo={254: 0}), 254, 4, old=0, new=1)
    assert np.array_equal(pictures.read(alone), whole) and pictures.read_header(alone).pages == (0,)


def test_wide_gray_as_the_numbers_of_the_file() -> None:
    ct = np.array([[-1000.0, 0.0, 250.5]], np.float32)
    back = pictures.read(_bytes(Image.fromarray(ct), "TIFF"), raw=True)
    assert back.dtype == np.float32 and np.array_equal(back, ct)
    eight = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert np.array_equal(pictures.read(_bytes(Image.fromarray(eight)), raw=True), eight)


def test_palette_bilevel_cmyk_and_alpha() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([0, 1])
    assert pictures.read(_bytes(palette)).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert pictures.read(_bytes(palette, transparency=1)).tolist() == [[[10, 20, 30], [0, 0, 0]]]
    assert pictures.read(_bytes(Image.new("1", (3, 2), 1))).tolist() == [[255] * 3] * 2
    assert pictures.read(_bytes(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF")).tolist() == [[[255] * 3] * 4] * 4
    assert pictures.read(_bytes(Image.new("RGBA", (1, 1), (200, 100, 50, 0)))).tolist() == [[[0, 0, 0]]]
    assert pictures.read(_bytes(Image.new("RGBA", (1, 1), (200, 100, 50, 255)))).tolist() == [[[200, 100, 50]]]
    assert pictures.read(_bytes(Image.new("LA", (1, 1), (200, 51)))).tolist() == [[40]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    array = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.open(io.BytesIO(_bytes(Image.fromarray(array), exif=exif)))
    from PIL import ImageOps

    upright = np.asarray(ImageOps.exif_transpose(turned))
    assert np.array_equal(pictures.read(_bytes(Image.fromarray(array), exif=exif)), upright)


def test_gray_inside_rgb() -> None:
    gray = np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4, 1), 3, axis=2)
    assert pictures.is_gray(gray) and pictures.is_gray(gray[..., 0])
    gray[2, 3, 1] += 1
    assert not pictures.is_gray(gray)


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture", encoding="utf-8")
    with pytest.raises(PictureError, match=r"notes\.png is not a picture"):
        pictures.read(text)
    volume = b"\x5c\1\0\0" + bytes(340) + b"n+1\0" + bytes(64)
    for name, content in {
        "a.dcm": bytes(128) + b"DICM" + bytes(64),
        "a.nii": volume,
        "a.nii.gz": gzip.compress(volume),
        "b.nii": b"\x1c\2\0\0n+2\0" + bytes(540),
    }.items():
        (tmp_path / name).write_bytes(content)
        for source in (tmp_path / name, content, io.BytesIO(content)):
            with pytest.raises(PictureError, match=r"is a scan; python -m train\.prepare makes"):
                pictures.read(source)
    with pytest.raises(PictureError, match="is not a picture"):
        pictures.read(b"\x1f\x8b" + bytes(9))
    with pytest.raises(PictureError, match="missing"):
        pictures.read(tmp_path / "none.png")
    with pytest.raises(PictureError, match="folder"):
        pictures.read(tmp_path)
    whole = _bytes(Image.fromarray(rng(1).integers(0, 255, (64, 64), np.uint8)))
    with pytest.raises(PictureError, match=r"cut\.png is damaged"):
        pictures.read(whole[: len(whole) // 2], name="cut.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PictureError, match="300 million"):
            pictures.read(_png_header(20_000, 15_001))
        with pytest.raises(PictureError, match="is damaged"):  # within the limit, so it is tried: no warning
            pictures.read(_png_header(10_000, 12_000))


def test_crop_and_resize() -> None:
    array = rng(2).integers(0, 65535, (20, 30), np.uint16)
    assert np.array_equal(pictures.crop(array, [2, 3, 5, 7]), array[2:7, 3:10])
    with pytest.raises(ValueError, match="not inside"):
        pictures.crop(array, [16, 0, 5, 5])
    flat = np.full((20, 30, 3), 40_000, np.uint16)
    small = pictures.resize(flat, (7, 9))
    assert small.shape == (7, 9, 3) and small.dtype == np.uint16 and np.all(small == 40_000)
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))  # antialiased: stripes become gray
    assert abs(int(pictures.resize(stripes, (8, 8))[4, 4]) - 127) < 12


def test_to_8bit_follows_the_rule() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor([-2.0, -1.0, 0.0, 1 / 127.5, 1.0, 2.0]).reshape(1, 1, 2, 3)
    assert pictures.to_8bit(x).tolist() == [[[0, 0, 128], [129, 255, 255]]]
    assert pictures.to_8bit(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)


def test_grid_keeps_every_pixel() -> None:
    cells = [rng(i).integers(0, 255, (12, 14), np.uint8) for i in range(5)]
    sheet = pictures.grid(cells, columns=3, gap=2)
    assert sheet.shape == (2 * 14 - 2, 3 * 16 - 2)
    lettered = pictures.grid(cells, columns=3, title="Brains", row_labels=["0", "1"], column_labels=["a", "b", "c"])
    layout = pictures.Layout.of(
        count=5, columns=3, cell=(12, 14), title="Brains", row_labels=["0", "1"], column_labels=["a", "b", "c"]
    )
    for index, cell in enumerate(cells):
        row, column = divmod(index, 3)
        assert np.array_equal(sheet[row * 14 : row * 14 + 12, column * 16 : column * 16 + 14], cell)
        top, left = layout.corner(row, column)
        assert np.array_equal(lettered[top : top + 12, left : left + 14], cell)
    assert lettered[: layout.top].max() > 150 and lettered[:, : layout.left].max() > 150
    mixed = pictures.grid([cells[0], np.zeros((12, 14, 3), np.uint8)], columns=2)
    assert mixed.ndim == 3 and np.array_equal(mixed[:12, :14, 1], cells[0])


def test_png_carries_text_and_16_bit(tmp_path: Path) -> None:
    array = rng(3).integers(0, 65535, (5, 6), np.uint16)
    pictures.write_png(tmp_path / "a.png", array, {"styloscope": '{"seed": 7}', "title": "Gehirn \u2013 7"})
    assert pictures.read_text(tmp_path / "a.png") == {"styloscope": '{"seed": 7}', "title": "Gehirn \u2013 7"}
    assert np.array_equal(pictures.read(tmp_path / "a.png"), array)
    assert pictures.read_text(pictures.encode(pictures.as_8bit(array), "jpeg")) == {}
    lossless = np.asarray(Image.open(io.BytesIO(pictures.encode(pictures.as_8bit(array), "webp"))))
    assert np.array_equal(lossless[..., 0], pictures.as_8bit(array))
    with pytest.raises(OutputError, match="a file has that name"):
        pictures.write_png(tmp_path / "a.png" / "b.png", array)


def _walk(*, planes: int, shape: tuple[int, int] = (19, 33)) -> list[np.ndarray]:
    size = shape + ((3,) if planes == 3 else ())
    frames = [rng(i).integers(0, 255, size, np.uint8, endpoint=True) for i in range(3)]
    return [frames[0], frames[0], frames[0], frames[1], frames[1], frames[2], frames[0]]


def test_gray_gif_is_lossless_and_equal_frames_stay(tmp_path: Path) -> None:
    for shape in ((19, 33), (160, 130)):  # the second overflows the LZW table
        frames = _walk(planes=1, shape=shape)
        pictures.write_animation(tmp_path / "a.gif", iter(frames), fps=24, count=7)
        shown, delays = decode_gif((tmp_path / "a.gif").read_bytes())
        assert len(shown) == 7
        for frame, back in zip(frames, shown, strict=True):
            assert np.array_equal(back, np.repeat(frame[..., None], 3, axis=2))
        assert sum(delays) == round(7 * 100 / 24) and set(delays) <= {4, 5}
        with Image.open(tmp_path / "a.gif") as film:
            assert film.n_frames == 7 and film.info["loop"] == 0


def test_rgb_gif_exact_up_to_256_colours_else_close(tmp_path: Path) -> None:
    few = (_walk(planes=3)[0] // 86) * 86
    pictures.write_animation(tmp_path / "few.gif", [few, few], fps=10, count=2, loop=False)
    shown, delays = decode_gif((tmp_path / "few.gif").read_bytes())
    assert delays == [10, 10] and np.array_equal(shown[0], few) and np.array_equal(shown[1], few)
    assert b"NETSCAPE" not in (tmp_path / "few.gif").read_bytes()
    ramp = np.stack(np.broadcast_arrays(np.arange(64)[:, None] * 4, np.arange(64)[None] * 4, 90), 2).astype(np.uint8)
    pictures.write_animation(tmp_path / "many.gif", [ramp], fps=10, count=1)
    shown, _ = decode_gif((tmp_path / "many.gif").read_bytes())
    assert np.abs(shown[0].astype(int) - ramp).mean() < 8


@pytest.mark.parametrize("planes", [1, 3])
def test_webp_is_lossless_and_equal_frames_stay(tmp_path: Path, planes: int) -> None:
    frames = _walk(planes=planes)
    pictures.write_animation(tmp_path / "a.webp", frames, fps=24, count=7)
    with Image.open(tmp_path / "a.webp") as film:
        assert film.n_frames == 7
        for index, frame in enumerate(frames):
            film.seek(index)
            back = np.asarray(film.convert("RGB"))
            assert np.array_equal(back, frame if planes == 3 else np.repeat(frame[..., None], 3, axis=2))


@pytest.mark.parametrize("planes", [1, 3])
def test_mp4_has_every_frame_and_even_sides(tmp_path: Path, planes: int) -> None:
    av = pytest.importorskip("av")
    base = np.linspace(20, 220, 33)[None].repeat(19, 0).astype(np.uint8)
    frames = [base if planes == 1 else np.repeat(base[..., None], 3, axis=2)] * 5
    pictures.write_animation(tmp_path / "a.mp4", frames, fps=24, count=5)
    with av.open(str(tmp_path / "a.mp4")) as film:
        shown = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert len(shown) == 5 and shown[0].shape == (20, 34)
    assert np.abs(shown[2][:19, :33].astype(int) - base).mean() < 4


def test_folder_of_png(tmp_path: Path) -> None:
    frames = _walk(planes=1)
    pictures.write_animation(tmp_path / "walk", frames, fps=24, count=7, text=lambda k: {"styloscope": f"{k}"})
    names = sorted(path.name for path in (tmp_path / "walk").iterdir())
    assert names == [f"{k:06d}.png" for k in range(7)]
    assert np.array_equal(pictures.read(tmp_path / "walk" / "000005.png"), frames[5])
    assert pictures.read_text(tmp_path / "walk" / "000005.png") == {"styloscope": "5"}
    with pytest.raises(OutputError, match="already has something"):
        pictures.write_animation(tmp_path / "walk", frames, fps=24, count=7)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.mp4", "a"])
def test_a_failing_walk_leaves_nothing_and_the_old_file_whole(tmp_path: Path, name: str) -> None:
    def failing() -> object:
        yield np.zeros((8, 8), np.uint8)
        raise PictureError("stop")

    if name != "a":
        (tmp_path / name).write_bytes(b"old")
    with pytest.raises(PictureError, match="stop"):
        pictures.write_animation(tmp_path / name, failing(), fps=24, count=2)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ([name] if name != "a" else [])
    if name != "a":
        assert (tmp_path / name).read_bytes() == b"old"


def _large(frame: np.ndarray, times: int) -> np.ndarray:
    return np.kron(frame, np.ones((times, times) + (1,) * (frame.ndim - 2), frame.dtype))


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("scale", [2, 5])
def test_every_pixel_becomes_a_square(tmp_path: Path, planes: int, scale: int) -> None:
    """Lossless formats hold each pixel N x N; of a GIF with more than 256 colours those that it has unscaled."""
    frames = _walk(planes=planes)
    told = {"fps": 24, "count": 7, "text": lambda k: {"styloscope": f"{k}"}, "carried": '{"a":1}'}
    for suffix in ("", ".gif", ".webp"):
        pictures.write_animation(tmp_path / f"large{suffix}", iter(frames), scale=scale, **told)  # type: ignore[arg-type]
    for k, frame in enumerate(frames):
        path = tmp_path / "large" / f"{k:06d}.png"
        assert np.array_equal(pictures.read(path), _large(frame, scale))
        assert pictures.read_text(path) == {"styloscope": f"{k}"}
    many = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    for name, given in (("shown", frames), ("many", [many])):
        films = [tmp_path / f"{name}-{times}.gif" for times in (1, scale)]
        for film, times in zip(films, (1, scale), strict=True):
            pictures.write_animation(film, given, fps=24, count=len(given), scale=times)
        small, large = (decode_gif(film.read_bytes()) for film in films)
        assert small[1] == large[1]
        for one, other in zip(small[0], large[0], strict=True):
            assert np.array_equal(_large(one, scale), other)
    with Image.open(tmp_path / "large.webp") as film:
        assert film.n_frames == 7
        for k, frame in enumerate(frames):
            film.seek(k)
            whole = frame if planes == 3 else np.repeat(frame[..., None], 3, axis=2)
            assert np.array_equal(np.asarray(film.convert("RGB")), _large(whole, scale))
    assert read_carried(tmp_path / "large.gif") == read_carried(tmp_path / "large.webp") == '{"a":1}'


@pytest.mark.parametrize(("scale", "size"), [(1, (20, 34)), (2, (38, 66)), (3, (58, 100))])
def test_an_mp4_is_padded_once_it_is_enlarged(tmp_path: Path, scale: int, size: tuple[int, int]) -> None:
    av = pytest.importorskip("av")
    frame = (np.linspace(20, 220, 33 * 19).reshape(19, 33) // 8 * 8).astype(np.uint8)
    film = tmp_path / "a.mp4"
    pictures.write_animation(film, [frame] * 3, fps=24, count=3, scale=scale, carried='{"a":1}')
    with av.open(str(film)) as opened:
        shown = [one.to_ndarray(format="gray") for one in opened.decode(video=0)]
    assert shown[0].shape == size == size_in_file(film, (19, 33), scale=scale)
    height, width = 19 * scale, 33 * scale
    assert np.abs(shown[1][:height, :width].astype(int) - _large(frame, scale)).mean() < 4
    for last, edge in ((shown[1][-1], shown[1][height - 1]), (shown[1][:, -1], shown[1][:, width - 1])):
        assert np.abs(last.astype(int) - edge).mean() < 4
    assert read_carried(film) == '{"a":1}'
    assert size_in_file("a.gif", (19, 33), scale=scale) == (19 * scale, 33 * scale)


def test_a_large_mp4_has_every_frame(tmp_path: Path) -> None:
    """Of large frames the encoder is told to hold few, and none is lost."""
    av = pytest.importorskip("av")
    frames = [np.full((256, 256), 30 * k, np.uint8) for k in range(8)]
    pictures.write_animation(tmp_path / "a.mp4", frames, fps=24, count=8, scale=8)
    with av.open(str(tmp_path / "a.mp4")) as film:
        assert not film.streams.video[0].codec_context.has_b_frames
        shown = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert [one.shape for one in shown] == [(2048, 2048)] * 8
    assert all(abs(int(one[1000, 1000]) - 30 * k) < 4 for k, one in enumerate(shown))


@pytest.mark.parametrize("scale", [0, -1, 9, 2.0, "2", True])
def test_a_scale_that_cannot_be(tmp_path: Path, scale: object) -> None:
    with pytest.raises(SettingError, match=f"^scale cannot be '{scale}': a whole number from 1 to 8$"):
        pictures.write_animation(tmp_path / "a.gif", _walk(planes=1), fps=24, count=7, scale=scale)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_unknown_suffix() -> None:
    with pytest.raises(SettingError, match=r"a\.avi.*\.gif"):
        pictures.write_animation("a.avi", [], fps=24, count=1)


def test_to_16bit_is_the_reverse_of_what_a_training_sees() -> None:
    torch = pytest.importorskip("torch")
    levels = np.arange(0, 65536, 257, dtype=np.uint16)
    seen = torch.from_numpy(levels.astype(np.float32) / 32767.5 - 1).reshape(1, 1, 1, -1)
    assert np.array_equal(pictures.to_16bit(seen)[0, 0], levels)
    assert pictures.to_16bit(torch.tensor([[[[-9.0, 9.0]]]])).tolist() == [[[0, 65535]]]
    assert pictures.to_16bit(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)
