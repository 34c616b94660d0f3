"""First and second derivatives on every device that this machine has, beside those of float64 on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import core
from core.devices import full_float32

_THERE = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
DEVICES = [name for name, there in _THERE.items() if there]
pytestmark = pytest.mark.gpu
ARCHITECTURES = ["skip", "resnet", "orig", "stylegan"]
N = 4


def networks(architecture: str) -> tuple[core.Generator, core.Discriminator]:
    """Two that are not square, every bias and strength of noise at work."""
    torch.manual_seed(7)
    inner = {"w_dim": 6, "z_dim": 6, "mapping_layers": 2}
    if architecture == "stylegan":
        size = {"size": (24, 16), "filters": (5, 4, 3)}
        g = core.build_generator(core.stylegan.GeneratorConfig(**size, **inner))  # type: ignore[arg-type]
        d = core.build_discriminator(core.stylegan.DiscriminatorConfig(**size, group_size=2))  # type: ignore[arg-type]
    else:
        size = {"size": (12, 16), "start": (3, 4), "filters": (5, 4, 3), "architecture": architecture}
        g = core.build_generator(core.GeneratorConfig(**size, **inner))  # type: ignore[arg-type]
        d = core.build_discriminator(core.DiscriminatorConfig(**size, group_size=2))  # type: ignore[arg-type]
    for network in (g, d):
        for name, parameter in network.named_parameters():
            if name.endswith(("strength", "bias")):
                nn.init.normal_(parameter, std=0.3)
    return g, d


def synthesis_loss(g: core.Generator, d: core.Discriminator, ws: Tensor, img: Tensor) -> Tensor:
    """What a generator's step differentiates once."""
    return nn.functional.softplus(-d(g.synthesis(ws))).mean()


def path_loss(g: core.Generator, d: core.Discriminator, ws: Tensor, img: Tensor) -> Tensor:
    """Path lengths, which are differentiated again."""
    y = img[:, :1] / (img.shape[2] * img.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((g.synthesis(ws) * y).sum(), ws, create_graph=True)
    return (gradient.square().sum(2).mean(1).sqrt() - 0.3).square().mean()


def r1_loss(g: core.Generator, d: core.Discriminator, ws: Tensor, img: Tensor) -> Tensor:
    """R1, which is differentiated again."""
    (gradient,) = torch.autograd.grad(d(img).sum(), img, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def gradients(architecture: str, loss: Callable[..., Tensor], *, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """What a loss leaves at every parameter, as float64 on the CPU."""
    g, d = (network.to(device, dtype) for network in networks(architecture))
    random = torch.Generator().manual_seed(3)
    ws = torch.randn(N, g.num_ws, g.w_dim, generator=random).to(device, dtype).requires_grad_()
    img = torch.randn(N, g.channels, *g.size, generator=random).to(device, dtype).requires_grad_()
    loss(g, d, ws, img).backward()
    both = [*g.synthesis.named_parameters("g"), *d.named_parameters("d")]
    return {name: one.grad.cpu().double() for name, one in both if one.grad is not None}


@pytest.mark.parametrize("loss", [synthesis_loss, path_loss, r1_loss])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("device", DEVICES)
def test_what_a_training_differentiates(device: str, architecture: str, loss: Callable[..., Tensor]) -> None:
    expected = gradients(architecture, loss, device="cpu", dtype=torch.float64)
    with full_float32():
        found = gradients(architecture, loss, device=device, dtype=torch.float32)
    assert found.keys() == expected.keys() and len(found) > 10
    for name, one in found.items():
        reach = float(expected[name].abs().max())
        torch.testing.assert_close(one, expected[name], rtol=2e-3, atol=2e-4 * reach + 1e-9, msg=name)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("device", [device for device in DEVICES if device != "mps"])  # which has no float64
def test_second_derivatives_by_differences(device: str, architecture: str) -> None:
    g, d = (network.to(device, torch.float64).requires_grad_(False) for network in networks(architecture))
    random = torch.Generator().manual_seed(4)
    ws = torch.randn(2, g.num_ws, g.w_dim, generator=random).to(device, torch.float64).requires_grad_()
    img = torch.randn(2, g.channels, *g.size, generator=random).to(device, torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(g.synthesis, (ws,), fast_mode=True)
    assert torch.autograd.gradgradcheck(d, (img,), fast_mode=True)
