"""A training zip: lossless, resumable, and what its dataset.json says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import pictures
from core.errors import DataError, OutputError, SettingError
from tests.train import make, scans
from train.config import Config
from train.data import Frames
from train.opening import open_data, plan
from train.prepare import report, work
from train.prepare.__main__ import main
from train.slicing import Slicing

ROOT = Path(__file__).resolve().parents[3]


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def prepared(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main([*map(str, arguments), "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def said_inside(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("dataset.json"))
    return found


def test_every_kind_of_picture_without_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make.folder(tmp_path / "in" / "deep" / "er", count=16, kinds=make.KINDS)
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    assert np.array_equal(opened(tmp_path / "out.zip").pixels, opened(tmp_path / "in").pixels)
    assert said["pictures"] == 16 and said["sizes"] == {"24x20": 16} and said["broken"] == []
    assert said["modes"] == {"8-bit RGB": 8, "8-bit gray": 6, "16-bit gray": 2}
    assert said["frame"]["crop"][2:] == [24, 20]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out.png", "out.zip"]
    sheet = pictures.read(tmp_path / "out.png")
    height, width = said["frame"]["size"]
    assert sheet.shape[:2] == (2 * height + 2, 8 * width + 14)


def test_duplicates_and_broken_files_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make.folder(tmp_path / "in", count=39)
    make.save(tmp_path / "in" / "again.bmp", make.picture("L", seed=7))
    make.save(tmp_path / "in" / "gray.png", make.picture("L", seed=7).convert("RGB"))
    (tmp_path / "in" / "cut.png").write_bytes(make.png(seed=3)[:120])
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    assert said["broken"] == ["cut.png"] and said["pictures"] == 41 and said["left_out"] == 1
    assert said["duplicates"] == [["007.png", "again.png", "gray.png"]]
    assert main([str(tmp_path / "in"), str(tmp_path / "out.zip")]) == 0
    assert "2 pictures are there more than once: 007.png = again.png" in capsys.readouterr().out


def test_equal_names_get_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("png", "bmp", "tif"):
        make.save(tmp_path / "in" / f"a.{suffix}", make.picture("L", seed=len(suffix)))
    prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    assert sorted(said_inside(tmp_path / "out.zip")["sources"]) == ["a-2.png", "a-3.png", "a.png"]


def test_volumes_carry_their_units_and_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for who in ("sub-01", "sub-02"):
        scans.nifti(tmp_path / "in" / who / f"{who}_T1w.nii.gz", scans.head() * int(who[-1:]))
        scans.nifti(tmp_path / "in" / who / f"{who}_mask.nii.gz", scans.head())
    flags = ("--only", "*T1w*", "--window", "-100,1000", "--slices", "25%-75%")
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip", *flags)
    assert said["intensity"] == {"slope": 1100 / 65535, "intercept": -100.0, "unit": None}
    inside = said_inside(tmp_path / "out.zip")
    assert list(inside["people"].items())[0] == ("sub-01/sub-01_T1w_slice005.png", "sub-01")
    direct = opened(tmp_path / "in", only="*T1w*", window="-100,1000", slices="25%-75%")
    data = opened(tmp_path / "out.zip")
    assert np.array_equal(data.pixels, direct.pixels) and data.fingerprint == direct.fingerprint
    assert data.facts() == direct.facts() and data.who == direct.who
    again = prepared(capsys, tmp_path / "out.zip", tmp_path / "some.zip", "--only", "sub-01*")
    assert 0 < again["pictures"] < said["pictures"] and again["intensity"] == said["intensity"]
    auto = prepared(capsys, tmp_path / "in", tmp_path / "auto.zip")
    assert auto["intensity"] is None and len(said_inside(tmp_path / "auto.zip")["intensities"]) == auto["pictures"]


def test_twelve_bits_in_files_of_sixteen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report says that such pictures are dark and how to mend it, and that works, on the zip as on the source."""
    levels = np.linspace(0, 4000, 24 * 20).astype(np.uint16).reshape(24, 20)
    for number in range(3):
        make.save(tmp_path / "in" / f"{number}.tif", Image.fromarray(levels + np.uint16(number)))
    assert main([str(tmp_path / "in"), str(tmp_path / "dark.zip")]) == 0
    note = "the brightest of these 16-bit pictures reaches 4002 of 65535, so they are dark; give --window 0,4095"
    assert f"note:          {note} to fill the range\n" in capsys.readouterr().out
    for source in ("in", "dark.zip"):
        said = prepared(capsys, tmp_path / source, tmp_path / f"from-{source}.zip", "--window", "0,4095")
        assert said["intensity"] == {"slope": 4095 / 65535, "intercept": 0.0, "unit": None} and not said["says"]
        data = opened(tmp_path / f"from-{source}.zip")
        assert data.pixels.max() == round(4002 / 4095 * 65535)
        assert not any("dark" in sentence for sentence in data.says)


