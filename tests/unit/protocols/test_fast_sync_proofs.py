"""Which pivots are taken when validators change or are convicted, and under engine pos, where votes are replayed."""

import asyncio

import pytest

from network import abi
from node.chain import adoption
from node.consensus.bft.messages import NONE, ChainDomain, Evidence, Kind, Statement
from node.consensus.driver import SMALL_TOPIC
from node.consensus.engine import InvalidSeal
from node.consensus.pos.seals import decode_seal
from node.consensus.signer import Secp256k1Key
from node.consensus.validator_contract import VALIDATOR_CONTRACT
from node.p2p.identity import NodeId
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.protocols import sources, state_fetch
from node.protocols.state_serving import HEADERS, RECENT, STATE, decode_range, decode_rows, encode_range
from node.types.blocks import Block, decode_header
from tests.builders import transfer
from tests.driver_mesh import KEYS, Cluster, virtually
from tests.unit.protocols.joiner import Joiner, changed

STALL_MS = 15_000


@pytest.fixture(autouse=True)
def small_portions(monkeypatch):
    """A short chain has more than one portion of everything."""
    monkeypatch.setattr(adoption, "RECENT_BLOCKS", 6)
    monkeypatch.setattr(state_fetch, "STALL_MS", STALL_MS)
    monkeypatch.setattr(sources, "STALL_MS", STALL_MS)


def _who(index):
    return Secp256k1Key(KEYS[index]).address


async def _set_weight(cluster, nonce, validator, weight):
    data = abi.selector("setValidator(address,uint256)") + abi.encode(["address", "uint256"], [validator, weight])
    tx = transfer(0, nonce, to=VALIDATOR_CONTRACT, value=0, data=data, gas_limit=300_000)
    for node in cluster.nodes:
        node.pool.add(tx, local=True)
    sent = cluster.nodes[0]
    await cluster.until(lambda: sent.chain.transaction_location(tx.hash) is not None)
    await cluster.height(max(node.head_number for node in cluster.nodes) + 2)


async def _change_half(cluster):
    """Two newcomers in, two of the first four out, by one a block."""
    for nonce, (index, weight) in enumerate([(4, 1), (5, 1), (0, 0), (1, 0)]):
        await _set_weight(cluster, nonce, _who(index), weight)


def test_a_convicted_validator_is_no_reason_not_to_join():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=100)
        await cluster.start()
        await cluster.height(4)
        guilty = Secp256k1Key(KEYS[3])
        domain = ChainDomain(cluster.genesis.chain_id, cluster.nodes[0].chain.genesis_hash)
        votes = []
        for value in (b"\x01", b"\x02"):
            draft = Statement(Kind.PRECOMMIT, 3, 0, Hash32(value * 32), NONE, guilty.address)
            votes.append(draft.signed(guilty.sign(draft.signing_digest(domain))))
        await cluster.nodes[0].switch.handlers[SMALL_TOPIC](NodeId(b"\x77" * 32), Evidence(*votes).encode())
        await cluster.until(lambda: any(cluster.nodes[0].chain.operations_of(one) for one in _hashes(cluster.nodes[0])))
        await cluster.height(cluster.nodes[0].head_number + 4)
        joiner = Joiner(cluster, cluster.make(6, block_time_ms=100))
        pivot = await joiner.sync.run()
        assert pivot is not None
        await joiner.become_node()
        await cluster.height(pivot.number + 4)
        cluster.assert_agreement_from(pivot.number)
        await cluster.stop()

    virtually(main())


def _hashes(node):
    return [node.chain.canonical_hash(number) for number in range(1, node.head_number + 1)]


def test_a_set_that_no_quorum_of_the_first_one_signs_for_is_not_taken():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=100)
        cluster.nodes += [cluster.make(index, key=KEYS[index], block_time_ms=100) for index in (4, 5)]
        await cluster.start()
        await _change_half(cluster)
        joiner = Joiner(cluster, cluster.make(6, block_time_ms=100))
        assert await joiner.sync.run() is None
        assert not joiner.penalties
        await joiner.become_node()  # certificate by certificate the changes can be followed
        await cluster.height(cluster.nodes[0].head_number + 2)
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def test_one_more_validator_is_followed():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=100)
        cluster.nodes.append(cluster.make(4, key=KEYS[4], block_time_ms=100))
        await cluster.start()
        await _set_weight(cluster, 0, _who(4), 1)
        joiner = Joiner(cluster, cluster.make(6, block_time_ms=100))
        # only some certificates have three of the first four in them; another pivot is tried until one does
        pivot = await joiner.sync.run()
        assert pivot is not None
        assert _who(4) in joiner.proof._set
        await joiner.become_node()
        await cluster.height(pivot.number + 3)
        await cluster.stop()

    virtually(main())


def test_a_state_whose_validators_did_not_sign_is_refused():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=100)
        cluster.nodes += [cluster.make(index, key=KEYS[index], block_time_ms=100) for index in (4, 5)]
        await cluster.start()
        await cluster.height(4)
        joiner = Joiner(cluster, cluster.make(6, block_time_ms=100))
        answer = await joiner.request(cluster.nodes[0].node_id, HEADERS, rlp.encode([b"", b"\x02"]), 1000)
        rows = [(decode_header(header), seal) for header, seal in decode_rows(answer, 2, 2)]
        assert joiner.proof.take(rows)
        chain = cluster.nodes[0].chain
        joiner.proof.check_state(chain.view_at(rows[0][0]))
        await _change_half(cluster)
        with pytest.raises(InvalidSeal, match="no quorum of the validators"):
            joiner.proof.check_state(chain.view_at(chain.head))
        await cluster.stop()

    virtually(main())


