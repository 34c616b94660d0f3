"""Events for TensorBoard, with a module in its place."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.board import Board


class Writer:
    """What torch.utils.tensorboard.SummaryWriter is asked for."""

    made: list[Writer]
    fails = ""

    def __init__(self, folder: str, *, purge_step: int | None) -> None:
        self.calls: list[tuple[Any, ...]] = [("made", Path(folder).name, purge_step)]
        type(self).made.append(self)
        self._perhaps("made")

    def _perhaps(self, name: str) -> None:
        if self.fails == name:
            raise OSError(28, "No space left on device")

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._perhaps("add_scalar")
        self.calls.append((name, value, step))

    def add_image(self, name: str, image: np.ndarray, step: int, *, dataformats: str) -> None:
        self.calls.append((name, image.shape, step, dataformats))

    def flush(self) -> None:
        self.calls.append(("flush",))

    def close(self) -> None:
        self.calls.append(("close",))


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> type[Writer]:
    made = type("Made", (Writer,), {"made": []})
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return made


def test_scalars_and_the_sheet(tmp_path: Path, writer: type[Writer]) -> None:
    said: list[str] = []
    board = Board(tmp_path, images=4000, say=said.append)
    board.figures({"kimg": 8.0, "loss_g": 0.5, "ada_p": None, "warnings": ["x"]}, images=8000)
    board.figures({"swd": {"value": 1, "real": 2.0, "goal": "lower", "data": "ab"}}, images=8000)
    board.sheet(np.zeros((4, 6), np.uint8), images=8000)
    board.sheet(np.zeros((4, 6, 3), np.uint8), images=8000)
    board.close()
    board.close()
    assert said == [] and writer.made[0].calls == [
        ("made", "tensorboard", 4001),
        ("loss_g", 0.5, 8000),
        ("swd/value", 1.0, 8000),
        ("swd/real", 2.0, 8000),
        ("samples", (4, 6), 8000, "HW"),
        ("flush",),
        ("samples", (4, 6, 3), 8000, "HWC"),
        ("flush",),
        ("close",),
    ]


@pytest.mark.parametrize("where", ["made", "add_scalar"])
def test_a_failure_is_one_line_and_the_end_of_it(tmp_path: Path, writer: type[Writer], where: str) -> None:
    writer.fails = where
    said: list[str] = []
    board = Board(tmp_path, images=0, say=said.append)
    for images in (1, 2):
        board.figures({"loss_g": 0.5}, images=images)
        board.sheet(np.zeros((4, 6), np.uint8), images=images)
    board.close()
    assert len(said) == 1 and "No space left on device" in said[0] and len(writer.made[0].calls) == 1


def test_without_tensorboard_there_is_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said: list[str] = []
    board = Board(tmp_path, images=0, say=said.append)
    board.figures({"loss_g": 0.5}, images=1)
    board.close()
    assert said == [] and list(tmp_path.iterdir()) == []
