"""A line drawn over a map -> keyframes of a walk: samples near the line, few, each step short in W, smoothed in w.

The line is looked at in at most MOST_STATIONS places, evenly apart. Near each of them several samples lie; which of
them the walk takes is the cheapest chain by dynamic programming, where a step costs its squared length in W and a
sample its squared distance from the line. Then each keyframe but the ends takes in a little of its neighbours in w, its
truncation widened by as much as averaging brings it nearer to the average picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.errors import SettingError
from explorer.atlas import Atlas
from explorer.recipe import Recipe, blended

__all__ = ["MOST_LINE", "MOST_STATIONS", "along", "through"]

MOST_LINE = 2000  # corners of a drawn line
MOST_STATIONS = 16
_FEWEST_STATIONS = 2
_CANDIDATES = 8  # samples to choose from at a station
_OFF_LINE = 1.0  # what a sample costs that lies half a station's distance from the line, in squared deviations of w
_SMOOTH = 0.12  # the share of each neighbour in a keyframe
_CLOSED = 0.05  # of the map's width: how near the ends of a loop are
_MOST_PSI = 5.0


def along(
    atlas: Atlas, line: Sequence[Sequence[float]], base: Recipe, *, method: str | None = None
) -> tuple[list[Recipe], list[int], bool]:
    """(keyframes, the seeds on the way, whether it is a loop) of a line [K, 2] in the coordinates of the map.

    `base` is what the keyframes have in common. Raises SettingError for a line that is none.
    """
    corners = _checked(line)
    dots = atlas.points(method).astype(np.float64)
    span = max(float((dots.max(axis=0) - dots.min(axis=0)).max()), 1e-9)
    stations, loop = _stations(corners, span=span)
    seeds = _chain(atlas, dots, stations, loop=loop)
    loop = loop and len(seeds) > 2
    return _smoothed(atlas, seeds, base, loop=loop), seeds, loop


def through(
    atlas: Atlas, seeds: Sequence[int], base: Recipe, *, method: str | None = None, most: int = MOST_STATIONS
) -> tuple[list[Recipe], list[int]]:
    """(keyframes, seeds) of a walk through chosen seeds: as they are given where they are few, of many some, evenly.

    Many are put in order along the line in which they lie on the map. Raises SettingError for seeds not on the map.
    """
    chosen = list(dict.fromkeys(seeds))
    if len(chosen) < 2 or max(chosen) >= atlas.count or min(chosen) < 0:
        raise SettingError("seeds", chosen[:5], f"two or more seeds of the map, 0 to {atlas.count - 1}")
    if len(chosen) > most:
        dots = atlas.points(method)[chosen].astype(np.float64)
        centred = dots - dots.mean(axis=0)
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        order = np.argsort(centred @ axes[0], kind="stable")
        chosen = [chosen[order[round(k)]] for k in np.linspace(0, len(order) - 1, most)]
    return [_at(atlas, seed, base) for seed in chosen], chosen


def _checked(line: Sequence[Sequence[float]]) -> np.ndarray:
    corners: np.ndarray
    try:
        corners = np.asarray(line, np.float64)
    except (TypeError, ValueError, OverflowError):
        corners = np.zeros(0)
    fits = corners.ndim == 2 and corners.shape[1:] == (2,) and 2 <= len(corners) <= MOST_LINE
    if not fits or not np.isfinite(corners).all() or np.abs(corners).max() > 1e9:
        raise SettingError("line", "these places", f"2 to {MOST_LINE} pairs of numbers, x and y on the map")
    return corners


def _stations(corners: np.ndarray, *, span: float) -> tuple[np.ndarray, bool]:
    """Places evenly along the line, [S, 2], and whether it ends where it began."""
    steps = np.hypot(*np.diff(corners, axis=0).T)
    reached = np.concatenate([[0], np.cumsum(steps)])
    length = float(reached[-1])
    loop = length > 0.3 * span and float(np.hypot(*(corners[-1] - corners[0]))) < _CLOSED * span
    count = int(np.clip(round(8 * length / span) + 1, _FEWEST_STATIONS, MOST_STATIONS))
    at = np.linspace(0, length, count + 1)[:-1] if loop else np.linspace(0, length, count)
    return np.stack([np.interp(at, reached, corners[:, axis]) for axis in range(2)], axis=1), loop


def _chain(atlas: Atlas, dots: np.ndarray, stations: np.ndarray, *, loop: bool) -> list[int]:
    """The cheapest chain of samples, one a station; a sample that comes twice in a row counts once."""
    apart = np.hypot(*np.diff(stations, axis=0).T)
    reach = max(float(apart.mean()) / 2 if len(apart) else 0.0, 1e-9)
    near, off = [], []
    for station in stations:
        away = np.hypot(*(dots - station).T)
        few = np.argsort(away, kind="stable")[:_CANDIDATES]
        near.append(few)
        off.append(_OFF_LINE * np.square(away[few] / reach))
    w = [atlas.samples[few].astype(np.float64) / atlas.spread for few in near]
    cost, came = off[0], []
    for here in range(1, len(stations)):
        step = np.square(w[here][:, None] - w[here - 1][None]).sum(axis=2)
        total = step + cost
        came.append(total.argmin(axis=1))
        cost = total.min(axis=1) + off[here]
    at = int(cost.argmin())
    chosen = [int(near[-1][at])]
    for here in range(len(stations) - 1, 0, -1):
        at = int(came[here - 1][at])
        chosen.append(int(near[here - 1][at]))
    chosen.reverse()
    seeds = [seed for k, seed in enumerate(chosen) if k == 0 or seed != chosen[k - 1]]
    if loop and len(seeds) > 2 and seeds[-1] == seeds[0]:
        seeds.pop()
    return seeds if len(seeds) > 1 else [seeds[0], _other(dots, stations[-1], seeds[0])]


def _other(dots: np.ndarray, place: np.ndarray, seed: int) -> int:
    """The sample nearest to a place that is another one, so that there is a walk; the same where there is no other."""
    order = np.argsort(np.hypot(*(dots - place).T), kind="stable")
    return int(next((one for one in order if one != seed), seed))


def _smoothed(atlas: Atlas, seeds: list[int], base: Recipe, *, loop: bool) -> list[Recipe]:
    made = []
    for k, seed in enumerate(seeds):
        one = _at(atlas, seed, base)
        ends = not loop and k in (0, len(seeds) - 1)
        around = [seeds[k - 1], seed, seeds[(k + 1) % len(seeds)]]
        if ends or len(set(around)) < 3:
            made.append(one)
            continue
        weights = [_SMOOTH, 1 - 2 * _SMOOTH, _SMOOTH]
        away = atlas.samples[around].astype(np.float64) - atlas.w_avg
        wanted = float(np.dot(weights, np.linalg.norm(away, axis=1)))
        left = float(np.linalg.norm(np.dot(weights, away)))
        psi = round(float(np.clip(one.psi * wanted / max(left, 1e-9), -_MOST_PSI, _MOST_PSI)), 4)
        if not np.isfinite(psi) or abs(psi) > 2 * abs(one.psi):
            psi = one.psi  # neighbours on opposite sides of the average
        parts = [replace(_at(atlas, near, base), psi=psi) for near in around]
        made.append(blended(list(zip(weights, parts, strict=True))))
    return made


def _at(atlas: Atlas, seed: int, base: Recipe) -> Recipe:
    label = seed % atlas.classes if atlas.classes else atlas.label
    return replace(base.with_seed(seed), label=label, mix=(), steer=())
