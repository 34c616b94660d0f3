"""Network files: round trips to the bit, and files that are not there, not whole, or not ours."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import core
from core.checkpoint import sha256
from core.errors import CheckpointError, OutputError, SettingError
from core.header import read_about, read_header
from tests.core.network_files import (
    ABOUT,
    D,
    G,
    equal,
    networks,
    refused,
    taken_apart,
)

# --- round trips -------------------------------------------------------------------------------------------------


def test_everything_comes_back_to_the_bit(whole: Path) -> None:
    g, d, live = networks()
    opened = core.load(whole)
    assert opened.discriminator is not None and opened.live is not None
    assert equal(opened.generator, g) and equal(opened.discriminator, d) and equal(opened.live, live)
    assert opened.generator.config == G and opened.discriminator.config == D
    assert opened.path == whole and opened.crop == (1, 2, 12, 9)
    assert {key: opened.about[key] for key in ABOUT} == ABOUT
    assert (opened.about["format"], opened.about["arch"]) == (1, "stylegan2")
    assert read_about(whole) == opened.about
    for network in (opened.generator, opened.discriminator, opened.live):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        assert all(t.device.type == "cpu" for t in (*network.parameters(), *network.buffers()))


def test_pictures_and_logits_come_back_to_the_bit(whole: Path) -> None:
    g, d, _ = networks()
    opened = core.load(str(whole))
    assert opened.discriminator is not None
    z, label = core.latents.seeds_to_z([0, 1], 5), torch.tensor([0, 1])
    with torch.no_grad():
        img = g(z, label)
        assert torch.equal(opened.generator(z, label), img)
        assert torch.equal(opened.discriminator(img, label), d(img, label))


def test_what_was_opened_does_not_hang_on_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    g, _, live = networks()
    core.save(path, g)
    opened = core.load(path)
    with open(path, "rb+") as file:
        file.write(bytes(path.stat().st_size))
    assert equal(opened.generator, g)
    core.save(path, live)
    assert equal(opened.generator, g) and equal(core.load(path).generator, live)


def test_the_generator_alone(whole: Path, tmp_path: Path) -> None:
    g, _, _ = networks()
    opened = core.load(whole, generator_only=True)
    assert equal(opened.generator, g) and opened.discriminator is None and opened.live is None
    path = tmp_path / "alone.safetensors"
    core.save(path, g)
    opened = core.load(path)
    assert equal(opened.generator, g) and opened.discriminator is None and opened.live is None
    assert opened.crop == (0, 0, 14, 12)
    assert (opened.about["training"], opened.about["credit"]) == ({}, "")


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("start", [(3, 3), (6, 6)])
def test_architectures(architecture: str, start: tuple[int, int], tmp_path: Path) -> None:
    filters = (2,) * (4 if start == (3, 3) else 3)
    shared: dict[str, Any] = {"size": (24, 24), "start": start, "filters": filters, "architecture": architecture}
    shared["resample_filter"] = (1.0, 2.0, 1.5)
    g = core.build_generator(core.GeneratorConfig(z_dim=4, w_dim=4, mapping_layers=0, use_noise=False, **shared))
    d = core.build_discriminator(core.DiscriminatorConfig(group_size=None, std_channels=0, **shared))
    core.save(tmp_path / "a", g, d)
    opened = core.load(tmp_path / "a")
    assert opened.discriminator is not None
    assert opened.generator.config == g.config and opened.discriminator.config == d.config
    img = g(core.latents.seeds_to_z([3], 4))
    assert torch.equal(opened.generator(core.latents.seeds_to_z([3], 4)), img)
    assert torch.equal(opened.discriminator(img), d(img))


def test_half_precision_storage(whole: Path, tmp_path: Path) -> None:
    g, d, live = networks()
    path = tmp_path / "half.safetensors"
    core.save(path, g, d, live=live, dtype=torch.float16)
    assert {dtype for dtype, _ in read_header(path).tensors.values()} == {"F16"}
    assert path.stat().st_size < 0.8 * whole.stat().st_size
    opened = core.load(path).generator
    for name, tensor in opened.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, g.state_dict()[name].half().float())


def test_the_content_and_not_the_name(whole: Path, tmp_path: Path) -> None:
    other = tmp_path / "picture.png"
    other.write_bytes(whole.read_bytes())
    assert core.load(other).generator.config == G
    assert sha256(other) == sha256(whole) and len(sha256(whole)) == 64


def test_the_header_has_one_key_and_the_tensors_are_plain(whole: Path) -> None:
    table, _ = taken_apart(whole)
    assert list(table["__metadata__"]) == ["styloscope"]
    assert {name.split(".")[0] for name in table if name != "__metadata__"} == {"g_ema", "g", "d"}
    tensors = safetensors.torch.load_file(whole)
    assert torch.equal(tensors["g_ema.mapping.w_avg"], networks()[0].w_avg)


def test_a_command_line_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    """sys.argv has half a surrogate pair for each such byte, and JSON must not."""
    path = tmp_path / "a.safetensors"
    core.save(path, networks()[0], about={"training": {"command": os.fsdecode(b"train --data \xff.zip")}})
    assert core.load(path).about["training"]["command"] in ("train --data ?.zip", "train --data \ufffd.zip")


def test_what_else_is_said_of_a_network_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    about = {"credit": "me", "notes": {"by": ["anna", None]}, "format": 99, "arch": "x", "config": "x"}
    core.save(path, networks()[0], about=about)
    told = core.load(path).about
    assert (told["notes"], told["format"], told["arch"]) == ({"by": ["anna", None]}, 1, "stylegan2")
    core.save(path, networks()[0], about=told)
    assert core.load(path).about == told


def test_saving_what_could_not_be_opened_again_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    g, d, _ = networks()
    core.save(path, g)
    before = path.read_bytes()
    for about in ({"picture": {"crop": [0, 0, 15, 12]}}, {"credit": ["me"]}, {"training": "long"}):
        with pytest.raises(CheckpointError, match="a.safetensors"):
            core.save(path, g, about=about)
    loop: list[object] = []
    loop.append(loop)
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    for wrong in (float("nan"), torch.zeros(1), loop, deep, "x" * (1 << 18), {1: 0, "1": 0}):
        with pytest.raises(SettingError, match="about cannot be"):
            core.save(path, g, about={"training": {"hours": wrong}})
    for value, dtype in ((float("nan"), torch.float32), (float("inf"), torch.float32), (1e5, torch.float16)):
        with torch.no_grad():
            d.epilogue.out.bias.fill_(value)
        with pytest.raises(CheckpointError, match=r"d\.epilogue\.out\.bias"):
            core.save(path, g, d, dtype=dtype)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written(whole: Path) -> None:
    with pytest.raises(OutputError, match="whole.safetensors"):
        core.save(whole / "a.safetensors", networks()[0])


@pytest.mark.skipif(torch.__version__.startswith("2.6."), reason="PyTorch 2.6 imports it for any blank tensor")
def test_opening_imports_no_half_of_torch(whole: Path) -> None:
    """Arithmetic on blank tensors imports torch's compiler and sympy: a second and a half for every command."""
    program = f"import sys, core; core.load({str(whole)!r}); sys.exit(int('sympy' in sys.modules))"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=200).returncode == 0


