"""Drawings of the networks: what they say is true, they are sound files, and drawing disturbs nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

import core
from core import stylegan
from core.sizes import filters
from tests.pace import soon
from train import drawing, tracing
from train.growth import Stage

SIZES = [(7, 6), (14, 12), (28, 24)]
FILTERS = (12, 8, 4)


def stages(sizes: list[tuple[int, int]]) -> list[Stage]:
    """Every size stable, and but the first fading in before."""
    fades = [Stage(k, size, 0.0, 4, 0, True, 1) for k, size in enumerate(sizes)]
    stable = [Stage(k, size, 1.0, 4, 0, False, 1) for k, size in enumerate(sizes)]
    return [stage for pair in zip(fades, stable, strict=True) for stage in pair][1:]


STAGES = stages(SIZES)
SVG = "{http://www.w3.org/2000/svg}"


def growing(classes: int = 0, channels: int = 1) -> tuple[core.Generator, core.Discriminator]:
    torch.manual_seed(0)
    common = {"size": SIZES[-1], "filters": FILTERS, "num_classes": classes, "channels": channels}
    g = core.build_generator(stylegan.GeneratorConfig(**common, z_dim=10, w_dim=6, mapping_layers=3))  # type: ignore[arg-type]
    return g, core.build_discriminator(stylegan.DiscriminatorConfig(**common))  # type: ignore[arg-type]


def plain(classes: int = 0) -> tuple[core.Generator, core.Discriminator]:
    torch.manual_seed(0)
    common = {"size": (16, 16), "filters": FILTERS, "num_classes": classes}
    g = core.build_generator(core.GeneratorConfig(**common, z_dim=6, w_dim=6, mapping_layers=2))  # type: ignore[arg-type]
    return g, core.build_discriminator(core.DiscriminatorConfig(**common))  # type: ignore[arg-type]


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_every_size_has_its_files_in_both_phases(tmp_path: Path) -> None:
    g, d = growing()
    drawing.draw_networks(g, d, STAGES, tmp_path)
    phases = ["007x006", "014x012-fade", "014x012", "028x024-fade", "028x024"]
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{kind}-{phase}.svg" for kind in ("generator", "discriminator") for phase in phases
    }
    first = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    drawing.draw_networks(g, d, STAGES, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == first
    for text in map(bytes.decode, first.values()):
        assert ElementTree.fromstring(text).tag == f"{SVG}svg" and "prefers-color-scheme" in text
        assert not re.search(r"(?:href|src|url\(|@import|<script)", text)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: f"{stage.size}{stage.fading}")
@pytest.mark.parametrize("classes", [0, 3])
def test_parameters_are_those_that_a_loss_reaches(stage: Stage, classes: int) -> None:
    g, d = growing(classes)
    made = tracing.generator(g, size=stage.size, fading=stage.fading)
    reached = [*g.mapping.parameters(), *g.synthesis.reached(stage.level, fading=stage.fading)]  # type: ignore[union-attr]
    assert sum(part.parameters for part in made) == sum(parameter.numel() for parameter in reached)
    judged = tracing.discriminator(d, size=stage.size, fading=stage.fading)
    reached = d.reached(stage.level, fading=stage.fading)  # type: ignore[union-attr]
    assert sum(part.parameters for part in judged) == sum(parameter.numel() for parameter in reached)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_network_that_does_not_grow_is_drawn_whole(tmp_path: Path, classes: int) -> None:
    g, d = plain(classes)
    assert sum(p.parameters for p in tracing.generator(g, size=g.size, fading=False)) == drawing._count(g)
    assert sum(p.parameters for p in tracing.discriminator(d, size=g.size, fading=False)) == drawing._count(d)
    drawing.draw_networks(g, d, [Stage(2, g.size, 1.0, 4, 0, False, 1)], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["discriminator-016x016.svg", "generator-016x016.svg"]
    said = words((tmp_path / "generator-016x016.svg").read_text(encoding="utf-8"))
    assert "does not grow" in said and "4 × 16 × 16" in said and not any("α" in word for word in said)


def test_shapes_come_from_the_modules() -> None:
    g, d = growing(channels=3)
    made = {(part.kind, part.level): part.rows for part in tracing.generator(g, size=(14, 12), fading=True)}
    assert [row.shape for row in made["level", 1]] == [(8, 14, 12), (16,), (8, 14, 12), (16,)]
    assert made["level", 0][0].shape == (12, 7, 6) and made["level", 0][0].says == "learned constant"
    assert made["mapping", None][0].times == 1 and made["mapping", None][1].times == 2
    assert made["rgb", 1][0].shape == (3, 14, 12) and made["rgb", 0][0].shape == (3, 7, 6)
    assert made["rgb", 1][0].parameters == 3 * 8 + 3 and made["level", 1][0].parameters == 8 * 12 * 9 + 8 + 8
    judged = {(part.kind, part.level): part.rows for part in tracing.discriminator(d, size=(14, 12), fading=False)}
    assert ("rgb", 0) not in judged and judged["rgb", 1][0].shape == (8, 14, 12)
    assert [row.shape for row in judged["level", 1]] == [(8, 14, 12), (12, 7, 6)]
    assert [row.shape for row in judged["end", None]] == [(13, 7, 6), (12, 7, 6), (12,), (1,)]


def test_a_fade_shows_both_ways_and_a_stable_size_one(tmp_path: Path) -> None:
    drawing.draw_networks(*growing(), STAGES, tmp_path)
    for kind, layer in (("generator", "toRGB"), ("discriminator", "fromRGB")):
        fade, stable = (
            words((tmp_path / f"{kind}-028x024{end}.svg").read_text(encoding="utf-8")) for end in ("-fade", "")
        )
        assert {"fading in", "× α", "× (1 − α)", f"{layer} 14 × 12", f"{layer} 28 × 24"} <= set(fade)
        assert "stable" in stable and f"{layer} 28 × 24" in stable
        assert f"{layer} 14 × 12" not in stable and not any("α" in word for word in stable)


def test_nothing_lies_outside_the_page_and_no_cards_lie_on_one_another(tmp_path: Path) -> None:
    drawing.draw_networks(*growing(2), STAGES, tmp_path)
    drawing.draw_networks(*plain(2), [Stage(2, (16, 16), 1.0, 4, 0, False, 1)], tmp_path)
    for file in tmp_path.iterdir():
        root = ElementTree.fromstring(file.read_text(encoding="utf-8"))
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        boxes = []
        for rect in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(rect.get(key, "0")) for key in ("x", "y", "width", "height"))
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height and w > 0 and h > 0
            if "card" in rect.get("class", ""):
                boxes.append((x, y, x + w, y + h))
        for text in root.iter(f"{SVG}text"):
            assert 0 < float(text.get("x", "0")) < width and 0 < float(text.get("y", "0")) < height
        for a, first in enumerate(boxes):
            for second in boxes[a + 1 :]:
                across = min(first[2], second[2]) - max(first[0], second[0])
                assert across <= 0 or min(first[3], second[3]) <= max(first[1], second[1]), file.name


def test_drawing_moves_no_weight_no_gradient_and_no_random_number(tmp_path: Path) -> None:
    g, d = growing(3)
    kept = [{name: value.clone() for name, value in network.state_dict().items()} for network in (g, d)]
    before, modes = torch.get_rng_state(), (g.training, d.training)
    drawing.draw_networks(g, d, STAGES, tmp_path)
    assert torch.equal(torch.get_rng_state(), before) and (g.training, d.training) == modes
    for network, old in zip((g, d), kept, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_five_sizes_are_drawn_in_a_moment(tmp_path: Path) -> None:
    size, widths = (112, 96), filters((112, 96), (7, 6), base=2048, maximum=128)
    g = core.build_generator(stylegan.GeneratorConfig(size=size, filters=widths, z_dim=64, w_dim=64))
    d = core.build_discriminator(stylegan.DiscriminatorConfig(size=size, filters=widths))
    began = time.process_time()
    drawing.draw_networks(g, d, stages(g.sizes), tmp_path)
    assert len(list(tmp_path.iterdir())) == 18 and soon(time.process_time() - began, seconds=2)
