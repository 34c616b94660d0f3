"""Sets beside a network: which may be looked through, what is read, what is kept, and the verb over it all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import core
from core import pictures
from core.command import run
from core.errors import DataError
from core.frame import Frame
from explorer import gathering, nearest, realset
from explorer.__main__ import main
from explorer.gathering import Look
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.explorer.conftest import growing, toy
from train.data import Frames, survey

PICTURE = (12, 11)  # of the toy network brain, which shows them at [1, 0, 12, 11] of 14 x 12


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of each test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(gathering, "cache_folder", lambda: folder / "styloscope")
    return folder / "styloscope" / "nearest"


def slices(path: Path, *, people: int = 6, each: int = 4, size: tuple[int, int] = PICTURE, wide: bool = False) -> Path:
    """A folder of pictures named by person; returns its path."""
    random = np.random.default_rng(people)
    path.mkdir(parents=True)
    for who in range(people):
        first = random.integers(20, 200, size)
        for number in range(each):
            picture = np.clip(first + random.integers(0, 30, size), 0, 255).astype(np.uint8)
            levels = picture.astype(np.uint16) * 257 if wide else picture
            pictures.write_png(path / f"person{who:03}_slice{number:02}.png", levels)
    return path


def zipped(folder: Path, target: Path, **more: str) -> Path:
    """A zip of a folder's files, and of `more` by name."""
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
        for name, text in more.items():
            archive.writestr(name.replace("__", "."), text)
    return target


def network(path: Path, *, training: dict[str, Any] | None = None, **about: Any) -> Network:
    """A toy network in a folder of checkpoints, with these training facts."""
    toy(path / "checkpoints" / "brain.safetensors", crop=[1, 0, *PICTURE])
    file = path / "checkpoints" / "brain.safetensors"
    opened = core.load(file)
    told = {**opened.about, "training": training or {}, **about}
    core.save(file, opened.generator, about=told)
    return Studio(path / "checkpoints", path / "runs", device="cpu").network("brain")


def only(network: Network, path: Path) -> realset.Choice:
    """The one set that was named for a network."""
    (found,) = realset.choices(network, [path], follow=True)
    return found


def test_what_is_read_is_what_the_training_reads(tmp_path: Path, cache: Path) -> None:
    folder = slices(tmp_path / "slices")
    data = Frames.read(survey(folder), frame=Frame.of(PICTURE, size=(14, 12), fit="native"), channels=None)
    known = network(tmp_path, training={"fingerprint": data.fingerprint, "pictures": 24})
    steps = list[tuple[int, int]]()
    found = Look(only(known, folder), known, None).read(progress=lambda done, total: steps.append((done, total)))
    assert np.array_equal(found.real.pixels, data.pixels) and found.names == data.names
    assert found.proof == "same" and found.real.kind == "people" and steps[-1] == (24, 24)
    assert np.array_equal(found.real.shown(5), pictures.read(folder / found.names[5]))
    assert (cache.stat().st_mode & 0o777) == 0o700  # pictures of people are nobody else's


@pytest.mark.parametrize("wide", [False, True])
def test_held_out_people_are_those_of_the_run(tmp_path: Path, wide: bool) -> None:
    folder = slices(tmp_path / "slices", people=10, wide=wide)
    data = Frames.read(survey(folder), frame=Frame.of(PICTURE, size=(14, 12), fit="native"), channels=None)
    training, held = data.split(0.3, seed=5)
    command = f"python -m train --data {folder} --out r --holdout=0.3 --seed 5 --mirror"
    facts = {"fingerprint": training.fingerprint, "data": "slices", "command": command}
    known = network(tmp_path, training=facts)
    found = Look(only(known, folder), known, None).read()
    assert found.proof == "same" and found.real.kind == "held" and found.real.mirrored
    assert [found.names[row] for row in np.flatnonzero(~found.real.training)] == list(held.names)
    other = network(tmp_path / "other", training={**facts, "command": command.replace("seed 5", "seed 6")})
    assert Look(only(other, folder), other, None).read().proof == "other"


