"""python -m explorer VERB: what the page does, from the command line, with the same words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.animation import MOST_SCALE, SCALES
from core.command import Parser, place, real, run, whole
from explorer import verbs
from explorer.animate import FPS
from explorer.atlas import SAMPLES
from explorer.compare import AMPLIFY
from explorer.directions import MOST_FOUND
from explorer.nearing import MOST_NEAR
from explorer.projection import MOST_SECONDS, MOST_STEPS, SPACES
from explorer.projection import STEPS as PROJECTOR_STEPS
from explorer.schema import RECIPE
from explorer.sheets import CELLS_A_SIDE, MOST_CELLS, SHARE
from explorer.steering import FOUND_BY

__all__ = ["main", "parser"]

Number = Callable[[str, str], Callable[[str], float]]


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
    _compare(verb("compare", "two networks, or one in two precisions, side by side with their difference"))
    _directions(verb("directions", "directions in W: finds, lists, names, shares and draws them"))
    _layers(verb("layers", "what a network makes on the way to a picture: a list, or one layer as a picture"))
    _project(verb("project", "a picture of your own as a point of a network; of a folder a table and a sheet"))
    _convert(verb("convert", "a network of another program as a file of ours, or ours as one of theirs"))
    _map(verb("map", "seed, x, y of many seeds as CSV, and the picture of the map beside it"))
    _nearest(verb("nearest", "the nearest real pictures, and how near held-out ones come: is this a copy?"))
    return top


def _common() -> Parser:
    common = Parser(add_help=False)
    common.add_argument("--checkpoint", metavar="NAME|PATH", help="a stem in checkpoints, RUN, RUN/000012 or a path")
    common.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="where networks lie"
    )
    common.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where trainings leave theirs")
    _number(common, "psi", real, _words("psi"), help="truncation, -5 to 5; 0.7 when not given")
    _number(common, "cutoff", whole, _words("cutoff"), help="truncate the first N layers alone")
    common.add_argument("--noise", metavar="WORD", help="const, none or a whole number")
    _number(common, "label", whole, _words("label"), help="the class of a network with classes")
    common.add_argument("--grown", metavar="HxW[:ALPHA]", help="what a growing network showed there, such as 56x48:0.3")
    common.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps")
    common.add_argument(
        "--precision", default="auto", metavar="NAME", help="float32, or bfloat16 for a film in a hurry"
    )
    common.add_argument("--json", action="store_true", help="print one JSON object instead of paths")
    common.add_argument("--progress", action="store_true", help=argparse.SUPPRESS)
    return common


def _number(made: argparse.ArgumentParser, name: str, kind: Number, allowed: str, **more: Any) -> None:
    made.add_argument(f"--{name}", type=kind(name, allowed), metavar="N" if kind is whole else "X", **more)


def _words(key: str) -> str:
    """What is allowed for a key of the recipe."""
    return str(RECIPE[key]["description"]).removesuffix(", or null")


def _out(made: argparse.ArgumentParser, words: str) -> None:
    made.add_argument("--out", type=place("out", f"give --out: {words}"), metavar="PATH", help=words)


def _recipe(made: argparse.ArgumentParser) -> None:
    words = "what flags leave open: JSON, or @FILE with JSON or a PNG that carries it"
    made.add_argument("--recipe", metavar="JSON|@FILE", help=words)


def _render(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="LIST", help="such as 7 or 0-7 or 3,9,27")
    _number(
        made,
        "bits",
        whole,
        "8 or 16",
        default=8,
        help="16 for levels that stand for the scanner's values; 8 when not given",
    )
    _recipe(made)
    _out(made, "a folder, or X.png for one picture")


def _grid(made: argparse.ArgumentParser) -> None:
    _number(
        made, "number", whole, f"1 to {MOST_CELLS}", help="this many fresh seeds, which are printed; 64 when not given"
    )
    made.add_argument("--seeds", metavar="LIST", help="these seeds instead")
    made.add_argument("--run", metavar="RUN", help="take the newest network of this run")
    _number(made, "columns", whole, "1 or more", help="pictures in a row")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _mix(made: argparse.ArgumentParser) -> None:
    made.add_argument("--rows", metavar="LIST", help="seeds that give the pictures")
    made.add_argument("--columns", metavar="LIST", help="seeds that give the styles")
    made.add_argument("--layers", metavar="LIST", help="such as 4-7 or 0,3,8-11")
    _number(made, "amount", real, SHARE, default=1.0, help="0 to 1; 1 when not given")
    _number(made, "column-label", whole, "0 or more", help="class of the columns; that of --label when not given")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _interpolate(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="LIST", help="two or more")
    made.add_argument("--recipes", metavar="JSON|@FILE", help="a JSON list of recipes instead of seeds")
    words = "keys at times instead, with all below: JSON, or @FILE with JSON or a film that carries one"
    made.add_argument("--timeline", metavar="JSON|@FILE", help=words)
    _number(made, "steps", whole, "1 or more", help="frames from one to the next; 24 when not given")
    made.add_argument("--space", metavar="w|z", help="straight in w, which is when not given, or around in z")
    made.add_argument("--loop", action="store_true", help="close the walk to a loop")
    _number(made, "fps", real, FPS, help="frames a second; 24 when not given")
    made.add_argument("--ease", metavar="NAME", help="linear when not given, or smooth: rest at each picture")
    _number(made, "scale", whole, SCALES, default=1, help=f"every pixel N x N, 1 to {MOST_SCALE}; 1 when not given")
    _recipe(made)
    _out(made, "X.gif, X.webp, X.mp4 or a new folder for PNG")


def _bilinear(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="A,B,C,D", help="top left, top right, bottom left, bottom right")
    made.add_argument("--recipes", metavar="JSON|@FILE", help="a JSON list of four recipes instead of seeds")
    _number(made, "steps", whole, CELLS_A_SIDE, default=10, help="cells a side; 10 when not given")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


def _compare(made: argparse.ArgumentParser) -> None:
    made.add_argument("--with", dest="other", metavar="NAME|PATH", help="the network on the right; the same one")
    precisions = "the right one's; as --precision when not given"
    made.add_argument("--with-precision", metavar="NAME", help=precisions)
    made.add_argument("--seeds", metavar="LIST", help="a row each")
    factors = ", ".join(map(str, AMPLIFY))
    _number(made, "amplify", whole, factors, default=4, help=f"how strongly the difference is shown: {factors}")
    made.add_argument("--signed", action="store_true", help="around gray 128, brighter where the right one is")
    made.add_argument("--title", metavar="TEXT", help="written above, in place of the names")
    _recipe(made)
    _out(made, "X.png")


def _layers(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="SEED", help="one seed")
    made.add_argument("--layer", metavar="NAME|N", help="one of those that the verb lists, by name or number")
    made.add_argument("--view", default="channels", metavar="NAME", help="channels, spectrum or growing")
    made.add_argument("--sort", metavar="NAME", help="channels by index, or by deviation, the largest first")
    made.add_argument("--scale", metavar="NAME", help="gray levels common to all channels, or each its own")
    for name, words in (("first", "skip so many channels"), ("count", "show so many; 64 when not given")):
        _number(made, name, whole, "a whole number, 0 or more", help=words)
    _number(made, "columns", whole, "a whole number, 1 or more", help="channels in a row")
    _number(made, "cell", whole, "a whole number, 8 to 1024", help="pixels of a picture's longer side")
    made.add_argument("--title", metavar="TEXT", help="written above, in place of the layer's name")
    _recipe(made)
    _out(made, "X.png; without it the layers are listed")


def _directions(made: argparse.ArgumentParser) -> None:
    words = f"{', '.join(FOUND_BY)}; without it, what is kept is listed"
    made.add_argument("--method", metavar="NAME", help=words)
    made.add_argument("--layers", metavar="LIST", help="one range such as 0-3: worked out over these layers")
    _number(made, "number", whole, f"1 to {MOST_FOUND}", help="how many sefa and pca find; 8 when not given")
    _number(made, "which", whole, f"0 to {MOST_FOUND - 1}", help="this one of them alone, from 0")
    made.add_argument("--a", metavar="LIST", help="the pile to lead away from: seeds, and names of points")
    made.add_argument("--b", metavar="LIST", help="the pile to lead to")
    table = "a table with a column seed or file, and one of values"
    made.add_argument("--labels", type=place("labels", f"give --labels: {table}"), metavar="CSV", help=table)
    made.add_argument("--column", metavar="NAME", help="the column of values, where there are several")
    made.add_argument("--name", metavar="NAME", help="keep what was found under this name")
    made.add_argument("--replace", action="store_true", help="also where that name is taken")
    made.add_argument("--rename", metavar="NAME", help="give what is kept the name of --name")
    made.add_argument("--forget", metavar="NAME", help="remove what is kept")
    made.add_argument("--export", metavar="NAME", help="write it to --out X.safetensors, to be shared")
    read = place("import", "the path of a direction's file")
    made.add_argument("--import", dest="opened", type=read, metavar="FILE", help="keep a direction that was shared")
    _number(made, "seed", whole, _words("seed"), help="the picture of the sheet; 0 when not given")
    made.add_argument("--title", metavar="TEXT", help="written above the sheet")
    _recipe(made)
    _out(made, "X.png: a sheet of each from -3 to +3")


def _project(made: argparse.ArgumentParser) -> None:
    read = place("PICTURE", "the path of a picture or of a folder")
    made.add_argument("source", type=read, metavar="PICTURE|FOLDER|ZIP", help="what is looked for in the network")
    words = f"{PROJECTOR_STEPS} when not given"
    _number(made, "steps", whole, f"20 to {MOST_STEPS}", default=PROJECTOR_STEPS, help=f"of descent; {words}")
    _number(made, "seconds", real, f"1 to {MOST_SECONDS}", help="as many steps as fit, yardstick included")
    spaces = " or ".join(SPACES)
    made.add_argument(
        "--space", default=SPACES[0], metavar="NAME", help=f"{spaces}: a w for each layer, or one for all"
    )
    made.add_argument("--noise-maps", action="store_true", help="fit noise maps, too: finer, but of no use elsewhere")
    read = place("features", "the path of VGG16's weights")
    made.add_argument("--features", type=read, metavar="PATH", help="compare by VGG16, whose weights are there")
    made.add_argument("--replace", action="store_true", help="also where a point of that name is kept")
    read = place("watch", "a folder")
    made.add_argument("--watch", type=read, metavar="DIR", help="for programs: a folder that shows what is reached")
    _out(made, "a point's name, kept beside the network, or X.safetensors; X.csv for a folder")


def _convert(made: argparse.ArgumentParser) -> None:
    read = place("IN", "the path of a network file")
    made.add_argument("source", type=lambda text: str(read(text)), metavar="IN", help="a network file")
    made.add_argument("target", type=place("OUT", "X.safetensors"), metavar="OUT.safetensors", help="where to")
    words = "nvidia or rosinality: OUT.pt, a torch file of weights under the names of that program"
    made.add_argument("--as", dest="program", metavar="PROGRAM", help=words)
    made.add_argument(
        "--dtype", default="float32", metavar="NAME", help="float32, or float16 for half the size and coarser weights"
    )


def _map(made: argparse.ArgumentParser) -> None:
    _number(made, "samples", whole, SAMPLES, default=5000, help="seeds 0 to N-1; 5000 when not given")
    made.add_argument("--method", default="umap", metavar="NAME", help="umap, or pca, which is there at once")
    made.add_argument("--by-class", action="store_true", help="all classes, coloured: seed k of class k modulo theirs")
    words = "colours: seed, psi, class, brightness, the name of a direction, or FILE.csv:COLUMN"
    made.add_argument("--color", metavar="NAME", help=words)
    made.add_argument("--points", action="store_true", help="kept pictures among the samples of the UMAP")
    made.add_argument("--pictures", action="store_true", help="small pictures in place of dots, where they have room")
    _out(made, "X.csv; the picture goes to X.png")


def _nearest(made: argparse.ArgumentParser) -> None:
    made.add_argument("--seeds", metavar="LIST", help="a row each")
    words = "a picture file to look for, as if it were a sample; may be given several times"
    made.add_argument("--picture", action="append", metavar="FILE", help=words)
    words = "folder or zip of the pictures it was trained on; as the settings of the network's run say"
    made.add_argument("--data", metavar="PATH", help=words)
    made.add_argument("--mirror", action="store_true", help="look among mirror images too, as after such a training")
    _number(made, "number", whole, f"1 to {MOST_NEAR}", default=4, help="nearest pictures in a row; 4 when not given")
    made.add_argument("--title", metavar="TEXT", help="written above")
    _recipe(made)
    _out(made, "X.png")


if __name__ == "__main__":
    sys.exit(run(main))
