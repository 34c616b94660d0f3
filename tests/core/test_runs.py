"""The readers of a run's folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from core import runs
from core.errors import DataError


def a_run(path: Path) -> Path:
    (path / "checkpoints").mkdir(parents=True)
    (path / "samples").mkdir()
    (path / "config.json").write_text(json.dumps({"batch": 8, "resolved": {"size": [32, 32]}}), encoding="utf-8")
    (path / "command.txt").write_text("python -m train --out x\n", encoding="utf-8")
    (path / "log.jsonl").write_text('{"kimg": 1}\n{"kimg": 2}\n', encoding="utf-8")
    for number in (2, 10, 1000000, 9):
        (path / "checkpoints" / f"{number:06d}.safetensors").touch()
        (path / "samples" / f"{number:06d}.png").touch()
    (path / "checkpoints" / ".000011.tmp.safetensors").touch()
    (path / "checkpoints" / "notes.safetensors").touch()
    return path


def test_what_a_run_holds(tmp_path: Path) -> None:
    run = a_run(tmp_path / "one")
    assert runs.is_run(run) and not runs.is_run(tmp_path)
    assert runs.config(run)["batch"] == 8
    assert runs.command(run) == "python -m train --out x"
    assert [line["kimg"] for line in runs.log(run)] == [1, 2]
    assert [file.stem for file in runs.checkpoints(run)] == ["000002", "000009", "000010", "1000000"]
    assert runs.newest(run) == run / "checkpoints" / "1000000.safetensors"
    assert len(runs.samples(run)) == 4 and runs.metrics(run) == []


def test_the_best_is_the_one_named(tmp_path: Path) -> None:
    run = a_run(tmp_path / "one")
    assert runs.best(run) is None
    (run / "best.json").write_text('{"checkpoint": "000009.safetensors", "measure": "kernel"}', encoding="utf-8")
    assert runs.best(run) == run / "checkpoints" / "000009.safetensors"
    assert runs.best_facts(run) == {"checkpoint": "000009.safetensors", "measure": "kernel"}
    (run / "best.json").write_text('{"checkpoint": "../../secret.safetensors"}', encoding="utf-8")
    assert runs.best(run) is None


def test_names_never_leave_the_folder(tmp_path: Path) -> None:
    a_run(tmp_path / "runs" / "one")
    a_run(tmp_path / "outside")
    folder = tmp_path / "runs"
    assert [run.name for run in runs.runs(folder)] == ["one"]
    assert runs.find(folder, "one") == folder / "one" / "checkpoints" / "1000000.safetensors"
    assert runs.find(folder, "one/000009") == folder / "one" / "checkpoints" / "000009.safetensors"
    for name in ("two", "one/000003", "../outside", "../outside/000009", "one/../../outside/000009", "", "/", "one/"):
        found = runs.find(folder, name)
        assert found is None or found.parent == folder / "one" / "checkpoints"
    assert runs.find(tmp_path / "nowhere", "one") is None and runs.runs(tmp_path / "nowhere") == []


def test_files_are_named_by_kimg_rounded_down() -> None:
    assert runs.checkpoint_path("run", 12_999).name == "000012.safetensors"
    assert runs.sample_path("run", 400).as_posix() == "run/samples/000000.png"


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    run = a_run(tmp_path / "one")
    with open(run / "log.jsonl", "a", encoding="utf-8") as log:
        log.write('{"kimg": 3, "loss')
    assert [line["kimg"] for line in runs.log(run)] == [1, 2]
    (run / "log.jsonl").write_text('{"kimg": 1}\nnonsense\n{"kimg": 2}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"log\.jsonl line 2 is not JSON"):
        runs.log(run)


@pytest.mark.parametrize("text", ["[1]", "{", ""])
def test_a_broken_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json"):
        runs.config(tmp_path)
    with pytest.raises(DataError, match="is no run"):
        runs.config(tmp_path / "nowhere")


def test_who_writes_a_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "one")
    assert runs.holder(run) is None
    (run / "state").mkdir()
    text = {"pid": os.getpid(), "host": "elsewhere", "began": 5.0, "place": "elsewhere", "start": ""}
    (run / "state" / "lock").write_text(json.dumps(text), encoding="utf-8")
    held = runs.holder(run)
    assert held is not None and held.alive and held.host == "elsewhere"
