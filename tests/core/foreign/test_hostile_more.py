"""More files that try something: of every protocol, through memos, keys, zips that lie, and headers of our own."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.core.foreign import hostile as h
from tests.core.foreign.test_hostile import AUDIT, GOOD, ROOT, VALUE, Runs, refused
from tests.interop import FOLDER, needs_interop

LOAD = h.glob("torch.storage", "_load_from_bytes")
PERSISTENT = h.glob("torch_utils.persistence", "_reconstruct_persistent_obj")
EVIL = h.call(h.glob("os", "system"), h.text("true"))


def wide(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little")


def module(state: bytes) -> bytes:
    meta = h.dictionary(type=h.text("class"), version=b"K\x06", class_name=h.text("Generator"), state=state)
    return h.call(PERSISTENT, meta)


TABLES = b"}(" + h.text("_parameters") + b"}" + h.text("_buffers") + b"}" + h.text("_modules") + b"}q\x03u"
PICKLES = {
    "INST": (b"(X\x02\x00\x00\x00lsios\nsystem\n", "instruction 0x69"),
    "OBJ": (b"(cos\nsystem\nX\x02\x00\x00\x00lso", "os.system"),
    "NEWOBJ_EX": (b"\x8c\x02os\x8c\x06system\x93)}\x92", "os.system"),
    "NEWOBJ_EX of what is allowed": (b"\x8c\x0bcollections\x8c\x0bOrderedDict\x93)}\x92", "instruction 0x92"),
    "EXT2": (b"\x83\x01\x00", "instruction 0x83"),
    "EXT4": (b"\x84\x01\x00\x00\x00", "instruction 0x84"),
    "PERSID": (b"P/etc/passwd\n", "instruction 0x50"),
    "DUP": (b"]" + b"2a" * 1000, "instruction 0x32"),
    "POP": (b"NN0", "instruction 0x30"),
    "a name of numbers": (b"K\x01K\x02\x93", "no name"),
    "a name of lists": (b"]]\x93", "no name"),
    "a name of bytes": (b"C\x02osC\x06system\x93", "no name"),
    "a name from the memo": (b"\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93", "os.system"),
    "a method of what is allowed": (b"\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93", "OrderedDict.fromkeys"),
    "a blank in the other word": (b"ctorch._utils\n _rebuild_tensor_v2\n", "torch._utils.."),
    "no words": (b"c\n\n", "asks for ."),
    "a class among the metadata": (
        h.glob("collections", "OrderedDict") + b")R}(" + h.text("_metadata") + b"N" + h.text("x") + EVIL + b"ub",
        "os.system"),
    "attributes of a table": (
        h.glob("collections", "OrderedDict") + b")R}(" + h.text("__class__") + b"Nub", "sets attributes"),
    "a structured type": (h.call(h.glob("numpy", "dtype"), b"](" + h.text("O") + b"e"), "as torch and numpy never do"),
    "an array of objects": (
        h.call(h.glob("numpy.core.multiarray", "_reconstruct"), h.glob("numpy", "ndarray"), b"K\x00\x85", h.raw(b"b"))
        + b"(K\x01K\x01\x85" + h.call(h.glob("numpy", "dtype"), h.text("O8"), b"\x89", b"\x88") + b"\x89]tb", "'O8'"),
    "an array of a function": (
        h.call(h.glob("numpy._core.multiarray", "_reconstruct"), h.glob("os", "system"), b"K\x00\x85"), "os.system"),
    "a storage in a storage": (h.call(LOAD, h.raw(h.legacy(h.call(LOAD, h.raw(h.legacy(EVIL)))))), "torch.storage"),
    "a storage that is a zip": (h.call(LOAD, h.raw(b"PK\x03\x04" + bytes(100))), "instruction 0x50"),
    "a storage that is a pickle": (h.call(LOAD, h.raw(pickle.dumps(Runs(os.system, "true"), 2))), "system"),
    "a storage with something behind": (
        h.call(LOAD, h.raw(h.legacy(h.storage_id("0", 1), {"0": bytes(4)}) + b"N.")), "behind its end"),
    "numbers with one hash": (
        b"}(" + b"".join(wide(k * ((1 << 61) - 1)) + b"N" for k in range(1, 50_000)) + b"u", "neither text nor"),
    "a set of numbers with one hash": (
        b"\x8f(" + b"".join(wide(k * ((1 << 61) - 1)) for k in range(1, 70_000)) + b"\x90", "neither text nor"),
    "a list of its own lists": (b"(]q\x00(" + b"N" * 50_000 + b"e(" + b"h\x00" * 50_000 + b"tt", "no network"),
    "a list in itself": (b"]q\x00h\x00a", "no network"),
    "pairs again and again": (
        b"](" + b"".join(b"(" + h.text(f"k{k}") + b"Nt" for k in range(8000)) + b"eq\x00"
        + h.glob("collections", "OrderedDict") + b"q\x01" + b"h\x01h\x00\x85R" * 30_000, "more in it"),
    "tuples in tuples": (b"N" + b"\x85" * 150_000, "64 deep"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_pickles(name: str, tmp_path: Path) -> None:
    value, word = PICKLES[name]
    path = tmp_path / "network"
    for protocol in (2, 5):
        path.write_bytes(h.pickle_of(h.dictionary(later=value), protocol))
        refused(path, word)


def encoded(data: bytes, coding: str = "latin1") -> bytes:
    """Bytes as protocol 2 has them."""
    return h.call(h.glob("_codecs", "encode"), h.text(data.decode("latin-1")), h.text(coding))


def test_bytes_as_text(tmp_path: Path) -> None:
    path = tmp_path / "network"
    once, large = (
        h.legacy(h.storage_id("0", 4), {"0": bytes(16)}),
        h.legacy(h.storage_id("0", 50_000), {"0": bytes(200_000)}),
    )
    for value, word in (
        (h.call(LOAD, encoded(once)), "no network"),
        (h.call(LOAD, encoded(h.legacy(EVIL))), "os.system"),
        (h.call(LOAD, encoded(large[:-1])), "outside the file"),
        (h.call(LOAD, encoded(large + b"N.")), "behind its end"),
        (encoded(b"eval", "rot13"), "as torch and numpy never do"),
        (encoded(b"eval", "unicode_escape"), "as torch and numpy never do"),
        (h.call(LOAD, h.call(h.glob("_codecs", "encode"), h.text("\u20ac" * 9), h.text("latin1"))), "never do"),
        (h.call(LOAD, h.call(h.glob("_codecs", "encode"), h.text("\u20ac" * 40_000), h.text("latin1"))), "never do"),
        (h.call(h.glob("_codecs", "encode"), b"N", h.text("latin1")), "never do"),
        (h.call(h.glob("_codecs", "decode"), h.text("a"), h.text("latin1")), "_codecs.decode"),
        (encoded(large) + b"q\x05" + (LOAD + b"h\x05\x85R") * 3, "again and again"),
        (encoded(once) + b"q\x05" + (LOAD + b"h\x05\x85R") * 20_000, "again and again"),
        (h.text("a" * 100_000) + h.text("b" * 100_000) + b"\x93", "no name"),
    ):
        path.write_bytes(h.pickle_of(h.dictionary(later=b"(" + value + b"t")))
        refused(path, word)


def test_every_protocol(tmp_path: Path) -> None:
    path, mark = tmp_path / "network.pkl", tmp_path / "mark"
    for protocol in range(6):
        for function, argument in ((os.system, f"touch {mark}"), (builtins.exec, f"open({str(mark)!r}, 'w')")):
            path.write_bytes(pickle.dumps({"G_ema": Runs(function, argument)}, protocol))
            refused(path)
    assert not mark.exists()


def test_networks_of_themselves(tmp_path: Path) -> None:
    path = tmp_path / "network"
    own = module(TABLES) + b"q\x04"
    for again in (h.text("a") + b"h\x04", b"".join(h.text(f"a{k}") + b"h\x04" for k in range(4000))):
        table = b"}(" + h.text("G_ema") + own + h.text("x") + b"h\x03(" + again + b"uu"
        path.write_bytes(h.pickle_of(table))
        refused(path, "without end")


def torch_file(storage: bytes, data: dict[str, bytes] | None = None) -> bytes:
    return h.legacy(h.dictionary(x=h.tensor(storage, (1,), (1,))), data)


def test_torch_files(tmp_path: Path) -> None:
    path = tmp_path / "network"
    for kind in ("QInt8Storage", "ComplexFloatStorage", "UntypedStorage", "Float8_e4m3fnStorage", "load"):
        path.write_bytes(torch_file(h.storage_id("0", 4, kind=h.glob("torch", kind)), {"0": bytes(16)}))
        refused(path, f"torch.{kind}")
    for function in (
        "_rebuild_sparse_tensor",
        "_rebuild_qtensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_tensor",
    ):
        value = h.call(h.glob("torch._utils", function), h.storage_id("0", 4), b"K\x00")
        path.write_bytes(h.legacy(h.dictionary(x=value), {"0": bytes(16)}))
        refused(path, function)
    one = h.tensor(h.storage_id("0", 4), (1,), (1,))
    for other in (h.storage_id("0", 2), h.storage_id("0", 4, kind=h.glob("torch", "DoubleStorage"))):
        path.write_bytes(h.legacy(h.dictionary(x=one, y=h.tensor(other, (1,), (1,))), {"0": bytes(16)}))
        refused(path, "two storages under one key")
    for name in (h.text("/etc/passwd"), h.tuple_of(h.text("module"), h.text("/etc/passwd")), b"]", b"N"):
        path.write_bytes(h.legacy(name + b"Q"))
        refused(path, "no storage")
    keys = b"](" + h.text("0") + h.text("0") + b"e"
    system = h.dictionary(protocol_version=h.whole(1001), little_endian=b"\x88", type_sizes=b"}")
    parts = (h.whole(1001), system, h.dictionary(x=one), keys)
    path.write_bytes(h.MAGIC + b"".join(map(h.pickle_of, parts)) + (struct.pack("<q", 4) + bytes(16)) * 2)
    refused(path, "not those")
    path.write_bytes(h.legacy(b"N").replace(b"\x88u", b"\x89u").replace(b"little_endian\x88", b"little_endian\x89"))
    refused(path, "byte order")


def test_zips(tmp_path: Path) -> None:
    path = tmp_path / "network"
    for name in ("C:/x", "a//b", "a/./b", "a\0b", "a/data/\u202e", "a/data/../../x", ".format_version/../x"):
        refused(h.zipped(path, [*GOOD, (name, b"x")]), "no plain path")
    for name in (".hidden", "con", "a/attributes.pkl", "a/" + "x" * 60_000):
        refused(h.zipped(path, [*GOOD, (name, b"x")]), "does not write")
    evil = h.pickle_of(h.call(h.glob("os", "system"), h.text("true")))
    refused(h.zipped(path, [("a/data.pkl", evil), *GOOD[1:]]), "os.system")
    whole = h.zipped(path, GOOD).read_bytes()
    for data in (whole[:-2] + b"\x05\0hello", whole + b"PK", whole[:-14] + b"\xff\xfe\xff\xfe" + whole[-10:],
                 whole[:-14] + b"\2\0\2\0" + whole[-10:], whole[:-6] + bytes(4) + whole[-2:]):  # fmt: skip
        path.write_bytes(data)
        refused(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a/data.pkl", VALUE)
            archive.writestr("a/data/0", bytes(1 << 24))
        refused(path)
    with zipfile.ZipFile(path, "w") as archive:  # a link, for whoever unpacks it
        archive.writestr("a/data.pkl", VALUE)
        link = zipfile.ZipInfo("a/data/0")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    refused(path, "not those")


def test_zips_that_overlap(tmp_path: Path) -> None:
    """One entry whose bytes are the whole of the other, header and all."""

    def local(name: bytes, data: bytes) -> bytes:
        sizes = struct.pack("<4s5H3L2H", b"PK\x03\x04", *(0,) * 6, len(data), len(data), len(name), 0)
        return sizes + name + data

    names = (b"a/data.pkl", b"a/data/0")
    parts = [local(name, data) for name, data in zip(names, (VALUE, bytes(16)), strict=True)]
    table = b""
    for name, at, count in ((names[0], 0, len(VALUE) + len(parts[1])), (names[1], len(parts[0]), 16)):
        fields = (*(0,) * 7, count, count, len(name), *(0,) * 5, at)
        table += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields) + name
    body = b"".join(parts)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(table), len(body), 0)
    path = tmp_path / "network"
    path.write_bytes(body + table + end)
    refused(path, "overlap")


def test_large_zips_that_lie(tmp_path: Path) -> None:
    """Sizes in the extra fields that hold those above 4 GiB: bytes of the directory changed at will."""
    path = tmp_path / "network"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in GOOD:
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(data)
    whole, stream = path.read_bytes(), random.Random(3)
    first = whole.index(b"PK\x01\x02")
    for _ in range(60):
        bad = bytearray(whole)
        for _ in range(3):
            bad[stream.randrange(first, len(bad))] = stream.choice((0, 1, 255, stream.randrange(256)))
        path.write_bytes(bad)
        refused(path)


# --- headers of our own ----------------------------------------------------------------------------------------------

CONFIG = {"size": [16, 16], "filters": [8, 8, 4], "channels": 3, "z_dim": 8, "w_dim": 8, "mapping_layers": 1}


def ours(config: Any = None, tensors: Any = None, text: str | None = None, data: bytes = b"") -> bytes:
    about = {"format": 1, "arch": "stylegan2", "config": {**CONFIG, **(config or {})}, "picture": {}, "credit": ""}
    header = {"__metadata__": {"styloscope": text or json.dumps(about)}, **(tensors or {})}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def entry(begin: int = 0, end: int = 4, shape: tuple[Any, ...] = (1,), dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HEADERS = {
    "a length of 100 MB": struct.pack("<Q", 100 << 20) + b"{" + b" " * (100 << 20),
    "a length beyond counting": struct.pack("<Q", 1 << 63) + b"{}",
    "deep": struct.pack("<Q", 600_001) + b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep inside": ours(text='{"a":' * 100_000 + "1" + "}" * 100_000),
    "no number": ours(text='{"format":1,"arch":"stylegan2","config":{"size":[NaN,16]}}'),
    "infinite": ours(text='{"format":1e999}'),
    "a number of 5000 digits": ours(text='{"format":' + "9" * 5000 + "}"),
    "a name twice": ours(text='{"format":1,"format":1}'),
    "half a character": ours(text='{"format":1,"credit":"\\ud800"}'),
    "fifty thousand lists": ours(text="{" + ",".join(f'"{k}":[[]]' for k in range(50_000)) + "}"),
    "a huge picture": ours({"size": [1 << 40, 1 << 40]}),
    "the widest layers": ours({"size": [1024, 1024], "filters": [16384] * 9, "z_dim": 16384, "w_dim": 16384,
                               "mapping_layers": 64, "num_classes": 65536, "start": [4, 4]}),
    "layers without number": ours({"filters": [1] * 100_000}),
    "mapping layers without number": ours({"mapping_layers": 10**9}),
    "taps without number": ours({"resample_filter": [1] * 100_000}),
    "a width of text": ours({"z_dim": "8"}),
    "a width that is true": ours({"z_dim": True}),
    "overlapping tensors": ours(tensors={"a": entry(), "b": entry(2, 6)}, data=bytes(6)),
    "tensors with a gap": ours(tensors={"a": entry(), "b": entry(8, 12)}, data=bytes(12)),
    "tensors out of order": ours(tensors={"b": entry(4, 8), "a": entry()}, data=bytes(8)),
    "a tensor before the beginning": ours(tensors={"a": entry(-4, 0)}),
    "a tensor behind the end": ours(tensors={"a": entry(0, 1 << 40, (1 << 38,))}),
    "a product around the world": ours(tensors={"a": entry(0, 0, (1 << 32, 1 << 32))}),
    "a side of true": ours(tensors={"a": entry(0, 4, (True,))}, data=bytes(4)),
    "a place between": ours(tensors={"a": {**entry(), "data_offsets": [0.0, 4.0]}}, data=bytes(4)),
    "another type": ours(tensors={"a": entry(0, 1, (1,), "F8_E4M3")}, data=bytes(1)),
    "many empty tensors": ours(tensors={f"g_ema.{k}": entry(0, 0, (0,)) for k in range(9000)}),
    "a very long name": ours(tensors={"a" * 500_000: entry()}, data=bytes(4)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    path.write_bytes(HEADERS[name])
    refused(path)


@needs_interop
def test_nothing_is_imported_compiled_or_opened(tmp_path: Path) -> None:
    files = [str(FOLDER / "skip" / "network.pkl")]
    cases = {**{k: h.pickle_of(h.dictionary(later=v)) for k, (v, _) in PICKLES.items()}, **HEADERS}
    for k, data in enumerate(cases.values()):
        if len(data) < 1 << 16:
            files.append(str(tmp_path / f"{k}"))
            Path(files[-1]).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, *files], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    count, _, seen = done.stdout.strip().partition(" ")
    assert seen == "[]" and int(count) >= 2 * len(files)
