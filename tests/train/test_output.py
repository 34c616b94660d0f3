"""What a run keeps in its log when it goes on, and names that are no text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core import runs
from core.errors import OutputError
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


def test_names_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    name = b"/pictures \xff".decode("utf-8", "surrogateescape")
    with pytest.raises(OutputError, match="bytes in its name that are no text"):
        Run.check(Path(name), resume=False)
    run = Run(tmp_path)
    run.asked(settings={"data": name}, resolved={}, command=f"python -m train --data {name}")
    assert runs.config(tmp_path)["data"] == name
    assert runs.command(tmp_path) == "python -m train --data /pictures \\udcff"
