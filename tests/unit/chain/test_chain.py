"""The three verbs, and what stands after each of them, a restart included."""

from dataclasses import replace

import pytest

from node.chain.chain import WrongGenesis
from node.chain.feed import Executed, Finalized, NewHead, News
from node.chain.genesis import genesis_from_json
from node.chain.head import ForkchoiceError
from node.chain.logs import LogFilter, TooManyLogs
from node.chain.payloads import UnknownParent
from node.chain.store import CorruptDatabase
from node.execution.block import transactions_root
from node.primitives.scalars import ETHER, Address
from node.storage import schema
from node.storage.database import Batch, DatabaseFull, MemoryDatabase
from node.types.transactions import Transaction
from tests.builders import (
    address,
    advance,
    build,
    finalize,
    genesis_json,
    hash_of,
    make_chain,
    make_genesis,
    transfer,
)


async def test_a_built_block_is_valid_for_another_node_and_roots_agree() -> None:
    ours, theirs = make_chain(), make_chain()
    block = await build(ours, ours.head, transfer(0, 0, value=ETHER), transfer(1, 0))
    assert len(block.transactions) == 2
    status = await theirs.new_payload(block)
    assert status.valid, status
    await finalize(ours, block)
    await finalize(theirs, block)
    assert ours.head.state_root == theirs.head.state_root
    account = theirs.view_at(theirs.head).account(address(9))
    assert account is not None
    assert account.balance == ETHER + 1


async def test_nothing_is_head_before_forkchoice() -> None:
    chain = make_chain()
    block = await build(chain, chain.head, transfer(0, 0))
    assert chain.head.number == 0
    assert chain.store.block(block.hash) is None
    assert chain.block_by_hash(block.hash) == block
    assert chain.transaction_location(block.transactions[0].hash) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"state_root": hash_of("lie")}, "INVALID_STATE_ROOT"),
        ({"receipts_root": hash_of("lie")}, "INVALID_RECEIPTS_ROOT"),
        ({"gas_used": 20_999}, "INVALID_GAS_USED"),
        ({"transactions_root": hash_of("lie")}, "INVALID_TRANSACTIONS_ROOT"),
        ({"base_fee_per_gas": 7}, "INVALID_BASEFEE_PER_GAS"),
        ({"timestamp": 0}, "INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT"),
        ({"extra_data": b"x" * 33}, "EXTRA_DATA_TOO_BIG"),
        ({"requests_hash": hash_of("lie")}, "INVALID_REQUESTS"),
    ],
)
async def test_a_false_header_field_is_refused_with_both_values(change: dict[str, object], reason: str) -> None:
    chain = make_chain()
    block = await build(chain, chain.head, transfer(0, 0))
    lie = replace(block, header=replace(block.header, **change))
    status = await make_chain().new_payload(lie)
    assert not status.valid
    assert status.reason == reason
    assert status.facts
    with pytest.raises(ForkchoiceError):
        await finalize(chain, lie)
    assert chain.head.number == 0


async def test_an_invalid_transaction_names_its_place() -> None:
    chain = make_chain()
    block = await build(chain, chain.head, transfer(0, 0))
    twice = replace(block, transactions=(block.transactions[0], block.transactions[0]))
    header = replace(block.header, transactions_root=transactions_root(twice))
    status = await make_chain().new_payload(replace(twice, header=header))
    assert status.reason == "INVALID_TRANSACTION"
    assert status.facts["index"] == 1
    assert str(status.facts["problem"]).startswith("NONCE_MISMATCH_TOO_LOW")


async def test_unknown_parent() -> None:
    chain, other = make_chain(), make_chain()
    await advance(other, transfer(0, 0))
    block = await build(other, other.head, transfer(0, 1))
    status = await chain.new_payload(block)
    assert status.missing_parent
    assert not status.valid
    with pytest.raises(UnknownParent):
        await build(chain, other.head)


async def test_a_restart_finds_everything_that_was_reported() -> None:
    database = MemoryDatabase()
    chain = make_chain(database)
    blocks = [await advance(chain, transfer(0, nonce)) for nonce in range(3)]
    again = make_chain(database)
    assert again.head == blocks[-1].header
    assert again.finalized == blocks[-1].header
    for block in blocks:
        assert again.block_by_number(block.number) == block
        assert again.seal_of(block.hash) == b"seal of " + block.hash
        assert again.transaction_location(block.transactions[0].hash) == (block.hash, 0)
        receipts = again.receipts_of(block.hash)
        assert receipts is not None
        assert receipts[0].succeeded
    assert again.view_at(again.head).account(address(0)).nonce == 3  # type: ignore[union-attr]
    await advance(again, transfer(0, 3))
    assert again.head.number == 4


async def test_historical_state_stays_readable() -> None:
    chain = make_chain()
    blocks = [await advance(chain, transfer(0, nonce, value=10)) for nonce in range(4)]
    for index, block in enumerate(blocks):
        account = chain.view_at(block.header).account(address(9))
        assert account is not None
        assert account.balance == 10 * (index + 1)


