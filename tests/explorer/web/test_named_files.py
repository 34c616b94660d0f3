"""A network opened by its path: jobs get that very file, and what they make bears the name that the page knows."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from starlette.testclient import TestClient

from core import pictures
from core.errors import CheckpointError, SettingError
from explorer.recipe import Recipe
from explorer.studio import Studio
from explorer.web import build
from explorer.web.job_routes import looked_at
from explorer.web.jobs import arguments
from explorer.web.project_routes import wished
from tests.explorer.conftest import toy, until


def run_at(folder: Path, *numbers: int, seed: int) -> Path:
    """A run with random networks."""
    for number in numbers:
        toy(folder / "checkpoints" / f"{number:06d}.safetensors", seed=seed + number)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def far(tmp_path: Path) -> Path:
    return run_at(tmp_path / "far" / "cls", 0, seed=1)


@pytest.fixture(params=[True, False], ids=["taken", "free"])
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Folders of networks, with a run of the far one's name in them or without."""
    toy(tmp_path / "checkpoints" / "brain.safetensors")
    (tmp_path / "runs").mkdir()
    if request.param:
        run_at(tmp_path / "runs" / "cls", 0, seed=9)
    return tmp_path


def studio_of(house: Path, checkpoint: Path | None = None) -> Studio:
    made = Studio(house / "checkpoints", house / "runs", device="cpu")
    if checkpoint is not None:
        made.prefer(str(checkpoint))
    return made


@pytest.fixture
def name(house: Path) -> str:
    """What the far network is called: what lies in the folders keeps its name."""
    return "far/cls/000000" if (house / "runs" / "cls").exists() else "cls/000000"


@pytest.fixture
def talking(house: Path, far: Path, name: str) -> Iterator[TestClient]:
    app = build(studio_of(house, far), folders=(house / "checkpoints", house / "runs"), checkpoint=name)
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


def test_a_sheet_comes_from_the_network_of_the_page(talking: TestClient, house: Path, far: Path, name: str) -> None:
    sha = studio_of(house, far).network(name).sha
    assert {one["name"]: one["sha"] for one in talking.get("/networks").json()}[name] == sha
    wish = {"verb": "bilinear", "checkpoint": name, "seeds": "1,2,3,4", "steps": 1}
    address = f"/jobs/{talking.post('/jobs', json=wish).json()['id']}"
    until(lambda: talking.get(address).json()["state"] not in ("waiting", "running"), seconds=120)
    told = talking.get(address).json()
    assert (told["state"], told["name"]) == ("done", "cls-000000-bilinear.png"), told
    sheet = talking.get(f"{address}/file").content
    text = json.loads(pictures.read_text(sheet, name="sheet")["styloscope"])
    assert (text["checkpoint"], text["sha"]) == (name, sha)
    wanted = studio_of(house, far).exact(Recipe(checkpoint=name, seed=1))
    assert np.array_equal(pictures.read(sheet, name="sheet"), wanted)


@pytest.mark.parametrize(
    ("verb", "wish"),
    [
        ("mix", {"rows": "0", "columns": "1", "layers": "1"}),
        ("interpolate", {"seeds": "1,2"}),
        ("interpolate", {"timeline": {"keys": [{"recipe": {"seed": 1}, "time": 0}, {"recipe": {}, "time": 1}]}}),
        ("compare", {"seeds": "1", "with": "brain"}),
        ("map", {}),
    ],
)
def test_every_job_is_told_the_file(
    house: Path, far: Path, name: str, tmp_path: Path, verb: str, wish: dict[str, Any]
) -> None:
    studio = studio_of(house, far)
    line, _ = arguments(verb, looked_at(verb, {**wish, "checkpoint": name}, check=studio.check), folder=tmp_path)
    assert f"--checkpoint={far / 'checkpoints' / '000000.safetensors'}" in line
    assert verb != "compare" or f"--with={house / 'checkpoints' / 'brain.safetensors'}" in line
    assert wished(studio, {"checkpoint": name})["checkpoint"] == str(far / "checkpoints" / "000000.safetensors")


def test_a_file_goes_by_one_name(house: Path, far: Path, name: str, tmp_path: Path) -> None:
    """What a job is told the path of has the name there that it has on the page."""
    mine = run_at(house / "runs" / "mine", 4, 12, seed=20)
    os.symlink(mine, house / "runs" / "latest")
    os.symlink(toy(tmp_path / "elsewhere" / "other.safetensors", seed=5), house / "checkpoints" / "linked.safetensors")
    page = studio_of(house, far)
    names = {one.name: one.path for one in page.networks()}
    assert {"brain", "linked", name, "mine/000004", "mine/000012", "latest/000012"} <= set(names)
    for own, path in names.items():
        told = studio_of(house).admit(str(path.absolute()))
        assert (told, page.network(told).sha) == (own, page.network(own).sha)


