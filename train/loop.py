"""One step of training, as Karras et al. 2020 tell it for StyleGAN2 and Karras et al. 2018 for what grows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.devices import out_of_memory, sent
from core.errors import TrainingError
from train import losses
from train import networks as nets
from train.accumulate import Figures, gradients, summed
from train.adaptive import Augmenting
from train.config import Config
from train.data import Data, Phantoms
from train.draws import Draws, length, together
from train.growth import Growth, Stage
from train.networks import Networks, Reached
from train.processes import ALONE, Processes
from train.pyramid import shown
from train.reconstruction import HeadStart
from train.schedule import ema_beta

__all__ = ["UNCOMPILED", "Made", "Reals", "Trainer", "brief"]

# What torch.compile raises where it fails: for want of a C compiler, say, or of an operation that it knows.
UNCOMPILED = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


@dataclass(frozen=True)
class Reals:
    """Real pictures [N, C, H, W] and their classes as rows [N, classes]; `first` is their place in the batch."""

    images: Tensor
    labels: Tensor | None = None
    first: int = 0

    def __getitem__(self, part: slice) -> tuple[Tensor, Tensor | None]:
        """Pictures and classes of a part of the batch."""
        ours = slice(part.start - self.first, part.stop - self.first)
        return self.images[ours], None if self.labels is None else self.labels[ours]


@dataclass(frozen=True)
class Made:
    """What the generator is asked for: styles, noise maps, classes; `w` is the first style, `y` for path lengths."""

    ws: Tensor
    w: Tensor
    noise: list[Tensor]
    labels: Tensor | None
    y: Tensor


class Trainer:
    """Networks in training. After any step, `images` and `tensors()` say everything the next step depends on.

    A `part` is a slice of the batch, which all processes and micro-batches share; every minibatch group of the
    discriminator is a contiguous block of it, and every draw belongs to a place in it. So however the batch is
    divided, the step is the same but for rounding.
    """

    def __init__(
        self,
        config: Config,
        networks: Networks,
        data: Data,
        *,
        device: torch.device,
        bfloat16: bool = False,
        growth: Growth | None = None,
        processes: Processes = ALONE,
        say: Callable[[str], None] = lambda sentence: None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """`growth` None is what the settings say of these pictures; `check` may raise to stop. Raises SettingError."""
        self.config = config
        self.networks = networks
        self.data = data
        self.device = device
        self.bfloat16 = bfloat16
        self.processes = processes
        pictures = None if isinstance(data, Phantoms) else len(data)
        self.growth = growth or Growth.of(config, networks.g.size, pictures=pictures)
        self._most = sys.maxsize if config.micro_batch == "auto" else int(config.micro_batch)
        self.mean_path = torch.zeros((), device=device)
        self.augmenting = Augmenting(config, size=networks.g.size, channels=networks.g.channels, device=device)
        self.head_start = HeadStart(config, width=networks.g.w_dim)
        self.images = 0
        self.say, self.check = say, check or (lambda: None)
        # First derivatives alone may go through compiled networks; R1 and path lengths take the plain ones.
        self.synthesis: Callable[..., Tensor]
        self.discriminator: Callable[..., Tensor]
        self.plain()
        self._classes = None if data.labels is None else torch.eye(len(data.classes), device=device)
        self._figures: dict[str, list[Tensor]] = {}
        self._unchecked: list[tuple[str, Tensor]] = []
        self._stage: tuple[int, Stage] | None = None
        self._reached: tuple[tuple[int, bool, bool], Reached] | None = None

    # --- where it stands -------------------------------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        """Size, alpha and batch of the next step."""
        if self._stage is None or self._stage[0] != self.images:
            self._stage = self.images, self.growth.at(self.images)
        return self._stage[1]

    @property
    def mine(self) -> slice:
        """This process's part of the batch."""
        return self.processes.share(self.stage.batch)

    @property
    def micro(self) -> int:
        """How many images are computed at once."""
        return min(self._most, length(self.mine))

    @micro.setter
    def micro(self, count: int) -> None:
        if count != self.micro:
            self._most = count

    @property
    def gamma(self) -> float:
        """The weight of R1 at this size."""
        return self.config.gamma_for(self.stage.size, self.stage.batch, full=self.networks.g.size)

    @property
    def reached(self) -> Reached:
        """The parameters that the next step's losses depend on."""
        key = self.stage.level, self.stage.fading, self.stage.ahead
        if self._reached is None or self._reached[0] != key:
            self._reached = key, nets.reached(self.networks, self.stage)
        return self._reached[1]

    # --- one step ------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Show one batch. Raises TrainingError where a loss is not finite."""
        if self.head_start.reconstructs(self.images):
            self._reconstruct()
        else:
            if self.head_start.finish(self.images):
                nets.set_adam(self.networks.g_adam, nets.g_adam(self.config), forget=True)
            self._compete()
        self._average()
        self.images += self.stage.batch

    def _reconstruct(self) -> None:
        """A step of the head start: the generator draws the batch from its codes."""
        n, start = self.networks, self.head_start
        if start.codes is None:
            self.say("the mapping learns how the principal components of the pictures are distributed")
            start.begin(n.g.mapping, self.data, device=self.device, processes=self.processes, check=self.check)
            n.g_ema.mapping.load_state_dict(n.g.mapping.state_dict())
        nets.set_adam(n.g_adam, start.adam(self.images))
        real = self.reals()
        self._phase(
            "reconstruction",
            n.g_adam,
            self.stage.batch,
            lambda part: self.reconstruction_loss(part, real),
            list(n.g.synthesis.parameters()),
        )

    def _compete(self) -> None:
        """A step of generator and discriminator; of the latter alone just after the head start."""
        config, n, batch = self.config, self.networks, self.stage.batch
        number, reached = self.growth.step(self.images), self.reached

        if not self.head_start.trains_discriminator_alone(self.images):
            with nets.frozen(n.d):
                self._phase("generator", n.g_adam, batch, self.generator_loss, reached.g)
                if config.path_weight and number % config.path_every == 0:
                    count = max(1, batch // config.path_shrink)
                    self._phase("path length", n.g_adam, count, self.path_penalty, reached.g)
        real = self.reals()
        self._phase("discriminator", n.d_adam, batch, lambda part: self.discriminator_loss(part, real), reached.d)
        if not config.wasserstein and number % config.r1_every == 0:
            self._phase("r1", n.d_adam, batch, lambda part: self.r1_penalty(part, real), reached.d)

    def reconstruction_loss(self, part: slice, reals: Reals) -> tuple[Tensor, Figures]:
        """Squared error of pictures drawn from the codes of real ones."""
        return self.head_start.loss(self.networks.g, reals[part][0], autocast=self._autocast)

    def generator_loss(self, part: slice) -> tuple[Tensor, Figures]:
        """Non-saturating loss, or the critic's verdict; the average w follows the batch."""
        with self._autocast():
            made = self._made("generator", part)
            drawn = self._pictures(made)
            logits = self._logits("generator", part, drawn, made.labels)
        loss = (-logits if self.config.wasserstein else losses.generator_loss(logits)).mean()
        figures = {"loss_g": loss, "w": made.w.detach().float().mean(0)}
        away = self.head_start.hold_loss(drawn, made.ws, made.w, full=self.networks.g.size)
        if away is None:
            return loss, figures
        return loss + self.config.hold * away, {**figures, "held": away}

    def path_penalty(self, part: slice) -> tuple[Tensor, Figures]:
        """(|J^T y| - a)^2, a the moving mean of the lengths before this step; times the interval, since it is lazy."""
        with self._autocast():
            made = self._made("path length", part)
            made.ws.requires_grad_()  # where the mapping has no layers w is z, which nothing leads to
            images = self.networks.g.synthesis(made.ws, noise=made.noise)
            lengths = losses.path_lengths(images, made.ws, made.y.view_as(images))
        loss = (lengths - self.mean_path).square().mean()
        return loss * (self.config.path_weight * self.config.path_every), {"path_length": lengths.mean()}

    def discriminator_loss(self, part: slice, reals: Reals) -> tuple[Tensor, Figures]:
        """Logistic loss, or WGAN-GP's, on generated and on real pictures, each with minibatch groups of its own."""
        real, labels = reals[part]
        config = self.config
        with self._autocast():
            with torch.no_grad():
                # Points between two pictures have one class, so WGAN-GP generates the classes of the real ones.
                made = self._made("discriminator", part, labels if config.wasserstein else None)
                fake = self._pictures(made)
            fake_logits = self._logits("fake", part, fake, made.labels)
            real_logits = self._logits("real", part, real, labels)
        figures = {"logit_real": real_logits.mean(), "logit_fake": fake_logits.mean()}
        figures["ada_sign"] = real_logits.detach().sign().mean()
        if not config.wasserstein:
            loss = losses.discriminator_loss(real=real_logits, fake=fake_logits).mean()
            return loss, {"loss_d": loss, **figures}
        loss = losses.critic_loss(real=real_logits, fake=fake_logits, drift=config.drift).mean()
        penalty = self._gradient_penalty(part, real, fake, labels)
        return loss + config.gp_weight * penalty, {"loss_d": loss, **figures, "gp": penalty}

    def _gradient_penalty(self, part: slice, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """WGAN-GP's penalty at random points between real and generated pictures, before their augmentation."""
        share = sent(self._draws("between").shares(part), self.device)
        between = losses.mixed(real, fake, share).requires_grad_(True)
        with self._autocast():
            logits = self._logits("between", part, between, labels, plain=True)
            return losses.gradient_penalty(logits, between).mean()

    def r1_penalty(self, part: slice, reals: Reals) -> tuple[Tensor, Figures]:
        """gamma / 2 |grad D|^2 on real pictures; times the interval, since it is lazy.

        The gradient is taken with respect to the pictures before their augmentation, as ADA's authors' program does.
        """
        real, labels = reals[part]
        images = real.detach().requires_grad_(True)
        with self._autocast():
            logits = self._logits("r1", part, images, labels, plain=True)
            penalty = losses.r1_penalty(logits, images).mean()
        return penalty * (self.gamma / 2 * self.config.r1_every), {"r1": penalty}

    def reals(self) -> Reals:
        """This process's pictures of the step."""
        first = self.images + self.mine.start
        indices = self.data.order(np.arange(first, first + length(self.mine)), seed=self.config.seed)
        real = shown(self.data, indices, self.stage, device=self.device)
        if self.config.mirror:
            turned = sent(self._draws("reals").turned(self.mine), self.device)
            real = torch.where(turned[:, None, None, None], real.flip(3), real)
        return Reals(real, self._rows(indices), self.mine.start)

    def _made(self, phase: str, part: slice, labels: Tensor | None = None) -> Made:
        """Styles with style mixing, noise, `labels` or else classes as often as the data have them."""
        g, draws, stage = self.networks.g, self._draws(phase), self.stage
        shapes = [shape for shape in g.noise_shapes if shape[0] <= stage.size[0]]
        maps = [height * width for height, width in shapes]
        last = g.channels * math.prod(g.size) if phase == "path length" else 0
        z, other, *noise, y = draws.normals(part, [g.z_dim, g.z_dim, *maps, last], device=self.device)
        if self.data.labels is not None and labels is None:
            labels = self._rows(draws.chosen(part, count=len(self.data)).numpy())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.head_start.is_holding):
            w, w_other = g.mapping(z, labels), g.mapping(other, labels)
        rows = 2 * (stage.level + 1)  # of ws that this size looks at
        layer = sent(draws.layers(part, num_ws=rows, share=self.config.style_mixing), self.device)
        ws = losses.style_mix(w, w_other, layer=layer, num_ws=g.num_ws)
        shaped = [one.unflatten(1, (1, *shape)) for one, shape in zip(noise, shapes, strict=True)]
        return Made(ws, w, shaped, labels, y)

    def _pictures(self, made: Made) -> Tensor:
        """Pictures at this size and alpha; compiled networks know whole alphas only, one program each."""
        stage, g = self.stage, self.networks.g
        if stage.fading:
            return g.synthesis(made.ws, noise=made.noise, size=stage.size, alpha=stage.alpha)
        if stage.size != g.size:
            return self.synthesis(made.ws, noise=made.noise, size=stage.size)
        return self.synthesis(made.ws, noise=made.noise)

    def _logits(self, view: str, part: slice, images: Tensor, labels: Tensor | None, *, plain: bool = False) -> Tensor:
        """What the discriminator says of pictures, float32 [N]: augmented, and with contiguous minibatch groups."""
        images = self.augmenting(images, part, self._draws(view))
        size = min(self.config.group, len(images))
        groups = len(images) // size
        images, labels = together(images, groups), None if labels is None else together(labels, groups)
        if self.stage.fading:
            logits = self.networks.d(images, labels, alpha=self.stage.alpha)
        else:
            logits = (self.networks.d if plain else self.discriminator)(images, labels)
        return together(logits, size if groups > 1 else 1).float()

    def _rows(self, indices: np.ndarray) -> Tensor | None:
        """Classes of pictures as rows of ones and zeros, which networks take without looking at them on the host."""
        if self._classes is None or self.data.labels is None:
            return None
        return self._classes[sent(torch.from_numpy(self.data.labels[indices]), self.device)]

    def _draws(self, phase: str) -> Draws:
        return Draws(self.config.seed, self.images, phase, self.stage.batch)

    @torch.no_grad()
    def _average(self) -> None:
        """g_ema <- beta g_ema + (1 - beta) g; buffers are copied."""
        config, n, batch = self.config, self.networks, self.stage.batch
        beta = ema_beta(self.images + batch, batch=batch, half_life_kimg=config.ema_kimg, ramp=config.ema_ramp)
        torch._foreach_lerp_(list[Tensor](self.reached.g_ema), list[Tensor](self.reached.g), 1 - beta)
        torch._foreach_copy_(list(n.g_ema.buffers()), list(n.g.buffers()))

    # --- phases: gradients of a batch, in parts where memory is short ---------------------------------------------

    def _phase(
        self,
        name: str,
        adam: torch.optim.Adam,
        count: int,
        part: Callable[[slice], tuple[Tensor, Figures]],
        reached: list[nn.Parameter],
    ) -> None:
        """Draw, differentiate and step once on `count` pictures; where memory runs out, halve and begin again."""
        while True:
            adam.zero_grad(set_to_none=True)
            try:
                figures = gradients(part, count=count, micro=self.micro, processes=self.processes)
                break
            except (MemoryError, *UNCOMPILED) as wrong:
                full, why = isinstance(wrong, RuntimeError | MemoryError) and out_of_memory(wrong), brief(wrong)
                if not full and not self.compiled:
                    raise
            # Outside the handler: until it is left, its traceback holds on to everything that was computed.
            adam.zero_grad(set_to_none=True)
            if full:
                self.halve()
            else:
                self.plain()
                self.say(f"not compiled any more, which only makes it slower ({why})")
        figures = summed(reached, figures, processes=self.processes)
        adam.step()
        adam.zero_grad(set_to_none=True)
        self._note(name, figures)

    @property
    def compiled(self) -> bool:
        """Whether some passes go through compiled networks."""
        return self.discriminator is not self.networks.d

    def plain(self) -> None:
        """Pass through the networks as they are."""
        self.synthesis, self.discriminator = self.networks.g.synthesis, self.networks.d

    def halve(self) -> None:
        """Compute half as many images at once, or fewer, in whole groups. Raises TrainingError."""
        smaller = self.micro // 2 - self.micro // 2 % self.config.group
        if not smaller:
            fewest = f"and the minibatch group of {self.config.group} allows no fewer"
            raise TrainingError(
                f"memory ran out with {self.micro} images at once, {fewest}; take a smaller --size or --channel-base"
            )
        self.micro = smaller
        self.say(
            f"memory ran out: computing {smaller} images at once from now on, gradients accumulated over the batch"
        )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.no_grad()
    def _note(self, name: str, figures: Figures) -> None:
        w = figures.pop("w", None)
        if w is not None:
            average = self.networks.g.w_avg
            average.copy_(w.lerp(average, self.config.w_avg_beta))
        if "path_length" in figures:
            self.mean_path = self.mean_path.lerp(figures["path_length"], self.config.path_decay)
        if "ada_sign" in figures:
            self.augmenting.follow(figures["ada_sign"], step=self.growth.step(self.images), batch=self.stage.batch)
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

    def verify_state(self) -> None:
        """Raise TrainingError where a figure, a weight or a moment of an optimizer is not finite."""
        self.verify()
        named = self.tensors()
        finite = torch.stack([value.isfinite().all().to(self.device) for value in named.values()]).tolist()
        for name, is_finite in zip(named, finite, strict=True):
            if not is_finite:
                raise TrainingError(f"the tensor {name} is not finite after the step at {self.images} images")

    def figures(self) -> dict[str, float]:
        """Means of the losses since the last call, and the p of augmentation where there is one."""
        self.verify()
        found, self._figures = {key: torch.stack(values).cpu() for key, values in self._figures.items()}, {}
        means = {key: values.double().mean().item() for key, values in found.items()}  # MPS has no float64
        return means | ({"ada_p": self.augmenting.p} if self.augmenting.on else {})

    @contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            yield

    # --- everything the next step depends on ---------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """All state that is numbers."""
        n = self.networks
        found = {"mean_path": self.mean_path, **self.augmenting.tensors()}
        found |= self.head_start.tensors()
        for prefix, network in (("g", n.g), ("g_ema", n.g_ema), ("d", n.d)):
            found |= {f"{prefix}.{name}": value for name, value in network.state_dict().items()}
        for prefix, adam, network in (("g_adam", n.g_adam, n.g), ("d_adam", n.d_adam, n.d)):
            found |= {f"{prefix}.{name}": value for name, value in nets.adam_tensors(adam, network).items()}
        for key, values in self._figures.items():
            found[f"figures.{key}"] = torch.stack(values).float()
        return found

    def facts(self) -> dict[str, Any]:
        """All state that is words and whole numbers."""
        largest = max(length(self.processes.share(stage.batch)) for stage in self.growth.stages())
        return {"images": self.images, "micro": min(self._most, largest), "bfloat16": self.bfloat16}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any], *, micro: bool = True) -> None:
        """Put back what `tensors` and `facts` gave; how many images are computed at once only where `micro`.

        Raises TrainingError where they are of networks of another shape: other pictures may have made it another one.
        """
        n = self.networks
        fresh = self.tensors()
        for name, tensor in nets.under(tensors, "g").items():
            ours = fresh.get(f"g.{name}")
            if ours is None or ours.shape != tensor.shape:
                raise TrainingError(
                    "these pictures need other networks than those of the run, whose size, channels and classes they "
                    "do not have; go on with pictures like those, or begin a new run, perhaps with --init"
                )
        for prefix, network in (("g", n.g), ("g_ema", n.g_ema), ("d", n.d)):
            network.load_state_dict(nets.under(tensors, prefix))
        nets.restore_adam(n.g_adam, n.g, nets.under(tensors, "g_adam"))
        nets.restore_adam(n.d_adam, n.d, nets.under(tensors, "d_adam"))
        self.mean_path = tensors["mean_path"].to(self.device)
        self.augmenting.restore(tensors)
        self.head_start.restore(tensors, images=facts["images"], device=self.device)
        self._figures = {key: list(values.to(self.device)) for key, values in nets.under(tensors, "figures").items()}
        self.images, self.bfloat16 = facts["images"], facts["bfloat16"]
        if micro:
            self._most = min(self._most, facts["micro"])


def brief(wrong: BaseException) -> str:
    """The first line of what was raised, to be told in a sentence."""
    return (str(wrong).strip().splitlines() or [type(wrong).__name__])[0][:120]
