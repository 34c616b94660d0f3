"""The networks against slow float64 restatements, at shapes that are not square, and their derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import core
from core.errors import SettingError
from core.layers import (
    Conv,
    MinibatchDeviation,
    ModulatedConv,
    bilinear,
    downsample,
    downsampling_conv,
    is_1331,
    taps,
    upsample,
    upsampling_conv,
)

ASYMMETRIC = (1.0, 3.0, 5.0, 2.0)


def restated_filter(x: Tensor, filter: tuple[float, ...], before: int, after: int, gain: float) -> Tensor:
    """A true convolution of each channel with the outer product of the taps, written out tap by tap."""
    f = np.array(filter, dtype=np.float64) / sum(filter)
    x = F.pad(x, [before, after, before, after])
    t = len(f)
    height, width = x.shape[2] - t + 1, x.shape[3] - t + 1
    y = torch.zeros(*x.shape[:2], height, width, dtype=torch.float64)
    for i in range(t):
        for j in range(t):
            y += gain * f[t - 1 - i] * f[t - 1 - j] * x[:, :, i : i + height, j : j + width]
    return y


def zero_stuffed(x: Tensor) -> Tensor:
    y = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    y[:, :, ::2, ::2] = x
    return y


@pytest.fixture(params=[(1, 3, 3, 1), (1, 2, 1), ASYMMETRIC, (1.0, 2, 3, 4, 4, 3, 2, 1)], ids=["4", "3", "skewed", "8"])
def filter(request: pytest.FixtureRequest) -> tuple[float, ...]:
    return request.param


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 14, 12, dtype=torch.float64)


def test_upsample(x: Tensor, filter: tuple[float, ...]) -> None:
    t = len(filter)
    expected = restated_filter(zero_stuffed(x), filter, (t + 1) // 2, (t - 2) // 2, 4)
    torch.testing.assert_close(upsample(x, taps(filter)), expected, atol=1e-6, rtol=0)


def test_downsample(x: Tensor, filter: tuple[float, ...]) -> None:
    t = len(filter)
    expected = restated_filter(x, filter, (t - 1) // 2, (t - 2) // 2, 1)[:, :, ::2, ::2]
    torch.testing.assert_close(downsample(x, taps(filter)), expected, atol=1e-6, rtol=0)


def test_upsampling_conv(x: Tensor, filter: tuple[float, ...]) -> None:
    weight, t = torch.randn(5, 3, 3, 3, dtype=torch.float64), len(filter)
    spread = restated_filter(zero_stuffed(x), filter, (t + 1) // 2 + 1, (t - 2) // 2 + 1, 4)
    expected = F.conv2d(spread, weight.flip(2, 3))
    torch.testing.assert_close(upsampling_conv(x, weight, taps(filter)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [1, 3])
def test_downsampling_conv(x: Tensor, filter: tuple[float, ...], kernel: int) -> None:
    weight, t, side = torch.randn(5, 3, kernel, kernel, dtype=torch.float64), len(filter), kernel // 2
    smooth = restated_filter(x, filter, side + (t - 1) // 2, side + (t - 2) // 2, 1)
    expected = F.conv2d(smooth, weight)[:, :, ::2, ::2]
    torch.testing.assert_close(downsampling_conv(x, weight, taps(filter)), expected, atol=1e-5, rtol=0)


def test_modulation_is_that_of_the_paper(x: Tensor) -> None:
    """Equations 1 and 3: w' = s w, w'' = w' / sqrt(sum w'^2 + eps), one convolution a sample."""
    layer = ModulatedConv(3, 5, 3, w_dim=7).double()
    w = torch.randn(2, 7, dtype=torch.float64)
    y, demodulation = layer(x, w)
    assert demodulation is not None
    style = layer.affine(w)
    for n in range(2):
        modulated = layer.weight * style[n][None, :, None, None]
        demodulated = modulated / (modulated.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = F.conv2d(x[n : n + 1], demodulated, padding=1)
        torch.testing.assert_close(y[n : n + 1] * demodulation[n][:, None, None], expected)


def test_minibatch_deviation_groups_are_strided() -> None:
    x = torch.randn(6, 4, 3, 5, dtype=torch.float64)
    y = MinibatchDeviation(group_size=2, channels=2)(x)
    assert y.shape == (6, 6, 3, 5)
    for i in range(6):
        group = x[[i % 3, i % 3 + 3]]
        for k in range(2):
            part = group[:, 2 * k : 2 * k + 2]
            expected = ((part - part.mean(0)).square().mean(0) + 1e-8).sqrt().mean()
            torch.testing.assert_close(y[i, 4 + k], expected.expand(3, 5))
    with pytest.raises(ValueError, match="does not divide"):
        MinibatchDeviation(group_size=4)(x)


def generator_config(**changes: object) -> core.GeneratorConfig:
    values = {"size": (14, 12), "filters": (6, 4), "z_dim": 5, "w_dim": 5, "mapping_layers": 2, **changes}
    return core.GeneratorConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_generator_shapes_and_batches(architecture: str) -> None:
    g = core.build_generator(generator_config(size=(28, 24), filters=(6, 5, 4), channels=3, architecture=architecture))
    assert (g.num_ws, g.size, g.noise_shapes) == (6, (28, 24), [(7, 6), (14, 12), (14, 12), (28, 24), (28, 24)])
    for block in g.synthesis.blocks:
        for conv in block.convs():
            torch.nn.init.constant_(conv.strength, 0.3)
    ws = g.truncate(g.mapping(core.latents.seeds_to_z([1, 2, 3], 5)))
    for noise in ("const", "none", 7):
        together = g.synthesis(ws, noise=noise)
        assert together.shape == (3, 3, 28, 24)
        torch.testing.assert_close(g.synthesis(ws[1:2], noise=noise), together[1:2], atol=1e-5, rtol=1e-5)
    assert not torch.equal(g.synthesis(ws, noise="random"), g.synthesis(ws, noise="random"))
    assert not torch.equal(g.synthesis(ws, noise=7), g.synthesis(ws, noise=8))
    maps = core.latents.noise_maps(7, g.noise_shapes)
    assert torch.equal(g.synthesis(ws, noise=maps), g.synthesis(ws, noise=7))


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_discriminator_shapes(architecture: str) -> None:
    d = core.build_discriminator(
        core.DiscriminatorConfig(size=(28, 24), filters=(6, 5, 4), channels=3, num_classes=4, architecture=architecture)
    )
    img = torch.randn(4, 3, 28, 24)
    assert d(img, torch.tensor([0, 1, 2, 3])).shape == (4,)
    assert torch.equal(d(img, None), d(img, torch.zeros(4, dtype=torch.int64)))
    with pytest.raises(ValueError, match="pictures are"):
        d(img[:, :, :, :20])
    with pytest.raises(ValueError, match="0 to 3"):
        d(img, torch.tensor([0, 1, 2, 4]))


def test_synthesis_refuses_what_does_not_fit() -> None:
    g = core.build_generator(generator_config())
    ws = torch.zeros(1, 4, 5)
    with pytest.raises(ValueError, match="ws is"):
        g.synthesis(ws[:, :3])
    with pytest.raises(SettingError, match="noise"):
        g.synthesis(ws, noise="some")
    with pytest.raises(SettingError, match="noise maps"):
        g.synthesis(ws, noise=[np.zeros((7, 6))])
    for noise in (None, True, 1.5, {"a": 1}, b"const", np.float32(1), [["a"], [None], [object()]]):
        with pytest.raises(SettingError, match="noise cannot be"):
            g.synthesis(ws, noise=noise)  # type: ignore[arg-type]
    maps = [np.zeros(shape, np.float32) for shape in g.synthesis.noise_shapes]
    g.synthesis(ws, noise=[one[None, None] for one in maps])
    for shaped in (lambda one: one[None].repeat(3, 0), lambda one: one[None, None].repeat(3, 0), lambda one: one[:, 0]):
        with pytest.raises(SettingError, match="noise cannot be .* this map is"):
            g.synthesis(ws, noise=[shaped(one) for one in maps])
    assert torch.equal(g.synthesis(ws, noise=np.int64(7)), g.synthesis(ws, noise=7))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="grow"):
        g.synthesis(ws, alpha=0.5)
    with pytest.raises(SettingError, match="grow"):
        g.synthesis(ws, size=(7, 6))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"size": (13, 12)}, "size"),
        ({"filters": (6,)}, "filters"),
        ({"channels": 2}, "channels"),
        ({"architecture": "plain"}, "architecture"),
        ({"resample_filter": ()}, "resample_filter"),
        ({"resample_filter": (1, -1)}, "resample_filter"),
    ],
)
def test_config_refuses(change: dict[str, object], word: str) -> None:
    with pytest.raises(SettingError, match=word):
        generator_config(**change)


