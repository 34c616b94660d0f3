"""The timeline in a real browser: kept pictures at times; its frames by page, command line and HTTP, to the bit."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio")

from core.command import run
from core.pictures import read
from explorer.__main__ import main
from explorer.timeline import Timeline
from tests.browser.conftest import complaints, recipe_of, shown
from tests.browser.test_open import DROP
from tests.browser.test_panels import find, settled, type_into, until, words

LISTED = """
const [names, asked, done] = arguments;
const before = window.fetch;
const shown = stage.networks;
const listed = names.map((name, index) => ({ ...shown[0], name, sha: String(index).padStart(12, "0") }));
const look = async () => {
  window.fetch = async (url, ...more) => (url === "networks" ? Response.json(listed) : before(url, ...more));
  await stage.refreshNetworks();
  const found = asked.map((name) => stage.find(name)?.name ?? null);
  window.fetch = before;
  await stage.refreshNetworks();
  return found;
};
look().then(done);
"""

LINE = "return JSON.parse(localStorage.getItem('styloscope.timeline'))"
STEER = [{"direction": "sefa-0", "amount": 2.0, "layers": "0-3"}]
DRAG = """
const [card, place] = arguments;
const dataTransfer = new DataTransfer();
const told = { dataTransfer, bubbles: true, cancelable: true };
const fire = (element, kind, more = {}) => element.dispatchEvent(new DragEvent(kind, { ...told, ...more }));
fire(card, "dragstart");
const box = place.getBoundingClientRect();
const at = { clientX: box.x + box.width * 0.5, clientY: box.y + box.height / 2 };
fire(place, "dragover", at);
fire(place, "drop", at);
"""


@pytest.fixture
def line(tab: Any) -> Any:
    """The page with three kept pictures and the fold open."""
    for recipe in ({"seed": 3}, {"seed": 9, "psi": 1.0, "steer": STEER}, {"seed": 27}):
        tab.execute_script("stage.keep({ ...stage.recipe, ...arguments[0] })", recipe)
    find(tab, "#timeline > button").click()
    until(lambda: find(tab, "#timeline .track").is_displayed())
    return tab


def press(tab: Any, text: str) -> None:
    """A button of the fold, by its words."""
    buttons = tab.find_elements("css selector", "#timeline-pane button")
    one = next(button for button in buttons if button.text == text)
    tab.execute_script("arguments[0].scrollIntoView({ block: 'center' })", one)
    one.click()


def times(tab: Any) -> list[float]:
    return [round(key["time"], 3) for key in tab.execute_script(LINE)["keys"]]


def pixels(address: str) -> np.ndarray:
    """A canvas's data URL as gray levels."""
    with Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))) as picture:
        return np.asarray(picture.convert("L"))


def test_the_same_frames_by_page_command_line_and_http(line: Any, app: str, networks: Path, tmp_path: Path) -> None:
    press(line, "The whole shelf")
    until(lambda: words(line, "#timeline-words").startswith("of 49"))
    type_into(line, "#timeline-fps [type=number]", 8)
    type_into(line, "[aria-label='Time of the key in seconds']", 1.25)
    type_into(line, "#timeline-loop input", True)
    until(lambda: times(line) == [0, 1, 1.25])
    told = line.execute_script(LINE)
    timeline = Timeline.parse(told)
    until(lambda: words(line, "#timeline-words").startswith(f"of {timeline.count}"))
    (tmp_path / "t.json").write_text(json.dumps(told), encoding="utf-8")
    flags = ["--checkpoints", str(networks), "--device", "cpu", "--timeline", f"@{tmp_path / 't.json'}"]
    assert run(lambda: main(["interpolate", *flags, "--out", str(tmp_path / "frames")])) == 0
    for frame in (0, 3, 8, 9, timeline.count - 1):
        type_into(line, "[aria-label='Frame of the timeline'][type=range]", frame + 1)
        page = pixels(settled(line))
        assert np.array_equal(page, read(tmp_path / "frames" / f"{frame:06d}.png")), f"frame {frame}"
    assert len(recipe_of(line)["blend"]) == 3  # of the three keys, the fourth being the first again
    app = app.rstrip("/")
    wish = json.dumps({"verb": "interpolate", "timeline": told, "format": "png"}).encode()
    job = json.load(urllib.request.urlopen(urllib.request.Request(f"{app}/jobs", wish)))["id"]
    until(lambda: json.load(urllib.request.urlopen(f"{app}/jobs/{job}"))["state"] == "done")
    with zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(f"{app}/jobs/{job}/file").read())) as archive:
        assert len(archive.namelist()) == timeline.count + 1
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / "frames" / name).read_bytes(), name
    assert complaints(line) == []


