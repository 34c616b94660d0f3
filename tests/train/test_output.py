"""What a run keeps in its log when it goes on, and names that are no text."""

from __future__ import annotations

import csv
import errno
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from core import files, pictures, runs
from core.errors import OutputError
from core.lock import Lock
from train.output import LOG_KEYS, Run, columns, log_line

LINES = [json.dumps({"kimg": kimg, "loss_g": 0.5}) for kimg in (0.1, 0.2, 0.3)]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\n".join(LINES) + "\n", [0.1, 0.2]),
        ("\n".join(LINES[:2]), [0.1, 0.2]),
        ("\n".join(LINES)[:-3], [0.1, 0.2]),
        (LINES[0] + "\n" + LINES[1][:7], [0.1]),
        ("{", []),
        ("", []),
    ],
)
def test_a_log_goes_on_after_a_later_line_and_after_half_a_line(tmp_path: Path, text: str, left: list[float]) -> None:
    (tmp_path / runs.LOG).write_text(text, encoding="utf-8")
    run = Run(tmp_path)
    run.forget_after(200)
    run.log({"kimg": 0.4})
    assert [line["kimg"] for line in runs.log(tmp_path)] == [*left, 0.4]


def test_a_whole_log_is_left_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.forget_after(0)
    assert not (tmp_path / runs.LOG).exists()
    run.log({"kimg": 0.1, "loss_g": 0.12345678901234567, "ada_p": None})
    before = (tmp_path / runs.LOG).stat()
    run.forget_after(100)
    assert (tmp_path / runs.LOG).stat().st_mtime_ns == before.st_mtime_ns


def test_names_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    name = b"/pictures \xff".decode("utf-8", "surrogateescape")
    with pytest.raises(OutputError, match="bytes in its name that are no text"):
        Run.check(Path(name), resume=False)
    run = Run(tmp_path)
    run.asked(settings={"data": name}, resolved={}, command=f"python -m train --data {name}")
    assert runs.config(tmp_path)["data"] == name
    assert runs.command(tmp_path) == "python -m train --data /pictures \\udcff"


def test_measures_made_again_are_taken_out(tmp_path: Path) -> None:
    lines = [json.dumps({"kimg": kimg, "checkpoint": "é"}, ensure_ascii=False) for kimg in (0.1, None, 0.3)]
    (tmp_path / runs.METRICS).write_text("\n".join(lines) + '\n{"kimg"', encoding="utf-8")
    Run(tmp_path).forget_after(200)
    assert (tmp_path / runs.METRICS).read_text(encoding="utf-8") == "\n".join(lines[:2]) + "\n"


def test_two_trainings_never_write_one_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with Run.beginning(out, resume=False) as run:
        (out / runs.STATE / runs.LOCK).write_text(
            json.dumps({"pid": 7, "host": "elsewhere", "began": 1.0, "place": "elsewhere"}), encoding="utf-8"
        )
        with pytest.raises(OutputError, match="run is being written by process 7 on elsewhere"):
            with Run.beginning(out, resume=True):
                raise AssertionError
        assert (out / runs.STATE / runs.LOCK).exists() and (out / runs.SAMPLES).is_dir()
    run.release()
    assert (out / runs.STATE / runs.LOCK).exists()


def test_a_beginning_that_fails_leaves_nothing_and_a_released_run_no_lock(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyError):
        with Run.beginning(out, resume=False):
            raise KeyError
    assert not out.exists()
    with Run.beginning(out, resume=False) as run:
        held = runs.holder(out)
        assert held is not None
    run.release()
    assert runs.holder(out) is None and list((out / runs.STATE).iterdir()) == []
    Lock.take(out / runs.STATE / runs.LOCK).release()


