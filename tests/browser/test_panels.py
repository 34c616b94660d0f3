"""The tabs in a real browser: mixing, walks and films, the map, the facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.browser.conftest import choose, complaints, entered, hosts, recipe_of, shown

TYPE = """
const [element, value] = arguments;
if (element.type === "checkbox") element.checked = value; else element.value = value;
element.dispatchEvent(new Event("input", { bubbles: true }));
element.dispatchEvent(new Event("change", { bubbles: true }));
"""
DOTS = """
const [wanted] = arguments;
const plot = document.querySelector("#map-panel .plot");
const { xaxis, yaxis } = plot._fullLayout;
const { x, y } = plot._fullData[0];
const box = plot.getBoundingClientRect();
const spots = Array.from(x, (_, k) => [xaxis._offset + xaxis.l2p(x[k]), yaxis._offset + yaxis.l2p(y[k])]);
const gap = ([x, y]) => Math.min(...spots.map(([a, b]) => Math.hypot(a - x, b - y) || Infinity));
const gaps = spots.map(gap);
const alone = [...spots.keys()].slice(1).sort((one, other) => gaps[other] - gaps[one]).slice(0, 3);
const seeds = wanted === undefined ? alone : [wanted];
return seeds.map((seed) => [seed, spots[seed][0] - box.width / 2, spots[seed][1] - box.height / 2]);
"""
SETTLED = """
const [done] = arguments;
import("/static/recipe.js").then(({ short }) => {
  const look = () => {
    const canvas = document.getElementById("stage");
    const there = canvas.dataset.exact === "true" && canvas.dataset.recipe === JSON.stringify(short(stage.recipe));
    if (there) done(canvas.toDataURL());
    else setTimeout(look, 20);
  };
  look();
});
"""
APART = """
const [one, other] = [...arguments].map((element) => element.getBoundingClientRect());
return [one.x + one.width / 2 - other.x - other.width / 2, one.y + one.height / 2 - other.y - other.height / 2];
"""
KEEP_POINT = """
const [name, done] = arguments;
const body = JSON.stringify({ name, recipe: { checkpoint: "brain", seed: 3 } });
fetch("/points", { method: "POST", body }).then(({ status }) => done(status));
"""


def until(said: Callable[[], Any], *, seconds: float = 120) -> Any:
    """Wait for something true and return it; what is redrawn meanwhile is looked up again."""
    from selenium.common.exceptions import StaleElementReferenceException

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = said()
        except StaleElementReferenceException:
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("waited too long")


def settled(driver: Any) -> str:
    """Wait until the stage shows the page's recipe exactly; return its pixels as a data URL."""
    return driver.execute_async_script(SETTLED)


def open_tab(driver: Any, title: str) -> None:
    """Bring a tab to the front."""
    tabs = driver.find_elements("css selector", "[role=tab]")
    driver.execute_script("arguments[0].click()", next(one for one in tabs if one.text.strip() == title))
    until(lambda: any(one.is_displayed() for one in driver.find_elements("id", f"{title.lower()}-panel")))


def find(driver: Any, selector: str) -> Any:
    """An element, brought into sight."""

    def look() -> Any:
        found = driver.find_elements("css selector", selector)
        if found:
            driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", found[0])
        return found[0] if found else None

    return until(look)


def type_into(driver: Any, selector: str, value: object) -> None:
    """Set a field as if it had been typed."""
    driver.execute_script(TYPE, find(driver, selector), value)


def words(driver: Any, selector: str) -> str:
    """The text of an element, "" where there is none."""
    found = driver.find_elements("css selector", selector)
    return found[0].text if found else ""


