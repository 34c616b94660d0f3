"""Measures while training, `--metrics NAMES --every KIMG`: taken on the first process, never in the training's way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import core
from core import runs
from core.errors import SettingError, StyloscopeError
from train import keep
from train.config import Config
from train.console import say
from train.data import Data
from train.growth import Stage
from train.loop import Trainer
from train.metrics import append, evaluate, line, rank, read_names
from train.metrics.bench import divide
from train.stop import Stopped

__all__ = ["Measuring", "chosen"]


def chosen(config: Config) -> tuple[list[str], str]:
    """The measures to take, and the one that best.json goes by, "" for none. Raises SettingError."""
    names = read_names(config.metrics)
    best = (read_names(config.best, field="best") or [*names, ""])[0]
    if best and best not in names:
        raise SettingError("best", config.best, "one of the measures that --metrics names")
    return names, best


class Measuring:
    """When measures are due, and taking them."""

    def __init__(self, config: Config, run: Path, *, data: Data, held: Data | None, check: Callable[[], None]) -> None:
        """`check` may raise Stopped. Raises SettingError for an unknown measure, DataError for too few pictures."""
        self.names, self.best = chosen(config)
        if self.names:
            divide(data, held=held, count=1, crop=data.frame.crop, seed=0)
        self.every = max(1, round(config.every * 1000))
        self.run = run
        self.held = held
        self.check = check
        self._last: int | None = None  # images at the last round, begun or on the disk

    def due(self, images: int) -> bool:
        """Whether a multiple of `every` has been passed since the last line of metrics.jsonl.

        A round that a killed run has not finished is thereby made up for; one that has failed is not tried again.
        """
        if not self.names:
            return False
        if self._last is None:
            before = [entry["kimg"] for entry in runs.metrics(self.run) if entry.get("kimg") is not None]
            self._last = round(before[-1] * 1000 if before else 0)
        return images // self.every > self._last // self.every

    def take(self, trainer: Trainer, checkpoint: Path | None) -> dict[str, Any] | None:
        """Measure the average generator and add a line to metrics.jsonl; a measure that fails is a sentence.

        Returns the line, or None. Every random number of it comes from its own seed; the training's are made afresh
        from the images seen, so nothing here can move them.
        """
        began = time.monotonic()
        self._last = trainer.images
        kimg = trainer.images / 1000
        try:
            stage = trainer.growth.reached(trainer.images)
            g, d, data, held = _at(trainer, self.held, stage)
            figures = evaluate(
                g, d, data, held=held, names=self.names, device=trainer.device, each=self.check, alpha=stage.alpha,
                mirrored=trainer.config.mirror,
            )  # fmt: skip
            # Before the line, which says that this round is done: a killed run makes up for what has no line.
            if checkpoint is not None and self.best in figures:
                self._judge(checkpoint, figures[self.best], images=trainer.images, stage=stage if g.grows else None)
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

    def _judge(self, checkpoint: Path, figure: dict[str, Any], *, images: int, stage: Stage | None) -> None:
        value, size = figure["value"], stage.size if stage else None
        if keep.judge(
            self.run, checkpoint, measure=self.best, value=value, rank=rank(figure), images=images, size=size
        ):
            say(f"{checkpoint.name} is the best network so far: {self.best} {value:.4g}")


def _at(
    trainer: Trainer, held: Data | None, stage: Stage
) -> tuple[core.Generator, core.Discriminator, Data, Data | None]:
    """The average generator, the discriminator and the pictures at the size that a growing network has reached."""
    n, data = trainer.networks, trainer.data
    if not n.g_ema.grows or stage.size == n.g_ema.size:
        return n.g_ema, n.d, data, held
    g, d = core.stylegan.at_size(n.g_ema, stage.size), core.stylegan.at_size(n.d, stage.size)
    return g, d, data.at(stage.size), None if held is None else held.at(stage.size)
