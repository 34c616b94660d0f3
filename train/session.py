"""A training from its first to its last image: opens the data, picks device and precision, ticks, saves, stops cleanly."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

import core
from core import pictures, runs
from core.errors import SettingError, TrainingError
from train import machine, state
from train.cli import Asked
from train.config import Config, parse_size, settings
from train.data import Data, Frames, Phantoms, survey
from train.frame import Frame
from train.loop import Trainer
from train.networks import build
from train.output import Run, draw, log_line
from train.phantoms import SHAPE
from train.schedule import next_tick

__all__ = ["open_data", "train"]

Say = Callable[[str], None]


def train(asked: Asked) -> int:
    """Do what the command line asks. Returns the exit status. Raises StyloscopeError."""
    config, out = asked.config, asked.out
    assert out is not None
    stop = Stop()
    with stop.listening():
        try:
            return _train(config, out, asked, stop)
        except Stopped:
            say("stopped before the first image; nothing to save")
            return 0


def _train(config: Config, out: Path, asked: Asked, stop: Stop) -> int:
    saved = None
    if asked.resume:
        saved = state.latest(out / runs.STATE)
        if saved is not None:
            compare(config, saved.facts["settings"])
    device = machine.device(config.device)
    machine.threads(config)
    _refuse_in_use(out, resume=asked.resume)
    data = open_data(config, folder=out if out.exists() else None, stop=stop.raise_if_asked)
    run = Run.begin(out, resume=asked.resume)
    init = None if asked.init is None or saved is not None else core.load(asked.init)
    networks = build(config, size=data.frame.size, channels=data.channels, device=device, init=init)
    trainer = Trainer(config, networks, data, device=device, say=say)
    seconds = 0.0
    if saved is not None:
        trainer.restore(saved.tensors, saved.facts)
        seconds = saved.facts["seconds"]
        run.forget_after(trainer.images)
        why = "as before"
        if config.precision != "auto":
            trainer.bfloat16, why = config.precision == "bfloat16", "as asked"
    else:
        trainer.bfloat16, why = machine.precision(config, trainer)
        run.forget_after(0)
    for sentence in [*data.says, machine.says(device, bfloat16=trainer.bfloat16, why=why)]:
        say(sentence)
    if isinstance(data, Frames) and data.move(device):
        say("the pictures lie on the device")
    run.asked(settings=config.values(), resolved=resolved(trainer), command=command())
    run.show_data(data)
    _Session(config, trainer, run, seconds=seconds, stop=stop, grid=asked.grid).go()
    return 0


class _Session:
    """A trainer with a clock, a folder and an end."""

    def __init__(
        self, config: Config, trainer: Trainer, run: Run, *, seconds: float, stop: Stop, grid: int | None
    ) -> None:
        self.config = config
        self.trainer = trainer
        self.run = run
        self.stop = stop
        self.grid = grid
        self.end = max(1, round(config.kimg * 1000))
        self.tick = max(1, round(config.tick * 1000))
        self.ticks = 0
        self._seconds = seconds
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._seconds + time.monotonic() - self._began

    def go(self) -> None:
        """Train to the end or to a stop, and save. Raises TrainingError where a loss is not finite."""
        trainer = self.trainer
        if trainer.images >= self.end:
            say(f"{self.run.path} has seen {trainer.images} images already; give a larger --kimg to go on")
        due = next_tick(trainer.images, tick=self.tick)
        since, shown = time.monotonic(), trainer.images
        with bar(self.end, trainer.images) as progress:
            trainer.say = lambda sentence: progress.write(sentence, file=sys.stderr)
            while trainer.images < self.end and not self.stop.asked:
                self._step()
                progress.update(min(trainer.images, self.end) - progress.n)
                if trainer.images >= due or trainer.images >= self.end:
                    self._report(since, shown)
                    due, since, shown = next_tick(trainer.images, tick=self.tick), time.monotonic(), trainer.images
        if trainer.images > shown:
            trainer.verify()
            self._save(checkpoint=True)
        self._close()

    def _step(self) -> None:
        try:
            self.trainer.step()
        except TrainingError as wrong:
            last = runs.newest(self.run.path)
            where = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
            raise TrainingError(
                f"{wrong}; {where}; try --resume, and if it happens again a new run with lower --g-lr and --d-lr, a larger --gamma, or --precision float32"
            ) from wrong

    def _report(self, since: float, shown: int) -> None:
        """One tick: a line of the log, the sample sheet, the state, and from time to time the networks."""
        trainer, frame = self.trainer, self.trainer.data.frame
        figures = trainer.figures()
        rate_from = since
        line = log_line(
            figures,
            images=trainer.images,
            began=self.seconds,
            before=rate_from,
            shown=trainer.images - shown,
            memory=machine.memory(trainer.device),
        )
        self.run.log(line)
        drawn = draw(trainer.networks.g_ema, seeds=range(self.config.samples), psi=1.0, crop=frame.crop)
        self.run.sample(pictures.grid(drawn, columns=8), images=trainer.images)
        self.ticks = trainer.images // self.tick
        last = trainer.images >= self.end
        self._save(checkpoint=last or self.ticks % self.config.snapshot == 0)

    def _save(self, *, checkpoint: bool) -> None:
        trainer = self.trainer
        if checkpoint:
            self.run.checkpoint(trainer.networks, about=self._about(), images=trainer.images)
        facts = {**trainer.facts(), "seconds": self.seconds, "settings": self.config.values()}
        state.save(self.run.state, trainer.tensors(), facts, images=trainer.images)

    def _about(self) -> dict[str, Any]:
        trainer = self.trainer
        return {
            "training": {
                "data": Path(self.config.data).name,
                "pictures": len(trainer.data) if isinstance(trainer.data, Frames) else None,
                "images_seen": trainer.images,
                "hours": round(self.seconds / 3600, 4),
                "device": machine.name(trainer.device),
                "precision": "bfloat16" if trainer.bfloat16 else "float32",
                "command": (runs.command(self.run.path).splitlines() or [command()])[0],
                "commit": machine.commit(),
            },
            "picture": {"crop": list(trainer.data.frame.crop)},
        }

    def _close(self) -> None:
        newest = runs.newest(self.run.path)
        if self.stop.asked and self.trainer.images < self.end:
            if newest is None:
                say("stopped before the first image; nothing to save")
            else:
                say(f"stopped at {self.trainer.images / 1000:g} kimg; saved {newest}; go on with --resume")
            return
        say(f"done: {self.trainer.images / 1000:g} kimg; the network is {newest}")
        if self.grid:
            drawn = draw(
                self.trainer.networks.g_ema, seeds=range(self.grid), psi=0.7, crop=self.trainer.data.frame.crop
            )
            path = self.run.path / runs.GRID
            pictures.write_png(path, pictures.grid(drawn, columns=max(1, round(self.grid**0.5))))
            print(path)


# --- pieces ------------------------------------------------------------------------------------------------------


def open_data(
    config: Config, *, folder: Path | None, stop: Callable[[], None] = lambda: None, headers_only: bool = False
) -> Data:
    """Read the pictures that the settings name. Raises DataError, SettingError."""
    size = None if config.size == "auto" else parse_size(config.size)
    channels = None if config.channels == "auto" else int(config.channels)
    if config.data == "phantoms":
        frame = Frame.of(size or SHAPE, size=size, fit=config.fit)
        config.filters_for(frame.size)
        return Phantoms(frame=frame, channels=channels or 1)
    with quiet_bar("looking at the pictures") as look:

        def each() -> None:
            look.update()
            stop()

        found = survey(config.data, each=each)
    frame = Frame.of(found.picture, size=size, fit=config.fit)
    config.filters_for(frame.size)
    if headers_only:
        return Frames.unread(found, frame=frame, channels=channels)
    with quiet_bar("reading them", total=len(found.source.names)) as read:

        def each_read() -> None:
            read.update()
            stop()

        return Frames.read(found, frame=frame, channels=channels, folder=folder, each=each_read)


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
    refused = [setting for setting in changed if setting.meaning]
    if refused:
        shown = ", ".join(f"{s.flag} {before.get(s.name, s.default)} (now {now[s.name]})" for s in refused)
        raise SettingError(
            "resume",
            ", ".join(s.name for s in refused),
            f"the run began with {shown}; leave these as they were or begin a new run",
        )
    for setting in changed:
        say(
            f"resuming with {setting.flag} {now[setting.name]}, before it was {before.get(setting.name, setting.default)}"
        )


def command() -> str:
    """This command line, ready to paste."""
    return shlex.join(["python", "-m", "train", *sys.argv[1:]])


def say(sentence: str) -> None:
    """One line for the person at the terminal."""
    print(sentence, file=sys.stderr, flush=True)


def _refuse_in_use(out: Path, *, resume: bool) -> None:
    """Before the pictures are read: an --out in use is refused at once, and nothing is made yet."""
    if out.exists() and not (resume and out.is_dir()):
        Run.begin(out, resume=resume) if not out.is_dir() or any(out.iterdir()) else None


@contextmanager
def bar(total: int, initial: int) -> Iterator[tqdm]:
    """Images seen, images a second, time left."""
    interval = 0.5 if sys.stderr.isatty() else 60.0
    with tqdm(
        total=total, initial=initial, unit="img", mininterval=interval, smoothing=0.02, dynamic_ncols=True
    ) as progress:
        yield progress


@contextmanager
def quiet_bar(title: str, total: int | None = None) -> Iterator[tqdm]:
    """A bar that is gone when it is done, and never there where nobody watches."""
    with tqdm(total=total, desc=title, unit="img", leave=False, disable=not sys.stderr.isatty()) as progress:
        yield progress


class Stopped(Exception):
    """A person asked to stop before there was anything to save."""


class Stop:
    """Ctrl-C and SIGTERM: the first asks to save and stop, a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.asked = False

    def raise_if_asked(self) -> None:
        """For the time before training."""
        if self.asked:
            raise Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals while this lasts; in another thread than the main one nothing can be taken."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
