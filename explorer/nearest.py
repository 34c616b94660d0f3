"""The real pictures nearest to a made one, beside how near held-out pictures come: pure functions on arrays.

A distance is the root mean square of the differences of gray levels (0 to 255) over the pixels that people are shown.
Held-out pictures say how near a picture of somebody whom the network never saw comes to its training set by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.pictures import crop
from core.streams import stream

__all__ = [
    "KINDS",
    "SAME",
    "VERDICTS",
    "Answer",
    "Near",
    "Real",
    "Yardstick",
    "answer",
    "measured",
    "near",
    "root_mean_square",
]

KINDS = ("held", "people", "others")
VERDICTS = ("same", "copy", "alone", "smooth", "few", "usual", "far")
SAME = 1.0  # gray levels: what rounding and another program's decoder of JPEG may change
RARE = 0.99  # of the held-out pictures and the one ranked among them show a sign less strongly
NEXT = 10  # people after the nearest one, whom a copy leaves far behind
_BLOCK = 32 << 20  # bytes of real pictures as float32 at a time
_QUERIES = 48 << 20  # of other pictures
_WORK = 1e12  # multiplications for a yardstick
_FEWEST, _MOST = 100, 2000  # pictures that a yardstick is made of, where there are as many
_ROUNDING = 1e-4  # share of the squared lengths that a product in float32 may be wrong by

Box = tuple[int, int, int, int]
Tick = Callable[[float], None]


@dataclass(frozen=True)
class Real:
    """Real pictures in a network's frame, row by row.

    pixels    uint8 [N, C, H, W], an array or a file in its place
    box       (top, left, height, width) of what people are shown of them
    who       int64 [N], the person on each; a picture of nobody known is a person of its own
    training  bool [N], what the network was trained on; the rest was held out
    named     whether `who` tells people, not only pictures, apart
    mirrored  whether the training showed mirror images, too
    """

    pixels: np.ndarray
    box: Box
    who: np.ndarray
    training: np.ndarray
    named: bool
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def kind(self) -> str:
        """What its yardstick is made of: "held" out pictures, whole "people" left out, or all "others"."""
        if not self.training.all():
            return "held"
        return "people" if self.named else "others"

    def shown(self, row: int, *, mirrored: bool = False) -> np.ndarray:
        """A picture as people see it, uint8 [h, w] or [h, w, 3]."""
        whole = self.pixels[row][..., ::-1] if mirrored else self.pixels[row]
        return crop(np.ascontiguousarray(whole.transpose(1, 2, 0) if len(whole) == 3 else whole[0]), self.box)

    def flat(self, rows: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
        """What people see of some pictures, float32 [n, D]."""
        top, left, height, width = self.box
        part = self.pixels[rows][..., ::-1] if mirrored else self.pixels[rows]
        return part[:, :, top : top + height, left : left + width].reshape(len(rows), -1).astype(np.float32)

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray, bool]]:
        """Which of `rows`, their float32 [n, D], and whether these are the mirror images; a block at a time."""
        step = max(1, _BLOCK // (4 * int(np.prod(self.box[2:])) * self.pixels.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            for mirrored in (False, True) if self.mirrored else (False,):
                yield part, self.flat(rows[part], mirrored=mirrored), mirrored


@dataclass(frozen=True)
class Near:
    """A real picture near to a made one: its row, its distance in gray levels, whether it is its mirror image."""

    row: int
    distance: float
    mirrored: bool


@dataclass(frozen=True)
class Yardstick:
    """How near held-out pictures come to what was trained on: float32 [M] each, one number a held-out picture.

    `distances` to the nearest; `leads` are those over the mean distance to the nearest pictures of the next people:
    1 where many lie as near, 0 where one picture alone does. Not finite where there are no other people.
    """

    kind: str
    distances: np.ndarray
    leads: np.ndarray


@dataclass(frozen=True)
class Answer:
    """The nearest real pictures, how near, and how unusual that is.

    `nearer` is the share of held-out pictures that lie farther from what was trained on than this picture does,
    `alone` the share whose nearest one stands out less. `verdict` is one of VERDICTS.
    """

    near: tuple[Near, ...]
    distance: float
    lead: float | None
    nearer: float
    alone: float | None
    verdict: str


def root_mean_square(one: np.ndarray, other: np.ndarray) -> float:
    """The distance of two uint8 pictures of one shape, in gray levels: sqrt(mean((a - b)^2)), exact."""
    return float(np.sqrt(np.square(one.astype(np.int64) - other.astype(np.int64)).mean()))


def near(
    real: Real, sought: Sequence[np.ndarray], *, number: int, tick: Tick = lambda share: None
) -> list[tuple[tuple[Near, ...], float | None]]:
    """Of each picture, uint8 [h, w] or [h, w, 3], the `number` nearest training pictures and the lead of the first.

    Nearest first. Exact: products in float32 leave out what is surely farther, the rest is worked out in whole numbers.
    `tick` is told the share that is done.
    """
    rows = np.flatnonzero(real.training)
    groups = _People(real.who[rows])
    size = int(np.prod(real.box[2:])) * real.pixels.shape[1]
    step = max(1, min(_QUERIES // (4 * size), _QUERIES // (4 * len(rows))))
    found = []
    for start in range(0, len(sought), step):
        part = sought[start : start + step]
        queries = np.stack([_flat(picture) for picture in part])
        squared, flipped, doubt = _squared(real, queries, rows, tick=_part(tick, start, len(part), len(sought)))
        for index, picture in enumerate(part):
            nearest = _exactly(real, picture, rows, squared[index], flipped[index], doubt[index], number=number)
            lead = float(_leads(groups.nearest(squared[index : index + 1]))[0])
            found.append((nearest, lead if np.isfinite(lead) else None))
    return found


def _exactly(
    real: Real,
    picture: np.ndarray,
    rows: np.ndarray,
    squared: np.ndarray,
    flipped: np.ndarray,
    doubt: float,
    *,
    number: int,
) -> tuple[Near, ...]:
    """The `number` nearest by whole numbers, of those that products do not rule out; mends `squared` [n] where so."""
    number = min(number, len(rows))
    limit = np.partition(squared, number - 1)[number - 1] + doubt
    found = []
    for place in np.flatnonzero(squared <= limit).tolist():
        row = int(rows[place])
        ways = (False, True) if real.mirrored else (bool(flipped[place]),)
        away = min((root_mean_square(real.shown(row, mirrored=way), picture), way) for way in ways)
        found.append(Near(row, *away))
        squared[place] = np.float32(away[0] ** 2 * picture.size)
    return tuple(sorted(found, key=lambda one: (one.distance, one.row))[:number])


def measured(real: Real, *, tick: Tick = lambda done: None) -> Yardstick:
    """How near held-out pictures come: the run's own where it held some out, else each without its own person.

    Of very many some are taken, always the same. `tick` is told the share that is done. Needs two people (or pictures).
    """
    training = np.flatnonzero(real.training)
    held = np.flatnonzero(~real.training) if real.kind == "held" else training
    size = int(np.prod(real.box[2:])) * real.pixels.shape[1]
    most = int(min(_MOST, max(_FEWEST, _WORK / (len(training) * size))))
    if len(held) > most:
        held = np.sort(np.random.Generator(np.random.PCG64(stream("yardstick"))).permutation(held)[:most])
    groups = _People(real.who[training])
    step = max(1, min(len(held), _QUERIES // (4 * size), _QUERIES // (4 * len(training))))
    distances, leads = list[np.ndarray](), list[np.ndarray]()
    for start in range(0, len(held), step):
        rows = held[start : start + step]
        squared, _, _ = _squared(real, real.flat(rows), training, tick=_part(tick, start, len(rows), len(held)))
        by_person = groups.nearest(squared, without=real.who[rows])
        first = np.sqrt(by_person[:, 0] / size)
        usable = np.isfinite(first)
        distances.append(first[usable])
        leads.append(_leads(by_person)[usable])
    return Yardstick(real.kind, np.concatenate(distances), np.concatenate(leads))


def answer(
    real: Real, yard: Yardstick, sought: Sequence[np.ndarray], *, number: int, tick: Tick = lambda share: None
) -> list[Answer]:
    """Look for pictures, uint8 [h, w] or [h, w, 3], and say how unusual the distance of each is."""
    known = yard.leads[np.isfinite(yard.leads)]
    answers = []
    for found, lead in near(real, sought, number=number, tick=tick):
        distance = found[0].distance
        nearer = float((yard.distances > distance).mean())
        alone = float((known > lead).mean()) if lead is not None and len(known) else None
        verdict = _verdict(distance, nearer, alone, counts=(len(yard.distances), len(known)))
        answers.append(Answer(found, distance, lead, nearer, alone, verdict))
    return answers


def _verdict(distance: float, nearer: float, alone: float | None, *, counts: tuple[int, int]) -> str:
    """Two signs: how near, and whether one picture alone is near. An average picture is near to many people's.

    `counts` are how many held-out pictures each sign was ranked among.
    """
    if distance <= SAME:
        return "same"
    close = _rare(nearer, counts[0])
    apart = alone is not None and _rare(alone, counts[1])
    if close and (apart or alone is None):
        return "copy"
    if apart:
        return "alone"
    signs = [(nearer, counts[0])] + ([] if alone is None else [(alone, counts[1])])
    if any(share >= RARE and not _rare(1.0, count) for share, count in signs):
        return "few"
    if close:
        return "smooth"
    return "far" if nearer <= 1 - RARE else "usual"


def _rare(share: float, count: int) -> bool:
    """Whether a share of `count` pictures says that a sign is rare: the one ranked counts too, so 99 at least do."""
    return round(share * count) / (count + 1) >= RARE


def _part(tick: Tick, start: int, count: int, total: int) -> Tick:
    """`tick` for `count` rows from `start` on of `total`."""
    return lambda share: tick((start + share * count) / total)


def _flat(picture: np.ndarray) -> np.ndarray:
    """float32 [D], in the order of Real.flat."""
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    return planes.reshape(-1).astype(np.float32)


def _squared(
    real: Real, queries: np.ndarray, rows: np.ndarray, *, tick: Tick = lambda share: None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared lengths float32 [M, n] between queries [M, D] and rows, the nearer way round; mirrored [M, n]; doubt [M].

    |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, both less the mean of the queries, which keeps the numbers small.
    """
    middle = queries.mean(axis=0)
    queries = queries - middle
    own = np.square(queries).sum(axis=1)
    squared = np.full((len(queries), len(rows)), np.inf, np.float32)
    flipped = np.zeros(squared.shape, bool)
    longest = 0.0
    for part, block, mirrored in real.blocks(rows):
        block -= middle
        lengths = np.square(block).sum(axis=1)
        longest = max(longest, float(lengths.max()))
        found = own[:, None] + lengths - 2 * (queries @ block.T)
        flipped[:, part] |= mirrored & (found < squared[:, part])
        squared[:, part] = np.minimum(squared[:, part], np.maximum(found, 0))
        tick(min(1.0, part.stop / len(rows)))
    return squared, flipped, _ROUNDING * (own + longest)


