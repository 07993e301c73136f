from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.forks import osaka, prague
from node.primitives.scalars import ETHER, GWEI
from node.state.genesis_state import GenesisAccount
from node.txpool.pool import NextBlock, PoolConfig, TxPool
from node.txpool.rejection import PoolCode, PoolRejected
from node.types.invalid import TransactionReason
from node.types.transactions import BLOB, Transaction
from tests.unit.execution.world import CHAIN_ID, NOBODY, SENDERS, World, contract, transaction
from tests.unit.txpool.pool_world import follow, paying, pool_on

WORLD = World()


def rejection(pool: TxPool, tx: Transaction, local: bool = True) -> PoolRejected:
    before = (len(pool), pool.status(), pool.transactions())
    with pytest.raises(PoolRejected) as rejected:
        pool.add(tx, local)
    assert (len(pool), pool.status(), pool.transactions()) == before
    return rejected.value


def test_takes_answers_and_tells() -> None:
    pool = pool_on(WORLD)
    told: list[tuple[Transaction, bool]] = []
    pool.on_added.append(lambda tx, local: told.append((tx, local)))
    tx = transaction()
    pool.add(tx, local=True)
    remote = transaction(1)
    pool.add(remote, local=False)
    assert tx.hash in pool
    assert pool.get(tx.hash) is tx
    assert pool.get(b"\x00" * 32) is None
    assert told == [(tx, True), (remote, False)]
    assert pool.status() == (2, 0)
    assert pool.pending_nonce(SENDERS[0]) == 1
    assert pool.pending_nonce(SENDERS[2]) == 0
    assert pool.is_local(SENDERS[0])
    assert not pool.is_local(SENDERS[1])


@pytest.mark.parametrize(
    ("tx", "code", "words", "permanent"),
    [
        (transaction(chain_id=1), TransactionReason.INVALID_CHAINID,
         "invalid sender: invalid chain id for signer: have 1 want 1337", True),
        (replace(transaction(), r=0), TransactionReason.INVALID_SIGNATURE_VRS,
         "invalid sender: invalid transaction v, r, s values", True),
        (transaction(gas_limit=20_000), TransactionReason.INTRINSIC_GAS_TOO_LOW,
         "intrinsic gas too low: gas 20000, minimum needed 21000", True),
        (transaction(max_fee_per_gas=GWEI), TransactionReason.PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS,
         f"max priority fee per gas higher than max fee per gas: address 0x{SENDERS[0].hex()}, "
         "maxPriorityFeePerGas: 2000000000, maxFeePerGas: 1000000000", True),
        (transaction(value=10 * ETHER), TransactionReason.INSUFFICIENT_ACCOUNT_FUNDS,
         f"insufficient funds for gas * price + value: address 0x{SENDERS[0].hex()} "
         "have 10000000000000000000 want 10002100000000000000", False),
        (transaction(gas_limit=2**24 + 1), TransactionReason.GAS_LIMIT_EXCEEDS_MAXIMUM,
         "transaction gas limit too high (cap: 16777216, tx: 16777217)", False),
        (transaction(data=bytes(131_072), gas_limit=2_000_000), PoolCode.OVERSIZED,
         "oversized data: transaction size 131190, limit 131072", False),
        (transaction(type=BLOB, blob_versioned_hashes=(b"\x01" * 32,)), PoolCode.BLOBS_WITHOUT_SIDECAR,
         "missing sidecar in blob transaction", False),
    ],
)  # fmt: skip
def test_refusals_in_geths_words(tx: Transaction, code: Any, words: str, permanent: bool) -> None:
    rejected = rejection(pool_on(WORLD), tx)
    assert (rejected.code, rejected.message, rejected.permanent) == (code, words, permanent)


def test_refusals_that_depend_on_the_head() -> None:
    world = World(
        {
            SENDERS[0]: GenesisAccount(balance=ETHER, nonce=5),
            SENDERS[1]: GenesisAccount(balance=ETHER, code=b"\x00"),
        },
        gas_limit=100_000,
    )
    pool = pool_on(world)
    assert rejection(pool, transaction(nonce=3)).message == "nonce too low: next nonce 5, tx nonce 3"
    assert rejection(pool, transaction(2, gas_limit=100_001)).message == "exceeds block gas limit"
    assert rejection(pool, transaction(1)).message.startswith("sender not an eoa: address 0x")
    fresh = TxPool(PoolConfig(), CHAIN_ID)
    assert rejection(fresh, transaction()).code is PoolCode.NO_HEAD


def test_already_known() -> None:
    pool = pool_on(WORLD)
    pool.add(transaction(), local=False)
    assert rejection(pool, transaction()).message == "already known"


