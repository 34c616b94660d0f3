"""From their tensors to our networks: each is taken once, everything that is left over is an error that lists it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor, nn

from core.errors import CheckpointError, SettingError
from core.foreign.inert import Stored, printable
from core.foreign.source import Source
from core.layers import is_finite
from core.mapping import Mapping as MappingNetwork

__all__ = ["AVERAGED", "Blank", "Networks", "Piece", "Plan", "Tensors", "blank", "configured", "refuse", "two_filters"]

AVERAGED = 10_000
_SHOWN = 8
_WIDEST = 1 << 16
_AT_ONCE = 1 << 20  # numbers of one layer, where w is averaged


@dataclass
class Tensors:
    """The tensors of one network in a file, by their names there. `label` says which network, for sentences."""

    source: Source
    label: str
    table: Mapping[str, Stored]
    taken: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def size(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a tensor that has to be there, of `axes` axes. Raises CheckpointError."""
        stored = self.table.get(name)
        if stored is None:
            raise refuse(self, [f"{name} missing"])
        if len(stored.size) != axes:
            raise refuse(self, [f"{name} has {len(stored.size)} axes instead of {axes}"])
        return stored.size

    def read(self, name: str) -> Tensor:
        """A tensor, float32; it counts as taken."""
        self.taken.add(name)
        return self.table[name].read(self.source)

    def count(self, pattern: str) -> int:
        """How many numbers, from 0 on without gaps, `pattern` can be formatted with to name a tensor."""
        found = 0
        while pattern.format(found) in self.table:
            found += 1
        return found


@dataclass(frozen=True)
class Piece:
    """One of our tensors: the name of theirs, what is done to it, and what undoes that where theirs is written."""

    name: str
    turn: Callable[[Tensor], Tensor] | None = None
    back: Callable[[Tensor], Tensor] | None = None


Plan = dict[str, Piece | Tensor]


def refuse(tensors: Tensors, problems: list[str]) -> CheckpointError:
    """The error for a network that is not what its file says."""
    shown = printable("; ".join(problem[:90] for problem in problems[:_SHOWN]))
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    path, label = tensors.source.path, tensors.label
    return CheckpointError(f"{path} does not hold the network that its tensors promise, in {label}: {shown}{more}")


def two_filters(tensors: Tensors, one: str, other: str) -> CheckpointError:
    """The error for a network whose levels are resampled by more than one filter."""
    names = f"{printable(one[:80])} and {printable(other[:80])}"
    return CheckpointError(
        f"{tensors.source.path} has different filters in {tensors.label} at {names}; this version gives a network one, "
        "for all its sizes"
    )


def configured(path: Path, kind: Callable[..., Any], **values: Any) -> Any:
    """A configuration. Raises CheckpointError where this version cannot build it."""
    widths = [v for v in values.values() if type(v) is int] + list(values.get("filters", ()))
    if max(widths, default=0) > _WIDEST:
        raise CheckpointError(f"{path} holds a network that this version cannot build: it is {max(widths)} wide")
    try:
        return kind(**values)
    except SettingError as wrong:
        raise CheckpointError(f"{path} holds a network that this version cannot build: {wrong}") from wrong


@dataclass
class Blank:
    """A network whose tensors have shapes alone, and where its numbers lie in a file; everything fits.

    `estimated`: w_avg is not among them.
    """

    network: Any
    tensors: Tensors
    plan: Mapping[str, Piece | Tensor]
    estimated: bool = False

    @property
    def config(self) -> Any:
        """The configuration of the network."""
        return self.network.config

    def read(self) -> Any:
        """The network with its numbers, float32, in evaluation mode; once. Raises CheckpointError."""
        state: dict[str, Tensor] = {}
        for name in self.network.state_dict():
            piece = self.plan[name]
            given = piece
            if isinstance(piece, Piece):
                given = self.tensors.read(piece.name)
                given = given if piece.turn is None else piece.turn(given)
                if not is_finite(given):
                    raise refuse(self.tensors, [f"{piece.name} is not finite"])
            state[name] = given.contiguous()  # type: ignore[union-attr]
        self.network.load_state_dict(state, assign=True)
        self.network.eval().requires_grad_(False)
        if self.estimated:
            self.network.mapping.w_avg = _average_w(self.network.mapping)
        return self.network


