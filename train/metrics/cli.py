"""The command line of python -m train.metrics: networks and pictures -> a table and a line of metrics.jsonl each."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

import core
from core import runs
from core.command import Parser
from core.engine import choose_device
from core.errors import SettingError
from core.frame import FITS, Frame
from core.header import read_about, read_header
from core.memory import keep_freed_memory
from core.numbers import natural
from core.sizes import LARGEST
from train.config import Config
from train.console import say, watched
from train.data import Data
from train.metrics.bench import LEAST, Kept
from train.metrics.beside import beside
from train.metrics.evaluation import chosen, evaluate, steps
from train.metrics.measures import read_names
from train.metrics.record import append, line, named, table
from train.opening import Plan, open_data, plan

__all__ = ["parser", "work"]

CUTS = ("only", "axis", "slices", "window")  # settings that say which pictures a set has, and how they look


def parser() -> argparse.ArgumentParser:
    """All flags, as docs/metrics.md has them."""
    top = Parser(prog="python -m train.metrics", description="Measure a network against pictures, offline.")
    words = "a network file, a run (its newest), a run's folder of networks, or a name in checkpoints/; several of them"
    top.add_argument("--checkpoint", metavar="C", nargs="+", action="extend", default=[], help=words)
    top.add_argument("--data", metavar="PATH", help="folder or zip of the pictures it was trained on, or phantoms")
    top.add_argument("--metrics", metavar="A,B", default="", help="measures by name; all that need no Inception")
    top.add_argument("--count", metavar="N", help="pictures of every set; as many as end in minutes on a CPU")
    top.add_argument("--seed", metavar="N", default="0", help="of the first sample, and of every choice (default: 0)")
    top.add_argument("--holdout", metavar="SHARE", help="compare with this share of the pictures, whole people at once")
    top.add_argument("--inception", metavar="PATH", help="Inception weights, for FID and KID")
    for name in CUTS:
        top.add_argument(f"--{name}", metavar=name.upper(), help="as of a training; as the run did where C is of one")
    top.add_argument("--fit", metavar="|".join(FITS), help="how pictures were fitted; as the network file says")
    top.add_argument("--device", metavar="auto|cpu|cuda|mps", default="auto", help="where to compute (default: auto)")
    top.add_argument("--out", metavar="FILE", help="the file that the line is added to; metrics.jsonl of the run")
    top.add_argument("--json", action="store_true", help="print the line as JSON instead of the table")
    return top


@dataclass(frozen=True)
class _Wish:
    """What the flags ask of every network."""

    source: str
    names: list[str]
    count: int | None
    seed: int
    share: float | None
    fit: str | None
    inception: str | None
    device: torch.device
    cuts: Mapping[str, str]


@dataclass(frozen=True)
class _Memory:
    """What later networks need not work out, or say, once more."""

    kept: Kept = field(default_factory=Kept)
    told: set[str] = field(default_factory=set)

    def say(self, sentence: str) -> None:
        if sentence not in self.told:
            say(sentence)
        self.told.add(sentence)


def work(arguments: list[str] | None = None) -> int:
    """Do what the command line asks. Raises StyloscopeError."""
    flags = parser().parse_args(arguments)
    wish = _Wish(
        source=flags.data,
        names=read_names(flags.metrics),
        count=None if flags.count is None else _whole("count", flags.count, 50000, least=LEAST),
        seed=_whole("seed", flags.seed, 2**32 - 1),
        share=None if flags.holdout is None else _share(flags.holdout),
        fit=flags.fit,
        inception=flags.inception,
        device=choose_device(flags.device),
        cuts={name: getattr(flags, name) for name in CUTS if getattr(flags, name) is not None},
    )
    if flags.fit is not None and flags.fit not in FITS:
        raise SettingError("fit", flags.fit, ", ".join(FITS))
    if not flags.data:
        raise SettingError("data", "", "give --data a folder or zip of pictures, or the word phantoms")
    keep_freed_memory()
    memory = _Memory()
    measured: list[tuple[str, dict[str, Any]]] = []
    found = _found(flags.checkpoint)
    for path, _ in found:
        _judged(path, wish)
    try:
        for (path, run), called in zip(found, _called(found), strict=True):
            entry = _measure(path, run, wish, memory)
            file = Path(flags.out) if flags.out else run / runs.METRICS if run else None
            if file is not None:
                append(file, entry)
            gap = "\n\n" if measured and not flags.json else ""
            print(gap + (json.dumps(entry, ensure_ascii=False) if flags.json else _page(entry)), flush=True)
            measured.append((called, entry["figures"]))
    finally:  # a training may delete the next one meanwhile
        if len(measured) > 1 and not flags.json:
            print(f"\n\n{beside(measured)}")
    return 0


def _judged(path: Path, wish: _Wish) -> None:
    """Raise SettingError where a measure is asked for that this network lacks the discriminator for."""
    there = any(name.startswith("d.") for name in read_header(path).tensors)
    try:
        chosen(wish.names, judged=there, inception=wish.inception is not None)
    except SettingError as wrong:
        allowed = wrong.allowed.replace("the network file", str(path), 1)
        raise SettingError(wrong.field, wrong.value, allowed) from wrong


def _measure(path: Path, run: Path | None, wish: _Wish, memory: _Memory) -> dict[str, Any]:
    """The line of one network."""
    began = time.monotonic()
    which = named(path, read_about(path)["training"])  # a training may replace the file while it is measured
    opened = core.load(path)
    measures = chosen(wish.names, judged=opened.discriminator is not None, inception=wish.inception is not None)
    data, held = _data(opened, wish, run, memory)
    total = steps(measures, wish.count, opened.crop)
    with tqdm(total=total, leave=False, disable=not watched(), desc=f"measuring {path.stem}") as bar:
        figures = evaluate(
            opened.generator,
            opened.discriminator,
            data,
            held=held,
            names=[measure.name for measure in measures],
            count=wish.count,
            seed=wish.seed,
            device=wish.device,
            crop=opened.crop,
            inception=wish.inception,
            each=_tick(bar),
            alpha=opened.grown[1] if opened.grown is not None and opened.grown[0] == opened.generator.size else 1.0,
            mirrored=_mirrored(opened, run),
            kept=memory.kept,
        )
    seen = opened.about["training"].get("images_seen")
    kimg = seen / 1000 if isinstance(seen, int | float) else None
    return line(figures, kimg=kimg, checkpoint=path.name, seconds=time.monotonic() - began, named=which)


def _tick(bar: tqdm) -> Callable[[], None]:
    def each() -> None:
        bar.update()

    return each


def _page(entry: dict[str, Any]) -> str:
    figures = entry["figures"]
    one = next(iter(figures.values()))
    facts = f"{entry['checkpoint']} against {one['against']}, data {one['data']}, {one['filter'].split(';')[0]}"
    how = f"samples of seeds {one['seed']} and up at psi 1; measured in {entry['seconds']:.0f} s"
    if one["mirrored"]:
        how += "\ntrained with --mirror, and compared with pictures that are not mirrored"
    return f"{facts}\n{how}\n\n{table(figures)}"


def _mirrored(opened: core.Opened, run: Path | None) -> bool | None:
    """Whether the network was trained with --mirror: as its run says, else the command in the file; None unknown."""
    said = runs.config(run).get("mirror") if run is not None else None
    if isinstance(said, bool):
        return said
    words = str(opened.about["training"].get("command") or "").split()
    flags = [word for word in words if word in ("--mirror", "--no-mirror")]
    # Nothing is said by a command that takes the rest of its settings from a run.
    if not words or (not flags and any(word.startswith("--resume") for word in words)):
        return None
    return bool(flags) and flags[-1] == "--mirror"


def _found(given: list[str]) -> list[tuple[Path, Path | None]]:
    """The network files that are meant, each once, and the runs they lie in: all are there before one is measured."""
    found: dict[Path, tuple[Path, Path | None]] = {}
    for text in given or [""]:
        folder = Path(text)
        inside = text != "" and folder.is_dir() and not runs.is_run(folder)
        several = [str(file) for file in sorted(folder.glob("*.safetensors"))] if inside else []
        for one in several or [text]:
            file, run = _find(one)
            found.setdefault(file.resolve(), (file, run))
    return list(found.values())


def _called(found: list[tuple[Path, Path | None]]) -> list[str]:
    """The networks' names in a table: RUN/000012 for one of a run, with more of its path where others are called so."""
    paths = [path.resolve().with_suffix("") for path, _ in found]
    shown = [2 if run else 1 for _, run in found]
    inside = [
        path.parent.parent.parts + path.parts[-1:] if run else path.parts
        for path, (_, run) in zip(paths, found, strict=True)
    ]
    for _ in range(max(map(len, inside))):
        names = ["/".join(parts[-count:]) for parts, count in zip(inside, shown, strict=True)]
        shown = [count + (names.count(name) > 1) for count, name in zip(shown, names, strict=True)]
    return names