def test_what_was_read_is_kept_until_the_set_changes(tmp_path: Path, cache: Path) -> None:
    folder = slices(tmp_path / "slices")
    packed = zipped(folder, tmp_path / "slices.zip")
    known = network(tmp_path, training={"pictures": 24})
    look = Look(only(known, packed), known, None)
    assert look.kept() is None
    first = look.read()
    yard = first.measured()
    again = Look(only(known, packed), known, None).kept()
    assert again is not None and np.array_equal(again.real.pixels, first.real.pixels) and again.proof == "count"
    kept = again.measured(work=False)
    assert kept is not None and yard is not None and np.array_equal(kept.distances, yard.distances)
    (npz,) = cache.glob("*.npz")
    npz.write_bytes(npz.read_bytes()[:200])
    assert again.measured(work=False) is None  # damaged: worked out again
    (npy,) = cache.glob("*.npy")
    npy.write_bytes(npy.read_bytes()[:200])
    assert Look(only(known, packed), known, None).kept() is None  # damaged: read again
    pictures.write_png(folder / "person000_slice00.png", np.zeros(PICTURE, np.uint8))
    zipped(folder, packed)
    assert Look(only(known, packed), known, None).key != look.key


def test_the_cache_is_bounded(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = network(tmp_path)
    monkeypatch.setattr(gathering, "MOST_KEPT", 9_000)  # one set of 4 kB and something beside it
    looks = [Look(only(known, slices(tmp_path / f"set{k}", people=k)), known, None) for k in (5, 6, 7)]
    for look in looks:
        look.read()
    assert [look.kept() is not None for look in looks] == [False, False, True]
    assert sum(file.stat().st_size for file in cache.iterdir()) <= 9_000


def test_pictures_beyond_the_bounds_are_compared_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = slices(tmp_path / "slices", size=(32, 28))
    toy(tmp_path / "checkpoints" / "large.safetensors", size=(32, 28))
    known = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu").network("large")
    monkeypatch.setattr(gathering, "MOST_BYTES", 24 * 16 * 14)
    found = Look(only(known, folder), known, None).read()
    assert found.halvings == 1 and found.real.pixels.shape == (24, 1, 16, 14)
    assert any("32x28 are compared at 16x14" in one for one in found.says)
    picture = pictures.read(folder / found.names[3])
    assert nearest.near(found.real, [found.fitted(picture)], number=1)[0][0][0] == nearest.Near(3, 0.0, False)


def test_a_network_on_its_way_sees_smaller_pictures(tmp_path: Path) -> None:
    folder = slices(tmp_path / "slices", size=(25, 22))
    growing(tmp_path / "checkpoints" / "grown.safetensors")
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    known = studio.network("grown")
    recipe = Recipe.parse({"checkpoint": "grown", "grown": {"size": [14, 12]}})
    found = Look(only(known, folder), known, recipe.grown).read()
    assert found.real.shown(0).shape == studio.exact(recipe).shape == (13, 12)
    whole = np.zeros((28, 24))
    whole[1:26, 1:23] = pictures.read(folder / found.names[0])  # 25 x 22 centred
    assert np.array_equal(found.real.pixels[0, 0], np.rint(whole.reshape(14, 2, 12, 2).mean((1, 3))).astype(np.uint8))


def test_sets_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = network(tmp_path)
    folder = slices(tmp_path / "slices", people=2)
    for file in sorted(folder.iterdir())[:2]:
        file.write_bytes(b"no picture")
    with pytest.raises(DataError, match="2 of 8 pictures cannot be read, more than 1 in 20"):
        Look(only(known, folder), known, None).read()
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / "head.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="no pictures; make a zip of slices"):
        Look(only(known, tmp_path / "volumes"), known, None)
    monkeypatch.setattr(gathering, "MOST_FILES", 7)
    with pytest.raises(DataError, match="holds more than 7 files"):
        Look(only(known, folder), known, None)
    alone = slices(tmp_path / "alone", people=1, each=1)
    with pytest.raises(DataError, match="too few pictures"):
        Look(only(known, alone), known, None).read().measured()


def test_a_header_names_a_set_and_never_a_place(tmp_path: Path) -> None:
    secret = slices(tmp_path / "secret")
    known = network(tmp_path, training={"data": str(secret), "command": f"python -m train --data {secret}"})
    assert realset.choices(known, follow=True) == []
    assert "trained on 'secret'" in realset.nothing(known) and str(tmp_path) not in realset.nothing(known)
    other, same = slices(tmp_path / "other"), slices(tmp_path / "given" / "secret")
    assert [one.path for one in realset.choices(known, [other, same], follow=True)] == [same, other]
    names = [one.name for one in realset.choices(known, [secret, same], follow=True)]
    assert len(set(names)) == 2


def test_a_runs_own_set_is_followed_only_where_that_is_allowed(tmp_path: Path) -> None:
    folder = slices(tmp_path / "slices")
    toy(tmp_path / "runs" / "first" / "checkpoints" / "000004.safetensors", crop=[1, 0, *PICTURE])
    config = tmp_path / "runs" / "first" / "config.json"
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    settings = {"data": str(folder), "holdout": 0.2, "seed": 3, "mirror": True, "fit": "native", "only": "*slice*"}
    config.write_text(json.dumps(settings), encoding="utf-8")
    known = studio.network("first")
    (own,) = realset.choices(known, follow=True)
    assert (own.path, own.own, own.holdout, own.seed, own.mirror, own.only) == (folder, True, 0.2, 3, True, "*slice*")
    assert realset.choices(known, follow=False) == []
    assert len(realset.choices(known, [folder], follow=True)) == 1  # one place, named twice
    hostile = {"data": "a\0b", "holdout": "all", "seed": -1, "mirror": 1, "fit": "../x", "only": ["*"]}
    for value in (hostile, {"data": ["x"]}, {"data": "x" * 5000}, {"holdout": float("inf")}, []):
        config.write_text(json.dumps(value), encoding="utf-8")
        assert realset.choices(known, follow=True) == []
        (given,) = realset.choices(known, [folder], follow=True)
        assert given == realset.Choice(folder, "slices", own=False)
    config.write_text(json.dumps({"data": "phantoms"}), encoding="utf-8")
    assert "drawn anew each time" in realset.nothing(known)


def test_who_is_on_a_picture_may_stand_in_the_set(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for k, file in enumerate(sorted(slices(tmp_path / "slices").iterdir())):
        file.rename(folder / f"img{k:05}.png")
    known = network(tmp_path)
    assert Look(only(known, folder), known, None).read().real.kind == "others"
    said = json.dumps({"people": {f"img{k:05}.png": f"p{k // 4}" for k in range(24)}})
    packed = zipped(folder, tmp_path / "plain.zip", dataset__json=said)
    found = Look(only(known, packed), known, None).read()
    assert found.real.kind == "people" and found.real.who.tolist() == np.repeat(range(6), 4).tolist()


@pytest.fixture
def do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """do(...) runs the verb over checkpoints and runs in an empty folder: its status and what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(lambda: main(["nearest", "--device", "cpu", *arguments]))
        return (status, *capsys.readouterr())

    return call


def test_the_verb(tmp_path: Path, do: Callable[..., Any]) -> None:
    network(tmp_path)
    folder = slices(tmp_path / "slices")
    copied = str(folder / "person003_slice02.png")
    about = ("--data", str(folder), "--picture", copied, "--seeds", "0-1", "--number", "2")
    status, out, err = do(*about, "--json", "--out", "sheet.png")
    assert status == 0, err
    told = json.loads(out)
    assert told["written"] == ["sheet.png"] and told["pictures"] == 24 and told["held"]["kind"] == "people"
    first, second, third = told["rows"]
    assert (first["seed"], second["seed"], third["seed"], third["name"]) == (0, 1, None, "person003_slice02.png")
    assert third["verdict"] == "same" and third["distance"] == 0 and third["words"][1].startswith("This is person003")
    assert told["summary"]["count"] == 3 and told["summary"]["least"] == 0 and told["summary"]["verdicts"]["same"] == 1
    assert first["distance"] > 10 and first["near"][0]["distance"] <= first["near"][1]["distance"]
    sheet = pictures.read(tmp_path / "sheet.png")
    assert (
        sheet.shape[0] > 3 * 12
        and json.loads(pictures.read_text(tmp_path / "sheet.png")["styloscope"])["pictures"] == 24
    )
    status, out, err = do(*about)
    assert status == 0 and "person003_slice02.png: It lies 0.0 gray levels from person003_slice02.png" in out
    assert "each looked for among those of other people" in out


def test_what_the_verb_refuses(tmp_path: Path, do: Callable[..., Any]) -> None:
    network(tmp_path, training={"data": "slices.zip"})
    folder = slices(tmp_path / "slices", people=2)
    for words, arguments in {
        "no set of pictures is known here": ("--seeds", "0"),
        "give --seeds such as 0-7": ("--data", str(folder)),
        "number cannot be '17'": ("--data", str(folder), "--seeds", "0", "--number", "17"),
        "does not exist": ("--data", str(tmp_path / "nowhere"), "--seeds", "0"),
        "written as .png": ("--data", str(folder), "--seeds", "0", "--out", "x.jpg"),
        "at most 4096 cells": ("--data", str(folder), "--seeds", "0-999", "--out", str(tmp_path / "x.png")),
    }.items():
        status, out, err = do(*arguments)
        assert status == 2 and out == "" and words in err and err.count("\n") == 1, err
    assert not (tmp_path / "x.jpg").exists() and not (tmp_path / "x.png").exists()
    status, out, _ = do("--data", str(folder), "--seeds", "0-999")
    assert status == 0 and "seed 999: It lies" in out, "without a sheet there are no cells"


def test_a_class_of_its_own_for_colour(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "set").mkdir()
    for k in range(6):
        pictures.write_png(tmp_path / "set" / f"case{k}.png", random.integers(0, 256, (16, 16, 3), np.uint8))
    toy(tmp_path / "checkpoints" / "colour.safetensors", size=(16, 16), channels=3)
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    found = Look(only(studio.network("colour"), tmp_path / "set"), studio.network("colour"), None).read()
    picture = pictures.read(tmp_path / "set" / "case4.png")
    assert np.array_equal(found.fitted(picture), picture) and np.array_equal(found.real.shown(4), picture)
    assert nearest.near(found.real, [found.placed(picture)], number=1)[0][0][0].row == 4


def test_a_link_that_leads_nowhere_is_a_picture_that_cannot_be_read(tmp_path: Path, do: Callable[..., Any]) -> None:
    network(tmp_path)
    folder = slices(tmp_path / "slices")
    try:
        (folder / "person009_slice00.png").symlink_to(tmp_path / "gone.png")
    except OSError:
        pytest.skip("links cannot be made here")
    status, out, err = do("--data", str(folder), "--seeds", "0")
    assert status == 0 and "1 pictures cannot be read and are left out" in out, err


def test_a_wrong_flag_is_refused_before_the_set_is_read(
    tmp_path: Path, do: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network(tmp_path)
    folder = slices(tmp_path / "slices", people=2)
    monkeypatch.setattr(Look, "read", None)
    status, _, err = do("--data", str(folder), "--picture", "nobody.png")
    assert status == 2 and "nobody.png is missing" in err
    status, _, err = do("--data", "phantoms", "--seeds", "0")
    assert status == 2 and "no set to look through" in err and "or phantoms" not in err
