"""Every measure by name: what it compares, which way is better, and how it is worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from core.errors import SettingError
from train.metrics.bench import ROWS, Bench, walks
from train.metrics.distances import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    kolmogorov_smirnov,
    precision_recall,
    spread,
)
from train.metrics.draw import EPSILON
from train.metrics.features import DISCRIMINATOR, INCEPTION, RANDOM, Extractor
from train.metrics.looks import LOOKS
from train.metrics.pyramid import level_names, sliced_wasserstein
from train.metrics.similarity import ms_ssim, scales
from train.schedule import stream

__all__ = ["MEASURES", "Measure", "names", "read_names"]

PAIRS = 500
SPREAD = 256  # pictures
ALIASES = {"fid": f"frechet_{INCEPTION}", "kid": f"kernel_{INCEPTION}"}
BANDS = ("fine", "middle", "coarse")

Rows = Sequence[float]


@dataclass(frozen=True)
class Measure:
    """A figure. `goal` lower, higher, or real: as near to the real-versus-real row as can be.

    `run` gives the numbers of fakes, other real pictures and noise, and what else belongs to the figure.
    """

    name: str
    goal: str
    title: str
    run: Callable[[Bench, Extractor | None, int], tuple[Rows, dict[str, Any]]]
    extractor: str = ""

    def number(self, count: int) -> int:
        """How many pictures, pairs or steps it takes of `count` pictures."""
        kind = self.name.split("_")[0]
        most = {"ms": min(PAIRS, count), "spread": min(SPREAD, count), "path": walks(count)}
        return most.get(kind, count)


# --- over features -----------------------------------------------------------------------------------------------


def _frechet(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    assert extractor is not None
    reference = bench.moments(extractor, "reference", count)
    return [frechet_distance(*bench.moments(extractor, name, count), *reference) for name in ROWS], {}


def _kernel(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    assert extractor is not None
    reference = bench.features(extractor, "reference", count)
    return [kernel_distance(bench.features(extractor, name, count), reference) for name in ROWS], {}


def _part(measure: Callable[..., tuple[float, float]], index: int) -> Callable[..., tuple[Rows, dict[str, Any]]]:
    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
        assert extractor is not None
        return [bench.pair(measure, extractor, name, count)[index] for name in ROWS], {}

    return run


def _path_length(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """Perceptual path length in W (Karras et al. 2019, eq. 3), the outer hundredths left out.

    Beside it, what a walk straight through the features from one picture to another would have: the mean squared
    distance of two real pictures, and of two pictures of noise.
    """
    assert extractor is not None
    first, second = (torch.cat([extractor.of(part) for part in side.split(16)]).double() for side in bench.steps)
    lengths = ((first - second).square().sum(1) / EPSILON**2).numpy()
    low, high = np.quantile(lengths, [0.01, 0.99])
    rows = [float(lengths[(lengths >= low) & (lengths <= high)].mean())]
    for name in ("other", "noise"):
        features = bench.features(extractor, name, count).double()
        rows.append(float((features - features.roll(1, 0)).square().sum(1).mean()))
    return rows, {}


# --- over pictures -----------------------------------------------------------------------------------------------


def _swd(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """Times 1000, as the paper has it; the mean over the levels, and every level."""
    seed = stream(bench.sets.seed, "directions")
    reference = bench.patches["reference"]
    found = [np.array(sliced_wasserstein(bench.patches[name], reference, seed=seed)) * 1000 for name in ROWS]
    names = level_names((bench.sets.crop[2], bench.sets.crop[3]))
    levels = {name: _gathered([row[k] for row in found]) for k, name in enumerate(names)}
    return [float(row.mean()) for row in found], {"levels": levels}


def _ms_ssim(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """The mean over pairs of different pictures of one set."""
    found = []
    for name in ROWS:
        pictures = bench.pictures[name][: min(PAIRS, count)]
        found.append(float(ms_ssim(pictures, np.roll(pictures, 1, axis=0)).mean()))
    return found, {"scales": scales((bench.sets.crop[2], bench.sets.crop[3]))}


def _nearer(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """Share of samples nearer to a training picture than 99 in 100 held-out pictures are."""
    near = bench.near
    held = near["reference"]
    # In the samples' place every other held-out picture, against the rest of them.
    edges = [np.quantile(part, 0.01) for part in (held, held[1::2], held)]
    return [float((part < edge).mean()) for part, edge in zip(_in_place(near), edges, strict=True)], {}


def _nearest(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """Median distance to the nearest training picture, over a held-out picture's."""
    near = bench.near
    held = near["reference"]
    medians = [float(np.median(part)) for part in (held, held[1::2], held)]
    return [_over(float(np.median(part)), by) for part, by in zip(_in_place(near), medians, strict=True)], {}


def _in_place(near: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [near["fake"], near["reference"][::2], near["noise"]]


def _spread(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
    """Mean distance between two pictures of a set, over that of the training's side."""
    most = min(SPREAD, count)
    flat = {name: part[:most].reshape(most, -1).astype(np.float32) for name, part in bench.pictures.items()}
    training = spread(flat["other"])
    return [_over(spread(flat[name]), training) for name in ("fake", "reference", "noise")], {}


def _sharp(band: int) -> Callable[..., tuple[Rows, dict[str, Any]]]:
    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
        real = float(bench.sharpness["reference"][band])
        return [_over(float(bench.sharpness[name][band]), real) for name in ROWS], {}

    return run


def _ks(look: str) -> Callable[..., tuple[Rows, dict[str, Any]]]:
    def run(bench: Bench, extractor: Extractor | None, count: int) -> tuple[Rows, dict[str, Any]]:
        reference = bench.looks["reference"][look]
        return [kolmogorov_smirnov(bench.looks[name][look], reference) for name in ROWS], {}

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
        ("precision", "higher", "precision", _part(precision_recall, 0)),
        ("recall", "higher", "recall", _part(precision_recall, 1)),
        ("density", "higher", "density", _part(density_coverage, 0)),
        ("coverage", "higher", "coverage", _part(density_coverage, 1)),
        ("path_length", "lower", "perceptual path length", _path_length),
    ]
    return [Measure(f"{name}_{extractor}", goal, title, run, extractor) for name, goal, title, run in kinds]


MEASURES: tuple[Measure, ...] = (
    Measure("swd", "lower", "sliced Wasserstein distance x 1000", _swd),
    *_over_features(RANDOM),
    *_over_features(DISCRIMINATOR),
    *_over_features(INCEPTION),
    Measure("nearer", "real", "share nearer to training than 99 in 100 held out", _nearer),
    Measure("nearest", "real", "median distance to training over held out's", _nearest),
    Measure("spread", "real", "spread over training's", _spread),
    Measure("ms_ssim", "real", "MS-SSIM between samples", _ms_ssim),
    *(Measure(f"sharpness_{name}", "real", f"sharpness, {name} band", _sharp(k)) for k, name in enumerate(BANDS)),
    *(Measure(f"ks_{look}", "lower", f"Kolmogorov-Smirnov, {look}", _ks(look)) for look in LOOKS),
)


def names() -> list[str]:
    """The names of all measures, in the order of the table."""
    return [measure.name for measure in MEASURES]


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
