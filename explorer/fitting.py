"""Directions out of examples: the difference of two groups, the normal between them, a ridge; each with its score.

What is held out chooses the penalty and tells the score (nested cross-validation), and the same with the labels
shuffled tells what chance gives. The penalty on a component of w along a principal axis is divided by a power of the
variance along that axis: 0 penalises all of W alike, higher powers expect what was labelled where w varies most. With
power 0 alone the normal of a classifier is full of noise along axes on which w hardly varies, and a planted axis comes
back to a cosine of 0.9 from 1,000 labels where it does to 0.99 with the power that held-out examples choose.

Everything is float64. w is [n, w_dim], groups are [n] of bool, values [n].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

__all__ = ["FEWEST", "POWERS", "Fit", "Score", "Space", "Stopped", "classify", "difference", "regress"]

POWERS = (0.0, 1.0, 3.0)
PENALTIES = 10.0 ** np.arange(-7, 4.0)
FEWEST = 4  # examples
_MIDDLE = 4  # the penalty where nothing can choose one
_FOLDS = 5
_STEPS = 150
_SHUFFLES = 59
_MOST_SHUFFLED = 400  # examples up to which chance is found by shuffling
_BELIEVED = 0.05
_FLOOR = 1e-8  # of the largest variance

Cancelled = Callable[[], bool]


class Stopped(Exception):
    """Whoever asked has gone."""


@dataclass(frozen=True)
class Score:
    """How well held-out examples were told: `kind` accuracy (a share) or R2; what chance gives; p of chance so good."""

    kind: str
    value: float
    chance: float
    p: float

    @property
    def believable(self) -> bool:
        """Whether chance would give this less than once in twenty times."""
        return self.p <= _BELIEVED and self.value > self.chance


@dataclass(frozen=True)
class Fit:
    """A unit vector [w_dim] and its score, None where there are too few examples to hold any out."""

    vector: np.ndarray = field(repr=False)
    score: Score | None
    count: int


class Space:
    """The principal axes of W, in which penalties are measured. samples [N, w_dim] of w."""

    def __init__(self, samples: np.ndarray) -> None:
        found = np.asarray(samples, np.float64)
        self.mean = found.mean(axis=0)
        variances, self.axes = np.linalg.eigh(np.atleast_2d(np.cov(found.T)))
        largest = max(float(variances[-1]), 1e-30)
        self.variances = np.maximum(variances / largest, _FLOOR)

    def features(self, w: np.ndarray, power: float) -> np.ndarray:
        """w [n, w_dim] along the axes, each multiplied by its variance^(power / 2)."""
        return (np.asarray(w, np.float64) - self.mean) @ (self.axes * self.variances ** (power / 2))

    def vector(self, weights: np.ndarray, power: float) -> np.ndarray:
        """Weights [w_dim, ...] of such features as weights of w."""
        return np.asarray((self.axes * self.variances ** (power / 2)) @ weights)


def difference(w: np.ndarray, groups: np.ndarray, *, cancelled: Cancelled = lambda: False) -> Fit:
    """mean(w[groups]) - mean(w[~groups]); the score is of the threshold half way between the two means.

    Raises ValueError where a group is empty or both have the same mean.
    """
    _check_groups(groups)
    found = w[groups].mean(axis=0) - w[~groups].mean(axis=0)

    def told(train: np.ndarray, test: np.ndarray, labels: np.ndarray) -> np.ndarray:
        shares = labels[train] / labels[train].sum(axis=0)
        others = 1 - labels[train]
        high, low = shares.T @ w[train], (others / others.sum(axis=0)).T @ w[train]
        between = high - low
        return np.asarray(w[test] @ between.T - ((high + low) / 2 * between).sum(axis=1))

    folds = _folds(groups)
    score = None
    if folds is not None:
        labels = groups.astype(np.float64)[:, None]
        values = _held_out(told, folds, labels)[:, 0]
        score = _accuracy(values, groups, folds, told, cancelled)
    return Fit(_unit(found), score, len(w))


def classify(w: np.ndarray, groups: np.ndarray, space: Space, *, cancelled: Cancelled = lambda: False) -> Fit:
    """The normal of the plane of a logistic regression with a ridge penalty, towards `groups`.

    Penalty and its power are those of the least log-loss on held-out examples; of powers that do as well, within the
    standard error of the difference, the highest. Raises ValueError where a group is empty.
    """
    _check_groups(groups)
    target = groups.astype(np.float64)[:, None]
    signs = 2 * target - 1
    features = _features(w, space)
    folds = _folds(groups)
    everyone = np.ones(len(w), bool)

    def fit(one: np.ndarray, train: np.ndarray) -> _Model:
        return _logistic(one, target, train, PENALTIES)

    def loss(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, -signs[rows] * said)

    power, penalty, score = 1, _MIDDLE, None
    if folds is not None:
        outer, power, penalty = _nested(features, folds, fit, loss, cancelled)

        def told(train: np.ndarray, test: np.ndarray, given: np.ndarray) -> np.ndarray:
            model = _logistic(features[power], given, train, np.full(given.shape[1], PENALTIES[penalty]), steps=60)
            return model(features[power][test])

        score = _accuracy(outer, groups, folds, told, cancelled)
    found = _logistic(features[power], target, everyone, PENALTIES[[penalty]]).weights[:, 0]
    return Fit(_unit(space.vector(found, POWERS[power])), score, len(w))


def regress(w: np.ndarray, values: np.ndarray, space: Space, *, cancelled: Cancelled = lambda: False) -> Fit:
    """The weights of a ridge regression (Hoerl & Kennard 1970) of `values` on w, and R2 of held-out values.

    Penalty and its power are those of the least squared error on held-out values, powers as in `classify`. Raises
    ValueError where the values do not differ.
    """
    target = np.asarray(values, np.float64)[:, None]
    if not np.ptp(target) > 0:
        raise ValueError("the values are all the same")
    features = _features(w, space)
    folds = _folds(None, len(w))

    def fit(one: np.ndarray, train: np.ndarray) -> _Model:
        return _ridge(one, target, train, PENALTIES)

    def loss(rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        return np.asarray((said - target[rows]) ** 2)

    power, penalty, score = 1, _MIDDLE, None
    if folds is not None:
        outer, power, penalty = _nested(features, folds, fit, loss, cancelled)

        def told(train: np.ndarray, test: np.ndarray, given: np.ndarray) -> np.ndarray:
            model = _ridge(features[power], given, train, np.full(given.shape[1], PENALTIES[penalty]))
            return model(features[power][test])

        _look(cancelled)
        score = _r2(outer, target[:, 0], folds, told)
    found = _ridge(features[power], target, np.ones(len(w), bool), PENALTIES[[penalty]]).weights[:, 0]
    return Fit(_unit(space.vector(found, POWERS[power])), score, len(w))


def _features(w: np.ndarray, space: Space) -> list[np.ndarray]:
    """Those of each power, of a mean variance of 1, so that penalties mean the same for all of them."""
    found = [space.features(w, power) for power in POWERS]
    return [one / math.sqrt(max(float(one.var(axis=0).mean()), 1e-30)) for one in found]


# --- nested cross-validation -------------------------------------------------------------------------------------

Fitting = Callable[[np.ndarray, np.ndarray], "_Model"]
Loss = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _nested(
    features: list[np.ndarray], folds: np.ndarray, fit: Fitting, loss: Loss, cancelled: Cancelled
) -> tuple[np.ndarray, int, int]:
    """(what each example was told to be by a fit in which nothing of its part was used [n], power, penalty).

    What a part is told comes from the power and penalty that did best on the other parts alone; those returned did
    best on all. A fit without two parts judges each of them for the other, so that nesting costs 15 fits, not 25.
    """
    parts = _parts(folds)
    shape = (len(parts), len(POWERS), len(PENALTIES), len(folds))
    inner, outer, said = np.full(shape, np.nan), np.full(shape[1:], np.nan), np.empty(shape[1:])
    for power, one in enumerate(features):
        for j, k in combinations(range(len(parts)), 2) if len(parts) > 2 else ():
            _look(cancelled)
            model = fit(one, ~(parts[j] | parts[k]))
            for judged, spared in ((j, k), (k, j)):
                inner[spared, power][:, parts[judged]] = loss(parts[judged], model(one[parts[judged]])).T
        for part in parts:
            _look(cancelled)
            told = fit(one, ~part)(one[part])
            said[power][:, part] = told.T
            outer[power][:, part] = loss(part, told).T
    held_out = np.empty(len(folds))
    for k, part in enumerate(parts):
        power, penalty = _chosen(inner[k]) if len(parts) > 2 else (1, _MIDDLE)
        held_out[part] = said[power, penalty, part]
    return held_out, *_chosen(outer)


def _chosen(losses: np.ndarray) -> tuple[int, int]:
    """The power and penalty of the least mean loss, [powers, penalties, n], nan where an example was not judged.

    Of powers that are worse by no more than the standard error of the difference, the highest.
    """
    there = losses[:, :, ~np.isnan(losses[0, 0])]
    means = there.mean(axis=2)
    penalties = means.argmin(axis=1)
    each = there[np.arange(len(POWERS)), penalties]
    best = int(each.mean(axis=1).argmin())
    for power in range(len(POWERS) - 1, best, -1):
        apart = each[power] - each[best]
        if apart.mean() <= apart.std() / math.sqrt(len(apart)):
            return power, int(penalties[power])
    return best, int(penalties[best])


# --- logistic regression -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Model:
    mean: np.ndarray
    weights: np.ndarray
    shift: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Log-odds [n, columns]."""
        return np.asarray((features - self.mean) @ self.weights + self.shift)


