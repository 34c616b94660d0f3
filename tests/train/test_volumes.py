"""NIfTI, MGH and Analyze volumes as slices."""

from __future__ import annotations

import gzip
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import DataError
from tests.train import make, scans
from train.config import Config
from train.data import Frames, survey
from train.opening import open_data, plan
from train.slicing import Slicing, is_slices, is_window, levels, squared

nib = pytest.importorskip("nibabel")


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


def pictures(data: Frames) -> np.ndarray:
    """Pictures [N, h, w] without their margins."""
    top, left, height, width = data.frame.crop
    return np.stack([data.picture(k)[0, top : top + height, left : left + width] for k in range(len(data))])


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAR", "ILP"])
@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_however_it_lies_in_the_file_it_is_shown_alike(tmp_path: Path, codes: str, axis: str) -> None:
    scans.nifti(tmp_path / "head.nii.gz", scans.head(), codes=codes)
    data = opened(tmp_path, axis=axis, window="0,1000")
    shown = pictures(data)
    right, front, up = scans.SHAPE
    x, y, z = scans.MARK
    expected = {
        "axial": ((front, right), z, (front - 1 - y, right - 1 - x)),
        "coronal": ((up, right), y, (up - 1 - z, right - 1 - x)),
        "sagittal": ((up, front), x, (up - 1 - z, front - 1 - y)),
    }
    size, depth, place = expected[axis]
    assert shown.shape[1:] == size
    named = {int(name.rsplit("#", 1)[1]): picture for name, picture in zip(data.names, shown, strict=True)}
    rows, columns = np.nonzero(named[depth] == 65535)
    assert (round(rows.mean()), round(columns.mean())) == place and len(rows) == 9


def test_slices_window_and_what_levels_stand_for(tmp_path: Path) -> None:
    scans.nifti(tmp_path / "ct.nii", scans.head(), slope=2.0, inter=-1000.0)
    data = opened(tmp_path, slices="8-11", window="-1000,1000")
    assert [name[-3:] for name in data.names] == ["008", "009", "010", "011"]
    intensity = data.facts()["intensity"]
    values = pictures(data) * intensity["slope"] + intensity["intercept"]
    cut = scans.head()[:, :, 9].T[::-1, ::-1] * 2.0 - 1000.0
    np.testing.assert_allclose(values[1], cut, atol=0.02)
    assert len(opened(tmp_path, slices="50%-60%")) == 2
    assert "black to white is -1000 to 1000" in " ".join(data.says)


def test_the_window_ignores_the_background_and_outliers(tmp_path: Path) -> None:
    voxels = np.zeros((40, 40, 40), np.float32)
    voxels[12:28, 12:28, 12:28] = np.random.default_rng(0).uniform(100, 200, (16, 16, 16))
    voxels[20, 20, 20] = 1e6
    scans.nifti(tmp_path / "mr.nii.gz", voxels)
    intensity = opened(tmp_path).facts()["intensity"]
    assert intensity["intercept"] == 0 and 190 < intensity["slope"] * 65535 < 201
    full = opened(tmp_path, window="full").facts()["intensity"]
    assert full["slope"] * 65535 == pytest.approx(1e6)


def test_empty_slices_are_passed_over(tmp_path: Path) -> None:
    voxels = scans.head()
    voxels[:, :, :4] = voxels[:, :, 17:] = 0
    scans.nifti(tmp_path / "head.nii", voxels)
    data = opened(tmp_path)
    assert len(data) == 13 and data.names[0].endswith("#004")
    assert "7 of 20 slices are empty" in " ".join(data.says)
    scans.nifti(tmp_path / "head.nii", np.zeros((8, 8, 8), np.int16))
    with pytest.raises(DataError, match="only empty slices"):
        opened(tmp_path)


