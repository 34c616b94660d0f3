"""Files opened from the page: POST /open. What is wrong leaves nothing, what is there stays, names stay inside."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

from fastapi import FastAPI
from starlette.testclient import TestClient

import core
from core import foreign
from core.errors import CheckpointError
from explorer.converting import CancelledOpening, safe_stem, take_in
from explorer.networks import Networks
from explorer.studio import Studio
from explorer.web import build, open_routes, uploads
from explorer.web.about_routes import add_about_routes
from explorer.web.answers import Refusals
from explorer.web.desk import Desk
from explorer.web.guard import Guard, Login
from explorer.web.open_routes import add_open_route
from explorer.web.routes import add_routes
from tests.explorer.conftest import toy
from tests.explorer.test_converting import foreign_file, hostile, same


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ours, one of NVIDIA's, one that wants more than to be read."""
    folder = tmp_path_factory.mktemp("files")
    toy(folder / "ours.safetensors", seed=7)
    foreign_file(folder / "theirs.pkl", classes=3)
    hostile(folder / "hostile.pkl")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    toy(tmp_path / "checkpoints" / "brain.safetensors")
    return tmp_path / "checkpoints"


@pytest.fixture
def client(folder: Path) -> Iterator[TestClient]:
    with TestClient(app_of(folder), base_url="http://127.0.0.1:7860") as talking:
        yield talking


def app_of(folder: Path) -> Any:
    """The addresses without the page, which takes a second to build; `test_who_may_open` has it all."""
    studio, app = Studio(folder, folder / "runs"), FastAPI()
    add_routes(app, studio=studio, desk=Desk())
    add_about_routes(app, studio=studio, host="127.0.0.1")
    add_open_route(app, studio=studio, folder=folder)
    app.add_middleware(Refusals)
    app.add_middleware(Guard, host="127.0.0.1")
    return app


