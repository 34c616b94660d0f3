"""The head start: codes of pictures, the mapping that learns them, steps of reconstruction, and what comes after."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from core.errors import SettingError
from core.mapping import Mapping
from tests.train import make
from tests.train.test_processes import ended, start
from tests.train.test_run import SHORT, run
from train import reconstruction
from train.cli import ask
from train.config import Config
from train.loop import Trainer
from train.reconstruction import Codes, HeadStart, energy_distance, match, nested_distance


def pictures(count: int, numbers: int = 12, *, seed: int = 0) -> Tensor:
    """Vectors whose components vary by 4, 2, 1, 1/2 ... around something that is not zero."""
    random = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(random.normal(size=(numbers, numbers)))
    spread = 4.0 * 0.5 ** np.arange(numbers)
    return torch.tensor(3 + (random.normal(size=(count, numbers)) * spread) @ axes.T, dtype=torch.float32)


@pytest.mark.parametrize("count", [9, 200])  # fewer than numbers, and more
def test_codes_are_principal_components_half_way_to_white(count: int) -> None:
    x = pictures(count)
    codes = Codes.of(x, width=6)
    mine = ((x - codes.mean) @ codes.basis).double()
    centred = x.double().numpy() - x.double().numpy().mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    deviation = s[:6] / np.sqrt(count)
    expected = u[:, :6] * s[:6] / np.sqrt(deviation * deviation[0])
    expected /= np.sqrt((expected**2).mean())
    assert np.allclose(np.abs(mine.numpy()), np.abs(expected), atol=2e-4)  # a component has no sign
    assert mine.square().mean().item() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(mine.T @ mine, torch.diag(mine.square().sum(0)), atol=1e-2)


def test_where_there_are_fewer_components_the_rest_of_a_code_is_zero() -> None:
    x = pictures(5)
    codes = Codes.of(x, width=8)
    mine = (x - codes.mean) @ codes.basis
    assert torch.equal(mine[:, 4:], torch.zeros(5, 4)) and mine[:, :4].square().sum(0).min() > 0


def test_pictures_that_are_all_alike_have_no_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        make.save(tmp_path / "in" / f"{number}.png", make.picture("L", seed=3))
    given = ["--data", tmp_path / "in", *SHORT, "--kimg", "0.008", "--reconstruct", "0.004", "--out", tmp_path / "run"]
    assert run(monkeypatch, *given) == 2
    said = capsys.readouterr().err
    assert "error: reconstruct cannot be '0.004': 0 for pictures that are all alike" in said and "--g-lr" not in said


def test_where_pictures_are_mirrored_the_codes_know_both_ways() -> None:
    plain, mirrored = (make.trainer(reconstruct=0.1, mirror=mirror) for mirror in (False, True))
    one, _ = reconstruction._pictures(plain.data, plain.config, most=10)
    both, _ = reconstruction._pictures(mirrored.data, mirrored.config, most=10)
    assert torch.equal(both[:10], one) and torch.equal(both[10:], one.unflatten(1, (16, 16)).flip(2).flatten(1))


def test_a_stop_is_heard_while_the_mapping_learns() -> None:
    trainer = make.trainer(reconstruct=0.1)

    class Asked(Exception):
        pass

    def check() -> None:
        raise Asked

    trainer.check = check
    with pytest.raises(Asked):
        trainer.step()
    assert trainer.images == 0


def test_pictures_are_averaged_down_before_they_are_coded() -> None:
    trainer = make.trainer(reconstruct=0.1)
    x, shrink = reconstruction._pictures(trainer.data, trainer.config, most=10)
    assert x.shape == (10, 256) and shrink == 0
    codes = Codes(torch.zeros(4), torch.eye(4), 1)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert codes(image).tolist() == [[2.5, 4.5, 10.5, 12.5]]


def test_energy_distance_against_its_definition_and_of_two_distributions() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)), random.normal(size=(40, 3)) + 1

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([np.linalg.norm(one - other) for one in a for other in b]))

    expected = 2 * mean(x, y) - mean(x[:20], x[20:]) - mean(y[:20], y[20:])
    assert energy_distance(torch.tensor(x), torch.tensor(y)).item() == pytest.approx(expected, rel=1e-9)
    many = torch.randn(2048, 3, generator=torch.Generator().manual_seed(1))
    # 2 E|N(d, 2)| - 2 E|N(0, 2)| of normals a unit apart, far above the noise of an estimate.
    assert abs(energy_distance(many[:1024], many[1024:]).item()) < 0.03
    assert energy_distance(many[:1024], many[1024:] + torch.tensor([1.0, 0, 0])).item() > 0.1


def test_the_nested_distance_sees_what_the_few_large_components_do_together() -> None:
    random = torch.Generator().manual_seed(2)
    x, y = (torch.randn(1024, 64, generator=random) for _ in range(2))
    tied = y.clone()
    tied[:, 1] = tied[:, 0]  # the first two are one
    plain = [(energy_distance(x, one) / 8).item() for one in (y, tied)]
    nested = [nested_distance(x, one).item() for one in (y, tied)]
    assert nested[1] - nested[0] > 5 * abs(plain[1] - plain[0])


def test_the_mapping_learns_codes_of_two_kinds() -> None:
    """Codes on two sides of zero, whose second component is the square of the first."""
    random = torch.Generator().manual_seed(3)
    first = torch.cat([torch.full((500,), -1.5), torch.full((500,), 1.5)]) + 0.1 * torch.randn(1000, generator=random)
    codes = torch.stack([first, first**2 - 2, *(0.3 * torch.randn(6, 1000, generator=random))], dim=1)
    torch.manual_seed(0)
    mapping = Mapping(8, 8, 0, layers=3)
    z = torch.randn(2000, 8, generator=random)
    before = nested_distance(mapping(z)[:1000], codes).item()
    match(mapping, codes, steps=400, seed=0)
    made = mapping(z).detach()
    assert nested_distance(made[:1000], codes).item() < 0.05 * before
    sides = (made[:, 0].abs() > 0.75).double().mean()
    assert sides > 0.7, "samples lie on either side, and few between"
    assert 0.4 < (made[:, 0] > 0).double().mean() < 0.6
    assert torch.allclose(mapping.w_avg, made.mean(0), atol=0.1)


def stepped(trainer: Trainer, count: int) -> Trainer:
    for _ in range(count):
        trainer.step()
    return trainer


def test_the_generator_learns_to_draw_the_pictures_and_the_discriminator_waits() -> None:
    trainer = make.trainer(reconstruct=1.2, channel_base=256, channel_max=32, w_dim=16)
    before = {name: value.clone() for name, value in trainer.tensors().items() if name.startswith("d.")}
    first = stepped(trainer, 10).figures()["reconstruction"]
    last = stepped(trainer, 290).figures()
    assert set(last) == {"reconstruction"}
    assert stepped(trainer, 10).images == 1240
    assert last["reconstruction"] < 0.5 * first
    assert any("codes.basis" in name for name in make.trainer(reconstruct=1).tensors()) is False
    after = trainer.tensors()
    assert any(not torch.equal(before[name], after[name]) for name in before), "after it the discriminator learns"
    assert not any(name.startswith("codes.") for name in after), "codes are needed no longer"


def test_who_learns_when() -> None:
    trainer = make.trainer(reconstruct=0.4)  # 100 steps; then 8 images, two steps, of the discriminator alone
    start = trainer.head_start
    learnt = {"reconstruction": set(), "loss_g": set(), "loss_d": set()}
    for step in range(105):
        trainer.step()
        for name in trainer.figures():
            if name in learnt:
                learnt[name].add(step)
    assert learnt == {"reconstruction": set(range(100)), "loss_d": set(range(100, 105)), "loss_g": {102, 103, 104}}
    assert start.codes is None and not start.finish(400)
    group = trainer.networks.g_adam.param_groups[0]
    assert (group["lr"], group["betas"]) == (pytest.approx(0.0025 * 0.8), (0.0, pytest.approx(0.99**0.8)))


def test_the_rate_rises_and_falls() -> None:
    start = HeadStart(Config.read({"reconstruct": 10.0}), width=8)
    rates = [start.adam(images).lr for images in (0, 100, 5000, 9999)]
    assert rates[0] < 0.02 * rates[1] and rates[1] > rates[2] > 10 * rates[3] > 0
    off = HeadStart(Config.read({}), width=8)
    assert not (off.reconstructs(0) or off.trains_discriminator_alone(0) or off.finish(0)) and off.tensors() == {}


def test_a_network_that_grows_learns_all_its_sizes_at_once() -> None:
    settings = {"arch": "stylegan", "fade": "0.02", "stable": "0.02", "channel_base": 256, "channel_max": 32}
    trainer = make.trainer(reconstruct=0.8, w_dim=16, **settings)
    before = {name: value.clone() for name, value in trainer.tensors().items()}
    real = trainer.reals().images
    assert real.shape[2:] == (16, 16)

    def errors() -> list[Tensor]:
        codes, g = trainer.head_start.codes, trainer.networks.g
        assert codes is not None
        ws = codes(real)[:, None].expand(-1, g.num_ws, -1)
        sizes = [(16 // side, side) for side in (4, 8, 16)]
        drawn = [g.synthesis(ws, noise="none", size=(side, side)) for _, side in sizes]
        shrunk = [torch.nn.functional.avg_pool2d(real, factor) for factor, _ in sizes]
        return [(one - other).square().mean().detach() for one, other in zip(drawn, shrunk, strict=True)]

    stepped(trainer, 1)
    at_first = errors()
    assert set(stepped(trainer, 194).figures()) == {"reconstruction"}
    at_last = errors()
    assert all(last < 0.6 * first for first, last in zip(at_first, at_last, strict=True))
    loss, named = trainer.head_start.loss(trainer.networks.g, real)
    assert torch.allclose(loss, sum(at_last, torch.zeros(())) / 3) and torch.equal(named["reconstruction"], at_last[2])
    after = {name: value.clone() for name, value in trainer.tensors().items()}
    moved = {name for name, value in after.items() if not torch.equal(before.get(name, value), value)}
    for prefix in ("g", "g_ema"):
        assert {f"{prefix}.synthesis.torgb.{level}.weight" for level in range(3)} <= moved
    assert not any(name.startswith("d.") for name in moved)
    stepped(trainer, 5)
    alone = stepped(trainer, 4).figures()  # 16 images, of the discriminator alone and at the smallest size
    assert "loss_g" not in alone and "loss_d" in alone and trainer.growth.reached(trainer.images).size == (4, 4)
    found = trainer.tensors()
    assert any(not torch.equal(after[name], found[name]) for name in after if name.startswith("d."))
    assert "loss_g" in stepped(trainer, 1).figures()


GROWS = {"arch": "stylegan", "fade": "0.008", "stable": "0.008"}


def test_codes_keep_their_depth_where_bfloat16_draws() -> None:
    plain, rounded = (stepped(make.trainer(reconstruct=0.1, bfloat16=bfloat16), 1) for bfloat16 in (False, True))
    seen = []
    synthesis = rounded.networks.g.synthesis
    synthesis.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    part, real = slice(0, 4), plain.reals()
    rounded.reconstruction_loss(part, real)
    assert plain.head_start.codes is not None
    assert seen[0].dtype == torch.float32 and torch.equal(seen[0][:, 0], plain.head_start.codes(real.images))


@pytest.mark.parametrize("more", [{}, {"arch": "stylegan", "fade": "0.02", "stable": "0.02"}], ids=["2", "1"])
def test_samples_are_held_to_what_their_w_says(more: dict[str, object]) -> None:
    trainer = stepped(make.trainer(reconstruct=0.04, hold=3.0, style_mixing=0.5, **more), 10)
    start, g, full = trainer.head_start, trainer.networks.g, (16, 16)
    ws, w = torch.randn(4, g.num_ws, 8), torch.randn(4, 8)
    ws[:2] = w[:2, None]
    images = torch.randn(4, 1, 16, 16)
    assert not start.is_holding and start.hold_loss(images, ws, w, full=full) is None, "not while it lasts"
    codes = start.codes
    mapping = {name: value.clone() for name, value in g.mapping.state_dict().items() if name != "w_avg"}
    trainer.step()
    assert start.is_holding and codes is not None and start.codes is codes
    errors = (codes(images) - w).square().mean(dim=1)
    held = start.hold_loss(images, ws, w, full=full)
    assert held is not None and torch.allclose(held, errors[:2].sum() / 4), "two styles say two things"
    assert start.hold_loss(images[:, :, :8, :8], ws, w, full=full) is None, "smaller than what the codes are of"
    start.codes = Codes(torch.zeros(64), torch.randn(64, 8), 1)
    small = torch.nn.functional.avg_pool2d(images, 2)
    ours, theirs = (start.hold_loss(one, ws, w, full=full) for one in (small, images))
    assert ours is not None and theirs is not None and torch.allclose(ours, theirs)
    start.codes = codes
    stepped(trainer, 8)
    figures = trainer.figures()
    assert ("held" in figures) == (not more), "of a network that grows, once it is as large as the codes"
    assert all(torch.equal(value, g.mapping.state_dict()[name]) for name, value in mapping.items())
    if not more:
        part = slice(0, 4)
        loss, told = trainer.generator_loss(part)
        assert torch.allclose(loss, told["loss_g"] + 3 * told["held"]) and told["held"] > 0


@pytest.mark.parametrize("more", [{}, GROWS, {"hold": 2.0}], ids=["stylegan2", "stylegan", "held"])
@pytest.mark.parametrize("steps", [3, 10, 11])  # in the head start, at its end, in the part of the discriminator alone
def test_going_on_gives_the_same_bits(steps: int, more: dict[str, object]) -> None:
    settings = {"reconstruct": 0.04, **more}
    whole = stepped(make.trainer(**settings), 14)
    part = stepped(make.trainer(**settings), steps)
    again = make.trainer(**settings)
    again.restore({name: value.clone() for name, value in part.tensors().items()}, part.facts())
    stepped(again, 14 - steps)
    expected, found = whole.tensors(), again.tensors()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected if not name.startswith("figures"))


def test_processes_take_the_codes_of_the_first(tmp_path: Path) -> None:
    said = ended(start(tmp_path / "run", "--reconstruct", "0.064", "--kimg", "0.128"))
    assert [status for status, _ in said] == [0, 0], said
    alone = ended(start(tmp_path / "alone", "--reconstruct", "0.064", "--kimg", "0.128", count=1))
    assert alone[0][0] == 0, alone
    curves = [
        [
            json.loads(line)["reconstruction"]
            for line in (tmp_path / name / "log.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        for name in ("run", "alone")
    ]
    assert len(curves[0]) == 8 and curves[0][4:] == [None] * 4
    assert np.allclose(curves[0][:4], curves[1][:4], rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reconstruct": 1.0, "labels": True}, "0 with --labels: codes of pictures know no classes"),
        ({"reconstruct": 1.0, "mapping_layers": 0}, "0 with --mapping-layers 0, since z is w there"),
        ({"reconstruct": -1.0}, "a number from 0"),
        ({"hold": 1.0}, "0 without --reconstruct, whose codes hold"),
        ({"hold": 1.0, "reconstruct": 0.0004}, "0 without --reconstruct"),
        (
            {"hold": 1.0, "reconstruct": 1.0, "style_mixing": 1.0},
            "0 without --reconstruct, .* or with --style-mixing 1",
        ),
    ],
)
def test_what_has_no_head_start_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=f"^(reconstruct|hold) cannot be .*: {message}"):
        Config.read(settings)


@pytest.mark.parametrize(("hold", "reconstruct"), [(0.0, 0.04), (0.0, 0.0), (3.0, 0.08)])
def test_other_settings_end_a_hold_or_begin_again(hold: float, reconstruct: float) -> None:
    held = stepped(make.trainer(reconstruct=0.04, hold=3.0), 12)
    other = make.trainer(reconstruct=reconstruct, hold=hold)
    other.restore({name: value.clone() for name, value in held.tensors().items()}, held.facts())
    assert other.head_start.codes is None and not other.head_start.is_holding
    mapping = {name: value.clone() for name, value in other.networks.g.mapping.state_dict().items()}
    stepped(other, 12)
    moved = [
        name for name, value in mapping.items() if not torch.equal(value, other.networks.g.mapping.state_dict()[name])
    ]
    assert "layers.0.weight" in moved
    group = other.networks.g_adam.param_groups[0]
    assert group["betas"][0] == 0.0, "after a second head start the generator learns as ever"
    assert other.head_start.is_holding == bool(hold)


def test_what_came_too_late_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make.folder(tmp_path / "in", count=6)
    given = ["--data", tmp_path / "in", *SHORT, "--reconstruct", "0.004", "--out", tmp_path / "run"]
    assert run(monkeypatch, *given, "--kimg", "0.012") == 0
    capsys.readouterr()
    late = ["--out", tmp_path / "run", "--resume-anyway", "--hold", "2", "--kimg", "0.016"]
    assert run(monkeypatch, *late) == 0
    assert "nothing is held: the head start was over" in capsys.readouterr().err
    assert run(monkeypatch, *given[:-1], tmp_path / "held", "--kimg", "0.012", "--hold", "2") == 0
    assert run(monkeypatch, "--out", tmp_path / "held", "--resume", "--kimg", "0.016") == 0
    assert "nothing is held" not in capsys.readouterr().err
    log = [json.loads(line) for line in (tmp_path / "held" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert log[-1]["held"] > 0


def test_a_presets_head_start_is_for_its_own_networks_and_from_nothing(tmp_path: Path) -> None:
    def asked(*more: str) -> float:
        given = ["--preset", "brain", "--data", "phantoms", "--out", str(tmp_path / "run"), *more]
        return ask(given).config.reconstruct

    assert asked() == 100
    assert asked("--labels") == asked("--init", "other.safetensors") == 0
    assert asked("--init", "other.safetensors", "--reconstruct", "7") == 7
    assert asked("--reconstruct", "0") == 0, "and its hold goes with it"
