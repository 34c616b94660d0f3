"""StyleGAN against the arrays of a public implementation: its weights by name, without its files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import core
from core import latents, stylegan

FOLDER = Path(__file__).parents[3] / "shared" / "interop" / "stylegan1"
SIZES = [4, 8, 16, 32, 64]
FILTERS = (32, 32, 24, 16, 12)
ROOT2 = math.sqrt(2)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="shared/interop is not here")


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return load_file(FOLDER / "weights.safetensors")


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "reference.npz") as file:
        return dict(file)


def pair(weights: dict[str, Tensor], name: str, *, plain: bool = False) -> tuple[Tensor, Tensor]:
    """Weight and bias; `plain`: of a layer without activation, whose sqrt(2) stands in no gain of ours."""
    weight, bias = weights[f"{name}.weight_orig"], weights[f"{name}.bias"]
    return (weight * ROOT2, bias) if plain else (weight, bias)


@pytest.fixture(scope="module")
def generator(weights: dict[str, Tensor], reference: dict[str, np.ndarray]) -> core.Generator:
    config = stylegan.GeneratorConfig(
        (64, 64), FILTERS, 3, z_dim=40, w_dim=40, mapping_layers=3, mapping_lr=1.0, noise="level", blur_bias=True
    )
    state: dict[str, Tensor] = {"mapping.w_avg": torch.from_numpy(reference["mean_style"][0])}
    for k in range(3):
        weight, bias = pair(weights, f"g_running.style.{2 * k + 1}.linear")
        state[f"mapping.layers.{k}.weight"], state[f"mapping.layers.{k}.bias"] = weight, bias / ROOT2
    for k in range(5):
        theirs, ours = f"g_running.generator.progression.{k}", f"synthesis.blocks.{k}"
        for j in (0, 1):
            weight, bias = pair(weights, f"{theirs}.adain{j + 1}.style.linear", plain=True)
            state[f"{ours}.conv{j}.affine.weight"], state[f"{ours}.conv{j}.affine.bias"] = weight, bias
            strength = weights[f"{theirs}.noise{j + 1}.weight_orig"].flatten()
            state[f"{ours}.conv{j}.strength"] = strength * math.sqrt(2 / FILTERS[k])
        state[f"{ours}.conv1.weight"], state[f"{ours}.conv1.bias"] = pair(weights, f"{theirs}.conv2.conv")
        if k == 0:
            state[f"{ours}.const"] = weights[f"{theirs}.conv1.input"][0]
            state[f"{ours}.conv0.bias"] = torch.zeros(32)
        elif f"{theirs}.conv1.1.conv.bias" in weights:
            state[f"{ours}.conv0.weight"], state[f"{ours}.conv0.bias"] = pair(weights, f"{theirs}.conv1.1.conv")
        else:  # four shifts of a transposed convolution, averaged: a convolution of nearest neighbours, turned
            fused = weights[f"{theirs}.conv1.0.weight"]
            state[f"{ours}.conv0.weight"] = fused.transpose(0, 1).flip(2, 3) / 4
            state[f"{ours}.conv0.bias"] = weights[f"{theirs}.conv1.0.bias"]
        rgb, bias = pair(weights, f"g_running.generator.to_rgb.{k}.conv", plain=True)
        state[f"synthesis.torgb.{k}.weight"], state[f"synthesis.torgb.{k}.bias"] = rgb, bias
    g = core.build_generator(config)
    g.load_state_dict(state)
    return g.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def discriminator(weights: dict[str, Tensor]) -> stylegan.Discriminator:
    config = stylegan.DiscriminatorConfig((64, 64), FILTERS, 3, group_size=None, rgb_activation=False, widen_first=True)
    state: dict[str, Tensor] = {}
    for k in range(5):
        rgb, bias = pair(weights, f"discriminator.from_rgb.{4 - k}.conv", plain=True)
        state[f"fromrgb.{k}.weight"], state[f"fromrgb.{k}.bias"] = rgb, bias
        theirs = f"discriminator.progression.{k}"
        first, second = (f"blocks.{k}.conv0", f"blocks.{k}.conv1") if k < 4 else ("epilogue.conv", "epilogue.linear")
        weight, bias = pair(weights, f"{theirs}.conv1.0.conv")
        state[f"{first}.weight"], state[f"{first}.bias"] = weight, bias / ROOT2
        if k < 4 and f"{theirs}.conv2.1.weight" in weights:
            weight, bias = weights[f"{theirs}.conv2.1.weight"], weights[f"{theirs}.conv2.1.bias"]
        else:
            weight, bias = pair(weights, f"{theirs}.conv2.{1 if k < 4 else 0}.conv")
        state[f"{second}.weight"], state[f"{second}.bias"] = weight if k < 4 else weight.flatten(1), bias / ROOT2
    weight, bias = pair(weights, "discriminator.linear.linear", plain=True)
    state["epilogue.out.weight"], state["epilogue.out.bias"] = weight, bias
    d = stylegan.Discriminator(config)
    d.load_state_dict(state)
    return d.eval().requires_grad_(False)


def close(ours: Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs((ours.detach().numpy() - theirs) / np.maximum(1, np.abs(theirs))).max() < 1e-4


def ws_of(g: core.Generator, reference: dict[str, np.ndarray], count: int) -> Tensor:
    return g.truncate(torch.from_numpy(reference["w"][:count]), psi=1)


def noise_of(reference: dict[str, np.ndarray], size: int, count: int) -> list[np.ndarray]:
    return [reference[f"noise{side}"][:count] for side in SIZES if side <= size]


def test_mapping_and_average(generator: core.Generator, reference: dict[str, np.ndarray]) -> None:
    close(generator.mapping(torch.from_numpy(reference["z"])), reference["w"])
    styles = generator.mapping(torch.from_numpy(reference["mean_z"]))
    close(styles.mean(0, keepdim=True), reference["mean_style"])


CASES = [(4, 1.0), *((size, alpha) for size in (16, 32, 64) for alpha in (0, 0.3, 1))]


@pytest.mark.parametrize(("size", "alpha"), CASES)
def test_pictures(generator: core.Generator, reference: dict[str, np.ndarray], size: int, alpha: float) -> None:
    noise, ws = noise_of(reference, size, 2), ws_of(generator, reference, 2)
    close(generator.synthesis(ws, noise, size=(size, size), alpha=alpha), reference[f"image_{size}_alpha{alpha:g}"])


def test_noise_truncation_and_mixing(generator: core.Generator, reference: dict[str, np.ndarray]) -> None:
    ws, at = ws_of(generator, reference, 4), {"size": (32, 32)}
    close(generator.synthesis(ws, "none", **at), reference["image_32_nonoise"])
    noise = noise_of(reference, 32, 1)
    cut = generator.truncate(torch.from_numpy(reference["w"][:1]), psi=0.7)
    close(generator.synthesis(cut, noise, **at), reference["image_32_trunc07"])
    first, last = (int(v) for v in reference["mix_range"])
    mixed = latents.mix(ws[0], ws[1], layers=range(2 * first, 2 * last + 2), amount=1.0)
    close(generator.synthesis(mixed[None], noise, **at), reference["mix_image_32"])


def test_layers(generator: core.Generator, reference: dict[str, np.ndarray]) -> None:
    seen: dict[str, Tensor] = {}
    hooks = []
    for k, block in enumerate(generator.synthesis.blocks):
        parts = {f"layer.progression.{k}": block}
        parts |= {f"layer.progression.{k}.adain{j + 1}": layer for j, layer in enumerate(block.layers())}
        for name, part in parts.items():
            hooks.append(part.register_forward_hook(lambda _m, _i, y, name=name: seen.__setitem__(name, y)))
    noise = noise_of(reference, 32, 1)
    generator.synthesis(ws_of(generator, reference, 1), noise, size=(32, 32))
    for hook in hooks:
        hook.remove()
    compared = 0
    for name in reference:
        plain = name.removesuffix("@4")
        if plain in seen:
            close(seen[plain][:, :, ::4, ::4] if name.endswith("@4") else seen[plain], reference[name])
            compared += 1
    assert compared == 8


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
def test_logits(discriminator: stylegan.Discriminator, reference: dict[str, np.ndarray], alpha: float) -> None:
    for size, count, image in ((32, 4, "image_32_nonoise"), (64, 2, "image_64_alpha1")):
        images = torch.from_numpy(reference[image])
        close(discriminator(images, alpha=alpha)[:, None], reference[f"d_{size}_batch{count}_alpha{alpha:g}"])


def test_single_and_smallest_logits(discriminator: stylegan.Discriminator, reference: dict[str, np.ndarray]) -> None:
    images = torch.from_numpy(reference["image_32_nonoise"])
    close(discriminator(images[:1])[:, None], reference["d_32_single_alpha1"])
    close(discriminator(torch.from_numpy(reference["image_4_alpha1"]))[:, None], reference["d_4_batch2"])


def test_r1(discriminator: stylegan.Discriminator, reference: dict[str, np.ndarray]) -> None:
    images = torch.from_numpy(reference["image_32_nonoise"]).requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(images).sum(), images)
    close(gradient[:1], reference["r1_grad0"])
    close(gradient.square().sum(dim=(1, 2, 3)), reference["r1_penalty"])
