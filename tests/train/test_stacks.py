"""TIFF files with several pages: each is a slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from core import pictures, sources
from core.errors import DataError, PictureError
from tests.train import make
from train import items
from train.config import Config
from train.data import Frames, survey
from train.opening import open_data, plan
from train.slicing import Slicing

KINDS = {
    "gray": np.uint8, "colour": np.uint8, "16 bits": np.uint16, "floats": np.float32, "whole numbers": np.int32,
}  # fmt: skip


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def pages(kind: str, *, count: int = 5, size: tuple[int, int] = (16, 16)) -> np.ndarray:
    """Pages that differ, [n, h, w] or [n, h, w, 3], of numbers that need all their bits."""
    top = 256 if KINDS[kind] == np.uint8 else 65536
    shape = (count, *size, 3) if kind == "colour" else (count, *size)
    return np.random.default_rng(0).integers(0, top, shape).astype(KINDS[kind])


def stack(path: Path, arrays: list[np.ndarray] | np.ndarray, **how: object) -> Path:
    first, *rest = [Image.fromarray(array) for array in arrays]
    path.parent.mkdir(parents=True, exist_ok=True)
    first.save(path, save_all=True, append_images=rest, **how)
    return path


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_a_picture(tmp_path: Path, kind: str, compression: str | None) -> None:
    values = pages(kind)
    data = opened(stack(tmp_path / "in" / "person7.tif", values, compression=compression))
    assert data.names == tuple(f"person7.tif#{k:03}" for k in range(5)) and set(data.who) == {"person7"}
    if kind in ("gray", "16 bits"):
        assert np.array_equal(data.pixels[:, 0], values) and data.pixels.dtype == values.dtype
    elif kind == "colour":
        assert np.array_equal(data.pixels, values.transpose(0, 3, 1, 2))
    else:  # one window for all pages, not one each
        low, high = np.percentile(values, 0.5), np.percentile(values, 99.5)
        assert data.pixels.dtype == np.uint16
        expected = ((values - low) / (high - low) * 65535).clip(0, 65535)
        assert np.abs(data.pixels[:, 0] - expected).max() < 400
    assert len(opened(tmp_path / "in", slices="1-2")) == 2


def test_slices_and_a_window(tmp_path: Path) -> None:
    values = pages("16 bits", count=8)
    path = stack(tmp_path / "a.tif", values)
    data = opened(path, slices="25%-75%", window="0,65535")
    assert data.names == tuple(f"a.tif#{k:03}" for k in (2, 3, 4, 5)) and np.array_equal(data.pixels[:, 0], values[2:6])
    assert data.facts()["intensity"] == {"slope": 1.0, "intercept": 0.0, "unit": None}


@pytest.mark.parametrize(("kind", "suffix"), [("16 bits", "png"), ("16 bits", "tif"), ("floats", "tif")])
def test_a_window_holds_for_single_pages_as_for_arrays(tmp_path: Path, kind: str, suffix: str) -> None:
    page = pages(kind, count=1)[0]
    Image.fromarray(page).save(tmp_path / f"a.{suffix}")
    np.save(tmp_path / "b.npy", page)
    source = sources.find(tmp_path)
    for window in ("1000,5000", "full"):
        slicing = Slicing(window=window)
        head = pictures.read_header(source.open(0))
        (one,) = items.PictureItem(source, 0, head, slicing=slicing).read()
        (other,) = items.ArrayItem.at(source, 1, slicing).read()
        assert one.pixels is not None and one.pixels.dtype == np.uint16
        assert np.array_equal(one.pixels, other.pixels) and one.intensity == other.intensity is not None
    (plain,) = items.PictureItem(source, 0, head).read()
    assert np.array_equal(plain.pixels, pictures.read(source.open(0))) and plain.intensity is None


def test_floats_that_overshoot_1_a_little(tmp_path: Path) -> None:
    values = np.linspace(0, 1.02, 256, dtype=np.float32).reshape(1, 16, 16)
    np.save(tmp_path / "a.npy", values)
    data = opened(tmp_path / "a.npy")
    assert np.array_equal(data.pixels[0, 0], np.rint(values[0].clip(0, 1).astype(np.float64) * 65535))


def test_in_a_zip_and_beside_single_pictures(tmp_path: Path) -> None:
    values = pages("gray", count=3)
    file = stack(tmp_path / "a.tif", values).read_bytes()
    zipped = make.archive(tmp_path / "set.zip", {"a.tif": file, "b.png": make.png(size=(16, 16))})
    data = opened(zipped)
    assert data.names == ("a.tif#000", "a.tif#001", "a.tif#002", "b.png") and np.array_equal(data.pixels[:3, 0], values)


def test_pages_of_several_sizes_give_the_first_and_are_said(tmp_path: Path) -> None:
    """Thumbnails and pyramids are no slices."""
    whole, small = pages("gray", count=1)[0], pages("gray", size=(8, 8))[0]
    data = opened(stack(tmp_path / "a.tif", [whole, small]))
    assert data.names == ("a.tif",) and np.array_equal(data.pixels[0, 0], whole)
    said = "a.tif has pages of several sizes or kinds, of which the first alone is taken; save them apart"
    assert said in data.says and pictures.read_header(tmp_path / "a.tif").left_out == 1
    stack(tmp_path / "both" / "a.tif", [whole, small, small])
    Image.fromarray(whole).save(tmp_path / "both" / "b.tif")
    stack(tmp_path / "both" / "c.tif", [small, whole])
    assert "2 TIFF files, such as a.tif, have pages" in " ".join(opened(tmp_path / "both").says)
    assert "pages" not in " ".join(opened(stack(tmp_path / "d.tif", [whole, whole])).says)
    Image.fromarray(whole).save(tmp_path / "b.gif", save_all=True, append_images=[Image.fromarray(255 - whole)], loop=0)
    assert pictures.read_header(tmp_path / "b.gif").pages == (0,)


def test_a_page_that_is_a_mask_is_none(tmp_path: Path) -> None:
    from PIL import TiffImagePlugin

    values = pages("gray", count=2)
    about = TiffImagePlugin.ImageFileDirectory_v2()
    about[254] = 4
    mask = Image.fromarray(values[1])
    mask.encoderinfo = {"tiffinfo": about}  # type: ignore[attr-defined]
    Image.fromarray(values[0]).save(tmp_path / "a.tif", save_all=True, append_images=[mask])
    with Image.open(tmp_path / "a.tif") as written:
        written.seek(1)
        if written.tag_v2.get(254) != 4:  # type: ignore[attr-defined]
            pytest.skip(f"Pillow {PIL.__version__} writes no page that is a mask")
    assert pictures.read_header(tmp_path / "a.tif").pages == (0,)


def test_each_of_several_arrays_is_a_person(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        np.save(tmp_path / f"{name}.npy", pages("gray", count=5))
    data = opened(tmp_path)
    training, held = data.split(0.25, seed=0)
    assert len(held) == 5 and not set(training.who) & set(held.who) and "1 of 4 people" in training.says[-1]
    assert "each of 4 arrays, such as a.npy, counts as one person" in " ".join(data.says)
    one = opened(tmp_path / "a.npy")
    assert set(one.who) == {None} and "arrays" not in " ".join(one.says) and len(one.split(0.2, seed=0)[1]) == 1


def test_damage_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stack(tmp_path / "a.tif", pages("gray", count=4, size=(64, 64)), compression="tiff_lzw")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((DataError, PictureError), match="cannot be read|damaged"):
        opened(path)
    path.write_bytes(whole)
    monkeypatch.setattr(items, "BYTES_LIMIT", 1000)
    with pytest.raises(DataError, match=r"1 of 1 pictures cannot be read.*a\.tif"):
        survey(path)
    with pytest.raises(PictureError, match="declares 65536 bytes, more than 1000"):
        head = pictures.read_header(path)
        items.StackItem.at(sources.Folder(tmp_path, ("a.tif",)), 0, Slicing(), head)
