"""Measures while training: when they are due, that they move nothing, that a failing one stops nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from core import runs
from core.errors import DataError
from tests.train import make
from tests.train.test_run import SHORT, run, states
from train import measuring
from train.stop import Stopped

FIGURES = {
    name: {"value": 0.5, "real": 1.0, "noise": 0.1, "goal": "higher"} for name in ("frechet_random", "recall_random")
}


def taken(calls: list[dict[str, Any]], *, fails: BaseException | None = None) -> Any:
    def evaluate(generator: object, discriminator: object, data: object, **more: Any) -> dict[str, Any]:
        calls.append({"data": data, **more})
        torch.rand(3)
        if fails is not None:
            raise fails
        return FIGURES

    return evaluate


def test_measures_are_taken_when_due_and_move_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(measuring, "evaluate", taken(calls))
    flags = ["--data", "phantoms", *SHORT, "--kimg", "0.02", "--snapshot", 100, "--augment", "fixed:0.5"]
    assert run(monkeypatch, *flags, "--out", tmp_path / "a") == 0
    measured = ["--metrics", "frechet_random,recall_random", "--every", "0.008", "--holdout", "0.25"]
    plain = ["--holdout", "0.25"]
    assert run(monkeypatch, *flags, *measured, "--out", tmp_path / "b") == 0
    assert run(monkeypatch, *flags, *plain, "--out", tmp_path / "c") == 0
    lines = runs.metrics(tmp_path / "b")
    assert [line["kimg"] for line in lines] == [0.008, 0.016] and lines[0]["figures"] == FIGURES
    assert lines[0]["checkpoint"] == "000000.safetensors"
    assert calls[0]["names"] == ["frechet_random", "recall_random"] and calls[0]["held"] is not None
    assert calls[0]["mirrored"] is False
    b, c = states(tmp_path / "b"), states(tmp_path / "c")
    assert all(torch.equal(value, c[name]) for name, value in b.items())
    assert runs.metrics(tmp_path / "a") == []


def test_a_measure_that_fails_is_a_sentence_and_one_left_off_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    flags = ["--data", "phantoms", *SHORT, "--kimg", "0.008", "--metrics", "recall_random", "--every", "0.008"]
    for wrong, words in [
        (DataError("too few pictures"), "no measures at 0.008 kimg, the training goes on: too few pictures"),
        (Stopped(), "the measures were left off; they are taken when the run goes on"),
        (None, ""),
    ]:
        monkeypatch.setattr(measuring, "evaluate", taken([], fails=wrong))
        more = ["--out", out, "--resume"] if out.exists() else ["--out", out]
        assert run(monkeypatch, *flags, *more) == 0
        assert words in capsys.readouterr().err
        assert [line["kimg"] for line in runs.metrics(out)] == ([] if wrong else [0.008])


def test_a_measure_that_there_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--metrics", "beauty", "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: metrics cannot be 'beauty': one of ") and not (tmp_path / "run").exists()


@pytest.mark.parametrize("share", ["0", "0.25"])
def test_too_few_pictures_to_measure_by_are_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], share: str
) -> None:
    data = make.folder(tmp_path / "in", count=23)
    flags = ["--data", data, *SHORT, "--metrics", "spread", "--holdout", share]
    assert run(monkeypatch, *flags, "--out", tmp_path / "run") == 2
    assert "pictures on one side are too few to measure by: take at least 24 in all" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_measures_on_the_disk_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    monkeypatch.setattr(runs, "metrics", lambda path: read.append(path) or [{"kimg": 0.015}])
    trainer = make.trainer(metrics="spread", every=0.008)
    found = measuring.Measuring(trainer.config, tmp_path, data=trainer.data, held=None, check=lambda: None)
    assert [found.due(images) for images in (8, 15, 16, 17)] == [False, False, True, True] and read == [tmp_path]
    monkeypatch.setattr(measuring, "evaluate", taken([], fails=DataError("no")))
    trainer.images = 17
    assert found.take(trainer, None) is None
    assert [found.due(images) for images in (23, 24)] == [False, True] and read == [tmp_path]
