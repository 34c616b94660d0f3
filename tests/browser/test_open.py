"""Open... in a real browser: another program's network becomes the picture on the stage, and what is wrong is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from tests.browser.conftest import complaints, hosts, shown
from tests.browser.test_panels import open_tab, until, words
from tests.explorer.test_converting import foreign_file, hostile

DROP = """
const [name, text] = arguments;
const transfer = new DataTransfer();
transfer.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name));
const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
document.getElementById("stage").dispatchEvent(drop);
"""
THUMB = """
const done = arguments[0];
import("/static/panel_kit.js").then(async ({ Thumbs }) => {
  let [sha, silent, hear] = ["old", false, null];
  const asked = [];
  const picture = async () => {
    asked.push(sha);
    if (silent) throw Object.assign(new Error("silent"), { again: true });
    return new Blob();
  };
  const thumbs = new Thumbs({ find: () => ({ sha }), subscribeNetworks: (fn) => (hear = fn), picture }, { size: 8 });
  const thumb = thumbs.make({ label: "one" });
  document.body.prepend(thumb);
  const until = async (there) => { while (!there()) await new Promise((wake) => setTimeout(wake, 20)); };
  thumbs.set(thumb, { checkpoint: "it", seed: 1 });
  await until(() => asked.length === 1 && !thumb.stale);
  [sha, silent] = ["new", true];
  hear();
  await until(() => thumb.title === "silent" && thumb.classList.contains("failed"));
  silent = false;
  await until(() => thumb.title === "one" && !thumb.classList.contains("failed"));
  thumbs.drop(thumb);
  done(asked.slice(0, 2));
});
"""


@pytest.fixture
def made(networks: Path) -> Any:
    """Takes away what a test has opened."""
    before = set(networks.iterdir())
    yield networks
    for path in set(networks.iterdir()) - before:
        path.unlink()


def choose(tab: Any, path: Path) -> None:
    if tab.find_element("id", "open-box").get_attribute("hidden") is not None:
        tab.find_element("id", "open").click()
    tab.find_element("id", "open-file").send_keys(str(path))


def said(tab: Any) -> str:
    return tab.find_element("id", "open-said").text


def test_a_pickle_is_opened_converted_and_shown(tab: Any, made: Path, tmp_path: Path) -> None:
    choose(tab, foreign_file(tmp_path / "faces.pkl", classes=3))
    first = shown(tab, checkpoint="faces")
    until(lambda: "faces is open. Its program computes" in said(tab))
    assert (made / "faces.safetensors").is_file()
    assert tab.find_element("css selector", "#network input").get_attribute("value") == "faces"
    assert tab.find_element("id", "control-label").is_displayed()
    tab.execute_script("stage.set({ label: 2 })")
    assert shown(tab, checkpoint="faces", label=2) != first
    assert complaints(tab) == [] and len(hosts(tab)) == 1


def test_a_hostile_file_is_refused_where_it_was_chosen(tab: Any, made: Path, tmp_path: Path) -> None:
    before = sorted(made.iterdir())
    choose(tab, hostile(tmp_path / "faces.pkl"))
    until(lambda: "faces.pkl asks for posix.system, which no network file needs" in said(tab))
    assert tab.find_element("css selector", "[data-open=choose]").is_displayed()
    assert sorted(made.iterdir()) == before
    tab.find_element("css selector", "[data-open=choose]").send_keys("\ue00c")
    until(lambda: not tab.find_element("id", "open-box").is_displayed())
    assert tab.switch_to.active_element.get_attribute("id") == "open"


def test_cancel_leaves_nothing(tab: Any, made: Path, tmp_path: Path) -> None:
    before = sorted(made.iterdir())
    # Minutes for the whole file, so that a hand is in time.
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    tab.execute_cdp_cmd("Network.enable", {})
    tab.execute_cdp_cmd("Network.emulateNetworkConditions", limits)
    try:
        large = tmp_path / "large.pkl"
        large.write_bytes(bytes(4 << 20))
        choose(tab, large)
        until(lambda: "MB" in tab.find_element("id", "open-left").text)
        tab.find_element("css selector", "[data-open=cancel]").click()
        until(lambda: said(tab) == "Cancelled.", seconds=20)  # a second, and what a busy machine adds
    finally:
        tab.execute_cdp_cmd("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})
    until(lambda: sorted(made.iterdir()) == before)


def test_a_dropped_file_is_known_by_its_content(tab: Any, made: Path, tmp_path: Path) -> None:
    from base64 import b64encode

    data = foreign_file(tmp_path / "x.pkl").read_bytes()
    tab.execute_script(DROP, "dropped.png", b64encode(data).decode())
    shown(tab, checkpoint="dropped")
    tab.execute_script(DROP, "picture.pkl", b64encode(b'{"checkpoint": "brain", "seed": 12}').decode())
    shown(tab, checkpoint="brain", seed=12)


def test_small_pictures_of_a_replaced_network_are_asked_for_until_they_come(tab: Any) -> None:
    assert tab.execute_async_script(THUMB) == ["old", "new"]


def test_facts_that_failed_are_asked_for_again(tab: Any) -> None:
    open_tab(tab, "About")
    until(lambda: "brain" in words(tab, "#about-panel .facts"))
    tab.execute_cdp_cmd("Network.enable", {})
    tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/about?*"]})
    try:
        tab.execute_script("stage.show({ checkpoint: 'classes', seed: 3 })")
        until(lambda: words(tab, "#about-panel .facts") == "The explorer does not answer; is it still running?")
    finally:
        tab.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    tab.execute_script("stage.set({ seed: 4 })")
    until(lambda: "32 × 32 pixels" in words(tab, "#about-panel .facts"))
