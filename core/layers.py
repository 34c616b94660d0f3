"""The layers that both networks are made of: equalised linear and convolution, resampling filters, minibatch deviation.

Every operation is made of plain torch ones, so first and second derivatives are right on every device. Where
bfloat16 is wanted the caller opens torch.autocast: convolutions then follow it, while styles, demodulation, biases
and the running picture stay in the precision of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.depthwise import depthwise

__all__ = [
    "SLOPE",
    "Conv",
    "EqualLinear",
    "MinibatchDeviation",
    "ModulatedConv",
    "bilinear",
    "downsample",
    "fir",
    "full_precision",
    "is_1331",
    "is_finite",
    "laid_like",
    "normalise",
    "normals",
    "taps",
    "upsample",
    "upsampling_conv",
]

SLOPE = 0.2
_HALF = (torch.float16, torch.bfloat16)


def full_precision(x: Tensor) -> torch.autocast:
    """A context in which autocast is off for the device of `x`."""
    return torch.autocast(x.device.type, enabled=False)


def laid_like(x: Tensor, weight: Tensor) -> Tensor:
    """Lay x out in memory like the weight it meets: where layouts mix, convolutions are several times slower."""
    if weight.is_contiguous() or not weight.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous(memory_format=torch.channels_last)


def wide(x: Tensor) -> Tensor:
    """Lift half precision to float32; leave float32 and float64 as they are."""
    return x.float() if x.dtype in _HALF else x


def is_finite(x: Tensor) -> bool:
    """Whether no number of x, of any shape and perhaps none, is infinite or not a number."""
    return not x.numel() or all(bool(bound.isfinite()) for bound in x.aminmax())


def normals(*shape: int, deviation: float = 1.0) -> Tensor:
    """Fresh normals; blank on the meta device, where drawing them would import torch's compiler (1.5 s)."""
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_(std=deviation)


def normalise(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-8) along the last axis (Karras et al. 2018, section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + 1e-8)


# --- resampling filters ------------------------------------------------------------------------------------------


def taps(filter: Sequence[float]) -> Tensor:
    """Return 1-D filter taps normalised to sum 1, float32, flipped: conv2d correlates, the filter is a convolution."""
    values = torch.tensor(list(filter), dtype=torch.float64, device="cpu")
    return (values / values.sum()).flip(0).float()


