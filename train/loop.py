"""One step of StyleGAN2's training, told as Karras et al. 2020 tell it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.errors import TrainingError
from train import losses
from train import networks as nets
from train.config import Config
from train.data import Data
from train.networks import Networks
from train.schedule import ema_beta, is_due, stream

__all__ = ["Trainer"]

Figures = dict[str, Tensor]


class Trainer:
    """Networks in training. After any step, `images` and `tensors()` say everything the next step depends on."""

    def __init__(
        self,
        config: Config,
        networks: Networks,
        data: Data,
        *,
        device: torch.device,
        bfloat16: bool = False,
        rank: int = 0,
        processes: int = 1,
        say: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self.config = config
        self.networks = networks
        self.data = data
        self.device = device
        self.bfloat16 = bfloat16
        self.rank = rank
        self.share = config.batch // processes
        self.micro = min(self.share, self.share if config.micro_batch == "auto" else int(config.micro_batch))
        self.gamma = config.gamma_for(networks.g.size)
        self.mean_path = torch.zeros((), device=device)
        self.images = 0
        self.say = say
        self._figures: dict[str, list[Tensor]] = {}
        self._unchecked: list[tuple[str, Tensor]] = []

    # --- one step ------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Show one batch. Raises TrainingError where a loss is not finite."""
        config, n = self.config, self.networks
        due = {"batch": config.batch}

        with _frozen(n.d):
            self._phase("generator", n.g_adam, self.share, self.generator_loss)
            if config.path_weight and is_due(self.images, every=config.path_every, **due):
                self._phase("path length", n.g_adam, max(1, self.share // config.path_shrink), self.path_penalty)
        real = self._real()
        self._phase("discriminator", n.d_adam, self.share, lambda part: self.discriminator_loss(real[part]))
        if is_due(self.images, every=config.r1_every, **due):
            self._phase("r1", n.d_adam, self.share, lambda part: self.r1_penalty(real[part]))
        self._average()
        self.images += config.batch

    def generator_loss(self, part: slice) -> tuple[Tensor, Figures]:
        """Non-saturating loss; the average w follows the batch."""
        with self._autocast():
            ws, w = self._styles(_length(part))
            logits = self.networks.d(self.networks.g.synthesis(ws, noise="random"))
        loss = losses.generator_loss(logits.float()).mean()
        return loss, {"loss_g": loss, "w": w.detach().float().mean(0)}

    def path_penalty(self, part: slice) -> tuple[Tensor, Figures]:
        """(|J^T y| - a)^2, a the moving mean of the lengths; weight times interval, since it is lazy."""
        config = self.config
        with self._autocast():
            ws, _ = self._styles(_length(part))
            images = self.networks.g.synthesis(ws, noise="random")
            lengths = losses.path_lengths(images, ws, torch.randn_like(images))
        mean = self.mean_path.lerp(lengths.detach().mean(), config.path_decay)
        loss = (lengths - mean).square().mean()
        return loss * (config.path_weight * config.path_every), {"path_length": lengths.mean(), "mean_path": mean}

    def discriminator_loss(self, real: Tensor) -> tuple[Tensor, Figures]:
        """Logistic loss on generated and on real pictures, each with minibatch groups of its own."""
        g, d = self.networks.g, self.networks.d
        with self._autocast():
            with torch.no_grad():
                fake = g.synthesis(self._styles(len(real))[0], noise="random")
            fake_logits, real_logits = d(fake).float(), d(real).float()
        loss = losses.discriminator_loss(real=real_logits, fake=fake_logits).mean()
        return loss, {"loss_d": loss, "logit_real": real_logits.mean(), "logit_fake": fake_logits.mean()}

    def r1_penalty(self, real: Tensor) -> tuple[Tensor, Figures]:
        """gamma / 2 |grad D|^2 on real pictures; times the interval, since it is lazy."""
        images = real.detach().requires_grad_(True)
        with self._autocast():
            penalty = losses.r1_penalty(self.networks.d(images), images).mean()
        return penalty * (self.gamma / 2 * self.config.r1_every), {"r1": penalty}

    def _styles(self, count: int) -> tuple[Tensor, Tensor]:
        """ws [count, num_ws, w_dim] with style mixing, and the first style w [count, w_dim] of each."""
        g = self.networks.g
        w = g.mapping(torch.randn(count, g.z_dim, device=self.device), None)
        layer = torch.full((count,), g.num_ws)
        if self.config.style_mixing and g.num_ws > 1:
            mixed = torch.rand(count) < self.config.style_mixing
            layer = torch.where(mixed, torch.randint(1, g.num_ws, (count,)), layer)
        other = g.mapping(torch.randn(count, g.z_dim, device=self.device), None)
        return losses.style_mix(w, other, layer=layer, num_ws=g.num_ws), w

    def _real(self) -> Tensor:
        first = self.images + self.rank * self.share
        indices = self.data.order(np.arange(first, first + self.share), seed=self.config.seed)
        real = self.data.batch(indices, device=self.device)
        if self.config.mirror:
            draw = torch.Generator().manual_seed(stream(self.config.seed, self.rank, self.images, "mirror"))
            turned = (torch.rand(self.share, generator=draw) < 0.5).to(self.device)
            real = torch.where(turned[:, None, None, None], real.flip(3), real)
        return real

    @torch.no_grad()
    def _average(self) -> None:
        """g_ema <- beta g_ema + (1 - beta) g; buffers are copied."""
        config, n = self.config, self.networks
        beta = ema_beta(
            self.images + config.batch, batch=config.batch, half_life_kimg=config.ema_kimg, ramp=config.ema_ramp
        )
        torch._foreach_lerp_(list(n.g_ema.parameters()), list(n.g.parameters()), 1 - beta)
        for mean, buffer in zip(n.g_ema.buffers(), n.g.buffers(), strict=True):
            mean.copy_(buffer)

    # --- phases: gradients of a batch, in parts where memory is short ---------------------------------------------

    def _phase(
        self, name: str, adam: torch.optim.Adam, count: int, part: Callable[[slice], tuple[Tensor, Figures]]
    ) -> None:
        """Draw, differentiate and step once on `count` pictures; where memory runs out, halve and begin again."""
        while True:
            torch.manual_seed(stream(self.config.seed, self.rank, self.images, name))
            adam.zero_grad(set_to_none=True)
            try:
                figures = self._gradients(count, part)
                break
            except (torch.OutOfMemoryError, RuntimeError) as wrong:
                if not _out_of_memory(wrong):
                    raise
                adam.zero_grad(set_to_none=True)
                self._halve(wrong)
        adam.step()
        adam.zero_grad(set_to_none=True)
        self._note(name, figures)

    def _gradients(self, count: int, part: Callable[[slice], tuple[Tensor, Figures]]) -> Figures:
        total: Figures = {}
        for first in range(0, count, self.micro):
            chosen = slice(first, min(first + self.micro, count))
            share = _length(chosen) / count
            loss, figures = part(chosen)
            (loss * share if share < 1 else loss).backward()
            for key, value in figures.items():
                weighted = value.detach() * share
                total[key] = total[key] + weighted if key in total else weighted
        return total

    def _halve(self, wrong: BaseException) -> None:
        smaller = self.micro // 2
        if smaller < self.config.group or smaller % self.config.group:
            fewest = f"and the minibatch group of {self.config.group} allows no fewer"
            raise TrainingError(
                f"memory ran out with {self.micro} images at once, {fewest}; take a smaller --size or --channel-base"
            ) from wrong
        self.micro = smaller
        self.say(
            f"memory ran out: computing {smaller} images at once from now on, gradients accumulated over the batch"
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.no_grad()
    def _note(self, name: str, figures: Figures) -> None:
        w, mean = figures.pop("w", None), figures.pop("mean_path", None)
        if w is not None:
            average = self.networks.g.w_avg
            average.copy_(w.lerp(average, self.config.w_avg_beta))
        if mean is not None:
            self.mean_path = mean
        for key, value in figures.items():
            self._figures.setdefault(key, []).append(value)
            self._unchecked.append((name, value))
        if self.device.type == "cpu" or len(self._unchecked) >= 128:
            self.verify()

    def verify(self) -> None:
        """Raise TrainingError where a figure since the last call was not finite. On a GPU this waits for it."""
        waiting, self._unchecked = self._unchecked, []
        if not waiting:
            return
        values = torch.stack([value.float() for _, value in waiting]).tolist()
        for (name, _), value in zip(waiting, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"the {name} loss was {value} in or shortly before the step at {self.images} images"
                )

    def figures(self) -> dict[str, float]:
        """Means of the losses since the last call."""
        self.verify()
        found, self._figures = self._figures, {}
        return {key: torch.stack(values).double().mean().item() for key, values in found.items()}

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            yield

    # --- everything the next step depends on ---------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """All state that is numbers."""
        n = self.networks
        found = {"mean_path": self.mean_path}
        for prefix, network in (("g", n.g), ("g_ema", n.g_ema), ("d", n.d)):
            found |= {f"{prefix}.{name}": value for name, value in network.state_dict().items()}
        for prefix, adam, network in (("g_adam", n.g_adam, n.g), ("d_adam", n.d_adam, n.d)):
            found |= {f"{prefix}.{name}": value for name, value in nets.adam_tensors(adam, network).items()}
        for key, values in self._figures.items():
            found[f"figures.{key}"] = torch.stack(values).float()
        return found

    def facts(self) -> dict[str, Any]:
        """All state that is words and whole numbers."""
        return {"images": self.images, "micro": self.micro, "bfloat16": self.bfloat16}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Put back what `tensors` and `facts` gave."""
        n = self.networks
        for prefix, network in (("g", n.g), ("g_ema", n.g_ema), ("d", n.d)):
            network.load_state_dict(_under(tensors, prefix))
        nets.restore_adam(n.g_adam, n.g, _under(tensors, "g_adam"))
        nets.restore_adam(n.d_adam, n.d, _under(tensors, "d_adam"))
        self.mean_path = tensors["mean_path"].to(self.device)
        self._figures = {key: list(values.to(self.device)) for key, values in _under(tensors, "figures").items()}
        self.images, self.micro, self.bfloat16 = facts["images"], facts["micro"], facts["bfloat16"]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}


def _length(part: slice) -> int:
    return part.stop - part.start


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for the weights of a network that only passes them on."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def _out_of_memory(wrong: BaseException) -> bool:
    return (
        isinstance(wrong, torch.OutOfMemoryError)
        or "can't allocate memory" in str(wrong)
        or "out of memory" in str(wrong)
    )
