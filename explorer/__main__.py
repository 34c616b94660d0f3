"""python -m explorer VERB: what the page does, from the command line, with the same words."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from core.command import Parser, run
from explorer import verbs

__all__ = ["main", "parser"]


def main(arguments: list[str] | None = None) -> None:
    """Read the flags and do what the verb says."""
    flags = parser().parse_args(arguments)
    flags.do(flags)


def parser() -> Parser:
    """Return the parser of the command line."""
    top = Parser(prog="python -m explorer", description="Pictures, sheets, films and maps of a network.")
    chosen = top.add_subparsers(metavar="VERB", required=True, parser_class=Parser)
    common = _common()

    def verb(name: str, words: str) -> argparse.ArgumentParser:
        made = chosen.add_parser(name, help=words, description=words, parents=[common])
        made.set_defaults(do=getattr(verbs, f"do_{name}"))
        return made

    verb("list", "the networks found, one a line")
    inspect = verb("inspect", "what a network file says of itself, and what is suspicious; builds no network")
    inspect.add_argument("file", nargs="?", metavar="FILE", help="a network's name or the path of a file")
    _render(verb("render", "one PNG a seed, its recipe inside"))
    _grid(verb("grid", "a grid of seeds on one PNG"))
    _mix(verb("mix", "the matrix of mixed styles: a row gives the picture, a column the styles of the layers"))
    _interpolate(verb("interpolate", "the frames between neighbours as .gif, .webp, .mp4 or a folder of PNG"))
    _bilinear(verb("bilinear", "the sheet between four corners, weights linear in w"))
    _map(verb("map", "seed, x, y of many seeds as CSV, and the picture of the map beside it"))
    return top


def _common() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--checkpoint", metavar="NAME|PATH", help="a stem in checkpoints, RUN, RUN/000012 or a path")
    common.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="where networks lie"
    )
    common.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where trainings leave theirs")
    common.add_argument("--psi", type=float, metavar="X", help="truncation, -5 to 5; 0.7 when not given")
    common.add_argument("--cutoff", type=int, metavar="N", help="truncate the first N layers alone")
    common.add_argument("--noise", metavar="WORD", help="const, none or a whole number")
    common.add_argument("--label", type=int, metavar="N", help="the class of a network with classes")
    common.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps")
    common.add_argument(
        "--precision", default="auto", metavar="NAME", help="float32, or bfloat16 for a film in a hurry"
    )
    common.add_argument("--json", action="store_true", help="print one JSON object instead of paths")
    common.add_argument("--progress", action="store_true", help=argparse.SUPPRESS)
    return common


def _out(made: argparse.ArgumentParser, words: str) -> None:
    made.add_argument("--out", type=Path, metavar="PATH", help=words)


def _recipe(made: argparse.ArgumentParser) -> None:
    words = "what flags leave open: JSON, or @FILE with JSON or a PNG that carries it"
    made.add_argument("--recipe", metavar="JSON|@FILE", help=words)


def _render(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="LIST", help="such as 7 or 0-7 or 3,9,27")
    _recipe(made)
    _out(made, "a folder, or X.png for one picture")


def _grid(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--number", type=int, metavar="N", help="this many fresh seeds, which are printed; 64 when not given"
    )
    made.add_argument("--seeds", metavar="LIST", help="these seeds instead")
    made.add_argument("--run", metavar="RUN", help="take the newest network of this run")
    made.add_argument("--columns", type=int, metavar="N", help="pictures in a row")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _mix(made: argparse.ArgumentParser) -> None:
    made.add_argument("--rows", metavar="LIST", help="seeds that give the pictures")
    made.add_argument("--columns", metavar="LIST", help="seeds that give the styles")
    made.add_argument("--layers", metavar="LIST", help="such as 4-7 or 0,3,8-11")
    made.add_argument("--amount", type=float, default=1.0, metavar="X", help="0 to 1; 1 when not given")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _interpolate(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="LIST", help="two or more")
    made.add_argument("--recipes", metavar="JSON|@FILE", help="a JSON list of recipes instead of seeds")
    made.add_argument(
        "--steps", type=int, default=24, metavar="N", help="frames from one to the next; 24 when not given"
    )
    made.add_argument("--space", default="w", metavar="w|z", help="straight in w, or around in z")
    made.add_argument("--loop", action="store_true", help="close the walk to a loop")
    made.add_argument("--fps", type=float, default=24.0, metavar="X", help="frames a second; 24 when not given")
    made.add_argument("--ease", default="linear", metavar="NAME", help="linear, or smooth: rest at each picture")
    _recipe(made)
    _out(made, "X.gif, X.webp, X.mp4 or a new folder for PNG")


def _bilinear(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="A,B,C,D", help="top left, top right, bottom left, bottom right")
    made.add_argument("--recipes", metavar="JSON|@FILE", help="a JSON list of four recipes instead of seeds")
    made.add_argument("--steps", type=int, default=10, metavar="N", help="cells a side; 10 when not given")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _map(made: argparse.ArgumentParser) -> None:
    made.add_argument("--samples", type=int, default=5000, metavar="N", help="seeds 0 to N-1; 5000 when not given")
    made.add_argument("--method", default="umap", metavar="NAME", help="umap, or pca, which is there at once")
    _out(made, "X.csv; the picture goes to X.png")


if __name__ == "__main__":
    sys.exit(run(main))
