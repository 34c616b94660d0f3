"""Beginning with another network: gray from RGB and back, and layers that are left as they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import core
from core.errors import SettingError
from core.frame import Frame
from train.config import Config
from train.data import Phantoms
from train.loop import Trainer
from train.networks import Networks, build

LUMA = torch.tensor([0.299, 0.587, 0.114])
TOY = {"data": "phantoms", "channel_base": 64, "channel_max": 8, "z_dim": 8, "w_dim": 8, "mapping_layers": 1}


def networks(channels: int, *, seed: int = 0, init: core.Opened | None = None, **more: object) -> Networks:
    config = Config.read({**TOY, "seed": seed, **more, **({"init": "file"} if init else {})})
    return build(config, size=(16, 16), channels=channels, device=torch.device("cpu"), init=init)


def opened(made: Networks) -> core.Opened:
    """As if read from a file, with something in every bias."""
    with torch.no_grad():
        for network in (made.g, made.g_ema, made.d):
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter.add_(torch.randn_like(parameter) * 0.3)
    return core.Opened(made.g_ema, made.d, {}, Path("file"), made.g)


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_gray_from_rgb_is_the_gray_of_theirs(architecture: str) -> None:
    shape = {"g_architecture": architecture, "d_architecture": architecture}
    theirs = opened(networks(3, **shape))
    ours = networks(1, seed=1, init=theirs, **shape)
    ws = torch.randn(4, theirs.generator.num_ws, 8)
    for mine, other in ((ours.g_ema, theirs.generator), (ours.g, theirs.live)):
        rgb = other.synthesis(ws)  # type: ignore[union-attr]
        torch.testing.assert_close(mine.synthesis(ws), (rgb * LUMA[:, None, None]).sum(1, keepdim=True))
    gray = torch.rand(4, 1, 16, 16) * 2 - 1
    torch.testing.assert_close(ours.d(gray), theirs.discriminator(gray.expand(-1, 3, -1, -1)))  # type: ignore[misc]


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_rgb_from_gray_is_theirs_three_times(architecture: str) -> None:
    shape = {"g_architecture": architecture, "d_architecture": architecture}
    theirs = opened(networks(1, **shape))
    ours = networks(3, seed=1, init=theirs, **shape)
    ws = torch.randn(4, theirs.generator.num_ws, 8)
    torch.testing.assert_close(ours.g_ema.synthesis(ws), theirs.generator.synthesis(ws).expand(-1, 3, -1, -1))
    rgb = torch.rand(4, 3, 16, 16) * 2 - 1
    luma = (rgb * LUMA[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(ours.d(rgb), theirs.discriminator(luma))  # type: ignore[misc]


def test_a_discriminator_without_classes_has_no_mapping_to_differ_in() -> None:
    theirs = opened(networks(1))
    config = dataclasses.replace(theirs.discriminator.config, mapping_layers=8)  # type: ignore[union-attr]
    old = core.build_discriminator(config)
    old.load_state_dict(theirs.discriminator.state_dict())  # type: ignore[union-attr]
    ours = networks(1, seed=1, init=dataclasses.replace(theirs, discriminator=old))
    gray = torch.rand(4, 1, 16, 16) * 2 - 1
    torch.testing.assert_close(ours.d(gray), old(gray))


def test_frozen_levels_stay_and_the_others_learn() -> None:
    theirs = opened(networks(1))
    ours = networks(1, init=theirs, freeze_d=1)
    moved = {id(p) for group in ours.d_adam.param_groups for p in group["params"]}
    still = {name for name, parameter in ours.d.named_parameters() if id(parameter) not in moved}
    assert still and all(name.startswith("blocks.0.") for name in still) and "blocks.0.fromrgb.weight" in still
    assert {name for name, parameter in ours.d.named_parameters() if not parameter.requires_grad} == still


def test_what_cannot_be_frozen() -> None:
    with pytest.raises(SettingError, match="freeze_d cannot be '1': 0 without --init"):
        networks(1, freeze_d=1)
    with pytest.raises(SettingError, match="freeze_d cannot be '3': at most 2"):
        networks(1, init=opened(networks(1)), freeze_d=3)


def test_a_step_leaves_frozen_levels_alone() -> None:
    frame = Frame.of((16, 16), size=(16, 16), fit="native")
    config = Config.read({**TOY, "init": "file", "freeze_d": 1, "batch": 4, "r1_every": 1})
    made = networks(1, init=opened(networks(1)), freeze_d=1)
    trainer = Trainer(config, made, Phantoms(frame=frame, channels=1), device=torch.device("cpu"))
    before = {name: value.clone() for name, value in made.d.state_dict().items()}
    trainer.step()
    same = {name for name, value in made.d.state_dict().items() if torch.equal(value, before[name])}
    assert same == {name for name in before if name.startswith("blocks.0.")}
