"""What gradio_client gets of the verbs that look closer: layers, the nearest real pictures, a picture of one's own."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("gradio")

from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from core import pictures
from core.errors import SettingError
from explorer import kept
from explorer.recipe import Recipe
from explorer.studio import Studio
from explorer.web import api, build
from explorer.web.jobs import Jobs
from explorer.web.project_routes import kept_point
from tests.explorer.conftest import served, toy, until
from tests.explorer.test_gathering import PICTURE, slices


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network, a run that names its own set, a set that is given, and a picture."""
    root = tmp_path_factory.mktemp("house")
    toy(root / "checkpoints" / "brain.safetensors", crop=[1, 0, *PICTURE])
    toy(root / "runs" / "first" / "checkpoints" / "000004.safetensors", seed=1, crop=[1, 0, *PICTURE])
    config = {"data": str(slices(root / "own", people=5)), "holdout": 0.2, "seed": 1}
    (root / "runs" / "first" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    slices(root / "given", people=7)
    pictures.write_png(root / "scan.png", np.random.RandomState(0).randint(0, 256, (30, 28), np.uint8))
    return root


@pytest.fixture(scope="module")
def studio(house: Path) -> Studio:
    return Studio(house / "checkpoints", house / "runs", device="cpu")


@pytest.fixture(scope="module")
def server(house: Path, studio: Studio) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, str(house / "cache"))
        folders = (house / "checkpoints", house / "runs")
        with served(build(studio, folders=folders, data=[house / "given"])) as address:
            yield address


@pytest.fixture(scope="module")
def client(server: str, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server, verbose=False, download_files=tmp_path_factory.mktemp("fetched"))


def test_layers_are_told_and_drawn(client: Client, server: str) -> None:
    recipe = {"checkpoint": "brain", "seed": 7, "psi": 0.5}
    told = client.predict(seeds=7, psi=0.5, checkpoint="brain", layer=1, api_name="/layers")
    assert told == httpx.post(f"{server}/layers", params={"layer": "1"}, json=recipe).json()
    name = told["layers"][1]["name"]
    for words in ({"layer": name, "view": "channels", "cell": 16, "scale": "own"}, {"view": "growing"}):
        path = client.predict(recipe=recipe, **words, api_name="/layers")
        picture = httpx.post(f"{server}/layers/picture", params=words, json=recipe).content
        assert Path(path).read_bytes() == picture and Path(path).name == f"{words['view']}.png"


def test_the_nearest_real_pictures_are_told_and_drawn(client: Client, server: str) -> None:
    told, sheet = client.predict(seeds="3", number=2, checkpoint="brain", api_name="/nearest")
    assert len(told["near"]) == 2 and told["pictures"] == 28
    about = json.loads(pictures.read_text(Path(sheet))["styloscope"])
    assert (about["verb"], about["recipes"][0]["seed"]) == ("nearest", 3)
    again = httpx.post(f"{server}/nearest", params={"number": 2}, json={"checkpoint": "brain", "seed": 3}).json()
    assert {**told, "ready": True} == again
    told, _ = client.predict(checkpoint="first", data="own", api_name="/nearest")
    assert told["held"]["kind"] == "held", "a run's own set, for who sits at this machine"


def test_a_picture_of_ones_own_becomes_a_point(client: Client, house: Path, studio: Studio) -> None:
    scan = handle_file(house / "scan.png")
    told, point = client.predict(scan, steps=20, checkpoint="brain", api_name="/project")
    assert told["distance"]["levels"] > 0 and "name" not in told and not kept.names(studio.network("brain"), "points")
    assert Path(point).suffix == ".safetensors"
    told, _ = client.predict(scan, steps=20, checkpoint="brain", keep="my scan", api_name="/project")
    assert told["name"] == "my-scan"
    assert kept.read_point(studio.network("brain"), "my-scan").about["source"] == "scan.png"
    assert studio.exact(Recipe(checkpoint="brain", point="my-scan", psi=1)).shape == PICTURE


