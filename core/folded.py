"""Layers with everything that does not depend on w worked out once: how the engine computes them on a CPU.

A styled convolution has several routes to the same numbers; which is the fastest depends on the sizes and on the
machine (docs/speed.md).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from core.layers import SLOPE
from core.stylegan2 import StyledConv, ToRGB

__all__ = [
    "RGB",
    "SQRT2",
    "Phases",
    "Plain",
    "Styled",
    "Transposed",
    "channels_last",
    "convolution",
    "faster",
    "milliseconds",
    "phases",
    "shuffled",
    "transposed",
]

SQRT2 = math.sqrt(2)


def milliseconds(run: Callable[[], object], times: int, *, clock: Callable[[], float] = time.perf_counter) -> float:
    """The shortest of `times` runs after one that warms up."""
    run()
    taken = []
    for _ in range(times):
        start = clock()
        run()
        taken.append(clock() - start)
    return 1000 * min(taken)


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def convolution(
    weight: Tensor, size: tuple[int, int], bias: Tensor | None = None, *, padding: int = 1, groups: int = 1
) -> Callable[[Tensor], Tensor]:
    """A convolution with a weight that oneDNN has laid out once for inputs of `size`.

    Otherwise it lays the weight out anew in each call, which at the coarse levels costs more than the arithmetic.
    Where this torch or this processor has no such operation, the ordinary one runs.
    """
    ones, pad = [1, 1], [padding, padding]
    try:
        shape = [1, weight.shape[1] * groups, *size]
        reorder: Callable[..., Tensor] = torch._C._nn.mkldnn_reorder_conv2d_weight
        laid = reorder(weight.to_mkldnn(), pad, ones, ones, groups, shape)
        operation = torch.ops.mkldnn._convolution_pointwise.default

        def run(x: Tensor) -> Tensor:
            return operation(x, laid, bias, pad, ones, ones, groups, "none", [], "")

        run(channels_last(weight.new_zeros(shape)))
    except (AttributeError, RuntimeError):
        return partial(F.conv2d, weight=channels_last(weight), bias=bias, padding=padding, groups=groups)
    return run


def transposed(weight: Tensor, size: tuple[int, int], *, padding: int = 0) -> Callable[[Tensor], Tensor]:
    """A transposed convolution to twice the size, its weight [n_in, n_out, 3, 3] laid out once as in `convolution`.

    It takes no bias: with one oneDNN's is up to twelve times as slow.
    """
    weight = channels_last(weight)
    ones, twos, pad, none = [1, 1], [2, 2], [padding, padding], [0, 0]
    try:
        shape = [1, weight.shape[0], *size]
        laid = torch.ops.mkldnn._reorder_convolution_transpose_weight(weight, pad, none, twos, ones, 1, shape)
        operation = torch.ops.mkldnn._convolution_transpose_pointwise.default

        def run(x: Tensor) -> Tensor:
            return operation(x, laid, None, pad, none, twos, ones, 1, "none", [], "")

        run(channels_last(weight.new_zeros(shape)))
    except (AttributeError, RuntimeError):
        return partial(F.conv_transpose2d, weight=weight, stride=2, padding=padding)
    return run


def phases(weight: Tensor) -> Tensor:
    """A 3x3 kernel [n_out, n_in, 3, 3] with [1, 1] folded in both ways is 4x4, which is four phases of 2x2 taps.

    One convolution with padding 1 computes them: [4 n_out, n_in, 2, 2], the phases in the order dy, dx.
    """
    wide = F.pad(weight, [0, 1]) + F.pad(weight, [1, 0])
    wide = F.pad(wide, [0, 0, 0, 1]) + F.pad(wide, [0, 0, 1, 0])
    return torch.cat([wide[:, :, [2 + dy, dy]][:, :, :, [2 + dx, dx]] for dy in (0, 1) for dx in (0, 1)])


def shuffled(y: Tensor) -> Tensor:
    """Put the phases in their places: [1, 4 C, h, w] in channels last -> [1, C, 2 h, 2 w]."""
    channels, height, width = y.shape[1] // 4, y.shape[2], y.shape[3]
    y = y.permute(0, 2, 3, 1).reshape(height, width, 2, 2, channels).permute(0, 2, 1, 3, 4)
    return y.reshape(1, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)


class Styled:
    """What every route to a styled convolution shares: style and demodulation of a w, and the end of the layer."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        conv = layer.conv
        self.dtype = dtype
        self.affine = (conv.affine.weight / math.sqrt(conv.affine.weight.shape[1])).contiguous()
        self.affine_bias = conv.affine.bias
        self.energy = conv.weight.square().sum(dim=(2, 3))
        self.gain = SQRT2 * layer.gain
        self.bias = (layer.bias * self.gain).to(dtype)
        height, width = layer.size
        self.half_size = (height // 2, width // 2)
        # Where the picture outweighs the weights, scaling the weights touches less memory than scaling the picture.
        self.fold = height * width > 18 * conv.weight.shape[0]

    def scales(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """w [w_dim] -> style [n_in], demodulation times gain [n_out], float32."""
        style = torch.addmv(self.affine_bias, self.affine, w)
        return style, torch.rsqrt(torch.mv(self.energy, style.square()) + 1e-8).mul_(self.gain)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """x [1, n_in, h, w], w [w_dim], noise [1, 1, H, W] scaled or None -> [1, n_out, H, W]."""
        raise NotImplementedError

    def styled(self, x: Tensor, style: Tensor) -> Tensor:
        return x * style.to(self.dtype)[:, None, None]

    def end(self, y: Tensor, scale: Tensor | None, noise: Tensor | None) -> Tensor:
        """Demodulate (unless folded), add noise (bias is in y when folded), activate."""
        if scale is not None:
            y = torch.addcmul(self.bias[:, None, None], y, scale.to(self.dtype)[:, None, None])
        if noise is not None:
            y = y.add_(noise)
        return F.leaky_relu_(y, SLOPE)


class Plain(Styled):
    """3x3 at the same size."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        if self.fold:
            self.weight = channels_last(layer.conv.weight)
        else:
            self.convolve = convolution(layer.conv.weight.to(dtype), layer.size)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        if self.fold:
            weight = (self.weight * (scale[:, None] * style)[:, :, None, None]).to(self.dtype)
            return self.end(F.conv2d(x, weight, self.bias, padding=1), None, noise)
        return self.end(self.convolve(self.styled(x, style)), scale, noise)


class Transposed(Styled):
    """Twice the size by a transposed convolution, then the filter, which demodulates: any filter."""

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        filter = layer.conv.filter
        self.kernel = torch.outer(filter, filter) * 4
        self.pad = ((len(filter) + 1) // 2 - 1, (len(filter) - 2) // 2)
        # Stored as [n_in, n_out, 3, 3]: otherwise the convolution would turn the weight round in each picture.
        weight = layer.conv.weight.transpose(0, 1)
        if self.fold:
            self.weight = channels_last(weight)
        else:
            self.convolve = transposed(weight.to(dtype), self.half_size)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        if self.fold:
            weight = (self.weight * style[:, None, None, None]).to(self.dtype)
            y = F.conv_transpose2d(x, weight, stride=2)
        else:
            y = self.convolve(self.styled(x, style))
        return self.end(self.filtered(y, scale), None, noise)

    def filtered(self, y: Tensor, scale: Tensor) -> Tensor:
        before, after = self.pad
        if before != after:
            y, before = channels_last(F.pad(y, [before, after] * 2)), 0
        kernel = (self.kernel * scale[:, None, None]).to(self.dtype)[:, None]
        return F.conv2d(y, kernel, self.bias, padding=before, groups=len(scale))


class Phases(Styled):
    """Twice the size for [1, 3, 3, 1] = [1, 1] * [1, 2, 1], as one convolution at the small size.

    [1, 1] goes into the kernel (`phases`); a depthwise [1, 2, 1] over the interleaved phases ends it, and demodulates.
    """

    def __init__(self, layer: StyledConv, dtype: torch.dtype) -> None:
        super().__init__(layer, dtype)
        weight = layer.conv.weight
        self.convolve = convolution(phases(weight).to(dtype), self.half_size)
        small = weight.new_tensor([1, 2, 1]) / 4
        self.small = torch.outer(small, small)

    def __call__(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        style, scale = self.scales(w)
        y = shuffled(self.convolve(self.styled(x, style)))
        kernel = (self.small * scale[:, None, None]).to(self.dtype)[:, None]
        return self.end(F.conv2d(y, kernel, self.bias, groups=len(scale)), None, noise)


def faster(a: Styled, b: Styled) -> Styled:
    """The faster of two routes to the same layer on this machine, measured on a picture of its size."""
    inputs, w_dim = a.affine.shape
    w = a.affine.new_zeros(w_dim)
    x = channels_last(torch.ones(1, inputs, *a.half_size, dtype=a.dtype))
    return min((a, b), key=lambda route: milliseconds(lambda: route(x, w, None), 2))


class RGB:
    """toRGB: the style goes into the 1x1 weight."""

    def __init__(self, layer: ToRGB, dtype: torch.dtype) -> None:
        conv = layer.conv
        self.dtype = dtype
        gain = 1 / math.sqrt(conv.weight.shape[1])
        self.affine = conv.affine.weight * (gain / math.sqrt(conv.affine.weight.shape[1]))
        self.affine_bias = conv.affine.bias * gain
        self.weight = conv.weight[:, :, 0, 0]
        self.bias = layer.bias
        self.clamp = layer.clamp

    def __call__(self, x: Tensor, w: Tensor) -> Tensor:
        style = torch.addmv(self.affine_bias, self.affine, w)
        weight = (self.weight * style).to(self.dtype)
        y = F.conv2d(x, weight[:, :, None, None]).float().add_(self.bias[:, None, None])
        return y if self.clamp is None else y.clamp_(-self.clamp, self.clamp)