# --- files that are not there, not whole, or not ours --------------------------------------------------------------


def test_missing(tmp_path: Path, whole: Path) -> None:
    refused(tmp_path / "none.safetensors", "there is no network", "accepted")
    refused(tmp_path, "there is no network")
    refused(whole / "deeper", "there is no network")


def test_names_that_no_disk_has(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(CheckpointError):
            core.load(tmp_path / name)


def test_unreadable(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(whole))

    monkeypatch.setattr("builtins.open", locked)
    refused(whole, "could not be read", "Permission denied")


def test_truncated_anywhere(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    path = tmp_path / "cut.safetensors"
    cuts = [0, 1, 7, 8, 9, 10, 100, header - 1, header, header + 1, len(data) - 4, len(data) - 1]
    for cut in cuts + random.Random(0).sample(range(len(data)), 30):
        path.write_bytes(data[:cut])
        refused(path, "truncated")


def test_too_long(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.safetensors"
    path.write_bytes(whole.read_bytes() + b"\0")
    refused(path)


FOREIGN: dict[str, bytes] = {
    "text": b"This is a text file, and not a network at all.\n",
    "short text": b"Hello world",
    "json": b'{"format": 1, "arch": "stylegan2"}',
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zip": b"PK\x03\x04" + bytes(100),
    "pickle": b"\x80\x04\x95" + bytes(100),
    "zeros": bytes(4096),
    "random": random.Random(1).randbytes(4096),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_programs(kind: str, tmp_path: Path) -> None:
    path = tmp_path / kind
    path.write_bytes(FOREIGN[kind])
    refused(path, "of another program", "accepted")


def test_a_plain_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    for metadata in (None, {"format": "pt"}):
        safetensors.torch.save_file({"g_ema.mapping.w_avg": torch.zeros(6)}, path, metadata=metadata)
        refused(path, "of another program", "accepted")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 1000))
def test_random_bytes(tmp_path: Path, data: bytes, length: int) -> None:
    path = tmp_path / "random"
    for prefix in (b"", struct.pack("<Q", length), struct.pack("<Q", len(data) + 1) + b"{"):
        path.write_bytes(prefix + data)
        refused(path)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_flipped_bytes_of_the_header(whole: Path, tmp_path: Path, chance: random.Random) -> None:
    """Whatever happens to the header, the file opens as a network or is refused; nothing else is raised."""
    data = bytearray(whole.read_bytes())
    header = 8 + struct.unpack("<Q", data[:8])[0]
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(header)] = chance.choice(b'0123456789{}[]",:.-eE \\nul\x00\xff')
    path = tmp_path / "flipped"
    path.write_bytes(data)
    try:
        core.load(path)
    except CheckpointError as wrong:
        assert str(path) in str(wrong) and "\n" not in str(wrong)
