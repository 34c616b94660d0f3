"""The first press does what it says: Play, a second source of a mix, Compare beside networks of other sizes."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import recipe_of, shown
from tests.browser.test_panels import find, open_tab, until, words
from tests.browser.test_stage import MOVE, press


def test_looking_at_the_walk_does_not_change_what_play_plays(tab: Any) -> None:
    tab.execute_script(MOVE, "seed", [50])
    shown(tab, seed=50)
    open_tab(tab, "Interpolate")
    until(lambda: find(tab, "#walk-play").is_displayed())
    assert tab.execute_script("return stage.walk") is None
    press(tab, "[data-do=play]")
    until(lambda: recipe_of(tab)["blend"])
    press(tab, "[data-do=play]")
    assert {one["seed"] for one in recipe_of(tab)["blend"]} <= {50, 51, 52, 53, 1050, 1051, 1052, 1053}
    tab.execute_script("document.querySelector('#loop input').click()")
    walk = tab.execute_script("return stage.walk")
    assert [one["seed"] for one in walk["recipes"]] == [3, 9, 27] and walk["loop"]
    tab.execute_script("document.querySelector('#loop input').click()")


def test_a_second_source_changes_other_layers_than_the_first(tab: Any) -> None:
    open_tab(tab, "Mix")
    for _ in range(4):
        find(tab, "#mix-sources .bar button").click()
    mix = recipe_of(tab)["mix"]
    layers = [one["layers"] for one in mix]
    assert len(set(layers[:3])) == 3 and layers[3] == layers[0]
    tab.execute_script("stage.set({ mix: [] })")


def test_compare_begins_with_what_has_a_difference(tab: Any) -> None:
    """The other network of this app is of another size."""
    open_tab(tab, "Compare")
    until(lambda: "largest" in words(tab, "#compare-told") or "gray levels" in words(tab, "#compare-told"))
    assert find(tab, "#compare-right input").get_attribute("value").startswith("brain")
    assert find(tab, "#compare-right-precision input").get_attribute("value") == "bfloat16"
