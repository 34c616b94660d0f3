"""Figures as a line of metrics.jsonl, and as a table that people read."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.checkpoint import sha256
from core.errors import OutputError
from core.files import usable_folder

__all__ = ["append", "columns", "goal", "line", "named", "numbers", "table"]

HEADER = ("", "network", "real", "noise", "better", "N")


def line(
    figures: Mapping[str, Any],
    *,
    kimg: float | None,
    checkpoint: str,
    seconds: float,
    named: Mapping[str, str | None] | None = None,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """One line of metrics.jsonl: what was measured and when, and under `figures` what `evaluate` gave.

    `named` is what the function of that name says of the file; `warnings` are what a training said of the figures.
    """
    return {
        "kimg": kimg,
        "checkpoint": checkpoint,
        **(named or {"sha": None, "commit": None}),
        "seconds": round(seconds, 1),
        "warnings": list(warnings) or None,
        "figures": dict(figures),
    }


def named(file: Path, training: Mapping[str, Any]) -> dict[str, str | None]:
    """Which network file it was, since a later one may take its name: `sha`, the first 12 hex digits of its SHA-256.

    And `commit`, that of the program that made it, where `training` of its header says so. Raises OSError.
    """
    commit = training.get("commit")
    return {"sha": sha256(file)[:12], "commit": commit if isinstance(commit, str) else None}


def append(file: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to a file of lines, on the disk before this returns. Raises OutputError.

    Half a line that a power cut left behind is taken away first; a whole one that only lacks its end stays.
    """
    usable_folder(file.parent)
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with open(file, "ab+") as out:
            out.seek(0)
            before = out.read()
            whole = before.rfind(b"\n") + 1
            last = before[whole:].strip()
            if _is_entry(last):
                text = "\n" + text
            elif last and not last.startswith(b"{"):
                raise OutputError(f"{file} holds something else than lines of figures; name another place")
            else:
                out.truncate(whole)
            out.write(text.encode("utf-8", "replace"))
            out.flush()
            os.fsync(out.fileno())
    except OSError as wrong:
        raise OutputError(f"{file} could not be written ({wrong.strerror}); name another place") from wrong


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def table(figures: Mapping[str, Any]) -> str:
    """Figures in columns, those over one kind of features under a line that names it."""
    lines: list[tuple[str, ...] | str] = []
    heading: str | None = "none yet"
    for figure in figures.values():
        if figure["extractor"] != heading:
            heading = figure["extractor"]
            lines += ["", f"over {heading}" if heading else "over the pictures themselves"]
        title = figure["title"] + (f" ({figure['scales']} scales)" if figure.get("scales", 5) < 5 else "")
        lines.append((f"  {title}", *numbers(figure), goal(figure), str(figure["n"])))
        lines += [(f"    {name}", *numbers(level), "", "") for name, level in figure.get("levels", {}).items()]
    return columns([HEADER, *lines])


def columns(lines: Sequence[tuple[str, ...] | str]) -> str:
    """Rows of cells one under the other, the first cell and the last but one to the left; a str is a line by itself."""
    rows = [entry for entry in lines if isinstance(entry, tuple)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(_row(entry, widths) if isinstance(entry, tuple) else entry for entry in lines)


def _row(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if k in (0, len(cells) - 2) else cell.rjust(width)
        for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(padded).rstrip()


def goal(figure: Mapping[str, Any]) -> str:
    """Which way is better, in words."""
    return "near real" if figure["goal"] == "real" else str(figure["goal"])


def numbers(figure: Mapping[str, Any]) -> tuple[str, ...]:
    """The three columns, standard errors behind what has one; older lines have none."""
    errors = (figure.get("error"), figure.get("real_error"), None)
    values = (figure["value"], figure["real"], figure["noise"])
    return tuple(
        "-" if value is None else _short(value) + (f" ± {_two(error)}" if error is not None else "")
        for value, error in zip(values, errors, strict=True)
    )


def _short(value: float) -> str:
    """Four digits that count, without an exponent where there is room."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return f"{value:.1e}"


def _two(error: float) -> str:
    """Two digits that count: ten groups say no more."""
    if error == 0 or not 1e-4 <= error < 10:
        return "0" if error == 0 else f"{error:.1e}" if error < 10 else f"{error:.0f}"
    return f"{error:.{1 - math.floor(math.log10(error))}f}"
