"""rosinality's StyleGAN files, opened from the original files: every array of the reference, both formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core import stylegan
from tests.core.test_stylegan_reference import (  # noqa: F401 - collected again, with the fixtures below
    FILTERS,
    FOLDER,
    close,
    reference,
    test_layers,
    test_logits,
    test_mapping_and_average,
    test_noise_truncation_and_mixing,
    test_pictures,
    test_r1,
    test_single_and_smallest_logits,
)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="shared/interop is not here")
BOTH = ["train_step-5.model", "ema.model"]


@pytest.fixture(scope="module", params=BOTH)
def generator(request: pytest.FixtureRequest, reference: dict[str, np.ndarray]) -> core.Generator:  # noqa: F811
    g = core.load(FOLDER / request.param).generator
    g.mapping.w_avg = torch.from_numpy(reference["mean_style"][0])  # the file has none; theirs is of 256 z
    return g


@pytest.fixture(scope="module")
def discriminator() -> stylegan.Discriminator:
    d = core.load(FOLDER / BOTH[0]).discriminator
    assert isinstance(d, stylegan.Discriminator)
    return d


@pytest.mark.parametrize("name", BOTH)
def test_what_comes_along(name: str, tmp_path: Path) -> None:
    opened = core.load(FOLDER / name)
    assert (opened.discriminator is not None, opened.live is not None) == (name == BOTH[0],) * 2
    assert opened.generator.config.filters == FILTERS and opened.generator.arch == "stylegan"
    assert opened.about["provenance"]["source"] == name and len(opened.about["provenance"]["sha256"]) == 64
    assert "w_avg" in opened.about["provenance"]["notes"][0] and opened.crop == (0, 0, 64, 64)
    if opened.live is not None:  # other weights than their moving average
        assert not torch.equal(opened.live.synthesis.torgb[0].weight, opened.generator.synthesis.torgb[0].weight)
    alone = core.load(FOLDER / name, generator_only=True)
    assert alone.discriminator is None and alone.live is None
    core.save(tmp_path / "ours.safetensors", opened.generator, opened.discriminator, opened.about, live=opened.live)
    again = core.load(tmp_path / "ours.safetensors")
    assert again.about == opened.about
    ws = torch.ones(1, opened.generator.num_ws, 40)
    assert torch.equal(again.generator.synthesis(ws), opened.generator.synthesis(ws))


def test_the_average_is_estimated_alike() -> None:
    one, other = (core.load(FOLDER / name).generator for name in BOTH)
    assert torch.equal(one.w_avg, other.w_avg)
    z = torch.randn(20_000, 40, generator=torch.Generator().manual_seed(1))
    w = one.mapping(z)
    assert ((one.w_avg - w.mean(0)).abs() < 6 * w.std(0) * (1e-4 + 5e-5) ** 0.5).all()
