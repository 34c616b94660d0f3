"""Files that are made again at each tick; less often where that takes long, so that it costs a run little."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from core.errors import DataError, OutputError
from core.files import InUseError

__all__ = ["Redraws"]

_QUICK = 1.0  # seconds that nobody minds
_REST = 50  # times as long as making a file took it is not made again: two hundredths of a run for each


class Redraws:
    """What a run draws of itself, each file by its path.

    One that somebody has open, where that keeps it from being replaced, or whose log is too long to be drawn, stays as
    it is and `say` says so once: a spreadsheet that shows losses.csv on Windows ends no training.
    """

    def __init__(self, *, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.say = say
        self.clock = clock
        self._last: dict[Path, tuple[float, float]] = {}  # seconds that it took, and when it was done
        self._waiting: dict[Path, Callable[[], object]] = {}
        self._said: set[Path] = set()

    def make(self, file: Path, write: Callable[[], object]) -> None:
        """Make a file again by `write` now, or at a later call or `finish`. Raises OutputError."""
        took, done = self._last.get(file, (0.0, 0.0))
        if took > _QUICK and self.clock() - done < _REST * took:
            self._waiting[file] = write
        else:
            self._make(file, write)

    def finish(self) -> None:
        """Make what waits. Raises OutputError."""
        for file, write in list(self._waiting.items()):
            self._make(file, write)

    def _make(self, file: Path, write: Callable[[], object]) -> None:
        self._waiting.pop(file, None)
        began = self.clock()
        try:
            write()
        except OutputError as wrong:
            if not isinstance(wrong.__cause__, InUseError):
                raise
            self._say(file, f"{file} is open in another program and stays as it is until that closes it")
        except DataError as wrong:
            self._say(file, f"{file} stays as it is: {wrong}")
        self._last[file] = self.clock() - began, self.clock()

    def _say(self, file: Path, sentence: str) -> None:
        if file not in self._said:
            self.say(sentence)
        self._said.add(file)
