"""What depends on images seen alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train import schedule


def test_lazy_adam_of_the_paper() -> None:
    adam = schedule.lazy_adam(0.002, (0.0, 0.99), every=16)
    assert adam.lr == pytest.approx(0.002 * 16 / 17)
    assert adam.betas == pytest.approx((0.0, 0.99 ** (16 / 17)))
    assert schedule.lazy_adam(0.002, (0.1, 0.99), every=None) == schedule.Adam(0.002, (0.1, 0.99))


def test_the_average_has_its_half_life() -> None:
    beta = schedule.ema_beta(10**9, batch=16, half_life_kimg=10, ramp=0.05)
    assert beta ** (10_000 / 16) == pytest.approx(0.5)
    early = schedule.ema_beta(1000, batch=16, half_life_kimg=10, ramp=0.05)
    assert early ** (50 / 16) == pytest.approx(0.5)
    assert schedule.ema_beta(0, batch=16, half_life_kimg=10, ramp=0.05) == 0
    assert schedule.ema_beta(16, batch=16, half_life_kimg=10, ramp=0) == beta


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_the_next_tick_is_ahead(images: int, tick: int) -> None:
    due = schedule.next_tick(images, tick=tick)
    assert due % tick == 0 and images < due <= images + tick


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 200))
def test_an_epoch_shows_each_picture_once(seed: int, epoch: int, count: int) -> None:
    order = schedule.shuffled(seed, epoch, count)
    assert sorted(order.tolist()) == list(range(count))
    assert np.array_equal(order, schedule.shuffled(seed, epoch, count))


def test_streams_are_apart() -> None:
    streams = {schedule.stream(seed, rank, images) for seed in range(8) for rank in range(4) for images in range(64)}
    assert len(streams) == 8 * 4 * 64
    assert schedule.stream(1, 23) != schedule.stream(12, 3)
    assert all(0 <= one < 2**63 for one in streams)
