"""A StyleGAN made ready for looking shows what the network shows in every size, and what it keeps changes no bit."""

from __future__ import annotations

import math
import random

import pytest
import torch
from torch import Tensor

import core
from core import folded_adain, stylegan
from core.engine import _agrees, _Whole, prepare
from core.errors import SettingError
from core.folded_adain import moments
from core.growing import Growing

SIZES = [(7, 6), (14, 12), (28, 24), (56, 48)]


def network(**changes: object) -> core.Generator:
    torch.manual_seed(1)
    values = {"size": (56, 48), "filters": (16, 12, 8, 6), "z_dim": 9, "w_dim": 9, "mapping_layers": 1, **changes}
    g = core.build_generator(stylegan.GeneratorConfig(**values)).eval()  # type: ignore[arg-type]
    for name, parameter in g.named_parameters():
        if name.endswith("strength"):
            torch.nn.init.normal_(parameter, std=0.3)
        elif name.endswith("bias"):
            parameter.data += torch.randn_like(parameter) * 0.3
    return g


def different_rows(g: core.Generator, count: int = 2) -> Tensor:
    return torch.randn(count, g.num_ws, g.w_dim, generator=torch.Generator().manual_seed(5))


def prepared(g: core.Generator, precision: str = "float32") -> Growing:
    engine = prepare(g, device="cpu", precision=precision)
    assert isinstance(engine, Growing)
    return engine


