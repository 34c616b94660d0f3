"""Pictures of any size and kind as batches, and every complaint of the contract about data."""

from __future__ import annotations

import errno
import io
import os
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import sources
from core.errors import DataError, OutputError
from core.frame import Frame
from tests.train import make, scans
from train import phantoms
from train.config import Config
from train.data import Frames, Phantoms, survey
from train.opening import glance, open_data, plan

CPU = torch.device("cpu")


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def test_every_kind_of_picture(tmp_path: Path) -> None:
    data = opened(make.folder(tmp_path / "deep" / "er", count=16, kinds=make.KINDS).parent)
    assert data.pixels.shape == (16, 3, 24, 20) and data.pixels.dtype == np.uint16
    gray = opened(tmp_path, channels="1", size="16")
    assert gray.pixels.shape == (16, 1, 16, 16)
    batch = gray.batch(np.arange(16), device=CPU)
    assert batch.dtype == torch.float32 and batch.min() == -1 and batch.max() <= 1


def test_gray_inside_rgb_counts_as_gray(tmp_path: Path) -> None:
    for index in range(4):
        make.save(tmp_path / f"{index}.png", make.picture("L", seed=index).convert("RGB"))
    data = opened(tmp_path)
    assert data.channels == 1 and np.array_equal(data.picture(2)[0], make.levels((24, 20), seed=2))
    assert glance(plan(Config.read({"data": str(tmp_path)}))) == 1
    assert opened(tmp_path, channels="3").channels == 3
    make.save(tmp_path / "colour.png", make.picture("RGB"))
    assert opened(tmp_path).channels == 3
    assert glance(plan(Config.read({"data": str(tmp_path)}))) == 3


