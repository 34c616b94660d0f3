"""What a run leaves, sees and measures while its network grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import core
from core import latents, pictures, runs
from core.frame import Frame
from core.sizes import crop_at
from tests.train import make
from train import evolution, keep, measuring, watch
from train.config import Config
from train.data import Phantoms
from train.loop import Trainer
from train.metrics import cli, evaluate, names
from train.networks import build
from train.output import Run, draw
from train.watch import Watch

CPU = torch.device("cpu")
GROWING = {
    "arch": "stylegan", "path_weight": 0.0, "size": "28x24", "start": "7x6", "channel_base": 64, "channel_max": 8,
    "z_dim": 8, "w_dim": 8, "mapping_layers": 1, "batch": 4, "fade": "0.008", "stable": "0.008", "data": "phantoms",
}  # fmt: skip
ENDS = {(7, 6): 8, (14, 12): 24, (28, 24): 40}


def trained(images: int, **changes: Any) -> Trainer:
    """A toy run of three sizes, each trained for 8 images and faded in for 8; pictures of 26x22 in 28x24."""
    config = Config.read({**GROWING, **changes})
    data = Phantoms(frame=Frame.of((26, 22), size=(28, 24), fit="native"), channels=1)
    trainer = Trainer(config, build(config, size=(28, 24), channels=1, device=CPU), data, device=CPU)
    while trainer.images < images:
        trainer.step()
    return trainer


def about(trainer: Trainer) -> dict[str, Any]:
    return {"training": {"images_seen": trainer.images}, "picture": {"crop": list(trainer.data.frame.crop)}}


def saved(run: Run, trainer: Trainer) -> core.Opened:
    stage = trainer.growth.reached(trainer.images)
    path = run.checkpoint(trainer.networks, about=about(trainer), images=trainer.images, stage=stage)
    return core.load(path)


@pytest.mark.parametrize(("images", "size", "alpha"), [(8, (7, 6), 1.0), (12, (14, 12), 0.5), (24, (14, 12), 1.0)])
def test_a_network_on_its_way_is_saved_as_a_finished_smaller_one(
    tmp_path: Path, images: int, size: tuple[int, int], alpha: float
) -> None:
    trainer = trained(images)
    opened = saved(Run(tmp_path), trainer)
    g, full = opened.generator, trainer.networks.g_ema
    halvings = {7: 2, 14: 1}[size[0]]
    assert g.size == size and opened.crop == crop_at(trainer.data.frame.crop, halvings)
    assert opened.about["picture"]["full"] == [28, 24]
    assert opened.grown == (None if alpha == 1 else (size, alpha))
    z = latents.seeds_to_z([0, 1], 8)
    ours = full.synthesis(full.truncate(full.mapping(z), psi=1.0), size=size, alpha=alpha)
    theirs = g.synthesis(g.truncate(g.mapping(z), psi=1.0), alpha=alpha)
    assert torch.allclose(ours, theirs, atol=1e-4) and opened.live is not None
    assert opened.discriminator is not None
    logits = opened.discriminator(theirs, alpha=alpha)
    assert torch.allclose(logits, trainer.networks.d(ours, alpha=alpha), atol=1e-3)


def test_a_full_grown_network_and_one_that_does_not_grow_are_saved_as_ever(tmp_path: Path) -> None:
    opened = saved(Run(tmp_path / "a"), trained(40))
    assert opened.generator.size == (28, 24) and opened.grown is None and "full" not in opened.about["picture"]
    plain = make.trainer()
    stage = plain.growth.reached(0)
    facts = {"training": {"images_seen": 0}, "picture": {"crop": [0, 0, 16, 16]}}
    paths = [
        Run(tmp_path / name).checkpoint(plain.networks, about=facts, images=0, stage=one)
        for name, one in (("b", stage), ("c", None))
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("images", [8, 12, 20, 28, 40])
def test_sheets_have_one_shape_and_whole_pixels(images: int) -> None:
    trainer = trained(images)
    stage, g, crop = trainer.growth.reached(images), trainer.networks.g_ema, trainer.data.frame.crop
    drawn = draw(g, count=2, psi=1.0, crop=crop, grown=(stage.size, stage.alpha))
    assert [one.shape for one in drawn] == [crop[2:], crop[2:]]
    halvings = 28 // stage.size[0] // 2
    z = latents.seeds_to_z([0], 8)
    img = g.synthesis(g.truncate(g.mapping(z), psi=1.0), noise="const", size=stage.size, alpha=stage.alpha)
    inner = crop_at(crop, halvings)
    small = pictures.crop(pictures.to_8bit(img)[0], inner)
    large = np.kron(small, np.ones((2**halvings, 2**halvings), np.uint8))
    top, left = crop[0] - (inner[0] << halvings), crop[1] - (inner[1] << halvings)
    assert np.array_equal(drawn[0], large[top : top + crop[2], left : left + crop[3]])


def test_the_film_of_a_growth_has_every_size(tmp_path: Path) -> None:
    run, trainer = Run(tmp_path), trained(0)
    (tmp_path / runs.SAMPLES).mkdir()
    while trainer.images < 32:
        trainer.step()
        stage = trainer.growth.reached(trainer.images)
        crop = trainer.data.frame.crop
        drawn = draw(trainer.networks.g_ema, count=2, psi=1.0, crop=crop, grown=(stage.size, stage.alpha))
        run.sample(pictures.grid(drawn, columns=2), images=trainer.images)
    assert len(evolution.frames(tmp_path)) == 8 and len(runs.samples(tmp_path)) == 1
    assert {pictures.read(file).shape for _, file in evolution.frames(tmp_path)} == {(26, 46)}


def test_the_network_that_ends_a_size_outlives_later_ones_of_its_number(tmp_path: Path) -> None:
    run, trainer = Run(tmp_path), trained(0)
    for images in (4, 8, 12, 24, 28, 40):
        while trainer.images < images:
            trainer.step()
        saved(run, trainer)
        keep.prune(tmp_path, keep=1)
    left = {path.name: core.load(path) for path in (tmp_path / runs.CHECKPOINTS).iterdir()}
    assert {name: opened.generator.size for name, opened in left.items()} == {
        "000000.safetensors": (28, 24), "007x006.safetensors": (7, 6), "014x012.safetensors": (14, 12),
    }  # fmt: skip
    for opened in left.values():
        assert opened.about["training"]["images_seen"] == ENDS[opened.generator.size]
    Run(tmp_path).forget_after(23)
    kept = {path.name for path in (tmp_path / runs.CHECKPOINTS).iterdir()}
    assert kept == {"000000.safetensors", "007x006.safetensors"}


def test_the_best_is_of_the_newest_size(tmp_path: Path) -> None:
    (tmp_path / runs.CHECKPOINTS).mkdir()
    file = runs.checkpoint_path(tmp_path, 0)
    file.write_text("", encoding="utf-8")

    def judged(rank: float, size: tuple[int, int]) -> bool:
        return keep.judge(tmp_path, file, measure="swd", value=rank, rank=rank, images=0, size=size)

    assert [judged(1.0, (7, 6)), judged(2.0, (7, 6)), judged(3.0, (14, 12)), judged(4.0, (14, 12))] == [
        True, False, True, False,
    ]  # fmt: skip
    best = keep.read(tmp_path)
    assert best is not None and best.size == (14, 12) and best.rank == 3.0


# --- watching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [8, 12, 24, 32, 40])
def test_looking_at_a_growing_network_disturbs_nothing(images: int) -> None:
    trainer = trained(images, tick=0.004)
    trainer.data, held = trainer.data.split(0.25, seed=3)
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    state = torch.random.get_rng_state()
    stage = trainer.growth.reached(images)
    crop = trainer.data.frame.crop
    shown = draw(trainer.networks.g_ema, count=4, psi=1.0, crop=crop, grown=(stage.size, stage.alpha))
    seen = Watch(trainer.config).tick(trainer, held=held, samples=shown, figures={})
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in trainer.tensors().items())
    assert all(isinstance(seen.figures[key], float) for key in ("logit_train", "logit_held", "spread", "nearest"))


@pytest.mark.parametrize("images", [8, 12, 16, 28])
def test_samples_that_are_the_training_pictures_are_as_far_apart_as_those(images: int) -> None:
    """Whatever the size and alpha: spread and nearest compare what is made alike."""
    trainer = trained(images)
    stage, data = trainer.growth.reached(images), trainer.data
    rows = np.arange(4)
    fine, coarse = data.at(stage.size), data.at((stage.size[0] // 2, stage.size[1] // 2)) if stage.alpha < 1 else None
    img = fine.batch(rows, device=CPU)
    if coarse is not None:
        small = coarse.batch(rows, device=CPU).repeat_interleave(2, 2).repeat_interleave(2, 3)
        img = stage.alpha * img + (1 - stage.alpha) * small
    factor = 28 // stage.size[0]
    alike = np.kron(pictures.to_8bit(img), np.ones((1, factor, factor), np.uint8))
    mine = np.stack([pictures.crop(one, data.frame.crop) for one in alike])
    assert np.abs(watch._pictures(trainer, rows, stage).astype(int) - mine).max() <= 1


def test_what_was_usual_at_one_size_says_nothing_of_the_next() -> None:
    trainer, watching = trained(4), Watch(trained(0).config)
    calm = {"loss_g": 1.0, "r1": 2.0, "logit_real": 0.5, "logit_fake": -0.5, "loss_d": 1.0}
    for _ in range(4):
        watching.tick(trainer, held=None, samples=[], figures=calm)
    assert watching.facts()["before"]["r1"] == [2.0] * 4 and watching.facts()["size"] == [7, 6]
    again = Watch(trainer.config)
    again.restore(watching.facts())
    assert again.facts() == watching.facts()
    trainer.images = 12
    assert again.tick(trainer, held=None, samples=[], figures={**calm, "r1": 40.0}).warnings == []
    assert again.facts()["before"]["r1"] == [40.0]


def test_a_critic_may_have_logits_and_losses_of_any_size() -> None:
    critic = trained(4, loss="wgan-gp")
    watching = Watch(critic.config)
    usual = {"loss_g": -150.0, "loss_d": -3.0, "logit_real": 153.0, "logit_fake": 150.0, "ada_sign": 1.0, "gp": 0.1}
    said = [watching.tick(critic, held=None, samples=[], figures=usual).warnings for _ in range(6)]
    assert said == [[]] * 6
    said = [watching.tick(critic, held=None, samples=[], figures={**usual, "gp": 20.0}).warnings for _ in range(2)]
    assert "gp has grown to 20" in said[1][0]


def test_collapse_of_a_critics_generator_names_its_own_penalty() -> None:
    critic = trained(4, loss="wgan-gp")
    same = [np.full(critic.data.frame.crop[2:], 9, np.uint8)] * 4
    watching = Watch(critic.config)
    said = [watching.tick(critic, held=None, samples=same, figures={}).warnings for _ in range(3)]
    assert "--gp-weight 20 instead of 10" in said[2][0] and "--gamma" not in said[2][0]


# --- measuring ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("images", "size", "alpha"), [(8, (7, 6), 1.0), (12, (14, 12), 0.5), (40, (28, 24), 1.0)])
def test_measures_are_taken_at_the_size_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int, size: tuple[int, int], alpha: float
) -> None:
    trainer, calls = trained(images, metrics="spread", every=0.004), []
    figure = {"spread": {"value": 0.5, "real": 1.0, "noise": 0.1, "goal": "real"}}

    def measured(g: Any, d: Any, data: Any, **more: Any) -> dict[str, Any]:
        calls.append((g.size, d.config.size, data.frame.size, more["held"].frame.size, more["alpha"]))
        return figure

    monkeypatch.setattr(measuring, "evaluate", measured)
    trainer.data, held = trainer.data.split(0.25, seed=0)
    checkpoint = runs.checkpoint_path(tmp_path, images)
    checkpoint.parent.mkdir()
    checkpoint.write_text("", encoding="utf-8")
    taking = measuring.Measuring(trainer.config, tmp_path, data=trainer.data, held=held, check=lambda: None)
    assert taking.due(images) and taking.take(trainer, checkpoint) is not None
    assert calls == [(size, size, size, size, alpha)]
    best = keep.read(tmp_path)
    assert best is not None and best.size == size


@pytest.mark.parametrize("images", [8, 12, 40])
def test_every_measure_can_be_taken_of_every_size(images: int) -> None:
    trainer = trained(images)
    stage = trainer.growth.reached(images)
    g, d, data, _ = measuring._at(trainer, None, stage)
    figures = evaluate(g, d, data, count=24, device=CPU, alpha=stage.alpha)
    assert set(figures) == {name for name in names() if not name.endswith("_inception")}
    assert figures["spread"]["value"] is not None


@pytest.mark.parametrize("images", [8, 12, 40])
def test_a_network_file_is_measured_from_the_command_line(
    tmp_path: Path, images: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make.folder(tmp_path / "in", count=24, size=(26, 22))
    path = saved(Run(tmp_path / "run"), trained(images)).path
    flags = ["--checkpoint", str(path), "--data", str(folder), "--metrics", "spread,recall_discriminator", "--json"]
    assert cli.work([*flags, "--count", "12"]) == 0
    said = capsys.readouterr()
    assert ("on its way to 28x24" in said.err) == (images < 40) and "they are cut to" not in said.err
    assert '"spread"' in said.out and '"recall_discriminator"' in said.out


@pytest.mark.parametrize("full", [[28, 23], [56], "28x24", [14, 12], [28672, 24576], None])
def test_what_a_header_says_of_the_full_size_is_not_believed_blindly(tmp_path: Path, full: object) -> None:
    opened = saved(Run(tmp_path), trained(24))
    opened.about["picture"]["full"] = full
    assert cli._full(opened) == (14, 12)
