"""Network files for tests: a whole one, taken apart and put together with a lie in it."""

from __future__ import annotations

import copy
import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import core
from core.errors import CheckpointError
from tests.pace import soon

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
        assert soon(time.process_time() - start, seconds=1)
        sentences.append(str(caught.value))
    for sentence in sentences:
        assert str(path) in sentence and "\n" not in sentence and len(sentence) < len(str(path)) + 600
        for word in words:
            assert word in sentence
    return sentences[0]


def equal(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)
