"""From the hand to the picture, in a real browser: how long after a slider's event the stage has changed.

Two measures for each slider. Alone: one event, wait for its picture, again. Drag: an event every 1/60 s as from a hand
that does not stop; `pictures_per_second` is what was shown, `last_shown` says whether the last value was, and how late.
Every time ends when the new pixels are in the canvas.

    python benchmarks/explorer.py [--json] [--checkpoint NAME] [--checkpoints DIR] [--address URL] [--seconds 4]
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.command import Parser, run
from core.errors import StyloscopeError

ROOT = Path(__file__).resolve().parents[1]
SLIDERS = {"seed": (0, 1, 240), "psi": (0, 0.005, 240)}  # first value, step, how many before it turns round
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,860",
)  # fmt: skip

FIRST_PICTURE = """
const done = arguments[0];
const look = () => (document.getElementById("stage")?.dataset.exact === "true" ? done() : setTimeout(look, 30));
look();
"""
MEASURE = """
const [key, [first, step, count], events, seconds, finished] = arguments;
const slider = document.querySelector(`#${key} input[type=range], input#${key}`);
const stage = document.getElementById("stage");
const sent = new Map();
let heard = () => {};
stage.addEventListener("drawn", ({ detail }) => heard(detail.recipe[key] ?? (key === "seed" ? 0 : 0.7), detail.exact));
const valueOf = (k) => first + step * (count - Math.abs((k % (2 * count)) - count));
const send = (k) => {
  slider.value = valueOf(k);
  const value = slider.valueAsNumber;
  sent.set(value, performance.now());
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return value;
};
const rest = (ms) => new Promise((wake) => setTimeout(wake, ms));
const exact = (value) => new Promise((wake) => {
  heard = (shown, isExact) => shown === value && isExact && wake();
});
const alone = async () => {
  const times = [];
  for (let k = 1; k <= events; k++) {
    const value = send(7 * k + 1);
    times.push(await new Promise((wake) => {
      heard = (shown) => shown === value && wake(performance.now() - sent.get(value));
    }));
    await Promise.race([exact(value), rest(2000)]);
  }
  return times;
};
const drag = async () => {
  const [times, begun] = [[], performance.now()];
  let [k, pictures, value] = [3, 0, 0];
  heard = (shown) => {
    pictures += 1;
    times.push(performance.now() - sent.get(shown));
  };
  while (performance.now() - begun < 1000 * seconds) {
    value = send(k++);
    await rest(Math.max(0, begun + (1000 / 60) * (k - 3) - performance.now()));
  }
  const took = (performance.now() - begun) / 1000;
  const [shownSoFar, timesSoFar] = [pictures, [...times]];
  const late = await Promise.race([
    new Promise((wake) => {
      const last = (shown) => shown === value && wake(performance.now() - sent.get(value));
      heard = last;
      const now = stage.dataset.recipe && JSON.parse(stage.dataset.recipe)[key];
      if (now === value) wake(times.at(-1));
    }),
    rest(3000).then(() => null),
  ]);
  return { times: timesSoFar, pictures: shownSoFar, took, late };
};
(async () => finished({ alone: await alone(), drag: await drag() }))();
"""


def main() -> None:
    """Start the app unless --address names one, drive it, print what was found."""
    flags = parser().parse_args()
    with served(flags) as address, browser() as driver:
        recipe = json.dumps({"checkpoint": flags.checkpoint} if flags.checkpoint else {})
        driver.get(f"{address}?recipe={quote(recipe)}")
        wait = (
            "const done = arguments[0]; const look = () => document.getElementById('stage')?.dataset.exact === 'true'"
        )
        driver.execute_async_script(f"{wait} ? done() : setTimeout(look, 30); look();")
        network = driver.execute_script("return window.stage.network")
        rows = [row(driver, key, events=flags.events, seconds=flags.seconds) for key in SLIDERS]
        readout = driver.execute_script("return document.getElementById('readout').textContent")
    found = {"network": network["name"], "size": network["size"], "readout": readout, "sliders": rows}
    print(json.dumps(found) if flags.json else table(found))


def row(driver: Any, key: str, *, events: int, seconds: float) -> dict[str, Any]:
    """Measure one slider."""
    told = driver.execute_async_script(MEASURE, key, SLIDERS[key], events, seconds)
    drag = told["drag"]
    return {
        "slider": {"psi": "truncation"}.get(key, key),
        "median_ms": round(statistics.median(told["alone"]), 1),
        "p95_ms": round(percentile(told["alone"], 0.95), 1),
        "drag_median_ms": round(statistics.median(drag["times"]), 1),
        "drag_p95_ms": round(percentile(drag["times"], 0.95), 1),
        "pictures_per_second": round(drag["pictures"] / drag["took"], 1),
        "last_shown": drag["late"] is not None,
        "last_shown_ms": None if drag["late"] is None else round(drag["late"], 1),
    }


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def table(found: dict[str, Any]) -> str:
    """The findings for people."""
    height, width = found["size"]
    lines = [f"{found['network']}, {height} x {width}; last readout: {found['readout']}"]
    columns = list(found["sliders"][0])
    lines.append("  ".join(f"{name:>{max(10, len(name))}}" for name in columns))
    for one in found["sliders"]:
        lines.append("  ".join(f"{one[name]!s:>{max(10, len(name))}}" for name in columns))
    return "\n".join(lines)


@contextmanager
def served(flags: Any) -> Iterator[str]:
    """The address of a running app: the one named, or one of our own for as long as it is needed."""
    if flags.address:
        yield flags.address
        return
    command = [sys.executable, str(ROOT / "app.py"), "--no-browser", "--port", "0"]
    if flags.checkpoints:
        command += ["--checkpoints", flags.checkpoints]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert server.stdout is not None
    try:
        words = server.stdout.readline().split()
        if not words:
            raise StyloscopeError("the app did not start; run python app.py to see why")
        yield words[-1]
    finally:
        server.terminate()
        server.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium; StyloscopeError where there is none."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as wrong:
        raise StyloscopeError("this needs selenium: pip install -r requirements-dev.txt") from wrong
    binary, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not binary or not chromedriver:
        raise StyloscopeError("this needs chromium and chromedriver on the PATH")
    with tempfile.TemporaryDirectory() as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(chromedriver))
        driver.set_script_timeout(300)
        try:
            yield driver
        finally:
            driver.quit()


def parser() -> Parser:
    """Return the parser of the command line."""
    flags = Parser(prog="benchmarks/explorer.py", description="From the hand to the picture, in a real browser.")
    flags.add_argument("--json", action="store_true", help="print one JSON object")
    flags.add_argument("--checkpoint", help="the network to look at; the app's first when not given")
    flags.add_argument("--checkpoints", metavar="DIR", help="where networks lie")
    flags.add_argument("--address", metavar="URL", help="an app that runs already")
    flags.add_argument("--events", type=int, default=40, help="single events a slider")
    flags.add_argument("--seconds", type=float, default=4.0, help="length of a drag")
    return flags


if __name__ == "__main__":
    sys.exit(run(main))
