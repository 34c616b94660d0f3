"""Figures of several networks side by side, and which of them may be compared at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from train.metrics.evaluation import rank
from train.metrics.features import DISCRIMINATOR
from train.metrics.measures import MEASURES
from train.metrics.record import columns, goal, numbers

__all__ = ["beside"]

# Real pictures and noise of another size or crop, which nothing else tells of phantoms, have other figures.
ALIKE = ("extractor", "n", "filter", "seed", "data", "against", "real", "noise")
OWN = {measure.name for measure in MEASURES if measure.extractor == DISCRIMINATOR}
NAMED = 3  # rows that a note names one by one


def beside(networks: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """(name, what `evaluate` gave) of several networks as a table, a column each; a star marks the best of a row.

    Figures over the networks' own discriminators are left out: each is another ruler. A row whose figures were not
    measured alike has no star, nor the figure of real pictures, and a note says so.
    """
    ways = {name: figure for _, figures in networks for name, figure in figures.items() if name not in OWN}
    lines: list[tuple[str, ...] | str] = [("", *(name for name, _ in networks), "real", "better", "N")]
    heading: object = "none yet"
    apart = []
    for name, one in ways.items():
        if one["extractor"] != heading:
            heading = one["extractor"]
            lines += ["", f"over {heading}" if heading else "over the pictures themselves"]
        row = [figures.get(name) for _, figures in networks]
        there = [figure for figure in row if figure is not None]
        alike = len({tuple(map(figure.get, ALIKE)) for figure in there}) == 1
        if not alike:
            apart.append(str(one["title"]))
        ranks = {rank(figure) for figure in there}
        best = min(ranks) if alike and len(ranks) > 1 else None
        cells = ["-" if figure is None else _cell(figure, best) for figure in row]
        counts = "-".join(map(str, sorted({figure["n"] for figure in there})))
        lines.append((f"  {one['title']}", *cells, numbers(there[0])[1] if alike else "-", goal(one), counts))
    if len(apart) == len(ways) > 0:
        notes = ["these networks were not measured alike (other pictures, size or number), so nothing compares them"]
    else:
        notes = ["* the best of its row; ± says how far chance reaches"]
        if apart:
            more = f" and {len(apart) - NAMED} more" if len(apart) > NAMED else ""
            notes.append(f"not measured alike, so not to be compared: {', '.join(apart[:NAMED])}{more}")
    if any(name in OWN for _, figures in networks for name in figures):
        notes.append("figures over a discriminator are left out: every network has its own")
    return "\n".join([columns(lines), "", *notes])


def _cell(figure: Mapping[str, Any], best: float | None) -> str:
    return numbers(figure)[0] + (" *" if rank(figure) == best else "  ")
