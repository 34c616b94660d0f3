"""Projecting in a real browser: a picture is watched, stopped and kept, and the point does what a seed does."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from core import pictures
from tests.browser.conftest import complaints, recipe_of, shown
from tests.browser.test_open import DROP
from tests.browser.test_panels import find, open_tab, until, words
from tests.browser.test_stage import error

TOLD = ".project-told"

TYPED = """
const field = document.querySelector("[aria-label='Name of other']");
field.value = "typed"; // and not yet entered
"""
DEAF = """
const done = arguments[0];
import("/static/panel_jobs.js").then(async ({ JobBox }) => {
  const told = (what) => new Response(JSON.stringify(what));
  const nothing = () => { throw new TypeError("Failed to fetch"); };
  const said = new Set();
  let [polls, heard] = [0, 0];
  const first = new JobBox(stage, { fetch: async (address, { method } = {}) => {
    if (method === "POST") return told({ id: "1" });
    polls += 1;
    if (polls === 2) nothing();
    if (polls > 2) said.add(first.left.textContent);
    return told({ state: polls > 2 ? "done" : "running", total: 2, done: 1, name: "it.zip" });
  } });
  const { state, name } = await first.run({}, { words: "Deaf", take: false });
  // A Cancel that nobody heard is said again.
  const second = new JobBox(stage, { fetch: async (address, { method } = {}) => {
    if (method === "POST") return told({ id: "2" });
    if (method === "DELETE" && ++heard === 1) nothing();
    return told({ state: heard > 1 ? "cancelled" : "running", total: 2, done: 1 });
  } });
  setTimeout(() => second.stop(), 400);
  const end = await second.run({}, { words: "Deaf", take: false });
  done([[state, name], [...said], end.state, heard]);
});
"""


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that no network makes."""
    path = tmp_path_factory.mktemp("pictures") / "my scan.png"
    levels = np.random.RandomState(0).randint(0, 256, (52, 44)).astype(np.uint8)
    pictures.write_png(path, levels)
    return path


def press(driver: Any, words: str, inside: str = "#project-panel") -> None:
    """Press the button with these words or this name, once it is there."""
    script = """
      const [words, inside] = arguments;
      const named = (one) => [one.textContent.trim(), one.getAttribute("aria-label")].includes(words);
      const button = [...document.querySelectorAll(`${inside} button`)].find(named);
      button?.click();
      return Boolean(button);
    """
    until(lambda: driver.execute_script(script, words, inside))


def names(driver: Any) -> list[str]:
    return driver.execute_script("return [...document.querySelectorAll('.points-list input.name')].map((e) => e.value)")


def test_a_picture_is_watched_stopped_and_kept(tab: Any, picture: Path) -> None:
    open_tab(tab, "Project")
    until(lambda: find(tab, ".project-drop button").is_displayed())
    tab.execute_script("document.querySelector('#project-steps input[value=\"2000\"]').click()")
    find(tab, ".project-drop input[type=file]").send_keys(str(picture))
    ours = "return document.querySelectorAll('.project-figure img')[1].naturalWidth"
    until(lambda: tab.execute_script(ours) == 44)
    assert "gray levels away" in tab.execute_script("return document.querySelectorAll('figcaption')[1].textContent")
    until(lambda: tab.execute_script("return document.querySelector('#project-panel progress').value > 0"))
    press(tab, "Stop and keep")
    until(lambda: "Kept as the point my-scan" in find(tab, TOLD).text)
    assert "gray levels from the picture" in find(tab, TOLD).text
    until(lambda: names(tab) == ["my-scan"])
    press(tab, "To the stage", TOLD)
    shown(tab, point="my-scan", psi=1)
    assert complaints(tab) == []
    tab.execute_script("stage.set({ point: null })")
    press(tab, "my-scan: forget")
    press(tab, "my-scan: press once more to forget it")
    until(lambda: names(tab) == [])


