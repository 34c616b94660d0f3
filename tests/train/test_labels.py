"""Training with classes: whole runs from class folders, and where the classes go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core import pictures, runs
from tests.train import make
from tests.train.test_run import SHORT, run
from train.loop import Trainer


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    make.folder(tmp_path / "in" / "AD", count=2)
    make.folder(tmp_path / "in" / "NC", count=6)
    return tmp_path / "in"


def test_class_folders_train_a_network_with_classes(
    tmp_path: Path, folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, *SHORT, "--data", folders, "--labels", "--dry-run") == 0
    assert "AD, NC" in capsys.readouterr().out
    flags = ["--data", folders, "--labels", "--samples", 6, "--augment", "ada", "--micro-batch", 4, "--batch", 8]
    assert run(monkeypatch, *SHORT, *flags, "--out", out, "--kimg", "0.016", "--tick", "0.008") == 0
    opened = core.load(runs.newest(out))  # type: ignore[arg-type]
    assert opened.generator.num_classes == 2 and opened.about["classes"] == ["AD", "NC"]
    assert opened.discriminator is not None and opened.discriminator.config.num_classes == 2
    assert runs.config(out)["resolved"]["classes"] == ["AD", "NC"]
    sheet = pictures.read(runs.samples(out)[-1])
    assert sheet.shape[:2] == (2 * 16 + 2, 3 * 13 + 2 * 2), "a row for each class, the same seeds in each"
    assert runs.log(out)[-1]["ada_p"] >= 0
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.024", "--no-labels") == 2
    assert "--labels True (now False); leave these as they were, or begin a new run" in capsys.readouterr().err
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.024") == 0


def test_classes_come_as_often_as_the_data_have_them() -> None:
    trainer = make.trainer(batch=512)
    trainer.data.labels = np.array([0, 1, 1, 1] * 16)
    trainer.data.classes = ("a", "b")
    trainer.data.heads = (0, 64)  # type: ignore[attr-defined]
    again = Trainer(trainer.config, trainer.networks, trainer.data, device=trainer.device)
    rows = again._rows(again._draws("generator").chosen(slice(0, 512), count=64).numpy())
    assert rows is not None and rows.shape == (512, 2) and torch.equal(rows.sum(1), torch.ones(512))
    assert 0.68 < rows[:, 1].mean().item() < 0.82
    real = again.reals()
    shown = again.data.order(np.arange(512), seed=0)
    assert real.labels is not None and real.labels.argmax(1).tolist() == again.data.labels[shown].tolist()
