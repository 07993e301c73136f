"""The consensus log and the guard in front of the key."""

import pytest

from node.consensus.bft.messages import NONE, ChainDomain, Kind, Statement, decode
from node.consensus.engine import LogRecord
from node.consensus.journal import Journal, decode_record, encode_record, mark_new_keys
from node.consensus.signer import RefusedToSign, Secp256k1Key, Signer
from node.primitives.scalars import Address, Hash32
from node.storage import schema
from node.storage.database import Batch, MemoryDatabase

GENESIS = Hash32(b"\x07" * 32)
KEY = Secp256k1Key(b"\x01" * 32)
A, B = Hash32(b"\xaa" * 32), Hash32(b"\xbb" * 32)


def _journal(database: MemoryDatabase, head: int = 0, validator: Address = KEY.address, **kwargs: bool) -> Journal:
    return Journal(database, GENESIS, validator, head, **kwargs)


def _signer(database: MemoryDatabase, head: int = 0) -> Signer:
    return Signer(KEY, ChainDomain(1, GENESIS), _journal(database, head), decode, head)


def _vote(height: int, round_number: int, kind: Kind = Kind.PREVOTE, value: Hash32 = A) -> Statement:
    return Statement(kind, height, round_number, value, NONE, KEY.address)


def _record(sequence: int) -> LogRecord:
    return LogRecord(sequence, 0, 2, b"message %d" % sequence, b"proof")


def _filled(count: int = 3) -> MemoryDatabase:
    database = MemoryDatabase()
    journal = _journal(database)
    for sequence in range(1, count + 1):
        journal.append(_record(sequence))
    return database


def test_records_come_back_in_order():
    journal = _journal(_filled(), head=2)
    assert journal.records == tuple(_record(sequence) for sequence in (1, 2, 3))
    assert not journal.is_new
    assert not journal.damage


def test_a_log_is_new_until_something_is_recorded_in_it():
    database = MemoryDatabase()
    assert _journal(database).is_new
    again = _journal(database)
    assert again.is_new, "a restart before the first signature knows no more than the first start"
    again.append(_record(1))
    assert not _journal(database).is_new


def test_an_empty_log_is_trusted_once_somebody_has_vouched_for_it():
    database = MemoryDatabase()
    mark_new_keys(database)
    assert not _journal(database).is_new
    assert not _journal(database).is_new, "and so after a restart"
    assert not _journal(database).damage
    wiped = MemoryDatabase()
    assert _journal(wiped).is_new
    mark_new_keys(wiped)
    journal = _journal(wiped)
    assert not journal.is_new, "an operator may vouch for a log that was born in doubt"
    journal.append(_record(1))
    assert _journal(wiped).records == (_record(1),)


def test_a_torn_last_record_is_dropped_at_every_cut():
    whole = encode_record(_record(3))
    for cut in range(len(whole)):
        database = _filled()
        batch = Batch()
        batch.put(schema.consensus_log(3), whole[:cut])
        database.write(batch, durable=True)
        journal = _journal(database)
        assert not journal.damage
        assert [record.height for record in journal.records] == [1, 2]
        journal.append(_record(4))
        again = _journal(database)
        assert not again.damage
        assert [record.height for record in again.records] == [1, 2, 4]


@pytest.mark.parametrize("sequence", [0, 1, 2])
def test_a_flipped_bit_before_good_records_is_damage(sequence):
    database = _filled()
    value = bytearray(database.get(schema.consensus_log(sequence)) or b"")
    value[-1] ^= 1
    batch = Batch()
    batch.put(schema.consensus_log(sequence), bytes(value))
    database.write(batch, durable=True)
    journal = _journal(database)
    assert f"record {sequence}" in journal.damage
    with pytest.raises(RefusedToSign):
        Signer(KEY, ChainDomain(1, GENESIS), journal, decode, 0).sign(_vote(9, 0), None)


@pytest.mark.parametrize("sequence", [0, 2])
def test_a_missing_record_is_damage(sequence):
    database = _filled()
    batch = Batch()
    batch.delete(schema.consensus_log(sequence))
    database.write(batch, durable=True)
    assert "missing" in _journal(database).damage


def test_a_log_of_another_key_or_chain_is_damage():
    assert "another key" in _journal(_filled(), validator=Address(b"\x09" * 20)).damage
    assert "another" in Journal(_filled(), Hash32(b"\x08" * 32), KEY.address, 0).damage


def test_a_used_chain_without_a_log_is_damage_until_the_operator_adopts_it():
    assert "no consensus log" in _journal(MemoryDatabase(), head=5).damage
    assert _journal(MemoryDatabase(), head=5, adopt_missing=True).is_new


def test_forgotten_records_go_with_the_next_append():
    database = _filled()
    journal = _journal(database)
    journal.forget_below(3)
    assert len(_journal(database).records) == 3
    journal.append(_record(4))
    assert [record.height for record in _journal(database).records] == [3, 4]


def test_record_round_trip():
    record = LogRecord(1, 2, 3, b"m", b"")
    assert decode_record(encode_record(record)) == record


def test_one_signature_a_slot_even_after_a_restart():
    database = MemoryDatabase()
    signer = _signer(database)
    first = signer.sign(_vote(1, 0), None)
    assert signer.sign(_vote(1, 0, value=B), None) == first
    assert _signer(database).sign(_vote(1, 0, value=B), None) == first


def test_lower_rounds_and_heights_are_refused():
    database = MemoryDatabase()
    signer = _signer(database)
    signer.sign(_vote(3, 2), None)
    signer.sign(_vote(3, 2, Kind.PRECOMMIT), None)
    for one in (signer, _signer(database)):
        for vote in (_vote(3, 1), _vote(2, 7)):
            with pytest.raises(RefusedToSign):
                one.sign(vote, None)
    assert signer.sign(_vote(3, 3), None)


def test_decided_heights_are_refused():
    signer = _signer(MemoryDatabase())
    signer.decided(4)
    with pytest.raises(RefusedToSign):
        signer.sign(_vote(4, 9), None)
    with pytest.raises(RefusedToSign):
        _signer(MemoryDatabase(), head=4).sign(_vote(4, 9), None)


class _FullDisk(MemoryDatabase):
    full = False

    def write(self, batch: Batch, durable: bool) -> None:
        if self.full:
            raise OSError("no space left")
        assert durable
        super().write(batch, durable)


def test_a_full_disk_gives_no_signature_and_uses_no_slot():
    database = _FullDisk()
    signer = _signer(database)
    database.full = True
    with pytest.raises(OSError):
        signer.sign(_vote(1, 0), None)
    database.full = False
    assert signer.sign(_vote(1, 0, value=B), None).block_hash == B


def test_the_key_does_not_show_itself():
    assert repr(KEY) == f"Secp256k1Key(0x{KEY.address.hex()})"
