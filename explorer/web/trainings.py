"""Small trainings that the page starts: one at a time, each a process at low priority, stopped so that it saves.

The explorer never imports the trainer. It starts its command line, keeps what that says on stderr, and looks at the run
folder as at anybody's.
"""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import OutputError, SettingError
from core.files import is_device
from explorer.web.jobs import start_process
from explorer.web.places import bare, called, without

__all__ = ["LENGTHS", "SIZES", "Training", "Trainings"]

PHANTOMS = "phantoms"
SIZES = (32, 64)
# Images that the networks see, and the images between two ticks: about fifty ticks, to have something to watch.
LENGTHS: Mapping[int, int] = {400: 8, 4000: 80, 20_000: 400}
LONGEST_PATH = 4096  # characters
LONGEST_LINE = 300
PATIENCE = 20.0  # seconds after which a second Stop ends what does not end by itself
FAREWELL = 3.0  # seconds that a training may still save in when the server goes down; it ends by itself after that
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ASIDE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Training:
    """One training. `state` is running, stopping, ended or failed; `line` is what its terminal shows.

    `names` are of places of this machine that it knows, as people elsewhere may read them.
    """

    name: str
    process: subprocess.Popen[str]
    state: str = "running"
    line: str = "starting"
    error: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    asked: float | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.state in ("running", "stopping")

    def entry(self, *, here: bool = False) -> dict[str, Any]:
        """What the page is told: who sits `here` reads where the pictures lie, others the last part of paths."""
        patient = self.asked is None or time.monotonic() - self.asked < PATIENCE
        return {
            "name": self.name,
            "state": self.state,
            "line": self._shown(self.line, here=here),
            "error": None if self.error is None else self._shown(self.error, here=here),
            "stubborn": self.alive and not patient,
        }

    def _shown(self, text: str, *, here: bool) -> str:
        # Cut only now: of a path that was cut, nothing would tell where it ends.
        return (text if here else bare(without(text, self.names)))[:LONGEST_LINE]


class Trainings:
    """The trainings that one server starts in the folder `runs`, one at a time. Thread-safe."""

    def __init__(
        self, *, runs: Path, program: Sequence[str] = (sys.executable, "-P", "-m", "train", "--preset=smoke")
    ) -> None:
        self.runs = runs
        self._program = list(program)
        self._lock = threading.Lock()
        self._last: Training | None = None

    def current(self) -> Training | None:
        """The training that was started last, whether it runs or has ended."""
        return self._last

    def start(self, *, name: str, data: str = PHANTOMS, size: int = 32, images: int = 400) -> Training:
        """Start a training called `name` on `data`, a path of this machine or "phantoms".

        Whether the pictures can be used is for the trainer to say. Raises SettingError for what cannot be asked,
        OutputError while another one runs or where the process cannot be started.
        """
        checked_name(name, runs=self.runs)
        if not isinstance(size, int) or size not in SIZES:
            raise SettingError("size", size, " or ".join(map(str, SIZES)))
        if not isinstance(images, int) or images not in LENGTHS:
            raise SettingError("images", images, "one of " + ", ".join(map(str, LENGTHS)))
        path = checked_path(data)
        line = [*self._program, f"--data={path}", f"--size={size}", f"--out={self.runs / name}"]
        line += [f"--kimg={images / 1000:g}", f"--tick={LENGTHS[images] / 1000:g}"]
        names = called([self.runs, *([] if data == PHANTOMS else [Path(path)])])
        with self._lock:
            if self._last is not None and self._last.alive:
                raise OutputError(f"the training {self._last.name} is under way; stop it, or wait for its end")
            try:
                process = start_process(line, folder=None, TQDM_MININTERVAL="1", TQDM_NCOLS="72")
            except OSError as wrong:
                reason = wrong.strerror or str(wrong)
                raise OutputError(f"the training could not be started ({reason}); try it in a terminal") from wrong
            training = self._last = Training(name, process, names=names)
        threading.Thread(target=_listen, args=(training,), name=f"training {name}", daemon=True).start()
        return training

    def stop(self) -> None:
        """Ask the training to save and end; asked again after PATIENCE seconds, end it."""
        with self._lock:
            training = self._last
            if training is None or not training.alive:
                return
            patient = training.asked is None or time.monotonic() - training.asked < PATIENCE
            training.asked = training.asked or time.monotonic()
            training.state = "stopping"
        _signal(training.process, ask=patient)

    def close(self) -> None:
        """Ask what runs to save and end; called when the server goes down."""
        training = self._last
        if training is None or not training.alive:
            return
        self.stop()
        try:
            training.process.wait(timeout=FAREWELL)
        except subprocess.TimeoutExpired:
            training.line = "saving; it ends by itself"


def checked_name(name: object, *, runs: Path) -> str:
    """Return a run's name that is free and that every system takes. Raises SettingError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or is_device(name) or name.endswith("."):
        raise SettingError("name", name, "letters, digits and . _ -, a letter or digit first, at most 64 of them")
    if os.path.lexists(runs / name):
        raise SettingError("name", name, "there is such a run already; give it another name")
    return name


def checked_path(data: object) -> str:
    """Return a path as the command line takes it. Raises SettingError where it is no text that could be one."""
    text = data.strip() if isinstance(data, str) else ""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = ""
    if not text or len(text) > LONGEST_PATH or any(ord(c) < 32 for c in text):
        raise SettingError("data", data, "the path of a folder or zip of pictures, or the word phantoms")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        return text


def _signal(process: subprocess.Popen[str], *, ask: bool) -> None:
    try:
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT) if ask else process.kill()
        elif ask:
            process.send_signal(signal.SIGTERM)
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.poll()


def _listen(training: Training) -> None:
    """Keep the newest line of the terminal, which a bar writes over and over; then what the process ended with."""
    process = training.process
    assert isinstance(process.stderr, io.TextIOWrapper)
    rest, error = "", None
    # As bytes: a bar ends in no line, and would be read one step late.
    while chunk := os.read(process.stderr.fileno(), 4096):
        parts = re.split(r"[\r\n]+", (rest + chunk.decode("utf-8", "replace"))[-LONGEST_PATH:])
        rest = parts[-1]
        for part in parts:
            plain = _plain(part)
            training.line = plain or training.line
            error = plain.removeprefix("error: ") if plain.startswith("error: ") else error
    process.stderr.close()
    status = process.wait()
    if status == 0:
        training.state = "ended"
    elif training.asked is not None:
        training.state, training.line = "ended", "stopped at once; what was saved before is there"
    else:
        training.state, training.error = "failed", error or f"the training ended with status {status}"


def _plain(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in _ASIDE.sub("", text))
    return text.strip()
