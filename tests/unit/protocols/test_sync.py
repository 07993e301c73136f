"""Catch-up against honest, lying, silent and empty-handed peers."""

import asyncio

import pytest

from node.consensus.bft.messages import Certificate
from node.consensus.bft.seals import decode_certificate
from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed, RequestRefused
from node.primitives import rlp
from node.protocols.serving import (
    ANSWER_BYTES_MAX,
    BLOCKS_MAX,
    DECIDED,
    Serving,
    decode_answer,
    decode_request,
    encode_request,
)
from tests.driver_mesh import Cluster, MeshNode, virtually

PEER = NodeId(b"\x55" * 32)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        b"\x80",
        encode_request(0, 5),
        encode_request(1, 0),
        encode_request(1, BLOCKS_MAX + 1),
        encode_request(2**64, 1),
        rlp.encode([b"\x01", b"\x01", b"\x01"]),
        rlp.encode([b"\x00\x01", b"\x01"]),
        b"\xf8" * 40,
    ],
)
def test_requests_that_nobody_honest_sends_are_refused(payload):
    with pytest.raises(rlp.RLPError):
        decode_request(payload)

    async def main():
        with pytest.raises(RequestRefused):
            await Serving(None).serve(PEER, payload)  # type: ignore[arg-type]

    virtually(main())


def test_answers_are_bounded_by_what_was_asked():
    entry = [b"block", b"seal"]
    assert decode_answer(rlp.encode([entry]), 1) == [(b"block", b"seal")]
    with pytest.raises(rlp.RLPError):
        decode_answer(rlp.encode([entry, entry]), 1)
    with pytest.raises(rlp.RLPError):
        decode_answer(rlp.encode([[b"block"]]), 1)


async def _network(height: int, **options) -> Cluster:
    cluster = Cluster(block_time_ms=100, **options)
    await cluster.start()
    await cluster.height(height)
    return cluster


def test_serves_consecutive_blocks_until_the_head_or_the_size_bound():
    async def main():
        cluster = await _network(6)
        node = cluster.nodes[0]
        serving = Serving(node.chain)
        head = node.head_number
        pairs = decode_answer(await serving.serve(PEER, encode_request(2, BLOCKS_MAX)), BLOCKS_MAX)
        assert [block for block, _ in pairs] == [
            node.chain.block_by_number(number).encode() for number in range(2, 2 + len(pairs))
        ]
        assert head <= len(pairs) + 1 <= node.head_number
        assert decode_certificate(pairs[0][1]).height == 2
        assert decode_answer(await serving.serve(PEER, encode_request(head + 50, 3)), 3) == []

        class Big:
            def block_by_number(self, number):
                return node.chain.block_by_number(2)

            def seal_of(self, block_hash):
                return b"x" * (ANSWER_BYTES_MAX // 2)

        assert len(decode_answer(await Serving(Big()).serve(PEER, encode_request(1, 9)), 9)) == 1
        await cluster.stop()

    virtually(main())


def _late(cluster: Cluster) -> MeshNode:
    late = cluster.make(6, block_time_ms=100)
    cluster.nodes.append(late)
    return late


class _Lies:
    """Answers of a peer, falsified."""

    def __init__(self, node: MeshNode, kind: str) -> None:
        self._serving = Serving(node.chain)
        self._kind = kind
        self.asked = 0

    async def serve(self, peer: NodeId, payload: bytes) -> bytes:
        self.asked += 1
        if self._kind == "silent":
            raise RequestFailed("timed out")
        if self._kind == "garbage":
            return b"\xff\xff"
        if self._kind == "empty":
            return b"\xc0"
        first, count = decode_request(payload)
        pairs = decode_answer(await self._serving.serve(peer, payload), count)
        if self._kind == "shifted":
            pairs = decode_answer(await self._serving.serve(peer, encode_request(first + 1, count)), count)
        elif self._kind == "seal of another":
            pairs = [(block, pairs[-1][1]) for block, _ in pairs]
        elif self._kind == "too few":
            pairs = [(block, _fewer(seal)) for block, seal in pairs]
        elif self._kind == "bad signature":
            pairs = [(block, _unsigned(seal)) for block, seal in pairs]
        return rlp.encode([list(pair) for pair in pairs])


def _fewer(seal: bytes) -> bytes:
    c = decode_certificate(seal)
    return Certificate(c.kind, c.height, c.round, c.block_hash, c.valid_round, c.signatures[:2]).encode()


def _unsigned(seal: bytes) -> bytes:
    c = decode_certificate(seal)
    pairs = tuple((who, bytes(65)) for who, _ in c.signatures)
    return Certificate(c.kind, c.height, c.round, c.block_hash, c.valid_round, pairs).encode()


@pytest.mark.parametrize(
    ("kind", "blamed"),
    [
        ("garbage", True),
        ("shifted", True),
        ("seal of another", True),
        ("too few", True),
        ("bad signature", True),
        ("empty", False),
        ("silent", False),
    ],
)
def test_a_peer_that_answers_wrongly_is_left_for_another(kind, blamed):
    async def main():
        cluster = await _network(60)
        lies = {node.node_id: _Lies(node, kind) for node in cluster.nodes[:3]}
        for node in cluster.nodes[:3]:
            node.switch.servers[DECIDED] = lies[node.node_id].serve
        late = _late(cluster)
        await late.start()
        await cluster.until(lambda: late.head_number >= cluster.nodes[3].head_number, 20_000)
        cluster.assert_agreement()
        asked = [peer for peer, liar in lies.items() if liar.asked]
        assert asked
        punished = {peer: None for peer, _, _ in late.switch.penalties}
        assert sorted(punished) == (sorted(asked) if blamed else [])
        await cluster.stop()

    virtually(main())


def test_a_claim_of_heights_that_do_not_exist_gets_nowhere_and_hurts_nobody():
    async def main():
        cluster = await _network(5)
        node = cluster.nodes[0]
        node.sync.note_height(cluster.nodes[1].node_id, 10**9)
        before = node.head_number
        await asyncio.sleep(3)
        assert node.head_number > before + 20
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def test_many_claims_do_not_grow_memory():
    async def main():
        cluster = await _network(1)
        mesh_node = cluster.nodes[0]
        for index in range(2000):
            mesh_node.sync.note_height(NodeId(index.to_bytes(32, "big")), index)
        assert len(mesh_node.sync._decided) <= 256
        mesh_node.sync._decided.clear()
        await cluster.stop()

    virtually(main())