def test_a_source_changes_the_picture_live_and_can_be_undone(tab: Any) -> None:
    plain = settled(tab)
    open_tab(tab, "Mix")
    find(tab, "#mix-panel .strong").click()
    [source] = until(lambda: recipe_of(tab)["mix"])
    assert source["amount"] == 1
    mixed = settled(tab)
    assert mixed != plain
    group = find(tab, "#mix-panel .source [role=group][aria-label=Layers]")
    ticks = group.find_elements("css selector", "input[type=checkbox]")
    assert len(ticks) == tab.execute_script("return stage.network.layers")
    assert "pixels" in ticks[0].get_attribute("aria-label")
    back = group.find_element("css selector", "[aria-label='Reset layers of source 1']")
    assert not back.is_enabled()
    ticks[0].click()
    assert recipe_of(tab)["mix"][0]["layers"].startswith("0")
    assert settled(tab) != mixed
    type_into(tab, "#mix-panel .source [type=range]", 0.5)
    back.click()
    assert recipe_of(tab)["mix"] == [{**source, "amount": 0.5}] and not back.is_enabled()
    type_into(tab, "#mix-panel .source [type=range]", 1)
    type_into(tab, "#mix-panel .source [type=range]", 0)
    assert settled(tab) == plain
    settled(tab)
    place = tab.execute_script("return history.state.styloscope.place")
    coarse = group.find_element("css selector", "[data-group=coarse]")
    coarse.click()
    entered(tab, place + 1)
    assert coarse.get_attribute("aria-pressed") == "true"
    tab.back()
    until(lambda: coarse.get_attribute("aria-pressed") == "false")
    find(tab, "#mix-panel [aria-label='Remove source 1']").click()
    assert settled(tab) == plain
    assert not complaints(tab)


def test_a_source_has_the_class_of_the_picture_until_it_gets_its_own(tab: Any) -> None:
    tab.execute_script("stage.set({ checkpoint: 'classes', label: 2 })")
    first = shown(tab, checkpoint="classes", label=2)
    find(tab, "#mix-panel .strong").click()
    assert until(lambda: recipe_of(tab)["mix"])[0]["label"] == 2
    type_into(tab, "[aria-label='Source 1 class']", 1)
    assert recipe_of(tab)["mix"][0]["label"] == 1 and settled(tab) != first
    tab.execute_script("stage.set({ checkpoint: 'brain', label: null })")
    until(lambda: "label" not in recipe_of(tab)["mix"][0])
    assert settled(tab) and not find(tab, "[aria-label='Source 1 class']").is_displayed()


@pytest.fixture
def keep_point(tab: Any) -> Iterator[Callable[[str], None]]:
    """Keeps the point of a name, which goes when the test ends: other tests count those of the server."""
    names: list[str] = []

    def keep(name: str) -> None:
        assert tab.execute_async_script(KEEP_POINT, name) < 300
        names.append(name)

    yield keep
    for name in names:
        remove = (
            f"fetch('/points/{name}?checkpoint=brain', {{ method: 'DELETE' }}).then((all) => arguments[0](all.status))"
        )
        assert tab.execute_async_script(remove) == 200


def test_a_kept_picture_that_is_no_source_is_refused(tab: Any) -> None:
    tab.execute_script("stage.keep({ ...stage.recipe, toward: { seed: 9, t: 0.5 } }, 'half')")
    tab.execute_script("stage.keep({ checkpoint: 'classes', seed: 4 }, 'stranger')")
    tab.execute_script("stage.keep({ ...stage.recipe, seed: 4, mix: [{ seed: 5, layers: '0', amount: 1 }] }, 'four')")
    until(lambda: tab.find_elements("css selector", "#shelf .into option[value=Mix]"))
    for place, part in [(1, "Keep it as a point first"), (2, "a mix stays in one network")]:
        type_into(tab, f"#shelf-list li:nth-child({place}) .into", "Mix")
        until(lambda part=part: part in words(tab, "#stage-error"))
        assert recipe_of(tab)["mix"] == []
    type_into(tab, "#shelf-list li:nth-child(3) .into", "Mix")
    assert [source["seed"] for source in until(lambda: recipe_of(tab)["mix"])] == [4]
    assert words(tab, "#stage-said") == "A source is a seed or a point: four is mixed in without its own mix."
    assert settled(tab) and not complaints(tab)


