"""/layers and /layers/picture: they say and draw what is inside, and refuse in one sentence."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from starlette.testclient import TestClient

from explorer import plates
from explorer.networks import Networks
from explorer.studio import Studio
from explorer.web import build, inside_routes
from tests.explorer.conftest import growing, toy

RECIPE = {"checkpoint": "brain", "seed": 7}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inside")
    toy(folder / "brain.safetensors", size=(28, 24), crop=[3, 2, 22, 21])
    growing(folder / "grown.safetensors")
    return folder


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[TestClient]:
    server = build(Studio(place, place / "runs", device="cpu"), folders=(place, place / "runs"))
    with TestClient(server, base_url="http://127.0.0.1:7860") as talking:
        yield talking


def ask(talking: TestClient, recipe: dict[str, Any] = RECIPE, **query: object) -> dict[str, Any]:
    answer = talking.post("/layers", params=query, json=recipe)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(talking: TestClient, recipe: dict[str, Any] = RECIPE, **query: object) -> np.ndarray:
    answer = talking.post("/layers/picture", params=query, json=recipe)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_the_list_has_every_layer_and_one_of_them_its_channels(client: TestClient) -> None:
    told = ask(client)
    names = [layer["name"] for layer in told["layers"]]
    assert names[:4] == ["const", "conv1-7x6", "rgb-7x6", "picture-7x6"] and names[-1] == "picture-28x24"
    got = client.get("/layers", params={"recipe": json.dumps(RECIPE)}).json()
    assert got == told
    one = ask(client, layer="conv0-28x24", sort="deviation", count=4, columns=2, cell=56)
    (entry,) = [layer for layer in one["layers"] if layer["name"] == "conv0-28x24"]
    deviations = one["deviations"]
    assert len(deviations) == len(one["means"]) == entry["channels"]
    assert np.mean(one["means"]) == pytest.approx(entry["mean"], abs=1e-5)
    assert one["sheet"]["order"] == np.argsort(np.negative(deviations), kind="stable")[:4].tolist()
    assert one["sheet"] | {"order": 0} == {"order": 0, "columns": 2, "cell": [56, 48], "gap": 2}
    assert len(one["spectrum"]["radial"]) == 15 and one["spectrum"]["radial"][0] is None
    assert [mark["frequency"] for mark in one["spectrum"]["marks"]] == [7, 14]
    assert ask(client, layer=str(entry["index"]), sort="deviation", count=4, columns=2, cell=56) == one


def test_the_last_of_the_row_is_what_the_stage_shows(client: TestClient) -> None:
    for recipe in (
        RECIPE,
        {**RECIPE, "noise": 5, "toward": {"seed": 9, "t": 0.5}, "mix": [{"seed": 3, "layers": "0-2"}]},
        {
            **RECIPE,
            "steer": [{"direction": "sefa-1", "amount": 2.0, "layers": "0-3"}, {"direction": "pca-0", "amount": -1}],
        },
        {"checkpoint": "brain", "blend": [{"seed": 1, "weight": 0.5, "noise": 1}, {"seed": 2, "weight": 0.5}]},
        {"checkpoint": "grown", "seed": 2, "grown": {"size": [28, 24], "alpha": 0.4}},
        {"checkpoint": "grown", "seed": 2, "grown": {"size": [14, 12], "alpha": 0.4}},
    ):
        shown = np.asarray(Image.open(io.BytesIO(client.post("/frame", json=recipe).content))).astype(int)
        height, width = shown.shape
        row = picture(client, recipe, view="growing", cell=max(height, width))
        count = (row.shape[1] + 2) // (width + 2)
        assert count == len({layer["level"] for layer in ask(client, recipe)["layers"]}) and row.shape[0] == height
        assert abs(row[:, -width:] - shown).max() <= 1, "another order of sums is a level here and there"
        assert np.mean(row[:, -width:] != shown) < 0.01


def test_a_sheet_and_a_spectrum_have_the_layout_that_was_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = ask(client, layer="conv1-7x6", count=5, columns=3, cell=30)["sheet"]
    assert told == {"order": [0, 1, 2, 3, 4], "columns": 3, "cell": [28, 24], "gap": 2}
    sheet = picture(client, layer="conv1-7x6", count=5, columns=3, cell=30)
    assert sheet.shape == (2 * 30 - 2, 3 * 26 - 2)
    webp = client.post("/layers/picture", params={"layer": 4, "format": "webp"}, json=RECIPE)
    assert webp.headers["content-type"] == "image/webp" and webp.content[8:12] == b"WEBP"
    tall = {"layer": "0", "columns": "1", "count": "8", "cell": "1024"}
    monkeypatch.setattr(inside_routes, "_LONGEST_WEBP", 8000)
    refused = client.post("/layers/picture", params={**tall, "format": "webp"}, json=RECIPE)
    assert refused.status_code == 400 and refused.json()["error"].startswith("format cannot be 'webp': png for")
    assert picture(client, **tall).shape[0] == 8 * (7 * 146 + 2) - 2
    spectrum = picture(client, layer="conv1-14x12", view="spectrum", cell=140)
    assert spectrum.shape == (140, 120) and spectrum[:10, :10].std() == 0 and spectrum.std() > 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"layer": "conv9-7x6"}, "layer"), ({"layer": "9" * 5000}, "layer"), ({"layer": ""}, "layer"),
        ({"layer": "0", "first": "16"}, "first"), ({"layer": "0", "first": "-1"}, "first"),
        ({"layer": "0", "count": "0"}, "count"), ({"layer": "0", "count": "1" * 4000}, "count"),
        ({"layer": "0", "cell": "1e3"}, "cell"), ({"layer": "0", "cell": "4000"}, "cell"),
        ({"layer": "0", "columns": "\u0663"}, "columns"), ({"layer": "0", "sort": "size"}, "sort"),
        ({"layer": "0", "scale": "both"}, "scale"), ({"layer": "0", "view": "all"}, "view"),
        ({"layer": "0", "format": "gif"}, "format"), ({"layer": "0", "client": "a" * 65}, "client"),
        ({}, "layer"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused_by_name(client: TestClient, query: dict[str, str], field: str) -> None:
    answer = client.post("/layers/picture", params=query, json=RECIPE)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field} cannot be ") and len(answer.json()["error"]) < 400


def test_a_sheet_is_bounded_before_it_is_drawn(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside_routes, "PIXEL_LIMIT", 6 * 10**6)
    monkeypatch.setattr(plates, "sheet", lambda *_, **__: pytest.fail("drawn"))
    answer = client.post("/layers/picture", params={"layer": "1", "cell": "1024"}, json=RECIPE)
    assert answer.status_code == 400
    assert answer.json()["error"] == "cells cannot be '8': a request may ask for 6 megapixels"


@pytest.mark.parametrize("body", ["", "[]", '{"seed": -1}', '{"checkpoint": "../brain"}', "\udcff", '{"seed": 1e400}'])
def test_a_recipe_that_cannot_be_is_refused(client: TestClient, body: str) -> None:
    content = body.encode("utf-8", "surrogateescape")
    for address in ("/layers", "/layers/picture?layer=0"):
        answer = client.post(address, content=content)
        assert answer.status_code == 400 and answer.json()["error"]
    assert client.delete("/layers").status_code == 405


def test_a_network_that_was_replaced_is_looked_at_anew(place: Path, client: TestClient) -> None:
    path = toy(place / "other.safetensors", seed=1)
    before = ask(client, {"checkpoint": "other", "seed": 7})
    path.unlink()
    toy(path, seed=2)
    assert Networks(checkpoints=place, runs=place).find("other").sha
    assert ask(client, {"checkpoint": "other", "seed": 7}) != before
