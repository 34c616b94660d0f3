"""What programs get: gradio_client's endpoints and the addresses of jobs, maps and cards, on the real server."""

from __future__ import annotations

import asyncio
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio.queueing
import httpx
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from core.carried import read_carried
from core.pictures import read, read_text
from explorer import kept
from explorer.recipe import Recipe, Steer
from explorer.studio import Studio
from explorer.timeline import Timeline
from explorer.web import build, job_routes
from explorer.web.about_routes import card_html
from tests.explorer.conftest import served


@pytest.fixture(scope="module")
def server(folder: Path, studio: Studio) -> Iterator[str]:
    """The address of the app over `folder`, served by a thread of this process."""
    (folder / "checkpoints" / "brain.md").write_text(
        "# Brain\n\n<b>bold</b>\n\n![grid](brain-grid.png)\n", encoding="utf-8"
    )
    Image.new("L", (4, 4)).save(folder / "checkpoints" / "brain-grid.png")
    (folder / "checkpoints" / "secret.png").write_bytes(b"not yours")
    with served(build(studio, folders=(folder / "checkpoints", folder / "runs"))) as address:
        yield address


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server, verbose=False, download_files=tmp_path_factory.mktemp("fetched"))


def test_one_seed_is_one_file_with_its_recipe(client: Client, studio: Studio) -> None:
    path = client.predict(seeds="3", psi=1.0, api_name="/render")
    told = json.loads(read_text(Path(path))["styloscope"])
    assert (told["seed"], told["psi"], told["checkpoint"]) == (3, 1.0, "brain")
    assert np.array_equal(read(Path(path)), studio.exact(Recipe(seed=3, psi=1.0)))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("gradio_api/call/render", b"{", 422),
        ("gradio_api/call/render", b'{"data": "x"}', 422),
        ("gradio_api/file=/etc/passwd", None, 403),
    ],
)
def test_gradios_own_refusals_have_our_sentence_too(server: str, path: str, body: bytes | None, status: int) -> None:
    kind = {"Content-Type": "application/json"}
    answer = (
        httpx.get(f"{server}/{path}") if body is None else httpx.post(f"{server}/{path}", content=body, headers=kind)
    )
    said = answer.json()
    assert answer.status_code == status and "was refused" in said["error"] and said["detail"]
    assert len(said["error"].splitlines()) == 1


