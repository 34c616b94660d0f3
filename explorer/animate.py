"""Recipes -> a walk or timeline between them -> GIF, WebP, MP4 or a folder of PNG, which carries the timeline inside.

Each frame is the exact picture of a recipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from core import pictures
from core.animation import MOST_SCALE, animation_suffix, check_scale, size_in_file
from core.carried import MARK, MOST_CARRIED
from core.errors import OutputError, SettingError
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.sheets import Progress
from explorer.studio import Studio
from explorer.timeline import FEWEST_FPS, FPS, MOST_FPS, MOST_FRAMES, MOST_KEYS, Key, Timeline

__all__ = ["FPS", "MOST_BYTES", "MOST_FRAMES", "Walk", "carried", "check", "fits", "write"]

MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Walk:
    """A walk from picture to picture: K of them with S steps give (K-1) S + 1 frames, K S closed to a loop.

    Frame k of a stretch is the share ease(k/S) of the way; the ends of each stretch are the pictures themselves.
    `space` w or z, `ease` linear or smooth. It is a timeline whose keys stand `steps` frames apart. Raises SettingError
    naming what is out of range.
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
        if not 1 <= self.steps <= MOST_FRAMES:
            shown = self.steps if abs(self.steps) < 10**18 else "a very large number"
            raise SettingError("steps", shown, f"1 or more, and a film has at most {MOST_FRAMES} frames")
        if self.ease not in ("linear", "smooth"):
            raise SettingError("ease", self.ease, "linear or smooth")
        if self.space not in ("w", "z"):
            raise SettingError("space", self.space, "w or z")
        if not FEWEST_FPS <= self.fps <= MOST_FPS:
            raise SettingError("fps", self.fps, FPS)
        if self.count > MOST_FRAMES:
            raise SettingError("steps", self.steps, f"a film has at most {MOST_FRAMES} frames, not {self.count}")
        self.timeline  # noqa: B018 - looks at each stretch

    @property
    def count(self) -> int:
        """The number of frames."""
        stretches = len(self.recipes) - (not self.loop)
        return stretches * self.steps + (not self.loop)

    @cached_property
    def timeline(self) -> Timeline:
        """The same frames as keys at times."""
        keys = tuple(Key(recipe, index * self.steps / self.fps, self.ease) for index, recipe in enumerate(self.recipes))
        whole = len(keys) * self.steps / self.fps if self.loop else None
        return Timeline(keys, fps=self.fps, loop=self.loop, space=self.space, duration=whole)

    def frames(self) -> list[Recipe]:
        """The recipe of each frame."""
        return self.timeline.frames()


def write(
    studio: Studio, walk: Walk | Timeline, path: str | Path, *, scale: int = 1, progress: Progress | None = None
) -> tuple[int, int]:
    """Draw and write the walk, one frame in memory at a time, and return (height, width) of the film's pictures.

    Every pixel becomes `scale` x `scale`. GIF and WebP play for ever. Everything that can be wrong is looked for before
    the network is loaded. Raises SettingError and OutputError.
    """
    size = check(studio, walk, path, scale=scale)
    timeline = _timeline(walk)
    frames = timeline.frames()
    pictures.write_animation(
        path,
        _drawn(studio, frames, progress=progress),
        fps=timeline.fps,
        count=len(frames),
        scale=scale,
        text=lambda index: studio.text(frames[index]),
        carried=carried(studio, timeline),
    )
    return size


def carried(studio: Studio, walk: Walk | Timeline) -> str | None:
    """The JSON that a film of this walk carries, its networks by full name and sha; None for one too long to carry."""
    timeline = _timeline(walk)
    if len(timeline.keys) > MOST_KEYS:
        return None
    told = []
    for recipe in timeline.recipes:
        network = studio.network(recipe.checkpoint)
        told.append(recipe.of_network(network.name, network.sha))
    text = timeline.with_recipes(told).json()
    return text if len(MARK) + len(text) <= MOST_CARRIED else None


def check(studio: Studio, walk: Walk | Timeline, path: str | Path, *, scale: int = 1) -> tuple[int, int]:
    """Check a walk against its network's header and the place it shall go to; return the size in the film.

    Raises SettingError and OutputError.
    """
    check_scale(scale)
    path = Path(path)
    if animation_suffix(path) == "" and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise OutputError(f"{path} already has something in it; name a new folder for the frames")
    for recipe in walk.recipes:
        network = studio.check(recipe)
    fits(walk, network, scale=scale)
    _, _, height, width = network.window(walk.recipes[0].grown)
    return size_in_file(path, (height, width), scale=scale)


def fits(walk: Walk | Timeline, network: Network, *, scale: int = 1) -> None:
    """Raise SettingError where the frames of a walk, enlarged, have more pixels than a film may have."""
    check_scale(scale)
    total = walk.count * network.pixels(walk.recipes[0].grown) * network.channels
    most = max((one for one in range(1, MOST_SCALE + 1) if total * one**2 <= MOST_BYTES), default=0)
    if most >= scale:
        return
    limit = f"a film has at most 4 GiB of pixels, not {total * (scale if most else 1) ** 2 / (1 << 30):.1f}"
    if most:
        raise SettingError("scale", scale, f"1 to {most} here: {limit}")
    field, value = ("steps", walk.steps) if isinstance(walk, Walk) else ("duration", walk.seconds)
    raise SettingError(field, value, limit)


def _timeline(walk: Walk | Timeline) -> Timeline:
    return walk.timeline if isinstance(walk, Walk) else walk


def _drawn(studio: Studio, frames: Sequence[Recipe], *, progress: Progress | None) -> Iterator[np.ndarray]:
    for index, recipe in enumerate(frames):
        yield studio.exact(recipe)
        if progress:
            progress(index + 1, len(frames))
