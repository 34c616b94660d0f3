"""StyleGAN's layers with everything that does not depend on w worked out once: how the engine computes them on a CPU.

What a layer leaves is cut before its AdaIN: features and their moments do not depend on the layer's own w. What was
tried, and lost, is in docs/speed.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from core.folded import channels_last, convolution, milliseconds, phases, shuffled, transposed
from core.layers import SLOPE, Conv
from core.stylegan import StyledLayer

__all__ = ["ByPhases", "ByTransposition", "Features", "Layer", "Picture", "blurred_ones", "moments"]

_EPSILON = 1e-5


@dataclass(frozen=True)
class Features:
    """What a layer leaves before its AdaIN."""

    x: Tensor  # [1, C, H, W]
    mean: Tensor  # of each channel [C], float32
    scale: Tensor  # 1 / sqrt(variance + 1e-5) [C], float32


class Style:
    """A layer's AdaIN as one factor and one shift a channel."""

    def __init__(self, layer: StyledLayer) -> None:
        affine = layer.affine
        self.weight = (affine.weight / math.sqrt(affine.weight.shape[1])).contiguous()
        self.bias = affine.bias

    def __call__(self, w: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """w [w_dim], features [1, C, H, W] -> factor and shift [C]: AdaIN is features * factor + shift."""
        gamma, beta = torch.addmv(self.bias, self.weight, w).chunk(2)
        factor = gamma * features.scale
        return factor, beta - features.mean * factor


class Layer:
    """One styled layer: AdaIN of the layer before, convolution, bias, noise, lrelu, moments."""

    def __init__(
        self, layer: StyledLayer, before: StyledLayer | None, const: Tensor | None, dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        self.size = layer.size
        self.strength = layer.strength
        self.noisy = bool(layer.strength.any())
        # A bias that is blurred with the features grows less at the edges, where the blur meets zeros.
        self.edged = layer.bias if layer.blur is not None and layer.blur_bias else None
        bias = layer.bias if self.edged is None else torch.zeros_like(layer.bias)
        self.const: Tensor | None = None
        if const is not None:
            self.const = channels_last((const + bias[:, None, None])[None].to(dtype))
        elif before is not None:
            self.style = Style(before)
            self.convolve, self.apply = _routes(layer, bias.to(dtype), before.size, dtype)
        self._map: Tensor | None = None
        self._added: Tensor | None = None

    def noise(self, noise: Tensor | None) -> Tensor | None:
        """A map of normals, of as many numbers as the layer has pixels -> [1, 1, H, W]; None where it adds nothing."""
        if noise is None or not self.noisy:
            return None
        return noise.float().clone().reshape(1, 1, *self.size)  # a copy: the caller may change its own

    def __call__(self, before: Features | None, w: Tensor | None, noise: Tensor | None) -> Features:
        """Features and w [w_dim] of the layer before (None where there is none), what `noise` gave -> features."""
        if self.const is not None:
            y = self.const.clone(memory_format=torch.preserve_format)
        else:
            assert before is not None and w is not None
            factor, shift = (values.to(self.dtype) for values in self.style(w, before))
            y = self.convolve(self.apply(before.x, factor, shift))
        y = F.leaky_relu_(self._with_added(y, noise), SLOPE)
        mean, variance = moments(y)
        return Features(y, mean, torch.rsqrt(variance + _EPSILON))

    def _with_added(self, y: Tensor, noise: Tensor | None) -> Tensor:
        """Noise and an edged bias on y [1, C, H, W], in place."""
        if self.dtype == torch.float32:
            if noise is not None:
                y.addcmul_(noise, self.strength[:, None, None])
            return y if self.edged is None else y.addcmul_(blurred_ones(self.size), self.edged[:, None, None])
        if noise is None and self.edged is None:
            return y
        # In bfloat16 a sum of two is half as fast again as one with a product, so that the product is kept.
        if self._added is None or self._map is not noise:
            self._map, self._added = noise, self._product(noise)
        return y.add_(self._added)

    def _product(self, noise: Tensor | None) -> Tensor:
        total = torch.zeros(1, len(self.strength), *self.size)
        if noise is not None:
            total.addcmul_(noise, self.strength[:, None, None])
        if self.edged is not None:
            total.addcmul_(blurred_ones(self.size), self.edged[:, None, None])
        return channels_last(total.to(self.dtype))


class Picture:
    """toRGB of a level, with the AdaIN of its last layer."""

    def __init__(self, torgb: Conv, last: StyledLayer, dtype: torch.dtype) -> None:
        self.style = Style(last)
        self.dtype = dtype
        self.weight = torgb.weight[:, :, 0, 0] / math.sqrt(torgb.weight.shape[1])
        assert torgb.bias is not None
        self.bias = torgb.bias

    def __call__(self, features: Features, w: Tensor) -> Tensor:
        """Features and w [w_dim] of the last layer -> [1, channels, H, W] float32."""
        factor, shift = self.style(w, features)
        weight = (self.weight * factor).to(self.dtype)
        bias = torch.addmv(self.bias, self.weight, shift)
        return F.conv2d(features.x, weight[:, :, None, None]).float().add_(bias[:, None, None])


# --- moments -----------------------------------------------------------------------------------------------------

_WIDTH = 2048  # numbers that fit the first cache


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [1, C, H, W], channels last in memory -> mean and biased variance of each channel [C], float32.

    The kernel of batch normalisation, which is a tenth of what var_mean takes, adds up one number after another; so
    neighbouring pixels count as channels of their own, and what they give is put together (Chan et al. 1979).
    """
    channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
    groups = 1
    while pixels > 4096 and pixels % (2 * groups) == 0 and 2 * groups * channels <= _WIDTH:
        groups *= 2
    rows = x.permute(0, 2, 3, 1).reshape(pixels // groups, groups * channels)
    # Running moments of its own type are what has the kernel answer in float32.
    running = torch.zeros(groups * channels)
    mean, variance = torch.batch_norm_update_stats(rows, running, running.clone(), 0.0)
    if groups == 1:
        return mean, variance
    means = mean.view(groups, channels)
    mean = means.mean(dim=0)
    return mean, variance.view(groups, channels).mean(dim=0).add_((means - mean).square_().mean(dim=0))


# --- routes ------------------------------------------------------------------------------------------------------

_Apply = Callable[[Tensor, Tensor, Tensor], Tensor]
_Route = TypeVar("_Route", bound=Callable[..., Tensor])


def _routes(
    layer: StyledLayer, bias: Tensor, before: tuple[int, int], dtype: torch.dtype
) -> tuple[Callable[[Tensor], Tensor], _Apply]:
    """How the layer convolves, and how the AdaIN before it is applied.

    In bfloat16 it is what is the fastest here; in float32 always the same, so that pictures have the same bits.
    """
    assert layer.weight is not None
    weight = layer.weight * math.sqrt(2 / layer.weight[0].numel())
    exact = dtype == torch.float32
    x = torch.ones(1, weight.shape[1], *before, dtype=dtype).contiguous(memory_format=torch.channels_last)
    ones = torch.ones(weight.shape[1], dtype=dtype)
    apply: _Apply = _by_product if exact else _fastest([_by_product, _by_depthwise], [x, ones, ones])
    if layer.blur is None:
        return convolution(weight.to(dtype), layer.size, bias), apply
    routes: list[Callable[[Tensor], Tensor]] = [ByTransposition(weight, bias, before, dtype)]
    if not exact:
        routes.append(ByPhases(weight, bias, before, dtype))
    return _fastest(routes, [x]), apply


def _fastest(routes: Sequence[_Route], args: Sequence[Tensor]) -> _Route:
    if len(routes) == 1:
        return routes[0]
    return min(routes, key=lambda route: milliseconds(lambda: route(*args), 2))


def _by_product(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift[:, None, None], x, factor[:, None, None])


def _by_depthwise(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    return F.conv2d(x, factor[:, None, None, None], shift, groups=len(factor))


class ByTransposition:
    """Nearest neighbours, convolution and blur by a transposed convolution, then [1, 3, 3, 1] = [1, 1] * [1, 2, 1].

    The network crops the result of [1, 1], then blurs it by [1, 2, 1] with zeros around. One filter does both where y,
    which is transposed, is continued beyond its edge by y[-1] = -y[0]: so [1, 1] gives 0 where the zeros would be.
    """

    def __init__(self, weight: Tensor, bias: Tensor, size: tuple[int, int], dtype: torch.dtype) -> None:
        height, width = size
        outputs = len(weight)
        # The weight is turned round: what is transposed is a true convolution.
        turned = weight.flip(2, 3).transpose(0, 1).to(dtype)
        self.transposed = transposed(turned, (height + 2, width + 2), padding=1)
        taps = weight.new_tensor([1, 3, 3, 1]) / 4
        kernel = torch.outer(taps, taps).expand(outputs, 1, 4, 4).to(dtype)
        self.filter = convolution(kernel, (2 * height + 3, 2 * width + 3), bias, padding=0, groups=outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """[1, n_in, h, w] -> [1, n_out, 2 h, 2 w], the bias included."""
        y = self.transposed(F.pad(x, [1, 1, 1, 1]))  # one pixel of zeros around
        torch.neg(y[:, :, 1], out=y[:, :, 0])
        torch.neg(y[:, :, -2], out=y[:, :, -1])
        torch.neg(y[:, :, :, 1], out=y[:, :, :, 0])
        torch.neg(y[:, :, :, -2], out=y[:, :, :, -1])
        return self.filter(y)


class ByPhases:
    """The same as one convolution at the small size: what lies outside the picture is set to zero before the blur."""

    def __init__(self, weight: Tensor, bias: Tensor, size: tuple[int, int], dtype: torch.dtype) -> None:
        height, width = size
        outputs = len(weight)
        self.convolve = convolution(phases(weight.flip(2, 3)).to(dtype), size)
        taps = weight.new_tensor([1, 2, 1]) / 4
        kernel = torch.outer(taps, taps).expand(outputs, 1, 3, 3).to(dtype)
        self.blur = convolution(kernel, (2 * height + 2, 2 * width + 2), bias, padding=0, groups=outputs)

    def __call__(self, x: Tensor) -> Tensor:
        """[1, n_in, h, w] -> [1, n_out, 2 h, 2 w], the bias included."""
        y = shuffled(self.convolve(x))
        for line in (y[:, :, 0], y[:, :, -1], y[:, :, :, 0], y[:, :, :, -1]):
            line.zero_()
        return self.blur(y)


def blurred_ones(size: tuple[int, int]) -> Tensor:
    """What [1, 2, 1] / 4 makes of ones with zeros around: [1, 1, H, W]."""
    lines = [torch.ones(length) for length in size]
    for line in lines:
        line[0] = line[-1] = 0.75
    return torch.outer(*lines)[None, None]
