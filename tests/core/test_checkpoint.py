"""Network files: round trips to the bit, and every file that lies, refused in one sentence before it costs anything."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import random
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

import core
from core.checkpoint import read_about, read_header, sha256
from core.errors import CheckpointError, OutputError

G = core.GeneratorConfig(
    size=(14, 12), filters=(4, 3), channels=3, z_dim=5, w_dim=6, num_classes=2, mapping_layers=2, conv_clamp=256.0
)
D = core.DiscriminatorConfig(
    size=(14, 12), filters=(4, 3), channels=3, num_classes=2, std_channels=2, map_dim=5, mapping_layers=1
)
TRAINING = {"data": "phantoms", "images_seen": 1234, "hours": 0.5, "command": "python -m train --data 'ä ö.zip'"}
ABOUT = {"training": TRAINING, "picture": {"crop": [1, 2, 12, 9]}, "credit": "nobody, \N{BRAIN}"}

Parts = tuple[dict[str, Any], bytes]


def networks() -> tuple[core.Generator, core.Discriminator, core.Generator]:
    torch.manual_seed(0)
    g, d, live = core.build_generator(G), core.build_discriminator(D), core.build_generator(G)
    with torch.no_grad():
        for network in (g, d, live):
            for tensor in network.state_dict().values():
                tensor.copy_(torch.randn_like(tensor))
    return g, d, live


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with everything in it."""
    path = tmp_path_factory.mktemp("networks") / "whole.safetensors"
    g, d, live = networks()
    core.save(path, g, d, ABOUT, live=live)
    return path