def test_points_are_kept_from_the_stage_renamed_and_forgotten(tab: Any) -> None:
    open_tab(tab, "Project")
    until(lambda: find(tab, "#points-keep").is_displayed())
    before = shown(tab)
    tab.execute_script("stage.set({ psi: 0.5, seed: 3 })")
    wanted = shown(tab, seed=3, psi=0.5)
    assert wanted != before
    press(tab, "Keep the stage as a point")
    until(lambda: "name first" in find(tab, "#points-rest .wrong").text)
    find(tab, "#points-name :is(input, textarea)").send_keys("half way")
    press(tab, "Keep the stage as a point")
    until(lambda: "half way" in names(tab))
    press(tab, "half way: to the stage")
    assert shown(tab, point="half way", psi=1) == wanted
    tab.execute_script(
        "const name = document.querySelector(\"[aria-label='Name of half way']\"); name.value = 'other';"
        "name.dispatchEvent(new Event('change', { bubbles: true }))"
    )
    until(lambda: "other" in names(tab) and recipe_of(tab)["point"] == "other")
    field = find(tab, "[aria-label='Name of other']")
    tab.execute_script("stage.set({ psi: 0.4 })")
    find(tab, "#points-name :is(input, textarea)").send_keys("second")
    tab.execute_script(TYPED)
    press(tab, "Keep the stage as a point")
    until(lambda: "second" in names(tab))
    assert tab.execute_script("return arguments[0].isConnected && arguments[0].value", field) == "typed"
    tab.execute_script("arguments[0].value = 'other'", field)
    press(tab, "second: forget")
    tab.execute_script("document.querySelector(\"[aria-label^='second: press once more']\").focus()")
    press(tab, "second: press once more to forget it")
    until(lambda: "second" not in names(tab))
    until(lambda: tab.switch_to.active_element.get_attribute("aria-label").endswith(": forget"))
    press(tab, "other: on the shelf")
    until(lambda: tab.execute_script("return stage.shelf.some(({ recipe }) => recipe.point === 'other')"))
    tab.execute_script("stage.set({ point: null, seed: 1 })")
    press(tab, "other: forget")
    assert "other" in names(tab)
    press(tab, "other: press once more to forget it")
    until(lambda: "other" not in names(tab))
    assert complaints(tab) == []


def drop(tab: Any, name: str, data: bytes) -> None:
    """Drop a file on the stage."""
    tab.execute_script(DROP, name, b64encode(data).decode())


def test_an_ordinary_picture_on_the_stage_may_be_projected(tab: Any, picture: Path) -> None:
    from selenium.webdriver import ActionChains, Keys

    offer, start = find(tab, "#stage-offer"), "return document.activeElement.textContent"
    asked = "own.png carries no recipe. Find it in this network?"
    drop(tab, "notes.txt", b"nothing")
    assert "not a picture" in error(tab, part="notes.txt")
    drop(tab, "own.png", picture.read_bytes())
    until(lambda: offer.is_displayed() and asked in offer.text)
    assert not error(tab) and asked in words(tab, "#stage-said")
    ActionChains(tab).send_keys(Keys.ESCAPE).perform()
    assert not offer.is_displayed()
    coded = BytesIO()
    Image.new("L", (44, 52), 90).save(coded, "JPEG")
    drop(tab, "own.jpg", coded.getvalue())
    until(lambda: offer.is_displayed() and "own.jpg" in offer.text)
    tab.execute_script("stage.set({ seed: 5 })")
    shown(tab, seed=5)
    until(lambda: not offer.is_displayed())
    drop(tab, "own.png", picture.read_bytes()[:100])
    assert "own.png carries no recipe" in error(tab, part="own.png") and not offer.is_displayed()
    drop(tab, "own.png", picture.read_bytes())
    until(lambda: offer.is_displayed())
    # The next stop of the keyboard after the picture.
    find(tab, "#stage").send_keys(Keys.TAB)
    assert tab.execute_script(start) == "Project it"
    ActionChains(tab).send_keys(Keys.ENTER).perform()
    until(lambda: "own.png is ready" in words(tab, TOLD))
    until(lambda: tab.execute_script(start) == "Start")
    assert not offer.is_displayed() and not find(tab, "#project-panel .job-working").is_displayed()
    assert tab.execute_script("return document.querySelector('.project-figure img').naturalWidth") == 44
    press(tab, "Start")
    until(lambda: find(tab, "#project-panel .job-working").is_displayed())
    press(tab, "Cancel")
    until(lambda: not find(tab, "#project-panel .job-working").is_displayed())
    assert names(tab) == [] and complaints(tab) == []


