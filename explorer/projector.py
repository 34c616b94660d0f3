"""A person's own picture -> the point of a network's W or W+ that shows it best.

Karras et al. 2020 (appendix D) project with 1000 steps of noisy gradient descent; on a CPU that is minutes. Here the
start does most of the work: a ridge regression from small pictures of a few hundred drawn samples to their w, in
coordinates whitened by the covariance of w, in which one learning rate suits every direction. Then Adam refines one w,
and after it one w a layer (Abdal et al. 2019), held near the first by a penalty.

Coordinates: w = mean + v @ axes, v [w_dim] about standard normal. Pictures are [1, channels, h, w] in -1 .. 1, of what
people are shown; the margin around them is black on both sides of every comparison.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core import latents, pictures
from core.checkpoint import Opened, load
from core.engine import choose_device
from core.errors import SettingError
from core.frame import Frame, as_planes
from core.generator import Generator
from core.prepared import threads
from core.sizes import crop_at, placed
from explorer import features
from explorer.descent import Descent, Report, Space, Stop, shrunk
from explorer.features import Features
from explorer.networks import Network
from explorer.projection import FEWEST_STEPS, Distance, Found, Moment, Wish

__all__ = ["Known", "Projector", "fitted"]

_SAMPLES = 4096  # w's behind mean and covariance
_DRAWN = 512  # of them drawn, to start from; fewer of large pictures
_FEWEST_DRAWN = 128
_AT_ONCE = 8
_FLOOR = 1e-4  # of the largest variance: below it W has no extent worth walking
_OWN_SEED = 4_000_000_000
_NARROW_PIXELS = 20_000  # pictures from here on are worked out in bfloat16, where that is fast
_MOST_SPACES = 8  # classes whose W is at hand: up to 9 MB each

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


class Projector:
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
        self.device = choose_device(device)
        self.generator: Generator = features.frozen(opened.generator, self.device)
        whole: tuple[tuple[int, int], float] = (self.generator.size, 1.0)
        self.size, self.alpha = growth or opened.grown or whole
        halvings = 0 if not self.generator.grows else _halvings(self.generator.sizes, self.size)
        self.window = crop_at(opened.crop, halvings)
        self._features, self.looks = self._looking(opened, looks)
        self._narrow = self.device.type == "cpu" and self.size[0] * self.size[1] >= _NARROW_PIXELS
        self._spaces: dict[int | None, Space] = {}
        self._drawn: dict[int | None, tuple[Tensor, Tensor]] = {}
        self._glimpses: dict[int, Tensor] = {}
        self._own: dict[Wish, Distance] = {}

    def _looking(self, opened: Opened, looks: Features | None) -> tuple[Features, str]:
        if looks is not None:
            return looks, "a file"
        if opened.discriminator is None:
            return features.of_random(self.generator.channels), "a random network"
        discriminator = features.frozen(opened.discriminator, self.device)
        return features.of_discriminator(discriminator, self.alpha), "the discriminator"

    # --- what is asked for ---------------------------------------------------------------------------------------

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
        with threads(None if self._narrow or self.device.type != "cpu" else 1):
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
        target = self._tensor(fitted(picture, window=self.window, size=self.size))
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
        found = replace(descent.run(), target=self._levels(target))
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

    def own_picture(self, seed: int = _OWN_SEED, psi: float = 1.0, label: int | None = None) -> Tensor:
        """The shown part of a picture of the network's own, of class 0 where none is named: 8-bit levels in -1 .. 1."""
        if label is None and self.generator.num_classes:
            label = 0
        with torch.no_grad():
            ws = self.generator.truncate(self._map([seed], label), psi=psi)
            return self._tensor(self._levels(self.draw(ws)))

    # --- pictures ------------------------------------------------------------------------------------------------

    def draw(self, ws: Tensor, noise: list[Tensor] | None = None, *, narrow: bool = False) -> Tensor:
        """The shown part [N, channels, h, w] of the pictures of ws [N, num_ws, w_dim], float32."""
        given: Any = "const" if noise is None else noise
        with torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
            image = self.generator.synthesis(ws, given, self.size, self.alpha)
        top, left, height, width = self.window
        return image.float()[:, :, top : top + height, left : left + width]

    def look(self, picture: Tensor, *, narrow: bool = False) -> list[Tensor]:
        """The features of a shown part, in its frame."""
        top, left, height, width = self.window
        sides = [left, self.size[1] - left - width, top, self.size[0] - top - height]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=narrow):
            return self._features(F.pad(picture, sides, value=-1.0))

    def _tensor(self, levels: np.ndarray) -> Tensor:
        planes = np.ascontiguousarray(as_planes(levels, self.generator.channels)).astype(np.float32)
        planes = planes / 127.5 if levels.dtype == np.uint8 else planes / 32767.5
        return torch.from_numpy(planes - 1)[None].to(self.device)

    @staticmethod
    def _levels(picture: Tensor) -> np.ndarray:
        return pictures.to_8bit(picture)[0]

    def distance(self, ours: Tensor, theirs: Tensor) -> Distance:
        """Between two shown parts, clamped to what can be shown."""
        with torch.no_grad():
            a, b = ours.clamp(-1, 1), theirs.clamp(-1, 1)
            levels = 127.5 * float((a - b).square().mean().sqrt())
            psnr = min(99.0, 20 * math.log10(255 / max(levels, 1e-6)))
            return Distance(levels, psnr, float(features.apart(self.look(a), self.look(b))))

    # --- W -------------------------------------------------------------------------------------------------------

    def _map(self, seeds: list[int], label: int | None) -> Tensor:
        z = latents.seeds_to_z(seeds, self.generator.z_dim).to(self.device)
        classes = None if label is None else torch.full((len(seeds),), label, dtype=torch.int64, device=self.device)
        return self.generator.mapping(z, classes)

    @torch.no_grad()
    def space(self, label: int | None) -> Space:
        """W of a class, whitened by the covariance of its samples, the seeds from 0."""
        if label not in self._spaces:
            while len(self._spaces) >= _MOST_SPACES:
                oldest = next(iter(self._spaces))
                del self._spaces[oldest]
                self._drawn.pop(oldest, None)
            w = self._map(list(range(_SAMPLES)), label).cpu().double()
            mean = w.mean(dim=0)
            values, columns = torch.linalg.eigh((w - mean).T @ (w - mean) / len(w))
            deviations = values.clamp_min(_FLOOR * max(float(values.max()), 1e-12)).sqrt()
            parts = ((w - mean) @ columns / deviations, mean, (columns * deviations).T)
            self._spaces[label] = Space(label, *(part.float().to(self.device) for part in parts))
        return self._spaces[label]

    @torch.no_grad()
    def drawn(self, space: Space, count: int) -> tuple[Tensor, Tensor]:
        """(v [count, w_dim], small pictures [count, pixels]) of the first samples of a class."""
        known = self._drawn.get(space.label)
        if known is None or len(known[0]) < count:
            seen = []
            for start in range(0, count, _AT_ONCE):
                w = space.w(space.samples[start : min(start + _AT_ONCE, count)])
                seen.append(shrunk(self.draw(self.rows(w), narrow=self._narrow)))
            known = space.samples[:count], torch.cat(seen)
            self._drawn[space.label] = known
        return known[0][:count], known[1][:count]

    @torch.no_grad()
    def glimpse(self, label: int, count: int) -> Tensor:
        """Small pictures [count, pixels] of the first samples of a class, as `drawn` has them, without its W."""
        known = self._glimpses.get(label)
        if known is None or len(known) < count:
            seen = []
            for start in range(0, count, _AT_ONCE):
                w = self._map(list(range(start, min(start + _AT_ONCE, count))), label)
                seen.append(shrunk(self.draw(self.rows(w), narrow=self._narrow)))
            known = self._glimpses[label] = torch.cat(seen)
        return known[:count]

    def rows(self, w: Tensor) -> Tensor:
        """w [N, w_dim] or ws -> ws [N, num_ws, w_dim]."""
        return w if w.ndim == 3 else w[:, None].expand(-1, self.generator.num_ws, -1)

    def count(self) -> int:
        """How many samples are drawn for a start: fewer of large pictures."""
        pixels = self.size[0] * self.size[1]
        return max(_FEWEST_DRAWN, min(_DRAWN, _DRAWN * 16_000 // pixels))

    @property
    def narrow(self) -> bool:
        """Whether the descent is in bfloat16, but for its last part."""
        return self._narrow


def _halvings(sizes: list[tuple[int, int]], size: tuple[int, int]) -> int:
    """How often the finished size is halved to get this one."""
    if size not in sizes:
        raise SettingError("size", "x".join(map(str, size)), "a size that this network grew through")
    return len(sizes) - 1 - sizes.index(size)