CHANGES = {
    "as it comes": {},
    "RGB": {"channels": 3},
    "noise a level": {"noise": "level"},
    "blurred bias": {"blur_bias": True},
    "both": {"noise": "level", "blur_bias": True},
    "square": {"size": (32, 32), "filters": (8, 40, 2, 2)},
    "one size": {"size": (7, 6), "start": (7, 6), "filters": (5,)},
    "wide levels": {"filters": (16, 16, 32, 48)},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("noise", ["const", "none", 11])
def test_float32_is_the_network(changes: dict[str, object], noise: str | int) -> None:
    g = network(**changes)
    ws = different_rows(g)
    engine = prepared(g)
    for size in [None, *g.sizes]:
        for alpha in (1.0, 0.0, 0.3):
            with torch.no_grad():
                expected = g.synthesis(ws, noise, size, alpha)
            torch.testing.assert_close(engine.synthesis(ws, noise, size, alpha), expected, atol=3e-5, rtol=3e-5)


def test_classes_come_with_ws() -> None:
    g = network(num_classes=3)
    ws = [g.truncate(g.mapping(core.latents.seeds_to_z([1], 9), torch.tensor([c]))) for c in range(3)]
    engine = prepared(g)
    with torch.no_grad():
        for one in ws:
            torch.testing.assert_close(engine.synthesis(one), g.synthesis(one), atol=3e-5, rtol=3e-5)


def test_bfloat16_stays_within_forty_decibels() -> None:
    g = network(size=(64, 64), filters=(64, 64, 64, 32, 16))
    ws = g.truncate(g.mapping(core.latents.seeds_to_z([1], 9)))
    engine = prepared(g, "bfloat16")
    for size, alpha in ((None, 1.0), ((64, 64), 0.4), ((16, 16), 1.0)):
        with torch.no_grad():
            expected = g.synthesis(ws, size=size, alpha=alpha)
            error = (engine.synthesis(ws, size=size, alpha=alpha) - expected).square().mean().sqrt()
        assert 20 * math.log10(float(expected.max() - expected.min()) / float(error)) > 40


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("noise_of", ["layer", "level"])
def test_whatever_came_before_the_picture_is_the_same_to_the_bit(precision: str, noise_of: str) -> None:
    g = network(noise=noise_of)
    engine = prepared(g, precision)
    dice = random.Random(8)
    own = [torch.randn(shape) for shape in g.noise_shapes]
    ws = different_rows(g)[:1].clone()
    noise: object = "const"
    size, alpha = (56, 48), 1.0
    for _ in range(60):
        what = dice.choice(["row", "row", "rows", "noise", "one map", "size", "alpha"])
        if what == "row":
            ws[0, dice.randrange(g.num_ws)] += 0.5
        elif what == "rows":
            ws = torch.randn_like(ws)
        elif what == "noise":
            noise = dice.choice(["const", "none", 3, 4, own])
        elif what == "one map":
            own[dice.randrange(len(own))] += 0.5
        elif what == "size":
            size = dice.choice(SIZES)
        else:
            alpha = dice.choice([0.0, 0.25, 0.5, 1.0])
        kept = engine.synthesis(ws, noise, size, alpha)  # type: ignore[arg-type]
        engine.forget()
        assert torch.equal(kept, engine.synthesis(ws, noise, size, alpha)), what  # type: ignore[arg-type]
        with torch.no_grad():
            expected = g.synthesis(ws, noise, size, alpha)  # type: ignore[arg-type]
        apart = (kept - expected).square().mean().sqrt() / expected.std()
        assert apart < (1e-4 if precision == "float32" else 0.1), what


def test_only_what_changed_runs_again() -> None:
    g = network()
    engine = prepared(g)
    ran: list[object] = []
    engine.steps = [lambda *a, i=i, s=step: (ran.append(i), s(*a))[1] for i, step in enumerate(engine.steps)]
    engine.pictures = [
        lambda *a, i=i, s=step: (ran.append(f"rgb{i}"), s(*a))[1]  # type: ignore[misc]
        for i, step in enumerate(engine.pictures)
    ]
    ws = different_rows(g)[:1].clone()

    def after(*args: object) -> list[object]:
        ran.clear()
        engine.synthesis(ws, *args)  # type: ignore[arg-type]
        return list(ran)

    assert after() == [*range(8), "rgb3"]
    assert after() == []
    ws[0, 7] += 1  # the last layer's AdaIN comes after everything that is kept
    assert after() == ["rgb3"]
    ws[0, 5] += 1
    assert after() == [6, 7, "rgb3"]
    assert after("const", None, 0.5) == ["rgb2"]
    assert after("const", None, 0.25) == []
    assert after("const", (14, 12), 1.0) == ["rgb1"]
    ws[0, 7] += 1
    assert after("const", (28, 24), 0.5) == []
    assert after() == ["rgb3"]
    ws[0, 0] += 1  # the learned constant does not look at any w
    assert after() == [*range(1, 8), "rgb3"]
    assert after(3) == [*range(8), "rgb3"]


def test_a_map_changes_only_what_comes_behind_it() -> None:
    g = network()
    engine = prepared(g)
    ran: list[int] = []
    engine.steps = [lambda *a, i=i, s=step: (ran.append(i), s(*a))[1] for i, step in enumerate(engine.steps)]
    ws = different_rows(g)[:1]
    own = [torch.randn(shape) for shape in g.noise_shapes]
    engine.synthesis(ws, own)
    own[6] = own[6] + 1
    ran.clear()
    engine.synthesis(ws, own)
    assert ran == [6, 7]


def test_a_failed_picture_leaves_nothing_behind() -> None:
    g = network()
    engine = prepared(g)
    a, b = different_rows(g)
    expected = engine.synthesis(b[None])
    engine.synthesis(a[None])
    whole = engine.steps[4]

    def broken(*_: object) -> None:
        raise RuntimeError("interrupted")

    engine.steps[4] = broken  # type: ignore[assignment]
    with pytest.raises(RuntimeError, match="interrupted"):
        engine.synthesis(b[None])
    engine.steps[4] = whole
    assert torch.equal(engine.synthesis(b[None]), expected)


def test_what_was_given_away_is_not_kept() -> None:
    g = network()
    engine = prepared(g)
    ws = different_rows(g)[:1]
    first = engine.synthesis(ws)
    expected = first.clone()
    with torch.inference_mode():
        first.zero_()
    assert torch.equal(engine.synthesis(ws), expected)
    assert not torch.equal(engine.synthesis(ws, noise="random"), engine.synthesis(ws, noise="random"))


@pytest.mark.parametrize(
    ("field", "grown"),
    [
        ("size", ((28, 28), 1.0)),
        ("size", ((112, 96), 1.0)),
        ("alpha", (None, 1.1)),
        ("alpha", (None, -0.1)),
        ("alpha", (None, math.nan)),
    ],
)
def test_sizes_and_alphas_that_there_are_not(field: str, grown: tuple[tuple[int, int] | None, float]) -> None:
    g = network()
    with pytest.raises(SettingError, match=f"{field} cannot be"):
        prepared(g).synthesis(different_rows(g), "const", *grown)


def test_a_stylegan2_has_one_size() -> None:
    g = core.build_generator(core.GeneratorConfig(size=(14, 12), filters=(4, 4), z_dim=3, w_dim=3)).eval()
    engine = prepare(g, device="cpu", precision="float32")
    ws = torch.zeros(1, g.num_ws, 3)
    assert torch.equal(engine.synthesis(ws, "const", (14, 12), 1.0), engine.synthesis(ws))
    for field, size, alpha in (("size", (7, 6), 1.0), ("alpha", None, 0.5)):
        with pytest.raises(SettingError, match=f"{field} cannot be .* a StyleGAN2 does not grow"):
            engine.synthesis(ws, "const", size, alpha)


@pytest.mark.parametrize("noise_of", ["layer", "level"])
def test_the_whole_network_on_another_device_knows_sizes_and_alphas(noise_of: str) -> None:
    g = network(noise=noise_of)
    ws = different_rows(g)
    with torch.inference_mode():
        engine = _Whole(g, device=torch.device("cpu"), precision="float32")
        assert _agrees(engine, g) and _agrees(prepared(g, "bfloat16"), g)
        for size in SIZES:
            torch.testing.assert_close(
                engine.synthesis(ws, 3, size, 0.5), g.synthesis(ws, 3, size, 0.5), atol=3e-5, rtol=3e-5
            )


def test_the_proof_looks_inside_the_fade() -> None:
    g, spoiled = network(), network()
    spoiled.synthesis.torgb[2].weight.data.neg_()  # type: ignore[union-attr, operator]
    with torch.inference_mode():
        assert not _agrees(prepared(spoiled), g)


def test_auto_measures_both_precisions() -> None:
    engine = prepare(network(), device="cpu")
    assert engine.says.startswith(f"{engine.precision}, cpu: ") and engine.says.count(" ms") == 2


@pytest.mark.parametrize("size", [(4, 3), (8, 9), (96, 80)])
def test_moments_are_the_mean_and_the_variance(size: tuple[int, int]) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = (torch.rand(1, 10, *size) + torch.arange(10.0)[:, None, None]).to(dtype)
        x = x.contiguous(memory_format=torch.channels_last)
        mean, variance = moments(x)
        assert mean.dtype == variance.dtype == torch.float32
        torch.testing.assert_close(mean, x.double().mean(dim=(0, 2, 3)).float(), rtol=1e-5, atol=0)
        expected = x.double().var(dim=(0, 2, 3), correction=0).float()
        torch.testing.assert_close(variance, expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("blur_bias", [False, True])
def test_both_routes_to_a_larger_size_are_the_layers_own(blur_bias: bool) -> None:
    layer = network(blur_bias=blur_bias).synthesis.blocks[2].conv0  # type: ignore[union-attr, index]
    x = torch.randn(1, 12, 14, 12)
    with torch.inference_mode():
        weight = layer.weight * math.sqrt(2 / layer.weight[0].numel())
        bias = torch.zeros_like(layer.bias) if blur_bias else layer.bias
        edges = layer.bias[:, None, None] * folded_adain.blurred_ones(layer.size) if blur_bias else 0
        for route in (folded_adain.ByTransposition, folded_adain.ByPhases):
            doubled = route(weight, bias, (14, 12), torch.float32)(x) + edges
            torch.testing.assert_close(doubled, layer.convolved(x), atol=1e-5, rtol=1e-5)


def test_where_nothing_can_be_laid_out_once_the_ordinary_operations_run(monkeypatch: pytest.MonkeyPatch) -> None:
    g = network()
    ws = different_rows(g)
    expected = prepared(g).synthesis(ws)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    torch.testing.assert_close(prepared(g).synthesis(ws), expected, atol=1e-5, rtol=1e-5)
