"""Blocks of others become the chain: each part against the header that the hashes lead to, and all of it at once."""

import asyncio
from dataclasses import replace

import pytest

from network.chain_file import export_blocks
from network.failures import BadInput
from node.chain import adoption as adoption_module
from node.chain.adoption import Adoption, BadBlock
from node.storage import schema
from node.storage.database import Batch, MemoryDatabase
from node.types.receipts import decode_receipts, encode_receipts
from tests.builders import advance, make_chain, transfer

BLOCKS = 6


@pytest.fixture(scope="module")
def grown():
    """(chain, [(header, body, receipts), …] from block 0 on), two transfers a block."""

    async def grow():
        chain = make_chain()
        for number in range(BLOCKS):
            await advance(chain, transfer(0, number), transfer(1, number))
        return chain

    chain = asyncio.run(grow())
    database = chain.store.database
    rows = []
    for number in range(BLOCKS + 1):
        block_hash = chain.canonical_hash(number)
        rows.append(tuple(database.get(key(block_hash)) for key in (schema.header, schema.body, schema.receipts)))
    return chain, rows


def _begun(chain, database=None):
    fresh = make_chain(database)
    return fresh, Adoption(fresh.store, chain.head, fresh.spec_for)


def _keys(chain):
    return [key for key, _ in chain.store.database.iterate(b"")]


def test_nothing_is_the_chains_before_the_last_write(grown):
    chain, rows = grown
    database = MemoryDatabase()
    _, adoption = _begun(chain, database)
    for row in rows[:0:-1]:
        adoption.take(*row)
        opened = make_chain(database)
        assert opened.head.number == 0
        assert opened.canonical_hash(1) is None
    assert adoption.is_complete
    for node_key, node in chain.store.database.iterate(schema.NODE):
        database.write(_one(node_key, node), durable=False)
    adoption.finish({chain.head.hash: b"seal"})
    opened = make_chain(database)
    assert opened.head == opened.safe == opened.finalized == chain.head
    assert (opened.state_from, opened.blocks_from) == (BLOCKS, 1)
    assert opened.seal_of(chain.head.hash) == b"seal"
    for number in range(1, BLOCKS + 1):
        block = opened.block_by_number(number)
        assert block == chain.block_by_number(number)
        assert opened.receipts_of(block.hash) == chain.receipts_of(block.hash)
        assert opened.transaction_location(block.transactions[1].hash) == (block.hash, 1)


def _one(key, value):
    batch = Batch()
    batch.put(key, value)
    return batch


def _receipts(row, change):
    return encode_receipts(change(list(decode_receipts(row[2]))))


def _more_gas(receipts):
    return [replace(receipts[0], cumulative_gas_used=receipts[0].cumulative_gas_used + 1), *receipts[1:]]


LIES = {
    "the parent's header": lambda last, before: (before[0], last[1], last[2]),
    "another block of the chain": lambda last, before: before,
    "another body": lambda last, before: (last[0], before[1], last[2]),
    "no body": lambda last, before: (last[0], b"\xc3\xc0\xc0\xc0", b"\xc0"),
    "a body without withdrawals": lambda last, before: (last[0], b"\xc2\xc0\xc0", last[2]),
    "a body that is none": lambda last, before: (last[0], b"\xc0", last[2]),
    "a header that is none": lambda last, before: (b"\xc0", last[1], last[2]),
    "receipts in another order": lambda last, before: (*last[:2], _receipts(last, lambda all_: all_[::-1])),
    "a receipt less": lambda last, before: (*last[:2], _receipts(last, lambda all_: all_[:1])),
    "a receipt more": lambda last, before: (*last[:2], _receipts(last, lambda all_: [*all_, all_[0]])),
    "another receipt": lambda last, before: (*last[:2], _receipts(last, _more_gas)),
    "receipts that are none": lambda last, before: (*last[:2], b"\xc1\xc0"),
}


@pytest.mark.parametrize("kind", LIES)
def test_each_part_must_be_what_the_header_names(grown, kind):
    chain, rows = grown
    fresh, adoption = _begun(chain)
    before = _keys(fresh)
    with pytest.raises(BadBlock):
        adoption.take(*LIES[kind](rows[-1], rows[-2]))
    assert _keys(fresh) == before
    adoption.take(*rows[-1])  # an honest peer's is taken all the same
    assert adoption.next_number == BLOCKS - 1


def test_a_chain_file_begins_where_blocks_do(grown, monkeypatch, tmp_path):
    monkeypatch.setattr(adoption_module, "RECENT_BLOCKS", 3)
    chain, rows = grown
    database = MemoryDatabase()
    fresh, adoption = _begun(chain, database)
    for row in rows[:-4:-1]:
        adoption.take(*row)
    for node_key, node in chain.store.database.iterate(schema.NODE):
        database.write(_one(node_key, node), durable=False)
    adoption.finish({})
    opened = make_chain(database)
    assert opened.blocks_from == BLOCKS - 2
    with (tmp_path / "part.rlp").open("wb") as file:
        assert export_blocks(opened, file, BLOCKS - 2, BLOCKS) == 3
        with pytest.raises(BadInput, match="never came here"):
            export_blocks(opened, file, 1, BLOCKS)
    assert fresh.head.number == 0  # who has it open already sees nothing of it
