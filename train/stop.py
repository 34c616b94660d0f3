"""Ctrl-C and SIGTERM: the first asks to save and stop, a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "Stopped"]


class Stopped(Exception):
    """A person asked to stop before there was anything to save."""


class Stop:
    """Whether a person or a scheduler has asked to stop."""

    def __init__(self) -> None:
        self.asked = False

    def check(self) -> None:
        """Raise Stopped where asked: for the time before training, when nothing has to be saved."""
        if self.asked:
            raise Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while this lasts; only a program's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in _asking()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


def _asking() -> tuple[signal.Signals, ...]:
    """The signals that ask to stop; on Windows Ctrl-Break is what another process can send."""
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM)
