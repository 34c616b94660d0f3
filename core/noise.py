"""What a word, a number or a list of arrays means as noise: one map for each place where a network takes noise."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import latents
from core.errors import SettingError

__all__ = ["Noise", "checked_noise", "of_picture", "resolved"]

Noise = str | int | Sequence[Any]


def checked_noise(noise: object) -> Noise:
    """A word, a whole number of any kind (numpy's too) as an int, or a list. Raises SettingError for anything else."""
    if isinstance(noise, str) and noise in ("const", "none", "random"):
        return noise
    if isinstance(noise, Integral) and not isinstance(noise, bool):
        return int(noise)
    # Tuples of types: in a union PyTorch 2.6 breaks a compiled generator off.
    if isinstance(noise, (list, tuple)) or (isinstance(noise, (np.ndarray, Tensor)) and noise.ndim):
        return list(noise)
    raise SettingError("noise", noise, "const, none, random, a whole number or one array a noise map")


def resolved(
    noise: Noise, shapes: Sequence[tuple[int, int]], own: Sequence[Tensor] | None, *, count: int, like: Tensor
) -> list[Tensor | None]:
    """One map for each of `shapes` (height, width): [H, W] or [count, 1, H, W], or None.

    "const" is `own`, the maps of the network (those of the integer 0 where it has none), "none" nothing, "random"
    fresh normals for each picture, an integer the maps of that seed, a list those arrays, of which the first are taken
    where a network that grows takes fewer. Raises SettingError for anything else.
    """
    noise = checked_noise(noise)
    if isinstance(noise, str):
        if noise == "none":
            return [None] * len(shapes)
        if noise == "random":
            return [torch.randn(count, 1, *shape, device=like.device, dtype=like.dtype) for shape in shapes]
        if own is not None:
            return list(own)
        noise = 0
    given = latents.noise_maps(noise, shapes) if isinstance(noise, int) else noise
    if len(given) < len(shapes):
        raise SettingError("noise", f"{len(given)} maps", f"this network has {len(shapes)} noise maps")
    try:
        taken = given[: len(shapes)]
        maps = [torch.as_tensor(np.asarray(m) if not torch.is_tensor(m) else m).to(like) for m in taken]
    except (TypeError, ValueError) as wrong:
        raise SettingError("noise", "these arrays", f"arrays of numbers, one a noise map ({wrong})") from wrong
    for one, (height, width) in zip(maps, shapes, strict=True):
        if one.shape[-2:] != (height, width) or one.shape[:-2] not in ((), (1,), (1, 1), (count, 1)):
            allowed = f"this map is {height}x{width}" + (f", or {count}x1x{height}x{width}" if count > 1 else "")
            raise SettingError("noise", "x".join(map(str, one.shape)), allowed)
    return list(maps)


def of_picture(noise: list[Any], index: int, *, count: int) -> list[Any]:
    """The maps of one of `count` pictures: [1, 1, H, W] of those that have one for each, the others as they are."""
    several = [count > 1 and np.ndim(one) == 4 and len(one) == count for one in noise]
    return [one[index : index + 1] if many else one for one, many in zip(noise, several, strict=True)]
