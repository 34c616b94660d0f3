"""python -m tests.device.steps: what the host waited for in steps of small trainings and in batches, as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.train import make
from tests.train.test_data import opened
from train import machine

KINDS: dict[str, dict[str, Any]] = {
    "stylegan2": {"path_every": 1, "r1_every": 1, "mirror": True, "augment": "fixed:0.5", "micro_batch": 2, "group": 2},
    "stylegan": {"arch": "stylegan", "grow_from": "8x8", "fade": "0.004", "stable": "0.004", "loss": "wgan-gp"},
}


def batch(kind: str) -> dict[str, int]:
    """Pictures of many bytes, which lie on the device where it keeps them."""
    device, waits = machine.device(kind), sys.modules["stand_in"].waits
    found: dict[str, int] = {}
    for depth in ("L", "I;16"):
        with tempfile.TemporaryDirectory() as folder:
            data = opened(make.folder(Path(folder), count=8, kinds=(depth,), size=(128, 128)))
        assert data.move(device) == (kind == "cuda") and data.pixels.itemsize == (1 if depth == "L" else 2)
        expected = data.batch(np.arange(8), device=torch.device("cpu"))
        waits.clear()
        made = data.batch(np.arange(8), device=device)
        found |= waits
        assert made.device.type == kind and torch.equal(made.cpu(), expected)
    return found


if __name__ == "__main__":
    stand_in = sys.modules["stand_in"]
    found = {"batch": batch(stand_in.KIND)}
    for name, settings in KINDS.items():
        trainer = make.trainer(device=stand_in.KIND, **settings)
        stand_in.waits.clear()
        for _ in range(3):
            trainer.step()
        found[name] = dict(stand_in.waits)
        trainer.verify_state()
        assert stand_in.waits, "nothing is counted"
    print(json.dumps(found))
