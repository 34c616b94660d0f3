"""What a training runs on: compiled passes, and going on without where they cannot be had."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tests.train import make
from train import machine
from train.output import draw


def test_only_the_passes_differentiated_once_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def compile(network: torch.nn.Module, **more: Any) -> Any:
        asked.append(more)
        return lambda *args, **kwargs: network(*args, **kwargs)

    monkeypatch.setattr(torch, "compile", compile)
    plain, trainer = make.trainer(), make.trainer(compile="on")
    (says,) = machine.compiled(trainer)
    assert says.startswith("compiled in ") and asked == [{"dynamic": False}] * 2
    assert trainer.synthesis is not trainer.networks.g.synthesis and machine.compiled(plain) == []
    for one in (plain, trainer):
        one.step()
    assert all(torch.equal(value, trainer.tensors()[name]) for name, value in plain.tensors().items())


def test_every_pass_is_one_program_and_none_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch traces for a GPU, without the code that it would make of it."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda network, **more: compile(network, backend="aot_eager", **more))
    torch._dynamo.reset()
    counters.clear()
    often = {"path_every": 1, "r1_every": 1, "augment": "fixed:0.5"}
    plain, trainer = make.trainer(**often), make.trainer(compile="on", **often)
    assert machine.compiled(trainer)[0].startswith("compiled in ")
    for _ in range(2):
        plain.step()
        trainer.step()
    # The generator with and without gradients, the discriminator frozen and learning.
    assert counters["stats"]["unique_graphs"] == 4 and not counters["graph_break"]
    for name, value in plain.tensors().items():
        torch.testing.assert_close(trainer.tensors()[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_what_cannot_be_compiled_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(network: torch.nn.Module, **more: Any) -> Any:
        def broken(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("no C compiler was found\nand much more")

        return broken

    monkeypatch.setattr(torch, "compile", compile)
    trainer = make.trainer(compile="on")
    assert machine.compiled(trainer) == ["not compiled, which only makes it slower (no C compiler was found)"]
    assert trainer.synthesis is trainer.networks.g.synthesis and trainer.discriminator is trainer.networks.d
    assert all(parameter.requires_grad and parameter.grad is None for parameter in trainer.networks.d.parameters())
    trainer.step()


def test_inside_a_fade_the_whole_size_is_rehearsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(network: torch.nn.Module, **more: Any) -> Any:
        def broken(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("no C compiler was found")

        return broken

    trainer = make.trainer(compile="on", arch="stylegan", fade="0.016", stable="0.016")
    while not trainer.stage.fading:
        trainer.step()
    before = trainer.images
    monkeypatch.setattr(torch, "compile", compile)
    assert machine.compiled(trainer) == ["not compiled, which only makes it slower (no C compiler was found)"]
    assert trainer.images == before and trainer.stage.fading and not trainer.compiled


def test_a_compiled_pass_that_fails_later_is_done_again_without(monkeypatch: pytest.MonkeyPatch) -> None:
    broken: list[bool] = []

    def compile(network: torch.nn.Module, **more: Any) -> Any:
        def program(*args: Any, **kwargs: Any) -> Any:
            if broken:
                raise RuntimeError("the cache of kernels has gone\nwith its folder")
            return network(*args, **kwargs)

        return program

    monkeypatch.setattr(torch, "compile", compile)
    plain, trainer = make.trainer(), make.trainer(compile="on")
    said: list[str] = []
    trainer.say = said.append
    machine.compiled(trainer)
    assert trainer.compiled and not plain.compiled
    broken.append(True)
    for one in (plain, trainer):
        one.step()
    assert said == ["not compiled any more, which only makes it slower (the cache of kernels has gone)"]
    assert not trainer.compiled
    assert all(torch.equal(value, trainer.tensors()[name]) for name, value in plain.tensors().items())

    def always(part: slice) -> Any:
        raise RuntimeError("wrong without a compiler, too")

    monkeypatch.setattr(plain, "generator_loss", always)
    with pytest.raises(RuntimeError, match="wrong without a compiler"):
        plain.step()


def test_a_device_that_differentiates_otherwise_is_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer()
    assert machine.doubts(trainer) == []
    found = machine._judged(trainer, torch.device("cpu"))
    assert torch.equal(found, machine._judged(trainer, torch.device("cpu"))) and found.isfinite().all()
    trainer.device = torch.device("meta")
    for wrong, said in ((1e-3, []), (0.3, ["30%"]), (float("nan"), ["nan%"])):
        judged = {"meta": found * (1 + wrong), "cpu": found}
        monkeypatch.setattr(machine, "_judged", lambda _, on, judged=judged: judged[on.type])
        sentences = machine.doubts(trainer)
        assert len(sentences) == len(said) and all(words in sentences[0] for words in said)


def test_networks_of_other_architectures_are_judged_too() -> None:
    for settings in ({"arch": "stylegan", "loss": "wgan-gp"}, {"d_architecture": "skip", "g_architecture": "resnet"}):
        trainer = make.trainer(**settings)
        assert machine._judged(trainer, torch.device("cpu")).norm() > 1


def test_memory_that_is_short_while_compiling_halves_and_compiles_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **more: network)
    trainer = make.trainer(compile="on", batch=12, group=4)
    said: list[str] = []
    trainer.say = said.append
    rehearse, sizes = machine._rehearse, []

    def full(of: object) -> None:
        sizes.append(trainer.micro)
        if trainer.micro > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        rehearse(trainer)

    monkeypatch.setattr(machine, "_rehearse", full)
    assert machine.compiled(trainer)[0].startswith("compiled in ")
    assert sizes == [12, 4] and "computing 4 images at once" in said[0]  # 6 would part a group


def test_memory_too_short_for_one_group_compiles_nothing_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(of: object) -> None:
        raise RuntimeError("FIND was unable to find an engine to execute this computation")

    monkeypatch.setattr(torch, "compile", lambda network, **more: network)
    monkeypatch.setattr(machine, "_rehearse", full)
    trainer = make.trainer(compile="on", batch=8, group=4)
    (said,) = machine.compiled(trainer)
    assert said.startswith("not compiled, which only makes it slower (memory ran out") and trainer.micro == 8


def test_what_cannot_be_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> torch.Tensor:
        raise NotImplementedError("no such operation")

    trainer = make.trainer()
    trainer.device = torch.device("meta")
    monkeypatch.setattr(machine, "_judged", missing)
    assert machine.doubts(trainer) == ["the gradients on meta could not be compared with the CPU's (no such operation)"]


def test_sheets_are_drawn_in_whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    g, seen = make.trainer().networks.g_ema, []
    synthesis = g.synthesis.forward

    def forward(*args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        return synthesis(*args, **kwargs)

    monkeypatch.setattr(g.synthesis, "forward", forward)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # as a training on a GPU sets it
    try:
        assert len(draw(g, count=2, psi=0.7, crop=[0, 0, *g.size])) == 2
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == [("highest", False)] * 2
