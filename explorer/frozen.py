"""A network, frozen, as a projection sees it: the pictures it shows, their features, and W whitened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core import latents, pictures
from core.devices import pooling_device
from core.engine import choose_device
from core.errors import SettingError
from core.frame import as_planes
from core.generator import Generator
from core.header import Opened
from core.sizes import crop_at
from explorer import features
from explorer.features import Features
from explorer.projection import Distance

__all__ = ["Frozen", "Space", "shrunk"]

_SAMPLES = 4096  # w's behind mean and covariance
_DRAWN = 512  # of them drawn, to start from; fewer of large pictures
_FEWEST_DRAWN = 128
_AT_ONCE = 8
_FLOOR = 1e-4  # of the largest variance: below it W has no extent worth walking
_OWN_SEED = 4_000_000_000
_NARROW_PIXELS = 20_000  # pictures from here on are worked out in bfloat16, where that is fast
_MOST_SPACES = 8  # classes whose W is at hand: up to 9 MB each
_SMALL = 28  # pixels on the longer side of the pictures that the regression sees


@dataclass(frozen=True)
class Space:
    """W of one class in whitened coordinates; all float32."""

    label: int | None
    samples: Tensor  # [n, w_dim]: v
    mean: Tensor
    axes: Tensor  # [w_dim, w_dim]

    def w(self, v: Tensor) -> Tensor:
        """[..., w_dim] -> [..., w_dim]."""
        return self.mean + v @ self.axes


class Frozen:
    """A network that was opened, with the size it shows and features to compare by. Not thread-safe.

    `growth` is the size and alpha that a growing network shows. `looks` are other features than the discriminator's.
    Raises SettingError for a device that is not there.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        growth: tuple[tuple[int, int], float] | None = None,
        looks: Features | None = None,
        device: str = "auto",
    ) -> None:
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

    def _looking(self, opened: Opened, looks: Features | None) -> tuple[Features, str]:
        if looks is not None:
            return looks, "a file"
        if opened.discriminator is None:
            return features.of_random(self.generator.channels), "a random network"
        discriminator = features.frozen(opened.discriminator, self.device)
        return features.of_discriminator(discriminator, self.alpha), "the discriminator"

    def own_picture(self, seed: int = _OWN_SEED, psi: float = 1.0, label: int | None = None) -> Tensor:
        """The shown part of a picture of the network's own, of class 0 where none is named: 8-bit levels in -1 .. 1."""
        if label is None and self.generator.num_classes:
            label = 0
        with torch.no_grad():
            ws = self.generator.truncate(self._map([seed], label), psi=psi)
            return self.tensor(self.levels(self.draw(ws)))

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

    def tensor(self, levels: np.ndarray) -> Tensor:
        """A shown part in levels, uint8 or uint16, as the network's pictures are: [1, channels, h, w], -1 .. 1."""
        planes = np.ascontiguousarray(as_planes(levels, self.generator.channels)).astype(np.float32)
        planes = planes / 127.5 if levels.dtype == np.uint8 else planes / 32767.5
        return torch.from_numpy(planes - 1)[None].to(self.device)

    @staticmethod
    def levels(picture: Tensor) -> np.ndarray:
        """A shown part as 8-bit levels [h, w(, 3)]."""
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


def shrunk(picture: Tensor) -> Tensor:
    """[N, channels, h, w] -> [N, pixels]: averages, so small that a few hundred samples tell how they depend on w."""
    height, width = picture.shape[-2:]
    scale = min(1.0, _SMALL / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    there = picture.device
    return F.adaptive_avg_pool2d(picture.to(pooling_device(there)), size).flatten(1).to(there)


def _halvings(sizes: list[tuple[int, int]], size: tuple[int, int]) -> int:
    """How often the finished size is halved to get this one."""
    if size not in sizes:
        raise SettingError("size", "x".join(map(str, size)), "a size that this network grew through")
    return len(sizes) - 1 - sizes.index(size)