# --- pos ----------------------------------------------------------------------------------------


async def _pos(height=24):
    cluster = Cluster(engine="pos")
    await cluster.start()
    for index in range(20):
        for node in cluster.nodes:
            node.pool.add(transfer(0, index, bytes((index + 1,)) * 20, value=1 + index), local=True)
    await cluster.height(height, within_ms=200_000)
    return cluster


def test_pos_joins_at_the_finalized_block_that_the_votes_show():
    async def main():
        cluster = await _pos()
        joiner = Joiner(cluster, cluster.make(6, engine="pos"))
        pivot = await joiner.sync.run()
        assert pivot is not None
        assert not joiner.penalties
        assert pivot.number >= cluster.nodes[0].chain.finalized.number - 4
        assert cluster.nodes[0].chain.canonical_hash(pivot.number) == pivot.hash
        theirs = cluster.nodes[0].chain.seal_of(pivot.hash)
        block = Block(pivot, ())
        await joiner.become_node()
        # the state of consensus was computed here, and is the same
        assert decode_seal(block, joiner.node.chain.seal_of(pivot.hash)) == decode_seal(block, theirs)
        await cluster.until(lambda: joiner.node.chain.finalized.number > pivot.number + 4, 60_000)
        cluster.assert_agreement_from(pivot.number, cluster.nodes[0], joiner.node)
        await cluster.stop()

    virtually(main())


def _with_seal(index, change):
    def rows_changed(answer):
        rows = decode_rows(answer, 999, 2)
        if len(rows) > index:
            header = decode_header(rows[index][0])
            rows[index][1] = change(header, rows[index][1])
        return rlp.encode(rows)

    return changed(rows_changed)


def _another_state(header, seal):
    body, signature, _ = rlp.decode_list(seal)
    return rlp.encode([body, signature, decode_seal(Block(header, ()), seal)[1].encode().replace(b"\x01", b"\x02", 1)])


def _unsigned(header, seal):
    body, _, state = rlp.decode_list(seal)
    return rlp.encode([body, bytes(65), state])


def _no_body(header, seal):
    _, signature, state = rlp.decode_list(seal)
    return rlp.encode([b"\xc0", signature, state])


@pytest.mark.parametrize(
    ("name", "lie"),
    [
        (HEADERS, _with_seal(7, _unsigned)),
        (HEADERS, _with_seal(7, _no_body)),
        (HEADERS, _with_seal(7, lambda header, seal: b"")),
        (HEADERS, changed(lambda answer: rlp.encode(decode_rows(answer, 999, 2)[3:]))),
        (HEADERS, changed(lambda answer: b"\xc5")),
        (STATE, changed(lambda answer: b"\xc5")),
        (RECENT, changed(lambda answer: b"\xc5")),
    ],
)
def test_pos_liars_are_left_for_an_honest_peer(name, lie):
    async def main():
        cluster = await _pos(14)
        joiner = Joiner(cluster, cluster.make(6, engine="pos"))
        joiner.first_lies = (name, lie)
        assert await joiner.sync.run() is not None
        # the next one goes on from the good blocks of the first, and may have nothing left to lie about
        assert joiner.blamed
        assert all(peer in joiner.liars for peer in joiner.blamed)
        await cluster.stop()

    virtually(main())


def test_pos_votes_that_are_held_back_prove_nothing():
    async def main():
        cluster = await _pos(14)
        joiner = Joiner(cluster, cluster.make(6, engine="pos"))

        # a chain that ends before anything is final in it
        async def short(server, peer, payload):
            first, _ = decode_range(payload, 999)
            return await server(peer, encode_range(first, 3)) if first == 1 else b"\xc0"

        joiner.lies = {one.node_id: {HEADERS: short} for one in cluster.nodes}
        assert await joiner.sync.run() is None
        assert not joiner.penalties
        await cluster.stop()

    virtually(main())


def test_pos_blocks_of_the_future_are_refused():
    async def main():
        cluster = await _pos(14)
        joiner = Joiner(cluster, cluster.make(6, engine="pos"))
        answer = await joiner.request(cluster.nodes[0].node_id, HEADERS, rlp.encode([b"\x01", b"\x0a"]), 1000)
        rows = [(decode_header(header), seal) for header, seal in decode_rows(answer, 10, 2)]
        joiner.proof._slot_now = lambda: 3
        with pytest.raises(InvalidSeal, match="has not begun"):
            joiner.proof.take(rows)
        await cluster.stop()

    virtually(main())


def test_pos_goes_on_from_another_peers_branch():
    async def main():
        cluster = await _pos(14)
        joiner = Joiner(cluster, cluster.make(6, engine="pos"))
        chain = cluster.nodes[0].chain
        rows = [
            (chain.header_by_number(number), chain.seal_of(chain.canonical_hash(number)))
            for number in range(1, chain.head.number + 1)
        ]
        assert not joiner.proof.take(rows[:-1])
        first, _ = joiner.proof.next_request()
        assert first == chain.head.number
        stranger = (rows[-2][0], rows[-2][1])
        assert not joiner.proof.take([stranger])  # its parent is not the last one: back to what is final
        first, _ = joiner.proof.next_request()
        assert first == joiner.proof.header.number + 1
        assert not joiner.proof.take(rows[first - 1 :])
        assert joiner.proof.take([])
        await asyncio.sleep(0)
        await cluster.stop()

    virtually(main())
