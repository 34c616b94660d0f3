"""The verb `layers`: what a network makes on the way to a picture, as a list, a sheet, a spectrum or a row."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from core import latents, pictures
from core.errors import SettingError
from explorer import inside, plates, sheets
from explorer.flags import needed_png, note, place_for, recipe_of, say
from explorer.inside import Layer, Look
from explorer.plates import Plate
from explorer.recipe import Recipe
from explorer.spectra import Spectrum, spectrum
from explorer.studio import TEXT_KEY, Studio

__all__ = ["do_layers", "looked", "numbers", "spectrum_of", "statistics", "titled"]

_GROWING_CELL = 224  # pixels of the longer side of each picture of the row
_SPECTRUM_CELL = 256
_LOWEST_CURVE = 200  # pixels


def do_layers(flags: argparse.Namespace) -> None:
    """List the layers of a picture, or write one of them, or its growing, as a picture."""
    plates.check("view", flags.view, plates.VIEWS)
    settings = {name: getattr(flags, name) for name in ("sort", "scale", "first", "count", "columns", "cell")}
    plate = Plate(**{name: value for name, value in settings.items() if value is not None})
    sheets.check_title(flags.title)
    seeds = latents.parse_seeds(flags.seeds) if flags.seeds is not None else []
    if len(seeds) > 1:
        raise SettingError("seeds", flags.seeds, "one seed: layers are those of one picture")
    out = None if flags.out is None else needed_png(flags.out)
    if out is not None and flags.view != "growing" and flags.layer is None:
        raise SettingError("layer", "nothing", "give --layer, a name or number that the verb lists without --out")
    studio, base = recipe_of(flags)
    recipe = base.with_seed(seeds[0]) if seeds else base
    if out is not None:
        place_for(out)
    seen = looked(studio, recipe, layer=flags.layer)
    told: dict[str, Any] = {"layers": [statistics(seen, one) for one in seen.layers]}
    if flags.layer is not None:
        layer = inside.find(seen.layers, flags.layer)
        told |= {"layer": layer.name, **numbers(seen, layer, spectrum_of(seen, layer))}
    if out is None:
        _list(flags, told)
    else:
        drawn = _VIEWS[flags.view](studio, recipe, seen, plate, flags)
        about = {"verb": "layers", "view": flags.view, "layer": told.get("layer"), **_made_with(studio, recipe)}
        pictures.write_png(out, drawn, {TEXT_KEY: json.dumps(about)})
        say(flags, [out], view=flags.view, **told)
    note(studio, recipe)


def _made_with(studio: Studio, recipe: Recipe) -> dict[str, Any]:
    network = studio.network(recipe.checkpoint)
    return {"recipe": recipe.to_dict(), "checkpoint": network.name, "sha": network.sha}


def _list(flags: argparse.Namespace, told: dict[str, Any]) -> None:
    if flags.json:
        print(json.dumps(told))
        return
    for one in told["layers"]:
        numbers = f"mean {_short(one['mean'])}, deviation {_short(one['deviation'])}"
        print(f"{one['index']}\t{one['name']}\t{_counted(one['channels'])}, {numbers}\t{one['words']}")


def _counted(channels: int) -> str:
    return f"{channels} channel{'s' if channels > 1 else ''}"


def _short(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


# --- what is written ---------------------------------------------------------------------------------------------


def _channels(studio: Studio, recipe: Recipe, seen: Look, plate: Plate, flags: argparse.Namespace) -> np.ndarray:
    layer = inside.find(seen.layers, flags.layer)
    return plates.sheet(seen, layer, plate, title=flags.title or titled(layer), numbered=True)


def _spectrum(studio: Studio, recipe: Recipe, seen: Look, plate: Plate, flags: argparse.Namespace) -> np.ndarray:
    layer = inside.find(seen.layers, flags.layer)
    found = spectrum_of(seen, layer)
    cell = _SPECTRUM_CELL if flags.cell is None else plate.cell
    power = plates.log_power(found, cell=cell)
    beside = plates.curve(found, size=(max(_LOWEST_CURVE, power.shape[0]), max(320, 3 * cell // 2)))
    missing = beside.shape[0] - power.shape[0]
    pair = np.hstack([np.pad(power, ((0, missing), (0, 0))), beside])
    return pictures.grid([pair], columns=1, title=flags.title or titled(layer))


def _growing(studio: Studio, recipe: Recipe, seen: Look, plate: Plate, flags: argparse.Namespace) -> np.ndarray:
    window = studio.network(recipe.checkpoint).window(recipe.grown)
    row = plates.growing(seen, window, cell=_GROWING_CELL if flags.cell is None else plate.cell)
    sizes = ["x".join(map(str, seen.of_size(level).size)) for level in range(len(row))]
    return pictures.grid(row, columns=len(row), gap=plates.GAP, title=flags.title, column_labels=sizes)


_VIEWS: dict[str, Callable[..., np.ndarray]] = {"channels": _channels, "spectrum": _spectrum, "growing": _growing}


def titled(layer: Layer) -> str:
    """A layer in a line: its name, what it is, its channels."""
    return f"{layer.name}: {layer.words}, {_counted(layer.channels)}"


# --- what is told ------------------------------------------------------------------------------------------------


def looked(studio: Studio, recipe: Recipe, *, layer: str | int | None = None) -> Look:
    """A picture from inside; `layer` (name or index) is kept for certain. Raises SettingError, CheckpointError."""
    room, ws, noise = studio.inputs(recipe)
    size, alpha = room.network.growth(recipe.grown)
    generator = room.generator
    name = None
    if layer is not None:
        known = inside.layers(generator, generator.synthesis.level(size, alpha))
        name = inside.find(known, layer).name
    return inside.look(generator, ws, noise, size, alpha, layer=name)


def statistics(seen: Look, layer: Layer) -> dict[str, Any]:
    """A layer as JSON values, with mean and deviation over all its numbers."""
    mean, deviation = seen.overall(layer.name)
    return {**layer.entry(), "mean": _plain(mean), "deviation": _plain(deviation)}


def numbers(seen: Look, layer: Layer, found: Spectrum) -> dict[str, Any]:
    """Means and deviations of a layer's channels, and its radial spectrum, as JSON values."""
    marks = [{"size": list(one.size), "frequency": one.frequency, "times": _plain(one.times)} for one in found.marks]
    means, deviations = seen.means[layer.name].tolist(), seen.deviations[layer.name].tolist()
    return {
        "means": [_plain(one) for one in means],
        "deviations": [_plain(one) for one in deviations],
        "spectrum": {"window": "hann", "radial": [_plain(one) for one in found.radial.tolist()], "marks": marks},
    }


def spectrum_of(seen: Look, layer: Layer) -> Spectrum:
    """The spectrum of a layer; its marks are the sizes before its own."""
    sizes = [one.size for one in seen.layers if one.level < layer.level]
    return spectrum(seen.maps[layer.name], list(dict.fromkeys(sizes)))


def _plain(value: float | None) -> float | None:
    """A number of JSON in six digits; None for what is not finite."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None
