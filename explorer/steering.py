"""The verb directions: finds, lists, names, shares and draws directions in W."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core import latents, pictures
from core.errors import SettingError
from core.files import writing
from explorer import directions, kept, labels, projection, sheets
from explorer.flags import Steps, note, place_for, recipe_of, say
from explorer.kept import Direction
from explorer.labels import LEARNED, Table
from explorer.networks import Network
from explorer.projector import Projector
from explorer.recipe import Recipe, Steer
from explorer.sheets import check_title
from explorer.studio import TEXT_KEY, Studio

__all__ = ["AMOUNTS", "FOUND_BY", "do_directions", "sheet"]

AMOUNTS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
FOUND_BY = (*directions.METHODS, *LEARNED, "labels")
_ACTS = ("rename", "forget", "export", "opened")
_WORDS = {"opened": "import"}


def do_directions(flags: argparse.Namespace) -> None:
    """Find directions, or list what is kept; keep one under a name; draw a sheet of them."""
    act = _act(flags)
    check_title(flags.title)
    wish = _wish(flags) if act is None else None
    if flags.out is not None and act != "export":
        _check_sheet(flags, finds=act is None)
    if flags.seed is not None:
        Recipe.parse({"seed": flags.seed})
    studio, base = recipe_of(flags)
    network = studio.check(base)
    if act is not None:
        _do_act(act, flags, studio, network)
        return
    assert wish is not None
    if flags.name is not None and flags.method is not None and not flags.replace:
        kept.check_free(network, "directions", flags.name)
    found = wish(studio, base)
    if flags.name is not None:
        found = [_kept(studio, network, found, name=flags.name, over=flags.replace)]
    if flags.out is not None:
        _draw(flags, studio, base, found)
    _tell(flags, found)


def _check_sheet(flags: argparse.Namespace, *, finds: bool) -> None:
    """Check --out for a sheet of directions. Raises SettingError, OutputError."""
    if flags.out.suffix.lower() != ".png":
        raise SettingError("out", flags.out, "a sheet is written as .png")
    place_for(flags.out)
    if finds and flags.method not in (None, *directions.METHODS) and flags.name is None:
        raise SettingError("out", flags.out, "give --name too: a sheet is drawn of directions that are kept")


def _tell(flags: argparse.Namespace, found: list[Direction]) -> None:
    """Print what was found and what was written."""
    mine = flags.name is not None or flags.method is None
    entries = [directions.entry(one, kept=mine) for one in found]
    written = [str(flags.out)] if flags.out is not None else []
    if flags.json:
        print(json.dumps({"written": written, "directions": entries}))
        return
    for one in entries:
        layers = f", layers {one['layers']}" if one["layers"] else ""
        print(f"{one['name']}\t{one['method']}{layers}\t{one['words']}")
    for path in written:
        print(path)


# --- what is asked for -------------------------------------------------------------------------------------------

Wish = Callable[[Studio, Recipe], list[Direction]]


def _act(flags: argparse.Namespace) -> str | None:
    """The one thing to do with what is kept, None where directions are to be found or listed."""
    given = [name for name in _ACTS if getattr(flags, name) is not None]
    if len(given) > 1 or (given and flags.method is not None):
        raise SettingError(
            _WORDS.get(given[0], given[0]), getattr(flags, given[0]), "one thing at a time: find or rename"
        )
    return given[0] if given else None


def _wish(flags: argparse.Namespace) -> Wish:
    """What finds the directions; all that can be wrong without a network is looked for here."""
    method = flags.method
    for name, methods in (("a", LEARNED), ("b", LEARNED), ("labels", ("labels",)), ("column", ("labels",))):
        given = getattr(flags, name)
        if given is not None and method not in methods:
            raise SettingError(name, given, f"it goes with --method {' or '.join(methods)}")
    if flags.name is not None:
        kept.check_name(flags.name, "directions")
    if method is None:
        return _listed
    if method not in FOUND_BY:
        raise SettingError("method", method, ", ".join(FOUND_BY))
    if method in directions.METHODS:
        return _unlabelled(flags)
    name = flags.name or method
    if method == "labels":
        if flags.labels is None:
            raise SettingError("labels", "nothing", "give --labels X.csv, with a column seed or file and one of values")
        table = labels.read_table(_text(flags.labels), column=flags.column)
        return lambda studio, base: [_from_table(flags, studio, base, table, name=name)]
    piles = {field: _pile(getattr(flags, field), field) for field in ("a", "b")}

    def learned(studio: Studio, base: Recipe) -> list[Direction]:
        a, b = ([_at(base, one) for one in piles[field]] for field in ("a", "b"))
        return [labels.from_piles(studio, base.checkpoint, name=name, method=method, a=a, b=b)]

    return learned


def _listed(studio: Studio, base: Recipe) -> list[Direction]:
    room = studio.open(base.checkpoint)
    return [room.direction(name) for name in kept.names(room.network, "directions")]


def _unlabelled(flags: argparse.Namespace) -> Wish:
    number = 8 if flags.number is None else flags.number
    if not 1 <= number <= directions.MOST_FOUND:
        raise SettingError("number", number, f"1 to {directions.MOST_FOUND}")
    if flags.layers is not None:
        latents.parse_layers(flags.layers)
    if flags.name is not None and flags.which is None and number != 1:
        raise SettingError("name", flags.name, "--which says which of them is kept under it")
    if flags.which is not None and not 0 <= flags.which < directions.MOST_FOUND:
        raise SettingError("which", flags.which, f"0 to {directions.MOST_FOUND - 1}")
    within = flags.layers

    def found(studio: Studio, base: Recipe) -> list[Direction]:
        room = studio.open(base.checkpoint)
        which = number if flags.which is None else flags.which + 1
        made = directions.found(room.generator, room.samples, method=flags.method, layers=within, count=which)
        if within is not None and flags.method == "pca":
            latents.parse_layers(within, room.generator.num_ws)
            made = [replace(one, about={**one.about, "layers": str(within)}) for one in made]
        if flags.which is None:
            return made
        if len(made) < which:
            raise SettingError("which", flags.which, f"0 to {len(made) - 1}")
        return made[-1:]

    return found


def _at(base: Recipe, source: int | str) -> Recipe:
    """The recipe of a seed or of a point's name."""
    return base.with_seed(source) if isinstance(source, int) else base.with_point(source)


