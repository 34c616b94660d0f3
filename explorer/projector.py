"""A person's own picture -> the point of a network's W or W+ that shows it best.

Karras et al. 2020 (appendix D) project with 1000 steps of noisy gradient descent; on a CPU that is minutes. Here the
start does most of the work: a ridge regression from small pictures of a few hundred drawn samples to their w, in
coordinates whitened by the covariance of w, in which one learning rate suits every direction. Then Adam refines one w,
and after it one w a layer (Abdal et al. 2019), held near the first by a penalty.

Coordinates: w = mean + v @ axes, v [w_dim] about standard normal. Pictures are [1, channels, h, w] in -1 .. 1, of what
people are shown; the margin around them is black on both sides of every comparison.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core import pictures
from core.checkpoint import load
from core.errors import SettingError
from core.frame import Frame
from core.header import Opened
from core.prepared import threads
from core.sizes import placed
from explorer.descent import Descent, Report, Stop
from explorer.features import Features
from explorer.frozen import Frozen
from explorer.networks import Network
from explorer.projection import FEWEST_STEPS, Distance, Found, Moment, Wish

__all__ = ["Known", "Projector", "fitted"]

Known = Callable[[Wish], Distance | None]


def fitted(array: np.ndarray, *, window: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """A picture of any size as a network's people see theirs: [h, w(, 3)] of `window`, the dtype kept.

    As training would put it where its frame shows exactly this window, else whole, centred, black beside it.
    """
    _, _, height, width = window
    try:
        frame = Frame.of((array.shape[0], array.shape[1]), size=size, fit="native")
        if frame.crop == window:
            return pictures.crop(frame.place(array), window)
    except SettingError:  # no size holds it unscaled
        pass
    scale = min(height / array.shape[0], width / array.shape[1])
    inner = (min(height, max(1, round(array.shape[0] * scale))), min(width, max(1, round(array.shape[1] * scale))))
    top, left, _, _ = placed((height, width), inner)
    shown = np.zeros((height, width, *array.shape[2:]), array.dtype)
    shown[top : top + inner[0], left : left + inner[1]] = pictures.resize(array, inner)
    return shown


class Projector(Frozen):
    """Projects pictures into one network, given as it was listed or already opened, when it is frozen. Not thread-safe.

    `growth` is the size and alpha that a growing network shows. `looks` are other features than the discriminator's.
    Raises CheckpointError, and SettingError for a device that is not there.
    """

    def __init__(
        self,
        source: Opened | Network,
        *,
        growth: tuple[tuple[int, int], float] | None = None,
        looks: Features | None = None,
        device: str = "auto",
    ) -> None:
        opened = load(source.path) if isinstance(source, Network) else source
        super().__init__(opened, growth=growth, looks=looks, device=device)
        self._own: dict[Wish, Distance] = {}

    def project(
        self,
        picture: np.ndarray,
        wish: Wish | None = None,
        *,
        progress: Callable[[Moment], None] | None = None,
        stop: Stop = lambda: False,
        yardstick: Distance | bool | Known = True,
    ) -> Found:
        """Project a picture, uint8 or uint16 [h, w] or [h, w, 3] of any size.

        `yardstick` True projects a picture of the network's own, of the class found, after it, by as many steps; a
        known Distance takes its place, or the one known of the wish with its class. `stop` is asked before each step:
        what was reached then is the result. Raises SettingError.
        """
        wish = wish or Wish()
        self._check(wish)
        with threads(None if self.narrow or self.device.type != "cpu" else 1):
            return self._projected(picture, wish, progress=progress, stop=stop, yardstick=yardstick)

    def _projected(
        self,
        picture: np.ndarray,
        wish: Wish,
        *,
        progress: Callable[[Moment], None] | None,
        stop: Stop,
        yardstick: Distance | bool | Known,
    ) -> Found:
        began = time.monotonic()
        # Of small pictures a second thread gains little, and loses all of it beside a busy program.
        target = self.tensor(fitted(picture, window=self.window, size=self.size))
        known: Known = yardstick if callable(yardstick) else lambda _wish: None
        wanted = yardstick is True or callable(yardstick)

        def own_of(same: Wish) -> Distance | None:
            return self._own.get(same) or known(same)

        def shares(label: int | None) -> int:
            # How many steps the seconds allow is not known yet, so nor is whether that yardstick is.
            there = wish.seconds is None and own_of(replace(wish, label=label)) is not None
            return 2 if wanted and not there else 1

        report = Report(progress)
        descent = Descent(self, target, wish, report=report, stop=stop, began=began, shares=shares)
        found = replace(descent.run(), target=self.levels(target))
        if not wanted:
            return replace(found, own=yardstick if isinstance(yardstick, Distance) else None)
        steps = wish.steps if wish.seconds is None else max(found.steps, FEWEST_STEPS)
        same = replace(wish, steps=steps, seconds=None, label=found.label)
        own = own_of(same)
        if own is None and not found.stopped:
            # Of the class found: in the W of one class a picture of another one does not come back.
            picked = self.own_picture(label=found.label)
            twin = Descent(self, picked, same, report=report, stop=stop, began=began, shown=False).run()
            if not twin.stopped:
                own = self._own[same] = twin.distance
        return replace(found, own=own)

    def _check(self, wish: Wish) -> None:
        classes = self.generator.num_classes
        if wish.label is not None and not (type(wish.label) is int and 0 <= wish.label < classes):
            words = f"a class from 0 to {classes - 1}" if classes else "null, since this network has no classes"
            raise SettingError("label", wish.label, words)
        if wish.noise_maps and not self.generator.noise_shapes:
            raise SettingError("noise_maps", "true", "false, since this network takes no noise")
