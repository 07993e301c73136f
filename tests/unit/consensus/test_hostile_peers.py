"""What hostile peers send is refused before work is spent on it, is counted, and costs them; both engines.

Work is counted where it is done: signatures recovered, blocks decoded.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from node.consensus.bft import messages as bft
from node.consensus.bft.messages import NIL, NONE, ChainDomain, Kind, Proposal, Statement
from node.consensus.driver import LARGE_TOPIC, SMALL_TOPIC
from node.consensus.pos import messages as pos
from node.consensus.pos.checkpoints import Checkpoint
from node.consensus.pos.messages import Attestation, SignedBlock
from node.consensus.refusals import FADE_MS, STRIKES_COUNTED_MAX, STRIKES_MAX, Refusals
from node.consensus.signer import Secp256k1Key
from node.crypto import secp256k1
from node.p2p.identity import NodeId
from node.p2p.verdict import VerdictKind
from node.primitives import rlp
from node.primitives.scalars import Hash32
from tests.driver_mesh import KEYS, Cluster, MeshNode, virtually

STRANGER = NodeId(b"\x77" * 32)
MEGABYTES = 8 * 1024 * 1024


class Work:
    """Counts what refusing costs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recovered = self.decoded = 0
        recover = secp256k1.recover_address

        def counted(*args: object) -> object:
            self.recovered += 1
            return recover(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(secp256k1, "recover_address", counted)
        for module in (bft, pos):
            decode = module.decode_block

            def opened(data: bytes, decode: Callable[[bytes], object] = decode) -> object:
                self.decoded += 1
                return decode(data)

            monkeypatch.setattr(module, "decode_block", opened)

    def spent(self, recovered: int, decoded: int) -> None:
        """Exactly so much since the last time."""
        assert (self.recovered, self.decoded) == (recovered, decoded)
        self.recovered = self.decoded = 0


@pytest.fixture
def work(monkeypatch):
    return Work(monkeypatch)


async def _network(engine: str) -> tuple[Cluster, MeshNode]:
    cluster = Cluster(engine=engine)
    await cluster.start()
    await cluster.height(4)
    return cluster, cluster.nodes[0]


async def _send(node: MeshNode, payload: bytes, topic: str = SMALL_TOPIC) -> VerdictKind:
    return (await node.switch.handlers[topic](STRANGER, payload)).kind


def _bft_vote(node: MeshNode, height: int, key: bytes, chain_id: int | None = None, round_number: int = 0) -> Statement:
    signer = Secp256k1Key(key)
    domain = ChainDomain(chain_id or node.chain.chain_id, node.chain.genesis_hash)
    draft = Statement(Kind.PREVOTE, height, round_number, NIL, NONE, signer.address)
    return draft.signed(signer.sign(draft.signing_digest(domain)))


REJECT, IGNORE = VerdictKind.REJECT, VerdictKind.IGNORE


def test_bft_refuses_before_it_works(work):
    async def main():
        cluster, node = await _network("bft")
        height, chain = node.driver.engine.height, node.chain
        before = dict(node.driver.inspect()["refusedMessages"])
        work.recovered = work.decoded = 0
        good = _bft_vote(node, height, KEYS[1])
        block = chain.block_by_number(height - 1)
        seal = chain.seal_of(block.hash)
        decided = node.driver._codec.decided(block, seal)
        junk_list = rlp.encode_list([b"\x01" * MEGABYTES])
        nothing = [
            (b"x" * 600, SMALL_TOPIC, REJECT),  # oversized for its topic
            (b"\x01" * (bft.MESSAGE_BYTES_MAX + 1), LARGE_TOPIC, REJECT),  # oversized at all
            (junk_list, LARGE_TOPIC, REJECT),  # malformed, many items
            (rlp.encode_list([b"\x02", junk_list, b"\x80", b"\xc0"]), LARGE_TOPIC, REJECT),
            (b"\xff" * 40, SMALL_TOPIC, REJECT),
            (decided.certificate.statements()[0].encode(), SMALL_TOPIC, IGNORE),  # replayed
            (decided.encode(), LARGE_TOPIC, IGNORE),
            (_bft_vote(node, height + 9, KEYS[1]).encode(), SMALL_TOPIC, IGNORE),  # future height
            (_bft_vote(node, height, KEYS[1], round_number=99).encode(), SMALL_TOPIC, IGNORE),
            (_bft_vote(node, height, KEYS[6]).encode(), SMALL_TOPIC, REJECT),  # nobody's
        ]
        work.recovered = 0
        for payload, topic, expected in nothing:
            assert await _send(node, payload, topic) is expected, payload[:9]
            node.driver._refusals._strikes.clear()
            work.spent(0, 0)
        one_signature = [good.signed(bytes(65)).encode(), _bft_vote(node, height, KEYS[2], chain_id=5).encode()]
        work.recovered = 0
        for payload in one_signature:  # unsigned, of another chain
            assert await _send(node, payload) is REJECT
        work.spent(2, 0)
        counts = node.driver.inspect()["refusedMessages"]
        assert counts["malformed"] - before["malformed"] == 7
        assert counts["hostile"] - before["hostile"] == 1
        assert counts["unwanted"] - before["unwanted"] == 4
        assert await _send(node, good.encode()) is VerdictKind.ACCEPT
        await cluster.stop()

    virtually(main())


def test_foreign_bytes_behind_a_true_signature_are_not_parsed(work):
    """A validator's signed proposal is public; with another block behind it, nothing is decoded."""

    async def main():
        cluster, node = await _network("bft")
        height = node.driver.engine.height
        turn = node.driver.engine.validators.proposer(height, 1)
        key = next(key for key in KEYS if Secp256k1Key(key).address == turn)
        block = node.chain.block_by_number(height - 1)
        header = replace(block.header, number=height, parent_hash=block.hash, parent_beacon_block_root=block.hash)
        other = replace(block, header=header)
        draft = Statement(Kind.PROPOSAL, height, 1, other.hash, NONE, turn)
        domain = ChainDomain(node.chain.chain_id, node.chain.genesis_hash)
        statement = draft.signed(Secp256k1Key(key).sign(draft.signing_digest(domain)))
        honest = Proposal(statement, other).encode()
        junk = rlp.encode_list([rlp.encode_list([b"\x01" * MEGABYTES]), b"\xc0", b"\xc0"])
        lie = rlp.encode_list([b"\x02", statement.item(), rlp.encode_bytes(junk), b"\xc0"])
        work.recovered = work.decoded = 0
        assert await _send(node, lie, LARGE_TOPIC) is REJECT
        work.spent(0, 0)
        node.driver._refusals._strikes.clear()
        assert await _send(node, honest, LARGE_TOPIC) is VerdictKind.ACCEPT
        assert work.decoded == 1
        await cluster.stop()

    virtually(main())


def test_pos_refuses_before_it_works(work):
    async def main():
        cluster, node = await _network("pos")
        engine, rules = node.driver.engine, node.driver.engine.rules
        head = engine.tree.head()
        slot = engine.tree.store.slot
        committee = engine.tree.duties(head.header.hash, rules.epoch(slot)).committee(slot)
        vote = engine.tree.vote(head.header.hash, slot)
        validator = rules.validators.addresses[committee[0]]
        key = next(key for key in KEYS if Secp256k1Key(key).address == validator)

        def signed(draft: Attestation, key: bytes, domain: object = rules) -> bytes:
            signer = Secp256k1Key(key)
            named = replace(draft, validator=signer.address)
            return named.signed(signer.sign(named.signing_digest(domain))).encode()

        block = head.signed
        assert isinstance(block, SignedBlock)
        far = replace(vote, at_slot=slot + 40, target=Checkpoint(rules.epoch(slot + 40), vote.target.root))
        junk_list = rlp.encode_list([b"\x01" * MEGABYTES])
        other_chain = replace(rules, chain_id=5)
        contradicting = replace(vote, head=Hash32(b"\x05" * 32))
        nothing = [
            (b"x" * 600, SMALL_TOPIC, REJECT),
            (b"\x01" * (pos.MESSAGE_BYTES_MAX + 1), LARGE_TOPIC, REJECT),
            (junk_list, LARGE_TOPIC, REJECT),
            (rlp.encode_list([b"\x01", *[junk_list] * 6]), LARGE_TOPIC, REJECT),
            (b"\xff" * 40, SMALL_TOPIC, REJECT),
            (block.encode(), LARGE_TOPIC, IGNORE),  # replayed
            (signed(far, key), SMALL_TOPIC, IGNORE),  # of a future slot
            (signed(vote, KEYS[6]), SMALL_TOPIC, REJECT),  # nobody's
        ]
        work.recovered = work.decoded = 0
        for payload, topic, expected in nothing:
            assert await _send(node, payload, topic) is expected, payload[:9]
            node.driver._refusals._strikes.clear()
            work.spent(0, 0)
        for payload in (signed(contradicting, key, other_chain), signed(contradicting, key)[:-65] + bytes(65)):
            work.recovered = 0
            assert await _send(node, payload) is REJECT
            assert work.recovered <= 1
        assert node.driver.inspect()["refusedMessages"]["malformed"] >= 7
        await cluster.stop()

    virtually(main())


@pytest.mark.parametrize("engine", ["bft", "pos"])
def test_a_node_under_a_flood_keeps_its_round_trip_with_the_others(engine, work):
    """One peer sends rubbish without end, small and large; blocks come as before, and the rubbish costs little."""

    async def main():
        calm = Cluster(engine=engine)
        await calm.start()
        await calm.height(3)
        undisturbed = await calm.height(13)
        await calm.stop()
        cluster, node = await _network(engine)
        start = node.head_number
        good = _bft_vote(node, 1, KEYS[1])
        chance = random.Random(engine)
        sent = 0
        work.recovered = work.decoded = 0

        def reached() -> bool:
            nonlocal sent
            for _ in range(20):  # in 10 ms: 2,000 a second
                height = node.driver.engine.height
                bad = replace(good, height=height, round=chance.randrange(50), signature=chance.randbytes(64) + b"\x00")
                cluster.mesh.deliver(STRANGER, node.node_id, SMALL_TOPIC, bad.encode())
                sent += 1
            cluster.mesh.deliver(STRANGER, node.node_id, LARGE_TOPIC, chance.randbytes(64) * 4096)
            return all(one.head_number >= start + 10 for one in cluster.nodes)

        took = await cluster.until(reached, 60_000)
        assert took <= undisturbed + 100, (took, undisturbed)
        counts = node.driver.inspect()["refusedMessages"]
        assert counts["muted"] > sent * 9 // 10, counts
        assert work.recovered < sent // 4, "nearly all of it is refused unread"
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def test_strikes_mute_and_fade():
    refusals = Refusals()
    peer, other = b"\x01" * 32, b"\x02" * 32
    for _ in range(STRIKES_MAX):
        refusals.strike(peer, 0, 10)
    assert not refusals.is_muted(peer, 0)
    refusals.strike(peer, 0, 10)
    assert refusals.is_muted(peer, 0)
    assert not refusals.is_muted(other, 0)
    assert not refusals.is_muted(peer, FADE_MS)
    refusals.strike(other, 0, MEGABYTES)
    last = (STRIKES_COUNTED_MAX - STRIKES_MAX) * FADE_MS
    assert refusals.is_muted(other, last - 1)
    assert not refusals.is_muted(other, last), "never for ever"


def test_the_memory_of_strikes_is_bounded():
    refusals = Refusals()
    for number in range(1000):
        refusals.strike(number.to_bytes(32, "big"), 0, MEGABYTES)
    assert len(refusals._strikes) <= 256
    assert refusals.is_muted((999).to_bytes(32, "big"), 0)
