"""Every measure by name: what it compares, which way is better, and how it is worked out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.errors import SettingError
from train.metrics import left_out
from train.metrics.bench import ROWS, Bench, walks
from train.metrics.distances import (
    density_coverage,
    distances,
    frechet_distance,
    kernel_distance,
    kolmogorov_smirnov,
    precision_recall,
)
from train.metrics.draw import EPSILON
from train.metrics.features import DISCRIMINATOR, INCEPTION, RANDOM, Extractor
from train.metrics.jackknife import GROUPS, blocks
from train.metrics.looks import LOOKS
from train.metrics.pyramid import level_names, sliced_wasserstein, without_groups
from train.metrics.similarity import ms_ssim, scales
from train.schedule import stream

__all__ = ["MEASURES", "Measure", "names", "needing_inception", "read_names"]

PAIRS = 500
SPREAD = 256  # pictures
ALIASES = {"fid": f"frechet_{INCEPTION}", "kid": f"kernel_{INCEPTION}"}
BANDS = ("fine", "middle", "coarse")

Rows = Sequence[float]
More = dict[str, Any]
Run = Callable[[Bench, Extractor | None, int], tuple[Rows, More]]


@dataclass(frozen=True)
class Measure:
    """A figure. `goal` lower, higher, or real: as near to the real-versus-real row as can be.

    `run` gives the numbers of fakes, other real pictures and noise, and what else belongs to the figure: `error` and
    `real_error`, standard errors of the first two, and `levels` or `scales`.
    """

    name: str
    goal: str
    title: str
    run: Run
    extractor: str = ""

    def number(self, count: int) -> int:
        """How many pictures, pairs or steps it takes of `count` pictures."""
        kind = self.name.split("_")[0]
        most = {"ms": min(PAIRS, count), "spread": min(SPREAD, count), "path": walks(count)}
        return most.get(kind, count)


# --- over features -----------------------------------------------------------------------------------------------


def _frechet(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    assert extractor is not None
    reference = bench.moments(extractor, "reference", count)

    def row(name: str) -> float:
        return frechet_distance(*bench.moments(extractor, name, count), *reference)

    rows = bench.every("frechet", extractor.name, make=row, names=ROWS).values()
    return [*rows], bench.errors(_left_out(left_out.frechet, bench, extractor, count))


def _kernel(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    assert extractor is not None
    reference = bench.features(extractor, "reference", count)

    def row(name: str) -> float:
        return kernel_distance(bench.features(extractor, name, count), reference)

    rows = bench.every("kernel", extractor.name, make=row, names=ROWS).values()
    return [*rows], bench.errors(_left_out(left_out.kernel, bench, extractor, count))


def _left_out(
    distance: Callable[..., list[Any]], bench: Bench, extractor: Extractor, count: int
) -> Callable[[str], list[Any]]:
    """A distance between the reference and a set without each group of both."""

    def without(name: str) -> list[Any]:
        sides = [bench.features(extractor, side, count) for side in ("reference", name)]
        return distance(*sides, *bench.groups({"reference": count, name: count}))

    def once(name: str) -> list[Any]:
        found = bench.once(("left out", distance.__name__, extractor.name, name), lambda: without(name))
        assert isinstance(found, list)
        return found

    return once


def _part(measure: Callable[..., tuple[float, float]], index: int, place: int) -> Run:
    """Number `index` of a measure of two, which is number `place` of those that `left_out.manifolds` gives."""

    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
        assert extractor is not None
        without = _left_out(left_out.manifolds, bench, extractor, count)
        rows = [bench.pair(measure, extractor, name, count)[index] for name in ROWS]
        return rows, bench.errors(lambda name: without(name)[place])

    return run


def _path_length(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    """Perceptual path length in W (Karras et al. 2019, eq. 3), the outer hundredths left out.

    Beside it, what a walk straight through the features from one picture to another would have: the mean squared
    distance of two real pictures, and of two pictures of noise.
    """
    assert extractor is not None
    first, second = (torch.cat([extractor.of(part) for part in side.split(16)]).double() for side in bench.steps)
    lengths = ((first - second).square().sum(1) / EPSILON**2).numpy()
    straight = {}
    for name in ("other", "noise"):
        features = bench.features(extractor, name, count).double()
        straight[name] = (features - features.roll(1, 0)).square().sum(1).numpy()

    def without(name: str) -> list[float]:
        if name == "other":
            return _pairs_without(straight[name], bench.groups({name: count})[0])
        groups = blocks(len(lengths), GROUPS)
        return [_within(lengths[groups != g]) for g in range(GROUPS)]

    return [_within(lengths), *(float(part.mean()) for part in straight.values())], bench.errors(without)


def _within(lengths: np.ndarray) -> float:
    """The mean of what lies between the outer hundredths."""
    low, high = np.quantile(lengths, [0.01, 0.99])
    return float(lengths[(lengths >= low) & (lengths <= high)].mean())


def _pairs_without(values: np.ndarray, groups: np.ndarray) -> list[float]:
    """Means over the pairs of each picture and the one before it, without those that have one of a group in them."""
    kept = ((groups != g) & (np.roll(groups, 1) != g) for g in range(groups.max() + 1))
    return [float(values[some].mean()) if some.any() else float("nan") for some in kept]


# --- over pictures -----------------------------------------------------------------------------------------------


def _swd(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    """Times 1000, as the paper has it; the mean over the levels, and every level."""
    seed = stream(bench.sets.seed, "directions")
    reference = bench.patches["reference"]

    def row(name: str) -> np.ndarray:
        return np.array(sliced_wasserstein(bench.patches[name], reference, seed=seed)) * 1000

    found = [*bench.every("swd", make=row, names=ROWS).values()]
    names = level_names((bench.sets.crop[2], bench.sets.crop[3]))

    def without(name: str) -> np.ndarray:
        groups = bench.groups({name: bench.sets.count, "reference": bench.sets.count})
        return without_groups(bench.patches[name], reference, *groups, seed=seed) * 1000

    left = bench.every("swd left out", make=without, names=ROWS[:2])

    def level(k: int) -> dict[str, float | None]:
        return {**_gathered([row[k] for row in found]), **bench.errors(lambda name: left[name][:, k])}

    levels = {name: level(k) for k, name in enumerate(names)}
    return [float(row.mean()) for row in found], {"levels": levels, **bench.errors(lambda name: left[name].mean(1))}


def _ms_ssim(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    """The mean over pairs of different pictures of one set."""

    def row(name: str) -> np.ndarray:
        pictures = bench.pictures[name][: min(PAIRS, count)]
        return ms_ssim(pictures, np.roll(pictures, 1, axis=0))

    found = bench.every("ms_ssim", make=row, names=ROWS)

    def without(name: str) -> list[float]:
        pairs = len(found[name])
        # Neighbours together, so that few pairs of samples are of two groups.
        groups = blocks(pairs, GROUPS) if name == "fake" else bench.groups({name: pairs})[0]
        return _pairs_without(found[name], groups)

    more = {"scales": scales((bench.sets.crop[2], bench.sets.crop[3]))}
    return [float(values.mean()) for values in found.values()], {**more, **bench.errors(without)}


def _over_held(
    figure: Callable[[np.ndarray, np.ndarray], float],
) -> Run:
    """A figure of distances to the nearest training picture, against those of held-out pictures.

    In the samples' place every other held-out picture, against the rest of them. For the errors the training pictures
    stay as they are: the network was made from them.
    """

    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
        near = bench.near
        held = near["reference"]
        rows = [figure(near["fake"], held), figure(held[::2], held[1::2]), figure(near["noise"], held)]

        def without(name: str) -> list[float]:
            fakes, others = bench.groups({"fake": len(near["fake"]), "reference": len(held)})
            numbers = range(others.max() + 1)
            if name == "fake":
                return [figure(near["fake"][fakes != g], held[others != g]) for g in numbers]
            sides = (held[::2], others[::2]), (held[1::2], others[1::2])
            return [figure(*(part[groups != g] for part, groups in sides)) for g in numbers]

        return rows, bench.errors(without)

    return run


def _nearer(one: np.ndarray, held: np.ndarray) -> float:
    """Share of pictures nearer to a training picture than 99 in 100 held-out pictures are; NaN of none."""
    if not len(one) or not len(held):
        return math.nan
    return float((one < np.quantile(held, 0.01)).mean())


def _nearest(one: np.ndarray, held: np.ndarray) -> float:
    """Median distance to the nearest training picture, over a held-out picture's; NaN of none."""
    if not len(one) or not len(held):
        return math.nan
    return _over(float(np.median(one)), float(np.median(held)))


