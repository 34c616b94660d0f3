"""What each verb does once its flags are read. All that can be wrong is looked for before a network is loaded."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from core import latents, pictures
from core.animation import check_scale
from core.errors import SettingError
from explorer import animate, compare, sheets
from explorer.charting import do_map
from explorer.converting import do_convert
from explorer.flags import (
    Steps,
    needed,
    needed_png,
    note,
    place_for,
    recipe_of,
    say,
    several,
    spots,
    studio_of,
    timeline_of,
)
from explorer.inspection import do_inspect
from explorer.layering import do_layers
from explorer.nearing import do_nearest
from explorer.projecting import do_project
from explorer.recipe import Recipe
from explorer.steering import do_directions
from explorer.studio import TEXT_KEY, Studio
from explorer.timeline import Timeline, alone

__all__ = [
    "do_bilinear",
    "do_compare",
    "do_convert",
    "do_directions",
    "do_grid",
    "do_inspect",
    "do_interpolate",
    "do_layers",
    "do_list",
    "do_map",
    "do_mix",
    "do_nearest",
    "do_project",
    "do_render",
]

_FRESH_SEEDS = range(1_000_000)  # short enough to be typed again
_PICTURE_SUFFIXES = (".gif", ".jpeg", ".jpg", ".mp4", ".png", ".tif", ".tiff", ".webp")


def do_list(flags: argparse.Namespace) -> None:
    """Print the networks found, and on stderr the files that could not be read."""
    studio = studio_of(flags)
    found = studio.networks()
    if flags.json:
        print(json.dumps({"networks": [network.entry() for network in found]}))
    for network in found if not flags.json else ():
        shape = f"{network.size[0]}x{network.size[1]} {'gray' if network.channels == 1 else 'RGB'}"
        classes = f", {network.classes} classes" if network.classes else ""
        if network.grows:
            classes += f", grown from {network.sizes[0][0]}x{network.sizes[0][1]}"
        print(f"{network.name}\t{network.architecture}, {shape}, {network.layers} layers{classes}\t{network.path}")
    for sentence in studio.refused().values():
        print(f"left out: {sentence}", file=sys.stderr)
    if not found:
        print(f"note: {studio.nothing()}", file=sys.stderr)


def do_render(flags: argparse.Namespace) -> None:
    """Write one PNG a seed, or the recipe's own picture."""
    if flags.seeds is None and flags.recipe is None:
        raise SettingError("seeds", "nothing", "give --seeds such as 0-7, or --recipe")
    seeds = list(dict.fromkeys(latents.parse_seeds(flags.seeds))) if flags.seeds is not None else []
    out = needed(flags.out, "a folder, or X.png for one picture")
    if flags.bits not in (8, 16):
        raise SettingError("bits", flags.bits, "8 or 16")
    studio, base = recipe_of(flags)
    recipes = [base.with_seed(seed) for seed in seeds] or [base]
    targets = [out]
    if out.suffix.lower() != ".png":
        if out.suffix.lower() in _PICTURE_SUFFIXES:
            raise SettingError("out", out, "pictures are written as .png, or into a folder")
        targets = [out / (f"seed{one.seed:04d}.png" if seeds else "picture.png") for one in recipes]
    elif len(recipes) > 1:
        raise SettingError("out", out, f"{len(recipes)} pictures need a folder, a path without .png")
    for recipe in recipes:
        studio.check(recipe)
    place_for(targets[0])
    step = Steps(flags, len(recipes))
    for recipe, target in zip(recipes, targets, strict=True):
        pictures.write_png(target, studio.exact(recipe, bits=flags.bits), studio.text(recipe, bits=flags.bits))
        step()
    note(studio, base)
    intensity = studio.network(base.checkpoint).intensity if flags.bits == 16 else None
    say(
        flags,
        targets,
        recipes=[json.loads(studio.text(recipe)[TEXT_KEY]) for recipe in recipes],
        bits=flags.bits,
        intensity=None if intensity is None else intensity.values(),
    )


def do_grid(flags: argparse.Namespace) -> None:
    """Write a grid of given or fresh seeds."""
    if flags.seeds is not None and flags.number is not None:
        raise SettingError("number", flags.number, "give --number or --seeds, not both")
    out = needed_png(flags.out)
    if flags.seeds is not None:
        seeds = latents.parse_seeds(flags.seeds)
    else:
        number = 64 if flags.number is None else flags.number
        if not 1 <= number <= sheets.MOST_CELLS:
            raise SettingError("number", number, f"1 to {sheets.MOST_CELLS}")
        seeds = random.SystemRandom().sample(_FRESH_SEEDS, number)
    if flags.run is not None and flags.checkpoint is not None:
        raise SettingError("run", flags.run, "give --run or --checkpoint, not both")
    studio, base = recipe_of(flags, run=flags.run)
    sheet = sheets.grid(base, seeds, columns=flags.columns, title=flags.title)
    _write_sheet(flags, studio, sheet, out=out, seeds=seeds)
    if flags.seeds is None and not flags.json:
        print("seeds: " + ",".join(map(str, seeds)), file=sys.stderr)


def do_mix(flags: argparse.Namespace) -> None:
    """Write the matrix of mixed styles."""
    for name in ("rows", "columns", "layers"):
        if getattr(flags, name) is None:
            raise SettingError(name, "nothing", f"give --{name}")
    rows = latents.parse_seeds(flags.rows, field="rows")
    columns = latents.parse_seeds(flags.columns, field="columns")
    latents.parse_layers(flags.layers)
    out = needed_png(flags.out)
    studio, base = recipe_of(flags)
    layers = str(flags.layers)
    more = {"amount": flags.amount, "column_label": flags.column_label, "title": flags.title}
    sheet = sheets.matrix(base, rows=rows, columns=columns, layers=layers, **more)
    _write_sheet(flags, studio, sheet, out=out, rows=rows, columns=columns, layers=layers)


