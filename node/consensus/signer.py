"""The only holders of validator keys, each behind one guard. Every record is durable before its message is handed out.

``Signer``, for engines that vote in rounds: a slot (height, round, kind) is signed at most once, ever; asking again
returns the stored message; lower heights and rounds are refused.
``ProtectedSigner``, for engines whose rule is another: several keys, and whatever ``Protection`` refuses is not signed.

So no path, not even a restart or a re-send, can make an honest key contradict itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from node.consensus.engine import ConsensusMessage, Domain, Draft, LogRecord, MalformedMessage, Unsigned
from node.consensus.journal import Journal
from node.crypto import secp256k1
from node.primitives.scalars import Address

LOG_RECORDS_MAX: Final = 128
"""Beyond it the log of a ``ProtectedSigner`` is rewritten with what still protects."""


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

    def sign_unrecorded(self, message: Unsigned) -> ConsensusMessage:
        """The signed message, which can contradict nothing. Raises RefusedToSign."""
        if self._journal.damage:
            raise RefusedToSign(self._journal.damage)
        return message.signed(self._key.sign(message.signing_digest(self._domain)))

    def decided(self, height: int) -> None:
        """Nothing at or below ``height`` will be signed any more."""
        self._decided = max(self._decided, height)
        self._journal.forget_below(self._decided)
        self._stored = {slot: message for slot, message in self._stored.items() if slot[0] >= self._decided}


class Protection(Protocol):
    """What keys may still sign, from what they have signed."""

    def refusal(self, draft: object) -> str:
        """Why this must not be signed; empty when it may."""
        ...

    def signed(self, message: object) -> None:
        """Remember what was signed."""
        ...

    def must_keep(self, message: object) -> bool:
        """Whether a log that is shortened must keep this message."""
        ...


class ProtectedSigner:
    """Signs statements of several keys on one chain, behind ``protection``."""

    def __init__(
        self,
        keys: Iterable[ValidatorKey],
        domain: Domain,
        journal: Journal,
        protection: Protection,
        decode: Callable[[bytes], ConsensusMessage],
    ) -> None:
        self._keys = {key.address: key for key in keys}
        self._domain = domain
        self._journal = journal
        self._protection = protection
        self._signed: list[tuple[LogRecord, ConsensusMessage]] = []
        for record in journal.records:
            try:
                message = decode(record.message)
            except MalformedMessage as error:
                journal.damage = f"consensus log: a record is no message: {error}"
                break
            protection.signed(message)
            self._signed.append((record, message))
        self._forget_outdone()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Who signs here."""
        return tuple(self._keys)

    def sign(self, draft: Draft, proof: ConsensusMessage | None) -> ConsensusMessage:
        """The signed message, durable with its proof. Raises RefusedToSign, or OSError when the disk fails."""
        key = self._keys.get(draft.validator)
        if key is None:
            raise RefusedToSign(f"no key of 0x{draft.validator.hex()} is here")
        if self._journal.damage:
            raise RefusedToSign(self._journal.damage)
        refusal = self._protection.refusal(draft)
        if refusal:
            raise RefusedToSign(refusal)
        height, round_number, kind = draft.slot
        message = draft.signed(key.sign(draft.signing_digest(self._domain)))
        record = LogRecord(height, round_number, kind, message.encode(), proof.encode() if proof else b"")
        # durable before it is handed out: after a crash it counts as signed
        self._journal.append(record)
        self._protection.signed(message)
        self._signed.append((record, message))
        self._forget_outdone()
        return message

    def _forget_outdone(self) -> None:
        """A block that was proposed stands in its message: what later signatures outdo must not stay in memory."""
        self._signed = [entry for entry in self._signed if self._protection.must_keep(entry[1])]

    def sign_unrecorded(self, message: Unsigned) -> ConsensusMessage:
        """These engines vote for everything that they sign. Raises RefusedToSign."""
        raise RefusedToSign("no message of this engine goes unrecorded")

    def decided(self, height: int) -> None:
        """A good moment to shorten the log. ``height`` does not matter: what protects depends on slots and epochs."""
        if len(self._journal) > LOG_RECORDS_MAX:
            self._journal.replace([record for record, _ in self._signed])
