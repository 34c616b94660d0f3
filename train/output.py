"""What a run leaves in its folder, as core.runs names it. Everything but the log is written whole or not at all."""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import core
from core import latents, pictures, runs
from core.devices import full_float32
from core.errors import OutputError
from core.files import is_temporary, sweep, usable_folder, writing
from core.lock import Lock
from core.sizes import crop_at
from train import evolution, keep, plot, state
from train.console import say
from train.data import TEMPORARY, Data
from train.drawing import draw_networks
from train.redraw import Redraws

if TYPE_CHECKING:
    from train.growth import Growth, Stage

__all__ = ["Run", "columns", "draw", "log_line"]

Size = tuple[int, int]

_LAUNCH = "launch"
_BEFORE = "before-"
_OURS = frozenset({runs.STATE, runs.SAMPLES, runs.CHECKPOINTS, runs.DATA, runs.COMMAND, runs.LOG, runs.BOARD})
LOG_KEYS = (
    "kimg", "seconds", "images_per_second", "loss_g", "loss_d", "r1", "gp", "path_length", "reconstruction", "held",
    "ada_p", "memory_gib", "size", "alpha", "fade_from", "fade_to", "logit_real", "logit_fake", "logit_train",
    "logit_held", "overfit", "ada_sign", "spread", "nearest", "warnings",
)  # fmt: skip
COLUMNS = tuple(key for key in LOG_KEYS if key != "warnings")


