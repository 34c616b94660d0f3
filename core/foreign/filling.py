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
from core.generator import Discriminator, Generator
from core.mapping import Mapping as MappingNetwork

__all__ = [
    "AVERAGED",
    "Networks",
    "Piece",
    "Plan",
    "Tensors",
    "built_generator",
    "configured",
    "fill",
    "refuse",
    "without_weights",
]

AVERAGED = 10_000
_SHOWN = 8
_WIDEST = 1 << 16


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


@dataclass
class Networks:
    """What a file turned out to hold. `estimated`: w_avg was not in it."""

    program: str
    generator: Generator
    discriminator: Discriminator | None
    live: Generator | None
    estimated: bool = False
    training: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """One of our tensors: the name of theirs, and what is done to it."""

    name: str
    turn: Callable[[Tensor], Tensor] | None = None


Plan = dict[str, Piece | Tensor]


def refuse(tensors: Tensors, problems: list[str]) -> CheckpointError:
    """The error for a network that is not what its file says."""
    shown = printable("; ".join(problem[:90] for problem in problems[:_SHOWN]))
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    path, label = tensors.source.path, tensors.label
    return CheckpointError(f"{path} does not hold the network that its tensors promise, in {label}: {shown}{more}")


def configured(path: Path, kind: Callable[..., Any], **values: Any) -> Any:
    """A configuration. Raises CheckpointError where this version cannot build it."""
    widths = [v for v in values.values() if type(v) is int] + list(values.get("filters", ()))
    if max(widths, default=0) > _WIDEST:
        raise CheckpointError(f"{path} holds a network that this version cannot build: it is {max(widths)} wide")
    try:
        return kind(**values)
    except SettingError as wrong:
        raise CheckpointError(f"{path} holds a network that this version cannot build: {wrong}") from wrong


def fill(network: nn.Module, tensors: Tensors, plan: Mapping[str, Piece | Tensor], ignored: re.Pattern[str]) -> None:
    """Give a network without weights (of the meta device) those of a file, as `plan` says: our name -> theirs.

    Names that match `ignored` hold nothing that is needed. Raises CheckpointError that lists what is missing, what is
    left over and what has another shape.
    """
    wanted = network.state_dict()
    problems = [f"nothing for {name}" for name in wanted if name not in plan]
    pieces = {name: piece for name, piece in plan.items() if isinstance(piece, Piece)}
    problems += [f"{piece.name} missing" for piece in pieces.values() if piece.name not in tensors]
    used = tensors.taken | {piece.name for piece in pieces.values()}
    problems += [f"{name} unknown" for name in tensors.table if name not in used and not ignored.fullmatch(name)]
    if sum(tensors.table[p.name].bytes for p in pieces.values() if p.name in tensors) > tensors.source.size:
        problems.append("tensors that share their storages until they are larger than the file")
    if problems:
        raise refuse(tensors, problems)
    state: dict[str, Tensor] = {}
    for name, tensor in wanted.items():
        piece = plan[name]
        theirs = piece.name if isinstance(piece, Piece) else name
        given = _turned(piece, tensors, tensor.numel()) if isinstance(piece, Piece) else piece
        if given is None or given.shape != tensor.shape:
            of = tensors.table[theirs].size if given is None or isinstance(piece, Piece) else given.shape
            problems.append(f"{theirs} is {list(of)} where {list(tensor.shape)} belongs")
        elif not bool(given.isfinite().all()):
            problems.append(f"{theirs} is not finite")
        else:
            state[name] = given.contiguous()
    if problems:
        raise refuse(tensors, problems)
    network.load_state_dict(state, assign=True)
    network.eval().requires_grad_(False)


def _turned(piece: Piece, tensors: Tensors, count: int) -> Tensor | None:
    """The tensor as ours, or None where it is none of `count` numbers."""
    if math.prod(tensors.table[piece.name].size) != count:
        return None
    given = tensors.read(piece.name)
    try:
        return given if piece.turn is None else piece.turn(given)
    except (RuntimeError, IndexError):  # a tensor with too few axes to be turned
        return None


@torch.no_grad()
def _average_w(mapping: MappingNetwork) -> Tensor:
    """The mean w of AVERAGED z of the seed 0, classes drawn alike, [w_dim]: for files that do not keep it."""
    stream = RandomState(0)
    total = torch.zeros(mapping.w_dim, dtype=torch.float64)
    size = 500
    for _ in range(AVERAGED // size):
        z = torch.from_numpy(stream.randn(size, mapping.z_dim).astype(np.float32))
        label = torch.from_numpy(stream.randint(0, mapping.num_classes, size)) if mapping.num_classes else None
        total += mapping(z, label).double().sum(dim=0)
    return (total / AVERAGED).float()


def without_weights(kind: Callable[[Any], nn.Module], config: Any) -> Any:
    """A network whose tensors have shapes alone."""
    with torch.device("meta"):
        return kind(config)


def built_generator(
    config: Any, tensors: Tensors, plan: Plan, ignored: re.Pattern[str], *, estimated: bool
) -> Generator:
    """A generator with the weights of a file, its w_avg estimated where the file has none. Raises CheckpointError."""
    network = without_weights(Generator, config)
    fill(network, tensors, plan, ignored)
    if estimated:
        network.mapping.w_avg = _average_w(network.mapping)
    return network
