"""Inside the network, folded beneath the stage, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import RunningApp, choose, complaints, growing_network, shown, still, toy_network
from tests.browser.test_panels import find, type_into, until, words

START = "conv0-28x24"  # the convolution in the middle
FOLD = "#inside > summary"
SLIDER = "#inside [aria-label='Layer, coarse to fine']"
ASKED = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/layers')).length"
PIXELS = "return document.querySelector('.inside-sheet canvas').toDataURL()"
LAST = """
const canvas = document.querySelector(".inside-growing button:last-child canvas");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return data.some((level, k) => k % 4 < 3 && level > 0);
"""
PICK = """
const [menu, word] = arguments;
menu.selectedIndex = [...menu.options].findIndex(({ text }) => text.startsWith(word));
menu.dispatchEvent(new Event("change"));
"""
DOT = """
const { cx, cy } = document.querySelector("#inside .marked");
return [cx.baseVal.value, cy.baseVal.value];
"""
PLACE = "return document.getElementById('stage').getBoundingClientRect().height"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a StyleGAN2 and a StyleGAN that grew."""
    folder = tmp_path_factory.mktemp("inside")
    toy_network(folder / "brain.safetensors", size=(56, 48), crop=[2, 2, 52, 44])
    growing_network(folder / "grown.safetensors")
    (folder / "runs").mkdir()
    with RunningApp("--checkpoints", str(folder), "--runs", str(folder / "runs")) as address:
        yield address


def inside(driver: Any) -> dict[str, Any]:
    """What the fold shows: the layer's name and the recipe."""
    told = json.loads(driver.execute_script("return document.getElementById('inside').dataset.shown") or "{}")
    return told | {"recipe": json.loads(told.get("recipe", "{}"))}


def pick(driver: Any, word: str) -> None:
    """Choose a layer by what its menu says of it."""
    menu = driver.find_element("css selector", "#inside [aria-label='Layer by name']")
    driver.execute_script(PICK, menu, word)


def test_it_follows_the_stage_once_it_is_open_and_asks_for_nothing_before(tab: Any) -> None:
    assert tab.execute_script(ASKED) == 0
    find(tab, FOLD).click()
    until(lambda: inside(tab).get("layer") == START)
    assert tab.execute_script(PLACE) > 40, "the stage stays in sight"
    before = tab.execute_script(PIXELS)
    type_into(tab, "#seed input[type=number]", 11)
    shown(tab, seed=11)
    until(lambda: inside(tab)["recipe"].get("seed") == 11)
    until(lambda: tab.execute_script(PIXELS) != before)
    find(tab, FOLD).click()
    count = still(lambda: tab.execute_script(ASKED), seconds=1)
    type_into(tab, "#seed input[type=number]", 12)
    shown(tab, seed=12)
    assert still(lambda: tab.execute_script(ASKED), seconds=1) == count and not complaints(tab)


def test_layers_and_channels_are_gone_through_by_keys(tab: Any) -> None:
    find(tab, FOLD).click()
    until(lambda: inside(tab).get("layer") == START)
    type_into(tab, SLIDER, 1)
    until(lambda: inside(tab)["layer"] == "conv1-7x6")
    assert "Size7 × 6" in words(tab, ".inside-facts").replace("\n", "").replace(" Size ", "Size")
    find(tab, "[aria-label='Layers of 56 × 48']").click()
    until(lambda: inside(tab)["layer"] == "conv1-56x48")
    sheet = tab.find_element("css selector", ".inside-sheet")
    tab.execute_script("arguments[0].focus()", sheet)
    assert words(tab, ".inside-status").startswith("Channel 0: mean ")
    sheet.send_keys("\ue014\ue014")
    said = sheet.get_attribute("aria-valuetext")
    assert said == words(tab, ".inside-status") and said.startswith("Channel 2: mean ")
    place = tab.execute_script(DOT)
    assert place[0] > 0 and place[1] > 0
    menu = tab.find_element("css selector", "#inside select[aria-label='Order']")
    tab.execute_script("arguments[0].value = 'deviation'; arguments[0].dispatchEvent(new Event('change'))", menu)
    until(lambda: not tab.find_element("css selector", "#inside [aria-label='Reset order']").get_attribute("disabled"))
    find(tab, "[aria-label='Reset layer']").click()
    until(lambda: inside(tab)["layer"] == START)
    assert not complaints(tab)


def test_a_network_that_grows_has_its_own_layers_at_each_size(tab: Any) -> None:
    find(tab, FOLD).click()
    until(lambda: inside(tab).get("layer") == START)
    pick(tab, "56 × 48, the picture")
    until(lambda: inside(tab)["layer"] == "picture-56x48")
    choose(tab, "Network", "grown")
    shown(tab, checkpoint="grown")
    until(lambda: inside(tab)["recipe"].get("checkpoint") == "grown")
    assert inside(tab)["layer"] == "picture-56x48"
    choose(tab, "Size", "14 × 12")
    shown(tab, grown={"size": [14, 12], "alpha": 1})
    until(lambda: inside(tab)["layer"] == "picture-14x12")
    assert len(tab.find_elements("css selector", ".inside-growing button")) == 2
    assert tab.execute_script(LAST) and not complaints(tab)