def _pile(text: str | None, field: str) -> list[int | str]:
    """What `--a` or `--b` names: seeds and ranges of them, and points kept beside the network."""
    if text is None:
        raise SettingError(field, "nothing", "seeds such as 3,9,20-29, or names of points")
    pile: list[int | str] = []
    for part in text.split(","):
        if part.strip()[:1].isdigit() and part.strip().replace("-", "").replace(" ", "").isdigit():
            pile += latents.parse_seeds(part, field=field)
        else:
            pile.append(kept.check_name(part.strip(), "points"))
    if len(pile) > latents.MOST_SEEDS:
        raise SettingError(field, f"{len(pile)} pictures", f"a pile of 1 to {latents.MOST_SEEDS} pictures")
    return pile


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > labels.MOST_TABLE:
            raise SettingError("labels", path, f"a table of at most {labels.MOST_TABLE >> 20} MB")
        return path.read_text(encoding="utf-8-sig")
    except OSError as wrong:
        raise SettingError("labels", path, f"that file cannot be read ({wrong.strerror or wrong})") from wrong
    except UnicodeDecodeError as wrong:
        raise SettingError("labels", path, "a table in UTF-8") from wrong


def _from_table(flags: argparse.Namespace, studio: Studio, base: Recipe, table: Table, *, name: str) -> Direction:
    """The direction of a table; pictures named in it that are no points yet are projected, beside the table first."""
    projector: list[Projector] = []

    def unknown(file: str) -> Callable[[], np.ndarray] | None:
        path = next((one for one in (flags.labels.parent / file, Path(file)) if one.is_file()), None)
        return None if path is None else lambda: projected(path)

    def projected(path: Path) -> np.ndarray:
        if not projector:
            network = studio.network(base.checkpoint)
            projector.append(Projector(network, growth=network.growth(base.grown), device=flags.device))
        print(f"note: projecting {path}", file=sys.stderr)
        # One w for all layers: what a direction of W is made of.
        wish = projection.Wish(space="w", label=base.label)
        return projector[0].project(pictures.read(path), wish, yardstick=False).ws

    return labels.from_table(studio, base.checkpoint, table, name=name, label=base.label, unknown=unknown)


