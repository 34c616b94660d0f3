"""Curves of few and of many ticks."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from train import plot

HEIGHT = 220
BLUE, GREEN = (31, 95, 173), (46, 125, 50)


def log(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"kimg": 4.0 * (k + 1), "loss_g": 2 + math.sin(k / 50), "loss_d": 1.0, "ada_p": None, "size": None, **more}
        for k in range(count)
    ]


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((picture == np.array(colour, np.uint8)).all(axis=2).any())


@pytest.mark.parametrize("count", [0, 1, 2, 10_000])
def test_any_number_of_ticks(count: int) -> None:
    began = time.monotonic()
    drawn = plot.losses(log(count))
    assert drawn.dtype == np.uint8 and drawn.shape == (HEIGHT, 900, 3)
    assert has(drawn, BLUE) == (count > 0)
    assert time.monotonic() - began < 5


def test_a_panel_for_what_was_measured() -> None:
    assert len(plot.losses(log(3, ada_p=0.25, ada_sign=0.5))) == 2 * HEIGHT
    drawn = plot.losses(log(3, logit_real=1.0, logit_fake=-1.0, logit_held=0.5, spread=0.9, nearest=0.5))
    assert len(drawn) == 3 * HEIGHT and has(drawn[HEIGHT : 2 * HEIGHT], GREEN)
    assert len(plot.losses([{"kimg": 1.0, "r1": math.nan}, {"kimg": 2.0, "r1": "x"}, {"kimg": 3.0}])) == HEIGHT


def test_a_spike_among_many_ticks_leaves_the_rest_readable() -> None:
    calm = log(1000)
    spiked = [*calm[:500], {**calm[500], "loss_g": 1e6}, *calm[501:]]
    alone = plot.losses(calm).astype(int)
    assert (np.abs(plot.losses(spiked).astype(int) - alone).max(axis=2) > 0).mean() < 0.02


def test_growth_is_marked() -> None:
    lines = log(6)
    for k, line in enumerate(lines):
        line["size"] = [8, 8] if k < 2 else [16, 16] if k < 4 else [32, 32]
    assert plot._grown(lines) == [(12.0, "16x16"), (20.0, "32x32")]
    assert plot._grown(log(4)) == [] and plot._grown(log(2, size=64)) == []
    plain, marked = plot.losses(log(6)), plot.losses(lines)
    assert not np.array_equal(plain, marked)
