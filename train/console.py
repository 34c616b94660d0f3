"""What a person reads while a training runs: one line at a time on stderr, and a bar."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

__all__ = ["command", "images_bar", "place", "say", "watched"]


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


@contextmanager
def images_bar(*, total: int, seen: int) -> Iterator[tqdm]:
    """Images seen, images a second, time left; once a minute where nobody watches, or as tqdm's own variable says."""
    interval = 0.5 if watched() else float(os.environ.get("TQDM_MININTERVAL", "60"))
    with tqdm(
        total=total,
        initial=seen,
        unit="img",
        mininterval=interval,
        maxinterval=interval,
        smoothing=0.05,
        dynamic_ncols=True,
        disable=place()[0] != 0,
    ) as progress:
        yield progress
