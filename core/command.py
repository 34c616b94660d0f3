"""What every command of the house does alike: one line on stderr when something is wrong, and exit status 2."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from core.errors import SettingError, StyloscopeError

__all__ = ["Parser", "place", "real", "run", "whole"]


T = TypeVar("T", int, float)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are StyloscopeErrors, and which takes no abbreviated flags."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but a value that begins as a negative number does, such as -160,240, is no flag."""
        given = list(sys.argv[1:] if args is None else args)
        for place in range(len(given) - 1, 0, -1):
            if re.match(r"-\.?[0-9]", given[place]) and re.fullmatch(r"--[a-z][a-z0-9-]*", given[place - 1]):
                given[place - 1 : place + 1] = [f"{given[place - 1]}={given[place]}"]
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise StyloscopeError instead of printing the usage."""
        raise StyloscopeError(f"{message}; see {self.prog} --help")


def whole(field: str, allowed: str) -> Callable[[str], int]:
    """A flag's type: a whole number. Words raise SettingError, as a number out of range does where it is looked at."""
    return _number(int, field, allowed)


def real(field: str, allowed: str) -> Callable[[str], float]:
    """A flag's type: a number. Words raise SettingError, as a number out of range does where it is looked at."""
    return _number(float, field, allowed)


def place(field: str, words: str) -> Callable[[str], Path]:
    """A flag's type: a path, which `words` describe. Raises SettingError for an empty one, which would mean here."""

    def read(text: str) -> Path:
        if not text.strip() or "\0" in text:
            raise SettingError(field, text, words)
        return Path(text)

    return read


def _number(kind: Callable[[str], T], field: str, allowed: str) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return kind(text)
        except ValueError:
            raise SettingError(field, text, allowed) from None

    return read


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what is half written goes, as after Ctrl-C."""


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and return the exit status: 0, 2 with one line `error: ...`, 130 after Ctrl-C, 143 after SIGTERM."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold bytes that are no text: they are printed as such, whatever the locale.
        sys.stdout.reconfigure(errors="backslashreplace")
        if sys.platform == "win32" and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # a file or a pipe there takes no name in another script
    try:
        with _hearing_sigterm():
            status = main() or 0
        # What is printed waits in a buffer; flushed at exit, a full disk would end in a traceback after all.
        sys.stdout.flush()
        return status
    except StyloscopeError as wrong:
        return _say(str(wrong))
    except OSError as wrong:
        _flush()
        if isinstance(wrong, BrokenPipeError):
            return 0  # the reader (head, less) has gone: nothing is wrong
        reason = wrong.strerror or str(wrong)
        return _say(reason if wrong.filename is None else f"{wrong.filename}: {reason}")
    except KeyboardInterrupt as asked:
        print("stopped", file=sys.stderr)
        return 143 if isinstance(asked, Terminated) else 130


@contextmanager
def _hearing_sigterm() -> Iterator[None]:
    """By itself SIGTERM ends a program in the midst of a file. Who takes the signal in another way keeps it."""

    def ended(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _flush() -> None:
    """Flush stdout; where it takes nothing any more the rest goes nowhere, lest Python complain once more at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str) -> int:
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    return 2
