"""What a run says it sees: overfitting, collapse, a stall, numbers that run away; one sentence with advice each.

r_v and r_t are those of Karras et al. 2020a (Training Generative Adversarial Networks with Limited Data), section 2.2:

    r_v = (E[D_train] - E[D_validation]) / (E[D_train] - E[D_generated])        r_t = E[sign(D_train)]

both 0 without overfitting and 1 where it is complete. r_v stands in the log as `overfit`, r_t as `ada_sign`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core import pictures
from train import augment
from train.config import Config
from train.data import Data
from train.growth import Stage
from train.loop import Trainer
from train.pyramid import shown
from train.schedule import stream

__all__ = ["Seen", "Watch", "likeness", "overfitting"]

MOST = 64  # pictures of a set
SHARE = 16  # of a tick's images one is looked at, so that watching stays a small part of the time
SIDE = 64  # pictures are compared no larger than this
BEFORE = 8  # ticks that growth is judged by

Figures = Mapping[str, float | None]


@dataclass(frozen=True)
class Seen:
    """Keys of the log, None where they do not apply, and what is to be said now."""

    figures: dict[str, float | None]
    warnings: list[str]


class Watch:
    """Looks on at each tick. After any tick, `facts()` says everything that the next one depends on."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._streaks = {sign.name: 0 for sign in SIGNS}
        self._said: set[str] = set()
        self._before: dict[str, list[float]] = {}
        self._size: list[int] | None = None  # that `_before` is of, where a network grows
        self._reference: tuple[tuple[int, Stage], tuple[float, float] | None] | None = None

    def tick(
        self, trainer: Trainer, *, held: Data | None, samples: Sequence[np.ndarray], figures: Mapping[str, float]
    ) -> Seen:
        """Look at the networks, at the fixed `samples` (uint8, as people see them) and at the tick's mean `figures`.

        Draws come from (seed, images seen, "watch") and the global random streams are left as they were.
        """
        found: dict[str, float | None] = {}
        if held is not None:
            found |= look(trainer, held, count=int(np.clip(self.config.tick * 1000 // SHARE, self.config.group, MOST)))
        count = min(len(samples), len(trainer.data), MOST)
        stage = trainer.growth.reached(trainer.images)
        if trainer.growth.grows and self._size != list(stage.size):
            self._before, self._size = {}, list(stage.size)
        reference = self._training(trainer, count, stage)
        if reference is not None:
            seen = likeness(np.stack(samples[:count]))
            found |= {"spread": seen[0] / reference[0], "nearest": seen[1] / reference[1]}
        return Seen(found, self._judge({**figures, **found}, trainer))

    def facts(self) -> dict[str, Any]:
        """Everything the next tick depends on, as JSON."""
        return {"streaks": self._streaks, "said": sorted(self._said), "before": self._before, "size": self._size}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Put back what `facts` gave; what an earlier version did not know begins anew."""
        known = facts.get("streaks", {})
        self._streaks = {name: int(known.get(name, 0)) for name in self._streaks}
        self._said = set(facts.get("said", ())) & self._streaks.keys()
        self._before = {key: list(values) for key, values in facts.get("before", {}).items()}
        self._size = facts.get("size")

    def _judge(self, figures: Figures, trainer: Trainer) -> list[str]:
        known = Known(
            figures,
            self._before,
            self.config,
            gamma=_full_gamma(trainer),
            bfloat16=trainer.bfloat16,
            # In a head start the discriminator is shown nothing.
            repeated=trainer.images - trainer.head_start.images >= 2 * len(trainer.data),
        )
        warnings = []
        for sign in SIGNS:
            streak = self._streaks[sign.name]
            streak = max(streak, 0) + 1 if sign.bad(known) else min(streak, 0) - 1 if sign.good(known) else 0
            self._streaks[sign.name] = streak
            if streak >= sign.ticks and sign.name not in self._said:
                self._said.add(sign.name)
                warnings.append(sign.says(known))
            elif streak <= -sign.ticks:
                self._said.discard(sign.name)
        if not _grown(known):
            for key in GROWING:
                value = figures.get(key)
                if value is not None:
                    self._before[key] = [*self._before.get(key, []), value][-BEFORE:]
        return warnings

    def _training(self, trainer: Trainer, count: int, stage: Stage) -> tuple[float, float] | None:
        """`likeness` of as many training pictures, the same ones at each tick, at the size and alpha of the samples.

        None where they are all alike, so that nothing can be divided by their distance.
        """
        key = count, replace(stage, batch=0, begin=0, end=0)
        if self._reference is None or self._reference[0] != key:
            self._reference = key, None
            if count > 1:
                random = np.random.Generator(np.random.PCG64(stream(trainer.config.seed, 0, "watch")))
                chosen = random.choice(len(trainer.data), count, replace=False, shuffle=False)
                seen = likeness(_pictures(trainer, chosen, stage))
                self._reference = key, seen if min(seen) > 0 else None
        return self._reference[1]


# --- figures -----------------------------------------------------------------------------------------------------


def likeness(shown: np.ndarray) -> tuple[float, float]:
    """(mean distance of two pictures, mean distance to the nearest other one) of [N, H, W] or [N, H, W, 3], N > 1.

    Root mean square differences of levels 0 to 1, of pictures averaged down to 64 pixels a side where they are larger.
    """
    levels = torch.from_numpy(shown.astype(np.float32) / np.iinfo(shown.dtype).max)
    levels = levels[:, None] if levels.ndim == 3 else levels.permute(0, 3, 1, 2)
    side = min(SIDE, levels.shape[2]), min(SIDE, levels.shape[3])
    flat = functional.adaptive_avg_pool2d(levels, side).flatten(1).double()
    apart = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") / math.sqrt(flat.shape[1])
    count = len(flat)
    mean = apart.sum().item() / (count * (count - 1))
    return mean, apart.fill_diagonal_(math.inf).min(dim=1).values.mean().item()


def overfitting(*, train: Tensor, held: Tensor, fake: Tensor) -> float | None:
    """r_v of logits [N] each; None while the discriminator tells training pictures from generated ones by chance only.

    Chance: the means differ by less than twice the standard error of their difference.
    """
    apart = (train.mean() - fake.mean()).item()
    error = (train.var() / len(train) + fake.var() / len(fake)).sqrt().item()
    return (train.mean() - held.mean()).item() / apart if apart > max(2 * error, 1e-6) else None


def look(trainer: Trainer, held: Data, *, count: int) -> dict[str, float | None]:
    """Mean logits of at most `count` training pictures and as many held-out ones, and r_v with as many generated ones.

    All three are augmented alike, at the size and alpha that a growing network has reached, and fill the
    discriminator's minibatch groups.
    """
    config, data, group = trainer.config, trainer.data, trainer.config.group
    count = min(count, trainer.images, len(data), len(held)) // group * group
    if not count:
        return dict.fromkeys(("logit_train", "logit_held", "overfit"))
    seed = stream(config.seed, trainer.images, "watch")
    random = np.random.Generator(np.random.PCG64(seed))
    # The latest epoch: what the discriminator has seen, no picture twice but where two epochs meet.
    recent = min(trainer.images, len(data))
    places = trainer.images - 1 - random.choice(recent, count, replace=False, shuffle=False)
    shown = data.order(places, seed=config.seed)
    with _aside(trainer, seed):
        draws = augment.draw(count, trainer.augmenting.kinds) if trainer.augmenting.on else {}
        train = _logits(trainer, data, shown, draws)
        kept = _logits(trainer, held, random.choice(len(held), count, replace=False, shuffle=False), draws)
        fake = _generated(trainer, _classes(data, shown, trainer.device), draws, count=count)
    return {
        "logit_train": train.mean().item(),
        "logit_held": kept.mean().item(),
        "overfit": overfitting(train=train, held=kept, fake=fake),
    }


@contextmanager
def _aside(trainer: Trainer, seed: int) -> Iterator[None]:
    """Without gradients, in the training's precision, with random draws that nobody else notices."""
    device = trainer.device
    with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        with torch.autocast(device.type, torch.bfloat16, enabled=trainer.bfloat16):
            yield


def _parts(trainer: Trainer, count: int) -> Iterator[slice]:
    """Slices of whole groups, no longer than what memory holds."""
    step = max(1, trainer.micro // trainer.config.group) * trainer.config.group
    return (slice(first, min(first + step, count)) for first in range(0, count, step))


def _logits(trainer: Trainer, data: Data, indices: np.ndarray, draws: Mapping[str, Tensor]) -> Tensor:
    labels, found = _classes(data, indices, trainer.device), []
    stage = trainer.growth.reached(trainer.images)
    for part in _parts(trainer, len(indices)):
        images = _reals(trainer, data, indices[part], stage, device=trainer.device)
        found.append(_judged(trainer, images, labels, draws, part))
    return torch.cat(found)


def _generated(trainer: Trainer, labels: Tensor | None, draws: Mapping[str, Tensor], *, count: int) -> Tensor:
    g, found = trainer.networks.g, []
    stage = trainer.growth.reached(trainer.images)
    how: dict[str, Any] = {"size": stage.size, "alpha": stage.alpha} if trainer.growth.grows else {}
    for part in _parts(trainer, count):
        z = torch.randn(part.stop - part.start, g.z_dim, device=trainer.device)
        w = g.mapping(z, None if labels is None else labels[part])
        images = g.synthesis(w[:, None].expand(-1, g.num_ws, -1), noise="random", **how)
        found.append(_judged(trainer, images, labels, draws, part))
    return torch.cat(found)


def _judged(
    trainer: Trainer, images: Tensor, labels: Tensor | None, draws: Mapping[str, Tensor], part: slice
) -> Tensor:
    drawn = {name: values[part] for name, values in draws.items()}
    seen = augment.apply(images, drawn, trainer.augmenting.p, trainer.augmenting.kinds) if drawn else images
    stage = trainer.growth.reached(trainer.images)
    fade = {"alpha": stage.alpha} if stage.alpha < 1 else {}
    return trainer.networks.d(seen, None if labels is None else labels[part], **fade).float()


def _classes(data: Data, indices: np.ndarray, device: torch.device) -> Tensor | None:
    return None if data.labels is None else torch.from_numpy(data.labels[indices]).to(device)


def _reals(trainer: Trainer, data: Data, indices: np.ndarray, stage: Stage, *, device: torch.device) -> Tensor:
    """Pictures as the discriminator is shown them at `stage`, float32 [N, C, h, w]."""
    if stage == trainer.growth.final:
        return data.batch(indices, device=device)
    return shown(data, indices, stage, device=device)


def _pictures(trainer: Trainer, indices: np.ndarray, stage: Stage) -> np.ndarray:
    """Training pictures in the shape of the samples: [N, H, W] or [N, H, W, 3]."""
    data, g = trainer.data, trainer.networks.g
    if stage == trainer.growth.final:
        return np.stack([_shown(data, int(index)) for index in indices])
    small = pictures.to_8bit(_reals(trainer, data, indices, stage, device=torch.device("cpu")))
    factor = g.size[0] // stage.size[0]
    large = small.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.stack([pictures.crop(one, data.frame.crop) for one in large])


def _shown(data: Data, index: int) -> np.ndarray:
    """A training picture as people see it, [H, W] or [H, W, 3]."""
    picture = data.picture(index)
    return pictures.crop(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0), data.frame.crop)


# --- signs -------------------------------------------------------------------------------------------------------

GROWING = ("loss_g", "loss_d", "logit_real", "logit_fake", "r1", "gp", "path_length")
PENALTIES = ("r1", "gp", "path_length")
FREE = 1000  # a critic's logits have no scale of their own, so that only this much is too much


@dataclass(frozen=True)
class Known:
    """What a sign is judged by: this tick's figures, those of sound ticks before, settings that advice names."""

    figures: Figures
    before: Mapping[str, Sequence[float]]
    config: Config
    gamma: float
    bfloat16: bool
    repeated: bool  # each picture has been shown about twice: none is known by heart before

    def get(self, key: str, otherwise: float) -> float:
        """A figure; `otherwise` where it was not measured, so that it counts neither for nor against."""
        found = self.figures.get(key)
        return otherwise if found is None else found


@dataclass(frozen=True)
class Sign:
    """Something that is bad or good or neither; said when bad for `ticks` in a row, forgotten when good for as many."""

    name: str
    bad: Callable[[Known], bool]
    good: Callable[[Known], bool]
    says: Callable[[Known], str]
    ticks: int = 3


def _helped(known: Known) -> bool:
    """Whether adaptive augmentation still has room to answer by itself."""
    return known.config.augment == "ada" and known.get("ada_p", 0.0) < 0.8


def _remedy(known: Known) -> str:
    config = known.config
    if config.augment == "none":
        earlier = "" if config.init else ", and --init from an earlier network"
        return f"begin a new run with {_augmented(known)}{earlier}"
    mirror = "" if config.mirror else ", or --mirror where left and right may change places,"
    return f"more pictures{mirror} would help; else stop at the best network"


def _augmented(known: Known) -> str:
    """The flag that augments; ada has nothing to steer by where logits have no zero."""
    return "--augment fixed:0.3" if known.config.wasserstein else "--augment ada"


def _overfits(known: Known) -> str:
    return (
        f"the discriminator learns the training pictures by heart: held-out ones lie {known.get('overfit', 0):.0%} of "
        f"the way from them to generated ones; {_remedy(known)}"
    )


def _too_sure(known: Known) -> str:
    share = (1 + known.get("ada_sign", 1)) / 2
    tell = "" if known.config.holdout else "--holdout 0.1 would tell; "
    return (
        f"the discriminator is sure of {share:.0%} of the training pictures, as when it knows them by heart; "
        f"{tell}{_remedy(known)}"
    )


def _collapsed(known: Known) -> str:
    return (
        f"the samples look alike: two of them differ {known.get('spread', 0):.0%} as much as two training pictures, "
        f"the nearest two {known.get('nearest', 0):.0%}; begin a new run from an earlier network by --init, with "
        f"{_stronger(known)}{_or_augment(known)}"
    )


def _outdone(known: Known) -> str:
    return (
        f"the discriminator tells all pictures apart (loss_d {known.get('loss_d', 0):.2g}), so the generator learns "
        f"little; look at data.png, then begin a new run with {_stronger(known)}{_or_augment(known)}"
    )


def _dull(known: Known) -> str:
    weaker = f"--gamma {known.gamma / 4:g} instead of {known.gamma:g}, or " if known.gamma else ""
    return (
        f"the discriminator tells nothing apart (logits near 0), so the generator learns nothing; begin a new run with "
        f"{weaker}a larger --channel-base"
    )


def _runs_away(known: Known) -> str:
    worst = max(_grown(known), key=lambda key: abs(known.get(key, 0)))
    advice = (
        "stop and --resume with --precision float32" if known.bfloat16 else "begin anew with half --g-lr and --d-lr"
    )
    return f"{worst} has grown to {known.get(worst, 0):.3g}, and a loss that is not finite may follow; {advice}"


def _full_gamma(trainer: Trainer) -> float:
    """The weight of R1 as --gamma takes it: at full size."""
    return trainer.config.gamma_for(trainer.networks.g.size, trainer.growth.final.batch)


def _stronger(known: Known) -> str:
    """Twice the penalty that holds the discriminator back."""
    if known.config.wasserstein:
        return f"--gp-weight {2 * known.config.gp_weight or 10:g} instead of {known.config.gp_weight:g}"
    return f"--gamma {2 * known.gamma or 1:g} instead of {known.gamma:g}"


def _or_augment(known: Known) -> str:
    # Against pictures known by heart: before any was shown twice it would answer nothing.
    return f", or with {_augmented(known)}" if known.config.augment == "none" and known.repeated else ""


def _grown(known: Known) -> list[str]:
    """Losses and logits above 100, and whatever is above 10 and ten times its median of the last sound ticks.

    Of WGAN-GP, whose losses and logits may have any sign and size, above 1000, and the penalty as above.
    """
    most = FREE if known.config.wasserstein else 100
    found = []
    for key in GROWING:
        value = abs(known.get(key, 0.0))
        sound = known.before.get(key, ()) if key in PENALTIES or not known.config.wasserstein else ()
        usual = abs(median(sound)) if len(sound) > 2 else math.inf
        if (value > most and key not in PENALTIES) or value > max(10.0, 10 * usual):
            found.append(key)
    return found


SIGNS = (
    Sign(
        "overfit",
        bad=lambda known: known.get("overfit", 0.5) >= 0.6 and known.repeated and not _helped(known),
        good=lambda known: known.get("overfit", 0.5) < 0.4,
        says=_overfits,
    ),
    Sign(
        "sure",
        bad=lambda known: (
            known.get("ada_sign", 0.8) >= 0.9
            and known.repeated
            and known.figures.get("logit_held") is None
            and not _helped(known)
            and not known.config.wasserstein
        ),
        good=lambda known: known.get("ada_sign", 0.8) < 0.75,
        says=_too_sure,
    ),
    Sign(
        "collapse",
        bad=lambda known: known.get("spread", 0.45) < 0.4 or known.get("nearest", 0.22) < 0.2,
        good=lambda known: known.get("spread", 0.45) >= 0.5 and known.get("nearest", 0.22) >= 0.25,
        says=_collapsed,
    ),
    Sign(
        "outdone",
        bad=lambda known: known.get("loss_d", 0.1) < 0.05 and not known.config.wasserstein,
        good=lambda known: known.get("loss_d", 0.1) >= 0.15,
        says=_outdone,
    ),
    Sign(
        "dull",
        bad=lambda known: (
            max(abs(known.get("logit_real", 0.1)), abs(known.get("logit_fake", 0.1))) < 0.02
            and not known.config.wasserstein
        ),
        good=lambda known: max(abs(known.get("logit_real", 0.1)), abs(known.get("logit_fake", 0.1))) >= 0.2,
        says=_dull,
        ticks=5,
    ),
    Sign(
        "growth", bad=lambda known: bool(_grown(known)), good=lambda known: not _grown(known), says=_runs_away, ticks=2
    ),
)