def _find(given: str) -> tuple[Path, Path | None]:
    """The network file that is meant, and the run it lies in."""
    if not given:
        raise SettingError("checkpoint", "", "give --checkpoint a network file, a run, or a name in checkpoints/")
    path = Path(given)
    if path.is_dir() and runs.is_run(path):
        path = runs.newest(path) or path / runs.CHECKPOINTS
    elif not path.exists() and path.name == given:
        named = Path("checkpoints") / f"{given}.safetensors"
        path = named if named.is_file() else path
    read_about(path)
    folder = path.resolve().parent
    inside = folder.name == runs.CHECKPOINTS and runs.is_run(folder.parent)
    return path, (path.parent.parent if path.parent.name else folder.parent) if inside else None


def _data(opened: core.Opened, wish: _Wish, run: Path | None, memory: _Memory) -> tuple[Data, Data | None]:
    """Pictures in the frame of the network, and those held out of them: as the flags say, else as the run did."""
    g = opened.generator
    began = runs.config(run) if run is not None else {}
    classes = bool(began.get("labels", False)) and g.num_classes > 0
    full = _full(opened)
    size = f"{full[0]}x{full[1]}"
    asked = {"data": wish.source, "size": size, "channels": str(g.channels), "labels": classes}
    as_then = {name: began[name] for name in CUTS if isinstance(began.get(name), str)}
    config = Config.read({**asked, **as_then, **wish.cuts})
    planned = plan(config)
    wanted = wish.fit or began.get("fit") or opened.about["picture"].get("fit")
    data = open_data(dataclasses.replace(planned, frame=_frame(planned, opened, wanted)))
    for sentence in data.says:
        memory.say(sentence)
    if full != g.size:
        data = data.at(g.size)
        memory.say(f"a network on its way to {size}: measured at {g.size[0]}x{g.size[1]}, the size that it has reached")
    if data.frame.crop != opened.crop:
        own, files = list(data.frame.crop), list(opened.crop)
        memory.say(f"these pictures would be shown at {own}; they are cut to the network's {files}")
    share = float(began.get("holdout", 0.0)) if wish.share is None else wish.share
    if not share:
        return data, None
    training, held = data.split(share, seed=int(began.get("seed", 0)))
    memory.say(training.says[-1])
    then = opened.about["training"].get("fingerprint")
    if then is not None and full == g.size and then != training.fingerprint:
        memory.say(
            f"the training saw other pictures than what is left here (data hash {then}, here {training.fingerprint}), "
            "so what is held out may have been trained on"
        )
    return training, held


def _frame(planned: Plan, opened: core.Opened, fit: str | None) -> Frame:
    """The frame that the training used."""
    size, full = opened.generator.size, _full(opened)
    return Frame.showing(planned.frame.picture, size=size, full=full, crop=opened.crop, fit=fit)


def _full(opened: core.Opened) -> tuple[int, int]:
    """The size that a network saved on its way is to have in the end, as its file says; else its own."""
    size, told = opened.generator.size, opened.about["picture"].get("full")
    larger = [(size[0] << k, size[1] << k) for k in range(1, LARGEST.bit_length())]
    return next((one for one in larger if list(one) == told and max(one) <= LARGEST), size)


def _whole(field: str, text: str, most: int, *, least: int = 0) -> int:
    found = natural(text, most=most)
    if found is None or found < least:
        raise SettingError(field, text, f"a whole number from {least} to {most}")
    return found


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 0.5:
        raise SettingError("holdout", text, "a share from 0 to 0.5")
    return share
