"""The consensus log: what this node's validator keys signed, on disk before it left.

Records live in the database's ``w`` table, one durable write each: the same fsync discipline and the same
file as the chain, so log and state can never be of two different times (see node/DECISIONS.md). Each value
is ``length (4) ‖ crc32 (4) ‖ payload``; sequence 0 is a birth record naming chain and key.

A bad last record is a torn write: it was never sent, and is dropped. A bad record before good ones, a gap,
another key's log, or a used chain without a log mean that we no longer know what we signed: watch-only.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

from node.consensus.engine import LogRecord
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.storage import schema
from node.storage.database import Batch, Database

_BIRTH: Final = b"evmesh consensus log 1"
_TRUSTED: Final = b"evmesh consensus log 1, trusted"
NEW_KEYS_FILE: Final = "new-keys"
"""An empty file in a new database's folder, put there by whoever makes the keys: see ``mark_new_keys``."""
_NEW_KEYS: Final = schema.mark("new-keys")


class DamagedLog(ValueError):
    """A record does not read back as it was written."""


def _frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


def _unframe(value: bytes) -> bytes:
    payload = value[8:]
    if len(value) < 8 or int.from_bytes(value[:4], "big") != len(payload):
        raise DamagedLog("length does not fit")
    if int.from_bytes(value[4:8], "big") != zlib.crc32(payload):
        raise DamagedLog("checksum does not fit")
    return payload


def encode_record(record: LogRecord) -> bytes:
    """The stored form of a record."""
    return _frame(
        rlp.encode_list(
            [
                rlp.encode_int(record.height),
                rlp.encode_int(record.round),
                rlp.encode_int(record.kind),
                rlp.encode_bytes(record.message),
                rlp.encode_bytes(record.proof),
            ]
        )
    )


def decode_record(value: bytes) -> LogRecord:
    """A record from its stored form. Raises DamagedLog."""
    try:
        height, round_number, kind, message, proof = rlp.as_list(rlp.decode(_unframe(value)), "record", 5)
        return LogRecord(
            rlp.as_int(height, "height", 64),
            rlp.as_int(round_number, "round", 64),
            rlp.as_int(kind, "kind", 8),
            rlp.as_bytes(message, "message"),
            rlp.as_bytes(proof, "proof"),
        )
    except rlp.RLPError as error:
        raise DamagedLog(str(error)) from error


def mark_new_keys(database: Database) -> None:
    """Whoever made or runs the keys vouches that they have signed nothing: an empty log is complete. Raises OSError."""
    batch = Batch()
    batch.put(_NEW_KEYS, b"")
    database.write(batch, durable=True)


class Journal:
    """The log of a node's validator keys on one chain. Opening it reads and checks every record.

    ``records``: what was signed, oldest first, as it was read; a proposal holds a whole block, so whoever needs them
    last takes them away. ``is_new``: nothing was ever recorded in it, so nothing is known of what the keys signed
    before it; ``trust`` ends that. ``damage``: why the log cannot be trusted; empty when it can.
    """

    def __init__(
        self,
        database: Database,
        genesis_hash: Hash32,
        validators: Address | Sequence[Address],
        head_number: int,
        adopt_missing: bool = False,
    ) -> None:
        """``adopt_missing``: the operator says that these keys have signed nothing on this chain yet."""
        keys = validators if isinstance(validators, bytes) else b"".join(sorted(validators))
        self._database = database
        self._identity, self._trusted = (
            rlp.encode_list([rlp.encode_bytes(birth), genesis_hash, keys]) for birth in (_BIRTH, _TRUSTED)
        )
        self._sequences: list[tuple[int, int]] = []
        self._stale: list[int] = []
        self._next = 1
        self.records: tuple[LogRecord, ...] = ()
        self.is_new = False
        self.damage = ""
        birth = database.get(schema.consensus_log(0))
        entries = list(database.iterate(schema.CONSENSUS_LOG, (1).to_bytes(8, "big")))
        if birth is None and not entries:
            if head_number > 0 and not adopt_missing:
                self.damage = f"no consensus log, but the chain is at block {head_number}"
                return
            self.is_new = True
            batch = Batch()
            batch.put(schema.consensus_log(0), _frame(self._identity))
            database.write(batch, durable=True)
        else:
            self.damage = self._check_birth(birth) or self._load(entries)
            was_trusted = birth == _frame(self._trusted)
            # a log that was born lately is as new after a restart as it was before
            self.is_new = not (self.damage or was_trusted or self.records)
        if self.is_new and database.get(_NEW_KEYS) is not None:
            self.trust()

    def take_records(self) -> tuple[LogRecord, ...]:
        """``records``, which this object does not hold any longer. What is stored stays."""
        records, self.records = self.records, ()
        return records

    def trust(self) -> None:
        """It knows all that its keys may still contradict, even while it is empty. Raises OSError."""
        batch = Batch()
        batch.put(schema.consensus_log(0), _frame(self._trusted))
        batch.delete(_NEW_KEYS)
        self._database.write(batch, durable=True)
        self.is_new = False

    def _check_birth(self, birth: bytes | None) -> str:
        if birth is None:
            return "the first record of the consensus log is missing"
        try:
            identity = _unframe(birth)
        except DamagedLog as error:
            return f"consensus log record 0: {error}"
        return (
            "" if identity in (self._identity, self._trusted) else "the consensus log belongs to another key or chain"
        )

    def _load(self, entries: list[tuple[bytes, bytes]]) -> str:
        records: list[LogRecord] = []
        prefix = len(schema.CONSENSUS_LOG)
        for index, (key, value) in enumerate(entries):
            sequence = int.from_bytes(key[prefix:], "big")
            if self._sequences and sequence != self._next:
                return f"consensus log: record {self._next} is missing"
            try:
                record = decode_record(value)
            except DamagedLog as error:
                if index + 1 < len(entries):
                    return f"consensus log record {sequence}: {error}, and more records follow"
                self._next = sequence  # the next record takes its place
                break
            records.append(record)
            self._sequences.append((sequence, record.height))
            self._next = sequence + 1
        self.records = tuple(records)
        return ""

    def append(self, record: LogRecord) -> None:
        """Write one record durably, dropping what ``forget_below`` named. Raises OSError; then nothing is written."""
        batch = Batch()
        for sequence in self._stale:
            batch.delete(schema.consensus_log(sequence))
        batch.put(schema.consensus_log(self._next), encode_record(record))
        self._database.write(batch, durable=True)
        self._stale.clear()
        self._sequences.append((self._next, record.height))
        self._next += 1

    def replace(self, records: Sequence[LogRecord]) -> None:
        """Keep only these records, in one durable write. Raises OSError; then nothing is written."""
        batch = Batch()
        for sequence in [*self._stale, *(sequence for sequence, _ in self._sequences)]:
            batch.delete(schema.consensus_log(sequence))
        kept = list(enumerate(records, self._next))
        for sequence, record in kept:
            batch.put(schema.consensus_log(sequence), encode_record(record))
        self._database.write(batch, durable=True)
        self._stale.clear()
        self._sequences = [(sequence, record.height) for sequence, record in kept]
        self._next += len(kept)

    def __len__(self) -> int:
        """Records that stand in it."""
        return len(self._sequences)

    def forget_below(self, height: int) -> None:
        """Heights below are decided: their records may go, with the next append."""
        kept = 0
        for sequence, record_height in self._sequences:
            if record_height >= height:
                break
            self._stale.append(sequence)
            kept += 1
        del self._sequences[:kept]