@dataclass
class Networks:
    """What a file turned out to hold, none of it read yet."""

    program: str
    generator: Blank
    discriminator: Blank | None
    live: Blank | None
    training: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    credit: str = ""


def blank(
    kind: Callable[[Any], nn.Module],
    config: Any,
    tensors: Tensors,
    plan: Mapping[str, Piece | Tensor],
    ignored: re.Pattern[str],
    *,
    estimated: bool = False,
) -> Blank:
    """A network of a file that is checked and not read: `plan` says which tensor of ours is which of theirs.

    Names that match `ignored` hold nothing that is needed. Raises CheckpointError that lists what is missing, what is
    left over and what has another shape.
    """
    with torch.device("meta"):
        network = kind(config)
    wanted = network.state_dict()
    problems = [f"nothing for {name}" for name in wanted if name not in plan]
    pieces = {name: piece for name, piece in plan.items() if isinstance(piece, Piece)}
    problems += [f"{piece.name} missing" for piece in pieces.values() if piece.name not in tensors]
    used = tensors.taken | {piece.name for piece in pieces.values()}
    problems += [f"{name} unknown" for name in tensors.table if name not in used and not ignored.fullmatch(name)]
    if not problems:
        problems = [said for name, tensor in wanted.items() if (said := _misfit(plan[name], tensors, tensor, name))]
    if not problems and not tensors.source.claim(sum(tensors.table[p.name].bytes for p in pieces.values())):
        problems = ["tensors that share their storages until they are larger than the file"]
    if problems:
        raise refuse(tensors, problems)
    return Blank(network, tensors, plan, estimated)


def _misfit(piece: Piece | Tensor, tensors: Tensors, wanted: Tensor, name: str) -> str:
    """Why a tensor of a file cannot be the one that is wanted; empty where it can."""
    if not isinstance(piece, Piece):
        return (
            "" if piece.shape == wanted.shape else f"{name} is {list(piece.shape)} where {list(wanted.shape)} belongs"
        )
    stored = tensors.table[piece.name]
    if not stored.storage.dtype.is_floating_point:  # no program keeps weights so, and they would grow fourfold
        return f"{piece.name} is of the type {str(stored.storage.dtype).removeprefix('torch.')}"
    if math.prod(stored.size) == wanted.numel():
        given = torch.empty(stored.size, device="meta")
        try:
            given = given if piece.turn is None else piece.turn(given)
        except (RuntimeError, IndexError):  # a tensor with too few axes to be turned
            given = given[None]
        if given.shape == wanted.shape:
            return ""
    return f"{piece.name} is {list(stored.size)} where {list(wanted.shape)} belongs"


@torch.no_grad()
def _average_w(mapping: MappingNetwork) -> Tensor:
    """The mean w of AVERAGED z of the seed 0, classes drawn alike, [w_dim]: for files that do not keep it."""
    stream = RandomState(0)
    total = torch.zeros(mapping.w_dim, dtype=torch.float64)
    widest = max([mapping.w_dim, mapping.z_dim, *(len(layer.weight) for layer in mapping.layers)])  # type: ignore[arg-type]
    size, left = min(500, max(1, _AT_ONCE // widest)), AVERAGED
    while left:
        size = min(size, left)
        z = torch.from_numpy(stream.randn(size, mapping.z_dim).astype(np.float32))
        label = torch.from_numpy(stream.randint(0, mapping.num_classes, size)) if mapping.num_classes else None
        total += mapping(z, label).double().sum(dim=0)
        left -= size
    return (total / AVERAGED).float()
