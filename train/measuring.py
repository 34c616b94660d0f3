"""Measures while training, `--metrics NAMES --every KIMG`: taken on the first process, never in the training's way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import core
from core import runs
from core.errors import DataError, SettingError, StyloscopeError
from core.header import read_about
from train import keep
from train.config import Config
from train.console import place, say
from train.data import Data
from train.growth import Stage
from train.loop import Trainer
from train.metrics import append, evaluate, inception, line, named, needing_inception, rank, read_names
from train.metrics.bench import Kept, divide
from train.stop import Stopped

__all__ = ["Measuring", "chosen"]

ROUNDS = 5  # of measures without a better network, after which that is said


@dataclass(frozen=True)
class _Chosen:
    """The measures to take, the one that best.json goes by ("" for none), those left out, and why."""

    names: list[str]
    best: str
    left_out: list[str]
    why: str


@dataclass(frozen=True)
class _Round:
    """A line of metrics.jsonl: when, whether it could have named a better network, and whether anything was said."""

    images: int
    judged: bool
    warned: bool


def chosen(config: Config) -> None:
    """Look whether the measures can be taken, and say which are left out, and why. Raises SettingError."""
    found = _chosen(config)
    if found.left_out:
        besides = f", and best.json goes by {found.best}" if found.best and not config.best else ""
        are = "are" if len(found.left_out) > 1 else "is"
        say(f"{' and '.join(found.left_out)} {are} left out of the measures{besides}: {found.why}")


def _chosen(config: Config) -> _Chosen:
    names = read_names(config.metrics)
    best = read_names(config.best, field="best")
    if best and best[0] not in names:
        raise SettingError("best", config.best, "one of the measures that --metrics names")
    # Read to the end, which takes a second: weights that cannot be used would otherwise spoil every round.
    over = needing_inception(names)
    why = inception.wanting(config.inception or None) if over and place()[0] == 0 else ""
    left_out = over if why else []
    taken = [name for name in names if name not in left_out]
    return _Chosen(taken, next((name for name in (best or taken) if name in taken), ""), left_out, why)


class Measuring:
    """When measures are due, and taking them."""

    def __init__(self, config: Config, run: Path, *, data: Data, held: Data | None, check: Callable[[], None]) -> None:
        """`check` may raise Stopped. Raises SettingError for an unknown measure, DataError for too few pictures."""
        found = _chosen(config)
        self.names, self.best = found.names, found.best
        if found.names or found.left_out:  # of several processes only the first one leaves any out
            divide(data, held=held, count=1, crop=data.frame.crop, seed=0)
        self.every = max(1, round(config.every * 1000))
        self.run = run
        self.held = held
        self.check = check
        self._last: int | None = None  # images at the last round, begun or on the disk
        self._rounds: list[_Round] | None = None
        self._lost = False
        self._kept = Kept()

    def due(self, images: int) -> bool:
        """Whether a multiple of `every` has been passed since the last line of metrics.jsonl.

        A round that a killed run has not finished is thereby made up for; one that has failed is not tried again.
        """
        if not self.names:
            return False
        if self._last is None:
            before = self._before()
            self._last = before[-1].images if before else 0
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
            figures = self._evaluate(
                g, d, data, held=held, device=trainer.device, each=self.check, alpha=stage.alpha,
                inception=trainer.config.inception or None, mirrored=trainer.config.mirror, kept=self._kept,
            )  # fmt: skip
            # Before the line, which says that this round is done: a killed run makes up for what has no line.
            if checkpoint is not None and self.best in figures:
                self._judge(checkpoint, figures[self.best], images=trainer.images, stage=stage if g.grows else None)
            name = checkpoint.name if checkpoint is not None else ""
            which = _which(checkpoint)
            warnings = self._stalled(figures, trainer, size=stage.size if g.grows else None)
            seconds = time.monotonic() - began
            entry = line(figures, kimg=kimg, checkpoint=name, seconds=seconds, named=which, warnings=warnings)
            append(self.run / runs.METRICS, entry)
            self._before().append(_round(entry, best=self.best))
            for sentence in warnings:
                say(sentence)
        except Stopped:
            say("the measures were left off; they are taken when the run goes on")
            return None
        except (StyloscopeError, ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError,
                TypeError, ValueError) as wrong:  # fmt: skip
            say(f"no measures at {kimg:g} kimg, the training goes on: {' '.join(str(wrong).split())}")
            return None
        return entry

    def _before(self) -> list[_Round]:
        """The rounds so far, oldest first; those of an earlier session as metrics.jsonl has them."""
        if self._rounds is None:
            lines = [entry for entry in runs.metrics(self.run) if entry.get("kimg") is not None]
            self._rounds = [_round(entry, best=self.best) for entry in lines]
        return self._rounds

    def _evaluate(self, *networks_and_data: Any, **how: Any) -> dict[str, Any]:
        """The figures; where Inception's weights are gone since the training began, those that do without them."""
        try:
            return evaluate(*networks_and_data, names=self.names, **how)
        except DataError as wrong:
            over = needing_inception(self.names)
            others = [name for name in self.names if name not in over]
            if not over or not others or not inception.wanting(how["inception"]):
                raise
            if not self._lost:
                say(f"{' and '.join(over)} cannot be taken as long as this lasts: {wrong}")
            self._lost = True
        return evaluate(*networks_and_data, names=others, **how)

    def _stalled(self, figures: Mapping[str, Any], trainer: Trainer, *, size: tuple[int, int] | None) -> list[str]:
        """That the last rounds, this one included, have named no better network: once until there is a better one."""
        best = keep.read(self.run)
        if best is None or best.size != size or figures.get(self.best, {}).get("value") is None:
            return []
        since = [one for one in self._before() if one.images > round(best.kimg * 1000)]
        # As many lines may be of one network, measured once more by hand.
        rounds = {one.images for one in since if one.judged} | {trainer.images}
        if trainer.images <= round(best.kimg * 1000) or len(rounds) < ROUNDS or any(one.warned for one in since):
            return []
        config = trainer.config
        rates = [("--g-lr", config.g_lr / 2), ("--d-lr", config.d_lr / 2)]
        lower = " ".join(f"{flag} {rate:g}" for flag, rate in rates if rate)
        other = f", or go on at half the learning rate by --resume-anyway {lower}" if lower else ""
        return [
            f"no better {self.best} in {len(rounds)} rounds of measures, the best was "
            f"{trainer.images / 1000 - best.kimg:g} kimg ago ({best.checkpoint}); stop and take that one{other}"
        ]

    def _judge(self, checkpoint: Path, figure: dict[str, Any], *, images: int, stage: Stage | None) -> None:
        value, size = figure["value"], stage.size if stage else None
        if keep.judge(
            self.run, checkpoint, measure=self.best, value=value, rank=rank(figure), images=images, size=size
        ):
            say(f"{checkpoint.name} is the best network so far: {self.best} {value:.4g}")


