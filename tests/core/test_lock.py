"""A run's lock: held by one live process, taken over from a dead one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import lock
from core.errors import OutputError
from core.lock import Lock, holder

# core itself would bring torch with it, which takes seconds.
OTHER = """
import sys, time, types
from pathlib import Path
sys.modules["core"] = core = types.ModuleType("core")
core.__path__ = ["core"]
from core.lock import Lock
Lock.take(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds tmp_path/run/state/lock."""
    (tmp_path / "run" / "state").mkdir(parents=True)
    place = tmp_path / "run" / "state" / "lock"
    root = Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", OTHER, place], stdout=subprocess.PIPE, text=True, cwd=root)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with process:
        yield process
        process.kill()


def written(path: Path, *, age: float = 0.0, **changes: object) -> Path:
    """A lock of some process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"pid": os.getppid(), "host": "here", "began": 1.0, **lock._identity(os.getppid()), **changes}
    path.write_text(json.dumps(facts), encoding="utf-8")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_two_processes_never_hold_it_and_a_killed_one_gives_way(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    place = tmp_path / "run" / "state" / "lock"
    with pytest.raises(OutputError, match=rf"run is being written by process {other.pid} on .*; stop that training"):
        Lock.take(place)
    held = holder(place)
    assert held is not None and held.alive and held.pid == other.pid and abs(held.began - time.time()) < 60
    other.kill()
    if sys.platform == "linux":  # before anyone has asked how the process ended
        end = time.monotonic() + 30
        while (held := holder(place)) is not None and held.alive and time.monotonic() < end:
            time.sleep(0.01)
        assert held is not None and not held.alive
    other.wait()
    mine = Lock.take(place)
    assert [file.name for file in place.parent.iterdir()] == ["lock"]
    mine.release()
    mine.release()
    assert not place.exists() and holder(place) is None


def test_a_lock_from_elsewhere_counts_while_it_is_fresh(tmp_path: Path) -> None:
    place = written(tmp_path / "run" / "state" / "lock", place="another machine", pid=2**22 + 1)
    with pytest.raises(OutputError, match="on here"):
        Lock.take(place)
    written(place, place="another machine", age=lock.SILENT + 5)
    Lock.take(place).release()


@pytest.mark.parametrize("changes", [{"pid": 2**22 + 1}, {"pid": os.getpid()}, {"pid": 10**30}, {"pid": -5}])
def test_a_number_without_its_process_is_no_holder(tmp_path: Path, changes: dict[str, object]) -> None:
    Lock.take(written(tmp_path / "run" / "state" / "lock", **changes)).release()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_number_that_went_to_a_later_process_is_no_holder(tmp_path: Path) -> None:
    assert (found := holder(written(tmp_path / "lock"))) is not None and found.alive
    assert (found := holder(written(tmp_path / "lock", start="1"))) is not None and not found.alive


def test_where_nothing_tells_when_a_process_began_a_silent_one_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS and Windows, whose numbers come again soon."""
    monkeypatch.setattr(lock, "_identity", lambda pid: {"place": "here", "start": ""})
    assert (found := holder(written(tmp_path / "lock"))) is not None and found.alive
    assert (found := holder(written(tmp_path / "lock", age=lock.SILENT + 5))) is not None and not found.alive


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": null}', "\ufffd"])
def test_a_lock_that_cannot_be_read_counts_while_it_is_fresh(tmp_path: Path, text: str) -> None:
    place = tmp_path / "run" / "state" / "lock"
    place.parent.mkdir(parents=True)
    place.write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="is being written by"):
        Lock.take(place)
    os.utime(place, (1, 1))
    Lock.take(place).release()


def test_the_holder_gives_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    mine = Lock.take(tmp_path / "lock")
    os.utime(mine.path, (1, 1))
    end = time.monotonic() + 30
    while mine.path.stat().st_mtime < 10 and time.monotonic() < end:
        time.sleep(0.01)
    assert mine.path.stat().st_mtime > 10
    mine.release()


def test_another_trainings_lock_is_not_given_back(tmp_path: Path) -> None:
    mine = Lock.take(tmp_path / "lock")
    written(mine.path)
    mine.release()
    assert mine.path.exists()


def test_a_folder_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written"):
        Lock.take(tmp_path / "nowhere" / "lock")


def test_there_is_never_half_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it writes: nobody waits two minutes for a lock that names no process."""
    monkeypatch.setattr(Path, "write_text", lambda path, text, **_: path.write_bytes(text[:9].encode()) and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Lock.take(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_drives_without_links_have_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    mine = Lock.take(tmp_path / "lock")
    held = holder(tmp_path / "lock")
    assert held is not None and held.pid == os.getpid() and [path.name for path in tmp_path.iterdir()] == ["lock"]
    mine.release()
    assert list(tmp_path.iterdir()) == []