def test_a_film_carries_it_home_and_back(line: Any, downloads: Path) -> None:
    press(line, "The whole shelf")
    card = find(line, "#shelf li:nth-child(2) button.picture")
    line.execute_script(DRAG, card, find(line, "#timeline .track .inner"))
    until(lambda: len(times(line)) == 4)
    assert 0.5 < times(line)[1] < 1.5  # where it fell: half way along
    type_into(line, "[aria-label='Ease after the key']", "smooth")
    until(lambda: line.execute_script(LINE)["keys"][1]["ease"] == "smooth" or times(line)[1] == 1)
    type_into(line, "#timeline-loop input", True)
    until(lambda: line.execute_script(LINE)["loop"])
    told = line.execute_script(LINE)
    find(line, "[aria-label='Play the timeline']").click()
    until(lambda: ", 0.00 of" not in words(line, "#timeline-words"))
    find(line, "[aria-label='Pause the timeline']").click()
    film = downloads / "brain-interpolate.gif"
    film.unlink(missing_ok=True)
    press(line, "GIF")
    until(lambda: film.exists() and film.stat().st_size)
    press(line, "Clear")
    until(lambda: times(line) == [])
    line.execute_script(DROP, "walk.gif", base64.b64encode(film.read_bytes()).decode())
    until(lambda: len(times(line)) == 4)
    assert line.execute_script(LINE) == told
    assert settled(line) and recipe_of(line)["seed"] == 3
    line.execute_script(DROP, "other.gif", base64.b64encode(b"GIF89a" + bytes(7) + b";").decode())
    until(lambda: "other.gif carries no timeline" in words(line, "#stage-error"))
    assert complaints(line) == []
    film.unlink()


def test_keys_by_keyboard_undo_and_what_is_kept(line: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    type_into(line, "#shelf li:nth-child(1) .into", "Timeline")
    type_into(line, "#shelf li:nth-child(3) .into", "Timeline")
    until(lambda: times(line) == [0, 1])
    key = find(line, "#timeline [aria-label^='Key 2 of 2']")
    key.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(lambda: times(line) == [0, 1.083])
    key.send_keys(Keys.CONTROL, "z")
    until(lambda: times(line) == [0, 1.042])
    end = find(line, "#timeline [aria-label='End of the film']")
    end.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT)
    until(lambda: round(line.execute_script(LINE).get("duration", 0), 3) == 2.042)
    type_into(line, "[aria-label='Frame of the timeline'][type=number]", 13)
    until(lambda: recipe_of(line)["blend"] or recipe_of(line)["toward"])
    press(line, "Key here")
    until(lambda: times(line) == [0, 0.5, 1.042])
    line.execute_script("stage.show({ seed: 77 })")
    shown(line, seed=77)
    press(line, "Take from the stage")
    until(lambda: line.execute_script(LINE)["keys"][1]["recipe"].get("seed") == 77)
    find(line, "#timeline [aria-label^='Key 2 of 3']").send_keys(Keys.DELETE)
    until(lambda: times(line) == [0, 1.042])
    line.refresh()
    shown(line)
    find(line, "#timeline > button").click()
    until(lambda: len(line.find_elements("css selector", "#timeline .keys .thumb")) == 2)
    path = {"recipes": [{"checkpoint": "brain", "seed": seed} for seed in (1, 2, 4)], "loop": True}
    line.execute_script("document.dispatchEvent(new CustomEvent('keyframes', { detail: arguments[0] }))", path)
    until(lambda: times(line) == [0, 1, 2] and line.execute_script(LINE)["loop"])
    line.execute_script("stage.keep({ ...stage.recipe, checkpoint: 'classes' }, 'other')")
    type_into(line, "#shelf li:last-child .into", "Timeline")
    until(lambda: "a timeline stays in one network" in words(line, "#timeline-wrong"))
    time.sleep(0.1)
    assert len(times(line)) == 3 and complaints(line) == []


