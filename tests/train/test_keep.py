"""Which network files stay, and which is the best."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from core import runs
from train import keep

FILES = [Path(f"{number:06d}.safetensors") for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("number", "best", "left"),
    [
        (0, None, [1, 2, 3, 4, 5]),
        (0, 1, [1, 2, 3, 4, 5]),
        (9, 1, [1, 2, 3, 4, 5]),
        (3, None, [3, 4, 5]),
        (3, 4, [3, 4, 5]),
        (3, 1, [1, 4, 5]),
        (2, 3, [3, 5]),
        (1, None, [5]),
        (1, 5, [5]),
        (1, 2, [2, 5]),
    ],
)
def test_the_best_and_the_newest_stay(number: int, best: int | None, left: list[int]) -> None:
    chosen = None if best is None else FILES[best - 1]
    went = keep.gone(FILES, keep=number, best=chosen)
    assert [int(file.stem) for file in FILES if file not in went] == left
    assert keep.gone([], keep=number, best=chosen) == []


def a_run(path: Path, *, numbers: tuple[int, ...] = (1, 2, 3)) -> Path:
    (path / "checkpoints").mkdir(parents=True)
    for number in numbers:
        network(path, number)
    return path


def network(path: Path, number: int, text: str = "") -> Path:
    file = runs.checkpoint_path(path, number * 1000)
    file.unlink(missing_ok=True)  # as a renamed file takes its place
    file.write_text(text or str(number), encoding="utf-8")
    return file


def judged(run: Path, number: int, rank: float, *, measure: str = "swd", value: float | None = 1.0) -> bool:
    file = runs.checkpoint_path(run, number * 1000)
    return keep.judge(run, file, measure=measure, value=value, rank=rank, images=number * 1000)


def test_the_smallest_rank_is_named(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert keep.read(run) is None
    assert not judged(run, 1, 0.1, value=None) and not judged(run, 1, math.inf) and not (run / "best.json").exists()
    assert judged(run, 1, 0.5, value=0.75)
    facts = {"checkpoint": "000001.safetensors", "measure": "swd", "value": 0.75, "rank": 0.5, "kimg": 1.0}
    assert json.loads((run / "best.json").read_text(encoding="utf-8")) == facts
    assert not judged(run, 2, 0.5) and not judged(run, 2, math.nan)
    assert judged(run, 2, -0.25) and not judged(run, 3, 0.0)
    assert runs.best(run) == runs.checkpoint_path(run, 2000)
    assert judged(run, 3, 9.0, measure="recall") and runs.best(run) == runs.checkpoint_path(run, 3000)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"checkpoint": "000001.safetensors", "measure": "swd", "value": "x"}']
)
def test_a_damaged_best_begins_anew(tmp_path: Path, text: str) -> None:
    run = a_run(tmp_path)
    (run / "best.json").write_text(text, encoding="utf-8")
    assert keep.read(run) is None and judged(run, 2, 1.0)


def test_pruning_leaves_the_best_and_the_newest(tmp_path: Path) -> None:
    run = a_run(tmp_path, numbers=(1, 2, 3, 4, 5))
    judged(run, 2, 0.0)
    assert [file.stem for file in keep.prune(run, keep=3)] == ["000001", "000003"]
    assert [file.stem for file in runs.checkpoints(run)] == ["000002", "000004", "000005"]
    assert keep.prune(run, keep=3) == [] and keep.prune(run, keep=0) == []


def test_the_best_outlives_a_later_network_of_the_same_number(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    judged(run, 3, 0.5)
    keep.spare(run, runs.checkpoint_path(run, 3000), images=3000)
    assert runs.best(run) == runs.checkpoint_path(run, 3000)
    keep.spare(run, runs.checkpoint_path(run, 3600), images=3600)
    network(run, 3, "later")
    best = runs.best(run)
    assert best is not None and best.name == "best.safetensors" and best.read_text(encoding="utf-8") == "3"
    assert keep.prune(run, keep=1) != [] and best.is_file() and len(runs.checkpoints(run)) == 1
    network(run, 4)
    assert not judged(run, 4, 0.75) and best.is_file()
    assert judged(run, 4, 0.25) and not best.exists()


def test_a_best_that_will_be_made_again_is_forgotten(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    judged(run, 2, 0.5)
    keep.forget_after(run, 2000)
    assert keep.read(run) is not None
    keep.forget_after(run, 1999)
    assert keep.read(run) is None and not (run / "best.json").exists()
