"""The addresses of projecting and of points."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from starlette.testclient import TestClient

from core import pictures
from explorer import kept
from explorer.recipe import Recipe
from explorer.studio import Studio
from explorer.web import build, project_routes
from tests.explorer.conftest import toy

PICTURE = pictures.encode(np.random.RandomState(0).randint(0, 256, (30, 28), np.uint8), "png")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    root = tmp_path_factory.mktemp("house")
    toy(root / "checkpoints" / "brain.safetensors", crop=[1, 0, 12, 11])
    return Studio(root / "checkpoints", root / "runs", device="cpu")


@pytest.fixture(scope="module")
def client(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp("cache")))
        folders = (studio.network("brain").path.parent, tmp_path_factory.mktemp("runs"))
        with TestClient(build(studio, folders=folders), base_url="http://127.0.0.1") as opened:
            yield opened


def ended(client: TestClient, identity: str) -> dict[str, Any]:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        status = client.get(f"/project/{identity}").json()
        if status["state"] not in ("waiting", "running"):
            return status
        time.sleep(0.05)
    raise AssertionError("the projection did not end")


def test_a_picture_becomes_a_point_by_stopping(client: TestClient, studio: Studio) -> None:
    answer = client.post("/project?checkpoint=brain&steps=20000&name=my%20scan.png", content=PICTURE)
    assert answer.status_code == 202, answer.json()
    identity = answer.json()["id"]
    assert client.post(f"/project/{identity}/stop").json() == {"state": "stopping"}
    status = ended(client, identity)
    assert status["state"] == "done", status["error"]
    assert status["preview"]["stopped"] and status["preview"]["distance"]["levels"] > 0
    assert status["preview"]["picture"] and status["preview"]["target"]
    made = [client.post(f"/project/{identity}/keep", json={"name": "my scan", "checkpoint": "brain"}) for _ in range(2)]
    assert [one.json()["name"] for one in made] == ["my-scan", "my-scan-2"]
    point = kept.read_point(studio.network("brain"), "my-scan")
    assert point.about["made"] == "project" and point.about["source"] == "my scan"
    assert client.post("/frame", json={"checkpoint": "brain", "point": "my-scan", "psi": 1}).status_code == 200


def test_cancelling_leaves_nothing_within_a_second(client: TestClient) -> None:
    identity = client.post("/project?checkpoint=brain&steps=20000", content=PICTURE).json()["id"]
    time.sleep(0.3)
    began = time.monotonic()
    assert client.delete(f"/jobs/{identity}").json() == {"state": "cancelled"}
    assert time.monotonic() - began < 10  # a second, and what a busy machine adds; all steps take minutes
    assert ended(client, identity)["state"] == "cancelled"
    assert client.post(f"/project/{identity}/keep", json={"name": "x"}).status_code == 400
    assert client.get("/project/nobody").status_code == 404


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("checkpoint=brain", b"no picture", "not a picture"),
        ("checkpoint=brain", b"", "bytes of a picture"),
        ("checkpoint=brain&steps=5", PICTURE, "20 to 20000"),
        ("checkpoint=brain&steps=x", PICTURE, "a number"),
        ("checkpoint=brain&seconds=nan", PICTURE, "seconds"),
        ("checkpoint=brain&noise_maps=1", PICTURE, "true or false"),
        ("checkpoint=brain&label=0", PICTURE, "label"),
        ("checkpoint=brain&out=x", PICTURE, "out cannot be"),
        ("checkpoint=../brain", PICTURE, "there is no network"),
        ("checkpoint=brain&grown=7x6", PICTURE, "grow"),
    ],
)
def test_what_is_wrong_is_said(client: TestClient, query: str, body: bytes, words: str) -> None:
    answer = client.post(f"/project?{query}", content=body)
    assert answer.status_code == 400 and words in answer.json()["error"]


def test_uploads_are_bounded(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_routes, "UPLOAD_LIMIT", 1 << 20)
    monkeypatch.setattr(project_routes, "MOST_PIXELS", 800)

    def endless() -> Iterator[bytes]:
        for _ in range(3):
            yield b"x" * (1 << 19)

    answer = client.post("/project?checkpoint=brain", content=endless())
    assert answer.status_code == 413 and "a picture of at most 1 MB" in answer.json()["error"]
    assert "shrink it first" in client.post("/project?checkpoint=brain", content=PICTURE).json()["error"]
    wish = {"verb": "project", "source": "/etc/passwd", "checkpoint": "brain"}
    assert "asked for at /project" in client.post("/jobs", json=wish).json()["error"]


def test_points_are_kept_renamed_shared_and_forgotten(client: TestClient, studio: Studio) -> None:
    recipe = {"checkpoint": "brain", "seed": 4, "psi": 0.5, "mix": [{"seed": 5, "layers": "0"}]}
    assert client.post("/points", json={"name": "here", "recipe": recipe}).json()["made"] == "stage"
    shown = studio.exact(Recipe.parse({"checkpoint": "brain", "point": "here", "psi": 1}))
    assert np.array_equal(shown, studio.exact(Recipe.parse(recipe)))
    assert "taken" in client.post("/points", json={"name": "here", "recipe": recipe}).json()["error"]
    renamed = client.post("/points/rename", json={"checkpoint": "brain", "old": "here", "new": "there"})
    assert renamed.json() == {"name": "there"}
    names = [one["name"] for one in client.get("/points?checkpoint=brain").json()["points"]]
    assert "there" in names and "here" not in names
    file = client.get("/points/there/file?checkpoint=brain")
    assert file.headers["content-disposition"].endswith("there.safetensors")
    opened = client.post("/points/open?checkpoint=brain&name=x.safetensors", content=file.content).json()
    assert opened["name"] == "there-2"
    odd = kept.Point(
        "odd", kept.read_point(studio.network("brain"), "there").ws, about={"made": {}, "distance": {"levels": "x"}}
    )
    told = client.post("/points/open?checkpoint=brain", content=kept.file_bytes(odd)).json()
    assert told["name"] == "odd" and told["made"] is None and told["distance"] is None  # what the page counts on
    client.delete("/points/odd?checkpoint=brain")
    for name in ("there", "there-2"):
        assert client.delete(f"/points/{name}?checkpoint=brain").json() == {"removed": name}
    assert client.delete("/points/there?checkpoint=brain").status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/points", {"name": "../x", "recipe": {}}),
        ("/points", {"name": None, "recipe": {}}),
        ("/points", {"name": "x", "recipe": {"point": "nobody"}}),
        ("/points", {"name": "x", "wrong": 1}),
        ("/points/rename", {"checkpoint": "brain", "old": "a", "name": "b"}),
        ("/points/rename", {"checkpoint": "brain", "old": "nobody", "new": "x"}),
        ("/points/rename", {"checkpoint": "brain", "old": "there"}),
        ("/points/rename", {"checkpoint": 3, "old": "a", "new": "b"}),
        ("/points/open?checkpoint=brain", {"no": "point"}),
    ],
)
def test_points_that_cannot_be(client: TestClient, path: str, body: dict) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_what_a_picture_encloses_is_kept_once(client: TestClient, studio: Studio) -> None:
    recipe = {"checkpoint": "brain", "point": "enclosed", "psi": 1}
    assert client.post("/points", json={"name": "enclosed", "recipe": {"seed": 4}}).status_code == 200
    answer = client.post("/frame", json=recipe)
    told = json.loads(pictures.read_text(answer.content)["styloscope-kept"])
    body = {"recipe": recipe, "kept": told}
    assert client.post("/restore", json=body).json() == {"recipe": recipe, "kept": []}
    client.delete("/points/enclosed?checkpoint=brain")
    assert client.post("/restore", json=body).json() == {"recipe": recipe, "kept": ["enclosed"]}
    assert client.post("/frame", json=recipe).content == answer.content
    client.delete("/points/enclosed?checkpoint=brain")
    for wrong in ({"recipe": recipe}, {"recipe": [], "kept": told}, {"recipe": {"x": 1}, "kept": told}, {"more": 1}):
        refused = client.post("/restore", json=wrong)
        assert refused.status_code == 400 and refused.json()["error"]
    assert "enclosed" not in kept.names(studio.network("brain"), "points")
