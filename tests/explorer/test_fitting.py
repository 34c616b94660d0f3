"""Directions out of examples on arrays: planted ones come back, noise is called noise, scores are held-out ones."""

from __future__ import annotations

import numpy as np
import pytest

from explorer import fitting
from explorer.fitting import Space, Stopped, classify, difference, regress

WIDTH = 48


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return abs(float(a @ b)) / float(np.linalg.norm(a) * np.linalg.norm(b))


def drawn(seed: int, count: int, *, along: float) -> tuple[np.ndarray, np.ndarray, Space]:
    """(w [count, WIDTH], the axis along which it varies `along` times as much, the space of 6000 more)."""
    random = np.random.RandomState(seed)
    axis = random.randn(WIDTH)
    axis /= np.linalg.norm(axis)
    w = random.randn(6000 + count, WIDTH) * np.linspace(1, 0.3, WIDTH)
    w += along * np.outer(random.randn(len(w)), axis)
    return w[:count], axis, Space(w[count:])


@pytest.mark.parametrize("along", [3.0, 10.0])
def test_a_label_along_a_planted_axis_gives_it_back(along: float) -> None:
    w, axis, space = drawn(0, 400, along=along)
    groups = w @ axis > 0
    found = classify(w, groups, space)
    assert cosine(found.vector, axis) > 0.99
    assert found.vector @ axis > 0
    assert found.score is not None and found.score.value > 0.95 and found.score.believable
    # The normal of the linear discriminant, which knows nothing of where W varies, is full of noise.
    alike = np.linalg.solve(np.cov(w.T), w[groups].mean(axis=0) - w[~groups].mean(axis=0))
    assert cosine(alike, axis) < 0.97


def test_groups_that_are_moved_apart_give_the_way_between_them() -> None:
    random = np.random.RandomState(1)
    way = random.randn(WIDTH)
    way /= np.linalg.norm(way)
    w = random.randn(1000, WIDTH) * np.linspace(1, 0.1, WIDTH)
    groups = np.arange(1000) % 2 == 0
    w[groups] += 3 * way
    found = difference(w, groups)
    np.testing.assert_allclose(found.vector, fitting._unit(w[groups].mean(axis=0) - w[~groups].mean(axis=0)))
    assert cosine(found.vector, way) > 0.99 and found.score is not None and found.score.believable


def test_values_along_any_axis_are_found_by_the_ridge() -> None:
    w, _, space = drawn(2, 300, along=2.0)
    axis = np.random.RandomState(5).randn(WIDTH)
    exact = regress(w, w @ axis + 40, space)
    assert cosine(exact.vector, axis) > 0.9999
    assert exact.score is not None and exact.score.value > 0.999
    noisy = regress(w, w @ axis + np.random.RandomState(6).randn(300) * (w @ axis).std(), space)
    assert noisy.score is not None and 0.2 < noisy.score.value < 0.6 and noisy.score.believable


def test_the_weights_of_the_ridge_are_those_of_its_definition() -> None:
    w, _, space = drawn(3, 80, along=2.0)
    values = np.random.RandomState(7).randn(80)
    features = space.features(w, 1.0)
    penalty = fitting.PENALTIES[6]
    centred = features - features.mean(axis=0)
    wanted = np.linalg.solve(
        centred.T @ centred / 80 + penalty * np.eye(WIDTH), centred.T @ (values - values.mean()) / 80
    )
    found = fitting._ridge(features, values[:, None], np.ones(80, bool), fitting.PENALTIES)
    np.testing.assert_allclose(found.weights[:, 6], wanted, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found(features)[:, 6], centred @ wanted + values.mean(), atol=1e-8)


def test_the_logistic_regression_rests_where_its_slope_is_nothing() -> None:
    w, axis, space = drawn(4, 200, along=2.0)
    labels = (w @ axis + np.random.RandomState(8).randn(200) > 0).astype(float)
    features = space.features(w, 0.0)
    model = fitting._logistic(features, labels[:, None], np.ones(200, bool), np.array([0.1]), steps=2000)
    centred = features - features.mean(axis=0)
    missed = 1 / (1 + np.exp(-(centred @ model.weights[:, 0] + model.shift[0]))) - labels
    assert np.abs(centred.T @ missed / 200 + 0.1 * model.weights[:, 0]).max() < 1e-5
    assert abs(missed.mean()) < 1e-5


def test_noise_is_called_noise() -> None:
    random = np.random.RandomState(9)
    w = random.randn(60, WIDTH)
    space = Space(random.randn(2000, WIDTH))
    groups = np.arange(60) % 3 == 0
    for found in (classify(w, groups, space), difference(w, groups), regress(w, random.randn(60), space)):
        assert found.score is not None and not found.score.believable
    # What was fitted tells its own examples apart all the same: only held-out ones are honest.
    own = w @ difference(w, groups).vector
    assert np.corrcoef(own, groups)[0, 1] > 0.5


def test_a_held_out_score_knows_nothing_of_what_is_held_out() -> None:
    """Pictures far on one side with the label of the other are told wrongly where they were held out."""
    w, axis, space = drawn(10, 200, along=10.0)
    groups = w @ axis > 0
    wrong = np.flatnonzero(np.abs(w @ axis) > 3)[:20]
    groups[wrong] = ~groups[wrong]
    found = classify(w, groups, space)
    assert found.score is not None
    assert found.score.value <= 1 - 20 / 200 + 0.005


def test_too_few_have_no_score() -> None:
    w = np.random.RandomState(0).randn(3, 4)
    found = difference(w, np.array([True, False, False]))
    assert found.score is None and np.linalg.norm(found.vector) == pytest.approx(1)
    assert classify(w, np.array([True, False, False]), Space(np.random.RandomState(1).randn(50, 4))).score is None


def test_what_has_no_direction_is_refused() -> None:
    w = np.random.RandomState(0).randn(8, 4)
    with pytest.raises(ValueError, match="empty"):
        difference(w, np.ones(8, bool))
    with pytest.raises(ValueError, match="no direction"):
        difference(np.ones((8, 4)), np.arange(8) < 4)
    with pytest.raises(ValueError, match="the same"):
        regress(w, np.ones(8), Space(w))


def test_it_stops_when_nobody_waits() -> None:
    w = np.random.RandomState(0).randn(20, 4)
    for act in (classify, regress):
        with pytest.raises(Stopped):
            act(w, np.arange(20) % 2 == 0, Space(w), cancelled=lambda: True)
