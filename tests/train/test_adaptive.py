"""Augmentation in the loop: which pictures it touches, how p moves, that it is resumed to the bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.train import make
from train import losses
from train.loop import Reals, Trainer


def stepped(trainer: Trainer, *, steps: int) -> Trainer:
    for _ in range(steps):
        trainer.step()
    return trainer


def test_p_of_nothing_is_the_training_without() -> None:
    """To the bit, as far as the networks go."""
    plain, fixed = (stepped(make.trainer(augment=word), steps=2) for word in ("none", "fixed:0"))
    assert all(torch.equal(value, fixed.tensors()[name]) for name, value in plain.tensors().items())
    assert "ada_p" not in plain.figures() and fixed.figures()["ada_p"] == 0


def test_reals_and_fakes_are_augmented_wherever_the_discriminator_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer(batch=8, micro_batch=4, augment="fixed:1")
    seen: list[tuple[int, float]] = []
    whole = trainer.augmenting.__class__.__call__

    def looked(self: object, images: Tensor, part: slice, draws: object) -> Tensor:
        after = whole(self, images, part, draws)  # type: ignore[arg-type]
        seen.append((part.start, (after - images).abs().mean().item()))
        return after

    monkeypatch.setattr(trainer.augmenting.__class__, "__call__", looked)
    trainer.step()
    assert [start for start, _ in seen] == [0, 4, 0, 0, 4, 4, 0, 4]  # generator; fake and real; r1
    assert all(moved > 0 for _, moved in seen)


def test_r1_takes_the_gradient_before_the_augmentation() -> None:
    trainer = make.trainer(augment="fixed:1", gamma=2.0, r1_every=1)
    real = torch.rand(4, 1, 16, 16) * 2 - 1
    loss, _ = trainer.r1_penalty(slice(0, 4), Reals(real))
    images = real.clone().requires_grad_(True)
    augmented = trainer.augmenting(images, slice(0, 4), trainer._draws("r1"))
    expected = losses.r1_penalty(trainer.networks.d(augmented), images).mean()
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()  # the second derivative goes through the augmentation


def test_p_follows_the_sign_of_the_discriminator() -> None:
    """Every `ada_every` steps by batch x steps / ada_kimg, up where the sign is above the target."""
    trainer = make.trainer(augment="ada", ada_kimg=0.128, ada_every=2)
    found = []
    for sign in (1.0, 1.0, 1.0, 0.5, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0):
        trainer.augmenting.follow(torch.tensor(sign), step=trainer.images // 4, batch=4)
        trainer.images += 4
        found.append(trainer.augmenting.p)
    assert found == [0, 0.0625, 0.0625, 0.125, 0.125, 0.0625, 0.0625, 0, 0, 0]


def test_p_and_its_sums_are_resumed_to_the_bit() -> None:
    settings = {"augment": "ada", "ada_kimg": 0.05, "ada_every": 2, "ada_target": 0.0, "d_lr": 0.02}
    straight = stepped(make.trainer(**settings), steps=5)
    first = stepped(make.trainer(**settings), steps=3)
    second = make.trainer(**settings)
    second.restore({name: value.contiguous().clone() for name, value in first.tensors().items()}, first.facts())
    stepped(second, steps=2)
    assert straight.augmenting.p > 0 and second.augmenting.p == straight.augmenting.p
    expected = straight.tensors()
    assert all(torch.equal(value, expected[name]) for name, value in second.tensors().items())
    assert second.figures() == straight.figures()


def test_augmented_in_parts_is_augmented_as_a_whole() -> None:
    trainer = make.trainer(batch=16, augment="fixed:0.7")
    images, draws = torch.rand(16, 1, 16, 16), trainer._draws("real")
    whole = trainer.augmenting(images, slice(0, 16), draws)
    parts = [trainer.augmenting(images[k : k + 4], slice(k, k + 4), draws) for k in range(0, 16, 4)]
    torch.testing.assert_close(torch.cat(parts), whole)
