"""Names and attributes of NVIDIA's StyleGAN2 layers -> our configurations and tensors. The scales are the same."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from core import stylegan2
from core.foreign.filling import Blank, Piece, Plan, Tensors, blank, configured, refuse, two_filters
from core.foreign.inert import plain
from core.foreign.nvidia_flat import Network
from core.foreign.taps import taps_of
from core.generator import Generator

__all__ = [
    "DEFAULT_FILTER",
    "discriminator",
    "generator",
    "named_discriminator",
    "named_generator",
    "planned_discriminator",
    "planned_generator",
]

DEFAULT_FILTER = (1, 3, 3, 1)  # of layers that were given none, and of those that never apply theirs
_MOST_LAYERS = 64
_FINEST = 1 << 13
_ROOT2, _ROOT_HALF = math.sqrt(2), math.sqrt(0.5)
# Filters: those that are applied were compared with the configuration. Every layer has one, most do not use it.
_IGNORED = re.compile(r"(.*\.)?resample_filter")


class Layers:
    """What the layers of one network say of themselves, gathered so that all of them can agree."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.tensors = Tensors(network.source, network.label, network.tensors)

    def expect(self, layer: str, **values: Any) -> None:
        """Raise CheckpointError where an attribute that is there is not what our layer does."""
        for key, wanted in values.items():
            found = self.network.attribute(layer, key, wanted)
            number = type(found) in (int, float) and type(wanted) in (int, float)
            if found != wanted and not (number and math.isclose(found, wanted, rel_tol=1e-5)):
                name = layer or "the whole"
                raise refuse(self.tensors, [f"{name} has {key} {_said(found)} where {_said(wanted)} is known"])

    def agree(self, architecture: str) -> None:
        """Raise CheckpointError where a table's settings say what our layers do not do; in a pickle, layers do."""
        if not self.network.bare:
            return
        for settings in self.network.inner_settings():
            for key, wanted in (("architecture", architecture), ("activation", "lrelu")):
                found = settings.get(key, wanted)
                if found != wanted:
                    raise refuse(self.tensors, [f"the settings say {key} {_said(found)} where {wanted} is known"])

    def one(self, what: str, found: dict[str, Any]) -> Any:
        """The value on which all agree."""
        values = list(found.values())
        if any(type(v) is bool or not isinstance(v, int | float | None) for v in values):
            raise refuse(self.tensors, [f"{what} is no number"])
        other = [name for name, value in found.items() if value != values[0]]
        if other:
            raise refuse(self.tensors, [f"{other[0]} has another {what} than {next(iter(found))}"])
        return values[0] if values else None

    def clamp(self, layers: list[str], default: Any) -> float | None:
        """The clamp of all these layers."""
        found = self.one("conv_clamp", {one: self.network.attribute(one, "conv_clamp", default) for one in layers})
        return None if found is None else float(found)

    def filter(self, layers: list[str]) -> tuple[float, ...]:
        """The taps of all these layers and blocks, from the filters that they keep."""
        found: dict[tuple[float, ...], str] = {}
        for layer in layers:
            name = f"{layer}.resample_filter"
            stored = self.tensors.table.get(name)
            if stored is None or not 1 <= len(stored.size) <= 2 or max(stored.size) > _MOST_LAYERS:
                raise refuse(self.tensors, [f"{name} missing or no filter"])
            taps = taps_of(self.tensors.read(name), total=1.0)
            if taps is None:
                raise refuse(
                    self.tensors, [f"{name} is no outer product of a filter with itself, or does not sum to 1"]
                )
            found.setdefault(taps, name)
        if len(found) > 1:
            raise two_filters(self.tensors, *list(found.values())[:2])
        return next(iter(found), DEFAULT_FILTER)

    def fully_connected(self, layer: str, *, activation: str, default_lr: float = 1.0) -> float:
        """Check a fully connected layer; return its lr."""
        inputs = self.tensors.size(f"{layer}.weight", 2)[1]
        lr = self.network.attribute(layer, "bias_gain", default_lr)
        if type(lr) not in (int, float) or not 0 < lr < 1e6:
            raise refuse(self.tensors, [f"{layer} has no learning rate multiplier"])
        self.expect(layer, activation=activation, weight_gain=lr / math.sqrt(max(1, inputs)))
        return float(lr)

    def mapping(self) -> dict[str, Any]:
        """Settings of the mapping network: layers, lr, classes, and widths where they are not the usual ones."""
        tensors, network = self.tensors, self.network
        layers = min(tensors.count("mapping.fc{}.weight"), _MOST_LAYERS)
        default = network.settings("mapping").get("lr_multiplier", 0.01)
        rates = {
            f"mapping.fc{k}": self.fully_connected(f"mapping.fc{k}", activation="lrelu", default_lr=default)
            for k in range(layers)
        }
        found: dict[str, Any] = {"mapping_layers": layers, "num_classes": 0}
        if layers:
            found["mapping_lr"] = self.one("lr_multiplier", rates)
        if "mapping.embed.weight" in tensors:
            found["embed_dim"], found["num_classes"] = tensors.size("mapping.embed.weight", 2)
            self.fully_connected("mapping.embed", activation="linear")
            self.expect("mapping.embed", bias_gain=1)
        if layers > 1:
            found["hidden_dim"] = tensors.size("mapping.fc0.weight", 2)[0]
        return found