def test_a_window_of_levels_that_have_a_unit_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Levels 16384 to 49152 of -1000 to 1000 HU are -500 to 500 HU."""
    scans.nifti(tmp_path / "a.nii.gz", scans.head())
    prepared(capsys, tmp_path / "a.nii.gz", tmp_path / "all.zip", "--window", "-1000,1000")
    said = prepared(capsys, tmp_path / "all.zip", tmp_path / "some.zip", "--window", "16384,49152")
    low, high = said["intensity"]["intercept"], said["intensity"]["intercept"] + 65535 * said["intensity"]["slope"]
    np.testing.assert_allclose([low, high], [-500.0, 500.0], atol=0.05)
    assert opened(tmp_path / "some.zip").facts()["intensity"] == said["intensity"]
    assert opened(tmp_path / "all.zip", window="16384,49152").facts()["intensity"] == said["intensity"]
    # Levels that have a meaning are not called dark.
    prepared(capsys, tmp_path / "a.nii.gz", tmp_path / "wide.zip", "--window", "-1000,90000")
    assert opened(tmp_path / "wide.zip").pixels.max() < 16384
    assert not prepared(capsys, tmp_path / "wide.zip", tmp_path / "again.zip")["says"]
    assert not any("dark" in sentence for sentence in opened(tmp_path / "wide.zip").says)


def test_what_a_window_cuts_off_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.tile(np.linspace(0, 999, 1000, dtype=np.float32).reshape(20, 50, 1), (1, 1, 4))
    scans.nifti(tmp_path / "a.nii.gz", values)
    shares = {}
    for window in ("0,2000", "0,959", "100,499"):
        said = prepared(capsys, tmp_path / "a.nii.gz", tmp_path / f"{window}.zip", "--window", window)
        shares[window] = said["ends"]["black"], said["ends"]["white"], said["says"]
    note = "50% of the values are at or above what is white; a higher HIGH in --window LOW,HIGH keeps them"
    assert shares == {"0,2000": (0.001, 0, []), "0,959": (0.001, 0.041, []), "100,499": (0.101, 0.501, [note])}
    assert main([str(tmp_path / "a.nii.gz"), str(tmp_path / "100,499.zip"), "--window", "100,499"]) == 0
    assert "at the ends:   10.1% of the values are black, 50.1% white" in capsys.readouterr().out


def test_ranges_of_their_own_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        scans.nifti(tmp_path / "in" / f"sub-{number}.nii.gz", scans.head() * number)
    assert main([str(tmp_path / "in"), str(tmp_path / "out.zip")]) == 0
    told = "levels:        a range of its own in each of 3 scans; prepare the scans with --window LOW,HIGH to have one"
    assert told in capsys.readouterr().out
    says = " ".join(opened(tmp_path / "out.zip").says)
    assert "own in each of 3 scans, so levels have no common unit; prepare the scans again with --window" in says


def test_ranges_of_their_own_outlive_a_second_preparing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (1, 2, 3):
        scans.nifti(tmp_path / "in" / f"sub-{number}.nii.gz", scans.head() * number)
    prepared(capsys, tmp_path / "in", tmp_path / "one.zip")
    first = said_inside(tmp_path / "one.zip")
    assert prepared(capsys, tmp_path / "one.zip", tmp_path / "two.zip")["ranges"] == 3
    assert said_inside(tmp_path / "two.zip")["intensities"] == first["intensities"]
    alone = prepared(capsys, tmp_path / "one.zip", tmp_path / "three.zip", "--only", "sub-2*")
    own = next(one for name, one in first["intensities"].items() if name.startswith("sub-2"))
    assert [*alone["intensity"].values()] == own, "those of one scan have one meaning"
    assert opened(tmp_path / "one.zip", only="sub-2*").facts()["intensity"] == alone["intensity"]
    # A window cuts levels, which still mean something else in each scan.
    cut = prepared(capsys, tmp_path / "one.zip", tmp_path / "four.zip", "--window", "0,32768")
    assert cut["ranges"] == 3 and cut["intensity"] is None
    windowed = next(one for name, one in said_inside(tmp_path / "four.zip")["intensities"].items() if "sub-2" in name)
    assert windowed[0] == pytest.approx(own[0] * 32768 / 65535) and windowed[1] == pytest.approx(own[1])
    assert not opened(tmp_path / "one.zip", window="0,32768").facts()


def test_the_contact_sheet_is_in_the_frame_of_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where those pictures that it shows, some from all over the zip, are not of the common shape."""
    shown = np.linspace(0, 119, report.SHEET).astype(int)
    for number in range(120):
        size = (16, 32) if number in shown else (32, 16)
        make.save(tmp_path / "in" / f"{number:03}.png", Image.new("L", size[::-1], number))
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    for _ in range(2):
        height, width = said["frame"]["size"]
        assert said["picture"] == [32, 16] and (height, width) == (32, 16)
        assert pictures.read(tmp_path / "out.png").shape[:2] == (6 * height + 10, 8 * width + 14)
        (tmp_path / "out.png").unlink()
        said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")


