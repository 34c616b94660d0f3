"""Networks of other programs looked at and made ours: the same pictures, nothing overwritten, nothing half written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core.checkpoint import sha256
from core.command import run
from core.errors import OutputError
from core.foreign import filling
from core.header import read_about
from explorer.__main__ import main
from explorer.converting import claim, convert
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.core.foreign import nvidia_files
from tests.explorer.conftest import toy
from tests.interop import FOLDER, needs_interop
from train.init import start_from

EXAMPLES = [
    "skip/network.pkl", "residual/network.pkl", "rosinality/checkpoint_train.pt", "rosinality/checkpoint_converted.pt",
    "stylegan1/train_step-5.model", "stylegan1/ema.model",
]  # fmt: skip
SIZE = {"size": (16, 16), "filters": (8, 8, 4)}


def foreign_file(path: Path, *, classes: int = 0) -> Path:
    """A small network with its discriminator, written as NVIDIA's program writes it."""
    torch.manual_seed(5)
    config = core.GeneratorConfig(**SIZE, z_dim=8, w_dim=8, mapping_layers=2, num_classes=classes)  # type: ignore[arg-type]
    critic = core.DiscriminatorConfig(**SIZE, num_classes=classes, mapping_layers=2, map_dim=8 if classes else None)  # type: ignore[arg-type]
    g, live, d = core.build_generator(config), core.build_generator(config), core.build_discriminator(critic)
    with torch.no_grad():
        for network in (g, live):
            network.w_avg.normal_()
            for name, parameter in network.named_parameters():
                if name.endswith("strength"):
                    parameter.fill_(0.3)
    parts = {"G": nvidia_files.generator(live), "D": nvidia_files.discriminator(d), "G_ema": nvidia_files.generator(g)}
    return nvidia_files.write(path, training_set_kwargs={"path": "/data/toy.zip"}, **parts)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """say("convert", ...) -> status, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = run(lambda: main([str(one) for one in arguments]))
        return status, *capsys.readouterr()

    return call


def outputs(opened: core.Opened) -> dict[str, torch.Tensor]:
    """Pictures of both generators and what the discriminator says of them."""
    found = {}
    label = torch.zeros(2, dtype=torch.int64) if opened.generator.num_classes else None
    with torch.inference_mode():
        for name, g in (("g_ema", opened.generator), ("g", opened.live)):
            if g is not None:
                z = core.latents.seeds_to_z([3, 4], g.z_dim)
                found[name] = g.synthesis(g.truncate(g.mapping(z, label), psi=0.7))
        if opened.discriminator is not None:
            found["d"] = opened.discriminator(found["g_ema"], label)
    return found


def same(one: core.Opened, other: core.Opened) -> None:
    ours, theirs = outputs(one), outputs(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@needs_interop
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_pictures_stay_the_same(name: str, tmp_path: Path) -> None:
    source, target = FOLDER / name, tmp_path / "ours.safetensors"
    convert(source, target)
    opened = core.load(target)
    same(opened, core.load(source))
    assert opened.about["provenance"]["source"] == source.name
    assert opened.about["provenance"]["sha256"] == sha256(source)
    assert [path.name for path in tmp_path.iterdir()] == ["ours.safetensors"]


@pytest.mark.parametrize("classes", [0, 3])
def test_convert(say: Any, tmp_path: Path, classes: int) -> None:
    source, target = foreign_file(tmp_path / "toy.pkl", classes=classes), tmp_path / "new" / "toy.safetensors"
    status, out, err = say("convert", source, target)
    assert (status, out) == (0, f"{target}\n") and "float16" in err
    same(core.load(target), core.load(source))
    about = read_about(target)
    assert about["training"]["data"] == "/data/toy.zip" and about["provenance"]["format"].startswith("stylegan2-ada")
    half = tmp_path / "half.safetensors"
    told = json.loads(say("convert", source, half, "--dtype", "float16", "--json")[1])
    assert told["written"] == [str(half)] and told["networks"] == ["g_ema", "g", "d"] and told["size"] == [16, 16]
    assert half.stat().st_size < 0.75 * target.stat().st_size
    ours, theirs = outputs(core.load(half))["g_ema"], outputs(core.load(source))["g_ema"]
    assert 0 < (ours - theirs).abs().max() < 0.02


@pytest.mark.parametrize(("program", "keys"), [("nvidia", ["G_ema", "G", "D"]), ("rosinality", ["g_ema", "g"])])
def test_a_network_of_ours_for_another_program(say: Any, tmp_path: Path, program: str, keys: list[str]) -> None:
    convert(foreign_file(tmp_path / "toy.pkl"), tmp_path / "toy.safetensors")
    target = tmp_path / "new" / "theirs.pt"
    told = json.loads(say("convert", tmp_path / "toy.safetensors", target, "--as", program, "--json")[1])
    assert told["written"] == [str(target)] and told["networks"][: len(keys)] == keys
    assert [path.name for path in target.parent.iterdir()] == ["theirs.pt"]
    ours, theirs = outputs(core.load(tmp_path / "toy.pkl")), outputs(core.load(target))
    assert torch.allclose(theirs["g_ema"], ours["g_ema"].expand_as(theirs["g_ema"]), rtol=1e-4, atol=1e-4)
    status, out, err = say(
        "convert", tmp_path / "toy.safetensors", tmp_path / "half.pt", "--as", program, "--dtype", "float16"
    )
    assert (status, out) == (0, f"{tmp_path / 'half.pt'}\n") and ("note: it is built there as" in err) == (
        program == "rosinality"
    )
    assert (tmp_path / "half.pt").stat().st_size < 0.85 * target.stat().st_size
    status, out, err = say("convert", tmp_path / "toy.safetensors", target, "--as", program)
    assert (status, out) == (2, "") and "theirs.pt is there already; name another place" in err


def test_a_weight_too_large_is_told_by_the_name_that_was_given(say: Any, tmp_path: Path) -> None:
    path = toy(tmp_path / "toy.safetensors", size=(16, 16))
    opened = core.load(path)
    with torch.no_grad():
        opened.generator.synthesis.blocks[0].const.fill_(1e6)  # type: ignore[operator,union-attr]
    core.save(path, opened.generator)
    for target, how in (("x.pt", ["--as", "nvidia"]), ("x.safetensors", [])):
        status, _, err = say("convert", path, tmp_path / target, "--dtype", "float16", *how)
        assert status == 2 and f"{tmp_path / target} was not written: " in err
    assert [one.name for one in tmp_path.iterdir()] == ["toy.safetensors"]


def test_training_goes_on_from_it(tmp_path: Path) -> None:
    opened, _ = convert(foreign_file(tmp_path / "toy.pkl"), tmp_path / "toy.safetensors")
    assert opened.discriminator is not None
    g, g_ema = (core.build_generator(opened.generator.config) for _ in range(2))
    d = core.build_discriminator(opened.discriminator.config)
    found = core.load(tmp_path / "toy.safetensors")
    start_from(found, g=g, g_ema=g_ema, d=d)
    same(core.Opened(g_ema.eval(), d.eval(), {}, tmp_path, g.eval()), core.load(tmp_path / "toy.pkl"))


def test_what_is_there_stays(say: Any, tmp_path: Path) -> None:
    source, target = foreign_file(tmp_path / "toy.pkl"), tmp_path / "mine.safetensors"
    target.write_bytes(b"mine")
    status, out, err = say("convert", source, target)
    assert (status, out) == (2, "") and "mine.safetensors is there already; name another place" in err
    beside = tmp_path / ".new"
    beside.write_bytes(b"new")
    with pytest.raises(OutputError, match="is there already"):
        claim(beside, target)
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["{source}", "out.pkl"], "OUT cannot be 'out.pkl': a network of ours is written as X.safetensors"),
        (
            ["{source}", "out.pkl", "--as", "nvidia"],
            "OUT cannot be 'out.pkl': another program's network is written as X.pt",
        ),
        (["{source}", "out.safetensors", "--as", "nvidia"], "another program's network is written as X.pt"),
        (["{source}", "out.pt"], "a network of ours is written as X.safetensors, another program's with --as"),
        (["{source}", "out.pt", "--as", "tensorflow"], "as cannot be 'tensorflow': nvidia or rosinality"),
        (["{source}", "out.safetensors", "--dtype", "int8"], "dtype cannot be 'int8': float32 or float16"),
        (["{bad}", "out.safetensors"], "asks for posix.system, which no network file needs"),
        (["nowhere.pkl", "out.safetensors"], "there is no network"),
        (["{source}", "{source}/out.safetensors"], "toy.pkl is a file"),
        (["", "out.safetensors"], "IN cannot be ''"),
        (["{source}"], "OUT.safetensors"),
    ],
)
def test_refusals(say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], part: str) -> None:
    monkeypatch.chdir(tmp_path)
    source, bad = foreign_file(tmp_path / "toy.pkl"), hostile(tmp_path / "bad.pkl")
    before = sorted(tmp_path.iterdir())
    status, out, err = say("convert", *(one.format(source=source, bad=bad) for one in arguments))
    assert (status, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    assert part in err, err
    assert sorted(tmp_path.iterdir()) == before


def hostile(path: Path) -> Path:
    path.write_bytes(b"\x80\x04cposix\nsystem\n\x8c\x04true\x85R.")
    return path


def test_inspect_without_a_network(say: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any) -> None:
        raise AssertionError("a network was built")

    source = foreign_file(tmp_path / "toy.pkl", classes=3)
    monkeypatch.setattr(torch.nn.Module, "__init__", build)
    facts = json.loads(say("inspect", source, "--json")[1])
    assert facts["architecture"] == "stylegan2" and facts["size"] == [16, 16] and facts["classes"] == 3
    assert facts["program"] == "stylegan2-ada-pytorch" and facts["opens"] and facts["refused"] is None
    assert [one["key"] for one in facts["networks"]] == ["G_ema", "G", "D"]
    assert facts["training"]["settings"]["path"] == "/data/toy.zip" and "Python source" in facts["suspicious"][0]
    lines = say("inspect", source)[1].splitlines()
    assert "opens: yes" in lines and "size: 16 x 16" in lines and "filters: 8, 8, 4" in lines
    assert "training.settings: {'path': '/data/toy.zip'}" in lines


def test_inspect_says_why_a_file_does_not_open(say: Any, tmp_path: Path) -> None:
    status, out, _ = say("inspect", hostile(tmp_path / "bad.pkl"))
    assert status == 0 and "opens: no" in out.splitlines()
    assert "suspicious: it asks for posix.system, which no network file needs" in out
    assert "nothing of it was run" in out


@needs_interop
def test_inspect_of_a_growing_network_and_of_what_became_of_it(say: Any, tmp_path: Path) -> None:
    lines = say("inspect", FOLDER / "stylegan1" / "train_step-5.model")[1].splitlines()
    assert "architecture: stylegan" in lines and "sizes: 4x4, 8x8, 16x16, 32x32, 64x64" in lines
    convert(FOLDER / "stylegan1" / "train_step-5.model", tmp_path / "ours.safetensors")
    lines = say("inspect", tmp_path / "ours.safetensors")[1].splitlines()
    assert "provenance.source: train_step-5.model" in lines and "sizes: 4x4, 8x8, 16x16, 32x32, 64x64" in lines
    assert any(line.startswith("provenance.notes: w_avg is not in the file") for line in lines)


def test_inspect_does_not_steer_the_terminal(say: Any, tmp_path: Path) -> None:
    path = toy(tmp_path / "red.safetensors")
    core.save(path, core.load(path).generator, about={"credit": "\x1b[31mred\u202e"})
    out = say("inspect", path)[1]
    assert "credit: ?[31mred?" in out and "\x1b" not in out


def test_a_file_named_by_its_path_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, opened = foreign_file(tmp_path / "toy.pkl", classes=3), []

    def counted(blank: filling.Blank) -> Any:
        opened.append(blank.tensors.label)
        return plain(blank)

    plain = filling.Blank.read
    monkeypatch.setattr(filling.Blank, "read", counted)
    studio = Studio(checkpoints=tmp_path, runs=tmp_path / "runs", device="cpu")
    network = studio.network(studio.admit(str(path)))
    assert (network.classes, network.sha, opened) == (3, sha256(path)[:12], [])
    studio.exact(Recipe(checkpoint=network.name, seed=3))
    studio.exact(Recipe(checkpoint=network.name, seed=4))
    assert opened == ["G_ema"]