def test_a_point_stays_with_its_network(tab: Any, keep_point: Callable[[str], None]) -> None:
    keep_point("left")
    mix = "mix: [{ point: 'left', layers: '0-1', amount: 1 }, { seed: 5, layers: '0-1', amount: 1 }]"
    tab.execute_script(f"stage.set({{ point: 'left', seed: 7, {mix} }})")
    shown(tab, point="left")
    choose(tab, "Network", "classes")
    shown(tab, checkpoint="classes", seed=7)
    recipe = recipe_of(tab)
    assert (recipe["checkpoint"], recipe["point"]) == ("classes", None)
    assert [source["seed"] for source in recipe["mix"]] == [5]
    assert not words(tab, "#stage-error")
    tab.execute_script("stage.show({ checkpoint: 'brain', toward: { point: 'left', t: 0.5 } })")
    shown(tab, checkpoint="brain")
    choose(tab, "Network", "classes")
    shown(tab, checkpoint="classes", toward=None)
    assert not words(tab, "#stage-error") and not complaints(tab)


def test_sources_and_cells_take_the_place_of_a_point(tab: Any, keep_point: Callable[[str], None]) -> None:
    keep_point("mixed")
    open_tab(tab, "Mix")
    tab.execute_script("stage.set({ point: 'mixed', mix: [{ point: 'mixed', layers: '0-1', amount: 1 }] })")
    entered(tab, 1)
    find(tab, "[aria-label='Source 1: next seed']").click()
    assert until(lambda: recipe_of(tab)["mix"][0].get("seed")) == 1
    entered(tab, 2)
    number = find(tab, "[aria-label='Source 1 seed']")
    tab.execute_script("arguments[0].select()", number)
    number.send_keys("123\t")
    entered(tab, 3)
    find(tab, "[aria-label='Source 1 to the stage']").click()
    until(lambda: (recipe_of(tab)["seed"], recipe_of(tab)["point"]) == (123, None))
    tab.execute_script("stage.set({ point: 'mixed' })")
    type_into(tab, "[aria-label='Row seeds']", "2")
    until(lambda: len(tab.find_elements("css selector", "#mix-panel .matrix .cell")) == 5)
    find(tab, "[aria-label='row 2']").click()
    until(lambda: (recipe_of(tab)["seed"], recipe_of(tab)["point"]) == (2, None))
    assert settled(tab) and not complaints(tab)


def test_a_frame_of_a_film_has_the_truncation_that_its_pictures_share(tab: Any) -> None:
    tab.execute_script(
        "const like = { ...stage.recipe, psi: 0.4 };"
        "stage.keep({ ...like, blend: [{ seed: 5, weight: 0.5 }, { seed: 6, weight: 0.5 }] }, 'two');"
        "stage.set({ psi: 0.4 })"
    )
    until(lambda: tab.find_elements("css selector", "#shelf .into option[value=Interpolate]"))
    type_into(tab, "#shelf .into", "Interpolate")
    until(lambda: "@two" in find(tab, "[aria-label=Seeds]").get_attribute("value"))
    type_into(tab, "[aria-label=Steps][type=number]", 2)
    until(lambda: words(tab, "#frame-words").startswith("of 7"))
    type_into(tab, "[aria-label=Frame][type=number]", 6)
    until(lambda: recipe_of(tab)["blend"])
    assert recipe_of(tab)["psi"] == 0.4 and not any("psi" in part for part in recipe_of(tab)["blend"])
    before = settled(tab)
    type_into(tab, "#psi input[type=range]", 1)
    until(lambda: recipe_of(tab)["psi"] == 1)
    assert recipe_of(tab)["blend"] and settled(tab) != before
    assert not complaints(tab)


def test_a_walk_leads_from_class_to_class(tab: Any) -> None:
    open_tab(tab, "Interpolate")
    menu = "[aria-label='Picture 2 class']"
    assert not find(tab, menu).is_displayed()
    tab.execute_script("stage.set({ checkpoint: 'classes', label: 1 })")
    until(lambda: find(tab, menu).is_displayed())
    type_into(tab, menu, 2)
    field = find(tab, "[aria-label=Seeds]")
    until(lambda: field.get_attribute("value") == "3, 9:2, 27")
    type_into(tab, "#frame [type=number]", 13)
    there = until(lambda: recipe_of(tab).get("toward"))
    assert (there["seed"], there["label"], there["t"]) == (9, 2, 0.5) and recipe_of(tab)["label"] == 1
    assert settled(tab)
    find(tab, "[aria-label='Picture 2 to the stage']").click()
    until(lambda: (recipe_of(tab)["seed"], recipe_of(tab).get("label")) == (9, 2))
    type_into(tab, "[aria-label=Seeds]", "3, 9:3")
    until(lambda: "classes are 0 to 2" in words(tab, "#walk-seeds-hint"))
    find(tab, "#walk-rest .home button").click()
    until(lambda: words(tab, "#walk-rest .job-result").startswith("Saved"))
    tab.execute_script("stage.set({ checkpoint: 'brain', label: null })")
    until(lambda: field.get_attribute("value") == "3, 9, 27" and not find(tab, menu).is_displayed())


