"""z and class -> w, and the same for the class alone in a conditional discriminator."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.layers import EqualLinear, normalise, wide

__all__ = ["Mapping", "one_hot", "projected"]


def one_hot(label: Tensor | None, num_classes: int, like: Tensor) -> Tensor:
    """Return labels as [N, num_classes]: None is class 0, [N] int64 are indices, rows pass through (soft labels too).

    Raises ValueError where shape or index does not fit.
    """
    if label is None:
        label = torch.zeros(len(like), dtype=torch.int64, device=like.device)
    if label.ndim == 1 and not label.is_floating_point():
        if label.numel() and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
            raise ValueError(f"labels go from 0 to {num_classes - 1}")
        label = F.one_hot(label.long(), num_classes)
    if label.shape != (len(like), num_classes):
        raise ValueError(f"labels are [{len(like)}] or [{len(like)}, {num_classes}], not {list(label.shape)}")
    return label.to(device=like.device, dtype=like.dtype)


class Mapping(nn.Module):
    """The mapping network f (Karras et al. 2019, section 2): normalised z, joined by the embedded class, to w.

    With z_dim 0 it maps the class alone, as the projection of a conditional discriminator does.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        w_dim: int,
        num_classes: int,
        *,
        layers: int,
        lr: float = 0.01,
        embed: int | None = None,
        hidden: int | None = None,
    ) -> None:
        """`embed` is the width of the embedded class, `hidden` that between the layers; w_dim where None."""
        super().__init__()
        embed = w_dim if embed is None else embed
        self.z_dim = z_dim
        self.w_dim = w_dim
        self.num_classes = num_classes
        self.embed = EqualLinear(num_classes, embed) if num_classes else None
        width = z_dim + (embed if num_classes else 0)
        if not layers and width != w_dim:
            raise ValueError(f"a mapping without layers keeps its width, but {width} is not {w_dim}")
        widths = [width] + [w_dim if hidden is None else hidden] * (layers - 1) + [w_dim] * min(layers, 1)
        self.layers = nn.ModuleList(EqualLinear(a, b, lr=lr, activate=True) for a, b in pairwise(widths))
        if z_dim:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor | None, label: Tensor | None = None) -> Tensor:
        """z [N, z_dim] (None with z_dim 0), label [N] or [N, num_classes] or None (class 0) -> w [N, w_dim].

        Raises ValueError for a z or a label of another shape, and for a class that there is not.
        """
        parts = []
        if z is not None and self.z_dim:
            if z.ndim != 2 or z.shape[1] != self.z_dim:
                raise ValueError(f"z is [N, {self.z_dim}], not {list(z.shape)}")
            parts.append(normalise(wide(z)))
        if self.embed is not None:
            like = parts[0] if parts else self.embed.weight.new_empty(1 if label is None else len(label), 0)
            parts.append(normalise(self.embed(one_hot(label, self.num_classes, like))))
        w = torch.cat(parts, dim=1)
        for layer in self.layers:
            w = layer(w)
        return w


def projected(features: Tensor, mapping: Mapping | None, label: Tensor | None) -> Tensor:
    """Logits [N] of a discriminator's last features: with classes by projection (Miyato and Koyama 2018).

    features [N, 1] without a `mapping`, which are the logits; else [N, w_dim] of it, and label [N] or [N, num_classes]
    or None (class 0).
    """
    if mapping is None:
        return features.squeeze(1)
    if label is None:
        label = torch.zeros(len(features), dtype=torch.int64, device=features.device)
    classes = mapping(None, label)
    return (features * classes).sum(dim=1) / math.sqrt(classes.shape[1])
