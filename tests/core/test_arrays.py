"""The small files of points and directions: what is written is read, what lies is refused in a sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from core.arrays import LARGEST_FILE, arrays_to_bytes, read_arrays, read_facts
from core.errors import CheckpointError

WS = np.arange(6, dtype=np.float32).reshape(3, 2)
GOOD = arrays_to_bytes({"ws": WS}, {"kind": "point", "name": "ann", "distance": 1.5})


def read_facts_of(data: bytes) -> dict[str, object]:
    return read_arrays(data, kind="point")[1]


def _header(table: object, body: bytes = b"") -> bytes:
    text = (table if isinstance(table, str) else json.dumps(table)).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_what_is_written_is_read(tmp_path: Path) -> None:
    arrays, facts = read_arrays(GOOD, kind="point")
    assert facts == {"format": 1, "kind": "point", "name": "ann", "distance": 1.5}
    assert list(arrays) == ["ws"] and np.array_equal(arrays["ws"], WS) and arrays["ws"].dtype == np.float32
    path = tmp_path / "ann.safetensors"
    path.write_bytes(GOOD)
    assert read_facts(path, kind="point") == facts
    assert read_facts_of(arrays_to_bytes({"ws": WS}, {"kind": "point", "source": "a\ud800"}))["source"] == "a?"
    arrays["ws"][0] = 7  # nobody else's memory
    assert np.array_equal(read_arrays(path, kind="point")[0]["ws"], WS)


SAID = {"__metadata__": {"styloscope": '{"format": 1, "kind": "point"}'}}
ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "another program"),
        (b"\x89PNG" + bytes(60), "another program"),
        (_header({}), "another program"),
        (_header({"__metadata__": {"other": "x"}}), "another program"),
        (struct.pack("<Q", 1 << 60) + b"{}", "another program"),
        (GOOD[:-1], "damaged"),
        (GOOD + b"x", "damaged"),
        (GOOD[:40], "damaged"),
        (_header('{"__metadata__": {}, "__metadata__": {}}'), "damaged"),
        (_header("[" * 3000), "another program"),
        (_header('{"a": ' + "[" * 90000 + "]" * 90000 + "}"), "damaged"),
        (_header({"__metadata__": {"styloscope": '{"format": 1, "kind": "point", "sd": NaN}'}}), "damaged"),
        (_header({"__metadata__": {"styloscope": '{"format": 1, "kind": "point", "sd": 1e999}'}}), "damaged"),
        (_header({"__metadata__": {"styloscope": f'{{"format": 1, "kind": "point", "sd": {10**400}}}'}}), "damaged"),
        (_header({"__metadata__": {"styloscope": '{"format": 2, "kind": "point"}'}}), "newer"),
        (_header({"__metadata__": {"styloscope": '{"format": 1, "kind": "direction"}'}}), "is a direction"),
        (_header({**SAID, "ws": {**ONE, "dtype": "I64"}}, bytes(4)), "damaged"),
        (_header({**SAID, "ws": {**ONE, "shape": [1 << 40]}}, bytes(4)), "damaged"),
        (_header({**SAID, "ws": {**ONE, "data_offsets": [0, 1 << 50]}}, bytes(4)), "damaged"),
        (_header({**SAID, "ws": 5}, bytes(4)), "damaged"),
        (_header({**SAID, "ws": ONE}, struct.pack("<f", float("nan"))), "not finite"),
        (_header({**SAID, "ws": ONE}, struct.pack("<f", 1e38)), "far too large"),
    ],
)
def test_what_lies_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence) as wrong:
        read_arrays(data, kind="point", name="this.safetensors")
    assert str(wrong.value).startswith("this.safetensors ") and "\n" not in str(wrong.value)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    with open(path, "wb") as file:
        file.write(GOOD)
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(CheckpointError, match="larger than the 64 MiB"):
        read_arrays(path, kind="point")
    with pytest.raises(CheckpointError, match="could not be read"):
        read_arrays(tmp_path / "none.safetensors", kind="point")