def test_a_line_has_every_key() -> None:
    figures = {"loss_g": 0.5, "overfit": None, "r1": float("nan"), "unknown": 1.0}
    line = log_line(figures, images=400, seconds=1.0, images_per_second=2.0, memory_gib=None, warnings=["Look."])
    assert set(line) == set(LOG_KEYS) and line["warnings"] == ["Look."]
    assert {key for key, value in line.items() if value is not None} == {
        "kimg", "seconds", "images_per_second", "loss_g", "warnings",
    }  # fmt: skip
    assert log_line({}, images=0, seconds=0, images_per_second=0, memory_gib=None)["warnings"] is None


def test_an_old_log_with_fewer_keys_is_drawn(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log({"kimg": 0.1, "loss_g": 0.5})
    run.log({"kimg": 0.2, "loss_g": 0.4, "logit_held": 0.1, "size": None})
    run.sample(np.zeros((8, 8), np.uint8), images=200)
    assert (tmp_path / runs.LOSSES).is_file()


def line(kimg: float, **more: object) -> dict[str, object]:
    return {**dict.fromkeys(LOG_KEYS), "kimg": kimg, "loss_g": 0.1 + kimg, **more}


def table(path: Path) -> list[dict[str, str]]:
    with open(path / runs.CURVES, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_curves_as_csv_follow_the_log(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for kimg, more in [(0.004, {"size": [14, 12], "alpha": 0.1}), (0.1 + 0.2, {"warnings": ['Look, "here".']})]:
        run.log(line(kimg, **more))
        run.sample(np.zeros((8, 8), np.uint8), images=round(kimg * 1000))
    rows = table(tmp_path)
    assert list(rows[0]) == [key for key in LOG_KEYS if key != "warnings"]
    assert rows[0]["size"] == "14x12" and rows[0]["alpha"] == "0.1" and rows[1]["size"] == rows[1]["alpha"] == ""
    logged = runs.log(tmp_path)
    assert [[float(row["kimg"]), float(row["loss_g"])] for row in rows] == [[o["kimg"], o["loss_g"]] for o in logged]
    Run(tmp_path).forget_after(4)
    assert [row["kimg"] for row in table(tmp_path)] == ["0.004"] and len(runs.log(tmp_path)) == 1
    Run(tmp_path).forget_after(3)
    assert table(tmp_path) == [] and (tmp_path / runs.CURVES).read_text(encoding="utf-8").startswith("kimg,")


def test_a_table_that_is_open_elsewhere_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    run, replace = Run(tmp_path, say=said.append), os.replace
    run.log(line(0.1))
    run.sample(np.zeros((8, 8), np.uint8), images=100)
    old = (tmp_path / runs.CURVES).read_bytes()
    held = {tmp_path / runs.CURVES}

    def refused(a: Path, b: Path) -> None:
        if Path(b) in held:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        patch.setattr(files, "_PATIENCE", 0.1)
        patch.setattr(os, "replace", refused)
        for images in (200, 300):
            run.log(line(images / 1000))
            run.sample(np.full((8, 8), 200, np.uint8), images=images)
        assert said == [f"{tmp_path / runs.CURVES} is open in another program and stays as it is until that closes it"]
        assert (tmp_path / runs.CURVES).read_bytes() == old
        assert pictures.read(runs.sample_path(tmp_path, 300)).max() == 200 and (tmp_path / runs.LOSSES).is_file()
        held.add(runs.sample_path(tmp_path, 300))  # which is not drawn again at the next tick
        with pytest.raises(OutputError, match="another program has it open"):
            run.sample(np.zeros((8, 8), np.uint8), images=300)
        held.clear()
        run.sample(np.zeros((8, 8), np.uint8), images=300)
    assert [float(row["kimg"]) for row in table(tmp_path)] == [0.1, 0.2, 0.3] and len(said) == 1


@pytest.mark.parametrize(
    ("classes", "count", "expected"), [(0, 12, 6), (0, 64, 8), (0, 3, 3), (0, 17, 6), (3, 12, 4), (3, 64, 8), (9, 3, 1)]
)
def test_the_rows_of_a_sheet_are_as_even_as_they_go(classes: int, count: int, expected: int) -> None:
    class Network:
        num_classes = classes

    assert columns(Network(), count=count) == expected  # type: ignore[arg-type]