# --- what is done with it ----------------------------------------------------------------------------------------


def _kept(studio: Studio, network: Network, found: list[Direction], *, name: str, over: bool) -> Direction:
    if len(found) != 1:
        raise SettingError("name", name, "--method finds the one direction to keep under it")
    facts = {"network": network.name, "sha": network.sha, "words": directions.entry(found[0], kept=True)["words"]}
    about = {**facts, **found[0].about}
    if found[0].name != name and kept.BUILT_IN.fullmatch(found[0].name):
        about["found"] = found[0].name
    made = replace(found[0], name=name, about=about)
    kept.keep(network, made, replace=over)
    return made


def _do_act(act: str, flags: argparse.Namespace, studio: Studio, network: Network) -> None:
    written: list[Path] = []
    if act == "rename":
        if flags.name is None:
            raise SettingError("name", "nothing", "give --name, the new one")
        kept.rename(network, "directions", flags.rename, flags.name)
    elif act == "forget":
        kept.forget(network, "directions", flags.forget)
    elif act == "export":
        if flags.out is None or flags.out.suffix != kept.SUFFIX:
            raise SettingError("out", flags.out or "nothing", f"give --out X{kept.SUFFIX}, the file to share")
        data = kept.file_bytes(studio.open(network.name).direction(flags.export))
        with writing(flags.out) as temporary:
            temporary.write_bytes(data)
        written = [flags.out]
    else:
        found = kept.direction_from(flags.opened, network)
        name = kept.check_name(flags.name or found.name, "directions")
        written = [kept.keep(network, replace(found, name=name), replace=flags.replace)]
    say(flags, written, directions=[directions.entry(one, kept=True) for one in kept.entries(network, "directions")])


def sheet(base: Recipe, found: list[Direction], *, title: str | None = None) -> sheets.Sheet:
    """A row a direction, from -3 to +3 along it, of the picture of `base`. Raises SettingError for none or too many."""
    if not 1 <= len(found) <= directions.MOST_FOUND:
        raise SettingError("number", len(found), f"a sheet has 1 to {directions.MOST_FOUND} directions")
    cells = tuple(replace(base, steer=(*base.steer, _step(one, amount))) for one in found for amount in AMOUNTS)
    about: dict[str, Any] = {
        "verb": "directions",
        "recipe": base.to_dict(),
        "directions": [one.name for one in found],
        "amounts": list(AMOUNTS),
    }
    columns = tuple(f"{amount:+g}" if amount else "0" for amount in AMOUNTS)
    return sheets.Sheet(
        cells, len(AMOUNTS), about, title=title, row_labels=tuple(one.name for one in found), column_labels=columns
    )


def _step(direction: Direction, amount: float) -> Steer:
    layers = direction.about.get("layers")
    return Steer(direction.name, amount, layers if isinstance(layers, str) else None)


def _draw(flags: argparse.Namespace, studio: Studio, base: Recipe, found: list[Direction]) -> None:
    if flags.seed is not None:
        base = base.with_seed(flags.seed)
    made = sheet(base, found, title=flags.title)
    for cell in made.cells:
        studio.check(cell)
    drawn = sheets.draw(studio, made, progress=Steps(flags, len(made.cells)).at)
    pictures.write_png(flags.out, drawn, {TEXT_KEY: sheets.text(studio, made)[TEXT_KEY]})
    note(studio, made.cells[0])
