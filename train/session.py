"""A training from its first to its last image: opens the data, picks device and precision, ticks, saves, stops."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import core
from core import pictures, runs
from core.errors import SettingError, TrainingError
from train import machine, state
from train.cli import Asked
from train.config import Config, settings
from train.console import command, images_bar, say
from train.data import Frames
from train.loop import Trainer
from train.networks import build
from train.opening import open_data, plan
from train.output import Run, draw, log_line
from train.schedule import next_tick
from train.stop import Stop, Stopped

__all__ = ["train"]

GRID_PSI = 0.7


def train(asked: Asked, *, stop: Stop) -> int:
    """Do what the command line asks, until it is done or `stop` is asked. Returns 0. Raises StyloscopeError."""
    try:
        _Session.open(asked, stop=stop).go()
    except Stopped:
        say("stopped before the first image; nothing to save")
    return 0


class _Session:
    """A trainer with a clock, a folder and an end."""

    def __init__(self, asked: Asked, trainer: Trainer, run: Run, *, seconds: float, stop: Stop) -> None:
        self.config = asked.config
        self.grid = asked.grid
        self.trainer = trainer
        self.run = run
        self.stop = stop
        self.end = max(1, round(self.config.kimg * 1000))
        self.tick = max(1, round(self.config.tick * 1000))
        self._kept = trainer.images
        self._before = seconds
        self._began = time.monotonic()

    @classmethod
    def open(cls, asked: Asked, *, stop: Stop) -> _Session:
        """Everything before the first step. Where it fails, nothing is left behind. Raises StyloscopeError."""
        config, out = asked.config, asked.out
        assert out is not None
        Run.check(out, resume=asked.resume)
        saved = state.latest(out / runs.STATE) if asked.resume else None
        if saved is not None:
            compare(config, saved.facts["settings"])
        stop.check()
        device = machine.device(config.device)
        machine.set_threads(config)
        init = core.load(config.init) if config.init and saved is None else None
        planned = plan(config, check=stop.check)
        with Run.beginning(out, resume=asked.resume) as run:
            data = open_data(planned, folder=run.state, check=stop.check)
            networks = build(config, size=data.frame.size, channels=data.channels, device=device, init=init)
            trainer = Trainer(config, networks, data, device=device, say=say)
            if saved is not None:
                trainer.restore(saved.tensors, saved.facts)
            precision = machine.precision(config, trainer, resumed=saved is not None)
        for sentence in [*data.says, machine.says(device, bfloat16=trainer.bfloat16, why=precision)]:
            say(sentence)
        if isinstance(data, Frames) and data.move(device):
            say("the pictures lie on the device")
        run.forget_after(trainer.images)
        run.asked(settings=config.values(), resolved=resolved(trainer), command=command())
        run.show_data(data)
        return cls(asked, trainer, run, seconds=saved.facts["seconds"] if saved else 0.0, stop=stop)

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
        shown, since = trainer.images, time.monotonic()
        with images_bar(total=self.end, seen=min(trainer.images, self.end)) as progress:
            while trainer.images < self.end and not self.stop.asked:
                self._step()
                progress.update(min(trainer.images, self.end) - progress.n)
                if trainer.images >= min(due, self.end):
                    rate = (trainer.images - shown) / max(time.monotonic() - since, 1e-9)
                    self._report(rate)
                    due, shown, since = next_tick(trainer.images, tick=self.tick), trainer.images, time.monotonic()
        if trainer.images > self._kept:
            self._save(checkpoint=True)
        self._close()

    def _step(self) -> None:
        try:
            self.trainer.step()
        except TrainingError as wrong:
            last = runs.newest(self.run.path)
            where = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
            advice = "if it comes again after --resume, begin anew with half --g-lr and --d-lr or twice --gamma"
            raise TrainingError(f"{wrong}; {where}; {advice}") from wrong

    def _report(self, rate: float) -> None:
        """One tick: a line of the log, the sample sheet, the state, and now and then the networks."""
        trainer = self.trainer
        self.run.log(
            log_line(
                trainer.figures(),
                images=trainer.images,
                seconds=self.seconds,
                images_per_second=rate,
                memory_gib=machine.memory(trainer.device),
            )
        )
        self.run.sample(self._draw(self.config.samples, psi=1.0, columns=8), images=trainer.images)
        tick = trainer.images // self.tick
        self._save(checkpoint=trainer.images >= self.end or tick % self.config.snapshot == 0)

    def _save(self, *, checkpoint: bool) -> None:
        trainer = self.trainer
        trainer.verify()
        if checkpoint:
            self.run.checkpoint(trainer.networks, about=self._about(), images=trainer.images)
            self._kept = trainer.images
        facts = {**trainer.facts(), "seconds": self.seconds, "settings": self.config.values()}
        state.save(self.run.state, trainer.tensors(), facts, images=trainer.images)

    def _about(self) -> dict[str, Any]:
        """What a network file says of itself."""
        trainer = self.trainer
        return {
            "training": {
                "data": Path(self.config.data).name,
                "pictures": len(trainer.data) if isinstance(trainer.data, Frames) else None,
                "images_seen": trainer.images,
                "hours": round(self.seconds / 3600, 4),
                "device": machine.name(trainer.device),
                "precision": "bfloat16" if trainer.bfloat16 else "float32",
                "command": runs.command(self.run.path).partition("\n")[0],
                "commit": machine.commit(),
            },
            "picture": {"crop": list(trainer.data.frame.crop)},
            "credit": self.config.credit,
        }

    def _draw(self, count: int, *, psi: float, columns: int) -> Any:
        drawn = draw(self.trainer.networks.g_ema, seeds=range(count), psi=psi, crop=self.trainer.data.frame.crop)
        return pictures.grid(drawn, columns=columns)

    def _close(self) -> None:
        newest, kimg = runs.newest(self.run.path), self.trainer.images / 1000
        if self.trainer.images < self.end:
            saved = f"saved {newest}; go on with --resume" if newest else "nothing to save"
            say(f"stopped at {kimg:g} kimg; {saved}")
            return
        say(f"done: {kimg:g} kimg; the network is {newest}")
        if self.grid:
            path = self.run.path / runs.GRID
            pictures.write_png(path, self._draw(self.grid, psi=GRID_PSI, columns=max(1, round(self.grid**0.5))))
            print(path)


def resolved(trainer: Trainer) -> dict[str, Any]:
    """What auto became, for config.json."""
    g, d, frame = trainer.networks.g, trainer.networks.d, trainer.data.frame
    return {
        "size": list(g.size),
        "start": list(g.config.level_sizes[0]),
        "channels": g.channels,
        "filters": list(g.config.filters),
        "crop": list(frame.crop),
        "picture": list(frame.picture),
        "pictures": len(trainer.data) if isinstance(trainer.data, Frames) else None,
        "gamma": trainer.gamma,
        "precision": "bfloat16" if trainer.bfloat16 else "float32",
        "device": machine.name(trainer.device),
        "g_parameters": sum(p.numel() for p in g.parameters()),
        "d_parameters": sum(p.numel() for p in d.parameters()),
    }


def compare(config: Config, before: dict[str, Any]) -> None:
    """Say which settings differ from the run's; raise SettingError where one would change what the run means."""
    now = config.values()
    changed = [setting for setting in settings() if now[setting.name] != before.get(setting.name, setting.default)]
    if _same_place(now["data"], before.get("data")):
        changed = [setting for setting in changed if setting.name != "data"]
    refused = [setting for setting in changed if setting.meaning]
    if refused:
        shown = ", ".join(f"{s.flag} {before.get(s.name, s.default)} (now {now[s.name]})" for s in refused)
        names = ", ".join(s.name for s in refused)
        raise SettingError("resume", names, f"the run began with {shown}; leave these as they were or begin a new run")
    for setting in changed:
        say(f"resuming with {setting.flag} {now[setting.name]} instead of {before.get(setting.name, setting.default)}")


def _same_place(a: Any, b: Any) -> bool:
    """Whether two spellings name the same folder or zip."""
    return isinstance(a, str) and isinstance(b, str) and Path(a).resolve() == Path(b).resolve()
