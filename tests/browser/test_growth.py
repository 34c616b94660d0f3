"""Size and alpha of a network that grows, in a real browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import (
    RunningApp,
    choose,
    complaints,
    entered,
    growing_network,
    recipe_of,
    shown,
    toy_network,
)
from tests.browser.test_panels import find, open_tab, type_into, until, words

PLACE = """
const canvas = document.getElementById("stage");
const { x, y, width, height } = canvas.getBoundingClientRect();
return [canvas.width, canvas.height, width, height, x + width / 2, y + height / 2];
"""
# What is played goes on by `pace` milliseconds with each picture, however long that takes.
SEEN = """
window.sizes = [];
window.pace = 0;
let clock = performance.now();
document.addEventListener("drawn", ({ target }) => (sizes.push(target.height), (clock += pace)));
const frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (step) => frame(() => step(clock));
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a network that grew, one that was saved inside a fade, and one that does not grow."""
    folder = tmp_path_factory.mktemp("growing")
    growing_network(folder / "brain.safetensors")
    growing_network(folder / "fading.safetensors", grown={"size": [56, 48], "alpha": 0.25})
    toy_network(folder / "plain.safetensors", size=(32, 32))
    (folder / "runs").mkdir()
    with RunningApp("--checkpoints", str(folder), "--runs", str(folder / "runs")) as address:
        yield address


def disabled(driver: Any, name: str) -> bool:
    """Whether a reset is grey."""
    buttons = driver.find_elements("css selector", "#control-growth button")
    return next(bool(one.get_attribute("disabled")) for one in buttons if one.accessible_name == name)


def test_a_size_and_an_alpha_are_shown_undone_and_linked(tab: Any) -> None:
    full = shown(tab, grown=None)
    until(lambda: disabled(tab, "Reset size") and disabled(tab, "Reset alpha"))
    place = tab.execute_script(PLACE)
    choose(tab, "Size", "14 × 12")
    small = shown(tab, grown={"size": [14, 12], "alpha": 1})
    assert small != full and not disabled(tab, "Reset size") and disabled(tab, "Reset alpha")
    width, height, *there = tab.execute_script(PLACE)
    assert (width, height) == (12, 14) and there[1] % height == 0, "whole multiples"
    assert there[2:] == pytest.approx(place[4:], abs=1), "in the same place"
    assert there[1] == pytest.approx(place[3], rel=0.2), "as large as it fits"
    entered(tab, 1)
    type_into(tab, "#alpha input[type=range]", 0.4)
    blended = shown(tab, grown={"size": [14, 12], "alpha": 0.4})
    assert blended != small and "0 is 7 × 6 enlarged, 1 is 14 × 12." in words(tab, "#alpha-hint")
    entered(tab, 2)
    address = tab.execute_script("return location.href")
    tab.back()
    assert shown(tab, grown={"size": [14, 12], "alpha": 1}) == small
    tab.get("about:blank")
    tab.get(address)
    assert shown(tab, grown={"size": [14, 12], "alpha": 0.4}) == blended
    until(lambda: tab.find_element("css selector", "#size input").get_attribute("value") == "14 × 12")
    find(tab, "[aria-label='Reset alpha']").click()
    shown(tab, grown={"size": [14, 12], "alpha": 1})
    find(tab, "#size-reset").click()
    assert shown(tab, grown=None) == full
    assert not complaints(tab)


def test_the_first_size_has_nothing_to_blend_with(tab: Any) -> None:
    type_into(tab, "#alpha input[type=range]", 0.5)
    shown(tab, grown={"size": [56, 48], "alpha": 0.5})
    choose(tab, "Size", "7 × 6")
    shown(tab, grown={"size": [7, 6], "alpha": 1})
    assert tab.find_element("css selector", "#alpha input[type=range]").get_attribute("disabled")
    assert "nothing to blend" in words(tab, "#alpha-hint")


def test_header_and_size_say_both_what_is_made_and_what_is_shown(tab: Any) -> None:
    shown(tab, grown=None)
    assert words(tab, "#network-facts").startswith("52 × 44 of 56 × 48 gray, StyleGAN")
    until(lambda: words(tab, "#size-shown") == "shown: 52 × 44")
    choose(tab, "Size", "28 × 24")
    shown(tab, grown={"size": [28, 24], "alpha": 1})
    until(lambda: words(tab, "#size-shown") == "shown: 26 × 22")
    choose(tab, "Size", "14 × 12")
    shown(tab, grown={"size": [14, 12], "alpha": 1})
    assert not tab.find_element("id", "size-shown").is_displayed(), "nothing is cut off there"
    choose(tab, "Network", "plain")
    shown(tab, checkpoint="plain")
    assert words(tab, "#network-facts").startswith("32 × 32 gray, StyleGAN2")


def test_growing_is_played_to_the_finished_picture(tab: Any) -> None:
    choose(tab, "Size", "28 × 24")
    shown(tab, grown={"size": [28, 24], "alpha": 1})
    tab.execute_script(SEEN)
    find(tab, "#grow").click()
    until(lambda: tab.find_element("id", "grow").get_attribute("aria-pressed") == "true")
    tab.execute_script("pace = 100")
    until(lambda: recipe_of(tab)["grown"] is None)
    shown(tab, grown=None)
    assert tab.execute_script("return [...new Set(sizes)]") == [7, 14, 26, 52]
    assert tab.find_element("id", "grow").get_attribute("aria-pressed") == "false"
    tab.execute_script(SEEN)
    find(tab, "#grow").click()
    until(lambda: recipe_of(tab)["grown"] == {"size": [7, 6], "alpha": 1})
    find(tab, "#grow").click()
    stopped = recipe_of(tab)["grown"]
    assert stopped is not None and shown(tab, grown=stopped)


def test_growing_takes_the_place_of_a_walk_that_plays(tab: Any) -> None:
    tab.execute_script(
        "window.played = []; const set = stage.set;"
        "stage.set = (patch, how) => (how?.playing && played.push('grown' in patch), set.call(stage, patch, how));"
        "stage.play(); document.getElementById('grow').click();"
    )
    until(lambda: len(tab.execute_script("return played")) > 3)
    tab.execute_script("stage.player.stop()")
    played = tab.execute_script("return played")
    assert all(played) and not recipe_of(tab)["blend"]
    time.sleep(0.2)
    assert tab.execute_script("return played") == played


def test_others_do_not_grow_and_a_fade_is_shown_as_it_was_saved(tab: Any) -> None:
    choose(tab, "Size", "14 × 12")
    shown(tab, grown={"size": [14, 12], "alpha": 1})
    choose(tab, "Network", "plain")
    shown(tab, checkpoint="plain", grown=None)
    assert not tab.find_element("id", "control-growth").is_displayed()
    choose(tab, "Network", "fading")
    faded = shown(tab, checkpoint="fading", grown=None)
    until(lambda: tab.find_element("css selector", "#alpha input[type=number]").get_attribute("value") == "0.25")
    assert disabled(tab, "Reset alpha") and disabled(tab, "Reset size")
    type_into(tab, "#alpha input[type=range]", 1)
    assert shown(tab, grown={"size": [56, 48], "alpha": 1}) != faded
    assert not complaints(tab)


def test_panels_show_the_size_of_the_stage(tab: Any) -> None:
    choose(tab, "Size", "14 × 12")
    shown(tab, grown={"size": [14, 12], "alpha": 1})
    open_tab(tab, "Compare")
    pair = "return document.getElementById('compare-panel').dataset.pair"
    until(lambda: (tab.execute_script(pair) or "").count('"grown":{"size":[14,12],"alpha":1}') == 2)
    open_tab(tab, "Mix")
    cell = find(tab, "[aria-label='row 1, column 11']")
    until(lambda: cell.find_element("tag name", "img").get_attribute("src"))
    assert tab.execute_script("return arguments[0].querySelector('img').naturalHeight", cell) == 14
    titles = [tick.get_attribute("title") for tick in cell.parent.find_elements("css selector", "#matrix-layers input")]
    assert titles[:3] == ["Layer 0, works at 7 pixels", "Layer 1, works at 7 pixels", "Layer 2, works at 14 pixels"]
    assert not complaints(tab)


def test_it_fits_a_telephone(tab: Any) -> None:
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        box = find(tab, "#control-growth")
        assert tab.execute_script("return document.documentElement.scrollWidth") <= 390
        assert box.size["width"] <= 390 and tab.find_element("id", "grow").is_displayed()
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
