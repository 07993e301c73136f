"""Pools that become alike: pushing, announcing, fetching, judging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.load.constant_blobs import constant_sidecar, hashes_of
from node.p2p.identity import NodeId
from node.p2p.verdict import VerdictKind
from node.protocols import transactions
from node.protocols.transactions import BATCH, BLOBS, HASHES, WANTED, TransactionExchange
from node.runtime.task_scope import TaskScope
from node.txpool.pool import TxPool
from node.types.blobs import Sidecar, encode_wrapped
from node.types.transactions import BLOB, Transaction
from tests.unit.execution.world import World as ChainWorld
from tests.unit.execution.world import transaction
from tests.unit.p2p.switch_world import Member, World
from tests.unit.txpool.pool_world import follow, pool_on


class Pools:
    """Switches with real pools on them."""

    def __init__(self) -> None:
        self.world = World()
        self.chain = ChainWorld()
        self.pools: dict[str, TxPool] = {}
        self.exchanges: dict[str, TransactionExchange] = {}
        self.sent: list[tuple[str, str, str, bytes]] = []
        self._scopes: list[Any] = []

    def add(self, name: str, *bootnodes: str, **settings: Any) -> Member:
        world = self.world
        member = world.add(name, *bootnodes, up=False, **settings)
        pool = self.pools[name] = pool_on(self.chain)
        exchange = self.exchanges[name] = TransactionExchange(pool, member.switch, member.runtime, member.switch._log)
        send = member.switch.send

        def counted(node_id: NodeId, topic: str, payload: bytes) -> bool:
            self.sent.append((name, world.names[node_id], topic, payload))
            return send(node_id, topic, payload)

        member.switch.send = counted  # type: ignore[method-assign]

        async def run() -> None:
            async with TaskScope("transactions") as scope:
                exchange.start(scope)
                await member.switch.start()
                await member.switch.wait_stopped()

        self._scopes.append(world.task(name, run()))
        world.wait(1)
        return member

    def mesh(self, *names: str) -> None:
        for name in names:
            self.add(name, *names[: names.index(name)])
        self.world.full_mesh(*names)

    def line(self, *names: str) -> None:
        for before, name in zip(("", *names), names, strict=False):
            self.add(name, *([before] if before else []), discovery=False)
        self.world.wait(1000)

    def hand_in(self, name: str, *txs: Transaction) -> None:
        async def add() -> None:
            for tx in txs:
                self.pools[name].add(tx, True)

        self.world.do(name, add())

    def hashes(self, name: str) -> set[bytes]:
        return {tx.hash for tx in self.pools[name].transactions()}

    def all_have(self, *txs: Transaction) -> bool:
        wanted = {tx.hash for tx in txs}
        return all(wanted <= self.hashes(name) for name in self.pools)

    def batches(self, target: str | None = None) -> list[tuple[str, str, int]]:
        return [
            (source, to, len(msgpack.unpackb(payload)))
            for source, to, topic, payload in self.sent
            if topic == BATCH and target in (None, to)
        ]

    def judge(self, name: str, source: str, topic: str, payload: bytes) -> VerdictKind:
        """What ``name`` says of a message from ``source``."""
        member = self.world.members[name]
        handler = member.switch.gossip._handlers[topic]
        verdict = self.world.do(name, handler(self.world.identity(source).node_id, payload))  # type: ignore[arg-type]
        return verdict.kind  # type: ignore[no-any-return]


@pytest.fixture
def pools() -> Iterator[Pools]:
    made = Pools()
    yield made
    made.world.close()


def transfers(sender: int, count: int, start: int = 0) -> list[Transaction]:
    return [transaction(sender, nonce=nonce) for nonce in range(start, start + count)]


def batch(*txs: Transaction) -> bytes:
    return bytes(msgpack.packb([tx.encode() for tx in txs]))


def test_what_is_handed_in_reaches_all_crossing_each_link_once(pools: Pools) -> None:
    pools.mesh("a", "b", "c", "d")
    txs = transfers(0, 40)
    pools.hand_in("a", *txs)
    pools.world.until(lambda: pools.all_have(*txs), 200)
    pools.world.wait(3000)
    assert pools.batches() == [("a", "b", 40), ("a", "c", 40), ("a", "d", 40)], "one batch a peer, nobody sends it on"
    assert all(topic != WANTED for _, _, topic, _ in pools.sent), "late announcements find nothing missing"


def test_all_nodes_hand_in_at_once(pools: Pools) -> None:
    pools.mesh("a", "b", "c", "d")
    txs = [transfers(number, 150) for number in range(4)]
    for name, mine in zip("abcd", txs, strict=True):
        pools.hand_in(name, *mine)
    pools.world.until(lambda: pools.all_have(*(tx for mine in txs for tx in mine)), 1000)
    assert sum(count for _, _, count in pools.batches()) == 3 * 600


def test_transactions_travel_along_a_line(pools: Pools) -> None:
    pools.line("a", "b", "c", "d")
    txs = transfers(0, 5)
    pools.hand_in("a", *txs)
    pools.world.until(lambda: pools.all_have(*txs), 500)
    pools.world.wait(2000)
    assert [count for _, _, count in pools.batches("d")] == [5]


def test_who_comes_later_gets_what_waits(pools: Pools) -> None:
    pools.add("a")
    txs = [tx for sender in range(4) for tx in transfers(sender, 300)]
    pools.hand_in("a", *txs)
    pools.add("b", "a")
    pools.world.until(lambda: pools.all_have(*txs), 3000)
    assert sum(count for _, _, count in pools.batches()) == len(txs)


def test_both_sides_of_a_partition_share_after_it(pools: Pools) -> None:
    pools.mesh("a", "b", "c", "d")
    pools.world.policy.partition("ab", "cd")
    left, right = transfers(0, 7), transfers(1, 7)
    pools.hand_in("a", *left)
    pools.hand_in("d", *right)
    pools.world.wait(20_000)
    assert pools.hashes("b") == {tx.hash for tx in left}
    assert pools.hashes("c") == {tx.hash for tx in right}
    pools.world.policy.heal()
    pools.world.until(lambda: pools.all_have(*left, *right), 10_000)


def test_a_cut_link_is_gone_round_before_it_is_noticed(pools: Pools) -> None:
    pools.mesh("a", "b", "c")
    pools.world.policy.cut("a", "b")
    txs = transfers(0, 3)
    pools.hand_in("a", *txs)
    pools.world.until(lambda: pools.all_have(*txs), 2000)
    assert pools.world.members["a"].peer_names == ["b", "c"]


def test_what_its_announcer_does_not_deliver_is_fetched_from_the_next(pools: Pools) -> None:
    pools.mesh("a", "b", "c")
    (tx,) = transfers(0, 1)
    pools.pools["c"].on_added.clear()  # c has it, but tells nobody
    pools.hand_in("c", tx)
    b = pools.world.members["b"].switch.node_id
    for liar_or_not in ("a", "c"):
        assert pools.judge("b", liar_or_not, HASHES, tx.hash) is VerdictKind.IGNORE
    pools.world.until(lambda: tx.hash in pools.hashes("b"), 3000)
    assert [(source, to) for source, to, topic, _ in pools.sent if topic == WANTED] == [("b", "a"), ("b", "c")]
    assert all(peer.score >= 0 for peer in pools.world.members["b"].switch.peers()), "it may have left for a block"
    assert b in pools.exchanges["a"]._peers


def altered(tx: Transaction, **fields: Any) -> Transaction:
    return replace(tx, **fields)


def test_each_transaction_of_a_batch_is_judged_by_itself(pools: Pools) -> None:
    pools.mesh("a", "b")
    good = transfers(0, 2)
    forged = altered(transaction(1), s=0)
    payload = bytes(msgpack.packb([good[0].encode(), b"\x02rubbish", forged.encode(), good[1].encode()]))
    assert pools.judge("a", "b", BATCH, payload) is VerdictKind.REJECT
    assert pools.hashes("a") == {tx.hash for tx in good}


@pytest.mark.parametrize(
    "bad",
    [
        lambda: altered(transaction(1), s=0),
        lambda: altered(transaction(1), r=2**256 - 1),
        lambda: transaction(1, chain_id=5),
        lambda: transaction(1, gas_limit=20_000),
        lambda: transaction(1, max_priority_fee_per_gas=200 * 10**9),
    ],
    ids=["no signature", "r out of range", "another chain", "too little gas", "tip above cap"],
)
@pytest.mark.parametrize("company", [0, 40], ids=["alone", "read by a worker"])
def test_what_can_never_be_valid_is_a_lie(pools: Pools, bad: Callable[[], Transaction], company: int) -> None:
    pools.mesh("a", "b")
    before = pools.world.members["a"].switch.peers()[0].score
    pools.world.members["b"].switch.send(
        pools.world.members["a"].switch.node_id, BATCH, batch(*transfers(0, company), bad())
    )
    pools.world.wait(100)
    assert pools.world.members["a"].switch.peers()[0].score <= before - 19
    assert len(pools.pools["a"]) == company


@pytest.mark.parametrize(
    "late",
    [
        lambda: transaction(1, value=10**30),
        lambda: transaction(1, gas_limit=16_000_000, max_fee_per_gas=10**15),
    ],
    ids=["cannot pay", "cannot pay its gas"],
)
def test_what_depends_on_the_head_is_no_lie(pools: Pools, late: Callable[[], Transaction]) -> None:
    pools.mesh("a", "b")
    assert pools.judge("a", "b", BATCH, batch(late())) is VerdictKind.IGNORE
    assert len(pools.pools["a"]) == 0
    assert pools.judge("a", "b", HASHES, late().hash) is VerdictKind.IGNORE
    assert all(topic != WANTED for _, _, topic, _ in pools.sent), "and it is not fetched again"


def test_a_nonce_that_is_past_is_no_lie(pools: Pools) -> None:
    pools.mesh("a", "b")
    old = transaction(0)
    pools.chain.extend(old)
    follow(pools.pools["a"], pools.chain)
    assert pools.judge("a", "b", BATCH, batch(old)) is VerdictKind.IGNORE
    assert pools.judge("a", "b", BATCH, batch(*transfers(0, 1, start=1))) is VerdictKind.ACCEPT


def test_included_transactions_are_not_fetched_again(pools: Pools) -> None:
    """A late announcement that arrives after the block."""
    pools.mesh("a", "b")
    (tx,) = transfers(0, 1)
    pools.hand_in("a", tx)
    pools.world.until(lambda: pools.all_have(tx), 200)
    pools.pools["b"]._drop(pools.pools["b"]._by_hash[tx.hash])
    pools.sent.clear()
    pools.world.wait(3000)
    assert any(topic == HASHES for _, _, topic, _ in pools.sent)
    assert all(topic != WANTED for _, _, topic, _ in pools.sent)


def test_a_dropped_transaction_is_repeated_and_comes_back(pools: Pools) -> None:
    pools.mesh("a", "b")
    (tx,) = transfers(0, 1)
    pools.hand_in("a", tx)
    pools.world.until(lambda: pools.all_have(tx), 200)
    pools.pools["b"]._drop(pools.pools["b"]._by_hash[tx.hash])
    pools.world.wait(transactions.SEEN_MS + 2 * transactions.REPEAT_MS)
    assert pools.all_have(tx)


@given(st.sampled_from([BATCH, HASHES, WANTED]), st.binary(max_size=200))
def test_random_payloads_raise_nothing(topic: str, payload: bytes) -> None:
    pools = Pools()
    try:
        pools.add("a")
        pools.world.names[pools.world.identity("b").node_id] = "b"
        assert pools.judge("a", "b", topic, payload) in (VerdictKind.REJECT, VerdictKind.IGNORE)
    finally:
        pools.world.close()


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (BATCH, b""),
        (BATCH, b"\x90"),
        (BATCH, b"\x91\xa1x"),
        (BATCH, b"\x91\x91\x91"),
        (BATCH, bytes(msgpack.packb([b""]))),
        (BATCH, bytes(msgpack.packb([1]))),
        (BATCH, bytes(msgpack.packb([b"x"] * 4097))),
        (BATCH, bytes(msgpack.packb([bytes(300_000)]))),
        (HASHES, b""),
        (HASHES, bytes(33)),
        (HASHES, bytes(32 * 1025)),
        (WANTED, bytes(31)),
        (WANTED, bytes(32 * 257)),
    ],
)
def test_malformed_payloads_are_lies(pools: Pools, topic: str, payload: bytes) -> None:
    pools.mesh("a", "b")
    assert pools.judge("a", "b", topic, payload) is VerdictKind.REJECT


def test_announcements_without_end_fill_no_more_than_their_share(pools: Pools) -> None:
    pools.mesh("a", "b")
    bounds = transactions.FETCHES
    for start in range(0, 40_000, 1000):
        hashes = b"".join(number.to_bytes(32, "big") for number in range(start, start + 1000))
        pools.judge("a", "b", HASHES, hashes)
    assert len(pools.exchanges["a"]._missing) <= bounds.keys_per_peer_max
    asked = sum(len(payload) // 32 for _, _, topic, payload in pools.sent if topic == WANTED)
    assert asked <= bounds.asked_per_peer_max
    state = pools.exchanges["a"]._peers[pools.world.members["b"].switch.node_id]
    assert len(state.known) <= transactions.KNOWN_PER_PEER_MAX


def test_fetching_without_end_meets_a_limit(pools: Pools) -> None:
    pools.mesh("a", "b")
    big = transaction(0, data=bytes(100_000), gas_limit=5_000_000)
    pools.hand_in("a", big)
    pools.world.wait(1000)
    pools.sent.clear()
    for _ in range(30):
        pools.judge("a", "b", WANTED, big.hash * 250)
    assert sum(len(payload) for *_, payload in pools.sent) <= transactions.SERVED_BYTES.burst + 200_000


def test_large_batches_are_split(pools: Pools) -> None:
    pools.mesh("a", "b")
    txs = [transaction(sender, nonce=n, data=bytes(20_000), gas_limit=2_000_000) for sender in (0, 1) for n in range(6)]
    pools.hand_in("a", *txs)
    pools.world.until(lambda: pools.all_have(*txs), 500)
    assert max(len(payload) for _, _, topic, payload in pools.sent if topic == BATCH) <= 64 * 1024


SIDECAR = constant_sidecar(5)


def blob_transaction(**fields: Any) -> Transaction:
    return transaction(
        **{"type": BLOB, "blob_versioned_hashes": hashes_of(SIDECAR), "max_fee_per_blob_gas": 10, **fields}
    )


def test_blob_transactions_are_announced_and_fetched_with_their_blobs(pools: Pools) -> None:
    pools.line("a", "b", "c")
    tx = blob_transaction()

    async def add() -> None:
        pools.pools["a"].add(tx, True, SIDECAR)

    pools.world.do("a", add())
    pools.world.wait(3000)
    assert pools.all_have(tx)
    assert pools.pools["c"].sidecar(tx.hash) == SIDECAR
    assert pools.batches() == []
    assert [(source, to) for source, to, topic, _ in pools.sent if topic == BLOBS] == [("a", "b"), ("b", "c")]


def test_blobs_that_nobody_asked_for_are_not_looked_at(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    pools.line("a", "b")
    checked: list[int] = []
    monkeypatch.setattr(Sidecar, "holds", lambda self: checked.append(1) or True)
    payload = encode_wrapped(blob_transaction().encode(), SIDECAR)
    assert pools.judge("b", "a", BLOBS, payload) is VerdictKind.IGNORE
    assert checked == []
    assert pools.judge("b", "a", BLOBS, b"\x03junk") is VerdictKind.REJECT
    assert pools.judge("b", "a", BLOBS, bytes(6 * 2**20)) is VerdictKind.REJECT


@pytest.mark.parametrize("bad", ["proof", "transaction"])
def test_blobs_that_do_not_hold_are_a_lie(pools: Pools, bad: str) -> None:
    pools.line("a", "b")
    tx = blob_transaction() if bad == "proof" else blob_transaction(gas_limit=20_999)
    broken = replace(SIDECAR, proofs=(SIDECAR.commitments[0], *SIDECAR.proofs[1:])) if bad == "proof" else SIDECAR
    # the answer is lost on the way, so that the hash stays wanted
    pools.world.members["a"].switch.send = lambda *_: True  # type: ignore[method-assign]
    assert pools.judge("b", "a", HASHES, tx.hash) is VerdictKind.IGNORE
    assert pools.judge("b", "a", BLOBS, encode_wrapped(tx.encode(), broken)) is VerdictKind.REJECT
    assert tx.hash not in pools.pools["b"]
