"""The verb `nearest`: the nearest real pictures of samples, in words, as numbers and as a sheet."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core import latents, pictures
from core.errors import SettingError
from core.sheet import captioned
from explorer import compare, realset
from explorer.flags import Steps, needed_png, note, place_for, recipe_of, say
from explorer.gathering import Gathered, Look
from explorer.nearest import VERDICTS, Answer, Yardstick, answer
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.sheets import MOST_CELLS, check_title
from explorer.studio import TEXT_KEY

__all__ = ["MOST_NEAR", "Words", "do_nearest", "told", "words"]

MOST_NEAR = 16
AMPLIFY = 2
_LEGIBLE = 160  # pixels a side that a picture on the sheet has at least
_READ, _MEASURED, _STEPS = 500, 950, 1000  # of the progress: pictures read, yardstick made, all done
_LOOK = "look at the two side by side before the picture or the network is given to anybody"


@dataclass(frozen=True)
class Words:
    """An answer in sentences: how near, what that says, and what it was measured by."""

    distance: str
    verdict: str
    how: tuple[str, ...]


def words(found: Answer, yard: Yardstick, real: Gathered) -> Words:
    """Say an answer carefully: what no distance of whole pictures can show is said too."""
    first = found.near[0]
    name = f"the mirror image of {real.names[first.row]}" if first.mirrored else real.names[first.row]
    away = f"It lies {first.distance:.1f} gray levels from {name}"
    return Words(f"{away}: {_rank(found.nearer)}.", _verdict(found, name, real), _how(yard, real))


def _rank(nearer: float) -> str:
    if nearer == 1:
        return "nearer to a training picture than any held-out picture is"
    if nearer == 0:
        return "farther from every training picture than any held-out picture is"
    return f"nearer to a training picture than {int(100 * nearer)} in 100 held-out pictures are"


def _verdict(found: Answer, name: str, real: Gathered) -> str:
    people, one = ("people", "another person") if real.real.named else ("pictures", "another picture")
    return {
        "same": f"This is {name}, as far as gray levels tell; {_LOOK}.",
        "copy": f"And it stands alone there, nothing of {one} nearly as near: it may be a copy; {_LOOK}.",
        "alone": f"But {name} stands out more than for 99 in 100 held-out pictures, everything of {one} being farther "
        f"than usual: it may be a copy that was moved, turned or brightened; {_LOOK}.",
        "smooth": f"But several {people} lie as near, as they do to smooth and average pictures: no sign of a copy of "
        "one of them, which is no proof that there is none.",
        "few": f"But held-out pictures are too few to tell how rare that is, or how far {name} stands out: 99 at least "
        f"are needed, so it may be a copy; {_LOOK}.",
        "usual": "That is usual for pictures that the network never saw: no sign of a copy, which is no proof that "
        "there is none; a part of a picture, or one that was moved, can be copied all the same.",
        "far": "Hardly any held-out picture is as far from the training: no sign of a copy of a whole picture, which "
        "is no proof that no part of one was copied.",
    }[found.verdict]


def _how(yard: Yardstick, real: Gathered) -> tuple[str, ...]:
    count = len(yard.distances)
    held = {
        "held": f"Held-out pictures are {count} that the run kept out of its training",
        "people": f"No picture is known to be held out, so {count} pictures of the set stand for them, each looked for "
        "among those of other people, whom the files' names or dataset.json tell apart",
        "others": f"No picture is known to be held out, nor who is on them, so {count} pictures stand for them, each "
        "looked for among all others; where the set has several of one person, a copy seems more usual than it is",
    }[yard.kind]
    return (held + ".", _PROOFS[real.proof], *(f"{one[:1].upper()}{one[1:]}." for one in real.says))


_PROOFS = {
    "same": "The network was trained on these very pictures: their fingerprint is the one in its header.",
    "count": "The set has as many pictures as the network was trained on; whether they are the same, its header does "
    "not say.",
    "other": "The network was trained on other pictures than these, by what its header says: this answer is about "
    "these alone, and not about its training.",
    "unknown": "The network's header does not say which pictures it was trained on, so whether it was these is for you "
    "to know.",
}


def told(found: Answer, yard: Yardstick, real: Gathered) -> dict[str, Any]:
    """An answer as JSON values: names, distances, ranks, words."""
    said = words(found, yard, real)
    return {
        "distance": round(found.distance, 3),
        "lead": None if found.lead is None else round(found.lead, 4),
        "nearer": round(found.nearer, 5),
        "alone": None if found.alone is None else round(found.alone, 5),
        "verdict": found.verdict,
        "words": [said.distance, said.verdict],
        "near": [
            {"name": real.names[one.row], "distance": round(one.distance, 3), "mirrored": one.mirrored}
            for one in found.near
        ],
    }


def measure(yard: Yardstick, real: Gathered) -> dict[str, Any]:
    """What answers were measured by, as JSON values."""
    marks = np.percentile(yard.distances, (0, 1, 5, 50, 95, 100)).round(3).tolist()
    return {
        "data": real.look.choice.name,
        "pictures": int(real.real.training.sum()),
        "proof": real.proof,
        "mirrored": real.real.mirrored,
        "held": {
            "kind": yard.kind,
            "count": len(yard.distances),
            **dict(zip(("least", "p1", "p5", "median", "p95", "most"), marks, strict=True)),
        },
        "how": list(_how(yard, real)),
    }


# --- the verb ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """A picture to look for: what it is called, its recipe (None for a file), its pixels as the set has them."""

    name: str
    recipe: Recipe | None
    picture: np.ndarray


def do_nearest(flags: argparse.Namespace) -> None:
    """Say which real pictures lie nearest, how near held-out ones come, and draw them as a sheet."""
    seeds, files, out = _asked(flags)
    studio, base = recipe_of(flags)
    recipes = [base.with_seed(seed) for seed in seeds]
    if not seeds and not files:
        recipes = [base]
    network = studio.check(base)
    for recipe in recipes:
        studio.check(recipe)
    if out is not None:
        place_for(out)
        _check_pixels((len(recipes) + len(files)) * (flags.number + 2), network.pixels(base.grown))
    for path in files:
        pictures.read_header(path)  # raises for what is missing or no picture
    step = Steps(flags, _STEPS)
    real, yard = _prepared(flags, network, base, step)
    samples = [_Sample(f"seed {one.seed}", one, real.fitted(studio.exact(one))) for one in recipes]
    samples += [_Sample(one.name, None, real.placed(pictures.read(one))) for one in files]
    sought = [one.picture for one in samples]
    found = answer(real.real, yard, sought, number=flags.number, tick=lambda share: step.at(_share(share), _STEPS))
    step.at(_STEPS, _STEPS)
    if out is not None:
        drawn = [one.to_dict() for one in recipes]
        about = {"verb": "nearest", "recipes": drawn, "checkpoint": network.name, "sha": network.sha}
        about |= measure(yard, real)
        pictures.write_png(out, sheet(samples, found, real, title=flags.title), {TEXT_KEY: json.dumps(about)})
    note(studio, base)
    _say(flags, out, samples, found, real, yard)


def _asked(flags: argparse.Namespace) -> tuple[list[int], list[Path], Path | None]:
    """Seeds and files to look for, and the sheet. Raises SettingError for what is wrong whatever the network."""
    if flags.seeds is None and flags.recipe is None and not flags.picture:
        raise SettingError("seeds", "nothing", "give --seeds such as 0-7, --recipe, or --picture FILE")
    seeds = latents.parse_seeds(flags.seeds) if flags.seeds is not None else []
    if not 1 <= flags.number <= MOST_NEAR:
        raise SettingError("number", flags.number, f"1 to {MOST_NEAR}")
    files = [Path(one) for one in flags.picture or ()]
    check_title(flags.title)
    out = needed_png(flags.out) if flags.out is not None else None
    if out is not None and (len(seeds) + len(files)) * (flags.number + 2) > MOST_CELLS:
        raise SettingError("seeds", f"{len(seeds)} of them", f"a sheet has at most {MOST_CELLS} cells")
    return seeds, files, out


def _check_pixels(cells: int, pixels: int) -> None:
    """Raise SettingError where a sheet of so many cells of so many pixels is too large."""
    if cells * pixels > pictures.PIXEL_LIMIT:
        limit = pictures.PIXEL_LIMIT // 10**6
        raise SettingError("seeds", f"{cells} cells", f"a sheet has at most {limit} million pixels")


def _share(share: float) -> int:
    """The step at which that share of the samples is looked for; the last one is their end."""
    return _MEASURED + int(share * (_STEPS - _MEASURED - 1))


def _prepared(flags: argparse.Namespace, network: Network, base: Recipe, step: Steps) -> tuple[Gathered, Yardstick]:
    given = [Path(flags.data)] if flags.data is not None else []
    if given and str(flags.data) == realset.PHANTOMS and not given[0].exists():
        # Elsewhere the word stands for a set.
        raise SettingError("data", flags.data, "phantoms are drawn anew each time, so there is no set to look through")
    choices = realset.choices(network, given, follow=True)
    if given:
        choices = [one for one in choices if not one.own] or choices
    if not choices:
        raise SettingError("data", "nothing", realset.nothing(network))
    chosen = replace(choices[0], mirror=True) if flags.mirror else choices[0]
    look = Look(chosen, network, base.grown)
    real = look.kept()
    if real is None:
        real = look.read(progress=lambda done, total: step.at(done * _READ // total, _STEPS))
    held = real.measured(progress=lambda done, total: step.at(_READ + done * (_MEASURED - _READ) // total, _STEPS))
    assert held is not None
    return real, held


def sheet(samples: Sequence[_Sample], found: Sequence[Answer], real: Gathered, *, title: str | None) -> np.ndarray:
    """Samples beside their nearest real pictures and the difference to the first, a row each, uint8."""
    height, width = real.real.box[2:]
    times = max(1, -(-_LEGIBLE // max(height, width)))
    cells = list[np.ndarray]()
    for sample, one in zip(samples, found, strict=True):
        shown = [(real.real.shown(near.row, mirrored=near.mirrored), near) for near in one.near]
        rank = f"nearer: {int(100 * one.nearer)} in 100"
        cells.append(captioned(sample.picture, [sample.name, rank], times=times))
        cells += [captioned(picture, _caption(real, near), times=times) for picture, near in shown]
        apart = compare.picture(sample.picture, shown[0][0], amplify=AMPLIFY, signed=False)
        cells.append(captioned(apart, [f"first two, x{AMPLIFY}", ""], times=times))
    count = max(len(one.near) for one in found)
    name = f"{real.look.choice.name}: root mean square of gray levels to the nearest of {int(real.real.training.sum())}"
    labels = ["looked for", *(["real"] * count), "difference"]
    return pictures.grid(cells, columns=count + 2, gap=6, title=title or name, column_labels=labels)


def _caption(real: Gathered, near: Any) -> list[str]:
    name = Path(real.names[near.row]).stem + (" mirrored" if near.mirrored else "")
    return ["".join(c if c.isprintable() else "?" for c in name), f"{near.distance:.1f}"]


def _say(
    flags: argparse.Namespace,
    out: Path | None,
    samples: Sequence[_Sample],
    found: Sequence[Answer],
    real: Gathered,
    yard: Yardstick,
) -> None:
    rows = [
        {"seed": None if one.recipe is None else one.recipe.seed, "name": one.name, **told(answered, yard, real)}
        for one, answered in zip(samples, found, strict=True)
    ]
    whole = _summary(found)
    say(flags, [out] if out is not None else [], rows=rows, summary=whole, **measure(yard, real))
    if flags.json:
        return
    # Where a path is printed the words go to the other stream, so that programs can read the path.
    place = sys.stdout if out is None else sys.stderr
    verdicts: dict[str, list[str]] = {}
    for one, answered in zip(samples, found, strict=True):
        said = words(answered, yard, real)
        print(f"{one.name}: {said.distance}", file=place)
        verdicts.setdefault(said.verdict, []).append(one.name)
    for verdict, names in verdicts.items():
        print(f"{_several(names)}: {verdict}", file=place)
    if len(found) > 1:
        held = yard.distances
        median = f"median distance {whole['median']:.1f} (of held-out pictures {float(np.median(held)):.1f})"
        print(f"All {len(found)}: {median}, smallest {whole['least']:.1f} ({held.min():.1f}).", file=place)
    for sentence in _how(yard, real):
        print(sentence, file=place)


def _several(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])} and {len(names) - 8} more"


def _summary(found: Sequence[Answer]) -> dict[str, Any]:
    """What all that was looked for has in common, as a model card says it."""
    distances = [one.distance for one in found]
    verdicts = {name: sum(one.verdict == name for one in found) for name in VERDICTS}
    return {"count": len(found), "median": float(np.median(distances)), "least": min(distances), "verdicts": verdicts}
