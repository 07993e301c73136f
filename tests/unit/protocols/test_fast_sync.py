"""A node that begins with a state of its peers: honest ones, liars, silent ones, and such that forget meanwhile."""

import asyncio

import pytest

from node.chain import adoption
from node.consensus.bft.messages import Certificate
from node.consensus.bft.seals import decode_certificate
from node.primitives import rlp
from node.protocols import sources, state_fetch
from node.protocols.sources import Claim
from node.protocols.state_serving import HEADERS, RECENT, STATE, decode_pieces, decode_rows, decode_strings
from node.storage import schema
from tests.builders import transfer
from tests.driver_mesh import KEYS, Cluster, virtually
from tests.unit.protocols.joiner import Joiner, changed, silent

RECENT_BLOCKS = 6
STALL_MS = 15_000


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    """So that a small state and chain need many of them."""
    monkeypatch.setattr(state_fetch, "PIECES_MAX", 5)
    monkeypatch.setattr(state_fetch, "STALL_MS", STALL_MS)
    monkeypatch.setattr(sources, "STALL_MS", STALL_MS)
    monkeypatch.setattr(adoption, "RECENT_BLOCKS", RECENT_BLOCKS)


async def grown(height=16, accounts=40, **options):
    """A network that has made some accounts and gone on."""
    cluster = Cluster(block_time_ms=100, **options)
    await cluster.start()
    for index in range(accounts):
        to = bytes((index + 1,)) * 20
        for node in cluster.nodes:
            node.pool.add(transfer(0, index, to, value=1 + index), local=True)
    await cluster.height(height)
    return cluster


def newcomer(cluster, **options):
    return cluster.make(6, block_time_ms=100, **options)


def _rows_changed(width, change):
    """Falsify the decoded rows of an answer."""
    return changed(lambda answer: rlp.encode(change(decode_rows(answer, 999, width))))


def test_joins_and_follows_without_having_executed_what_came_before():
    async def main():
        cluster = await grown()
        joiner = Joiner(cluster, newcomer(cluster))
        pivot = await joiner.sync.run()
        assert pivot is not None
        assert pivot.number > 10
        assert not joiner.penalties
        await joiner.become_node()
        node = joiner.node
        assert node.chain.head == node.chain.finalized == pivot
        await cluster.height(pivot.number + 10)
        cluster.assert_agreement_from(pivot.number - RECENT_BLOCKS + 1)
        view = node.chain.view_at(node.chain.head)
        assert [view.account(bytes((index + 1,)) * 20).balance for index in range(40)] == list(range(1, 41))
        # every peer has given some of it
        assert {peer for peer, name in joiner.asked if name == STATE} == {one.node_id for one in cluster.nodes[:4]}
        await cluster.stop()

    virtually(main())


def test_what_is_not_here_is_not_claimed():
    async def main():
        cluster = await grown()
        joiner = Joiner(cluster, newcomer(cluster))
        pivot = await joiner.sync.run()
        await joiner.become_node()
        chain, other = joiner.node.chain, cluster.nodes[0].chain
        lowest = pivot.number - RECENT_BLOCKS + 1
        assert (chain.state_from, chain.blocks_from) == (pivot.number, lowest)
        for number in range(1, lowest):
            assert chain.block_by_number(number) is None
            assert chain.canonical_hash(number) is None
        for number in (0, *range(lowest, pivot.number + 1)):
            block = chain.block_by_number(number)
            assert block == other.block_by_number(number)
            assert chain.receipts_of(block.hash) == other.receipts_of(block.hash)
            if number:
                assert decode_certificate(chain.seal_of(block.hash)).block_hash == block.hash
            for index, tx in enumerate(block.transactions):
                assert chain.transaction_location(tx.hash) == (block.hash, index)
        await cluster.stop()

    virtually(main())


def test_a_key_whose_disk_was_lost_votes_again_but_not_at_once():
    async def main():
        cluster = await grown(12)
        lost = cluster.nodes[3]
        await lost.kill()
        cluster.nodes.remove(lost)
        again = cluster.make(3, key=KEYS[3], block_time_ms=100)
        joiner = Joiner(cluster, again)
        assert await joiner.sync.run() is not None
        await joiner.become_node()
        await cluster.height(again.head_number + 20)
        assert again.told("not voting yet")
        # with another one gone, its vote is needed for every block
        await cluster.nodes[0].kill()
        del cluster.nodes[0]
        await cluster.height(again.head_number + 5)
        await cluster.stop()

    virtually(main())


def test_a_short_chain_is_executed():
    async def main():
        cluster = await grown(2, accounts=0)
        claims = [Claim(one.node_id, 1) for one in cluster.nodes]
        joiner = Joiner(cluster, newcomer(cluster), lambda: claims)
        assert await joiner.sync.run() is None
        assert not joiner.asked
        await cluster.stop()

    virtually(main())


def test_nobody_there_is_waited_for_only_so_long():
    async def main():
        cluster = await grown(2, accounts=0)
        joiner = Joiner(cluster, newcomer(cluster), list)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await joiner.sync.run() is None
        assert 4 < loop.time() - began < 7
        await cluster.stop()

    virtually(main())


