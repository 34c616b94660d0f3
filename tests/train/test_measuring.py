"""Measures while training: when they are due, that they move nothing, that a failing one stops nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core import runs
from core.errors import DataError
from tests.train import make
from tests.train.test_run import SHORT, run, states
from train import machine, measuring
from train.metrics import named
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
    shas = [line["sha"] for line in lines]  # of files of one name
    assert len(set(shas)) == 2 and all(len(sha) == 12 for sha in shas)
    assert [line["commit"] for line in lines] == [machine.commit()] * 2
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


def weightless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


ROUNDS = ["--kimg", "0.008", "--every", "0.004"]
FID = ["--data", "phantoms", *SHORT, "--metrics", "fid,spread", *ROUNDS]


@pytest.mark.parametrize("flags", [[], ["--inception", "none.pth"]])
def test_without_weights_the_other_measures_are_taken_and_it_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    weightless(monkeypatch, tmp_path)
    monkeypatch.setattr("train.metrics.evaluation.default_count", lambda crop: 12)
    out = tmp_path / "run"
    assert run(monkeypatch, *FID, *flags, "--out", out) == 0
    assert [(line["kimg"], list(line["figures"])) for line in runs.metrics(out)] == [
        (0.004, ["spread"]),
        (0.008, ["spread"]),
    ]
    said = capsys.readouterr().err
    assert said.count("Inception") and said.count("frechet_inception is left out of the measures") == 1
    assert "left out of the measures, and best.json goes by spread: " in said and "no measures" not in said
    assert "give --inception PATH" in said and runs.best_facts(out)["measure"] == "spread"  # type: ignore[index]
    assert not flags or "there are no Inception weights at none.pth" in said


def test_a_dry_run_says_it_and_a_best_that_is_left_out_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weightless(monkeypatch, tmp_path)
    assert run(monkeypatch, *FID, "--dry-run") == 0
    assert capsys.readouterr().err.count("frechet_inception is left out of the measures, and best.json goes by") == 1
    assert run(monkeypatch, *FID, "--best", "fid", "--metrics", "kid,fid,spread", "--dry-run") == 0
    said = capsys.readouterr().err
    assert "frechet_inception and kernel_inception" in said or "kernel_inception and frechet_inception are left" in said
    assert "best.json" not in said


def test_weights_that_are_gone_later_cost_no_other_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weightless(monkeypatch, tmp_path)
    whole = measuring.inception.wanting
    monkeypatch.setattr(measuring.inception, "wanting", lambda path=None: "")
    monkeypatch.setattr("train.metrics.evaluation.default_count", lambda crop: 12)
    evaluate = measuring.evaluate

    def gone(*arguments: Any, **more: Any) -> dict[str, Any]:
        monkeypatch.setattr(measuring.inception, "wanting", whole)
        return evaluate(*arguments, **more)

    monkeypatch.setattr(measuring, "evaluate", gone)
    assert run(monkeypatch, *FID, "--out", tmp_path / "run") == 0
    assert [list(line["figures"]) for line in runs.metrics(tmp_path / "run")] == [["spread"]] * 2
    said = capsys.readouterr().err
    assert said.count("frechet_inception cannot be taken as long as this lasts: no Inception weights") == 1
    assert "no measures" not in said


def test_a_run_that_stops_improving_is_told_once_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [3.0, 2.0, *[2.5] * 7, 1.0, *[1.5] * 5]
    given: list[float] = []

    def evaluate(*arguments: object, **more: Any) -> dict[str, Any]:
        given.append(values[len(given)])
        return {"spread": {"value": given[-1], "real": 0.0, "noise": 0.0, "goal": "lower"}}

    monkeypatch.setattr(measuring, "evaluate", evaluate)
    flags = ["--data", "phantoms", *SHORT, "--metrics", "spread", "--every", "0.004", "--snapshot", 100]
    out = tmp_path / "run"

    def until(kimg: float) -> list[str]:
        more = ["--resume"] if out.exists() else []
        assert run(monkeypatch, *flags, "--kimg", kimg, "--out", out, *more) == 0
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("no better")]

    assert until(0.024) == []
    best = runs.best_facts(out)
    assert best is not None
    (said,) = until(0.036)
    assert said == (
        f"no better spread in 5 rounds of measures, the best was 0.02 kimg ago ({best['checkpoint']}); stop and take "
        "that one, or go on at half the learning rate by --resume-anyway --g-lr 0.00125 --d-lr 0.00125"
    )
    assert [bool(line["warnings"]) for line in runs.metrics(out)] == [False] * 6 + [True] + [False] * 2
    (again,) = until(0.06)
    assert "the best was 0.02 kimg ago" in again and len(given) == len(values)
    settled = json.loads((out / runs.BEST).read_text(encoding="utf-8"))
    assert settled["kimg"] == 0.04
    assert run(monkeypatch, "--resume-anyway", *again.split("--resume-anyway ")[1].split(), "--out", out) == 0


def test_a_line_names_the_file_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"some network")
    assert named(file, {"commit": "abc"}) == {"sha": hashlib.sha256(b"some network").hexdigest()[:12], "commit": "abc"}
    assert named(file, {})["commit"] is None
