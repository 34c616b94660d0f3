"""The Compare tab in a real browser: two networks and two precisions side by side, and how far they lie apart."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from core.pictures import read_text
from tests.browser.conftest import RunningApp, choose, complaints, recipe_of, shown, toy_network
from tests.browser.test_panels import find, open_tab, until, words

PAIR = "const panel = document.getElementById('compare-panel'); return [panel.dataset.exact, panel.dataset.pair]"
PIXELS = """
const canvas = [...document.querySelectorAll("#compare-panel canvas")][arguments[0]];
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return [canvas.width, canvas.height, ...data.filter((_, k) => k % 4 === 0)];
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a network, two snapshots of its size, and a smaller one."""
    folder = tmp_path_factory.mktemp("compared")
    for name, seed in (("brain", 0), ("later", 1)):
        toy_network(folder / f"{name}.safetensors", size=(56, 48), crop=[2, 2, 52, 44], seed=seed)
    toy_network(folder / "small.safetensors", size=(16, 16), classes=3, seed=2)
    (folder / "runs").mkdir()
    with RunningApp("--checkpoints", str(folder), "--runs", str(folder / "runs")) as address:
        yield address


def paired(driver: Any, *names: str, **wanted: object) -> list[dict[str, Any]]:
    """Wait until both sides show exactly these networks with these keys of the recipe; return the sides."""

    def look() -> list[dict[str, Any]] | None:
        exact, told = driver.execute_script(PAIR)
        sides = json.loads(told or "[]")
        recipes = [side["recipe"] for side in sides]
        fits = [one["checkpoint"] for one in recipes] == list(names)
        same = all(one.get(key) == value for one in recipes for key, value in wanted.items())
        return sides if exact == "true" and fits and same else None

    return until(look)


def pixels(driver: Any, place: int) -> np.ndarray:
    """The gray levels that one of the three canvases shows."""
    width, height, *levels = driver.execute_script(PIXELS, place)
    return np.array(levels, int).reshape(height, width)


def told(driver: Any) -> str:
    """What is said of the difference, with what a narrow column leaves to screen readers."""
    return driver.execute_script("return document.getElementById('compare-told').textContent")


def frame(app: str, recipe: dict[str, Any], **query: str) -> np.ndarray:
    """A picture as the server gives it."""
    more = "".join(f"&{key}={value}" for key, value in query.items())
    answer = urllib.request.urlopen(f"{app}frame?recipe={quote(json.dumps(recipe))}{more}")
    return np.array(Image.open(io.BytesIO(answer.read()))).astype(int)


def test_two_networks_follow_the_hand_and_their_difference_is_theirs(tab: Any, app: str) -> None:
    open_tab(tab, "Compare")
    paired(tab, "brain", "later")
    tab.execute_script("for (let seed = 1; seed < 9; seed++) stage.set({ seed }, { moving: true })")
    paired(tab, "brain", "later", seed=8)
    left, right = (frame(app, {"checkpoint": name, "seed": 8}) for name in ("brain", "later"))
    assert np.array_equal(pixels(tab, 0), left) and np.array_equal(pixels(tab, 1), right)
    apart = np.abs(right - left)
    assert told(tab).startswith(f"Mean {apart.mean():.{2 if apart.mean() < 10 else 1}f}")
    assert f"largest {apart.max()} gray levels" in told(tab)
    assert np.array_equal(pixels(tab, 2), np.minimum(255, 4 * apart))
    find(tab, "#compare-sign label:nth-child(2)").click()
    find(tab, "#compare-amplify label:nth-child(1)").click()
    until(lambda: np.array_equal(pixels(tab, 2), np.clip(128 + right - left, 0, 255)))
    choose(tab, "Right", "brain")
    paired(tab, "brain", "brain")
    assert find(tab, "#compare-amplify label:nth-child(1) input").is_selected(), "what was chosen stays"
    find(tab, "[aria-label='Reset amplified']").click()
    choose(tab, "Right", "later")
    paired(tab, "brain", "later")
    until(lambda: find(tab, "#compare-amplify label:nth-child(2) input").is_selected())
    find(tab, "#compare-amplify label:nth-child(3)").click()
    for name in ("brain", "later"):  # of which the first would have 16 by itself
        choose(tab, "Right", name)
        paired(tab, "brain", name)
    assert find(tab, "#compare-amplify label:nth-child(3) input").is_selected()
    assert find(tab, "[aria-label='Reset amplified']").is_enabled()
    assert not complaints(tab)


def test_everybody_reads_what_another_network_goes_without(tab: Any) -> None:
    said = find(tab, "#stage-said")
    tab.execute_script("stage.set({ mix: [{ seed: 1, layers: '6-7', amount: 1 }] })")
    choose(tab, "Network", "small")
    until(lambda: said.text == "small is shown without parts of the mix, which it does not have.")
    assert said.size["height"] > 10 and recipe_of(tab)["mix"] == []
    tab.execute_script("stage.tell('for readers of the screen')")
    assert said.size["height"] == 1 and said.get_property("textContent") == "for readers of the screen"
    choose(tab, "Network", "brain")
    until(lambda: recipe_of(tab)["checkpoint"] == "brain" and said.get_property("textContent") == "")
    assert said.size["height"] == 1 and not complaints(tab)


def test_a_mix_reaches_the_layers_that_are_there(tab: Any) -> None:
    open_tab(tab, "Compare")
    choose(tab, "Right", "small")
    paired(tab, "brain", "small")
    tab.execute_script(
        "stage.set({ mix: [{ seed: 1, layers: '2-7', amount: 1 }, { seed: 2, layers: '0-1', amount: 0.5 }] })"
    )
    sides = until(lambda: (found := paired(tab, "brain", "small"))[0]["recipe"].get("mix") and found)
    layers = tab.execute_script("return stage.networks.map(({ name, layers }) => [name, layers])")
    assert dict(layers) == {"brain": 8, "later": 8, "small": 6}
    assert sides[1]["recipe"]["mix"] == [{"amount": 1, "layers": "2-5", "seed": 1}, sides[0]["recipe"]["mix"][1]]
    assert words(tab, "#compare-rest .hint") == "small is shown without parts of the mix, which it does not have."
    assert "have no difference; each is shown at its own size" in told(tab)
    assert pixels(tab, 0).shape == (52, 44) and pixels(tab, 1).shape == (16, 16)
    assert not complaints(tab)


def test_one_network_in_two_precisions(tab: Any, app: str, downloads: Path) -> None:
    open_tab(tab, "Compare")
    choose(tab, "Right", "brain")
    choose(tab, "Right precision", "bfloat16")
    sides = until(lambda: (found := paired(tab, "brain", "brain"))[1]["precision"] == "bfloat16" and found)
    assert sides[0]["precision"] == "auto"
    exact = frame(app, {"checkpoint": "brain"})
    narrow = frame(app, {"checkpoint": "brain"}, precision="bfloat16")
    until(lambda: np.array_equal(pixels(tab, 1), narrow) and np.array_equal(pixels(tab, 0), exact))
    assert (narrow != exact).any() and "largest" in told(tab)
    assert find(tab, "#compare-right-box [aria-label='To the stage: right']").get_attribute("disabled")
    find(tab, "#compare-difference-rest button").click()
    sheet = downloads / "brain-compare.png"
    until(lambda: sheet.exists() and sheet.stat().st_size)
    about = json.loads(read_text(sheet)["styloscope"])
    assert (about["precisions"], about["amplify"], about["signed"]) == (["auto", "bfloat16"], 16, False)
    back = find(tab, "[aria-label='Reset amplified']")
    assert not back.is_enabled(), "so little is shown strongly by itself"
    find(tab, "#compare-amplify label:nth-child(2)").click()
    back.click()
    assert find(tab, "#compare-amplify label:nth-child(3) input").is_selected() and not back.is_enabled()
    find(tab, "[aria-label='Reset right precision']").click()
    until(lambda: told(tab) == "No difference: every pixel is equal.")
    assert not complaints(tab)


def test_the_right_one_comes_to_the_stage_and_onto_the_shelf(tab: Any) -> None:
    open_tab(tab, "Compare")
    paired(tab, "brain", "later")
    tab.execute_script("stage.set({ seed: 5, psi: 0.5 })")
    paired(tab, "brain", "later", seed=5)
    find(tab, "[aria-label='Keep: right']").click()
    assert tab.execute_script("return stage.shelf.map(({ recipe }) => recipe.checkpoint)") == ["later"]
    find(tab, "[aria-label='To the stage: right']").click()
    shown(tab, checkpoint="later", seed=5)
    assert recipe_of(tab)["psi"] == 0.5
    paired(tab, "later", "brain", seed=5)
    assert not complaints(tab)


def test_a_recipe_that_a_side_refuses_is_said_there(tab: Any) -> None:
    open_tab(tab, "Compare")
    choose(tab, "Right", "small")
    paired(tab, "brain", "small")
    tab.execute_script("stage.set({ psi: 7 })")
    until(lambda: "psi" in words(tab, "#stage-error"))
    paired(tab, "brain", "small", psi=None)
    assert words(tab, "#compare-panel .well .wrong") == ""


def test_it_fits_a_telephone(tab: Any) -> None:
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        open_tab(tab, "Compare")
        find(tab, "#compare-left-box")
        paired(tab, "brain", "later")
        assert tab.execute_script("return document.documentElement.scrollWidth") <= 390
        boxes = tab.find_elements("css selector", "#compare-panel .well")
        assert [box.size["width"] > 120 for box in boxes] == [True] * 3
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