def _fewer(seal):
    c = decode_certificate(seal)
    return Certificate(c.kind, c.height, c.round, c.block_hash, c.valid_round, c.signatures[:2]).encode()


def _unsigned(seal):
    c = decode_certificate(seal)
    pairs = tuple((who, bytes(65)) for who, _ in c.signatures)
    return Certificate(c.kind, c.height, c.round, c.block_hash, c.valid_round, pairs).encode()


def _by_a_stranger(rows):
    """The child's header changed: no certificate is for it."""
    header = bytearray(rows[1][0])
    header[-1] ^= 1
    return [rows[0], [bytes(header), rows[1][1]]]


def _one_bit(answer):
    values = decode_strings(answer, 999)
    for index, value in enumerate(values):
        if value:
            values[index] = value[:-1] + bytes((value[-1] ^ 1,))
            break
    return rlp.encode(values)


def _last_receipt_dropped(rows):
    return [
        [header, body, seal, b"\xc0" if receipts != b"\xc0" else b"\xc1\x80"] for header, body, seal, receipts in rows
    ]


LIES = {
    "pivot: garbage": (HEADERS, changed(lambda answer: b"\xff\xff")),
    "pivot: three headers": (HEADERS, _rows_changed(2, lambda rows: [*rows, rows[0]])),
    "pivot: not consecutive": (HEADERS, _rows_changed(2, lambda rows: [rows[1], rows[1]])),
    "pivot: bad signatures": (HEADERS, _rows_changed(2, lambda rows: [rows[0], [rows[1][0], _unsigned(rows[1][1])]])),
    "pivot: seal of another": (HEADERS, _rows_changed(2, lambda rows: [rows[0], [rows[1][0], rows[0][1]]])),
    "pivot: no seal": (HEADERS, _rows_changed(2, lambda rows: [[rows[0][0], b""], rows[1]])),
    "pivot: other child": (HEADERS, _rows_changed(2, _by_a_stranger)),
    "pieces: one bit": (STATE, changed(_one_bit)),
    "pieces: garbage": (STATE, changed(lambda answer: b"\xf8")),
    "pieces: more than asked": (STATE, changed(lambda answer: rlp.encode([b"x"] * 99))),
    "pieces: lists": (STATE, changed(lambda answer: rlp.encode([[[]]]))),
    "pieces: reversed": (STATE, changed(lambda answer: rlp.encode([b"y", *decode_strings(answer, 99)[1:]]))),
    "recent: garbage": (RECENT, changed(lambda answer: b"\xc1")),
    "recent: others": (RECENT, _rows_changed(4, lambda rows: rows[1:])),
    "recent: no body": (RECENT, _rows_changed(4, lambda rows: [[r[0], b"\xc3\xc0\xc0\xc0", *r[2:]] for r in rows[3:]])),
    "recent: receipts": (RECENT, _rows_changed(4, _last_receipt_dropped)),
}


@pytest.mark.parametrize("kind", LIES)
def test_liars_are_blamed_once_and_left_for_an_honest_peer(kind):
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        joiner.first_lies = LIES[kind]
        pivot = await joiner.sync.run()
        assert pivot is not None
        assert joiner.liars
        assert sorted(joiner.blamed) == sorted(joiner.liars)
        # one lie each, or as many as were under way
        assert len(joiner.penalties) <= state_fetch.TURNS * len(joiner.liars)
        await joiner.become_node()
        await cluster.height(pivot.number + 3)
        cluster.assert_agreement_from(pivot.number)
        await cluster.stop()

    virtually(main())


def test_a_pivot_without_a_quorum_is_nobodys_fault_and_not_taken():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        few = _rows_changed(2, lambda rows: [rows[0], [rows[1][0], _fewer(rows[1][1])]])
        joiner.lies = {one.node_id: {HEADERS: few} for one in cluster.nodes}
        assert await joiner.sync.run() is None
        assert not joiner.penalties
        assert joiner.chain.head.number == 0
        assert not joiner.sync.pieces
        await cluster.stop()

    virtually(main())


@pytest.mark.parametrize("name", [HEADERS, STATE, RECENT])
def test_among_liars_only_it_is_given_up_and_every_block_is_executed(name):
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        joiner.lies = {one.node_id: {name: changed(lambda answer: b"\xff")} for one in cluster.nodes}
        assert await joiner.sync.run() is None
        assert joiner.blamed == [one.node_id for one in cluster.nodes] or len(joiner.blamed) == 4
        assert joiner.node.database.get(schema.mark("head")) == joiner.chain.genesis_hash
        await joiner.become_node()
        await cluster.height(12)
        cluster.assert_agreement()  # from block 1 on
        await cluster.stop()

    virtually(main())


def test_silent_peers_rest_and_others_are_asked():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        joiner.lies = {one.node_id: {STATE: silent()} for one in cluster.nodes[:2]}
        assert await joiner.sync.run() is not None
        asked = [peer for peer, name in joiner.asked if name == STATE]
        for one in cluster.nodes[:2]:
            assert asked.count(one.node_id) <= 2 * state_fetch.TURNS
        await cluster.stop()

    virtually(main())


