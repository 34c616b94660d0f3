"""A GIF decoder after the specification (GIF89a, LZW), because Pillow's own can be off by a few levels."""

from __future__ import annotations

import struct

import numpy as np


def decode_gif(data: bytes) -> tuple[list[np.ndarray], list[int]]:
    """Frames [H, W, 3] as a viewer shows them (whole frames, no transparency), and their delays in hundredths."""
    assert data[:6] == b"GIF89a"
    width, height, packed = struct.unpack("<HHB", data[6:11])
    position = 13
    shared = None
    if packed & 0x80:
        length = 3 * 2 ** ((packed & 7) + 1)
        shared = np.frombuffer(data[position : position + length], np.uint8).reshape(-1, 3)
        position += length
    frames: list[np.ndarray] = []
    delays: list[int] = []
    while data[position] != 0x3B:
        if data[position] == 0x21:
            if data[position + 1] == 0xF9:
                delays.append(struct.unpack("<H", data[position + 4 : position + 6])[0])
                assert not data[position + 3] & 1, "transparent"
            position += 2
            while data[position]:
                position += data[position] + 1
            position += 1
            continue
        assert data[position] == 0x2C
        left, top, w, h, flags = struct.unpack("<HHHHB", data[position + 1 : position + 10])
        assert (left, top, w, h) == (0, 0, width, height) and not flags & 0x40
        position += 10
        table = shared
        if flags & 0x80:
            length = 3 * 2 ** ((flags & 7) + 1)
            table = np.frombuffer(data[position : position + length], np.uint8).reshape(-1, 3)
            position += length
        assert table is not None
        code_size = data[position]
        position += 1
        packedbytes = b""
        while data[position]:
            packedbytes += data[position + 1 : position + 1 + data[position]]
            position += data[position] + 1
        position += 1
        indices = _unpack(packedbytes, code_size=code_size, count=w * h)
        frames.append(table[np.array(indices)].reshape(h, w, 3))
    assert position == len(data) - 1
    return frames, delays


def _unpack(data: bytes, *, code_size: int, count: int) -> list[int]:
    clear, end = 1 << code_size, (1 << code_size) + 1
    bits, held, size = 0, 0, code_size + 1
    entries: list[list[int]] = []
    previous: list[int] | None = None
    out: list[int] = []
    for byte in data:
        bits |= byte << held
        held += 8
        while held >= size:
            code, bits, held = bits & ((1 << size) - 1), bits >> size, held - size
            if code == clear:
                entries = [[value] for value in range(clear)] + [[], []]
                size, previous = code_size + 1, None
                continue
            if code == end:
                assert len(out) == count
                return out
            if previous is None:
                entry = entries[code]
            else:
                entry = entries[code] if code < len(entries) else [*previous, previous[0]]
                if len(entries) < 4096:
                    entries.append([*previous, entry[0]])
                if len(entries) == 1 << size and size < 12:
                    size += 1
            out += entry
            previous = entry
    raise AssertionError("no end code")
