"""Files of torch.save in all the shapes they come in: types, layouts, views, wrappings; and those that do not fit."""

from __future__ import annotations

import argparse
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import core
from core import foreign, latents
from core.errors import CheckpointError
from core.foreign import torchfiles
from core.foreign.source import Budget, Source
from tests.core.foreign import hostile as h
from tests.interop import FOLDER, needs_interop

pytestmark = needs_interop
Table = dict[str, Tensor]


def table(name: str, prefix: str) -> Table:
    """The tensors of one network of an example."""
    tensors = load_file(FOLDER / name / "weights.safetensors")
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def saved(path: Path, value: Any, *, old: bool = False) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not old)
    return path


def shown(path: Path) -> Tensor:
    """A picture of the network in a file."""
    g = core.load(path).generator
    return g.synthesis(g.truncate(torch.ones(1, g.w_dim), psi=1))


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types(dtype: torch.dtype, old: bool, tmp_path: Path) -> None:
    tensors = {key: value.to(dtype) for key, value in table("rosinality", "g_ema.").items()}
    g = core.load(saved(tmp_path / "x", tensors, old=old)).generator
    assert torch.equal(g.mapping.layers[0].weight, tensors["style.1.weight"].float())
    assert all(tensor.dtype == torch.float32 for tensor in g.state_dict().values())


@pytest.mark.parametrize("old", [False, True])
def test_other_layouts(old: bool, tmp_path: Path) -> None:
    """Transposed, parts of one storage, wrapped by DataParallel, kept as parameters: the same pictures."""
    tensors = table("rosinality", "g_ema.")
    plain = shown(saved(tmp_path / "plain", tensors, old=old))
    whole = torch.cat([value.flatten() for value in tensors.values()])
    parts, begin = {}, 0
    for key, value in tensors.items():
        parts[key] = whole[begin : begin + value.numel()].view(value.shape)
        begin += value.numel()
    turned = {
        key: value.transpose(0, -1).contiguous().transpose(0, -1) if value.ndim > 1 else value
        for key, value in tensors.items()
    }
    wrapped = {f"module.{key}": value for key, value in tensors.items()}
    held = {key: torch.nn.Parameter(value) for key, value in tensors.items()}
    for other in (parts, turned, wrapped, held, {"g_ema": tensors, "iter": 7, "args": argparse.Namespace(path="a")}):
        assert torch.equal(shown(saved(tmp_path / "other", other, old=old)), plain)


def test_no_noise_in_the_file(tmp_path: Path) -> None:
    tensors = {key: value for key, value in table("rosinality", "g_ema.").items() if not key.startswith("noises.")}
    g = core.load(saved(tmp_path / "x", {"g_ema": tensors})).generator
    ws = torch.ones(1, g.num_ws, g.w_dim)
    assert torch.equal(g.synthesis(ws), g.synthesis(ws, noise=latents.noise_maps(0, g.noise_shapes)))


def test_settings_of_a_billion(tmp_path: Path) -> None:
    value = {"g_ema": table("rosinality", "g_ema."), "args": argparse.Namespace(c="x\ny", b=float("nan"), a=billion())}
    opened = core.load(saved(tmp_path / "x", value))
    settings = opened.about["training"]["settings"]
    assert settings["c"] == "x?y" and settings["b"] is None
    core.save(tmp_path / "ours", opened.generator, about=opened.about)
    assert len(str(foreign.facts(tmp_path / "x"))) < 20_000


def test_a_discriminator_for_other_pictures(tmp_path: Path) -> None:
    """One level less in the discriminator's file."""
    small = {}
    for key, tensor in table("rosinality", "d.").items():
        part, index, rest = (*key.split(".", 2), "")[:3]
        if part == "convs" and index == "1":
            continue
        small[f"convs.{int(index) - 1}.{rest}" if part == "convs" and index != "0" else key] = tensor
    small["convs.0.0.weight"], small["convs.0.1.bias"] = torch.zeros(24, 3, 1, 1), torch.zeros(24)
    path = saved(tmp_path / "x", {"g_ema": table("rosinality", "g_ema."), "d": small})
    with pytest.raises(CheckpointError, match="for other pictures"):
        core.load(path)
    assert core.load(path, generator_only=True).discriminator is None


def test_without_a_moving_average(tmp_path: Path) -> None:
    opened = core.load(saved(tmp_path / "x", {"g": table("rosinality", "g_ema."), "d": table("rosinality", "d.")}))
    assert opened.live is None and opened.discriminator is not None


def test_a_filter_of_its_own(tmp_path: Path) -> None:
    taps = torch.tensor([1.0, 2.0, 4.0, 1.0]) / 8
    tensors = table("rosinality", "g_ema.")
    kernel = torch.outer(taps, taps) * 4
    tensors |= {key: kernel for key in tensors if key.endswith("kernel")}
    g = core.load(saved(tmp_path / "x", tensors)).generator
    assert g.config.resample_filter == (1, 2, 4, 1)  # type: ignore[union-attr]


def billion() -> list[Any]:
    value: list[Any] = []
    for _ in range(30):
        value = [value] * 10
    return value


def cut(*names: str) -> Callable[[Table], Any]:
    return lambda t: {key: value for key, value in t.items() if key not in names}


