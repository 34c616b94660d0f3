"""A few named arrays and what is said of them, as one small safetensors file: points and directions are kept so.

Such a file is data of somebody else: its size, its header, its shapes and its numbers are checked before they are used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as deserialise
from safetensors.numpy import save as serialise

from core import strict
from core.errors import CheckpointError

__all__ = ["FORMAT", "LARGEST_FILE", "arrays_to_bytes", "read_arrays", "read_facts"]

FORMAT = 1
LARGEST_FILE = 64 << 20  # bytes: the noise maps of a 1024 x 1024 network are 11 MB
_KEY = "styloscope"
_MOST_HEADER = 1 << 18
_MOST_ARRAYS = 256
_WORDS = {"F16": 2, "F32": 4, "F64": 8}
_DEEPEST = 8
_LARGEST = 1e12  # of a number in an array: sums of such numbers stay finite
_MOST_DIGITS = 18  # of a whole number in the header


def arrays_to_bytes(arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> bytes:
    """The file of `arrays`, stored as float32, with `facts` (JSON) in its header."""
    text = json.dumps({"format": FORMAT, **facts}, ensure_ascii=False, allow_nan=False)
    # Half a character, which JSON may spell and a file's name may hold, is none that UTF-8 has.
    text = text.encode("utf-8", "replace").decode()
    stored = {name: np.ascontiguousarray(one, np.float32) for name, one in arrays.items()}
    return bytes(serialise(stored, metadata={_KEY: text}))


def read_facts(path: Path, *, kind: str) -> dict[str, Any]:
    """The header's facts of a file of that kind, without its arrays. Raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            return _header(file.read(8 + _MOST_HEADER), kind=kind, name=str(path))[0]
    except OSError as wrong:
        raise CheckpointError(f"{path} could not be read ({wrong.strerror or wrong}); name a {kind} file") from wrong


def read_arrays(
    source: Path | bytes, *, kind: str, name: str | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays as float32, facts) of a file of that kind, given by its path or as its bytes.

    Raises CheckpointError for one that is missing, too large, damaged, not finite or of another kind.
    """
    shown = name or (str(source) if isinstance(source, Path) else f"this {kind}")
    if isinstance(source, Path):
        try:
            with open(source, "rb") as file:
                data = file.read(LARGEST_FILE + 1)
        except OSError as wrong:
            raise CheckpointError(
                f"{shown} could not be read ({wrong.strerror or wrong}); name a {kind} file"
            ) from wrong
    else:
        data = source
    if len(data) > LARGEST_FILE:
        raise CheckpointError(f"{shown} is larger than the {LARGEST_FILE >> 20} MiB that a {kind} may have")
    facts, tensors = _header(data, kind=kind, name=shown)
    if len(tensors) > _MOST_ARRAYS or any(entry.get("dtype") not in _WORDS for entry in tensors.values()):
        raise _damaged(shown, kind)
    try:
        arrays = {key: np.array(one, np.float32) for key, one in deserialise(data).items()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise _damaged(shown, kind) from wrong
    for key, one in arrays.items():
        if not (np.abs(one) <= _LARGEST).all():
            raise CheckpointError(f"{shown} is not finite in {key[:40]!r}, or far too large; make it again")
    return arrays, facts


def _header(data: bytes, *, kind: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(facts, table of tensors) of the first bytes of a file."""
    length = struct.unpack("<Q", data[:8])[0] if len(data) > 8 else 0
    if not 2 <= length <= _MOST_HEADER or data[8:9] != b"{":
        raise CheckpointError(f"{name} is a file of another program; a {kind} that Styloscope wrote is accepted")
    table = _json(data[8 : 8 + length], name=name, kind=kind)
    metadata = table.pop("__metadata__", None)
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(f"{name} is a file of another program; a {kind} that Styloscope wrote is accepted")
    facts = _json(text.encode("utf-8", "replace"), name=name, kind=kind)
    version = facts.get("format")
    if type(version) is int and version > FORMAT:
        raise CheckpointError(
            f"{name} has format {str(version)[:20]}, newer than this program's {FORMAT}; update Styloscope"
        )
    if version != FORMAT or facts.get("kind") != kind:
        held = facts.get("kind")
        is_one = f"is a {held}" if isinstance(held, str) and held in ("point", "direction") else "is something else"
        raise CheckpointError(f"{name} {is_one}; a {kind} that Styloscope wrote is accepted")
    if not all(isinstance(one, dict) for one in table.values()):
        raise _damaged(name, kind)
    return facts, table


def _json(data: bytes, *, name: str, kind: str) -> dict[str, Any]:
    try:
        value = strict.loads(data, deepest=_DEEPEST, digits=_MOST_DIGITS)
    except ValueError as wrong:
        raise _damaged(name, kind) from wrong
    if not isinstance(value, dict):
        raise _damaged(name, kind)
    return value


def _damaged(name: str, kind: str) -> CheckpointError:
    return CheckpointError(f"{name} is damaged; copy it again, or make the {kind} once more")