RENAME = """
const [old, name] = arguments;
const field = document.querySelector(`[aria-label='Name of ${old}']`);
field.value = name;
field.dispatchEvent(new Event("change", { bubbles: true }));
"""
KEPT = "return stage.shelf.map(({ name, recipe }) => [name, recipe.point, recipe.mix[0]?.point ?? null])"
KEYS = "return JSON.parse(localStorage.getItem('styloscope.timeline')).keys.map(({ recipe }) => recipe.point)"


def test_a_renamed_point_is_found_by_what_was_kept_of_it(tab: Any) -> None:
    request = "const done = arguments[3]; fetch(arguments[0], { method: arguments[1], body: arguments[2] }).then("
    ask = f"{request}(all) => done(all.status))"
    body = '{"name": "first", "recipe": {"checkpoint": "brain", "seed": 12, "psi": 1}}'
    assert tab.execute_async_script(ask, "/points", "POST", body) == 200
    try:
        piles = "{ a: [{ point: 'first' }, { seed: 2 }], b: [{ seed: 3 }] }"
        tab.execute_script(f"document.dispatchEvent(new CustomEvent('piles', {{ cancelable: true, detail: {piles} }}))")
        until(lambda: find(tab, "[aria-label='Take first out of pile A']"))
        open_tab(tab, "Project")
        until(lambda: names(tab) == ["first"])
        tab.execute_script(
            "stage.keep({ ...stage.recipe, point: 'first' }); stage.keep({ ...stage.recipe, point: 'first' }, 'mine');"
            "stage.keep({ ...stage.recipe, mix: [{ point: 'first', layers: '0-1', amount: 1 }] }, 'mixed');"
            "stage.keep({ ...stage.recipe, checkpoint: 'classes', point: 'first' }, 'elsewhere');"
            "for (const { recipe } of stage.shelf.slice(0, 2)) stage.receivers.get('Timeline')({ recipe })"
        )
        until(lambda: tab.execute_script(KEYS) == ["first", "first"])
        tab.execute_script("stage.set({ toward: { point: 'first', t: 0.5 } })")
        shown(tab)
        tab.execute_script(RENAME, "first", "second")
        until(lambda: names(tab) == ["second"])
        until(lambda: tab.execute_script(KEYS) == ["second", "second"])
        assert tab.execute_script(KEPT) == [
            ["second", "second", None],
            ["mine", "second", None],
            ["mixed", None, "second"],
            ["elsewhere", "first", None],
        ]
        assert recipe_of(tab)["toward"]["point"] == "second"
        for name, there in (("first", 0), ("second", 1), ("seed 2", 1)):
            assert len(tab.find_elements("css selector", f"[aria-label='Take {name} out of pile A']")) == there
        tab.execute_script("document.querySelector('#shelf-list li .picture').click()")
        shown(tab, point="second")
        tab.execute_script("[...document.querySelectorAll('#shelf-list li .picture')][2].click()")
        shown(tab, mix=[{"point": "second", "layers": "0-1", "amount": 1}])
        missing = "return [...document.querySelectorAll('#shelf-list li .picture')].map((e) => e.matches('.missing'))"
        until(lambda: tab.execute_script(missing) == [False, False, False, True])
        # What has no point any more is left as it is.
        press(tab, "second: forget")
        press(tab, "second: press once more to forget it")
        until(lambda: names(tab) == [])
        assert tab.execute_script(KEYS) == ["second", "second"]
    finally:
        for name in ("first", "second"):
            tab.execute_async_script(ask, f"/points/{name}?checkpoint=brain", "DELETE", None)


def test_cancel_leaves_nothing(tab: Any, picture: Path) -> None:
    open_tab(tab, "Project")
    until(lambda: find(tab, ".project-drop button").is_displayed())
    known = names(tab)
    find(tab, ".project-drop input[type=file]").send_keys(str(picture))
    until(lambda: find(tab, "#project-panel .job-working").is_displayed())
    press(tab, "Cancel")
    until(lambda: not find(tab, "#project-panel .job-working").is_displayed())
    assert names(tab) == known and "Kept" not in find(tab, TOLD).text


def test_a_job_outlives_a_question_without_an_answer(tab: Any) -> None:
    assert tab.execute_async_script(DEAF) == [["done", "it.zip"], ["waiting for the explorer"], "cancelled", 2]
