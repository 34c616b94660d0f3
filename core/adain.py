"""Adaptive instance normalisation (Huang and Belongie 2017; Karras et al. 2019, equation 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["adain"]

_EPSILON = 1e-5


def adain(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """gamma (x - mean) / sqrt(var + 1e-5) + beta, with the mean and biased variance of each map.

    x [N, C, H, W]; gamma, beta [N, C] in at least float32 -> [N, C, H, W] like x. Moments are at least float32. First
    and second derivatives are right.
    """
    return _AdaIN.apply(x, gamma, beta)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / sqrt(var + 1e-5), [N, C, 1, 1], in at least float32."""
    kind = torch.promote_types(x.dtype, torch.float32)
    mean = x.mean(dim=(2, 3), keepdim=True, dtype=kind)
    variance = (x - mean.to(x.dtype)).square().mean(dim=(2, 3), keepdim=True, dtype=kind)
    return mean, torch.rsqrt(variance + _EPSILON)


class _AdaIN(torch.autograd.Function):
    """The derivative in closed form: five passes over memory, where that of its parts takes a dozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, scale = _moments(x)
        ctx.save_for_backward(x, gamma, mean, scale)
        factor = gamma[:, :, None, None] * scale
        return torch.addcmul((beta[:, :, None, None] - mean * factor).to(x.dtype), x, factor.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, gamma, mean, scale = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated once more: what was saved carries no graph back to x
            mean, scale = _moments(x)
        count = x.shape[2] * x.shape[3]
        d_beta = grad.sum(dim=(2, 3), keepdim=True, dtype=mean.dtype)
        d_gamma = ((grad * x).sum(dim=(2, 3), keepdim=True, dtype=mean.dtype) - mean * d_beta) * scale
        # dx = factor (grad - mean(grad) - xhat mean(grad xhat)), sorted by what is multiplied.
        factor = gamma[:, :, None, None] * scale
        slope = -factor * scale * d_gamma / count
        level = -factor * d_beta / count - slope * mean
        dx = torch.addcmul(level.to(x.dtype), grad, factor.to(x.dtype))
        dx = torch.addcmul(dx, x, slope.to(x.dtype))
        return dx, d_gamma.to(gamma.dtype)[:, :, 0, 0], d_beta.to(gamma.dtype)[:, :, 0, 0]
