"""Files that try something: each is refused in one sentence, at once, in little memory, and nothing happens."""

from __future__ import annotations

import builtins
import gc
import os
import pickle
import random
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core import foreign
from core.errors import CheckpointError
from core.foreign.source import Budget
from tests.core.foreign import hostile as h
from tests.interop import FOLDER, needs_interop
from tests.pace import soon

ROOT = Path(__file__).resolve().parents[3]
ORDERED = h.glob("collections", "OrderedDict")
FLOAT4 = struct.pack("<4f", 1, 2, 3, 4)


def most_memory(reset: bool = False) -> int:
    """The most memory this process has held since it was last reset, in bytes; 0 where the system does not tell."""
    status, switch = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists() or not os.access(switch, os.W_OK):
        return 0
    if reset:
        switch.write_text("5", encoding="ascii")
    lines = status.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def refused(path: Path, *words: str) -> str:
    """The file is refused in one sentence that names it and has `words`, within a second and 200 MB."""
    gc.freeze()  # walking through what other tests left in memory is no cost of this file
    try:
        before, start = most_memory(reset=True), time.process_time()
        with pytest.raises(CheckpointError) as caught:
            core.load(path)
        taken = time.process_time() - start
    finally:
        gc.unfreeze()
    assert soon(taken, seconds=1)
    assert most_memory() - before < 200e6
    sentence = str(caught.value)
    assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 900
    for word in words:
        assert word in sentence, sentence
    return sentence


