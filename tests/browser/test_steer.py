"""The Steer tab in a real browser: strips, sliders that move the stage, kept directions, piles and a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import choose, complaints, entered, recipe_of, shown
from tests.browser.test_panels import find, open_tab, settled, type_into, until, words


def strips(driver: Any) -> list[Any]:
    """The rows of found directions, as soon as there are some."""
    return until(lambda: driver.find_elements("css selector", "#steer-found .direction"))


def names(driver: Any) -> list[str]:
    """Those of the kept directions that the list shows."""
    return [
        one.get_attribute("value")
        for one in driver.find_elements("css selector", "#steer-found .direction > .row > .name")
    ]


def press(driver: Any, selector: str) -> None:
    driver.execute_script("arguments[0].click()", find(driver, selector))


def test_a_direction_is_seen_added_and_moves_the_stage(tab: Any) -> None:
    plain = settled(tab)
    open_tab(tab, "Steer")
    assert len(strips(tab)) == 8
    assert "eigenvalue" in strips(tab)[0].text
    find(tab, "[aria-label='sefa-0 at +2']")
    until(lambda: tab.execute_script("return document.querySelectorAll('.direction .thumb img[src]').length >= 7"))
    where = "return document.querySelector(\"[aria-label='sefa-0 at +2']\").getBoundingClientRect().top"
    before = tab.execute_script("document.getElementById('panels').scrollTop = 0; " + where)
    tab.execute_script("document.querySelector(\"[aria-label='sefa-0 at +2']\").click()")
    until(lambda: tab.find_elements("css selector", "[aria-label='Amount of sefa-0']"))
    assert abs(tab.execute_script(where) - before) < 1, "its slider has come above it, and it stays under the hand"
    until(lambda: find(tab, "[aria-label='sefa-0 at +2']").get_attribute("aria-pressed") == "true")
    assert len(tab.find_elements("css selector", ".direction .thumb[aria-pressed=true]")) == 1
    assert recipe_of(tab)["steer"] == [{"direction": "sefa-0", "amount": 2}]
    at_two = settled(tab)
    assert at_two != plain
    type_into(tab, "[aria-label='Amount of sefa-0']", -1.5)
    assert recipe_of(tab)["steer"][0]["amount"] == -1.5 and settled(tab) not in (plain, at_two)
    tab.execute_script("document.getElementById('steer-fine').click()")
    until(lambda: any("sefa-1." in row.text for row in strips(tab)))
    fine = tab.execute_script("return [...document.querySelectorAll('#steer-layers input')][0].value")
    press(tab, f"[aria-label='Add sefa-1.{fine}']")
    first, second = recipe_of(tab)["steer"]
    assert second == {"direction": f"sefa-1.{fine}", "amount": 1, "layers": fine}, "both add up"
    both = settled(tab)
    place = tab.execute_script("return history.state.styloscope.place")
    ticks = tab.find_elements("css selector", ".steered:last-child input[type=checkbox]")
    assert [tick.is_selected() for tick in ticks].count(True) < len(ticks)
    tab.execute_script("arguments[0].click()", ticks[0])
    assert recipe_of(tab)["steer"][1]["layers"].startswith("0,")
    entered(tab, place + 1)
    press(tab, f"[aria-label='Reset layers of sefa-1.{fine}']")
    assert recipe_of(tab)["steer"] == [first, second] and settled(tab) == both
    press(tab, "#steer-cards [aria-label='All to 0']")
    assert settled(tab) == plain
    press(tab, "[aria-label='Remove sefa-0']")
    press(tab, f"[aria-label='Remove sefa-1.{fine}']")
    assert recipe_of(tab)["steer"] == []
    assert not complaints(tab)


def test_a_direction_gets_a_name_and_is_forgotten(tab: Any) -> None:
    open_tab(tab, "Steer")
    press(tab, "#steer-method input[value=pca]")
    until(lambda: "of variance" in strips(tab)[0].text)
    press(tab, "[aria-label='Keep pca-0']")
    field = find(tab, "[aria-label='Keep pca-0 as']")
    field.send_keys("wide\n")
    until(lambda: "Kept as wide" in words(tab, "#steer-found"))
    press(tab, "#steer-method input[value=kept]")
    until(lambda: names(tab) == ["wide"])
    press(tab, "[aria-label='wide at +3']")
    at_three = settled(tab)
    type_into(tab, "[aria-label='Name of wide']", "wider")
    until(lambda: names(tab) == ["wider"])
    assert recipe_of(tab)["steer"] == [{"direction": "wider", "amount": 3}] and settled(tab) == at_three
    # Another network has no such direction: its picture comes without it.
    choose(tab, "Network", "classes")
    shown(tab, checkpoint="classes", steer=None)
    tab.execute_script("stage.set({ checkpoint: 'brain', steer: [{ direction: 'wider', amount: 1 }] })")
    settled(tab)
    until(lambda: names(tab) == ["wider"])
    press(tab, "[aria-label='Forget wider']")
    assert "Sure?" in words(tab, "[aria-label='Forget wider']")
    press(tab, "[aria-label='Forget wider']")
    until(lambda: recipe_of(tab)["steer"] == [])
    until(lambda: "Nothing is kept" in words(tab, "#steer-found"))
    assert not complaints(tab)


def test_piles_and_a_table_make_directions_with_their_score(tab: Any, tmp_path: Path) -> None:
    piles = "{a: [{seed: 1}, {seed: 2}], b: [{seed: 3}]}"
    tab.execute_script(f"document.dispatchEvent(new CustomEvent('piles', {{cancelable: true, detail: {piles}}}))")
    until(lambda: "2 pictures" in words(tab, "#steer-piles"))
    assert "1 picture" in words(tab, "#steer-piles")
    find(tab, "[aria-label='Seeds for pile B']").send_keys("4, 20-22\n")
    until(lambda: "5 pictures" in words(tab, "#steer-piles"))
    type_into(tab, "#steer-pile-name input", "far")
    press(tab, "#steer-pile-go")
    until(lambda: "guessing gives 71%" in words(tab, "#steer-pile-made"))
    assert "right on pictures it had not seen" in words(tab, "#steer-pile-made")
    press(tab, "#steer-pile-made [aria-label='far at −2']")
    settled(tab)
    assert recipe_of(tab)["steer"] == [{"direction": "far", "amount": -2}]
    table = tmp_path / "ages.csv"
    lines = [f"{seed},{(7919 * seed) % 101},{seed % 2}" for seed in range(24)]
    table.write_text("\n".join(["seed,age,ill", *lines]), encoding="utf-8")
    tab.find_element("css selector", "[aria-label='A table']").send_keys(str(table))
    until(lambda: "24 rows" in words(tab, "#steer-table"))
    press(tab, "#steer-table .strong")
    until(lambda: "R2" in words(tab, "#steer-table"))
    assert "no better than chance" in words(tab, "#steer-table") and "Do not believe" in words(tab, "#steer-table")
    press(tab, "#steer-table .strong")
    until(lambda: "that name is taken" in words(tab, "#steer-table"))
    tab.execute_script(
        "for (const name of ['far', 'age']) fetch(`/directions/${name}?checkpoint=brain`, {method: 'DELETE'})"
    )
    tab.execute_script("stage.set({ steer: [] })")
    settled(tab)
    assert [one for one in complaints(tab) if "/directions" not in one] == []