class _People:
    """Rows of one person each, to find the nearest picture of every person."""

    def __init__(self, who: np.ndarray) -> None:
        self._order = np.argsort(who, kind="stable")
        self._names, self._starts = np.unique(who[self._order], return_index=True)

    def nearest(self, squared: np.ndarray, *, without: np.ndarray | None = None) -> np.ndarray:
        """Squared lengths [M, n] -> those of the nearest people, ascending: [M, NEXT + 1 or as many as there are].

        `without` [M] is a person who does not count for each row; what is missing is infinite.
        """
        least = np.minimum.reduceat(squared[:, self._order], self._starts, axis=1)
        if without is not None:
            places = np.searchsorted(self._names, without)
            there = np.flatnonzero(self._names[np.minimum(places, len(self._names) - 1)] == without)
            least[there, places[there]] = np.inf
        count = min(NEXT + 1, least.shape[1])
        return np.sort(np.partition(least, count - 1, axis=1)[:, :count], axis=1)


def _leads(by_person: np.ndarray) -> np.ndarray:
    """The nearest over the mean of the next people's nearest, [M, k] squared -> [M]; NaN where there are none."""
    lengths = np.sqrt(by_person)
    others = np.where(np.isfinite(lengths[:, 1:]), lengths[:, 1:], np.nan)
    counts = np.isfinite(others).sum(axis=1)
    means = np.nansum(others, axis=1) / np.maximum(counts, 1)
    return np.where((counts > 0) & (means > 0), lengths[:, 0] / np.where(means > 0, means, 1), np.nan)