def taken_apart(path: Path) -> Parts:
    """The table of a file, its own header parsed, and the bytes behind it."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    table = json.loads(data[8 : 8 + length])
    table["__metadata__"]["styloscope"] = json.loads(table["__metadata__"]["styloscope"])
    return table, data[8 + length :]


def put_together(path: Path, table: dict[str, Any], data: bytes) -> Path:
    table = copy.deepcopy(table)
    about = table.get("__metadata__", {}).get("styloscope")
    if isinstance(about, dict):
        table["__metadata__"]["styloscope"] = json.dumps(about)
    return with_header(path, json.dumps(table).encode(), data)


def with_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def refused(path: Path, *words: str) -> str:
    """Both readers refuse the file, at once, in one sentence that names it and says `words`."""
    sentences = []
    for reader in (core.load, lambda p: core.load(p, generator_only=True)):
        start = time.process_time()
        with pytest.raises(CheckpointError) as caught:
            reader(path)
        assert time.process_time() - start < 1
        sentences.append(str(caught.value))
    for sentence in sentences:
        assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 600
        for word in words:
            assert word in sentence
    return sentences[0]


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


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


def test_saving_what_could_not_be_opened_again_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    g, d, _ = networks()
    core.save(path, g)
    before = path.read_bytes()
    for about in ({"picture": {"crop": [0, 0, 15, 12]}}, {"credit": ["me"]}, {"training": "long"}):
        with pytest.raises(CheckpointError, match="a.safetensors"):
            core.save(path, g, about=about)
    with pytest.raises(ValueError):
        core.save(path, g, about={"training": {"hours": float("nan")}})
    for value, dtype in ((float("nan"), torch.float32), (float("inf"), torch.float32), (1e5, torch.float16)):
        with torch.no_grad():
            d.epilogue.out.bias.fill_(value)
        with pytest.raises(CheckpointError, match=r"d\.epilogue\.out\.bias"):
            core.save(path, g, d, dtype=dtype)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written(whole: Path) -> None:
    with pytest.raises(OutputError, match="whole.safetensors"):
        core.save(whole / "a.safetensors", networks()[0])


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


# --- headers that lie ----------------------------------------------------------------------------------------------


def test_absurd_header_lengths(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "long"
    data = whole.read_bytes()[8:]
    for length in (0, 1, 2**20 + 1, 2**31, 2**40, 2**63, 2**64 - 1):
        path.write_bytes(struct.pack("<Q", length) + data)
        refused(path)


HEADERS: dict[str, bytes] = {
    "deep lists": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep tables": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a list": b"[]",
    "not closed": b'{"__metadata__":',
    "not text": b'{"\xff\xfe": 1}',
    "utf-16": '{"a": 1}'.encode("utf-16-le"),
    "a long number": b'{"a":' + b"9" * 100_000 + b"}",
    "a name twice": b'{"__metadata__":{"styloscope":"{}","styloscope":"{}"}}',
    "metadata is a list": b'{"__metadata__":["styloscope"]}',
    "metadata is a number": b'{"__metadata__":{"styloscope":1}}',
    "nothing": b"{}",
}


@pytest.mark.parametrize("kind", HEADERS)
def test_tables_that_are_none(kind: str, tmp_path: Path) -> None:
    refused(with_header(tmp_path / "bad", HEADERS[kind]))


OURS: dict[str, str] = {
    "not JSON": "styloscope",
    "empty": "",
    "a list": "[]",
    "null": "null",
    "deep": '{"format": 1, "training": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "a name twice": '{"format": 1, "format": 1}',
    "NaN": '{"format": 1, "training": {"hours": NaN}}',
    "Infinity": '{"format": 1, "training": {"hours": -Infinity}}',
    "beyond floats": '{"format": 1, "training": {"hours": 1e999}}',
    "half a surrogate pair": '{"format": 1, "credit": "\\ud800"}',
    "a long number": '{"format": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("kind", OURS)
def test_our_header_is_none(kind: str, whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    table["__metadata__"]["styloscope"] = OURS[kind]
    refused(put_together(tmp_path / "bad", table, data), "damaged header")


@pytest.mark.parametrize("version", [2, 99, 10**4000])
def test_a_newer_format(version: int, whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    table["__metadata__"]["styloscope"] = {"format": version, "everything": "else is different"}
    assert str(version)[:20] in refused(put_together(tmp_path / "new", table, b"x"), "newer", "update Styloscope")


@pytest.mark.parametrize("version", [0, -1, True, "1", 1.0, None, [1], {}])
def test_no_format(version: object, whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    table["__metadata__"]["styloscope"]["format"] = version
    refused(put_together(tmp_path / "bad", table, data), "format", "accepted")


FIRST = "g_ema.mapping.w_avg"
ENTRIES: dict[str, Any] = {
    "null": None,
    "a text": "F32",
    "empty": {},
    "a list": [],
    "no offsets": {"dtype": "F32", "shape": [6]},
    "one offset": {"dtype": "F32", "shape": [6], "data_offsets": [0]},
    "three offsets": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24, 24]},
    "offsets as text": {"dtype": "F32", "shape": [6], "data_offsets": "01"},
    "offsets that are true": {"dtype": "F32", "shape": [], "data_offsets": [False, True]},
    "offsets that are floats": {"dtype": "F32", "shape": [6], "data_offsets": [0.0, 24.0]},
    "offsets backwards": {"dtype": "F32", "shape": [6], "data_offsets": [24, 0]},
    "negative offsets": {"dtype": "F32", "shape": [6], "data_offsets": [-24, 0]},
    "huge offsets": {"dtype": "F32", "shape": [10**18], "data_offsets": [0, 4 * 10**18]},
    "absurd offsets": {"dtype": "F32", "shape": [10**3000], "data_offsets": [0, 4 * 10**3000]},
    "far away": {"dtype": "F32", "shape": [6], "data_offsets": [10**9, 10**9 + 24]},
    "overlapping": {"dtype": "F32", "shape": [6], "data_offsets": [8, 32]},
    "another type": {"dtype": "I64", "shape": [3], "data_offsets": [0, 24]},
    "an unknown type": {"dtype": "F7", "shape": [6], "data_offsets": [0, 24]},
    "a type that is a list": {"dtype": ["F32"], "shape": [6], "data_offsets": [0, 24]},
    "a shape that is a text": {"dtype": "F32", "shape": "", "data_offsets": [0, 4]},
    "a shape that is a table": {"dtype": "F32", "shape": {}, "data_offsets": [0, 4]},
    "a shape that lies": {"dtype": "F32", "shape": [7], "data_offsets": [0, 24]},
    "a negative shape": {"dtype": "F32", "shape": [-2, -3], "data_offsets": [0, 24]},
    "a shape that overflows": {"dtype": "F32", "shape": [2**32, 2**32, 6], "data_offsets": [0, 24]},
    "a flat shape": {"dtype": "F32", "shape": [0, 10**3000], "data_offsets": [0, 0]},
    "a long shape": {"dtype": "F32", "shape": [2] * 200_000, "data_offsets": [0, 24]},
    "a long shape of long numbers": {"dtype": "F32", "shape": [10**4000] * 200, "data_offsets": [0, 24]},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_entries_that_lie(kind: str, whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    table[FIRST] = ENTRIES[kind]
    refused(put_together(tmp_path / "bad", table, data))


def test_tensors_overlap_leave_gaps_or_share(whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    path = tmp_path / "bad"
    same = [name for name, entry in table.items() if entry.get("shape") == [6]]
    begin, end = table[same[0]]["data_offsets"]

    shared = copy.deepcopy(table)
    shared[same[1]]["data_offsets"] = [begin, end]
    refused(put_together(path, shared, data), "damaged")

    for name, entry in table.items():
        if name != "__metadata__" and entry["data_offsets"][0] >= end:
            entry["data_offsets"] = [offset + 4 for offset in entry["data_offsets"]]
    refused(put_together(path, table, data[:end] + bytes(4) + data[end:]), "damaged")


def test_a_tensor_that_occurs_twice(whole: Path, tmp_path: Path) -> None:
    table, data = taken_apart(whole)
    text = json.dumps({**table, "__metadata__": {"styloscope": json.dumps(table["__metadata__"]["styloscope"])}})
    again = f'{{"{FIRST}": {json.dumps(table[FIRST])}, ' + text[1:]
    refused(with_header(tmp_path / "twice", again.encode(), data), "damaged")


def changed(path: Path, source: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of `source` at `path` whose own header is changed; the tensors stay."""
    table, data = taken_apart(source)
    change(table["__metadata__"]["styloscope"])
    return put_together(path, table, data)