def test_a_refused_shelf_leaves_nothing_chosen(line: Any) -> None:
    line.execute_script("stage.keep({ ...stage.recipe, checkpoint: 'classes' })")
    press(line, "The whole shelf")
    until(lambda: "a timeline stays in one network" in words(line, "#timeline-wrong"))
    assert not line.find_element("css selector", "#timeline-key .key").is_displayed()


def test_names_of_one_file_share_a_timeline(line: Any, app: str, networks: Path) -> None:
    """The server knows a network by its file, whatever it is called; a film of the keys is one network's."""
    copy = shutil.copyfile(networks / "brain.safetensors", networks / "copy.safetensors")
    try:
        line.execute_script("return stage.refreshNetworks()")
        until(lambda: line.execute_script("return stage.find('copy')?.sha === stage.find('brain').sha"))
        line.execute_script("stage.keep({ ...stage.recipe, seed: 5, checkpoint: 'copy' })")
        press(line, "The whole shelf")
        until(lambda: times(line) == [0, 1, 2, 3])
        told = line.execute_script(LINE)
        assert [key["recipe"]["checkpoint"] for key in told["keys"]] == ["brain"] * 4
        wish = json.dumps({"verb": "interpolate", "timeline": told, "format": "png"}).encode()
        job = json.load(urllib.request.urlopen(urllib.request.Request(f"{app.rstrip('/')}/jobs", wish)))["id"]
        urllib.request.urlopen(urllib.request.Request(f"{app.rstrip('/')}/jobs/{job}", method="DELETE"))
        line.execute_script("stage.show({ checkpoint: 'copy', seed: 77 })")
        shown(line, seed=77)
        press(line, "Take from the stage")
        until(lambda: line.execute_script(LINE)["keys"][3]["recipe"].get("seed") == 77)
        assert line.execute_script(LINE)["keys"][3]["recipe"]["checkpoint"] == "brain"
        line.execute_script("stage.show({ checkpoint: 'classes', seed: 78 })")
        shown(line, seed=78)
        press(line, "Take from the stage")
        until(lambda: "a timeline stays in one network, here brain" in words(line, "#timeline-wrong"))
        assert line.execute_script(LINE)["keys"][3]["recipe"]["seed"] == 77 and complaints(line) == []
        line.execute_script("stage.show({ checkpoint: 'brain' })")
        shown(line, checkpoint="brain")
    finally:
        copy.unlink()
        line.execute_script("return stage.refreshNetworks()")
    until(lambda: line.execute_script("return stage.find('copy')") is None)


def test_a_name_with_a_folder_in_front_is_no_run(tab: Any) -> None:
    """As explorer/networks.py finds them: RUN is the newest of a run, never a file opened by its path."""
    names = ["near/brain", "far/cls/000000", "near/000012", "near/000004", "cls/000000", "brain"]
    asked = ["near", "near/brain", "far", "far/cls", "cls", "near/000004", "brain", "none", "", None]
    found = tab.execute_async_script(LISTED, names, asked)
    assert found == ["near/000012", "near/brain", None, None, "cls/000000", "near/000004", "brain", None, None, None]
    assert complaints(tab) == []
