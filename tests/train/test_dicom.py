"""DICOM folders as slices."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from core import sources
from core.errors import DataError, PictureError
from tests.train import make, scans
from train import dicom
from train.config import Config
from train.data import Frames, survey
from train.opening import open_data, plan

pydicom = pytest.importorskip("pydicom")
FILES = Path(pydicom.__file__).parent / "data" / "test_files"


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def centre(data: Frames) -> list[int]:
    """The level in the middle of each picture."""
    height, width = data.frame.size
    return [int(data.picture(k)[0, height // 2, width // 2]) for k in range(len(data))]


def test_slices_come_in_the_order_of_their_places(tmp_path: Path) -> None:
    data = opened(scans.series(tmp_path), window="0,1000")
    assert len(data) == 6 and data.frame.crop[2:] == (20, 16)
    assert centre(data) == [round(65535 * k / 10) for k in range(1, 7)]
    assert data.names[0] == "006.dcm" and set(data.who) == {"patient-0001"}
    assert len(opened(tmp_path, window="0,1000", slices="1-2")) == 2


def test_without_places_by_number_and_without_numbers_by_name(tmp_path: Path) -> None:
    scans.series(tmp_path / "a", ImagePositionPatient=None)
    assert centre(opened(tmp_path / "a", window="0,1000"))[0] == round(65535 * 6 / 10)
    scans.series(tmp_path / "b", ImagePositionPatient=None, InstanceNumber=None)
    assert opened(tmp_path / "b").names[0] == "001.dcm"


def test_hounsfield_units_have_one_scale(tmp_path: Path) -> None:
    scans.series(tmp_path, Modality="CT", RescaleSlope=2.0, RescaleIntercept=-1000.0)
    data = opened(tmp_path)
    intensity = data.facts()["intensity"]
    assert intensity == {"slope": 2000 / 65535, "intercept": -1000.0, "unit": "HU"}
    values = [level * intensity["slope"] + intensity["intercept"] for level in centre(data)]
    np.testing.assert_allclose(values, [2 * 100 * k - 1000 for k in range(1, 7)], atol=0.02)
    own = opened(tmp_path, window="file")
    assert own.facts()["intensity"]["slope"] == 2000 / 65535, "no window of its own"
    scans.series(tmp_path, Modality="CT", WindowCenter=[400, 40], WindowWidth=[800, 80])
    assert opened(tmp_path, window="file").facts()["intensity"]["intercept"] == 0


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("limit", [None, -30000])
def test_padding_is_black_and_counts_for_no_window(tmp_path: Path, photometric: str, limit: int | None) -> None:
    picture = np.linspace(0, 1000, 20 * 16).reshape(20, 16).astype(np.int16)
    picture[:, :4] = -32768 if limit is None else np.linspace(-32768, -30000, 20 * 4).reshape(20, 4)
    tags = {"PixelPaddingValue": -32768, "PixelPaddingRangeLimit": limit, "PhotometricInterpretation": photometric}
    data = opened(scans.dicom(tmp_path / "a.dcm", picture, **tags))
    top, left, height, width = data.frame.crop
    shown = data.picture(0)[0, top : top + height, left : left + width].astype(int)
    assert (shown[:, :4] == 0).all()
    seen = shown[:, 4:] if photometric == "MONOCHROME2" else 65535 - shown[:, 4:]
    assert np.abs(seen - picture[:, 4:] * 65.535).max() < 1500, "the window is that of what was scanned"


@pytest.mark.parametrize("said", [63536, -2000])
def test_padding_with_and_without_its_sign(said: int) -> None:
    file = pydicom.Dataset()
    file.add_new("PixelPaddingValue", "US" if said > 0 else "SS", said)
    assert dicom._padding(file, np.dtype(np.int16)) == (-2000, -2000)
    assert dicom._padding(pydicom.Dataset(), np.dtype(np.int16)) is None


def test_8_bit_ct_that_is_not_scaled_is_not_in_hounsfield_units(tmp_path: Path) -> None:
    values = np.arange(20 * 16).reshape(20, 16) % 256
    eight = {
        "Modality": "CT", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
        "PixelData": values.astype(np.uint8).tobytes(),
    }  # fmt: skip
    data = opened(scans.dicom(tmp_path / "a.dcm", values, **eight))
    assert data.pixels.max() == 65535 and data.pixels.std() > 10000
    assert (data.facts().get("intensity") or {}).get("unit") is None
    scans.dicom(tmp_path / "b.dcm", values, **eight, RescaleIntercept=-100.0)
    intensity = opened(tmp_path / "b.dcm").facts()["intensity"]
    assert intensity == {"slope": 2000 / 65535, "intercept": -1000.0, "unit": "HU"}


def test_monochrome1_is_turned_around(tmp_path: Path) -> None:
    scans.series(tmp_path, PhotometricInterpretation="MONOCHROME1")
    data = opened(tmp_path, window="0,1000")
    assert centre(data) == [65535 - round(65535 * k / 10) for k in range(1, 7)]
    intensity = data.facts()["intensity"]
    assert intensity["slope"] < 0 and centre(data)[2] * intensity["slope"] + intensity["intercept"] == pytest.approx(
        300, abs=0.01
    )


def test_of_several_series_the_largest(tmp_path: Path) -> None:
    scans.series(tmp_path / "somebody", count=6)
    scout = np.full((30, 30), 500, np.int16)
    scout[0] = 0
    for k in range(2):
        scans.dicom(tmp_path / "somebody" / f"scout{k}.dcm", scout, SeriesInstanceUID="9.9", SeriesDescription="scout")
    scans.dicom(tmp_path / "somebody" / "odd.dcm", scout, SeriesDescription="T1")
    scans.series(tmp_path / "other", count=3, PatientID="other")
    data = opened(tmp_path)
    assert len(data) == 9
    said = "1 folders hold several DICOM series; the largest is used, such as 'MR' of 6 files in somebody"
    assert f"{said}; 3 files left out" in data.says
    assert sorted(set(data.who)) == ["patient-0001", "patient-0002"]


@pytest.mark.parametrize("modality", ["DX", "CR", "US", "OT"])
def test_radiographs_have_a_series_each_and_are_all_used(tmp_path: Path, modality: str) -> None:
    for k in range(5):
        picture = np.full((20, 16), 100 * (k + 1), np.int16)
        picture[:2] = 1000
        how = {"Modality": modality, "SeriesInstanceUID": f"1.{k}", "PatientID": ""}
        scans.dicom(tmp_path / f"{k}.dcm", picture, **how)
    data = opened(tmp_path, window="0,1000")
    assert centre(data) == [round(65535 * k / 10) for k in range(1, 6)]
    assert "left out" not in " ".join(data.says)


def test_views_of_several_shapes_share_a_series(tmp_path: Path) -> None:
    for k, size in enumerate([(20, 16), (20, 16), (24, 16)]):
        picture = np.arange(size[0] * size[1], dtype=np.int16).reshape(size)
        scans.dicom(tmp_path / f"{k}.dcm", picture, Modality="MG")
    assert opened(tmp_path).names == ("0.dcm", "1.dcm", "2.dcm")


def test_radiographs_beside_volumes(tmp_path: Path) -> None:
    scans.series(tmp_path, count=6)
    scans.series(tmp_path / "small", count=2, SeriesInstanceUID="1.9")
    for file in (tmp_path / "small").iterdir():
        file.rename(tmp_path / f"small{file.name}")
    scans.dicom(tmp_path / "x.dcm", scans.head()[:, :, 8], Modality="DX", SeriesInstanceUID="1.8")
    data = opened(tmp_path)
    assert len(data) == 7 and "x.dcm" in data.names
    assert "the largest is used, such as 'MR' of 6 files in .; 2 files left out" in " ".join(data.says)


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "SEG"}, {"Modality": "RTDOSE"}, {"Modality": "PR"}, {"Modality": "REG"},
        {"Modality": "OT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"},
        {"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2"},
        {"Modality": "SEG", "NumberOfFrames": 200_000},
    ],
)  # fmt: skip
def test_outlines_and_doses_are_no_pictures(tmp_path: Path, tags: dict[str, object]) -> None:
    scans.series(tmp_path, count=6)
    scans.dicom(tmp_path / "outline.dcm", np.ones((30, 20, 16), np.int16), **{"SeriesInstanceUID": "1.9", **tags})
    data = opened(tmp_path)
    assert len(data) == 6 and not any("outline" in name for name in data.names)
    named = f": {tags['Modality']}" if tags["Modality"] else ""
    assert f"1 DICOM files hold no picture (reports, plans, outlines and the like{named})" in data.says


def test_one_patient_id_for_all_tells_nobody_apart(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        scans.series(tmp_path / "set" / name, count=3, PatientID="ANONYMOUS")
        scans.series(tmp_path / "named" / f"sub-{name}" / "1", count=3, PatientID="0")
        scans.series(tmp_path / "named" / f"sub-{name}" / "2", count=3, PatientID="0")
    data = opened(tmp_path / "set")
    training, held = data.split(0.25, seed=1)
    assert len(held) == 3 and not set(training.who) & set(held.who) and "1 of 4 people" in training.says[-1]
    assert "the patient ID is the same in all 4 DICOM series" in " ".join(data.says)
    named = opened(tmp_path / "named")
    assert set(named.who) == {"sub-a", "sub-b", "sub-c", "sub-d"} and len(named.split(0.25, seed=1)[1]) == 6
    one = opened(tmp_path / "set" / "a")
    assert set(one.who) == {"patient-0001"} and "patient ID" not in " ".join(one.says)


def test_many_frames_in_one_file(tmp_path: Path) -> None:
    frames = np.stack([np.full((20, 16), 100 * (k + 1), np.int16) for k in range(5)])
    frames[:, :3] = 1000
    scans.dicom(tmp_path / "many.dcm", frames)
    data = opened(tmp_path, window="0,1000")
    assert centre(data) == [round(65535 * k / 10) for k in range(1, 6)] and data.names[3] == "many.dcm#003"


def test_names_without_a_suffix_as_archives_have_them(tmp_path: Path) -> None:
    scans.series(tmp_path / "set")
    for file in list((tmp_path / "set").iterdir()):
        file.rename(file.with_suffix(""))
    (tmp_path / "set" / "LICENSE").write_text("terms " * 50, encoding="utf-8")
    (tmp_path / "set" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    data = opened(tmp_path / "set")
    assert len(data) == 6
    files = {file.name: file.read_bytes() for file in (tmp_path / "set").iterdir()}
    assert np.array_equal(opened(make.archive(tmp_path / "set.zip", files)).pixels, data.pixels)


def test_files_without_pixels(tmp_path: Path) -> None:
    scans.series(tmp_path / "set")
    for report in ("test-SR.dcm", "rtstruct.dcm", "rtplan.dcm"):
        shutil.copy(FILES / report, tmp_path / "set")
    data = opened(tmp_path / "set")
    assert len(data) == 6 and "3 DICOM files hold no picture" in data.says[0]
    (tmp_path / "reports").mkdir()
    shutil.copy(FILES / "test-SR.dcm", tmp_path / "reports")
    with pytest.raises(DataError, match="has no picture among its 1 files .1 DICOM files hold no picture"):
        survey(tmp_path / "reports")
    scans.dicom(tmp_path / "hollow" / "a.dcm", np.zeros((8, 8), np.int16), PixelData=None)
    with pytest.raises(DataError, match="1 of 1 pictures cannot be read"):
        opened(tmp_path / "hollow")


@pytest.mark.parametrize(
    "name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm"]
)
def test_one_picture_in_several_encodings(tmp_path: Path, name: str) -> None:
    shutil.copy(FILES / "MR_small.dcm", tmp_path / "plain.dcm")
    (tmp_path / "one").mkdir()
    shutil.copy(FILES / name, tmp_path / "one")
    assert np.array_equal(opened(tmp_path / "one").pixels, opened(tmp_path / "plain.dcm").pixels)


def test_jpeg_2000_palettes_and_colour(tmp_path: Path) -> None:
    for name in ("JPEG2000.dcm", "SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_palette.dcm"):
        data = opened(Path(shutil.copy(FILES / name, tmp_path)))
        assert len(data) == 1 and data.pixels.std() > 0
        assert data.channels == (1 if name == "JPEG2000.dcm" else 3)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders import JPEGLSLosslessDecoder

    if JPEGLSLosslessDecoder.is_available:
        pytest.skip("a decoder of JPEG-LS is installed")
    shutil.copy(FILES / "MR_small_jpeg_ls_lossless.dcm", tmp_path / "a.dcm")
    source = sources.find(tmp_path)
    with pytest.raises(PictureError, match="compressed as JPEG-LS.*pip install pylibjpeg"):
        dicom._read(source, dicom.look(source, 0))


@pytest.mark.parametrize("kind", ["cut", "text", "vast"])
def test_damaged_files_are_named(tmp_path: Path, kind: str) -> None:
    scans.series(tmp_path, count=3)
    whole = (tmp_path / "002.dcm").read_bytes()
    if kind == "vast":
        scans.dicom(tmp_path / "002.dcm", np.zeros((8, 8), np.int16), Rows=60000, Columns=60000)
    else:
        (tmp_path / "002.dcm").write_bytes(whole[: len(whole) - 300] if kind == "cut" else b"no scan " * 99)
    with pytest.raises(DataError, match=r"1 of 3 pictures cannot be read, more than 1 in 20: 002\.dcm"):
        opened(tmp_path)


@pytest.mark.parametrize("said", ["spacing", "imager", "aspect", "enhanced"])
def test_pixels_become_square(tmp_path: Path, said: str) -> None:
    """Rows twice as far from each other as columns, as each kind of file says it."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [1.0, 0.5]
    shared.PixelMeasuresSequence = Sequence([measures])
    tags = {
        "spacing": {"PixelSpacing": [1.0, 0.5]},
        "imager": {"ImagerPixelSpacing": [1.0, 0.5]},
        "aspect": {"PixelAspectRatio": [2, 1]},
        "enhanced": {"SharedFunctionalGroupsSequence": Sequence([shared])},
    }
    data = opened(scans.series(tmp_path, **tags[said]), window="0,1000")
    assert data.frame.crop[2:] == (40, 16) and len(data) == 6
    assert "pixels of 1 scans are not square, such as" in " ".join(data.says)
    assert centre(data) == [round(65535 * k / 10) for k in range(1, 7)]
    top, left = data.frame.crop[:2]
    shown = data.picture(0)[0, top:, left : left + 16]
    assert (shown[:3] > 60000).all() and (shown[6:30] < 10000).all()


def test_a_single_file_without_suffix_is_known_by_its_content(tmp_path: Path) -> None:
    scans.dicom(tmp_path / "IM0001", scans.head()[:, :, 8])
    assert opened(tmp_path / "IM0001").names == ("IM0001",)
    (tmp_path / "notes").write_bytes(b"no scan" * 100)
    with pytest.raises(DataError, match="notes is neither a folder nor a zip"):
        survey(tmp_path / "notes")
