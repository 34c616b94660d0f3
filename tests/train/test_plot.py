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


def grown(*told: tuple[int, float, float]) -> list[dict[str, Any]]:
    """A log with a line for each (side, alpha, kimg)."""
    lines = [{"kimg": kimg, "loss_g": 1.0, "size": [side, side], "alpha": alpha} for side, alpha, kimg in told]
    return [{**line, "loss_d": 2.0} for line in lines]


GROWN = grown((8, 1.0, 2.0), (8, 1.0, 4.0), (16, 0.25, 5.0), (16, 0.75, 7.0), (16, 1.0, 12.0), (32, 1.0, 16.0))


def test_phases_are_told_from_the_log() -> None:
    assert [(phase.size, phase.fading, phase.begin, phase.end) for phase in plot._phases(GROWN)] == [
        ("8x8", False, 0.0, 4.0),
        ("16x16", True, 4.0, 8.0),
        ("16x16", False, 8.0, 12.0),
        ("32x32", False, 12.0, 16.0),
    ]
    going = plot._phases(GROWN[:4])
    assert (going[-1].begin, going[-1].end) == (4.0, 7.0), "a fade that goes on ends where the log does"
    over = plot._phases(grown((8, 1.0, 4.0), (16, 0.5, 6.0), (16, 1.0, 8.0), (32, 0.5, 9.0)))
    assert [(phase.size, phase.begin, phase.end) for phase in over if phase.fading] == [
        ("16x16", 4.0, 8.0),
        ("32x32", 8.0, 9.0),
    ]
    assert plot._phases(log(4)) == [] and len(plot._phases(log(2, size=64))) == 1


def test_a_fade_is_shaded_where_it_was_and_every_size_begins_at_a_line() -> None:
    drawn = plot.losses(GROWN)
    row = drawn[plot._TOP + 40 : plot._HEIGHT - plot._BOTTOM - 40]
    shaded = np.flatnonzero((row == np.array(plot._FADE)).all(axis=2).any(axis=0))
    marked = np.flatnonzero((row == np.array(plot._MARK)).all(axis=2).all(axis=0))
    inside = 900 - 24 - plot._LEFT
    places = [plot._LEFT + kimg / plot._ticks(0, 16)[-1] * inside for kimg in (4, 8, 12)]
    assert shaded.min() == pytest.approx(places[0], abs=2) and shaded.max() == pytest.approx(places[1], abs=2)
    assert marked.tolist() == pytest.approx([places[0], places[2]], abs=1)
    assert not has(plot.losses([{**line, "alpha": 1.0} for line in GROWN]), plot._FADE)


def test_a_fade_without_a_tick_inside_is_shaded_where_the_log_says() -> None:
    ticks = grown((8, 1.0, 4.0), (16, 1.0, 12.0), (32, 0.5, 16.0))
    fades = [(None, None), (5.0, 7.0), (14.0, 18.0)]
    told = [{**line, "fade_from": begin, "fade_to": end} for line, (begin, end) in zip(ticks, fades, strict=True)]
    assert [(phase.size, phase.fading, phase.begin, phase.end) for phase in plot._phases(told)] == [
        ("8x8", False, 0.0, 5.0),
        ("16x16", True, 5.0, 7.0),
        ("16x16", False, 7.0, 14.0),
        ("32x32", True, 14.0, 16.0),
    ]
    row = plot.losses(told)[plot._TOP + 40 : plot._HEIGHT - plot._BOTTOM - 40]
    shaded = np.flatnonzero((row == np.array(plot._FADE)).all(axis=2).any(axis=0))
    places = [plot._LEFT + kimg / plot._ticks(0, 16)[-1] * (900 - 24 - plot._LEFT) for kimg in (5, 7, 14, 16)]
    inner = [x for x in shaded if places[1] + 2 < x < places[2] - 2]
    assert shaded.min() == pytest.approx(places[0], abs=2) and shaded.max() == pytest.approx(places[3], abs=2)
    assert not inner
    for odd in ("x", math.nan, math.inf, -1.0, True):
        assert plot.losses([{**line, "fade_from": odd, "fade_to": 9.0} for line in ticks]).shape[1] == 900


def test_a_network_that_does_not_grow_has_no_marks() -> None:
    plain = plot.losses([{**line, "size": None, "alpha": None} for line in GROWN])
    assert not has(plain, plot._FADE) and not (plain[plot._TOP + 4 : -plot._BOTTOM] == plot._MARK[0]).any()


def test_very_short_phases_do_not_write_their_names_on_one_another() -> None:
    crowded = grown(*((8 << k, 1.0, 0.01 * (k + 1)) for k in range(5)), (128, 1.0, 100.0))
    drawn = plot.losses(crowded)[plot._TOP : plot._TOP + 20, plot._LEFT : plot._LEFT + 60]
    alone = plot.losses(grown((8, 1.0, 0.01), (8, 1.0, 100.0)))[plot._TOP : plot._TOP + 20, plot._LEFT :][:, :60]
    assert np.array_equal(drawn[2:, 4:], alone[2:, 4:])
