"""Bodies of bytes from the page, counted as they come, and the private folder of a server where files for people lie.

A server that is killed leaves its folder behind. A lock in there says whose it is, so that the next one can take it
away.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request

from core.errors import OutputError, SettingError
from core.lock import SILENT, Holder, Lock, holder

__all__ = ["announced", "parts", "private_folder", "received", "sweep"]

_SILENCE = 60.0  # seconds without a byte that end an upload
_DAY = 86_400.0
_OWN: set[Path] = set()  # folders of this very process
_LOCK = "lock"
_OURS = re.compile(r"styloscope-[a-z0-9_]{8}")


class TooLargeError(SettingError):
    """An upload of more bytes than may come."""

    status = 413

    def __init__(self, count: str, most: int, what: str) -> None:
        super().__init__("upload", f"{count} bytes", f"{what} of at most {most >> 20} MB")


def announced(request: Request, *, most: int, what: str) -> int:
    """How many bytes are said to come, `most` where nothing is said. Raises SettingError where they are more."""
    said = request.headers.get("content-length", "")
    if not (said.isascii() and said.isdigit()):
        return most
    if int(said[:20]) > most:
        raise TooLargeError(said[:20], most, what)
    return int(said[:20])


async def parts(request: Request, *, most: int, what: str) -> AsyncIterator[bytes]:
    """The body as it comes, at most `most` bytes of `what`. Raises SettingError where there are more.

    OutputError where nothing comes any more; ClientDisconnect where the browser has left.
    """
    announced(request, most=most, what=what)
    count, coming = 0, request.stream()
    while True:
        try:
            part = await asyncio.wait_for(anext(coming), _SILENCE)
        except StopAsyncIteration:
            return
        except TimeoutError:
            words = f"nothing came for {_SILENCE:.0f} seconds; try it again"
            raise OutputError(f"the upload of {what} was given up: {words}") from None
        count += len(part)
        if count > most:
            raise TooLargeError(str(count), most, what)
        yield part


async def received(request: Request, *, most: int, what: str) -> bytes:
    """The whole body. Raises SettingError where there is none, and what `parts` does."""
    body = bytearray()
    async for part in parts(request, most=most, what=what):
        body += part
    if not body:
        raise SettingError("upload", "nothing", f"the bytes of {what}")
    return bytes(body)


def private_folder(parent: Path | None) -> tuple[Path, Lock]:
    """Make a folder with a name that nobody can guess inside `parent`, and hold its lock. Raises OSError, OutputError.

    None is the system's temporary folder.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="styloscope-", dir=parent))
    try:
        lock = Lock.take(folder / _LOCK)
    except OutputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _OWN.add(folder)
    return folder, lock


def sweep(parent: Path | None) -> None:
    """Remove those of our private folders in `parent` whose servers have ended without doing so."""
    # A folder that cannot be listed, or a file that cannot be removed, is as it was.
    with suppress(OSError), os.scandir(parent or tempfile.gettempdir()) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False) and _is_left(Path(entry.path)):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether a folder is this user's, and whoever holds its lock has ended; without a lock nobody can say so."""
    lock = folder / _LOCK
    try:
        if folder in _OWN or (os.name == "posix" and folder.lstat().st_uid != os.getuid()):
            return False
        held = None if lock.is_symlink() else holder(lock)
        if held is None or held.alive:
            return False
        silent = time.time() - lock.stat().st_mtime
    except OSError:
        return False
    # A machine that was asleep, or a number that another process has by now: what is not sure has a day.
    return silent > _DAY or (held.here and _is_gone(held, silent=silent))


def _is_gone(held: Holder, *, silent: float) -> bool:
    """Whether a process of this machine is surely gone. False on Windows, where asking would stop it."""
    if held.pid == os.getpid():  # a container that is started again gives its program the number that the last one had
        return silent > SILENT
    if os.name != "posix" or held.pid <= 0:
        return False
    try:
        os.kill(held.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
