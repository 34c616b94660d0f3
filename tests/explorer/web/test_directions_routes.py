"""The addresses of directions: what is found, made, kept, renamed, forgotten and shared, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from explorer import kept
from explorer.studio import Studio
from explorer.web.answers import Refusals
from explorer.web.directions_routes import add_directions_routes
from tests.explorer.conftest import toy


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("networks")
    toy(folder / "brain.safetensors")
    toy(folder / "classes.safetensors", seed=1, num_classes=3)
    return Studio(folder, folder, device="cpu")


@pytest.fixture(scope="module")
def client(studio: Studio) -> TestClient:
    app = Starlette()
    add_directions_routes(app, studio=studio)
    app.add_middleware(Refusals)
    return TestClient(app)


def names(client: TestClient, **query: Any) -> list[str]:
    answer = client.get("/directions", params={"checkpoint": "brain", **query})
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["directions"]]


def test_what_is_found_comes_after_what_is_kept(client: TestClient, studio: Studio) -> None:
    assert names(client, method="pca", count=2) == ["pca-0", "pca-1"]
    assert names(client, method="sefa", layers="1-2", count=3) == ["sefa-0.1-2", "sefa-1.1-2", "sefa-2.1-2"]
    asked = {"checkpoint": "brain", "name": "Länge", "direction": "sefa-1.1-2"}
    made = client.post("/directions", json=asked)
    assert made.status_code == 201 and made.json()["layers"] == "1-2"
    assert names(client, count=1) == ["Länge", "sefa-0"]
    room = studio.open("brain")
    np.testing.assert_allclose(room.direction("Länge").vector, room.direction("sefa-1.1-2").vector)
    assert client.post("/directions", json=asked).status_code == 400
    assert client.post("/directions", json={**asked, "replace": True}).status_code == 201
    assert client.post("/directions/rename", json={"checkpoint": "brain", "name": "Länge", "new": "a.b c"}).is_success
    assert names(client, method="kept") == ["a.b c"]
    assert client.delete("/directions/a.b%20c?checkpoint=brain").is_success
    assert names(client, method="kept") == []


def test_two_piles_make_a_direction_with_its_score(client: TestClient, studio: Studio) -> None:
    w = studio.styles("brain", range(60))
    high = w[:, 0] > np.median(w[:, 0])
    piles = {
        side: [{"seed": int(k)} for k in np.flatnonzero(high == is_b)] for side, is_b in (("a", False), ("b", True))
    }
    for method in ("difference", "classifier"):
        answer = client.post("/directions", json={"checkpoint": "brain", "name": method, "method": method, **piles})
        assert answer.status_code == 201, answer.text
        found = answer.json()
        assert found["kept"] and found["unit"] == "accuracy" and found["score"] > 0.7 and found["believable"]
        assert f"{found['score']:.0%} right" in found["words"]
        assert studio.open("brain").direction(method).vector[0] > 0
    [entry] = [one for one in kept.entries(studio.network("brain"), "directions") if one["name"] == "classifier"]
    assert entry["piles"] == [30, 30] and entry["sha"] == studio.network("brain").sha
    for name in ("difference", "classifier"):
        client.delete(f"/directions/{name}?checkpoint=brain")


def test_classes_and_whole_recipes_count_in_a_pile(client: TestClient, studio: Studio) -> None:
    piles = {"a": [{"seed": 1, "label": 0}, {"seed": 2}], "b": [{"seed": 1, "label": 2}, {"blend": [
        {"seed": 3, "weight": 0.5}, {"seed": 4, "weight": 0.5}]}]}  # fmt: skip
    wish = {"checkpoint": "classes", "name": "x", "method": "difference", **piles}
    assert client.post("/directions", json=wish).status_code == 201
    w = [studio.styles("classes", [seed], label=label)[0] for seed, label in ((1, 0), (2, 0), (1, 2), (3, 0), (4, 0))]
    wanted = (w[2] + (w[3] + w[4]) / 2) / 2 - (w[0] + w[1]) / 2
    found = studio.open("classes").direction("x").vector
    assert found @ wanted / np.linalg.norm(wanted) > 0.9999
    wish["b"] = [{"seed": 1, "label": 3}]
    refused = client.post("/directions", json={**wish, "name": "y"})
    assert refused.status_code == 400 and "classes 0 to 2" in refused.json()["error"]


def test_a_table_makes_one_and_noise_is_said(client: TestClient) -> None:
    values = np.random.RandomState(0).randn(40)
    text = "seed,age,size\n" + "\n".join(f"{k},{value:.3f},{k}" for k, value in enumerate(values))
    wish = {"checkpoint": "brain", "name": "age", "method": "labels", "labels": text}
    assert "one of age, size" in client.post("/directions", json=wish).json()["error"]
    found = client.post("/directions", json={**wish, "column": "age"}).json()
    assert found["unit"] == "R2" and found["believable"] is False
    assert found["words"].startswith("no better than chance")
    client.delete("/directions/age?checkpoint=brain")
    halves = "\n".join(f"{k},{'x' if k % 2 else chr(0xD800)}" for k in range(12))
    body = json.dumps({**wish, "labels": f"seed,sex\n{halves}"})  # half a character, as JSON may spell it
    assert client.post("/directions", content=body).status_code == 201
    client.delete("/directions/age?checkpoint=brain")
    body = json.dumps({**wish, "labels": "seed," + ",".join(f"c{k}" for k in range(10_000)), "column": "age"})
    assert len(client.post("/directions", content=body).json()["error"]) < 300


def test_a_file_is_shared_and_opened_under_a_free_name(client: TestClient, tmp_path: Path) -> None:
    data = client.get("/directions/pca-1/file?checkpoint=brain")
    assert data.headers["content-disposition"].endswith("pca-1.safetensors")
    opened = [client.post("/directions/open?checkpoint=brain&name=shared", content=data.content) for _ in range(2)]
    assert [one.json()["name"] for one in opened] == ["shared", "shared 2"]
    again = client.get("/directions/shared/file?checkpoint=brain").content
    assert client.post("/directions/open?checkpoint=classes", content=again).json()["name"] == "shared"
    for bad in (b"", b"{}", again[:-3], again.replace(b'"direction"', b'"point"')):
        refused = client.post("/directions/open?checkpoint=brain", content=bad)
        assert refused.status_code == 400 and refused.json()["error"]
    for name in ("shared", "shared 2"):
        client.delete(f"/directions/{name}?checkpoint=brain")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "direction cannot be 'this body'"),
        (b'{"nam": "x"}', "a key of the direction cannot be 'nam'"),
        (b'{"name": "x", "direction": "pca-0", "new": "y"}', "cannot be 'new': the known ones are checkpoint, name, m"),
        (b'{"name": "x", "name": "y", "direction": "pca-0"}', "direction cannot be 'this body'"),
        (b'{"name": "../x", "method": "difference"}', "direction cannot be '../x'"),
        (b'{"name": "pca-3", "direction": "pca-3"}', "another name"),
        (b'{"name": "x", "method": "sefa", "a": [{}], "b": [{}]}', "difference or classifier"),
        (b'{"name": "x", "method": "difference", "a": [], "b": [{}]}', "a cannot be 'a list'"),
        (b'{"name": "x", "method": "difference", "a": [{"seed": -1}], "b": [{}]}', "seed cannot be '-1'"),
        (b'{"name": "x", "method": "labels", "labels": 3}', "labels cannot be '3'"),
        (b'{"name": "x", "direction": "nobody"}', "no direction of that name"),
        (b'{"name": "x", "method": "difference", "a": [{"point": "nobody"}], "b": [{}]}', "no point of that name"),
        (b'{"name": "x", "direction": "pca-0", "replace": 1}', "replace cannot be '1'"),
    ],
)
def test_what_cannot_be_made_is_refused(client: TestClient, body: bytes, said: str) -> None:
    refused = client.post("/directions", content=body)
    assert refused.status_code == 400
    assert said in refused.json()["error"]


@pytest.mark.parametrize(
    "query",
    ["method=umap", "layers=0,2", "layers=40", "count=0", "count=65", f"count={1:09}{0:05000}", "checkpoint=no"],
)
def test_what_cannot_be_listed_is_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/directions?{query}").status_code == 400
    assert client.delete("/directions/nobody").status_code == 400
    assert client.get("/directions/nobody/file").status_code == 400


@pytest.mark.parametrize("key", ["method", "a", "labels", "replace", "old"])
def test_what_renaming_does_not_take(client: TestClient, key: str) -> None:
    wish = {"checkpoint": "brain", "name": "x", "new": "y", key: "z"}
    said = client.post("/directions/rename", json=wish).json()["error"]
    assert said == f"a key of the direction cannot be '{key}': the known ones are checkpoint, name, new"
