"""Flags -> recipes and places, and what every verb says alike."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core import latents, pictures
from core.carried import is_film, read_carried
from core.engine import choose_device
from core.errors import CheckpointError, OutputError, PictureError, SettingError
from explorer import kept, schema
from explorer.enclosed import KEPT_KEY, unpack
from explorer.recipe import Recipe, parse_grown
from explorer.studio import PRECISIONS, TEXT_KEY, Studio
from explorer.timeline import Timeline

__all__ = [
    "Steps",
    "needed",
    "needed_png",
    "note",
    "place_for",
    "recipe_of",
    "say",
    "several",
    "spots",
    "studio_of",
    "timeline_of",
]


def studio_of(flags: argparse.Namespace) -> Studio:
    """The studio that --checkpoints, --runs, --device and --precision say."""
    if flags.precision not in PRECISIONS:
        raise SettingError("precision", flags.precision, "auto, float32 or bfloat16")
    choose_device(flags.device)
    return Studio(flags.checkpoints, flags.runs, device=flags.device, precision=flags.precision)


def recipe_of(flags: argparse.Namespace, *, run: str | None = None) -> tuple[Studio, Recipe]:
    """The studio, and the recipe that --recipe and the flags say; flags win. Its network is known to be there.

    Whether that one has the class of --label, Studio.check says.
    """
    given: dict[str, Any] = {}
    if getattr(flags, "recipe", None) is not None:
        given = schema.loads(_content(flags.recipe, name="recipe"))
        Recipe.parse(schema.inner(given, "recipe"))
    recipe = _with_flags(given, flags)
    studio = studio_of(flags)
    if run is not None:
        name = studio.admit_run(run)
    elif flags.checkpoint is not None:
        if not flags.checkpoint:
            raise SettingError("checkpoint", "", "a network's name or the path of its file")
        name = studio.admit(flags.checkpoint)
    else:
        name = studio.network(recipe.checkpoint).name
    enclosed = _enclosed(getattr(flags, "recipe", None))
    if enclosed is not None:
        try:
            given, new = unpack(given, enclosed, studio.network(name))
        except CheckpointError as wrong:  # --seeds may take the place of what is enclosed; if not, that is missed below
            new = []
            print(f"note: {wrong}", file=sys.stderr)
        recipe = _with_flags(given, flags)
        for one in new:
            print(f"note: {one}, which the picture encloses, is kept beside {name}", file=sys.stderr)
    return studio, replace(recipe, checkpoint=name)


def several(flags: argparse.Namespace) -> tuple[Studio, list[Recipe]]:
    """The studio, and the pictures that --seeds or --recipes name.

    What a recipe of --recipes leaves out is as the flags say; --checkpoint goes for all of them.
    """
    if (flags.seeds is None) == (flags.recipes is None):
        raise SettingError("seeds", flags.seeds or "nothing", "give --seeds or --recipes, one of the two")
    if flags.seeds is not None:
        named = spots(flags.seeds)
        studio, base = recipe_of(flags)
        # A point is shown as it was found, unless somebody says how near to the average.
        found = base if flags.psi is not None else replace(base, psi=1.0)
        return studio, [base.with_seed(spot) if isinstance(spot, int) else found.with_point(spot) for spot in named]
    entries = schema.loads(_content(flags.recipes, name="recipes"))
    if not isinstance(entries, list) or len(entries) > latents.MOST_SEEDS:
        raise SettingError("recipes", flags.recipes, f"a JSON list of at most {latents.MOST_SEEDS} recipes")
    for place, entry in enumerate(entries):
        Recipe.parse(schema.inner(entry, f"recipes[{place}]"))
    studio, base = recipe_of(flags)
    _check_label(flags, studio, base)
    parsed = [Recipe.parse({**_flagged(flags), **entry}) for entry in entries]
    if flags.checkpoint is not None:
        return studio, [replace(one, checkpoint=base.checkpoint) for one in parsed]
    return studio, [replace(one, checkpoint=studio.network(one.checkpoint).name) for one in parsed]


def spots(text: str) -> list[int | str]:
    """Seeds, and names of points with an @ before each, such as `3,@scan,9-12`, in the order given.

    Raises SettingError naming the part that is wrong.
    """
    found: list[int | str] = []
    for is_point, parts in itertools.groupby(text.split(","), key=lambda part: part.strip().startswith("@")):
        if is_point:
            found.extend(kept.check_name(part.strip()[1:]) for part in parts)
        else:
            found.extend(latents.parse_seeds(",".join(parts)))
    if len(found) > latents.MOST_SEEDS:
        raise SettingError("seeds", f"{len(found)} of them", f"at most {latents.MOST_SEEDS} seeds at once")
    return found


def timeline_of(flags: argparse.Namespace) -> tuple[Studio, Timeline]:
    """The studio, and the timeline of --timeline: what its recipes leave out is as the flags say, as in --recipes."""
    text = _timeline_text(flags.timeline)
    studio, base = recipe_of(flags)
    _check_label(flags, studio, base)
    found = Timeline.parse(text, base=_flagged(flags))
    named = [
        replace(one, checkpoint=studio.network(one.checkpoint).name if flags.checkpoint is None else base.checkpoint)
        for one in found.recipes
    ]
    return studio, found.with_recipes(named)


def _timeline_text(text: str) -> str:
    """JSON given on the command line, in a file (@FILE), or inside a film (@FILE.gif)."""
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            with path.open("rb") as file:
                film = is_film(file.read(12))
        except (OSError, ValueError):
            return _content(text, name="timeline")  # which says why
        if film:
            found = read_carried(path)
            if found is None:
                raise PictureError(f"{path} carries no timeline; only a film that Styloscope wrote does")
            return found
    return _content(text, name="timeline")


def _with_flags(given: dict[str, Any], flags: argparse.Namespace) -> Recipe:
    flagged = _flagged(flags)
    label = flagged.pop("label", None)
    recipe = Recipe.parse({**given, **flagged})
    # A recipe knows no network, and so only how many classes any may have.
    return recipe if label is None else replace(recipe, label=label)


def _check_label(flags: argparse.Namespace, studio: Studio, base: Recipe) -> None:
    """Check --label where --checkpoint says the network of all recipes. Raises SettingError."""
    if flags.label is not None and flags.checkpoint is not None:
        studio.check(Recipe(checkpoint=base.checkpoint, label=flags.label))


def _flagged(flags: argparse.Namespace) -> dict[str, Any]:
    """The fields of a recipe that flags give."""
    given = {name: getattr(flags, name) for name in ("psi", "cutoff", "label") if getattr(flags, name) is not None}
    if flags.noise is not None:
        digits = flags.noise.isascii() and flags.noise.removeprefix("-").isdigit() and len(flags.noise) < 20
        given["noise"] = int(flags.noise) if digits else flags.noise
    if flags.grown is not None:
        given["grown"] = parse_grown(flags.grown)
    return given


def _content(text: str, *, name: str) -> str:
    """JSON given on the command line, in a file (@FILE), or in the text chunk of a PNG (@FILE.png)."""
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        if path.stat().st_size > 512 << 20:
            raise SettingError(name, path, "a file of at most 512 MB")
        data = path.read_bytes()
    except (OSError, ValueError) as wrong:
        reason = getattr(wrong, "strerror", None) or str(wrong)
        raise SettingError(name, text, f"that file cannot be read ({reason})") from wrong
    if data.startswith(b"\x89PNG"):
        found = pictures.read_text(data, name=str(path)).get(TEXT_KEY)
        if found is None:
            raise PictureError(f"{path} carries no recipe; only a PNG that Styloscope wrote does")
        return found
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise SettingError(name, text, "JSON in UTF-8, or a PNG that carries it") from wrong


def _enclosed(text: str | None) -> Any:
    """What the PNG that --recipe names encloses beside its recipe, as JSON; None where it is nothing, or no PNG."""
    if text is None or not text.startswith("@"):
        return None
    data = Path(text[1:]).read_bytes()
    found = pictures.read_text(data, name=text[1:]).get(KEPT_KEY) if data.startswith(b"\x89PNG") else None
    return None if found is None else schema.loads(found)


def needed(out: Path | None, words: str) -> Path:
    """--out, which `words` describe. Raises SettingError where it is missing."""
    if out is None:
        raise SettingError("out", "nothing", f"give --out: {words}")
    return out


def needed_png(out: Path | None) -> Path:
    """--out for a sheet. Raises SettingError where it is missing or no PNG."""
    out = needed(out, "X.png")
    if out.suffix.lower() != ".png":
        raise SettingError("out", out, "a sheet is written as .png")
    return out


def place_for(target: Path) -> None:
    """Raise OutputError where `target` could not be written, before work goes into it; makes nothing."""
    if target.is_dir() and target.suffix:
        raise OutputError(f"{target} is a folder; name a file")
    folder = target.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{target} cannot be written, because {folder} is a file; name another place")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{target} cannot be written: the folder {folder} is not writable; name another place")


def say(flags: argparse.Namespace, written: Sequence[Path], **told: Any) -> None:
    """Print what was written, one path a line, or with --json as one object with the rest of `told`."""
    if flags.json:
        print(json.dumps({"written": [str(path) for path in written], **told}))
    else:
        for path in written:
            print(path)


def note(studio: Studio, *recipes: Recipe) -> None:
    """Say on stderr, once, where recipes were made with another network of that name, or not drawn where asked for."""
    said = [sentence for recipe in recipes for sentence in (studio.note(recipe), studio.warning(recipe))]
    for sentence in filter(None, dict.fromkeys(said)):
        print(f"note: {sentence}", file=sys.stderr)


class Steps:
    """Steps of long work: a JSON line each for programs (--progress), a bar for people at a terminal, else silence."""

    def __init__(self, flags: argparse.Namespace, total: int | None) -> None:
        self._lines = flags.progress
        self._bar = tqdm(total=total, leave=False, disable=flags.progress or not sys.stderr.isatty())
        self._done = 0
        self._total = total

    def __call__(self) -> None:
        """One step further."""
        self.at(self._done + 1, self._total or 0)

    def at(self, done: int, total: int) -> None:
        """`done` of `total` steps are behind."""
        if self._lines:
            print(json.dumps({"done": done, "total": total}), file=sys.stderr, flush=True)
        self._bar.total = total
        self._bar.update(done - self._done)
        self._done = done
        if done >= total:
            self._bar.close()
