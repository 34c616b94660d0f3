"""rosinality's StyleGAN2 files of other sizes, depths, widths and filters: a network of ours under their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import core
from core.stylegan2 import Discriminator

KINDS: dict[str, dict[str, Any]] = {
    "small": {"size": (8, 8), "filters": (5, 4), "mapping_layers": 1},
    "large": {"size": (128, 128), "filters": (8, 7, 6, 5, 4, 3), "mapping_layers": 8},
    "its own filter": {"size": (16, 16), "filters": (4, 6, 5), "resample_filter": (1, 2, 4)},
}


def kernel(taps: tuple[float, ...], gain: float) -> Tensor:
    one = torch.tensor(taps) / sum(taps)
    return torch.outer(one, one) * gain


def of_generator(g: core.Generator) -> dict[str, Tensor]:
    taps = g.config.resample_filter  # type: ignore[union-attr]
    found: dict[str, Tensor] = {}
    for k, layer in enumerate(g.mapping.layers):
        found |= {f"style.{k + 1}.weight": layer.weight, f"style.{k + 1}.bias": layer.bias}  # type: ignore[dict-item]

    def modulated(theirs: str, conv: Any) -> None:
        found[f"{theirs}.conv.weight"] = conv.weight[None]
        found[f"{theirs}.conv.modulation.weight"] = conv.affine.weight
        found[f"{theirs}.conv.modulation.bias"] = conv.affine.bias

    for level, block in enumerate(g.synthesis.blocks):
        if not level:
            found["input.input"] = block.const[None]  # type: ignore[index]
        for j in (0, 1) if level else (1,):
            layer, theirs = getattr(block, f"conv{j}"), f"convs.{2 * level - 2 + j}" if level else "conv1"
            modulated(theirs, layer.conv)
            found[f"{theirs}.noise.weight"] = layer.strength.reshape(1)
            found[f"{theirs}.activate.bias"] = layer.bias
            found[f"noises.noise_{max(0, 2 * level - 1 + j)}"] = layer.noise[None, None]
            if not j:
                found[f"{theirs}.conv.blur.kernel"] = kernel(taps, 4)
        rgb = f"to_rgbs.{level - 1}" if level else "to_rgb1"
        modulated(rgb, block.torgb.conv)  # type: ignore[union-attr]
        found[f"{rgb}.bias"] = block.torgb.bias.reshape(1, 3, 1, 1)  # type: ignore[union-attr,operator]
        if level:
            found[f"{rgb}.upsample.kernel"] = kernel(taps, 4)
    return {name: tensor.detach().clone() for name, tensor in found.items()}


def of_discriminator(d: Discriminator) -> dict[str, Tensor]:
    first, taps = d.blocks[0].fromrgb, kernel(d.config.resample_filter, 1)
    found: dict[str, Any] = {"convs.0.0.weight": first.weight, "convs.0.1.bias": first.bias}  # type: ignore[union-attr]
    for j, block in enumerate(d.blocks):
        theirs = f"convs.{j + 1}"
        found |= {f"{theirs}.conv1.0.weight": block.conv0.weight, f"{theirs}.conv1.1.bias": block.conv0.bias}  # type: ignore[union-attr]
        found |= {f"{theirs}.conv2.1.weight": block.conv1.weight, f"{theirs}.conv2.2.bias": block.conv1.bias}  # type: ignore[union-attr]
        found |= {f"{theirs}.skip.1.weight": block.skip.weight}  # type: ignore[union-attr]
        found |= {f"{theirs}.conv2.0.kernel": taps, f"{theirs}.skip.0.kernel": taps}
    end = d.epilogue
    found |= {"final_conv.0.weight": end.conv.weight, "final_conv.1.bias": end.conv.bias}
    for k, layer in enumerate((end.linear, end.out)):
        found |= {f"final_linear.{k}.weight": layer.weight, f"final_linear.{k}.bias": layer.bias}
    return {name: tensor.detach().clone() for name, tensor in found.items()}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_same_network(kind: str, old: bool, tmp_path: Path) -> None:
    torch.manual_seed(2)
    shape = {"channels": 3, **KINDS[kind]}
    g = core.build_generator(core.GeneratorConfig(**{"mapping_layers": 2, **shape, "z_dim": 6, "w_dim": 6})).eval()
    shape.pop("mapping_layers", None)
    d = core.build_discriminator(core.DiscriminatorConfig(**shape)).eval()
    for network in (g, d):
        for tensor in network.state_dict().values():
            tensor.copy_(torch.randn_like(tensor))
    path = tmp_path / "x"
    tables = {"g_ema": of_generator(g), "d": of_discriminator(d), "latent_avg": g.w_avg.clone()}  # type: ignore[arg-type]
    torch.save(tables, path, _use_new_zipfile_serialization=not old)
    opened = core.load(path)
    for ours, theirs in ((opened.generator, g), (opened.discriminator, d)):
        want = theirs.state_dict()
        assert all(torch.equal(tensor, want[name]) for name, tensor in ours.state_dict().items())  # type: ignore[union-attr]
    ws = torch.randn(2, g.num_ws, 6)
    assert torch.equal(opened.generator.synthesis(ws), g.synthesis(ws))
    image = torch.randn(4, 3, *g.size)
    assert torch.equal(opened.discriminator(image), d(image))  # type: ignore[misc]
