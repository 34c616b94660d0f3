"""What a run draws of itself costs it a small share of its time, and is whole at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import DataError, OutputError
from train.redraw import Redraws


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("seconds", "expected"), [(0.5, 200), (4.0, 9)])
def test_what_takes_long_is_made_less_often_and_at_the_end(seconds: float, expected: int) -> None:
    clock, made = Clock(), list[int]()
    redraws = Redraws(say=print, clock=clock)
    began = clock.now

    def write(tick: int) -> None:
        clock.now += seconds
        made.append(tick)

    for tick in range(200):
        clock.now += 10
        redraws.make(Path("evolution.gif"), lambda tick=tick: write(tick))
    assert abs(len(made) - expected) <= 1 and made[0] == 0
    assert seconds <= 1 or len(made) * seconds < 0.03 * (clock.now - began)
    redraws.finish()
    assert made[-1] == 199 and made == sorted(set(made))
    count = len(made)
    redraws.finish()
    assert len(made) == count


def test_a_log_that_cannot_be_drawn_is_said_once_and_a_full_disk_ends_it() -> None:
    said: list[str] = []
    redraws = Redraws(say=said.append)

    def broken(wrong: Exception) -> None:
        raise wrong

    for _ in range(3):
        redraws.make(Path("losses.csv"), lambda: broken(DataError("the log is too large")))
    assert said == ["losses.csv stays as it is: the log is too large"]
    with pytest.raises(OutputError, match="No space"):
        redraws.make(Path("losses.png"), lambda: broken(OutputError("No space left")))
