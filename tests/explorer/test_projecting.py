"""The verb project: points, files, folders, what is said, Ctrl-C, a yardstick that is kept."""

from __future__ import annotations

import argparse
import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core import pictures
from core.errors import StyloscopeError
from core.files import cache_folder
from explorer import kept, projecting
from explorer.__main__ import main
from explorer.flags import Steps
from explorer.projection import Distance
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.explorer.conftest import toy


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """checkpoints/brain, a picture of its own, and a cache of this test alone."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    toy(tmp_path / "checkpoints" / "brain.safetensors", crop=[1, 0, 12, 11])
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    pictures.write_png(tmp_path / "own.png", studio.exact(Recipe(seed=5000, psi=0.7)))
    return tmp_path


def project(places: Path, *flags: str, steps: int = 40) -> None:
    folder = ["--checkpoints", str(places / "checkpoints"), "--device", "cpu", "--steps", str(steps)]
    main(["project", *flags, *folder])


def test_a_point_beside_the_network(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(places, str(places / "own.png"), "--out", "mine", "--space", "w", "--json", steps=80)
    said = json.loads(capsys.readouterr().out)
    assert said["point"] == "mine" and said["distance"]["psnr"] >= 35 and said["own_distance"]["psnr"] >= 35
    assert said["looks"] == "a random network" and not said["stopped"] and said["steps"] == 80
    studio = Studio(places / "checkpoints", places / "runs", device="cpu")
    (entry,) = kept.entries(studio.network("brain"), "points")
    assert entry["made"] == "project" and entry["source"] == "own.png" and entry["distance"] == said["distance"]
    shown = studio.exact(Recipe(point="mine", psi=1.0)).astype(float)
    wanted = pictures.read(places / "own.png").astype(float)
    assert np.sqrt(np.square(shown - wanted).mean()) == pytest.approx(said["distance"]["levels"], abs=0.5)
    with pytest.raises(StyloscopeError, match="is there already"):
        project(places, str(places / "own.png"), "--out", "MINE")
    project(places, str(places / "own.png"), "--out", "mine", "--replace", steps=20)
    assert "gray levels from the picture" in capsys.readouterr().err


def test_a_file_and_a_yardstick_that_is_kept(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project(places, str(places / "own.png"), "--out", str(places / "x.safetensors"), "--json")
    first = json.loads(capsys.readouterr().out)
    network = Studio(places / "checkpoints", places / "runs").network("brain")
    point = kept.point_from(places / "x.safetensors", network)
    assert point.name == "x" and point.noise is None and not kept.names(network, "points")
    (known,) = cache_folder().glob("*.own.json")
    known.write_text(json.dumps({"levels": 1.5, "psnr": 44.6, "features": 0.25}), encoding="utf-8")
    project(places, str(places / "own.png"), "--out", str(places / "x.safetensors"), "--json")
    second = json.loads(capsys.readouterr().out)
    assert second["own_distance"] == {"levels": 1.5, "psnr": 44.6, "features": 0.25}
    assert second["distance"] == first["distance"]
    for damaged in ("[]", '{"levels": NaN}', '{"levels": -1, "psnr": 1, "features": 1}', "x" * 9000):
        known.write_text(damaged, encoding="utf-8")
        project(places, str(places / "own.png"), "--out", str(places / "x.safetensors"), "--json", steps=40)
        assert json.loads(capsys.readouterr().out)["own_distance"] == first["own_distance"]
        break  # one is enough to project again; the rest is read alone
    yardsticks = projecting.Yardsticks.__new__(projecting.Yardsticks)
    yardsticks._known = {}
    for damaged in (
        '{"levels": NaN, "psnr": 1, "features": 1}',
        '{"levels": -1, "psnr": 1, "features": 1}',
        "x" * 9000,
    ):
        known.write_text(damaged, encoding="utf-8")
        monkeypatch.setattr(projecting.Yardsticks, "_path", lambda self, wish: known)
        assert yardsticks._read(projecting.Wish()) is None


def test_a_folder_is_a_table_and_a_sheet(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = places / "scans"
    folder.mkdir()
    for index in range(2):
        pictures.write_png(folder / f"a scan {index}.png", np.full((24, 22), 40 * index, np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not read", encoding="utf-8")
    project(places, str(folder), "--out", str(places / "table.csv"), steps=20)
    caught = capsys.readouterr()
    assert "left out:" in caught.err and "broken.png" in caught.err
    with open(places / "table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["a scan 0.png", "a scan 1.png"]
    assert [row["point"] for row in rows] == ["a-scan-0", "a-scan-1"]
    assert all(float(row["levels"]) >= 0 and float(row["own_levels"]) >= 0 for row in rows)
    sheet = pictures.read(places / "table.png")
    assert sheet.shape == (12, 4 * 11 + 3 * 2)
    assert np.array_equal(sheet[:, 26:37], np.full((12, 11), 40, np.uint8))
    network = Studio(places / "checkpoints", places / "runs").network("brain")
    assert kept.names(network, "points") == ["a-scan-0", "a-scan-1"]
    project(places, str(folder), "--out", str(places / "table.csv"), steps=20)
    assert len(kept.names(network, "points")) == 4


def test_a_zip_is_a_table_and_a_sheet_too(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slices = places / "scan.zip"
    with zipfile.ZipFile(slices, "w") as archive:
        for index, name in enumerate(("left/slice.png", "right/slice.png")):
            archive.writestr(name, pictures.encode(np.full((24, 22), 40 * index + 20, np.uint8), "png"))
        archive.writestr("right/broken.png", b"no picture")
        archive.writestr("whole.nii.gz", b"a volume, which train.prepare cuts")
        archive.writestr("dataset.json", "{}")
    project(places, str(slices), "--out", str(places / "table.csv"), "--json", steps=20)
    caught = capsys.readouterr()
    said = json.loads(caught.out)
    assert [row["file"] for row in said["rows"]] == ["left/slice.png", "right/slice.png"]
    assert said["points"] == ["slice", "slice-2"] and said["left_out"] == 1
    assert "left out: right/broken.png in" in caught.err
    assert pictures.read(places / "table.png").shape == (12, 4 * 11 + 3 * 2)
    with pytest.raises(StyloscopeError, match="table of a folder or zip is written as .csv"):
        project(places, str(slices), "--out", "mine")
    with zipfile.ZipFile(slices, "w") as archive:
        archive.writestr("whole.nii.gz", b"a volume")
    with pytest.raises(StyloscopeError, match="scan.zip holds no pictures"):
        project(places, str(slices), "--out", str(places / "table.csv"))
    behind = places / "behind.png"
    behind.write_bytes((places / "own.png").read_bytes() + slices.read_bytes())
    assert zipfile.is_zipfile(behind)
    project(places, str(behind), "--out", "behind", steps=20)


def test_replacing_leaves_what_the_same_run_has_made(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = places / "scans"
    folder.mkdir()
    for index, name in enumerate(("a.png", "a.bmp", "A.gif")):
        (folder / name).write_bytes(pictures.encode(np.full((24, 22), 40 * index, np.uint8), "png"))
    for _ in range(2):
        project(places, str(folder), "--out", str(places / "table.csv"), "--replace", "--json", steps=20)
        said = json.loads(capsys.readouterr().out)
        assert len({name.casefold() for name in said["points"]}) == 3 and said["points"][0] == "A"
    network = Studio(places / "checkpoints", places / "runs").network("brain")
    sources = {entry["name"]: entry["source"] for entry in kept.entries(network, "points")}
    assert [sources[row["point"]] for row in said["rows"]] == [row["file"] for row in said["rows"]]


def test_a_sheet_is_no_larger_than_a_picture_may_be(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = places / "scans"
    folder.mkdir()
    for index in range(5):
        pictures.write_png(folder / f"{index}.png", np.full((12, 11), 40 * index, np.uint8))
    monkeypatch.setattr(projecting.pictures, "PIXEL_LIMIT", 8 * 14 * 13 * 2 - 1)
    project(places, str(folder), "--out", str(places / "table.csv"), steps=20)
    assert pictures.read(places / "table.png").shape == (12, 8 * 11 + 7 * 2)
    assert "shows the first 4 of 5" in capsys.readouterr().err
    (places / "other.png").mkdir()
    monkeypatch.setattr(projecting.Projector, "project", None)  # nothing is begun
    with pytest.raises(StyloscopeError, match="other.png is a folder"):
        project(places, str(folder), "--out", str(places / "other.csv"), steps=20)


def test_a_preview_that_cannot_be_put_there_ends_nothing(
    places: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def refusing(source: Path, target: Path) -> None:
        tried.append(target)
        if len(tried) < 4:
            raise PermissionError(13, "the page reads it")
        replace(source, target)

    replace = projecting.os.replace
    watched = projecting.Watched(places, Steps(argparse.Namespace(progress=False), None))
    network = Studio(places / "checkpoints", places / "runs", device="cpu").network("brain")
    found = projecting.Projector(network, device="cpu").project(
        pictures.read(places / "own.png"), projecting.Wish(steps=20), yardstick=False
    )
    monkeypatch.setattr(projecting.os, "replace", refusing)
    watched.show(found, stage="one w")
    assert len(tried) == 1 and not list(places.glob(f"*{projecting.PREVIEW}*"))
    watched.show(found)
    assert len(tried) == 4 and [path.name for path in places.glob(f"*{projecting.PREVIEW}*")] == [projecting.PREVIEW]


def test_a_watched_projection_shows_and_stops(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watched = places / "watched"
    watched.mkdir()
    (watched / projecting.STOP).touch()
    flags = ("--out", str(places / "x.safetensors"), "--watch", str(watched), "--json", "--progress")
    project(places, str(places / "own.png"), *flags, steps=400)
    said = json.loads(capsys.readouterr().out)
    assert said["stopped"] and said["steps"] == 0 and said["own_distance"] is None
    preview = json.loads((watched / projecting.PREVIEW).read_text(encoding="utf-8"))
    assert preview["distance"] == said["distance"] and preview["picture"] and preview["stopped"]
    assert sorted(path.name for path in watched.iterdir()) == [projecting.PREVIEW, projecting.STOP]


def test_a_place_to_watch_is_made_or_refused_at_once(places: Path) -> None:
    flags = ("--out", str(places / "watched.safetensors"), "--watch")
    project(places, str(places / "own.png"), *flags, str(places / "new" / "folder"), steps=20)
    assert (places / "new" / "folder" / projecting.PREVIEW).is_file()
    with pytest.raises(StyloscopeError, match="own.png is a file; name another place"):
        project(places, str(places / "own.png"), *flags, str(places / "own.png"), steps=20)


def test_ctrl_c_is_heard_once() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    with projecting.stopping() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("own.png",), "give --out"),
        (("own.png", "--out", "a/b"), "name of a point"),
        (("own.png", "--out", "mine.png"), "name of a point"),
        (("own.png", "--out", "_x"), "point cannot be"),
        (("none.png", "--out", "mine"), "none.png is missing"),
        (("checkpoints", "--out", "mine"), "written as .csv"),
        (("checkpoints", "--out", "mine.csv"), "holds no pictures"),
        (("own.png", "--out", "mine", "--space", "z"), "space"),
        (("own.png", "--out", "mine", "--label", "0"), "label"),
        (("own.png", "--out", "mine", "--features", "own.png"), "another program"),
    ],
)
def test_what_is_wrong_is_said(
    places: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(places)
    with pytest.raises(StyloscopeError, match=words):
        project(places, *flags)
    assert not kept.names(Studio(places / "checkpoints", places / "runs").network("brain"), "points")


def test_words_for_a_distance() -> None:
    far, near = Distance(12.34, 26.3, 0.1), Distance(0.8, 50.0, 0.01)
    assert "does not show" in projecting.words(far, near) and "12.3 gray levels" in projecting.words(far, near)
    assert "as well as its own" in projecting.words(near, near)
    assert "was not measured" in projecting.words(far, None)
