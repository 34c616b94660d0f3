"""python -m tests.device.steps: three steps of small trainings, and what the host waited for within them, as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.train import make

KINDS: dict[str, dict[str, Any]] = {
    "stylegan2": {"path_every": 1, "r1_every": 1, "mirror": True, "augment": "fixed:0.5", "micro_batch": 2, "group": 2},
    "stylegan": {"arch": "stylegan", "grow_from": "8x8", "fade": "0.004", "stable": "0.004", "loss": "wgan-gp"},
}

if __name__ == "__main__":
    stand_in = sys.modules["stand_in"]
    found = {}
    for name, settings in KINDS.items():
        trainer = make.trainer(device=stand_in.KIND, **settings)
        stand_in.waits.clear()
        for _ in range(3):
            trainer.step()
        found[name] = dict(stand_in.waits)
        trainer.verify_state()
        assert stand_in.waits, "nothing is counted"
    print(json.dumps(found))
