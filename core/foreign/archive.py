"""The directory of a zip file, read by the book: stored entries, each in its place, no two of one name.

Python's own reader is not used since it takes the directory's word for what it says, and finds a directory wherever
one may be; here every entry lies inside the file, none overlaps another, and what is announced twice says the same.
"""

from __future__ import annotations

import struct

from core.foreign.source import Source, Span

__all__ = ["Archive"]

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x06"
_LOCATOR_64 = b"PK\x06\x07"
_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_MOST_ENTRIES = 20_000
_MOST_DIRECTORY = 1 << 23
_FLAGS = 0x0008 | 0x0800  # sizes behind the data, names in UTF-8
_FULL = 0xFFFFFFFF


class Archive:
    """`entries`: name -> where its bytes lie. Raises CheckpointError for a zip that torch.save never writes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        begin, size, count = self._end()
        if not count or count > _MOST_ENTRIES or size > _MOST_DIRECTORY:
            raise source.damaged("its zip directory is empty or of no sensible size")
        self._directory = begin
        self.entries: dict[str, Span] = {}
        spans = []
        table = source.read(begin, size)
        at = 0
        for _ in range(count):
            name, header, length, at = self._entry(table, at)
            if name in self.entries:
                raise source.damaged(f"its zip has two entries of the name {name[:60]!r}")
            span = self._data(name, header, length)
            self.entries[name] = span
            spans.append((header, span.end))
        if at != size:
            raise source.damaged("its zip directory is not as long as it says")
        last = 0
        for header, end in sorted(spans):
            if header < last:
                raise source.damaged("entries of its zip overlap")
            last = end

    def _end(self) -> tuple[int, int, int]:
        """(offset of the directory, its size, number of entries), from the record at the very end of the file."""
        source = self.source
        if source.size < 22:
            raise source.truncated()
        # torch writes no comment, so the record is the last thing in the file.
        tail = source.read(source.size - 22, 22)
        magic, disk, first, here, count, size, begin, comment = struct.unpack("<4s4H2LH", tail)
        if magic != _END or comment:
            raise source.truncated()
        last = source.size - 22
        if _FULL in (size, begin) or count == 0xFFFF or (last >= 20 and source.read(last - 20, 4) == _LOCATOR_64):
            if last < 76:
                raise source.truncated()
            magic, _, at, _ = struct.unpack("<4sLQL", source.read(last - 20, 20))
            if magic != _LOCATOR_64 or at != last - 76:
                raise source.damaged("its zip directory is not where it says")
            wide = struct.unpack("<4sQ2H2L4Q", source.read(at, 56))
            magic, _, _, _, disk, first, here, count, size, begin = wide
            if magic != _END_64:
                raise source.damaged("its zip directory is not where it says")
            last = at
        if disk or first or here != count or begin + size != last:
            raise source.damaged("its zip directory is not where it says")
        return begin, size, count

    def _entry(self, table: bytearray, at: int) -> tuple[str, int, int, int]:
        """(name, offset of the local header, length, where the next record begins)."""
        source = self.source
        if at + 46 > len(table):
            raise source.truncated()
        fields = struct.unpack_from("<4s6H3L5H2L", table, at)
        magic, _, _, flags, method, _, _, _, packed, length, *widths, disk, _, _, header = fields
        wide_name, wide_extra, wide_comment = widths
        if magic != _CENTRAL or disk:
            raise source.damaged("its zip directory makes no sense")
        if flags & ~_FLAGS:
            raise source.damaged("entries of its zip are encrypted or of an unknown kind")
        if method:
            raise source.damaged("entries of its zip are compressed, which torch.save never does")
        at += 46
        behind = at + wide_name + wide_extra + wide_comment
        if behind > len(table):
            raise source.truncated()
        name = self._name(bytes(table[at : at + wide_name]))
        extra = bytes(table[at + wide_name : at + wide_name + wide_extra])
        packed, length, header = self._wide(extra, packed, length, header)
        if packed != length:
            raise source.damaged("entries of its zip are compressed, which torch.save never does")
        return name, header, length, behind

    def _wide(self, extra: bytes, packed: int, length: int, header: int) -> tuple[int, int, int]:
        """Sizes and offset of an entry above 4 GiB, which stand in an extra field, those that do not fit elsewhere."""
        at = 0
        while at + 4 <= len(extra):
            tag, size = struct.unpack_from("<2H", extra, at)
            if tag == 1:
                numbers = list(struct.unpack_from(f"<{size // 8}Q", extra[at + 4 : at + 4 + size].ljust(size, b"\0")))
                try:
                    length = numbers.pop(0) if length == _FULL else length
                    packed = numbers.pop(0) if packed == _FULL else packed
                    header = numbers.pop(0) if header == _FULL else header
                except IndexError as wrong:
                    raise self.source.damaged("its zip directory makes no sense") from wrong
                break
            at += 4 + size
        return packed, length, header

    def _name(self, raw: bytes) -> str:
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise self.source.damaged("a name in its zip is no text") from wrong
        parts = name.split("/")
        if not name or not name.isprintable() or "\\" in name or ":" in name or {"", ".", ".."} & set(parts):
            raise self.source.damaged("a name in its zip is no plain path")
        return name

    def _data(self, name: str, header: int, length: int) -> Span:
        """Where the bytes of an entry lie: behind a header that agrees with the directory, before the directory."""
        source = self.source
        if header + 30 > self._directory:
            raise source.truncated()
        magic, _, flags, method, _, _, _, _, _, wide_name, wide_extra = struct.unpack(
            "<4s5H3L2H", source.read(header, 30)
        )
        begin = header + 30 + wide_name + wide_extra
        if begin + length > self._directory:
            raise source.truncated()
        agrees = source.read(header + 30, wide_name) == name.encode("utf-8")
        if magic != _LOCAL or method or flags & ~_FLAGS or not agrees:
            raise source.damaged("its zip directory and what it lists do not agree")
        return Span(begin, begin + length)