def test_the_corners_of_a_sheet_have_classes(tab: Any) -> None:
    open_tab(tab, "Interpolate")
    tab.execute_script("stage.set({ checkpoint: 'classes' })")
    type_into(tab, "[aria-label='Class top right']", 1)
    field = find(tab, "[aria-label='Corner seeds']")
    until(lambda: field.get_attribute("value") == "3, 9:1, 27, 41")
    until(lambda: tab.find_elements("css selector", "[aria-label='top right, seed 9:1']"))
    find(tab, "[aria-label='top right, seed 9:1']").click()
    until(lambda: recipe_of(tab).get("label") == 1)


def test_a_map_is_coloured_by_class(tab: Any) -> None:
    tab.execute_script("stage.set({ checkpoint: 'classes', seed: 7, label: 1 })")
    open_tab(tab, "Map")
    dots = "document.querySelector('#map-panel .plot')._fullData?.[0].marker"
    until(lambda: tab.execute_script(f"return [...new Set([].concat({dots}?.color ?? []))].length === 3"))
    assert words(tab, "#map-panel .classes") == "class 0\nclass 1\nclass 2"
    until(lambda: words(tab, "#map-panel .near .seed") == "7")
    type_into(tab, "#map-seed input", 5)
    find(tab, "#map-go").click()
    until(lambda: (recipe_of(tab)["seed"], recipe_of(tab).get("label")) == (5, 2))
    find(tab, "#map-panel .classes button").click()
    faded = f"return [...{dots}.opacity.slice(0, 3)]"
    until(lambda: tab.execute_script(faded) == [1, 0.06, 0.06])
    tab.execute_script("document.querySelector('#map-classes input[value=one]').click()")
    until(lambda: not find(tab, "#map-panel .classes").is_displayed())
    tab.execute_script("stage.set({ checkpoint: 'brain', label: null })")
    until(lambda: not find(tab, "#map-classes").is_displayed())


def test_a_cell_of_the_matrix_comes_to_the_stage(tab: Any) -> None:
    open_tab(tab, "Mix")
    type_into(tab, "[aria-label='Row seeds']", "0-1")
    type_into(tab, "[aria-label='Column seeds']", "10,11")
    until(lambda: len(tab.find_elements("css selector", "#mix-panel .matrix .cell")) == 4)
    heads = tab.find_elements("css selector", "#mix-panel .matrix .head")
    assert len(heads) == 4 and all(min(head.size.values()) > 10 for head in heads)
    cell = find(tab, "[aria-label='row 1, column 11']")
    until(lambda: cell.find_element("tag name", "img").get_attribute("src"))
    cell.click()
    until(lambda: recipe_of(tab)["seed"] == 1)
    [source] = recipe_of(tab)["mix"]
    assert (source["seed"], source["amount"]) == (11, 1)
    assert settled(tab)
    type_into(tab, "[aria-label='Column seeds']", "10,,x")
    assert words(tab, "#matrix-columns .wrong") == "A seed is missing beside a comma"
    find(tab, "[aria-label='Reset column seeds']").click()
    assert not words(tab, "#matrix-columns .wrong")
    until(lambda: len(tab.find_elements("css selector", "#mix-panel .matrix .cell")) == 10)