def _spread(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
    """Mean distance between two pictures of a set, over that of the training's side."""
    most = min(SPREAD, count)
    apart = bench.every("apart", make=lambda name: distances(bench.pictures[name][:most].reshape(most, -1)))
    training = float(apart["other"].sum())

    def without(name: str) -> list[float]:
        # In the samples' place stands the reference, since the training's side is below the line.
        above = "fake" if name == "fake" else "reference"
        groups = bench.groups({above: most, "other": most})
        found = []
        for g in range(groups[0].max() + 1):
            sides = [
                apart[side][kept][:, kept]
                for side, kept in zip((above, "other"), [one != g for one in groups], strict=True)
            ]
            means = [float(part.sum()) / max(1, len(part) * (len(part) - 1)) for part in sides]
            found.append(_over(*means))
        return found

    return [_over(float(apart[name].sum()), training) for name in ("fake", "reference", "noise")], bench.errors(without)


def _sharp(band: int) -> Run:
    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
        powers = {name: part[:, band] for name, part in bench.powers.items()}

        def without(name: str) -> list[float]:
            groups = bench.groups({name: count, "reference": count})
            sides = list(zip((powers[name], powers["reference"]), groups, strict=True))
            return [_strength(*(part[own != g] for part, own in sides)) for g in range(groups[0].max() + 1)]

        return [_strength(powers[name], powers["reference"]) for name in ROWS], bench.errors(without)

    return run


def _strength(one: np.ndarray, real: np.ndarray) -> float:
    if not len(one) or not len(real):
        return math.nan
    return _over(float(np.sqrt(one.mean())), float(np.sqrt(real.mean())))


def _ks(look: str) -> Run:
    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, More]:
        found = {name: numbers[look] for name, numbers in bench.looks.items()}

        def without(name: str) -> list[float]:
            groups = bench.groups({name: count, "reference": count})
            sides = list(zip((found[name], found["reference"]), groups, strict=True))
            kept = ([part[own != g] for part, own in sides] for g in range(groups[0].max() + 1))
            return [kolmogorov_smirnov(*both) for both in kept]

        return [kolmogorov_smirnov(found[name], found["reference"]) for name in ROWS], bench.errors(without)

    return run