def names(folder: Path) -> list[str]:
    """What lies in the folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def send(client: TestClient, path: Path, name: str | None = None, **more: Any) -> Any:
    return client.post("/open", params={"name": name or path.name}, content=path.read_bytes(), **more)


def test_a_foreign_network_is_converted_listed_and_drawn(client: TestClient, folder: Path, files: Path) -> None:
    answer = send(client, files / "theirs.pkl")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["name"] == "theirs" and told["format"].startswith("stylegan2-ada") and "float16" in told["notes"][0]
    assert names(folder) == ["brain.safetensors", "theirs.safetensors"]
    assert [one["name"] for one in client.get("/networks").json()] == ["brain", "theirs"]
    frame = client.post("/frame", json={"checkpoint": "theirs", "seed": 3, "label": 2})
    assert frame.status_code == 200 and frame.headers["content-type"] == "image/png"
    opened = core.load(folder / "theirs.safetensors")
    same(opened, core.load(files / "theirs.pkl"))
    assert opened.about["provenance"]["source"] == "theirs.pkl"
    assert client.get("/about", params={"checkpoint": "theirs"}).json()["provenance"]["source"] == "theirs.pkl"


def test_one_of_ours_is_taken_as_it_is_and_only_once(client: TestClient, folder: Path, files: Path) -> None:
    assert send(client, files / "ours.safetensors", "mine.safetensors").json()["name"] == "mine"
    assert (folder / "mine.safetensors").read_bytes() == (files / "ours.safetensors").read_bytes()
    assert send(client, files / "ours.safetensors", "again.safetensors").json()["name"] == "mine"
    assert names(folder) == ["brain.safetensors", "mine.safetensors"]


def test_nothing_is_overwritten_or_shadowed(client: TestClient, folder: Path, files: Path) -> None:
    before = (folder / "brain.safetensors").read_bytes()
    toy(folder / "runs" / "first" / "checkpoints" / "000004.safetensors", seed=2)
    (folder / "runs" / "first" / "config.json").write_text("{}", encoding="utf-8")
    (folder / "theirs.md").write_text("# another network's card", encoding="utf-8")
    assert send(client, files / "ours.safetensors", "Brain.pkl").json()["name"] == "Brain-2"
    assert send(client, files / "theirs.pkl").json()["name"] == "theirs-2"
    toy(folder.parent / "more.safetensors", seed=8)
    assert send(client, folder.parent / "more.safetensors", "first.safetensors").json()["name"] == "first-2"
    assert (folder / "brain.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("ffhq.pkl", "ffhq"), ("network-snapshot-000600.pkl", "network-snapshot-000600"), ("a.b.safetensors", "a.b"),
        ("../../etc/passwd", "passwd"), ("C:\\new\\face.PT", "face"), ("..", "network"), (".hidden", "hidden"),
        ("", "network"), ("\0\x1b[31m\u202e.pkl", "31m"), ("<img src=x onload=a(1)>.pt", "img src-x onload-a-1"),
        ("nul.pkl", "network-nul"), ("COM1.x.pkl", "network-COM1.x"), ("héhé 2.pt", "héhé 2"), ("x" * 300, "x" * 100),
        ("é" * 99 + ".pkl", "é" * 50), ("a/", "network"), ("con", "network-con"), (" . -_", "network"),
    ],
)  # fmt: skip
def test_names(name: str, stem: str) -> None:
    found = safe_stem(name)
    assert found.rstrip("-") == stem
    assert Path(found).name == found and len(found.encode()) < 120


def test_a_hostile_name_stays_inside(client: TestClient, folder: Path, files: Path) -> None:
    outside = names(folder.parent)
    answer = send(client, files / "ours.safetensors", "../../x\n<b>.safetensors")
    assert answer.json()["name"] == "x-b" and names(folder) == ["brain.safetensors", "x-b.safetensors"]
    assert names(folder.parent) == outside


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("notes.pkl", b"hello, world", "notes.pkl is a file of another program"),
        ("a.safetensors", b"\x10" + bytes(7) + b"{}", "a.safetensors is truncated"),
        ("a.pkl", b"", "upload cannot be 'nothing'"),
        ("zip.pt", b"PK\x03\x04" + bytes(60), "zip.pt is a file of another program"),
    ],
)
def test_what_is_no_network_leaves_nothing(
    client: TestClient, folder: Path, name: str, content: bytes, part: str
) -> None:
    answer = client.post("/open", params={"name": name}, content=content)
    assert answer.status_code == 400 and part in answer.json()["error"], answer.text
    assert str(folder) not in answer.text and "\n" not in answer.json()["error"]
    assert names(folder) == ["brain.safetensors"]


def test_a_file_that_wants_more_is_refused_by_name(client: TestClient, folder: Path, files: Path) -> None:
    answer = send(client, files / "hostile.pkl", "faces.pkl")
    assert answer.status_code == 400 and "faces.pkl asks for posix.system" in answer.json()["error"]
    cut = files / "cut.pkl"
    cut.write_bytes((files / "theirs.pkl").read_bytes()[:-400])
    assert send(client, cut).status_code == 400
    lying = (files / "ours.safetensors").read_bytes()[:-4]
    assert "truncated" in client.post("/open", params={"name": "x"}, content=lying).json()["error"]
    assert names(folder) == ["brain.safetensors"]


def test_too_large(client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_routes, "UPLOAD_LIMIT", 1 << 20)
    answer = client.post("/open", content=bytes(2 << 20))
    assert answer.status_code == 413 and "a file of at most 1 MB" in answer.json()["error"]

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(1 << 16)

    answer = client.post("/open", content=(part for part, _ in zip(endless(), range(40), strict=False)))
    assert answer.status_code == 413 and names(folder) == ["brain.safetensors"]


def test_a_length_that_is_a_lie(folder: Path) -> None:
    """A body that ends before its announced length, as a browser leaves it that is closed, is no file."""
    status, _ = ask(app_of(folder), [b"half of it"], announced=b"5000000")
    assert status == 499 and names(folder) == ["brain.safetensors"]


def ask(app: Any, parts: list[bytes], *, announced: bytes = b"10", host: bytes = b"127.0.0.1") -> tuple[int, bytes]:
    """Send these parts and hang up."""
    told: list[Any] = []
    waiting = [{"type": "http.request", "body": part, "more_body": True} for part in parts]

    async def receive() -> Any:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(b"host", host), (b"content-length", announced)]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/open", "raw_path": b"/open", "query_string": b"name=x.pkl", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 7860), "state": {},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return told[0]["status"], b"".join(message.get("body", b"") for message in told)


def test_silence_ends_an_upload(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_SILENCE", 0.05)
    monkeypatch.setattr("starlette.requests.Request.stream", silent)
    with TestClient(app_of(folder), base_url="http://127.0.0.1:7860") as talking:
        answer = talking.post("/open", content=b"x")
    assert answer.status_code == 400 and "nothing came" in answer.json()["error"]
    assert names(folder) == ["brain.safetensors"]


async def silent(self: Any) -> Any:
    yield b"some"
    await asyncio.sleep(5)
    yield b"more"


def test_whoever_leaves_while_it_is_read_gets_nothing(folder: Path, files: Path) -> None:
    copy = Path(shutil.copy(files / "theirs.pkl", folder / ".copy"))
    with pytest.raises(CancelledOpening):
        take_in(copy, folder, name="theirs.pkl", cancelled=lambda: True)
    assert names(folder) == [".copy", "brain.safetensors"]


def test_a_full_drive_and_a_closed_folder(
    client: TestClient, folder: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(open_routes.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 29))
        answer = send(client, files / "ours.safetensors")
        assert answer.status_code == 400 and "0.5 GiB free" in answer.json()["error"]
    monkeypatch.setattr("core.files.os.access", lambda path, mode: False)
    answer = send(client, files / "ours.safetensors")
    assert answer.status_code == 400 and "is not writable" in answer.json()["error"]
    assert names(folder) == ["brain.safetensors"]


def test_who_may_open(client: TestClient, folder: Path, files: Path) -> None:
    assert send(client, files / "ours.safetensors", headers={"Origin": "http://elsewhere"}).status_code == 403
    assert send(client, files / "ours.safetensors", headers={"Host": "rebound.example"}).status_code == 403
    assert client.get("/open").status_code == 405
    whole = build(Studio(folder, folder / "runs"), folders=(folder, folder / "runs"), login=Login("me", "secret"))
    with TestClient(whole, base_url="http://127.0.0.1:7860") as guarded:
        assert send(guarded, files / "ours.safetensors").status_code == 401
        assert names(folder) == ["brain.safetensors"]
        assert send(guarded, files / "ours.safetensors", auth=("me", "secret")).status_code == 201


def test_only_so_many_at_once(folder: Path, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_routes, "_MOST_AT_ONCE", 0)
    with TestClient(app_of(folder), base_url="http://127.0.0.1:7860") as talking:
        answer = send(talking, files / "ours.safetensors")
    assert answer.status_code == 429 and "being opened already" in answer.json()["error"]


def test_what_was_opened_is_read_by_content(folder: Path, files: Path) -> None:
    """A pickle called .safetensors is converted, one of ours called .pkl is not."""
    copy = Path(shutil.copy(files / "theirs.pkl", folder / ".one"))
    told = take_in(copy, folder, name="theirs.safetensors", networks=Networks(checkpoints=folder, runs=folder).all)
    assert foreign.recognise(folder / f"{told['name']}.safetensors") is None and told["format"]
    copy = Path(shutil.copy(files / "ours.safetensors", folder / ".two"))
    assert take_in(copy, folder, name="ours.pkl")["format"] is None
    with pytest.raises(CheckpointError, match=r"^x\.pkl "):
        (folder / ".bad").write_bytes(b"no")
        take_in(folder / ".bad", folder, name="x.pkl")


@pytest.mark.parametrize("slope", [10**400, 1e305, True, "wide", None, 0])
def test_a_file_whose_levels_make_no_sense_spoils_no_list(folder: Path, client: TestClient, slope: Any) -> None:
    opened = core.load(toy(folder.parent / "odd.safetensors", seed=3))
    picture = {**opened.about["picture"], "intensity": {"slope": slope, "intercept": 0, "unit": "HU"}}
    core.save(folder.parent / "odd.safetensors", opened.generator, about={"picture": picture})
    answer = client.post("/open?name=odd.safetensors", content=(folder.parent / "odd.safetensors").read_bytes())
    assert answer.status_code == 201
    told = {network["name"]: network["intensity"] for network in client.get("/networks").json()}
    assert told == {"brain": None, "odd": None}
    assert client.get("/about?checkpoint=odd").status_code == 200
