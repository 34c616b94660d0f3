"""The page in a real browser behind a proxy that puts a path before every address and strips it, as JupyterHub's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.browser.conftest import RunningApp, complaints, recipe_of, shown, toy_network
from tests.browser.test_map import ready
from tests.browser.test_panels import find, open_tab, type_into, until, words
from tests.browser.test_stage import MOVE, press

PATH = "/user/anna/proxy/7860"
HOPS = {"connection", "keep-alive", "transfer-encoding", "date", "server"}  # of one connection, not of the answer
CAUGHT = "navigator.clipboard.writeText = async (text) => { window.caught = text; }"


class Hub(BaseHTTPRequestHandler):
    """Passes on what is asked under PATH, without PATH, as it comes; knows nothing else."""

    server: HubServer

    def relay(self) -> None:
        """Ask the app the same, and give its answer back piece by piece: some of them never end."""
        if not self.path.startswith(f"{PATH}/"):
            self.server.strays.append(self.path)
            self.send_error(404)
            return
        app = HTTPConnection(self.server.app, timeout=300)
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOPS}
            app.request(self.command, self.path.removeprefix(PATH), body, headers)
            answer = app.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOPS:
                    self.send_header(name, value)
            self.end_headers()
            while piece := answer.read1(1 << 16):
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True  # one of the two has gone
        finally:
            app.close()

    do_GET = do_HEAD = do_POST = do_DELETE = relay

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests look at `strays`."""


class HubServer(ThreadingHTTPServer):
    """The proxy, on a free port; `app` is host:port of what is behind it, `strays` what was asked outside of PATH."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.app = ""
        self.strays: list[str] = []


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """The app behind the proxy. Browsers take every name that ends in .localhost for this machine."""
    networks, runs, cache = (tmp_path_factory.mktemp(name) for name in ("checkpoints", "runs", "cache"))
    toy_network(networks / "brain.safetensors", size=(56, 48), crop=[2, 2, 52, 44])
    Image.new("L", (8, 8)).save(networks / "brain-samples.png")
    (networks / "brain.md").write_text("![samples](brain-samples.png)\n", encoding="utf-8")
    with ExitStack() as stack:
        server = stack.enter_context(HubServer())
        flags = ["--checkpoints", str(networks), "--runs", str(runs), "--root-path", PATH]
        with pytest.MonkeyPatch.context() as patch:
            for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
                patch.setenv(name, str(cache))
            address = stack.enter_context(RunningApp(*flags, "--allow-host", "hub.localhost"))
        assert urlsplit(address).path == f"{PATH}/"
        server.app = urlsplit(address).netloc
        Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        yield server


@pytest.fixture
def under(driver: Any, hub: HubServer) -> Iterator[Any]:
    """The browser at the page under the path, its first exact picture shown."""
    for log in ("browser", "performance"):
        driver.get_log(log)
    hub.strays.clear()
    driver.get(f"http://hub.localhost:{hub.server_port}{PATH}/")
    shown(driver)
    yield driver
    driver.execute_script("localStorage.clear(); sessionStorage.clear();")
    driver.get("about:blank")


def outside(driver: Any, start: str) -> set[str]:
    """What the page asked for, since the log was last read, that does not begin so."""
    found = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            address = message["params"]["request"]["url"]
            if address.startswith(("http", "ws")) and not address.startswith(start):
                found.add(address)
    return found


def test_the_page_works_under_a_path(under: Any, hub: HubServer, downloads: Path) -> None:
    start = f"http://hub.localhost:{hub.server_port}{PATH}/"
    first = shown(under)
    under.execute_script(MOVE, "seed", [7])
    assert shown(under, seed=7) != first
    ready(under)
    for title in ("Steer", "Project", "Compare", "Training", "About"):
        open_tab(under, title)
    until(lambda: "52 × 44" in words(under, "#about-panel .facts"))
    assert find(under, "#about-panel .card img").get_attribute("src").startswith(f"{start}about/picture?")
    until(lambda: under.execute_script("return document.querySelector('#about-panel .card img').naturalWidth") == 8)
    open_tab(under, "Interpolate")
    type_into(under, "[aria-label=Seeds]", "1, 2")
    type_into(under, "[aria-label=Steps][type=number]", 3)
    before = set(downloads.iterdir())
    buttons = under.find_elements("css selector", "#interpolate-panel [aria-label='Take home'] button")
    until(lambda: next(one for one in buttons if one.text == "GIF").is_enabled())
    next(one for one in buttons if one.text == "GIF").click()
    made = until(lambda: [one for one in set(downloads.iterdir()) - before if one.suffix == ".gif"])
    with Image.open(made[0]) as film:
        assert film.size == (44, 52) and film.n_frames > 2
    made[0].unlink()
    assert outside(under, start) == set() and hub.strays == []
    assert not complaints(under)


def test_a_link_has_the_path_and_leads_back(under: Any, hub: HubServer) -> None:
    under.execute_script(MOVE, "seed", [77])
    picture = shown(under, seed=77)
    under.execute_script(CAUGHT)
    press(under, "#link")
    link = until(lambda: under.execute_script("return window.caught"))
    assert link.startswith(f"http://hub.localhost:{hub.server_port}{PATH}/?recipe=")
    under.get("about:blank")
    under.get(link)
    assert shown(under, seed=77) == picture and recipe_of(under)["seed"] == 77
    assert hub.strays == [] and not complaints(under)


def test_who_sits_at_the_machine_opens_the_address_that_was_printed(driver: Any, hub: HubServer) -> None:
    """Nothing strips the path there but the app itself."""
    start = f"http://{hub.app}{PATH}/"
    for log in ("browser", "performance"):
        driver.get_log(log)
    driver.get(start)
    shown(driver)
    assert outside(driver, start) == set() and not complaints(driver)
    driver.execute_script("localStorage.clear(); sessionStorage.clear();")
    driver.get("about:blank")
