"""What a run keeps in its log when it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import runs
from train.output import Run

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
