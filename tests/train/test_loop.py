"""One step: gradients in parts, memory that runs out, averages, losses that are not finite."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from core.errors import TrainingError
from tests.train import make
from train.loop import Reals, Trainer


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
    loss, figures = trainer.r1_penalty(slice(0, 4), Reals(torch.rand(4, 1, 16, 16)))
    assert loss.item() == pytest.approx(3.0 / 2 * 5 * figures["r1"].item())


def test_the_path_length_target_follows() -> None:
    trainer = make.trainer(path_decay=0.1, path_weight=2.0, path_every=4)
    trainer.mean_path = torch.tensor(0.05)
    loss, figures = trainer.path_penalty(slice(0, 1))
    length = figures["path_length"].item()
    assert loss.item() == pytest.approx(2.0 * 4 * (length - 0.05) ** 2, rel=1e-4), "the mean before the step"
    trainer._note("path length", figures)
    assert trainer.mean_path.item() == pytest.approx(0.05 + 0.1 * (length - 0.05)), "which then follows"


def curves(trainer: Trainer, *, steps: int = 3) -> tuple[dict[str, float], dict[str, Tensor]]:
    for _ in range(steps):
        trainer.step()
    return trainer.figures(), trainer.tensors()


@pytest.mark.parametrize("more", [{}, {"augment": "fixed:0.5", "d_architecture": "skip", "channel_max": 4}])
def test_a_batch_in_parts_is_the_same_training_but_for_rounding(more: dict[str, object]) -> None:
    """Groups of the minibatch deviation, every draw, the mean path length and the average w belong to the batch."""
    settings = {"batch": 16, "path_every": 2, "r1_every": 2, "mirror": True, **more}
    figures, tensors = curves(make.trainer(**settings))
    for micro in (4, 8):
        theirs, parts = curves(make.trainer(**settings, micro_batch=micro))
        assert theirs == pytest.approx(figures, rel=1e-4, abs=1e-6)
        far = {k: (v - parts[k]).abs().max().item() for k, v in tensors.items() if not k.endswith(":step")}
        assert max(far.values()) < 1e-4, max(far, key=lambda name: far[name])


def test_minibatch_groups_are_contiguous_blocks_of_the_batch() -> None:
    trainer = make.trainer(batch=16)
    images = torch.randn(16, 1, 16, 16)
    whole = trainer._logits("real", slice(0, 16), images, None)
    blocks = [trainer._logits("real", slice(k, k + 4), images[k : k + 4], None) for k in range(0, 16, 4)]
    torch.testing.assert_close(whole, torch.cat(blocks))
    with torch.no_grad():
        torch.testing.assert_close(blocks[1], trainer.networks.d(images[4:8]))


def test_what_a_loss_does_not_reach_has_a_gradient_of_zero() -> None:
    """Else Adam's moments would follow other steps where another process has a gradient."""
    trainer = make.trainer(path_every=1)
    trainer.step()
    steps = {name: value.item() for name, value in trainer.tensors().items() if name.endswith(":step")}
    assert {value for name, value in steps.items() if name.startswith("g_adam")} == {2.0}
    assert {value for name, value in steps.items() if name.startswith("d_adam")} == {2.0}


FULL = torch.OutOfMemoryError("CUDA out of memory")


def failing(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, *, above: int, wrong: Exception = FULL) -> None:
    """Memory runs out whenever the generator is asked for more than `above` pictures at once."""
    whole: Callable[[slice], tuple[Tensor, dict[str, Tensor]]] = trainer.generator_loss

    def short(part: slice) -> tuple[Tensor, dict[str, Tensor]]:
        if part.stop - part.start > above:
            raise wrong
        return whole(part)

    monkeypatch.setattr(trainer, "generator_loss", short)


@pytest.mark.parametrize(
    "wrong",
    [FULL, RuntimeError("could not create a primitive"), RuntimeError("std::bad_alloc"), MemoryError()],
    ids=repr,
)
def test_out_of_memory_halves_and_goes_on(monkeypatch: pytest.MonkeyPatch, wrong: Exception) -> None:
    said: list[str] = []
    trainer = make.trainer(batch=16)
    trainer.say = said.append
    failing(trainer, monkeypatch, above=4, wrong=wrong)
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
    a, b = plain.reals().images, turned.reals().images
    mirrored = [not torch.equal(x, y) for x, y in zip(a, b, strict=True)]
    assert 4 < sum(mirrored) < 28
    assert all(torch.equal(x.flip(2), y) for x, y, m in zip(a, b, mirrored, strict=True) if m)
    assert torch.equal(b, turned.reals().images)


def test_bfloat16_learns_too() -> None:
    trainer = make.trainer(bfloat16=True)
    for _ in range(2):
        trainer.step()
    assert trainer.networks.g.synthesis.blocks[0].const.dtype == torch.float32
    assert abs(trainer.figures()["loss_d"]) < 10


def test_an_operation_that_is_missing_is_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer()
    failing(trainer, monkeypatch, above=1, wrong=RuntimeError("could not create a primitive descriptor for a sum"))
    with pytest.raises(RuntimeError, match="descriptor"):
        trainer.step()