def test_square_pixels_are_in_the_report_and_in_the_zip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nib = pytest.importorskip("nibabel")
    (tmp_path / "in").mkdir()
    nib.save(nib.Nifti1Image(scans.head(), np.diag([1.0, 1.0, 2.5, 1.0])), tmp_path / "in" / "thick.nii")
    flags = ("--axis", "coronal")
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip", *flags)
    assert said["resampled"] == {"thick.nii": [2.5, 1.0]} and list(said["sizes"]) == ["50x12"]
    assert said_inside(tmp_path / "out.zip")["report"]["resampled"] == said["resampled"]
    assert main([str(tmp_path / "in"), str(tmp_path / "out.zip"), *flags]) == 0
    assert "note:          pixels of 1 scans are not square, such as 2.5 x 1 mm" in capsys.readouterr().out
    direct = opened(tmp_path / "in", axis="coronal")
    assert direct.frame.picture == (50, 12) and np.array_equal(opened(tmp_path / "out.zip").pixels, direct.pixels)


def test_dicom_patients_get_new_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pydicom")
    scans.series(tmp_path / "in" / "a", PatientID="Doe, John", PatientName="Doe^John", Modality="CT")
    scans.series(tmp_path / "in" / "b", PatientID="Roe, Jane", Modality="CT")
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    assert said["people"] == 2 and said["intensity"]["unit"] == "HU"
    assert b"Doe" not in (tmp_path / "out.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "Doe" not in archive.read("dataset.json").decode()
    assert opened(tmp_path / "out.zip").facts()["intensity"]["unit"] == "HU"


def test_classes_of_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, kind in enumerate(("AD", "NC")):
        for k in range(3 + number):
            make.save(
                tmp_path / "in" / "train" / kind / f"21839{number}_{k}.jpeg", make.picture("L", (240, 256), seed=k)
            )
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip", "--labels", "folders")
    assert said["classes"] == {"AD": 3, "NC": 4} and said["people"] == 2
    assert said["frame"]["size"] == [256, 256] and said["frame"]["crop"] == [8, 0, 240, 256]
    data = opened(tmp_path / "out.zip", labels=True)
    assert data.classes == ("AD", "NC") and np.bincount(data.labels).tolist() == [3, 4]
    inside = said_inside(tmp_path / "out.zip")
    assert inside["labels"][0] == ["train/AD/218390_0.png", 0] and inside["classes"] == ["AD", "NC"]


@pytest.mark.parametrize("keys", ["name", "stem", "person"])
def test_classes_of_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: str) -> None:
    rows = ["Subject;Age;Diagnosis"]
    for k in range(4):
        file = f"OAS1_{k:04}_slice0.png"
        make.save(tmp_path / "in" / file, make.picture("L", seed=k))
        rows.append(";".join([{"name": file, "stem": file[:-4], "person": f"OAS1_{k:04}"}[keys], "70", f"CDR {k % 2}"]))
    (tmp_path / "classes.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip", "--labels", tmp_path / "classes.csv")
    assert said["classes"] == {"CDR 0": 2, "CDR 1": 2}
    (tmp_path / "classes.csv").write_text("\n".join(rows[:-1]), encoding="utf-8")
    with pytest.raises(DataError, match=r"no row for 1 of 4 files, such as OAS1_0003_slice0\.png"):
        main([str(tmp_path / "in"), str(tmp_path / "b.zip"), "--labels", str(tmp_path / "classes.csv")])
    with pytest.raises(DataError, match="cannot be read as a table"):
        main([str(tmp_path / "in"), str(tmp_path / "b.zip"), "--labels", str(tmp_path / "no.csv")])