def test_sixteen_bits_are_kept_until_the_batch(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 16 * 16).astype(np.uint16).reshape(16, 16)
    make.save(tmp_path / "a.png", Image.fromarray(ramp))
    make.save(tmp_path / "b.png", Image.fromarray(np.full((16, 16), 255, np.uint8)))
    data = opened(tmp_path)
    assert np.array_equal(data.picture(0)[0], ramp)
    batch = data.batch(np.array([0, 1]), device=CPU)
    np.testing.assert_allclose(batch[0, 0], ramp / 32767.5 - 1, atol=1e-6)
    assert (batch[1] == 1).all() and len(torch.unique(batch[0])) == 256
    assert not any("dark" in sentence for sentence in data.says)
    for name in ("a.png", "b.png"):
        make.save(tmp_path / name, Image.fromarray(ramp // 64))
    assert "dark" in " ".join(opened(tmp_path, channels="1").says)


@pytest.mark.parametrize(("bits", "suffix"), [(12, "tif"), (10, "png"), (12, "npy"), (14, "npy")])
def test_the_remedy_for_dark_pictures_makes_them_fill_the_range(bits: int, suffix: str, tmp_path: Path) -> None:
    """12 bits of a scanner in files of 16 are nearly black; only the brightest picture, here the last, tells."""
    for number in range(70):
        levels = np.linspace(0, (2**bits - 1) * (number + 1) / 70, 16 * 16).astype(np.uint16).reshape(16, 16)
        if suffix == "npy":
            np.save(tmp_path / f"{number:03}.npy", levels)
        else:
            make.save(tmp_path / f"{number:03}.{suffix}", Image.fromarray(levels))
    (said,) = [sentence for sentence in opened(tmp_path).says if "dark" in sentence]
    assert said.startswith(f"the brightest of these 16-bit pictures reaches {2**bits - 1} of 65535, so they are dark; ")
    window = re.search(r"give --window (\S+) to fill the range$", said)
    assert window is not None
    mended = opened(tmp_path, window=window[1])
    assert mended.pixels.max() == 65535 and not any("dark" in sentence for sentence in mended.says)
    assert mended.facts()["intensity"] == {"slope": (2**bits - 1) / 65535, "intercept": 0.0, "unit": None}


def test_a_window_is_not_advised_where_it_would_spoil_other_files(tmp_path: Path) -> None:
    dark = np.linspace(0, 4000, 16 * 16).astype(np.uint16).reshape(16, 16)
    for folder, save in {
        "arrays": lambda path: np.save(path / "eight.npy", np.full((2, 16, 16), 250, np.uint8)),
        "volumes": lambda path: scans.nifti(path / "a.nii.gz", np.random.default_rng(0).random((16, 16, 4)) * 9000),
    }.items():
        np.save(tmp_path / "dark.npy", dark)
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "dark.npy", dark)
        save(tmp_path / folder)
        (said,) = [sentence for sentence in opened(tmp_path / folder).says if "dark" in sentence]
        assert said.endswith("prepare them apart, with --window 0,4095, which would cut off the other files"), folder


def test_a_window_leaves_pictures_of_eight_bits_as_they_are_and_says_so(tmp_path: Path) -> None:
    for number in range(3):
        make.save(tmp_path / f"{number}.tif", Image.fromarray(np.full((16, 16), 4000 - number, np.uint16)))
    make.save(tmp_path / "eight.png", make.picture("L", (16, 16)))
    assert any("give --window 0,4095 to fill" in sentence for sentence in opened(tmp_path).says)
    data = opened(tmp_path, window="0,4095")
    said = "black to white is not known in 1 of 4 pictures, 0 to 4095 (no unit known) in the others"
    assert f"{said}, so levels have no common unit" in data.says and "intensity" not in data.facts()


def test_floats_and_black_pictures_are_no_dark_files_of_sixteen_bits(tmp_path: Path) -> None:
    """Numbers from 0 to 0.2 are stretched from 0 to 1: a window in levels would make them black."""
    make.save(tmp_path / "in" / "a.tif", Image.fromarray(np.full((16, 16), 0.2, np.float32)))
    assert not any("dark" in sentence for sentence in opened(tmp_path / "in").says)
    for name, top in (("a", 0), ("b", 900)):
        np.save(tmp_path / f"{name}.npy", np.linspace(0, top, 256).astype(np.uint16).reshape(16, 16))
    assert any("give --window 0,1023 to fill" in one for one in opened(tmp_path, only="*.npy").says)


def test_dark_colour_is_told_what_helps_it(tmp_path: Path) -> None:
    """A window is for gray."""
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 4096, (2, 16, 16, 3)).astype(np.uint16))
    says = " ".join(opened(tmp_path).says)
    assert "so they are dark; save them with their levels 16 times as large, to fill the range" in says


def test_pictures_that_use_their_bits_are_not_called_dark(tmp_path: Path) -> None:
    np.save(tmp_path / "half.npy", np.full((2, 16, 16), 16384, np.uint16))
    np.save(tmp_path / "eight.npy", np.full((2, 16, 16), 20, np.uint8))
    np.save(tmp_path / "black.npy", np.zeros((2, 16, 16), np.uint16))
    assert not any("dark" in sentence for sentence in opened(tmp_path).says)


def test_the_batch_is_the_picture(tmp_path: Path) -> None:
    data = opened(make.folder(tmp_path, count=3))
    batch = data.batch(np.array([2, 0]), device=CPU)
    np.testing.assert_allclose(batch[0, 0], make.levels((24, 20), seed=2) / 127.5 - 1, atol=1e-6)


def test_a_photograph_taken_sideways_is_turned_before_it_is_counted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(3):
        make.picture("L", (20, 24), seed=index).save(tmp_path / f"{index}.png", exif=exif)
    assert survey(tmp_path).picture == (24, 20)
    assert opened(tmp_path).frame.crop[2:] == (24, 20)


def test_mixed_shapes_follow_the_most_common(tmp_path: Path) -> None:
    make.folder(tmp_path, count=5, size=(24, 20))
    make.folder(tmp_path / "more", count=2, size=(50, 30))
    data = opened(tmp_path)
    assert data.frame.picture == (24, 20) and "2 shapes" in " ".join(data.says)


