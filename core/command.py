"""What every command of the house does alike: one line on stderr when something is wrong, and exit status 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from core.errors import StyloscopeError

__all__ = ["Parser", "run"]


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are StyloscopeErrors, and which takes no abbreviated flags."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raise StyloscopeError instead of printing the usage."""
        raise StyloscopeError(f"{message}; see {self.prog} --help")


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and return the exit status: 0, 2 with one line `error: ...`, or 130 after Ctrl-C."""
    try:
        return main() or 0
    except StyloscopeError as wrong:
        return _say(str(wrong))
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; stop Python from complaining about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as wrong:
        if wrong.filename is None:
            raise
        return _say(f"{wrong.filename}: {wrong.strerror or wrong}")
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _say(sentence: str) -> int:
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    return 2