def test_rows_without_a_class_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(4):
        make.save(tmp_path / "in" / f"OAS1_{k:04}_MR1_x.png", make.picture("L", seed=k))
    rows = ["ID,CDR,label", *(f"OAS1_{k:04}_MR1,0,{kind}" for k, kind in enumerate(("0", "0.5", "", "")))]
    table = tmp_path / "classes.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"no row for 2 of 4 files.* \(rows without a class, .*: 2\)"):
        main([str(tmp_path / "in"), str(tmp_path / "a.zip"), "--labels", str(table)])
    full = [*rows[:3], "OAS1_0002_MR1,0,0", "OAS1_0003_MR1,0,0", "OAS1_0003_MR2,0, "]
    table.write_text("\n".join(full), encoding="utf-8")
    said = prepared(capsys, tmp_path / "in", tmp_path / "b.zip", "--labels", table)
    assert said["classes"] == {"0": 3, "0.5": 1}
    table.write_text("name,label\na,\nb, ", encoding="utf-8")
    with pytest.raises(DataError, match="no rows of a name and a class"):
        main([str(tmp_path / "in"), str(tmp_path / "c.zip"), "--labels", str(table)])


def test_rows_of_visits_name_a_person_where_they_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(2):
        make.save(tmp_path / "in" / f"OAS1_{k:04}_MR1_mpr_111.png", make.picture("L", seed=k))
    rows = ["ID,CDR,label", "OAS1_0000_MR1,0,a", "OAS1_0001_MR1,0,b", "OAS1_0001_MR2,0,b"]
    table = tmp_path / "classes.csv"
    table.write_text("\n".join(rows), encoding="utf-8")
    assert prepared(capsys, tmp_path / "in", tmp_path / "a.zip", "--labels", table)["classes"] == {"a": 1, "b": 1}
    table.write_text("\n".join([*rows, "OAS1_0001_MR3,0,a"]), encoding="utf-8")
    with pytest.raises(DataError, match="no row for 1 of 2 files, such as OAS1_0001.*whose rows have to agree"):
        main([str(tmp_path / "in"), str(tmp_path / "b.zip"), "--labels", str(table)])
    own = ["name,label", "OAS1_0000_MR1_mpr_111.png,a"]
    make.save(tmp_path / "in" / "OAS1_0000_MR1_mpr_112.png", make.picture("L", seed=9))
    table.write_text("\n".join([*own, "OAS1_0001_MR1,b"]), encoding="utf-8")
    with pytest.raises(DataError, match=r"no row for 1 of 3 files, such as OAS1_0000_MR1_mpr_112\.png"):
        main([str(tmp_path / "in"), str(tmp_path / "b.zip"), "--labels", str(table)])


