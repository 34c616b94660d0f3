"""TensorBoard events in RUN/tensorboard, where tensorboard is installed; where it is not, nothing, and nobody is told.

A failure here never stops a run: it is one line, and the end of the events.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core import runs

__all__ = ["Board"]

# What a writer of events may trip over: a full disk, a thread of its own that has ended, another version.
_WRONG = (OSError, RuntimeError, ValueError, TypeError, AttributeError)


class Board:
    """A writer of events, or of nothing."""

    def __init__(self, run: Path, *, images: int, say: Callable[[str], None]) -> None:
        """Begin in the run's folder after `images` images; events of later ones, which a resume undid, are hidden."""
        self._say = say
        self._writer: Any = None
        try:
            module = importlib.import_module("torch.utils.tensorboard")
            # The step to hide from is hidden itself.
            self._writer = module.SummaryWriter(str(run / runs.BOARD), purge_step=images + 1 if images else None)
        except ImportError:
            return
        except _WRONG as wrong:
            self._end(wrong)

    def figures(self, line: Mapping[str, Any], *, images: int) -> None:
        """Every number of a line of the log, or of the figures of an evaluation, by its name."""
        numbers = _numbers(line)
        self._do(lambda writer: [writer.add_scalar(name, number, images) for name, number in numbers.items()])

    def sheet(self, sheet: np.ndarray, *, images: int) -> None:
        """The sample sheet, uint8 [H, W] or [H, W, 3]."""
        layout = "HW" if sheet.ndim == 2 else "HWC"
        self._do(lambda writer: writer.add_image("samples", sheet, images, dataformats=layout))
        self._do(lambda writer: writer.flush())

    def close(self) -> None:
        """Write what waits. Twice is fine."""
        self._do(lambda writer: writer.close())
        self._writer = None

    def _do(self, act: Callable[[Any], object]) -> None:
        if self._writer is None:
            return
        try:
            act(self._writer)
        except _WRONG as wrong:
            self._end(wrong)

    def _end(self, wrong: Exception) -> None:
        self._writer = None
        self._say(f"no more events for TensorBoard ({wrong}); the training and its log go on")


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    """Numbers by name; those of a mapping within by both names with a stroke between."""
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": number for inner, number in _numbers(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "kimg":
            found[name] = float(value)
    return found
