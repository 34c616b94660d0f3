"""Networks of ours written for other programs: their names and numbers to the bit, and the same pictures again."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import core
from core.errors import CheckpointError, OutputError, SettingError
from core.foreign import facts, write_foreign
from tests.interop import FOLDER, needs_interop

SMALL: dict[str, Any] = {"size": (16, 16), "filters": (8, 8, 4)}
G_ONLY: dict[str, Any] = {"z_dim": 6, "w_dim": 6, "mapping_layers": 2}


@torch.no_grad()
def made(g: dict[str, Any], d: dict[str, Any] | None = None, **about: Any) -> core.Opened:
    """Networks with numbers in every tensor, as if they had been opened."""
    torch.manual_seed(4)
    generators = [core.build_generator(core.GeneratorConfig(**{**SMALL, **G_ONLY, **g})).eval() for _ in range(2)]
    critic = None if d is None else core.build_discriminator(core.DiscriminatorConfig(**{**SMALL, **d})).eval()
    for network in (*generators, critic):
        for tensor in () if network is None else network.state_dict().values():
            tensor.copy_(torch.randn_like(tensor))
    size = generators[0].size
    about = {"picture": {"crop": [0, 0, *size]}, "training": {}, "credit": "CC0 toys", **about}
    return core.Opened(generators[0], critic, about, Path("toy.safetensors"), generators[1])


def written(path: Path, opened: core.Opened, program: str, **how: Any) -> tuple[dict[str, Any], list[str]]:
    """What PyTorch's reader of weights finds in the file, and the notes."""
    told = write_foreign(path, opened, program, **how)
    table = torch.load(path, weights_only=True)
    assert told.networks == [key for key in table if key in ("G_ema", "G", "D", "g_ema", "g", "d")]
    return table, told.notes


@needs_interop
@pytest.mark.parametrize("name", ["skip", "residual", "rosinality"])
def test_what_their_own_program_keeps(name: str, tmp_path: Path) -> None:
    """Opened from their file and written again, every name, shape and number is theirs, the filters too."""
    opened = core.load(FOLDER / name / ("checkpoint_train.pt" if name == "rosinality" else "network.pkl"))
    theirs = load_file(FOLDER / name / "weights.safetensors")
    table, notes = written(tmp_path / "x.pt", opened, "rosinality" if name == "rosinality" else "nvidia")
    networks = ("g_ema", "d") if name == "rosinality" else ("G_ema", "D")
    ours = {f"{key}.{leaf}": tensor for key in networks for leaf, tensor in table[key].items()}
    theirs.pop("latent_avg", None)  # this training file has none: ours is estimated
    assert ours.keys() == theirs.keys()
    assert [leaf for leaf, tensor in theirs.items() if not torch.equal(ours[leaf], tensor)] == []
    again = core.load(tmp_path / "x.pt")
    assert again.generator.config == opened.generator.config and again.live is not None
    assert again.discriminator.config == opened.discriminator.config  # type: ignore[union-attr]
    for one, other in ((again.generator, opened.generator), (again.discriminator, opened.discriminator)):
        assert all(torch.equal(t, other.state_dict()[n]) for n, t in one.state_dict().items())  # type: ignore[union-attr]
    table_of_channels = "channel_multiplier=2) once its table of channels says {4: 32, 8: 28, 16: 24, 32: 16}"
    assert [note.endswith(table_of_channels) for note in notes] == [True] * (name == "rosinality")


NVIDIA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gray": ({}, {}),
    "classes": ({"num_classes": 3, "embed_dim": 5, "hidden_dim": 7}, {"num_classes": 3, "map_dim": 4, "embed_dim": 5}),
    "orig": (
        {"architecture": "orig", "use_noise": False, "channels": 3},
        {"architecture": "orig", "std_channels": 0, "channels": 3},
    ),
    "resnet": (
        {"architecture": "resnet", "resample_filter": (1, 2, 1), "conv_clamp": 2.0},
        {"architecture": "skip", "resample_filter": (1, 2, 4), "group_size": None, "std_channels": 2},
    ),
    "long filter": ({"resample_filter": (1, 2, 3, 4, 4, 3, 2, 1, 1)}, {"conv_clamp": 0.5, "group_size": 2}),
    "narrow at first": ({"mapping_lr": 0.1, "filters": (9, 9, 5)}, {"filters": (10, 10, 10)}),
    "no mapping": ({"mapping_layers": 0}, {"num_classes": 0}),
}