def test_each_scan_has_a_range_of_its_own_unless_told(tmp_path: Path) -> None:
    for number in range(3):
        voxels = scans.head(seed=number) * (number + 1)
        scans.nifti(tmp_path / f"sub-{number:02}" / "anat" / "T1.nii.gz", voxels.astype(np.int16))
    data = opened(tmp_path)
    assert data.facts() == {} and "own in each of 3 scans" in " ".join(data.says)
    shown = pictures(data)
    third = len(shown) // 3
    assert abs(shown[:third].mean() / shown[-third:].mean() - 1) < 0.1, "brightness is evened out"
    assert set(data.who) == {"sub-00", "sub-01", "sub-02"}
    assert opened(tmp_path, window="0,3000").facts()["intensity"]["slope"] == pytest.approx(3000 / 65535)


def test_volumes_in_one_folder_are_one_person(tmp_path: Path) -> None:
    for name in ("0002/T1", "0002/T2", "0003/ses-1/T1", "0003/ses-2/T1", "0004/T1"):
        scans.nifti(tmp_path / "set" / f"{name}.nii.gz", scans.head())
    data = opened(tmp_path / "set")
    assert set(data.who) == {"0002", "0003", "0004"}
    assert "volumes that lie in one folder, such as 0002, count as one person" in " ".join(data.says)
    for seed in range(5):
        training, held = data.split(0.4, seed=seed)
        assert not {name[:4] for name in training.names} & {name[:4] for name in held.names}
    assert set(opened(tmp_path / "set" / "0002").who) == {"T1.nii.gz", "T2.nii.gz"}, "the top of the set is nobody"


def test_folders_of_a_whole_group_are_no_person(tmp_path: Path) -> None:
    for row in range(18):
        scans.nifti(tmp_path / ("AD" if row % 2 else "NC") / f"{row:02}x.nii.gz", scans.head())
    data = opened(tmp_path, slices="9-10")
    assert len(set(data.who)) == 18 and "one folder" not in " ".join(data.says)


def test_all_volumes_of_one_person_are_held_out_whole(tmp_path: Path) -> None:
    for row in range(4):
        scans.nifti(tmp_path / f"sub-01_ses-{row}_T1w.nii.gz", scans.head())
    data = opened(tmp_path, slices="9-10")
    training, held = data.split(0.25, seed=0)
    assert len({name.split("#")[0] for name in held.names}) == 1 and len(held) == 2 and len(training) == 6
    assert "all 4 volumes and series are of one person by their names" in " ".join(data.says)


def test_of_shares_at_least_one_slice_is_taken() -> None:
    for count in range(2, 40):
        assert len(Slicing(slices="50%-50%").chosen(count)) == 1
        assert list(Slicing(slices="0%-0%").chosen(count)) == [0]
        assert list(Slicing(slices="100%-100%").chosen(count)) == [count - 1]
    assert list(Slicing(slices="50%-50%").chosen(20)) == [10]


def test_volumes_outside_the_slices_are_said(tmp_path: Path) -> None:
    scans.nifti(tmp_path / "a.nii.gz", scans.head())
    scans.nifti(tmp_path / "b.nii.gz", scans.head()[:, :, :8])
    data = opened(tmp_path, slices="9-12")
    assert {name[0] for name in data.names} == {"a"}
    assert "1 of 2 volumes have no slice in --slices 9-12, such as b.nii.gz" in " ".join(data.says)
    assert "no slice" not in " ".join(opened(tmp_path, slices="2-12").says)
    with pytest.raises(DataError, match="2 of 2 volumes have no slice in --slices 40-50"):
        opened(tmp_path, slices="40-50")


