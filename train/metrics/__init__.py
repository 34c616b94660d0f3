"""How good a network is, in figures that need nothing from the network: see docs/metrics.md."""

from train.metrics.distances import (
    density_coverage,
    frechet_distance,
    kernel_distance,
    kolmogorov_smirnov,
    moments,
    nearest,
    precision_recall,
    spread,
)
from train.metrics.evaluation import evaluate, rank
from train.metrics.measures import names, needing_inception, read_names
from train.metrics.pyramid import descriptors, sharpness, sliced_wasserstein
from train.metrics.record import append, line, named
from train.metrics.similarity import ms_ssim

__all__ = [
    "append",
    "density_coverage",
    "descriptors",
    "evaluate",
    "frechet_distance",
    "kernel_distance",
    "kolmogorov_smirnov",
    "line",
    "moments",
    "ms_ssim",
    "named",
    "names",
    "nearest",
    "needing_inception",
    "precision_recall",
    "rank",
    "read_names",
    "sharpness",
    "sliced_wasserstein",
    "spread",
]
