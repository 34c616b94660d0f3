"""The real app on a free port with toy networks, and a real browser that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core import sizes
from core.stylegan2 import GeneratorConfig

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = os.environ.get("STYLOSCOPE_BROWSER") == "required"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WINDOW = (1280, 860)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--window-size={WINDOW[0]},{WINDOW[1]}",
)


def toy_network(
    path: Path,
    *,
    size: tuple[int, int],
    channels: int = 1,
    classes: int = 0,
    crop: list[int] | None = None,
    intensity: dict[str, Any] | None = None,
    seed: int = 0,
) -> Path:
    """Write a random network of a few thousand parameters."""
    torch.manual_seed(seed)
    start, _ = sizes.start_shape(size)
    filters = sizes.filters(size, start, base=256, maximum=16)
    config = GeneratorConfig(
        size=size, channels=channels, z_dim=32, w_dim=32, num_classes=classes, filters=filters, start=start,
        mapping_layers=2,
    )  # fmt: skip
    about: dict[str, Any] = {"credit": "random weights"}
    if crop or intensity:
        about["picture"] = {"crop": crop or [0, 0, *size], **({"intensity": intensity} if intensity else {})}
    core.save(path, core.build_generator(config), about=about)
    return path


def growing_network(path: Path, *, grown: dict[str, Any] | None = None) -> Path:
    """Write a random gray StyleGAN of 56 x 48 that grew from 7 x 6 and is shown without its margin."""
    torch.manual_seed(3)
    config = core.stylegan.GeneratorConfig(size=(56, 48), filters=(16, 16, 8, 8), z_dim=32, w_dim=32, mapping_layers=2)
    about: dict[str, Any] = {"credit": "random weights", "picture": {"crop": [2, 2, 52, 44]}}
    core.save(path, core.build_generator(config), about={**about, **({"grown": grown} if grown else {})})
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain network, `brain`, and one with three classes, `classes`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    toy_network(folder / "brain.safetensors", size=(56, 48), crop=[2, 2, 52, 44])
    toy_network(folder / "classes.safetensors", size=(32, 32), classes=3, seed=1)
    return folder


@pytest.fixture(scope="session")
def app(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running app, which knows nothing of an earlier session."""
    runs, cache = (tmp_path_factory.mktemp(name) for name in ("runs", "cache"))
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
                patch.setenv(name, str(cache))
            address = stack.enter_context(RunningApp("--checkpoints", str(networks), "--runs", str(runs)))
        yield address


class RunningApp:
    """Start `python app.py` with these flags on a free port; the value is its address."""

    def __init__(self, *flags: str) -> None:
        self.flags = flags

    def __enter__(self) -> str:
        command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--port", "0", *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", cwd=ROOT)
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert "http://" in first, f"the app did not start: {first!r}"
        return first.split()[-1]

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _absent(reason: str) -> None:
    if REQUIRED:
        pytest.fail(f"STYLOSCOPE_BROWSER=required, but {reason}")
    pytest.skip(reason)


def start_driver(profile: Path, downloads: Path) -> Any:
    """A headless Chromium with its own profile, which records its console and its requests."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        _absent("selenium is not installed")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        _absent("chromium or chromedriver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = str(binary)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    return webdriver.Chrome(options=options, service=Service(str(driver)))


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts what it saves."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Iterator[Any]:
    """One browser for all tests."""
    browser = start_driver(tmp_path_factory.mktemp("profile"), downloads)
    browser.set_script_timeout(60)
    yield browser
    browser.quit()


@pytest.fixture
def tab(driver: Any, app: str) -> Iterator[Any]:
    """The browser at the open page, its first exact picture shown; storage is emptied afterwards."""
    driver.get_log("browser")
    driver.get_log("performance")
    driver.get(app)
    # A tab keeps fifty entries, and of more it forgets those that no hand made: here, the ones a test goes back to.
    driver.execute_cdp_cmd("Page.resetNavigationHistory", {})
    shown(driver)
    yield driver
    driver.execute_script("localStorage.clear(); sessionStorage.clear();")
    driver.get("about:blank")


SHOWN = """
const [wanted, exact, done] = arguments;
// The driver hands an object over with its keys in another order.
const sorted = (_, value) => (value?.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value);
const spelled = (value) => JSON.stringify(value, sorted);
const told = () => {
  const canvas = document.getElementById("stage");
  if (!canvas?.dataset.recipe) return null;
  const recipe = JSON.parse(canvas.dataset.recipe);
  const same = ([key, value]) => spelled(recipe[key] ?? null) === spelled(value);
  const fits = Object.entries(wanted).every(same);
  return fits && (!exact || canvas.dataset.exact === "true") ? canvas.toDataURL() : null;
};
const look = () => { const found = told(); if (found) done(found); else setTimeout(look, 20); };
look();
"""


def shown(driver: Any, *, exact: bool = True, **wanted: object) -> str:
    """Wait until the stage shows a recipe with these keys (None: at its default); return its pixels as a data URL."""
    return driver.execute_async_script(SHOWN, wanted, exact)


def recipe_of(driver: Any) -> dict[str, Any]:
    """The recipe that the page is at."""
    return driver.execute_script("return window.stage.recipe")


def entered(driver: Any, place: int) -> None:
    """Wait until the browser's history has its entry number `place`: a picture is shown a moment before that."""
    end = time.monotonic() + 60
    while driver.execute_script("return history.state?.styloscope?.place") != place:
        assert time.monotonic() < end, f"no entry {place} in the history"
        time.sleep(0.05)


def still(said: Callable[[], Any], *, seconds: float) -> Any:
    """Wait until this has stayed as it is for so many seconds; return it."""
    end, found = time.monotonic() + 60, said()
    while time.monotonic() < end:
        time.sleep(seconds)
        before, found = found, said()
        if found == before:
            return found
    raise AssertionError(f"it goes on, now at {found!r}")


def complaints(driver: Any) -> list[str]:
    """What the console said that is an error."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def hosts(driver: Any) -> set[str]:
    """Every host that this page asked for anything since the log was last read."""
    from urllib.parse import urlsplit

    found = set()
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            request, page = message["params"]["request"]["url"], message["params"].get("documentURL", "")
            if page.startswith("http") and request.startswith(("http", "ws")):
                found.add(urlsplit(request).netloc)
    return found


def choose(driver: Any, name: str, word: str) -> None:
    """Pick a word from one of the page's dropdowns as a person would, again where it was moved or redrawn meanwhile."""
    from selenium.common.exceptions import (
        ElementClickInterceptedException,
        ElementNotInteractableException,
        StaleElementReferenceException,
    )

    moving = (ElementClickInterceptedException, ElementNotInteractableException, StaleElementReferenceException)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            box = driver.find_element("css selector", f"input[role=combobox][aria-label='{name}']")
            if box.get_attribute("aria-expanded") != "true":
                box.click()
            for option in driver.find_elements("css selector", "[role=listbox] [role=option]"):
                if option.get_attribute("aria-label") == word:
                    option.click()
                    return
        except moving:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{name} does not offer {word}")
