"""The nearest real pictures over HTTP: sets are names, reading is a job, and what a run names stays on this machine."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from core import pictures
from explorer.__main__ import main
from explorer.recipe import Recipe
from explorer.studio import Studio
from explorer.web.answers import Refusals
from explorer.web.job_routes import add_job_routes
from explorer.web.jobs import Jobs, arguments
from explorer.web.nearest_routes import RealSets, add_nearest_routes
from tests.explorer.conftest import toy
from tests.explorer.test_gathering import PICTURE, slices

HERE = ("127.0.0.1", 50000)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a run that names its own set, and a set that somebody gave."""
    root = tmp_path_factory.mktemp("house")
    toy(root / "checkpoints" / "brain.safetensors", crop=[1, 0, *PICTURE])
    toy(root / "runs" / "first" / "checkpoints" / "000004.safetensors", seed=1, crop=[1, 0, *PICTURE])
    own = slices(root / "own", people=5)
    config = {"data": str(own), "holdout": 0.2, "seed": 1}
    (root / "runs" / "first" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    slices(root / "given", people=7)
    return root


@pytest.fixture
def jobs(house: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    """Jobs of the command line itself, whose cache lies in the house."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(house / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(house / "cache"))
    places = [f"--checkpoints={house / 'checkpoints'}", f"--runs={house / 'runs'}"]
    made = Jobs(places=places, parent=house / "made")
    yield made
    made.close()


def client(house: Path, jobs: Jobs, *, given: bool, host: str = "127.0.0.1", peer: Any = HERE) -> TestClient:
    studio = Studio(house / "checkpoints", house / "runs", device="cpu")
    app = FastAPI()
    add_job_routes(app, jobs=jobs, check=studio.check)
    add_nearest_routes(app, sets=RealSets(studio, [house / "given"] if given else []), jobs=jobs, host=host)
    app.add_middleware(Refusals)
    return TestClient(app, base_url="http://127.0.0.1:7860", client=peer)


def finished(talking: TestClient, wish: dict[str, Any]) -> dict[str, Any]:
    """Start the job that reads a set and wait for its end."""
    asked = talking.post("/nearest/job", json=wish)
    assert asked.status_code == 202, asked.text
    address, end = f"/jobs/{asked.json()['id']}", time.monotonic() + 120
    while (told := talking.get(address).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < end, told
        time.sleep(0.05)
    return told


def test_a_given_set_is_read_by_a_job_and_then_looked_at(house: Path, jobs: Jobs) -> None:
    talking = client(house, jobs, given=True)
    assert talking.get("/nearest", params={"checkpoint": "brain"}).json() == {"sets": ["given"], "says": None}
    recipe = {"checkpoint": "brain", "seed": 3}
    assert talking.post("/nearest", json=recipe).json()["ready"] is False
    assert talking.get("/nearest/picture", params={"name": "person000_slice00.png"}).status_code == 404
    told = finished(talking, {"recipe": recipe, "data": "given"})
    assert (told["state"], told["name"]) == ("done", "brain-nearest.png"), told
    found = talking.post("/nearest", json=recipe, params={"number": 3}).json()
    assert found["ready"] and found["pictures"] == 28 and found["held"]["kind"] == "people" and len(found["near"]) == 3
    assert sum(found["bars"]["counts"]) == found["held"]["count"] == 28
    assert found["bars"]["most"] == pytest.approx(found["held"]["most"], abs=1e-3)
    assert found["words"][0].startswith(f"It lies {found['distance']:.1f} gray levels from {found['near'][0]['name']}")
    assert str(house) not in json.dumps(found)
    studio = Studio(house / "checkpoints", house / "runs", device="cpu")
    shown = studio.exact(Recipe.parse(recipe)).astype(float)
    away = {file.name: np.sqrt(((shown - pictures.read(file)) ** 2).mean()) for file in (house / "given").iterdir()}
    wanted = sorted(away, key=lambda name: (away[name], name))[:3]
    assert [one["name"] for one in found["near"]] == wanted
    assert found["near"][2]["distance"] == pytest.approx(away[wanted[2]], abs=1e-3)
    answer = talking.get("/nearest/picture", params={"checkpoint": "brain", "data": "given", "name": wanted[0]})
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(answer.content))), pictures.read(house / "given" / wanted[0])
    )


def here(house: Path, verb: str, settings: dict[str, Any]) -> list[str]:
    """The command line of a job, to be run in this process."""
    (house / "made").mkdir(exist_ok=True)
    line, _ = arguments(verb, settings, folder=house / "made")
    return [line[0], f"--checkpoints={house / 'checkpoints'}", f"--runs={house / 'runs'}", *line[1:]]


def test_a_runs_own_set_is_shown_on_this_machine_alone(
    house: Path, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = client(house, jobs, given=False)
    assert near.get("/nearest", params={"checkpoint": "first"}).json()["sets"] == ["own"]
    started = list[list[str]]()
    monkeypatch.setattr(jobs, "submit", lambda verb, settings: started.append(here(house, verb, settings)) or "id")
    assert near.post("/nearest/job", json={"recipe": {"checkpoint": "first/000004"}}).status_code == 202
    assert started[0][0] == "nearest" and f"--data={house / 'own'}" in started[0]
    monkeypatch.chdir(house / "made")  # a job runs in a folder of its own
    main(started[0])
    found = near.post("/nearest", json={"checkpoint": "first"}).json()
    assert found["held"] == {**found["held"], "kind": "held", "count": 4} and found["pictures"] == 16
    picture = {"checkpoint": "first", "name": found["near"][0]["name"]}
    assert near.get("/nearest/picture", params=picture).status_code == 200
    for far in (
        client(house, jobs, given=False, peer=("192.0.2.7", 50000)),
        client(house, jobs, given=False, host="0.0.0.0"),
    ):
        said = far.get("/nearest", params={"checkpoint": "first"}).json()
        assert said["sets"] == [] and "no set of pictures is known here" in said["says"]
        for answer in (
            far.post("/nearest", json={"checkpoint": "first"}),
            far.post("/nearest", json={"checkpoint": "first"}, params={"data": "own"}),
            far.get("/nearest/picture", params=picture),
            far.post("/nearest/job", json={"recipe": {"checkpoint": "first"}}),
        ):
            assert answer.status_code == 400 and "data cannot be" in answer.json()["error"]
    proxied = near.post("/nearest", json={"checkpoint": "first"}, headers={"x-forwarded-for": "192.0.2.7"})
    assert proxied.status_code == 400


@pytest.mark.parametrize("data", ["/etc", "../given", "own", "given/..", "GIVEN", "given\0", 7, ["given"]])
def test_a_set_is_a_name_and_never_a_path(house: Path, jobs: Jobs, data: Any) -> None:
    talking = client(house, jobs, given=True)
    answer = talking.post("/nearest/job", json={"recipe": {"checkpoint": "brain"}, "data": data})
    assert answer.status_code == 400 and answer.json()["error"].startswith("data cannot be")
    if isinstance(data, str):
        assert talking.post("/nearest", json={"checkpoint": "brain"}, params={"data": data}).status_code == 400
        query = {"checkpoint": "brain", "name": "person000_slice00.png", "data": data}
        assert talking.get("/nearest/picture", params=query).status_code == 400


@pytest.mark.parametrize("name", ["../brain.safetensors", "/etc/passwd", "person000_slice00.png/..", "", "a" * 9000])
def test_a_picture_is_a_name_and_never_a_path(house: Path, jobs: Jobs, name: str) -> None:
    talking = client(house, jobs, given=True)
    answer = talking.get("/nearest/picture", params={"checkpoint": "brain", "data": "given", "name": name})
    assert answer.status_code == 404 and answer.json()["error"].startswith("no picture")


def test_what_is_refused(house: Path, jobs: Jobs) -> None:
    talking = client(house, jobs, given=True)
    wrong = {"verb": "nearest", "data": str(house / "given"), "checkpoint": "brain"}
    assert "asked for at /nearest/job" in talking.post("/jobs", json=wrong).json()["error"]
    for number in ("0", "17", "x", "-1"):
        assert talking.post("/nearest", json={}, params={"number": number}).status_code == 400
    for body in ([], {"recipe": 3}, {}, {"recipe": {}, "out": "/tmp/x"}, {"recipe": {"checkpoint": "nobody"}}):
        assert talking.post("/nearest/job", json=body).status_code == 400
    assert talking.get("/nearest", params={"checkpoint": "nobody"}).status_code == 400
    assert talking.get("/nearest/picture", params={"grown": "9x9", "name": "x"}).status_code == 400