def test_killed_in_the_middle_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "PART_PICTURES", 5)
    make.folder(tmp_path / "in", count=23)
    whole = prepared(capsys, tmp_path / "in", tmp_path / "whole.zip")
    read, encoded = list[str](), work._one

    def dying(shot: Any, *where: Any) -> Any:
        if len(read) == 12:
            raise KeyboardInterrupt
        read.append(shot.name)
        return encoded(shot, *where)

    monkeypatch.setattr(work, "_one", dying)
    with pytest.raises(KeyboardInterrupt):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip")])
    assert not (tmp_path / "out.zip").exists()
    parts = sorted(p.name for p in (tmp_path / "out.zip.parts").iterdir())
    assert len(parts) == 2 and all(name.endswith(".zip") for name in parts)
    again = list[str]()
    monkeypatch.setattr(work, "_one", lambda shot, *where: again.append(shot.name) or encoded(shot, *where))
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip")
    assert len(again) == 13, "what was done is not read again"
    assert said["pictures"] == whole["pictures"] and not (tmp_path / "out.zip.parts").exists()
    assert (tmp_path / "out.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PART_PICTURES", 4)
    make.folder(tmp_path / "in", count=8)
    monkeypatch.setattr(work, "_join", lambda *rest: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip")])
    before = {p.name for p in (tmp_path / "out.zip.parts").iterdir()}
    make.save(tmp_path / "in" / "006.png", make.picture("L", seed=99))
    with pytest.raises(KeyboardInterrupt):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip")])
    after = {p.name for p in (tmp_path / "out.zip.parts").iterdir()}
    assert len(before) == 2 and len(after - before) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_kill_9(tmp_path: Path) -> None:
    for k in range(30):
        make.save(tmp_path / "in" / f"{k:03}.png", Image.fromarray(make.levels((300, 300), seed=k)))
    code = (
        "import sys, time\nfrom train.prepare import work\nfrom train.prepare.__main__ import main\n"
        "work.PART_PICTURES = 3\nmade, parts = work._make, []\n"
        "def slow(path, *what):\n    made(path, *what)\n    print('part', flush=True)\n    parts.append(path)\n"
        "    time.sleep(600 * (len(parts) == 3))\n"
        "work._make = slow\nmain(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "out.zip")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out.zip").exists() and len(list((tmp_path / "out.zip.parts").glob("0*.zip"))) >= 3
    assert main([str(tmp_path / "in"), str(tmp_path / "out.zip")]) == 0
    assert len(opened(tmp_path / "out.zip")) == 30


def test_where_it_may_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make.folder(tmp_path / "in", count=3)
    with pytest.raises(SettingError, match="the name of a zip"):
        main([str(tmp_path / "in"), str(tmp_path / "out")])
    with pytest.raises(SettingError, match="a place outside"):
        main([str(tmp_path / "in"), str(tmp_path / "in" / "out.zip")])
    (tmp_path / "out.zip").write_bytes(b"mine")
    with pytest.raises(OutputError, match="is there already and is no zip of this command"):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip")])
    assert (tmp_path / "out.zip").read_bytes() == b"mine"
    first = prepared(capsys, tmp_path / "in", tmp_path / "b.zip")
    assert prepared(capsys, tmp_path / "in", tmp_path / "b.zip") == first
    make.folder(tmp_path / "in", count=4)
    with pytest.raises(OutputError, match="made from other files or with other settings"):
        main([str(tmp_path / "in"), str(tmp_path / "b.zip")])
    with pytest.raises(SettingError, match="window"):
        main([str(tmp_path / "in"), str(tmp_path / "c.zip"), "--window", "5,1"])


def test_labels_of_other_tools(tmp_path: Path) -> None:
    """StyleGAN2-ADA's own tool writes {"labels": [[name, class], ...]}."""
    members = {f"00000/img{k:08}.png": make.png(seed=k) for k in range(4)}
    labels = [[name, k % 3] for k, name in enumerate(members)]
    path = make.archive(tmp_path / "a.zip", {**members, "dataset.json": json.dumps({"labels": labels}).encode()})
    data = opened(path, labels=True)
    assert data.classes == ("0", "1", "2") and data.labels is not None and data.labels.tolist() == [0, 1, 2, 0]
    for text in (
        b'{"labels": null}',
        b"[1]",
        b'{"labels": [[1, 2], ["x", -1], 5], "people": [], "intensity": {"slope": 0}}',
    ):
        assert len(opened(make.archive(tmp_path / "b.zip", {**members, "dataset.json": text}))) == 4
    with pytest.raises(DataError, match="dataset.json that cannot be read"):
        opened(make.archive(tmp_path / "c.zip", {**members, "dataset.json": b"{"}))
    part = json.dumps({"labels": labels[:2]}).encode()
    with pytest.raises(DataError, match="names no class for 2 pictures"):
        opened(make.archive(tmp_path / "d.zip", {**members, "dataset.json": part}), labels=True)


def test_a_cell_that_no_table_has_is_told_as_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    make.folder(tmp_path / "in", count=2)
    (tmp_path / "big.csv").write_text("name,label\n000.png," + "x" * 140_000 + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="big.csv cannot be read as a table of labels"):
        work.prepare(work.Asked(tmp_path / "in", tmp_path / "o.zip", Slicing(), labels=str(tmp_path / "big.csv")))
    assert not (tmp_path / "o.zip").exists()


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        ("16", "native"),
        ("14x12", "native"),
        ("20x16", "pad"),
        ("16x24", "crop"),
        ("48x32", "stretch"),
        ("auto", "crop"),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
def test_fitted_pictures_are_those_that_a_training_would_see(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: str, fit: str, wide: bool
) -> None:
    for seed, shape in enumerate([(28, 24)] * 3 + [(40, 24), (9, 30)]):
        if wide:
            levels = np.random.default_rng(seed).integers(0, 65536, shape, dtype=np.uint16)
            make.save(tmp_path / "in" / f"{seed}.png", Image.fromarray(levels))
        else:
            make.save(tmp_path / "in" / f"{seed}.png", make.picture("RGB", shape, seed=seed))
    said = prepared(capsys, tmp_path / "in", tmp_path / "out.zip", "--size", size, "--fit", fit)
    source = opened(tmp_path / "in", size=size, fit=fit)
    height, width = source.frame.size
    found = opened(tmp_path / "out.zip", size=f"{height}x{width}")
    assert np.array_equal(found.pixels, source.pixels) and found.frame.crop == source.frame.crop
    assert found.pixels.dtype == (np.uint16 if wide else np.uint8)
    shown = "{}x{}".format(*source.frame.crop[2:])
    assert said["sizes"] == {shown: 5} and said["picture"] == list(source.frame.crop[2:])
    assert said["fitted"]["sizes"] == {"28x24": 3, "40x24": 1, "9x30": 1}
    assert said_inside(tmp_path / "out.zip")["fitted"] == {"size": [height, width], "fit": fit}
    expected = {"pad": 0, "crop": 1, "stretch": 5, "native": 0}[fit]
    assert said["fitted"]["enlarged"] == (expected if (size, fit) != ("auto", "crop") else 1)
    with pytest.raises(OutputError, match="with other settings"):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip")])
    assert prepared(capsys, tmp_path / "in", tmp_path / "out.zip", "--size", size, "--fit", fit) == said
    (tmp_path / "out.png").unlink()
    assert main([str(tmp_path / "in"), str(tmp_path / "out.zip"), "--size", size, "--fit", fit]) == 0
    assert f"fitted to {height}x{width} by {fit}" in capsys.readouterr().out and (tmp_path / "out.png").exists()


@pytest.mark.parametrize("flags", [("--size", "67"), ("--size", "2048"), ("--fit", "cover"), ("--size", "0x16")])
def test_sizes_and_fits_that_there_are_not_are_refused(tmp_path: Path, flags: tuple[str, str]) -> None:
    make.folder(tmp_path / "in", count=2)
    with pytest.raises(SettingError, match=flags[0][2:]):
        main([str(tmp_path / "in"), str(tmp_path / "out.zip"), *flags])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
