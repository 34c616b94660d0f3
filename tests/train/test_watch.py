"""What a run says it sees, and that looking changes nothing."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.train import make
from train import watch
from train.data import Data
from train.loop import Trainer
from train.watch import Watch, likeness, overfitting

CALM = {"loss_g": 1.0, "loss_d": 1.0, "logit_real": 0.5, "logit_fake": -0.5, "r1": 0.1, "path_length": 0.2}


def trained(*, held: bool = True, **changes: Any) -> tuple[Trainer, Data | None]:
    """A tiny training of three steps, and pictures kept from it."""
    trainer = make.trainer(**{"tick": 0.004, "seed": 3, **changes})
    kept = None
    if held:
        trainer.data, kept = trainer.data.split(0.25, seed=3)
    for _ in range(3):
        trainer.step()
    return trainer, kept


def samples(count: int, *, seed: int = 0) -> list[np.ndarray]:
    return [make.levels((16, 16), seed=seed + k) for k in range(count)]


class Bright:
    """Pictures that are all of one level."""

    labels = None

    def __init__(self, level: float) -> None:
        self.level = level

    def __len__(self) -> int:
        return 8

    def order(self, shown: np.ndarray, *, seed: int) -> np.ndarray:
        return shown % len(self)

    def batch(self, indices: np.ndarray, *, device: torch.device) -> torch.Tensor:
        return torch.full((len(indices), 1, 16, 16), self.level)


class Told:
    """A watch that is told what to see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, trainer: Trainer) -> None:
        self.trainer, self.watch = trainer, Watch(trainer.config)
        trainer.images = 2 * len(trainer.data)
        self.sees: dict[str, float | None] = {}
        monkeypatch.setattr(watch, "look", lambda *args, **rest: self.sees)

    def tick(self, *, like: float = 1.0, **figures: float | None) -> list[str]:
        """A tick whose samples are `like` as different as a set of blobs."""
        self.sees = {key: figures.pop(key) for key in ("overfit", "logit_held") if key in figures}
        mean = np.mean(samples(6), axis=0)
        shown = [(mean + like * (one - mean)).astype(np.uint8) for one in samples(6)]
        held: Any = object()
        return self.watch.tick(self.trainer, held=held, samples=shown, figures={**CALM, **figures}).warnings


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    trainer = make.trainer()
    monkeypatch.setattr(watch, "_shown", lambda data, index: make.levels((16, 16), seed=index % 100))
    return Told(monkeypatch, trainer)


def test_likeness_against_a_slow_restatement() -> None:
    random = np.random.default_rng(0)
    for shape in ((5, 12, 10), (4, 9, 7, 3)):
        shown = random.integers(0, 256, shape, dtype=np.uint8)
        levels = shown.reshape(len(shown), -1).astype(np.float64) / 255
        apart = np.array([[np.sqrt(((a - b) ** 2).mean()) for b in levels] for a in levels])
        pairs = apart[~np.eye(len(apart), dtype=bool)]
        nearest = np.where(np.eye(len(apart), dtype=bool), np.inf, apart).min(1).mean()
        assert likeness(shown) == pytest.approx((pairs.mean(), nearest), rel=1e-6)
    large = np.repeat(np.repeat(random.integers(0, 256, (3, 64, 32), dtype=np.uint8), 4, axis=1), 2, axis=2)
    assert likeness(large) == pytest.approx(likeness(large[:, ::4, ::2]), rel=1e-6)
    wide = random.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    assert likeness(wide.astype(np.uint16) * 257) == pytest.approx(likeness(wide), rel=1e-6)
    assert likeness(np.zeros((3, 8, 8), np.uint8)) == (0.0, 0.0)


def test_overfitting_is_0_and_1_where_the_paper_says() -> None:
    train, fake = torch.tensor([1.0, 2.0, 3.0, 2.0]), torch.tensor([-2.0, -1.0, -3.0, -2.0])
    assert overfitting(train=train, held=train, fake=fake) == pytest.approx(0)
    assert overfitting(train=train, held=fake, fake=fake) == pytest.approx(1)
    assert overfitting(train=train, held=torch.zeros(4), fake=fake) == pytest.approx(0.5)
    assert overfitting(train=train, held=train, fake=train - 0.1) is None
    assert overfitting(train=fake, held=train, fake=train) is None
    assert overfitting(train=torch.zeros(4), held=torch.zeros(4), fake=torch.zeros(4)) is None


