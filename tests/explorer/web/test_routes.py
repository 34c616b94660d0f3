"""The addresses of the app, and who may ask them."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

import torch
from PIL import Image
from starlette.datastructures import Headers
from starlette.testclient import TestClient

import app
import core
from core import sizes
from core.command import run
from core.stylegan2 import GeneratorConfig
from explorer.studio import Studio
from explorer.web import build, listen
from explorer.web.desk import Desk
from explorer.web.guard import Login, host_allowed, origin_allowed

ROOT = Path(__file__).resolve().parents[3]
RECIPE = {"checkpoint": "toy", "seed": 7}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    size = (56, 48)
    start, _ = sizes.start_shape(size)
    filters = sizes.filters(size, start, base=256, maximum=16)
    config = GeneratorConfig(size=size, z_dim=16, w_dim=16, filters=filters, start=start, mapping_layers=2)
    about = {"picture": {"crop": [2, 2, 52, 44]}, "credit": "random weights"}
    core.save(place / "toy.safetensors", core.build_generator(config), about=about)
    return place


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder) as talking:
        yield talking


def client_of(folder: Path, **settings: Any) -> TestClient:
    server = build(Studio(folder, folder / "runs"), folders=(folder, folder / "runs"), **settings)
    return TestClient(server, base_url="http://127.0.0.1:7860")


def frame(talking: TestClient, recipe: dict[str, Any] = RECIPE, **query: object) -> Any:
    return talking.post("/frame", params=query, json=recipe)


def test_post_and_get_give_the_same_exact_png_with_its_recipe_inside(client: TestClient) -> None:
    posted = frame(client)
    got = client.get("/frame", params={"recipe": json.dumps(RECIPE)})
    assert posted.status_code == got.status_code == 200
    assert posted.content == got.content
    assert posted.headers["content-type"] == "image/png"
    assert posted.headers["server-timing"].startswith("render;dur=")
    assert posted.headers["cache-control"] == "no-store"
    assert posted.headers["styloscope-precision"] == "float32"
    picture = Image.open(io.BytesIO(posted.content))
    assert picture.size == (44, 52)
    told = json.loads(picture.text["styloscope"])  # type: ignore[attr-defined]
    assert told["seed"] == 7 and told["checkpoint"] == "toy" and len(told["sha"]) == 12


@pytest.mark.parametrize(("name", "kind"), [("jpeg", "JPEG"), ("webp", "WEBP")])
def test_previews_come_in_their_format_and_size(client: TestClient, name: str, kind: str) -> None:
    answer = frame(client, format=name, size=26)
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, max(picture.size)) == (kind, 26)
    assert answer.headers["content-type"] == f"image/{name}"


def test_a_recipe_of_another_network_is_said(client: TestClient) -> None:
    assert "another%20network" in frame(client, {**RECIPE, "sha": "0123456789ab"}).headers["styloscope-note"]
    assert "styloscope-note" not in frame(client).headers


@pytest.mark.parametrize(
    ("recipe", "query", "part"),
    [
        ({"sed": 3}, {}, "seed"),
        ({"psi": 7}, {}, "psi"),
        ({"seed": -1}, {}, "seed"),
        ({"checkpoint": "../toy"}, {}, "toy"),
        ({"checkpoint": "/etc/passwd"}, {}, "no network"),
        ({}, {"format": "bmp"}, "format"),
        ({}, {"size": "0"}, "size"),
        ({}, {"size": "4001"}, "size"),
        ({}, {"size": "1e3"}, "size"),
        ({}, {"client": "x" * 65}, "client"),
    ],
)
def test_what_is_not_allowed_is_one_sentence(
    client: TestClient, recipe: dict[str, Any], query: dict[str, Any], part: str
) -> None:
    answer = frame(client, recipe, **query)
    assert 400 <= answer.status_code < 500
    said = answer.json()
    assert list(said) == ["error"] and part in said["error"] and "\n" not in said["error"]


@pytest.mark.parametrize(
    ("method", "address", "status", "part"),
    [
        ("GET", "/nothing/deeper", 404, "there is nothing at '/nothing/deeper'"),
        ("POST", "/nothing", 404, "nothing at"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "nothing at"),
        ("GET", "/%00%ff", 404, "nothing at"),
        ("GET", "/gradio_api/nothing", 404, "nothing at"),
        ("GET", "/assets/nothing.js", 404, "nothing at"),
        ("GET", "/static/a/b", 404, "nothing at"),
        ("PUT", "/frame", 405, "'/frame' does not take PUT; it takes GET and POST"),
        ("DELETE", "/frame", 405, "GET and POST"),
        ("OPTIONS", "/frame", 405, "GET and POST"),
        ("POST", "/networks", 405, "it takes GET"),
        ("PUT", "/jobs/x", 405, "it takes DELETE and GET"),
        ("POST", "/", 405, "does not take POST"),
        ("POST", "/login", 422, "username"),
        ("GET", "/monitoring", 403, "Monitoring is not enabled"),
    ],
)
def test_an_address_that_is_not_there_is_one_sentence(
    client: TestClient, method: str, address: str, status: int, part: str
) -> None:
    answer = client.request(method, address)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert part in answer.json()["error"] and answer.headers["cache-control"] == "no-store"
    assert ("allow" in answer.headers) == (status == 405 and address != "/")


def test_gradios_own_answers_stay(client: TestClient) -> None:
    """gradio_client reads the details of a body that does not fit."""
    wrong = client.post("/gradio_api/call/render")
    assert wrong.status_code == 422 and wrong.json()["detail"][0]["msg"] == "Field required"
    assert client.get("/gradio_api/file=/etc/passwd").json()["detail"]
    for address in ("/config", "/gradio_api/info", "/theme.css", "/robots.txt", "/manifest.json"):
        assert client.get(address).status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"{", b"\xff\xfe", b'{"psi": NaN}', b"[" * 100_000, b" " * (1 << 20) + b"{}"]
)
def test_bodies_that_are_no_recipe_are_refused(client: TestClient, body: bytes) -> None:
    answer = client.post("/frame", content=body)
    assert answer.status_code == 400 and "error" in answer.json()


def test_networks_and_static_files(client: TestClient) -> None:
    (entry,) = client.get("/networks").json()
    assert entry | {"sha": ""} == {
        "name": "toy", "architecture": "stylegan2", "size": [52, 44], "channels": 1, "layers": 8, "classes": 0,
        "credit": "random weights", "sha": "", "grows": False, "sizes": [[56, 48]], "grown": None, "best": False,
        "class_names": None,
        "intensity": None,
    }  # fmt: skip
    script = client.get("/static/stage.js")
    assert script.status_code == 200 and script.headers["content-type"].startswith("text/javascript")
    for name in ("..%2fpage.py", "%2e%2e%2fpage.py", ".hidden", "nothing.js", "..%5cpage.py", "x" * 3000 + ".js"):
        assert client.get(f"/static/{name}").status_code in (403, 404)


def test_the_page_names_no_other_place_to_load_from(client: TestClient) -> None:
    page = client.get("/", params={"recipe": json.dumps(RECIPE)})
    assert page.status_code == 200 and page.headers["cache-control"] == "no-store"
    assert "static/page.js" in page.text and "/static/page.js" not in page.text
    for word in ("fonts.googleapis", "cdn", "gstatic"):
        assert word not in page.text


@pytest.mark.parametrize(
    ("headers", "method", "status"),
    [
        ({"host": "evil.example:7860"}, "GET", 403),
        ({"host": "127.0.0.1.evil.example"}, "GET", 403),
        ({"host": "localhost:9000"}, "GET", 200),
        ({"origin": "http://evil.example"}, "POST", 403),
        ({"origin": "http://127.0.0.1:3000"}, "POST", 403),
        ({"origin": "null"}, "POST", 403),
        ({"origin": "http://["}, "POST", 403),
        ({"host": "[x"}, "GET", 403),
        ({"origin": "http://127.0.0.1:7860"}, "POST", 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}, "GET", 403),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}, "GET", 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}, "GET", 403),
    ],
)
def test_another_sites_page_is_refused(client: TestClient, headers: dict[str, str], method: str, status: int) -> None:
    body = "{}" if method == "POST" else None
    answer = client.request(method, "/frame", params={"recipe": "{}"}, headers=headers, content=body)
    assert answer.status_code == status


def test_hosts() -> None:
    assert host_allowed("[::1]:7860", host="127.0.0.1")
    assert host_allowed("lab.example", host="lab.example")
    assert host_allowed("10.0.0.7:7860", host="0.0.0.0")
    assert not host_allowed("10.0.0.7:7860", host="127.0.0.1")
    assert not host_allowed("evil.example", host="0.0.0.0")
    assert not host_allowed("", host="")
    assert not host_allowed("localhost@evil.example", host="127.0.0.1")
    assert origin_allowed(Headers({"host": "a:1"}), method="POST")


def test_with_a_login_every_address_asks_for_it(folder: Path) -> None:
    login = Login("anna", "pass:word")
    addresses = ("/", "/frame", "/networks", "/static/stage.js", "/config", "/gradio_api/info", "/about?checkpoint=toy")
    with client_of(folder, login=login) as client:
        for address in addresses:
            answer = client.get(address, headers={"accept": "application/json"})
            assert answer.status_code == 401 and "error" in answer.json(), address
        page = client.get("/?recipe=%7B%7D", headers={"accept": "text/html"})
        assert page.status_code == 401 and 'name="password"' in page.text and "/?recipe=%7B%7D" in page.text
        for wrong in ("anna:", "anna:password", "bob:pass:word", ":", "anna:pass:word2"):
            basic = b64encode(wrong.encode()).decode()
            assert client.get("/networks", headers={"authorization": f"Basic {basic}"}).status_code == 401
        assert client.get("/networks", headers={"authorization": "Basic ???"}).status_code == 401
        assert client.get("/networks", auth=("anna", "pass:word")).status_code == 200
        assert client.post("/login", data={"username": "anna", "password": "nope"}).status_code == 401
        assert client.get("/networks").status_code == 401
        right = {"username": "anna", "password": "pass:word", "next": "//evil.example"}
        answer = client.post("/login", data=right, headers={"accept": "text/html"}, follow_redirects=False)
        assert answer.status_code == 303 and answer.headers["location"] == "/"
        assert "httponly" in answer.headers["set-cookie"].lower()
        assert client.get("/networks").status_code == 200


def test_of_one_clients_waiting_work_only_the_newest_is_done() -> None:
    desk, begun, gate, done = Desk(), threading.Event(), threading.Event(), []
    first = desk.ask(lambda: (begun.set(), gate.wait()), client="a")
    assert begun.wait(60)
    waiting = [desk.ask(lambda n=n: done.append(n), client="a") for n in range(4)]
    other = desk.ask(lambda: done.append("other"), client="b")
    thumbnails = [desk.ask(lambda n=n: done.append(-n)) for n in (1, 2)]
    gate.set()
    for future in (first, waiting[-1], other, *thumbnails):
        future.result(timeout=60)
    assert done == [3, "other", -1, -2]
    for future in waiting[:-1]:
        with pytest.raises(CancelledError):
            future.result()
    desk.close()


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--port", "70000"], "70000"),
        (["--auth", "nobody"], "USER:PASSWORD"),
        (["--checkpoints", "no/such/folder"], "no/such/folder"),
        (["--runs", "app.py"], "app.py"),
        (["--colour"], "--colour"),
        (["--checkpoint", "no-such-network"], "no network"),
        (["--host", "bad..host"], "--host bad..host is not an address of this machine"),
        (["--allow-host", "*.uni.edu"], "--allow-host cannot be '*.uni.edu'"),
        (["--root-path", "/../hub"], "--root-path cannot be '/../hub'"),
    ],
)
def test_wrong_flags_are_one_line(flags: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    empty = ["--checkpoints", "docs"] if "--host" in flags else []
    assert run(lambda: app.main(["--no-browser", *empty, *flags])) == 2
    said = capsys.readouterr()
    assert_one_line(said.out, said.err, part=part)


def test_a_port_in_use_is_one_line(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "app.py", "--no-browser", "--checkpoints", str(folder), "--port", port]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=200)
    assert ended.returncode == 2
    assert_one_line(ended.stdout, ended.stderr, part=port)


def assert_one_line(out: str, err: str, *, part: str) -> None:
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ") and part in line


def test_answers_are_not_held_back() -> None:
    """asyncio turns Nagle's algorithm off on sockets that say they are TCP, and on no other."""
    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
