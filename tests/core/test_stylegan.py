"""StyleGAN's networks against the arrays of a public implementation, float64 restatements and their own algebra."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import core
from core import stylegan
from core.adain import adain
from core.errors import SettingError

FOLDER = Path(__file__).parents[3] / "shared" / "interop" / "stylegan1"
SIZES = [(6, 4), (12, 8), (24, 16)]


def generator(**more: object) -> core.Generator:
    """A toy generator of three sizes that are not square, with noise that counts."""
    torch.manual_seed(0)
    config = {"size": (24, 16), "start": (6, 4), "filters": (8, 6, 4), "z_dim": 5, "w_dim": 7, "mapping_layers": 2}
    g = core.build_generator(stylegan.GeneratorConfig(**(config | more)))
    for name, parameter in g.named_parameters():
        if name.endswith(("strength", "bias")):
            torch.nn.init.normal_(parameter)
    return g.eval()


def discriminator(**more: object) -> stylegan.Discriminator:
    """Its discriminator."""
    torch.manual_seed(1)
    config = {"size": (24, 16), "start": (6, 4), "filters": (8, 6, 4), "group_size": 2}
    d = core.build_discriminator(stylegan.DiscriminatorConfig(**(config | more)))
    assert isinstance(d, stylegan.Discriminator)
    return d.eval()


def styles(g: core.Generator, count: int = 2) -> Tensor:
    """Rows that all differ, [count, num_ws, w_dim]."""
    return torch.randn(count, g.num_ws, g.w_dim, generator=torch.Generator().manual_seed(3), dtype=g.w_avg.dtype)


# --- what the network is made of ---------------------------------------------------------------------------------


def test_adain_is_its_formula() -> None:
    x, gamma, beta = (torch.randn(s, dtype=torch.float64) for s in ((2, 3, 5, 4), (2, 3), (2, 3)))
    for n in range(2):
        for c in range(3):
            one = x[n, c]
            mean = one.sum() / 20
            variance = ((one - mean) ** 2).sum() / 20
            expected = gamma[n, c] * (one - mean) / (variance + 1e-5) ** 0.5 + beta[n, c]
            torch.testing.assert_close(adain(x, gamma, beta)[n, c], expected, rtol=1e-12, atol=1e-12)


def test_adain_differentiates_twice() -> None:
    parts = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((2, 2, 3, 4), (2, 2), (2, 2))]
    assert torch.autograd.gradcheck(adain, parts)
    assert torch.autograd.gradgradcheck(adain, parts)


def test_adain_keeps_half_precision_and_layout() -> None:
    x = torch.randn(2, 4, 6, 5).contiguous(memory_format=torch.channels_last)
    gamma, beta = torch.randn(2, 4), torch.randn(2, 4)
    y = adain(x.bfloat16(), gamma, beta)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), adain(x, gamma, beta), rtol=0.02, atol=0.05)


def test_doubling_and_halving_are_what_the_paper_says() -> None:
    blur = stylegan._Blur().double()
    x, weight = torch.randn(2, 3, 5, 4, dtype=torch.float64), torch.randn(6, 3, 3, 3, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, padding=1)
    torch.testing.assert_close(blur.doubled(x, weight), expected, rtol=1e-6, atol=1e-6)
    wide = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    expected = F.avg_pool2d(F.conv2d(wide, weight, padding=1), 2)
    torch.testing.assert_close(blur.halved(wide, weight), expected, rtol=1e-6, atol=1e-6)


def test_networks_differentiate_twice() -> None:
    g, d = generator().double(), discriminator().double()
    ws = styles(g).requires_grad_(True)
    img = torch.randn(2, 1, 12, 8, dtype=torch.float64, requires_grad=True)
    some = torch.tensor([0, 3, 11])
    assert torch.autograd.gradgradcheck(lambda w: g.synthesis(w, size=(12, 8), alpha=0.3).flatten(1)[:, some], [ws])
    assert torch.autograd.gradgradcheck(lambda x: d(x, alpha=0.3), [img])


# --- growing -----------------------------------------------------------------------------------------------------


def test_every_size_it_grew_through_can_be_asked_for() -> None:
    g, d = generator(), discriminator()
    assert (g.arch, g.grows, g.sizes, g.num_ws) == ("stylegan", True, SIZES, 6)
    for size in SIZES:
        img = g.synthesis(styles(g), size=size)
        assert img.shape == (2, 1, *size)
        assert d(img).shape == (2,)
    assert torch.equal(g.synthesis(styles(g)), g.synthesis(styles(g), size=(24, 16), alpha=1))


@pytest.mark.parametrize("noise", ["none", "const"])
def test_every_size_at_once_is_each_alone(noise: str) -> None:
    g = generator()
    drawn = g.synthesis.every_size(styles(g), noise=noise)  # type: ignore[operator]
    alone = [g.synthesis(styles(g), noise=noise, size=size) for size in SIZES]
    assert len(drawn) == len(alone) and all(map(torch.equal, drawn, alone))


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_alpha_blends_the_two_newest_pictures(alpha: float) -> None:
    g = generator()
    small, large = g.synthesis(styles(g), size=(6, 4)), g.synthesis(styles(g), size=(12, 8))
    expected = (1 - alpha) * small.repeat_interleave(2, 2).repeat_interleave(2, 3) + alpha * large
    torch.testing.assert_close(g.synthesis(styles(g), size=(12, 8), alpha=alpha), expected)


def test_a_discriminator_at_alpha_0_sees_the_averaged_picture() -> None:
    d = discriminator()
    img = torch.randn(4, 1, 12, 8)
    torch.testing.assert_close(d(img, alpha=0.0), d(F.avg_pool2d(img, 2)))
    assert not torch.allclose(d(img, alpha=0.5), d(img, alpha=0.0))
    assert not torch.allclose(d(img, alpha=0.5), d(img, alpha=1.0))


def test_rows_of_larger_sizes_are_not_looked_at() -> None:
    g = generator()
    ws = styles(g)
    other = ws.clone()
    other[:, 4:] = torch.nan
    assert torch.equal(g.synthesis(ws, size=(12, 8)), g.synthesis(other, size=(12, 8)))
    for row in range(4):
        other = ws.clone()
        other[:, row] += 1
        assert not torch.allclose(g.synthesis(ws, size=(12, 8)), g.synthesis(other, size=(12, 8)))


@pytest.mark.parametrize("fading", [False, True])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_reached_is_what_gradients_reach(level: int, fading: bool) -> None:
    g, d = generator(), discriminator()
    alpha = 0.5 if fading else 1.0
    d(g.synthesis(styles(g), size=SIZES[level], alpha=alpha), alpha=alpha).sum().backward()
    for network, reached in (
        (g.synthesis, g.synthesis.reached(level, fading=fading)),
        (d, d.reached(level, fading=fading)),
    ):
        with_gradient = {name for name, p in network.named_parameters() if p.grad is not None}
        ours = {name for name, p in network.named_parameters() if any(p is one for one in reached)}
        assert with_gradient == ours


def test_at_size_says_the_same_and_shares_tensors() -> None:
    g, d = generator(), discriminator()
    for size in SIZES:
        small, smaller = stylegan.at_size(g, size), stylegan.at_size(d, size)
        assert small.size == size
        ws = styles(g)[:, : small.num_ws]
        full = torch.cat([ws, torch.zeros(2, g.num_ws - small.num_ws, g.w_dim)], dim=1)
        torch.testing.assert_close(small.synthesis(ws), g.synthesis(full, size=size), rtol=0, atol=0)
        img = torch.randn(2, 1, *size)
        torch.testing.assert_close(smaller(img), d(img), rtol=0, atol=0)
        assert small.mapping.layers[0].weight.data_ptr() == g.mapping.layers[0].weight.data_ptr()


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), True])
def test_alpha_outside_0_to_1_is_refused(alpha: float) -> None:
    g, d = generator(), discriminator()
    with pytest.raises(SettingError, match="alpha"):
        g.synthesis(styles(g), alpha=alpha)
    with pytest.raises(SettingError, match="alpha"):
        d(torch.zeros(2, 1, 12, 8), alpha=alpha)


def test_other_sizes_are_refused() -> None:
    g, d = generator(), discriminator()
    with pytest.raises(SettingError, match="6x4, 12x8, 24x16"):
        g.synthesis(styles(g), size=(8, 8))
    with pytest.raises(SettingError, match="6x4, 12x8, 24x16"):
        d(torch.zeros(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("more", "field"), [({"noise": "both"}, "noise"), ({"filters": (8, 6)}, "filters"), ({"channels": 2}, "channels")]
)
def test_configurations_that_cannot_be_are_refused(more: dict[str, object], field: str) -> None:
    with pytest.raises(SettingError, match=field):
        generator(**more)


# --- noise and classes -------------------------------------------------------------------------------------------


def test_noise_means_what_it_means_for_stylegan2() -> None:
    g = generator()
    ws = styles(g)
    assert g.noise_shapes == [(6, 4), (6, 4), (12, 8), (12, 8), (24, 16), (24, 16)]
    assert torch.equal(g.synthesis(ws, 5), g.synthesis(ws, 5))
    assert not torch.equal(g.synthesis(ws, 5), g.synthesis(ws, 6))
    maps = core.latents.noise_maps(5, g.noise_shapes)
    assert torch.equal(g.synthesis(ws, maps), g.synthesis(ws, 5))
    assert torch.equal(g.synthesis(ws, maps[:4], size=(12, 8)), g.synthesis(ws, maps, size=(12, 8)))
    none = g.synthesis(ws, "none")
    with torch.no_grad():
        for block in g.synthesis.blocks:
            for layer in block.layers():
                layer.strength.zero_()
    assert torch.equal(g.synthesis(ws, "const"), none)
    with pytest.raises(SettingError, match="6 noise maps"):
        g.synthesis(ws, maps[:3])


def test_a_level_can_share_its_map() -> None:
    g = generator(noise="level")
    assert g.noise_shapes == SIZES
    assert not any("noise" in name for name in g.state_dict())
    assert torch.equal(g.synthesis(styles(g)), g.synthesis(styles(g), 0))


def test_classes_go_into_both_networks() -> None:
    g, d = generator(num_classes=3), discriminator(num_classes=3)
    z, img = torch.randn(2, 5), torch.randn(2, 1, 12, 8)
    label = torch.tensor([1, 2])
    assert not torch.allclose(g.mapping(z, label), g.mapping(z, None))
    assert not torch.allclose(d(img, label), d(img, None))


# --- the file ----------------------------------------------------------------------------------------------------


def test_a_file_keeps_it(tmp_path: Path) -> None:
    g, d = generator(), discriminator()
    about = {"grown": {"size": [12, 8], "alpha": 0.25}}
    core.save(tmp_path / "a.safetensors", g, d, about)
    opened = core.load(tmp_path / "a.safetensors")
    assert (opened.about["arch"], opened.grown) == ("stylegan", ((12, 8), 0.25))
    assert torch.equal(opened.generator.synthesis(styles(g)), g.synthesis(styles(g)))
    assert opened.discriminator is not None
    img = torch.randn(2, 1, 12, 8)
    assert torch.equal(opened.discriminator(img, alpha=0.5), d(img, alpha=0.5))


def test_a_file_of_the_start_shape_alone_opens(tmp_path: Path) -> None:
    g, d = (stylegan.at_size(network, (6, 4)) for network in (generator(), discriminator()))
    core.save(tmp_path / "a.safetensors", g, d)
    assert core.load(tmp_path / "a.safetensors").generator.sizes == [(6, 4)]


@pytest.mark.parametrize("grown", [{"size": [8, 8], "alpha": 1}, {"size": [12, 8], "alpha": 2}, {"size": [12]}, 3])
def test_a_lying_grown_is_refused(tmp_path: Path, grown: object) -> None:
    with pytest.raises(core.errors.CheckpointError, match="grown"):
        core.save(tmp_path / "a.safetensors", generator(), None, {"grown": grown})
