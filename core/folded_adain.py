"""StyleGAN's layers with everything that does not depend on w worked out once: how the engine computes them on a CPU.

What a layer leaves is cut before its AdaIN: features and their moments do not depend on the layer's own w.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from core.folded import channels_last
from core.layers import SLOPE, Conv
from core.stylegan import StyledLayer

__all__ = ["Features", "Layer", "Picture"]

_EPSILON = 1e-5


@dataclass(frozen=True)
class Features:
    """What a layer leaves before its AdaIN."""

    x: Tensor  # [1, C, H, W]
    mean: Tensor  # of each channel [C], float32
    scale: Tensor  # 1 / sqrt(variance + 1e-5) [C], float32


class Layer:
    """One styled layer: AdaIN of the layer before, convolution, noise, bias, lrelu, moments."""

    def __init__(
        self, layer: StyledLayer, before: StyledLayer | None, const: Tensor | None, dtype: torch.dtype
    ) -> None:
        self.layer = layer
        self.dtype = dtype
        self.const = const
        self.style = None if before is None else Style(before)

    def noise(self, noise: Tensor | None) -> Tensor | None:
        """A map of normals, of as many numbers as the layer has pixels -> [1, 1, H, W]; None where it adds nothing."""
        if noise is None or not self.layer.strength.any():
            return None
        return noise.to(self.dtype, copy=True).reshape(1, 1, *self.layer.size)  # the caller may change its own

    def __call__(self, before: Features | None, w: Tensor | None, noise: Tensor | None) -> Features:
        """Features and w [w_dim] of the layer before (None where there is none), what `noise` gave -> features."""
        if before is None or w is None or self.style is None:
            assert self.const is not None
            x = channels_last(self.const[None].to(self.dtype))
        else:
            factor, shift = self.style(w, before)
            x = torch.addcmul(plane(shift, self.dtype), before.x, plane(factor, self.dtype))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            y = self.layer.convolved(x).to(self.dtype)
        if noise is not None:
            y = torch.addcmul(y, noise, plane(self.layer.strength, self.dtype))
        y = F.leaky_relu_(y, SLOPE)
        variance, mean = torch.var_mean(y.float(), dim=(0, 2, 3), correction=0)
        return Features(y, mean, torch.rsqrt(variance + _EPSILON))


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


def plane(values: Tensor, dtype: torch.dtype) -> Tensor:
    """[C] -> [C, 1, 1], to meet features."""
    return values.to(dtype)[:, None, None]