def _which(checkpoint: Path | None) -> dict[str, str | None] | None:
    """What names the file for ever; None where there is none, or none that can be read: that costs no measure."""
    try:
        return None if checkpoint is None else named(checkpoint, read_about(checkpoint)["training"])
    except (StyloscopeError, OSError):
        return None


def _round(entry: Mapping[str, Any], *, best: str) -> _Round:
    """What is kept in mind of a line of metrics.jsonl, which an earlier version, or anybody, may have written."""
    figures = entry.get("figures")
    figure = figures.get(best) if isinstance(figures, dict) else None
    judged = isinstance(figure, dict) and figure.get("value") is not None
    return _Round(round(entry["kimg"] * 1000), judged, bool(entry.get("warnings")))


def _at(
    trainer: Trainer, held: Data | None, stage: Stage
) -> tuple[core.Generator, core.Discriminator, Data, Data | None]:
    """The average generator, the discriminator and the pictures at the size that a growing network has reached."""
    n, data = trainer.networks, trainer.data
    if not n.g_ema.grows or stage.size == n.g_ema.size:
        return n.g_ema, n.d, data, held
    g, d = core.stylegan.at_size(n.g_ema, stage.size), core.stylegan.at_size(n.d, stage.size)
    return g, d, data.at(stage.size), None if held is None else held.at(stage.size)
