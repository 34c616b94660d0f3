"""Every command ends in one line and status 2 when something is wrong, in real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from core.command import Parser, run
from core.errors import CheckpointError, SettingError, StyloscopeError

ROOT = Path(__file__).resolve().parents[2]
# The package is named without being run, since it would import torch.
PROGRAM = f"""
import sys, types
sys.modules["core"] = core = types.ModuleType("core")
core.__path__ = [{str(ROOT / "core")!r}]
from core.command import run

def main():
    for line in range(int(sys.argv[1])):
        print("line", line)

sys.exit(run(main))
"""


def printing(lines: str, stdout: int | IO[str], buffered: bool) -> tuple[int, str]:
    """Status and stderr of a process that prints `lines` lines to `stdout`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "" if buffered else "1"}
    command = [sys.executable, "-c", PROGRAM, lines]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, env=environment)
    return done.returncode, done.stderr


def tool(*arguments: str) -> int:
    def main() -> None:
        parser = Parser(prog="tool")
        parser.add_argument("--number", type=int, default=3)
        parser.add_subparsers(dest="verb").add_parser("list").add_argument("--many", type=int)
        parser.parse_args(arguments)

    return run(main)


def raising(wrong: BaseException) -> int:
    def main() -> None:
        raise wrong

    return run(main)


@pytest.mark.parametrize("answer", [None, 0])
def test_nothing_wrong(answer: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda: answer) == 0
    assert capsys.readouterr() == ("", "")


def test_a_status_of_its_own() -> None:
    assert run(lambda: 3) == 3


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (StyloscopeError("a and b"), "error: a and b\n"),
        (CheckpointError("two\nlines  and\ttabs"), "error: two lines and tabs\n"),
        (SettingError("psi", "nan", "-5 to 5"), "error: psi cannot be 'nan': -5 to 5\n"),
        (FileNotFoundError(2, "No such file or directory", "x.zip"), "error: x.zip: No such file or directory\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (OSError("odd"), "error: odd\n"),
    ],
)
def test_one_line_and_status_2(wrong: BaseException, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(wrong) == 2
    assert capsys.readouterr() == ("", line)


def test_control_c(capsys: pytest.CaptureFixture[str]) -> None:
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize("wrong", [ValueError("a bug"), SystemExit(7), AssertionError()])
def test_bugs_and_exits_are_not_hidden(wrong: BaseException) -> None:
    with pytest.raises(type(wrong)):
        raising(wrong)


def test_a_long_value_is_cut() -> None:
    assert len(str(SettingError("seeds", "9" * 10_000, "less"))) < 100


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--number", "x"], "--number"),
        (["--num=3"], "--num"),  # no abbreviations
        (["--nothing"], "--nothing"),
        (["nothing"], "nothing"),
        (["list", "--many"], "--many"),
        (["list", "--ma", "3"], "--ma"),
    ],
)
def test_a_wrong_flag(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert part in err and "--help" in err


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        tool("--help")
    out, err = capsys.readouterr()
    assert not caught.value.code and err == "" and "--number" in out


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("lines", ["3", "100000"])
def test_a_reader_that_has_gone(lines: str, buffered: bool) -> None:
    """Few lines wait in a buffer until the end, many do not."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert printing(lines, writer, buffered) == (0, "")
    finally:
        os.close(writer)


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("lines", ["3", "100000"])
def test_output_to_a_full_disk(lines: str, buffered: bool) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert printing(lines, full, buffered) == (2, "error: No space left on device\n")


def test_a_parser_raises_instead_of_leaving() -> None:
    parser = Parser(prog="tool")
    parser.add_argument("--size", choices=["a", "b"])
    with pytest.raises(StyloscopeError, match="--size"):
        parser.parse_args(["--size", "c"])


WRITING = """
import os, signal, sys, time
from pathlib import Path
from core.command import run
from core.files import writing

def main():
    with writing(Path(sys.argv[1])) as temporary:
        temporary.write_bytes(b"half")
        print("writing", flush=True)
        time.sleep(60)

status = run(main)
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
sys.exit(status)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGTERM")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_program_that_is_told_to_end_leaves_nothing_half_written(tmp_path: Path, sent: int, status: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WRITING, tmp_path / "x"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None and program.stdout.readline() == "writing\n"
    program.send_signal(sent)
    _, said = program.communicate(timeout=60)
    assert (program.returncode, said) == (status, "stopped\n") and list(tmp_path.iterdir()) == []