WRONG: dict[str, tuple[Callable[[Table], Any], str]] = {
    "a tensor missing": (cut("convs.1.activate.bias"), "convs.1.activate.bias missing"),
    "a tensor left over": (lambda t: t | {"extra.weight": torch.zeros(3)}, "extra.weight unknown"),
    "a name of two lines": (lambda t: t | {"a\nb" * 1000: torch.zeros(3)}, "a?ba?ba?b"),
    "settings of a billion": (
        lambda t: {"g_ema": t, "args": argparse.Namespace(a=billion()), "e": torch.ones(1)},
        "in e",
    ),
    "another shape": (lambda t: t | {"style.2.bias": torch.zeros(63)}, "style.2.bias is [63] where [64] belongs"),
    "more numbers": (lambda t: t | {"style.2.bias": torch.zeros(1 << 20)}, "style.2.bias is [1048576]"),
    "too few axes": (lambda t: t | {"conv1.conv.weight": torch.zeros(3)}, "has 1 axes instead of 5"),
    "no number": (lambda t: t | {"style.2.bias": torch.full((64,), torch.inf)}, "style.2.bias is not finite"),
    "text": (lambda t: {"g_ema": t | {"style.2.bias": "b"}}, "not everything in g_ema"),
    "another filter": (lambda t: t | {"convs.0.conv.blur.kernel": torch.eye(4)}, "outer product"),
    "two filters": (
        lambda t: t | {"convs.0.conv.blur.kernel": torch.ones(2, 2)},
        "has different filters in the table at convs.0.conv.blur.kernel and",
    ),
    "a wide average": (lambda t: {"g_ema": t, "latent_avg": torch.zeros(63)}, "mapping.w_avg is [63]"),
    "an average of text": (lambda t: {"g_ema": t, "latent_avg": "mean"}, "no vector"),
    "another network": (lambda t: {"g_ema": t, "encoder": {"weight": torch.zeros(3)}}, "in encoder"),
    "no table": (lambda t: [t], "no table"),
    "nothing known": (lambda t: {"state_dict": t}, "it has state_dict"),
    "nothing": (lambda t: {}, "it has nothing"),
    "a table of zero sides": (lambda t: t | {"input.input": torch.zeros(1, 0, 1 << 20, 4)}, "cannot be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit(name: str, tmp_path: Path) -> None:
    change, word = WRONG[name]
    for old in (False, True):
        path = saved(tmp_path / "x", change(table("rosinality", "g_ema.")), old=old)
        with pytest.raises(CheckpointError) as caught:
            core.load(path)
        assert word in str(caught.value), caught.value
        assert foreign.facts(path)["networks"] is not None


WRONG_1 = {
    "a fixed filter that is another": (
        lambda t: t | {"generator.progression.1.conv1.2.weight": torch.ones(32, 1, 3, 3)}, "another filter"),
    "a level missing": (cut("generator.to_rgb.4.conv.bias"), "unknown"),
    "a tensor left over": (lambda t: t | {"style.9.weight": torch.zeros(1)}, "style.9.weight unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_1)
def test_what_does_not_fit_in_stylegan(name: str, tmp_path: Path) -> None:
    change, word = WRONG_1[name]
    with pytest.raises(CheckpointError, match=word):
        core.load(saved(tmp_path / "x", change(table("stylegan1", "g_running."))))


def test_views_in_old_files(tmp_path: Path) -> None:
    """A storage that is a stretch of another, as files from before torch 0.4 have them."""
    data = struct.pack("<6f", *range(6))
    view = h.tuple_of(h.text("v"), h.whole(2), h.whole(3))
    storage = h.tuple_of(h.text("storage"), h.FLOATS, h.text("0"), h.text("cpu"), h.whole(6), view) + b"Q"
    path = tmp_path / "x"
    path.write_bytes(h.legacy(h.dictionary(x=h.tensor(storage, (2,), (1,), 1)), {"0": data}))
    with Source(path) as source:
        stored = torchfiles.read_legacy(source, Budget(path))["x"]
        assert stored.read(source).tolist() == [3, 4]
    for shift, count in ((4, 3), (-1, 3), (0, 7)):
        view = h.tuple_of(h.text("v"), h.whole(shift), h.whole(count))
        storage = h.tuple_of(h.text("storage"), h.FLOATS, h.text("0"), h.text("cpu"), h.whole(6), view) + b"Q"
        path.write_bytes(h.legacy(h.dictionary(x=h.tensor(storage, (2,), (1,), 1)), {"0": data}))
        with pytest.raises(CheckpointError, match="views"):
            core.load(path)


def test_recognised_by_content(tmp_path: Path) -> None:
    path = tmp_path / "anything.png"
    for example, kind in (
        ("skip/network.pkl", "nvidia-pickle"),
        ("rosinality/checkpoint_train.pt", "torch-zip"),
        ("rosinality/checkpoint_converted.pt", "torch-legacy"),
        ("stylegan1/ema.model", "torch-zip"),
        ("skip/weights.safetensors", None),
        ("skip/reference.npz", None),
        ("README.md", None),
    ):
        path.write_bytes((FOLDER / example).read_bytes())
        assert foreign.recognise(path) == kind
        if kind is not None:
            assert foreign.facts(path)["kind"] == kind
        else:
            with pytest.raises(CheckpointError, match="of another program"):
                foreign.facts(path)
    # A header as long as these begins with the bytes that a pickle begins with.
    for length in (0x280, 0x380, 0x480, 0x580):
        path.write_bytes(struct.pack("<Q", length) + b"{" + bytes(length))
        assert foreign.recognise(path) is None
    path.write_bytes(b"")
    assert foreign.recognise(path) is None


def test_facts_of_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(h.pickle_of(h.dictionary(G_ema=h.call(h.glob("os", "system"), h.text("true")))))
    facts = foreign.facts(path)
    assert "os.system" in facts["refused"] and any("os.system" in line for line in facts["suspicious"])
    assert facts["arch"] is None and facts["bytes"] == path.stat().st_size
