"""The networks of a training, their optimizers, and what they cost."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import core
from core.errors import SettingError
from train.config import Config
from train.init import start_from
from train.schedule import Adam, lazy_adam, stream

__all__ = ["Networks", "adam_tensors", "bare", "build", "restore_adam", "trained"]


@dataclass
class Networks:
    """Generator, its moving average, discriminator, and one optimizer each."""

    g: core.Generator
    g_ema: core.Generator
    d: core.Discriminator
    g_adam: torch.optim.Adam
    d_adam: torch.optim.Adam


def build(
    config: Config,
    *,
    size: tuple[int, int],
    channels: int,
    classes: int = 0,
    device: torch.device,
    init: core.Opened | None = None,
) -> Networks:
    """Fresh networks from the run's seed, or those of `init`. Raises SettingError."""
    g, d = bare(config, size=size, channels=channels, classes=classes)
    g_ema = copy.deepcopy(g).requires_grad_(False).eval()
    if init is not None:
        start_from(init, g=g, g_ema=g_ema, d=d)
    freeze(d, config.freeze_d)
    for network in (g, g_ema, d):
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    betas = (config.beta1, config.beta2)
    return Networks(
        g=g,
        g_ema=g_ema,
        d=d,
        g_adam=_adam(g, lazy_adam(config.g_lr, betas, every=config.path_every if config.path_weight else None)),
        d_adam=_adam(d, lazy_adam(config.d_lr, betas, every=config.r1_every)),
    )


def bare(
    config: Config, *, size: tuple[int, int], channels: int, classes: int = 0
) -> tuple[core.Generator, core.Discriminator]:
    """A generator and a discriminator, on the CPU, from the run's seed."""
    torch.manual_seed(stream(config.seed, "networks"))
    filters, start = config.filters_for(size), config.start_for(size)
    g = core.build_generator(
        core.GeneratorConfig(
            size=size,
            start=start,
            filters=filters,
            channels=channels,
            z_dim=config.z_dim,
            w_dim=config.w_dim,
            num_classes=classes,
            mapping_layers=config.mapping_layers,
            mapping_lr=config.mapping_lr,
            architecture=config.g_architecture,
            resample_filter=config.taps(),
        )
    )
    d = core.build_discriminator(
        core.DiscriminatorConfig(
            size=size,
            start=start,
            filters=filters,
            channels=channels,
            num_classes=classes,
            architecture=config.d_architecture,
            resample_filter=config.taps(),
            group_size=config.group,
            mapping_layers=config.mapping_layers,
            mapping_lr=config.mapping_lr,
        )
    )
    return g, d


def freeze(d: core.Discriminator, levels: int) -> None:
    """Leave the `levels` finest levels of a discriminator as they are (Freeze-D, Mo et al. 2020). Raises SettingError.

    They are the layers next to the picture, whose features fit other pictures too; the rest learns what is new.
    """
    if levels > len(d.blocks):
        raise SettingError("freeze_d", levels, f"at most {len(d.blocks)}, the levels that halve the picture")
    for block in d.blocks[:levels]:
        block.requires_grad_(False)


def _adam(network: nn.Module, adam: Adam) -> torch.optim.Adam:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(learning, lr=adam.lr, betas=adam.betas, eps=adam.eps, fused=True)


def trained(adam: torch.optim.Adam) -> list[nn.Parameter]:
    """The parameters that an optimizer moves."""
    return [parameter for group in adam.param_groups for parameter in group["params"]]


def adam_tensors(adam: torch.optim.Adam, network: nn.Module) -> dict[str, Tensor]:
    """What an optimizer remembers, by parameter name; empty before its first step."""
    found = {}
    for name, parameter in network.named_parameters():
        for key, value in adam.state.get(parameter, {}).items():
            found[f"{name}:{key}"] = value
    return found


def restore_adam(adam: torch.optim.Adam, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put back what `adam_tensors` gave, each tensor laid out in memory like its parameter."""
    named, moved = dict(network.named_parameters()), set(trained(adam))
    for key, value in tensors.items():
        name, _, what = key.rpartition(":")
        parameter = named[name]
        if parameter not in moved:  # frozen since
            continue
        # Fused Adam walks through parameter and moments side by side, so they must be laid out alike.
        like = torch.empty_like(parameter) if what != "step" else torch.empty_like(value, device=parameter.device)
        adam.state[parameter][what] = like.copy_(value)