def test_volumes_in_a_zip_and_by_name(tmp_path: Path) -> None:
    for name in ("a_T1w.nii.gz", "a_mask.nii.gz", "b_T1w.nii"):
        scans.nifti(tmp_path / "set" / name, scans.head())
    with zipfile.ZipFile(tmp_path / "set.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in (tmp_path / "set").iterdir():
            archive.write(file, file.name)
    settings = {"only": "*T1w*"}
    folder, zipped = opened(tmp_path / "set", **settings), opened(tmp_path / "set.zip", **settings)
    assert np.array_equal(folder.pixels, zipped.pixels) and folder.fingerprint == zipped.fingerprint
    assert {name.split("#")[0] for name in zipped.names} == {"a_T1w.nii.gz", "b_T1w.nii"}
    assert len(opened(tmp_path / "set" / "b_T1w.nii")) == len(folder) // 2
    with pytest.raises(DataError, match=r"holds 0 pictures with a name like \*FLAIR\*"):
        survey(tmp_path / "set", only="*FLAIR*")


def test_analyze_pairs_and_mgh(tmp_path: Path) -> None:
    voxels = scans.head()
    nib.save(nib.MGHImage(voxels.astype(np.int32), np.eye(4)), tmp_path / "brain.mgz")
    mgz = opened(tmp_path / "brain.mgz", window="0,1000")
    nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / "pair.img")
    pair = opened(tmp_path / "pair.img", window="0,1000")
    assert np.array_equal(pair.pixels, mgz.pixels)
    (tmp_path / "analyze").mkdir()
    nib.save(nib.AnalyzeImage(voxels, np.eye(4)), tmp_path / "analyze" / "OAS1_0001.img")
    make.archive(tmp_path / "pairs.zip", {file.name: file.read_bytes() for file in (tmp_path / "analyze").iterdir()})
    zipped = opened(tmp_path / "pairs.zip", window="0,1000")
    assert np.array_equal(opened(tmp_path / "analyze", window="0,1000").pixels, zipped.pixels)
    assert set(zipped.who) == {"oas1_0001"}
    (tmp_path / "pair.hdr").unlink()
    with pytest.raises(DataError, match="lacks its other half"):
        survey(tmp_path / "pair.img")


