"""Data that was made to do harm, from the command line: each command ends with one sentence, or does its work."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import command, pictures, sources
from tests.train import make, scans
from tests.train.test_run import run
from train.prepare.__main__ import main as prepare

TOY = [
    *("--size", "16", "--fit", "pad", "--channel-base", "64", "--channel-max", "8", "--z-dim", "8", "--w-dim", "8"),
    *("--mapping-layers", "1", "--batch", "4", "--kimg", "0.008", "--tick", "0.008", "--threads", "1"),
    *("--precision", "float32", "--samples", "4"),
]
Maker = Callable[[Path], Path]
SQUARE = (16, 16)


def some(path: Path, **members: bytes) -> Path:
    """A zip of four whole pictures and what is given."""
    whole = {f"{k}.png": make.png(size=SQUARE, seed=k) for k in range(4)}
    return make.archive(path / "in.zip", {**whole, **{f"{name}.png": data for name, data in members.items()}})


def a_bomb(path: Path) -> Path:
    with zipfile.ZipFile(path / "in.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(5):
            archive.writestr(f"{k}.png", b"\0" * 3_000_000)
    return path / "in.zip"


def a_volume(path: Path, *, holes: tuple[float, ...]) -> Path:
    voxels = scans.head(shape=(16, 16, 8)).astype(np.float32)
    for k, hole in enumerate(holes):
        voxels[k :: len(holes) + 1] = hole
    return scans.nifti(path / "in" / "a.nii.gz", voxels).parent


def not_text(path: Path) -> Path:
    for k in range(3):
        make.save(path / "in" / os.fsdecode(b"\xff%d.png" % k), make.picture("L", SQUARE, seed=k))
    return path / "in"


def a_pipe(path: Path) -> Path:
    os.mkfifo(make.folder(path / "in", size=SQUARE) / "pipe.png")
    return path / "in"


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    (path / "in").mkdir()
    for k in range(4):
        make.picture("L", (12, 16), seed=k).save(path / "in" / f"{k}.jpg", exif=exif)
    return path / "in"


def equal(path: Path) -> Path:
    for k in range(4):
        make.save(path / "in" / f"{k}.png", Image.fromarray(np.full(SQUARE, 90, np.uint8)))
    return path / "in"


def of_every_kind(path: Path) -> Path:
    """16 bits, CMYK, alpha ..., with names in other scripts, and one that breaks a line."""
    names = ["脑", "мозг", "دماغ", "größe", "🧠", "a\nb", "c d", "'\""]
    for name, kind in zip(names, make.KINDS, strict=True):
        suffix = "tif" if kind == "CMYK" else "png"
        make.save(path / "in" / f"{name}.{suffix}", make.picture(kind, SQUARE))
    return path / "in"


def holding_no_pixels(path: Path, *, rows: int | None) -> Path:
    pytest.importorskip("pydicom")
    return scans.dicom(path / "in" / "a.dcm", np.zeros(SQUARE, np.int16), PixelData=None, Rows=rows).parent


def text(path: Path) -> Path:
    (path / "a.png").write_text("no picture", encoding="utf-8")
    return path / "a.png"


def climbing(path: Path) -> Path:
    return make.archive(path / "in.zip", {"../a.png": make.png()})


REFUSED: dict[str, tuple[Maker, str]] = {
    "a corrupt member": (
        lambda path: some(path, bad=make.png()[:60]),
        "1 of 5 pictures cannot be read, more than 1 in 20: bad.png, since bad.png is damaged",
    ),
    "a zip bomb": (a_bomb, "in.zip cannot be used: it unpacks to"),
    "a climbing path": (climbing, "1 of its 1 members climb out of it"),
    "DICOM without pixels": (lambda path: holding_no_pixels(path, rows=16), "a.dcm, since a.dcm has no pixels; mend"),
    "DICOM without a picture": (lambda path: holding_no_pixels(path, rows=None), "1 DICOM files hold no picture"),
    "NIfTI of NaN alone": (lambda path: a_volume(path, holes=(np.nan,) * 20), "has only empty slices"),
    "text": (text, "more than 1 in 20: a.png, since a.png is not a picture that can be read; mend"),
    "a device": (lambda path: Path(os.devnull), "is neither a folder nor a zip"),
}
WORKING: dict[str, tuple[Maker, int]] = {
    "one picture": (lambda path: make.folder(path / "in", count=1), 1),
    "equal pictures": (equal, 4),
    "every kind": (of_every_kind, 8),
    "turned by EXIF": (turned, 4),
    "NIfTI with NaN and infinities": (lambda path: a_volume(path, holes=(np.nan, np.inf, -np.inf)), 8),
    "names that are no text": (not_text, 3),
    "a pipe": (a_pipe, 8),
}
posix = {"names that are no text", "a pipe", "a device"}


@pytest.fixture
def maker(request: pytest.FixtureRequest) -> Maker:
    name: str = request.param
    if name in posix and os.name != "posix":
        pytest.skip("of POSIX alone")
    made: Maker = {**REFUSED, **WORKING}[name][0]
    return made


@pytest.mark.parametrize(("maker", "said"), [(name, said) for name, (_, said) in REFUSED.items()], indirect=["maker"])
def test_what_cannot_be_used_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], maker: Maker, said: str
) -> None:
    monkeypatch.setattr(sources, "_BOMB_BYTES", 10_000_000)
    source = maker(tmp_path)
    dry = run(monkeypatch, "--data", source, "--dry-run", *TOY)
    assert dry == 2 or not capsys.readouterr().err, "heads alone may look whole"
    for act in (
        lambda: run(monkeypatch, "--data", source, "--out", tmp_path / "run", *TOY),
        lambda: command.run(lambda: prepare([str(source), str(tmp_path / "out.zip")])),
    ):
        capsys.readouterr()
        assert act() == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: ") and said in line
    assert not (tmp_path / "run").exists() and not (tmp_path / "out.zip").exists()


@pytest.mark.parametrize(
    ("maker", "count"), [(name, count) for name, (_, count) in WORKING.items()], indirect=["maker"]
)
def test_what_is_merely_odd_is_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], maker: Maker, count: int
) -> None:
    source = maker(tmp_path)
    assert run(monkeypatch, "--data", source, "--dry-run", *TOY) == 0
    assert run(monkeypatch, "--data", source, "--out", tmp_path / "run", *TOY) == 0
    assert pictures.read(tmp_path / "run" / "data.png").max() > 0
    capsys.readouterr()
    assert command.run(lambda: prepare([str(source), str(tmp_path / "out.zip"), "--json"])) == 0
    assert f'"pictures": {count}, "left_out": 0' in capsys.readouterr().out
    assert run(monkeypatch, "--data", tmp_path / "out.zip", "--dry-run", *TOY) == 0
