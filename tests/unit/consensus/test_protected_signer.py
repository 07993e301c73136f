"""Several keys behind one log and one protection."""

from __future__ import annotations

import pytest

from node.consensus.engine import LogRecord
from node.consensus.journal import Journal
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.codec import PosCodec
from node.consensus.pos.messages import Attestation, SignedBlock, decode
from node.consensus.pos.messages import Body as BlockBody
from node.consensus.pos.protection import SlashingProtection
from node.consensus.pos.rules import PosRules
from node.consensus.signer import LOG_RECORDS_MAX, ProtectedSigner, RefusedToSign, Secp256k1Key
from node.consensus.validators import Validator, ValidatorSet
from node.primitives.scalars import Address, Hash32
from node.storage.database import Batch, MemoryDatabase
from tests.unit.consensus.pos.scenes import GENESIS, GENESIS_MS, block_of

KEYS = [Secp256k1Key(bytes([number]) * 32) for number in (1, 2, 3)]
RULES = PosRules(1, GENESIS.hash, ValidatorSet(Validator(key.address, 1) for key in KEYS), GENESIS_MS)
ROOT = Hash32(b"\x0a" * 32)


def _signer(database: MemoryDatabase, keys: list[Secp256k1Key] = KEYS[:2]) -> ProtectedSigner:
    journal = Journal(database, GENESIS.hash, [key.address for key in keys], 0)
    return ProtectedSigner(keys, RULES, journal, SlashingProtection(), decode)


def _vote(slot: int, validator: Address, source: int = 0, head: Hash32 = ROOT) -> Attestation:
    return Attestation(slot, head, Checkpoint(source, ROOT), Checkpoint(slot // 2, ROOT), validator)


def _block(slot: int, validator: Address, extra: bytes = b"") -> SignedBlock:
    body = BlockBody(slot, validator, (), ())
    return SignedBlock(block_of(RULES, GENESIS.header, body, extra), body)


def test_each_key_signs_for_itself_and_the_signature_holds() -> None:
    signer = _signer(MemoryDatabase())
    codec = PosCodec(RULES)
    for key in KEYS[:2]:
        codec.check(signer.sign(_vote(3, key.address), None))
        codec.check(signer.sign(_block(3, key.address), None))
    assert signer.addresses == tuple(key.address for key in KEYS[:2])
    with pytest.raises(RefusedToSign, match="no key of"):
        signer.sign(_vote(3, KEYS[2].address), None)


def test_what_would_convict_is_refused_before_and_after_a_restart() -> None:
    database = MemoryDatabase()
    one, other = KEYS[0].address, KEYS[1].address
    first = _signer(database)
    first.sign(_vote(8, one, source=3), None)
    first.sign(_block(9, one), None)
    for signer in (first, _signer(database)):
        for draft, why in (
            (_vote(9, one, source=3, head=Hash32(b"\x0b" * 32)), "target epoch 4"),
            (_vote(20, one, source=2), "source epoch 2"),
            (_block(9, one, b"other"), "slot 9"),
        ):
            with pytest.raises(RefusedToSign, match=why):
                signer.sign(draft, None)
    again = _signer(database)
    again.sign(_vote(8, other), None)
    again.sign(_block(10, one), None)


def test_a_statement_is_durable_before_it_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    database = MemoryDatabase()
    signer = _signer(database)

    def full(batch: Batch, durable: bool) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(database, "write", full)
    with pytest.raises(OSError, match="no space"):
        signer.sign(_vote(8, KEYS[0].address), None)
    monkeypatch.undo()
    # nothing left the node, so it may still vote
    assert signer.sign(_vote(8, KEYS[0].address, head=Hash32(b"\x0b" * 32)), None)


def test_the_log_stays_short_and_still_protects() -> None:
    database = MemoryDatabase()
    signer = _signer(database)
    one, other = KEYS[0].address, KEYS[1].address
    signer.sign(_vote(2, other), None)
    for slot in range(4, 4 + 4 * LOG_RECORDS_MAX, 2):
        signer.sign(_vote(slot, one), None)
        signer.sign(_block(slot, one), None)
        signer.decided(slot)
        assert len(signer._signed) <= 3  # a proposal holds its block: memory keeps what the shortened log would
    last = 4 * LOG_RECORDS_MAX + 2
    journal = Journal(database, GENESIS.hash, [key.address for key in KEYS[:2]], 9)
    assert not journal.damage
    assert len(journal) <= LOG_RECORDS_MAX + 2
    again = _signer(database)
    for draft in (_vote(last, one), _block(last, one), _vote(2, other)):
        with pytest.raises(RefusedToSign):
            again.sign(draft, None)
    assert again.sign(_vote(last + 2, one), None)


def test_another_set_of_keys_is_another_log() -> None:
    database = MemoryDatabase()
    _signer(database).sign(_vote(8, KEYS[0].address), None)
    for keys in (KEYS[:1], KEYS):
        with pytest.raises(RefusedToSign, match="another key"):
            _signer(database, keys).sign(_vote(10, KEYS[0].address), None)
    assert _signer(database, KEYS[1::-1]).sign(_vote(10, KEYS[0].address), None)


def test_a_record_that_is_no_message_is_damage() -> None:
    database = MemoryDatabase()
    journal = Journal(database, GENESIS.hash, [key.address for key in KEYS[:2]], 0)
    journal.append(LogRecord(1, 0, 1, b"junk"))
    with pytest.raises(RefusedToSign, match="no message"):
        _signer(database).sign(_vote(8, KEYS[0].address), None)