def test_another_architecture(whole: Path, tmp_path: Path) -> None:
    for arch in ("stylegan9", None, ["stylegan2"], "x" * 10_000, "a\nb"):
        table, data = taken_apart(whole)
        table["__metadata__"]["styloscope"]["arch"] = arch
        refused(put_together(tmp_path / "bad", table, data), "kind")


@pytest.mark.parametrize("key", ["config", "training", "picture", "credit"])
@pytest.mark.parametrize("value", [None, 1, [], "x", {}])
def test_parts_of_the_wrong_kind(key: str, value: Any, whole: Path, tmp_path: Path) -> None:
    path = changed(tmp_path / "bad", whole, lambda about: about.update({key: value}))
    if isinstance(value, str if key == "credit" else dict) and key != "config":
        assert read_about(path)[key] == (value or {} if key != "picture" else {"crop": [0, 0, 14, 12]})
    else:
        refused(path, "config" if key == "config" else key)


def test_parts_that_may_be_missing(whole: Path, tmp_path: Path) -> None:
    def less(about: dict[str, Any]) -> None:
        for key in ("training", "picture", "credit"):
            del about[key]

    about = core.load(changed(tmp_path / "less", whole, less)).about
    assert (about["training"], about["picture"], about["credit"]) == ({}, {"crop": [0, 0, 14, 12]}, "")


