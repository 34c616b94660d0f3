"""Seeds, truncation, mixing and paths: pure functions on arrays, and the two little languages people type.

Shapes: z is [N, z_dim]; w is [N, w_dim]; ws is [N, num_ws, w_dim] or, for one picture, [num_ws, w_dim].
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from core.errors import SettingError

__all__ = [
    "EASES",
    "MOST_SEEDS",
    "SEED_LIMIT",
    "corners",
    "ease",
    "lerp",
    "mix",
    "noise_maps",
    "parse_layers",
    "parse_seeds",
    "path",
    "seeds_to_z",
    "slerp",
    "truncate",
    "weighted",
]

EASES = ("linear", "smooth", "in", "out", "hold")
SEED_LIMIT = 2**32
MOST_SEEDS = 4096
_RANGE = re.compile(r"\s*([0-9]{1,10})\s*(?:-\s*([0-9]{1,10})\s*)?", re.ASCII)


def parse_seeds(text: str | int | Iterable[int], *, field: str = "seeds") -> list[int]:
    """Read `7`, `3,9,27`, `0-7` or a mixture of these into a list of seeds, in the order given.

    Raises SettingError naming the part that is wrong, or when there are more than MOST_SEEDS.
    """
    if isinstance(text, Iterable) and not isinstance(text, str):
        text = ",".join(map(str, text))
    allowed = f"seeds are whole numbers from 0 to {SEED_LIMIT - 1} and ranges such as 0-7"
    seeds: list[int] = []
    for part in str(text).split(","):
        first, last = _range(part, text, field, allowed)
        if last >= SEED_LIMIT:
            raise SettingError(field, part.strip(), f"a seed is at most {SEED_LIMIT - 1}")
        if last - first + 1 + len(seeds) > MOST_SEEDS:
            raise SettingError(field, part.strip(), f"at most {MOST_SEEDS} seeds at once")
        seeds.extend(range(first, last + 1))
    return seeds


def parse_layers(text: str | int, num_ws: int | None = None, *, field: str = "layers") -> tuple[int, ...]:
    """Read `4-7` or `0,3,8-11` into ascending layer indices without repeats; `num_ws` bounds them where given.

    Raises SettingError naming the part that is wrong.
    """
    most = (num_ws if num_ws is not None else 64) - 1
    allowed = f"layers are whole numbers from 0 to {most} and ranges such as 4-7"
    layers: set[int] = set()
    for part in str(text).split(","):
        first, last = _range(part, text, field, allowed)
        if last > most:
            raise SettingError(field, part.strip(), allowed)
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def _range(part: str, text: object, field: str, allowed: str) -> tuple[int, int]:
    found = _RANGE.fullmatch(part)
    if found is None:
        # Nothing between two commas cannot be shown by itself.
        raise SettingError(field, part.strip() or text, allowed)
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if last < first:
        raise SettingError(field, part.strip(), f"a range goes upwards, such as {last}-{first}")
    return first, last


def seeds_to_z(seeds: Sequence[int], z_dim: int) -> Tensor:
    """Return the z of each seed, [N, z_dim] float32: the first normals of numpy's RandomState(seed), as everywhere.

    Raises ValueError for a seed outside 0 .. 2^32 - 1.
    """
    random = np.random.RandomState(0)  # one, seeded anew: making one takes nine times as long as that
    rows = np.empty((len(seeds), z_dim), np.float32)
    for row, seed in zip(rows, seeds, strict=True):
        random.seed(seed)
        row[:] = random.randn(z_dim)
    return torch.from_numpy(rows)


def truncate(ws: Tensor, w_avg: Tensor, psi: float, cutoff: int | None = None) -> Tensor:
    """w_avg + psi (w - w_avg) in the first `cutoff` layers, all of them for None (Karras et al. 2019, appendix B).

    psi 1 leaves ws as they are, to the bit. ws [..., num_ws, w_dim], w_avg [w_dim]. Raises SettingError for a psi that
    is not finite and a cutoff that is not 0 to num_ws.
    """
    if not math.isfinite(psi):
        raise SettingError("psi", psi, "a finite number")
    if cutoff is not None and not (isinstance(cutoff, Integral) and 0 <= cutoff <= ws.shape[-2]):
        raise SettingError("cutoff", cutoff, f"a whole number of layers from 0 to {ws.shape[-2]}")
    if psi == 1:
        return ws
    cut = w_avg + psi * (ws - w_avg)
    if cutoff is None:
        return cut
    return torch.cat([cut[..., :cutoff, :], ws[..., cutoff:, :]], dim=-2)


def mix(ws: Tensor, source: Tensor, layers: Sequence[int], amount: float = 1.0) -> Tensor:
    """(1 - amount) ws + amount source in `layers`; 0 and 1 are the ends to the bit. Shapes [..., num_ws, w_dim]."""
    mixed = ws.clone()
    chosen = list(layers)
    mixed[..., chosen, :] = lerp(ws[..., chosen, :], source[..., chosen, :], amount)
    return mixed


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """(1 - t) a + t b; t 0 and 1 are the ends to the bit."""
    if t == 0:
        return a
    if t == 1:
        return b
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation of the last axis (Shoemake 1985): unit vectors turn, lengths interpolate.

    t 0 and 1 are the ends to the bit; opposite or parallel vectors fall back to the straight line between directions.
    """
    if t == 0:
        return a
    if t == 1:
        return b
    x, y = a.double(), b.double()
    length_x, length_y = x.norm(dim=-1, keepdim=True), y.norm(dim=-1, keepdim=True)
    unit_x, unit_y = x / length_x.clamp_min(1e-30), y / length_y.clamp_min(1e-30)
    angle = torch.acos((unit_x * unit_y).sum(-1, keepdim=True).clamp(-1, 1))
    sine = torch.sin(angle)
    near = sine < 1e-6
    divisor = torch.where(near, torch.ones_like(sine), sine)
    share_x = torch.where(near, torch.full_like(sine, 1 - t), torch.sin((1 - t) * angle) / divisor)
    share_y = torch.where(near, torch.full_like(sine, t), torch.sin(t * angle) / divisor)
    turned = (share_x * unit_x + share_y * unit_y) * ((1 - t) * length_x + t * length_y)
    return turned.to(a.dtype)


