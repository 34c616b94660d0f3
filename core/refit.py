"""Smaller sizes of a network that has grown past them, shown as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from core import stylegan
from core.errors import SettingError
from core.generator import Generator
from core.latents import seeds_to_z
from core.layers import Conv

__all__ = ["refit_torgb"]

_RIDGE = 1e-6
_BATCH = 16


@torch.no_grad()
def refit_torgb(generator: Generator, seeds: Sequence[int] = range(256)) -> None:
    """Fit the toRGB of every size but the full one to the full pictures of `seeds`, reduced by means of squares.

    A toRGB is left alone once its size is done, while the layers before it learn on; so a full-grown network shows its
    smaller sizes in colours that nobody taught it. Least squares over all pixels of all seeds (truncation 1, the
    network's own noise, class 0) mends that in place; pictures of the full size stay the same to the bit. Raises
    SettingError for a network that does not grow.
    """
    synthesis = generator.synthesis
    if not isinstance(synthesis, stylegan.Synthesis):
        raise SettingError("generator", generator.arch, "stylegan, whose smaller sizes have a toRGB each")
    levels = range(len(synthesis.blocks) - 1)
    seen: dict[int, Tensor] = {}

    def keep(level: int) -> torch.utils.hooks.RemovableHandle:
        return synthesis.blocks[level].register_forward_hook(lambda _m, _i, y: seen.__setitem__(level, y))

    hooks = [keep(level) for level in levels]
    sums = {level: (_zeros(level, synthesis), _zeros(level, synthesis, generator.channels)) for level in levels}
    try:
        for first in range(0, len(seeds), _BATCH):
            z = seeds_to_z(list(seeds[first : first + _BATCH]), generator.z_dim).to(generator.w_avg.device)
            img = synthesis(generator.truncate(generator.mapping(z), psi=1.0))
            for level, (squares, products) in sums.items():
                features = _rows(seen[level])
                factor = img.shape[2] // seen[level].shape[2]
                squares += features.T @ features
                products += features.T @ _rows(F.avg_pool2d(img, factor))[:, :-1]
    finally:
        for hook in hooks:
            hook.remove()
    for level, (squares, products) in sums.items():
        ridge = _RIDGE * squares.diagonal().mean() * torch.eye(len(squares), dtype=squares.dtype)
        solved = torch.linalg.solve(squares + ridge, products)
        torgb = cast(Conv, synthesis.torgb[level])
        assert torgb.bias is not None
        # An equalised layer multiplies its weight by 1 / sqrt(inputs).
        torgb.weight.copy_((solved[:-1] * (len(solved) - 1) ** 0.5).T[:, :, None, None])
        torgb.bias.copy_(solved[-1])


def _rows(x: Tensor) -> Tensor:
    """[N, C, H, W] as one row a pixel with a one behind it, float64 on the CPU: [N H W, C + 1]."""
    rows = x.cpu().double().permute(0, 2, 3, 1).flatten(0, 2)
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1)


def _zeros(level: int, synthesis: stylegan.Synthesis, columns: int | None = None) -> Tensor:
    width = synthesis.config.filters[level] + 1
    return torch.zeros(width, columns or width, dtype=torch.float64)
