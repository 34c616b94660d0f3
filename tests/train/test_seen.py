"""What a run says it sees, which networks it keeps, and which it calls the best."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from core import runs
from tests.train.test_board import Writer
from tests.train.test_run import SHORT, run
from train import measuring
from train.loop import Trainer
from train.state import latest

FOUR = ["--data", "phantoms", *SHORT, "--kimg", "0.016", "--snapshot", 100]


@pytest.fixture
def outdone(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second tick on the discriminator tells all pictures apart."""
    figures = Trainer.figures
    easy = {"loss_d": 0.0125}
    monkeypatch.setattr(Trainer, "figures", lambda self: figures(self) | (easy if self.images > 4 else {}))


@pytest.mark.usefixtures("outdone")
def test_a_run_warns_once_with_advice_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, *FOUR, "--out", tmp_path / "a") == 0
    said = capsys.readouterr().err
    assert said.count("the discriminator tells all pictures apart (loss_d 0.013)") == 1 and "--augment" not in said
    lines = runs.log(tmp_path / "a")
    assert [line["kimg"] for line in lines if line["warnings"]] == [0.016]
    assert all(isinstance(line["spread"], float) and line["overfit"] is None for line in lines)
    assert run(monkeypatch, *FOUR, "--kimg", "0.008", "--out", tmp_path / "b") == 0
    assert "apart" not in capsys.readouterr().err
    assert run(monkeypatch, "--resume", "--kimg", "0.016", "--out", tmp_path / "b") == 0
    assert capsys.readouterr().err.count("tells all pictures apart") == 1
    kept = ("kimg", "spread", "nearest", "warnings")
    again = runs.log(tmp_path / "b")
    assert [[line[key] for key in kept] for line in again] == [[line[key] for key in kept] for line in lines]
    states = [latest(tmp_path / name / runs.STATE) for name in "ab"]
    assert states[0] is not None and states[1] is not None
    assert states[0].facts["watch"] == states[1].facts["watch"]


def test_held_out_pictures_are_compared_at_each_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--data", "phantoms", *SHORT, "--holdout", "0.25", "--augment", "fixed:0.3"]
    assert run(monkeypatch, *flags, "--out", tmp_path / "run") == 0
    for line in runs.log(tmp_path / "run"):
        assert isinstance(line["logit_held"], float) and isinstance(line["logit_train"], float)
        assert line["ada_p"] == 0.3 and -1 <= line["ada_sign"] <= 1


def test_n_networks_are_kept_and_the_best_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = iter([0.4, 0.1, 0.3, 0.2, 0.5])

    def evaluate(*arguments: object, **more: Any) -> dict[str, Any]:
        value = next(values)
        rows = {"real": 0.9, "noise": 0.0, "title": "", "extractor": ""}
        return {
            "frechet_random": {"value": value, "goal": "lower", **rows},
            "recall_random": {"value": value, "goal": "higher", **rows},
        }

    monkeypatch.setattr(measuring, "evaluate", evaluate)
    out = tmp_path / "run"
    flags = ["--data", "phantoms", *SHORT, "--batch", "16", "--kimg", "5", "--tick", "1", "--every", "1", "--keep", "2"]
    flags += ["--metrics", "recall_random,frechet_random", "--best", "frechet_random"]
    monkeypatch.setattr(Trainer, "step", lambda self: setattr(self, "images", self.images + 1000))
    monkeypatch.setattr(Trainer, "figures", lambda self: {"loss_g": 1.0, "loss_d": 1.0})
    assert run(monkeypatch, *flags, "--out", out) == 0
    assert [file.stem for file in runs.checkpoints(out)] == ["000002", "000005"]
    best = {"checkpoint": "000002.safetensors", "measure": "frechet_random", "value": 0.1, "rank": 0.1, "kimg": 2.0}
    assert json.loads((out / runs.BEST).read_text(encoding="utf-8")) == best
    said = capsys.readouterr().err
    assert "000001.safetensors is the best network so far: frechet_random 0.4" in said
    assert "000002.safetensors is the best network so far: frechet_random 0.1" in said and said.count("so far") == 2
    assert run(monkeypatch, *flags, "--best", "swd", "--out", tmp_path / "other") == 2
    assert "best cannot be" in capsys.readouterr().err


def test_tensorboard_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = type("Made", (Writer,), {"made": []})
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--out", tmp_path / "run") == 0
    calls = made.made[0].calls
    assert [call[2] for call in calls if call[0] == "loss_d"] == [4, 8, 12] and calls[-1] == ("close",)
    assert [call[2] for call in calls if call[0] == "samples"] == [0, 4, 8, 12]
