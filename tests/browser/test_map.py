"""The map as a tool in a real browser: colours, two groups that become a direction, a drawn path, kept pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import choose, complaints, recipe_of, shown
from tests.browser.test_panels import find, open_tab, type_into, until, words

PLOT = "document.querySelector('#map-panel .plot')"
READY = f"return {PLOT}?._fullData?.[0]?.x?.length"
STATUS = "#map-panel .plot-box [role=status]"
PRESS = "document.querySelector(`${arguments[0]} input[value='${arguments[1]}']`).click()"
COLOURS = f"const c = {PLOT}._fullData[0].marker.color; return [c[0], c[899], c[950]]"


def ready(tab: Any) -> Any:
    """Open the map of a thousand seeds by PCA; return the plot."""
    open_tab(tab, "Map")
    until(lambda: tab.find_elements("css selector", "#map-panel .plot"))  # the settings are listened to
    tab.execute_script(PRESS, "#map-method", "pca")
    pick(tab, "Samples", "1,000")
    until(lambda: tab.execute_script(READY) == 1000 and "1,000 seeds by PCA" in words(tab, STATUS))
    return find(tab, "#map-panel .plot")


def pick(tab: Any, name: str, word: str) -> None:
    """Choose from a menu of the panel, which is scrolled to its top so that its tabs hide none."""
    tab.execute_script("document.getElementById('panels').scrollTop = 0; scrollTo(0, 0)")
    choose(tab, name, word)


def drag(tab: Any, *places: tuple[int, int]) -> None:
    """Drag over the plot from the first place to the last, in pixels from its middle."""
    from selenium.webdriver import ActionChains

    plot = find(tab, "#map-panel .plot")
    hand = ActionChains(tab, duration=20).move_to_element_with_offset(plot, *places[0]).click_and_hold()
    for place in places[1:]:
        hand = hand.move_to_element_with_offset(plot, *place)
    hand.release().perform()


def lasso(tab: Any, left: int, right: int, group: str) -> int:
    """Draw around a part of the dots and make them a group; return how many they are."""
    drag(tab, (left, -60), (right, -60), (right, 60), (left, 60), (left, -58))
    said = "#map-panel .selection .hint"
    until(lambda: "selected" in words(tab, said))
    count = int(words(tab, said).split()[0].replace(",", ""))
    find(tab, f"#map-panel .group-{group}").click()
    until(lambda: words(tab, f"#map-panel .group-{group}") == f"{group.upper()}: {count}")
    return count


SEEN = """const canvas = document.querySelector("#map-panel canvas.above");
const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
return data.filter((value, k) => k % 4 === 3 && value === 255).length / (devicePixelRatio > 1 ? 4 : 1);"""


def test_a_whole_map_shows_a_few_pictures_between_its_dots(tab: Any) -> None:
    plot = ready(tab)
    few = until(lambda: tab.execute_script(SEEN) > 3000 and tab.execute_script(SEEN))
    assert few < 0.35 * plot.rect["width"] * plot.rect["height"], "dots stay in sight"
    find(tab, "#map-show input").click()
    until(lambda: tab.execute_script(SEEN) == 0)
    find(tab, "#map-show input").click()
    until(lambda: tab.execute_script(SEEN) > 3000)
    assert not tab.find_element("css selector", "#map-work .job-working").is_displayed(), "nothing long is begun"
    assert not complaints(tab)


def test_colours_say_what_they_mean(tab: Any, tmp_path: Path) -> None:
    ready(tab)
    table = tmp_path / "ratings.csv"
    table.write_text("seed,age,dx\n" + "".join(f"{k},{k},{'ab'[k % 2]}\n" for k in range(900)), encoding="utf-8")
    field = tab.find_element("css selector", "#map-panel input[type=file]")
    field.send_keys(str(table))
    until(lambda: words(tab, "#map-panel .scale .label") == "Age")
    until(lambda: len(set(tab.execute_script(COLOURS))) == 3)  # the lowest, the highest and none
    assert "900 of 1,000 known" in find(tab, "#map-panel .scale").get_attribute("aria-label")
    pick(tab, "Colour by", "dx (ratings.csv)")
    until(lambda: words(tab, "#map-panel .classes") == "a\nb")
    pick(tab, "Colour by", "Distance from average")
    until(lambda: "standard deviations" in words(tab, "#map-panel .scale .label"))
    table.write_text("name\nx\n", encoding="utf-8")
    field.send_keys(str(table))
    until(lambda: "no column named seed" in words(tab, "#stage-error"))
    assert not complaints(tab)


def test_two_lassos_become_a_direction(tab: Any) -> None:
    ready(tab)
    tab.execute_script("stage.set({ seed: 5000 })")  # not on this map
    find(tab, "#map-panel .group-a").click()
    assert "Select some dots first" in words(tab, "#map-panel .pair")
    tab.execute_script(PRESS, "#map-drag", "select")
    until(lambda: tab.execute_script(f"return {PLOT}._fullLayout.dragmode") == "lasso")
    counts = [lasso(tab, -90, -10, "a"), lasso(tab, 10, 90, "b")]
    find(tab, "#map-panel .pair .strong").click()
    until(lambda: find(tab, "#steer-panel").is_displayed())
    for letter, count in zip("AB", counts, strict=True):
        until(lambda said=f"Pile {letter}\n{count} picture": said in words(tab, "#steer-piles"))
    type_into(tab, "#steer-pile-name input", "sideways")
    try:
        tab.execute_script("document.getElementById('steer-pile-go').click()")
        until(lambda: "right on pictures it had not seen" in words(tab, "#steer-pile-made"))
        find(tab, "[aria-label='sideways at +2']").click()
        assert until(lambda: recipe_of(tab)["steer"]) == [{"direction": "sideways", "amount": 2}]
        assert shown(tab)
        assert not complaints(tab)
    finally:
        tab.execute_script("stage.set({ steer: [] })")
        tab.execute_async_script(
            "fetch('/directions/sideways?checkpoint=brain', { method: 'DELETE' }).then(arguments[0])"
        )


def test_a_drawn_line_becomes_keyframes_among_kept_pictures(tab: Any) -> None:
    keep = "const [body, done] = arguments; fetch('/points', { method: 'POST', body }).then((all) => done(all.status))"
    body = json.dumps({"name": "mine", "recipe": {"checkpoint": "brain", "seed": 12, "psi": 1}})
    assert tab.execute_async_script(keep, body) == 200
    try:
        ready(tab)
        diamond = f"const [, one] = {PLOT}._fullData; return [one.marker.symbol, one.x.length]"
        until(lambda: tab.execute_script(diamond) == ["diamond", 1])
        assert "1 kept picture" in words(tab, STATUS)
        assert find(tab, "#map-method label:has([value=umap-points])").is_displayed()
        tab.execute_script(PRESS, "#map-drag", "path")
        drag(tab, (-80, 40), (-40, 10), (0, 0), (40, -10), (80, -40))
        line = "return JSON.parse(localStorage.getItem('styloscope.timeline'))"
        found = until(lambda: (tab.execute_script(line) or {}).get("keys"))
        assert len(found) >= 3 and found[0]["recipe"] != found[1]["recipe"]
        times = [key["time"] for key in found]
        assert times == sorted(set(times)) and tab.execute_script(line)["spline"] == "catmull-rom"
        assert f"{len(found)} keyframes" in words(tab, STATUS)
        until(lambda: find(tab, "#timeline .track").is_displayed())
        assert not complaints(tab)
    finally:
        tab.execute_async_script("fetch('/points/mine?checkpoint=brain', { method: 'DELETE' }).then(arguments[0])")


def drawing_failed(tab: Any) -> Any:
    """Let the drawing of small pictures fail; returns the button that offers it again."""
    tab.execute_cdp_cmd("Network.enable", {})
    tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/jobs"]})
    try:
        pick(tab, "Colour by", "Brightness")
        until(lambda: "does not answer" in words(tab, "#map-work"))
    finally:
        tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    return next(one for one in tab.find_elements("css selector", "#map-work button") if "small pictures" in one.text)


def test_small_pictures_that_failed_are_drawn_by_hand(tab: Any) -> None:
    ready(tab)
    again = drawing_failed(tab)
    again.click()
    until(lambda: not again.is_displayed() and "does not answer" not in words(tab, "#map-work"))
    until(lambda: len(set(tab.execute_script(COLOURS))) > 1)


def test_what_failed_is_offered_again_on_the_way_back(tab: Any) -> None:
    """The work of another map leaves nothing to read in the box, in which the button stands."""
    ready(tab)
    tab.execute_script("stage.set({ checkpoint: 'classes', label: 1 })")
    until(lambda: words(tab, "#map-panel .classes"))
    tab.execute_script(PRESS, "#map-classes", "one")
    until(lambda: not words(tab, "#map-panel .classes"))
    again = drawing_failed(tab)
    tab.execute_script("stage.set({ label: 2 })")
    until(lambda: tab.execute_script("return arguments[0].hidden", again))
    for colour in ("Distance from average", "Brightness"):
        pick(tab, "Colour by", colour)
    until(lambda: not words(tab, "#map-work") and tab.execute_script("return arguments[0].hidden", again))
    tab.execute_script("stage.set({ label: 1 })")
    until(lambda: again.is_displayed())