def do_interpolate(flags: argparse.Namespace) -> None:
    """Write the walk between neighbours."""
    out = needed(flags.out, "X.gif, X.webp, X.mp4 or a new folder for PNG")
    check_scale(flags.scale)
    walk, studio = _walk(flags)
    animate.check(studio, walk, out, scale=flags.scale)
    place_for(out)
    height, width = animate.write(studio, walk, out, scale=flags.scale, progress=Steps(flags, walk.count).at)
    note(studio, *walk.recipes)
    if animate.carried(studio, walk) is None:
        print(f"note: the film carries no timeline: {len(walk.recipes)} keys are too many to carry", file=sys.stderr)
    say(
        flags,
        [out],
        frames=walk.count,
        width=width,
        height=height,
        scale=flags.scale,
        recipes=[recipe.to_dict() for recipe in walk.recipes],
    )


def do_bilinear(flags: argparse.Namespace) -> None:
    """Write the sheet between four corners."""
    out = needed_png(flags.out)
    if not 1 <= flags.steps <= sheets.MOST_STEPS:
        raise SettingError("steps", flags.steps, sheets.CELLS_A_SIDE)
    studio, corners = several(flags)
    if len(corners) != 4:
        raise SettingError("seeds", flags.seeds or f"{len(corners)} recipes", "a sheet has four corners")
    sheet = sheets.bilinear(corners, steps=flags.steps, title=flags.title)
    _write_sheet(flags, studio, sheet, out=out, steps=flags.steps)


def do_compare(flags: argparse.Namespace) -> None:
    """Write two networks, or one in two precisions, side by side with their difference."""
    if flags.seeds is None and flags.recipe is None:
        raise SettingError("seeds", "nothing", "give --seeds such as 0-7, or --recipe")
    seeds = latents.parse_seeds(flags.seeds) if flags.seeds is not None else []
    out = needed_png(flags.out)
    settings: dict[str, Any] = {
        "precisions": (flags.precision, flags.with_precision or flags.precision),
        "amplify": flags.amplify,
        "signed": flags.signed,
        "title": flags.title,
    }
    # Flags first, with stand-ins for what is compared, so that a wrong one is said before a network is looked for.
    compare.Comparison((Recipe(),), flags.other, **settings)
    studio, base = recipe_of(flags)
    other = None if flags.other is None else studio.admit(flags.other, beside=base.checkpoint)
    recipes = tuple(base.with_seed(seed) for seed in seeds) or (base,)
    comparison = compare.Comparison(recipes, other, **settings)
    comparison.pairs(studio.check)
    place_for(out)
    drawn, distances = compare.draw(studio, comparison, progress=Steps(flags, len(recipes)).at)
    pictures.write_png(out, drawn, compare.text(studio, comparison))
    note(studio, base)
    _say_apart(flags, out, recipes=recipes, distances=distances)


def _say_apart(
    flags: argparse.Namespace, out: Path, *, recipes: tuple[Recipe, ...], distances: list[compare.Apart | None]
) -> None:
    known = [one for one in distances if one is not None]
    if not known:
        print(f"note: {compare.IMPOSSIBLE}", file=sys.stderr)
    told: dict[str, Any] = {"mean": None, "max": None, "rows": []}
    if known:
        told["mean"] = sum(one.mean for one in known) / len(known)
        told["max"] = max(one.largest for one in known)
    for recipe, one in zip(recipes, distances, strict=True):
        mean, largest = (None, None) if one is None else (one.mean, one.largest)
        told["rows"].append({"seed": recipe.seed, "mean": mean, "max": largest})
    say(flags, [out], **told)
    if known and not flags.json:
        print(f"difference: {told['mean']:.3f} gray levels on average, {told['max']} at most", file=sys.stderr)


def _write_sheet(flags: argparse.Namespace, studio: Studio, sheet: sheets.Sheet, *, out: Path, **told: Any) -> None:
    for cell in sheet.cells:
        studio.check(cell)
    place_for(out)
    drawn = sheets.draw(studio, sheet, progress=Steps(flags, len(sheet.cells)).at)
    pictures.write_png(out, drawn, sheets.text(studio, sheet))
    note(studio, sheet.cells[0])
    say(flags, [out], **told)


def _walk(flags: argparse.Namespace) -> tuple[animate.Walk | Timeline, Studio]:
    asked = {name: getattr(flags, name) for name in ("steps", "loop", "ease", "space", "fps")}
    if flags.timeline is not None:
        alone({**asked, "seeds": flags.seeds, "recipes": flags.recipes, "recipe": flags.recipe})
        studio, timeline = timeline_of(flags)
        return timeline, studio
    settings: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    # Flags first, with stand-ins for the pictures, so that a wrong one is said before a network is looked for.
    animate.Walk((Recipe(), Recipe()), **settings)
    if flags.seeds is not None and flags.recipes is None:
        count = len(spots(flags.seeds))
        if count < 2:
            raise SettingError("seeds", flags.seeds, "at least 2 seeds to interpolate")
        animate.Walk((Recipe(),) * count, **settings)
    studio, recipes = several(flags)
    return animate.Walk(tuple(recipes), **settings), studio