@pytest.mark.parametrize("kind", NVIDIA)
def test_everything_that_nvidias_program_builds(kind: str, tmp_path: Path) -> None:
    opened = made(*NVIDIA[kind])
    table, notes = written(tmp_path / "x.pt", opened, "nvidia")
    assert notes == [] and table["credit"] == "CC0 toys"
    assert facts(tmp_path / "x.pt")["refused"] is None
    again = core.load(tmp_path / "x.pt")
    assert again.generator.config == replace(opened.generator.config, resample_filter=taps(again))  # type: ignore[type-var]
    pairs = (again.generator, opened.generator), (again.discriminator, opened.discriminator), (again.live, opened.live)
    for one, other in pairs:
        state = other.state_dict()  # type: ignore[union-attr]
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())  # type: ignore[union-attr]
    image, label = torch.randn(4, opened.generator.channels, 16, 16), torch.tensor([0, 0, 0, 0])
    label = label if opened.generator.num_classes else None  # type: ignore[assignment]
    with torch.no_grad():
        assert torch.allclose(again.discriminator(image, label), opened.discriminator(image, label))  # type: ignore[misc]
        z = torch.randn(2, 6)
        assert torch.allclose(again.generator(z), opened.generator(z), rtol=1e-5, atol=1e-5)


def taps(opened: core.Opened) -> tuple[float, ...]:
    """The filter as it was read: of the same shape as the one of the network that was written, or the same."""
    return opened.generator.config.resample_filter  # type: ignore[union-attr]


