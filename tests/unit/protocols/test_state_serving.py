"""What a joining peer may ask for, how much it gets, and what honest nodes never ask."""

import asyncio

import pytest

from node.chain.state_download import BadState, Piece, StateDownload, WrongPiece
from node.chain.store import ChainStore
from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.p2p.identity import NodeId
from node.p2p.requests import RequestRefused
from node.primitives import rlp
from node.protocols import state_serving
from node.protocols.state_serving import (
    ANSWER_BYTES,
    HEADERS_MAX,
    PIECES_MAX,
    RECENT_MAX,
    StateServing,
    decode_rows,
    decode_strings,
    encode_pieces,
    encode_range,
)
from node.state.links import Link
from node.storage import schema
from node.storage.database import Batch, MemoryDatabase
from tests.builders import inline_runtime
from tests.driver_mesh import Cluster, virtually

PEER = NodeId(b"\x55" * 32)
HASH = bytes(range(32))


class NoChain:
    """Never reached."""


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("headers", b""),
        ("headers", encode_range(1, 0)),
        ("headers", encode_range(1, HEADERS_MAX + 1)),
        ("headers", encode_range(2**64, 1)),
        ("headers", b"\xf8" * 40),
        ("recent", encode_range(1, 0)),
        ("recent", encode_range(1, RECENT_MAX + 1)),
        ("recent", rlp.encode([b"\x01"])),
        ("state", b""),
        ("state", b"\xc0"),
        ("state", b"\xff" * 99),
        ("state", encode_pieces([Piece(Link.CODE, HASH)] * (PIECES_MAX + 1))),
        ("state", encode_pieces([Piece(Link.CODE, HASH[1:])])),
        ("state", rlp.encode([[b"\x03", HASH]])),
        ("state", rlp.encode([[[[]], HASH]])),
    ],
)
def test_requests_that_nobody_honest_sends_cost_score(name, payload):
    serving = StateServing(NoChain(), MemoryDatabase(), inline_runtime())
    with pytest.raises(RequestRefused) as refused:
        asyncio.run(getattr(serving, name)(PEER, payload))
    assert refused.value.penalty


def _filled(*values):
    database, batch = MemoryDatabase(), Batch()
    for value in values:
        batch.put(schema.code(keccak256(value)), value)
    database.write(batch, durable=True)
    return StateServing(NoChain(), database, inline_runtime())


def test_an_answer_ends_at_its_bound_but_holds_one_piece():
    large = [bytes((index,)) * (ANSWER_BYTES // 3) for index in range(6)]
    pieces = [Piece(Link.CODE, keccak256(value)) for value in large]
    answer = asyncio.run(_filled(*large).state(PEER, encode_pieces(pieces)))
    assert decode_strings(answer, 6) == large[:2]
    huge = b"\x07" * (2 * ANSWER_BYTES)
    answer = asyncio.run(_filled(huge).state(PEER, encode_pieces([Piece(Link.CODE, keccak256(huge))] * 3)))
    assert decode_strings(answer, 3) == [huge]


def test_what_is_not_here_is_left_empty_and_what_fits_no_message_refused(monkeypatch):
    serving = _filled(b"\x01" * 50)
    pieces = [Piece(Link.CODE, HASH), Piece(Link.CODE, keccak256(b"\x01" * 50)), Piece(Link.STORAGE, HASH)]
    assert decode_strings(asyncio.run(serving.state(PEER, encode_pieces(pieces))), 3) == [b"", b"\x01" * 50, b""]
    monkeypatch.setattr(state_serving, "PAYLOAD_BYTES_MAX", 40)
    with pytest.raises(RequestRefused) as refused:
        asyncio.run(serving.state(PEER, encode_pieces(pieces[1:2])))
    assert not refused.value.penalty


def test_blocks_come_consecutively_and_never_beyond_the_head():
    async def main():
        cluster = Cluster(block_time_ms=100)
        await cluster.start()
        await cluster.height(6)
        node = cluster.nodes[0]
        serving = StateServing(node.chain, node.database, inline_runtime())
        head = node.head_number
        rows = decode_rows(await serving.headers(PEER, encode_range(0, 2)), 2, 2)
        final = node.chain.finalized
        assert [row[0] for row in rows] == [node.chain.header_by_number(final.number - 1).encode(), final.encode()]
        assert len(decode_rows(await serving.headers(PEER, encode_range(2, 200)), 200, 2)) == head - 1
        assert decode_rows(await serving.headers(PEER, encode_range(head + 1, 5)), 5, 2) == []
        rows = decode_rows(await serving.recent(PEER, encode_range(4, 32)), 32, 4)
        assert [row[0] for row in rows] == [node.chain.header_by_number(n).encode() for n in (4, 3, 2, 1)]
        assert decode_rows(await serving.recent(PEER, encode_range(10**6, 1)), 1, 4)[0][0] == node.chain.head.encode()
        await cluster.stop()

    virtually(main())


def test_a_peer_beyond_its_share_waits_and_others_do_not(monkeypatch):
    value = b"\x01" * 100_000
    serving = _filled(value)
    monkeypatch.setattr(state_serving, "PEER_RATE", state_serving.Rate(1_000_000, 300_000))
    ask = encode_pieces([Piece(Link.CODE, keccak256(value))])

    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(3):
            await serving.state(PEER, ask)
        assert loop.time() - began < 0.09
        waiting = loop.create_task(serving.state(PEER, ask))
        await serving.state(NodeId(b"\x66" * 32), ask)
        assert not waiting.done()
        await waiting
        assert loop.time() - began >= 0.09

    asyncio.run(main())


def test_strangers_shares_are_counted(monkeypatch):
    serving = _filled(b"\x01" * 50)
    monkeypatch.setattr(state_serving, "PEERS_MAX", 4)
    ask = encode_pieces([Piece(Link.CODE, HASH)])

    async def main():
        for index in range(20):
            await serving.state(NodeId(index.to_bytes(32, "big")), ask)
        assert len(serving._shares) == 4

    asyncio.run(main())


# --- the other side, piece by piece -------------------------------------------------------------


def _download(root):
    return StateDownload(ChainStore(MemoryDatabase()), root)


def test_an_empty_state_needs_nothing():
    assert _download(EMPTY_TRIE_ROOT).is_done


def test_bytes_with_another_hash_are_not_written():
    download = _download(keccak256(b"x"))
    pieces = download.next_portion(9)
    with pytest.raises(WrongPiece):
        download.deliver(pieces, [b"y"])
    assert not download.is_done
    assert download.next_portion(9) == pieces
    assert list(download._store.database.iterate(b"")) == []


@pytest.mark.parametrize("node", [b"\xc0", b"\xc1\x80", rlp.encode([b"\x20" + HASH, b"no account"])])
def test_a_root_over_what_is_no_state_blames_nobody(node):
    download = _download(keccak256(node))
    with pytest.raises(BadState):
        download.deliver(download.next_portion(9), [node])
