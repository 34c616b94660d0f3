"""What gray levels stand for: in About, under the pointer, and in a PNG of 16 bits."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, shown, toy_network
from tests.browser.test_panels import find, open_tab, until, words

HU = {"slope": 400 / 65535, "intercept": -160.0, "unit": "HU"}  # -160 to 240 HU
SAID = """
const done = arguments[1];
import(new URL("static/probe.js", document.baseURI)).then(({ said }) => done(arguments[0].map((one) => said(...one))));
"""
POINT = """
const [x, y, kind] = arguments;
const { canvas } = stage.view;
const { left, top, width, height } = canvas.getBoundingClientRect();
const clientX = left + ((x + 0.5) * width) / canvas.width;
const clientY = top + ((y + 0.5) * height) / canvas.height;
canvas.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true }));
return document.getElementById("probe").textContent;
"""
PLACES = """
return ["stage-tools", "inside", "controls"].map((id) => {
  const { left, top, width, height } = document.getElementById(id).getBoundingClientRect();
  return [left, top, width, height];
});
"""
ROOM = """
const probe = document.getElementById("probe");
const [own, row] = [probe, probe.parentElement].map((one) => one.getBoundingClientRect());
return [own, row, probe.scrollWidth <= probe.clientWidth];
"""
MIDDLE = """
const { left, top, width, height } = stage.view.canvas.getBoundingClientRect();
return [Math.round(left + width / 2), Math.round(top + height / 2)];
"""
UNDER = """
const { canvas } = stage.view;
const { left, top, width, height } = canvas.getBoundingClientRect();
const at = [((arguments[0] - left) * canvas.width) / width, ((arguments[1] - top) * canvas.height) / height];
return at.map(Math.floor);
"""


@pytest.fixture
def units(tab: Any, networks: Path) -> Iterator[Any]:
    """A tab at a network of HU, with a network of colours beside it."""
    made = [
        toy_network(networks / "lungs.safetensors", size=(56, 48), crop=[2, 2, 52, 44], intensity=HU),
        toy_network(networks / "colours.safetensors", size=(32, 32), channels=3),
    ]
    tab.execute_script("return stage.refreshNetworks()")
    until(lambda: tab.execute_script("return stage.find('lungs') && stage.find('colours')"))
    tab.execute_script("stage.show({ checkpoint: 'lungs', seed: 3 })")
    shown(tab, checkpoint="lungs", seed=3)
    yield tab
    tab.execute_script("stage.show({ checkpoint: 'brain' })")
    shown(tab, checkpoint="brain")
    for path in made:
        path.unlink()
    tab.execute_script("return stage.refreshNetworks()")
    until(lambda: tab.execute_script("return !stage.find('lungs')"))


def exact(app: str, checkpoint: str, seed: int, more: str = "") -> np.ndarray:
    recipe = quote(json.dumps({"checkpoint": checkpoint, "seed": seed}))
    with urllib.request.urlopen(f"{app.rstrip('/')}/frame?recipe={recipe}{more}") as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())))


def test_the_pixel_under_the_pointer_is_told_in_its_unit(units: Any, app: str) -> None:
    picture = exact(app, "lungs", 3)
    box = units.execute_script("return document.getElementById('stage-tools').getBoundingClientRect().height")
    for x, y in ((0, 0), (43, 51), (20, 31)):
        value = round(picture[y, x] / 255 * 400 - 160)
        assert units.execute_script(POINT, x, y, "pointermove") == f"{value} HU at {x}, {y}"
    # It goes with the picture, and only while somebody points.
    units.execute_script("stage.show({ checkpoint: 'lungs', seed: 4 })")
    shown(units, checkpoint="lungs", seed=4)
    value = round(exact(app, "lungs", 4)[31, 20] / 255 * 400 - 160)
    until(lambda: words(units, "#probe") == f"{value} HU at 20, 31")
    assert units.execute_script("return document.getElementById('stage-tools').getBoundingClientRect().height") == box
    assert units.execute_script(POINT, 20, 31, "pointerleave") == ""
    units.execute_script("stage.show({ checkpoint: 'lungs', seed: 5 })")
    shown(units, checkpoint="lungs", seed=5)
    assert words(units, "#probe") == "" and complaints(units) == []


@pytest.mark.parametrize("width", [390, 430, 862, 960, 1024, 1100, 1280, 1440])
def test_there_is_room_for_what_the_pixel_holds(units: Any, width: int) -> None:
    """At every width of the window, for the longest words that there are, and nothing moves for it."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    units.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        units.execute_script(POINT, 20, 31, "pointerleave")
        before = units.execute_script(PLACES)
        assert "HU at 20, 31" in units.execute_script(POINT, 20, 31, "pointermove")
        units.execute_script("document.getElementById('probe').textContent = 'level 219, 183, 138 at 128, 128'")
        assert units.execute_script(PLACES) == before
        assert width < 861 or before[0][3] < 40, "the tools are in one row"
        probe, row, whole = units.execute_script(ROOM)
        assert whole and probe["left"] >= row["left"] and probe["right"] <= row["right"] <= width
    finally:
        units.execute_script(POINT, 20, 31, "pointerleave")
        units.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_pointer_that_rests_is_told_what_comes_under_it(units: Any) -> None:
    x, y = units.execute_script(MIDDLE)
    units.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x - 3, "y": y})
    units.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    def told() -> bool:
        at = units.execute_script(UNDER, x, y)
        return words(units, "#probe").endswith(f"HU at {at[0]}, {at[1]}")

    until(told)
    first = words(units, "#probe")
    units.execute_script("stage.view.zoom(6, { x: arguments[0] - 60, y: arguments[1] - 60 })", x, y)
    until(told)
    second = words(units, "#probe")
    units.execute_script("stage.view.view.scrollTop += 90")
    until(told)
    assert len({first, second, words(units, "#probe")}) == 3
    units.execute_script("stage.view.zoom(0)")
    until(lambda: words(units, "#probe") == first)
    units.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": 2, "y": 2})
    until(lambda: words(units, "#probe") == "")


