"""What is made ready for looking shows what the network shows, and what it keeps changes no bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import core
from core.engine import Engine, _agrees, _proven, _Whole, choose_device, prepare
from core.errors import SettingError
from core.folded import Phases, Transposed
from core.noise import Noise
from core.prepared import threads
from core.unrolled import Unrolled


def network(**changes: object) -> core.Generator:
    torch.manual_seed(1)
    values = {"size": (56, 48), "filters": (16, 12, 8, 6), "z_dim": 9, "w_dim": 9, "mapping_layers": 1, **changes}
    g = core.build_generator(core.GeneratorConfig(**values)).eval()  # type: ignore[arg-type]
    for name, parameter in g.named_parameters():
        if name.endswith(("strength", "bias")):
            torch.nn.init.normal_(parameter, std=0.3)
    return g


def different_rows(g: core.Generator) -> Tensor:
    return torch.randn(2, g.num_ws, g.w_dim, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"architecture": "resnet"},
        {"architecture": "orig", "channels": 3},
        {"resample_filter": (1.0, 3.0, 5.0, 2.0)},
        {"resample_filter": (1.0, 2.0, 1.0), "architecture": "resnet"},
        {"conv_clamp": 0.7, "channels": 3},
        {"use_noise": False},
        {"size": (32, 32), "filters": (8, 64, 2, 2)},
    ],
    ids=["skip", "resnet", "orig", "skewed filter", "3 taps", "clamp", "no noise", "square"],
)
@pytest.mark.parametrize("noise", ["const", "none", 11])
def test_float32_is_the_network(changes: dict[str, object], noise: str | int) -> None:
    g = network(**changes)
    ws = different_rows(g)
    with torch.no_grad():
        expected = g.synthesis(ws, noise=noise)
    torch.testing.assert_close(
        prepare(g, precision="float32").synthesis(ws, noise=noise), expected, atol=2e-5, rtol=2e-5
    )


def test_maps_for_each_picture_go_to_theirs() -> None:
    g = network()
    ws = different_rows(g)[:1].repeat(2, 1, 1)
    random = np.random.default_rng(0)
    maps = [random.standard_normal((2, 1, *shape), dtype=np.float32) for shape in g.synthesis.noise_shapes]
    maps[1] = maps[1][0, 0]  # one for both
    with torch.no_grad():
        expected = g.synthesis(ws, noise=maps)
    found = prepare(g, precision="float32").synthesis(ws, noise=maps)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)
    assert not torch.equal(found[0], found[1])
    with pytest.raises(SettingError, match="this map is"):
        prepare(g, precision="float32").synthesis(ws, noise=[maps[0].repeat(2, 0), *maps[1:]])


def test_bfloat16_stays_within_forty_decibels() -> None:
    g = network(size=(64, 64), filters=(64, 64, 64, 32, 16))
    ws = g.truncate(g.mapping(core.latents.seeds_to_z([1], 9)))
    with torch.no_grad():
        expected = g.synthesis(ws)
        error = (prepare(g, precision="bfloat16").synthesis(ws) - expected).square().mean().sqrt()
    assert 20 * math.log10(float(expected.max() - expected.min()) / float(error)) > 40


def test_both_routes_to_a_larger_size_agree() -> None:
    g = network(size=(28, 24), filters=(8, 6, 4))
    layer = g.synthesis.blocks[1].conv0
    x = torch.randn(1, 8, 7, 6)
    w = torch.randn(9)
    with torch.inference_mode():
        a = Transposed(layer, torch.float32)(x, w, None)
        b = Phases(layer, torch.float32)(x, w, None)
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_kept_layers_change_no_bit(precision: str, architecture: str) -> None:
    g = network(architecture=architecture)
    engine = prepare(g, precision=precision)
    assert isinstance(engine, Unrolled)
    base, other = different_rows(g)
    for first in range(g.num_ws):
        mixed = base.clone()
        mixed[first:] = other[first:]
        engine.synthesis(base[None])
        kept = engine.synthesis(mixed[None])
        assert torch.equal(kept, engine.fresh(mixed[None]))
        assert torch.equal(engine.synthesis(mixed[None]), kept)


def test_only_what_changed_runs_again() -> None:
    g = network()
    engine = prepare(g, precision="float32")
    assert isinstance(engine, Unrolled)
    ran: list[int] = []
    engine.steps = [lambda *a, i=i, s=step: (ran.append(i), s(*a))[1] for i, step in enumerate(engine.steps)]
    ws = different_rows(g)[:1].clone()
    engine.synthesis(ws)
    assert ran == list(range(len(engine.steps)))
    for row, expected in ((g.num_ws - 1, 1), (g.num_ws - 3, 4), (0, len(engine.steps))):
        ran.clear()
        ws[0, row] += 1
        engine.synthesis(ws)
        assert len(ran) == expected
    ran.clear()
    engine.synthesis(ws)
    assert ran == []
    engine.synthesis(ws, noise=3)
    assert len(ran) == len(engine.steps)


def test_a_failed_picture_leaves_nothing_behind() -> None:
    g = network()
    engine = prepare(g, precision="float32")
    assert isinstance(engine, Unrolled)
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


def test_random_noise_is_never_kept() -> None:
    g = network()
    engine = prepare(g, precision="float32")
    ws = different_rows(g)[:1]
    assert not torch.equal(engine.synthesis(ws, noise="random"), engine.synthesis(ws, noise="random"))


def test_auto_says_what_it_chose_and_why() -> None:
    engine = prepare(network(), device="cpu")
    assert engine.precision in ("float32", "bfloat16")
    assert engine.says.startswith(f"{engine.precision}, cpu: ") and engine.says.count(" ms") == 2
    assert "1 thread," in engine.says


@pytest.mark.parametrize(("field", "value"), [("precision", "float16"), ("device", "tpu"), ("device", "nowhere")])
def test_unknown_choices_are_refused(field: str, value: str) -> None:
    with pytest.raises(SettingError, match=field):
        prepare(network(), **{field: value})


class Fake(Engine):
    """A device that draws what it is told to."""

    def __init__(self, g: core.Generator, spoil: Callable[[Tensor], Tensor], precision: str = "float32") -> None:
        super().__init__(g, device=torch.device("mps"), precision=precision, says=f"{precision}, mps")
        self.spoil = spoil

    def _pictures(self, ws: Tensor, noise: Noise, level: int, alpha: float) -> Tensor:
        return self.spoil(self.generator.synthesis(ws, noise, alpha=alpha))


def failing(_: Tensor) -> Tensor:
    raise RuntimeError("no kernel\nimage")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda x: x, None),
        (lambda x: x + 1e-4 * torch.randn_like(x), None),
        (torch.zeros_like, "mps draws another picture than the CPU"),
        (lambda x: x.mean(dim=(2, 3), keepdim=True).expand_as(x), "another picture"),
        (lambda x: x.flip(3), "another picture"),
        (lambda x: x * math.nan, "another picture"),
        (failing, "cannot draw (no kernel image)"),
    ],
    ids=["right", "rounded", "zeros", "gray", "mirrored", "nan", "failing"],
)
def test_a_device_that_draws_something_else_is_not_used(spoil: Callable[[Tensor], Tensor], says: str | None) -> None:
    g = network(num_classes=2)
    with torch.inference_mode():
        engine = _proven(lambda: Fake(g, spoil), g, precision="float32")
    assert isinstance(engine, Fake) == (says is None)
    if says is not None:
        assert says in str(engine.warning) and says in engine.says and engine.device.type == "cpu"
        ws = different_rows(g)
        assert torch.equal(engine.synthesis(ws), prepare(g, device="cpu", precision="float32").synthesis(ws))


def test_the_proof_leaves_room_for_bfloat16() -> None:
    g = network(size=(64, 64), filters=(64, 64, 64, 32, 16))
    narrow = prepare(g, device="cpu", precision="bfloat16")
    with torch.inference_mode():
        assert _agrees(narrow, g)


@pytest.mark.parametrize("shape", [(0, 8, 9), (8, 9), (1, 7, 9), (1, 8, 8), ()])
def test_styles_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SettingError, match=r"shape of ws cannot be .*\[N, 8, 9\]"):
        prepare(network(), precision="float32").synthesis(torch.zeros(shape))


def test_noise_may_be_numpys() -> None:
    engine = prepare(network(), precision="float32")
    ws = torch.zeros(1, 8, 9)
    assert torch.equal(engine.synthesis(ws, noise=np.int64(7)), engine.synthesis(ws, noise=7))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="noise cannot be 'None'"):
        engine.synthesis(ws, noise=None)  # type: ignore[arg-type]


def test_the_processor_is_always_there() -> None:
    assert choose_device("cpu").type == "cpu"


def test_who_asks_for_one_thread_has_one_to_the_end() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    first, second, hurried = threads(1), threads(1), threads(2)
    try:
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)  # another Python thread's, which began before and is done before
        hurried.__enter__()
        assert torch.get_num_threads() == 1
        second.__exit__(None, None, None)
        hurried.__exit__(None, None, None)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_device_whose_memory_is_taken_later_is_left_for_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    g = network()
    ws = different_rows(g)
    with torch.inference_mode():
        engine = _Whole(g, device=torch.device("cpu"), precision="float32")
    assert engine.synthesis(ws).shape == (2, 1, 56, 48) and engine.warning is None

    def full(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(engine, "_drawn", full)
    expected = prepare(g, device="cpu", precision="float32").synthesis(ws)
    assert torch.equal(engine.synthesis(ws), expected) and torch.equal(engine.synthesis(ws), expected)
    assert "no memory left" in str(engine.warning) and str(engine.warning) in engine.says


def test_other_errors_of_a_device_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        engine = _Whole(network(), device=torch.device("cpu"), precision="float32")
    monkeypatch.setattr(engine, "_drawn", lambda *_: failing(torch.empty(0)))
    with pytest.raises(RuntimeError, match="no kernel"):
        engine.synthesis(different_rows(engine.generator))
