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
from train.metrics.features import DISCRIMINATOR, Extractor
from train.metrics.jackknife import GROUPS, grouped, standard_error
from train.metrics.looks import looks
from train.metrics.pyramid import descriptors, powers
from train.schedule import stream

__all__ = ["LEAST", "ROWS", "Bench", "Kept", "Sets", "divide", "walks"]

ROWS = ("fake", "other", "noise")
SETS = ("reference", "other", "fake", "noise")
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


class Kept:
    """What was worked out of real pictures and noise, for the next round of measures of the same training.

    That is two rows in three of every figure that asks no discriminator.
    """

    def __init__(self) -> None:
        self._sets: object = None
        self._known: dict[tuple[str, ...], Any] = {}

    def of(self, sets: object) -> dict[tuple[str, ...], Any]:
        """What is known of these sets, by what tells them from any others; other sets' is let go of."""
        if sets != self._sets:
            self._sets, self._known = sets, {}
        return self._known


class Bench:
    """The sets and what has been worked out about them. Asked for a set by name, see ROWS and `reference`."""

    def __init__(
        self,
        sets: Sets,
        painter: Painter,
        *,
        each: Callable[[], None],
        kept: dict[tuple[str, ...], Any] | None = None,
    ) -> None:
        """`kept` is what earlier rounds found out about the same sets without the network, see Kept."""
        self.sets = sets
        self.painter = painter
        self.each = each
        self._known: dict[tuple[str, ...], Any] = {}
        self._kept = {} if kept is None else kept

    def once(self, key: tuple[str, ...], make: Callable[[], Any]) -> Any:
        """What `make` gives, made the first time that `key` is asked for.

        A key names the set, and the extractor if there is one: what hangs on the network is forgotten with the bench.
        """
        known = self._known if "fake" in key or DISCRIMINATOR in key else self._kept
        if key not in known:
            known[key] = make()
        return known[key]

    def every(self, *kind: str, make: Callable[[str], Any], names: Iterable[str] = SETS) -> dict[str, Any]:
        """What `make` gives for each of these sets, once; `kind` says what, and by which extractor."""
        return {name: self.once((*kind, name), functools.partial(make, name)) for name in names}

    @functools.cached_property
    def pictures(self) -> dict[str, np.ndarray]:
        """Every set as uint8 [N, C, H, W]."""
        return self.every("pictures", make=self._pictures)

    def _pictures(self, name: str) -> np.ndarray:
        sets = self.sets
        if name == "fake":
            return self.painter.samples(sets.count, seed=sets.seed, each=self.each)
        if name == "noise":
            shape = self.once(("pictures", "other"), lambda: self._pictures("other")).shape
            return draw.noise((sets.count, *shape[1:]), seed=stream(sets.seed, "noise pictures"))
        data = sets.reference if name == "reference" else sets.other
        return draw.real(data, sets.rows(data), crop=sets.crop)

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
        return self.every("patches", make=lambda name: descriptors(self.pictures[name], seed=seed))

    @functools.cached_property
    def looks(self) -> dict[str, dict[str, np.ndarray]]:
        """Brightness, contrast, symmetry and outline of every set."""
        return self.every("looks", make=lambda name: looks(self.pictures[name]))

    @functools.cached_property
    def powers(self) -> dict[str, np.ndarray]:
        """Mean squares of the three finest bands of every picture of every set, [N, 3]."""
        return self.every("powers", make=lambda name: powers(self.pictures[name]))

    @functools.cached_property
    def near(self) -> dict[str, np.ndarray]:
        """Distance to the nearest training picture, of samples, noise and all held-out pictures (`reference`)."""
        sets = self.sets

        def small(name: str) -> np.ndarray:
            if name in ("fake", "noise"):
                return np.stack([draw.thumbnail(one) for one in self.pictures[name]])
            data = sets.other if name == "other" else sets.reference
            return draw.thumbnails(data, sets.rows(data, most=MOST_NEAR), crop=sets.crop)

        def distance(name: str) -> np.ndarray:
            return nearest(small(name), self.once(("small", "other"), lambda: small("other")))

        return self.every("near", make=distance, names=("fake", "noise", "reference"))


def walks(count: int) -> int:
    """How many steps of walks are drawn beside `count` samples."""
    return max(LEAST, min(WALKS, count // 4))
