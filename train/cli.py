"""The command line of `python -m train`: flags -> settings. Every flag but a few is a setting of config.py."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core import runs
from core.command import Parser
from core.errors import SettingError
from core.numbers import natural
from train import measuring
from train.config import Config, Setting, parse_size, settings
from train.console import say
from train.presets import NOTHING, PRESETS, Follows, follows, preset
from train.setting import is_size

__all__ = ["Asked", "ask", "parser"]

RUNS = "runs"  # where --resume looks for a run that --out does not name


@dataclass(frozen=True)
class Asked:
    """What a command line asks for; `follows` is what of its preset fits the shape of the pictures."""

    config: Config
    out: Path | None
    resume: bool
    dry_run: bool
    grid: int | None
    anyway: bool = False
    burst: float | None = None
    follows: Follows = NOTHING


def parser() -> argparse.ArgumentParser:
    """All flags, in the groups of the manual."""
    top = Parser(prog="python -m train", description="Train a StyleGAN or StyleGAN2 on your own pictures.")
    top.add_argument("--out", metavar="RUN", help="the run's folder: new or empty, unless --resume")
    top.add_argument(
        "--preset", metavar="NAME", help="named settings, which other flags override: " + ", ".join(PRESETS)
    )
    top.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, or with the newest in runs/; settings left out are its own",
    )
    top.add_argument(
        "--resume-anyway",
        action="store_true",
        help="the same, even with settings or pictures that change what the run means",
    )
    top.add_argument(
        "--burst", metavar="MINUTES", help="stop after this many minutes, everything saved, to go on by --resume"
    )
    top.add_argument("--grid", metavar="N", help="when the training is done, write grid.png with this many samples")
    top.add_argument(
        "--dry-run", action="store_true", help="print settings, networks, memory and time, and touch nothing"
    )
    groups: dict[str, Any] = {}
    for setting in settings():
        group = groups.setdefault(setting.group, None) or top.add_argument_group(setting.group)
        groups[setting.group] = group
        help = f"{setting.help} (default: {setting.default})" if setting.default != "" else setting.help
        if isinstance(setting.default, bool):
            group.add_argument(
                setting.flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=setting.help
            )
        else:
            group.add_argument(
                setting.flag, metavar=_metavar(setting), default=argparse.SUPPRESS, help=help.replace("%", "%%")
            )
    return top


def _metavar(setting: Setting) -> str:
    if setting.choices:
        return "|".join(setting.choices)
    return {"data": "PATH", "size": "HxW", "start": "HxW", "grow_from": "HxW"}.get(
        setting.name, "N" if not isinstance(setting.default, str) else "VALUE"
    )


def ask(arguments: list[str] | None = None) -> Asked:
    """Read the command line. Raises StyloscopeError for what cannot be."""
    given = vars(parser().parse_args(arguments))
    out = Path(given["out"]) if given["out"] else None
    resume = given["resume"] or given["resume_anyway"]
    if out is None and resume:
        out = _latest()
    if out is None and not given["dry_run"]:
        raise SettingError("out", "", "give --out a folder for the run")
    config, follow = _settings(given, out if resume else None)
    if not config.data and resume:
        raise SettingError(
            "resume", out, "it is no run, since it has no config.json; name a run's folder, or give --data"
        )
    if not config.data:
        raise SettingError("data", "", "give --data a folder or zip of pictures, or the word phantoms")
    if out is not None and _inside(out, config.data) and not runs.is_run(out):
        allowed = f"a place outside {config.data}, or the run's own pictures would be read as part of it"
        raise SettingError("out", out, allowed)
    measuring.chosen(config)
    return Asked(
        config=config,
        out=out,
        resume=resume,
        dry_run=given["dry_run"],
        grid=_grid(given["grid"]),
        anyway=given["resume_anyway"],
        burst=_minutes(given["burst"]),
        follows=follow,
    )


def _latest() -> Path:
    """The run that --resume goes on with where nobody names one. Raises SettingError."""
    found = runs.latest(RUNS)
    if found is None:
        raise SettingError("resume", "", f"there is no run in {RUNS}/ to go on with; name one with --out")
    say(f"going on with {found}, the newest run in {RUNS}/")
    return found


def _settings(given: Mapping[str, Any], before: Path | None) -> tuple[Config, Follows]:
    """The settings that flags name, over a preset's, over those of the run `before` that goes on."""
    values: dict[str, Any] = {}
    if before is not None and runs.is_run(before):
        values |= {name: value for name, value in runs.config(before).items() if name != "resolved"}
    flags = {one.name: _value(one, given[one.name]) for one in settings() if one.name in given}
    follow = NOTHING
    if given["preset"] is not None:
        values |= _named(given["preset"], {**values, **flags}, given=flags)
        follow = follows(given["preset"], flags)
    values |= flags
    if values.get("loss") == "wgan-gp" and "gamma" not in given:
        values.pop("gamma", None)  # a weight of R1, which another loss asked for has no use for
    return Config.read(values, fit=lambda one: _fitted(one, follow)), follow


def _named(name: str, others: Mapping[str, Any], *, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the preset `name` sets beside `others`: the settings of a run that goes on, and what is `given`."""
    values = preset(name)
    # A head start is for the preset's own networks, begun from nothing.
    if "reconstruct" not in given and (others.get("init") or others.get("labels")):
        values.pop("reconstruct", None)
    if "hold" not in given and not {**others, **values, **given}.get("reconstruct"):
        values.pop("hold", None)
    return values


def _fitted(config: Config, follow: Follows) -> Config:
    """What of a preset fits the size, where that is known by now."""
    if "size" in follow.names and config.data != "phantoms":
        return replace(config, size="auto")  # the pictures will say it: nothing is judged by the preset's own
    if config.size == "auto" or not all(map(is_size, (config.size, config.start, config.grow_from))):
        return config
    return follow.at_size(config, parse_size(config.size))


def _inside(out: Path, data: str) -> bool:
    """Whether a run's folder lies in the folder of its pictures."""
    return data != "phantoms" and Path(data).resolve() in out.resolve().parents


def _value(setting: Setting, text: Any) -> Any:
    if isinstance(text, bool):
        return text
    try:
        return setting.read(text)
    except (ValueError, OverflowError):
        raise SettingError(setting.name, text, setting.allowed) from None


def _grid(text: str | None) -> int | None:
    if text is None:
        return None
    found = natural(text, least=1, most=1024)
    if found is None:
        raise SettingError("grid", text, "a whole number from 1 to 1024")
    return found


def _minutes(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= 60 * 24 * 365:
        raise SettingError("burst", text, "a number of minutes, more than 0")
    return minutes
