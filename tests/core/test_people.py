"""Who is on a picture, and whole people held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import DataError
from core.people import person, split
from tests.train import make
from train.config import Config
from train.data import Frames, Phantoms
from train.opening import open_data, plan


def opened(path: Path, **settings: object) -> Frames:
    data = open_data(plan(Config.read({"data": str(path), **settings})))
    assert isinstance(data, Frames)
    return data


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("person017_slice03.jpg", "person017"),
        ("a/b/Person017_slice04.jpg", "person017"),
        ("case_001_slice_0.nii.png", "case_001"),
        ("keras_png_slices_train/case_402_slice_31.nii.png", "case_402"),
        ("OAS1_0001_MR1_mpr_n4_anon_111_t88_gfc.img", "oas1_0001"),
        ("disc1/OAS1_0001_MR2/RAW/x.png", "oas1_0001"),
        ("OAS30001_MR_d0129/anat2/scan.nii.gz", "oas30001"),
        ("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", "sub-01"),
        ("AD/218391_78.jpeg", "218391"),
        ("ADNI_002_S_0295_MR_MP-RAGE_br_raw_20060418193713091_1_S13408_I13722.dcm", "002_s_0295"),
        ("OAI9014797_BaseLine_3_de3d1_SAG_3D_DESS_WE_LEFT.nii.gz_12.png", "oai9014797"),
        ("IXI002-Guys-0828-T1.nii.gz", "ixi002"),
        ("TCGA_CS_4941_19960909_12.tif", "tcga_cs_4941"),
        ("BraTS20_Training_001_t1.nii", "brats20_training_001"),
        ("patient 12/007.png", "patient 12"),
        ("7f3_slice_12.png", "7f3"),
        ("kl2/9003175L.png", "9003175"),
        ("kl2/9003175R.png", "9003175"),
        ("LIDC-IDRI-0001/1.3.6.1/3000566/1-001.dcm", "lidc-idri-0001"),
        ("files/p10/p10000032/s50414267/02aa804e-bde0afdd.jpg", "p10000032"),
        ("p10000032.png", None),
        ("12345L.png", None),
        ("9003175left.png", None),
        ("peep_0001.webp", None),
        ("2021_holiday.png", None),
        ("00012.png", None),
        ("train/000.png", None),
        ("脑_切片.png", None),
    ],
)
def test_who_is_on_a_picture(name: str, who: str | None) -> None:
    assert person(name) == who


def test_people_stay_together() -> None:
    people = [f"p{row // 7}" for row in range(140)]
    found = split(people, 0.2, seed=3)
    assert set(found.training.tolist()) | set(found.held.tolist()) == set(range(140))
    assert len(found.held) == 28 and "4 of 20 people" in found.says
    assert not {people[row] for row in found.training} & {people[row] for row in found.held}
    assert np.array_equal(found.held, split(people, 0.2, seed=3).held)
    assert not np.array_equal(found.held, split(people, 0.2, seed=4).held)


@pytest.mark.parametrize("people", [[None] * 10, ["a"] * 10])
def test_nobody_known_or_one_person_alone(people: list[str | None]) -> None:
    found = split(people, 0.3, seed=0)
    assert len(found.held) == 3 and "one by one" in found.says


def test_something_always_stays_and_something_is_always_held() -> None:
    for people, share in [(["a", "b"], 0.01), (["a"] * 9 + ["b"], 0.5), ([None, None], 0.5), (["a"] * 9 + ["b"], 0.01)]:
        found = split(people, share, seed=1)
        assert len(found.held) and len(found.training)
    with pytest.raises(DataError, match="none can be held out"):
        split([None], 0.5, seed=0)


def test_a_large_person_is_not_held_out_for_a_small_share() -> None:
    people = ["a"] * 900 + ["b"] * 50 + ["c"] * 50
    for seed in range(60):
        found = split(people, 0.05, seed=seed)
        assert len(found.held) == 50 and "asked for" not in found.says


def test_where_nobody_has_so_few_the_nearest_is_held_out_and_said() -> None:
    people = ["a"] * 500 + ["b"] * 400 + ["c"] * 100
    for seed in range(10):
        found = split(people, 0.01, seed=seed)
        assert {people[row] for row in found.held} == {"c"}
        assert found.says.endswith("; 10 were asked for, but nobody has so few")


def test_pictures_of_nobody_known_are_said() -> None:
    found = split(["a", "a", "b", "b"] + [None] * 96, 0.1, seed=0)
    unknown = sum(row >= 4 for row in found.held.tolist())
    assert f"{unknown} of 96 pictures of nobody known" in found.says and "of 2 people" in found.says
    assert "nobody known" not in split(["a", "a", "b", "b"], 0.5, seed=0).says


def test_one_person_among_pictures_of_nobody_known_stays_together() -> None:
    for seed in range(20):
        found = split(["a"] * 10 + [None] * 40, 0.2, seed=seed)
        assert sum(row < 10 for row in found.held.tolist()) in (0, 10) and "of 40 pictures" in found.says


def test_what_was_held_out_stays_held_out() -> None:
    """Runs that go on and measures that are published hang on it."""
    found = split([f"oas1_{row // 27:04}" for row in range(27 * 40)], 0.1, seed=7)
    assert sorted({row // 27 for row in found.held.tolist()}) == [5, 6, 18, 23]


def test_data_held_out(tmp_path: Path) -> None:
    for row in range(20):
        make.save(tmp_path / f"person{row // 4:03}_slice{row % 4:02}.png", make.picture("L", seed=row))
    whole = opened(tmp_path)
    training, held = whole.split(0.25, seed=1)
    assert (len(training), len(held)) == (16, 4) and "1 of 5 people" in training.says[-1]
    assert held.pixels is whole.pixels and len({name[:9] for name in held.names}) == 1
    row = whole.names.index(held.names[2])
    assert np.array_equal(held.picture(2), whole.picture(row))
    assert torch.equal(
        held.batch(np.array([2]), device=torch.device("cpu")), whole.batch(np.array([row]), device=torch.device("cpu"))
    )
    assert sorted(held.order(np.arange(4), seed=0).tolist()) == [0, 1, 2, 3]
    assert len({whole.fingerprint, training.fingerprint, held.fingerprint}) == 3
    assert whole.fingerprint == opened(tmp_path).fingerprint and len(whole.fingerprint) == 12
    assert whole.facts() == {} and whole.labels is None


def test_phantoms_held_out() -> None:
    data = open_data(plan(Config.read({"data": "phantoms", "size": "16"})))
    training, held = data.split(0.1, seed=0)
    assert isinstance(training, Phantoms) and isinstance(held, Phantoms)
    assert training.heads[1] == held.heads[0] and len(training) + len(held) == len(data)
    assert np.array_equal(training.picture(5), data.picture(5)) and not np.array_equal(held.picture(5), data.picture(5))
    assert data.fingerprint == "phantoms" and data.facts() == {}
    with pytest.raises(DataError, match="no classes"):
        open_data(plan(Config.read({"data": "phantoms", "size": "16", "labels": True})))


def test_class_folders(tmp_path: Path) -> None:
    for split_name in ("train", "test"):
        for number, kind in enumerate(("NC", "AD")):
            make.folder(tmp_path / "AD_NC" / split_name / kind, count=3 + number)
    data = opened(tmp_path, labels=True)
    assert data.classes == ("AD", "NC") and data.labels is not None and data.labels.dtype == np.int64
    assert np.bincount(data.labels).tolist() == [8, 6]
    assert [data.classes[label] == name.split("/")[-2] for label, name in zip(data.labels, data.names, strict=True)]
    training, held = data.split(0.3, seed=0)
    assert training.labels is not None and len(training.labels) == len(training) and held.classes == data.classes
    make.folder(tmp_path, count=1)
    with pytest.raises(DataError, match="1 of 15 pictures lie in none"):
        opened(tmp_path, labels=True)
