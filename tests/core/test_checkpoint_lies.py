"""Network files that lie, in their header or in their tensors: refused in one sentence before they cost anything."""

from __future__ import annotations

import copy
import dataclasses
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import core
from core.errors import CheckpointError
from core.header import read_about
from tests.core.network_files import (
    equal,
    networks,
    put_together,
    refused,
    taken_apart,
    with_header,
)

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