def _on_parameters(network: torch.nn.Module, names: list[str]) -> list[Tensor]:
    parameters = dict(network.named_parameters())
    return [parameters[name].detach().clone().requires_grad_(True) for name in names]


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_second_derivatives_of_synthesis(architecture: str) -> None:
    """Path-length regularisation differentiates twice: through ws and through weights."""
    torch.manual_seed(0)
    g = core.build_generator(
        generator_config(size=(6, 8), start=(3, 4), filters=(2, 2), architecture=architecture)
    ).double()
    names = ["blocks.1.conv0.conv.weight", "blocks.1.conv0.conv.affine.weight", "blocks.1.conv1.strength"]
    ws = torch.randn(1, 4, 5, dtype=torch.float64, requires_grad=True)

    def run(ws: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(g.synthesis, dict(zip(names, values, strict=True)), (ws,))

    inputs = (ws, *_on_parameters(g.synthesis, names))
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_second_derivatives_of_the_discriminator(architecture: str) -> None:
    """R1 differentiates twice: through pictures and through weights, minibatch deviation included."""
    torch.manual_seed(0)
    config = core.DiscriminatorConfig(
        size=(6, 8), start=(3, 4), filters=(3, 2), group_size=2, architecture=architecture
    )
    d = core.build_discriminator(config).double()
    names = ["blocks.0.conv1.weight", "blocks.0.fromrgb.weight", "epilogue.conv.weight"]
    img = torch.randn(2, 1, 6, 8, dtype=torch.float64, requires_grad=True)

    def run(img: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(d, dict(zip(names, values, strict=True)), (img,))

    inputs = (img, *_on_parameters(d, names))
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


def test_autocast_keeps_close_and_keeps_the_picture_wide() -> None:
    g = core.build_generator(generator_config(size=(28, 24), filters=(32, 16, 16)))
    ws = g.truncate(g.mapping(core.latents.seeds_to_z([3], 5)))
    with torch.no_grad():
        wide = g.synthesis(ws)
        with torch.autocast("cpu", torch.bfloat16):
            narrow = g.synthesis(ws)
    assert narrow.dtype == torch.float32
    error = (narrow - wide).square().mean().sqrt() / wide.std()
    assert 0 < error < 0.05


def test_equalised_convolution_scales_at_run_time() -> None:
    layer = Conv(3, 4, 3, gain=math.sqrt(0.5), clamp=0.5)
    x = torch.randn(1, 3, 6, 6)
    weight = layer.weight / math.sqrt(27)
    expected = F.leaky_relu(F.conv2d(x, weight, layer.bias, padding=1), 0.2) * math.sqrt(2) * math.sqrt(0.5)
    limit = 0.5 * math.sqrt(0.5)
    torch.testing.assert_close(layer(x), expected.clamp(-limit, limit))


def test_bilinear_is_the_field_s_filter(x: Tensor) -> None:
    torch.testing.assert_close(bilinear(x), upsample(x, taps((1, 3, 3, 1))))
    assert is_1331((2, 6, 6, 2)) and not is_1331((1, 2, 2, 1)) and not is_1331((1, 2, 1))