def test_replacement_needs_a_tenth_more_on_both_fees() -> None:
    pool = pool_on(WORLD)
    old = transaction(value=1)
    pool.add(old, local=True)
    for cap, tip in ((109, 200), (110, 219), (200, 200)):
        tx = transaction(value=2, max_fee_per_gas=cap * GWEI, max_priority_fee_per_gas=tip * GWEI // 100)
        assert rejection(pool, tx).message == "replacement transaction underpriced"
    new = transaction(value=2, max_fee_per_gas=110 * GWEI, max_priority_fee_per_gas=220 * GWEI // 100)
    pool.add(new, local=False)
    assert old.hash not in pool
    assert pool.transactions() == [new]
    assert list(pool.candidates()) == [new]


def test_gap_waits_until_it_is_closed() -> None:
    pool = pool_on(WORLD)
    txs = [transaction(nonce=nonce) for nonce in range(4)]
    for tx in (txs[3], txs[1]):
        pool.add(tx, local=True)
    assert pool.status() == (0, 2)
    assert pool.pending_nonce(SENDERS[0]) == 0
    assert list(pool.candidates()) == []
    pool.add(txs[0], local=True)
    assert pool.status() == (2, 1)
    assert pool.pending_nonce(SENDERS[0]) == 2
    pool.add(txs[2], local=True)
    assert pool.status() == (4, 0)
    assert list(pool.candidates()) == txs
    content = pool.content()
    assert content.pending == {SENDERS[0]: {tx.nonce: tx for tx in txs}}
    assert content.queued == {}


def test_later_ones_that_the_balance_does_not_cover_are_queued() -> None:
    pool = pool_on(WORLD)
    first, second, third = (transaction(nonce=nonce, value=4 * ETHER) for nonce in range(3))
    for tx in (first, second, third):
        pool.add(tx, local=True)
    assert list(pool.candidates()) == [first, second]
    assert pool.content().queued == {SENDERS[0]: {2: third}}


def test_dearer_replacement_pushes_later_ones_out_of_the_executable_part() -> None:
    pool = pool_on(WORLD)
    first, second = (transaction(nonce=nonce, value=4 * ETHER) for nonce in range(2))
    pool.add(first, local=True)
    pool.add(second, local=True)
    dear = paying(0, 0, 9, value=8 * ETHER, max_fee_per_gas=120 * GWEI)
    pool.add(dear, local=True)
    assert pool.status() == (1, 1)
    assert list(pool.candidates()) == [dear]


def test_candidates_by_effective_tip_and_nonce() -> None:
    pool = pool_on(WORLD)
    low, high, late = paying(0, 0, 1), paying(0, 1, 9), paying(1, 0, 5)
    capped = paying(2, 0, 9, max_fee_per_gas=9 * GWEI)
    for tx in (low, high, late, capped):
        pool.add(tx, local=False)
    assert list(pool.candidates(base_fee=GWEI)) == [capped, late, low, high]
    assert list(pool.candidates(base_fee=7 * GWEI)) == [late, capped, low, high]
    assert list(pool.candidates(base_fee=10 * GWEI)) == [late, low, high]


def test_too_low_a_cap_stays_but_is_no_candidate() -> None:
    pool = pool_on(WORLD)
    cheap, after = paying(0, 0, 0, max_fee_per_gas=GWEI // 2), paying(0, 1, 5)
    pool.add(cheap, local=True)
    pool.add(after, local=True)
    assert pool.status() == (2, 0)
    assert list(pool.candidates()) == []
    assert list(pool.candidates(base_fee=GWEI // 4)) == [cheap, after]


def test_candidates_are_a_snapshot() -> None:
    pool = pool_on(WORLD)
    pool.add(transaction(), local=True)
    candidates = pool.candidates()
    pool.add(transaction(1), local=True)
    pool.add(transaction(nonce=1), local=True)
    assert len(list(candidates)) == 1


def test_senders_and_gaps_are_bounded() -> None:
    pool = pool_on(WORLD, sender_slots_max=4, sender_gapped_max=2)
    for nonce in (2, 3):
        pool.add(transaction(nonce=nonce), local=True)
    assert rejection(pool, transaction(nonce=4)).message == "account limit exceeded: 2 not executable"
    for nonce in (0, 1):
        pool.add(transaction(nonce=nonce), local=True)
    assert rejection(pool, transaction(nonce=4)).message == "account limit exceeded: 4"


def test_delegated_senders_have_few_in_flight() -> None:
    world = World({SENDERS[0]: GenesisAccount(balance=ETHER, code=b"\xef\x01\x00" + NOBODY)})
    pool = pool_on(world, delegated_slots_max=1)
    pool.add(transaction(), local=True)
    words = "in-flight transaction limit reached for delegated accounts"
    assert rejection(pool, transaction(nonce=1)).message == words


def test_least_tip_holds_for_remote_ones_only() -> None:
    pool = pool_on(WORLD, tip_min=GWEI)
    words = "transaction underpriced: gas tip cap 0, minimum needed 1000000000"
    assert rejection(pool, paying(0, 0, 0), local=False).message == words
    pool.add(paying(0, 0, 0), local=True)


# --- following the head ---


def test_included_ones_leave_and_later_ones_go_on() -> None:
    world = World()
    pool = pool_on(world)
    txs = [transaction(nonce=nonce) for nonce in range(3)]
    for tx in txs:
        pool.add(tx, local=True)
    world.extend(txs[0], txs[1])
    follow(pool, world, included=txs[:2])
    assert pool.transactions() == [txs[2]]
    assert pool.status() == (1, 0)
    assert pool.pending_nonce(SENDERS[0]) == 3
    assert rejection(pool, txs[0]).message == "nonce too low: next nonce 2, tx nonce 0"


def test_rival_of_an_included_one_leaves() -> None:
    world = World()
    pool = pool_on(world)
    pool.add(transaction(value=1), local=True)
    rival = transaction(value=2)
    world.extend(rival)
    follow(pool, world, included=[rival], changed=[])
    assert len(pool) == 0
    assert pool.pending_nonce(SENDERS[0]) == 1


def test_balances_are_read_again() -> None:
    spender = contract(1)
    world = World({spender: GenesisAccount(nonce=1, code=b"\x00")})
    pool = pool_on(world)
    spent = paying(0, 0, 3, value=6 * ETHER)
    waiting = transaction(nonce=1, value=5 * ETHER)
    follower = transaction(nonce=2)
    for tx in (transaction(nonce=0), waiting, follower):
        pool.add(tx, local=True)
    assert pool.status() == (3, 0)
    world.extend(spent)
    follow(pool, world, included=[spent])
    # 4 ether are left: nonce 1 cannot be paid any more, nonce 2 waits behind the gap.
    assert pool.transactions() == [follower]
    assert pool.status() == (0, 1)


def test_money_that_comes_makes_queued_ones_executable() -> None:
    world = World()
    pool = pool_on(world)
    first, second = (transaction(nonce=nonce, value=6 * ETHER) for nonce in range(2))
    pool.add(first, local=True)
    pool.add(second, local=True)
    assert pool.status() == (1, 1)
    gift = transaction(1, to=SENDERS[0], value=5 * ETHER)
    world.extend(gift)
    follow(pool, world, included=[gift], changed=[SENDERS[0], SENDERS[1]])
    assert pool.status() == (2, 0)


def test_accounts_that_did_not_change_are_not_read() -> None:
    world = World()
    pool = pool_on(world)
    pool.add(transaction(), local=True)
    asked: list[bytes] = []

    class Watching:
        def __init__(self) -> None:
            self.view = world.view()

        def account(self, address: Any) -> Any:
            asked.append(address)
            return self.view.account(address)

    pool.on_new_head(Watching(), world.spec, NextBlock(GWEI, 30_000_000), changed=[NOBODY])  # type: ignore[arg-type]
    assert asked == []
    pool.on_new_head(Watching(), world.spec, NextBlock(GWEI, 30_000_000))  # type: ignore[arg-type]
    assert asked == [SENDERS[0]]


def test_reverted_ones_come_back() -> None:
    world = World()
    before = world.head
    pool = pool_on(world)
    tx, other = transaction(), transaction(1)
    pool.add(tx, local=True)
    world.extend(tx, other)
    follow(pool, world, included=[tx, other])
    assert len(pool) == 0
    world.head = before
    world.extend(other)
    follow(pool, world, included=[other], reverted=[tx, other])
    assert pool.transactions() == [tx]
    assert pool.status() == (1, 0)


def test_contract_at_a_senders_address_drops_its_transactions() -> None:
    pool = pool_on(WORLD)
    pool.add(transaction(), local=True)
    world = World({SENDERS[0]: GenesisAccount(balance=ETHER, code=b"\x00")})
    follow(pool, world)
    assert len(pool) == 0


def test_stricter_rules_drop_what_no_longer_stands() -> None:
    world = World(spec=prague.SPEC)
    pool = pool_on(world)
    large = transaction(gas_limit=2**24 + 1)
    pool.add(large, local=True)
    pool.add(transaction(1), local=True)
    world.spec = osaka.SPEC
    follow(pool, world)
    assert pool.transactions() == [transaction(1)]
    follow(pool, World(gas_limit=20_000))
    assert len(pool) == 0


def test_queued_remote_ones_leave_after_many_heads() -> None:
    pool = pool_on(WORLD, queued_heads_max=3)
    pool.add(transaction(nonce=1), local=False)
    pool.add(transaction(1, nonce=1), local=True)
    pool.add(transaction(2), local=False)
    for _ in range(3):
        follow(pool, WORLD)
    assert len(pool) == 2
    assert pool.status() == (1, 1)
