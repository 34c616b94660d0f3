"""Going on with a run: without its state, with other settings or other pictures. Kills are in test_aimed.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from core import runs
from core.errors import OutputError, SettingError
from tests.train import make
from tests.train.test_run import SHORT, run
from train import processes, resume, state
from train.config import Config
from train.loop import Trainer
from train.output import Run

TOY = ["--data", "phantoms", *SHORT, "--kimg", "0.008"]


def test_a_run_that_has_lost_its_state_begins_anew_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, *TOY, "--out", out) == 0
    old = runs.newest(out).rename(out / "checkpoints" / "000700.safetensors")  # type: ignore[union-attr]
    before = old.read_bytes()
    for file in (out / "state").glob("*.safetensors"):
        file.unlink()
    assert run(monkeypatch, "--out", out, "--resume") == 0
    assert f"begins at zero; what it had made is in {out / 'before-1'}" in capsys.readouterr().err
    assert (out / "before-1" / "checkpoints" / "000700.safetensors").read_bytes() == before
    assert (out / "before-1" / "log.jsonl").is_file() and (out / "before-1" / "samples" / "000000.png").is_file()
    assert [file.stem for file in runs.checkpoints(out)] == ["000000"] and runs.runs(tmp_path) == [out]


def test_networks_later_than_the_state_are_made_again(tmp_path: Path) -> None:
    folder = Run(tmp_path)
    for name in ("checkpoints", "samples"):
        (tmp_path / name).mkdir()
    for kimg in (1, 2, 3):
        (tmp_path / "checkpoints" / f"{kimg:06}.safetensors").write_bytes(b"")
    (tmp_path / "metrics.jsonl").write_text('{"kimg": 2.0}\n{"kimg": 3.0}\n{"ki', encoding="utf-8")
    folder.forget_after(2500)
    assert [file.stem for file in runs.checkpoints(tmp_path)] == ["000001", "000002"]
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == '{"kimg": 2.0}\n'


def test_what_is_no_run_is_not_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--out", tmp_path / "none", "--resume") == 2
    assert (
        "resume cannot be" in (said := capsys.readouterr().err) and "it is no run, since it has no config.json" in said
    )
    (tmp_path / "diary.txt").write_text("mine", encoding="utf-8")
    assert run(monkeypatch, *TOY, "--out", tmp_path, "--resume") == 2
    assert "is no run and holds diary.txt" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_run_that_nobody_names_is_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "--resume") == 2
    assert "there is no run in runs/ to go on with; name one with --out" in capsys.readouterr().err
    for name in ("old", "new", "older"):
        assert run(monkeypatch, *TOY, "--out", f"runs/{name}") == 0
    for name, seconds in (("old", 2000), ("new", 3000), ("older", 1000)):
        for file in (runs.LOG, runs.CONFIG):
            os.utime(tmp_path / "runs" / name / file, (seconds, seconds))
    before = runs.log("runs/new")[-1]["kimg"]
    capsys.readouterr()
    assert run(monkeypatch, "--resume", "--kimg", str(before + 0.004)) == 0
    assert f"going on with {Path('runs/new')}, the newest run in runs/" in capsys.readouterr().err
    assert runs.log("runs/new")[-1]["kimg"] > before == runs.log("runs/old")[-1]["kimg"]


def test_other_settings_and_other_pictures_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make.folder(tmp_path / "in", count=5), tmp_path / "run"
    assert run(monkeypatch, "--data", data, *SHORT, "--kimg", "0.008", "--out", out) == 0
    make.save(data / "000.png", make.picture("L", seed=99))
    more = ["--out", out, "--resume", "--kimg", "0.012"]
    assert run(monkeypatch, *more) == 2
    assert "data cannot be 'changed': its pictures are not those" in capsys.readouterr().err
    assert run(monkeypatch, *more, "--gamma", "3") == 2
    assert "--gamma auto (now 3.0); leave these as they were, or say --resume-anyway" in capsys.readouterr().err
    assert run(monkeypatch, "--out", out, "--resume-anyway", "--kimg", "0.012", "--z-dim", "32") == 2
    assert "--z-dim 64 (now 32); leave these as they were, or begin a new run" in capsys.readouterr().err
    assert run(monkeypatch, "--out", out, "--resume-anyway", "--kimg", "0.012", "--gamma", "3", "--batch", "8") == 0
    said = capsys.readouterr().err
    assert "resuming with --gamma 3.0 instead of auto" in said and "resuming although its pictures are not" in said
    assert runs.log(out)[-1]["kimg"] == 0.016


def test_other_classes_of_the_same_pictures_only_when_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "in", tmp_path / "run"
    for name in ("cats", "dogs"):
        make.folder(data / name, count=4)
    assert run(monkeypatch, "--data", data, *SHORT, "--labels", "--kimg", "0.008", "--out", out) == 0
    (data / "dogs").rename(data / "newts")
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.012") == 2
    assert "data cannot be 'changed': its pictures have other classes than those" in capsys.readouterr().err
    (data / "newts").rename(data / "dogs")
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.012") == 0


def test_images_computed_at_once_are_the_states_unless_others_are_asked_for() -> None:
    saved = state.State({}, {"settings": {"micro_batch": "auto"}})
    assert resume.same_micro(Config(), saved) and not resume.same_micro(Config(micro_batch=4), saved)
    trainer = make.trainer(batch=16)
    trainer.restore(trainer.tensors(), {**trainer.facts(), "micro": 4})
    assert trainer.micro == 4
    trainer.restore(trainer.tensors(), {**trainer.facts(), "micro": 8}, micro=False)
    assert trainer.micro == 4


def test_a_weight_that_is_not_finite_is_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, *TOY, "--out", out, "--kimg", "0.004") == 0
    whole = Trainer.step

    def step(trainer: Trainer) -> None:
        whole(trainer)
        with torch.no_grad():
            trainer.networks.g_ema.synthesis.blocks[0].const[0, 0, 0] = float("nan")  # type: ignore[index,operator]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        assert run(patch, "--out", out, "--resume", "--kimg", "0.012") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the tensor g_ema.synthesis.blocks.0.const is not finite after the step at 8 images; the last good" in error
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.008") == 0


def test_torchrun_that_starts_again_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    assert run(monkeypatch, *TOY, "--out", out) == 0
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert run(monkeypatch, *TOY, "--out", out, "--kimg", "0.012") == 0
    assert [line["kimg"] for line in runs.log(out)] == [0.004, 0.008, 0.012]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "another")
    capsys.readouterr()
    assert run(monkeypatch, *TOY, "--out", out, "--kimg", "0.016") == 2
    assert "has something in it; go on with that run by --resume" in capsys.readouterr().err
    assert processes.launch() == "another"


def test_two_trainings_do_not_write_one_run(tmp_path: Path) -> None:
    sleeping = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "state").mkdir()
        with Run.beginning(tmp_path, resume=True) as mine:
            text = (tmp_path / "state" / "lock").read_text(encoding="utf-8")
        mine.release()
        (tmp_path / "state" / "lock").write_text(text.replace(str(os.getpid()), str(sleeping.pid)), encoding="utf-8")
        assert "pid" in text
        if '"start": ""' in text:
            with pytest.raises(OutputError, match="is being written by process"), Run.beginning(tmp_path, resume=True):
                pass
    finally:
        sleeping.send_signal(signal.SIGTERM)
        sleeping.wait()


def test_a_burst_stops_with_everything_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    began = time.monotonic()
    assert run(monkeypatch, *TOY, "--out", out, "--kimg", "1000", "--burst", "0.005") == 0
    assert time.monotonic() - began < 60
    said = capsys.readouterr().err
    assert "stopped after 0.005 minutes at" in said and "go on with --resume" in said
    seen = state.latest(out / "state").facts["images"]  # type: ignore[union-attr]
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", (seen + 4) / 1000) == 0
    with pytest.raises(SettingError, match="burst cannot be 'soon'"):
        from train.cli import ask

        ask(["--data", "phantoms", "--out", "x", "--burst", "soon"])
