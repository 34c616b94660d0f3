"""StyleGAN2 networks of two programs, opened from the original files: every array of the references."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch

import core
from core.stylegan2 import Discriminator
from tests.core import test_interop
from tests.core.test_interop import (  # noqa: F401 - collected again, for networks that were opened from their files
    labels,
    repeated,
    test_discriminator,
    test_gradient_penalty,
    test_layers,
    test_mapping,
    test_mixing_and_rows,
    test_path_length_gradient,
    test_pictures,
    test_truncation,
    test_truncation_rosinality,
)
from tests.interop import FOLDER, close, needs_interop, reference

pytestmark = needs_interop
FILES = {"skip": "network.pkl", "residual": "network.pkl", "rosinality": "checkpoint_train.pt"}


@cache
def opened(name: str, file: str = "") -> core.Opened:
    return core.load(FOLDER / name / (file or FILES[name]))


@pytest.fixture(autouse=True)
def from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of our networks with their weights look at those that were opened instead."""

    @cache
    def networks(name: str) -> tuple[core.Generator, Discriminator | None]:
        found = opened(name)
        if name == "rosinality":  # the training file has no w_avg; its picture tests know the other file's
            found.generator.mapping.w_avg = opened(name, "checkpoint_converted.pt").generator.w_avg
        return found.generator, found.discriminator  # type: ignore[return-value]

    monkeypatch.setattr(test_interop, "networks", networks)


@torch.no_grad()
def test_the_generator_alone() -> None:
    found = opened("rosinality", "checkpoint_converted.pt")
    r = reference("rosinality")
    assert found.discriminator is None and found.live is None and found.about["provenance"]["notes"] == []
    close(found.generator.w_avg, r["latent_avg"])
    close(found.generator.synthesis(repeated(r["w"][:2], found.generator)), r["image_const"])


@torch.no_grad()
def test_a_generator_in_training_comes_along() -> None:
    live = opened("skip").live
    r = reference("skip")
    assert live is not None
    ours = live(r["z"][:1], labels("skip")[:1])  # type: ignore[index]
    w = live.mapping(r["z"][:1], labels("skip")[:1])  # type: ignore[index]
    close(live.synthesis(repeated(w, live), noise="none"), r["G_raw_image_none"])
    assert ours.shape == (1, 3, 64, 64) and opened("residual").live is not None


@torch.no_grad()
def test_the_clamp_acts_where_theirs_does() -> None:
    found, r = opened("skip"), reference("skip")
    assert found.discriminator is not None and found.generator.config.conv_clamp == 256
    pair = []
    for network in (found.generator, found.discriminator):
        twin = type(network)(dataclasses.replace(network.config, conv_clamp=1.0))  # type: ignore[type-var,arg-type]
        twin.load_state_dict(network.state_dict())
        pair.append(twin.eval())
    close(pair[0].synthesis(repeated(r["w"], pair[0])[:1]), r["clamp1_image_const"])  # type: ignore[operator,arg-type]
    close(pair[1](r["image_none"], r["c"]), r["clamp1_d_batch4"].squeeze(1))


@pytest.mark.parametrize("name", FILES)
def test_what_is_said_of_it(name: str, tmp_path: Path) -> None:
    found = core.load(FOLDER / name / FILES[name])
    about = found.about
    assert about["provenance"]["source"] == FILES[name] and len(about["provenance"]["sha256"]) == 64
    assert any("w_avg" in note for note in about["provenance"]["notes"]) == (name == "rosinality")
    assert about["training"]["settings"]["path"].startswith("/data/")
    core.save(tmp_path / "ours.safetensors", found.generator, found.discriminator, about, live=found.live)
    again = core.load(tmp_path / "ours.safetensors")
    assert again.about == about and again.generator.config == found.generator.config
    for one, other in ((again.generator, found.generator), (again.discriminator, found.discriminator)):
        theirs = other.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(t, theirs[n]) for n, t in one.state_dict().items())  # type: ignore[union-attr]


def test_the_estimated_average_is_near() -> None:
    estimated = core.load(FOLDER / "rosinality" / "checkpoint_train.pt").generator
    w = estimated.mapping(torch.randn(20_000, 64, generator=torch.Generator().manual_seed(1)))
    assert ((estimated.w_avg - w.mean(0)).abs() < 6 * w.std(0) * (1e-4 + 5e-5) ** 0.5).all()
