"""The constant filter: what it gives, its derivatives, and what they cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from core.depthwise import depthwise
from core.layers import downsample, fir, taps, upsample

KERNEL = torch.outer(torch.tensor([1.0, 2, 4, 1]), torch.tensor([3.0, 1, 2, 5])) / 10
HOW = [(1, 0), (1, 2), (2, 0), (2, 1), (3, 1)]


def filtered(x: Tensor, *, stride: int, padding: int) -> Tensor:
    kernel = KERNEL.to(x.dtype).expand(x.shape[1], 1, 4, 4)
    return depthwise(x, kernel, stride=stride, padding=padding)


@pytest.mark.parametrize(("stride", "padding"), HOW)
@pytest.mark.parametrize("size", [(7, 6), (8, 9)])
def test_it_and_its_derivatives_are_the_convolutions(size: tuple[int, int], stride: int, padding: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    ours, theirs = (
        filtered(x, stride=stride, padding=padding),
        F.conv2d(x, KERNEL.double().expand(3, 1, 4, 4), stride=stride, padding=padding, groups=3),
    )
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(ours)
    slopes = [torch.autograd.grad((y.sin() * weights).sum(), x, create_graph=True)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-14)
    bends = [torch.autograd.grad(slope.square().sum(), x)[0] for slope in slopes]
    torch.testing.assert_close(*bends, rtol=0, atol=1e-12)

    def go(x: Tensor) -> Tensor:
        return filtered(x, stride=stride, padding=padding)

    assert gradcheck(go, x) and gradgradcheck(go, x)


def test_layouts_and_precisions_are_kept() -> None:
    x = torch.randn(2, 8, 6, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = filtered(x, stride=1, padding=2)
    with torch.autocast("cpu", torch.bfloat16):  # as where R1 takes its derivative
        (slope,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.square().sum(), x, retain_graph=True)
    (plain,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    assert torch.equal(slope, plain) and torch.equal(bend, torch.autograd.grad(plain.square().sum(), x)[0])
    assert y.dtype == slope.dtype == torch.float32
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert slope.is_contiguous(memory_format=torch.channels_last)
    narrow = x.detach().bfloat16().requires_grad_()
    (slope,) = torch.autograd.grad(filtered(narrow, stride=1, padding=2).float().sum(), narrow)
    assert slope.dtype == torch.bfloat16


class Convolutions(TorchDispatchMode):
    """Counts them."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += "convolution" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("channels", [2, 40])
def test_a_second_derivative_costs_as_many_convolutions_whatever_the_channels(channels: int) -> None:
    x = torch.randn(2, channels, 8, 8, requires_grad=True)
    filter = taps([1, 3, 3, 1])
    for way in (
        lambda x: fir(x, filter, pad=(2, 1)),
        lambda x: upsample(x, filter),
        lambda x: downsample(x, filter),
    ):
        with Convolutions() as seen:
            (slope,) = torch.autograd.grad(way(x).square().sum(), x, create_graph=True)
            slope.square().sum().backward()
        assert 4 <= seen.count <= 5, way