def weighted(ws: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The weighted sum of ws; a single weight of 1 among zeros gives that picture to the bit."""
    used = [(one, weight) for one, weight in zip(ws, weights, strict=True) if weight != 0]
    if len(used) == 1 and used[0][1] == 1:
        return used[0][0]
    return torch.stack([one.double() * weight for one, weight in used]).sum(0).to(ws[0].dtype)


def ease(t: float, how: str = "linear") -> float:
    """The share of the way after the share t of the time, one of EASES; 0 and 1 stay 0 and 1.

    `smooth` rests at both ends (3 t^2 - 2 t^3), `in` at the first (t^2), `out` at the last; `hold` waits, then jumps.
    """
    if how == "smooth":
        return t * t * (3 - 2 * t)
    if how == "in":
        return t * t
    if how == "out":
        return t * (2 - t)
    return float(t >= 1) if how == "hold" else t


def path(points: int, steps: int, *, loop: bool = False) -> list[tuple[int, int, float]]:
    """Return the frames of a walk as (from, to, t): (K-1) S + 1 of them, or K S when it closes to a loop.

    `points` K is at least 2, `steps` S at least 1.
    """
    stretches = [(k, (k + 1) % points) for k in range(points if loop else points - 1)]
    frames = [(i, j, k / steps) for i, j in stretches for k in range(steps)]
    if not loop:
        frames.append((*stretches[-1], 1.0))
    return frames


def corners(steps: int) -> list[tuple[float, float, float, float]]:
    """Weights of the four corners (top left, top right, bottom left, bottom right) for steps x steps cells, by rows."""
    places = [k / (steps - 1) if steps > 1 else 0.0 for k in range(steps)]
    return [((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x) for y in places for x in places]


def noise_maps(seed: int, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Standard normals from (seed, layer), one float32 [h, w] a layer: the same on every device and in every batch.

    Raises SettingError where `seed` is not from 0 to SEED_LIMIT - 1.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise SettingError("noise", seed, f"a seed of noise is from 0 to {SEED_LIMIT - 1}")
    return [
        np.random.RandomState([seed, layer]).standard_normal(shape).astype(np.float32)
        for layer, shape in enumerate(shapes)
    ]