def test_words_of_another_network_wait_until_its_picture_is_shown(units: Any) -> None:
    """The levels are of what is shown, whatever network has been chosen since."""
    shown_now = units.execute_script(POINT, 20, 31, "pointermove")
    units.execute_script("""
      const ask = window.fetch;
      window.waiting = [];
      window.go = () => [(window.fetch = ask), waiting.forEach((send) => send())];
      const slow = (...of) => new Promise((send) => waiting.push(() => send(ask(...of))));
      window.fetch = (...of) => (String(of[0]).includes("frame") ? slow(...of) : ask(...of));
      stage.show({ checkpoint: "colours", seed: 1 });
    """)
    until(lambda: units.execute_script("return stage.network.name") == "colours")
    assert units.execute_script(POINT, 20, 31, "pointermove") == shown_now and "HU" in shown_now
    units.execute_script("go()")
    shown(units, checkpoint="colours", seed=1)
    assert words(units, "#probe").startswith("level")
    units.execute_script(POINT, 20, 31, "pointerleave")


def test_levels_without_a_unit_and_of_colours(units: Any, app: str) -> None:
    for checkpoint, x, y in (("brain", 9, 8), ("colours", 30, 1)):
        units.execute_script("stage.show({ checkpoint: arguments[0], seed: 6 })", checkpoint)
        shown(units, checkpoint=checkpoint, seed=6)
        levels = ", ".join(str(level) for level in np.atleast_1d(exact(app, checkpoint, 6)[y, x]))
        assert units.execute_script(POINT, x, y, "click") == f"level {levels} at {x}, {y}"
    units.execute_script("stage.view.canvas.dataset.exact = 'false'")
    assert units.execute_script(POINT, 5, 5, "pointermove") == "", "the levels of a preview are a codec's"
    units.execute_script("stage.view.canvas.dataset.exact = 'true'")
    assert units.execute_script(POINT, 5, 5, "pointerleave") == ""


def test_values_have_the_digits_that_their_levels_have(tab: Any) -> None:
    def kind(slope: float, intercept: float, unit: str | None) -> dict[str, Any]:
        return {"channels": 1, "intensity": {"slope": slope / 257, "intercept": intercept, "unit": unit}}

    told = tab.execute_async_script(
        SAID,
        [[[10, 10, 10, 255], kind(16, -1000, "HU")], [[100, 0, 0, 255], kind(0.25, 0, None)],
         [[0, 0, 0, 255], kind(1.5, -0.2, "HU")], [[2, 0, 0, 255], kind(-0.004, 1, "ppm")],
         [[200, 0, 0, 255], kind(1.2e-11, 0, "m2/s")], [[0, 0, 0, 255], kind(1.2e-11, 0, "m2/s")],
         [[7, 7, 7, 255], {"channels": 1, "intensity": None}], [[7, 8, 9, 255], {"channels": 3, "intensity": None}]],
    )  # fmt: skip
    assert told == [
        "-840 HU",
        "value 25.0",
        "0 HU",
        "0.992 ppm",
        "2.40e-9 m2/s",
        "0e+0 m2/s",
        "level 7",
        "level 7, 8, 9",
    ]


def test_a_png_of_sixteen_bits_from_save_as(units: Any, app: str, downloads: Path) -> None:
    before = set(downloads.iterdir())
    find(units, "#save").click()
    find(units, "#save-deep").click()
    (path,) = until(lambda: [one for one in set(downloads.iterdir()) - before if one.suffix == ".png"])
    assert path.name == "lungs-3-16bit.png"
    with Image.open(path) as saved:
        picture, text = np.asarray(saved), dict(saved.text)
    path.unlink()
    assert picture.dtype == np.uint16 and np.array_equal(picture, exact(app, "lungs", 3, "&bits=16"))
    assert json.loads(text["styloscope-intensity"]) == HU and json.loads(text["styloscope"])["seed"] == 3
    units.execute_script("stage.show({ checkpoint: 'colours' })")
    shown(units, checkpoint="colours")
    find(units, "#save").click()
    assert not find(units, "#save-deep").is_displayed(), "colours have no values"
    assert units.execute_script("return document.activeElement.dataset.save") == "recipe", "by the keyboard, too"
    find(units, "#save").click()


def test_about_says_what_black_and_white_are(units: Any) -> None:
    open_tab(units, "About")
    until(lambda: "Black to white\n-160 to 240 HU" in find(units, "#about-panel").text)
    units.execute_script("stage.show({ checkpoint: 'brain' })")
    until(lambda: "Black to white" not in find(units, "#about-panel").text)
