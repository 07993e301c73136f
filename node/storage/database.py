"""The database door: ordered keys, atomic batches.

``write`` is all or nothing. With ``durable=True`` it returns only when the batch survives a power cut;
what a node has reported to anyone rests on such a write.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Protocol


class DatabaseFull(OSError):
    """The disk or the map is full; nothing of the batch was written."""


class Batch:
    """Puts and deletes that land together. A later entry for a key replaces an earlier one."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: bytes) -> None:
        """Store ``value`` under ``key``."""
        self.entries[key] = value

    def delete(self, key: bytes) -> None:
        """Remove ``key``; no error when it is absent."""
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
        """The values in the order of ``keys``."""
        ...

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on, in key order (or against it from there)."""
        ...

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch atomically; with ``durable`` also against power loss."""
        ...

    def close(self) -> None:
        """Release files; idempotent."""
        ...


class MemoryDatabase:
    """The in-memory twin, for tests and simulation. ``iterate`` reads a snapshot, as LMDB does."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._values.get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of ``keys``."""
        return [self._values.get(key) for key in keys]

    def iterate(self, prefix: bytes, start: bytes = b"", reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key has ``prefix``, from ``prefix + start`` on."""
        first = bisect_left(self._keys, prefix)
        if reverse:
            keys = []
            bound = prefix + start
            for key in self._keys[first:]:
                if not key.startswith(prefix) or (start and key > bound):
                    break
                keys.append(key)
            keys.reverse()
        else:
            keys = []
            for key in self._keys[bisect_left(self._keys, prefix + start) :]:
                if not key.startswith(prefix):
                    break
                keys.append(key)
        pairs = [(key, self._values[key]) for key in keys]
        return iter(pairs)

    def write(self, batch: Batch, durable: bool) -> None:
        """Apply the batch. Memory has no power cut, so ``durable`` changes nothing."""
        for key, value in batch.entries.items():
            if value is None:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._values:
                    insort(self._keys, key)
                self._values[key] = value

    def close(self) -> None:
        """Nothing to release."""
