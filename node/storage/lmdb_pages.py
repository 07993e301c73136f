"""LMDB's data file looked at from outside: is all of it there?

LMDB maps the file and trusts it; a read behind the end of a file that was cut short kills the process with
SIGBUS instead of raising. So the length is checked before the map is made. A file may rightly end before
its last page, because pages taken and freed in one transaction are never written; only then the tree is
walked to see whether a page that it needs is missing.

Layout of data format 1 (LMDB 0.9): pages of equal size, the first two hold the roots; all numbers little-endian.
"""

from __future__ import annotations

import errno
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.storage.database import DatabaseCorrupt

GRANULE: Final = 65_536
"""Map sizes are multiples of this: the largest page size of any operating system in use."""

DATA_FILE: Final = "data.mdb"
_MAGIC: Final = 0xBEEFC0DE
_FORMAT: Final = 1
_HEADER: Final = struct.Struct("<QHHHH")
"""Page number, pad, flags, lower and upper bound of the free space."""
_META: Final = struct.Struct("<IIQQ" + "IHHQQQQQ" * 2 + "QQ")
"""Magic, format, address, map size, two trees (free pages, data), last page, transaction id."""
_NODE: Final = struct.Struct("<HHHH")
"""Low and high half of a size or page number, flags, key length."""
_NO_PAGE: Final = 2**64 - 1
_BRANCH, _LEAF, _OVERFLOW, _LEAF2 = 0x01, 0x02, 0x04, 0x20
_BIG_DATA: Final = 0x01


@dataclass(frozen=True, slots=True)
class _Meta:
    page_size: int
    roots: tuple[int, int]
    last_page: int
    transaction: int


def check_file(directory: Path) -> None:
    """Raise DatabaseCorrupt where the data file is cut short. A missing or empty file is a new database."""
    path = directory / DATA_FILE
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        meta = _newest_meta(file.fileno(), path)
        if meta is None:
            return  # another format, which LMDB itself will judge
        needed = (meta.last_page + 1) * meta.page_size
        size = path.stat().st_size
        if size >= needed:
            return
        _Walk(file.fileno(), path, meta, size).run()
    os.truncate(path, needed)


def extend_to_last_page(directory: Path, environment: Any) -> None:
    """Make the file as long as the tree believes it to be."""
    needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    path = directory / DATA_FILE
    if path.stat().st_size < needed:
        os.truncate(path, needed)


def _corrupt(path: Path, problem: str) -> DatabaseCorrupt:
    return DatabaseCorrupt(errno.EILSEQ, f"the database is damaged: {problem}", str(path))


def _read_meta(descriptor: int, offset: int) -> _Meta | None:
    raw = os.pread(descriptor, _META.size, offset + _HEADER.size)
    if len(raw) < _META.size:
        return None
    fields = _META.unpack(raw)
    if fields[0] != _MAGIC or fields[1] != _FORMAT:
        return None
    page_size = fields[4]
    if page_size < 512 or page_size > GRANULE or page_size & (page_size - 1):
        return None
    return _Meta(page_size, (fields[11], fields[19]), fields[20], fields[21])


def _newest_meta(descriptor: int, path: Path) -> _Meta | None:
    first = _read_meta(descriptor, 0)
    if first is None:
        magic, version = struct.unpack("<II", os.pread(descriptor, 8, _HEADER.size).ljust(8, b"\x00"))
        if magic == _MAGIC and version != _FORMAT:
            return None
        raise _corrupt(path, "it does not begin as an LMDB file does")
    second = _read_meta(descriptor, first.page_size)
    if second is None:
        raise _corrupt(path, "its second root page is missing")
    return first if first.transaction > second.transaction else second


class _Walk:
    """Visits every page that the two trees need."""

    def __init__(self, descriptor: int, path: Path, meta: _Meta, size: int) -> None:
        self._descriptor = descriptor
        self._path = path
        self._page_size = meta.page_size
        self._pages = size // meta.page_size
        self._todo = [root for root in meta.roots if root != _NO_PAGE]

    def run(self) -> None:
        """Raise DatabaseCorrupt at the first page that is missing or is not what its parent says."""
        visited = 0
        while self._todo:
            visited += 1
            if visited > self._pages:
                raise _corrupt(self._path, "its pages form a circle")
            number = self._todo.pop()
            page = self._page(number)
            _, _, flags, lower, _ = _HEADER.unpack_from(page)
            if flags & _LEAF2:
                continue
            for offset in struct.unpack_from(f"<{max(lower - _HEADER.size, 0) // 2}H", page, _HEADER.size):
                self._node(page, offset, number, flags)

    def _node(self, page: bytes, offset: int, number: int, flags: int) -> None:
        if offset + _NODE.size > len(page):
            raise _corrupt(self._path, f"page {number} holds an entry behind its end")
        low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
        if flags & _BRANCH:
            self._todo.append(low | high << 16 | node_flags << 32)
        elif node_flags & _BIG_DATA:
            start = offset + _NODE.size + key_size
            if start + 8 > len(page):
                raise _corrupt(self._path, f"page {number} holds an entry behind its end")
            big = int.from_bytes(page[start : start + 8], "little")
            length = low | high << 16
            end = big * self._page_size + _HEADER.size + length
            if end > self._pages * self._page_size:
                raise _corrupt(self._path, f"page {big} is needed, the file ends before")

    def _page(self, number: int) -> bytes:
        if number >= self._pages:
            raise _corrupt(self._path, f"page {number} is needed, the file ends after {self._pages} pages")
        page = os.pread(self._descriptor, self._page_size, number * self._page_size)
        if len(page) < self._page_size:
            raise _corrupt(self._path, f"page {number} cannot be read")
        own_number, _, flags, lower, _ = _HEADER.unpack_from(page)
        if own_number != number or not flags & (_BRANCH | _LEAF) or lower > self._page_size:
            raise _corrupt(self._path, f"page {number} is not a page of the tree")
        return page
