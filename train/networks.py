"""The networks of a training, their optimizers, and what they cost."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import core
from core.devices import laid_out
from core.errors import CheckpointError, SettingError
from core.generator import ARCHITECTURES
from core.header import configs
from train.config import Config
from train.growth import Stage
from train.init import start_from
from train.schedule import Adam, lazy_adam, stream

__all__ = [
    "Networks",
    "Reached",
    "Shapes",
    "adam_tensors",
    "bare",
    "build",
    "frozen",
    "g_adam",
    "reached",
    "restore_adam",
    "set_adam",
    "shapes_of",
    "trained",
    "under",
]

# What no setting says. A network that a run begins with, or goes on from, keeps its own.
_UNSAID = {
    "conv_clamp", "use_noise", "noise", "blur_bias", "std_channels", "rgb_activation", "widen_first", "map_dim",
    "embed_dim", "hidden_dim",
}  # fmt: skip
# What a setting says for both networks. It is the generator's: a discriminator that has another keeps its own.
_SHARED = {"resample_filter"}
_SHARED_OF_CLASSES = {"mapping_layers", "mapping_lr"}


@dataclass
class Networks:
    """Generator, its moving average, discriminator, and one optimizer each."""

    g: core.Generator
    g_ema: core.Generator
    d: core.Discriminator
    g_adam: torch.optim.Adam
    d_adam: torch.optim.Adam


@dataclass(frozen=True)
class Shapes:
    """The configurations of networks that there are already; no `d` where there is no discriminator."""

    g: core.GeneratorConfig | core.stylegan.GeneratorConfig
    d: core.DiscriminatorConfig | core.stylegan.DiscriminatorConfig | None

    def facts(self) -> dict[str, Any]:
        """As a network file has them in its header."""
        arch = next(name for name, one in ARCHITECTURES.items() if type(self.g) is one.generator)
        inside = None if self.d is None else dataclasses.asdict(self.d)
        return {"arch": arch, "config": {**dataclasses.asdict(self.g), "discriminator": inside}}

    @classmethod
    def read(cls, path: Path, facts: Any) -> Shapes:
        """What `facts` gave, after JSON. Raises CheckpointError for anything else; `path` is said to have it."""
        match facts:
            case {"arch": str(arch), "config": dict()} if arch in ARCHITECTURES:
                return cls(*configs(path, facts))
        raise CheckpointError(f"{path} does not say how its networks are built; begin a new run with --init")


def shapes_of(opened: core.Opened) -> Shapes:
    """The configurations of the networks of a file."""
    d = opened.discriminator
    return Shapes(opened.generator.config, None if d is None else d.config)


@dataclass(frozen=True)
class Reached:
    """Parameters that the losses of a size depend on; those of g_ema are the averages of those of g."""

    g: list[nn.Parameter]
    g_ema: list[nn.Parameter]
    d: list[nn.Parameter]


def build(
    config: Config,
    *,
    size: tuple[int, int],
    channels: int,
    classes: int = 0,
    device: torch.device,
    init: core.Opened | None = None,
    like: Shapes | None = None,
) -> Networks:
    """Fresh networks from the run's seed, or those of `init`; `like` is how those of a run that goes on are built.

    Raises SettingError.
    """
    like = shapes_of(init) if init is not None else like
    g, d = bare(config, size=size, channels=channels, classes=classes, like=like)
    g_ema = copy.deepcopy(g).requires_grad_(False).eval()
    if init is not None:
        start_from(init, g=g, g_ema=g_ema, d=d)
        _check_frozen(config.freeze_d, ours=d, theirs=init.discriminator)
    freeze(d, config.freeze_d)
    for network in (g, g_ema, d):
        laid_out(network, device)
    betas = (config.beta1, config.beta2)
    return Networks(
        g=g,
        g_ema=g_ema,
        d=d,
        g_adam=_adam(g, g_adam(config)),
        d_adam=_adam(d, lazy_adam(config.d_lr, betas, every=None if config.wasserstein else config.r1_every)),
    )


def bare(
    config: Config, *, size: tuple[int, int], channels: int, classes: int = 0, like: Shapes | None = None
) -> tuple[core.Generator, core.Discriminator]:
    """A generator and a discriminator, on the CPU, from the run's seed.

    What no setting says, such as where a network is clamped, they have from `like`. Raises SettingError.
    """
    torch.manual_seed(stream(config.seed, "networks"))
    both: dict[str, Any] = {
        "size": size,
        "start": config.start_for(size),
        "filters": config.filters_for(size),
        "channels": channels,
        "num_classes": classes,
        "mapping_layers": config.mapping_layers,
        "mapping_lr": config.mapping_lr,
    }
    arch = ARCHITECTURES[config.arch]
    if config.arch == "stylegan2":
        both["resample_filter"] = config.taps()
    g = {**both, "z_dim": config.z_dim, "w_dim": config.w_dim}
    d = {**both, "group_size": config.group}
    if config.arch == "stylegan2":
        g["architecture"], d["architecture"] = config.g_architecture, config.d_architecture
    if like is not None and type(like.g) is arch.generator:
        g |= _kept(like.g, _UNSAID)
        if like.d is not None:
            d |= _own_of(like.d, both)
    return core.build_generator(arch.generator(**g)), core.build_discriminator(arch.discriminator(**d))


def _kept(config: Any, names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(config).items() if name in names}


def _own_of(theirs: Any, both: Mapping[str, Any]) -> dict[str, Any]:
    """What a discriminator keeps of its own: what no setting says, and where it is not built as its generator is."""
    classes = _SHARED_OF_CLASSES if theirs.num_classes and both["num_classes"] else set()
    # A finer level than it has is one of the run's settings.
    filters = (*theirs.filters, *both["filters"][len(theirs.filters) :])[: len(both["filters"])]
    return {**_kept(theirs, _UNSAID | _SHARED | classes), "filters": filters}


def freeze(d: core.Discriminator, levels: int) -> None:
    """Leave the `levels` finest levels of a discriminator as they are (Freeze-D, Mo et al. 2020). Raises SettingError.

    They are the layers next to the picture, whose features fit other pictures too; the rest learns what is new.
    """
    if levels > len(d.blocks):
        raise SettingError("freeze_d", levels, f"at most {len(d.blocks)}, the levels that halve the picture")
    for block in d.blocks[:levels]:
        block.requires_grad_(False)
    if isinstance(d, core.stylegan.Discriminator):
        for fromrgb in d.fromrgb[len(d.fromrgb) - levels :]:
            fromrgb.requires_grad_(False)


def _check_frozen(levels: int, *, ours: core.Discriminator, theirs: core.Discriminator | None) -> None:
    """Raise SettingError where levels would be frozen that begin at random."""
    fresh = len(ours.blocks) - (0 if theirs is None else len(theirs.blocks))
    if levels and (fresh or theirs is None):
        raise SettingError(
            "freeze_d", levels, "0 where --init has no such levels: those that begin at random would never learn"
        )


def g_adam(config: Config) -> Adam:
    """How the generator learns beside a discriminator."""
    betas = (config.beta1, config.beta2)
    return lazy_adam(config.g_lr, betas, every=config.path_every if config.path_weight else None)


def set_adam(optimizer: torch.optim.Adam, adam: Adam, *, forget: bool = False) -> None:
    """Let an optimizer go on with other settings; `forget` what it remembers."""
    for group in optimizer.param_groups:
        group.update(lr=adam.lr, betas=adam.betas)
    if forget:
        optimizer.state.clear()


def _adam(network: nn.Module, adam: Adam) -> torch.optim.Adam:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.Adam(learning, lr=adam.lr, betas=adam.betas, eps=adam.eps, fused=True)


def reached(networks: Networks, stage: Stage) -> Reached:
    """The parameters that learn at a stage: all that are not frozen, where nothing grows; all of G in a head start."""
    g, g_ema, d = networks.g, networks.g_ema, networks.d
    if stage.ahead:
        return Reached(list(g.parameters()), list(g_ema.parameters()), [])
    learning = trained(networks.d_adam)
    if not isinstance(d, core.stylegan.Discriminator):
        return Reached(list(g.parameters()), list(g_ema.parameters()), learning)
    moved = set(learning)
    mine, average = (_of_generator(one, stage) for one in (g, g_ema))
    return Reached(mine, average, [p for p in d.reached(stage.level, fading=stage.fading) if p in moved])


def _of_generator(g: core.Generator, stage: Stage) -> list[nn.Parameter]:
    assert isinstance(g.synthesis, core.stylegan.Synthesis)
    return [*g.mapping.parameters(), *g.synthesis.reached(stage.level, fading=stage.fading)]


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


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix` and a dot, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the weights of a network that only passes them on."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
