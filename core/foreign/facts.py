"""What can be said of a network file of another program without building a network, whatever is wrong with it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.errors import CheckpointError
from core.foreign import nvidia, nvidia_names, rosinality
from core.foreign.inert import Module, Namespace, Stored, plain
from core.foreign.nvidia_flat import apart, is_table
from core.foreign.opening import contents, described
from core.foreign.pickles import check_known
from core.foreign.source import Budget, Source, Text

__all__ = ["facts"]

_SOURCE_REMOVED = 64  # characters: what is shorter is a remark in the place of a source


def facts(path: str | Path) -> dict[str, Any]:
    """Say what a file is, as JSON; no network is built and nothing in the file is run.

    `kind` as `recognise` gives it and `format` in words; `bytes`; `program`; `arch`, `config` (as in a header of ours,
    the discriminator's inside); `networks`: key, class, tensors and numbers of each; `training`; `keys` of the table in
    the file; `suspicious`: sentences on what no network file needs; `refused`: the sentence with which `core.load`
    refuses the file as far as that is known without building, or None. Raises CheckpointError where there is no file.
    """
    path = Path(path)
    budget = Budget(path)
    with Source(path) as source:
        kind = described(source)
        found: dict[str, Any] = {
            "kind": kind[0], "format": kind[1], "bytes": source.size, "program": None, "arch": None, "config": None,
            "networks": [], "training": {}, "keys": [], "suspicious": [], "refused": None,
        }  # fmt: skip
        try:
            _, root = contents(source, budget)
            try:
                _describe(source, root, found)
            finally:
                check_known(budget)  # says more than that nothing was found beside
        except CheckpointError as wrong:
            found["refused"] = str(wrong)
    names = [name.replace(" ", ".")[:80] for name in sorted(budget.unknown)]
    found["suspicious"][:0] = [f"it asks for {name}, which no network file needs" for name in names[:20]]
    return found


def _describe(source: Source, root: Any, found: dict[str, Any]) -> None:
    """Fill in what the object in a file says."""
    if isinstance(root, dict):
        found["keys"] = [str(plain(key))[:80] for key in list(root)[:40]]
    if found["kind"] == "nvidia-pickle" or is_table(root):
        _describe_nvidia(source, root, found)
    else:
        _describe_torch(source, root, found)


def _describe_nvidia(source: Source, root: Any, found: dict[str, Any]) -> None:
    flat = apart(source, root)
    for key, network in flat.items():
        kind, settings = network.modules[""].kind, plain(network.settings())
        found["networks"].append(_network(key, kind, network.tensors.values()) | {"settings": settings})
    modules = [*_modules_beside(root), *(module for network in flat.values() for module in network.modules.values())]
    texts = [module.meta.get("module_src") for module in modules]
    sources = {id(text): len(text) for text in texts if isinstance(text, str | Text)}  # one for all layers of a file
    total = sum(count for count in sources.values() if count > _SOURCE_REMOVED)
    if total:
        found["suspicious"].append(
            f"it carries {total} characters of Python source, which its own program would run and which stay text here"
        )
    if isinstance(root, dict) and isinstance(root.get("training_set_kwargs"), dict):
        found["training"] = {"settings": plain(root["training_set_kwargs"])}
    nvidia.check_kind(source, root)
    nvidia.check_rest(source, root, flat)
    shown = next((key for key in ("G_ema", "G") if key in flat), None)
    if shown is None:
        raise nvidia.unknown(source, root)
    found["program"] = nvidia.program(flat[shown])
    config, _ = nvidia_names.planned_generator(flat[shown])
    if "G" in flat and shown != "G":
        nvidia_names.planned_generator(flat["G"])
    critic = nvidia_names.planned_discriminator(flat["D"])[0] if "D" in flat else None
    _configured(found, "stylegan2", config, critic)


def _describe_torch(source: Source, root: Any, found: dict[str, Any]) -> None:
    parts = rosinality.parts_of(source, root)
    for key, tensors in parts.items():
        found["networks"].append(_network(key, "", tensors.table.values()))
    nvidia.check_kind(source, root)
    chosen = rosinality.chosen(source, root, parts)
    arguments = root.get("args")
    if isinstance(arguments, Namespace):
        found["training"] = {"settings": plain(arguments)}
    found["program"] = chosen.kind.name
    config, _ = chosen.kind.planned_generator(parts[chosen.shown], chosen.average)
    critic = None if chosen.critic is None else chosen.kind.planned_discriminator(parts[chosen.critic])[0]
    _configured(found, chosen.kind.arch, config, critic)


def _network(key: str, kind: str, tensors: Iterable[Any]) -> dict[str, Any]:
    stored = [one for one in tensors if isinstance(one, Stored)]
    numbers = sum(math.prod(one.size) for one in stored)
    return {"key": key, "class": str(plain(kind))[:80], "tensors": len(stored), "numbers": numbers}


def _modules_beside(root: Any) -> list[Module]:
    """Objects with a source beside the networks, such as an augmentation."""
    values = list(root.values())[:100] if isinstance(root, dict) else []
    return [value for value in values if isinstance(value, Module)]


def _configured(found: dict[str, Any], arch: str, config: Any, critic: Any) -> None:
    found["arch"] = arch
    inside = None if critic is None else dataclasses.asdict(critic)
    found["config"] = {**dataclasses.asdict(config), "discriminator": inside}
