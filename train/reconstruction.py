"""A head start for the generator: it learns to draw the training pictures before a discriminator judges it.

Every picture has a code as wide as w: its principal components (Turk and Pentland 1991), the small ones enlarged. The
synthesis network learns to draw each picture from its code by squared error, and the mapping to turn z into codes
distributed like those of the pictures, by energy distances (Szekely and Rizzo 2013; as a generator's loss, Bellemare et
al. 2017). Samples then vary as the pictures do from the first adversarial step on, which teaches them to be sharp;
what is learnt from scratch within few images varies much less, since nothing tells the generator what it leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core import stylegan
from core.errors import SettingError
from core.generator import Generator
from core.mapping import Mapping
from train.config import Config
from train.data import Data
from train.processes import Processes
from train.schedule import Adam, stream

__all__ = ["Codes", "HeadStart", "energy_distance", "match", "nested_distance"]

PICTURES = 8192  # at most so many say what the principal components are
NUMBERS = 4096  # and pictures are averaged down until they have no more numbers than this
ALIKE = 1e-4  # of the range of a pixel, 2: less is rounding
FAINTEST = 1e-3  # components that vary less than this share of the first are left out
ADAM = Adam(lr=0.004, betas=(0.9, 0.99))
BATCH, STEPS, FEWEST = 512, 1500, 100  # of the mapping's fit
IMAGES_A_STEP = 64  # a short head start has a short fit
FIT_LR = 0.01


@dataclass(frozen=True)
class Codes:
    """Pictures -> codes [N, w_dim]: `basis` [P, w_dim] of pictures averaged `shrink` times, less their `mean` [P]."""

    mean: Tensor
    basis: Tensor
    shrink: int

    @classmethod
    def of(cls, pictures: Tensor, *, width: int, shrink: int = 0) -> Codes:
        """Codes of `width` numbers from pictures [N, P], which were averaged `shrink` times already.

        Component k, of standard deviation s_k, is divided by sqrt(s_k s_1), half way between its own size and the same
        for all; then all by one number. Where there are fewer components than `width`
        the rest are zero, and the mean square of the others is 1. Two pictures at least have to differ.
        """
        exact = pictures.double()  # the faint components are far below the rounding of float32
        mean = exact.mean(dim=0)
        centred = exact - mean
        n, p = centred.shape
        square = centred @ centred.T if n <= p else centred.T @ centred
        values, vectors = torch.linalg.eigh(square)
        values, vectors = values.flip(0)[:width].clamp(min=0), vectors.flip(1)[:, :width]
        deviations = (values / n).sqrt()
        kept = deviations > FAINTEST * deviations[0]
        values, vectors, deviations = values[kept], vectors[:, kept], deviations[kept]
        axes = centred.T @ (vectors / values.sqrt()) if n <= p else vectors
        axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()  # eigenvectors have no sign
        scale = (deviations * deviations[0]).sqrt() * (deviations / deviations[0]).mean().sqrt()
        basis = pictures.new_zeros(p, width)
        basis[:, : len(values)] = (axes / scale).to(basis)
        return cls(mean.to(pictures), basis, shrink)

    @classmethod
    def blank(cls, g: Generator) -> Codes:
        """Codes that are all zero, of pictures as `g` makes them: as much work as others."""
        shrink = _shrink(g.channels, g.size)
        numbers = g.channels * math.prod(g.size) // 4**shrink
        return cls(torch.zeros(numbers).to(g.w_avg), torch.zeros(numbers, g.w_dim).to(g.w_avg), shrink)

    def __call__(self, images: Tensor) -> Tensor:
        """Pictures [N, C, H, W] from -1 to 1 -> [N, w_dim]."""
        return (_flat(images, self.shrink) - self.mean) @ self.basis


class HeadStart:
    """The part of a training in which the generator reconstructs; of no length unless `--reconstruct` is given."""

    def __init__(self, config: Config, *, width: int) -> None:
        self.config = config
        self.width = width
        self.images = config.head_start()
        self.codes: Codes | None = None
        self._finished = False

    def reconstructs(self, images: int) -> bool:
        """Whether the step that begins after `images` images is one of reconstruction."""
        return images < self.images

    def trains_discriminator_alone(self, images: int) -> bool:
        """Whether it is one of those after it in which the discriminator learns alone."""
        return self.images <= images < self.images + self.config.alone()

    def finish(self, images: int) -> bool:
        """End it, and forget the codes unless they hold; True once, at the first step after it."""
        if self.codes is None or self._finished or self.reconstructs(images):
            return False
        self._finished = True
        if not self.config.hold:
            self.codes = None
        return True

    @property
    def is_holding(self) -> bool:
        """Whether generated pictures are held to what their w says, and the mapping stays as it is."""
        return self.config.hold > 0 and self._finished and self.codes is not None

    def hold_loss(self, images: Tensor, ws: Tensor, w: Tensor, *, full: tuple[int, int]) -> Tensor | None:
        """Mean squared difference of the codes of generated pictures [N, C, h, w] from their w [N, w_dim].

        Those of two styles count 0 in it. None where nothing holds, and for pictures of a size, other than the `full`
        one, that is smaller than what the codes are of.
        """
        smaller = (full[0] // images.shape[2]).bit_length() - 1
        if not self.is_holding or self.codes is None or smaller > self.codes.shrink:
            return None
        codes = replace(self.codes, shrink=self.codes.shrink - smaller)
        alone = (ws == w[:, None]).all(dim=2).all(dim=1)
        return ((codes(images.float()) - w.detach()).square().mean(dim=1) * alone).mean()

    def adam(self, images: int) -> Adam:
        """Adam at this step: the rate falls as a quarter of a cosine, once it has risen in the first hundredth."""
        share = images / self.images
        return Adam(ADAM.lr * min(1.0, 0.01 + 100 * share) * (0.02 + math.cos(share * math.pi / 2)), ADAM.betas)

    def begin(
        self,
        mapping: Mapping,
        data: Data,
        *,
        device: torch.device,
        processes: Processes,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Find the codes of the pictures and teach the mapping. Several processes take those of the first one.

        `check` is called again and again, and may raise to stop. Raises SettingError where all pictures are alike.
        """
        pictures, shrink = _pictures(data, self.config, most=self.images)
        if not (pictures.amax(dim=0) - pictures.amin(dim=0)).max() > ALIKE:
            raise SettingError("reconstruct", self.config.reconstruct, "0 for pictures that are all alike")
        found = [torch.zeros(pictures.shape[1]), torch.zeros(pictures.shape[1], self.width)]
        if processes.first:
            codes = Codes.of(pictures, width=self.width, shrink=shrink)
            found = [codes.mean, codes.basis]
            steps = min(STEPS, max(FEWEST, self.images // IMAGES_A_STEP))
            match(
                mapping,
                ((pictures - codes.mean) @ codes.basis).to(device),
                steps=steps,
                seed=self.config.seed,
                check=check,
            )
        learnt = list(mapping.state_dict().values())
        shared = [one.to(device) for one in found] + learnt
        if processes.count > 1:
            flat = torch.cat([value.flatten() * float(processes.first) for value in shared])
            processes.sum_(flat)
            parts = flat.split([value.numel() for value in shared])
            with torch.no_grad():
                for value, part in zip(shared, parts, strict=True):
                    value.copy_(part.view_as(value))
        self.codes = Codes(shared[0], shared[1], shrink)

    def loss(
        self, g: Generator, real: Tensor, *, autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error of pictures drawn from the codes of `real` ones [N, C, H, W], without noise.

        A network that grows draws them in every size, and the loss is the mean of all; that of the full size is named.
        Only what draws is inside `autocast`: the faint components are below the rounding of bfloat16.
        """
        assert self.codes is not None
        ws = self.codes(real)[:, None].expand(-1, g.num_ws, -1)
        with autocast():
            if isinstance(g.synthesis, stylegan.Synthesis):
                drawn = g.synthesis.every_size(ws, noise="none")
            else:
                drawn = [g.synthesis(ws, noise="none")]
        errors = [
            (one.float() - functional.avg_pool2d(real, real.shape[2] // one.shape[2])).square().mean() for one in drawn
        ]
        return torch.stack(errors).mean(), {"reconstruction": errors[-1]}

    def tensors(self) -> dict[str, Tensor]:
        """What the rest of the head start depends on."""
        if self.codes is None:
            return {}
        shrink, over = torch.tensor(float(self.codes.shrink)), torch.tensor(float(self._finished))
        found = {"codes.mean": self.codes.mean, "codes.basis": self.codes.basis, "codes.shrink": shrink}
        return found | ({"codes.over": over} if self._finished else {})

    def restore(self, tensors: dict[str, Tensor], *, images: int, device: torch.device) -> None:
        """Put back what `tensors` gave after `images` images."""
        if "codes.mean" in tensors:
            mean, basis = (tensors[f"codes.{name}"].to(device) for name in ("mean", "basis"))
            self.codes = Codes(mean, basis, int(tensors["codes.shrink"]))
            self._finished = "codes.over" in tensors
        if self._finished and (
            not self.config.hold or self.reconstructs(images)
        ):  # other settings: held no longer, or begun again
            self.codes, self._finished = None, False


# --- the mapping -------------------------------------------------------------------------------------------------


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|x - y| - E|x - x'| - E|y - y'|, an estimate without bias (Szekely and Rizzo 2013, equation 2.1).

    x, y [N, D], N even: x' and y' are the other halves. 0 in the mean where both are drawn from one distribution, and
    more for any two others.
    """
    half = len(x) // 2
    within = torch.cdist(x[:half], x[half:]).mean() + torch.cdist(y[:half], y[half:]).mean()
    return 2 * torch.cdist(x, y).mean() - within


def nested_distance(x: Tensor, y: Tensor) -> Tensor:
    """The sum of energy distances over the first 2, 4, 8 ... components, each over the size of y's.

    Over all components alone the many small ones would drown how the few large ones hang together.
    """
    total, count = x.new_zeros(()), 2
    while True:
        ours, theirs = x[:, :count], y[:, :count]
        total = total + energy_distance(ours, theirs) / theirs.square().sum(dim=1).mean().sqrt().clamp(min=1e-8)
        if count >= x.shape[1]:
            return total
        count *= 2


def match(mapping: Mapping, codes: Tensor, *, steps: int, seed: int, check: Callable[[], None] = lambda: None) -> None:
    """Teach `mapping`, whose learning rate is a share of everybody's, to give codes like `codes` [N, w_dim].

    `check` is called at every step. It has a layer at least.
    """
    device = codes.device
    optimizer = torch.optim.Adam(mapping.parameters(), lr=0.0, betas=ADAM.betas)
    lr = FIT_LR / mapping.layers[0].lr  # type: ignore[operator]
    for step in range(steps):
        check()
        optimizer.param_groups[0]["lr"] = lr * min(1.0, (step + 1) / 50) * (1.01 - step / steps)
        generator = torch.Generator().manual_seed(stream(seed, "match", step))
        chosen = torch.randint(len(codes), (BATCH,), generator=generator)
        z = torch.randn(BATCH, mapping.z_dim, generator=generator)
        loss = nested_distance(mapping(z.to(device)), codes[chosen.to(device)])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        z = torch.randn(8192, mapping.z_dim, generator=torch.Generator().manual_seed(stream(seed, "match", "average")))
        mapping.w_avg.copy_(mapping(z.to(device)).mean(dim=0))


# --- pictures ----------------------------------------------------------------------------------------------------


def _pictures(data: Data, config: Config, *, most: int) -> tuple[Tensor, int]:
    """Pictures averaged down, float32 [N, P] on the CPU, no more than `most`, and how often they were halved.

    Where the training mirrors pictures, each is there in both ways.
    """
    order = data.order(np.arange(max(2, min(len(data), PICTURES, most))), seed=config.seed)
    shrink = _shrink(data.channels, data.frame.size)
    cpu = torch.device("cpu")
    batches = (data.batch(order[first : first + 32], device=cpu) for first in range(0, len(order), 32))
    ways = [[batch, batch.flip(3)] if config.mirror else [batch] for batch in batches]
    return torch.cat([_flat(way, shrink) for both in ways for way in both]), shrink


def _shrink(channels: int, size: tuple[int, int]) -> int:
    """How often pictures are halved until they have no more than NUMBERS numbers, or an odd side."""
    (height, width), shrink = size, 0
    while channels * height * width > NUMBERS and height % 2 == 0 and width % 2 == 0:
        height, width, shrink = height // 2, width // 2, shrink + 1
    return shrink


def _flat(images: Tensor, shrink: int) -> Tensor:
    """[N, C, H, W] -> [N, C H W / 4^shrink], each number the mean of a square of pixels."""
    side = 2**shrink
    return functional.avg_pool2d(images, side).flatten(1) if shrink else images.flatten(1)
