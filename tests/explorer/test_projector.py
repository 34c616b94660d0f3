"""Projecting: a network's own pictures come back, everything else comes as near as it can."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core import pictures
from core.errors import CheckpointError, SettingError
from explorer import features
from explorer.descent import picture_in
from explorer.projection import Moment, Wish
from explorer.projector import Projector, fitted
from tests.explorer.conftest import growing, toy

SHORT = Wish(space="w", steps=80)


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Projector:
    """A projector into a gray network with a margin."""
    path = toy(tmp_path_factory.mktemp("toys") / "gray.safetensors", crop=[1, 0, 12, 11])
    return Projector(core.load(path), device="cpu")


def own(projector: Projector, seed: int, psi: float = 1.0) -> np.ndarray:
    return pictures.to_8bit(projector.own_picture(seed, psi))[0]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(a.astype(float) - b.astype(float)).mean())))


@pytest.mark.parametrize("psi", [1.0, 0.7])
def test_a_picture_of_the_networks_own_comes_back(gray: Projector, psi: float) -> None:
    picture = own(gray, 5000, psi)
    found = gray.project(picture, SHORT, yardstick=False)
    assert psnr(found.picture, picture) >= 35
    assert found.ws.dtype == np.float32 and found.ws.shape == (gray.generator.num_ws, gray.generator.w_dim)
    assert (found.ws == found.ws[0]).all() and found.steps == 80 and not found.stopped
    with torch.no_grad():
        drawn = gray.draw(torch.from_numpy(found.ws)[None])
    assert np.array_equal(pictures.to_8bit(drawn)[0], found.picture)


def test_a_growing_network_and_its_sizes(tmp_path: Path) -> None:
    opened = core.load(growing(tmp_path / "grow.safetensors"))
    for growth in (None, ((14, 12), 0.5)):
        projector = Projector(opened, growth=growth, device="cpu")
        picture = own(projector, 5000)
        assert picture.shape == ((25, 22) if growth is None else (13, 12))
        assert psnr(projector.project(picture, SHORT, yardstick=False).picture, picture) >= 35
    with pytest.raises(SettingError, match="grew through"):
        Projector(opened, growth=((15, 12), 1.0), device="cpu")


def test_classes_are_searched_or_given(tmp_path: Path) -> None:
    path = toy(tmp_path / "colour.safetensors", seed=1, size=(16, 16), channels=3, num_classes=3)
    projector = Projector(core.load(path), device="cpu")
    with torch.no_grad():
        w = projector.generator.mapping(torch.randn(1, 8), torch.tensor([2]))
        picture = pictures.to_8bit(projector.draw(projector.generator.truncate(w, psi=1)))[0]
    found = projector.project(picture, SHORT, yardstick=False)
    assert found.label == 2 and psnr(found.picture, picture) >= 35 and found.picture.shape == (16, 16, 3)
    assert projector.project(picture, Wish(space="w", steps=20, label=1), yardstick=False).label == 1
    with pytest.raises(SettingError, match="0 to 2"):
        projector.project(picture, Wish(label=3))


def test_the_yardstick_is_of_the_class_found(tmp_path: Path) -> None:
    path = toy(tmp_path / "colour.safetensors", seed=1, size=(16, 16), channels=3, num_classes=3)
    projector = Projector(core.load(path), device="cpu")
    picture = pictures.to_8bit(projector.own_picture(6, label=1))[0]
    asked: list[Wish] = []

    def known(wish: Wish) -> None:
        asked.append(wish)

    found = projector.project(picture, SHORT, yardstick=known)
    assert found.label == 1 and found.own is not None and set(asked) == {replace(SHORT, label=1)}
    own, foreign = (
        projector.project(
            pictures.to_8bit(projector.own_picture(label=label))[0], replace(SHORT, label=1), yardstick=False
        )
        for label in (1, 0)
    )
    assert found.own.levels == pytest.approx(own.distance.levels, abs=0.1) and own.distance.levels < 1
    assert foreign.distance.levels > 2
    other = projector.project(pictures.to_8bit(projector.own_picture(6, label=2))[0], SHORT)
    assert other.label == 2 and other.own is not None and other.own != found.own
    assert projector.project(picture, SHORT).own == found.own


def test_the_search_for_a_class_can_be_stopped_and_keeps_no_w(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toy(tmp_path / "many.safetensors", seed=1, num_classes=24)
    projector = Projector(core.load(path), device="cpu")
    picture = pictures.to_8bit(projector.own_picture(7, label=20))[0]
    assert projector.project(picture, Wish(space="w", steps=20), yardstick=False).label in range(24)
    assert len(projector._spaces) <= 3 and len(projector._glimpses) == 24
    other = Projector(core.load(path), device="cpu")
    stopped = other.project(picture, Wish(steps=20), stop=lambda: len(other._glimpses) >= 5)
    assert stopped.stopped and stopped.label is not None and stopped.label < 5
    assert len(other._glimpses) == 5 and len(other._spaces) == 1
    late = Projector(core.load(path), device="cpu")
    glimpse = late.glimpse

    def slow(label: int, count: int) -> torch.Tensor:
        time.sleep(0.1)
        return glimpse(label, count)

    monkeypatch.setattr(late, "glimpse", slow)
    late.project(picture, Wish(space="w", seconds=1.0), yardstick=False)
    assert len(late._glimpses) < 8


def test_a_w_for_each_layer_comes_nearer_and_noise_maps_nearer_still(gray: Projector) -> None:
    with torch.no_grad():
        ws = gray.rows(gray._map([5000], None)).clone()
        ws[:, 2:] = gray._map([5001], None)
        picture = pictures.to_8bit(gray.draw(ws, [torch.randn(one) for one in gray.generator.noise_shapes]))[0]
    levels = [
        gray.project(picture, Wish(space=space, steps=150, noise_maps=noise), yardstick=False)
        for space, noise in (("w", False), ("w+", False), ("w+", True))
    ]
    assert levels[0].distance.levels > 1.1 * levels[1].distance.levels > 1.21 * levels[2].distance.levels
    maps = levels[2].noise
    assert levels[1].noise is None and maps is not None
    assert [one.shape for one in maps] == [tuple(shape) for shape in gray.generator.noise_shapes]
    assert all(abs(one.std(ddof=1) - 1) < 1e-3 and abs(one.mean()) < 1e-4 for one in maps)


def test_the_same_again_and_the_yardstick(gray: Projector) -> None:
    picture = own(gray, 5001, 0.7) // 2 + 40
    wish = Wish(steps=40)
    first, second = (gray.project(picture, wish) for _ in range(2))
    assert np.array_equal(first.ws, second.ws) and first.own == second.own
    assert first.own is not None and first.own.levels < first.distance.levels
    again = gray.project(picture, wish, yardstick=first.distance)
    assert again.own == first.distance


def test_stopping_keeps_what_was_reached(gray: Projector) -> None:
    seen: list[Moment] = []
    picture = own(gray, 5002)
    found = gray.project(picture, Wish(steps=400), progress=seen.append, stop=lambda: len(seen) >= 30)
    assert found.stopped and found.steps == 30 and found.own is None
    assert [one.done for one in seen] == list(range(1, 31)) and {one.total for one in seen} == {800}
    assert found.distance == seen[-1].reached().distance


def test_seconds_plan_the_steps(gray: Projector) -> None:
    assert 20 <= gray.project(own(gray, 5002), Wish(space="w", seconds=1), yardstick=False).steps < 20_000


def test_pictures_of_any_kind_are_fitted() -> None:
    window, size = (8, 8, 208, 176), (224, 192)
    slice_ = np.random.RandomState(0).randint(0, 256, (208, 176)).astype(np.uint8)
    assert np.array_equal(fitted(slice_, window=window, size=size), slice_)
    halved = fitted(slice_, window=(4, 4, 104, 88), size=(112, 96))
    assert halved.shape == (104, 88) and abs(float(halved.mean()) - slice_.mean()) < 2
    wide = fitted(np.full((50, 200, 3), 7000, np.uint16), window=window, size=size)
    assert wide.shape == (208, 176, 3) and wide.dtype == np.uint16
    assert (wide[82:126] == 7000).all() and (wide[:82] == 0).all() and (wide[126:] == 0).all()
    assert fitted(np.ones((1, 5000), np.uint8), window=window, size=size).shape == (208, 176)


def test_a_level_of_black_stands_for_all_below_it(gray: Projector) -> None:
    # Of this network half of the levels lie beyond 0 or 255; whoever compared them as they are would be led away.
    with torch.no_grad():
        raw = gray.draw(gray.generator.truncate(gray._map([5003], None), psi=1))
    assert float((raw.abs() > 1).float().mean()) > 0.1
    assert gray.project(own(gray, 5003), SHORT, yardstick=False).distance.psnr >= 35


def test_colour_and_depth_become_the_networks(gray: Projector) -> None:
    levels = own(gray, 5004)
    expected = gray.tensor(levels)
    assert torch.allclose(gray.tensor(np.repeat(levels[..., None], 3, axis=2)), expected, atol=1e-6)
    assert torch.allclose(gray.tensor(levels.astype(np.uint16) * 257), expected, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"space": "z"},
        {"steps": 19},
        {"steps": True},
        {"steps": 10**9},
        {"seconds": float("nan")},
        {"seconds": 0},
        {"noise_maps": 1},
    ],
)
def test_wishes_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        Wish(**wrong)


def test_labels_and_noise_need_a_network_that_has_them(gray: Projector, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no classes"):
        gray.project(own(gray, 1), Wish(label=0))
    projector = Projector(core.load(toy(tmp_path / "plain.safetensors", use_noise=False)), device="cpu")
    with pytest.raises(SettingError, match="takes no noise"):
        projector.project(own(projector, 1), Wish(noise_maps=True))


# --- features ----------------------------------------------------------------------------------------------------


def test_features_are_of_unit_length_and_apart_by_their_angle() -> None:
    looks = features.of_random(1)
    a, b = torch.rand(2, 1, 1, 24, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ours, theirs = looks(a), looks(b)
    assert [tuple(one.shape[2:]) for one in ours] == [(24, 20), (12, 10), (6, 5), (3, 2)]
    assert all(torch.allclose(one.norm(dim=1), torch.ones_like(one[:, 0]), atol=1e-3) for one in ours)
    expected = np.mean([(2 - 2 * (x * y).sum(dim=1)).mean().item() for x, y in zip(ours, theirs, strict=True)])
    assert features.apart(ours, theirs).item() == pytest.approx(expected, rel=1e-3)
    assert features.apart(ours, ours).item() == 0 and torch.equal(ours[0], features.of_random(1)(a)[0])


def test_the_discriminator_of_the_file_is_looked_through(tmp_path: Path) -> None:
    for kind in (core.stylegan2, core.stylegan):
        torch.manual_seed(0)
        generator = core.build_generator(
            kind.GeneratorConfig(size=(14, 12), filters=(8, 8), z_dim=8, w_dim=8, mapping_layers=2)
        )
        discriminator = core.build_discriminator(kind.DiscriminatorConfig(size=(14, 12), filters=(8, 8)))
        core.save(tmp_path / "one.safetensors", generator, discriminator)
        projector = Projector(core.load(tmp_path / "one.safetensors"), device="cpu")
        assert projector.looks == "the discriminator"
        assert [one.shape[1:] for one in projector.look(torch.zeros(1, 1, 14, 12))] == [(8, 7, 6)]
        assert projector.project(own(projector, 5000), SHORT, yardstick=False).distance.psnr >= 35


def test_picture_in_noise_is_seen() -> None:
    flat = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    waves = torch.sin(torch.arange(32.0) / 3)[None].expand(32, 32) * 2**0.5
    assert picture_in([waves]) > 20 * picture_in([flat])
    by_hand = sum((flat * flat.roll(1, axis)).mean() ** 2 for axis in (0, 1))
    half = 2 * torch.nn.functional.avg_pool2d(flat[None, None], 2)[0, 0]
    by_hand = by_hand + sum((half * half.roll(1, axis)).mean() ** 2 for axis in (0, 1))
    quarter = 2 * torch.nn.functional.avg_pool2d(half[None, None], 2)[0, 0]
    by_hand = by_hand + sum((quarter * quarter.roll(1, axis)).mean() ** 2 for axis in (0, 1))
    assert picture_in([flat]).item() == pytest.approx(float(by_hand), rel=1e-4)


def test_weights_of_vgg_are_checked(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(CheckpointError, match="missing"):
        features.of_file(tmp_path / "none.safetensors")
    path = tmp_path / "some.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(CheckpointError, match="holds no VGG16"):
        features.of_file(path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_vgg_is_read_without_running_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    from safetensors.torch import save_file

    narrow = {number: max(2, width // 32) for number, width in features._VGG.items()}
    monkeypatch.setattr(features, "_VGG", narrow)
    weights, inputs = {}, 3
    for number, width in narrow.items():
        weights[f"features.{number}.weight"] = torch.randn(width, inputs, 3, 3)
        weights[f"features.{number}.bias"], inputs = torch.randn(width), width
    path = tmp_path / f"vgg.{suffix}"
    if suffix == "pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    picture = torch.rand(1, 1, 40, 36) * 2 - 1
    found = features.of_file(path)(picture)
    assert [tuple(one.shape[1:]) for one in found] == [(2, 40, 36), (4, 20, 18), (8, 10, 9), (16, 5, 4), (16, 2, 2)]
    # The first of the maps by hand, torchvision's normalisation included.
    x = (picture.expand(-1, 3, -1, -1) + 1) / 2
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    for number in (0, 2):
        weight, bias = weights[f"features.{number}.weight"], weights[f"features.{number}.bias"]
        x = torch.nn.functional.conv2d(x, weight, bias, padding=1).relu()
    assert torch.allclose(found[0], x / (x.square().sum(dim=1, keepdim=True) + 1e-8).sqrt(), atol=1e-4)