def test_a_peer_that_holds_back_most_of_it_only_slows_the_others():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        one_only = changed(lambda answer: rlp.encode(decode_strings(answer, 999)[:1]))
        joiner.lies = {one.node_id: {STATE: one_only} for one in cluster.nodes[:3]}
        assert await joiner.sync.run() is not None
        assert not joiner.penalties
        await cluster.stop()

    virtually(main())


def test_what_nobody_has_any_more_asks_for_a_newer_pivot_and_keeps_what_came():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        given = []
        stale = []

        def forgetful(server, peer, payload):
            async def answer():
                wanted = decode_pieces(payload)
                if joiner.sync.pivots == 1 and len(given) > 25:
                    stale.append(payload)
                    return rlp.encode([b"" for _ in wanted])
                given.extend(wanted)
                return await server(peer, payload)

            return answer()

        joiner.lies = {one.node_id: {STATE: forgetful} for one in cluster.nodes}
        pivot = await joiner.sync.run()
        assert pivot is not None
        assert stale
        assert joiner.sync.pivots == 2
        hashes = [piece.hash for piece in given]
        assert len(hashes) == len(dict.fromkeys(hashes)), "nothing was fetched twice"
        await joiner.become_node()
        await cluster.height(pivot.number + 3)
        await cluster.stop()

    virtually(main())


def test_states_that_always_go_are_given_up():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        nothing = changed(lambda answer: rlp.encode([b""] * len(decode_strings(answer, 999))))
        joiner.lies = {one.node_id: {STATE: nothing} for one in cluster.nodes}
        assert await joiner.sync.run() is None
        assert joiner.sync.pivots <= 8
        await cluster.stop()

    virtually(main())


def test_a_network_that_falls_silent_is_given_up_in_time():
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        loop = asyncio.get_running_loop()
        task = loop.create_task(joiner.sync.run())
        reached = asyncio.Event()
        joiner.interrupt = (8, reached)
        await reached.wait()
        joiner.dead_after = 0
        await cluster.stop()
        began = loop.time()
        assert await task is None
        assert loop.time() - began < 3 * STALL_MS / 1000

    virtually(main())


@pytest.mark.parametrize("answers", [1, 3, 8, 13, 18])
def test_killed_at_any_moment_it_goes_on_with_what_is_on_disk(answers):
    async def main():
        cluster = await grown(10)
        node = newcomer(cluster)
        first = Joiner(cluster, node)
        task = asyncio.get_running_loop().create_task(first.sync.run())
        reached = asyncio.Event()
        first.interrupt = (answers, reached)
        task.add_done_callback(lambda _: reached.set())
        await reached.wait()
        was_done = task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        second = Joiner(cluster, node)
        if was_done:
            assert second.chain.head.number
            return
        assert second.chain.head.number == 0
        pivot = await second.sync.run()
        assert pivot is not None
        whole = len([key for key, _ in node.database.iterate(schema.NODE)])
        assert first.sync.pieces + second.sync.pieces <= whole
        await second.become_node()
        await cluster.height(pivot.number + 3)
        cluster.assert_agreement_from(pivot.number)
        await cluster.stop()

    virtually(main())


def test_what_came_is_made_durable_as_time_passes(monkeypatch):
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        written = []
        write = joiner.node.database.write

        def recorded(batch, durable):
            written.append((durable, sum(key[:1] == schema.NODE for key in batch.entries)))
            write(batch, durable)

        joiner.node.database.write = recorded
        assert await joiner.sync.run() is not None
        pieces = [durable for durable, nodes in written if nodes]
        # an answer takes 7 ms here, and 20 ms may pass between two durable writes
        assert 0 < pieces.count(True) < len(pieces) / 2
        await cluster.stop()

    monkeypatch.setattr(state_fetch, "SAVED_MS", 20)
    virtually(main())


def test_who_lied_is_asked_nothing_more():
    async def main():
        cluster = await grown(2, accounts=0)
        joiner = Joiner(cluster, newcomer(cluster))
        mine = joiner.sync._sources
        first, *others = mine.usable()
        mine.blame(first, STATE, ValueError("a lie"))
        assert sorted(mine.honest()) == sorted(mine.usable()) == sorted(others)
        mine.rest(others[0])
        assert others[0] not in mine.usable()
        mine.wake()
        assert others[0] in mine.usable()
        for peer in others:
            assert not mine.all_lie()
            mine.blame(peer, STATE, ValueError("a lie"))
        assert mine.all_lie()
        await cluster.stop()

    virtually(main())


@pytest.mark.parametrize("name", [HEADERS, STATE])
def test_answers_that_are_too_long_are_not_read(name):
    async def main():
        cluster = await grown(10)
        joiner = Joiner(cluster, newcomer(cluster))
        joiner.first_lies = (name, changed(lambda answer: answer + bytes(5_000_000)))
        assert await joiner.sync.run() is not None
        assert {why for _, _, why in joiner.penalties} == {"too long"}
        assert sorted(joiner.blamed) == sorted(joiner.liars)
        await cluster.stop()

    virtually(main())