def test_rows_and_columns_of_the_matrix_have_a_class_each(tab: Any) -> None:
    open_tab(tab, "Mix")
    rows, columns = "[aria-label='Class of the rows']", "[aria-label='Class of the columns']"
    type_into(tab, "[aria-label='Row seeds']", "0-1")
    type_into(tab, "[aria-label='Column seeds']", "10,11")
    assert not find(tab, rows).is_displayed()
    tab.execute_script("stage.set({ checkpoint: 'classes', label: 1 })")
    until(lambda: find(tab, rows).is_displayed() and find(tab, rows).get_attribute("value") == "1")
    type_into(tab, columns, 2)
    until(lambda: find(tab, "#mix-panel .matrix .cell img").get_attribute("src"))
    tab.execute_script("document.querySelector('#matrix-rest').scrollIntoView()")

    def brought() -> Any:
        # A cell gives what it shows, which is the class before for 0.15 s.
        find(tab, "[aria-label='row 1, column 11']").click()
        found = recipe_of(tab)
        return [(found["label"], one["seed"], one["label"]) for one in found["mix"]]

    until(lambda: brought() == [(1, 11, 2)])
    find(tab, "#matrix-rest .row > button").click()
    until(lambda: words(tab, "#matrix-rest .job-result").startswith("Saved"))
    tab.execute_script("stage.set({ checkpoint: 'brain', label: null, mix: [] })")
    until(lambda: not find(tab, rows).is_displayed())
    assert not complaints(tab)


def test_a_walk_is_scrubbed_played_and_taken_home(tab: Any, downloads: Path) -> None:
    open_tab(tab, "Interpolate")
    type_into(tab, "[aria-label=Seeds]", "1, 2")
    type_into(tab, "[aria-label=Steps][type=number]", 3)
    type_into(tab, "#loop input", True)
    until(lambda: words(tab, "#frame-words").startswith("of 6"))
    frame = find(tab, "[aria-label=Frame][type=number]")
    assert frame.get_attribute("value") == "1"
    type_into(tab, "[aria-label=Frame][type=range]", 3)
    toward = until(lambda: recipe_of(tab)["toward"])
    assert (toward["seed"], round(toward["t"], 6), toward["space"]) == (2, 0.666667, "w")
    assert settled(tab)
    assert frame.get_attribute("value") == "3"
    find(tab, "[aria-label='Play the walk']").click()
    until(lambda: frame.get_attribute("value") != "3")
    find(tab, "[aria-label='Pause the walk']").click()
    sizes = "[aria-label='Film size']"
    type_into(tab, f"#interpolate-panel {sizes}", "3")
    assert tab.execute_script("return stage.filmScale") == 3
    buttons = tab.find_elements("css selector", "#interpolate-panel [aria-label='Take home'] button")
    next(one for one in buttons if one.text == "GIF").click()
    film = downloads / "brain-interpolate.gif"
    until(lambda: film.exists() and film.stat().st_size)
    with Image.open(film) as gif:
        assert (gif.n_frames, gif.size) == (6, (3 * 44, 3 * 52))
    type_into(tab, f"#interpolate-panel {sizes}", "1")
    assert not complaints(tab)


def test_a_kept_blend_is_a_picture_of_a_walk(tab: Any) -> None:
    blend = [{"seed": 5, "weight": 0.25}, {"seed": 6, "weight": 0.75}]
    tab.execute_script("stage.keep({ ...stage.recipe, blend: arguments[0] }, 'between, two')", blend)
    until(lambda: tab.find_elements("css selector", "#shelf .into option[value=Interpolate]"))
    type_into(tab, "#shelf .into", "Interpolate")
    until(lambda: "@between" in find(tab, "[aria-label=Seeds]").get_attribute("value"))
    type_into(tab, "[aria-label=Steps][type=number]", 2)
    until(lambda: words(tab, "#frame-words").startswith("of 7"))
    type_into(tab, "[aria-label=Frame][type=number]", 6)
    now = until(lambda: recipe_of(tab)["blend"])
    assert [part["weight"] for part in now] == [0.5, 0.125, 0.375]
    assert settled(tab)
    assert not complaints(tab)


def test_a_corner_of_the_sheet_is_its_seed(tab: Any) -> None:
    open_tab(tab, "Interpolate")
    type_into(tab, "[aria-label='Cells a side'][type=number]", 3)
    until(lambda: len(tab.find_elements("css selector", ".sheet .cell")) == 9)
    find(tab, "[aria-label='bottom right, seed 41']").click()
    assert shown(tab, seed=41, blend=None)
    find(tab, "[aria-label='row 2, column 2']").click()
    assert [part["weight"] for part in until(lambda: recipe_of(tab)["blend"])] == [0.25] * 4