class Runs:
    """An object whose pickle calls a function when it is opened by the usual means."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def test_what_pickle_would_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    path = tmp_path / "network.pkl"
    for protocol in (2, 3, 4, 5):
        for function, argument in ((os.system, f"touch {mark}"), (builtins.eval, f"open({str(mark)!r}, 'w')")):
            bad = Runs(function, argument)
            for value in (bad, {"G_ema": bad}, {"G": None, "later": [bad]}, {"G_ema": {"state": (bad,)}}):
                path.write_bytes(pickle.dumps(value, protocol))
                refused(path, "system" if function is os.system else ".eval", "nothing of it was run")
            torch.save({"g_ema": bad}, path, pickle_protocol=2)
            refused(path, "system" if function is os.system else "eval")
            torch.save({"g_ema": bad}, path, _use_new_zipfile_serialization=False)
            refused(path, "system" if function is os.system else "eval")
    assert not mark.exists()


LOAD = h.glob("torch.storage", "_load_from_bytes")
NESTED = h.legacy(h.call(h.glob("os", "system"), h.text("true")))
GLOBALS = {
    "a global alone": (h.glob("builtins", "eval"), "builtins.eval"),
    "a dotted name through an allowed module": (
        b"\x8c\x0ctorch._utils\x8c\x22_rebuild_tensor_v2.__globals__.get" + b"\x93", "_rebuild_tensor_v2.__globals__"),
    "an attribute of an allowed one": (h.glob("collections", "OrderedDict.__init__"), "OrderedDict.__init__"),
    "another module": (h.glob("torch", "load"), "torch.load"),
    "a name with a blank": (h.glob("torch._utils _rebuild_tensor_v2", ""), "_rebuild_tensor_v2"),
    "new": (h.glob("subprocess", "Popen") + b")\x81", "subprocess.Popen"),
    "build on an allowed function": (h.glob("torch._utils", "_rebuild_tensor_v2") + b"}b", "sets attributes"),
    "build on the result": (h.call(h.glob("builtins", "set"), b"]") + b"}b", "sets attributes"),
    "call of a table": (b"})R", "calls what is no function"),
    "call with a table": (ORDERED + b"}R", "calls what is no function"),
    "call with too many": (h.call(h.glob("torch._utils", "_rebuild_parameter"), b"N"), "as torch and numpy never do"),
    "object dtype": (h.call(h.glob("numpy", "dtype"), h.text("O8"), b"\x89", b"\x88"), "'O8'"),
    "a storage in a storage": (
        h.call(LOAD, h.raw(NESTED)), "os.system"),
    "a storage of a network": (
        h.call(LOAD, h.raw(h.legacy(b"}"))), "hold something else"),
    "a storage of no bytes": (h.call(LOAD, b"N"), "never do"),
    "a persistent id": (b"NQ", "outside of it"),
    "text instructions": (b"I01\n", "instruction 0x49"),
    "an extension": (b"\x82\x01", "instruction 0x82"),
    "an external buffer": (b"\x97", "instruction 0x97"),
    "a tuple as a key": (b"}))s", "neither text nor a number"),
    "another persistence": (
        h.call(h.glob("torch_utils.persistence", "_reconstruct_persistent_obj"),
               h.dictionary(type=h.text("class"), version=b"K\x63")), "persistence version 99"),
}  # fmt: skip


@pytest.mark.parametrize("name", GLOBALS)
def test_what_a_pickle_may_not_say(name: str, tmp_path: Path) -> None:
    value, word = GLOBALS[name]
    path = tmp_path / "a name of no meaning.safetensors"
    for protocol in (2, 4):
        path.write_bytes(h.pickle_of(h.dictionary(later=value), protocol))
        refused(path, word)


def bomb(levels: int) -> bytes:
    """Lists of the same list, ten times each: 10^levels things out of a few hundred bytes."""
    inner = b"(]q\x00"
    for k in range(levels):
        inner += b"](" + (b"h" + bytes([k])) * 10 + b"eq" + bytes([k + 1])
    return inner + b"t"


def nested_sets() -> bytes:
    """One list of many words, made into a set again and again."""
    words = b"](" + b"".join(h.text(f"{k}") for k in range(20_000)) + b"eq\x00"
    return words + h.glob("builtins", "set") + b"q\x01" + b"h\x01h\x00\x85R" * 10_000


COSTLY = {
    "nested lists": b"]" * 300_000 + b"a" * 299_999,
    "nested marks": b"(" * 300_000,
    "nested tuples": b")" + b"\x85" * 300_000,
    "nested tables": b"}" + (h.text("a") + b"}") * 1000 + b"s" * 1000,
    "many tables": b"}" * 1_000_000,
    "many sets": b"\x8f" * 1_000_000,
    "many memos": b"N" + b"\x94" * 1_000_000,
    "a memo far away": b"Nr\xff\xff\xff\xffj\xfe\xff\xff\xff",
    "a huge text": b"X\xff\xff\xff\xff",
    "a huger text": b"\x8d" + b"\xff" * 8,
    "much text": (b"X" + struct.pack("<I", 1 << 20) + "\U0001f9e0".encode() * (1 << 18)) * 20,
    "huge bytes": b"B\xff\xff\xff\xff",
    "huger bytes": b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a huge array": b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a huge frame": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a huge number": b"\x8b\xff\xff\xff\x7f",
    "a negative number": b"\x8b\xff\xff\xff\xff",
    "a long number": b"\x8b\x00\x10\x00\x00" + b"\x01" * 4096,
    "a name without an end": b"c" + b"a" * 100_000,
    "a set again and again": nested_sets(),
    "storages again and again": h.raw(h.legacy(h.storage_id("0", 1), {"0": b"\0" * 4})) + b"q\x00"
    + (LOAD + b"h\x00\x85R") * 50_000,
    "names again and again": b"".join(h.glob("m", f"n{k}") for k in range(50_000)),
    "an empty stack": b"R",
    "no marks": b"t",
    "no memo": b"h\x05",
}  # fmt: skip


@pytest.mark.parametrize("name", COSTLY)
def test_what_would_cost_much(name: str, tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(h.pickle_of(h.dictionary(later=COSTLY[name])))
    refused(path)
    path.write_bytes(h.legacy(COSTLY[name]))
    refused(path)


def test_the_interpreter_is_fast_enough() -> None:
    """The most steps that a file can cost end within a second, also where others compute beside."""
    from core.foreign.pickles import NVIDIA, Machine
    from core.foreign.source import Source, Window

    path = Path(__file__).parent / "__init__.py"
    with Source(path) as source:
        budget = Budget(path)
        window = Window(source, 0, 0)
        data = b"}" * 300_000
        window.end, window._chunk = len(data), data
        start = time.process_time()
        with pytest.raises(CheckpointError):
            Machine(window, budget, NVIDIA).load()
        assert soon(time.process_time() - start, seconds=1)


def test_a_billion_things_out_of_few(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(h.pickle_of(h.dictionary(later=bomb(9))))
    refused(path, "no network of a kind known here")
    path.write_bytes(h.pickle_of(b"}(" + bomb(9) + b"Nu"))
    refused(path, "neither text nor a number")


# --- tensors ---------------------------------------------------------------------------------------------------------

GEOMETRY = {
    "behind the end": ((5,), (1,), 0),
    "from behind the end": ((1,), (1,), 4),
    "from before the beginning": ((1,), (1,), -1),
    "backwards": ((4,), (-1,), 3),
    "steps too long": ((2, 2), (3, 1), 0),
    "steps around the world": ((2,), (1 << 63,), 0),
    "one number, many times": ((1 << 20, 1 << 20), (0, 0), 0),
    "five from four": ((5,), (0,), 0),
    "a negative side": ((-1,), (1,), 0),
    "a side beyond counting": ((1 << 62, 0), (1, 1), 0),
    "more sides than steps": ((2, 2), (1,), 0),
    "twenty sides": ((1,) * 20, (1,) * 20, 0),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_tensors_outside_their_storage(name: str, tmp_path: Path) -> None:
    size, stride, offset = GEOMETRY[name]
    path = tmp_path / "network"
    path.write_bytes(h.legacy(h.dictionary(x=h.tensor(h.storage_id("0", 4), size, stride, offset)), {"0": FLOAT4}))
    refused(path, "tensor in it")
    path.write_bytes(
        h.pickle_of(h.nvidia(_buffers=h.dictionary(x=h.tensor(h.storage_bytes(FLOAT4), size, stride, offset))))
    )
    refused(path, "tensor in it")
    value = h.pickle_of(h.dictionary(x=h.tensor(h.storage_id("0", 4, legacy=False), size, stride, offset)))
    refused(h.zipped(path, [("a/data.pkl", value), ("a/data/0", FLOAT4)]), "tensor in it")


def test_storages_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "network"
    value = h.dictionary(x=h.tensor(h.storage_id("0", 4), (4,), (1,)))
    for data, word in (
        (h.legacy(value, {"0": FLOAT4}, counts={"0": 1 << 40}), "another length"),
        (h.legacy(h.storage_id("0", 1 << 39), {"0": FLOAT4}, counts={"0": 1 << 39}), "outside the file"),
        (h.legacy(value, {}), "not those"),
        (h.legacy(value, {"1": FLOAT4}), "not those"),
        (h.legacy(value, {"0": FLOAT4, "1": FLOAT4}), "not those"),
        (h.legacy(value, {"0": FLOAT4}) + b"\0", "behind its end"),
        (h.legacy(value, {"0": FLOAT4}) + h.pickle_of(h.glob("os", "system")), "behind its end"),
        (h.legacy(h.dictionary(x=h.storage_id("0", 4, kind=h.glob("os", "system"))), {"0": FLOAT4}), "os.system"),
        (h.legacy(h.dictionary(x=h.storage_id("0", 4, kind=b"N")), {"0": FLOAT4}), "no known type"),
        (h.legacy(h.dictionary(x=h.storage_id("0", -4)), {"0": FLOAT4}), "no known type"),
        (h.pickle_of(h.nvidia()) + h.pickle_of(h.glob("os", "system")), "behind its end"),
    ):
        path.write_bytes(data)
        refused(path, word)


def test_one_storage_for_everything(tmp_path: Path) -> None:
    """Many tensors that lie in the same bytes would be many times as large as the file."""
    wide, data = 1 << 16, bytes(1 << 18)
    names = ["input.input", "to_rgb1.conv.weight", *(f"style.{k}.weight" for k in range(1, 60))]
    storage = h.storage_id("0", wide) + b"q\x00"
    table = b"}(" + h.text("a") + storage + b"".join(
        h.text(name) + h.tensor(b"h\x00", (wide,), (1,)) for name in names) + b"u"  # fmt: skip
    path = tmp_path / "network"
    path.write_bytes(h.legacy(table, {"0": data}))
    refused(path)


# --- zips ------------------------------------------------------------------------------------------------------------

VALUE = h.pickle_of(h.dictionary(x=h.tensor(h.storage_id("0", 4, legacy=False), (4,), (1,))))
GOOD = [("a/data.pkl", VALUE), ("a/data/0", FLOAT4), ("a/version", b"3\n")]


def test_zips(tmp_path: Path) -> None:
    path = tmp_path / "network"
    refused(h.zipped(path, GOOD), "no network of a kind known here")  # the zip itself is right
    for entries, word in (
        ([*GOOD, ("b/data.pkl", VALUE)], "2 pickles"),
        ([*GOOD, ("a/data.pkl", VALUE)], "two entries"),
        ([*GOOD, ("a/code/x.py", b"import os")], "TorchScript"),
        ([*GOOD, ("a/extra.pkl", VALUE)], "does not write"),
        ([*GOOD, ("../data/0", FLOAT4)], "no plain path"),
        ([*GOOD, ("a/../../x", b"")], "no plain path"),
        ([*GOOD, ("/etc/x", b"")], "no plain path"),
        ([*GOOD, ("a\\b", b"")], "no plain path"),
        ([*GOOD, ("a/data/1", FLOAT4)], "not those"),
        ([GOOD[0]], "not those"),
        ([GOOD[0], ("a/data/0", FLOAT4 + FLOAT4)], "not those"),
        ([*GOOD, ("a/byteorder", b"big")], "byte order"),
        ([("a/data.pkl", VALUE + VALUE), GOOD[1]], "behind its end"),
    ):
        refused(h.zipped(path, entries), word)
    for lies, word in (
        ({"flags": 1}, "encrypted"),
        ({"method": 8}, "compressed"),
        ({"packed": 1}, "compressed"),
        ({"packed": 1 << 31, "length": 1 << 31}, "outside the file"),
        ({"packed": 0xFFFFFFFF, "length": 0xFFFFFFFF}, ""),
        ({"header": 1 << 31}, "outside the file"),
        ({"header": 0}, "agree"),
        ({"header": 1}, ""),
    ):
        refused(h.zipped(path, GOOD, **lies), word)
    whole = h.zipped(path, GOOD).read_bytes()
    for end in range(64, len(whole), 7):
        path.write_bytes(whole[:end])
        refused(path)
    path.write_bytes(whole + h.legacy(b"}"))
    refused(path)
    path.write_bytes(h.legacy(b"}") + whole)
    refused(path, "behind its end")


def test_zip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "network"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", VALUE)
        archive.writestr("a/data/0", bytes(1 << 27))
    refused(path, "compressed")
    # Ten thousand entries over the same bytes.
    data = h.zipped(path, [("a/data.pkl", VALUE), *((f"a/data/{k}", b"") for k in range(30_000))]).read_bytes()
    assert len(data) < 4e6
    refused(path, "no sensible size")


# --- what nobody wrote on purpose ------------------------------------------------------------------------------------

EXAMPLES = [
    "skip/network.pkl",
    "residual/network.pkl",
    "rosinality/checkpoint_train.pt",
    "rosinality/checkpoint_converted.pt",
    "stylegan1/train_step-5.model",
    "stylegan1/ema.model",
]


@needs_interop
@pytest.mark.parametrize("name", EXAMPLES)
def test_truncated(name: str, tmp_path: Path) -> None:
    data = (FOLDER / name).read_bytes()
    path = tmp_path / "network"
    stream = random.Random(7)
    for end in [*range(3, 40, 5), *(stream.randrange(40, len(data)) for _ in range(25)), len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(CheckpointError):
            core.load(path)


@needs_interop
@pytest.mark.parametrize("name", EXAMPLES)
def test_mutated(name: str, tmp_path: Path, fuzz_seconds: float) -> None:
    """Bytes changed, cut out and doubled: the file opens, or is refused in a sentence; nothing else happens."""
    data = (FOLDER / name).read_bytes()
    path = tmp_path / "network"
    seed = random.randrange(1 << 32) if fuzz_seconds > 5 else 7
    stream = random.Random(seed)
    # Most of a file is numbers; half of the changes go where the instructions are.
    places = [k for k in range(0, len(data) - 4) if data[k : k + 1] in b"cRQ(tuX}" and data[k + 1] < 0x80]
    end, tried, refusals = time.monotonic() + fuzz_seconds / len(EXAMPLES), 0, 0
    while time.monotonic() < end or tried < 10:
        bad = bytearray(data)
        for _ in range(stream.randrange(1, 4)):
            at = stream.choice(places) if stream.random() < 0.5 else stream.randrange(len(bad))
            match stream.randrange(4):
                case 0:
                    bad[at] = stream.randrange(256)
                case 1:
                    bad[at] ^= 1 << stream.randrange(8)
                case 2:
                    del bad[at : at + stream.randrange(1, 9)]
                case _:
                    bad[at:at] = bad[at : at + stream.randrange(1, 9)]
        path.write_bytes(bad)
        start = time.process_time()
        try:
            foreign.facts(path)
            core.load(path)
        except CheckpointError as wrong:
            refusals += 1
            assert "\n" not in str(wrong), seed
        assert soon(time.process_time() - start, seconds=3), seed
        tried += 1
    assert refusals > tried / 10


AUDIT = """
import sys, pathlib
import core, torch
from core import foreign
from core.errors import CheckpointError
core.load(sys.argv[1])  # what torch itself imports late has been imported now
seen, opened = [], []
def hook(event, arguments):
    if event == "open" and arguments and str(arguments[0]) == watched:
        opened.append(event)
    elif event in ("import", "compile", "exec", "open", "pickle.find_class") or event.split(".")[0] in (
            "os", "subprocess", "socket", "shutil", "ctypes", "urllib", "marshal", "sqlite3", "code", "cpython"):
        seen.append((event, repr(arguments)[:100]))
