"""The verb `map`: where seeds lie in W, as a table and a picture, coloured by anything that has a value a seed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from core.errors import SettingError
from explorer import atlas, atlas_picture, atlas_values
from explorer.atlas import Atlas
from explorer.atlas_sheets import Sheets
from explorer.atlas_values import Values
from explorer.flags import Steps, needed, place_for, recipe_of, say
from explorer.studio import TEXT_KEY, Studio

__all__ = ["do_map", "table_of"]


def do_map(flags: argparse.Namespace) -> None:
    """Write the map as CSV and as a picture."""
    out = needed(flags.out, "X.csv")
    if out.suffix.lower() != ".csv":
        raise SettingError("out", out, "a map is written as .csv, with its picture as .png beside it")
    atlas.check(samples=flags.samples, method=flags.method)
    table = table_of(flags.color)
    if table is not None:
        atlas_values.read_table(table[0], table[1], flags.samples)
    studio, base = recipe_of(flags)
    network = studio.check(base)
    if flags.by_class:
        atlas.check_by_class(network, label=base.label)
    if flags.color is not None and table is None:
        atlas_values.check(network, flags.color, by_class=flags.by_class)
    picture = out.with_suffix(".png")
    for path in (out, picture):
        place_for(path)
    method = flags.method
    if method == "umap" and flags.samples < atlas.FEWEST_FOR_UMAP:
        method = "pca"
        print(f"note: UMAP needs {atlas.FEWEST_FOR_UMAP} samples or more, so this map is a PCA", file=sys.stderr)
    about = {"samples": flags.samples, "label": base.label, "by_class": flags.by_class, "points": flags.points}
    found = atlas.survey(studio, base.checkpoint, **about)
    coloured = _values(flags, studio, found, base.checkpoint, table=table)
    if method == "umap":
        found = atlas.with_umap(studio, found, base.checkpoint, progress=Steps(flags, None).at)
    sheets = Sheets.of(studio, found, base.checkpoint)
    if flags.pictures or flags.color == "brightness":
        sheets.draw(studio, flags.samples, progress=Steps(flags, None).at)
        coloured = _values(flags, studio, found, base.checkpoint, table=table)
    told = {"verb": "map", "method": method, "color": flags.color, **about}
    text = {TEXT_KEY: json.dumps({**told, "checkpoint": network.name, "sha": network.sha})}
    thumb = sheets.thumbs() if flags.pictures else None
    atlas_picture.write(out, picture, found, method=method, text=text, values=coloured, thumb=thumb)
    named = found.named.names
    say(flags, [out, picture], samples=flags.samples, method=method, color=flags.color, points=list(named))


def table_of(color: str | None) -> tuple[Path, str] | None:
    """The file and the column of a colour FILE.csv:COLUMN; None for any other."""
    if color is None or ".csv:" not in color.lower():
        return None
    at = color.lower().rindex(".csv:") + 4
    return Path(color[:at]), color[at + 1 :].strip()


def _values(flags: argparse.Namespace, studio: Studio, found: Atlas, name: str | None, *, table: Any) -> Values | None:
    if flags.color is None:
        return None
    if table is not None:
        return atlas_values.read_table(table[0], table[1], found.count)
    return atlas_values.values(studio, found, name, flags.color)
