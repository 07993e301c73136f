"""The driver with real chains, pools and keys, in virtual time."""

import asyncio
import itertools
from dataclasses import replace

from node.chain.chain import Chain
from node.consensus.bft.messages import NIL, NONE, ChainDomain, Kind, Proposal, Statement, decode
from node.consensus.bft.seals import decode_certificate
from node.consensus.driver import INBOX_MAX, LARGE_TOPIC, SMALL_TOPIC
from node.consensus.proposal_fields import prev_randao
from node.consensus.signer import Secp256k1Key
from node.crypto.hashes import keccak256
from node.execution.block import transactions_root
from node.p2p.identity import NodeId
from node.p2p.verdict import ACCEPT, Verdict, VerdictKind
from node.storage import schema
from tests.builders import address, make_genesis, transfer
from tests.driver_mesh import KEYS, Cluster, Mesh, MeshNode, virtually


def test_four_nodes_decide_a_block_a_second_and_agree():
    async def main():
        cluster = Cluster()
        await cluster.start()
        await cluster.height(2)
        for sender in range(4):
            cluster.nodes[0].pool.add(transfer(sender, 0), local=True)
            for node in cluster.nodes[1:]:
                node.pool.add(transfer(sender, 0), local=False)
        await cluster.height(8)
        cluster.assert_agreement()
        chain = cluster.nodes[3].chain
        included = [tx for number in range(9) for tx in chain.block_by_number(number).transactions]
        assert len(included) == 4
        assert chain.view_at(chain.head).account(address(9)).balance == 4
        first = cluster.nodes[0].decided_ms
        gaps = [later - earlier for earlier, later in itertools.pairwise(first)]
        assert all(1000 <= gap < 1100 for gap in gaps), gaps
        header = chain.header_by_number(5)
        parent = chain.header_by_number(4)
        assert header.prev_randao == prev_randao(parent.hash)
        assert header.parent_beacon_block_root == parent.hash
        assert header.coinbase in cluster.validators
        certificate = decode_certificate(chain.seal_of(header.hash))
        assert len(certificate.signers) >= 3
        assert not [v for node in cluster.nodes for v in node.switch.verdicts if v.kind is VerdictKind.REJECT]
        await cluster.stop()

    virtually(main())


def test_blocks_faster_than_a_second():
    async def main():
        cluster = Cluster(block_time_ms=200)
        await cluster.start()
        await cluster.height(1)
        took = await cluster.height(21)
        assert 4000 <= took <= 4400
        chain = cluster.nodes[0].chain
        stamps = [chain.header_by_number(number).timestamp for number in range(1, 21)]
        assert all(later == earlier + 1 for earlier, later in itertools.pairwise(stamps))
        await cluster.stop()

    virtually(main())


def test_two_of_four_down_no_block_back_up_within_two_intervals():
    async def main():
        cluster = Cluster()
        await cluster.start()
        await cluster.height(3)
        for node in cluster.nodes[:2]:
            await node.kill()
        stalled = max(node.head_number for node in cluster.nodes[2:])
        await asyncio.sleep(600)
        assert max(node.head_number for node in cluster.nodes[2:]) <= stalled + 1
        stalled = max(node.head_number for node in cluster.nodes[2:])
        for node in cluster.nodes[:2]:
            await node.start()
        assert await cluster.height(stalled + 1, within_ms=2000) <= 2000
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def test_one_of_four_killed_the_others_go_on_and_it_comes_back():
    async def main():
        cluster = Cluster()
        await cluster.start()
        await cluster.height(3)
        victim = cluster.nodes[1]
        await victim.kill()
        alive = [node for node in cluster.nodes if node is not victim]
        await cluster.height(15, *alive, within_ms=30_000)
        assert victim.head_number < 6
        await victim.start()
        took = await cluster.until(lambda: victim.head_number >= alive[0].head_number, 5_000)
        assert took <= 3_000
        await cluster.height(alive[0].head_number + 5)
        cluster.assert_agreement()
        assert not cluster.nodes[0].told("convicted")
        await cluster.stop()

    virtually(main())


