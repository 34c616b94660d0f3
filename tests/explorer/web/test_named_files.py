"""A network opened by its path: jobs get that very file, and what they make bears the name that the page knows."""

from __future__ import annotations

import json
import os
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
def talking(house: Path, far: Path) -> Iterator[TestClient]:
    app = build(studio_of(house, far), folders=(house / "checkpoints", house / "runs"), checkpoint="cls/000000")
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


def test_a_sheet_comes_from_the_network_of_the_page(talking: TestClient, house: Path, far: Path) -> None:
    sha = studio_of(house, far).network("cls").sha
    assert {one["name"]: one["sha"] for one in talking.get("/networks").json()}["cls/000000"] == sha
    wish = {"verb": "bilinear", "checkpoint": "cls/000000", "seeds": "1,2,3,4", "steps": 1}
    address = f"/jobs/{talking.post('/jobs', json=wish).json()['id']}"
    until(lambda: talking.get(address).json()["state"] not in ("waiting", "running"), seconds=120)
    told = talking.get(address).json()
    assert (told["state"], told["name"]) == ("done", "cls-000000-bilinear.png"), told
    sheet = talking.get(f"{address}/file").content
    text = json.loads(pictures.read_text(sheet, name="sheet")["styloscope"])
    assert (text["checkpoint"], text["sha"]) == ("cls/000000", sha)
    wanted = studio_of(house, far).exact(Recipe(checkpoint="cls/000000", seed=1))
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
def test_every_job_is_told_the_file(house: Path, far: Path, tmp_path: Path, verb: str, wish: dict[str, Any]) -> None:
    studio = studio_of(house, far)
    line, _ = arguments(verb, looked_at(verb, {**wish, "checkpoint": "cls"}, check=studio.check), folder=tmp_path)
    assert f"--checkpoint={far / 'checkpoints' / '000000.safetensors'}" in line
    assert verb != "compare" or f"--with={house / 'checkpoints' / 'brain.safetensors'}" in line
    assert wished(studio, {"checkpoint": "cls"})["checkpoint"] == str(far / "checkpoints" / "000000.safetensors")


def test_a_file_goes_by_one_name(house: Path, far: Path, tmp_path: Path) -> None:
    """What a job is told the path of has the name there that it has on the page."""
    mine = run_at(house / "runs" / "mine", 4, 12, seed=20)
    os.symlink(mine, house / "runs" / "latest")
    os.symlink(toy(tmp_path / "elsewhere" / "other.safetensors", seed=5), house / "checkpoints" / "linked.safetensors")
    page = studio_of(house, far)
    names = {one.name: one.path for one in page.networks()}
    assert {"brain", "linked", "cls/000000", "mine/000004", "mine/000012", "latest/000012"} <= set(names)
    for name, path in names.items():
        told = studio_of(house).admit(str(path.absolute()))
        assert (told, page.network(told).sha) == (name, page.network(name).sha)


def test_names_of_files_beyond_the_folders(house: Path, far: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = far / "checkpoints" / "000000.safetensors"
    assert studio_of(house).admit(str(file)) == studio_of(house).admit(str(far)) == "cls/000000"
    monkeypatch.chdir(far / "checkpoints")
    assert studio_of(house).admit("000000.safetensors") == studio_of(house).admit("..") == "cls/000000"
    beside = studio_of(house)
    first = beside.admit(str(file))
    second = beside.admit(str(run_at(house / "again" / "cls", 0, seed=3) / "checkpoints" / file.name), beside=first)
    assert (first, second) == ("cls/000000", "again/cls/000000")
    assert beside.network(first).sha != beside.network(second).sha
    assert Studio(far / "checkpoints", house / "runs").admit(str(file)) == "000000"  # as it is listed there


def test_a_walk_of_recipes_keeps_their_network(house: Path, far: Path) -> None:
    studio = studio_of(house, far)

    def of(*recipes: dict[str, Any], **more: Any) -> str:
        return str(looked_at("interpolate", {"recipes": list(recipes), **more}, check=studio.check)["checkpoint"])

    mine, brain = {"checkpoint": "cls/000000", "seed": 1}, {"checkpoint": "brain", "seed": 2}
    assert (
        of(mine, {"seed": 3}) == of(mine, {**mine, "checkpoint": "cls"}) == str(far / "checkpoints/000000.safetensors")
    )
    assert of(mine, brain, checkpoint="brain").endswith("brain.safetensors"), "as --checkpoint over --recipes"
    with pytest.raises(SettingError, match=r"recipes\[1\].checkpoint cannot be 'brain': a walk keeps one network"):
        of(mine, brain)
    with pytest.raises(CheckpointError, match="nope"):
        of(mine, {"checkpoint": "nope"})
