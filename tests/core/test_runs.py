"""The readers of a run's folder."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from core import runs
from core.errors import DataError, SettingError


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


def test_frames_are_numbered_by_images_and_nothing_else_is_one(tmp_path: Path) -> None:
    assert runs.frames(tmp_path) == []
    (tmp_path / "state").mkdir()
    files = [runs.frame_path(tmp_path, images) for images in (48, 12_345)]
    for name in ("frame-48.png", "frame-٠٠٠٠٠٠٠٤٨.png", "frame-000000050.png.part", f"frame-{'9' * 13}.png"):
        (tmp_path / "state" / name).touch()
    for file in files:
        file.touch()
    assert runs.frames(tmp_path) == [(48, files[0]), (12_345, files[1])]


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


def logged(path: Path, content: bytes) -> Path:
    path.mkdir(exist_ok=True)
    (path / "log.jsonl").write_bytes(content)
    return path


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    run = logged(tmp_path, b'{"kimg": 1, "loss_g": NaN, "loss_d": -Infinity, "r1": 1e999, "size": %s}\n' % (b"9" * 400))
    expected = {"kimg": 1, "loss_g": None, "loss_d": None, "r1": None, "size": None}
    assert runs.log(run) == runs.tail(run) == runs.part(run, "log.jsonl").entries == [expected]


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    """A name may hold any byte, and characters that other readers take for the end of a line."""
    run = logged(tmp_path, '{"warnings": ["a\u2028b\x85"], "kimg": 1}\n{"warnings": "\u00e9'.encode()[:-1])
    assert runs.log(run) == runs.tail(run) == [{"warnings": ["a\u2028b\x85"], "kimg": 1}]
    logged(tmp_path, b'{"warnings": "\xff", "kimg": 1}\n{"kimg": 2}\n')
    assert [line["kimg"] for line in runs.log(run)] == [1, 2]
    (run / "command.txt").write_bytes(b"python \xff\n")
    assert runs.command(run) == runs.text(run, "command.txt", most=100) == "python \ufffd"


@pytest.mark.parametrize("line", [b"[1]", b'"text"', b"7", b"[" * 50_000, b'{"kimg": ' + b"7" * 5000 + b"x}", b""])
def test_a_line_that_is_no_object_is_named_or_passed_over(tmp_path: Path, line: bytes) -> None:
    run = logged(tmp_path, b'{"kimg": 1}\n' + line + b'\n{"kimg": 2}\n')
    with pytest.raises(DataError, match=r"log\.jsonl line 2 is not JSON"):
        runs.log(run)
    assert [entry["kimg"] for entry in runs.tail(run)] == [1, 2]
    assert [entry["kimg"] for entry in runs.part(run, "log.jsonl").entries] == [1, 2]


def test_what_is_read_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = logged(tmp_path, b'{"kimg": 1}\n' + b"x" * 5000 + b'\n{"kimg": 2}\n{"kimg": 3}')
    (run / "config.json").write_text('{"batch": 8}' + " " * 5000, encoding="utf-8")
    (run / "command.txt").write_text("a" * 5000, encoding="utf-8")
    for name in ("LARGEST_LOG", "LARGEST_FACTS", "LARGEST_COMMAND", "READ", "TAIL"):
        monkeypatch.setattr(runs, name, 1000)
    for read in (runs.log, runs.config):
        with pytest.raises(DataError, match="is larger than any that a training writes"):
            read(run)
    assert len(runs.command(run)) == 1000 and len(runs.text(run, "command.txt", most=10)) == 10
    assert runs.tail(run) == [{"kimg": 2}]
    found = runs.part(run, "log.jsonl")
    assert found.entries == [{"kimg": 2}] and found.fresh and not found.more


def test_a_log_is_followed_from_place_to_place(tmp_path: Path) -> None:
    """What was read is not read again; a log that was cut back, or is another by now, begins anew."""
    run = logged(tmp_path, b'{"kimg": 1}\n{"kimg": 2}\n{"ki')
    first = runs.part(run, "log.jsonl")
    assert [entry["kimg"] for entry in first.entries] == [1, 2] and first.fresh
    logged(tmp_path, b'{"kimg": 1}\n{"kimg": 2}\n{"kimg": 3}\n')
    second = runs.part(run, "log.jsonl", after=first.next)
    assert [entry["kimg"] for entry in second.entries] == [3] and not second.fresh
    logged(tmp_path, b'{"kimg": 1}\n')
    third = runs.part(run, "log.jsonl", after=second.next)
    assert [entry["kimg"] for entry in third.entries] == [1] and third.fresh
    logged(tmp_path, b'{"kimg": 5}\n{"kimg": 6}\n{"kimg": 7}\n')
    assert [entry["kimg"] for entry in runs.part(run, "log.jsonl", after=second.next).entries] == [5, 6, 7]
    assert runs.part(run, "metrics.jsonl") == runs.Part([], "", True, False)
    for wrong in ("7", "7-xyz", "-1-00000000", "9" * 20 + "-00000000"):
        with pytest.raises(SettingError, match="after cannot be"):
            runs.part(run, "log.jsonl", after=wrong)


def test_links_out_of_a_run_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"kimg": 1}\n', encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log.jsonl").symlink_to(secret)
    (tmp_path / "run" / "samples").mkdir()
    run = tmp_path / "run"
    assert runs.inside(run, "log.jsonl") is None and runs.inside(run, "samples") is None
    assert runs.tail(run) == runs.part(run, "log.jsonl").entries == []
    assert runs.text(run, "../secret", most=10) == ""


def test_a_folder_that_lets_nobody_in_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path / "mine"), a_run(tmp_path / "theirs")
    stat, iterdir = Path.stat, Path.iterdir

    def refused(path: Path) -> None:
        if "theirs" in path.parts[:-1]:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", lambda path, **more: refused(path) or stat(path, **more))
    monkeypatch.setattr(Path, "iterdir", lambda path: refused(path / "x") or iterdir(path))
    assert [run.name for run in runs.runs(tmp_path)] == ["mine"]
    theirs = tmp_path / "theirs"
    assert not runs.is_run(theirs) and runs.checkpoints(theirs) == [] and runs.log(theirs) == []
    assert runs.best(theirs) is None and runs.newest(theirs) is None and runs.runs(theirs) == []


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    run = a_run(tmp_path / "one")
    (run / "config.json").unlink()
    (run / "config.json").mkdir()
    with pytest.raises(DataError, match="config.json cannot be read"):
        runs.config(run)
    (run / "command.txt").unlink()
    (run / "command.txt").mkdir()
    assert runs.command(run) == ""