def test_a_late_follower_fetches_ranges_and_agrees():
    async def main():
        cluster = Cluster(block_time_ms=200)
        await cluster.start()
        await cluster.height(120)
        late = cluster.make(6, block_time_ms=200)
        cluster.nodes.append(late)
        await late.start()
        progress = []

        def caught_up() -> bool:
            progress.append(late.driver.inspect()["syncing"])
            return late.head_number >= cluster.nodes[0].head_number

        took = await cluster.until(caught_up, 20_000)
        assert {"from": 0, "to": 120} in progress
        assert late.sync.progress() is None or took
        assert took < 10_000
        assert late.told("catching up")
        assert late.told("caught up")
        cluster.assert_agreement()
        assert late.driver.inspect()["voting"] is False
        assert not late.told("not voting")
        await cluster.stop()

    virtually(main())


def test_a_validator_that_lost_its_disk_catches_up_and_votes_later():
    async def main():
        cluster = Cluster()
        await cluster.start()
        await cluster.height(20)
        victim = cluster.nodes[2]
        await victim.kill()
        victim.database = type(victim.database)()
        await victim.start()
        await cluster.height(30)
        assert victim.told("not voting yet")
        assert victim.driver.inspect()["voting"] is True
        assert not cluster.nodes[0].told("convicted")
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


class _LyingChain(Chain):
    """Builds blocks whose header claims another state root."""

    async def build_payload(self, parent_hash, attributes, candidates, deadline_ms):
        built = await super().build_payload(parent_hash, attributes, candidates, deadline_ms)
        header = replace(built.block.header, state_root=keccak256(b"lie"))
        return replace(built, block=replace(built.block, header=header))


def test_a_wrong_state_root_gets_no_vote_and_the_log_says_whose():
    async def main():
        cluster = Cluster()
        cluster.nodes[0].chain_class = _LyingChain
        liar = Secp256k1Key(KEYS[0]).address
        await cluster.start()
        honest = cluster.nodes[1:]
        await cluster.height(6, *honest)
        cluster.assert_agreement(*honest)
        lines = honest[0].told("proposal refused")
        assert lines
        assert f"proposer=0x{liar.hex()}" in lines[0]
        assert "reason=INVALID_STATE_ROOT" in lines[0]
        assert f"0x{keccak256(b'lie').hex()}" in lines[0]
        await cluster.stop()

    virtually(main())


class _ForgingChain(Chain):
    """Builds blocks whose only transaction comes too early for its sender's nonce; the body fits its root."""

    async def build_payload(self, parent_hash, attributes, candidates, deadline_ms):
        built = await super().build_payload(parent_hash, attributes, (), deadline_ms)
        forged = replace(built.block, transactions=(transfer(0, 99),))
        header = replace(forged.header, transactions_root=transactions_root(forged))
        return replace(built, block=replace(forged, header=header))


def test_an_invalid_transaction_gets_no_vote_and_the_log_says_whose():
    async def main():
        cluster = Cluster()
        cluster.nodes[0].chain_class = _ForgingChain
        liar = Secp256k1Key(KEYS[0]).address
        await cluster.start()
        honest = cluster.nodes[1:]
        await cluster.height(6, *honest)
        cluster.assert_agreement(*honest)
        for node in honest:
            line = node.told("proposal refused")[0]
            assert f"proposer=0x{liar.hex()}" in line
            assert "reason=INVALID_TRANSACTION" in line
            assert "NONCE_MISMATCH_TOO_HIGH" in line
            blocks = [node.chain.block_by_number(number) for number in range(1, node.chain.head.number + 1)]
            assert not any(block.transactions for block in blocks)
        await cluster.stop()

    virtually(main())


def test_a_key_outside_the_set_only_follows():
    async def main():
        cluster = Cluster()
        cluster.nodes.append(cluster.make(5, key=KEYS[5]))
        await cluster.start()
        await cluster.height(3)
        outsider = cluster.nodes[4]
        assert outsider.told("not in this chain's validator set")
        assert outsider.driver.inspect()["validator"] is None
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def _vote(cluster: Cluster, height: int, key: bytes, chain_id: int | None = None) -> Statement:
    signer = Secp256k1Key(key)
    node = cluster.nodes[0]
    domain = ChainDomain(chain_id or node.chain.chain_id, node.chain.genesis_hash)
    draft = Statement(Kind.PREVOTE, height, 0, NIL, NONE, signer.address)
    return draft.signed(signer.sign(draft.signing_digest(domain)))


