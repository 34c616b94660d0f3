"""Writing so that nothing is ever half written: a temporary name in the same folder, synced, then renamed.

A process that is killed leaves its temporary file behind. Its name says whose it was, so that the next write to the
same folder can take it away.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import OutputError

__all__ = [
    "InUseError",
    "cache_folder",
    "is_device",
    "is_temporary",
    "sweep",
    "temporary_beside",
    "usable_folder",
    "writing",
]

_DAY = 86_400
_PATIENCE = 2.0  # seconds
_LIVE: set[str] = set()  # names that this process has in use
_OURS = re.compile(r"\..*\.styloscope-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{8}(?:\.[^.]*)?", re.DOTALL)

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class InUseError(PermissionError):
    """A file could not be replaced since somebody has it open; the cause of the OutputError that tells a person."""


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on leaving, sync it and rename it onto `path`.

    When anything fails the temporary file is removed and what was at `path` stays whole. An OSError becomes an
    OutputError that names `path`. The temporary name keeps the suffix, since some writers choose their format by it.
    """
    path = Path(path)
    if not path.name:
        raise OutputError(f"{str(path)!r} is not the name of a file; name one")
    temporary = temporary_beside(path)
    try:
        usable_folder(path.parent)
        mode = _usual_mode(temporary)
        try:
            yield temporary
            # Some writers make a private file of their own and rename it: others shall be able to read this one too.
            if temporary.stat().st_mode != mode:
                temporary.chmod(mode & 0o7777)
            _sync(temporary)
            _put(temporary, path)
        finally:
            with suppress(OSError):  # what went wrong before is what has to be told
                temporary.unlink(missing_ok=True)
            _LIVE.discard(temporary.name)
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
        raise OutputError(
            f"{path} could not be written ({reason}), what was there is untouched; free space or name another place"
        ) from wrong
    _sync_folder(path.parent)
    sweep(path.parent)


def _put(temporary: Path, path: Path) -> None:
    """Rename onto `path`. Windows refuses while somebody has that open, as its search and virus scanners do briefly."""
    end = time.monotonic() + (_PATIENCE if sys.platform == "win32" else 0)
    while True:
        try:
            return os.replace(temporary, path)
        except PermissionError as wrong:
            if time.monotonic() >= end:
                if sys.platform == "win32" and path.is_file():
                    raise InUseError(wrong.errno, "another program has it open") from wrong
                raise
            time.sleep(0.05)


def temporary_beside(path: Path) -> Path:
    """A free hidden name beside `path`, with its suffix, that says which process on which machine it belongs to."""
    # Cut, since a name has at most 255 bytes and a character up to four of them.
    suffix = path.suffix if len(path.suffix) <= 16 else ""
    name = f".{path.stem[:40]}.styloscope-{_machine()}-{os.getpid()}-{secrets.token_hex(4)}{suffix}"
    _LIVE.add(name)
    return path.with_name(name)


def is_temporary(name: str) -> bool:
    """Whether a name is one that `temporary_beside` gives, in any process."""
    return _OURS.fullmatch(name) is not None


def is_device(name: str) -> bool:
    """Whether Windows takes a file's name for one of its devices, with or without a suffix."""
    return _DEVICES.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Remove what killed writers left in `folder`: our temporary names, a day old or of a process that is gone."""
    # A folder that cannot be listed, or a file that cannot be removed, is as it was.
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _OURS.fullmatch(entry.name) if entry.name.startswith(".") else None
            if found is None or entry.is_symlink():
                continue
            old = time.time() - entry.stat().st_mtime > _DAY
            if old or (found[1] == _machine() and _is_gone(int(found[2]), entry.name)):
                if entry.is_dir():
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


def _machine() -> str:
    """This machine, as 8 hex digits: elsewhere on a shared drive the number of a process says nothing."""
    return f"{zlib.crc32(socket.gethostname().encode('utf-8', 'replace')):08x}"


def _is_gone(process: int, name: str) -> bool:
    """Whether whoever has left `name` has ended. False on Windows, where asking would stop the process."""
    if process == os.getpid():  # a container that is started again gives its program the number that the last one had
        return name not in _LIVE
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _usual_mode(free: Path) -> int:
    """The mode of an ordinary new file at the name `free`, which stays free: the umask is read by setting it alone."""
    descriptor = os.open(free, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
        os.unlink(free)


def usable_folder(folder: str | Path) -> Path:
    """Make `folder` where it is missing and return it; OutputError where that is impossible or it is a file."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        reason = "a file has that name" if isinstance(wrong, FileExistsError | NotADirectoryError) else wrong.strerror
        raise OutputError(f"the folder {folder} cannot be made ({reason}); name another place") from wrong
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} is not writable; change its permissions or name another place")
    return folder


def cache_folder() -> Path:
    """The folder of this user for what can be made again: the place of last resort, which may not be there yet."""
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "styloscope"


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # The rename itself survives a power cut only once the folder is synced. Windows cannot open a folder and some
    # network drives cannot sync one: the file is whole and in its place all the same.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
