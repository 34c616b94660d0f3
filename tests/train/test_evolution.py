"""Frames of evolution.gif: one a sheet, also where several sheets bear one name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import pictures, runs
from explorer import following
from train import evolution


def sheet(run: Path, images: int, *, level: int, side: int = 6) -> None:
    path = runs.sample_path(run, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.write_png(path, np.full((side, side), level, np.uint8))
    evolution.add(run, path, images=images)
    evolution.draw(run)


def film(run: Path) -> list[int]:
    """The gray level of every frame."""
    with Image.open(run / runs.EVOLUTION) as gif:
        levels = []
        for index in range(getattr(gif, "n_frames", 1)):
            gif.seek(index)
            levels.append(int(np.asarray(gif.convert("L"))[0, 0]))
        return levels


def test_sheets_of_one_name_are_all_in_the_film(tmp_path: Path) -> None:
    for level in (1, 2, 3):
        sheet(tmp_path, 8 * level, level=level)
    assert len(runs.samples(tmp_path)) == 1 and film(tmp_path) == [1, 2, 3]
    assert [images for images, _ in evolution.frames(tmp_path)] == [8, 16, 24]
    assert [moment.images for moment in following.moments(tmp_path)] == [8, 16, 24]
    for moment, level in zip(following.moments(tmp_path), (1, 2, 3), strict=True):
        assert pictures.read(following.sheet(tmp_path, moment.name)).max() == level


def test_frames_that_a_resumed_run_draws_again_go(tmp_path: Path) -> None:
    for level in (1, 2, 3):
        sheet(tmp_path, 8 * level, level=level)
    evolution.forget_after(tmp_path, 16)
    assert [moment.images for moment in following.moments(tmp_path)] == [8, 16]
    sheet(tmp_path, 24, level=9)
    assert film(tmp_path) == [1, 2, 9]


def test_sheets_from_before_there_were_frames_come_first(tmp_path: Path) -> None:
    for level in (1, 2):
        pictures.write_png(runs.sample_path(tmp_path, 1000 * level), np.full((6, 6), level, np.uint8))
    sheet(tmp_path, 3500, level=3)
    assert film(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("count", [59, 60, 61, 250])
def test_a_long_run_has_sixty_frames_from_first_to_last(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolution, "SHOWN", 6)
    count //= 10
    for level in range(count):
        sheet(tmp_path, 8 * (level + 1), level=level)
    seen = film(tmp_path)
    assert len(seen) <= 6 and seen[0] == 0 and seen[-1] == count - 1 and seen == sorted(seen)
    assert len(evolution.frames(tmp_path)) <= 12
    assert [moment.images for moment in following.moments(tmp_path)] == [images for images, _ in runs.frames(tmp_path)]
    assert max(b - a for a, b in zip(seen, seen[1:], strict=False)) <= max(1, -(-count // 5) + 3)


def test_a_drive_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(evolution.os, "link", refused)
    sheet(tmp_path, 8, level=1)
    sheet(tmp_path, 16, level=2)
    assert film(tmp_path) == [1, 2]


def test_a_frame_that_somebody_reads_goes_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError("another program has it open")

    monkeypatch.setattr(evolution, "SHOWN", 2)
    with monkeypatch.context() as held:
        held.setattr(Path, "unlink", refused)
        for level in range(5):
            sheet(tmp_path, 8 * level, level=level)
    assert len(runs.frames(tmp_path)) == 5
    sheet(tmp_path, 40, level=5)
    assert len(runs.frames(tmp_path)) == 4


@pytest.mark.parametrize(
    ("shape", "size"), [((300, 2000), (240, 1600)), ((300, 2000, 3), (120, 800)), ((90, 60), (90, 60))]
)
def test_large_sheets_are_shown_smaller(tmp_path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    path = runs.sample_path(tmp_path, 1000)
    path.parent.mkdir(parents=True)
    pictures.write_png(path, np.full(shape, 100, np.uint8))
    evolution.add(tmp_path, path, images=1000)
    evolution.draw(tmp_path)
    with Image.open(tmp_path / runs.EVOLUTION) as gif:
        assert gif.size == size[::-1] and np.asarray(gif.convert("L")).min() == 100
