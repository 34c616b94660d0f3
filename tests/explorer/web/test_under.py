"""A path that a proxy puts before every address: what --root-path takes, and what is found under it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from starlette.responses import RedirectResponse
from starlette.testclient import TestClient

from core.errors import SettingError
from explorer.studio import Studio
from explorer.web import Login, build, root_path
from explorer.web.under import Under

WEB = Path(__file__).resolve().parents[3] / "explorer" / "web"
PATH = "/user/anna/proxy/7860"


def talking(folder: Path, **more: Any) -> TestClient:
    """The explorer without networks, under PATH."""
    server = build(Studio(folder, folder), folders=(folder, folder), **{"root": PATH, **more})
    return TestClient(server, base_url="http://127.0.0.1:7860", follow_redirects=False)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (None, ""),
        ("/", ""),
        ("/lab", "/lab"),
        (f"{PATH}/", PATH),
        ("/user/anna@uni.edu/proxy/node-1:7860", "/user/anna@uni.edu/proxy/node-1:7860"),
        ("/user/b%C3%A4r/", "/user/b%C3%A4r"),
    ],
)
def test_paths(given: str | None, path: str) -> None:
    assert root_path(given) == path


@pytest.mark.parametrize(
    "wrong",
    ["", "lab", "user/anna", "//", "//evil.example", "/a//b", "/lab//", "/../b", "/a/..", "/a/./b", "/%2e%2e/b",
     "/a%2Fb", "/a%5Cb", "/a\\b", "/a%00", "/a%0Ab", "/a\n", "/a b", "/a;b", "/a,b", "/a?b", "/a#b", "/a%", "/a%zz",
     "/a%ff", "/bär", "/<b>", '/"', "/{{next}}", "http://hub/lab", "https:/hub", "/" + "x" * 600],
)  # fmt: skip
def test_what_is_no_path(wrong: str) -> None:
    with pytest.raises(SettingError, match="^--root-path cannot be"):
        root_path(wrong)


def test_every_address_is_there_with_the_path_and_without(tmp_path: Path) -> None:
    client = talking(tmp_path)
    for path in ("", PATH):
        assert client.get(f"{path}/networks").json() == []
        assert client.get(f"{path}/static/page.js").status_code == 200
        assert client.get(f"{path}/config").json()["root"] == f"http://127.0.0.1:7860{PATH}"
        page = client.get(f"{path}/").text
        assert f'<head><base href="{PATH}/">' in page and 'rel="icon" href="favicon.ico"' in page
        assert not re.search(r"(?:href|src)=\"/(?!user/anna/)", page)
    assert client.get(PATH).text.startswith("<!doctype html>")
    assert client.get(f"{PATH}x/networks").status_code == 404
    assert client.head("/").status_code == 200


def test_without_the_flag_there_is_no_path(tmp_path: Path) -> None:
    client = talking(tmp_path, root="")
    assert client.get("/config").json()["root"] == "http://127.0.0.1:7860"
    assert client.get(f"{PATH}/networks").status_code == 404
    assert '<base href="./" />' in client.get("/").text


def test_a_path_is_spelled_by_browsers_in_more_than_one_way(tmp_path: Path) -> None:
    client = talking(tmp_path, root="/user/anna%40uni")
    for spelled in ("/user/anna@uni", "/user/anna%40uni"):
        assert client.get(f"{spelled}/networks").status_code == 200


def test_the_guard_asks_the_same_under_the_path(tmp_path: Path) -> None:
    client = talking(tmp_path, allowed=("hub",))
    for path in ("", PATH):
        for headers, status in (
            ({"host": "hub", "origin": "https://hub"}, 200),
            ({"host": "127.0.0.1:7860", "origin": "https://hub"}, 200),
            ({"host": "evil.example"}, 403),
            ({"host": "hub", "origin": "https://evil.example"}, 403),
            ({"host": "hub", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ):
            assert client.get(f"{path}/networks", headers=headers).status_code == status
    assert talking(tmp_path).get(f"{PATH}/networks", headers={"host": "hub"}).status_code == 403


def test_under_a_path_nobody_sits_at_this_machine(tmp_path: Path) -> None:
    server = build(Studio(tmp_path, tmp_path), folders=(tmp_path, tmp_path), root=PATH)
    client = TestClient(server, base_url="http://127.0.0.1:7860", client=("127.0.0.1", 50000))
    assert client.get("/training").json()["folder"] is False


def test_the_login_leads_back_under_the_path_and_its_cookie_stays_there(tmp_path: Path) -> None:
    login = Login("anna", "secret")
    html, right = {"accept": "text/html"}, {"username": "anna", "password": "secret"}
    for path in ("", PATH):
        client = talking(tmp_path, login=login)
        asked = client.get(f"{path}/?recipe=1", headers=html)
        assert asked.status_code == 401 and f'action="{PATH}/login"' in asked.text
        assert 'name="next" value="/?recipe=1"' in asked.text
        answer = client.post(f"{path}/login", data={**right, "next": "/?recipe=1"}, headers=html)
        assert answer.status_code == 303 and answer.headers["location"] == f"{PATH}/?recipe=1"
        assert f"Path={PATH}/;" in answer.headers["set-cookie"]
        assert client.get(f"{PATH}/networks").status_code == 200


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "/../bob/", "/a/../../bob", "/%2e%2e/bob", "/.%2E\\bob", "/..",
     "https://evil", "", "/..#", "/../../bob#x", "/%2e%2e#?", "/a/../..#/b"],
)  # fmt: skip
def test_the_login_leads_nowhere_else(target: str, tmp_path: Path) -> None:
    client = talking(tmp_path, login=Login("anna", "secret"))
    form = {"username": "anna", "password": "secret", "next": target}
    answer = client.post("/login", data=form, headers={"accept": "text/html"})
    assert answer.headers["location"] == f"{PATH}/"


def test_a_redirect_of_gradios_stays_under_the_path(tmp_path: Path) -> None:
    """It takes the slash off the end of an address; behind the proxy its own would be somebody else's."""
    client = talking(tmp_path, allowed=("hub",))
    for path in ("", PATH):
        for address in ("/theme.css/", "/gradio_api/startup-events/"):
            answer = client.get(f"{path}{address}?a=1", headers={"host": "hub"})
            there = f"http://hub{PATH}{address.rstrip('/')}?a=1"
            assert (answer.status_code, answer.headers["location"]) == (307, there)
        left = client.get(f"{path}/logout", headers={"host": "hub"})
        assert left.headers["location"] == f"http://hub{PATH}", "as Gradio knows it already"
    free = talking(tmp_path, root="").get("/theme.css/")
    assert free.headers["location"] == "http://127.0.0.1:7860/theme.css"


