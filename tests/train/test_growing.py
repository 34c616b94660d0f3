"""Training that grows: what a step reaches, how it goes on inside a fade, and what a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import core
from core import pictures, runs
from core.errors import SettingError
from core.frame import Frame
from tests.train import make
from tests.train.test_init import opened
from tests.train.test_processes import ended, start
from tests.train.test_run import run, states
from train import networks as nets
from train import plot
from train.data import Frames
from train.loop import Trainer

GROWS: dict[str, Any] = {"arch": "stylegan", "fade": "0.016", "stable": "0.016"}


def growing(*, steps: int = 0, **changes: Any) -> Trainer:
    """4x4, 8x8 and 16x16, four steps of four images in each phase, after `steps` steps."""
    trainer = make.trainer(**{**GROWS, **changes})
    for _ in range(steps):
        trainer.step()
    return trainer


def copied(trainer: Trainer) -> dict[str, Tensor]:
    return {name: value.detach().contiguous().clone() for name, value in trainer.tensors().items()}


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name, value in after.items() if name not in before or not torch.equal(value, before[name])}


# --- what a step reaches -----------------------------------------------------------------------------------------


def parameters(network: Any, prefix: str, *, stage: Any) -> set[str]:
    """Names of the parameters that the networks themselves say are reached."""
    inside = network.synthesis if prefix == "g" else network
    ids = {id(p) for p in inside.reached(stage.level, fading=stage.fading)}
    if prefix == "g":
        ids |= {id(p) for p in network.mapping.parameters()}
    return {f"{prefix}.{name}" for name, parameter in network.named_parameters() if id(parameter) in ids}


@pytest.mark.parametrize("steps", [0, 5, 9, 14])
def test_a_step_moves_what_it_reaches_and_nothing_else(steps: int) -> None:
    trainer = growing(steps=steps)
    stage, before = trainer.stage, copied(trainer)
    trainer.step()
    moved = changed(before, copied(trainer))
    for prefix, network in (("g", trainer.networks.g), ("d", trainer.networks.d)):
        reached = parameters(network, prefix, stage=stage)
        learning = {name for name in moved if name.startswith(prefix + ".") and not name.endswith("w_avg")}
        assert learning <= reached and len(learning) > 0.8 * len(reached), "some gradients begin at exactly zero"
        adam = {name.removeprefix(f"{prefix}_adam.").partition(":")[0] for name in moved if f"{prefix}_adam." in name}
        assert {f"{prefix}.{name}" for name in adam} == reached
    assert {name for name in moved if name.startswith("g_ema.")} <= {
        f"g_ema.{name.removeprefix('g.')}" for name in parameters(trainer.networks.g, "g", stage=stage)
    } | {"g_ema.mapping.w_avg"}


def test_adam_keeps_what_it_knows_of_old_layers_and_knows_nothing_of_new_ones() -> None:
    trainer = growing(steps=4)
    assert trainer.stage.fading and trainer.stage.level == 1
    before = {name: value for name, value in copied(trainer).items() if "_adam." in name}
    old, new = "d_adam.epilogue.conv.weight", "d_adam.fromrgb.1.weight"
    assert before[f"{old}:step"] == 4 + 1 and f"{new}:step" not in before, "a step and R1 at steps 0, 16 ..."
    assert not any("blocks.1." in name or "torgb.1." in name for name in before if name.startswith("g_adam"))
    trainer.step()
    after = trainer.tensors()
    assert after[f"{old}:step"] == 6 and after[f"{new}:step"] == 1
    for _ in range(4):
        trainer.step()
    faded, after = copied(trainer), trainer.tensors()
    assert trainer.stage.alpha == 1
    trainer.step()
    gone = {name for name in after if "fromrgb.0." in name or "torgb.0." in name}
    assert len(gone) > 8 and not gone & changed(faded, trainer.tensors()), "the smaller size is left as it was"


def test_a_growth_adds_no_step_of_its_own_to_what_is_averaged() -> None:
    """A new level of the average begins where the generator's does, and follows from then on."""
    trainer = growing(steps=4)
    g, g_ema = trainer.networks.g, trainer.networks.g_ema
    assert torch.equal(g.synthesis.blocks[1].conv0.weight, g_ema.synthesis.blocks[1].conv0.weight)  # type: ignore[union-attr,arg-type]
    trainer.step()  # at alpha 0, where nothing is learned of it yet
    trainer.step()
    assert not torch.equal(g.synthesis.blocks[1].conv0.weight, g_ema.synthesis.blocks[1].conv0.weight)  # type: ignore[union-attr,arg-type]


