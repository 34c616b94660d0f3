"""The reference networks of ../shared/interop as ours: names mapped one by one, nothing left over."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import core

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "interop"
needs_interop = pytest.mark.skipif(not FOLDER.is_dir(), reason="no reference networks (../shared/interop) here")


def reference(name: str) -> dict[str, Tensor]:
    """The arrays a reference implementation computed, float32."""
    arrays = np.load(FOLDER / name / "reference.npz", allow_pickle=False)
    return {key: torch.from_numpy(np.asarray(arrays[key])) for key in arrays.files}


def close(ours: Tensor, theirs: Tensor) -> None:
    """Assert agreement within 1e-4 x max(1, |reference|)."""
    theirs = theirs.reshape(ours.shape) if ours.numel() == theirs.numel() else theirs
    assert ours.shape == theirs.shape
    worst = ((ours - theirs).abs() / theirs.abs().clamp_min(1)).max().item()
    assert worst < 1e-4, f"differs by {worst:.2e}"


def nvidia(name: str, **changes: float) -> tuple[core.Generator, core.Discriminator]:
    """Build skip/ or residual/ with their weights; `changes` go into both configurations."""
    config = json.loads((FOLDER / name / "config.json").read_text())
    weights = load_file(FOLDER / name / "weights.safetensors")
    g, d = config["G"], config["D"]
    size = (g["img_resolution"],) * 2
    levels = [4 << n for n in range((g["img_resolution"] // 4).bit_length())]
    of_g, of_d = g["synthesis_kwargs"], d
    generator = core.build_generator(
        core.GeneratorConfig(
            size=size,
            filters=tuple(min(of_g["channel_base"] // r, of_g["channel_max"]) for r in levels),
            channels=g["img_channels"],
            z_dim=g["z_dim"],
            w_dim=g["w_dim"],
            num_classes=g["c_dim"],
            mapping_layers=g["mapping_kwargs"]["num_layers"],
            architecture=of_g.get("architecture", "skip"),
            resample_filter=tuple(of_g.get("resample_filter", (1, 3, 3, 1))),
            **{"conv_clamp": of_g["conv_clamp"], **changes},
        )
    )
    discriminator = core.build_discriminator(
        core.DiscriminatorConfig(
            size=size,
            filters=tuple(min(of_d["channel_base"] // r, of_d["channel_max"]) for r in levels),
            channels=g["img_channels"],
            num_classes=g["c_dim"],
            architecture=of_d.get("architecture", "resnet"),
            resample_filter=tuple(of_d["block_kwargs"].get("resample_filter", (1, 3, 3, 1))),
            group_size=of_d["epilogue_kwargs"].get("mbstd_group_size", 4),
            **{"conv_clamp": of_d["conv_clamp"], **changes},
        )
    )
    _fill(generator, {_nvidia_name(k[6:], levels): v for k, v in weights.items() if k.startswith("G_ema.")})
    _fill(discriminator, {_nvidia_name(k[2:], levels): v for k, v in weights.items() if k.startswith("D.")})
    return generator.eval(), discriminator.eval()


def rosinality() -> tuple[core.Generator, core.Discriminator]:
    """Build rosinality/ with its weights."""
    config = json.loads((FOLDER / "rosinality" / "config.json").read_text())
    weights = load_file(FOLDER / "rosinality" / "weights.safetensors")
    levels = sorted(map(int, config["channels"]))
    filters = tuple(config["channels"][str(r)] for r in levels)
    shared = {"size": (config["size"],) * 2, "channels": 3, "filters": filters}
    generator = core.build_generator(
        core.GeneratorConfig(
            **shared, z_dim=config["style_dim"], w_dim=config["style_dim"], mapping_layers=config["n_mlp"]
        )
    )
    discriminator = core.build_discriminator(core.DiscriminatorConfig(**shared))
    ours = {_rosinality_g(k[6:], levels): v for k, v in weights.items() if k.startswith("g_ema.")}
    ours["mapping.w_avg"] = weights["latent_avg"]
    _fill(generator, ours)
    _fill(discriminator, {_rosinality_d(k[2:], levels): v for k, v in weights.items() if k.startswith("d.")})
    return generator.eval(), discriminator.eval()


def _fill(network: nn.Module, tensors: dict[str | None, Tensor]) -> None:
    tensors.pop(None, None)
    state = network.state_dict()
    network.load_state_dict({k: v.reshape(state[k].shape) if k in state else v for k, v in tensors.items()})


_CONV = {
    "weight": "conv.weight",
    "bias": "bias",
    "affine.weight": "conv.affine.weight",
    "affine.bias": "conv.affine.bias",
    "noise_strength": "strength",
    "noise_const": "noise",
}


def _nvidia_name(name: str, levels: list[int]) -> str | None:
    """Their name for a tensor -> ours; None for the filters, which follow from the configuration."""
    if name.endswith("resample_filter"):
        return None
    if name.startswith("mapping."):
        return name.replace("mapping.fc", "mapping.layers.")
    in_g = name.startswith("synthesis.")
    block, rest = name.removeprefix("synthesis.").split(".", 1)
    level = levels.index(int(block[1:]))
    if in_g:
        layer, _, leaf = rest.partition(".")
        leaf = _CONV[leaf] if layer.startswith("conv") or layer == "torgb" else leaf
        return f"synthesis.blocks.{level}.{layer}" + (f".{leaf}" if leaf else "")
    if level:
        return f"blocks.{len(levels) - 1 - level}.{rest}"
    return "epilogue." + rest.replace("fc.", "linear.")


def _rosinality_g(name: str, levels: list[int]) -> str | None:
    if "kernel" in name:
        return None
    part, _, rest = name.partition(".")
    if part == "style":
        index, leaf = rest.split(".")
        return f"mapping.layers.{int(index) - 1}.{leaf}"
    if part == "input":
        return "synthesis.blocks.0.const"
    if part == "noises":
        index = int(rest.removeprefix("noise_"))
        level, which = (index + 1) // 2, 1 - index % 2
        return f"synthesis.blocks.{level}.conv{which}.noise"
    if part in ("conv1", "to_rgb1"):
        layer = "0.conv1" if part == "conv1" else "0.torgb"
    else:
        index, rest = rest.split(".", 1)
        layer = f"{int(index) // 2 + 1}.conv{int(index) % 2}" if part == "convs" else f"{int(index) + 1}.torgb"
    leaf = {
        "conv.weight": "conv.weight",
        "conv.modulation.weight": "conv.affine.weight",
        "conv.modulation.bias": "conv.affine.bias",
        "noise.weight": "strength",
        "activate.bias": "bias",
        "bias": "bias",
    }[rest]
    return f"synthesis.blocks.{layer}.{leaf}"


def _rosinality_d(name: str, levels: list[int]) -> str | None:
    if "kernel" in name:
        return None
    if name.startswith("final_"):
        return {
            "final_conv.0.weight": "epilogue.conv.weight",
            "final_conv.1.bias": "epilogue.conv.bias",
            "final_linear.0.weight": "epilogue.linear.weight",
            "final_linear.0.bias": "epilogue.linear.bias",
            "final_linear.1.weight": "epilogue.out.weight",
            "final_linear.1.bias": "epilogue.out.bias",
        }[name]
    _, index, rest = name.split(".", 2)
    if index == "0":
        return "blocks.0.fromrgb." + rest.split(".")[1]
    layer, _, leaf = rest.split(".")
    ours = {"conv1": "conv0", "conv2": "conv1", "skip": "skip"}[layer]
    return f"blocks.{int(index) - 1}.{ours}.{leaf}"
