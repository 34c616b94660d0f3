"""Losses against float64 restatements, and against what the original implementation computed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import core
from tests.interop import close, needs_interop, nvidia, reference
from train import losses


def small(*, dtype: torch.dtype) -> tuple[core.Generator, core.Discriminator]:
    torch.manual_seed(5)
    g = core.build_generator(core.GeneratorConfig(size=(8, 6), filters=(6, 4), z_dim=5, w_dim=7, mapping_layers=1))
    d = core.build_discriminator(core.DiscriminatorConfig(size=(8, 6), filters=(6, 4), group_size=2))
    return g.to(dtype), d.to(dtype)


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.log1p(np.exp(-x))


def test_logistic_losses_are_those_of_the_paper() -> None:
    real, fake = np.array([2.0, -1.0, 0.0, 30.0]), np.array([-3.0, 0.5, 1.0, -30.0])
    ours = losses.discriminator_loss(real=torch.tensor(real), fake=torch.tensor(fake))
    np.testing.assert_allclose(ours, -log_sigmoid(real) - np.log1p(-1 / (1 + np.exp(-fake))), rtol=1e-9)
    np.testing.assert_allclose(losses.generator_loss(torch.tensor(fake)), -log_sigmoid(fake), rtol=1e-12)
    halves = losses.discriminator_loss(real=torch.tensor(real)) + losses.discriminator_loss(fake=torch.tensor(fake))
    torch.testing.assert_close(halves, ours)


def test_the_generators_loss_does_not_saturate() -> None:
    logits = torch.tensor([-50.0], requires_grad=True)
    losses.generator_loss(logits).sum().backward()
    assert logits.grad is not None and logits.grad.item() == pytest.approx(-1)


def test_r1_against_differences() -> None:
    """||grad||^2 by central differences of the discriminator in float64, one pixel at a time."""
    _, d = small(dtype=torch.float64)
    images = torch.rand(2, 1, 8, 6, dtype=torch.float64) * 2 - 1
    ours = losses.r1_penalty(d(images.requires_grad_(True)), images)
    step, flat = 1e-6, images.detach().reshape(2, -1)
    slopes = torch.zeros_like(flat)
    with torch.no_grad():
        for pixel in range(flat.shape[1]):
            for picture in range(2):
                moved = [flat.clone(), flat.clone()]
                moved[0][picture, pixel] += step
                moved[1][picture, pixel] -= step
                up, down = (d(one.reshape(2, 1, 8, 6)).sum() for one in moved)
                slopes[picture, pixel] = (up - down) / (2 * step)
    torch.testing.assert_close(ours, slopes.square().sum(1), rtol=1e-4, atol=1e-6)


def test_path_lengths_against_the_whole_jacobian() -> None:
    g, _ = small(dtype=torch.float64)
    ws = torch.randn(2, g.num_ws, 7, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 1, 8, 6, dtype=torch.float64)
    ours = losses.path_lengths(g.synthesis(ws), ws, noise)
    expected = []
    for one in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda w: g.synthesis(w)[0], ws[one : one + 1].detach())
        moved = torch.einsum("chw,chwnlk->nlk", noise[one] / math.sqrt(8 * 6), jacobian)[0]
        expected.append(moved.square().sum(1).mean().sqrt())
    torch.testing.assert_close(ours, torch.stack(expected), rtol=1e-5, atol=1e-7)


def test_regularisers_can_be_differentiated_once_more() -> None:
    g, d = small(dtype=torch.float32)
    images = torch.rand(2, 1, 8, 6).requires_grad_(True)
    losses.r1_penalty(d(images), images).mean().backward()
    assert d.blocks[0].conv0.weight.grad is not None and d.blocks[0].conv0.weight.grad.abs().sum() > 0
    ws = g.truncate(g.mapping(torch.randn(2, 5)), psi=1)
    losses.path_lengths(g.synthesis(ws), ws, torch.randn(2, 1, 8, 6)).mean().backward()
    assert g.mapping.layers[0].weight.grad is not None and g.mapping.layers[0].weight.grad.abs().sum() > 0


def test_style_mixing_takes_over_at_the_layer() -> None:
    w, other = torch.zeros(3, 2), torch.ones(3, 2)
    ws = losses.style_mix(w, other, layer=torch.tensor([1, 4, 6]), num_ws=6)
    assert ws.shape == (3, 6, 2)
    assert ws[:, :, 0].tolist() == [[0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0]]


@needs_interop
@pytest.mark.parametrize("name", ["skip", "residual"])
def test_regularisers_agree_with_the_original(name: str) -> None:
    g, d = nvidia(name)
    r = reference(name)
    labels: Tensor | None = r["c"] if name == "skip" else None
    images = r["image_none"].clone().requires_grad_(True)
    close(losses.r1_penalty(d(images, labels), images).detach(), r["r1_penalty"])
    count = len(r["pl_grad"])
    ws = r["w"][:count, None].repeat(1, g.num_ws, 1).requires_grad_(True)
    close(losses.path_lengths(g.synthesis(ws), ws, r["pl_noise"]).detach(), r["pl_lengths_scaled"])


def test_gradient_penalty_against_differences() -> None:
    """(||grad|| - 1)^2 by central differences of the critic in float64, at points between real and generated."""
    _, d = small(dtype=torch.float64)
    real, fake = (torch.rand(2, 1, 8, 6, dtype=torch.float64) * 2 - 1 for _ in range(2))
    share = torch.tensor([0.25, 0.875], dtype=torch.float64)
    between = losses.mixed(real, fake, share)
    by_hand = (
        share.numpy()[:, None, None, None] * real.numpy() + (1 - share.numpy())[:, None, None, None] * fake.numpy()
    )
    np.testing.assert_allclose(between, by_hand, rtol=1e-12, atol=1e-15)
    ours = losses.gradient_penalty(d(between.requires_grad_(True)), between)
    step, slopes = 1e-6, np.zeros((2, 48))
    with torch.no_grad():
        for picture, pixel in np.ndindex(2, 48):
            up, down = (by_hand.copy().reshape(2, 48) for _ in range(2))
            up[picture, pixel] += step
            down[picture, pixel] -= step
            sums = [d(torch.from_numpy(one.reshape(2, 1, 8, 6))).sum().item() for one in (up, down)]
            slopes[picture, pixel] = (sums[0] - sums[1]) / (2 * step)
    np.testing.assert_allclose(ours.detach(), (np.sqrt((slopes**2).sum(1)) - 1) ** 2, rtol=1e-5)
    ours.mean().backward()
    assert d.blocks[0].conv0.weight.grad is not None and d.blocks[0].conv0.weight.grad.abs().sum() > 0


def test_the_critics_loss_is_the_distance_with_its_sign_turned() -> None:
    real, fake = np.array([2.0, -1.0]), np.array([-3.0, 0.5])
    ours = losses.critic_loss(real=torch.tensor(real), fake=torch.tensor(fake), drift=0.1)
    np.testing.assert_allclose(ours, fake - real + 0.1 * real**2, rtol=1e-12)
