"""A disk that forgets what was not made durable, fills up, and rots.

``SimulatedDisk`` outlives its node; each start of the node opens a ``SimulatedDatabase`` on it. A process crash
loses nothing that was written (the kernel has it). A power cut keeps all up to the last durable write, and of the
batches after it a prefix drawn by chance: batches are atomic and ordered, as LMDB's are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from node.storage.database import Batch, DatabaseFull, MemoryDatabase


class SimulatedDisk:
    """What survives a node: the stored pairs, and how to take back what no durable write has covered."""

    def __init__(self, capacity_bytes: int | None = None) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.writes = 0
        self.has_refused = False
        """Whether a write ever found it full."""
        self._stored = MemoryDatabase()
        self._undo: list[dict[bytes, bytes | None]] = []
        self._opened: SimulatedDatabase | None = None

    @property
    def undurable_batches(self) -> int:
        """Batches that a power cut may take."""
        return len(self._undo)

    def open(self) -> SimulatedDatabase:
        """The database of one run of the node. Raises RuntimeError while another run holds it."""
        if self._opened is not None:
            raise RuntimeError("the database is open already: two processes on one directory")
        self._opened = SimulatedDatabase(self)
        return self._opened

    def release(self, database: SimulatedDatabase) -> None:
        """The run ended, by closing or by a crash; later use of its database is refused."""
        if self._opened is database:
            self._opened = None

    def crash(self) -> None:
        """The process dies; what it wrote stays."""
        if self._opened is not None:
            self._opened.sever()
        self._opened = None

    def cut_power(self, chance: random.Random) -> int:
        """The machine dies. Returns how many undurable batches were lost, the newest ones."""
        self.crash()
        lost = int(chance.random() * (len(self._undo) + 1))
        for _ in range(lost):
            self._apply(self._undo.pop())
        self._undo.clear()  # what the cut has left is on the platter now
        return lost

    def rot(self, chance: random.Random) -> bytes | None:
        """Flip one bit of one stored value; its key, or None when nothing is stored."""
        pairs = [(key, value) for key, value in self._stored.iterate(b"") if value]
        if not pairs:
            return None
        key, value = pairs[int(chance.random() * len(pairs))]
        bit = int(chance.random() * len(value) * 8)
        spoiled = bytearray(value)
        spoiled[bit // 8] ^= 1 << bit % 8
        batch = Batch()
        batch.put(key, bytes(spoiled))
        self._stored.write(batch, durable=True)
        return key

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply a batch. Raises DatabaseFull, with nothing written, when it would not fit."""
        before: dict[bytes, bytes | None] = {}
        growth = 0
        for key, value in batch.entries.items():
            old = self._stored.get(key)
            before[key] = old
            growth += 0 if value is None else len(key) + len(value)
            growth -= 0 if old is None else len(key) + len(old)
        if self.capacity_bytes is not None and growth > 0 and self.used_bytes + growth > self.capacity_bytes:
            self.has_refused = True
            raise DatabaseFull(f"disk full: {self.used_bytes} of {self.capacity_bytes} bytes used, {growth} more asked")
        self._stored.write(batch, durable)
        self.used_bytes += growth
        self.writes += 1
        if durable:
            self._undo.clear()
        else:
            self._undo.append(before)

    def _apply(self, entries: dict[bytes, bytes | None]) -> None:
        batch = Batch()
        for key, value in entries.items():
            now = self._stored.get(key)
            self.used_bytes -= 0 if now is None else len(key) + len(now)
            self.used_bytes += 0 if value is None else len(key) + len(value)
            batch.entries[key] = value
        self._stored.write(batch, durable=True)

    @property
    def stored(self) -> MemoryDatabase:
        """The pairs as the running node reads them."""
        return self._stored


class SimulatedDatabase:
    """The database door of one run of a node (see ``node.storage.database.Database``)."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self._open = True

    def _reach(self) -> SimulatedDisk:
        if not self._open:
            raise RuntimeError("the database is closed")
        return self._disk

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._reach().stored.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``."""
        return self._reach().stored.get_many(keys)

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on; a snapshot."""
        return self._reach().stored.iterate(prefix, start, reverse)

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch atomically. Raises DatabaseFull."""
        self._reach().write(batch, durable)

    def close(self) -> None:
        """Sync and let go; idempotent."""
        if self._open:
            self._disk.write(Batch(), durable=True)
            self._open = False
            self._disk.release(self)

    def sever(self) -> None:
        """The process died: no sync, and whatever still holds this handle gets nothing."""
        self._open = False
