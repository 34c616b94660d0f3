"""The gradients of a batch: added up over parts where memory is short, and over processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from train.draws import length
from train.processes import Processes

__all__ = ["Figures", "gradients", "summed"]

Figures = dict[str, Tensor]


def gradients(
    loss_of: Callable[[slice], tuple[Tensor, Figures]], *, count: int, micro: int, processes: Processes
) -> Figures:
    """Add the gradients of this process's share of `count` pictures to those that are there, `micro` at a time.

    `loss_of` gives the mean loss and mean figures of a part of the batch. Returns this process's share of the figures'
    means over all pictures: the sum over the processes is the mean.
    """
    mine = processes.share(count)
    if idle := not length(mine):
        mine = slice(0, 1)  # at weight zero, so that all processes have the same figures to add up
    total: Figures = {}
    for first in range(mine.start, mine.stop, micro):
        part = slice(first, min(first + micro, mine.stop))
        share = 0.0 if idle else length(part) / count
        loss, figures = loss_of(part)
        (loss * share if share < 1 else loss).backward()
        for key, value in figures.items():
            weighted = value.detach() * share
            total[key] = total[key] + weighted if key in total else weighted
    return total


@torch.no_grad()
def summed(parameters: Sequence[nn.Parameter], figures: Figures, *, processes: Processes) -> Figures:
    """Sum the gradients of `parameters`, in place, and the figures, which are returned, over all processes.

    A parameter that the loss does not reach has the gradient zero, in one process as in many, so that Adam's moments
    follow the same steps. Parameters of other sizes have none: Adam leaves them and their moments alone.
    """
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if processes.count == 1:
        return figures
    mine = [parameter.grad for parameter in parameters if parameter.grad is not None]
    everything = [*mine, *figures.values()]
    flat = torch.cat([values.flatten().float() for values in everything])
    processes.sum_(flat)
    parts = [
        part.view(one.shape) for part, one in zip(flat.split([v.numel() for v in everything]), everything, strict=True)
    ]
    torch._foreach_copy_(mine, parts[: len(mine)])
    # Copies: a view would keep all the gradients in memory for as long as its figure is waited with.
    return {key: part.clone() for key, part in zip(figures, parts[len(mine) :], strict=True)}