def _name_mapping(plan: Plan, config: stylegan2.GeneratorConfig | stylegan2.DiscriminatorConfig) -> None:
    for k in range(config.mapping_layers):
        _pair(plan, f"mapping.layers.{k}", f"mapping.fc{k}")
    if config.num_classes:
        _pair(plan, "mapping.embed", "mapping.embed")


def _pair(plan: Plan, ours: str, theirs: str, *, bias: bool = True) -> None:
    plan[f"{ours}.weight"] = Piece(f"{theirs}.weight")
    if bias:
        plan[f"{ours}.bias"] = Piece(f"{theirs}.bias")


def _sides(tensors: Tensors, before: str) -> list[int]:
    """The sides of the blocks in a network, 4 to the finest, doubled each time."""
    sides = [4]
    while sides[-1] < _FINEST and any(name.startswith(f"{before}b{2 * sides[-1]}.") for name in tensors.table):
        sides.append(2 * sides[-1])
    return sides


def _usual(found: dict[str, Any], width: int) -> dict[str, Any]:
    """Widths of the mapping that are the usual ones are left out of a configuration."""
    return {k: v for k, v in found.items() if k not in ("embed_dim", "hidden_dim") or v != width}


def generator(network: Network) -> Blank:
    """A generator as ours. Raises CheckpointError."""
    config, plan = planned_generator(network)
    estimated = not isinstance(plan["mapping.w_avg"], Piece)
    tensors = Tensors(network.source, network.label, network.tensors)
    return blank(Generator, config, tensors, plan, _IGNORED, estimated=estimated)


def planned_generator(network: Network) -> tuple[stylegan2.GeneratorConfig, Plan]:
    """What would be built of a generator, and from which of its tensors. Raises CheckpointError."""
    layers, tensors = Layers(network), Tensors(network.source, network.label, network.tensors)
    sides = _sides(tensors, "synthesis.")
    finest = sides[-1]
    blocks = [f"synthesis.b{side}" for side in sides]
    skips = [f"{block}.skip" for block in blocks if f"{block}.skip.weight" in tensors]
    rgbs = [f"{block}.torgb" for block in blocks if f"{block}.torgb.weight" in tensors]
    convs = [f"{block}.conv{j}" for block in blocks for j in (0, 1) if (block, j) != (blocks[0], 0)]
    architecture = "resnet" if skips else "skip" if f"{blocks[0]}.torgb.weight" in tensors else "orig"
    _check_generator(layers, blocks, architecture, rgbs)
    doubling = [name for name in convs if name.endswith("conv0")] + skips
    if architecture == "skip":
        doubling += blocks[1:]
    mapping = layers.mapping()
    # What lacks at the end of a row of tensors shows only here.
    layers.expect("mapping", num_layers=mapping["mapping_layers"])
    layers.expect("", img_resolution=finest, c_dim=mapping["num_classes"])
    layers.agree(architecture)
    w_dim = tensors.size(f"{blocks[0]}.conv1.affine.weight", 2)[1]
    embedded = mapping.get("embed_dim", 0)
    entry = tensors.size("mapping.fc0.weight", 2)[1] if mapping["mapping_layers"] else w_dim
    config = configured(
        network.source.path,
        stylegan2.GeneratorConfig,
        size=(finest, finest),
        filters=tuple(tensors.size(f"{block}.conv1.weight", 4)[0] for block in blocks),
        channels=tensors.size(f"{blocks[-1]}.torgb.weight", 4)[0],
        z_dim=entry - embedded,
        w_dim=w_dim,
        architecture=architecture,
        resample_filter=layers.filter(doubling),
        conv_clamp=layers.clamp(convs + rgbs, _default_clamp(network)),
        use_noise=f"{blocks[0]}.conv1.noise_const" in tensors,
        **_usual(mapping, w_dim),
    )
    network_z = network.attribute("", "z_dim", config.z_dim)
    if network_z != config.z_dim:
        raise refuse(tensors, ["mapping.fc0.weight does not take z of the width that z_dim says"])
    plan = named_generator(config)
    if "mapping.w_avg" not in tensors:
        plan["mapping.w_avg"] = torch.zeros(w_dim)
    return config, plan


