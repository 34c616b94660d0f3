"""Who writes a run: RUN/state/lock, so that two trainings never write one run and a page can say which are running.

The lock names a process. On the machine it names, that process is looked for; from any other machine, or another
container, the lock counts while its time on the disk is fresh: its holder touches it every few seconds.
"""

from __future__ import annotations

import json
import os
import platform
import stat
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import OutputError
from core.files import temporary_beside

__all__ = ["Holder", "Lock", "holder"]

BEAT = 10.0
_LONGEST = 4096  # bytes
SILENT = 120.0  # seconds without a sign; network drives may show a file's time a minute late


@dataclass(frozen=True)
class Holder:
    """What a lock says: the process, its machine, when it began (seconds since 1970), and whether it still lives.

    `here`: of this machine and container, so that `pid` means here what it meant there.
    """

    pid: int
    host: str
    began: float
    alive: bool
    here: bool = False


class Lock:
    """A lock that this process holds; a thread keeps it fresh until it is released or the process ends."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._text = text
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="lock", daemon=True).start()

    @classmethod
    def take(cls, path: Path) -> Lock:
        """Take the lock at `path`, over a dead holder's if need be. Raises OutputError while another training lives."""
        text = json.dumps({"pid": os.getpid(), "host": platform.node(), "began": time.time(), **_identity(os.getpid())})
        for _ in range(8):
            try:
                _create(path, text)
                return cls(path, text)
            except FileExistsError:
                _clear(path)
            except OSError as wrong:
                raise OutputError(
                    f"{path} could not be written ({wrong.strerror}); free space or name another place"
                ) from wrong
        raise OutputError(f"{path.parent.parent} is being written by other trainings; wait until they are done")

    def release(self) -> None:
        """Give the lock back. Twice is fine."""
        self._over.set()
        with suppress(OSError):
            if self.path.read_text(encoding="utf-8") == self._text:
                self.path.unlink()

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                os.utime(self.path)
            except FileNotFoundError:
                return
            except OSError:  # a network drive that is away for a moment
                continue


def holder(path: Path) -> Holder | None:
    """Who holds the lock at `path`, dead or alive; None where there is no lock."""
    found = _read(path)
    return None if found is None else found[1]


def _read(path: Path) -> tuple[str, Holder] | None:
    try:
        # Where others may write, a lock may be anything: a pipe would wait for a writer.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode):
                return None
            text = file.read(_LONGEST).decode("utf-8", "replace")
        age = time.time() - told.st_mtime
    except OSError:
        return None
    try:
        facts = json.loads(text)
        pid, host, began = int(facts["pid"]), str(facts["host"]), float(facts["began"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # begun and not yet written, or no lock
        return text, Holder(0, "unknown", 0.0, alive=age < SILENT)
    here = facts.get("place") == _identity(os.getpid())["place"]
    return text, Holder(pid, host, began, alive=_lives(pid, facts, age=age), here=here)


def _lives(pid: int, facts: dict[str, Any], *, age: float) -> bool:
    here = _identity(os.getpid())
    if facts.get("place") != here["place"]:
        return age < SILENT
    # A container that is started again gives its program the number that the last one had.
    if pid == os.getpid() or not _exists(pid) or facts.get("start") != _identity(pid)["start"]:
        return False
    # Where nothing tells when a process began, its number may be another's by now; a holder that lives is not silent.
    return bool(here["start"]) or age < SILENT


def _create(path: Path, text: str) -> None:
    """Make a lock, never half of one: a name for what is written already. Raises FileExistsError, OSError."""
    temporary = temporary_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        try:
            os.link(temporary, path)
            return
        except FileExistsError:
            raise
        except OSError:  # a drive without links
            pass
        with open(path, "x", encoding="utf-8") as out:
            out.write(text)
    finally:
        temporary.unlink(missing_ok=True)


def _clear(path: Path) -> None:
    """Take away the lock of a dead holder. Raises OutputError where the holder lives."""
    found = _read(path)
    if found is None:
        return
    text, held = found
    run = path.parent.parent
    if held.alive:
        raise OutputError(f"{run} is being written by process {held.pid} on {held.host}; stop that training, or wait")
    aside = temporary_beside(path)
    with suppress(FileNotFoundError):
        os.replace(path, aside)
        # Of two that find a dead lock the slower one may have moved the faster one's new lock.
        if aside.read_text(encoding="utf-8", errors="replace") != text and not path.exists():
            os.replace(aside, path)
            return
        aside.unlink()


def _identity(pid: int) -> dict[str, str]:
    """What tells a process from a later one of the same number, and its machine from others of the same name."""
    boot, space, start = "", "", ""
    with suppress(OSError, IndexError):  # only Linux tells
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        space = os.readlink("/proc/self/ns/pid")
        start = _stat(pid)[19]
    return {"place": f"{platform.node()} {boot} {space}".strip(), "start": start}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, the state first; the 20th is the start. Raises OSError."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return text.rpartition(")")[2].split()


if sys.platform == "win32":

    def _exists(pid: int) -> bool:
        import ctypes

        kernel, code = ctypes.windll.kernel32, ctypes.c_ulong()
        process = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if not process:
            return False
        try:
            return bool(kernel.GetExitCodeProcess(process, ctypes.byref(code))) and code.value == 259  # STILL_ACTIVE
        finally:
            kernel.CloseHandle(process)

else:

    def _exists(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        except (OSError, OverflowError):
            return False
        with suppress(OSError, IndexError):
            return _stat(pid)[0] not in "ZX"  # ended, and its parent has not looked yet
        return True
