"""Names that the explorer is reached by through a proxy: what --allow-host takes, and who may ask then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.testclient import TestClient

from core.errors import SettingError
from explorer.studio import Studio
from explorer.web import build, config_of
from explorer.web.answers import Refusals, visitor
from explorer.web.guard import Guard, host_allowed, hosts, origin_allowed

LAB = ("lab.uni.edu", "other.edu:8443")


def talking(host: str, *allowed: str) -> TestClient:
    """A server of one address behind the guard."""
    made = FastAPI()

    async def say(request: Request) -> dict[str, str]:
        return {"host": request.headers["host"]}

    made.add_api_route("/say", say, methods=["GET", "POST"])
    made.add_middleware(Guard, host=host, allowed=allowed)
    return TestClient(made, base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["lab.uni.edu"], ["lab.uni.edu"]),
        (["Lab.Uni.Edu:8443, b", "c_d-e"], ["lab.uni.edu:8443", "b", "c_d-e"]),
        (["::1", "[2001:DB8:0::1]:80", "10.0.0.7:443"], ["[::1]", "[2001:db8::1]:80", "10.0.0.7:443"]),
        ([], []),
    ],
)
def test_names(given: list[str], names: list[str]) -> None:
    assert list(hosts(given)) == names


@pytest.mark.parametrize(
    "wrong",
    ["", "*", "*.uni.edu", "a,,b", "http://lab", "lab/", "a b", "a@b", "lab.", ".lab", "-a", "lab:", "lab:0",
     "lab:65536", "lab:x", "[lab]", "[::1", "fe80::1%eth0", "1::2::3", "bär", "x" * 64, ".".join(["abc"] * 70), "a\nb"],
)  # fmt: skip
def test_what_is_no_name(wrong: str) -> None:
    with pytest.raises(SettingError, match="^--allow-host cannot be"):
        hosts([wrong])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "lab.uni.edu"}, 200),
        ({"host": "lab.uni.edu:8000", "origin": "http://lab.uni.edu:8000"}, 200),
        ({"host": "lab.uni.edu", "origin": "https://lab.uni.edu"}, 200),
        ({"host": "127.0.0.1:7860", "origin": "https://lab.uni.edu"}, 200),  # a proxy that writes another Host
        ({"host": "127.0.0.1:7860", "origin": "https://LAB.uni.edu"}, 200),
        ({"host": "127.0.0.1:7860", "origin": "https://other.edu:8443"}, 200),
        ({"host": "other.edu", "origin": "https://other.edu:8443"}, 200),  # nginx's $host has no port
        ({"host": "127.0.0.1:7860", "origin": "https://lab.uni.edu:8443"}, 403),  # another port is another server
        ({"host": "127.0.0.1:7860", "origin": "https://other.edu"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "ftp://lab.uni.edu"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "https://x.lab.uni.edu"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "https://lab.uni.edu.evil.example"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "https://lab.uni.edu@evil.example"}, 403),
        ({"host": "lab.uni.edu", "origin": "https://evil.example"}, 403),
        ({"host": "lab.uni.edu", "origin": "null"}, 403),
        ({"host": "lab.uni.edu", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "x.lab.uni.edu"}, 403),
        ({"host": "evil@lab.uni.edu"}, 403),
    ],
)
def test_who_may_ask_behind_a_name(headers: dict[str, str], status: int) -> None:
    assert talking("127.0.0.1", *LAB).post("/say", headers=headers).status_code == status


def test_without_the_flag_a_name_is_refused_and_told_how() -> None:
    for host in ("127.0.0.1", "0.0.0.0"):
        for headers in ({"host": "lab.uni.edu"}, {"host": "127.0.0.1", "origin": "https://lab.uni.edu"}):
            answer = talking(host).post("/say", headers=headers)
            assert answer.status_code == 403 and "--allow-host" in answer.json()["error"]
    assert not host_allowed("lab.uni.edu", host="0.0.0.0")
    assert not origin_allowed(Headers({"host": "127.0.0.1", "origin": "https://lab.uni.edu"}), method="GET")


def test_ports_that_browsers_leave_out() -> None:
    asked = Headers({"host": "127.0.0.1", "origin": "https://lab.uni.edu"})
    assert origin_allowed(asked, method="GET", allowed=["lab.uni.edu:443"])
    assert not origin_allowed(asked, method="GET", allowed=["lab.uni.edu:80"])


def test_behind_a_name_nobody_sits_at_this_machine(tmp_path: Path) -> None:
    """A proxy on this machine need not say for whom it asks."""

    def told(**more: Any) -> Any:
        server = build(Studio(tmp_path, tmp_path), folders=(tmp_path, tmp_path), **more)
        return TestClient(server, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 50000))

    assert told().get("/training").json()["folder"] is True
    behind = told(allowed=LAB)
    assert behind.get("/training").json()["folder"] is False
    assert behind.get("/training", headers={"host": "lab.uni.edu"}).status_code == 200
    page = behind.get("/config", headers={"host": "lab.uni.edu", "x-forwarded-proto": "https"})
    assert page.json()["root"] == "https://lab.uni.edu"


@pytest.mark.parametrize(
    ("proxy", "believed"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("::ffff:7f00:1", True), ("192.0.2.4", False),
     ("::ffff:192.0.2.4", False), ("::ffff:0:127.0.0.1", False), ("::127.0.0.1", False), ("somebody", False)],
)  # fmt: skip
def test_a_proxy_of_this_machine_says_who_asks(proxy: str, believed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whichever of its addresses it comes: for each other machine jobs are counted apart."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)

    async def say(request: Request) -> dict[str, str | None]:
        return {"who": visitor(), "scheme": request.url.scheme}

    def asked() -> dict[str, str | None]:
        made = FastAPI()
        made.add_api_route("/say", say)
        made.add_middleware(Refusals)
        config = config_of(made)
        config.load()
        client = TestClient(config.loaded_app, client=(proxy, 5000))
        told = {"x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "https"}
        return dict(client.get("/say", headers=told).json())

    mine = {"who": "198.51.100.7", "scheme": "https"}
    assert (asked() == mine) is believed
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "192.0.2.4")
    assert (asked() == mine) is (proxy == "192.0.2.4")
