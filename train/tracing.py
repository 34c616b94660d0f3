"""What a network is made of at one size, told by the network itself: hooks on its modules while one picture passes.

Random streams, weights and gradients are left alone: the picture is black, z is 0, and there is no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

import core
from core import layers, stylegan, stylegan2

__all__ = ["Part", "Row", "discriminator", "generator"]

Size = tuple[int, int]
_UNITS = (
    stylegan.StyledLayer, stylegan.HalvingConv, stylegan2.StyledConv, stylegan2.ToRGB, layers.Conv, layers.EqualLinear,
    layers.MinibatchDeviation,
)  # fmt: skip
_ACTIVE = "leaky ReLU"
_BLEND = 0.5  # any alpha that is neither 0 nor 1, so that both branches run


@dataclass(frozen=True)
class Row:
    """One layer: its name within its part, what it does, the shape it gives without the batch, its parameters."""

    name: str
    says: str
    shape: tuple[int, ...]
    parameters: int
    times: int = 1  # equal layers in a row, which share one line; `parameters` is the sum of theirs


@dataclass(frozen=True)
class Part:
    """Layers that belong together, in the order in which they run.

    `kind` is mapping, level, rgb (the way between features and pictures) or end; `level` is 0 for the coarsest, None
    where a part has none.
    """

    kind: str
    level: int | None
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Of all rows."""
        return sum(row.parameters for row in self.rows)


def generator(g: core.Generator, *, size: Size, fading: bool) -> list[Part]:
    """The parts that make pictures of `size`; `fading`: with the way of the smaller size that is blended in."""
    like = g.w_avg
    z = like.new_zeros(1, g.z_dim)

    def run() -> None:
        ws = g.truncate(g.mapping(z), psi=1.0)
        if g.grows:
            g.synthesis(ws, noise="none", size=size, alpha=_BLEND if fading else 1.0)
        else:
            g.synthesis(ws, noise="none")

    return _parts(g, run, levels=len(g.config.level_sizes), finest_first=False)


def discriminator(d: core.Discriminator, *, size: Size, fading: bool) -> list[Part]:
    """The parts that judge pictures of `size`; `fading` as for the generator."""
    like = next(d.parameters())
    image = like.new_zeros(1, d.config.channels, *size)
    run = lambda: d(image, alpha=_BLEND) if fading else d(image)  # noqa: E731
    return _parts(d, run, levels=len(d.config.level_sizes), finest_first=True)


# --- tracing -----------------------------------------------------------------------------------------------------


@dataclass
class _Call:
    name: str
    module: nn.Module
    shape: tuple[int, ...] = ()


@contextmanager
def _listening(network: nn.Module, calls: list[_Call]) -> Iterator[None]:
    """Note every unit, and every block that has a constant, as it begins; its shape as it ends."""
    hooks = []
    under: tuple[str, ...] = ()
    for name, module in network.named_modules():
        if not isinstance(module, _UNITS) and "const" not in module._parameters:
            continue
        if isinstance(module, _UNITS):
            if name.startswith(under) and not name.endswith("affine"):
                continue  # a part of a unit
            under += (f"{name}.",)
        call = _Call(name, module)
        hooks.append(module.register_forward_pre_hook(_began(call, calls)))
        hooks.append(module.register_forward_hook(_ended(call)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _began(call: _Call, calls: list[_Call]) -> Callable[..., None]:
    return lambda module, inputs: calls.append(call)


def _ended(call: _Call) -> Callable[..., None]:
    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, tuple):  # gamma and beta
            parts = [part for part in output if isinstance(part, Tensor)]
            call.shape = (sum(part.shape[1] for part in parts),)
        else:
            call.shape = tuple(output.shape[1:])

    return note


def _parts(network: nn.Module, run: Callable[[], object], *, levels: int, finest_first: bool) -> list[Part]:
    calls: list[_Call] = []
    # One pass of each shape is no time for a GPU to try out convolutions.
    with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, benchmark=False), _listening(network, calls):
        run()
    parts: list[Part] = []
    for call in calls:
        kind, level, name = _place(call.name, levels=levels, finest_first=finest_first)
        row = _row(call, name)
        if parts and (parts[-1].kind, parts[-1].level) == (kind, level):
            parts[-1] = replace(parts[-1], rows=_with(parts[-1].rows, row))
        else:
            parts.append(Part(kind, level, (row,)))
    return parts


def _place(name: str, *, levels: int, finest_first: bool) -> tuple[str, int | None, str]:
    """(kind, level, name within the part) of a module by its full name."""
    words = name.removeprefix("synthesis.").split(".")
    if words[0] in ("torgb", "fromrgb"):
        return "rgb", int(words[1]), words[0]
    if words[0] == "blocks":
        level = int(words[1])
        return "level", levels - 1 - level if finest_first else level, ".".join(words[2:]) or "const"
    return ("mapping" if words[0] == "mapping" else "end"), None, ".".join(words[1:])


def _with(rows: tuple[Row, ...], row: Row) -> tuple[Row, ...]:
    """Rows and one more; a layer like the one before shares its line."""
    last = rows[-1]
    each = last.parameters // last.times
    alike = (last.says, last.shape, each) == (row.says, row.shape, row.parameters) and row.name.startswith("layers.")
    if not alike or not last.name.startswith("layers."):
        return *rows, row
    return *rows[:-1], replace(last, parameters=last.parameters + row.parameters, times=last.times + 1)


def _row(call: _Call, name: str) -> Row:
    module = call.module
    if not isinstance(module, _UNITS):
        const: Any = module._parameters["const"]
        return Row("const", "learned constant", tuple(const.shape), const.numel())
    own = sum(parameter.numel() for parameter in module.parameters())
    own -= sum(p.numel() for n, p in module.named_parameters() if "affine" in n.split(".")[:-1])
    return Row(name, _says(module, name), call.shape, own)


def _says(module: nn.Module, name: str) -> str:
    """What a unit does, in the order in which it does it."""
    words: list[str] = []
    match module:
        case stylegan.Affine():
            return "AdaIN: scale and shift from w"
        case layers.EqualLinear():
            words = ["style from w" if name.endswith("affine") else "linear", _ACTIVE if module.activate else ""]
        case stylegan.StyledLayer():
            convolution = "" if module.weight is None else _kernel(module.weight)
            doubled = ["doubled", "blur"] if module.blur is not None else []
            words = [*doubled[:1], convolution, *doubled[1:], "noise, bias", _ACTIVE]
        case stylegan.HalvingConv():
            words = ["blur", _kernel(module.weight), "halved", _ACTIVE]
        case stylegan2.StyledConv():
            doubled = ["doubled"] if module.conv.up else []
            words = [*doubled, _kernel(module.conv.weight) + " modulated", "noise, bias", _ACTIVE]
        case stylegan2.ToRGB():
            words = [_kernel(module.conv.weight) + " modulated, bias"]
        case layers.MinibatchDeviation():
            return "minibatch deviation, one channel more" if module.channels == 1 else "minibatch deviation"
        case layers.Conv():
            halved = {"down": ["blur", "halved"], "up": ["doubled", "blur"]}.get(module.resample or "", [])
            words = [_kernel(module.weight), *halved, _ACTIVE if module.activate else ""]
    return ", ".join(word for word in words if word)


def _kernel(weight: Tensor) -> str:
    return f"{weight.shape[2]}×{weight.shape[3]}"
