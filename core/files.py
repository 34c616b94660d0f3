"""Writing so that nothing is ever half written: a temporary name in the same folder, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import OutputError

__all__ = ["usable_folder", "writing"]


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; on leaving, sync it and rename it onto `path`.

    When anything fails the temporary file is removed and what was at `path` stays whole. An OSError becomes an
    OutputError that names `path`. The temporary name keeps the suffix, since some writers choose their format by it.
    """
    path = Path(path)
    if not path.name:
        raise OutputError(f"{str(path)!r} is not the name of a file; name one")
    # Cut, since a name has at most 255 bytes and a character up to four of them.
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        usable_folder(path.parent)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
        raise OutputError(
            f"{path} could not be written ({reason}), what was there is untouched; free space or name another place"
        ) from wrong
    _sync_folder(path.parent)


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
