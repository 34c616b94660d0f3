"""Settings -> data: what the pictures are, which frame they get, and the pictures themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from core import pictures, sources
from core.errors import DataError
from core.frame import Frame
from train.config import Config, parse_size
from train.console import watched
from train.data import Data, Frames, Phantoms, Survey, survey
from train.growth import Growth
from train.phantoms import SHAPE
from train.presets import NOTHING, Follows
from train.slicing import Slicing

__all__ = ["Plan", "open_data", "plan"]

GLANCE = 48


@dataclass(frozen=True)
class Plan:
    """What the headers of the pictures decide. `channels` is None until the pictures are read.

    `config` is what was asked, what of a preset follows the pictures' shape fitted to it.
    """

    config: Config
    frame: Frame
    channels: int | None
    found: Survey | None


def plan(
    config: Config,
    *,
    follows: Follows = NOTHING,
    like: Sequence[int] = (),
    check: Callable[[], None] = lambda: None,
) -> Plan:
    """Look at the pictures' headers. Raises DataError, SettingError; `check` may raise to stop.

    `like` are the channels, coarse to fine, of the network that the training begins with.
    """
    channels = None if config.channels == "auto" else int(config.channels)
    if config.data == "phantoms":
        if config.labels:
            raise DataError("phantoms have no classes; leave --labels out, or give --data a folder of class folders")
        size = None if config.size == "auto" else parse_size(config.size)
        frame, found = Frame.of(size or SHAPE, size=size, fit=config.fit), None
        channels = channels or 1
    else:
        with bar("looking at the pictures") as progress:
            slicing = Slicing(axis=config.axis, slices=config.slices, window=config.window)
            found = survey(config.data, slicing=slicing, only=config.only, each=_both(progress, check))
        config = follows.at_picture(config, found.picture)
        size = None if config.size == "auto" else parse_size(config.size)
        frame = Frame.of(found.picture, size=size, fit=config.fit)
    config = follows.at_size(config, frame.size, like=like)
    config.check()
    config.filters_for(frame.size)
    # Whatever cannot be is refused before the pictures are read, which may take long; epochs need their number.
    Growth.of(config, frame.size, pictures=None if found is None else found.count)
    return Plan(config, frame, channels, found)


def open_data(
    planned: Plan, *, folder: Path | None = None, check: Callable[[], None] = lambda: None, sharing: int = 1
) -> Data:
    """Read the pictures; `folder` is where they go when memory is short, which `sharing` processes share. DataError."""
    if planned.found is None:
        return Phantoms(frame=planned.frame, channels=planned.channels or 1)
    with bar("reading the pictures", total=planned.found.count) as progress:
        each = _both(progress, check)
        return Frames.read(
            planned.found,
            frame=planned.frame,
            channels=planned.channels,
            labels=planned.config.labels,
            folder=folder,
            each=each,
            sharing=sharing,
        )


def glance(planned: Plan) -> int:
    """The channels, judged from a few pictures where headers and settings leave it open."""
    if planned.channels is not None or planned.found is None:
        return planned.channels or 1
    if planned.found.gray:
        return 1
    items = planned.found.items
    for index in np.unique(np.linspace(0, len(items) - 1, GLANCE).astype(int)).tolist():
        try:
            shot = next(items[index].read(), None)
        except sources.UNREADABLE:
            continue
        if shot is not None and shot.pixels is not None and not pictures.is_gray(shot.pixels):
            return 3
    return 1


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[tqdm]:
    """A bar that is gone when it is done, and never there where nobody watches."""
    with tqdm(total=total, desc=title, unit="img", leave=False, disable=not watched()) as progress:
        yield progress


def _both(progress: tqdm, check: Callable[[], None]) -> Callable[[], None]:
    def each() -> None:
        progress.update()
        check()

    return each