@pytest.mark.parametrize(
    "crop",
    [
        None, 1, "", [], [0, 0, 14], [0, 0, 14, 12, 0], [0, 0, 15, 12], [0, 0, 14, 13], [1, 0, 14, 12], [-1, 0, 14, 12],
        [0, 0, 0, 12], [0, 0, -1, 12], [0, 0, 14.0, 12], [False, 0, 14, 12], ["0", 0, 14, 12], [14, 12, 1, 1],
        [10**3000, 0, 1, 1], [[0], 0, 14, 12], {"top": 0},
    ],
)  # fmt: skip
def test_a_crop_outside_the_picture(crop: object, whole: Path, tmp_path: Path) -> None:
    refused(changed(tmp_path / "bad", whole, lambda about: about["picture"].update(crop=crop)), "crop")


NAN, INFINITY = float("nan"), float("inf")
CONFIGS: list[tuple[str, Any]] = [
    ("size", [10**9, 10**9]), ("size", [14]), ("size", [14, 12, 1]), ("size", 14), ("size", "14x12"), ("size", None),
    ("size", [-14, -12]), ("size", [0, 0]), ("size", [14.0, 12.0]), ("size", [True, True]), ("size", [10**3000, 12]),
    ("size", [2048, 2048]), ("size", [[14], 12]), ("size", [208, 176]),
    ("filters", [10**9, 10**9]), ("filters", [4]), ("filters", []), ("filters", [4] * 10**5), ("filters", [4, 0]),
    ("filters", [4, -3]), ("filters", [4, 3.0]), ("filters", {"4": 3}), ("filters", None), ("filters", [16384, 16384]),
    ("start", [14, 12]), ("start", [0, 0]), ("start", [7]), ("start", "7x6"),
    ("channels", 2), ("channels", 0), ("channels", 10**9), ("channels", True), ("channels", "3"), ("channels", 3.0),
    ("z_dim", 10**9), ("z_dim", 0), ("z_dim", -5), ("z_dim", None), ("z_dim", 6), ("z_dim", 16384),
    ("w_dim", 10**9), ("w_dim", 0), ("w_dim", 16384),
    ("num_classes", 10**9), ("num_classes", -1), ("num_classes", 65536), ("num_classes", 0),
    ("mapping_layers", 10**6), ("mapping_layers", -1), ("mapping_layers", 64), ("mapping_layers", 0),
    ("mapping_lr", NAN), ("mapping_lr", 0), ("mapping_lr", -0.01), ("mapping_lr", INFINITY), ("mapping_lr", None),
    ("architecture", "other"), ("architecture", 1), ("architecture", None), ("architecture", "x" * 10**5),
    ("architecture", "resnet"), ("resample_filter", []), ("resample_filter", [0, 0]), ("resample_filter", [1, -1]),
    ("resample_filter", [1, -1, 1e-12]), ("resample_filter", [NAN]), ("resample_filter", [INFINITY, 1]),
    ("resample_filter", [1] * 10**5), ("resample_filter", "1331"), ("resample_filter", None),
    ("resample_filter", [1e308, 1e308]), ("conv_clamp", NAN), ("conv_clamp", -1), ("conv_clamp", 0),
    ("conv_clamp", "256"), ("conv_clamp", True), ("use_noise", 1), ("use_noise", None), ("use_noise", False),
    ("unknown", 1), ("__class__", 1), ("level_sizes", [[7, 6]]), ("a\nb\x1b[31m", 1), ("x" * 10**5, 1),
    ("discriminator", 1), ("discriminator", []), ("discriminator", {}), ("discriminator", {"size": [14, 12]}),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), CONFIGS, ids=lambda value: str(value)[:30])
def test_configs_that_lie(key: str, value: Any, whole: Path, tmp_path: Path) -> None:
    path = changed(tmp_path / "bad", whole, lambda about: about["config"].update({key: value}))
    assert "\x1b" not in refused(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("group_size", 0), ("group_size", 10**9), ("group_size", 2.0), ("std_channels", 3), ("std_channels", 10**9),
        ("std_channels", 0), ("map_dim", 0), ("map_dim", 10**9), ("map_dim", 4), ("map_dim", None), ("size", [28, 24]),
        ("channels", 1), ("num_classes", 3), ("filters", [4, 4]), ("mapping_lr", 0), ("mapping_layers", 10**9),
        ("z_dim", 5), ("conv_clamp", -1),
    ],
)  # fmt: skip
def test_discriminator_configs_that_lie(key: str, value: Any, whole: Path, tmp_path: Path) -> None:
    path = changed(tmp_path / "bad", whole, lambda about: about["config"]["discriminator"].update({key: value}))
    with pytest.raises(CheckpointError) as caught:
        core.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("key", ["size", "filters"])