def test_names_of_files_beyond_the_folders(house: Path, far: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = far / "checkpoints" / "000000.safetensors"
    assert studio_of(house).admit(str(file)) == studio_of(house).admit(str(far)) == name
    monkeypatch.chdir(far / "checkpoints")
    assert studio_of(house).admit("000000.safetensors") == studio_of(house).admit("..") == name
    beside = studio_of(house)
    first = beside.admit(str(file))
    second = beside.admit(str(run_at(house / "again" / "cls", 0, seed=3) / "checkpoints" / file.name), beside=first)
    assert (first, second) == (name, "again/cls/000000")
    assert beside.network(first).sha != beside.network(second).sha
    assert Studio(far / "checkpoints", house / "runs").admit(str(file)) == "000000"  # as it is listed there


def test_a_walk_of_recipes_keeps_their_network(house: Path, far: Path, name: str) -> None:
    studio = studio_of(house, far)

    def of(*recipes: dict[str, Any], **more: Any) -> str:
        return str(looked_at("interpolate", {"recipes": list(recipes), **more}, check=studio.check)["checkpoint"])

    mine, brain = {"checkpoint": name, "seed": 1}, {"checkpoint": "brain", "seed": 2}
    assert of(mine, {"seed": 3}) == of(mine, mine) == str(far / "checkpoints/000000.safetensors")
    newest = run_at(house / "runs" / "mine", 4, 12, seed=20) / "checkpoints" / "000012.safetensors"
    assert of({"checkpoint": "mine/000012"}, {"checkpoint": "mine"}) == str(newest)
    assert of(mine, brain, checkpoint="brain").endswith("brain.safetensors"), "as --checkpoint over --recipes"
    with pytest.raises(SettingError, match=r"recipes\[1\].checkpoint cannot be 'brain': a walk keeps one network"):
        of(mine, brain)
    with pytest.raises(CheckpointError, match="nope"):
        of(mine, {"checkpoint": "nope"})
    keys = [{"recipe": recipe, "time": time} for time, recipe in enumerate((mine, {**mine, "checkpoint": None}, brain))]
    with pytest.raises(SettingError, match=r"keys\[2\].recipe.checkpoint cannot be 'brain': a walk keeps one network"):
        looked_at("interpolate", {"timeline": {"keys": keys}}, check=studio.check)
    copy = shutil.copyfile(house / "checkpoints" / "brain.safetensors", house / "checkpoints" / "copy.safetensors")
    assert of(brain, {**brain, "checkpoint": "copy"}).endswith("brain.safetensors"), copy
    keys = [{"recipe": {"checkpoint": name}, "time": time} for time, name in enumerate(("brain", "copy"))]
    assert looked_at("interpolate", {"timeline": {"keys": keys}}, check=studio.check)


def test_a_file_opened_by_its_path_hides_no_other(house: Path) -> None:
    """What lies in the folders keeps its name, RUN is one run, and a later namesake is said."""
    run_at(house / "runs" / "mine", 4, 12, seed=20)
    own, far = house / "checkpoints" / "brain.safetensors", toy(house / "near" / "brain.safetensors", seed=5)
    page = studio_of(house)
    assert [page.admit(str(far)), page.admit(str(own))] == ["near/brain", "brain"]
    listed = {one.name: one.path for one in page.networks()}
    assert (listed["brain"], listed["near/brain"]) == (own, far) and page.refused() == {}
    around = house / "near" / ".." / "checkpoints" / "brain.safetensors"
    assert page.admit(str(around)) == "brain" and len(page.networks()) == len(listed) and page.refused() == {}
    with pytest.raises(CheckpointError, match="'near'"):  # no run, but a folder
        page.network("near")
    for file, called in ((run_at(house / "far" / "mine", 7, seed=3), "far/mine/000007"),
                         (toy(house / "mine" / "brain.safetensors", seed=4), f"{house.name}/mine/brain"),
                         (toy(house / "near" / "mine.ckpt", seed=6), "near/mine"),
                         (toy(house / "near" / "late.safetensors", seed=7), "late")):  # fmt: skip
        assert page.admit(str(file)) == called
    assert page.network("mine").name == "mine/000012"
    late = toy(house / "checkpoints" / "late.safetensors", seed=8)
    assert [one.name for one in page.networks()].count("late") == 1
    assert page.refused() == {late: f"{late} is not listed: another file was opened as late; rename one of the two"}
