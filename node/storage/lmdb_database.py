"""The durable tenant of the database door: one LMDB environment in one directory.

LMDB is a copy-on-write B+ tree in a memory map: a commit writes new pages, syncs, then switches one of two
root pages, so a process that dies at any moment leaves the last commit behind, whole.

    write(durable=False) --> pending (memory) --with the next durable batch--> one LMDB transaction, synced

Every LMDB transaction is synced: skipping the sync could let the disk reorder a root page before the pages
below it, and a power cut would then take batches that were reported durable. Undurable batches wait in
memory instead, which is faster and no less durable than they asked for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

import lmdb

from node.storage import lmdb_map, lmdb_pages
from node.storage.database import (
    KEY_BYTES_MAX,
    Batch,
    DatabaseCorrupt,
    DatabaseError,
    DatabaseFull,
    DatabaseLocked,
    prefix_end,
)

MAP_BYTES: Final = 1 << 30
"""Address space to begin with; it doubles when it is full. The file grows with its content only."""
MAP_BYTES_MAX: Final = 1 << 44
PENDING_BYTES_MAX: Final = 8 << 20
"""Undurable batches are written, synced, when they exceed this."""
PORTION: Final = 256
"""Pairs that ``iterate`` reads at a time."""
READERS_MAX: Final = 512

_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)


class LmdbDatabase:
    """A database in ``path``, which belongs to one process at a time.

    Raises DatabaseLocked when somebody else has it open, DatabaseCorrupt when the files are damaged.
    """

    def __init__(self, path: Path, map_size: int = MAP_BYTES) -> None:
        self._path = path
        self._data_file = (path / lmdb_pages.DATA_FILE).resolve()  # as the system names the map
        self._write_lock = Lock()
        self._map_lock = Lock()
        """Held by every read and while the map is exchanged: LMDB may not remap under a reader."""
        self._pending: dict[bytes, bytes | None] = {}
        self._pending_bytes = 0
        path.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock_directory(path)
        try:
            self._environment: Any = _open(path, map_size)
        except BaseException:
            os.close(self._lock_file)
            raise
        self._closed = False

    # --- reading ---

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        pending = self._pending
        if key in pending:
            return pending[key]
        if not 0 < len(key) <= KEY_BYTES_MAX:
            return None
        with self._map_lock:
            self._check_open()
            try:
                with self._environment.begin() as transaction:
                    value: bytes | None = transaction.get(key)
                    return value
            except lmdb.Error as error:
                raise _translated(error, self._path) from error

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``, all as of one moment."""
        with self._map_lock:
            self._check_open()
            pending = self._pending
            try:
                with self._environment.begin() as transaction:
                    read = transaction.get
                    return [
                        pending[key] if key in pending else read(key) if 0 < len(key) <= KEY_BYTES_MAX else None
                        for key in keys
                    ]
            except lmdb.Error as error:
                raise _translated(error, self._path) from error

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on, in key order (or against it from there)."""
        read = self._portion_down if reverse else self._portion_up
        position: bytes | None = prefix + start
        if reverse and not start:
            position = None  # from the last key with this prefix
        while True:
            try:
                pairs, position = read(prefix, position)
            except lmdb.Error as error:
                raise _translated(error, self._path) from error
            yield from pairs
            if position is None:
                return

    def _portion_up(self, prefix: bytes, first: bytes | None) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Some pairs from ``first`` on, and where to go on (None: nowhere)."""
        assert first is not None
        end = prefix_end(prefix)
        with self._map_lock:
            self._check_open()
            pairs: dict[bytes, bytes] = {}
            go_on: bytes | None = None
            with self._environment.begin() as transaction, transaction.cursor() as cursor:
                found = cursor.set_range(first) if first else cursor.first()
                while found:
                    key = cursor.key()
                    if end is not None and key >= end:
                        break
                    if len(pairs) == PORTION:
                        go_on = key
                        break
                    pairs[key] = cursor.value()
                    found = cursor.next()
            limit = end if go_on is None else go_on
            self._lay_pending_over(
                pairs, lambda key: key.startswith(prefix) and key >= first and (limit is None or key < limit)
            )
        return sorted(pairs.items()), go_on

    def _portion_down(self, prefix: bytes, last: bytes | None) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Some pairs from ``last`` down (None: from the top of the prefix), and where to go on."""
        end = prefix_end(prefix)
        with self._map_lock:
            self._check_open()
            pairs: dict[bytes, bytes] = {}
            go_on: bytes | None = None
            with self._environment.begin() as transaction, transaction.cursor() as cursor:
                seek = last if last is not None else end
                if seek is None or not cursor.set_range(seek):
                    found = cursor.last()
                else:
                    found = (last is not None and cursor.key() == last) or cursor.prev()
                while found:
                    key = cursor.key()
                    if not key.startswith(prefix):
                        break
                    if len(pairs) == PORTION:
                        go_on = key
                        break
                    pairs[key] = cursor.value()
                    found = cursor.prev()
            floor = prefix if go_on is None else go_on
            self._lay_pending_over(
                pairs,
                lambda key: (
                    key.startswith(prefix)
                    and (last is None or key <= last)
                    and (key >= floor if go_on is None else key > floor)
                ),
            )
        return sorted(pairs.items(), reverse=True), go_on

    def _lay_pending_over(self, pairs: dict[bytes, bytes], fits: Callable[[bytes], bool]) -> None:
        for key, value in self._pending.items():
            if fits(key):
                if value is None:
                    pairs.pop(key, None)
                else:
                    pairs[key] = value

    # --- writing ---

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch atomically; with ``durable`` it (and all before it) is synced to the disk on return."""
        with self._write_lock:
            self._check_open()
            entries = batch.entries
            if durable:
                if any(key in self._pending for key in entries):
                    # Readers lay what is pending over what is committed: it must never be older than that.
                    self._flush(self._pending)
                self._flush({**self._pending, **entries})
                return
            with self._map_lock:
                self._pending.update(entries)
            self._pending_bytes += sum(len(key) + len(value or b"") for key, value in entries.items())
            if self._pending_bytes > PENDING_BYTES_MAX:
                self._flush(self._pending)

    def _flush(self, entries: dict[bytes, bytes | None]) -> None:
        """One synced LMDB transaction; after it nothing is pending."""
        if not entries:
            return
        ordered = sorted(entries.items())  # neighbours share pages
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in ordered:
                        if value is None:
                            transaction.delete(key)
                        else:
                            transaction.put(key, value)
                break
            except lmdb.MapFullError:
                self._grow(sum(len(key) + len(value or b"") for key, value in ordered))
            except lmdb.Error as error:
                wanted = sum(len(key) + len(value or b"") for key, value in ordered)
                raise _translated(error, self._path, wanted) from error
        # Pages taken and freed within one transaction are never written: the file may end before the last page.
        lmdb_pages.extend_to_last_page(self._path, self._environment)
        self._pending, self._pending_bytes = {}, 0
        lmdb_map.let_go(self._data_file)

    def _grow(self, batch_bytes: int) -> None:
        size = self._environment.info()["map_size"]
        wanted = max(2 * size, size + 4 * batch_bytes)
        if wanted > MAP_BYTES_MAX:
            raise DatabaseFull(errno.ENOSPC, f"the database would exceed {MAP_BYTES_MAX} bytes", str(self._path))
        with self._map_lock:
            try:
                self._environment.set_mapsize(-(-wanted // lmdb_pages.GRANULE) * lmdb_pages.GRANULE)
            except (lmdb.Error, OSError) as error:
                raise DatabaseFull(errno.ENOMEM, f"cannot map {wanted} bytes: {error}", str(self._path)) from error

    # --- closing ---

    def close(self) -> None:
        """Write what is pending, release the files; idempotent."""
        with self._write_lock:
            if self._closed:
                return
            try:
                if self._pending:
                    self._flush(self._pending)
            finally:
                with self._map_lock:
                    self._closed = True
                    self._environment.close()
                    os.close(self._lock_file)

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseError(errno.EBADF, "the database is closed", str(self._path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _lock_directory(path: Path) -> int:
    """Take the directory for this process; the kernel gives it back when the process ends, however it ends."""
    descriptor = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise
        raise DatabaseLocked(
            error.errno, f"the database is in use by another process (pid {holder})", str(path)
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _open(path: Path, map_size: int) -> Any:
    try:
        lmdb_pages.check_file(path)
        environment = lmdb.open(
            str(path),
            map_size=-(-map_size // lmdb_pages.GRANULE) * lmdb_pages.GRANULE,
            max_readers=READERS_MAX,
            max_spare_txns=1,
            readahead=False,
            mode=0o700,
        )
    except lmdb.Error as error:
        raise _translated(error, path) from error
    return environment


def _room(path: Path) -> int:
    """Bytes that the data file can still grow by: on the disk, and under the process's limit."""
    disk = os.statvfs(path)
    room = disk.f_bavail * disk.f_frsize
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit != resource.RLIM_INFINITY:
        room = min(room, limit - (path / lmdb_pages.DATA_FILE).stat().st_size)
    return room


def _translated(error: lmdb.Error, path: Path, wanted: int = 0) -> DatabaseError:
    """LMDB's complaint as one of ours; ``wanted`` is how many bytes were to be written."""
    code = getattr(error, "code", 0)
    no_space = isinstance(error, lmdb.DiskError) or code in _NO_SPACE or "No space left" in str(error)
    # A write that the disk took in part is an I/O error to LMDB: ask how much room there was.
    if no_space or (wanted and _room(path) < 2 * wanted):
        return DatabaseFull(code or errno.ENOSPC, f"no room on the disk: {error}", str(path))
    corrupt = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.PanicError)
    if isinstance(error, (*corrupt, lmdb.VersionMismatchError)):
        return DatabaseCorrupt(errno.EILSEQ, f"the database is damaged: {error}", str(path))
    return DatabaseError(code or errno.EIO, str(error), str(path))
