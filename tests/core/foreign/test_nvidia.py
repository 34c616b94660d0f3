"""Everything that NVIDIA's StyleGAN2 formats can hold, written as they write it and opened again: the same networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core import foreign
from core.errors import CheckpointError
from tests.core.foreign import nvidia_files as files

SMALL = {"size": (16, 16), "filters": (6, 5, 4), "channels": 3}
WIDTHS = {"z_dim": 7, "w_dim": 8, "mapping_layers": 3}
ASYMMETRIC = (1, 2, 5, 7, 4, 3, 2, 1)
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "usual": ({}, {}),
    "gray orig": ({"architecture": "orig", "channels": 1}, {"architecture": "orig", "channels": 1}),
    "residual": ({"architecture": "resnet", "conv_clamp": 0.5}, {"architecture": "skip", "conv_clamp": 0.7}),
    "classes": ({"num_classes": 4}, {"num_classes": 4, "map_dim": 9, "mapping_layers": 2}),
    "other widths": (
        {"num_classes": 4, "embed_dim": 3, "hidden_dim": 11, "mapping_lr": 0.02},
        {"num_classes": 4, "map_dim": 9, "embed_dim": 5, "hidden_dim": 4, "mapping_layers": 3, "mapping_lr": 1.0},
    ),
    "no mapping": ({"mapping_layers": 0, "z_dim": 8}, {}),
    "no mapping of classes": (
        {"mapping_layers": 0, "num_classes": 2, "embed_dim": 1}, {"num_classes": 2, "mapping_layers": 0}),
    "without noise": ({"use_noise": False}, {"group_size": None, "std_channels": 0}),
    "eight taps": ({"resample_filter": ASYMMETRIC}, {"resample_filter": (0.1, 0.37, 1.3, -0.2), "std_channels": 2}),
    "residual, asymmetric": (
        {"resample_filter": (1, 2, 4), "architecture": "resnet"},
        {"resample_filter": ASYMMETRIC, "architecture": "skip"}),
    "one tap": ({"resample_filter": (1,)}, {"resample_filter": (1,), "group_size": 2}),
}  # fmt: skip


def made(kind: str) -> tuple[core.Generator, core.stylegan2.Discriminator]:
    of_g, of_d = KINDS[kind]
    torch.manual_seed(3)
    g = core.build_generator(core.GeneratorConfig(**{**SMALL, **WIDTHS, **of_g}))
    d = core.build_discriminator(core.DiscriminatorConfig(**{**SMALL, **of_d}))
    with torch.no_grad():
        for network in (g, d):
            for tensor in network.state_dict().values():
                tensor.copy_(torch.randn_like(tensor))
    assert isinstance(d, core.stylegan2.Discriminator)
    return g.eval(), d.eval()


@pytest.mark.parametrize(("kind", "protocol"), [*((k, 3) for k in KINDS), *(("classes", p) for p in (2, 4, 5))])
@torch.no_grad()
def test_the_same_network(kind: str, protocol: int, tmp_path: Path) -> None:
    g, d = made(kind)
    later = protocol == 5
    networks = {"G": files.generator(g, later=later), "G_ema": files.generator(g, later=later)}
    path = files.write(
        tmp_path / "x",
        protocol=protocol,
        D=files.discriminator(d, frozen=later),
        augment_pipe=None,
        progress=7,
        **networks,
    )
    opened = core.load(path)
    z = torch.randn(4, g.z_dim)
    label = torch.tensor([0, 1, 1, 0]) if g.num_classes else None
    ws = g.truncate(g.mapping(z, label), psi=0.5)
    theirs = opened.generator.truncate(opened.generator.mapping(z, label), psi=0.5)
    assert torch.allclose(ws, theirs, atol=1e-5)
    img = g.synthesis(ws, noise="const")
    ours = opened.generator.synthesis(ws)
    assert torch.allclose(ours, img, atol=1e-5 * float(img.abs().max()))
    assert opened.discriminator is not None and opened.live is not None
    said = d(img / img.abs().max(), label)
    assert torch.allclose(opened.discriminator(img / img.abs().max(), label), said, rtol=1e-4, atol=1e-5)
    assert ("stylegan3" in opened.about["provenance"]["format"]) == later
    assert any("float16" in note for note in opened.about["provenance"]["notes"])
    assert not opened.generator.synthesis.blocks[0].conv1.conv.weight.requires_grad
    core.save(tmp_path / "ours.safetensors", opened.generator, opened.discriminator, opened.about)
    assert core.load(tmp_path / "ours.safetensors").about == opened.about
    facts = foreign.facts(path)
    assert facts["refused"] is None and facts["config"]["filters"] == (6, 5, 4) and "progress" in facts["keys"]
    assert [n["key"] for n in facts["networks"]] == ["G_ema", "G", "D"] and "Python source" in facts["suspicious"][0]


def test_without_an_average(tmp_path: Path) -> None:
    g, _ = made("classes")
    path = files.write(tmp_path / "x", G_ema=files.generator(g, average=False))
    opened = core.load(path)
    z = torch.randn(4000, 7, generator=torch.Generator().manual_seed(5))
    w = g.mapping(z, torch.arange(4000) % 4)
    assert ((opened.generator.w_avg - w.mean(0)).abs() < 6 * w.std(0) * (1e-4 + 2.5e-4) ** 0.5).all()
    assert "w_avg" in opened.about["provenance"]["notes"][-1] and opened.discriminator is None


def state(network: Any, *names: str) -> dict[str, Any]:
    """The state of a layer, by the names of the modules it lies in."""
    for name in names:
        network = network.meta["state"]["_modules"][name]
    return network.meta["state"]


def changed(part: str, *names: str, **values: Any) -> Any:
    def change(g: Any, d: Any) -> None:
        state(g if part == "G" else d, *names).update(values)

    return change


def without(*names: str) -> Any:
    return lambda g, d: state(g, *names[:-1])["_parameters"].pop(names[-1])


def added(*names: str, value: Any) -> Any:
    return lambda g, d: state(g, *names[:-1])["_buffers"].__setitem__(names[-1], value)


def billion() -> list[Any]:
    value: list[Any] = []
    for _ in range(30):
        value = [value] * 10
    return value


B8 = ("synthesis", "b8")
WRONG = {
    "another activation": (changed("G", *B8, "conv0", activation="relu"), "activation relu"),
    "another gain": (changed("G", *B8, "conv0", act_gain=1.0), "act_gain 1.0"),
    "another clamp": (changed("G", *B8, "conv1", conv_clamp=3), "another conv_clamp"),
    "a clamp of text": (changed("G", *B8, "conv1", conv_clamp="no"), "is no number"),
    "another direction": (changed("G", *B8, "conv0", up=1), "up 1"),
    "another architecture": (changed("G", *B8, architecture="resnet"), "architecture resnet"),
    "a learning rate of its own": (changed("G", "mapping", "fc1", bias_gain=0.5), "weight_gain"),
    "a tensor missing": (without(*B8, "conv0", "bias"), "synthesis.b8.conv0.bias missing"),
    "a tensor left over": (added(*B8, "conv0", "extra", value=torch.zeros(2)), "synthesis.b8.conv0.extra unknown"),
    "another filter": (added(*B8, "conv0", "resample_filter", value=torch.eye(4) / 4), "outer product"),
    "two filters": (
        added(*B8, "resample_filter", value=torch.ones(2, 2) / 4),
        "different filters in G_ema at synthesis.b8.conv0.resample_filter and synthesis.b8.resample_filter;"),
    "another shape": (added(*B8, "conv0", "noise_const", value=torch.zeros(7, 8)), "[7, 8] where [8, 8] belongs"),
    "not finite": (added(*B8, "conv0", "noise_const", value=torch.full((8, 8), torch.nan)), "is not finite"),
    "something else": (added(*B8, "conv0", "noise_const", value=3), "something else where synthesis.b8.conv0"),
    "no tables": (changed("G", *B8, _parameters=None), "without _parameters"),
    "a layer of another kind": (
        lambda g, d: g.meta["state"]["_modules"]["synthesis"].meta.update(class_name="Attention"), "Attention"),
    "StyleGAN3": (
        lambda g, d: state(g, "synthesis")["_modules"].__setitem__(
            "input", files._module("SynthesisInput", {}, {"freqs": torch.zeros(2)}, {}, {})), "StyleGAN3"),
    "an attribute of a billion": (
        lambda g, d: state(g, *B8, "conv0").update(activation=billion()), "activation [["),
    "a name of two lines": (added(*B8, "conv0", "a\nb", value=torch.zeros(2)), "no word"),
    "a group of text": (changed("D", "b4", "mbstd", group_size="4"), "group_size 4"),
    "groups of none": (changed("D", "b4", "mbstd", group_size=0), "group_size 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_put_together_otherwise(name: str, tmp_path: Path) -> None:
    ours = made("usual")
    g, d = files.generator(ours[0]), files.discriminator(ours[1])
    change, word = WRONG[name]
    change(g, d)
    path = files.write(tmp_path / "x", G_ema=g, D=d)
    with pytest.raises(CheckpointError) as caught:
        core.load(path)
    assert word in str(caught.value), caught.value
    said = foreign.facts(path)["refused"]
    assert said is None or str(path) in said


@pytest.mark.parametrize("clamp", [1e9, 1 << 100, float("nan"), float("inf"), 0, -1.0, True])
def test_clamps_that_no_file_of_ours_could_have(clamp: Any, tmp_path: Path) -> None:
    """What opens can be converted, and what was converted opens."""
    g = files.generator(made("usual")[0])
    waiting = [g]
    while waiting:
        inner = waiting.pop().meta["state"]
        waiting += inner["_modules"].values()
        if "conv_clamp" in inner:
            inner["conv_clamp"] = clamp
    with pytest.raises(CheckpointError, match="conv_clamp"):
        core.load(files.write(tmp_path / "x", G_ema=g))


def test_a_network_inside_itself(tmp_path: Path) -> None:
    g = files.generator(made("usual")[0])
    state(g, "synthesis")["_modules"]["again"] = g.meta["state"]["_modules"]["synthesis"]
    with pytest.raises(CheckpointError, match="never do"):  # a call of a table that is not there yet
        core.load(files.write(tmp_path / "x", G_ema=g))
    g = deep = files.generator(made("usual")[0])
    for _ in range(12):
        deep.meta["state"]["_modules"]["again"] = deep = files._module("SynthesisNetwork", {}, {}, {}, {})
    with pytest.raises(CheckpointError, match="without end"):
        core.load(files.write(tmp_path / "x", G_ema=g))


def test_what_lies_beside_the_networks(tmp_path: Path) -> None:
    g = made("usual")[0]
    pipe = files._module("AugmentPipe", {}, {"p": torch.zeros([])}, {}, {})
    assert core.load(files.write(tmp_path / "x", G_ema=files.generator(g), augment_pipe=pipe, progress={"a": [1]}))
    for other in (pipe, torch.zeros(3), [{"a": (torch.zeros(1),)}]):
        path = files.write(tmp_path / "x", G_ema=files.generator(g), encoder=other)
        with pytest.raises(CheckpointError, match="belong to no network known here, in encoder"):
            core.load(path)


def test_tensorflow(tmp_path: Path) -> None:
    value = b"(" + b"cdnnlib.tflib.network\nNetwork\n)\x81}b" * 3 + b"t"
    path = tmp_path / "x"
    path.write_bytes(b"\x80\x03" + value + b".")
    with pytest.raises(CheckpointError, match="TensorFlow pickle"):
        core.load(path)
    assert "TensorFlow" in foreign.facts(path)["refused"]


def test_a_pickle_of_no_network(tmp_path: Path) -> None:
    for table in ({}, {"G": None}, {"D": files.discriminator(made("usual")[1])}):
        with pytest.raises(CheckpointError, match="no network of a kind known here"):
            core.load(files.write(tmp_path / "x", **table))
