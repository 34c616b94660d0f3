"""python -m train.prepare SOURCE DEST.zip [--labels folders|FILE.csv] [--only P] [--axis A] [--slices S] [--window W]
                                         [--size S] [--fit F]

python -m train.prepare AD_NC adni.zip --labels folders
python -m train.prepare scans brains.zip --only "*T1w*" --slices 40%-60%
python -m train.prepare ct lungs.zip --window -1000,400
python -m train.prepare photos cats.zip --size 256 --fit crop
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from core import command
from core.command import Parser
from core.errors import SettingError
from core.frame import FITS
from train.config import Config, parse_size
from train.prepare import report
from train.prepare.work import Asked, prepare
from train.slicing import AXES, Slicing

__all__ = ["main", "parser"]


def parser() -> argparse.ArgumentParser:
    """All flags; those of volumes are the trainer's."""
    top = Parser(prog="python -m train.prepare", description="Make a training zip from pictures, volumes or scans.")
    top.add_argument("source", metavar="SOURCE", help="a folder, a zip, or one volume or array")
    top.add_argument("dest", metavar="DEST.zip", help="the zip to make; a contact sheet, DEST.png, goes beside it")
    top.add_argument(
        "--labels", default="", metavar="folders|FILE.csv", help="classes: the folders, or a table of name and class"
    )
    top.add_argument("--only", default="", metavar="PATTERNS", help="read only files with such names, as *T1w*")
    top.add_argument(
        "--axis", default="axial", metavar="|".join(AXES), help="which way volumes are cut (default: axial)"
    )
    top.add_argument(
        "--slices", default="all", metavar="RANGE", help="40-120 or 25%%-75%% of each volume (default: all)"
    )
    top.add_argument(
        "--window", default="auto", metavar="LOW,HIGH", help="values that become black and white; or file, full, auto"
    )
    top.add_argument("--size", default="auto", metavar="SIZE", help="scale into a network of 256 or 224x192; auto: not")
    top.add_argument("--fit", default="native", metavar="|".join(FITS), help="how, as of a training (default: native)")
    top.add_argument("--json", action="store_true", help="print the report as one JSON object")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and make the zip; returns the exit status. Raises StyloscopeError."""
    given = parser().parse_args(arguments)
    Config.read({name: getattr(given, name) for name in ("axis", "slices", "window", "size", "fit")})
    size = None if given.size == "auto" else parse_size(given.size)
    source, dest = Path(given.source), Path(given.dest)
    if dest.suffix.lower() != ".zip":
        raise SettingError("dest", given.dest, "the name of a zip, such as brains.zip")
    if source.is_dir() and dest.resolve().is_relative_to(source.resolve()):
        raise SettingError("dest", given.dest, f"a place outside {source}, or it would be read as part of it")
    slicing = Slicing(axis=given.axis, slices=given.slices, window=given.window)
    asked = Asked(source, dest, slicing, only=given.only, labels=given.labels, size=size, fit=given.fit)
    said: dict[str, Any] = prepare(asked)
    shown = json.dumps(said, ensure_ascii=False) if given.json else report.text(said)
    print(shown.encode("utf-8", "backslashreplace").decode())  # names may have bytes that are no text
    return 0


if __name__ == "__main__":
    sys.exit(command.run(main))