def test_the_weight_of_r1_is_that_of_the_size_and_batch() -> None:
    trainer = growing(batches="16,8,4", stable="0.064", gamma="auto")
    found = []
    for stage in trainer.growth.stages():
        trainer.images = stage.begin
        found.append(trainer.gamma)
    assert found == pytest.approx([0.0002 * p / b for p, b in ((16, 16), (64, 8), (64, 8), (256, 4), (256, 4))])


def test_styles_are_mixed_among_the_layers_that_are_looked_at() -> None:
    trainer = growing(batch=64, style_mixing=1.0, stable="0.064", fade="0.064")
    for images, rows in ((0, 2), (64, 4), (320, 6)):
        trainer.images = images
        made = trainer._made("generator", slice(0, 64))
        mixed = (made.ws != made.w[:, None]).any(2)
        assert mixed[:, rows - 1].all(), "the last layer of this size has the second style"
        assert rows == 2 or not mixed[:, : rows - 1].all(1).any(), "and the first one never"
        assert len(made.noise) == trainer.networks.g.noise_shapes.index(tuple(made.noise[-1].shape[2:])) + 2


# --- losses ------------------------------------------------------------------------------------------------------


def test_wgan_gp_is_one_step_of_the_critic() -> None:
    trainer = growing(steps=7, loss="wgan-gp", gp_weight=5.0, drift=0.5)
    assert trainer.stage.fading
    part, reals = slice(0, 4), trainer.reals()
    loss, figures = trainer.discriminator_loss(part, reals)
    real, fake = figures["logit_real"], figures["logit_fake"]
    logits = trainer._logits("real", part, reals.images, None)
    critic = fake - real + 0.5 * logits.square().mean()
    torch.testing.assert_close(figures["loss_d"], critic)
    torch.testing.assert_close(loss, critic + 5.0 * figures["gp"])
    loss_g, told = trainer.generator_loss(part)
    assert told["loss_g"] is loss_g and loss_g.item() != 0
    trainer.step()
    assert {"gp", "loss_d"} <= set(trainer.figures()) and "r1" not in trainer.figures()
    counts = {v.item() for n, v in trainer.tensors().items() if n.startswith("d_adam.epilogue") and n.endswith("step")}
    assert counts == {8.0}, "one step of Adam in each step of training, and no correction for a lazy one"
    assert trainer.networks.d_adam.param_groups[0]["lr"] == 0.001


def test_points_between_two_pictures_have_their_class() -> None:
    trainer = labelled(loss="wgan-gp")
    labels = torch.eye(3)[[0, 1, 2, 1]]
    made = trainer._made("discriminator", slice(0, 4), labels)
    assert made.labels is labels
    trainer.step()
    assert trainer.figures()["gp"] > 0


def labelled(**changes: Any) -> Trainer:
    """A training with three classes, on noise."""
    plain = growing(**changes)
    frame = Frame.of((16, 16), size=(16, 16), fit="native")
    pixels = torch.randint(0, 256, (12, 1, 16, 16), dtype=torch.uint8).numpy()
    classes = torch.arange(12).remainder(3).numpy()
    data = Frames(pixels, frame=frame, says=[], labels=classes, classes=("a", "b", "c"))
    made = nets.build(plain.config, size=(16, 16), channels=1, classes=3, device=plain.device)
    return Trainer(plain.config, made, data, device=plain.device)


def test_classes_are_learned_at_every_size() -> None:
    trainer = labelled()
    for _ in range(9):
        before = copied(trainer)
        trainer.step()
        moved = changed(before, trainer.tensors())
        assert {"g.mapping.embed.weight", "d.mapping.embed.weight"} <= moved


def test_augmentation_works_at_every_size_and_p_survives() -> None:
    trainer = growing(augment="ada", ada_every=1, ada_kimg=0.05, ada_target=0.0)
    found = []
    for _ in range(12):
        trainer.step()
        found.append(trainer.augmenting.p)
    assert max(found) > 0 and all(abs(b - a) <= 4 / 50 + 1e-9 for a, b in zip(found, found[1:], strict=False))


