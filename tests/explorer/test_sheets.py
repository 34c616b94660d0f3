"""Sheets and walks: every cell and frame is the exact picture of its recipe, ends included."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import pictures
from core.errors import OutputError, SettingError
from explorer import animate, sheets
from explorer.animate import Walk
from explorer.recipe import Mix, Recipe
from explorer.studio import Studio
from explorer.timeline import Timeline
from tests.core.gif import decode_gif

BRAIN = Recipe(checkpoint="brain")


def _cell(sheet: np.ndarray, row: int, column: int, *, cell: tuple[int, int] = (12, 11)) -> np.ndarray:
    top, left = row * (cell[0] + 2), column * (cell[1] + 2)
    return sheet[top : top + cell[0], left : left + cell[1]]


def test_a_grid_cell_is_the_rendered_picture(studio: Studio) -> None:
    sheet = sheets.grid(replace(BRAIN, psi=0.9), [5, 6, 7, 8, 9])
    drawn = sheets.draw(studio, sheet)
    assert sheet.columns == 3 and drawn.shape == (2 * 14 - 2, 3 * 13 - 2)
    for index, seed in enumerate([5, 6, 7, 8, 9]):
        alone = studio.exact(Recipe(checkpoint="brain", seed=seed, psi=0.9))
        assert np.array_equal(_cell(drawn, *divmod(index, 3)), alone)
    told = json.loads(sheets.text(studio, sheet)["styloscope"])
    assert told["seeds"] == [5, 6, 7, 8, 9] and told["recipe"]["psi"] == 0.9 and len(told["sha"]) == 12


def test_the_matrix_of_mixed_styles(studio: Studio) -> None:
    sheet = sheets.matrix(BRAIN, rows=[0, 1], columns=[10, 11, 12], layers="2-3")
    drawn = sheets.draw(studio, sheet)
    layout = pictures.Layout.of(
        count=6, columns=3, cell=(12, 11), row_labels=sheet.row_labels, column_labels=sheet.column_labels
    )
    for row, seed in enumerate([0, 1]):
        for column, style in enumerate([10, 11, 12]):
            alone = studio.exact(replace(BRAIN, seed=seed, mix=(Mix(seed=style, layers="2-3"),)))
            top, left = layout.corner(row, column)
            assert np.array_equal(drawn[top : top + 12, left : left + 11], alone)


def test_columns_of_a_class_of_their_own() -> None:
    base = replace(BRAIN, label=1)
    sheet = sheets.matrix(base, rows=[0], columns=[5], layers="2-3", column_label=0)
    assert sheet.cells == (replace(base, seed=0, mix=(Mix(seed=5, layers="2-3", label=0),)),)
    assert sheet.about["column_label"] == 0
    for wrong in (-1, True, 1.0, "1"):
        with pytest.raises(SettingError, match="column_label"):
            sheets.matrix(base, rows=[0], columns=[5], layers="2-3", column_label=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [{"toward": {"seed": 9, "t": 1}}, {"blend": [{"seed": 9}]}, {"point": "ann"}])
def test_the_seeds_of_a_sheet_take_the_place_of_the_pictures_of_its_recipe(other: dict[str, Any]) -> None:
    base = Recipe.parse({"checkpoint": "brain", "psi": 0.5, **other})
    plain = tuple(Recipe(checkpoint="brain", seed=seed, psi=0.5) for seed in (3, 4))
    assert sheets.grid(base, [3, 4]).cells == plain
    mixed = sheets.matrix(base, rows=[3, 4], columns=[7], layers="2-3").cells
    assert tuple(replace(cell, mix=()) for cell in mixed) == plain


def test_the_corners_of_a_sheet_are_the_pictures(studio: Studio) -> None:
    corners = [replace(BRAIN, seed=seed) for seed in (3, 1, 4, 15)]
    drawn = sheets.draw(studio, sheets.bilinear(corners, steps=4))
    assert drawn.shape == (4 * 14 - 2, 4 * 13 - 2)
    for place, corner in zip([(0, 0), (0, 3), (3, 0), (3, 3)], corners, strict=True):
        assert np.array_equal(_cell(drawn, *place), studio.exact(corner))
    by_hand = (2 / 3) * studio.ws(corners[0]) + (1 / 3) * studio.ws(corners[1])
    assert np.allclose(studio.ws(sheets.bilinear(corners, steps=4).cells[1]), by_hand, atol=1e-6)
    for steps in (0, -1, 65):
        with pytest.raises(SettingError, match="steps"):
            sheets.bilinear(corners, steps=steps)
    with pytest.raises(SettingError, match="four corners"):
        sheets.bilinear(corners[:3], steps=4)


def _seeds(*seeds: int) -> tuple[Recipe, ...]:
    return tuple(replace(BRAIN, seed=seed) for seed in seeds)


@pytest.mark.parametrize(("space", "ease"), [("w", "linear"), ("w", "smooth"), ("z", "linear")])
def test_a_walk_has_its_frames_and_its_ends(studio: Studio, tmp_path: Path, space: str, ease: str) -> None:
    walk = Walk(_seeds(3, 9, 27), steps=3, space=space, ease=ease)
    seen: list[tuple[int, int]] = []
    animate.write(studio, walk, tmp_path / "a.gif", progress=lambda done, total: seen.append((done, total)))
    shown, _ = decode_gif((tmp_path / "a.gif").read_bytes())
    assert len(shown) == walk.count == 7 and seen[-1] == (7, 7)
    for index, recipe in enumerate(walk.frames()):
        assert np.array_equal(shown[index][..., 0], studio.exact(recipe))
    for index, seed in ((0, 3), (3, 9), (6, 27)):
        assert np.array_equal(shown[index][..., 0], studio.exact(replace(BRAIN, seed=seed)))
    toward = walk.frames()[1].toward
    assert toward is not None and math.isclose(toward.t, 1 / 3 if ease == "linear" else 7 / 27)


def test_a_loop_closes(studio: Studio, tmp_path: Path) -> None:
    walk = Walk(_seeds(3, 9, 3), steps=2, loop=True)
    animate.write(studio, walk, tmp_path / "frames")
    files = sorted((tmp_path / "frames").glob("*.png"))
    assert len(files) == walk.count == 6
    assert Timeline.parse((tmp_path / "frames" / "timeline.json").read_bytes()).frames() == walk.frames()
    told = Recipe.parse(pictures.read_text(files[1])["styloscope"])
    assert np.array_equal(studio.exact(told), pictures.read(files[1]))
    assert np.array_equal(pictures.read(files[4]), pictures.read(files[0]))
    with pytest.raises(OutputError, match="already has something"):
        animate.write(studio, walk, tmp_path / "frames")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"steps": 0}, "steps cannot be '0'"),
        ({"steps": 10**9}, "steps.*at most 5000 frames"),
        ({"fps": 0}, "fps"),
        ({"fps": -1}, "fps"),
        ({"fps": math.nan}, "fps"),
        ({"ease": "bounce"}, "ease cannot be 'bounce'.*linear or smooth"),
        ({"space": "x"}, "space cannot be 'x'.*w or z"),
    ],
)
def test_limits_of_a_walk(settings: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        Walk(_seeds(1, 2), **settings)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="at least 2"):
        Walk(_seeds(1))


def test_too_many_pixels_are_refused_before_a_frame_is_drawn(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animate, "MOST_BYTES", 12 * 11 * 5)
    animate.check(studio, Walk(_seeds(1, 2), steps=4), "a.gif")
    with pytest.raises(SettingError, match="^steps cannot be '5': a film has at most 4 GiB of pixels"):
        animate.check(studio, Walk(_seeds(1, 2), steps=5), "a.gif")


def test_the_limit_of_pixels_counts_them_enlarged(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animate, "MOST_BYTES", 12 * 11 * 5 * 9)
    walk = Walk(_seeds(1, 2), steps=4)
    assert animate.check(studio, walk, "a.mp4", scale=3) == (36, 34)
    for film in (walk, walk.timeline):
        with pytest.raises(SettingError, match="^scale cannot be '4': 1 to 3 here: a film has at most 4 GiB of pixels"):
            animate.check(studio, film, "a.gif", scale=4)
    with pytest.raises(SettingError, match="^steps cannot be '50': a film has at most 4 GiB"):
        animate.check(studio, Walk(_seeds(1, 2), steps=50), "a.gif", scale=4)
    with pytest.raises(SettingError, match="^scale cannot be '9': a whole number from 1 to 8$"):
        animate.check(studio, walk, "a.gif", scale=9)