@pytest.mark.parametrize(
    ("endpoint", "settings", "sentence"),
    [
        ("/layers", {"seeds": "1-2"}, "seeds cannot be '1-2': one seed"),
        ("/layers", {"view": "inside"}, "view cannot be 'inside'"),
        ("/layers", {"view": "channels"}, "layer cannot be 'nothing'"),
        ("/layers", {"layer": "nine"}, "layer cannot be 'nine'"),
        ("/layers", {"layer": "1", "view": "channels", "count": "4"}, "count cannot be '4'"),
        ("/layers", {"layer": "1", "view": "channels", "cell": 4000}, "cell cannot be '4000'"),
        ("/nearest", {"seeds": "1,2"}, "seeds cannot be '1,2': one seed"),
        ("/nearest", {"data": "/etc"}, "data cannot be '/etc'"),
        ("/nearest", {"data": 3}, "data cannot be '3'"),
        ("/nearest", {"number": 0}, "number cannot be '0'"),
        ("/nearest", {"number": [1]}, "number cannot be"),
        ("/nearest", {"number": "many"}, "number cannot be 'many'"),
        ("/project", {"picture": {}, "keep": 5}, "keep cannot be '5'"),
        ("/project", {"picture": {}, "keep": ""}, "keep cannot be"),
        ("/project", {"picture": "scan.png"}, "picture cannot be 'this'"),
        ("/project", {"picture": {}}, "picture cannot be 'this'"),
        ("/project", {"picture": {}, "steps": 3}, "steps cannot be '3'"),
        ("/project", {"picture": {}, "space": ["w"]}, "space cannot be"),
        ("/project", {"picture": {}, "checkpoint": "../brain"}, "there is no network"),
        ("/project", {"picture": {}, "checkpoint": 5}, "checkpoint cannot be '5'"),
        ("/directions", {"checkpoint": ["brain"]}, "checkpoint cannot be"),
    ],
)
def test_what_is_wrong_comes_back_as_one_sentence(
    client: Client, endpoint: str, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(AppError, match=sentence) as caught:
        client.predict(**settings, api_name=endpoint)
    assert "Traceback" not in str(caught.value) and "\n" not in str(caught.value)


def asked(server: str, endpoint: str, values: list[Any]) -> str:
    """What a bare request is told, without the client, which would send any file that is named."""
    begun = httpx.post(f"{server}/gradio_api/call{endpoint}", json={"data": values})
    return httpx.get(f"{server}/gradio_api/call{endpoint}/{begun.json()['event_id']}", timeout=60).text


def test_a_request_names_no_file_of_this_machine(server: str, house: Path) -> None:
    """Gradio takes a file that a request names to be one that it sent, wherever in a value it stands."""
    before = {path.name for path in api.files_folder().rglob("*")}
    for path in (house / "scan.png", house / "checkpoints" / "brain.safetensors", Path("/etc/hostname"), house / "no"):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        said = asked(server, "/project", [file, "w+", 20, None, False, None, None, "brain", "spied"])
        assert "event: error" in said and "root" not in said
        assert "event: error" in asked(server, "/render", ["1", *[None] * 6, file])
        assert path.name not in {one.name for one in api.files_folder().rglob("*")} - before


def test_a_client_that_leaves_ends_its_job(client: Client, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled, submit, cancel = [], [], Jobs.submit, Jobs.cancel
    monkeypatch.setattr(Jobs, "submit", lambda self, *given: begun.append(submit(self, *given)) or begun[-1])
    monkeypatch.setattr(Jobs, "cancel", lambda self, identity: (cancelled.append(identity), cancel(self, identity)))
    waiting = client.submit(handle_file(house / "scan.png"), steps=20000, checkpoint="brain", api_name="/project")
    until(lambda: begun and waiting.communicator.event_id)
    waiting.cancel()
    until(lambda: cancelled == begun)
    told, _ = client.predict(handle_file(house / "scan.png"), steps=20, checkpoint="brain", api_name="/project")
    assert told["distance"], "and holds nobody up"


def test_a_client_that_leaves_before_its_job_has_begun_ends_it_too() -> None:
    ended: list[str] = []
    asked, left = threading.Event(), threading.Event()

    class Slow:
        def submit(self, verb: str, settings: dict[str, Any]) -> str:
            return "id"

        def status(self, identity: str) -> dict[str, str]:
            return {"state": "running"}

        def cancel(self, identity: str) -> None:
            ended.append(identity)

    def settings() -> dict[str, Any]:
        asked.set()
        assert left.wait(60)
        return {}

    async def leave() -> None:
        waiting = asyncio.ensure_future(api._done(Slow(), "project", settings))  # type: ignore[arg-type]
        await asyncio.to_thread(asked.wait, 60)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        left.set()
        await asyncio.to_thread(until, lambda: ended)

    asyncio.run(leave())
    assert ended == ["id"]


def test_a_point_is_kept_beside_the_network_it_was_found_in(
    client: Client, house: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, newer = api._done, house / "runs" / "first" / "checkpoints" / "000005.safetensors"

    async def meanwhile(*given: Any) -> Path:
        toy(newer, seed=5, crop=[1, 0, *PICTURE])
        return await done(*given)

    monkeypatch.setattr(api, "_done", meanwhile)
    scan = handle_file(house / "scan.png")
    try:
        told, _ = client.predict(scan, steps=20, checkpoint="first", keep="mine", api_name="/project")
        assert kept.names(studio.network("first/000004"), "points") == [told["name"]]
        assert not kept.names(studio.network("first/000005"), "points")
        with pytest.raises(SettingError, match="which has changed"):
            kept_point(studio.network("first/000005"), kept.path_of(studio.network("first/000004"), "points", "mine"),
                       name="x", source="x")  # fmt: skip
    finally:
        newer.unlink(missing_ok=True)


def test_no_file_but_one_that_was_sent_is_read(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "files_folder", lambda: house / "sent")
    (house / "sent").mkdir(exist_ok=True)
    (house / "sent" / "mine.png").write_bytes(b"12345")
    assert api._uploaded({"path": str(house / "sent" / "mine.png"), "orig_name": "x.png"}) == (b"12345", "x.png")
    outside = [house / "scan.png", house / "sent" / ".." / "scan.png", house / "sent", house / "sent" / "none.png"]
    if os.name == "posix":
        (house / "sent" / "link.png").symlink_to(house / "scan.png")
        outside.append(house / "sent" / "link.png")
    for path in [*map(str, outside), "a\0b", ""]:
        with pytest.raises(api.SettingError, match="picture cannot be 'this'"):
            api._uploaded({"path": path})
    monkeypatch.setattr(api, "UPLOAD_LIMIT", 4)
    with pytest.raises(api.SettingError, match="5 bytes"):
        api._uploaded({"path": str(house / "sent" / "mine.png")})


def test_what_the_server_knows_of_a_request_is_no_word_of_a_verb(client: Client) -> None:
    known = client.view_api(return_format="dict")["named_endpoints"]
    words = {name: {one["parameter_name"] for one in known[name]["parameters"]} for name in known}
    assert words["/nearest"] >= {"seeds", "data", "number"} and "request" not in words["/nearest"]
    assert words["/project"] >= {"picture", "space", "keep"} and words["/layers"] >= {"layer", "view"}