# --- batches, parts and processes --------------------------------------------------------------------------------


def test_parts_of_a_batch_are_the_same_growth_but_for_rounding() -> None:
    settings = {"batches": "16,8,8", "fade": "0.032", "stable": "0.032", "r1_every": 2, "mirror": True}
    whole, parts = (growing(steps=12, **settings, **more) for more in ({}, {"micro_batch": 4}))
    assert parts.micro == 4 and whole.micro == 8 and whole.stage.level == 2 and whole.images == parts.images
    assert parts.figures() == pytest.approx(whole.figures(), rel=1e-4, abs=1e-6)
    theirs = parts.tensors()
    far = {k: (v - theirs[k]).abs().max().item() for k, v in whole.tensors().items() if not k.endswith(":step")}
    assert max(far.values()) < 1e-4, max(far, key=lambda name: far[name])


def test_what_memory_allows_is_remembered_over_smaller_batches() -> None:
    trainer = growing(batches="16,8,4", stable="0.016,0.016,0.016")
    trainer.micro = 8
    assert (trainer.micro, trainer.facts()["micro"]) == (8, 8)
    trainer.images = trainer.growth.end
    assert (trainer.micro, trainer.facts()["micro"]) == (4, 8), "the batch is smaller, the limit is what it was"


def test_two_processes_grow_like_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ["--arch", "stylegan", "--batches", "16,16,8", "--fade", "0.016", "--stable", "0.016", "--r1-every", "1"]
    more += ["--tick", "0.016", "--augment", "fixed:0.3"]
    both = start(tmp_path / "two", *more)
    from tests.train.test_processes import TOY

    assert run(monkeypatch, "--out", tmp_path / "one", *TOY, *more) == 0
    (first, said), (second, silent) = ended(both)
    assert (first, second) == (0, 0), said + silent
    one, two = runs.log(tmp_path / "one"), runs.log(tmp_path / "two")
    assert [line["size"] for line in one] == [[4, 4], [8, 8], [8, 8], [16, 16], [16, 16]]
    for key in ("kimg", "alpha", "loss_g", "loss_d", "r1", "logit_real", "logit_fake", "ada_sign"):
        values = [[line[key] for line in log] for log in (one, two)]
        assert values[1] == pytest.approx(values[0], rel=1e-4, abs=1e-6), key


# --- stopping and resuming ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{"augment": "ada", "ada_every": 2, "batches": "8,8,4"}, {"loss": "wgan-gp", "augment": "fixed:0.4"}],
    ids=["logistic", "wgan-gp"],
)
def test_resuming_inside_a_fade_is_the_same_to_the_bit(more: dict[str, Any]) -> None:
    straight = growing(r1_every=2, **more)
    while not 0 < straight.stage.alpha < 1:
        straight.step()
    second = growing(r1_every=2, **more)
    second.restore(copied(straight), straight.facts())
    assert second.stage == straight.stage
    for _ in range(7):  # over the end of the fade, and into the next one
        straight.step()
        second.step()
    ours, theirs = straight.tensors(), second.tensors()
    assert ours.keys() == theirs.keys() and changed(ours, theirs) == set()


SHORT = ["--preset", "smoke-progressive", "--size", "16", "--channel-max", "8", "--batch", "4", "--samples", "4"]
SHORT += ["--fade", "0.016", "--stable", "0.016", "--tick", "0.012", "--snapshot", "1", "--z-dim", "8", "--w-dim", "8"]


def test_a_run_stopped_inside_a_fade_goes_on_as_if_it_had_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ["--data", make.folder(tmp_path / "in", count=7, size=(16, 16))]
    assert run(monkeypatch, *data, *SHORT, "--out", tmp_path / "a") == 0
    assert run(monkeypatch, *data, *SHORT, "--out", tmp_path / "b", "--kimg", "0.024") == 0
    cut = core.load(runs.newest(tmp_path / "b"))  # type: ignore[arg-type]
    assert cut.grown == ((8, 8), 0.5) and cut.generator.size == (8, 8), "saved inside the fade, by its alpha"
    assert run(monkeypatch, "--resume", "--out", tmp_path / "b", "--kimg", "auto") == 0
    a, b = states(tmp_path / "a"), states(tmp_path / "b")
    assert a.keys() == b.keys() and changed(a, b) == set()
    kept = ("kimg", "size", "alpha", "loss_g", "loss_d")
    logs = [[[line[key] for key in kept] for line in runs.log(tmp_path / name)] for name in "ab"]
    assert logs[0] == logs[1]


