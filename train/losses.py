"""The losses of StyleGAN and StyleGAN2, each a pure function of logits, pictures or gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "critic_loss",
    "discriminator_loss",
    "generator_loss",
    "gradient_penalty",
    "mixed",
    "path_lengths",
    "r1_penalty",
    "style_mix",
]


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator, -log sigmoid(D(G(z))), one a picture (Goodfellow et al. 2014).

    fake: logits [N] -> [N].
    """
    return softplus(-fake)


def discriminator_loss(*, real: Tensor | None = None, fake: Tensor | None = None) -> Tensor:
    """Logistic loss of the discriminator, -log sigmoid(D(x)) - log(1 - sigmoid(D(G(z)))), one a picture.

    real, fake: logits [N], either may be missing, so that the two halves can be taken one after the other -> [N].
    """
    parts = [] if real is None else [softplus(-real)]
    parts += [] if fake is None else [softplus(fake)]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def critic_loss(*, real: Tensor, fake: Tensor, drift: float) -> Tensor:
    """The critic's loss of WGAN-GP, D(G(z)) - D(x) + drift D(x)^2, one a picture (Karras et al. 2018, appendix A.1).

    real, fake: logits [N] -> [N]. The first two terms are the estimated Wasserstein distance with its sign turned; the
    last keeps the logits near 0, which nothing else does. The generator's loss is -D(G(z)).
    """
    return fake - real + drift * real.square()


def mixed(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Random points between real and generated pictures: share x + (1 - share) G(z) (Gulrajani et al. 2017, section 4).

    real, fake [N, C, H, W], share [N] from 0 to 1 -> [N, C, H, W].
    """
    return torch.lerp(fake, real, share[:, None, None, None])


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """(||d D(x) / d x||_2 - 1)^2, one a picture, without its weight (Gulrajani et al. 2017, equation 3).

    logits [N] of `images` [N, C, H, W], which require gradients -> [N]; the graph is kept.
    """
    (gradient,) = torch.autograd.grad(outputs=logits.sum(), inputs=images, create_graph=True)
    return (torch.linalg.vector_norm(_wide(gradient), dim=(1, 2, 3)) - 1).square()


def r1_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """R1 without its weight: ||d sum D(x) / d x||^2, one a picture (Mescheder et al. 2018, equation 9).

    logits [N] of `images` [N, C, H, W], which require gradients -> [N]. The loss is gamma / 2 times this; the graph is
    kept, so that it can be differentiated once more.
    """
    (gradient,) = torch.autograd.grad(outputs=logits.sum(), inputs=images, create_graph=True)
    return _wide(gradient).square().sum(dim=(1, 2, 3))


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """||J_w^T y||_2, one a picture: how far the picture moves when w moves (Karras et al. 2020, equation 4).

    images [N, C, H, W] made from ws [N, num_ws, w_dim], which require gradients; noise: standard normals like images.
    y is noise / sqrt(H W); the square is summed over w_dim and averaged over the layers -> [N]. The penalty is
    (length - a)^2, a the moving mean of lengths.
    """
    y = noise / math.sqrt(images.shape[2] * images.shape[3])
    (gradient,) = torch.autograd.grad(outputs=(images * y).sum(), inputs=ws, create_graph=True)
    return _wide(gradient).square().sum(dim=2).mean(dim=1).sqrt()


def style_mix(w: Tensor, other: Tensor, *, layer: Tensor, num_ws: int) -> Tensor:
    """Style mixing (Karras et al. 2019, section 3.1): `other` takes over from layer `layer[n]` on in picture n.

    w, other [N, w_dim], layer [N] int64; num_ws there is no mixing -> ws [N, num_ws, w_dim].
    """
    below = torch.arange(num_ws, device=w.device)[None, :, None] < layer.to(w.device)[:, None, None]
    return torch.where(below, w[:, None, :], other[:, None, :])


def _wide(x: Tensor) -> Tensor:
    """At least float32: squares are summed."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