def fir(x: Tensor, filter: Tensor, *, pad: tuple[int, int], gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filter each channel of x [N, C, H, W] with the outer product of 1-D `filter`.

    `pad` is (before, after) on both axes, negative to crop; `stride` takes every stride-th result; `gain` multiplies.
    """
    with full_precision(x):
        before, after = pad
        if min(pad) < 0:
            x, before, after = F.pad(x, [min(before, 0), min(after, 0)] * 2), max(before, 0), max(after, 0)
        if before != after:
            x, before = F.pad(x, [before, after] * 2), 0
        channels = x.shape[1]
        kernel = torch.outer(filter, filter).mul(gain).to(device=x.device, dtype=x.dtype)
        weight = dense(kernel.expand(channels, 1, *kernel.shape))
        return depthwise(x, weight, stride=stride, padding=before)


def dense(weight: Tensor) -> Tensor:
    """A convolution's weight for MPS, where PyTorch up to 2.13 takes it as contiguous whatever its strides are."""
    return weight.contiguous() if weight.device.type == "mps" else weight


def upsample(x: Tensor, filter: Tensor) -> Tensor:
    """Double height and width: a zero after each pixel, then the filter times 4 (Karras et al. 2020, appendix B)."""
    t = len(filter)
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, h, 2, w, 2)
    spread[:, :, :, 0, :, 0] = x
    return fir(spread.reshape(n, c, 2 * h, 2 * w), filter, pad=((t + 1) // 2, (t - 2) // 2), gain=4)


def bilinear(x: Tensor) -> Tensor:
    """What `upsample` gives for the taps [1, 3, 3, 1], several times as fast.

    The two are the same once a zero pixel stands around the picture, since bilinear interpolation repeats the edge.
    """
    with full_precision(x):
        y = F.interpolate(F.pad(x, [1, 1, 1, 1]), scale_factor=2, mode="bilinear", align_corners=False)
        return y[:, :, 2:-2, 2:-2]


def is_1331(filter: Sequence[float]) -> bool:
    """Whether taps are [1, 3, 3, 1] but for a factor."""
    return len(filter) == 4 and [8 * tap / sum(filter) for tap in filter] == [1, 3, 3, 1]


def downsample(x: Tensor, filter: Tensor) -> Tensor:
    """Halve height and width: the filter, then every second pixel from the first on."""
    t = len(filter)
    pad = ((t - 1) // 2, (t - 2) // 2)
    if x.device.type == "cpu":
        # In half precision the derivative of a strided depthwise convolution is fifteen times as slow there.
        return fir(wide(x), filter, pad=pad, stride=2).to(x.dtype)
    return fir(x, filter, pad=pad, stride=2)


def upsampling_conv(x: Tensor, weight: Tensor, filter: Tensor) -> Tensor:
    """Spread x with zeros, convolve with `weight` [O, I, 3, 3] and filter: x [N, I, H, W] -> [N, O, 2 H, 2 W].

    Zeros and convolution together are a transposed convolution, which is a true convolution: no flip is needed.
    """
    t = len(filter)
    y = F.conv_transpose2d(x, dense(weight.transpose(0, 1)), stride=2)
    return fir(y, filter, pad=((t + 1) // 2 - 1, (t - 2) // 2), gain=4)


def downsampling_conv(x: Tensor, weight: Tensor, filter: Tensor) -> Tensor:
    """Filter, then convolve with `weight` [O, I, k, k] at stride 2: [N, I, H, W] -> [N, O, H / 2, W / 2]."""
    if weight.shape[-1] == 1:
        return F.conv2d(downsample(x, filter), weight)
    t, side = len(filter), weight.shape[-1] // 2
    return F.conv2d(fir(x, filter, pad=(side + (t - 1) // 2, side + (t - 2) // 2)), weight, stride=2)


# --- layers ------------------------------------------------------------------------------------------------------


class EqualLinear(nn.Module):
    """y = x (W lr / sqrt(n_in))^T + b lr, then sqrt(2) lrelu if `activate` (equalised: Karras et al. 2018, 4.1)."""

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, lr: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(normals(outputs, inputs, deviation=1 / lr))
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr))
        self.lr = lr
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """[N, n_in] -> [N, n_out]."""
        with full_precision(x):
            # The scale goes on to x, which is smaller than the weight.
            x = wide(x) * (self.lr / math.sqrt(self.weight.shape[1]))
            y = F.linear(x, self.weight, self.bias * self.lr)
            return F.leaky_relu(y, SLOPE) * math.sqrt(2) if self.activate else y


class Conv(nn.Module):
    """An equalised convolution of the discriminator and of skips, halved or doubled in size where `filter` says so.

    Order: convolution, bias, sqrt(2) lrelu, gain, clamp at +-clamp gain. `resample` is "down", "up" (of which only
    kernel 1 is known, that of skips) or None. Raises ValueError for another kernel with "up".
    """

    filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        resample: str | None = None,
        filter: Sequence[float] = (1, 3, 3, 1),
        bias: bool = True,
        activate: bool = True,
        gain: float = 1.0,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        if resample == "up" and kernel != 1:
            raise ValueError(f"a convolution that doubles the size has kernel 1 here, not {kernel}")
        self.weight = nn.Parameter(normals(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("filter", taps(filter), persistent=False)
        self.resample = resample
        self.activate = activate
        self.gain = gain
        self.clamp = clamp

    def forward(self, x: Tensor) -> Tensor:
        """[N, n_in, H, W] -> [N, n_out, H', W']."""
        # The activation is positively homogeneous: its gain is applied to weight and bias, where it costs nothing.
        gain = self.gain * (math.sqrt(2) if self.activate else 1.0)
        weight = self.weight * (gain / math.sqrt(self.weight[0].numel()))
        bias = None if self.bias is None else self.bias * gain
        x = laid_like(x, self.weight)
        if self.resample == "down":
            y = downsampling_conv(x, weight, self.filter)
        elif self.resample == "up":
            y = upsample(F.conv2d(x, weight), self.filter)
        else:
            y = F.conv2d(x, weight, bias, padding=self.weight.shape[-1] // 2)
            bias = None
        if bias is not None:
            y = y + bias.to(y.dtype)[:, None, None]
        if self.activate:
            y = F.leaky_relu(y, SLOPE)
        return y if self.clamp is None else y.clamp(-self.clamp * self.gain, self.clamp * self.gain)


class ModulatedConv(nn.Module):
    """Convolution with styles on the input and demodulation on the output (Karras et al. 2020, equations 1 to 3).

    Scaling the input by the style and the output by 1 / sigma is the same as scaling the weights, and leaves one
    weight for the whole batch.
    """

    filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        w_dim: int,
        up: bool = False,
        demodulate: bool = True,
        filter: Sequence[float] = (1, 3, 3, 1),
    ) -> None:
        super().__init__()
        self.affine = EqualLinear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(normals(outputs, inputs, kernel, kernel))
        self.register_buffer("filter", taps(filter), persistent=False)
        self.up = up
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """x [N, n_in, H, W], w [N, w_dim] -> what is convolved [N, n_out, H', W'] and its demodulation [N, n_out].

        The demodulation is left to the caller, who multiplies, adds noise and bias in one pass; None without it.
        """
        style = self.affine(w)
        if not self.demodulate:
            style = style * (1 / math.sqrt(self.weight.shape[1]))
        x = laid_like(x * style.to(x.dtype)[:, :, None, None], self.weight)
        if self.up:
            y = upsampling_conv(x, self.weight, self.filter)
        else:
            y = F.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        return y, self.demodulation(style) if self.demodulate else None

    def demodulation(self, style: Tensor) -> Tensor:
        """1 / sqrt(sum over inputs and taps of (weight style)^2 + 1e-8): [N, n_in] -> [N, n_out]."""
        with full_precision(style):
            energy = self.weight.square().sum(dim=(2, 3))
            return torch.rsqrt(F.linear(style.square(), energy) + 1e-8)


class MinibatchDeviation(nn.Module):
    """One or more channels that hold how much a group of pictures differs (Karras et al. 2018, section 3).

    Groups are strided: picture i of N belongs to group i mod (N / group size).
    """

    def __init__(self, group_size: int | None, channels: int = 1) -> None:
        super().__init__()
        self.group_size = group_size
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C + channels, H, W]. Raises ValueError where the group does not divide the batch."""
        n, c, h, w = x.shape
        group = n if self.group_size is None else min(self.group_size, n)
        if n % group:
            raise ValueError(f"a batch of {n} does not divide into groups of {group} for the minibatch deviation")
        with full_precision(x):
            parts = wide(x).reshape(group, -1, self.channels, c // self.channels, h, w)
            # torch.var along the first axis takes several times as long on a CPU.
            variance = (parts - parts.mean(dim=0)).square().mean(dim=0)
            deviation = (variance + 1e-8).sqrt().mean(dim=(2, 3, 4))
            plane = deviation.to(x.dtype).repeat(group, 1)[:, :, None, None].expand(-1, -1, h, w)
            return torch.cat([x, plane], dim=1)
