"""All figures of a network, each with the two rows that make it readable and with what it was measured on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.errors import SettingError
from core.generator import Generator
from train.data import Data
from train.metrics import inception as weights
from train.metrics.bench import LEAST, Bench, Kept, Sets, divide, walks
from train.metrics.draw import Painter
from train.metrics.features import BATCH, DISCRIMINATOR, INCEPTION, RANDOM, Extractor, discriminator, random_network
from train.metrics.measures import MEASURES, Measure, read_names

__all__ = ["chosen", "default_count", "evaluate", "rank", "steps"]

MOST = 50000
DRAWN = 24_000_000  # pixels of samples where no count is given
JUDGED = 9_200_000  # pixels of samples that the discriminator looks at, which is slower


def evaluate(
    generator: Generator,
    discriminator: nn.Module | None,
    data: Data,
    *,
    held: Data | None = None,
    names: str | Iterable[str] = (),
    count: int | None = None,
    seed: int = 0,
    device: torch.device,
    crop: Sequence[int] | None = None,
    inception: str | Path | None = None,
    each: Callable[[], None] = lambda: None,
    alpha: float = 1.0,
    mirrored: bool | None = None,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Measure `generator` against `data`, or against `held` with `data` as what it was trained on.

    `names` none is all that needs no Inception; `count` pictures of every set, None what ends in minutes on a CPU;
    samples are the pictures of seeds `seed` and up at psi 1. `crop` None is that of the data's frame. `each` is called
    after every picture drawn, every batch judged and every figure, `steps` times in all, and may raise to stop. `alpha`
    is that of a network that grows, of its newest size: so are its pictures drawn, and so does its discriminator look.
    The generator is moved to `device`. `mirrored` is whether it was trained with --mirror, None where nobody knows.
    `kept` is what earlier rounds of the same training worked out of the real pictures; it changes no figure.

    Returns name -> {value, real, noise, error, real_error, goal, title, extractor, n, filter, seed, data, against,
    mirrored} (and `levels` or `scales`); errors are standard errors of `value` and of `real`, see docs/metrics.md.
    What cannot be said, such as a ratio to nothing, is None. No global random stream is touched. Raises SettingError
    for an unknown name or count, DataError for too few pictures, missing weights or a network that is not finite.
    """
    measures = chosen(names, judged=discriminator is not None, inception=inception is not None)
    box = tuple(data.frame.crop if crop is None else crop)
    given = _count(count, box)
    labels = data.labels if data.labels is not None and generator.num_classes else None
    sets = divide(data, held=held, count=given, crop=(box[0], box[1], box[2], box[3]), seed=seed)
    extractors = _extractors(
        measures, discriminator, sets, channels=data.channels, inception=inception, device=device, alpha=alpha
    )
    painter = Painter(generator, crop=box, labels=labels, device=device, alpha=alpha)
    told = (
        [(part.fingerprint, len(part), part.channels, part.frame) for part in (data, held) if part is not None],
        (given, box, seed, str(inception)),
    )
    bench = Bench(sets, painter, each=each, kept=None if kept is None else kept.of(told))
    figures = {}
    for measure in measures:
        extractor = extractors.get(measure.extractor)
        number = _number(measure, count, sets)
        rows, more = measure.run(bench, extractor, number)
        figures[measure.name] = {
            **{key: _finite(value) for key, value in zip(("value", "real", "noise"), rows, strict=True)},
            "error": None,
            "real_error": None,
            "goal": measure.goal,
            "title": measure.title,
            "extractor": extractor.says if extractor else None,
            "n": measure.number(number),
            "filter": _filter(data, measure),
            "seed": seed,
            "data": data.fingerprint,
            "against": "held-out pictures" if held is not None else "half of the pictures",
            "mirrored": mirrored,
            **more,
        }
        each()
    return figures


def chosen(names: str | Iterable[str], *, judged: bool, inception: bool) -> list[Measure]:
    """The measures that are meant, in the order of the table; for no name all that can be had.

    Raises SettingError for an unknown name, and for one that needs a discriminator where there is none.
    """
    asked = read_names(names)
    there = {"", RANDOM, *([DISCRIMINATOR] if judged else []), *([INCEPTION] if inception else [])}
    if not asked:
        return [measure for measure in MEASURES if measure.extractor in there]
    found = [measure for measure in MEASURES if measure.name in asked]
    wanting = [measure.name for measure in found if measure.extractor == DISCRIMINATOR]
    if wanting and not judged:
        raise SettingError("metrics", wanting[0], "the network file has no discriminator; leave that measure out")
    return found


def steps(measures: Sequence[Measure], count: int | None, crop: Sequence[int]) -> int:
    """About how often `evaluate` calls `each`, where the data have enough pictures."""
    given = _count(count, crop)
    total = given + len(measures)
    if any(measure.name.startswith("path") for measure in measures):
        total += 2 * walks(given)
    for name in {measure.extractor for measure in measures} - {""}:
        total += 4 * -(-(_judged(count, given, crop) if name == DISCRIMINATOR else given) // BATCH)
    return total


def rank(figure: Mapping[str, Any]) -> float:
    """How far a figure is from the best, so that the smallest is the best; infinity where it has no value."""
    value = figure["value"]
    if value is None:
        return math.inf
    if figure["goal"] == "real":
        return math.inf if figure["real"] is None else abs(value - figure["real"])
    return float(value) if figure["goal"] == "lower" else -float(value)


def default_count(crop: Sequence[int]) -> int:
    """How many pictures of a set are taken where nobody says: 1000 of small ones, fewer of large ones, at least 250."""
    return min(1000, max(250, DRAWN // (crop[2] * crop[3])))


def _count(count: int | None, crop: Sequence[int]) -> int:
    if count is not None and not LEAST <= count <= MOST:
        raise SettingError("count", count, f"a whole number from {LEAST} to {MOST}")
    return default_count(crop) if count is None else count


def _judged(count: int | None, given: int, crop: Sequence[int]) -> int:
    return given if count is not None else min(given, max(250, JUDGED // (crop[2] * crop[3])))


def _number(measure: Measure, count: int | None, sets: Sets) -> int:
    return _judged(count, sets.count, sets.crop) if measure.extractor == DISCRIMINATOR else sets.count


def _extractors(
    measures: Sequence[Measure],
    judge: nn.Module | None,
    sets: Sets,
    *,
    channels: int,
    inception: str | Path | None,
    device: torch.device,
    alpha: float,
) -> dict[str, Extractor]:
    wanted = {measure.extractor for measure in measures}
    found = {}
    if INCEPTION in wanted:
        found[INCEPTION] = weights.load(weights.find(inception), device=device)
    if RANDOM in wanted:
        found[RANDOM] = random_network(channels, device=device)
    if DISCRIMINATOR in wanted and judge is not None:
        found[DISCRIMINATOR] = discriminator(judge, crop=sets.crop, device=device, alpha=alpha)
    return found


def _filter(data: Data, measure: Measure) -> str:
    """How the pictures were resized on their way."""
    says = f"lanczos, fit {data.frame.fit}"
    if data.averaged:
        says += f"; averages to {data.frame.size[0]}x{data.frame.size[1]}"
    if measure.extractor == INCEPTION:
        return f"{says}; bilinear as in TensorFlow 1 to 299x299"
    return f"{says}; lanczos to 48 pixels" if measure.name.startswith("near") else says


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
