"""Checkpoints of rosinality's repositories: which table of a torch file is which network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.errors import CheckpointError
from core.foreign import progressive, rosinality2
from core.foreign.filling import Blank, Networks, Tensors
from core.foreign.inert import Stored, credit_of, holds_tensors, plain
from core.foreign.source import KINDS, Source

__all__ = ["Chosen", "Kind", "chosen", "networks", "parts_of"]

_SHOWN = ("g_running", "g_ema", "generator", "g", "")
_LIVE = ("generator", "g")
_CRITIC = ("discriminator", "d")
_AVERAGE = "latent_avg"
# What training needs and pictures do not.
_IGNORED = {"g_optim", "d_optim", "g_optimizer", "d_optimizer", "args", "ada_aug_p"}
_WIDEST = 1 << 14
_WRAPPED = "module."  # before every name, where somebody kept a network inside nn.DataParallel


@dataclass(frozen=True)
class Kind:
    """One of the two repositories: how its generators are known, and what makes ours of theirs.

    `generator` takes the tensors and w_avg where the file has one.
    """

    name: str
    arch: str
    is_generator: Callable[[Any], bool]
    generator: Callable[[Tensors, Stored | None], Blank]
    discriminator: Callable[[Tensors], Blank]
    planned_generator: Callable[[Tensors, Stored | None], tuple[Any, Any]]
    planned_discriminator: Callable[[Tensors], tuple[Any, Any]]


_KINDS = tuple(
    Kind(
        name,
        arch,
        module.is_generator,
        module.generator,
        module.discriminator,
        module.planned_generator,
        module.planned_discriminator,
    )
    for name, arch, module in (
        ("rosinality/style-based-gan-pytorch", "stylegan", progressive),
        ("rosinality/stylegan2-pytorch", "stylegan2", rosinality2),
    )
)


def _kind_of(parts: dict[str, Tensors]) -> tuple[str, Kind] | None:
    """(key of the generator that is shown, whose it is), or None where no table is one."""
    for key in _SHOWN:
        for kind in _KINDS:
            if key in parts and kind.is_generator(parts[key].table):
                return key, kind
    return None


def parts_of(source: Source, root: Any) -> dict[str, Tensors]:
    """The tables of tensors of a file by their keys; a table that is the whole file has an empty key."""
    if not isinstance(root, dict):
        raise source.damaged("it holds no table")
    parts = {}
    for key in (*_SHOWN, *_CRITIC):
        table = root.get(key) if key else root
        if isinstance(table, dict) and (not key or table) and all(type(name) is str for name in table):
            parts[key] = Tensors(source, key or "the table", _unwrapped(table))
    if any(type(value) is not Stored for value in parts.get("", Tensors(source, "", {})).table.values()):
        del parts[""]  # a table of tables
    return parts


def _unwrapped(table: dict[str, Any]) -> dict[str, Any]:
    if all(name.startswith(_WRAPPED) for name in table):
        return {name.removeprefix(_WRAPPED): value for name, value in table.items()}
    return table


@dataclass(frozen=True)
class Chosen:
    """Which table is what: keys of the generators and the discriminator, and w_avg where it is in the file."""

    kind: Kind
    shown: str
    live: str | None
    critic: str | None
    average: Stored | None


def chosen(source: Source, root: Any, parts: dict[str, Tensors]) -> Chosen:
    """Choose among the tables of a file. Raises CheckpointError where tensors belong to nothing."""
    found = _kind_of(parts)
    if found is None:
        keys = ", ".join(str(plain(key))[:40] for key in list(root)[:6])
        said = f"{source.path} holds no network of a kind known here; it has {keys or 'nothing'}"
        raise CheckpointError(f"{said}; {KINDS}")
    shown, kind = found
    live = next((key for key in _LIVE if key in parts and key != shown), None) if shown else None
    critic = next((key for key in _CRITIC if key in parts), None) if shown else None
    used = {key for key in (shown, live, critic) if key is not None}
    for key in used:
        if any(type(value) is not Stored for value in parts[key].table.values()):
            raise source.damaged(f"not everything in {parts[key].label} is a tensor")
    average = root.get(_AVERAGE) if shown else None
    if average is not None and (type(average) is not Stored or math.prod(average.size) > _WIDEST):
        raise source.damaged(f"its {_AVERAGE} is no vector")
    if shown:
        rest = [str(plain(k)) for k, v in root.items() if k not in {*used, *_IGNORED, _AVERAGE} and holds_tensors(v)]
        if rest:
            raise source.damaged(f"it holds tensors that belong to no network known here, in {', '.join(rest)[:200]}")
    return Chosen(kind, shown, live, critic, average)


def networks(source: Source, root: Any, *, generator_only: bool) -> Networks:
    """What a torch file holds, checked and not read. Raises CheckpointError."""
    parts = parts_of(source, root)
    which = chosen(source, root, parts)
    live, critic = (None, None) if generator_only else (which.live, which.critic)
    settings = plain(root.get("args"))
    return Networks(
        which.kind.name,
        which.kind.generator(parts[which.shown], which.average),
        None if critic is None else which.kind.discriminator(parts[critic]),
        None if live is None else which.kind.generator(parts[live], which.average),
        training={"settings": settings} if isinstance(settings, dict) else {},
        credit=credit_of(root),
    )
