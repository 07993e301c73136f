"""Receipts, logs and the 2048-bit bloom filter (Yellow Paper 4.3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address

BLOOM_BYTES: Final = 256
EMPTY_BLOOM: Final = b"\x00" * BLOOM_BYTES


class Log(NamedTuple):
    """One LOGn: the emitting contract, up to four 32-byte topics, data. A tuple, for blocks may make a million."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes

    def to_rlp(self) -> rlp.Encodable:
        """The consensus form: [address, [topics], data]."""
        return [self.address, list(self.topics), self.data]


@lru_cache(maxsize=4096)
def bloom_bits(entry: bytes) -> int:
    """The three bits that one address or topic sets, as a 2048-bit number (M3:2048)."""
    digest = keccak256(entry)
    bits = 0
    for offset in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[offset : offset + 2], "big") & 2047)
    return bits


def logs_bloom(logs: Iterable[Log]) -> bytes:
    """The bloom of a sequence of logs, 256 bytes."""
    seen: dict[bytes, int] = {}
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            if entry not in seen:
                seen[entry] = bloom_bits(entry)
                bits |= seen[entry]
    return bits.to_bytes(BLOOM_BYTES, "big")


def bloom_union(blooms: Iterable[bytes]) -> bytes:
    """The bloom of everything that any of the blooms holds."""
    bits = 0
    for bloom in blooms:
        bits |= int.from_bytes(bloom, "big")
    return bits.to_bytes(BLOOM_BYTES, "big")


def bloom_may_hold(bloom: bytes, entry: bytes) -> bool:
    """False: surely no log with this address or topic. True: perhaps."""
    bits = bloom_bits(entry)
    return int.from_bytes(bloom, "big") & bits == bits


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction left behind. ``status_or_root`` is 1/0 from Byzantium on, a 32-byte root before (EIP-658)."""

    type: int
    status_or_root: int | bytes
    cumulative_gas_used: int
    bloom: bytes
    logs: tuple[Log, ...]

    @property
    def succeeded(self) -> bool:
        """False only for a receipt that says status 0."""
        return self.status_or_root != 0

    def encode(self) -> bytes:
        """Consensus encoding: RLP, behind its type byte for typed transactions (EIP-2718)."""
        status = self.status_or_root
        payload = rlp.encode_list(
            [
                rlp.encode_bytes(status) if isinstance(status, bytes) else rlp.encode_int(status),
                rlp.encode_int(self.cumulative_gas_used),
                rlp.encode_bytes(self.bloom),
                rlp.encode([log.to_rlp() for log in self.logs]),
            ]
        )
        return payload if self.type == 0 else bytes((self.type,)) + payload


def decode_receipt(data: bytes) -> Receipt:
    """Inverse of ``Receipt.encode``. Raises RLPError."""
    if not data:
        raise rlp.RLPError("empty receipt")
    kind = 0
    if data[0] < 0x80:
        kind, data = data[0], data[1:]
        if kind == 0:
            raise rlp.RLPError("receipt: type 0 has no type byte")
    fields = rlp.as_list(rlp.decode(data), "receipt", 4)
    first = rlp.as_bytes(fields[0], "status")
    logs = tuple(_decode_log(item) for item in rlp.as_list(fields[3], "logs"))
    return Receipt(
        type=kind,
        status_or_root=first if len(first) == 32 else rlp.as_int(fields[0], "status", 8),
        cumulative_gas_used=rlp.as_int(fields[1], "cumulativeGasUsed", 64),
        bloom=rlp.as_bytes(fields[2], "bloom", BLOOM_BYTES),
        logs=logs,
    )


def _decode_log(item: rlp.Item) -> Log:
    address, topics, data = rlp.as_list(item, "log", 3)
    return Log(
        address=Address(rlp.as_bytes(address, "log address", 20)),
        topics=tuple(rlp.as_bytes(topic, "topic", 32) for topic in rlp.as_list(topics, "topics")),
        data=rlp.as_bytes(data, "log data"),
    )


def encode_receipts(receipts: Sequence[Receipt]) -> bytes:
    """Receipts of a block for storage: an RLP list of consensus encodings."""
    return rlp.encode_list([rlp.encode_bytes(receipt.encode()) for receipt in receipts])


def decode_receipts(data: bytes) -> tuple[Receipt, ...]:
    """Inverse of ``encode_receipts``."""
    return tuple(decode_receipt(rlp.as_bytes(item, "receipt")) for item in rlp.decode_list(data))