def test_configs_without_what_they_need(key: str, whole: Path, tmp_path: Path) -> None:
    refused(changed(tmp_path / "bad", whole, lambda about: about["config"].pop(key)), key)


SMALL = {
    "z_dim": st.integers(0, 6), "w_dim": st.integers(0, 6), "num_classes": st.integers(0, 3),
    "mapping_layers": st.integers(0, 3), "mapping_lr": st.floats(0, 2), "channels": st.integers(0, 4),
    "architecture": st.sampled_from(["skip", "resnet", "orig", ""]), "use_noise": st.booleans(),
    "conv_clamp": st.none() | st.floats(0, 300), "filters": st.lists(st.integers(0, 4), min_size=2, max_size=3),
    "resample_filter": st.lists(st.floats(-1, 3), min_size=0, max_size=64),
    "start": st.sampled_from([None, (7, 6), (14, 12)]),
}  # fmt: skip
SMALL_D = {
    **{key: SMALL[key] for key in SMALL if key not in ("z_dim", "w_dim", "use_noise")},
    "group_size": st.none() | st.integers(0, 4), "std_channels": st.integers(0, 4),
    "map_dim": st.none() | st.integers(0, 5),
}  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional=SMALL), st.fixed_dictionaries({}, optional=SMALL_D))
def test_any_config_is_refused_or_draws(tmp_path: Path, of_g: dict[str, Any], of_d: dict[str, Any]) -> None:
    """A config that is accepted builds networks that run, and comes back from a file."""
    base: dict[str, Any] = {"size": (14, 12), "filters": [2, 2]}
    try:
        g_config = core.GeneratorConfig(**{**base, "z_dim": 4, "w_dim": 4, **of_g})
        d_config = core.DiscriminatorConfig(**{**base, **of_d, "channels": g_config.channels})
    except core.errors.SettingError:
        return
    g, d = core.build_generator(g_config), core.build_discriminator(d_config)
    with torch.no_grad():
        img = g(torch.ones(2, g.z_dim))
        assert img.shape == (2, g_config.channels, 14, 12)
        assert d(img).shape == (2,)
    try:
        core.save(tmp_path / "a", g, d)
    except CheckpointError as wrong:
        assert "not finite" in str(wrong)
        return
    opened = core.load(tmp_path / "a")
    assert equal(opened.generator, g) and opened.discriminator is not None and equal(opened.discriminator, d)


# --- tensors that are not what the header says ---------------------------------------------------------------------


