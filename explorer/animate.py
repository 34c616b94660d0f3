"""Recipes -> a walk between them -> GIF, WebP, MP4 or a folder of PNG. Each frame is the exact picture of a recipe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import latents, pictures
from core.animation import animation_suffix
from core.errors import OutputError, SettingError
from explorer.recipe import Recipe, between
from explorer.sheets import Progress
from explorer.studio import Studio

__all__ = ["FEWEST_FPS", "FPS", "MOST_BYTES", "MOST_FPS", "MOST_FRAMES", "Walk", "write"]

MOST_FRAMES = 5000
MOST_BYTES = 4 << 30
FEWEST_FPS = 0.1
MOST_FPS = 240
FPS = f"a number from {FEWEST_FPS} to {MOST_FPS}"


@dataclass(frozen=True)
class Walk:
    """A walk from picture to picture: K of them with S steps give (K-1) S + 1 frames, K S closed to a loop.

    Frame k of a stretch is the share ease(k/S) of the way; the ends of each stretch are the pictures themselves.
    `space` w or z, `ease` linear or smooth. Raises SettingError naming what is out of range.
    """

    recipes: tuple[Recipe, ...]
    steps: int = 24
    loop: bool = False
    ease: str = "linear"
    space: str = "w"
    fps: float = 24.0

    def __post_init__(self) -> None:
        if len(self.recipes) < 2:
            raise SettingError("seeds", f"{len(self.recipes)} of them", "a walk needs at least 2")
        if self.steps < 1:
            raise SettingError("steps", self.steps, "1 or more")
        if self.ease not in ("linear", "smooth"):
            raise SettingError("ease", self.ease, "linear or smooth")
        if self.space not in ("w", "z"):
            raise SettingError("space", self.space, "w or z")
        if not FEWEST_FPS <= self.fps <= MOST_FPS:
            raise SettingError("fps", self.fps, FPS)
        if self.count > MOST_FRAMES:
            raise SettingError("steps", self.steps, f"a film has at most {MOST_FRAMES} frames, not {self.count}")
        for a, b in zip(self.recipes, (*self.recipes[1:], self.recipes[0]), strict=True):
            between(a, b, 0.5, space=self.space)

    @property
    def count(self) -> int:
        """The number of frames."""
        stretches = len(self.recipes) - (not self.loop)
        return stretches * self.steps + (not self.loop)

    def frames(self) -> list[Recipe]:
        """The recipe of each frame."""
        ends = self.recipes
        return [
            between(ends[i], ends[j], latents.ease(t, self.ease), space=self.space)  # type: ignore[arg-type]
            for i, j, t in latents.path(len(ends), self.steps, loop=self.loop)
        ]


def write(studio: Studio, walk: Walk, path: str | Path, *, progress: Progress | None = None) -> None:
    """Draw and write the walk, one frame in memory at a time. GIF and WebP play for ever.

    Everything that can be wrong is looked for before the network is loaded. Raises SettingError and OutputError.
    """
    check(studio, walk, path)
    frames = walk.frames()
    pictures.write_animation(
        path,
        _drawn(studio, frames, progress=progress),
        fps=walk.fps,
        count=len(frames),
        text=lambda index: studio.text(frames[index]),
    )


def check(studio: Studio, walk: Walk, path: str | Path) -> None:
    """Check a walk against its network's header and the place it shall go to. Raises SettingError and OutputError."""
    path = Path(path)
    if animation_suffix(path) == "" and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path} already has something in it; name a new folder for the frames")
    for recipe in walk.recipes:
        network = studio.check(recipe)
    total = walk.count * network.pixels(walk.recipes[0].grown) * network.channels
    if total > MOST_BYTES:
        raise SettingError("steps", walk.steps, f"a film has at most 4 GiB of pixels, not {total / (1 << 30):.1f}")


def _drawn(studio: Studio, frames: Sequence[Recipe], *, progress: Progress | None) -> Iterator[np.ndarray]:
    for index, recipe in enumerate(frames):
        yield studio.exact(recipe)
        if progress:
            progress(index + 1, len(frames))