watched = ""
sys.addaudithook(hook)
for name in sys.argv[1:]:
    watched = name
    for read in (core.load, foreign.facts, foreign.recognise):
        try:
            read(pathlib.Path(name))
        except CheckpointError:
            pass
print(len(opened), seen)
"""


@needs_interop
def test_nothing_is_imported_compiled_or_opened(tmp_path: Path) -> None:
    files = [str(FOLDER / "skip" / "network.pkl"), str(FOLDER / "rosinality" / "checkpoint_train.pt")]
    for k, (value, _) in enumerate(GLOBALS.values()):
        path = tmp_path / f"{k}.pkl"
        path.write_bytes(h.pickle_of(h.dictionary(later=value)))
        files.append(str(path))
    for k, protocol in enumerate((2, 4)):
        path = tmp_path / f"run{k}.pkl"
        path.write_bytes(pickle.dumps({"G_ema": Runs(os.system, "true")}, protocol))
        files.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, *files], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    count, _, seen = done.stdout.strip().partition(" ")
    assert seen == "[]" and int(count) >= 2 * len(files)


def test_no_file_but_an_ordinary_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "nothing", Path("a\0b")):
        assert foreign.recognise(path) is None
        with pytest.raises(CheckpointError):
            foreign.open_foreign(path)
