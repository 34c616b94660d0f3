"""The addresses of the map over a small network: values, places, paths, and small pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from explorer import atlas, kept
from explorer.atlas_sheets import Sheets
from explorer.recipe import Recipe
from explorer.studio import Studio
from explorer.web.job_routes import looked_at
from explorer.web.map_routes import add_map_routes

QUERY = "checkpoint=brain&samples=40&method=pca"


@pytest.fixture
def client(own: Studio) -> Iterator[TestClient]:
    """The routes of the map alone."""
    app = Starlette()
    add_map_routes(app, studio=own)
    with TestClient(app) as found:
        yield found


def test_a_picture_that_is_kept_appears_on_the_map(client: TestClient, own: Studio) -> None:
    assert client.get(f"/map?{QUERY}").json()["points"] == []
    ws = own.ws(Recipe(checkpoint="brain", seed=5)).numpy().astype(np.float32)
    kept.keep(own.network("brain"), kept.Point("mine", ws))
    said = client.get(f"/map?{QUERY}").json()
    (point,) = said["points"]
    assert point["name"] == "mine" and point["x"] == pytest.approx(said["x"][5], abs=1e-3)
    among = client.get(f"/map?{QUERY}&points=true").json()
    assert among["among"] and among["method"] == "pca"
    kept.forget(own.network("brain"), "points", "mine")
    assert client.get(f"/map?{QUERY}").json()["points"] == []


def test_values_and_places_are_the_librarys(client: TestClient, own: Studio) -> None:
    found = atlas.survey(own, "brain", samples=40)
    said = client.get(f"/map/values?{QUERY}&color=psi").json()
    assert np.allclose(said["values"], np.linalg.norm(found.samples - found.w_avg, axis=1) / found.spread, atol=1e-4)
    assert "standard deviations" in said["words"] and said["reach"][0] < said["reach"][1]
    assert client.get(f"/map/values?{QUERY}&color=brightness").json()["values"] == [None] * 40
    body = json.dumps({"checkpoint": "brain", "seed": 3})
    place = client.post(f"/map/place?{QUERY}&nearest=4", content=body).json()
    seeds, away = atlas.nearest(found, found.samples[3].astype(np.float64), 4)
    assert place["nearest"] == seeds.tolist() and np.allclose(place["away"], away, atol=1e-3)
    flat = client.post(f"/map/place?{QUERY}&nearest=4&by=map", content=body).json()
    apart = np.hypot(*(found.pca - found.pca[3]).T)
    assert flat["nearest"] == np.argsort(apart, kind="stable")[:4].tolist()


def test_a_path_and_what_is_wrong_with_one(client: TestClient) -> None:
    said = client.get(f"/map?{QUERY}").json()
    line = [[said["x"][0], said["y"][0]], [said["x"][9], said["y"][9]]]
    found = client.post(f"/map/path?{QUERY}", json={"line": line, "recipe": {"checkpoint": "brain", "psi": 0.5}}).json()
    assert len(found["recipes"]) == len(found["seeds"]) >= 2 and found["recipes"][0]["psi"] == 0.5
    through = client.post(f"/map/path?{QUERY}", json={"seeds": [4, 8], "recipe": {"checkpoint": "brain"}}).json()
    assert [one["seed"] for one in through["recipes"]] == [4, 8]
    for wrong in (
        {},
        {"line": "x"},
        {"seeds": [1]},
        {"seeds": [1, True]},
        {"seeds": [1, 99]},
        {"line": [[0, 0], [1, 1e300]]},
        {"line": [[0, 0], [1, 10**400]]},
    ):
        answer = client.post(f"/map/path?{QUERY}", json={**wrong, "recipe": {"checkpoint": "brain"}})
        assert answer.status_code == 400 and answer.json()["error"], wrong


def test_sheets_come_once_they_are_drawn(client: TestClient, own: Studio) -> None:
    said = client.get("/map/sheets?checkpoint=brain").json()
    assert (said["there"], said["seeds"], said["cell"]) == ([], 100, [12, 11])
    assert client.get("/map/sheet?checkpoint=brain&sheet=0").status_code == 404
    Sheets(own.network("brain"), None, 0).draw(own, 40)
    assert client.get("/map/sheets?checkpoint=brain").json()["there"] == [0]
    answer = client.get("/map/sheet?checkpoint=brain&sheet=0")
    assert answer.headers["content-type"] == "image/jpeg" and answer.content.startswith(b"\xff\xd8")
    for wrong in ("500", "-1", "x", "../0", ""):
        assert client.get(f"/map/sheet?checkpoint=brain&sheet={wrong}").status_code == 400, wrong


@pytest.mark.parametrize(
    "query",
    [
        "method=tsne",
        "samples=1e9",
        f"samples={0:09}{9:05000}",
        "by_class=1",
        "points=yes",
        "color=",
        "color=r.csv:age",
        "by_class=true",
    ],
)
def test_what_no_map_can_be(client: TestClient, query: str) -> None:
    answer = client.get(
        f"/map/values?checkpoint=brain&color=psi&{query}" if "color" not in query else f"/map/values?{QUERY}&{query}"
    )
    assert answer.status_code == 400 and answer.json()["error"]


def test_a_job_colours_by_names_and_never_by_a_file_of_this_machine(own: Studio, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("seed,age\n1,2\n", encoding="utf-8")
    good = looked_at("map", {"checkpoint": "brain", "color": "sefa-0", "pictures": True}, check=own.check)
    assert good["color"] == "sefa-0" and good["pictures"] is True
    for wrong in (
        {"color": f"{tmp_path / 'r.csv'}:age"},
        {"color": 3},
        {"color": "class"},
        {"pictures": "yes"},
        {"points": 1},
    ):
        with pytest.raises(Exception, match="color|pictures|points"):
            looked_at("map", {"checkpoint": "brain", **wrong}, check=own.check)
