"""Directions in W: SeFa (Shen & Zhou 2021) from weights alone, principal components (GANSpace, Härkönen
et al. 2020).

Everything here is float64 on plain arrays; a direction is a unit vector whose largest component is positive, since
eigenvectors leave the sign open, and `sd` is the standard deviation of w along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.errors import SettingError
from core.generator import Generator
from core.latents import parse_layers
from core.layers import EqualLinear
from explorer.kept import BUILT_IN, Direction

__all__ = ["METHODS", "MOST_FOUND", "built_in", "deviation", "entry", "found", "pca", "sefa", "style_weights"]

METHODS = ("sefa", "pca")  # found without labels
MOST_FOUND = 64


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


def found(
    generator: Generator, samples: Callable[[], np.ndarray], *, method: str, layers: str | None = None, count: int = 8
) -> list[Direction]:
    """The first `count` built-in directions of a method, SeFa's over `layers` (None: all of them).

    Raises SettingError for a method that needs labels, layers that are no one range, and a count beyond MOST_FOUND.
    """
    if method not in METHODS:
        raise SettingError("method", method, " or ".join(METHODS))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_FOUND:
        raise SettingError("number", count, f"1 to {MOST_FOUND}")
    count = min(count, generator.w_dim)
    chosen = parse_layers(layers, generator.num_ws) if layers is not None else tuple(range(generator.num_ws))
    if method == "pca":
        values, rows = pca(samples())
        values = values / max(float(values.sum()), 1e-300)
        tail, within, unit = "", None, "share of variance"
    else:
        first, last = chosen[0], chosen[-1]
        if len(chosen) != last - first + 1:
            raise SettingError("layers", layers, "one range such as 4-7, which the names of the directions hold")
        values, rows = sefa(style_weights(generator)[first : last + 1])
        whole = len(chosen) == generator.num_ws
        tail, within = ("", None) if whole else (f".{first}-{last}", f"{first}-{last}")
        unit = "eigenvalue"
    deviations = np.asarray(samples(), np.float64) @ rows[:count].T
    made = []
    for number, sd in enumerate(deviations.std(axis=0, ddof=1)):
        about = {"method": method, "layers": within, "value": float(values[number]), "unit": unit}
        direction = rows[number].astype(np.float32)
        made.append(Direction(f"{method}-{number}{tail}", direction, float(sd) if sd > 1e-9 else 1.0, about))
    return made


def entry(direction: Direction | Mapping[str, Any], *, kept: bool) -> dict[str, Any]:
    """A direction, or the header of a kept one, as JSON values; `words` is what a slider's label says of it."""
    about = {**direction.about, "name": direction.name} if isinstance(direction, Direction) else direction
    told: dict[str, Any] = {key: _text(about.get(key)) for key in ("name", "method", "layers", "unit")}
    told |= {key: _number(about.get(key)) for key in ("value", "score", "chance", "p")}
    told["believable"] = about.get("believable") if isinstance(about.get("believable"), bool) else None
    return {**told, "words": _words(about), "kept": kept}


def _words(about: Mapping[str, Any]) -> str:
    """What a slider's label says besides the name."""
    said, value = about.get("words"), about.get("value")
    if isinstance(said, str):
        return said[:200]
    if not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    if about.get("unit") == "share of variance":
        return f"{value:.1%} of variance"
    return f"eigenvalue {value:.3g}" if about.get("unit") == "eigenvalue" else ""


def _text(value: object) -> str | None:
    """A value of somebody's header as a short text, None for anything else."""
    return value[:200] if isinstance(value, str) else None


def _number(value: object) -> float | None:
    """A value of somebody's header as a finite number, None for anything else."""
    return value if type(value) in (int, float) and math.isfinite(value) else None  # type: ignore[arg-type,return-value]


def _eigen(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, columns = np.linalg.eigh(symmetric)
    values, rows = np.maximum(values[::-1], 0), columns.T[::-1]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return values, rows * np.where(largest < 0, -1.0, 1.0)