def test_a_server_without_work_rests(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counting(seconds: float, *rest: Any) -> Any:
        slept.append(seconds)
        return await sleep(seconds, *rest)

    monkeypatch.setattr(gradio.queueing.asyncio, "sleep", counting)
    time.sleep(1)
    assert slept and min(slept) >= 0.02, "Gradio's queue looks for work a thousand times a second by itself"


def test_several_seeds_are_a_list_and_a_recipe_is_a_picture(client: Client, studio: Studio) -> None:
    paths = client.predict(seeds="4-5", checkpoint="colour", label=2, api_name="/render")
    assert [Path(path).name for path in paths] == ["seed0004.png", "seed0005.png"]
    blend = {"blend": [{"seed": 1, "weight": 0.25}, {"seed": 2, "weight": 0.75}]}
    path = client.predict(recipe=blend, api_name="/render")
    assert np.array_equal(read(Path(path)), studio.exact(Recipe.parse(blend)))


@pytest.mark.parametrize(
    ("endpoint", "settings", "sentence"),
    [
        ("/render", {"seeds": "1,,a"}, "seeds cannot be '1,,a'|seeds cannot be ''"),
        ("/render", {"seeds": "3", "checkpoint": "../brain"}, "there is no network '../brain'"),
        ("/render", {"seeds": "3", "psi": 9.0}, "psi cannot be '9.0'"),
        ("/render", {"recipe": {"sead": 3}}, "sead"),
        ("/render", {"seeds": "3", "grown": "7x6:0.5"}, "grown cannot be '7x6'.*does not grow"),
        ("/mix", {"rows": "0", "columns": "1", "layers": "1", "grown": {"size": [7, 6]}}, "does not grow"),
        ("/interpolate", {"seeds": "3,9", "grown": "large"}, "grown cannot be 'large'"),
        ("/mix", {"rows": "0", "columns": "1", "layers": "2-40"}, "layers cannot be '2-40'"),
        ("/mix", {"rows": "0", "columns": "1", "layers": "1", "title": "a\nb"}, "title cannot be"),
        ("/interpolate", {"seeds": "3"}, "seeds cannot be"),
        ("/interpolate", {"seeds": "3,9", "steps": 0}, "steps cannot be '0'"),
        ("/interpolate", {"seeds": "3,9", "steps": 10**9}, "5000 frames"),
        ("/interpolate", {"seeds": "3,9", "ease": "--out=/tmp/x"}, "ease cannot be"),
        ("/interpolate", {"seeds": "3,9", "format": "exe"}, "format cannot be 'exe'"),
        ("/interpolate", {"seeds": "3,9", "scale": 9}, "scale cannot be '9': a whole number from 1 to 8"),
        ("/bilinear", {"seeds": "1,2,3"}, "seeds cannot be .*a sheet has four corners"),
        ("/bilinear", {"seeds": "1,2,3,4", "steps": 0}, "steps cannot be '0'"),
        ("/mix", {"rows": "0", "columns": "1", "layers": "1", "column_label": 3}, "label cannot be '3'"),
        ("/map", {"psi": 9.0}, "psi cannot be '9.0'"),
        ("/map", {"grown": "7x6"}, "does not grow"),
        ("/render", {"seeds": "3", "bits": 12}, "bits cannot be '12'"),
    ],
)
def test_what_is_wrong_comes_back_as_one_sentence(
    client: Client, endpoint: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence) as caught:
        client.predict(**settings, api_name=endpoint)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_film_a_sheet_and_a_map_by_the_words_of_the_verbs(client: Client, studio: Studio) -> None:
    film = client.predict(seeds="3,9", steps=3, loop=True, fps=10, ease="smooth", format="gif", api_name="/interpolate")
    with Image.open(film) as gif:
        assert gif.n_frames == 6
    sheet = client.predict(rows="0-1", columns="4,5", layers="1-2", psi=0.9, api_name="/mix")
    assert json.loads(read_text(Path(sheet))["styloscope"])["columns"] == [4, 5]
    table, picture = client.predict(samples=30, method="pca", api_name="/map")
    assert Path(table).read_text(encoding="utf-8").splitlines()[0] == "seed,x,y"
    assert read(Path(picture)).ndim == 2


def test_the_sheet_between_four_corners(client: Client, studio: Studio) -> None:
    sheet = client.predict(seeds="1,2,3,4", steps=3, psi=0.9, api_name="/bilinear")
    told = json.loads(read_text(Path(sheet))["styloscope"])
    assert (told["verb"], [one["seed"] for one in told["recipes"]]) == ("bilinear", [1, 2, 3, 4])
    shown = studio.exact(Recipe(seed=1, psi=0.9))
    drawn = read(Path(sheet))
    assert (drawn.shape[0] - 2) // 3 >= shown.shape[0]
    assert any(
        np.array_equal(drawn[top : top + shown.shape[0], left : left + shown.shape[1]], shown)
        for top in range(4)
        for left in range(4)
    )


def test_a_timeline_by_the_words_of_the_verb_comes_back_out_of_its_film(client: Client, studio: Studio) -> None:
    spots = ((3, 0), (9, 0.3), (4, 1))
    keys = [{"recipe": {"checkpoint": "colour", "seed": seed}, "time": time} for seed, time in spots]
    told = {"fps": 10, "spline": "catmull-rom", "keys": keys}
    film = client.predict(timeline=told, psi=0.5, format="webp", api_name="/interpolate")
    timeline = Timeline.parse(read_carried(Path(film)) or "")
    assert {(one.checkpoint, one.psi) for one in timeline.recipes} == {("colour", 0.5)}
    assert [one.seed for one in timeline.recipes] == [3, 9, 4]
    with Image.open(film) as webp:
        assert webp.n_frames == timeline.count == 11
        webp.seek(5)
        picture = studio.exact(timeline.frame(5))
        assert np.array_equal(np.asarray(webp.convert("RGB")), picture)
    large = client.predict(timeline=told, psi=0.5, format="webp", scale=2, api_name="/interpolate")
    with Image.open(large) as webp:
        webp.seek(5)
        assert np.array_equal(np.asarray(webp.convert("RGB")), picture.repeat(2, axis=0).repeat(2, axis=1))
    with pytest.raises(AppError, match="fps cannot be '12.0': a timeline says it itself"):
        client.predict(timeline=told, fps=12.0, api_name="/interpolate")
    with pytest.raises(AppError, match="seeds cannot be '1,2'"):
        client.predict(timeline=json.dumps(told), seeds="1,2", api_name="/interpolate")
    with pytest.raises(AppError, match="there is no network '/etc/passwd'"):
        far = [{**key, "recipe": {"checkpoint": "/etc/passwd"}} for key in keys]
        client.predict(timeline={"keys": far}, api_name="/interpolate")
    with pytest.raises(AppError, match="timeline cannot be '@/etc/passwd'"):
        client.predict(timeline="@/etc/passwd", api_name="/interpolate")


def test_a_job_over_http_from_kept_pictures(server: str) -> None:
    points = [{"checkpoint": "brain", "seed": 1, "psi": 0.5}, {"checkpoint": "brain", "seed": 2}]
    wish = {"verb": "interpolate", "recipes": points, "steps": 2, "format": "png", "scale": 2}
    begun = httpx.post(f"{server}/jobs", json=wish)
    assert begun.status_code == 202
    address = f"{server}/jobs/{begun.json()['id']}"
    end = time.monotonic() + 120
    while (status := httpx.get(address).json())["state"] in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (status["state"], status["done"], status["total"]) == ("done", 3, 3)
    fetched = httpx.get(f"{address}/file")
    with zipfile.ZipFile(io.BytesIO(fetched.content)) as frames, Image.open(frames.open("000000.png")) as first:
        assert first.size == (22, 24) and json.loads(first.text["styloscope"])["psi"] == 0.5  # type: ignore[attr-defined]
    assert "brain-interpolate.zip" in fetched.headers["content-disposition"]
    assert httpx.delete(address).status_code == 200
    assert httpx.get(address).status_code == 404


@pytest.mark.parametrize(
    "wish",
    [
        b"[1, 2]",
        b"{",
        b'{"verb": "render", "seeds": "1"}',
        b'{"verb": "interpolate", "seeds": "1,2", "out": "/tmp/x"}',
        b'{"verb": "interpolate", "seeds": "1,2", "checkpoint": "/etc/passwd"}',
        b'{"verb": "interpolate", "recipes": 3}',
        b'{"verb": "interpolate", "seeds": "1,2", "steps": "many"}',
        b'{"verb": "interpolate", "seeds": {"a": 1}}',
        b'{"verb": "bilinear", "seeds": "1,2,3"}',
        b'{"verb": "bilinear", "seeds": "1,2,3,4", "steps": 65}',
        b'{"verb": "bilinear", "seeds": "1,2,3,4", "steps": "x"}',
        b'{"verb": "interpolate", "seeds": "1,2", "loop": "yes"}',
        b'{"verb": "interpolate", "seeds": "1,2", "fps": 1e-9}',
        b'{"verb": "interpolate", "seeds": "1,2", "scale": true}',
        b'{"verb": "mix", "rows": "0", "columns": "1"}',
        b'{"verb": "mix", "rows": "0", "columns": "1", "layers": "1", "amount": 2}',
        b'{"verb": "mix", "rows": "0", "columns": "1", "layers": "1", "amount": "x"}',
        b'{"verb": "mix", "rows": "0", "columns": "1", "layers": "1", "title": "a\\nb"}',
        b'{"verb": "map", "samples": 0}',
        b'{"verb": "map", "samples": NaN}',
        b'{"verb": "map", "method": ["pca"]}',
        b'{"verb": "mix", "rows": "0", "columns": "1", "layers": "1", "recipe": "@/etc/passwd"}',
    ],
)
def test_jobs_that_cannot_be_are_refused_at_once(server: str, wish: bytes) -> None:
    answer = httpx.post(f"{server}/jobs", content=wish)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_jobs_of_other_people_are_not_found(server: str) -> None:
    assert httpx.get(f"{server}/jobs/guess").status_code == 404
    assert httpx.delete(f"{server}/jobs/guess").status_code == 404


def test_the_map_and_the_place_of_a_seed_on_it(server: str) -> None:
    found = httpx.get(f"{server}/map", params={"checkpoint": "brain", "samples": 50}).json()
    assert (found["method"], len(found["x"])) == ("pca", 50)
    where = {"samples": 50, "method": "pca", "nearest": 3}
    place = httpx.post(f"{server}/map/place", params=where, json={"checkpoint": "brain", "seed": 7}).json()
    assert place["nearest"][0] == 7
    assert (place["x"], place["y"]) == pytest.approx((found["x"][7], found["y"][7]), abs=1e-2)
    for wrong in ({"samples": "many"}, {"samples": 10**8}, {"method": "tsne"}, {"checkpoint": "../brain"}):
        assert httpx.get(f"{server}/map", params=wrong).status_code == 400


def test_a_map_by_class_and_a_place_on_it(server: str) -> None:
    query = {"samples": 30, "method": "pca", "by_class": "true"}
    found = httpx.get(f"{server}/map", params={"checkpoint": "colour", **query}).json()
    assert (found["classes"], len(found["x"])) == (3, 30)
    recipe = {"checkpoint": "colour", "seed": 8, "label": 2}
    place = httpx.post(f"{server}/map/place", params={**query, "nearest": 1}, json=recipe).json()
    assert place["nearest"] == [8]
    alone = httpx.get(
        f"{server}/map", params={"checkpoint": "colour", "samples": 30, "method": "pca", "label": 2}
    ).json()
    assert alone["classes"] == 0 and alone["x"] != found["x"]
    for wrong in ({"checkpoint": "brain"}, {"checkpoint": "colour", "label": 1}, {"by_class": "perhaps"}):
        answer = httpx.get(f"{server}/map", params={**query, **wrong})
        assert answer.status_code == 400 and answer.json()["error"].startswith("by_class cannot be")
    wish = {"verb": "map", "checkpoint": "brain", "by_class": True, "samples": 30}
    assert "has no classes" in httpx.post(f"{server}/jobs", json=wish).json()["error"]


def test_plotly_comes_compressed_from_this_server(server: str) -> None:
    answer = httpx.get(f"{server}/plotly.min.js")
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < 2_000_000 < len(answer.content)


def test_the_facts_and_the_card_of_a_network(server: str) -> None:
    facts = httpx.get(f"{server}/about", params={"checkpoint": "brain"}).json()
    assert (facts["name"], facts["credit"]) == ("brain", "made by a test")
    assert "&lt;b&gt;" in facts["card"] and "<b>" not in facts["card"]
    picture = {"checkpoint": "brain", "file": "brain-grid.png"}
    assert httpx.get(f"{server}/about/picture", params=picture).status_code == 200
    for file in ("secret.png", "../brain-grid.png", "brain.safetensors", "/etc/passwd", ""):
        assert httpx.get(f"{server}/about/picture", params={**picture, "file": file}).status_code == 404


def test_a_card_cannot_bring_scripts() -> None:
    text = "[a](javascript:alert(1)) [b](https://example.org) <img src=x onerror=alert(1)> ![c](data:text/html,x)"
    shown = card_html(text, checkpoint="brain")
    assert 'href="javascript' not in shown
    assert "<img src=x" not in shown
    assert 'href="https://example.org" rel="noopener noreferrer"' in shown


def test_two_networks_side_by_side(client: Client, server: str) -> None:
    sheet = client.predict(**{"with": "colour"}, seeds="1-2", api_name="/compare")
    told = json.loads(read_text(Path(sheet))["styloscope"])
    assert (told["checkpoint"], told["with"], len(told["recipes"])) == ("brain", "colour", 2)
    sheet = client.predict(recipe={"seed": 4}, with_precision="bfloat16", signed=True, api_name="/compare")
    told = json.loads(read_text(Path(sheet))["styloscope"])
    assert (told["precisions"], told["signed"], told["with"]) == (["auto", "bfloat16"], True, "brain")
    for wrong in ({}, {"with": "../brain"}, {"with": 3}, {"with": "colour", "amplify": 2}, {"precision": "half"}):
        wish = {"verb": "compare", "seeds": "1", **wrong}
        assert httpx.post(f"{server}/jobs", json=wish).status_code == 400
    with pytest.raises(AppError, match="with cannot be 'nothing'"):
        client.predict(seeds="1", api_name="/compare")


def test_a_frame_in_a_precision(server: str) -> None:
    address = f"{server}/frame"
    for precision in ("float32", "bfloat16"):
        answer = httpx.post(address, params={"format": "webp", "precision": precision}, json={"seed": 7})
        assert answer.headers["styloscope-precision"] == precision
    exact = httpx.post(address, json={"seed": 7}).content
    assert httpx.post(address, params={"precision": "float32"}, json={"seed": 7}).content == exact
    assert httpx.post(address, params={"precision": "half"}, json={"seed": 7}).status_code == 400


def test_directions_are_found_and_made(client: Client, studio: Studio) -> None:
    found = client.predict(method="pca", number=2, api_name="/directions")["directions"]
    assert [one["name"] for one in found] == ["pca-0", "pca-1"]
    made = client.predict(
        method="difference", a="0-4", b=[7, {"seed": 9, "psi": 0.5}], name="far", api_name="/directions"
    )
    assert made["directions"][0]["name"] == "far" and made["directions"][0]["unit"] == "accuracy"
    picture = client.predict(recipe={"seed": 3, "steer": [{"direction": "far", "amount": 2}]}, api_name="/render")
    assert np.array_equal(read(Path(picture)), studio.exact(Recipe(seed=3, steer=(Steer("far", 2),))))
    kept.forget(studio.network("brain"), "directions", "far")
    with pytest.raises(AppError, match="name cannot be 'nothing'"):
        client.predict(method="difference", a="0-4", b="5-9", api_name="/directions")


PICTURE = ["psi", "cutoff", "noise", "label", "grown", "checkpoint", "recipe"]


def test_what_clients_name_and_in_which_order(client: Client) -> None:
    """Programs give these by place, too: what is new comes last."""
    told = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    names = {verb: [one["parameter_name"] for one in facts["parameters"]] for verb, facts in told.items()}
    usual = {verb: [one["parameter_default"] for one in facts["parameters"]] for verb, facts in told.items()}
    assert names["/render"] == ["seeds", *PICTURE, "bits"]
    assert names["/mix"] == ["rows", "columns", "layers", "amount", "title", *PICTURE, "column_label"]
    walk = ["seeds", "steps", "space", "loop", "fps", "ease", "format"]
    assert names["/interpolate"] == [*walk, *PICTURE, "recipes", "timeline", "scale"]
    assert usual["/interpolate"][:7] == [None, 24, "w", False, 24.0, "linear", "gif"] and usual["/interpolate"][-1] == 1
    assert names["/bilinear"] == ["seeds", "steps", "title", *PICTURE, "recipes"]
    sides = ["with", "seeds", "precision", "with_precision", "amplify", "signed", "title"]
    assert names["/compare"] == [*sides, *PICTURE]
    own = ["samples", "method", "label", "checkpoint", "by_class", "color", "points", "pictures"]
    assert names["/map"] == [*own, "psi", "cutoff", "noise", "grown"]
    plate = ["layer", "view", "sort", "scale", "first", "count", "columns", "cell"]
    assert names["/layers"] == ["seeds", *plate, *PICTURE]
    assert names["/nearest"] == ["seeds", "data", "number", *PICTURE]
    assert all(value is None for verb in ("/render", "/layers") for value in usual[verb][-8:-1])


def test_a_client_may_ask_for_sixteen_megapixels(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_routes, "PIXEL_LIMIT", 5 * 12 * 11)
    assert len(client.predict(seeds="0-4", api_name="/render")) == 5
    with pytest.raises(AppError, match="pictures cannot be '6': a request may ask for .* megapixels, here 5 pictures"):
        client.predict(seeds="0-5", api_name="/render")


def test_a_seed_over_a_recipe_is_that_seeds_picture(client: Client, studio: Studio) -> None:
    for recipe in ({"toward": {"seed": 3, "t": 0.5}}, {"blend": [{"seed": 3}]}):
        path = client.predict(seeds="5", recipe={**recipe, "psi": 0.5}, api_name="/render")
        assert np.array_equal(read(Path(path)), studio.exact(Recipe(seed=5, psi=0.5)))


def test_a_matrix_of_two_classes_and_a_picture_of_sixteen_bits(client: Client) -> None:
    wish = {"rows": "0", "columns": "1", "layers": "1", "checkpoint": "colour", "label": 1, "column_label": 2}
    told = json.loads(read_text(Path(client.predict(**wish, api_name="/mix")))["styloscope"])
    assert (told["column_label"], told["recipe"]["label"]) == (2, 1)
    with Image.open(client.predict(seeds="1", bits=16, api_name="/render")) as deep:
        assert deep.mode.startswith("I")
