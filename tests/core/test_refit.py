"""toRGB of smaller sizes, fitted to the finished pictures."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import core
from core.errors import SettingError
from core.refit import refit_torgb
from tests.core.test_stylegan import SIZES, generator


@torch.no_grad()
def test_smaller_sizes_become_the_finished_picture_reduced() -> None:
    g = generator()
    ws = g.truncate(g.mapping(core.latents.seeds_to_z(range(8), g.z_dim)), psi=1.0)
    full = g.synthesis(ws)

    def errors() -> list[float]:
        reduced = [F.avg_pool2d(full, full.shape[2] // height) for height, _ in SIZES[:-1]]
        return [float((g.synthesis(ws, size=s) - r).square().mean()) for s, r in zip(SIZES, reduced, strict=False)]

    before = errors()
    refit_torgb(g, range(8))
    assert torch.equal(g.synthesis(ws), full)
    after = errors()
    # Least squares: no other toRGB is nearer, the one of before and a shifted one among them.
    assert all(a < b for a, b in zip(after, before, strict=True))
    g.synthesis.torgb[0].bias += 0.01
    assert errors()[0] > after[0]


def test_a_network_that_does_not_grow_is_refused() -> None:
    g = core.build_generator(core.GeneratorConfig((16, 16), (4, 4, 4), z_dim=4, w_dim=4, mapping_layers=1))
    with pytest.raises(SettingError, match="stylegan2"):
        refit_torgb(g)
