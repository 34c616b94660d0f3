"""How strongly the discriminator's pictures are augmented: never, always with the same p, or as overfitting needs.

Adaptive discriminator augmentation (Karras et al. 2020a, "Training Generative Adversarial Networks with Limited Data").
"""

from __future__ import annotations

import torch
from torch import Tensor

from train import augment
from train.config import Config
from train.draws import Draws

__all__ = ["Augmenting"]


class Augmenting:
    """The augmentation of a training: which kinds, how likely each, and how that likelihood moves.

    Signs are added up on the device; only where p moves does the host wait for it.
    """

    def __init__(self, config: Config, *, size: tuple[int, int], channels: int, device: torch.device) -> None:
        self.config = config
        self.on = config.augment != "none"
        self.adaptive = config.augment == "ada"
        self.kinds = augment.kinds(size, channels)
        self.p = config.fixed_p()
        self.signs = torch.zeros((), device=device)

    def __call__(self, images: Tensor, part: slice, draws: Draws) -> Tensor:
        """images [N, C, H, W], pictures `part` of the batch, as the discriminator shall see them."""
        if not self.on:
            return images
        drawn = augment.draw(draws.batch, self.kinds, generator=draws.generator("augment"))
        return augment.apply(images, {name: values[part] for name, values in drawn.items()}, self.p, self.kinds)

    @torch.no_grad()
    def follow(self, sign: Tensor, *, step: int, batch: int) -> None:
        """Take in the mean sign of the discriminator on `batch` reals of step `step`; every so many steps move p."""
        if not self.adaptive:
            return
        config = self.config
        self.signs = self.signs + sign
        if (step + 1) % config.ada_every == 0:
            mean, images = self.signs.item() / config.ada_every, batch * config.ada_every
            self.p = augment.next_p(self.p, mean, images=images, kimg=config.ada_kimg, target=config.ada_target)
            self.signs = torch.zeros_like(self.signs)

    def tensors(self) -> dict[str, Tensor]:
        """What the next step depends on; empty where p does not move."""
        return {"ada.p": torch.tensor(self.p, dtype=torch.float64), "ada.signs": self.signs} if self.adaptive else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        if self.adaptive and "ada.p" in tensors:
            self.p, self.signs = tensors["ada.p"].item(), tensors["ada.signs"].to(self.signs.device)
