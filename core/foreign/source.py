"""A file that somebody else made, read in pieces within its own bounds, and how much may be made of it.

Nothing here trusts a length that stands in the file: what is asked for is compared with what is there first.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from core.errors import CheckpointError

__all__ = ["KINDS", "Budget", "Held", "Source", "Span", "Text", "Window"]

KINDS = "networks of Styloscope, of NVIDIA's programs and of rosinality's are accepted"

_AGAIN = "copy it again or take an earlier one"
_CHUNK = 1 << 14


@dataclass
class Budget:
    """What reading one file may cost in all, the pickles inside its pickles included.

    The largest networks of the field need half of it.
    """

    path: Path
    steps: int = 160_000
    text: int = 1 << 23  # bytes
    unknown: set[str] = field(default_factory=set)  # globals that are on no list

    def spend(self, steps: int) -> None:
        """Take `steps` steps off. Raises CheckpointError where there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise CheckpointError(f"{self.path} has more in it than any network file needs; it was not read")

    def spend_text(self, count: int) -> None:
        """Take `count` bytes of text off. Raises CheckpointError where there are none left."""
        self.text -= count
        if self.text < 0:
            raise CheckpointError(f"{self.path} has more text in it than any network file needs; it was not read")


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that stay in the file, from `begin` to before `end`."""

    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class Text:
    """A long text, which stays in the file as UTF-8, from `begin` to before `end`."""

    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin


class Source:
    """An open file. Raises CheckpointError where there is none, or no ordinary one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # A pipe would wait for a writer: what it is comes before it is opened.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise CheckpointError(f"there is no network at {path}; it is no ordinary file")
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__
            self.size = os.fstat(self._file.fileno()).st_size
            self._claimed = self._unpacked = 0
        except OSError as wrong:
            raise self._unreadable(wrong) from wrong
        except ValueError as wrong:  # a name that no disk can have
            raise CheckpointError(f"there is no network at {path}; {wrong}") from wrong

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def _unreadable(self, wrong: OSError) -> CheckpointError:
        return CheckpointError(f"{self.path} could not be read ({wrong.strerror or wrong}); {_AGAIN}")

    def read(self, begin: int, count: int) -> bytearray:
        """Return `count` bytes from `begin` on. Raises CheckpointError where they are not all there."""
        if not 0 <= begin <= begin + count <= self.size:
            raise self.truncated()
        data = bytearray(count)
        view, done = memoryview(data), 0
        try:
            self._file.seek(begin)
            while done < count:
                got = self._file.readinto(view[done:])
                if not got:
                    raise self.truncated()
                done += got
        except OSError as wrong:
            raise self._unreadable(wrong) from wrong
        return data

    def claim(self, count: int) -> bool:
        """Whether `count` more bytes, beside all that were claimed before, are no more than the file has."""
        self._claimed += count
        return self._claimed <= self.size

    def unpack(self, text: str | Text) -> Held:
        """The bytes that stand as a text, a character each, as pickles of protocol 2 have them.

        Raises CheckpointError where all that were asked for are larger than the file, ValueError for other characters.
        """
        self._unpacked += len(text)
        if self._unpacked > self.size:
            raise self.damaged("the same text in it stands for bytes again and again")
        words = text if isinstance(text, str) else self.read(text.begin, len(text)).decode("utf-8")
        return Held(self.path, words.encode("latin-1"))

    def truncated(self) -> CheckpointError:
        """The error for a file that ends before what it announces."""
        return CheckpointError(f"{self.path} is truncated or damaged: something lies outside the file; {_AGAIN}")

    def damaged(self, what: str) -> CheckpointError:
        """The error for a file that contradicts itself."""
        return CheckpointError(f"{self.path} is damaged or not what it seems: {what}")

    def sha256(self) -> str:
        """Return the SHA-256 of the whole file as 64 hex digits."""
        digest = hashlib.sha256()
        for begin in range(0, self.size, 1 << 20):
            digest.update(self.read(begin, min(1 << 20, self.size - begin)))
        return digest.hexdigest()


class Held(Source):
    """Bytes out of a file, read as a file is."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self._data, self.size = path, data, len(data)
        self._claimed = self._unpacked = 0

    def read(self, begin: int, count: int) -> bytearray:
        """Return `count` bytes from `begin` on. Raises CheckpointError where they are not all there."""
        if not 0 <= begin <= begin + count <= self.size:
            raise self.truncated()
        return bytearray(memoryview(self._data)[begin : begin + count])


class Window:
    """A stretch of a source, read from its beginning to its end."""

    def __init__(self, source: Source, begin: int, end: int) -> None:
        self.source = source
        self.at = begin
        self.end = end
        self._chunk = b""
        self._first = begin

    def take(self, count: int) -> bytes:
        """The next `count` bytes, few. Raises CheckpointError where the window ends before."""
        if count > self.end - self.at:
            raise self.source.truncated()
        start = self.at - self._first
        if start + count > len(self._chunk):
            wanted = min(max(count, _CHUNK), self.end - self.at)
            self._chunk, self._first, start = bytes(self.source.read(self.at, wanted)), self.at, 0
        self.at += count
        return self._chunk[start : start + count]

    def line(self, most: int) -> bytes:
        """The bytes before the next line feed, which is passed over; at most `most` of them."""
        ahead = min(most + 1, self.end - self.at)
        text, feed, _ = self.take(ahead).partition(b"\n")
        self.at -= ahead - len(text) - len(feed)
        if not feed:
            raise self.source.damaged("a name in it does not end")
        return text

    def skip(self, count: int) -> Span:
        """Pass over `count` bytes, which stay in the file."""
        if count > self.end - self.at:
            raise self.source.truncated()
        self.at += count
        return Span(self.at - count, self.at)
