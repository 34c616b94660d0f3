"""What a person reads while a training runs: one line at a time on stderr, and a bar."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

__all__ = ["Bar", "command", "images_bar", "place", "say", "watched"]


def place() -> tuple[int, int]:
    """Which of how many processes this is, as torchrun says it in the environment; (0, 1) where nobody does."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def say(sentence: str) -> None:
    """One line on stderr, above the bar where there is one; of several processes the first one speaks."""
    if place()[0] == 0:
        tqdm.write(sentence, file=sys.stderr)


def watched() -> bool:
    """Whether stderr is a terminal, and this the process that speaks."""
    return sys.stderr.isatty() and place()[0] == 0


def command() -> str:
    """This command line, ready to paste."""
    words = ["python", "-m", "train", *sys.argv[1:]]
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


class Bar(tqdm):
    """A bar of images whose time left knows that some take longer than others.

    `phases` are (images at its end, work of one image in it) of each phase, in any unit of work.
    """

    def __init__(self, *, phases: Sequence[tuple[int, float]], **rest: Any) -> None:
        self.phases = phases
        self._pace: float | None = None  # seconds for a unit of work
        self._marks: deque[tuple[float, float]] = deque(maxlen=64)
        layout = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
        super().__init__(bar_format=layout, **rest)

    @property
    def format_dict(self) -> Any:
        """What the bar's line is made of."""
        found = super().format_dict
        left = self.seconds_left(found["n"], now=time.monotonic())
        return {**found, "left": "?" if left is None else tqdm.format_interval(left)}

    def seconds_left(self, seen: int, *, now: float) -> float | None:
        """Seconds from `now` on, by the work of late, or by that of the phase before as long as there is none."""
        done = self._work(seen)
        if not self._marks or done != self._marks[-1][1]:
            self._marks.append((now, done))
        (began, before), (last, after) = self._marks[0], self._marks[-1]
        if after > before and last > began:
            self._pace = (last - began) / (after - before)
        return None if self._pace is None else self._pace * (self._work(self.phases[-1][0]) - done)

    def anew(self) -> None:
        """Measure from now on: another phase begins, or what held it up is over."""
        self._marks.clear()

    def _work(self, images: int) -> float:
        total, first = 0.0, 0
        for last, work in self.phases:
            total += max(0, min(images, last) - first) * work
            first = last
        return total


@contextmanager
def images_bar(*, seen: int, phases: Sequence[tuple[int, float]]) -> Iterator[Bar]:
    """Images seen, images a second, time left; once a minute where nobody watches, or as tqdm's own variable says."""
    interval = 0.5 if watched() else float(os.environ.get("TQDM_MININTERVAL", "60"))
    with Bar(
        phases=phases,
        total=phases[-1][0],
        initial=min(seen, phases[-1][0]),
        unit="img",
        mininterval=interval,
        maxinterval=interval,
        smoothing=0.05,
        dynamic_ncols=True,
        disable=place()[0] != 0,
    ) as progress:
        yield progress
