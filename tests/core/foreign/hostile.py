"""Pickles and torch files put together by hand, instruction by instruction, honest and otherwise."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
FLOATS = b"ctorch\nFloatStorage\n"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(value: int) -> bytes:
    data = value.to_bytes(max(1, (value.bit_length() + 8) // 8), "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


def dictionary(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickle_of(value: bytes, protocol: int = 2) -> bytes:
    return bytes([0x80, protocol]) + value + b"."


def storage_id(key: str, count: int, *, legacy: bool = True, kind: bytes = FLOATS) -> bytes:
    rest = [b"N"] if legacy else []
    return tuple_of(text("storage"), kind, text(key), text("cpu"), whole(count), *rest) + b"Q"


def tensor(storage: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    hooks = call(glob("collections", "OrderedDict"))
    rebuild = glob("torch._utils", "_rebuild_tensor_v2")
    return call(
        rebuild, storage, whole(offset), tuple_of(*map(whole, size)), tuple_of(*map(whole, stride)), b"\x89", hooks
    )


def legacy(value: bytes, storages: dict[str, bytes] | None = None, *, counts: dict[str, int] | None = None) -> bytes:
    """An older torch file of a pickled value and the raw bytes of float storages by their keys."""
    storages = storages or {}
    system = dictionary(protocol_version=whole(1001), little_endian=b"\x88", type_sizes=b"}")
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    head = MAGIC + pickle_of(whole(1001)) + pickle_of(system) + pickle_of(value) + pickle_of(keys)
    lengths = {key: len(data) // 4 for key, data in storages.items()} | (counts or {})
    return head + b"".join(struct.pack("<q", lengths[key]) + data for key, data in storages.items())


def raw(data: bytes) -> bytes:
    """Bytes as a pickle has them."""
    return b"B" + struct.pack("<I", len(data)) + data


def storage_bytes(values: bytes, *, count: int | None = None) -> bytes:
    """The call that makes a float storage of its bytes, as NVIDIA's pickles have it."""
    file = legacy(storage_id("0", len(values) // 4 if count is None else count), {"0": values})
    return call(glob("torch.storage", "_load_from_bytes"), raw(file))


def nvidia(**state: bytes) -> bytes:
    """A generator in an NVIDIA pickle whose state is what is given."""
    meta = dictionary(
        type=text("class"), version=b"K\x06", module_src=text("raise SystemExit"), class_name=text("Generator"),
        state=dictionary(**{"_parameters": b"}", "_buffers": b"}", "_modules": b"}", **state}),
    )  # fmt: skip
    return dictionary(G_ema=call(glob("torch_utils.persistence", "_reconstruct_persistent_obj"), meta))


def zipped(path: Path, entries: list[tuple[str, bytes]], **lies: int) -> Path:
    """A zip of stored entries. `lies` replace what stands in every record: method, flags, length, packed, header."""
    body, table = b"", b""
    for name, data in entries:
        said = {"method": 0, "flags": 0, "length": len(data), "packed": len(data), "header": len(body), **lies}
        raw_name, crc = name.encode(), zlib.crc32(data)
        numbers = (0, 0, crc, said["packed"], said["length"], len(raw_name))
        kind = (said["flags"], said["method"])
        table += struct.pack("<4s6H3L", b"PK\x01\x02", 0, 0, *kind, *numbers[:5])
        table += struct.pack("<5H2L", len(raw_name), 0, 0, 0, 0, 0, said["header"]) + raw_name
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 0, *kind, *numbers, 0) + raw_name + data
    count = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(table), len(body), 0)
    path.write_bytes(body + table + end)
    return path