def test_odd_volumes(tmp_path: Path) -> None:
    voxels = scans.head().astype(np.float32)
    voxels[5, 5, 5], voxels[6, 6, 6], voxels[7, 7, 7] = np.nan, np.inf, -np.inf
    scans.nifti(tmp_path / "nan.nii", voxels)
    assert 0 < opened(tmp_path / "nan.nii").facts()["intensity"]["slope"] * 65535 <= 1000
    nib.save(nib.Nifti1Image(np.stack([scans.head(), scans.head() // 2], axis=3), np.eye(4)), tmp_path / "time.nii.gz")
    four = opened(tmp_path / "time.nii.gz", window="0,1000")
    assert np.array_equal(pictures(four).max(), 65535) and "several, such as time.nii.gz" in " ".join(four.says)
    nib.save(nib.Nifti1Image(scans.head()[:, :, 9:10], np.eye(4)), tmp_path / "one.nii")
    assert pictures(opened(tmp_path / "one.nii", axis="coronal")).shape == (1, 16, 12)
    nib.save(nib.Nifti1Image(scans.head()[:, :, 9], np.eye(4)), tmp_path / "flat.nii")
    assert pictures(opened(tmp_path / "flat.nii")).shape == (1, 16, 12)
    colour = np.zeros((6, 7, 8), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"], colour["B"] = 200, 90
    nib.save(nib.Nifti1Image(colour, np.eye(4)), tmp_path / "rgb.nii")
    rgb = opened(tmp_path / "rgb.nii")
    assert rgb.channels == 3 and rgb.pixels.dtype == np.uint8 and rgb.picture(0)[:, 4, 4].tolist() == [200, 0, 90]
    nib.save(nib.Nifti1Image((scans.head() // 4).astype(np.uint8), np.eye(4)), tmp_path / "eight.nii")
    assert opened(tmp_path / "eight.nii").pixels.dtype == np.uint8
    nib.save(nib.Nifti1Image(scans.head().astype(np.complex64), np.eye(4)), tmp_path / "complex.nii")
    with pytest.raises(DataError, match=r"1 of 1 pictures cannot be read.*complex\.nii"):
        survey(tmp_path / "complex.nii")


def test_pixels_that_are_not_square_become_square_and_that_is_said(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(scans.head(), np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / "thick.nii")
    right, front, up = scans.SHAPE
    axial = opened(tmp_path)
    assert "not square" not in " ".join(axial.says) and axial.frame.picture == (front, right)
    side = opened(tmp_path, axis="sagittal", window="0,1000")
    assert "not square, such as 5 x 1 mm in thick.nii; they are resampled" in " ".join(side.says)
    assert side.frame.picture == (5 * up, front)
    # The spot is five times as high now, where it was: its middle is the middle of the voxels.
    picture = pictures(side)[side.names.index(f"thick.nii#{scans.MARK[0]:03}")]
    rows, columns = np.nonzero(picture > 50000)
    assert 12 <= np.ptp(rows) + 1 <= 16 and np.ptp(columns) + 1 == 3
    assert abs(rows.mean() + 0.5 - 5 * (up - scans.MARK[2] - 0.5)) < 1


@pytest.mark.parametrize(
    ("pixel", "size"),
    [
        (None, (10, 20)), ((1.0, 1.0), (10, 20)), ((1.0, 1.009), (10, 20)), ((2.0, 0.5), (40, 20)),
        ((0.5, 0.75), (10, 30)), ((0.0, 1.0), (10, 20)), ((float("nan"), 1.0), (10, 20)), ((1e-9, 1.0), (10, 20)),
    ],
)  # fmt: skip
def test_the_size_of_square_pixels(pixel: tuple[float, float] | None, size: tuple[int, int]) -> None:
    """As fine as the finer side; what is square but for rounding, or absurd, is left alone."""
    assert squared((10, 20), pixel) == size


@pytest.mark.parametrize("kind", ["short gz", "short", "text", "vast"])
def test_damaged_volumes_are_named(tmp_path: Path, kind: str) -> None:
    good = scans.nifti(tmp_path / "a.nii.gz", scans.head()).read_bytes()
    plain = gzip.decompress(good)
    bad = {"short gz": good[: len(good) // 2], "short": plain[: len(plain) // 2], "text": b"no volume " * 100}
    if kind == "vast":
        header = bytearray(plain[:400])
        header[42:48] = (30000).to_bytes(2, "little") * 3
        bad["vast"] = bytes(header)
    (tmp_path / ("b.nii.gz" if kind == "short gz" else "b.nii")).write_bytes(bad[kind])
    with pytest.raises(DataError, match=r"1 of 2 pictures cannot be read, more than 1 in 20: b\.nii"):
        opened(tmp_path)


def test_settings_of_volumes() -> None:
    assert all(map(is_slices, ("all", "0-0", "40-120", "25%-75%", "0%-100%")))
    assert not any(map(is_slices, ("", "9-3", "1-", "-1-4", "10%-120%", "5%-10", 3)))
    assert all(map(is_window, ("auto", "file", "full", "-160,240", "0.5,1e3")))
    assert not any(map(is_window, ("", "240,-160", "1,1", "nan,2", "1", "a,b", 3)))
    assert list(Slicing(slices="2-9").chosen(5)) == [2, 3, 4] and list(Slicing(slices="7-9").chosen(5)) == []
    assert list(Slicing(slices="25%-75%").chosen(8)) == [2, 3, 4, 5]
    assert levels(np.array([-5.0, 0, 5, 10, 20, np.nan]), 0, 10).tolist() == [0, 0, 32768, 65535, 65535, 0]
    assert not levels(np.array([3.0]), 4, 4).any()


@pytest.mark.parametrize(("package", "file"), [("nibabel", "a.nii"), ("pydicom", "a.dcm")])
def test_a_missing_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, file: str
) -> None:
    (tmp_path / file).write_bytes(b"\0" * 400)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DataError, match=f"need the package {package}; pip install {package}"):
        survey(tmp_path)
