"""The Training panel in a real browser: a small training is started, watched, shown on the stage and stopped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.browser.conftest import RunningApp, complaints, hosts, recipe_of, shown, still, toy_network
from tests.browser.test_panels import find, open_tab, until, words

POINTS = "return document.querySelector('.charts .chart')?.data?.[0].x.length ?? 0"
ASKED = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('/training')).length"
SHEET = "const image = document.querySelector('#training-sheet img'); return image.hidden ? 0 : image.naturalWidth"
MOMENTS = "return Number(document.querySelector('#moment input[type=range]').max)"
SLIDE = """
const slider = document.querySelector("#moment input[type=range]");
slider.value = arguments[0] ?? 1;
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

    moments = tab.execute_script(MOMENTS)
    tab.refresh()
    shown(tab)
    open_tab(tab, "Training")
    until(lambda: words(tab, "#moment-words").endswith(f"sheet {moments} of {moments}"))


def sheets(run: Path, *numbers: int) -> None:
    """Sheets as a training leaves them after so many images, each as wide as its number says."""
    for images in numbers:
        picture = Image.new("L", (10 + images % 1000, 4))
        picture.save(run / "state" / f"frame-{images:09d}.png")
        picture.save(run / "samples" / f"{images // 1000:06d}.png")


def log(run: Path, *numbers: int) -> None:
    lines = [{"kimg": images / 1000, "seconds": images, "loss_g": 1.0} for images in numbers]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def own(driver: Any, networks: Path, tmp_path: Path) -> Iterator[tuple[Any, Path]]:
    """The browser at an app of its own, and the folder of the one run there."""
    run = tmp_path / "runs" / "short"
    for name in ("samples", "state", "checkpoints"):
        (run / name).mkdir(parents=True)
    (run / "config.json").write_text('{"kimg": 4}', encoding="utf-8")
    with RunningApp("--checkpoints", str(networks), "--runs", str(run.parent)) as address:
        driver.get(address)
        shown(driver)
        open_tab(driver, "Training")
        yield driver, run
        driver.execute_script("localStorage.clear(); sessionStorage.clear();")
        driver.get("about:blank")


def test_a_short_run_has_all_its_moments_live_and_after_a_reload(own: tuple[Any, Path]) -> None:
    tab, run = own
    sheets(run, 0, 48, 96)
    log(run, 48, 96)
    until(lambda: words(tab, "#moment-words") == "96 images, sheet 3 of 3" and tab.execute_script(SHEET) == 106)
    sheets(run, 952, 1048)
    log(run, 48, 96, 952, 1048)
    until(lambda: words(tab, "#moment-words") == "1.048 kimg, sheet 5 of 5" and tab.execute_script(SHEET) == 58)

    tab.refresh()
    shown(tab)
    open_tab(tab, "Training")
    until(lambda: words(tab, "#moment-words") == "1.048 kimg, sheet 5 of 5")
    expected = [("0 images", 10), ("48 images", 58), ("96 images", 106), ("952 images", 962)]
    for place, (said, wide) in enumerate(expected, start=1):
        tab.execute_script(SLIDE, place)
        until(lambda wide=wide: tab.execute_script(SHEET) == wide)  # type: ignore[misc]
        assert words(tab, "#moment-words") == f"{said}, sheet {place} of 5"
    assert find(tab, "#training-sheet img").get_attribute("alt") == "Samples of short after 952 images"

    # Resumed from 96 images: what came later is gone from the page, too, and the nearest is shown in its place.
    for name in ("state/frame-000000952.png", "state/frame-000001048.png", "samples/000001.png"):
        (run / name).unlink()
    log(run, 48, 96)
    until(lambda: words(tab, "#moment-words") == "96 images, sheet 3 of 3" and tab.execute_script(SHEET) == 106)
    sheets(run, 144)
    log(run, 48, 96, 144)
    until(lambda: words(tab, "#moment-words") == "96 images, sheet 3 of 4")
    assert find(tab, "#training-newest").get_attribute("aria-pressed") == "false", "the hand took it"
    find(tab, "#training-newest").click()
    until(lambda: words(tab, "#moment-words") == "144 images, sheet 4 of 4" and tab.execute_script(SHEET) == 154)
    assert not complaints(tab)


def test_the_best_network_of_a_run_is_named_and_opened(own: tuple[Any, Path]) -> None:
    tab, run = own
    sheets(run, 0, 2048)
    log(run, 1000, 2048)
    for number, seed in ((1, 5), (2, 6)):
        toy_network(run / "checkpoints" / f"{number:06d}.safetensors", size=(8, 8), seed=seed)
    until(lambda: words(tab, "#moment-words") == "2.048 kimg, sheet 2 of 2")
    assert not find(tab, ".run-best").is_displayed(), "no measure has named one"
    best = {"checkpoint": "000001.safetensors", "measure": "swd", "value": 6.12345, "rank": 6.12345, "kimg": 1.0}
    (run / "best.json").write_text(json.dumps(best), encoding="utf-8")
    until(lambda: "000001, swd 6.123 at 1 kimg" in words(tab, ".run-best"))
    find(tab, ".run-best button").click()
    shown(tab, checkpoint="short/000001")
    assert not complaints(tab)