def _reduced(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centred features [n, d] turned to (z [n, r], map [d, r], variances [r]): z's columns do not correlate."""
    count, width = features.shape
    wide = width > count
    variances, turn = np.linalg.eigh((features @ features.T if wide else features.T @ features) / count)
    # A mean variance of 1 is divided among all axes: what lies this far below the least penalty never counts.
    used = variances > 1e-3 * PENALTIES[0]
    if not wide:
        return features @ turn[:, used], turn[:, used], variances[used]
    z = turn[:, used] * np.sqrt(count * variances[used])
    return z, features.T @ (turn[:, used] / np.sqrt(count * variances[used])), variances[used]


def _logistic(
    features: np.ndarray, labels: np.ndarray, train: np.ndarray, penalties: np.ndarray, *, steps: int = _STEPS
) -> _Model:
    """Fit one column a penalty (labels [n, 1]) or one a column of labels, on the rows of `train`.

    Minimises mean log-loss + penalty |weights|^2 / 2 by steps on the bound X^T X / 4 of its curvature (Boehning &
    Lindsay 1988), accelerated (Nesterov 1983) with restarts where it overshoots (O'Donoghue & Candes 2015).
    """
    mean = features[train].mean(axis=0)
    z, turn, variances = _reduced(features[train] - mean)
    target = labels[train]
    share = np.clip(target.mean(axis=0), 1e-3, 1 - 1e-3)
    shift = np.broadcast_to(np.log(share / (1 - share)), penalties.shape).copy()
    weights = np.zeros((z.shape[1], len(penalties)))
    stride = 1 / (variances[:, None] / 4 + penalties)
    ahead, ahead_shift, momentum = weights, shift, 1.0
    for _ in range(steps):
        missed = _sigmoid(z @ ahead + ahead_shift) - target
        slope = z.T @ missed / len(z) + penalties * ahead
        step = stride * slope
        new, new_shift = ahead - step, ahead_shift - 4 * missed.mean(axis=0)
        following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
        on = np.where((step * (new - weights)).sum(axis=0) > 0, 0.0, (momentum - 1) / following)
        ahead, ahead_shift = new + on * (new - weights), new_shift + on * (new_shift - shift)
        weights, shift, momentum = new, new_shift, following
        if np.abs(slope).max() < 1e-6:
            break
    return _Model(mean, turn @ weights, shift)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _ridge(features: np.ndarray, values: np.ndarray, train: np.ndarray, penalties: np.ndarray) -> _Model:
    """Fit one column a penalty (values [n, 1]) or one a column of values, on the rows of `train`.

    Minimises mean squared error + penalty |weights|^2.
    """
    mean, shift = features[train].mean(axis=0), values[train].mean(axis=0)
    z, turn, variances = _reduced(features[train] - mean)
    weights = (z.T @ (values[train] - shift) / len(z)) / (variances[:, None] + penalties)
    return _Model(mean, turn @ weights, np.broadcast_to(shift, penalties.shape))


# --- scores ------------------------------------------------------------------------------------------------------

Told = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _folds(groups: np.ndarray | None, count: int = 0) -> np.ndarray | None:
    """The number of each example's part, the groups shared out evenly; None where there are too few."""
    random = np.random.RandomState(0)
    if groups is None:
        return random.permutation(np.arange(count) % _FOLDS) if count >= FEWEST + 1 else None
    parts = min(_FOLDS, int(groups.sum()), int((~groups).sum()))
    if parts < 2:
        return None
    folds = np.empty(len(groups), int)
    for start, members in enumerate((groups, ~groups)):
        size = int(members.sum())
        folds[members] = random.permutation((np.arange(size) + start * (parts // 2)) % parts)
    return folds


def _parts(folds: np.ndarray) -> list[np.ndarray]:
    return [folds == k for k in range(int(folds.max()) + 1)]


def _held_out(told: Told, folds: np.ndarray, labels: np.ndarray) -> np.ndarray:
    found = np.empty(labels.shape)
    for part in _parts(folds):
        found[part] = told(~part, part, labels)
    return found


def _shuffles(values: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Values [n] shuffled within each part, so that every part keeps both groups: [n, _SHUFFLES]."""
    random = np.random.RandomState(1)
    found = np.repeat(values.astype(np.float64)[:, None], _SHUFFLES, axis=1)
    for part in _parts(folds):
        for column in range(_SHUFFLES):
            found[part, column] = random.permutation(found[part, column])
    return found


def _accuracy(values: np.ndarray, groups: np.ndarray, folds: np.ndarray, told: Told, cancelled: Cancelled) -> Score:
    share = float(((values > 0) == groups).mean())
    chance = float(max(groups.mean(), 1 - groups.mean()))
    if len(groups) <= _MOST_SHUFFLED:
        _look(cancelled)
        mixed = _shuffles(groups, folds)
        by_chance = ((_held_out(told, folds, mixed) > 0) == (mixed > 0.5)).mean(axis=0)
        p = (1 + int((by_chance >= share).sum())) / (1 + len(by_chance))
    else:
        p = _tail((share - chance) / math.sqrt(max(chance * (1 - chance), 1e-9) / len(groups)))
    return Score("accuracy", share, chance, p)


def _r2(held_out: np.ndarray, values: np.ndarray, folds: np.ndarray, told: Told) -> Score:
    value = 1 - float(((held_out - values) ** 2).sum() / ((values - values.mean()) ** 2).sum())
    along = _correlation(held_out, values)
    if len(values) <= _MOST_SHUFFLED:
        mixed = _shuffles(values, folds)
        by_chance = [_correlation(a, b) for a, b in zip(_held_out(told, folds, mixed).T, mixed.T, strict=True)]
        p = (1 + sum(one >= along for one in by_chance)) / (1 + len(by_chance))
    else:
        p = _tail(along * math.sqrt(len(values)))
    return Score("R2", value, 0.0, p)


def _tail(z: float) -> float:
    """How often chance gives z or more. Parts learn from each other's labels, which doubles the variance of chance."""
    return 0.5 * math.erfc(z / math.sqrt(2) / math.sqrt(2))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    length = math.sqrt(float((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / length if length > 0 else 0.0


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length <= 0:
        raise ValueError("there is no direction in it")
    return np.asarray(vector / length)


def _check_groups(groups: np.ndarray) -> None:
    if groups.all() or not groups.any():
        raise ValueError("a group is empty")


def _look(cancelled: Cancelled) -> None:
    if cancelled():
        raise Stopped
