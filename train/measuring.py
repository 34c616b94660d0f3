"""Measures while training, `--metrics NAMES --every KIMG`: taken on the first process, never in the training's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import runs
from core.errors import StyloscopeError
from train.config import Config
from train.console import say
from train.data import Data
from train.loop import Trainer
from train.metrics import append, evaluate, line, read_names
from train.stop import Stopped

__all__ = ["Measuring"]


class Measuring:
    """When measures are due, and taking them."""

    def __init__(self, config: Config, run: Path, *, held: Data | None, check: Callable[[], None]) -> None:
        """Raises SettingError for a measure that there is not. `check` may raise Stopped."""
        self.names = read_names(config.metrics)
        self.every = max(1, round(config.every * 1000))
        self.run = run
        self.held = held
        self.check = check

    def due(self, images: int) -> bool:
        """Whether a multiple of `every` has been passed since the last line of metrics.jsonl.

        A round that a killed run has not finished is thereby made up for.
        """
        if not self.names:
            return False
        before = [entry["kimg"] for entry in runs.metrics(self.run) if entry.get("kimg") is not None]
        return images // self.every > round(before[-1] * 1000 if before else 0) // self.every

    def take(self, trainer: Trainer, checkpoint: Path | None) -> dict[str, Any] | None:
        """Measure the average generator and add a line to metrics.jsonl; a measure that fails is a sentence.

        Returns the line, or None. Every random number of it comes from its own seed; the training's are made afresh
        from the images seen, so nothing here can move them.
        """
        began = time.monotonic()
        n, kimg = trainer.networks, trainer.images / 1000
        try:
            figures = evaluate(
                n.g_ema,
                n.d,
                trainer.data,
                held=self.held,
                names=self.names,
                device=trainer.device,
                each=self.check,
            )
            name = checkpoint.name if checkpoint is not None else ""
            entry = line(figures, kimg=kimg, checkpoint=name, seconds=time.monotonic() - began)
            append(self.run / runs.METRICS, entry)
        except Stopped:
            say("the measures were left off; they are taken when the run goes on")
            return None
        except (StyloscopeError, ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError,
                TypeError, ValueError) as wrong:  # fmt: skip
            say(f"no measures at {kimg:g} kimg, the training goes on: {' '.join(str(wrong).split())}")
            return None
        return entry