def test_zips_and_nested_folders_are_alike(tmp_path: Path) -> None:
    members = {f"a/b/{index}.png": make.png(seed=index) for index in range(4)}
    zipped = make.archive(tmp_path / "set.zip", {**members, "notes.txt": b"text", "__MACOSX/a/0.png": b"junk"})
    with zipfile.ZipFile(zipped) as archive:
        archive.extractall(tmp_path / "set")
    (tmp_path / "set" / "__MACOSX" / "a" / "0.png").unlink()
    assert np.array_equal(opened(zipped).pixels, opened(tmp_path / "set").pixels)


def test_a_link_that_leads_back_is_not_followed(tmp_path: Path) -> None:
    make.folder(tmp_path / "set" / "deep", count=3)
    make.folder(tmp_path / "elsewhere", count=2)
    try:
        (tmp_path / "set" / "deep" / "up").symlink_to(tmp_path / "set", target_is_directory=True)
        (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set", target_is_directory=True)
        (tmp_path / "set" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    expected = [*(f"deep/{index:03}.png" for index in range(3)), *(f"link/{index:03}.png" for index in range(2))]
    assert sources.find(tmp_path / "set").names == tuple(expected)


@pytest.mark.parametrize("extra", ["", "data"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_oasis_as_it_is_downloaded(tmp_path: Path, extra: str, kind: str) -> None:
    root = tmp_path / "keras_png_slices_data"
    for split, count in [("train", 4), ("validate", 2), ("test", 1)]:
        make.folder(root / extra / f"keras_png_slices_{split}", count=count)
        make.folder(root / extra / f"keras_png_slices_seg_{split}", count=count)
    path = root
    if kind == "zip":
        files = {f.relative_to(tmp_path).as_posix(): f.read_bytes() for f in root.rglob("*.png")}
        path = make.archive(tmp_path / "oasis.zip", files)
    data = opened(path)
    assert len(data) == 4
    used, left = "4 of keras_png_slices_train are used", "10 of other splits and segmentations left out"
    assert data.says == [f"OASIS slices: {used}, {left}"]


@pytest.mark.parametrize(("count", "says"), [(1, "there is one picture only"), (5, "all 5 pictures are the same")])
def test_pictures_that_are_all_the_same_are_said(tmp_path: Path, count: int, says: str) -> None:
    for index in range(count):
        make.save(tmp_path / f"{index}.png", Image.new("L", (20, 24), 0))
    assert says in " ".join(opened(tmp_path).says)
    make.folder(tmp_path / "more", count=2)
    assert "same" not in " ".join(opened(tmp_path).says)


def test_a_few_unreadable_files_are_named_and_left_out(tmp_path: Path) -> None:
    make.folder(tmp_path, count=39)
    whole = make.png(seed=39)
    (tmp_path / "z_cut.png").write_bytes(whole[: len(whole) // 2])
    data = opened(tmp_path)
    assert len(data) == 39
    assert data.says == ["1 of 40 pictures cannot be read and are left out: z_cut.png"]


def test_too_many_unreadable_files(tmp_path: Path) -> None:
    make.folder(tmp_path, count=20)
    for index in range(12):
        (tmp_path / f"bad{index:02}.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(DataError, match=r"12 of 32 pictures cannot be read.*bad00\.png.*bad09\.png and 2 more"):
        survey(tmp_path)


def test_a_zip_with_a_broken_member(tmp_path: Path) -> None:
    path = make.archive(tmp_path / "set.zip", {f"{index}.png": make.png(seed=index) for index in range(2)})
    data = bytearray(path.read_bytes())
    data[60:70] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 2 pictures cannot be read.*0\.png"):
        survey(path)


@pytest.mark.parametrize("name", ["../out.png", "/etc/out.png", "a/../../out.png", "C:\\out.png", "..\\out.png"])
def test_members_that_climb_out(tmp_path: Path, name: str) -> None:
    path = make.archive(tmp_path / "set.zip", {"a.png": make.png(), name: make.png()})
    with pytest.raises(DataError, match="1 of its 2 members climb out"):
        survey(path)


def test_no_such_path_and_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        survey(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("text", encoding="utf-8")
    with pytest.raises(DataError, match="holds 0 pictures"):
        survey(tmp_path)
    with pytest.raises(DataError, match=r"notes\.txt is neither a folder nor a zip"):
        survey(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="holds 0 pictures"):
        survey(make.archive(tmp_path / "empty.zip", {}))


def test_a_picture_beyond_the_limit(tmp_path: Path) -> None:
    make.folder(tmp_path, count=30)
    header = io.BytesIO()
    Image.new("1", (8, 8)).save(header, "PNG")
    data = bytearray(header.getvalue())
    data[16:24] = (20_000).to_bytes(4, "big") + (20_000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (tmp_path / "vast.png").write_bytes(data)
    with pytest.raises(DataError, match=r"vast\.png has 400000000 pixels"):
        survey(tmp_path)


def test_frames_that_do_not_fit_into_memory_go_to_a_file(tmp_path: Path) -> None:
    found = survey(make.folder(tmp_path / "in", count=6))
    frame = Frame.of(found.picture, size=(16, 16), fit="native")
    held = Frames.read(found, frame=frame, channels=None)
    filed = Frames.read(found, frame=frame, channels=None, folder=tmp_path, memory=100)
    assert isinstance(filed.pixels, np.memmap) and not isinstance(held.pixels, np.memmap)
    assert np.array_equal(held.pixels, filed.pixels)
    indices = np.array([5, 1])
    assert torch.equal(held.batch(indices, device=CPU), filed.batch(indices, device=CPU))


def test_a_disk_without_room_for_the_frames_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with holes would be made all the same, and writing into them end Python by a signal."""
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("this system takes the room when the file is made")
    found = survey(make.folder(tmp_path / "in", count=6))

    def full(*given: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    frame = Frame.of(found.picture, size=(16, 16), fit="native")
    with pytest.raises(OutputError, match=r"has no room for the pictures, which need .* \(No space left on device\)"):
        Frames.read(found, frame=frame, channels=None, folder=tmp_path, memory=100)


def test_gray_pictures_among_coloured_ones_are_said(tmp_path: Path) -> None:
    data = opened(make.folder(tmp_path, count=6, kinds=("L", "L", "RGB")))
    assert data.channels == 3 and data.says[-1].startswith("4 of 6 pictures are gray, the others RGB")
    assert not any("are gray" in sentence for sentence in opened(tmp_path, channels="3").says)


def test_phantoms_have_no_classes_whoever_asks() -> None:
    with pytest.raises(DataError, match="phantoms have no classes"):
        plan(Config.read({"data": "phantoms", "labels": True}))


def test_every_epoch_shows_every_picture(tmp_path: Path) -> None:
    data = opened(make.folder(tmp_path, count=7))
    order = data.order(np.arange(21), seed=3)
    epochs = order.reshape(3, 7)
    assert all(sorted(epoch.tolist()) == list(range(7)) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert np.array_equal(order[5:12], data.order(np.arange(5, 12), seed=3))
    assert not np.array_equal(order, data.order(np.arange(21), seed=4))


def test_phantoms_are_heads_and_always_the_same() -> None:
    first = phantoms.phantom(5, size=(64, 56))
    assert first.shape == (64, 56) and first.dtype == np.uint8
    assert np.array_equal(first, phantoms.phantom(5, size=(64, 56)))
    assert not np.array_equal(first, phantoms.phantom(6, size=(64, 56)))
    assert (first[0] == 0).all() and first[24:40, 20:36].mean() > 20
    large = phantoms.phantom(5, size=(256, 224))
    means = large.reshape(64, 4, 56, 4).mean(axis=(1, 3))
    assert abs(means - first).mean() < 3, "the same head at another size, edges anti-aliased"


def test_phantoms_as_data() -> None:
    data = open_data(plan(Config.read({"data": "phantoms", "size": "24x20"})))
    assert isinstance(data, Phantoms) and data.frame.crop == (0, 0, 24, 20)
    order = data.order(np.arange(6), seed=1)
    assert len(set(order.tolist())) == 6
    batch = data.batch(order, device=CPU)
    assert batch.shape == (6, 1, 24, 20) and batch.min() == -1 and 0 < batch.max() <= 1
