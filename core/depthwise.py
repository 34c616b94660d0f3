"""A depthwise convolution with a constant kernel, differentiable as often as one likes.

It is linear in the picture, so its derivative is the transposed convolution and the derivative of that is the
convolution again. PyTorch knows this too, but its second derivative of any convolution also works out the kernel's
gradient, wanted or not: one convolution a channel with a picture for a kernel, 1,500 of them in R1 of a network of
224 x 192.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["depthwise"]


def depthwise(x: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolve each channel of x [N, C, H, W] with its own kernel of [C, 1, k, k], which gets no gradient.

    In the precision that both are of: autocast has to be off.
    """
    return _Depthwise.apply(x, kernel, stride, padding)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.how, ctx.laid = (stride, padding), (x.shape, x.stride())
        return F.conv2d(x, kernel, stride=stride, padding=padding, groups=len(kernel))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (kernel,) = ctx.saved_tensors
        return _Transposed.apply(gradients[0], kernel, *ctx.how, *ctx.laid), None, None, None


class _Transposed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        kernel: Tensor,
        stride: int,
        padding: int,
        shape: torch.Size,
        strides: tuple[int, ...],
    ) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.how = (stride, padding)
        # Of the picture only its shape and layout count: its numbers are for the kernel's gradient.
        blank = gradient.new_empty_strided(shape, strides)
        wanted, sides = (True, False, False), ([stride, stride], [padding, padding], [1, 1], False, [0, 0])
        found: Tensor = torch.ops.aten.convolution_backward.default(
            gradient, blank, kernel, None, *sides, len(kernel), wanted
        )[0]
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (kernel,) = ctx.saved_tensors
        # Autocast may be on where a derivative is taken; the one before it is of the pictures' own precision.
        with torch.autocast(kernel.device.type, enabled=False):
            return _Depthwise.apply(gradients[0], kernel, *ctx.how), None, None, None, None, None