def test_a_dot_of_the_map_comes_to_the_stage_and_its_umap_can_be_cancelled(tab: Any, app: str) -> None:
    from selenium.webdriver import ActionChains

    open_tab(tab, "Map")
    choose(tab, "Samples", "1,000")
    until(lambda: words(tab, "#map-panel [role=status].hint").startswith("1,000 seeds by PCA"))
    cancel = until(
        lambda: next((b for b in tab.find_elements("css selector", "#map-panel .job button") if b.is_displayed()), None)
    )
    until(lambda: tab.execute_script("return document.querySelector('#map-panel .job-left').textContent") != "")
    began = time.monotonic()
    cancel.click()
    until(lambda: words(tab, "#map-panel .job-result") == "Cancelled.")
    assert time.monotonic() - began < 10  # a second, and what a busy machine adds; a map that was made says so instead

    def spot(seed: int) -> list[float]:
        return tab.execute_script(DOTS, seed)[0][1:]

    def pointed(seed: int) -> bool:
        # Looked up each time: the plot takes another height when the job above it ends.
        plot, (across, down) = find(tab, "#map-panel .plot"), spot(seed)
        ActionChains(tab).move_to_element_with_offset(plot, round(across), round(down)).perform()
        return words(tab, "#map-panel .tip").split("\n")[0] == f"seed {seed}"

    def click(seed: int) -> None:
        until(lambda: pointed(seed))
        ActionChains(tab).click().perform()

    seed, start, stop = (one for one, *_ in tab.execute_script(DOTS))
    click(seed)
    until(lambda: recipe_of(tab)["seed"] == seed)
    until(lambda: words(tab, "#map-panel .near .seed") == str(seed))
    ring, plot = find(tab, "#map-panel .ring"), find(tab, "#map-panel .plot")
    assert tab.execute_script(APART, ring, plot) == pytest.approx(spot(seed), abs=3)
    next(b for b in tab.find_elements("css selector", "#map-panel button") if b.text == "Walk").click()
    click(start)
    until(lambda: recipe_of(tab)["seed"] == start)
    click(stop)
    field = find(tab, "[aria-label=Seeds]")
    until(lambda: field.get_attribute("value") == f"{start}, {stop}")
    assert hosts(tab) == {app.split("/")[2]}


EARLY = """
const done = arguments[arguments.length - 1];
import("/static/panel_jobs.js").then(async ({ JobBox }) => {
  const asked = [];
  let begin;
  const begun = new Promise((open) => (begin = open));
  const reply = (body) => ({ ok: true, json: async () => body });
  const box = new JobBox({ download() {}, say() {} }, {
    fetch: async (address, { method = "GET" } = {}) => {
      asked.push(`${method} ${address}`);
      if (method === "POST") return await begun, reply({ id: "a" });
      if (method === "DELETE") return reply({ state: "cancelled" });
      return reply({ state: asked.includes("DELETE jobs/a") ? "cancelled" : "done", name: "a" });
    },
  });
  const ended = box.run({}, { words: "" });
  await new Promise((wake) => setTimeout(wake));
  box.cancelButton.click();
  begin();
  done([(await ended).state, box.result.textContent, asked]);
});
"""


def test_cancel_counts_also_before_the_server_has_said_that_a_job_began(tab: Any) -> None:
    state, said, asked = tab.execute_async_script(EARLY)
    assert (state, said) == ("cancelled", "Cancelled.")
    assert asked == ["POST jobs", "DELETE jobs/a", "GET jobs/a"]


def test_the_facts_of_the_network_follow_it(tab: Any) -> None:
    open_tab(tab, "About")
    until(lambda: "52 × 44" in words(tab, "#about-panel .facts"))
    assert "not for diagnosis" in words(tab, "#about-panel .caution")
    tab.execute_script("stage.set({ checkpoint: 'classes' })")
    until(lambda: "Classes\n3" in words(tab, "#about-panel .facts"))


def test_every_tab_fits_a_telephone(tab: Any) -> None:
    narrow = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    tab.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        tab.execute_script("stage.set({ mix: [{ seed: 1, layers: '0', amount: 1 }] })")
        for title in ("Mix", "Interpolate", "Map", "About"):
            open_tab(tab, title)
            assert tab.execute_script("return document.documentElement.scrollWidth") <= 390, title
    finally:
        tab.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