def named_generator(config: stylegan2.GeneratorConfig) -> Plan:
    """Which tensor of theirs is which of ours, in a generator of this configuration."""
    plan: Plan = {"mapping.w_avg": Piece("mapping.w_avg")}
    _name_mapping(plan, config)
    last = len(config.filters) - 1
    for level, (side, _) in enumerate(config.level_sizes):
        ours, theirs = f"synthesis.blocks.{level}", f"synthesis.b{side}"
        if not level:
            plan[f"{ours}.const"] = Piece(f"{theirs}.const")
        for j in (0, 1) if level else (1,):
            _styled(plan, f"{ours}.conv{j}", f"{theirs}.conv{j}", noise=config.use_noise)
        if config.architecture == "skip" or level == last:
            _styled(plan, f"{ours}.torgb", f"{theirs}.torgb", noise=False)
        if config.architecture == "resnet" and level:
            _pair(plan, f"{ours}.skip", f"{theirs}.skip", bias=False)
    return plan


def _default_clamp(network: Network) -> Any:
    """The clamp that a generator was made with; the stylegan3 repository says it at the top and has another default."""
    settings = network.settings()
    inner = settings.get("synthesis_kwargs")
    if isinstance(inner, dict):
        return inner.get("conv_clamp")
    return settings.get("conv_clamp", 256 if network.later else None)


def _styled(plan: Plan, ours: str, theirs: str, *, noise: bool) -> None:
    plan[f"{ours}.conv.weight"] = Piece(f"{theirs}.weight")
    _pair(plan, f"{ours}.conv.affine", f"{theirs}.affine")
    plan[f"{ours}.bias"] = Piece(f"{theirs}.bias")
    if noise:
        plan[f"{ours}.strength"] = Piece(f"{theirs}.noise_strength")
        plan[f"{ours}.noise"] = Piece(f"{theirs}.noise_const")


def _check_generator(layers: Layers, blocks: list[str], architecture: str, rgbs: list[str]) -> None:
    """What the layers of a generator say of themselves is what ours do."""
    noise = f"{blocks[0]}.conv1.noise_const" in layers.tensors
    for level, block in enumerate(blocks):
        layers.expect(block, architecture=architecture, is_last=level == len(blocks) - 1)
        for j in (0, 1) if level else (1,):
            layer = f"{block}.conv{j}"
            layers.expect(layer, activation="lrelu", up=2 - j, use_noise=noise, act_gain=_ROOT2)
            layers.fully_connected(f"{layer}.affine", activation="linear")
            layers.expect(f"{layer}.affine", bias_gain=1)
        if architecture == "resnet" and level:
            layers.expect(f"{block}.skip", activation="linear", up=2, down=1, conv_clamp=None)
    for layer in rgbs:
        layers.fully_connected(f"{layer}.affine", activation="linear")
        inputs = layers.tensors.size(f"{layer}.weight", 4)[1]
        layers.expect(layer, weight_gain=1 / math.sqrt(max(1, inputs)))
        layers.expect(f"{layer}.affine", bias_gain=1)


def discriminator(network: Network) -> Blank:
    """A discriminator as ours. Raises CheckpointError."""
    config, plan = planned_discriminator(network)
    tensors = Tensors(network.source, network.label, network.tensors)
    return blank(stylegan2.Discriminator, config, tensors, plan, _IGNORED)


