"""Convictions on disk (table ``e``), so that a restart forgets nobody who is not yet convicted by a block."""

from __future__ import annotations

from typing import Final

from node.storage import schema
from node.storage.database import Batch, Database

STORED_MAX: Final = 512
"""The oldest go first; an engine keeps fewer, and blocks hold what mattered."""


class EvidenceStore:
    """What engines asked to record (``RecordEvidence``), in their own encodings, oldest first."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entries: dict[int, bytes] = {
            int.from_bytes(key[len(schema.EVIDENCE) :], "big"): value
            for key, value in database.iterate(schema.EVIDENCE, b"")
        }

    @property
    def encoded(self) -> tuple[bytes, ...]:
        """Everything recorded."""
        return tuple(self._entries.values())

    def add(self, evidence: bytes) -> None:
        """Record durably; once more is no change. Raises OSError."""
        if evidence in self._entries.values():
            return
        batch = Batch()
        sequence = max(self._entries, default=0) + 1
        batch.put(schema.evidence(sequence), evidence)
        gone = list(self._entries)[: max(0, len(self._entries) + 1 - STORED_MAX)]
        for old in gone:
            batch.delete(schema.evidence(old))
        self._database.write(batch, durable=True)
        for old in gone:
            del self._entries[old]
        self._entries[sequence] = evidence