@pytest.mark.parametrize("filters", [(512, 512, 512, 256, 128), (8, 4, 2), (6, 6, 6), (9, 9, 5), (7, 3, 1)])
def test_channels_as_base_and_maximum(filters: tuple[int, ...], tmp_path: Path) -> None:
    """min(channel_base // side, channel_max) gives the channels back."""
    size = (4 << len(filters) - 1,) * 2
    opened = made({"filters": filters, "size": size})
    table, _ = written(tmp_path / "x.pt", opened, "nvidia")
    says = table["G_kwargs"]["synthesis_kwargs"]
    assert tuple(min(says["channel_base"] // (4 << n), says["channel_max"]) for n in range(len(filters))) == filters


ROSINALITY: dict[str, dict[str, Any]] = {
    "RGB": {"channels": 3},
    "gray": {},
    "no noise": {"use_noise": False},
    "another rate": {"mapping_lr": 0.1, "channels": 3},
    "one tap": {"resample_filter": (1,), "channels": 3},
    "two taps": {"resample_filter": (1, 2), "channels": 3},
    "three taps": {"resample_filter": (1, 2, 4)},
    "four taps": {"resample_filter": (1, 2, 4, 3), "channels": 3},
}


@pytest.mark.parametrize("kind", ROSINALITY)
@torch.no_grad()
def test_the_same_pictures_in_rosinalitys(kind: str, tmp_path: Path) -> None:
    config = ROSINALITY[kind]
    channels = config.get("channels", 1)
    opened = made(config, {"channels": channels, "resample_filter": config.get("resample_filter", (1, 3, 3, 1))})
    table, _ = written(tmp_path / "x.pt", opened, "rosinality")
    assert table["latent_avg"].shape == (6,) and not any("bias" in n and t.ndim == 3 for n, t in table["g"].items())
    kernels = {tuple(t.shape) for key in ("g_ema", "d") for n, t in table[key].items() if n.endswith("kernel")}
    assert kernels == {(4, 4)}  # which that program's colours and discriminator always have
    again = core.load(tmp_path / "x.pt")
    assert again.about["credit"] == "CC0 toys"
    assert again.generator.channels == 3 and again.generator.config.mapping_lr == 0.01
    ws, z = torch.randn(2, opened.generator.num_ws, 6), torch.randn(3, 6)
    for one, other in ((again.generator, opened.generator), (again.live, opened.live)):
        want = other.synthesis(ws).expand(-1, 3, -1, -1)  # type: ignore[union-attr]
        assert torch.allclose(one.synthesis(ws), want, rtol=1e-5, atol=1e-5)  # type: ignore[union-attr]
        assert torch.allclose(one.mapping(z), other.mapping(z), rtol=1e-5, atol=1e-5)  # type: ignore[union-attr]
    image = torch.randn(4, channels, 16, 16)
    logits = opened.discriminator(image)  # type: ignore[misc]
    assert torch.allclose(again.discriminator(image.expand(-1, 3, -1, -1)), logits, rtol=1e-4, atol=1e-4)  # type: ignore[misc]


def test_how_it_is_built_there(tmp_path: Path) -> None:
    """The line says what the program has to be told, and what its table of channels lacks."""
    _, notes = written(tmp_path / "1.pt", made({"channels": 3, "conv_clamp": 256.0}), "rosinality")
    assert notes == [
        "it is built there as Generator(16, 6, 2, channel_multiplier=2) once its table of channels says "
        "{4: 8, 8: 8, 16: 4}",
        "that program has no clamp; values beyond 256 are cut off here",
    ]
    usual = {"size": (128, 128), "filters": (512, 512, 512, 512, 256, 128), "resample_filter": (1, 2, 1)}
    small = made({"channels": 3, **usual}, picture={"crop": [1, 2, 100, 120]})
    _, notes = written(tmp_path / "2.pt", small, "rosinality")
    assert notes == [
        "it is built there as Generator(128, 6, 2, channel_multiplier=1)",
        "pictures are shown cut to 100x120 here; the other program shows them whole",
    ]
    gray, other = made({}, {"architecture": "skip"}), made({"channels": 3}, {"channels": 3, "filters": (8, 6, 4)})
    assert "three equal planes" in written(tmp_path / "3.pt", gray, "rosinality")[1][1]
    assert "the discriminator is left out" in written(tmp_path / "3.pt", gray, "rosinality")[1][2]
    assert "d" not in torch.load(tmp_path / "3.pt", weights_only=True)
    assert written(tmp_path / "4.pt", other, "rosinality")[1][1].endswith("other channels: 8, 6, 4 from 4x4 on")
    clamped = made({"channels": 3}, {"channels": 3, "conv_clamp": 2.0})
    assert written(tmp_path / "5.pt", clamped, "rosinality")[1][1].endswith("values beyond 2 are cut off here")
    long = made({"channels": 3}, {"channels": 3, "resample_filter": (1, 2, 3, 2, 1)})
    assert "the discriminator is left out" in written(tmp_path / "6.pt", long, "rosinality")[1][1]


@pytest.mark.parametrize(
    ("program", "config", "words"),
    [
        (
            "nvidia",
            {"size": (16, 12), "start": (4, 3)},
            "is 16x12 and starts at 4x3, and other programs build only squares",
        ),
        (
            "rosinality",
            {"size": (24, 24), "filters": (8, 8, 4, 4)},
            "is 24x24 and starts at 3x3, and other programs build only squares",
        ),
        ("nvidia", {"filters": (8, 9, 4)}, "has the channels 8, 9, 4, and NVIDIA's program"),
        ("rosinality", {"architecture": "resnet"}, "has the resnet architecture, and rosinality's program"),
        ("rosinality", {"resample_filter": (1, 2, 3, 2, 1)}, "has a filter of 5 taps, and rosinality's program"),
        ("rosinality", {"num_classes": 2}, "has 2 classes, and rosinality's program"),
        ("rosinality", {"w_dim": 7}, "has a z of 6 and a w of 7, and rosinality's program"),
        ("rosinality", {"hidden_dim": 7}, "has a z of 6 and a w of 6 behind layers of 7, and rosinality's program"),
    ],
)
def test_what_the_other_program_does_not_have(program: str, config: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"^toy.safetensors {words}"):
        write_foreign(tmp_path / "x.pt", made(config), program)
    assert list(tmp_path.iterdir()) == []


def test_other_refusals(tmp_path: Path) -> None:
    config = core.stylegan.GeneratorConfig(size=(16, 16), filters=(8, 8, 4), z_dim=6, w_dim=6)
    old = replace(made({}), generator=core.build_generator(config))
    with pytest.raises(CheckpointError, match="is a StyleGAN of 2019; only StyleGAN2"):
        write_foreign(tmp_path / "x.pt", old, "nvidia")
    with pytest.raises(SettingError, match="as cannot be .tensorflow.: nvidia or rosinality"):
        write_foreign(tmp_path / "x.pt", made({}), "tensorflow")
    large = made({})
    with torch.no_grad():
        large.generator.synthesis.blocks[0].const.fill_(1e6)  # type: ignore[operator,union-attr]
    with pytest.raises(CheckpointError, match=r"G_ema\.synthesis\.b4\.const is not finite as torch.float16"):
        write_foreign(tmp_path / "x.pt", large, "nvidia", dtype=torch.float16)
    assert list(tmp_path.iterdir()) == []
    write_foreign(tmp_path / "x.pt", large, "nvidia")
    assert torch.equal(core.load(tmp_path / "x.pt").generator.w_avg, large.generator.w_avg)


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"x\.pt could not be written \(No space left on device\)"):
        write_foreign(tmp_path / "x.pt", made({}), "nvidia")
    assert list(tmp_path.iterdir()) == []


def test_a_discriminator_that_nvidias_program_has_not(tmp_path: Path) -> None:
    table, notes = written(tmp_path / "x.pt", made({}, {"filters": (8, 9, 4)}), "nvidia")
    assert "D" not in table and notes == [
        "the discriminator is left out: NVIDIA's program has none with its channels and sizes"
    ]


@pytest.mark.parametrize("program", ["nvidia", "rosinality"])
def test_half_the_size(program: str, tmp_path: Path) -> None:
    """Filters stay as they are: rounded they would be none any more."""
    opened = made({"resample_filter": (1, 2, 2)}, {"resample_filter": (1, 1, 1)})
    table, _ = written(tmp_path / "x.pt", opened, program, dtype=torch.float16)
    for name, tensor in table["D" if program == "nvidia" else "d"].items():
        assert tensor.dtype == (torch.float32 if name.endswith(("filter", "kernel")) else torch.float16)
    again = core.load(tmp_path / "x.pt")
    ws = torch.randn(1, opened.generator.num_ws, 6)
    ours, theirs = (g.synthesis(ws).mean(1) for g in (opened.generator, again.generator))
    assert (ours - theirs).abs().max() < 0.02 * ours.abs().max()


def stranger(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The table with settings, names and numbers that no program writes."""
    g, d, state = table["G_kwargs"], table["D_kwargs"], table["G_ema"]
    strange: list[Any] = [None, "x" * 1000, [1] * 50, {"a": {}}, -1, 1e30, True, 10**40]
    found = [{**table, "G_kwargs": {**g, "z_dim": value}} for value in strange if value is not None]
    for value in ("x", [1], {"b": 1}, True):
        synthesis = {**g["synthesis_kwargs"], "conv_clamp": value}
        found.append({**table, "G_kwargs": {**g, "synthesis_kwargs": synthesis}})
        found.append({**table, "G_kwargs": {**g, "mapping_kwargs": {"lr_multiplier": value}}})
        found.append({**table, "D_kwargs": {**d, "epilogue_kwargs": {"mbstd_group_size": value}}})
        found.append({**table, "D_kwargs": {**d, "conv_clamp": value}})
    inner = g["synthesis_kwargs"]
    found.append({**table, "D_kwargs": {**d, "epilogue_kwargs": {"mbstd_num_channels": None}}})
    found.append({**table, "D_kwargs": {**d, "block_kwargs": {"activation": "relu"}}})
    found.append({**table, "G_kwargs": {**g, "synthesis_kwargs": {**inner, "activation": "relu"}}})
    found.append({**table, "G_kwargs": {**g, "synthesis_kwargs": {**inner, "architecture": "orig"}}})
    found.append({**table, "G_kwargs": {**g, "c_dim": 4, "inside": torch.zeros(2)}})
    few: dict[Any, Any] = dict(list(state.items())[5:])
    found += [{**table, "G_ema": one} for one in ({}, few, {**state, "more": torch.zeros(3)}, {**state, 3: 4})]
    found.append({**table, "more": {"inside": torch.zeros(3)}})
    return found


def test_a_table_that_says_something_else(tmp_path: Path) -> None:
    """Settings in the file are as hostile as the rest of it: a sentence, never a traceback."""
    write_foreign(tmp_path / "x.pt", made({}, {}), "nvidia")
    table = torch.load(tmp_path / "x.pt", weights_only=True)
    cases = stranger(table)
    assert len(cases) > 20
    for case in cases:
        torch.save(case, tmp_path / "y.pt")
        with pytest.raises(CheckpointError, match="y.pt"):
            core.load(tmp_path / "y.pt")
        # What is left over shows only where a network is built.
        assert (facts(tmp_path / "y.pt")["refused"] is None) == ("more" in case["G_ema"])


def test_a_table_that_lacks_its_end(tmp_path: Path) -> None:
    """Without its last layers or its finest block it would be another, smaller network."""
    write_foreign(tmp_path / "x.pt", made({}), "nvidia")
    table = torch.load(tmp_path / "x.pt", weights_only=True)
    for lost, words in (
        ("mapping.fc1", "mapping has num_layers 2 where 1"),
        ("synthesis.b16", "img_resolution 16 where 8"),
    ):
        state = {name: tensor for name, tensor in table["G_ema"].items() if not name.startswith(lost)}
        torch.save({**table, "G_ema": state}, tmp_path / "y.pt")
        with pytest.raises(CheckpointError, match=words):
            core.load(tmp_path / "y.pt")


def test_settings_of_the_stylegan3_repository_lie_flat(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.pt", made({"conv_clamp": 3.0}), "nvidia")
    table = torch.load(tmp_path / "x.pt", weights_only=True)
    flat = dict(table["G_kwargs"])
    flat |= {**flat.pop("synthesis_kwargs"), "num_fp16_res": 2}
    torch.save({**table, "G_kwargs": flat}, tmp_path / "y.pt")
    again = core.load(tmp_path / "y.pt")
    assert again.generator.config.conv_clamp == 3.0  # type: ignore[union-attr]
    assert again.about["provenance"]["notes"] == [
        "its program computes 2 of its sizes in float16; here they are float32"
    ]


@pytest.mark.parametrize("table", [{"G": 1}, {"G_ema": 1}, {}])
def test_weights_of_a_stylegan3_say_what_they_are(table: dict[str, Any], tmp_path: Path) -> None:
    state = {"synthesis.input.freqs": torch.zeros(4, 2), "mapping.w_avg": torch.zeros(3)}
    torch.save(dict.fromkeys(table, state) if table else state, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="is a StyleGAN3 network, whose layers this version does not have"):
        core.load(tmp_path / "x.pt")
    assert "is a StyleGAN3 network" in facts(tmp_path / "x.pt")["refused"]


def test_one_of_theirs_without_settings_says_so(tmp_path: Path) -> None:
    write_foreign(tmp_path / "x.pt", made({}), "nvidia")
    table = torch.load(tmp_path / "x.pt", weights_only=True)
    torch.save({"G_ema": table["G_ema"]}, tmp_path / "y.pt")
    with pytest.raises(CheckpointError, match="holds no network of a kind known here; it has G_ema"):
        core.load(tmp_path / "y.pt")