def planned_discriminator(network: Network) -> tuple[stylegan2.DiscriminatorConfig, Plan]:
    """What would be built of a discriminator, and from which of its tensors. Raises CheckpointError."""
    layers, tensors = Layers(network), Tensors(network.source, network.label, network.tensors)
    sides = _sides(tensors, "")
    blocks = [f"b{side}" for side in sides]
    skips = [f"{block}.skip" for block in blocks if f"{block}.skip.weight" in tensors]
    rgbs = [f"{block}.fromrgb" for block in blocks if f"{block}.fromrgb.weight" in tensors]
    architecture = "resnet" if skips else "skip" if "b4.fromrgb.weight" in tensors else "orig"
    convs = [f"{block}.conv{j}" for block in blocks[1:] for j in (0, 1)]
    for block in blocks[1:]:
        layers.expect(block, architecture=architecture)
    _expect_critic(layers, (*convs, *rgbs, "b4.conv"), skips)
    halving = [name for name in convs if name.endswith("conv1")] + skips
    if architecture == "skip":
        halving += blocks[1:]
    clamped = [*convs, "b4.conv", *(layer for layer in rgbs if layer != "b4.fromrgb")]
    mapping = layers.mapping()
    layers.expect("", img_resolution=sides[-1], c_dim=mapping["num_classes"])
    if mapping["num_classes"]:
        layers.expect("mapping", num_layers=mapping["mapping_layers"])
    layers.agree(architecture)
    width = tensors.size("b4.conv.weight", 4)[0]
    map_dim = tensors.size("b4.out.weight", 2)[0] if mapping["num_classes"] else None
    std = "b4.mbstd" in network.modules
    config = configured(
        network.source.path,
        stylegan2.DiscriminatorConfig,
        size=(sides[-1], sides[-1]),
        filters=(width, *(tensors.size(f"{block}.conv0.weight", 4)[0] for block in blocks[1:])),
        channels=tensors.size(f"{blocks[-1]}.fromrgb.weight", 4)[1],
        architecture=architecture,
        resample_filter=layers.filter(halving),
        conv_clamp=layers.clamp(clamped, network.settings().get("conv_clamp")),
        group_size=_whole(layers, "group_size", 4, whole_batch=True) if std else 4,
        std_channels=_whole(layers, "num_channels", 1) if std else 0,
        map_dim=None if map_dim == width else map_dim,
        **(_usual(mapping, map_dim or 0) if mapping["num_classes"] else {}),
    )
    return config, named_discriminator(config)


def _expect_critic(layers: Layers, convs: Sequence[str], skips: Sequence[str]) -> None:
    """Raise CheckpointError where a discriminator's layers say that they do something else than ours."""
    for layer in convs:
        layers.expect(layer, activation="lrelu", up=1, down=2 if layer.endswith("conv1") else 1, act_gain=_ROOT2)
    for layer in skips:
        layers.expect(layer, activation="linear", up=1, down=2, conv_clamp=None)
    layers.expect("b4.fromrgb", conv_clamp=None)
    layers.fully_connected("b4.fc", activation="lrelu")
    layers.fully_connected("b4.out", activation="linear")


def named_discriminator(config: stylegan2.DiscriminatorConfig) -> Plan:
    """Which tensor of theirs is which of ours, in a discriminator of this configuration."""
    plan: Plan = {}
    if config.num_classes:
        _name_mapping(plan, config)
    for index, (side, _) in enumerate(reversed(config.level_sizes[1:])):
        if not index or config.architecture == "skip":
            _pair(plan, f"blocks.{index}.fromrgb", f"b{side}.fromrgb")
        for part in ("conv0", "conv1"):
            _pair(plan, f"blocks.{index}.{part}", f"b{side}.{part}")
        if config.architecture == "resnet":
            _pair(plan, f"blocks.{index}.skip", f"b{side}.skip", bias=False)
    if config.architecture == "skip":
        _pair(plan, "epilogue.fromrgb", "b4.fromrgb")
    for ours, theirs in (("conv", "conv"), ("linear", "fc"), ("out", "out")):
        _pair(plan, f"epilogue.{ours}", f"b4.{theirs}")
    return plan


def _said(value: Any) -> str:
    """A value of an attribute in few characters, however large it is."""
    return str(plain(value, most=4))[:20]


def _whole(layers: Layers, key: str, default: int, *, whole_batch: bool = False) -> int | None:
    """A whole number that the minibatch deviation says of itself, or None where that may stand for the whole batch."""
    found = layers.network.attribute("b4.mbstd", key, default)
    if whole_batch and found is None:
        return None
    if type(found) is not int or not 0 < found <= 1 << 14:
        raise refuse(layers.tensors, [f"b4.mbstd has {key} {_said(found)}"])
    return found
