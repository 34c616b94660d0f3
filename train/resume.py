"""Going on with a run: from where, with which settings, on which pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from core.errors import SettingError
from train import state
from train.config import Config, settings
from train.console import say
from train.data import Data
from train.networks import Shapes
from train.output import Run
from train.processes import Processes, launch, restarted

__all__ = ["compare", "goes_on", "same_micro", "same_pictures", "shapes"]

# Without these the networks would have other shapes, or other classes: no state fits them.
SHAPES = frozenset(
    {
        "arch", "size", "start", "channels", "labels", "channel_base", "channel_max", "filters", "z_dim", "w_dim",
        "mapping_layers", "g_architecture", "d_architecture", "resample_filter",
    }
)  # fmt: skip


def goes_on(out: Path, *, asked: bool, processes: Processes) -> bool:
    """Whether a run is to go on: where it is asked for, and where torchrun has begun again with a run it had begun."""
    # Of several machines torchrun counts the restart in the one where a process had failed, and in no other.
    if asked or not processes.any(restarted()):
        return asked
    return processes.told("goes on", lambda: "yes" if Run(out).launched_by() == launch() else "no") == "yes"


def compare(config: Config, before: dict[str, Any], *, anyway: bool = False) -> None:
    """Say which settings differ from the run's.

    Raises SettingError where one would change what the run means and nobody said `anyway`, and always where the
    networks of the run could not be built with it.
    """
    now = config.values()
    changed = [setting for setting in settings() if now[setting.name] != before.get(setting.name, setting.default)]
    if _same_place(now["data"], before.get("data")):
        changed = [setting for setting in changed if setting.name != "data"]
    refused = [one for one in changed if one.name in SHAPES or (one.meaning and not anyway)]
    if refused:
        shown = ", ".join(f"{s.flag} {before.get(s.name, s.default)} (now {now[s.name]})" for s in refused)
        names = ", ".join(s.name for s in refused)
        # The state fits the networks of old alone, whatever is said.
        fits = all(one.name not in SHAPES for one in refused)
        other = "say --resume-anyway" if fits else "begin a new run, perhaps with --init"
        raise SettingError("resume", names, f"the run began with {shown}; leave these as they were, or {other}")
    for setting in changed:
        say(f"resuming with {setting.flag} {now[setting.name]} instead of {before.get(setting.name, setting.default)}")


def same_pictures(data: Data, saved: state.State, *, anyway: bool) -> None:
    """Raise SettingError where the pictures are others than those the run has seen, and nobody said `anyway`."""
    before, classes = saved.facts.get("pictures"), saved.facts.get("classes")
    if before not in (None, data.fingerprint):
        differ = f"its pictures are not those that the run began with (fingerprint {data.fingerprint}, then {before})"
    elif classes not in (None, classes_of(data)):
        differ = (
            f"its pictures have other classes than those that the run began with ({classes_of(data)}, then {classes})"
        )
    else:
        return
    if not anyway:
        raise SettingError("data", "changed", f"{differ}; put them back, or say --resume-anyway")
    say(f"resuming although {differ}")


def classes_of(data: Data) -> str | None:
    """The first 12 hex digits of a SHA-256 over the classes' names and the pictures' classes; None without any."""
    if data.labels is None:
        return None
    names = json.dumps(list(data.classes)).encode()
    return hashlib.sha256(names + data.labels.astype("<i8").tobytes()).hexdigest()[:12]


def shapes(saved: state.State, where: Path) -> Shapes | None:
    """How the networks of the run are built; None for a state from before it was said: then settings said all.

    Raises CheckpointError.
    """
    said = saved.facts.get("networks")
    return None if said is None else Shapes.read(where, said)


def same_micro(config: Config, saved: state.State) -> bool:
    """Whether the images computed at once are those of the state, since nobody has asked for others."""
    return bool(config.micro_batch == saved.facts["settings"].get("micro_batch", "auto"))


def _same_place(a: Any, b: Any) -> bool:
    """Whether two spellings name the same folder or zip."""
    return isinstance(a, str) and isinstance(b, str) and Path(a).resolve() == Path(b).resolve()
