"""Pictures for measuring: the network's, short steps on its walks, the data's, and noise. All as uint8 [N, C, H, W]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core import engine, latents, pictures
from core.devices import full_float32
from core.generator import Generator

__all__ = ["EPSILON", "Painter", "noise", "real", "thumbnail", "thumbnails"]

EPSILON = 1e-4  # of a walk, as in Karras et al. 2019
THUMBNAIL = 48
BATCH = 16


class Painter:
    """Draws with a generator at psi 1 and its own noise maps, in float32, as people see it: cut to `crop`.

    Nothing is taken from a global random stream, so that drawing in the middle of a training does not change it.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        crop: Sequence[int],
        labels: np.ndarray | None,
        device: torch.device,
        alpha: float = 1.0,
    ) -> None:
        """`generator` is moved to `device`; `alpha` is for networks that grow, of their newest size."""
        self.generator = generator.to(device)
        self._alpha = alpha
        self.labels = labels
        self.device = device
        self._box = (slice(None), slice(None), slice(crop[0], crop[0] + crop[2]), slice(crop[1], crop[1] + crop[3]))
        on_cpu = device.type == "cpu"
        self._prepared = engine.prepare(generator, device="cpu", precision="float32") if on_cpu else None

    def samples(self, count: int, *, seed: int, each: Callable[[], None]) -> np.ndarray:
        """The pictures of seeds `seed`, `seed` + 1, ... as the explorer shows them, uint8 [N, C, H, W]."""
        found = []
        for part in self._drawn(self._styles(count, seed=seed), each=each):
            levels = pictures.to_8bit(part)
            found.append(levels[:, None] if levels.ndim == 3 else levels.transpose(0, 3, 1, 2))
        return np.concatenate(found)

    def steps(self, count: int, *, seed: int, each: Callable[[], None]) -> tuple[Tensor, Tensor]:
        """Both ends of `count` short steps, [N, C, H, W] float32: each at a random place of a random line in W."""
        w = self._styles(2 * count, seed=seed)
        place = torch.from_numpy(np.random.default_rng(seed).random((count, 1, 1), dtype=np.float32)).to(w)
        line = w[1::2] - w[::2]
        ends = torch.stack([w[::2] + place * line, w[::2] + (place + EPSILON) * line], dim=1).flatten(0, 1)
        drawn = torch.cat(list(self._drawn(ends, each=each)))
        return drawn[::2], drawn[1::2]

    @torch.no_grad()
    def _styles(self, count: int, *, seed: int) -> Tensor:
        g = self.generator
        z = latents.seeds_to_z([(seed + k) % latents.SEED_LIMIT for k in range(count)], g.z_dim)
        label = None
        if g.num_classes:
            random = np.random.default_rng(seed)
            drawn = (
                random.integers(0, g.num_classes, count) if self.labels is None else random.choice(self.labels, count)
            )
            label = torch.from_numpy(drawn.astype(np.int64)).to(self.device)
        with full_float32():
            return g.truncate(g.mapping(z.to(self.device), label), psi=1.0)

    @torch.no_grad()
    def _drawn(self, ws: Tensor, *, each: Callable[[], None]) -> Iterator[Tensor]:
        batch = 1 if self._prepared is not None else BATCH
        for part in ws.split(batch):
            with full_float32():
                images = (self._prepared or self.generator).synthesis(part, noise="const", alpha=self._alpha)
            yield images.float().cpu()[self._box]
            for _ in range(len(part)):
                each()


class Shown(Protocol):
    """What is asked of data here."""

    def __len__(self) -> int:
        """How many pictures there are."""
        ...

    def picture(self, index: int) -> np.ndarray:
        """Picture `index` in its frame, [C, H, W], uint8 or uint16."""
        ...


def real(data: Shown, rows: Sequence[int], *, crop: Sequence[int]) -> np.ndarray:
    """Pictures of the data, cut to `crop`, 8 bits deep: [N, C, H, W]."""
    return np.stack([_eight(data.picture(row), crop) for row in rows])


def noise(shape: tuple[int, ...], *, seed: int) -> np.ndarray:
    """Uniform gray levels, every pixel by itself: uint8 of `shape`."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def thumbnails(data: Shown, rows: Sequence[int], *, crop: Sequence[int]) -> np.ndarray:
    """Small copies of pictures of the data, [N, D] float32."""
    return np.stack([thumbnail(_eight(data.picture(row), crop)) for row in rows])


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """uint8 [C, H, W] -> [D] float32, the longer side shrunk to 48 pixels where it is longer (Lanczos)."""
    height, width = picture.shape[1:]
    scale = min(1.0, THUMBNAIL / max(height, width))
    array = np.ascontiguousarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))
    small = pictures.resize(array, (max(1, round(height * scale)), max(1, round(width * scale))))
    return small.reshape(-1).astype(np.float32)


def _eight(picture: np.ndarray, crop: Sequence[int]) -> np.ndarray:
    top, left, height, width = crop
    # as_8bit takes pictures with their planes last, and all planes are treated alike.
    return np.ascontiguousarray(pictures.as_8bit(picture[:, top : top + height, left : left + width]))