def test_hostile_messages_are_judged_before_work_is_spent():
    async def main():
        cluster = Cluster()
        await cluster.start()
        await cluster.height(2)
        node = cluster.nodes[0]
        stranger = NodeId(b"\x77" * 32)
        height = node.driver.engine.height

        async def judge(payload: bytes, topic: str = SMALL_TOPIC) -> Verdict:
            return await node.switch.handlers[topic](stranger, payload)

        good = _vote(cluster, height, KEYS[1])
        assert (await judge(good.signed(bytes(65)).encode())).kind is VerdictKind.REJECT
        assert await judge(good.encode()) == ACCEPT
        assert (await judge(_vote(cluster, height, KEYS[2], chain_id=5).encode())).kind is VerdictKind.REJECT
        assert (await judge(_vote(cluster, height, KEYS[6]).encode())).kind is VerdictKind.REJECT
        seal = node.chain.seal_of(node.chain.canonical_hash(height - 1))
        replayed = decode_certificate(seal).statements()[0]
        assert (await judge(replayed.encode())).kind is VerdictKind.IGNORE
        assert (await judge(_vote(cluster, height + 9, KEYS[1]).encode())).kind is VerdictKind.IGNORE
        for payload in (b"", b"\x00", b"\xc0", b"\xff" * 40, b"x" * 600, good.encode()[:-1]):
            assert (await judge(payload)).kind is VerdictKind.REJECT
        assert (await judge(b"x" * 11_000_000, LARGE_TOPIC)).kind is VerdictKind.REJECT
        node.driver._heard.extend([None] * INBOX_MAX)
        assert (await judge(_vote(cluster, height, KEYS[3]).encode())).kind is VerdictKind.IGNORE
        node.driver._heard.clear()
        await cluster.stop()

    virtually(main())


def test_nothing_is_published_that_is_not_in_the_log():
    async def main():
        cluster = Cluster()
        seen: list[bool] = []

        def watch(node: MeshNode):
            publish = node.switch.publish

            def checked(topic: str, payload: bytes) -> None:
                message = decode(payload)
                statement = message.statement if isinstance(message, Proposal) else message
                if isinstance(statement, Statement):
                    stored = [value for _, value in node.database.iterate(schema.CONSENSUS_LOG)]
                    seen.append(any(payload in value for value in stored))
                publish(topic, payload)

            node.switch.publish = checked

        for node in cluster.nodes:
            await node.start()
            watch(node)
        await cluster.height(5)
        assert len(seen) > 30
        assert all(seen)
        await cluster.stop()

    virtually(main())


def test_votes_are_heard_while_a_block_executes():
    async def main():
        cluster = Cluster(execution_ms=400)
        await cluster.start()
        await cluster.height(6)
        cluster.assert_agreement()
        rounds = [line for node in cluster.nodes for line in node.told("block decided") if "round=0" not in line]
        assert not rounds
        await cluster.stop()

    virtually(main())


def test_instant_makes_a_block_when_there_is_work():
    async def main():
        node = MeshNode(Mesh(), 0, make_genesis(), None, block_time_ms=0)
        await node.start()
        await asyncio.sleep(5)
        assert node.head_number == 0
        node.add(transfer(0, 0))
        node.add(transfer(0, 1))
        await asyncio.sleep(0.1)
        assert node.head_number in (1, 2)
        assert node.chain.view_at(node.chain.head).account(address(9)).balance == 2
        assert node.chain.finalized.number == node.head_number
        before = node.head_number
        await asyncio.sleep(5)
        assert node.head_number == before
        await node.kill()

    virtually(main())


def test_instant_with_an_interval_makes_empty_blocks_too():
    async def main():
        node = MeshNode(Mesh(), 0, make_genesis(), None, block_time_ms=500)
        await node.start()
        await asyncio.sleep(5.2)
        assert node.head_number == 10
        node.add(transfer(0, 0))
        await asyncio.sleep(0.1)
        assert node.head_number == 11
        await node.kill()

    virtually(main())


def test_work_that_came_before_the_engine_started_is_not_lost():
    async def main():
        node = MeshNode(Mesh(), 0, make_genesis(), None, block_time_ms=0)
        await node.start()
        node.add(transfer(0, 0))  # the driver has not run yet
        await asyncio.sleep(0.2)
        assert node.head_number == 1
        await node.kill()

    virtually(main())
