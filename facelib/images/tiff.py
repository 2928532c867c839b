"""TIFF directories: in TIFF files, and as the carrier of EXIF and of multi-picture indices (TIFF 6.0, EXIF 2.3)."""

from __future__ import annotations

import struct

MAX_PAGES = 65_535
"""Directories are counted up to here."""

MAX_TEXT = 1024
"""Bytes of a text tag that are read."""

Entry = tuple[int, int, bytes]
"""Type, count and value field of a tag."""
_ENTRY_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_ASCII = 2


class TiffBytes:
    """Reads directories (IFDs) of bytes that start with a TIFF or BigTIFF header.

    Raises ValueError for another start, struct.error wherever the bytes end too early.
    """

    def __init__(self, data: bytes) -> None:
        order = {b"II": "<", b"MM": ">"}.get(data[:2])
        if order is None:
            raise ValueError("no TIFF header")
        self._data = data
        self._order = order
        self._is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
        self._count = struct.Struct(order + ("Q" if self._is_big else "H"))
        self._entry = struct.Struct(order + ("HHQ8s" if self._is_big else "HHI4s"))
        self._offset = struct.Struct(order + ("Q" if self._is_big else "I"))
        self.first = int(self._offset.unpack_from(data, 8 if self._is_big else 4)[0])

    def tags(self, offset: int) -> dict[int, Entry]:
        """Type, count and value field of each tag of the directory at that offset; the first of equal tags counts."""
        start, end = self._extent(offset)
        found: dict[int, Entry] = {}
        for tag, kind, count, field in self._entry.iter_unpack(self._data[start:end]):
            found.setdefault(tag, (kind, count, field))
        return found

    def number(self, entry: Entry | None) -> int | None:
        """The value of a tag that holds one unsigned integer; None for any other."""
        if entry is None or entry[1] != 1 or entry[0] not in _ENTRY_CODES:
            return None
        return int(struct.unpack_from(self._order + _ENTRY_CODES[entry[0]], entry[2])[0])

    def numbers(self, entry: Entry) -> tuple[int, ...]:
        """The values of a tag of unsigned integers, in the entry or where it points."""
        kind, count, field = entry
        code = f"{self._order}{count}{_ENTRY_CODES[kind]}"
        if struct.calcsize(code) <= len(field):
            return struct.unpack_from(code, field)
        return struct.unpack_from(code, self._data, self._offset.unpack(field)[0])

    def text(self, entry: Entry | None) -> str:
        """The value of a text tag up to its first NUL, undecodable bytes replaced; empty for any other tag and where it
        lies outside the bytes."""
        if entry is None or entry[0] != _ASCII:
            return ""
        _, count, field = entry
        start = 0 if count <= len(field) else int(self._offset.unpack(field)[0])
        stored = field if count <= len(field) else self._data
        return stored[start : start + min(count, MAX_TEXT)].partition(b"\0")[0].decode("utf-8", "replace")

    def count_directories(self) -> int:
        """Length of the chain of directories that lie in the bytes; a loop ends it."""
        seen: set[int] = set()
        at = self.first
        while at and at not in seen and len(seen) < MAX_PAGES:
            try:
                _, end = self._extent(at)
                following = int(self._offset.unpack_from(self._data, end)[0])
            except struct.error:
                break
            seen.add(at)
            at = following
        return len(seen)

    def _extent(self, offset: int) -> tuple[int, int]:
        """Where the entries of a directory start and end."""
        if offset > len(self._data):
            raise struct.error("directory outside the file")
        count = int(self._count.unpack_from(self._data, offset)[0])
        start = offset + self._count.size
        end = start + count * self._entry.size
        if end > len(self._data):
            raise struct.error("directory runs off the end")
        return start, end
