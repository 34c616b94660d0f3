"""What a run leaves in its folder, as core.runs names it. Everything but the log is written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

import core
from core import latents, pictures, runs
from core.errors import OutputError
from core.files import usable_folder, writing
from train import plot
from train.data import Data

__all__ = ["Run", "draw", "log_line"]

FRAMES = 60
LOG_KEYS = (
    "kimg", "seconds", "images_per_second", "loss_g", "loss_d", "r1", "path_length",
    "ada_p", "memory_gib", "size", "alpha", "logit_real", "logit_fake",
)  # fmt: skip


class Run:
    """A run's folder, for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / runs.STATE

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

    @classmethod
    @contextmanager
    def beginning(cls, path: Path, *, resume: bool) -> Iterator[Run]:
        """Make the folder, or take the one that is there to go on; where the block fails, take new folders away again.

        Raises OutputError where it is in use or cannot be made.
        """
        cls.check(path, resume=resume)
        inside = [path / name for name in (runs.SAMPLES, runs.CHECKPOINTS, runs.STATE)]
        made = [folder for folder in (path, *inside) if not folder.exists()]
        for folder in (path, *inside):
            usable_folder(folder)
        try:
            yield cls(path)
        except BaseException:
            for folder in reversed(made):
                with suppress(OSError):
                    folder.rmdir()
            raise

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
        """Take out what a run did after the state that it now goes on from: samples, lines of the log, half a line."""
        for sheet in runs.samples(self.path):
            if int(sheet.stem) > images // 1000:
                sheet.unlink()
        file = self.path / runs.LOG
        if not file.is_file():
            return
        kept = [line for line in runs.log(self.path) if line["kimg"] * 1000 <= images + 0.5]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        if file.read_text(encoding="utf-8") != text:
            self._text(runs.LOG, text)

    def sample(self, sheet: np.ndarray, *, images: int) -> None:
        """samples/KIMG.png, and evolution.gif and losses.png drawn again."""
        pictures.write_png(runs.sample_path(self.path, images), sheet)
        self._evolution()
        pictures.write_png(self.path / runs.LOSSES, plot.losses(runs.log(self.path)))

    def checkpoint(self, networks: Any, *, about: Mapping[str, Any], images: int) -> Path:
        """checkpoints/KIMG.safetensors; returns its path."""
        path = runs.checkpoint_path(self.path, images)
        core.save(path, networks.g_ema, networks.d, about, live=networks.g)
        return path

    def _evolution(self) -> None:
        sheets = runs.samples(self.path)
        step = (len(sheets) - 1) / (FRAMES - 1) if len(sheets) > FRAMES else 1.0
        chosen = [sheets[round(k * step)] for k in range(min(len(sheets), FRAMES))]
        shape = pictures.read(chosen[-1]).shape
        frames = [picture for picture in map(pictures.read, chosen) if picture.shape == shape]
        pictures.write_animation(self.path / runs.EVOLUTION, frames, fps=5, count=len(frames))

    def _text(self, name: str, text: str) -> None:
        with writing(self.path / name) as temporary:
            # A name on the disk may hold bytes that are no text; written so, JSON gives them back as they were.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def log_line(
    figures: Mapping[str, float], *, images: int, seconds: float, images_per_second: float, memory_gib: float | None
) -> dict[str, float | None]:
    """One line of the log: every key, null where it does not apply."""
    line: dict[str, float | None] = dict.fromkeys(LOG_KEYS)
    line |= {key: value for key, value in figures.items() if key in LOG_KEYS and math.isfinite(value)}
    return line | {
        "kimg": images / 1000,
        "seconds": round(seconds, 3),
        "images_per_second": round(images_per_second, 3),
        "memory_gib": memory_gib,
    }


@torch.no_grad()
def draw(g: core.Generator, *, seeds: Sequence[int], psi: float, crop: Sequence[int]) -> list[np.ndarray]:
    """Pictures of `seeds` as people see them, uint8, float32, one at a time."""
    drawn = []
    for seed in seeds:
        z = latents.seeds_to_z([seed], g.z_dim).to(g.w_avg.device)
        ws = g.truncate(g.mapping(z, None), psi=psi)
        drawn.append(pictures.crop(pictures.to_8bit(g.synthesis(ws, noise="const"))[0], crop))
    return drawn


def _eight(array: np.ndarray) -> np.ndarray:
    """[C, H, W] of any depth as uint8 [H, W] or [H, W, 3]."""
    return pictures.as_8bit(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))
