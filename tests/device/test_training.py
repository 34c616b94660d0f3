"""A training on a GPU takes the ways that only a GPU takes, and ends in the network that the CPU makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core import runs
from tests.device.conftest import KINDS, Commands
from tests.train import make

# Regularisers in every second step, and everything that a run draws and measures.
TOY = ["--channel-base", "64", "--channel-max", "8", "--z-dim", "8", "--w-dim", "8", "--mapping-layers", "2",
       "--batch", "4", "--tick", "0.016", "--samples", "4", "--precision", "float32", "--compile", "off",
       "--threads", "1"]  # fmt: skip
LAZY = ["--path-every", "2", "--r1-every", "2"]
TRAININGS = {
    "augmented": [*LAZY, "--size", "16x12", "--augment", "ada", "--ada-kimg", "1", "--mirror", "--holdout", "0.3",
                  "--metrics", "swd,frechet_random,precision_discriminator,path_length_random,spread",
                  "--every", "0.016", "--micro-batch", "2", "--group", "2"],
    "classes": [*LAZY, "--size", "16", "--labels", "--augment", "fixed:0.5", "--channels", "3", "--grid", "4"],
    "head start": [*LAZY, "--size", "16", "--reconstruct", "0.016", "--hold", "2", "--channels", "1"],
    "grows": ["--arch", "stylegan", "--size", "16", "--grow-from", "8x8", "--fade", "0.008", "--stable", "0.008",
              "--loss", "wgan-gp"],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, commands: Commands) -> Path:
    """KIND/NAME are all trainings on all devices."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("left", "right"):
        make.folder(folder / "data" / name, count=20, kinds=("RGB",))
    for kind in ("cpu", *KINDS):
        lines = [
            ["train", "--data", folder / "data", "--out", folder / kind / name, "--kimg", "0.032", *TOY, *flags,
             "--device", kind]
            for name, flags in TRAININGS.items()
        ]  # fmt: skip
        for done in commands(lines, kind=kind):
            assert "the training goes on" not in done.said, done.said  # without what went wrong
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRAININGS)
def test_the_network_is_that_of_the_cpu(name: str, kind: str, folder: Path) -> None:
    (ours,), (other,) = (runs.checkpoints(folder / one / name) for one in (kind, "cpu"))
    tensors, expected = load_file(ours), load_file(other)
    assert tensors.keys() == expected.keys()
    # Sums in another order are all that differs: a mistake would cost whole steps of Adam, of 2e-3.
    for key, tensor in tensors.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-3, atol=1e-4, msg=f"{key} {name}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_and_the_measures_are_those_of_the_cpu(kind: str, folder: Path) -> None:
    for name in TRAININGS:
        ours, other = runs.log(folder / kind / name)[-1], runs.log(folder / "cpu" / name)[-1]
        assert ours.keys() == other.keys() and ours["loss_d"] == pytest.approx(other["loss_d"], abs=1e-3)
    ours, other = (runs.metrics(folder / one / "augmented") for one in (kind, "cpu"))
    assert len(ours) == len(other) == 2
    for one, beside in zip(ours, other, strict=True):
        for measure, figure in one["figures"].items():
            value = beside["figures"][measure]["value"]
            assert figure["value"] == pytest.approx(value, rel=0.02, abs=0.02), measure


@pytest.mark.parametrize("kind", KINDS)
def test_the_host_waits_for_no_step(kind: str, commands: Commands) -> None:
    """Steps are only handed to the device, so that it never runs out of work; a report waits for them all."""
    (done,) = commands([["tests.device.steps"]], kind=kind)
    assert json.loads(done.said.splitlines()[-1]) == {"batch": {}, "stylegan2": {}, "stylegan": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_looked_at_where_there_is_a_device(kind: str, commands: Commands) -> None:
    (done,) = commands([["pytest", "-q", "-p", "no:cacheprovider", "tests/core/test_derivatives.py"]], kind=kind)
    assert " passed" in done.said and "skipped" not in done.said, done.said
