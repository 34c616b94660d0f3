"""What stays in sight: the picture on a narrow page, that something was kept, an error for as long as anybody wants."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, shown
from tests.browser.test_panels import until
from tests.browser.test_stage import MOVE, error, press, typed

MEAN = """const [canvas] = arguments;
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
return data.reduce((sum, one) => sum + one, 0) / data.length;"""


def screen(tab: Any, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_a_narrow_page_keeps_the_picture_in_its_corner(tab: Any) -> None:
    mini = tab.find_element("id", "stage-mini")
    try:
        screen(tab, 1200, 150)
        tab.execute_script("scrollTo(0, 9000)")
        gone = "return document.getElementById('stage-view').getBoundingClientRect().bottom < 0"
        until(lambda: tab.execute_script(gone) and mini.get_property("hidden") is False)
        assert not mini.is_displayed(), "of narrow pages alone"
        screen(tab, 390, 700)
        tab.execute_script("scrollTo(0, 0)")
        until(lambda: not mini.is_displayed())
        tab.execute_script("document.getElementById('panels').scrollIntoView()")
        until(mini.is_displayed)
        small, whole = mini.find_element("css selector", "canvas"), tab.find_element("id", "stage")
        assert max(small.rect["width"], small.rect["height"]) == 112
        for seed in (11, 12):
            tab.execute_script(MOVE, "seed", [seed])
            shown(tab, seed=seed)
            until(lambda: abs(tab.execute_script(MEAN, small) - tab.execute_script(MEAN, whole)) < 3)
        mini.click()
        until(lambda: not mini.is_displayed())
        assert complaints(tab) == []
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_what_is_kept_out_of_sight_is_said(tab: Any) -> None:
    said = tab.find_element("id", "stage-said")
    quiet = "visually-hidden"
    try:
        screen(tab, 1366, 900)
        press(tab, "[data-do=keep]")
        until(lambda: said.get_attribute("textContent") == "Kept on the shelf")
        assert quiet in said.get_attribute("class")
        screen(tab, 1366, 560)
        press(tab, "[data-do=keep]")
        until(lambda: quiet not in said.get_attribute("class"))
    finally:
        tab.execute_script("while (stage.shelf.length) stage.keeper.remove(stage.shelf[0].id)")
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("by", ["button", "escape"])
def test_an_error_goes_when_it_has_been_read(tab: Any, by: str) -> None:
    typed(tab, "psi", "7\t")
    assert error(tab, part="psi")
    leave = tab.find_element("id", "stage-error-leave")
    assert leave.is_displayed()
    if by == "button":
        leave.click()
        assert tab.execute_script("return document.activeElement.id") == "stage"
    else:
        tab.execute_script("document.activeElement.blur()")
        tab.find_element("css selector", "body").send_keys("\ue00c")
    until(lambda: not leave.is_displayed())
    assert not error(tab)
