"""One step: gradients in parts, memory that runs out, averages, losses that are not finite."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.errors import TrainingError
from tests.train import make
from train.loop import Trainer


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.tensors().items()}


def test_a_step_moves_everything_it_should() -> None:
    trainer = make.trainer()
    before = weights(trainer)
    trainer.step()
    after = trainer.tensors()
    still = {name for name, value in before.items() if torch.equal(value, after[name])}
    # Maps of noise never learn; the strength of noise starts at zero and has a gradient all the same.
    assert {name.split(".", 1)[1] for name in still if not name.startswith("g_ema")} <= {
        name for name, _ in trainer.networks.g.named_buffers()
    }
    assert trainer.images == 4 and set(trainer.figures()) >= {"loss_g", "loss_d", "r1", "path_length"}


def test_lazy_regularisers_come_when_they_are_due() -> None:
    trainer = make.trainer(r1_every=3, path_every=2)
    counts = {"r1": 0, "path_length": 0, "loss_g": 0}
    for _ in range(6):
        trainer.step()
        figures = trainer.figures()
        for name in counts:
            counts[name] += name in figures
    assert counts == {"r1": 2, "path_length": 3, "loss_g": 6}
    assert "path_length" not in stepped(make.trainer(path_weight=0.0)).figures()


def stepped(trainer: Trainer) -> Trainer:
    trainer.step()
    return trainer


def test_r1_is_weighted_by_half_gamma_and_its_interval() -> None:
    trainer = make.trainer(gamma=3.0, r1_every=5)
    loss, figures = trainer.r1_penalty(torch.rand(4, 1, 16, 16))
    assert loss.item() == pytest.approx(3.0 / 2 * 5 * figures["r1"].item())


def test_the_path_length_target_follows() -> None:
    trainer = make.trainer(path_decay=0.1, path_weight=2.0, path_every=4)
    torch.manual_seed(0)
    loss, figures = trainer.path_penalty(slice(0, 1))
    length = figures["path_length"].item()
    assert figures["mean_path"].item() == pytest.approx(0.1 * length)
    assert loss.item() == pytest.approx(2.0 * 4 * (length - 0.1 * length) ** 2, rel=1e-5)


def test_accumulated_gradients_are_those_of_the_batch() -> None:
    """The discriminator's loss on real pictures in parts of 4 equals that on all 8, group by group."""
    trainer = make.trainer(batch=8, micro_batch=4)
    d = trainer.networks.d
    real = torch.rand(8, 1, 16, 16) * 2 - 1

    def part(chosen: slice) -> tuple[Tensor, dict[str, Tensor]]:
        loss = torch.nn.functional.softplus(-d(real[chosen])).mean()
        return loss, {"loss": loss}

    figures = trainer._gradients(8, part)
    parts = [p.grad.clone() for p in d.parameters() if p.grad is not None]
    d.zero_grad()
    whole = torch.stack([part(slice(0, 4))[0], part(slice(4, 8))[0]]).mean()
    whole.backward()
    for ours, expected in zip(parts, (p.grad for p in d.parameters()), strict=True):
        assert expected is not None
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)
    assert figures["loss"].item() == pytest.approx(whole.item(), rel=1e-5)


def failing(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, *, above: int) -> None:
    """Memory runs out whenever the generator is asked for more than `above` pictures at once."""
    whole: Callable[[slice], tuple[Tensor, dict[str, Tensor]]] = trainer.generator_loss

    def short(part: slice) -> tuple[Tensor, dict[str, Tensor]]:
        if part.stop - part.start > above:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(part)

    monkeypatch.setattr(trainer, "generator_loss", short)


def test_out_of_memory_halves_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    trainer = make.trainer(batch=16)
    trainer.say = said.append
    failing(trainer, monkeypatch, above=4)
    trainer.step()
    assert trainer.micro == 4 and trainer.images == 16 and trainer.facts()["micro"] == 4
    assert [sentence.split(": ")[1].split(" from")[0] for sentence in said] == [
        "computing 8 images at once",
        "computing 4 images at once",
    ]


def test_out_of_memory_at_the_minibatch_group_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer(batch=8)
    failing(trainer, monkeypatch, above=1)
    with pytest.raises(TrainingError, match="memory ran out with 4 images at once.*group of 4.*--size"):
        trainer.step()


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer()

    def broken(part: slice) -> tuple[Tensor, dict[str, Tensor]]:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(trainer, "generator_loss", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        trainer.step()


def test_a_loss_that_is_not_finite_names_the_step() -> None:
    trainer = make.trainer()
    trainer.step()
    with torch.no_grad():
        trainer.networks.d.epilogue.out.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="generator loss was nan in or shortly before the step at 4 images"):
        trainer.step()


def test_the_average_follows_and_buffers_are_copied() -> None:
    trainer = make.trainer(ema_kimg=0.004, ema_ramp=0.0)
    before = weights(trainer)
    trainer.step()
    after = trainer.tensors()
    name = "synthesis.blocks.1.conv1.conv.weight"
    expected = before[f"g_ema.{name}"].lerp(after[f"g.{name}"], 1 - 0.5)
    torch.testing.assert_close(after[f"g_ema.{name}"], expected)
    assert torch.equal(trainer.networks.g.w_avg, trainer.networks.g_ema.w_avg)
    assert trainer.networks.g.w_avg.abs().sum() > 0


def test_the_same_seed_gives_the_same_steps_and_another_does_not() -> None:
    one, two, other = (stepped(make.trainer(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(value, two.tensors()[name]) for name, value in one.tensors().items())
    assert not torch.equal(one.tensors()["d.epilogue.out.weight"], other.tensors()["d.epilogue.out.weight"])


def test_mirroring_only_when_asked() -> None:
    plain, turned = make.trainer(batch=32), make.trainer(batch=32, mirror=True)
    a, b = plain._real(), turned._real()
    mirrored = [not torch.equal(x, y) for x, y in zip(a, b, strict=True)]
    assert 4 < sum(mirrored) < 28
    assert all(torch.equal(x.flip(2), y) for x, y, m in zip(a, b, mirrored, strict=True) if m)
    assert torch.equal(b, turned._real())


def test_bfloat16_learns_too() -> None:
    trainer = make.trainer(bfloat16=True)
    for _ in range(2):
        trainer.step()
    assert trainer.networks.g.synthesis.blocks[0].const.dtype == torch.float32
    assert abs(trainer.figures()["loss_d"]) < 10