@pytest.mark.parametrize(
    ("there", "told"),
    [("/x", "/lab/x"), ("/lab", "/lab"), ("/lab/x", "/lab/x"), ("/labs", "/lab/labs"), ("x", "x"), ("#x", "#x"),
     ("//other/x", "//other/x"), ("https://other/x", "https://other/x"), ("http://hub/x?a#b", "http://hub/lab/x?a#b")],
)  # fmt: skip
def test_where_else_a_redirect_leads_is_its_own_business(there: str, told: str) -> None:
    async def leading(scope: Any, receive: Any, send: Any) -> None:
        await RedirectResponse(there)(scope, receive, send)

    client = TestClient(Under(leading, root="/lab"), base_url="http://hub", follow_redirects=False)
    assert client.get("/lab/y").headers["location"] == told


def test_no_script_asks_from_the_root_of_the_host() -> None:
    """An address with a slash at its front would leave out the path that a proxy puts there."""
    code = "".join(path.read_text("utf-8") for path in WEB.glob("*.py"))
    routes = set(re.findall(r"add_route\(f?\"/(\w+)", code))
    assert {"frame", "jobs", "networks", "static"} <= routes
    absolute = re.compile(rf"[\"'`(=]/(?:{'|'.join(routes)}|gradio_api|plotly)\b")
    shown = [*(WEB / "static").iterdir(), WEB / "markup" / "head.html"]
    found = [f"{path.name}: {line.strip()}" for path in shown for line in path.read_text("utf-8").splitlines()
             if absolute.search(line) and not line.strip().startswith(("//", "/*"))]  # fmt: skip
    assert found == []


@pytest.mark.parametrize("wrong", ["/map", "/static/a", "/jobs/", "/gradio_api"])
def test_a_path_that_an_address_of_ours_begins_with(wrong: str) -> None:
    """Taken off by the proxy, it would be taken off /map/values once more."""
    with pytest.raises(SettingError, match="^--root-path cannot be .*: a path that does not begin as"):
        root_path(wrong)
