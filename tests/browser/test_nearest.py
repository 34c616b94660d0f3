"""The nearest real pictures in a real browser: reading a set, the answer, following the stage, what was not read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from core import pictures
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.browser.conftest import RunningApp, complaints, shown
from tests.browser.test_panels import find, open_tab, until

PART = "#project-panel .nearest"


@pytest.fixture(scope="module")
def slices(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of ten people; one of them is a sample of the network, as if it had learnt that one by heart."""
    folder = tmp_path_factory.mktemp("slices")
    studio = Studio(networks, networks / "none", device="cpu")
    learnt = studio.exact(Recipe(checkpoint="brain", seed=21))
    random = np.random.default_rng(0)
    for who in range(10):
        first = random.integers(0, 256, learnt.shape)
        for number in range(3):
            levels = np.clip(first + random.integers(-20, 21, learnt.shape), 0, 255).astype(np.uint8)
            pictures.write_png(folder / f"person{who:03}_slice{number:02}.png", levels)
    pictures.write_png(folder / "person004_slice01.png", learnt)
    return folder


@pytest.fixture(scope="module")
def app(networks: Path, slices: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with that set, and a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        cache = str(tmp_path_factory.mktemp("cache"))
        patch.setenv("XDG_CACHE_HOME", cache)
        patch.setenv("LOCALAPPDATA", cache)
        runs = tmp_path_factory.mktemp("runs")
        with RunningApp("--checkpoints", str(networks), "--runs", str(runs), "--data", str(slices)) as address:
            yield address


def words(driver: Any) -> str:
    return find(driver, f"{PART} .found").text


def test_the_nearest_are_looked_for_and_follow_the_stage(tab: Any) -> None:
    open_tab(tab, "Project")
    until(lambda: find(tab, f"{PART} button").is_displayed())
    tab.execute_script("stage.set({ seed: 7 })")
    shown(tab, seed=7)
    assert not find(tab, f"{PART} .found").is_displayed()  # nothing is read before somebody asks
    tab.execute_script("arguments[0].scrollIntoView()", find(tab, PART))
    next(one for one in tab.find_elements("css selector", f"{PART} button") if one.text == "Look for it").click()
    until(lambda: "It lies " in words(tab))
    assert (
        len(tab.find_elements("css selector", f"{PART} figure canvas")) == 6
    )  # the stage, four real ones, a difference
    assert "held-out pictures" in find(tab, f"{PART} .held-out svg").get_attribute("aria-label")
    assert find(tab, f"{PART} .verdict").get_attribute("data-verdict") != "same"
    tab.execute_script("stage.set({ seed: 21 })")
    shown(tab, seed=21)
    until(lambda: "0.0 gray levels from person004_slice01.png" in words(tab))
    assert find(tab, f"{PART} .verdict").get_attribute("data-verdict") == "same"
    assert "This is person004_slice01.png" in words(tab)
    assert complaints(tab) == []


def test_a_network_whose_set_was_not_read_says_so(tab: Any) -> None:
    open_tab(tab, "Project")
    tab.execute_script("stage.set({ seed: 21 }); arguments[0].scrollIntoView()", find(tab, PART))
    button = next(one for one in tab.find_elements("css selector", f"{PART} button") if one.text == "Look for it")
    button.click()
    until(lambda: "This is person004_slice01.png" in words(tab))
    tab.execute_script("stage.show({ checkpoint: 'classes', seed: 3 })")
    shown(tab, checkpoint="classes", seed=3)
    until(lambda: "have not been read for this network yet" in find(tab, PART).text)
    assert not find(tab, f"{PART} .found").is_displayed()
    assert complaints(tab) == []


def test_sets_that_could_not_be_asked_for_are_asked_for_again(tab: Any) -> None:
    tab.execute_cdp_cmd("Network.enable", {})
    tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/nearest?*"]})
    try:
        open_tab(tab, "Project")
        until(
            lambda: (
                find(tab, f"{PART}")
                and find(tab, f"{PART} .empty").text.strip() == "The explorer does not answer; is it still running?"
            )
        )
    finally:
        tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    tab.execute_script("stage.set({ seed: 8 })")
    until(lambda: find(tab, f"{PART} button").is_displayed())
