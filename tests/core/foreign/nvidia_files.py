"""Networks of ours written the way NVIDIA's programs write theirs: layers, attributes, settings, storages."""

from __future__ import annotations

import io
import math
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import core
from core.stylegan2 import Discriminator

ROOT2 = math.sqrt(2)


class _Object:
    """Written as a call of `_reconstruct_persistent_obj`."""

    def __init__(self, kind: str, state: dict[str, Any]) -> None:
        self.meta = {
            "type": "class", "version": 6, "module_src": "import os; os._exit(1)  # " + "x" * 100, "class_name": kind,
            "state": state,
        }  # fmt: skip

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def _their_names() -> Iterator[type]:
    """While a pickle is written, modules of the names that its globals have."""
    names = ["torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util"]
    modules = {name: types.ModuleType(name) for name in names}

    def _reconstruct_persistent_obj(meta: Any) -> None: ...

    easy = type("EasyDict", (dict,), {"__module__": "dnnlib.util"})
    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    modules["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    modules["dnnlib.util"].EasyDict = easy  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        yield easy
    finally:
        for name in names:
            del sys.modules[name]


def write(path: Path, *, protocol: int = 4, **networks: Any) -> Path:
    """A pickle of a table, with the networks under their names; a table in it becomes an EasyDict."""
    with _their_names() as easy:
        table = {key: easy(value) if type(value) is dict else value for key, value in networks.items()}
        buffer = io.BytesIO()
        pickle.Pickler(buffer, protocol).dump(table)
    path.write_bytes(buffer.getvalue())
    return path


def _module(
    kind: str,
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    parts: dict[str, Any],
    settings: Any,
    **rest: Any,
) -> _Object:
    state = {
        "training": False,
        "_parameters": OrderedDict((k, nn.Parameter(v.clone())) for k, v in parameters.items()),
        "_buffers": OrderedDict((k, v.clone()) for k, v in buffers.items()),
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": OrderedDict(),
        "_modules": OrderedDict(parts),
        **rest,
        "_init_args": (),
        "_init_kwargs": settings,
    }
    return _Object(kind, state)


def _filter(taps: Any) -> Tensor:
    values = torch.tensor(taps, dtype=torch.float32)
    values = values / values.sum()
    return values if len(values) >= 8 else torch.outer(values, values)


DEFAULT = _filter((1, 3, 3, 1))


def _linear(layer: Any, *, activation: str = "linear") -> _Object:
    own = {"weight": layer.weight.detach(), "bias": layer.bias.detach()}
    gain = layer.lr / math.sqrt(layer.weight.shape[1])
    return _module("FullyConnectedLayer", own, {}, {}, {}, activation=activation, weight_gain=gain, bias_gain=layer.lr)


def _mapping(mapping: Any) -> _Object:
    parts = {} if mapping.embed is None else {"embed": _linear(mapping.embed)}
    parts |= {f"fc{k}": _linear(layer, activation="lrelu") for k, layer in enumerate(mapping.layers)}
    buffers = {"w_avg": mapping.w_avg} if mapping.z_dim else {}
    return _module("MappingNetwork", {}, buffers, parts, {}, z_dim=mapping.z_dim, w_dim=mapping.w_dim)


def generator(g: core.Generator, *, later: bool = False, average: bool = True) -> _Object:
    """As stylegan2-ada-pytorch has it; `later` as the stylegan3 repository; without `average` it has no w_avg."""
    config: Any = g.config
    own, clamp = _filter(config.resample_filter), {"conv_clamp": config.conv_clamp}
    blocks = {}
    for block in g.synthesis.blocks:
        side, parts = block.conv1.size[0], {}
        for name in ("conv0", "conv1"):
            layer = getattr(block, name, None)
            if layer is None:
                continue
            values = {"weight": layer.conv.weight.detach(), "bias": layer.bias.detach()}
            buffers = {"resample_filter": own if name == "conv0" else DEFAULT}
            if config.use_noise:
                values["noise_strength"], buffers["noise_const"] = layer.strength.detach(), layer.noise
            extra = {"in_channels": 1} if later else {}
            parts[name] = _module(
                "SynthesisLayer", values, buffers, {"affine": _linear(layer.conv.affine)}, {}, activation="lrelu",
                up=2 if name == "conv0" else 1, use_noise=config.use_noise, act_gain=ROOT2, **clamp, **extra,
            )  # fmt: skip
        if block.torgb is not None:
            values = {"weight": block.torgb.conv.weight.detach(), "bias": block.torgb.bias.detach()}
            parts["torgb"] = _module(
                "ToRGBLayer", values, {}, {"affine": _linear(block.torgb.conv.affine)}, {}, **clamp,
                weight_gain=1 / math.sqrt(values["weight"].shape[1]),
            )  # fmt: skip
        if block.residual:
            parts["skip"] = _conv(block.skip, own, up=2)
        const = {} if block.level else {"const": block.const.detach()}
        last = block is g.synthesis.blocks[-1]
        blocks[f"b{side}"] = _module(
            "SynthesisBlock", const, {"resample_filter": own}, parts, {}, architecture=config.architecture,
            is_last=last, use_fp16=side > 8,
        )  # fmt: skip
    synthesis = _module("SynthesisNetwork", {}, {}, blocks, {})
    mapping = _mapping(g.mapping)
    if not average:
        del mapping.meta["state"]["_buffers"]["w_avg"]
    settings = {"z_dim": g.z_dim} if later else {"z_dim": g.z_dim, "synthesis_kwargs": {}}
    return _module("Generator", {}, {}, {"synthesis": synthesis, "mapping": mapping}, settings, z_dim=g.z_dim)


def _conv(layer: Any, taps: Tensor, *, frozen: bool = False, **rest: Any) -> _Object:
    values = {"weight": layer.weight.detach()} | ({} if layer.bias is None else {"bias": layer.bias.detach()})
    attributes = {
        "activation": "lrelu" if layer.activate else "linear", "up": 1, "down": 1, "conv_clamp": layer.clamp,
        "act_gain": ROOT2 if layer.activate else 1, **rest,
    }  # fmt: skip
    buffers = {"resample_filter": taps}
    parameters, buffers = ({}, buffers | values) if frozen else (values, buffers)
    return _module("Conv2dLayer", parameters, buffers, {}, {}, **attributes)


def discriminator(d: Discriminator, *, frozen: int = 0) -> _Object:
    """As stylegan2-ada-pytorch has it, the layers of the first `frozen` blocks kept as buffers."""
    config = d.config
    own = _filter(config.resample_filter)
    parts: dict[str, Any] = {}
    for index, block in enumerate(d.blocks):
        side = config.level_sizes[-1 - index][0]
        inner = {
            name: _conv(layer, own if down == 2 else DEFAULT, frozen=index < frozen, down=down)
            for name, layer, down in (
                ("fromrgb", block.fromrgb, 1), ("conv0", block.conv0, 1), ("conv1", block.conv1, 2),
                ("skip", getattr(block, "skip", None), 2),
            ) if layer is not None
        }  # fmt: skip
        parts[f"b{side}"] = _module(
            "DiscriminatorBlock", {}, {"resample_filter": own}, inner, {}, architecture=config.architecture
        )
    end = d.epilogue
    last = {} if end.fromrgb is None else {"fromrgb": _conv(end.fromrgb, DEFAULT)}
    last |= {"conv": _conv(end.conv, DEFAULT), "fc": _linear(end.linear, activation="lrelu"), "out": _linear(end.out)}
    rest: dict[str, Any] = {}
    if config.std_channels:
        last["mbstd"] = _module(
            "MinibatchStdLayer", {}, {}, {}, {}, group_size=config.group_size, num_channels=config.std_channels
        )
    else:
        rest["mbstd"] = None
    parts["b4"] = _module("DiscriminatorEpilogue", {}, {}, last, {}, **rest)
    if d.mapping is not None:
        parts["mapping"] = _mapping(d.mapping)
    return _module("Discriminator", {}, {}, parts, {})