def resaved(path: Path, source: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """A well-formed file with the header of `source` and changed tensors."""
    about = json.dumps(taken_apart(source)[0]["__metadata__"]["styloscope"])
    tensors = safetensors.torch.load_file(source)
    change(tensors)
    safetensors.torch.save_file(tensors, path, metadata={"styloscope": about})
    return path


def test_tensors_written_by_others_are_welcome(whole: Path, tmp_path: Path) -> None:
    assert equal(core.load(resaved(tmp_path / "a", whole, lambda _: None)).generator, networks()[0])


def test_a_missing_tensor(whole: Path, tmp_path: Path) -> None:
    refused(resaved(tmp_path / "a", whole, lambda tensors: tensors.pop(FIRST)), FIRST, "missing")
    path = resaved(tmp_path / "a", whole, lambda tensors: tensors.pop("d.epilogue.out.weight"))
    with pytest.raises(CheckpointError, match=r"d\.epilogue\.out\.weight missing"):
        core.load(path)
    core.load(path, generator_only=True)


def test_no_tensor_at_all(whole: Path, tmp_path: Path) -> None:
    assert "more" in refused(resaved(tmp_path / "a", whole, lambda tensors: tensors.clear()), "missing")


@pytest.mark.parametrize("name", ["g_ema.extra", "g_ema.synthesis.blocks.0.filter", "g_ema." + "x" * 10_000])
def test_a_tensor_too_many(name: str, whole: Path, tmp_path: Path) -> None:
    refused(resaved(tmp_path / "a", whole, lambda tensors: tensors.update({name: torch.zeros(1)})), "unknown")


@pytest.mark.parametrize("name", ["extra", "d.extra", "", "g.a\nb\x1b[31m"])
def test_a_tensor_that_belongs_to_nothing(name: str, whole: Path, tmp_path: Path) -> None:
    path = resaved(tmp_path / "a", whole, lambda tensors: tensors.update({name: torch.zeros(1)}))
    with pytest.raises(CheckpointError, match="unknown") as caught:
        core.load(path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_discriminator_weights_without_a_discriminator(whole: Path, tmp_path: Path) -> None:
    path = changed(tmp_path / "a", whole, lambda about: about["config"].update(discriminator=None))
    with pytest.raises(CheckpointError, match="unknown"):
        core.load(path)


@pytest.mark.parametrize("shape", [(7,), (6, 1), (1, 6), (), (0,), (3, 2)])
def test_a_tensor_of_another_shape(shape: tuple[int, ...], whole: Path, tmp_path: Path) -> None:
    path = resaved(tmp_path / "a", whole, lambda tensors: tensors.update({FIRST: torch.zeros(shape)}))
    refused(path, f"{FIRST} is {list(shape)} instead of [6]")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions(dtype: torch.dtype, whole: Path, tmp_path: Path) -> None:
    def recast(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.to(dtype) for name, tensor in tensors.items()})

    opened = core.load(resaved(tmp_path / "a", whole, recast)).generator
    assert torch.equal(opened.w_avg, networks()[0].w_avg.to(dtype).float())


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.bool, torch.uint8])
def test_tensors_that_are_no_weights(dtype: torch.dtype, whole: Path, tmp_path: Path) -> None:
    refused(resaved(tmp_path / "a", whole, lambda t: t.update({FIRST: torch.zeros(6, dtype=dtype)})), "damaged")


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
def test_weights_that_are_not_finite(value: float, whole: Path, tmp_path: Path) -> None:
    """No picture can come of them: a training that has diverged, or a file that was damaged."""
    refused(resaved(tmp_path / "a", whole, lambda tensors: tensors[FIRST].view(-1)[-1:].fill_(value)), FIRST, "finite")


def test_nothing_that_is_merely_claimed_is_allocated(tmp_path: Path) -> None:
    """A network of 43 GB, as a file of a few kilobytes: claimed by its config alone, and by its tensors too."""
    config = core.GeneratorConfig(size=(1024, 1024), filters=(16384,) * 9, z_dim=16384, w_dim=16384)
    about = {"format": 1, "arch": "stylegan2", "config": dataclasses.asdict(config)}
    with torch.device("meta"):
        state = core.Generator(config).state_dict()
    table: dict[str, Any] = {"__metadata__": {"styloscope": about}}
    end = 0
    for name, tensor in state.items():
        offsets = [end, end + 4 * tensor.numel()]
        table[f"g_ema.{name}"] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        end = offsets[1]
    assert end > 40e9
    liars = [
        put_together(tmp_path / "config", {"__metadata__": {"styloscope": about}}, b""),
        put_together(tmp_path / "tensors", table, bytes(100)),
        put_together(tmp_path / "length", {}, b""),
    ]
    liars[2].write_bytes(struct.pack("<Q", 2**20) + b"{")
    tracemalloc.start()
    try:
        for path in liars:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            peak = resident()
            refused(path)
            assert tracemalloc.get_traced_memory()[1] - before < 3_000_000
            assert resident() - peak < 50_000_000
    finally:
        tracemalloc.stop()


def resident() -> int:
    """The most memory this process has ever held, in bytes; 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
