"""Directions in W: SeFa (Shen & Zhou 2021) from weights alone, principal components (GANSpace, Härkönen
et al. 2020).

Everything here is float64 on plain arrays; a direction is a unit vector whose largest component is positive, since
eigenvectors leave the sign open, and `sd` is the standard deviation of w along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.errors import SettingError
from core.generator import Generator
from core.layers import EqualLinear
from explorer.kept import BUILT_IN, Direction

__all__ = ["built_in", "deviation", "pca", "sefa", "style_weights"]


def style_weights(generator: Generator) -> list[np.ndarray]:
    """The affine layers that take the row of ws of that index: one matrix [outputs, w_dim] a layer, as they act on w.

    Row l of ws styles convolution l; of StyleGAN2 the last row styles the last toRGB. StyleGAN's have scale and shift.
    """
    blocks: list[Any] = list(generator.synthesis.blocks)
    if generator.arch == "stylegan":
        return [_acting(layer.affine) for block in blocks for layer in block.layers()]
    affines = [styled.conv.affine for block in blocks for styled in block.convs()]
    return [_acting(affine) for affine in [*affines, blocks[-1].torgb.conv.affine]]


def _acting(affine: EqualLinear) -> np.ndarray:
    weight = affine.weight.detach().double().cpu().numpy()
    return np.asarray(weight * (affine.lr / math.sqrt(weight.shape[1])))


def sefa(weights: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(eigenvalues [w_dim], falling; directions [w_dim, w_dim], one a row) of A^T A (Shen & Zhou 2021, eq. 8-10).

    A is the stack of `weights`, each [outputs, w_dim]: the directions that change the styles most for a step of w.
    """
    stacked = np.concatenate([np.asarray(one, np.float64) for one in weights])
    return _eigen(stacked.T @ stacked)


def pca(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(variances [w_dim], falling; directions [w_dim, w_dim], one a row) of samples [N, w_dim] of w."""
    return _eigen(np.atleast_2d(np.cov(np.asarray(samples, np.float64).T)))


def deviation(samples: np.ndarray, direction: np.ndarray) -> float:
    """The standard deviation of samples [N, w_dim] along a direction [w_dim]; 1 where they do not differ along it."""
    along = np.asarray(samples, np.float64) @ np.asarray(direction, np.float64)
    found = float(along.std(ddof=1)) if len(along) > 1 else 0.0
    return found if found > 1e-9 else 1.0


def built_in(
    name: str, generator: Generator, samples: Callable[[], np.ndarray], *, field: str = "direction"
) -> Direction:
    """The direction that every network has under that name: `sefa-K`, `sefa-K.A-B` of layers A to B, or `pca-K`.

    `samples` gives w [N, w_dim] of many seeds. Raises SettingError where there is no such direction.
    """
    found = BUILT_IN.fullmatch(name)
    if found is None:
        raise SettingError(field, name, "sefa-K, sefa-K.A-B or pca-K, K from 0")
    method, number = found[1], int(found[2])
    if number >= generator.w_dim:
        raise SettingError(field, name, f"{method}-0 to {method}-{generator.w_dim - 1}")
    layers = None
    if method == "sefa":
        first, last = (0, generator.num_ws - 1) if found[3] is None else (int(found[3]), int(found[4]))
        if not first <= last < generator.num_ws:
            raise SettingError(field, name, f"layers from 0 to {generator.num_ws - 1}, upwards")
        layers = None if found[3] is None else f"{first}-{last}"
        values, rows = sefa(style_weights(generator)[first : last + 1])
        value, unit = float(values[number]), "eigenvalue"
    else:
        if found[3] is not None:
            raise SettingError(field, name, f"pca-{number}, since principal components of w have no layers")
        values, rows = pca(samples())
        value, unit = float(values[number] / values.sum()) if values.sum() > 0 else 0.0, "share of variance"
    about = {"method": method, "layers": layers, "value": value, "unit": unit}
    return Direction(name, rows[number].astype(np.float32), deviation(samples(), rows[number]), about)


def _eigen(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, columns = np.linalg.eigh(symmetric)
    values, rows = np.maximum(values[::-1], 0), columns.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return values, rows * np.where(largest < 0, -1.0, 1.0)
