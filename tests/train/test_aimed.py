"""Killed within a save, an evaluation, a line of the log, a beginning: the run ends as one that was never killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import runs
from core.files import temporary_beside
from tests.train import make
from tests.train.test_processes import ROOT
from train import keep, state
from train.data import TEMPORARY
from train.output import Run

# Each in an attempt of its own, in one run. All moments there are, one run each: python -m tests.kills aimed
MOMENTS = [
    "half of state/lock 1",
    "half of config.json 1",
    "half of log.jsonl 1",
    "after rename to checkpoints/N.safetensors 1",  # networks, and no state yet
    "half of state/N.safetensors 2",
    "after rename to best.json 1",
    "half of metrics.jsonl 1",
    "before rename to samples/N.png 1",
    "half of checkpoints/N.safetensors 2",
    "before Adam 2",
    "after evaluation 1",
    "after rename to state/N.safetensors 2",  # the end: two states, and nothing pruned
]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_a_kill_at_chosen_moments_changes_nothing(tmp_path: Path) -> None:
    data = make.folder(tmp_path / "in", count=80, size=(8, 8))
    command = [sys.executable, "-m", "tests.train.aimed", tmp_path, data, "3", *MOMENTS]
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr


def test_what_a_killed_training_has_left_goes_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("samples", "checkpoints", "state"):
        (tmp_path / name).mkdir()
    left = [temporary_beside(tmp_path / name / "a.png") for name in ("", "samples", "checkpoints", "state")]
    # A container that is started again gives its program the number that the last one had.
    left = [path.with_name(f"{path.stem[:-8]}{'0' * 8}.png") for path in left]
    frames = tmp_path / "state" / f"{TEMPORARY}abc"
    frames.mkdir()
    for path in (*left, frames / "frames"):
        path.write_bytes(b"half")
    with Run.beginning(tmp_path, resume=True) as run:
        run.release()
        assert [path for path in (*left, frames) if path.exists()] == []


def test_a_run_killed_before_its_settings_were_written_is_a_run(tmp_path: Path) -> None:
    temporary_beside(tmp_path / "config.json").touch()
    Run.check(tmp_path, resume=True)


def test_networks_of_a_first_save_that_was_killed_are_made_again(tmp_path: Path) -> None:
    """Only a run that has had a state can have lost it: then its networks are kept, whatever happens to the move."""
    (tmp_path / "state").mkdir()
    (tmp_path / "checkpoints").mkdir()
    run = Run(tmp_path)
    assert run.set_aside() is None and state.is_begun(run.state) and state.latest(run.state) is None
    network = runs.checkpoint_path(tmp_path, 0)
    network.write_bytes(b"")
    assert run.set_aside() is None and network.exists()
    state.save(run.state, {}, {}, images=4)
    assert not state.is_begun(run.state)
    for path in run.state.iterdir():
        path.unlink()
    assert run.set_aside() == tmp_path / "before-1" and not network.exists() and state.is_begun(run.state)


def test_two_states_become_one_and_no_best_is_left_over(tmp_path: Path) -> None:
    for images in (0, 4, 8, 12):
        (tmp_path / f"{images:09d}.safetensors").write_bytes(b"")
    state.forget_others(tmp_path, images=8)
    assert [path.name for path in tmp_path.iterdir()] == ["000000008.safetensors"]
    (tmp_path / "checkpoints").mkdir()
    for name in ("000001", "best"):
        (tmp_path / "checkpoints" / f"{name}.safetensors").write_bytes(b"")
    assert keep.judge(tmp_path, runs.checkpoint_path(tmp_path, 1000), measure="swd", value=1.0, rank=1.0, images=1000)
    (tmp_path / "checkpoints" / "best.safetensors").write_bytes(b"")  # killed just before this went
    keep.forget_after(tmp_path, 1000)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["000001.safetensors"]
