"""What is measured: four sets of pictures, made once, and what several measures share, worked out once.

    fake       drawn by the network
    other      real pictures in the fakes' place: what a perfect network would get
    noise      uniform noise in the fakes' place: what no network at all gets
    reference  real pictures that all three are compared with

With held-out pictures the reference is taken from them, and `other` from the training pictures. Without, both are
halves of the data, whole people on one side where names say who is who.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from core.errors import DataError
from train.data import Data
from train.metrics import draw
from train.metrics.distances import moments, nearest
from train.metrics.draw import Painter
from train.metrics.features import Extractor
from train.metrics.jackknife import GROUPS, grouped, standard_error
from train.metrics.looks import looks
from train.metrics.pyramid import descriptors, powers
from train.schedule import stream

__all__ = ["LEAST", "ROWS", "Bench", "Sets", "divide", "walks"]

ROWS = ("fake", "other", "noise")
LEAST = 12
MOST_NEAR = 10000  # pictures on either side among which the nearest is looked for
WALKS = 250
ENDLESS = 10**7


@dataclass(frozen=True)
class Sets:
    """Real pictures on two sides, the number of each set, and the crop."""

    reference: Data
    other: Data
    count: int
    crop: tuple[int, int, int, int]
    seed: int

    def rows(self, data: Data, *, most: int | None = None) -> list[int]:
        """Which pictures of a side are taken: at random, without repeats, by the seed alone."""
        count = min(len(data), self.count if most is None else most)
        random = np.random.default_rng(stream(self.seed, "measured"))
        if len(data) > ENDLESS:  # phantoms: too many to shuffle, and each is drawn when it is asked for
            return list(range(min(count, 2 * self.count)))
        return random.permutation(len(data))[:count].tolist()

    def units(self, data: Data) -> list[Hashable]:
        """Which of the pictures taken are of one person, by the files' names; others are by themselves."""
        rows = self.rows(data, most=MOST_NEAR)
        # Phantoms, of which there are billions, have no names.
        names = getattr(data, "who", ())
        if len(set(names)) < 2:
            return list(rows)
        return [row if names[row] is None else names[row] for row in rows]


def divide(data: Data, *, held: Data | None, count: int, crop: tuple[int, int, int, int], seed: int) -> Sets:
    """The two sides. Raises DataError where one has fewer than 12 pictures."""
    other, reference = (data, held) if held is not None else data.split(0.5, seed=seed)
    least = min(len(other), len(reference))
    if least < LEAST:
        raise DataError(f"{least} pictures on one side are too few to measure by: take at least {2 * LEAST} in all")
    return Sets(reference, other, min(count, least), crop, seed)


class Bench:
    """The sets and what has been worked out about them. Asked for a set by name, see ROWS and `reference`."""

    def __init__(self, sets: Sets, painter: Painter, *, each: Callable[[], None]) -> None:
        self.sets = sets
        self.painter = painter
        self.each = each
        self._known: dict[tuple[str, ...], Any] = {}

    def once(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made the first time that `key` is asked for."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    @functools.cached_property
    def pictures(self) -> dict[str, np.ndarray]:
        """Every set as uint8 [N, C, H, W]."""
        sets = self.sets
        found = {
            name: draw.real(data, sets.rows(data), crop=sets.crop)
            for name, data in (("reference", sets.reference), ("other", sets.other))
        }
        found["fake"] = self.painter.samples(sets.count, seed=sets.seed, each=self.each)
        found["noise"] = draw.noise(found["fake"].shape, seed=stream(sets.seed, "noise pictures"))
        return found

    def features(self, extractor: Extractor, name: str, count: int) -> Tensor:
        """Features of the first `count` pictures of a set, [N, D]."""
        found = self.once(
            ("features", extractor.name, name),
            lambda: extractor.features(self.pictures[name][:count], each=self.each),
        )
        assert isinstance(found, Tensor)
        return found

    def moments(self, extractor: Extractor, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of `features`."""
        found = self.once(("moments", extractor.name, name), lambda: moments(self.features(extractor, name, count)))
        assert isinstance(found, tuple)
        return found

    def pair(
        self, measure: Callable[[Tensor, Tensor], tuple[float, float]], extractor: Extractor, name: str, count: int
    ) -> tuple[float, float]:
        """A measure of two numbers between the reference and a set."""
        found = self.once(
            (measure.__name__, extractor.name, name),
            lambda: measure(self.features(extractor, "reference", count), self.features(extractor, name, count)),
        )
        assert isinstance(found, tuple)
        return found

    @functools.cached_property
    def _units(self) -> dict[str, list[Hashable]]:
        sets = self.sets
        return {"reference": sets.units(sets.reference), "other": sets.units(sets.other)}

    def groups(self, counts: Mapping[str, int]) -> list[np.ndarray]:
        """For the first so many pictures of each set the group of each, whole people in one: int64 [N] each.

        As many groups in every set, ten where there are as many people.
        """
        units = [self._units.get(name, range(count))[:count] for name, count in counts.items()]
        number = min(GROUPS, *(len(set(part)) for part in units))
        return [grouped(part, number) for part in units]

    @staticmethod
    def errors(without: Callable[[str], Iterable[float]]) -> dict[str, float | None]:
        """Standard errors of the network's figure and of the real row, from a set's figures without each group.

        None where too few pictures are left for it.
        """
        found: dict[str, float | None] = {}
        for key, name in (("error", "fake"), ("real_error", "other")):
            try:
                error = standard_error(without(name))
            except DataError:
                error = math.nan
            found[key] = error if math.isfinite(error) else None
        return found

    @functools.cached_property
    def steps(self) -> tuple[Tensor, Tensor]:
        """Both ends of short steps on walks of the network, [M, C, H, W]."""
        return self.painter.steps(walks(self.sets.count), seed=stream(self.sets.seed, "walks") % 2**31, each=self.each)

    @functools.cached_property
    def patches(self) -> dict[str, list[Tensor]]:
        """Descriptors of every set, a level each."""
        seed = stream(self.sets.seed, "patches")
        return {name: descriptors(pictures, seed=seed) for name, pictures in self.pictures.items()}

    @functools.cached_property
    def looks(self) -> dict[str, dict[str, np.ndarray]]:
        """Brightness, contrast, symmetry and outline of every set."""
        return {name: looks(pictures) for name, pictures in self.pictures.items()}

    @functools.cached_property
    def powers(self) -> dict[str, np.ndarray]:
        """Mean squares of the three finest bands of every picture of every set, [N, 3]."""
        return {name: powers(pictures) for name, pictures in self.pictures.items()}

    @functools.cached_property
    def near(self) -> dict[str, np.ndarray]:
        """Distance to the nearest training picture, of samples, noise and all held-out pictures (`reference`)."""
        sets = self.sets
        training, held = (
            draw.thumbnails(data, sets.rows(data, most=MOST_NEAR), crop=sets.crop)
            for data in (sets.other, sets.reference)
        )
        small = {name: np.stack([draw.thumbnail(one) for one in self.pictures[name]]) for name in ("fake", "noise")}
        return {name: nearest(part, training) for name, part in {**small, "reference": held}.items()}


def walks(count: int) -> int:
    """How many steps of walks are drawn beside `count` samples."""
    return max(LEAST, min(WALKS, count // 4))
