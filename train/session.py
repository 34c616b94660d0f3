"""A training from first to last image: opens the data, picks device and precision, ticks, saves, stops."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import core
from core import pictures, runs
from core.errors import TrainingError
from train import estimate, facts, keep, machine, resume, state
from train.board import Board
from train.cli import Asked
from train.console import Bar, command, images_bar, say
from train.data import Data, Frames
from train.loop import Trainer
from train.measuring import Measuring
from train.networks import Shapes, build
from train.opening import open_data, plan
from train.output import Run, columns, draw, log_line
from train.presets import NOTHING
from train.processes import Missing, Processes, alike, check_batch, joined, launch
from train.schedule import next_tick
from train.stop import Stop, Stopped
from train.watch import Watch

__all__ = ["train"]

GRID_PSI = 0.7
LOOK = 600.0  # seconds after which there is another sheet of samples, also between two ticks


def train(asked: Asked, *, stop: Stop) -> int:
    """Do what the command line asks, until it is done or `stop` is asked. Returns 0. Raises StyloscopeError.

    Where several processes meet the same error one raises it, and the others Elsewhere.
    """
    began = time.monotonic()
    with alike():
        check_batch(asked.config)
        device = machine.device(asked.config.device)
    try:
        with joined(asked.config, device=device) as processes:
            session = _Session.open(asked, device=device, processes=processes, stop=stop, began=began)
            try:
                session.go()
            finally:
                session.leave()
    except Stopped:
        say("stopped before the first image; nothing to save")
    return 0


class _Session:
    """A trainer with a clock, a folder and an end. Of several processes the first one writes."""

    def __init__(
        self, asked: Asked, trainer: Trainer, run: Run, *, held: Data | None, seconds: float, stop: Stop, began: float
    ) -> None:
        self.config = asked.config
        self.grid = asked.grid
        self.trainer = trainer
        self.processes = trainer.processes
        self.held = held
        self.run = run
        self.stop = stop
        self.watch = Watch(asked.config)
        self.board: Board | None = None
        self.measuring = Measuring(asked.config, run.path, data=trainer.data, held=held, check=stop.check)
        self.end = self.config.images(auto=trainer.growth.end)
        self.tick = max(1, round(self.config.tick * 1000))
        self.burst = asked.burst
        self._over = began + asked.burst * 60 if asked.burst is not None else None
        self._kept = trainer.images
        self._phase: tuple[int, bool, bool] | None = None
        self._looked = time.monotonic()
        self._before = seconds
        self._began = time.monotonic()

    @classmethod
    def open(cls, asked: Asked, *, device: torch.device, processes: Processes, stop: Stop, began: float) -> _Session:
        """Everything before the first step. Where it fails, nothing is left behind. Raises StyloscopeError."""
        config, out = asked.config, asked.out
        assert out is not None
        goes_on = resume.goes_on(out, asked=asked.resume, processes=processes)
        if processes.first:
            Run.check(out, resume=goes_on)
        saved = state.latest(out / runs.STATE) if goes_on else None
        like = None if saved is None else resume.shapes(saved, out / runs.STATE)
        if like is not None:  # what of a preset follows the pictures' shape is what it was when the run began
            config = asked.follows.at_size(config, like.g.size, like=like.g.filters)
        if saved is not None:
            resume.compare(config, saved.facts["settings"], anyway=asked.anyway)
        stop.check()
        machine.set_up(config, device)
        init = core.load(config.init) if config.init and saved is None else None
        planned = plan(
            config,
            follows=asked.follows if saved is None else NOTHING,
            like=init.generator.config.filters if init is not None else (),
            check=stop.check,
        )
        config = planned.config
        asked = dataclasses.replace(asked, config=config)
        with Run.beginning(out, resume=goes_on, first=processes.first) as run:
            processes.told("the folder is there", lambda: "yes")
            data, held = open_data(planned, folder=run.state, check=stop.check, sharing=processes.beside), None
            if config.holdout:
                data, held = data.split(config.holdout, seed=config.seed)
            if saved is not None:
                resume.same_pictures(data, saved, anyway=asked.anyway)
            shape = {"size": data.frame.size, "channels": data.channels, "classes": len(data.classes)}
            networks = build(config, **shape, device=device, init=init, like=like)  # type: ignore[arg-type]
            trainer = Trainer(config, networks, data, device=device, processes=processes, say=say)
            if saved is not None:
                trainer.restore(saved.tensors, saved.facts, micro=resume.same_micro(config, saved))
            precision = json.loads(processes.told("precision", lambda: _precision(asked, trainer, resumed=saved)))
            trainer.bfloat16 = precision["bfloat16"]
            session = cls(
                asked, trainer, run, held=held, seconds=saved.facts["seconds"] if saved else 0.0, stop=stop, began=began
            )
            if saved is not None:
                session.watch.restore(saved.facts.get("watch", {}))
            session._tell(why=precision["why"], fresh=saved is None)
            if isinstance(data, Frames) and data.move(device):
                say("the pictures lie on the device")
            if processes.first:
                session._begin(fresh=saved is None)
        return session

    def _tell(self, *, why: str, fresh: bool) -> None:
        """Say what is trained on what, and what to doubt; `why` this precision."""
        trainer, data = self.trainer, self.trainer.data
        count = trainer.processes.count
        says = machine.says(trainer.device, bfloat16=trainer.bfloat16, why=why, processes=count)
        for sentence in [*data.says, data.frame.says, says, *machine.doubts(trainer), *machine.compiled(trainer)]:
            say(sentence)
        for sentence in estimate.doubts(trainer) if fresh else []:
            say(sentence)
        head_start = trainer.head_start
        if head_start.images >= self.end:
            say("the head start is as long as the training, so no discriminator joins in; give a larger --kimg")
        if self.config.hold and not head_start.reconstructs(trainer.images) and head_start.codes is None:
            say("nothing is held: the head start was over, and its codes forgotten, before --hold was asked for")

    def _begin(self, *, fresh: bool) -> None:
        """Leave in the folder what was asked, and take out what the training is about to make again."""
        trainer = self.trainer
        aside = self.run.set_aside() if fresh else None
        if aside is not None:
            say(f"the state of this run is lost, so it begins at zero; what it had made is in {aside}")
        self.run.forget_after(trainer.images)
        if not fresh:  # what a training that was killed at the end of a save had still to do
            state.forget_others(self.run.state, images=trainer.images)
            self._prune()
        self.run.launched(launch())
        phases = [[images / 1000, round(work)] for images, work in estimate.phases(trainer)]
        resolved = {**facts.resolved(trainer), "phases": phases}
        self.run.asked(settings=self.config.values(), resolved=resolved, command=command())
        self.run.show_data(trainer.data)
        self.run.drawings(trainer.networks, trainer.growth)
        self.board = Board(self.run.path, images=trainer.images, say=say)

    def leave(self) -> None:
        """Close what is open and let others write the run."""
        if self.board is not None:
            self.board.close()
        self.run.release()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._before + time.monotonic() - self._began

    def go(self) -> None:
        """Train to the end or to a stop, and save. Raises TrainingError where a loss is not finite."""
        trainer = self.trainer
        if trainer.images >= self.end:
            say(f"{self.run.path} has seen {trainer.images} images already; give a larger --kimg to go on")
        due = next_tick(trainer.images, tick=self.tick)
        self._measure()
        shown, since = trainer.images, time.monotonic()
        stopping = self.processes.any(self.stop.asked)  # not where the burst is over: one step at least is made
        if not trainer.images and self.processes.first and not stopping:
            self._look()
        with images_bar(seen=trainer.images, phases=estimate.phases(trainer)) as progress:
            trainer.check = self._learning(progress)
            while trainer.images < self.end and not stopping:
                self._announce(progress)
                self._step()
                progress.update(min(trainer.images, self.end) - progress.n)
                if trainer.images >= min(due, self.end) or trainer.growth.is_done(trainer.images):
                    rate = (trainer.images - shown) / max(time.monotonic() - since, 1e-9)
                    self._report(rate)
                    due, shown, since = next_tick(trainer.images, tick=self.tick), trainer.images, time.monotonic()
                elif self.processes.first and time.monotonic() - self._looked >= LOOK:
                    self._look()
                stopping = self.processes.any(self._wants_to_stop())
        trainer.micro = self.processes.least(trainer.micro)
        if trainer.images > self._kept:
            self._save(checkpoint=True)
        if self.processes.first:
            self._close()

    def _wants_to_stop(self) -> bool:
        return self.stop.asked or (self._over is not None and time.monotonic() >= self._over)

    def _learning(self, progress: Bar) -> Callable[[], None]:
        """What is called at each step of the mapping's own training, before the first image: it shows how far it is."""
        steps, done = estimate.mapping_steps(self.trainer), 0

        def each() -> None:
            nonlocal done
            if self.processes.count == 1:  # of several processes, one that stops alone would leave the others waiting
                self.stop.check()
            done += 1
            progress.set_description(f"the mapping learns, {min(100, 100 * done // steps)}%", refresh=False)
            progress.update(0)
            if done >= steps:
                self._describe(progress)
                progress.anew()

        return each

    def _describe(self, progress: Bar) -> None:
        stage, start = self.trainer.stage, self.trainer.head_start
        ahead = "head start" if start.reconstructs(self.trainer.images) else ""
        progress.set_description(stage.says if self.trainer.growth.grows else ahead, refresh=False)

    def _announce(self, progress: Bar) -> None:
        """What the next step trains, where it is not all the same: in the bar, and in a line where a phase begins."""
        stage, growth, start = self.trainer.stage, self.trainer.growth, self.trainer.head_start
        if not growth.grows and not start.images:
            return
        self._describe(progress)
        images = self.trainer.images
        phase = stage.level, stage.fading, start.reconstructs(images)
        if phase == self._phase:
            return
        self._phase = phase
        progress.anew()
        size = f"{stage.size[0]}x{stage.size[1]}"
        what = f"{size} fades in" if stage.fading else f"{size} is trained"
        last = stage.end if stage.end < growth.end else max(stage.end, self.end)
        if start.reconstructs(images):
            who = "all sizes learn" if growth.grows else "the generator learns"
            what, last = f"{who} to draw the pictures", start.images
        say(f"{images / 1000:g} kimg: {what} until {last / 1000:g} kimg, {stage.batch} images a step")

    def _step(self) -> None:
        try:
            self.trainer.step()
        except Missing:
            raise
        except TrainingError as wrong:
            raise self._advised(wrong) from wrong

    def _advised(self, wrong: TrainingError) -> TrainingError:
        last = runs.newest(self.run.path)
        where = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
        if "memory ran out" in str(wrong):
            return TrainingError(f"{wrong}; {where}")
        stronger = "--gamma 1" if self.config.gamma == 0 else "twice --gamma"
        if self.config.wasserstein:
            stronger = "--gp-weight 10" if self.config.gp_weight == 0 else "twice --gp-weight"
        advice = f"if it comes again after --resume, begin anew with half --g-lr and --d-lr or {stronger}"
        return TrainingError(f"{wrong}; {where}; {advice}")

    def _report(self, rate: float) -> None:
        """One tick: a line of the log, the sample sheet, the state, and now and then the networks and measures."""
        trainer = self.trainer
        trainer.micro = self.processes.least(trainer.micro)
        figures = trainer.figures()
        if self.processes.first:
            self._show(figures, rate=rate)
        ticks = trainer.images // self.tick
        ended = trainer.images >= self.end
        ended |= trainer.growth.is_done(trainer.images)
        self._save(checkpoint=ended or ticks % self.config.snapshot == 0 or self.measuring.due(trainer.images))
        self._measure()

    def _show(self, figures: dict[str, float], *, rate: float) -> None:
        """Look at the networks, say what should be said, and leave the line and the sheet."""
        trainer, config = self.trainer, self.config
        drawn = self._drawn(config.samples, psi=1.0)
        seen = self.watch.tick(trainer, held=self.held, samples=drawn, figures=figures)
        for warning in seen.warnings:
            say(warning)
        line = log_line(
            {**figures, **seen.figures},
            images=trainer.images,
            seconds=self.seconds,
            images_per_second=rate,
            memory_gib=machine.memory(trainer.device),
            warnings=seen.warnings,
        )
        if trainer.networks.g.grows:
            line |= _grown(trainer)
        self.run.log(line)
        if self.board is not None:
            self.board.figures(line, images=trainer.images)
        self._look(drawn)

    def _look(self, drawn: list[np.ndarray] | None = None) -> None:
        """Leave a sheet of samples; no bit of the training depends on it."""
        count, images = self.config.samples, self.trainer.images
        sheet = self._sheet(self._drawn(count, psi=1.0) if drawn is None else drawn, count=count)
        self.run.sample(sheet, images=images)
        if self.board is not None:
            self.board.sheet(sheet, images=images)
        self._looked = time.monotonic()

    def _measure(self) -> None:
        """Take the measures that are due, once everything else of the tick is on the disk."""
        if self.processes.first and self.trainer.images and self.measuring.due(self.trainer.images):
            taken = self.measuring.take(self.trainer, runs.newest(self.run.path))
            if taken is not None and self.board is not None:
                self.board.figures(taken["figures"], images=self.trainer.images)

    def _save(self, *, checkpoint: bool) -> None:
        trainer = self.trainer
        if not self.processes.first:
            return
        self._kept = trainer.images if checkpoint else self._kept
        try:
            trainer.verify_state()
        except TrainingError as wrong:
            raise self._advised(wrong) from wrong
        if checkpoint:
            about = facts.about(trainer, seconds=self.seconds, command=runs.command(self.run.path).partition("\n")[0])
            stage = trainer.growth.reached(trainer.images)
            self.run.checkpoint(trainer.networks, about=about, images=trainer.images, stage=stage)
        said: dict[str, Any] = {
            "watch": self.watch.facts(),
            "seconds": self.seconds,
            "settings": self.config.values(),
            "pictures": trainer.data.fingerprint,
            "classes": resume.classes_of(trainer.data),
            "networks": Shapes(trainer.networks.g.config, trainer.networks.d.config).facts(),
        }
        state.save(self.run.state, trainer.tensors(), {**trainer.facts(), **said}, images=trainer.images)
        self._prune()

    def _prune(self) -> None:
        """Delete what --keep lets go of; the networks at the end of each size stay."""
        ends = [runs.checkpoint_path(self.run.path, end) for end in self.trainer.growth.ends()]
        keep.prune(self.run.path, keep=self.config.keep, spared=ends)

    def _drawn(self, count: int, *, psi: float, wide: int = 8) -> list[np.ndarray]:
        trainer = self.trainer
        reached = trainer.growth.reached(trainer.images)
        grown = (reached.size, reached.alpha) if trainer.networks.g.grows else None
        crop = trainer.data.frame.crop
        return draw(trainer.networks.g_ema, count=count, psi=psi, crop=crop, wide=wide, grown=grown)

    def _sheet(self, drawn: list[np.ndarray], *, count: int, wide: int = 8) -> np.ndarray:
        return pictures.grid(drawn, columns=columns(self.trainer.networks.g_ema, count=count, wide=wide))

    def _close(self) -> None:
        self.run.finish()
        newest, kimg = runs.newest(self.run.path), self.trainer.images / 1000
        if self.trainer.images < self.end:
            saved = f"saved {newest}; go on with --resume" if newest else "nothing to save"
            after = "" if self.stop.asked or self.burst is None else f" after {self.burst:g} minutes"
            say(f"stopped{after} at {kimg:g} kimg; {saved}")
            return
        say(f"done: {kimg:g} kimg; the network is {newest}")
        if self.grid:
            path = self.run.path / runs.GRID
            wide = max(1, round(self.grid**0.5))
            drawn = self._drawn(self.grid, psi=GRID_PSI, wide=wide)
            pictures.write_png(path, self._sheet(drawn, count=self.grid, wide=wide))
            print(path)


def _grown(trainer: Trainer) -> dict[str, Any]:
    """The size and alpha that a growing network has come to, and where its fade lies; nothing in the head start."""
    if trainer.growth.is_ahead(trainer.images):
        return {}
    reached = trainer.growth.reached(trainer.images)
    fade = trainer.growth.fade(reached.size) or (None, None)
    told = [None if images is None else images / 1000 for images in fade]
    return {"size": list(reached.size), "alpha": reached.alpha, "fade_from": told[0], "fade_to": told[1]}


def _precision(asked: Asked, trainer: Trainer, *, resumed: Any) -> str:
    why = machine.precision(asked.config, trainer, resumed=resumed is not None)
    return json.dumps({"bfloat16": trainer.bfloat16, "why": why})