async def test_reorganisation_moves_index_and_tells_the_feed() -> None:
    chain = make_chain()
    news: list[News] = []
    chain.feed.subscribe(news.append)
    base = await advance(chain, transfer(0, 0))
    tx_left, tx_right = transfer(1, 0), transfer(2, 0)
    left = await build(chain, base.header, tx_left)
    right = await build(chain, base.header, tx_right)
    top = await build(chain, right.header, transfer(2, 1))
    await chain.forkchoice_updated(left.hash, base.hash, base.hash, {})
    assert chain.head == left.header
    assert chain.transaction_location(tx_left.hash) == (left.hash, 0)
    await chain.forkchoice_updated(top.hash, base.hash, base.hash, {})
    assert chain.head == top.header
    assert chain.canonical_hash(left.number) == right.hash
    assert chain.transaction_location(tx_left.hash) is None
    assert chain.transaction_location(tx_right.hash) == (right.hash, 0)
    heads = [item for item in news if isinstance(item, NewHead)]
    assert heads[-1].removed == (left,)
    assert heads[-1].added == (right, top)
    assert [item.header for item in news if isinstance(item, Finalized)] == [base.header]
    # and back again: both branches are stored
    await chain.forkchoice_updated(left.hash, base.hash, base.hash, {})
    assert chain.canonical_hash(2) == left.hash
    assert chain.canonical_hash(3) is None


async def test_finality_never_goes_back() -> None:
    chain = make_chain()
    base = await advance(chain, transfer(0, 0))
    left = await build(chain, base.header, transfer(1, 0))
    right = await build(chain, base.header, transfer(2, 0))
    await finalize(chain, left)
    with pytest.raises(ForkchoiceError):
        await chain.forkchoice_updated(right.hash, base.hash, base.hash, {})
    with pytest.raises(ForkchoiceError):
        await chain.forkchoice_updated(left.hash, left.hash, base.hash, {})
    with pytest.raises(ForkchoiceError):
        await chain.forkchoice_updated(left.hash, base.hash, left.hash, {})
    assert chain.finalized == left.header


async def test_another_networks_database_is_refused() -> None:
    database = MemoryDatabase()
    make_chain(database)
    with pytest.raises(WrongGenesis):
        make_chain(database, make_genesis(timestamp="0x5"))


async def test_a_strange_database_is_refused() -> None:
    database = MemoryDatabase()
    batch = Batch()
    batch.put(b"zz", b"1")
    database.write(batch, durable=True)
    with pytest.raises(CorruptDatabase):
        make_chain(database)


async def test_lost_head_state_is_noticed() -> None:
    database = MemoryDatabase()
    chain = make_chain(database)
    await advance(chain, transfer(0, 0))
    batch = Batch()
    batch.delete(b"n" + chain.head.state_root)
    database.write(batch, durable=True)
    with pytest.raises(CorruptDatabase, match="state of head 1"):
        make_chain(database)


# LOG1 with topic = calldata word 0, then stop
LOGGER = bytes.fromhex("600035" + "60006000" + "a1" + "00")


def _logger_genesis() -> dict[str, object]:
    document = genesis_json()
    document["alloc"]["0x" + "aa" * 20] = {"code": "0x" + LOGGER.hex(), "balance": "0x0"}  # type: ignore[index]
    return document


def _log_tx(nonce: int, topic: int) -> Transaction:
    return transfer(0, nonce, to=Address(b"\xaa" * 20), value=0, data=topic.to_bytes(32, "big"), gas_limit=60_000)


async def test_logs_are_found_by_topic_and_bounded() -> None:
    chain = make_chain(genesis=genesis_from_json(_logger_genesis()))
    await advance(chain, _log_tx(0, 1), _log_tx(1, 2))
    await advance(chain, _log_tx(2, 1))
    topic = (1).to_bytes(32, "big")
    found = chain.search_logs(0, 2, LogFilter(topics=((topic,),)), 10)
    assert [(log.block.number, log.transaction_index, log.log_index) for log in found] == [(1, 0, 0), (2, 0, 0)]
    assert len(chain.search_logs(0, 2, LogFilter(addresses=(Address(b"\xaa" * 20),)), 10)) == 3
    assert chain.search_logs(0, 2, LogFilter(addresses=(address(0),)), 10) == []
    assert chain.search_logs(0, 2, LogFilter(topics=((topic,), ())), 10) == []
    with pytest.raises(TooManyLogs):
        chain.search_logs(0, 2, LogFilter(), 2)


async def test_a_block_is_not_executed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain()
    block = await build(chain, chain.head, transfer(0, 0))

    def fail(*args: object) -> None:
        raise AssertionError("executed again")

    monkeypatch.setattr("node.chain.payloads.apply_block", fail)
    assert (await chain.new_payload(block)).valid


async def test_a_full_disk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = make_chain()
    news: list[News] = []
    chain.feed.subscribe(news.append)
    block = await build(chain, chain.head, transfer(0, 0))

    def full(batch: Batch, durable: bool) -> None:
        raise DatabaseFull("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(chain.store.database, "write", full)
        with pytest.raises(DatabaseFull):
            await finalize(chain, block)
    assert chain.head.number == 0
    assert not [one for one in news if not isinstance(one, Executed)]
    await finalize(chain, block)
    assert chain.head == block.header


async def test_what_a_block_holds_is_there_when_the_block_is() -> None:
    """A client that got a receipt from a block that was written but not yet head did not get the block."""
    seen: list[tuple[bool, bool]] = []

    class Watched(MemoryDatabase):
        def write(self, batch: Batch, durable: bool) -> None:
            super().write(batch, durable)
            if self.get(schema.transaction(tx.hash)) is not None:
                seen.append((chain.transaction_location(tx.hash) is None, chain.head.number == 0))

    tx = transfer(0, 0)
    chain = make_chain(Watched())
    built = await build(chain, chain.head, tx)
    await chain.forkchoice_updated(built.hash, built.hash, built.hash, {})
    assert seen == [(True, True)]
    assert chain.transaction_location(tx.hash) == (built.hash, 0)