class Run:
    """A run's folder, for writing."""

    def __init__(self, path: Path, *, lock: Lock | None = None, say: Callable[[str], None] = say) -> None:
        self.path = path
        self.state = path / runs.STATE
        self._lock = lock
        self._again = Redraws(say=say)

    @staticmethod
    def check(path: Path, *, resume: bool) -> None:
        """Raise OutputError where the folder is in use or cannot be named in our files; writes nothing."""
        try:
            str(path).encode()
        except UnicodeEncodeError as wrong:
            raise OutputError(f"{path} has bytes in its name that are no text; give --out another name") from wrong
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path} is a file; give --out a folder that is empty or new")
        if not resume and path.exists() and any(path.iterdir()):
            raise OutputError(
                f"{path} has something in it; go on with that run by --resume, or give --out a new folder"
            )
        names = sorted(entry.name for entry in path.iterdir()) if path.exists() else []
        foreign = [name for name in names if name not in _OURS and not is_temporary(name)]
        if foreign and not runs.is_run(path):
            raise OutputError(f"{path} is no run and holds {foreign[0]}; give --out the folder of a run, or a new one")

    @classmethod
    @contextmanager
    def beginning(cls, path: Path, *, resume: bool, first: bool = True) -> Iterator[Run]:
        """Make the folder, or take the one that is there to go on; where the block fails, take away again what it made.

        The run's lock is taken until `release`. Of several processes only the `first` one does any of this. Raises
        OutputError where another training writes the run, or the folder is in use or cannot be made.
        """
        if not first:
            yield cls(path)
            return
        cls.check(path, resume=resume)
        inside = [path / name for name in (runs.SAMPLES, runs.CHECKPOINTS, runs.STATE)]
        made = [folder for folder in (path, *inside) if not folder.exists()]
        new = not path.exists() or not any(path.iterdir())
        lock = None
        try:
            for folder in (path, *inside):
                usable_folder(folder)
            lock = Lock.take(path / runs.STATE / runs.LOCK)
            # Before anything is read: what killed trainings have left may be as large as all their pictures.
            for folder in (path, *inside):
                sweep(folder)
            for frames in (path / runs.STATE).glob(f"{TEMPORARY}*"):
                shutil.rmtree(frames, ignore_errors=True)
            yield cls(path, lock=lock)
        except BaseException:
            if lock is not None:
                if new:  # so all that is in there was written by the block, under this lock
                    _empty(path, spared=path / runs.STATE)
                    _empty(path / runs.STATE, spared=path / runs.STATE / runs.LOCK)
                lock.release()
            for folder in reversed(made):
                with suppress(OSError):
                    folder.rmdir()
            raise

    def release(self) -> None:
        """Let other trainings write the run."""
        if self._lock is not None:
            self._lock.release()

    def launched_by(self) -> str:
        """The torchrun that began the run; empty where it was none."""
        file = self.state / _LAUNCH
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def launched(self, by: str) -> None:
        """Keep the name of the torchrun that began the run."""
        with writing(self.state / _LAUNCH) as temporary:
            temporary.write_text(by, encoding="utf-8")

    def asked(self, *, settings: Mapping[str, Any], resolved: Mapping[str, Any], command: str) -> None:
        """config.json and command.txt; commands of resumed runs are added, a line each."""
        before = runs.command(self.path)
        self._text(runs.CONFIG, json.dumps({**settings, "resolved": resolved}, indent=2, ensure_ascii=False) + "\n")
        self._text(runs.COMMAND, (before + "\n" if before else "") + command + "\n")

    def show_data(self, data: Data) -> None:
        """data.png: what the network really sees, margins and all."""
        count = min(len(data), 48)
        step = max(1, len(data) // count) if len(data) < 2**31 else 1
        seen = [_eight(data.picture(index * step)) for index in range(count)]
        pictures.write_png(self.path / runs.DATA, pictures.grid(seen, columns=8))

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to log.jsonl, on the disk before this returns. Raises OutputError."""
        file = self.path / runs.LOG
        try:
            with open(file, "a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
                out.flush()
                os.fsync(out.fileno())
        except OSError as wrong:
            raise OutputError(
                f"{file} could not be written ({wrong.strerror}); free some space, then add --resume"
            ) from wrong

    def forget_after(self, images: int) -> None:
        """Take out what a run did after the state that it now goes on from, which it makes again to the bit.

        That is samples, network files, lines of the log and of the measures, and half a line.
        """
        for file in (*runs.samples(self.path), *runs.checkpoints(self.path)):
            if int(file.stem) > images // 1000:
                file.unlink()
        keep.forget_after(self.path, images)
        evolution.forget_after(self.path, images)
        self._restore_sheet(images)
        for name, read in ((runs.LOG, runs.log), (runs.METRICS, runs.metrics)):
            file = self.path / name
            if not file.is_file():
                continue
            kept = [line for line in read(self.path) if (line.get("kimg") or 0) * 1000 <= images + 0.5]
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
            if file.read_bytes() != text.encode("utf-8", "backslashreplace"):
                self._text(name, text)
        if (self.path / runs.CURVES).is_file():
            self._text(runs.CURVES, _table(runs.log(self.path)))

    def _restore_sheet(self, images: int) -> None:
        """Where a sheet drawn after `images` bears the same number of kimg, put the one before it back."""
        sheet = runs.sample_path(self.path, images)
        frame = next((file for seen, file in evolution.frames(self.path)[::-1] if seen == images), sheet)
        if sheet.is_file() and frame.read_bytes() != sheet.read_bytes():
            with writing(sheet) as temporary:
                shutil.copyfile(frame, temporary)

    def set_aside(self) -> Path | None:
        """Where networks are left of a run that has lost its state, move what it made to before-1/, before-2/ ...

        A training without state begins at zero; its networks must not stand below older, higher numbers. One that was
        killed in its first save has had no state, and makes those networks again.
        """
        if state.is_begun(self.state):
            return None
        aside = self._put_aside() if runs.checkpoints(self.path) else None
        state.begin(self.state)
        return aside

    def _put_aside(self) -> Path:
        number = next(n for n in itertools.count(1) if not (self.path / f"{_BEFORE}{n}").exists())
        aside = usable_folder(self.path / f"{_BEFORE}{number}")
        made = (runs.SAMPLES, runs.LOG, runs.METRICS, runs.BEST, runs.CURVES, runs.LOSSES)
        for name in (*made, runs.EVOLUTION, runs.CHECKPOINTS):  # these last: they say that there is something to move
            if (self.path / name).exists():
                os.replace(self.path / name, aside / name)
        for name in (runs.CHECKPOINTS, runs.SAMPLES):
            usable_folder(self.path / name)
        return aside

    def sample(self, sheet: np.ndarray, *, images: int) -> None:
        """samples/KIMG.png, and evolution.gif, losses.csv and losses.png made again. Raises OutputError."""
        path = runs.sample_path(self.path, images)
        pictures.write_png(path, sheet)
        evolution.add(self.path, path, images=images)
        self._again.make(self.path / runs.EVOLUTION, lambda: evolution.draw(self.path))
        if not (self.path / runs.LOG).is_file():  # before the first tick
            return
        log, losses = functools.cache(lambda: runs.log(self.path)), self.path / runs.LOSSES  # read once, where at all
        self._again.make(self.path / runs.CURVES, lambda: self._text(runs.CURVES, _table(log())))
        self._again.make(losses, lambda: pictures.write_png(losses, plot.losses(log())))

    def finish(self) -> None:
        """Draw what was left out while it took too long. Raises OutputError."""
        self._again.finish()

    def checkpoint(self, networks: Any, *, about: Mapping[str, Any], images: int, stage: Stage | None = None) -> Path:
        """checkpoints/KIMG.safetensors; returns its path.

        Of a network that grows the levels that it has reached at `stage`: a finished smaller network, which inside a
        fade says how far it is. Raises OutputError.
        """
        path = runs.checkpoint_path(self.path, images)
        g_ema, d, g = networks.g_ema, networks.d, networks.g
        if stage is not None and g.grows:
            about = _cut(about, full=g.size, stage=stage)
            g_ema, d, g = (core.stylegan.at_size(one, stage.size) for one in (g_ema, d, g))
        keep.spare(self.path, path, images=images, size=g.size)
        core.save(path, g_ema, d, about, live=g)
        return path

    def drawings(self, networks: Any, growth: Growth) -> None:
        """drawings/: generator and discriminator at every size, fading in and stable, as SVG. Raises OutputError."""
        draw_networks(networks.g, networks.d, growth.stages(), usable_folder(self.path / runs.DRAWINGS))

    def _text(self, name: str, text: str) -> None:
        with writing(self.path / name) as temporary:
            # A name on the disk may hold bytes that are no text; written so, JSON gives them back as they were.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _empty(folder: Path, *, spared: Path) -> None:
    """Take away what is in a folder, as far as that can be."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry == spared:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                with suppress(OSError):
                    entry.unlink()


def _cut(about: Mapping[str, Any], *, full: Size, stage: Stage) -> dict[str, Any]:
    """What a network file of the size reached says: its own crop, the size it grows to, and alpha inside a fade."""
    picture = dict(about["picture"])
    halvings = (full[0] // stage.size[0]).bit_length() - 1
    if halvings:
        picture |= {"crop": list(crop_at(tuple(picture["crop"]), halvings)), "full": list(full)}
    grown = {"grown": {"size": list(stage.size), "alpha": stage.alpha}} if stage.alpha < 1 else {}
    return {**about, "picture": picture, **grown}


def log_line(
    figures: Mapping[str, float | None],
    *,
    images: int,
    seconds: float,
    images_per_second: float,
    memory_gib: float | None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """One line of the log: every key, null where it does not apply."""
    line: dict[str, Any] = dict.fromkeys(LOG_KEYS)
    known = {key: value for key, value in figures.items() if key in LOG_KEYS and value is not None}
    line |= {key: value for key, value in known.items() if math.isfinite(value)}
    return line | {
        "kimg": images / 1000,
        "seconds": round(seconds, 3),
        "images_per_second": round(images_per_second, 3),
        "memory_gib": memory_gib,
        "warnings": list(warnings) or None,
    }


@full_float32()
@torch.no_grad()
def draw(
    g: core.Generator,
    *,
    count: int,
    psi: float,
    crop: Sequence[int],
    wide: int = 8,
    grown: tuple[Size, float] | None = None,
) -> list[np.ndarray]:
    """About `count` pictures of seeds 0, 1, 2 ... as people see them, uint8, computed in float32, one at a time.

    A network with classes shows them along the rows: the same seeds in each row, `columns` of them. `grown` is the
    size and alpha that a growing network has reached; smaller pictures are enlarged by whole factors, pixel by pixel,
    so that `crop`, in pixels of the finished network, and the shape are always the same.
    """
    shown: dict[str, Any] = {} if grown is None else {"size": grown[0], "alpha": grown[1]}
    rows: list[int | None] = [None]
    seeds = range(count)
    if g.num_classes:
        rows = list(range(min(g.num_classes, count)))
        seeds = range(columns(g, count=count, wide=wide))
    drawn = []
    for row in rows:
        label = None if row is None else torch.tensor([row], device=g.w_avg.device)
        for seed in seeds:
            z = latents.seeds_to_z([seed], g.z_dim).to(g.w_avg.device)
            ws = g.truncate(g.mapping(z, label), psi=psi)
            picture = pictures.to_8bit(g.synthesis(ws, noise="const", **shown))[0]
            factor = g.size[0] // picture.shape[0]
            drawn.append(pictures.crop(picture.repeat(factor, axis=0).repeat(factor, axis=1), crop))
    return drawn


def columns(g: core.Generator, *, count: int, wide: int = 8) -> int:
    """How many columns a sheet of `count` samples has: at most `wide`, in rows as even as they go, of classes each one.

    12 samples at most 8 wide are two rows of 6.
    """
    if g.num_classes:
        return max(1, min(wide, count // g.num_classes))
    return -(-count // -(-count // wide))


def _table(log: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of the log as CSV: a column a key, a line a tick, empty where a key does not apply."""
    lines = [",".join(COLUMNS)]
    lines += [",".join(_cell(line.get(key)) for key in COLUMNS) for line in log]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(side, int) for side in value):
        return "x".join(map(str, value))
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _eight(array: np.ndarray) -> np.ndarray:
    """[C, H, W] of any depth as uint8 [H, W] or [H, W, 3]."""
    return pictures.as_8bit(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))
