"""One loaded network: its generator, its engines, and the styles, points and directions met before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from torch import Tensor

import core
from core import latents
from core.engine import Engine
from core.errors import CheckpointError
from core.prepared import threads
from explorer import directions, kept
from explorer.kept import Direction, Point
from explorer.networks import Network
from explorer.recipe import Mix, Recipe

__all__ = ["STYLES_AT_ONCE", "Room", "exactly"]

STYLES_AT_ONCE = 512
_MOST_STYLES = 8192
_SAMPLES = 8192  # w's behind principal components and standard deviations
_MOST_KEPT = 256  # points and directions that stay read


class Room:
    """One loaded network: its generator, its engines, and the styles of seeds met before.

    Samples, directions and points may be asked for from any thread; the rest is for whoever draws.
    """

    def __init__(self, network: Network, *, device: str, precision: str) -> None:
        self.network = network
        self.generator = core.load(network.path, generator_only=True).generator
        self._device = device
        self._precision = precision
        self._styles: OrderedDict[tuple[int, int | None], Tensor] = OrderedDict()
        self._exact: Engine | None = None
        self._preview: Engine | None = None
        self._named: dict[str, Engine] = {}
        self._finding = RLock()
        self._samples: np.ndarray | None = None
        self._points: OrderedDict[tuple[str, int], Point] = OrderedDict()
        self._directions: OrderedDict[tuple[str, int], Direction] = OrderedDict()

    @property
    def exact(self) -> Engine:
        """The engine of everything that is written: float32, unless bfloat16 was asked for by name."""
        if self._exact is None:
            self._exact = core.engine.prepare(self.generator, device=self._device, precision=self._written)
        return self._exact

    @property
    def _written(self) -> str:
        return "bfloat16" if self._precision == "bfloat16" else "float32"

    def engine(self, precision: str) -> Engine:
        """The engine of a precision asked for by name, float32 or bfloat16: one that is there or a new one."""
        if precision == self._written:
            return self.exact
        if precision == "bfloat16" and self._preview is not None and self._preview.precision == precision:
            return self._preview
        if precision not in self._named:
            self._named[precision] = core.engine.prepare(self.generator, device=self._device, precision=precision)
        return self._named[precision]

    @property
    def preview(self) -> Engine:
        """The engine for the hand while it moves; where that is exact too it is the only one, with what it keeps."""
        if self._preview is None:
            self._preview = core.engine.prepare(self.generator, device=self._device, precision=self._precision)
            if self._preview.precision == "float32" and self._preview.steady:
                self._exact = self._preview
        return self._preview

    def map_seed(self, seed: int, label: int | None) -> Tensor:
        """w [1, w_dim] of a seed. One row at a time: a product of two rows rounds otherwise than of one."""
        key = (seed, label)
        if key not in self._styles:
            self._styles[key] = self.map_z(latents.seeds_to_z([seed], self.generator.z_dim), label)
            if len(self._styles) > _MOST_STYLES:
                self._styles.popitem(last=False)
        self._styles.move_to_end(key)
        return self._styles[key]

    def map_z(self, z: Tensor, label: int | Sequence[int] | None) -> Tensor:
        """z [N, z_dim] -> w [N, w_dim], on the CPU; label, one for all or one each, None is class 0."""
        classes = None
        if self.generator.num_classes:
            labels = label if isinstance(label, Sequence) else [label or 0] * len(z)
            classes = torch.tensor(labels, dtype=torch.int64)
        with exactly():
            return self.generator.mapping(z, classes)

    def samples(self) -> np.ndarray:
        """w of seeds 0 to 8191, float32 [8192, w_dim]; of a network with classes seed k is of class k modulo them."""
        with self._finding:
            if self._samples is None:
                classes = self.generator.num_classes
                found = []
                for start in range(0, _SAMPLES, STYLES_AT_ONCE):
                    seeds = range(start, start + STYLES_AT_ONCE)
                    z = latents.seeds_to_z(list(seeds), self.generator.z_dim)
                    found.append(self.map_z(z, [seed % classes for seed in seeds] if classes else None).numpy())
                self._samples = np.concatenate(found)
            return self._samples

    def direction(self, name: str) -> Direction:
        """A direction that every network has, or one kept beside this network. Raises SettingError, CheckpointError."""
        built_in = kept.BUILT_IN.fullmatch(name) is not None
        key = (name, 0 if built_in else _changed(kept.path_of(self.network, "directions", name)))
        with self._finding:
            if key not in self._directions:
                self._directions[key] = (
                    directions.built_in(name, self.generator, self.samples)
                    if built_in
                    else kept.read_direction(self.network, name)
                )
                _at_most(self._directions)
            return self._directions[key]

    def point(self, name: str) -> Point:
        """A point kept beside this network. Raises SettingError, CheckpointError."""
        key = (name, _changed(kept.path_of(self.network, "points", name)))
        with self._finding:
            if key not in self._points:
                found = kept.read_point(self.network, name)
                shapes = [tuple(shape) for shape in self.generator.noise_shapes]
                if found.noise is not None and [one.shape for one in found.noise] != shapes:
                    raise CheckpointError(f"the point {name} has noise maps of another network; remove it")
                self._points[key] = found
                _at_most(self._points)
            return self._points[key]

    def source(self, recipe: Recipe | Mix, label: int | None) -> Tensor:
        """What is truncated, mixed and steered: w [1, w_dim] of a seed, or ws [1, num_ws, w_dim] of a point."""
        if recipe.point is not None:
            return torch.from_numpy(self.point(recipe.point).ws)[None]
        return self.map_seed(recipe.seed, label)


@contextmanager
def exactly() -> Iterator[None]:
    """Inference on one thread: two threads add up in another order, which moves the last bits."""
    with threads(1), torch.inference_mode():
        yield


def _changed(path: Path) -> int:
    """When a file was last written, in ns; 0 for one that is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _at_most(table: OrderedDict[Any, Any]) -> None:
    while len(table) > _MOST_KEPT:
        table.popitem(last=False)
