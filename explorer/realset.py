"""Sets of real pictures that may be looked through for a network, and how its training saw them.

A network file from somebody else names no place on this disk: of its header only the name of the set is taken, to
choose among those that a person has given. A path comes from the command line, or from the settings of a run.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import runs
from core.errors import DataError
from core.frame import FITS
from explorer.networks import Network

__all__ = ["PHANTOMS", "Choice", "choices", "nothing"]

PHANTOMS = "phantoms"
_LONGEST = 4000  # characters of a path, a pattern or a command that is looked at


@dataclass(frozen=True)
class Choice:
    """A set that may be looked through for a network, and how the training saw it as far as that is known.

    `holdout`, `seed` say which pictures were held out; `fit`, `only` how and which pictures were taken; `mirror` that
    their mirror images were shown, too. `own` is true where the run itself names the set.
    """

    path: Path
    name: str
    own: bool
    fit: str | None = None
    only: str = ""
    holdout: float = 0.0
    seed: int = 0
    mirror: bool = False


def choices(network: Network, given: Sequence[Path] = (), *, follow: bool) -> list[Choice]:
    """The sets for a network, the likeliest first: its run's own where `follow` says so, then those given by a person.

    Of those given the one that bears the name in the network's header comes first. Names are told apart.
    """
    settings, source = _settings(network)
    found = [_choice(path, settings, source=source) for path in given]
    named = Path(source).name if source else ""
    found.sort(key=lambda one: one.path.name != named)
    run = _run(network)
    if follow and run is not None and source not in ("", PHANTOMS) and _there(Path(source)):
        found = [one for one in found if not _one_place(one.path, Path(source))]
        found.insert(0, _choice(Path(source), settings, source=source, own=True))
    return [_renamed(one, found[:index]) for index, one in enumerate(found)]


def nothing(network: Network) -> str:
    """Why there is no set for a network and how to name one."""
    _, source = _settings(network)
    if source == PHANTOMS:
        return f"the network {network.name} was trained on phantoms, drawn anew each time: there is no set"
    known = f"was trained on {Path(source).name[:80]!r}" if source else "does not say what it was trained on"
    return f"the network {network.name} {known}, and no set of pictures is known here; name it with --data"


def _run(network: Network) -> Path | None:
    folder = network.path.resolve().parent
    return folder.parent if folder.name == runs.CHECKPOINTS and runs.is_run(folder.parent) else None


def _settings(network: Network) -> tuple[dict[str, Any], str]:
    """Settings of the training and its source: from the run's config.json, else from the header's command and name."""
    run = _run(network)
    training = network.about.get("training")
    training = training if isinstance(training, dict) else {}
    if run is not None:
        try:
            config = runs.config(run)
        except (DataError, OSError):
            config = {}
        source = config.get("data")
        return config, source if isinstance(source, str) and len(source) <= _LONGEST and "\0" not in source else ""
    said = _told(training.get("command"))
    source = training.get("data")
    name = source if isinstance(source, str) and len(source) <= _LONGEST and "\0" not in source else ""
    # A header's path is never followed; its name alone is what people and sets are told.
    return said, Path(name.replace("\\", "/")).name


def _told(command: object) -> dict[str, Any]:
    """What a training's command line says of its pictures."""
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        command = " ".join(command)
    if not isinstance(command, str) or len(command) > _LONGEST:
        return {}
    try:
        words = shlex.split(command)
    except ValueError:
        return {}
    following = [*words[1:], ""]
    pairs = [word.split("=", 1) if "=" in word else [word, after] for word, after in zip(words, following, strict=True)]
    given = {name[2:]: value for name, value in pairs if name.startswith("--")}
    found: dict[str, Any] = {"mirror": "mirror" in given, "fit": given.get("fit"), "only": given.get("only", "")}
    for key, kind in (("holdout", float), ("seed", int)):
        try:
            found[key] = kind(given[key])
        except (KeyError, ValueError):
            continue
    return found


def _choice(path: Path, settings: dict[str, Any], *, source: str, own: bool = False) -> Choice:
    """What is known of how the training saw a set; of a set with another name nothing but what it was shown as."""
    same = own or path.name == Path(source).name
    share, seed, only, fit = (settings.get(key) for key in ("holdout", "seed", "only", "fit"))
    number = isinstance(share, int | float) and not isinstance(share, bool) and math.isfinite(share)
    return Choice(
        path=path,
        name=path.name,
        own=own,
        fit=fit if fit in FITS else None,
        only=only if same and isinstance(only, str) and len(only) <= _LONGEST else "",
        holdout=float(share) if same and number and share is not None and 0 < share <= 0.5 else 0.0,
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 else 0,
        mirror=settings.get("mirror") is True,
    )


def _renamed(choice: Choice, before: Sequence[Choice]) -> Choice:
    """A name of its own for each set: with the folder before it where another one has the same."""
    if all(one.name != choice.name for one in before):
        return choice
    values = {**vars(choice), "name": f"{choice.path.parent.name}/{choice.path.name} ({len(before) + 1})"}
    return Choice(**values)


def _there(path: Path) -> bool:
    try:
        return path.is_dir() or path.is_file()
    except (OSError, ValueError):
        return False


def _one_place(one: Path, other: Path) -> bool:
    try:
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