# --- what it leaves ----------------------------------------------------------------------------------------------


def test_a_growing_run_leaves_what_the_contract_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make.folder(tmp_path / "in", count=9, size=(26, 20)), tmp_path / "out"
    flags = ["--size", "32x24", "--fade", "0.5", "--stable", "0.5", "--batch", "64", "--tick", "0.5", "--keep", "1"]
    assert run(monkeypatch, "--data", data, *SHORT, *flags, "--out", out) == 0
    left = {path.name for path in out.iterdir()}
    assert left >= {
        "config.json", "command.txt", "data.png", "log.jsonl", "losses.png", "losses.csv", "evolution.gif", "samples",
        "checkpoints", "drawings", "state",
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "0 kimg: 4x3 is trained until 0.5 kimg, 64 images a step" in said and "8x6 fades in until 1 kimg" in said
    log = runs.log(out)
    assert [line["size"] for line in log] == [[4, 3], [8, 6], [8, 6], [16, 12], [16, 12], [32, 24], [32, 24]]
    assert all(line["alpha"] == 1 for line in log) and runs.config(out)["resolved"]["kimg"] == 3.5
    fades = [(None, None), *((kimg + 0.5, kimg + 1.0) for kimg in (0, 0, 1, 1, 2, 2))]
    assert [(line["fade_from"], line["fade_to"]) for line in log] == fades
    drawn = pictures.read(out / "losses.png")
    assert (drawn == np.array(plot._FADE)).all(axis=2).any(), "shaded, though no tick fell into one"
    sizes = {}
    for file in runs.checkpoints(out):
        found = core.load(file)
        assert found.discriminator is not None and found.live is not None and found.grown is None
        sizes[file.stem] = found.generator.size, found.crop
    # --keep 1 lets go of what lies between, and keeps the end of each size.
    assert sizes == {
        "000000": ((4, 3), (0, 0, 4, 3)),
        "000001": ((8, 6), (0, 0, 8, 6)),
        "000002": ((16, 12), (1, 1, 14, 10)),
        "000003": ((32, 24), (3, 2, 26, 20)),
    }
    sheets = [pictures.read(sheet) for sheet in runs.samples(out)]
    assert len({sheet.shape for sheet in sheets}) == 1, "smaller pictures are enlarged to the final size"


def test_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make.folder(tmp_path / "in", count=3, size=(26, 20)), tmp_path / "out"
    for flags, said in (
        (["--fade", "0,1"], "fade cannot be '0,1': one number for all sizes, or 3 numbers"),
        (["--grow-from", "64x48"], "grow_from cannot be '64x48'"),
        (["--batches", "8,8,4,4"], "batches cannot be '8,8,4,4': 3 numbers"),
    ):
        assert run(monkeypatch, "--data", data, *SHORT, "--size", "auto", *flags, "--out", out) == 2
        assert said in capsys.readouterr().err and not out.exists()


def test_a_dry_run_prints_the_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--kimg", "0.07", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.split()[:2] == ["size", "phase"])
    rows = [line.split() for line in lines[first + 1 : -1]]
    assert [row[:2] + row[-5:-2] for row in rows] == [
        ["4x4", "stable", "4", "0", "0.016"],
        ["8x8", "fade", "4", "0.016", "0.032"],
        ["8x8", "stable", "4", "0.032", "0.048"],
        ["16x16", "fade", "4", "0.048", "0.064"],
        ["16x16", "stable", "4", "0.064", "0.07"],
    ]
    assert rows[1][2:5] == ["0", "to", "1"] and lines[-1] == "nothing was written"
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--reconstruct", "0.3", "--kimg", "0.4", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    ahead = lines[next(number for number, line in enumerate(lines) if line.split()[:2] == ["size", "phase"]) + 1]
    assert ahead.split()[:7] == ["all", "head", "start", "1", "4", "0", "0.3"]


def test_a_head_start_is_told_of_but_is_no_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make.folder(tmp_path / "in", count=7, size=(16, 16)), tmp_path / "out"
    ahead = ["--reconstruct", "0.03", "--keep", "1", "--tick", "0.016"]
    assert run(monkeypatch, "--data", data, *SHORT, *ahead, "--out", out) == 0
    said = capsys.readouterr().err
    assert "0 kimg: all sizes learn to draw the pictures until 0.03 kimg, 4 images a step" in said
    assert "0.032 kimg: 4x4 is trained until 0.046 kimg" in said
    log = runs.log(out)
    assert [line["size"] for line in log] == [None] * 2 + [[4, 4], [8, 8], [8, 8], [16, 16], [16, 16]]
    assert [line["reconstruction"] is not None for line in log] == [True] * 2 + [False] * 5
    assert [line["fade_from"] for line in log] == [None] * 3 + [0.046] * 2 + [0.078] * 2
    assert [core.load(file).generator.size for file in runs.checkpoints(out)] == [(16, 16)]
    ends = sorted(path.name for path in (out / runs.CHECKPOINTS).iterdir())
    assert ends == ["000000.safetensors", "004x004.safetensors", "008x008.safetensors"]
    found = [(phase.size, phase.fading, phase.begin) for phase in plot._phases(log)]
    assert found[:3] == [("head start", False, 0.0), ("4x4", False, 0.032), ("8x8", True, 0.046)]


# --- beginning with another network --------------------------------------------------------------------------------


def small(size: tuple[int, int], **changes: Any) -> core.Opened:
    """A StyleGAN cut down to `size`, as if read from a snapshot of an unfinished growth."""
    found = opened(growing(seed=5, **changes).networks)
    cut = [core.stylegan.at_size(one, size) for one in (found.generator, found.discriminator, found.live)]
    return core.Opened(cut[0], cut[1], {}, Path("file"), cut[2])


@pytest.mark.parametrize("size", [(4, 4), (8, 8), (16, 16)])
def test_init_takes_a_network_of_any_size_on_the_way(size: tuple[int, int]) -> None:
    theirs = small(size)
    config = growing(init="file", grow_from="8").config
    ours = nets.build(config, size=(16, 16), channels=1, device=torch.device("cpu"), init=theirs)
    ws = torch.randn(4, ours.g.num_ws, 8)
    rows = ws[:, : theirs.generator.num_ws]
    for mine, other in ((ours.g_ema, theirs.generator), (ours.g, theirs.live)):
        torch.testing.assert_close(mine.synthesis(ws, size=size), other.synthesis(rows))  # type: ignore[union-attr]
    images = torch.rand(4, 1, *size) * 2 - 1
    torch.testing.assert_close(ours.d(images), theirs.discriminator(images))  # type: ignore[misc]


def test_init_turns_gray_into_rgb() -> None:
    theirs = small((8, 8))
    config = growing(init="file").config
    ours = nets.build(config, size=(16, 16), channels=3, device=torch.device("cpu"), init=theirs)
    ws = torch.randn(2, 6, 8)
    gray = theirs.generator.synthesis(ws[:, :4])
    torch.testing.assert_close(ours.g_ema.synthesis(ws, size=(8, 8)), gray.expand(-1, 3, -1, -1))


def test_init_of_the_other_architecture_is_refused() -> None:
    theirs, config = opened(make.trainer().networks), growing(init="file").config
    with pytest.raises(SettingError, match="it is a stylegan2; give --arch stylegan2"):
        nets.build(config, size=(16, 16), channels=1, device=torch.device("cpu"), init=theirs)


def test_frozen_levels_stay_with_their_way_in() -> None:
    config = growing(init="file", freeze_d=1, grow_from="16", r1_every=1).config
    made = nets.build(config, size=(16, 16), channels=1, device=torch.device("cpu"), init=small((16, 16)))
    trainer = Trainer(config, made, make.trainer().data, device=torch.device("cpu"))
    before = copied(trainer)
    trainer.step()
    moved = {name for name in changed(before, trainer.tensors()) if name.startswith("d.")}
    assert moved and not any(name.startswith(("d.blocks.0.", "d.fromrgb.2.")) for name in moved)
    with pytest.raises(SettingError, match="freeze_d cannot be '1': 0 where --init has no such levels"):
        nets.build(config, size=(16, 16), channels=1, device=torch.device("cpu"), init=small((8, 8)))
