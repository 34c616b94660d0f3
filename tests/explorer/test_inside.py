"""What a network makes on the way to a picture: every layer found again in float64, and by another way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import core
from core.errors import SettingError
from core.generator import Generator
from core.latents import seeds_to_z
from explorer import inside, layering, plates
from explorer.inside import Look
from explorer.plates import Plate


def toy_stylegan2(architecture: str, *, channels: int = 1) -> Generator:
    torch.manual_seed(4)
    config = core.GeneratorConfig(
        size=(28, 24), filters=(12, 8, 6), z_dim=8, w_dim=8, mapping_layers=1, channels=channels,
        architecture=architecture, conv_clamp=3.0,
    )  # fmt: skip
    return livened(core.build_generator(config))


def toy_stylegan(noise: str = "layer") -> Generator:
    torch.manual_seed(5)
    config = core.stylegan.GeneratorConfig(
        size=(28, 24), filters=(12, 8, 6), z_dim=8, w_dim=8, mapping_layers=1, noise=noise
    )
    return livened(core.build_generator(config))


def livened(generator: Generator) -> Generator:
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith(("strength", "bias")):
                parameter.normal_(std=0.4)
    return generator.eval()


def styles(generator: Generator, seed: int = 3) -> torch.Tensor:
    with torch.inference_mode():
        return generator.truncate(generator.mapping(seeds_to_z([seed], generator.z_dim)), psi=0.8)[0]


def by_hand(generator: Generator, ws: torch.Tensor, noise: Any, *, level: int, alpha: float = 1.0) -> dict[str, Any]:
    """Every map in float64, block by block, without hooks."""
    wide = core.build_generator(generator.config).double()
    wide.load_state_dict(generator.state_dict())
    synthesis, rows = wide.synthesis, ws.double()[None].unbind(dim=1)
    sizes = generator.config.level_sizes
    found: dict[str, Any] = {"const": synthesis.blocks[0].const[None]}
    maps = iter(synthesis.noise_maps(noise, 1, ws.double()))
    x, img, used = None, None, 0
    for k, block in enumerate(list(synthesis.blocks)[: level + 1]):
        name = "x".join(map(str, sizes[k]))
        before, x = x, found["const"] if x is None else x
        if generator.grows:
            for part in ("conv0", "conv1"):
                x = getattr(block, part)(x, rows[used], next(maps))
                found[f"{part}-{name}"], used = x, used + 1
            img = synthesis.torgb[k](x)
            if k == level and k:
                found[f"rgb-{name}"] = img
                smaller = core.stylegan._nearest(synthesis.torgb[k - 1](before))
                img = (1 - alpha) * smaller + alpha * img
            found[f"picture-{name}"] = img
            continue
        y = x
        for part in ("conv0", "conv1") if k else ("conv1",):
            y = getattr(block, part)(y, rows[used], next(maps))
            found[f"{part}-{name}"], used = y, used + 1
        x = block.skip(x) + y if block.residual else y
        if block.residual:
            found[f"sum-{name}"] = x
        if block.torgb is not None:
            rgb = block.torgb(x, rows[used])
            found[f"rgb-{name}"] = rgb
            img = rgb if img is None else block.doubled(img) + rgb
            found[f"picture-{name}"] = img
    return {name: one[0].detach() for name, one in found.items()}


CASES = [("skip", 7), ("resnet", "const"), ("orig", "none")]


@pytest.mark.parametrize(("architecture", "noise"), CASES)
def test_every_layer_of_a_stylegan2_is_what_float64_makes_of_it(architecture: str, noise: Any) -> None:
    generator = toy_stylegan2(architecture, channels=3)
    ws = styles(generator)
    seen = inside.look(generator, ws, noise)
    compare(seen, by_hand(generator, ws, noise, level=2))
    assert [layer.w for layer in seen.layers if layer.kind == "conv"] == [0, 1, 2, 3, 4]
    kinds = [layer.kind for layer in seen.layers]
    assert kinds.count("sum") == (2 if architecture == "resnet" else 0)
    assert kinds.count("picture") == (3 if architecture == "skip" else 1)
    with torch.inference_mode():
        drawn = generator.synthesis(ws[None], noise)[0]
    assert torch.equal(seen.maps["picture-28x24"], drawn) or (seen.maps["picture-28x24"] - drawn).abs().max() < 1e-5


@pytest.mark.parametrize(("noise", "level", "alpha"), [("const", 2, 1.0), (9, 2, 0.25), ("none", 1, 0.5), (1, 0, 1.0)])
def test_every_layer_of_a_stylegan_in_every_size_and_fade(noise: Any, level: int, alpha: float) -> None:
    generator = toy_stylegan("level" if noise == 9 else "layer")
    ws, size = styles(generator), generator.sizes[level]
    seen = inside.look(generator, ws, noise, size, alpha)
    compare(seen, by_hand(generator, ws, noise, level=level, alpha=alpha))
    with torch.inference_mode():
        drawn = generator.synthesis(ws[None], noise, size, alpha)[0]
    assert seen.layers[-1].size == size and (seen.maps[seen.layers[-1].name] - drawn).abs().max() < 1e-5


def compare(seen: Look, expected: dict[str, torch.Tensor]) -> None:
    assert [layer.name for layer in seen.layers] == list(expected)
    assert [layer.index for layer in seen.layers] == list(range(len(expected)))
    for layer in seen.layers:
        maps, right = seen.maps[layer.name], expected[layer.name]
        assert tuple(right.shape) == (layer.channels, *layer.size) == tuple(maps.shape)
        tolerance = 2e-4 * float(right.std(correction=0)) + 1e-6
        assert (maps - right).abs().max() < tolerance, layer.name
        assert (seen.means[layer.name] - right.mean(dim=(1, 2))).abs().max() < tolerance
        assert (seen.deviations[layer.name] - right.std(dim=(1, 2), correction=0)).abs().max() < tolerance
        assert seen.overall(layer.name) == pytest.approx(
            (float(right.mean()), float(right.std(correction=0))), abs=tolerance
        )


def test_looking_leaves_the_network_as_it_was() -> None:
    generator = toy_stylegan2("skip")
    inside.look(generator, styles(generator))
    assert not any(module._forward_hooks for module in generator.modules())


def test_of_a_large_network_only_what_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_KEPT", 100)
    generator = toy_stylegan2("resnet")
    seen = inside.look(generator, styles(generator), layer="conv0-14x12")
    assert set(seen.maps) == {"conv0-14x12", "conv1-7x6", "sum-14x12", "picture-28x24"}
    assert set(seen.means) == {layer.name for layer in seen.layers}
    assert len(plates.growing(seen, (2, 2, 20, 20))) == 3


def test_a_layer_is_found_by_name_and_number_and_nothing_else_is() -> None:
    known = inside.layers(toy_stylegan2("skip"))
    assert inside.find(known, "conv1-14x12") is inside.find(known, known.index(inside.find(known, "conv1-14x12")))
    for wrong in ("conv9", "-1", "1e3", "", "\u0661", "10" * 400, str(len(known))):
        with pytest.raises(SettingError, match="^layer cannot be"):
            inside.find(known, wrong)


# --- as pictures -------------------------------------------------------------------------------------------------


def test_gray_levels_are_deviations_from_the_mean_of_the_layer_or_of_the_channel() -> None:
    generator = toy_stylegan2("skip")
    seen = inside.look(generator, styles(generator))
    layer = inside.find(seen.layers, "conv1-14x12")
    maps = seen.maps[layer.name].numpy().astype(np.float64)
    for scale, mean, deviation in (
        ("common", maps.mean(), maps.std()),
        ("own", maps.mean(axis=(1, 2), keepdims=True), maps.std(axis=(1, 2), keepdims=True)),
    ):
        expected = np.clip(np.rint(128 + 127 * (maps - mean) / (3 * deviation)), 0, 255)
        drawn = plates.sheet(seen, layer, Plate(scale=scale, columns=4, cell=28))
        assert drawn.shape == (2 * 30 - 2, 4 * 26 - 2)
        for k in range(8):
            top, left = 30 * (k // 4), 26 * (k % 4)
            cell = drawn[top : top + 28 : 2, left : left + 24 : 2]
            assert abs(cell - expected[k]).max() <= 1 and np.mean(cell != expected[k]) < 0.01


def test_channels_come_by_deviation_the_largest_first() -> None:
    generator = toy_stylegan2("skip")
    seen = inside.look(generator, styles(generator))
    layer = inside.find(seen.layers, "conv1-7x6")
    chosen = plates.order(seen, layer, Plate(sort="deviation", first=2, count=5))
    deviations = seen.maps[layer.name].double().std(dim=(1, 2), correction=0).numpy()
    assert chosen == np.argsort(-deviations, kind="stable")[2:7].tolist()
    assert plates.order(seen, layer, Plate(first=10)) == [10, 11]
    with pytest.raises(SettingError, match="^first cannot be"):
        plates.order(seen, layer, Plate(first=12))


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_the_last_of_the_growing_pictures_is_the_picture(architecture: str) -> None:
    generator = toy_stylegan2(architecture, channels=3)
    ws, crop = styles(generator), (3, 2, 22, 21)
    row = plates.growing(inside.look(generator, ws), crop)
    with torch.inference_mode():
        drawn = core.pictures.to_8bit(generator.synthesis(ws[None]))[0]
    assert np.array_equal(row[-1], core.pictures.crop(drawn, crop))
    assert [one.shape[:2] for one in row] == [(22, 21)] * 3
    assert np.array_equal(row[0][1:5, 2:6], np.broadcast_to(row[0][1, 2], row[0][1:5, 2:6].shape)), "4 x 4 blocks"


def test_where_there_is_no_picture_yet_it_is_what_the_channels_share_most() -> None:
    generator = toy_stylegan2("resnet")
    seen = inside.look(generator, styles(generator))
    row = plates.growing(seen, (0, 0, 28, 24))
    for level in (0, 1):  # with more channels than pixels, and with fewer
        maps = seen.maps[seen.of_size(level).name].double().flatten(1).numpy()
        _, _, scores = np.linalg.svd(maps - maps.mean(axis=1, keepdims=True), full_matrices=False)
        shown = row[level][:: 4 >> level, :: 4 >> level].astype(float).ravel()
        assert abs(np.corrcoef(scores[0], shown)[0, 1]) > 0.98
    small = torch.nn.functional.avg_pool2d(seen.maps["picture-28x24"], 2)[0].numpy().ravel()
    assert np.corrcoef(small, row[1][::2, ::2].ravel())[0, 1] > 0, "bright where the picture is"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_what_is_not_finite_is_said_and_drawn_all_the_same(value: float) -> None:
    generator = toy_stylegan2("resnet")
    with torch.no_grad():
        generator.synthesis.blocks[0].const[0, 0, 0] = value
    seen = inside.look(generator, styles(generator))
    json.dumps([layering.statistics(seen, layer) for layer in seen.layers], allow_nan=False)
    for layer in seen.layers:
        told = layering.numbers(seen, layer, layering.spectrum_of(seen, layer))
        json.dumps(told, allow_nan=False)
        assert plates.sheet(seen, layer, Plate(sort="deviation", scale="own")).dtype == np.uint8
    assert len(plates.growing(seen, (0, 0, 28, 24))) == 3


def test_what_cannot_be_laid_out_is_refused_by_name() -> None:
    for name, value in (("sort", "size"), ("scale", ""), ("count", 0), ("columns", 0), ("cell", 7), ("cell", 1025)):
        with pytest.raises(SettingError, match=f"^{name} cannot be"):
            Plate(**{name: value})
    with pytest.raises(SettingError, match="^first cannot be"):
        Plate(first=-1)


def test_a_dead_channel_is_middle_gray(tmp_path: Path) -> None:
    generator = toy_stylegan2("skip")
    with torch.no_grad():
        generator.synthesis.blocks[0].const[3] = 1.5
    seen = inside.look(generator, styles(generator))
    drawn = plates.sheet(seen, seen.layers[0], Plate(scale="own", first=3, count=1, cell=8))
    assert drawn.shape == (7, 6) and (drawn == 128).all()
