"""Data that was made to do harm, or came out wrong: a clear sentence or a working result, and bounded memory."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core import sources
from core.errors import DataError, PictureError
from tests.train import make
from train.config import Config
from train.data import Frames, survey
from train.items import ArrayItem
from train.loop import Trainer
from train.networks import build
from train.opening import open_data, plan
from train.slicing import Slicing

CPU = torch.device("cpu")


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def array(path: Path, values: object, **how: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values, **how)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("same", [False, True])
def test_one_picture_and_equal_pictures_can_be_trained_on(tmp_path: Path, same: bool) -> None:
    for k in range(6 if same else 1):
        make.save(tmp_path / f"{k}.png", Image.fromarray(np.full((16, 16), 90, np.uint8)))
    config = Config.read({**make.TINY, "data": str(tmp_path)})
    data = open_data(plan(config))
    assert data.order(np.arange(4), seed=0).max() < len(data)
    networks = build(config, size=(16, 16), channels=1, device=CPU)
    trainer = Trainer(config, networks, data, device=CPU)
    trainer.step()
    assert trainer.images == 4
    if not same:
        with pytest.raises(DataError, match="of 1 pictures none can be held out"):
            data.split(0.5, seed=0)


def test_a_zip_bomb_is_refused_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {f"{k}.png": b"\0" * 3_000_000 for k in range(5)}
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    monkeypatch.setattr(sources, "_BOMB_BYTES", 10_000_000)
    with pytest.raises(DataError, match="it unpacks to 0 GiB, [0-9]{3,} times its own size"):
        survey(path)
    monkeypatch.setattr(sources, "_BOMB_BYTES", 2**40)
    monkeypatch.setattr(sources, "_MEMBER_LIMIT", 1_000_000)
    with pytest.raises(DataError, match="5 of 5 pictures cannot be read"):
        survey(path)


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "lie.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\x93NUMPY" + b"\0" * 2_000_000)
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match="1 of 1 pictures cannot be read"):
        survey(path)


def test_names_that_windows_wrote(tmp_path: Path) -> None:
    members = {f"set\\{kind}\\person{k:03}_slice0.png": make.png(seed=k) for kind in ("AD", "NC") for k in range(2)}
    path = tmp_path / "windows.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo("x")
            member.filename = name
            archive.writestr(member, data)
    data = opened(path, labels=True)
    assert data.classes == ("AD", "NC") and data.names[0] == "set/AD/person000_slice0.png"
    assert set(data.who) == {"person000", "person001"}


def test_names_in_other_scripts(tmp_path: Path) -> None:
    names = ["脑/切片_01.png", "мозг/срез 1.png", "دماغ/شريحة.png", "gehirn/größe.png", "🧠/a.png"]
    for k, name in enumerate(names):
        make.save(tmp_path / "set" / name, make.picture("L", seed=k))
    assert sorted(opened(tmp_path / "set", labels=True).classes) == sorted(name.split("/")[0] for name in names)
    zipped = make.archive(tmp_path / "set.zip", {name: make.png(seed=k) for k, name in enumerate(names)})
    assert np.array_equal(opened(zipped).pixels, opened(tmp_path / "set").pixels)


def test_a_member_with_a_password(tmp_path: Path) -> None:
    path = make.archive(tmp_path / "set.zip", {"a.png": make.png(), "b.png": make.png(seed=1)})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"1 of 2 pictures cannot be read.*a\.png"):
        opened(path)


def test_arrays(tmp_path: Path) -> None:
    eight = array(tmp_path / "eight.npy", np.arange(20 * 16, dtype=np.uint8).reshape(20, 16))
    assert np.array_equal(opened(eight).picture(0)[0], np.load(eight)) and opened(eight).pixels.dtype == np.uint8
    stack = np.random.default_rng(0).integers(0, 65536, (5, 20, 16)).astype(np.uint16)
    for name, values in {"stack": stack, "big": stack.astype(">u2"), "columns": np.asfortranarray(stack)}.items():
        data = opened(array(tmp_path / f"{name}.npy", values))
        assert np.array_equal(data.pixels[:, 0], stack) and data.names[2] == f"{name}.npy#002"
    assert np.array_equal(opened(tmp_path / "stack.npy", slices="1-2").pixels[:, 0], stack[1:3])
    colour = np.random.default_rng(0).integers(0, 256, (3, 20, 16, 3)).astype(np.uint8)
    assert np.array_equal(opened(array(tmp_path / "rgb.npy", colour)).pixels, colour.transpose(0, 3, 1, 2))
    unit = opened(array(tmp_path / "unit.npy", np.linspace(0, 1, 320, dtype=np.float32).reshape(20, 16)))
    assert unit.pixels.dtype == np.uint16 and unit.pixels.max() == 65535 and unit.facts() == {}
    hounsfield = array(tmp_path / "ct.npy", np.linspace(-1000, 3000, 320).astype(np.int16).reshape(20, 16))
    data = opened(hounsfield, window="-1000,3000")
    intensity = data.facts()["intensity"]
    values = data.picture(0)[0] * intensity["slope"] + intensity["intercept"]
    np.testing.assert_allclose(values, np.load(hounsfield), atol=0.04)


def test_arrays_in_a_zip(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 256, (5, 20, 16)).astype(np.uint8)
    data = io.BytesIO()
    np.save(data, stack)
    zipped = opened(make.archive(tmp_path / "set.zip", {"a.npy": data.getvalue()}))
    assert np.array_equal(zipped.pixels[:, 0], stack)


@pytest.mark.parametrize("kind", ["object", "text", "short", "vast", "lying", "shape", "complex"])
def test_arrays_that_cannot_be(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.npy"
    if kind == "object":
        array(path, np.array([[1, None]], dtype=object), allow_pickle=True)
    elif kind == "text":
        path.write_bytes(b"no array")
    elif kind == "shape":
        array(path, np.zeros(9))
    elif kind == "complex":
        array(path, np.zeros((4, 4), np.complex64))
    else:
        array(path, np.zeros((8, 8), np.uint8))
        whole = path.read_bytes()
        told = {"vast": b"(99999, 99999), }", "lying": b"(9000, 9000), }"}.get(kind, b"(8, 8), }")
        bad = whole.replace(b"(8, 8), }".ljust(len(told)), told)
        path.write_bytes(bad[:-9] if kind == "short" else bad)
    words = {
        "object": "holds no plain numbers", "text": "is not a NumPy file", "short": "is cut short",
        "vast": "bytes, more than", "lying": "is cut short", "shape": "an array of 9", "complex": "no plain numbers",
    }  # fmt: skip
    with pytest.raises(PictureError, match=words[kind]):
        ArrayItem.at(sources.Folder(tmp_path, ("bad.npy",)), 0, Slicing())
    with pytest.raises(DataError, match=r"1 of 1 pictures cannot be read.*bad\.npy"):
        survey(tmp_path)


def test_frames_on_the_disk_stay_there_when_some_are_left_out(tmp_path: Path) -> None:
    make.folder(tmp_path / "in", count=40)
    whole = (tmp_path / "in" / "007.png").read_bytes()
    (tmp_path / "in" / "007.png").write_bytes(whole[: len(whole) // 2])
    found = survey(tmp_path / "in")
    frame = plan(Config.read({"data": str(tmp_path / "in")})).frame
    filed = Frames.read(found, frame=frame, channels=None, folder=tmp_path, memory=100)
    assert isinstance(filed.pixels, np.memmap) and len(filed) == 39
    assert np.array_equal(filed.pixels, Frames.read(found, frame=frame, channels=None).pixels)
    training, held = filed.split(0.2, seed=0)
    assert isinstance(training.pixels, np.memmap) and held.pixels is filed.pixels


def test_a_manifest_that_lies(tmp_path: Path) -> None:
    said = {
        "classes": ["a"],
        "labels": [["0.png", 7]],
        "intensity": {"slope": float("inf"), "intercept": 0},
        "people": 5,
    }
    path = make.archive(tmp_path / "a.zip", {"0.png": make.png(), "dataset.json": json.dumps(said).encode()})
    assert opened(path).facts() == {} and opened(path, labels=True).classes == tuple(map(str, range(8)))


def test_the_plan_says_frame_and_margin(tmp_path: Path) -> None:
    for height, width, says in [
        (240, 256, "240x256 in a frame of 256x256, margin 8+8 rows, 0+0 columns"),
        (256, 240, "256x240 in a frame of 256x256, margin 0+0 rows, 8+8 columns"),
        (260, 228, "260x228 in a frame of 288x256, margin 14+14 rows, 14+14 columns"),
        (256, 256, "256x256 in a frame of 256x256, no margin"),
    ]:
        make.save(tmp_path / f"{height}x{width}" / "a.png", make.picture("L", (height, width)))
        assert plan(Config.read({"data": str(tmp_path / f"{height}x{width}")})).frame.says == says
