"""NVIDIA's StyleGAN2 once more, in float64, from the tensors and attributes of a pickle alone: slow, plain, and apart
from our networks. Karras et al. 2020 ("Analyzing and improving the image quality of StyleGAN") and the facts of
../shared/interop/README.md.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

ROOT2 = math.sqrt(2)


class Parts:
    """The layers of a written network by their dotted names: tensors as float64, attributes as they stand."""

    def __init__(self, network: Any) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.states: dict[str, dict[str, Any]] = {}
        waiting = [("", network)]
        while waiting:
            path, one = waiting.pop()
            state = one.meta["state"]
            self.states[path] = state
            before = f"{path}." if path else ""
            for name, tensor in [*state["_parameters"].items(), *state["_buffers"].items()]:
                self.tensors[before + name] = tensor.detach().double()
            waiting += [(before + name, part) for name, part in state["_modules"].items()]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def sides(self, before: str) -> list[int]:
        return [4 << k for k in range(9) if f"{before}b{4 << k}" in self.states]


def act(x: Tensor, *, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    y = torch.where(x > 0, x, 0.2 * x) * ROOT2 * gain
    return y if clamp is None else y.clamp(-clamp * gain, clamp * gain)


def linear(p: Parts, name: str, x: Tensor) -> Tensor:
    lr = p.states[name]["bias_gain"]
    return x @ (p[f"{name}.weight"] * lr / math.sqrt(x.shape[1])).T + p[f"{name}.bias"] * lr


def normal(x: Tensor) -> Tensor:
    return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


def mapped(p: Parts, z: Tensor | None, c: Tensor | None) -> Tensor:
    parts = [] if z is None else [normal(z)]
    if "mapping.embed.weight" in p:
        assert c is not None
        parts.append(normal(linear(p, "mapping.embed", c)))
    x, k = torch.cat(parts, 1), 0
    while f"mapping.fc{k}.weight" in p:
        x, k = act(linear(p, f"mapping.fc{k}", x)), k + 1
    return x


def square(taps: Tensor) -> Tensor:
    return torch.outer(taps, taps) if taps.ndim == 1 else taps


def filtered(x: Tensor, taps: Tensor, before: int, after: int, gain: float = 1.0) -> Tensor:
    """Padded by zeros, convolved truly: the kernel is flipped for a correlation."""
    kernel = square(taps).flip(0, 1)[None, None] * gain
    n, c, _, _ = x.shape
    x = F.pad(x, (before, after, before, after)).flatten(0, 1)[:, None]
    return F.conv2d(x, kernel).unflatten(0, (n, c))[:, :, 0]


def zeros_between(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    y = x.new_zeros(n, c, 2 * h, 2 * w)
    y[:, :, ::2, ::2] = x
    return y


def enlarged(x: Tensor, taps: Tensor) -> Tensor:
    t = len(taps)
    return filtered(zeros_between(x), taps, (t + 1) // 2, (t - 2) // 2, 4)


def styled(p: Parts, name: str, x: Tensor, w: Tensor, *, gain: float = 1.0, noise: bool = True) -> Tensor:
    weight, style = p[f"{name}.weight"], linear(p, f"{name}.affine", w)
    up = name.endswith("conv0")
    outputs = []
    for one, s in zip(x.split(1), style, strict=True):
        kernel = weight * s[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            taps = p[f"{name}.resample_filter"]
            t = len(taps)
            wide = filtered(zeros_between(one), taps, (t + 1) // 2 + 1, (t - 2) // 2 + 1, 4)
            outputs.append(F.conv2d(wide, kernel.flip(2, 3)))
        else:
            outputs.append(F.conv2d(one, kernel, padding=1))
    y = torch.cat(outputs)
    if noise and f"{name}.noise_const" in p:
        y = y + p[f"{name}.noise_const"] * p[f"{name}.noise_strength"]
    return act(y + p[f"{name}.bias"][:, None, None], gain=gain, clamp=p.states[name]["conv_clamp"])


def colours(p: Parts, name: str, x: Tensor, w: Tensor) -> Tensor:
    weight = p[f"{name}.weight"][:, :, 0, 0]
    style = linear(p, f"{name}.affine", w) / math.sqrt(weight.shape[1])
    y = torch.einsum("oi,ni,nihw->nohw", weight, style, x) + p[f"{name}.bias"][:, None, None]
    clamp = p.states[name]["conv_clamp"]
    return y if clamp is None else y.clamp(-clamp, clamp)


def pictures(p: Parts, ws: Tensor, *, noise: bool = True) -> Tensor:
    """[N, num_ws, w_dim] -> [N, C, R, R]."""
    x, image, row = p["synthesis.b4.const"].expand(len(ws), -1, -1, -1), None, 0
    for side in p.sides("synthesis."):
        block = f"synthesis.b{side}"
        before, gain = x, 1.0
        if side > 4:
            residual = f"{block}.skip.weight" in p
            x = styled(p, f"{block}.conv0", x, ws[:, row], noise=noise)
            row += 1
            if residual:
                weight = p[f"{block}.skip.weight"] / math.sqrt(before.shape[1])
                taps = p[f"{block}.skip.resample_filter"]
                before, gain = enlarged(F.conv2d(before, weight), taps) * math.sqrt(0.5), math.sqrt(0.5)
        x = styled(p, f"{block}.conv1", x, ws[:, row], gain=gain, noise=noise)
        row += 1
        if gain != 1:
            x = x + before
        if image is not None:
            image = enlarged(image, p[f"{block}.resample_filter"])
        if f"{block}.torgb.weight" in p:
            own = colours(p, f"{block}.torgb", x, ws[:, row])
            image = own if image is None else image + own
    assert image is not None and row + 1 == ws.shape[1]
    return image


def conv(p: Parts, name: str, x: Tensor, *, gain: float = 1.0, clamped: bool = True) -> Tensor:
    weight, state = p[f"{name}.weight"], p.states[name]
    k = weight.shape[2]
    weight = weight / math.sqrt(weight.shape[1] * k * k)
    if state["down"] == 2:
        taps = p[f"{name}.resample_filter"]
        t = len(taps)
        x = filtered(x, taps, k // 2 + (t - 1) // 2, k // 2 + (t - 2) // 2)
        x = F.conv2d(x, weight, stride=2)
    else:
        x = F.conv2d(x, weight, padding=k // 2)
    if state["activation"] == "linear":
        return x * gain
    return act(x + p[f"{name}.bias"][:, None, None], gain=gain, clamp=state["conv_clamp"] if clamped else None)


def deviation(x: Tensor, group: int | None, channels: int) -> Tensor:
    n, c, h, w = x.shape
    size = n if group is None else min(group, n)
    found = []
    for i in range(n):
        members = x[i % (n // size) :: n // size]
        spread = ((members - members.mean(0)).square().mean(0) + 1e-8).sqrt()
        found.append(spread.unflatten(0, (channels, c // channels)).mean((1, 2, 3)))
    return torch.cat([x, torch.stack(found)[:, :, None, None].expand(-1, -1, h, w)], 1)


def logits(p: Parts, image: Tensor, c: Tensor | None) -> Tensor:
    """[N, C, R, R] -> [N]."""
    x = None
    for side in reversed(p.sides("")[1:]):
        block = f"b{side}"
        if f"{block}.fromrgb.weight" in p:
            y = conv(p, f"{block}.fromrgb", image)
            x = y if x is None else x + y
        assert x is not None
        if p.states[block]["architecture"] == "skip":
            taps = p[f"{block}.resample_filter"]
            image = filtered(image, taps, (len(taps) - 1) // 2, (len(taps) - 2) // 2)[:, :, ::2, ::2]
        before, gain = x, 1.0
        if f"{block}.skip.weight" in p:
            before, gain = conv(p, f"{block}.skip", x, gain=math.sqrt(0.5)), math.sqrt(0.5)
        x = conv(p, f"{block}.conv1", conv(p, f"{block}.conv0", x), gain=gain)
        if gain != 1:
            x = x + before
    assert x is not None
    if "b4.fromrgb.weight" in p:
        x = x + conv(p, "b4.fromrgb", image, clamped=False)
    if "b4.mbstd" in p.states:
        state = p.states["b4.mbstd"]
        x = deviation(x, state["group_size"], state["num_channels"])
    x = act(linear(p, "b4.fc", conv(p, "b4.conv", x).flatten(1)))
    x = linear(p, "b4.out", x)
    if "mapping.embed.weight" not in p:
        return x[:, 0]
    cmap = mapped(p, None, c)
    return (x * cmap).sum(1) / math.sqrt(cmap.shape[1])