def _over(value: float, by: float) -> float:
    return value / by if by else float("nan")


def _gathered(rows: Sequence[float]) -> dict[str, float]:
    return dict(zip(("value", "real", "noise"), map(float, rows), strict=True))


# --- by name -----------------------------------------------------------------------------------------------------


def _over_features(extractor: str) -> list[Measure]:
    kinds: list[tuple[str, str, str, Any]] = [
        ("frechet", "lower", "Frechet distance", _frechet),
        ("kernel", "lower", "kernel distance", _kernel),
        ("precision", "higher", "precision", _part(precision_recall, 0, 0)),
        ("recall", "higher", "recall", _part(precision_recall, 1, 1)),
        ("density", "higher", "density", _part(density_coverage, 0, 2)),
        ("coverage", "higher", "coverage", _part(density_coverage, 1, 3)),
        ("path_length", "lower", "perceptual path length", _path_length),
    ]
    return [Measure(f"{name}_{extractor}", goal, title, run, extractor) for name, goal, title, run in kinds]


MEASURES: tuple[Measure, ...] = (
    Measure("swd", "lower", "sliced Wasserstein distance x 1000", _swd),
    *_over_features(RANDOM),
    *_over_features(DISCRIMINATOR),
    *_over_features(INCEPTION),
    Measure("nearer", "real", "share nearer to training than 99 in 100 held out", _over_held(_nearer)),
    Measure("nearest", "real", "median distance to training over held out's", _over_held(_nearest)),
    Measure("spread", "real", "spread over training's", _spread),
    Measure("ms_ssim", "real", "MS-SSIM between samples", _ms_ssim),
    *(Measure(f"sharpness_{name}", "real", f"sharpness, {name} band", _sharp(k)) for k, name in enumerate(BANDS)),
    *(Measure(f"ks_{look}", "lower", f"Kolmogorov-Smirnov, {look}", _ks(look)) for look in LOOKS),
)


def names() -> list[str]:
    """The names of all measures, in the order of the table."""
    return [measure.name for measure in MEASURES]


def needing_inception(chosen: Iterable[str]) -> list[str]:
    """Those of some names of measures that are taken over Inception's features."""
    over = {measure.name for measure in MEASURES if measure.extractor == INCEPTION}
    return [name for name in chosen if name in over]


def read_names(given: str | Iterable[str], *, field: str = "metrics") -> list[str]:
    """`a,b` or a list of names -> names of measures, each once; `fid`, `kid` are Inception's. Raises SettingError."""
    parts = given.split(",") if isinstance(given, str) else list(given)
    known = names()
    found: list[str] = []
    for part in (part.strip() for part in parts if part.strip()):
        name = ALIASES.get(part, part)
        if name not in known:
            raise SettingError(field, part, "one of " + ", ".join([*known, *ALIASES]))
        if name not in found:
            found.append(name)
    return found
