"""The shelf in a real browser: it keeps pictures, and asks for them as often as it must."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, shown
from tests.browser.test_panels import until
from tests.browser.test_stage import MOVE, press


def test_the_shelf_keeps_names_orders_and_gives_back(tab: Any, app: str) -> None:
    assert "Keep a picture" in tab.find_element("id", "shelf").text
    for seed in (8, 9):
        tab.execute_script(MOVE, "seed", [seed])
        shown(tab, seed=seed)
        press(tab, "[data-do=keep]")
    tab.get(app)
    shown(tab, seed=None)
    cards = tab.find_elements("css selector", "#shelf-list li")
    assert [card.find_element("css selector", ".name").get_attribute("value") for card in cards] == ["seed 8", "seed 9"]
    click = "document.querySelector(arguments[0]).click()"
    tab.execute_script(click, "#shelf-list li [aria-label$='move right']")
    assert [kept["name"] for kept in tab.execute_script("return window.stage.shelf")] == ["seed 9", "seed 8"]
    tab.execute_script(click, "#shelf-list li .picture")
    shown(tab, seed=9)
    tab.execute_script(click, "#shelf-list li [aria-label$='remove']")
    assert len(tab.execute_script("return window.stage.shelf")) == 1


def test_a_damaged_shelf_loses_only_what_is_damaged(tab: Any, app: str) -> None:
    good = {"id": "b", "name": "good", "recipe": {"checkpoint": "brain", "seed": 8}}
    bad = [{"blend": [None]}, {"mix": 3}, {"toward": "x"}, {"grown": {"size": 5}}, []]
    kept = [*({"id": f"a{k}", "name": "x", "recipe": one} for k, one in enumerate(bad)), good]
    tab.execute_script("localStorage.setItem('styloscope.shelf', arguments[0])", json.dumps(kept))
    tab.get(app)
    shown(tab, seed=None)
    assert [one["name"] for one in tab.execute_script("return stage.shelf")] == ["good"]
    until(lambda: tab.execute_script("return document.querySelector('#shelf-list img').src"))
    assert not complaints(tab)


def test_a_kept_picture_is_asked_for_again(tab: Any) -> None:
    """Once the server answers, and once its network's file is another."""
    tab.execute_script(
        "const ask = stage.picture; window.asked = 0; window.silent = true;"
        "stage.picture = (...wish) => (asked++, silent ? Promise.reject(new Error('silent')) : ask.apply(stage, wish));"
    )
    press(tab, "[data-do=keep]")
    until(lambda: tab.find_elements("css selector", "#shelf-list .missing"))
    tab.execute_script("window.silent = false")
    tab.execute_script(MOVE, "seed", [4])
    shown(tab, seed=4)
    until(lambda: not tab.find_elements("css selector", "#shelf-list .missing"))
    source = "return document.querySelector('#shelf-list img').src"
    first = until(lambda: tab.execute_script(source))
    tab.execute_script(
        "const ask = window.fetch; window.fetch = async (address, ...more) => {"
        "const answer = await ask(address, ...more); if (address !== 'networks') return answer;"
        "const told = await answer.json(); return Response.json(told.map((one) => ({ ...one, sha: 'another' }))); };"
        "stage.refreshNetworks()"
    )
    until(lambda: tab.execute_script(source) != first)
    assert tab.execute_script("return asked") == 3
