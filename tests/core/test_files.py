"""Nothing is ever half written: full disks, exceptions on the way, names and folders that cannot be."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import files
from core.errors import OutputError, SettingError
from core.files import temporary_beside, usable_folder, writing

OLD = b"what was there before"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB, where this machine lets us mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if not sys.platform.startswith("linux") or mount is None:
        pytest.skip("a small disk is mounted on Linux alone")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


def untouched(path: Path) -> None:
    """The old file is whole and nothing lies beside it."""
    assert path.read_bytes() == OLD
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_file_appears_at_the_end(target: Path) -> None:
    with writing(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == target.suffix
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert target.read_bytes() == OLD
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    with writing(str(path)) as temporary:
        temporary.write_text("x", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize("wrong", [ValueError("no"), SettingError("size", 1, "2"), KeyboardInterrupt(), MemoryError()])
def test_an_exception_passes_and_keeps_the_old_file(target: Path, wrong: BaseException) -> None:
    with pytest.raises(type(wrong)) as caught, writing(target) as temporary:
        temporary.write_bytes(b"half")
        raise wrong
    assert caught.value is wrong
    untouched(target)


def test_an_exception_before_anything_is_written(target: Path) -> None:
    with pytest.raises(ValueError), writing(target):
        raise ValueError
    untouched(target)


def test_writing_nothing_is_an_error(target: Path) -> None:
    with pytest.raises(OutputError, match="network.safetensors"), writing(target):
        pass
    untouched(target)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_end(target: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OutputError) as caught, writing(target) as temporary:
            temporary.write_bytes(b"half")
    assert str(target) in str(caught.value) and "No space left" in str(caught.value)
    untouched(target)


def test_a_disk_that_is_full_while_writing(target: Path) -> None:
    with pytest.raises(OutputError) as caught, writing(target) as temporary:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    assert str(target) in str(caught.value) and "No space left" in str(caught.value)
    assert "\n" not in str(caught.value)
    untouched(target)


def test_a_folder_that_cannot_be_synced_is_no_failure(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network drives refuse it, after the file is whole and in its place."""
    real = os.fsync
    refused: list[int] = []

    def picky(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            refused.append(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", picky)
        with writing(target) as temporary:
            temporary.write_bytes(b"new")
    assert target.read_bytes() == b"new"
    assert refused or os.name == "nt"


def test_a_disk_that_is_really_full(tiny_disk: Path) -> None:
    target = tiny_disk / "network.safetensors"
    target.write_bytes(OLD)
    with pytest.raises(OutputError) as caught, writing(target) as temporary:
        temporary.write_bytes(bytes(1 << 20))
    assert str(target) in str(caught.value) and "No space left" in str(caught.value)
    untouched(target)
    with writing(target) as temporary:
        temporary.write_bytes(bytes(1000))
    assert target.read_bytes() == bytes(1000)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "é" * 120 + ".png", "\N{BRAIN}" * 60 + ".safetensors"])
def test_long_names(tmp_path: Path, name: str) -> None:
    """Every name that the disk takes, up to its last byte; the others are refused."""
    path = tmp_path / name
    try:
        path.write_bytes(OLD)
    except OSError:
        with pytest.raises(OutputError), writing(path) as temporary:
            temporary.write_bytes(b"new")
        assert not list(tmp_path.iterdir())
        return
    with writing(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_no_name_at_all(name: str) -> None:
    with pytest.raises(OutputError, match="not the name of a file"), writing(name):
        pytest.fail("nothing is written")


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder.png"
    path.mkdir()
    with pytest.raises(OutputError, match="folder.png"), writing(path) as temporary:
        temporary.write_bytes(b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


def test_a_file_in_the_place_of_the_folder(target: Path) -> None:
    with pytest.raises(OutputError, match="a file has that name"), writing(target / "x.png"):
        pytest.fail("nothing is written")
    with pytest.raises(OutputError, match="a file has that name"):
        usable_folder(target)
    with pytest.raises(OutputError, match="a file has that name"):
        usable_folder(target / "deeper" / "still")
    untouched(target)


def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(OutputError, match="locked"), writing(folder / "x.png"):
            pytest.fail("nothing is written")
        with pytest.raises(OutputError, match="locked"):
            usable_folder(folder / "new")
    finally:
        folder.chmod(0o700)


def test_a_folder_said_not_to_be_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="is not writable"):
        usable_folder(tmp_path)


def test_usable_folder_returns_the_folder(tmp_path: Path) -> None:
    assert usable_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert usable_folder(tmp_path / "a" / "b").is_dir()


def test_a_written_file_follows_the_umask(tmp_path: Path) -> None:
    """Also where the writer makes a private file of its own, as safetensors does."""
    if os.name != "posix":
        pytest.skip("modes are POSIX")
    before = os.umask(0o027)
    try:
        for name, private in (("a", False), ("b", True)):
            with writing(tmp_path / name) as temporary:
                temporary.write_bytes(b"new")
                if private:
                    temporary.chmod(0o600)
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
    finally:
        os.umask(before)


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_later_write_sweeps_what_a_killed_one_left(tmp_path: Path, gone: int) -> None:
    ours = temporary_beside(tmp_path / "a.png").name
    dead = re.sub(r"-\d+-(?=[0-9a-f]{8}\.png)", f"-{gone}-", ours)
    elsewhere = re.sub(r"styloscope-[0-9a-f]{8}", "styloscope-00000000", dead)
    kept = {ours, elsewhere, ".a.styloscope-x-1-y.png", ".hidden", "a.styloscope", dead[1:], f"{dead}.mine.png"}
    (tmp_path / "old").mkdir()
    for name in (dead, *kept):
        (tmp_path / name).write_bytes(b"half")
        (tmp_path / "old" / name).write_bytes(b"half")
        os.utime(tmp_path / "old" / name, (0, 0))
    frames = tmp_path / re.sub(r"\.png$", "", dead).replace(".a.", ".frames.")
    frames.mkdir()
    (frames / "000000.png").write_bytes(b"half")
    with writing(tmp_path / "b.png") as temporary:
        temporary.write_bytes(b"new")
    with writing(tmp_path / "old" / "b.png") as temporary:
        temporary.write_bytes(b"new")
    left = {path.name for path in tmp_path.iterdir()} - {"b.png", "old"}
    assert left == kept if os.name == "posix" else left >= kept
    assert {path.name for path in (tmp_path / "old").iterdir()} == (kept - {ours, elsewhere}) | {"b.png"}


@pytest.mark.parametrize(
    ("system", "refusals", "written"), [("win32", 2, True), ("win32", 1000, False), ("linux", 1, False)]
)
def test_windows_is_asked_again_while_somebody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, refusals: int, written: bool
) -> None:
    replace, left = os.replace, [refusals]

    def refused(a: Path, b: Path) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        replace(a, b)

    place = tmp_path / "losses.csv"
    place.write_text("old", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", system)
        patch.setattr(files, "_PATIENCE", 0.3)
        patch.setattr(os, "replace", refused)
        if written:
            with writing(place) as temporary:
                temporary.write_text("new", encoding="utf-8")
        else:
            says = "another program has it open" if system == "win32" else "Access is denied"
            with pytest.raises(OutputError, match=says) as raised, writing(place) as temporary:
                temporary.write_text("new", encoding="utf-8")
            assert isinstance(raised.value.__cause__, files.InUseError) == (system == "win32")
    assert place.read_text(encoding="utf-8") == ("new" if written else "old")
    assert [path.name for path in tmp_path.iterdir()] == ["losses.csv"]
