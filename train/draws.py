"""Every random draw of a step, made for the whole batch, whichever process or micro-batch asks for a part of it.

A part is a slice of what is drawn for the batch: 16 pictures on one device, 2 x 8 on two and four times 4 one after the
other see the same numbers. Drawing for others, too, costs less than a stream for each picture would: on a GPU that is
one launch and not one a picture, on a CPU some ten nanoseconds a number beside microseconds of convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from train.schedule import stream

__all__ = ["Draws", "length", "together"]


@dataclass(frozen=True)
class Draws:
    """The random streams of one phase of one step: the run's seed, the images seen before it, the phase, the batch."""

    seed: int
    images: int
    phase: str
    batch: int

    def normals(self, part: slice, widths: list[int], *, device: torch.device) -> list[Tensor]:
        """Standard normals [pictures of `part`, width], one tensor for each width, drawn on the device in one go."""
        rows = torch.empty(self.batch, sum(widths), device=device)
        rows.normal_(generator=self.generator("normals", device=device))
        # Of a part a copy: a view would keep those of the whole batch in memory, which parts are there to spare.
        mine = rows[part] if length(part) == self.batch else rows[part].clone()
        return list(mine.split(widths, dim=1))

    def layers(self, part: slice, *, num_ws: int, share: float) -> Tensor:
        """Where the second style takes over, int64 [pictures of `part`] on the CPU; num_ws: nowhere (style mixing)."""
        layer = torch.full((self.batch,), num_ws)
        if share and num_ws > 1:
            generator = self.generator("mixing")
            mixed = torch.rand(self.batch, generator=generator) < share
            layer = torch.where(mixed, torch.randint(1, num_ws, (self.batch,), generator=generator), layer)
        return layer[part]

    def chosen(self, part: slice, *, count: int) -> Tensor:
        """One of `count` pictures for each picture of `part`, int64, on the CPU."""
        return torch.randint(count, (self.batch,), generator=self.generator("labels"))[part]

    def shares(self, part: slice) -> Tensor:
        """A number from 0 to 1 for each picture of `part`, float32, on the CPU."""
        return torch.rand(self.batch, generator=self.generator("shares"))[part]

    def turned(self, part: slice) -> Tensor:
        """Which pictures of `part` are mirrored, on the CPU."""
        return (torch.rand(self.batch, generator=self.generator("mirror")) < 0.5)[part]

    def generator(self, name: str, *, device: torch.device | str = "cpu") -> torch.Generator:
        """A stream of its own, called `name`, at its beginning."""
        return torch.Generator(device).manual_seed(stream(self.seed, self.images, self.phase, name))


def length(part: slice) -> int:
    """How many pictures a part of the batch has."""
    return part.stop - part.start


def together(pictures: Tensor, groups: int) -> Tensor:
    """Reorder [N, ...] so that the network's strided minibatch groups are contiguous blocks of `pictures`.

    Its group i is made of pictures i, i + groups, i + 2 groups ... (core/layers.py). With N / groups in place of
    `groups` the order is put back.
    """
    return pictures if groups == 1 else pictures.unflatten(0, (groups, -1)).transpose(0, 1).flatten(0, 1)
