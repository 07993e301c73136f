"""The database door: ordered keys, atomic batches.

``write`` is all or nothing. With ``durable=True`` it returns only when the batch survives a power cut;
what a node has reported to anyone rests on such a write. Batches land in the order of the writes: a
durable one never overtakes an undurable one before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

KEY_BYTES_MAX: Final = 511
"""LMDB's bound; keys are never empty."""


class DatabaseError(OSError):
    """The database cannot do what was asked; the message says why."""


class DatabaseFull(DatabaseError):
    """The disk or the map is full; nothing of the batch was written."""


class DatabaseLocked(DatabaseError):
    """Another process (or another part of this one) has the directory open."""


class DatabaseCorrupt(DatabaseError):
    """The files are not a database, or parts of them are missing."""


class Batch:
    """Puts and deletes that land together. A later entry for a key replaces an earlier one."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: bytes) -> None:
        """Store ``value`` under ``key`` of 1 to 511 bytes (else ValueError)."""
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
        self.entries[key] = value

    def delete(self, key: bytes) -> None:
        """Remove ``key``; no error when it is absent."""
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise ValueError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {len(key)}")
        self.entries[key] = None

    def merge(self, other: Batch) -> None:
        """Add all entries of ``other``, which win."""
        self.entries.update(other.entries)

    def __len__(self) -> int:
        return len(self.entries)


class Database(Protocol):
    """Ordered bytes to bytes. Readers on any thread; one writer at a time."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``, all as of one moment."""
        ...

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on, in key order (or against it from there).

        ``start`` is inclusive. Pairs are read in portions, so a write during the iteration may show in what
        is still to come; it never makes the iteration skip, repeat or disorder the others.
        """
        ...

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch atomically; with ``durable`` it (and all before it) is safe from power loss on return.

        Raises DatabaseFull; nothing of the batch is there then.
        """
        ...

    def close(self) -> None:
        """Release files; idempotent."""
        ...


def prefix_end(prefix: bytes) -> bytes | None:
    """The first key behind all that have ``prefix``; None where there is no such key."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


class MemoryDatabase:
    """The in-memory twin, for tests and simulation."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._tables: dict[int, dict[bytes, None]] = {}
        """Keys by their first byte, which is the table in our schema; sorted when somebody iterates."""
        self._sorted: dict[int, list[bytes]] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._values.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``."""
        return [self._values.get(key) for key in keys]

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on (or down from there); as of the call."""
        bound = prefix + start
        keys: list[bytes] = []
        for first in (prefix[0],) if prefix else sorted(self._tables):
            table = self._sorted_table(first)
            end = prefix_end(prefix)
            low = bisect_left(table, prefix)
            high = len(table) if end is None else bisect_left(table, end)
            if start and reverse:
                high = min(high, bisect_right(table, bound))
            elif start:
                low = max(low, bisect_left(table, bound))
            keys += table[low:high]
        if reverse:
            keys.reverse()
        return iter([(key, self._values[key]) for key in keys])

    def _sorted_table(self, first: int) -> list[bytes]:
        table = self._sorted.get(first)
        if table is None:
            table = self._sorted[first] = sorted(self._tables.get(first, ()))
        return table

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch. Memory has no power cut, so ``durable`` changes nothing."""
        values = self._values
        for key, value in batch.entries.items():
            if value is not None:
                if key not in values:
                    self._tables.setdefault(key[0], {})[key] = None
                    self._sorted.pop(key[0], None)
                values[key] = value
            elif values.pop(key, None) is not None:
                del self._tables[key[0]][key]
                self._sorted.pop(key[0], None)

    def close(self) -> None:
        """Nothing to release."""
