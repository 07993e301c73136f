"""A block that lies in any one field is refused, by that field's name, with both values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.execution.block import block_size, check_body, transactions_root
from node.forks import osaka, paris, prague, shanghai
from node.primitives.scalars import ETHER, GWEI, ZERO_HASH, Address
from node.state.genesis_state import GenesisAccount
from node.types.blocks import Block, Withdrawal, decode_block
from node.types.invalid import BlockReason, InvalidBlock, InvalidTransaction
from node.types.transactions import BLOB
from tests.unit.execution.world import NOBODY, SENDERS, World, contract, transaction

LOGGER = contract(1)
WITHDRAWALS = (Withdrawal(0, 1, NOBODY, 32 * 10**9), Withdrawal(1, 2, Address(b"\x77" * 20), 0))


def logging_world(**fields: Any) -> World:
    return World({LOGGER: GenesisAccount(nonce=1, code=bytes.fromhex("60015f5fa100"))}, **fields)


WORLD = logging_world()
BUILT = WORLD.build(
    [transaction(), transaction(1, to=LOGGER, gas_limit=60_000), transaction(2, nonce=0, gas_price=9 * GWEI)],
    withdrawals=WITHDRAWALS,
)
BLOCK = BUILT.block


def with_header(block: Block = BLOCK, **fields: Any) -> Block:
    return replace(block, header=replace(block.header, **fields))


def refusal(block: Block) -> InvalidBlock:
    with pytest.raises(InvalidBlock) as refused:
        WORLD.apply(block)
    return refused.value


def test_apply_gives_what_build_gave() -> None:
    assert BUILT.skipped == []
    assert len(BLOCK.transactions) == 3
    assert WORLD.apply(BLOCK) == BUILT.result
    assert WORLD.apply(decode_block(BLOCK.encode())) == BUILT.result


R = BlockReason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state_root": ZERO_HASH}, R.INVALID_STATE_ROOT),
        ({"receipts_root": ZERO_HASH}, R.INVALID_RECEIPTS_ROOT),
        ({"transactions_root": ZERO_HASH}, R.INVALID_TRANSACTIONS_ROOT),
        ({"withdrawals_root": ZERO_HASH}, R.INVALID_WITHDRAWALS_ROOT),
        ({"requests_hash": ZERO_HASH}, R.INVALID_REQUESTS),
        ({"logs_bloom": bytes(256)}, R.INVALID_LOG_BLOOM),
        ({"gas_used": BLOCK.header.gas_used + 1}, R.INVALID_GAS_USED),
        ({"blob_gas_used": 2**17}, R.INCORRECT_BLOB_GAS_USED),
    ],
)
def test_every_claim_is_checked(fields: dict[str, Any], reason: BlockReason) -> None:
    refused = refusal(with_header(**fields))
    (name, claimed), *_ = fields.items()
    assert refused.reason is reason
    assert refused.facts == {"header": claimed, "ours": getattr(BLOCK.header, name)}


@pytest.mark.parametrize("field", ["coinbase", "prev_randao", "timestamp", "extra_data", "gas_limit"])
def test_free_fields_change_the_block_but_not_its_validity(field: str) -> None:
    values = {
        "prev_randao": ZERO_HASH,
        "timestamp": BLOCK.header.timestamp + 1,
        "extra_data": b"other",
        "gas_limit": BLOCK.header.gas_limit + 1,
    }
    if field == "coinbase":
        assert refusal(with_header(coinbase=NOBODY)).reason is R.INVALID_STATE_ROOT
    elif field == "timestamp":
        # EIP-4788 stores by time.
        assert refusal(with_header(timestamp=values[field])).reason is R.INVALID_STATE_ROOT
    else:
        assert WORLD.apply(with_header(**{field: values[field]})) == BUILT.result


def test_invalid_transaction_is_named_with_its_place() -> None:
    forged = replace(BLOCK, transactions=(BLOCK.transactions[0], transaction(0, nonce=7)))
    refused = refusal(with_header(forged, transactions_root=transactions_root(forged)))
    assert refused.reason is R.INVALID_TRANSACTION
    assert refused.facts["index"] == 1
    assert refused.facts["transaction"] == forged.transactions[1].hash
    assert "NONCE_MISMATCH_TOO_HIGH" in str(refused.facts["problem"])
    assert "tx_nonce=7, state_nonce=1" in str(refused.facts["problem"])
    assert isinstance(refused.__cause__, InvalidTransaction)


def test_ommers_and_missing_withdrawals_are_refused() -> None:
    assert refusal(replace(BLOCK, ommers=(WORLD.head,))).reason is R.IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS
    assert refusal(replace(BLOCK, withdrawals=None)).reason is R.INCORRECT_BLOCK_FORMAT
    with pytest.raises(InvalidBlock, match="INCORRECT_BLOCK_FORMAT"):
        check_body(replace(BLOCK, withdrawals=()), paris.SPEC)


def test_withdrawals_are_credited_and_leave_no_empty_account() -> None:
    world = logging_world()
    world.extend(withdrawals=WITHDRAWALS)
    assert world.balance(NOBODY) == 32 * ETHER
    assert world.view().account(Address(b"\x77" * 20)) is None


@pytest.mark.parametrize("spec", [paris.SPEC, shanghai.SPEC, prague.SPEC, osaka.SPEC])
def test_every_fork_builds_what_it_accepts(spec: Any) -> None:
    world = logging_world(spec=spec)
    for nonce in range(3):
        world.extend(transaction(nonce=nonce, to=LOGGER, gas_limit=60_000))
    assert world.head.number == 3
    assert world.nonce(SENDERS[0]) == 3


def test_block_size_is_counted_exactly_and_bounded() -> None:
    blob = transaction(type=BLOB, blob_versioned_hashes=(b"\x01" + bytes(31),), max_fee_per_blob_gas=5)
    built = WORLD.build([transaction(), blob, transaction(1, gas_price=9 * GWEI)], withdrawals=WITHDRAWALS)
    assert block_size(built.block) == len(built.block.encode())
    small = osaka.SPEC.evolve(block_rlp_size_max=len(BLOCK.encode()))
    check_body(BLOCK, small)
    with pytest.raises(InvalidBlock) as refused:
        check_body(BLOCK, small.evolve(block_rlp_size_max=len(BLOCK.encode()) - 1))
    assert refused.value.reason is R.RLP_BLOCK_LIMIT_EXCEEDED
    assert refused.value.facts["size"] == len(BLOCK.encode())


def test_chain_of_blocks_reads_earlier_hashes() -> None:
    asker = contract(2)
    world = World({asker: GenesisAccount(nonce=1, code=bytes.fromhex("5f405f5500"))})  # sstore(0, blockhash(0))
    genesis_hash = world.head.hash
    for nonce in range(2):
        world.extend(transaction(nonce=nonce, to=asker, gas_limit=60_000))
    assert world.view().slot(asker, 0) == int.from_bytes(genesis_hash, "big")
