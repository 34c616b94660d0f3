"""What a network file says of itself: its header alone is read, no network is built."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from core import foreign, runs
from core.errors import StyloscopeError
from core.generator import ARCHITECTURES
from core.header import configs, read_header
from core.intensity import Intensity
from explorer.card import credit_of
from explorer.flags import studio_of
from explorer.recipe import Grown

__all__ = ["do_inspect", "file_of"]


def do_inspect(flags: argparse.Namespace) -> None:
    """Print what a file says of itself; of another program's file also whether it opens."""
    path = file_of(flags, flags.file or flags.checkpoint)
    facts = _own(path) if foreign.recognise(path) is None else _foreign(path)
    if flags.json:
        print(json.dumps(facts))
        return
    for name, value in _flat(facts).items():
        if value is not None and value not in ("", []):
            print(f"{name}: {_words(name, value)}")


def _own(path: Path) -> dict[str, Any]:
    """What the header of a file of ours says."""
    header = read_header(path)
    about = header.about
    config, discriminator = configs(path, about)
    arch = ARCHITECTURES[about["arch"]]
    crop, intensity = about["picture"]["crop"], Intensity.read(about["picture"].get("intensity"))
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "architecture": about["arch"],
        "format": about["format"],
        "size": list(config.size),
        "shown": [crop[2], crop[3]],
        "crop": crop,
        "channels": config.channels,
        "intensity": None if intensity is None else intensity.values(),
        "layers": 2 * len(config.filters),
        "sizes": ["x".join(map(str, size)) for size in config.level_sizes] if arch.grows else None,
        "grown": about.get("grown"),
        "filters": list(config.filters),
        "z_dim": config.z_dim,
        "w_dim": config.w_dim,
        "classes": config.num_classes,
        "networks": sorted({name.split(".", 1)[0] for name in header.tensors}),
        "parameters": _trained(header.tensors),
        "dtypes": sorted({dtype for dtype, _ in header.tensors.values()}),
        "training": about["training"],
        "credit": credit_of(path, about),
        "provenance": about.get("provenance"),
        "suspicious": _suspicions(
            about,
            header.tensors,
            crop=crop,
            size=config.size,
            has_d=discriminator is not None,
            credited=bool(credit_of(path, about)),
        ),
    }


def _foreign(path: Path) -> dict[str, Any]:
    """What a file of another program says of itself, and why it does not open where that is known already."""
    said = foreign.facts(path)
    config = said["config"] or {}
    arch = ARCHITECTURES[said["arch"]] if said["arch"] else None
    sizes = None
    if arch is not None and arch.grows:
        sizes = ["x".join(map(str, size)) for size in _built(arch.generator, config).level_sizes]
    return {
        "file": str(path),
        "bytes": said["bytes"],
        "format": said["format"],
        "program": said["program"],
        "architecture": said["arch"],
        "opens": said["refused"] is None,
        "refused": said["refused"],
        "size": list(config["size"]) if config else None,
        "channels": config.get("channels"),
        "layers": 2 * len(config["filters"]) if config else None,
        "sizes": sizes,
        "filters": list(config["filters"]) if config else None,
        "z_dim": config.get("z_dim"),
        "w_dim": config.get("w_dim"),
        "classes": config.get("num_classes"),
        "config": config or None,
        "networks": said["networks"],
        "training": said["training"],
        "keys": said["keys"],
        "suspicious": said["suspicious"],
    }


def _built(kind: type, config: dict[str, Any]) -> Any:
    return kind(**{name: value for name, value in config.items() if name != "discriminator"})


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as people read them, a line each."""
    facts = dict(facts)
    facts.pop("config", None)
    facts["keys"] = _first(facts.get("keys") or [], most=12)
    if facts.get("intensity"):
        facts["intensity"] = Intensity.read(facts["intensity"]).says()  # type: ignore[union-attr]
    if facts.get("grown"):
        facts["grown"] = Grown(tuple(facts["grown"]["size"]), facts["grown"]["alpha"])
    if "opens" in facts:
        facts["opens"] = "yes" if facts["opens"] else "no"
        facts["networks"] = [
            " ".join(filter(None, (one["key"], one["class"] and f"({one['class']})", f"{one['numbers']} numbers")))
            for one in facts["networks"]
        ]
    suspicious = facts.pop("suspicious")
    for group in ("training", "provenance"):
        found = facts.pop(group, None)
        facts |= {f"{group}.{key}": value for key, value in found.items()} if isinstance(found, dict) else {}
    return {**facts, "suspicious": "; ".join(suspicious) or "nothing"}


def _first(names: list[str], *, most: int) -> list[str]:
    return names if len(names) <= most else [*names[:most], f"and {len(names) - most} more"]


def _words(name: str, value: object) -> str:
    """A fact as people read it, on one line, without what would steer a terminal."""
    if name.removeprefix("training.") in ("size", "shown", "start") and isinstance(value, list):
        return " x ".join(map(str, value))
    line = " ".join((", ".join(map(str, value)) if isinstance(value, list) else str(value)).split())
    return "".join(char if char.isprintable() else "?" for char in line)


def _trained(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> int:
    """How many numbers of the generator were trained: all but its noise maps and the average w."""
    kept = (".noise", ".w_avg")
    return sum(
        math.prod(shape)
        for name, (_, shape) in tensors.items()
        if name.startswith("g_ema.") and not name.endswith(kept)
    )


def file_of(flags: argparse.Namespace, named: str | None) -> Path:
    """The path of a network given by path or name; a file is taken even where it cannot be opened as a network."""
    if named is not None and Path(named).is_file():
        return Path(named)
    studio = studio_of(flags)
    if named is not None and runs.is_run(named):
        return studio.network(studio.admit_run(named)).path
    try:
        return studio.network(named).path
    except StyloscopeError:
        if named is not None and (Path(named).suffix or "/" in named) and not (flags.runs / named).exists():
            return Path(named)  # its reader says that it is missing
        raise


def _suspicions(
    about: dict[str, Any],
    tensors: dict[str, tuple[str, tuple[int, ...]]],
    *,
    crop: list[int],
    size: tuple[int, int],
    has_d: bool,
    credited: bool,
) -> list[str]:
    """What a header gives reason to doubt, as sentences."""
    parts = {name.split(".", 1)[0] for name in tensors}
    found = []
    if "g_ema" not in parts:
        found.append("no g_ema tensors, so there is no generator to show")
    if has_d != ("d" in parts):
        found.append("config and tensors disagree on whether there is a discriminator")
    if "g" in parts and "d" not in parts:
        found.append("a generator in training without a discriminator: training cannot go on from it")
    for name in sorted(parts - {"g_ema", "g", "d"})[:5]:
        found.append(f"tensors of an unknown part {name[:40]!r}")
    missing = [
        name for name in tensors if name.startswith("g_ema.") and "g" in parts and f"g.{name[6:]}" not in tensors
    ]
    if missing:
        found.append(f"g lacks {len(missing)} tensors that g_ema has, {missing[0][6:60]} first")
    empty = [name for name, (_, shape) in tensors.items() if 0 in shape]
    if empty:
        found.append(f"{len(empty)} tensors are empty, {empty[0][:60]} first")
    if crop[2] * crop[3] < 0.5 * size[0] * size[1]:
        found.append("less than half of the picture is shown")
    training = about["training"]
    if not training:
        found.append("nothing is said of its training")
    elif training.get("images_seen") == 0:
        found.append("it has seen no images: its weights are random")
    if not credited:
        found.append("no credit for the data is given, in the file or its card")
    return found
