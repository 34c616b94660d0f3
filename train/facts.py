"""What a training says of itself: in config.json, in its network files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from train import machine
from train.data import Frames
from train.loop import Trainer

__all__ = ["about", "resolved"]


def about(trainer: Trainer, *, seconds: float, command: str) -> dict[str, Any]:
    """What a network file says of itself; `seconds` of training, `command` the line that began the run."""
    config, data = trainer.config, trainer.data
    facts = {
        "training": {
            "data": Path(config.data).name,
            "pictures": len(data) if isinstance(data, Frames) else None,
            "fingerprint": data.fingerprint,
            "images_seen": trainer.images,
            "hours": round(seconds / 3600, 4),
            "device": machine.name(trainer.device),
            "processes": trainer.processes.count,
            "precision": "bfloat16" if trainer.bfloat16 else "float32",
            "command": command,
            "commit": machine.commit(),
            "torch": str(torch.__version__),
        },
        "picture": {"crop": list(data.frame.crop), **data.facts()},
        "credit": config.credit,
    }
    return facts | ({"classes": list(data.classes)} if data.labels is not None else {})


def resolved(trainer: Trainer) -> dict[str, Any]:
    """What auto became, for config.json."""
    g, d, data = trainer.networks.g, trainer.networks.d, trainer.data
    return {
        "size": list(g.size),
        "start": list(g.config.level_sizes[0]),
        "channels": g.channels,
        "filters": list(g.config.filters),
        "crop": list(data.frame.crop),
        "picture": list(data.frame.picture),
        "pictures": len(data) if isinstance(data, Frames) else None,
        "fingerprint": data.fingerprint,
        "classes": list(data.classes),
        "gamma": trainer.config.gamma_for(g.size, trainer.growth.final.batch),
        "kimg": trainer.config.images(auto=trainer.growth.end) / 1000,
        "precision": "bfloat16" if trainer.bfloat16 else "float32",
        "device": machine.name(trainer.device),
        "processes": trainer.processes.count,
        "g_parameters": sum(p.numel() for p in g.parameters()),
        "d_parameters": sum(p.numel() for p in d.parameters()),
    }