@pytest.mark.parametrize("changes", [{}, {"augment": "fixed:0.5", "batch": 8, "micro_batch": 4}])
def test_looking_disturbs_nothing_and_sees_the_same_again(changes: dict[str, Any]) -> None:
    trainer, held = trained(**changes)
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    seen = Watch(trainer.config).tick(trainer, held=held, samples=samples(4), figures=CALM)
    assert torch.equal(torch.random.get_rng_state(), state)
    after = trainer.tensors()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in trainer.networks.d.parameters())
    torch.rand(3)
    assert Watch(trainer.config).tick(trainer, held=held, samples=samples(4), figures=CALM) == seen
    assert set(seen.figures) == {"logit_train", "logit_held", "overfit", "spread", "nearest"}
    assert all(isinstance(seen.figures[key], float) for key in ("logit_train", "logit_held", "spread", "nearest"))


def test_without_held_out_pictures_there_is_nothing_to_compare() -> None:
    trainer, _ = trained(held=False)
    seen = Watch(trainer.config).tick(trainer, held=None, samples=samples(4), figures=CALM)
    assert set(seen.figures) == {"spread", "nearest"} and seen.warnings == []
    alone = Watch(trainer.config).tick(trainer, held=None, samples=samples(1), figures={})
    assert alone.figures == {}


def test_fewer_pictures_than_a_group_are_not_compared() -> None:
    trainer, held = trained()
    assert held is not None
    nothing = dict.fromkeys(("logit_train", "logit_held", "overfit"))
    assert watch.look(trainer, held, count=3) == nothing
    trainer.images = 0
    assert watch.look(trainer, held, count=8) == nothing


@pytest.mark.parametrize(("level", "expected"), [(1.0, 0.0), (0.25, 0.75), (0.0, 1.0)])
def test_pictures_that_the_discriminator_never_saw_are_told_from_those_it_did(level: float, expected: float) -> None:
    trainer, _ = trained()
    size = (1, 16, 16)
    trainer.data = Bright(1.0)  # type: ignore[assignment]
    generator = SimpleNamespace(
        z_dim=8, num_ws=2, mapping=lambda z, label: z, synthesis=lambda ws, noise: torch.zeros(len(ws), *size)
    )
    trainer.networks.g = generator  # type: ignore[assignment]
    trainer.networks.d = lambda images, label: images.mean((1, 2, 3))  # type: ignore[assignment]
    assert watch.look(trainer, Bright(level), count=4)["overfit"] == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "says", "ticks"),
    [
        ({"overfit": 0.8}, "held-out ones lie 80% of the way.*--augment ada", 3),
        ({"ada_sign": 0.96}, "sure of 98% of the training pictures.*--holdout 0.1", 3),
        ({"like": 0.1}, "samples look alike.*--gamma", 3),
        ({"loss_d": 0.01}, "tells all pictures apart.*loss_d 0.01", 3),
        ({"logit_real": 0.001, "logit_fake": -0.002}, "tells nothing apart", 5),
        ({"logit_fake": -300.0}, "logit_fake has grown to -300.*half --g-lr", 2),
    ],
)
def test_a_warning_is_said_once_until_it_clears(told: Told, bad: dict[str, Any], says: str, ticks: int) -> None:
    for _ in range(4):
        assert told.tick() == []
    for _ in range(ticks - 1):
        assert told.tick(**bad) == []
    assert told.tick() == [], "it was not bad for long enough"
    for _ in range(ticks - 1):
        assert told.tick(**bad) == []
    (warning,) = told.tick(**bad)
    assert re.search(says, warning) and "\n" not in warning and ";" in warning
    for _ in range(4):
        assert told.tick(**bad) == []
    for _ in range(ticks):
        assert told.tick(overfit=0.1, ada_sign=0.3) == []
    assert sum(len(told.tick(**bad)) for _ in range(ticks)) == 1


def test_in_between_it_is_neither_said_again_nor_forgotten(told: Told) -> None:
    assert sum(len(told.tick(overfit=0.9)) for _ in range(9)) == 1
    assert sum(len(told.tick(overfit=value)) for value in (0.5, 0.9, 0.9, 0.9, 0.5, 0.3, 0.3, 0.9, 0.9, 0.9)) == 0


