"""The only holder of the validator key, behind one guard.

A slot (height, round, kind) is signed at most once, ever: the record is durable before the message is
handed out, and asking again returns the stored message. Lower heights and rounds are refused. So no path,
not even a restart or a re-send, can make an honest key contradict itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from node.consensus.engine import ConsensusMessage, Domain, Draft, LogRecord
from node.consensus.journal import Journal
from node.crypto import secp256k1
from node.primitives.scalars import Address


class RefusedToSign(Exception):
    """The guard holds the key back; the text says why."""


class ValidatorKey(Protocol):
    """Something that signs. The simulator has a cheaper one than secp256k1."""

    @property
    def address(self) -> Address:
        """Who it signs for."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """65 bytes over a 32-byte digest; the same digest gives the same bytes."""
        ...


class Secp256k1Key:
    """A private key in memory. Its repr shows the address only."""

    __slots__ = ("_private_key", "address")

    def __init__(self, private_key: bytes) -> None:
        self.address: Address = secp256k1.address_of_private_key(private_key)
        self._private_key = private_key

    def sign(self, digest: bytes) -> bytes:
        """r ‖ s ‖ y parity (RFC 6979, low s)."""
        y_parity, r, s = secp256k1.sign(digest, self._private_key)
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((y_parity,))

    def __repr__(self) -> str:
        return f"Secp256k1Key(0x{self.address.hex()})"


class Signer:
    """Signs drafts of one key on one chain, each slot once."""

    def __init__(
        self,
        key: ValidatorKey,
        domain: Domain,
        journal: Journal,
        decode: Callable[[bytes], ConsensusMessage],
        head_number: int,
    ) -> None:
        self._key = key
        self._domain = domain
        self._journal = journal
        self._decode = decode
        self._decided = head_number
        self._highest: tuple[int, int] = (0, 0)
        self._stored: dict[tuple[int, int, int], ConsensusMessage | bytes] = {}
        for record in journal.records:
            self._stored[record.height, record.round, record.kind] = record.message
            self._highest = max(self._highest, (record.height, record.round))

    @property
    def address(self) -> Address:
        """Who signs here."""
        return self._key.address

    def may_sign(self, slot: tuple[int, int, int]) -> ConsensusMessage | None:
        """None: the slot is free. A message: it was signed before, and this is it. Raises RefusedToSign."""
        stored = self._stored.get(slot)
        if stored is not None:
            return self._decode(stored) if isinstance(stored, bytes) else stored
        height, round_number, _ = slot
        if self._journal.damage:
            raise RefusedToSign(self._journal.damage)
        if height <= self._decided:
            raise RefusedToSign(f"height {height} is decided")
        if (height, round_number) < self._highest:
            raise RefusedToSign(f"already signed at height {self._highest[0]} round {self._highest[1]}")
        return None

    def sign(self, draft: Draft, proof: ConsensusMessage | None) -> ConsensusMessage:
        """The signed message, durable with its proof. Raises RefusedToSign, or OSError when the disk fails."""
        slot = draft.slot
        earlier = self.may_sign(slot)
        if earlier is not None:
            return earlier
        height, round_number, kind = slot
        message = draft.signed(self._key.sign(draft.signing_digest(self._domain)))
        record = LogRecord(height, round_number, kind, message.encode(), proof.encode() if proof else b"")
        # durable before it is handed out: after a crash the slot counts as used
        self._journal.append(record)
        self._stored[slot] = message
        self._highest = (height, round_number)
        return message

    def decided(self, height: int) -> None:
        """Nothing at or below ``height`` will be signed any more."""
        self._decided = max(self._decided, height)
        self._journal.forget_below(self._decided)
        self._stored = {slot: message for slot, message in self._stored.items() if slot[0] >= self._decided}
