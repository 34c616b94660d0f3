"""What killed servers leave in the temporary folder: taken away by the next one, and nothing else."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from core import lock
from explorer.web import uploads
from explorer.web.jobs import Jobs
from explorer.web.uploads import private_folder, sweep
from tests.explorer.conftest import until

HERE = {"place": lock._identity(os.getpid())["place"]}
ROOT = Path(__file__).resolve().parents[3]
SERVER = """
import pathlib, sys, time
from explorer.web.jobs import Jobs
folder = Jobs(parent=pathlib.Path(sys.argv[1])).hold()
(folder / "film.gif").write_bytes(b"film")
print(folder, flush=True)
time.sleep(300)
"""


def server(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process with a queue whose files lie in `parent`, and the folder of one job."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, parent], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def left(folder: Path, name: str, *, age: float = 0.0, **more: object) -> Path:
    """A private folder with a file and a lock that says so, last touched `age` seconds ago."""
    place = folder / name
    place.mkdir()
    (place / "film.gif").write_bytes(b"film")
    facts = {"pid": 2**22 + 5, "host": platform.node(), "began": time.time() - age, "place": "", "start": "", **more}
    (place / "lock").write_text(json.dumps(facts), encoding="utf-8")
    os.utime(place / "lock", (time.time() - age,) * 2)
    return place


@pytest.mark.skipif(os.name != "posix", reason="a killed process is sure to be gone at once where asking is harmless")
def test_what_a_killed_server_left_goes_when_the_next_begins(tmp_path: Path) -> None:
    killed, gone = server(tmp_path)
    lives, there = server(tmp_path)
    try:
        assert (gone / "film.gif").is_file() and (there / "film.gif").is_file()
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        with closing(Jobs(parent=tmp_path)) as jobs:
            assert not gone.parent.exists() and (there / "film.gif").is_file()
            own = jobs.hold()
            sweep(tmp_path)
            assert own.is_dir(), "of this very process"
        assert sorted(tmp_path.iterdir()) == [there.parent]
    finally:
        for process in (killed, lives):
            process.kill()
            process.wait()


def test_only_what_is_surely_left_goes(tmp_path: Path) -> None:
    day = 90_000.0
    old = left(tmp_path, "styloscope-aaaaaaaa", age=day)
    elsewhere = left(tmp_path, "styloscope-bbbbbbbb", age=day, host="another")
    restarted = left(tmp_path, "styloscope-cccccccc", age=day - 80_000, pid=os.getpid(), **HERE)  # of a container, say
    kept = [
        left(tmp_path, "styloscope-dddddddd", age=300, host="another"),  # asleep for a moment, or far away
        left(tmp_path, "styloscope-mine", age=day),
        left(tmp_path, "styloscope-kkkkkkkk", age=300, place="another container"),  # where our numbers mean nothing
        left(tmp_path, "styloscope-llllllll", age=5, pid=os.getpid(), **HERE),
        left(tmp_path, "other-eeeeeeee", age=day),
        left(tmp_path, "styloscope-ffffffff", age=5, place="another container"),
    ]
    bare = tmp_path / "styloscope-gggggggg"  # nobody says whose
    bare.mkdir()
    target = left(tmp_path, "linked", age=day)
    link = tmp_path / "styloscope-hhhhhhhh"
    linked = left(tmp_path, "styloscope-iiiiiiii", age=day)
    inside = left(tmp_path, "styloscope-jjjjjjjj", age=day)
    (linked / "lock").unlink()
    if os.name == "posix":
        link.symlink_to(target)
        (linked / "lock").symlink_to(target / "lock")
        (inside / "away").symlink_to(target)
    sweep(tmp_path)
    assert not any(one.exists() for one in (old, elsewhere, restarted, inside))
    assert all((one / "film.gif").is_file() for one in [*kept, target, linked]) and bare.is_dir()
    assert (target / "lock").is_file()
    sweep(tmp_path / "none")


@pytest.mark.parametrize(
    "text",
    [
        '{"pid": Infinity, "host": "a", "began": 1}',
        "[" * 100_000,
        '{"pid": 1, "host": "a", "began": 1' + "0" * 400 + "}",
    ],
)
def test_a_lock_that_is_none_stops_nobody(tmp_path: Path, text: str) -> None:
    strange, old = left(tmp_path, "styloscope-aaaaaaaa"), left(tmp_path, "styloscope-bbbbbbbb", age=90_000)
    (strange / "lock").write_text(text, encoding="utf-8")
    sweep(tmp_path)
    assert strange.is_dir() and not old.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_place_of_a_lock_is_not_waited_for(tmp_path: Path) -> None:
    strange = left(tmp_path, "styloscope-aaaaaaaa")
    (strange / "lock").unlink()
    os.mkfifo(strange / "lock")
    sweep(tmp_path)
    assert strange.is_dir()


@pytest.mark.skipif(os.name != "posix", reason="folders have no owner to compare")
def test_what_another_person_left_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = left(tmp_path, "styloscope-aaaaaaaa", age=90_000)
    monkeypatch.setattr(uploads.os, "getuid", lambda: 12345)
    sweep(tmp_path)
    assert theirs.is_dir()


def test_a_lock_is_kept_fresh_and_goes_with_its_folder(tmp_path: Path) -> None:
    folder, lock = private_folder(tmp_path / "new")
    assert [one.name for one in folder.iterdir()] == ["lock"]
    lock.release()
    assert not list(folder.iterdir())
    jobs = Jobs(parent=tmp_path / "new")
    held = jobs.hold()
    jobs.close()
    until(lambda: not held.parent.exists())