def test_nothing_is_known_by_heart_before_it_was_shown_twice(told: Told) -> None:
    told.trainer.images -= 1
    assert [told.tick(ada_sign=0.99) for _ in range(6)] == [[]] * 6
    assert [told.tick(overfit=0.9) for _ in range(6)] == [[]] * 6
    early = [line for _ in range(3) for line in told.tick(loss_d=0.01)]
    assert len(early) == 1 and "tells all pictures apart" in early[0] and "--augment" not in early[0]
    told.trainer.images += 1
    told.trainer.head_start.images = 1  # in which the discriminator was shown none
    assert [told.tick(ada_sign=0.99) for _ in range(6)] == [[]] * 6
    told.trainer.head_start.images = 0
    assert sum(len(told.tick(ada_sign=0.99)) for _ in range(3)) == 1


def test_advice_is_never_what_is_so_already(told: Told) -> None:
    told.watch.config = type(told.trainer.config).read({**told.trainer.config.values(), "gamma": 0})
    told.trainer.config = told.watch.config
    said = [line for _ in range(5) for line in told.tick(loss_d=0.01, logit_real=0.001, logit_fake=0.001)]
    assert len(said) == 2 and "--gamma 1 instead of 0" in said[0] and "new run with a larger --channel-base" in said[1]


@pytest.mark.parametrize(
    ("settings", "bad", "says", "never"),
    [
        ({}, {"loss_d": 0.01}, "--augment ada", "instead of 0,"),
        ({"loss": "wgan-gp"}, {"overfit": 0.9}, "--augment fixed:0.3", "--augment ada"),
        ({"loss": "wgan-gp", "gp_weight": 0.0}, {"like": 0.1}, "--gp-weight 10 instead of 0", "--gp-weight 0"),
        ({"init": "earlier"}, {"overfit": 0.9}, "--augment ada", "--init"),
        ({"augment": "fixed:0.2"}, {"overfit": 0.9}, "--mirror", "--augment"),
        ({"augment": "fixed:0.2", "mirror": True}, {"overfit": 0.9}, "more pictures would help", "--mirror"),
        ({"holdout": 0.1}, {"ada_sign": 0.99}, "--augment ada", "--holdout"),
    ],
)
def test_advice_fits_the_run(told: Told, settings: dict[str, Any], bad: dict[str, Any], says: str, never: str) -> None:
    told.trainer.config = type(told.trainer.config).read({**told.trainer.config.values(), **settings})
    told.watch.config = told.trainer.config
    (line,) = [line for _ in range(3) for line in told.tick(**bad)]
    assert says in line and never not in line


def test_adaptive_augmentation_answers_by_itself_first(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    told.watch.config = type(told.trainer.config).read({**told.trainer.config.values(), "augment": "ada"})
    assert [told.tick(overfit=0.9, ada_p=0.3) for _ in range(6)] == [[]] * 6
    assert sum(len(told.tick(overfit=0.9, ada_p=0.9)) for _ in range(3)) == 1


def test_growth_is_judged_by_the_ticks_before(told: Told) -> None:
    for k in range(12):
        assert told.tick(r1=2.0 + k) == []
    assert told.tick(r1=200.0) == []
    (warning,) = told.tick(r1=400.0)
    assert "r1 has grown to 400" in warning


def test_its_memory_travels_as_json(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    ticks = [{"overfit": 0.9}, {"overfit": 0.9, "r1": 3.3}, {"overfit": 0.9}, {"overfit": 0.9, "loss_d": 0.01}, {}]
    ticks += [{"loss_d": 0.01}] * 3
    alone = [told.tick(**tick) for tick in ticks]
    for cut in range(len(ticks)):
        first = Told(monkeypatch, told.trainer)
        said = [first.tick(**tick) for tick in ticks[:cut]]
        kept = json.loads(json.dumps(first.watch.facts()))
        second = Told(monkeypatch, told.trainer)
        second.watch.restore(kept)
        assert second.watch.facts() == kept
        assert said + [second.tick(**tick) for tick in ticks[cut:]] == alone
    fresh = Watch(told.trainer.config)
    fresh.restore({"streaks": {"gone": 3}, "said": ["gone"]})
    assert fresh.facts() == Watch(told.trainer.config).facts()
