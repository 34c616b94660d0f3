"""The Training panel in a real browser: a small training is started, watched, shown on the stage and stopped."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, hosts, recipe_of, shown, still
from tests.browser.test_panels import find, open_tab, until, words

POINTS = "return document.querySelector('.charts .chart')?.data?.[0].x.length ?? 0"
ASKED = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/training')).length"
SHEET = "const image = document.querySelector('#training-sheet img'); return image.hidden ? 0 : image.naturalWidth"
MOMENTS = "return Number(document.querySelector('#moment input[type=range]').max)"
SLIDE = """
const slider = document.querySelector("#moment input[type=range]");
slider.value = 1;
slider.dispatchEvent(new Event("input", { bubbles: true }));
"""

SHADES = """
const done = arguments[0];
import("/static/panel_training_curves.js").then(async ({ Curves }) => {
  const curves = new Curves({ pick() {} });
  document.body.append(curves.root);
  const fades = { fade_from: [null, 5, 14], fade_to: [null, 7, 18] };
  const columns = { kimg: [4, 12, 16], loss_g: [1, 2, 3], alpha: [1, 1, 0.5], ...fades };
  curves.add("log", { columns, fresh: true, steps: [[4, "8 x 8"], [12, "16 x 16"], [16, "32 x 32"]] });
  const look = () => {
    const drawn = [...curves.root.querySelectorAll(".chart")].map(({ layout }) => layout?.shapes);
    if (!drawn.length || !drawn.every(Boolean)) return setTimeout(look, 50);
    curves.root.remove();
    done(drawn.map((shapes) => shapes.filter(({ type }) => type === "rect").map(({ x0, x1 }) => [x0, x1])));
  };
  look();
});
"""


def silent(driver: Any) -> int:
    """Wait until the page asks nothing about trainings for longer than between two looks; how often it has asked."""
    return still(lambda: driver.execute_script(ASKED), seconds=3)


def test_fades_are_shaded_whether_a_tick_fell_into_them_or_not(tab: Any) -> None:
    assert tab.execute_async_script(SHADES) == [[[5, 7], [14, 16]]]


@pytest.mark.timeout(600)
def test_a_small_training_is_watched_shown_and_stopped(tab: Any) -> None:
    open_tab(tab, "Training")
    until(lambda: "No run yet" in words(tab, "#training-panel .empty"))
    tab.execute_script("performance.setResourceTimingBufferSize(9999)")
    asked = silent(tab)  # there is nothing to look at, only for
    until(lambda: tab.execute_script(ASKED) > asked)
    # Smaller and shorter ones may be done before they are stopped.
    for name, value in (("images", 4000), ("size", 64)):
        tab.execute_script(f"document.querySelector('#training-{name} input[value=\"{value}\"]').click()")
    find(tab, "#training-start").click()
    until(lambda: find(tab, "#training-stop").is_displayed())
    assert tab.execute_script("return document.getElementById('training-start').disabled")

    grown = until(lambda: tab.execute_script(POINTS))
    assert tab.execute_script(ASKED) > asked
    until(lambda: tab.execute_script(SHEET) > 0)
    assert "try-1" in words(tab, "#training-own")
    until(lambda: "/4000" in words(tab, "#training-own"))
    assert until(lambda: words(tab, ".run-state")) == "running" and "of 4,000" in words(tab, ".images-seen")
    until(lambda: tab.execute_script(POINTS) > grown and tab.execute_script(MOMENTS) > 2)
    assert re.match(r"Losses up to [0-3]\.", find(tab, ".charts .chart").get_attribute("aria-label"))

    tab.execute_script(SLIDE)
    held = find(tab, "#training-newest")
    assert held.get_attribute("aria-pressed") == "false"
    before = tab.execute_script(POINTS)
    until(lambda: tab.execute_script(POINTS) > before)
    assert held.get_attribute("aria-pressed") == "false", "the hand took it"

    open_tab(tab, "About")
    silent(tab)  # nobody looks
    open_tab(tab, "Training")
    find(tab, "#training-stop").click()
    until(lambda: words(tab, ".run-state") == "stopped")
    assert not find(tab, "#training-own").is_displayed()
    silent(tab)  # the run is over

    find(tab, "#training-newest").click()
    find(tab, "#training-to-stage").click()
    saved = until(lambda: next((name for name in [recipe_of(tab)["checkpoint"]] if name.startswith("try-1/")), None))
    shown(tab, checkpoint=saved)
    find(tab, "#training-panel summary").click()
    assert "--preset=smoke" in words(tab, "#training-panel details pre")
    assert "batch" in words(tab, "#training-panel details table")
    assert not complaints(tab)
    assert {host.split(":")[0] for host in hosts(tab)} == {"127.0.0.1"}
