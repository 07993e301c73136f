"""The set of each height comes from the state: changed by transaction, by conviction, and known to who syncs."""

import asyncio

import pytest

from network import abi
from node.consensus.bft.messages import NONE, ChainDomain, Evidence, Kind, Statement
from node.consensus.bft.seals import decode_certificate, decode_seal
from node.consensus.driver import SMALL_TOPIC
from node.consensus.signer import Secp256k1Key
from node.consensus.validator_contract import (
    CONVICTED,
    VALIDATOR_CONTRACT,
    genesis_problem,
    initial_storage,
    read_validators,
    weight_slot,
)
from node.consensus.validators import Validator, ValidatorSet
from node.p2p.identity import NodeId
from node.p2p.verdict import ACCEPT, VerdictKind
from node.primitives.scalars import Address, Hash32
from node.types.transactions import Transaction
from tests.builders import address, transfer
from tests.driver_mesh import KEYS, Cluster, MeshNode, virtually


def _who(index: int) -> Address:
    return Secp256k1Key(KEYS[index]).address


def _set(nonce: int, validator: Address, weight: int, sender: int = 0) -> Transaction:
    data = abi.selector("setValidator(address,uint256)") + abi.encode(["address", "uint256"], [validator, weight])
    return transfer(sender, nonce, to=VALIDATOR_CONTRACT, value=0, data=data, gas_limit=300_000)


def _send(cluster: Cluster, *transactions: Transaction) -> None:
    for node in cluster.nodes:
        for tx in transactions:
            node.pool.add(tx, local=True)


def _weights(node: MeshNode) -> dict[Address, int]:
    found = read_validators(node.chain.view_at(node.chain.head))
    assert found is not None
    return {one.address: one.weight for one in found.validators}


def _nonce(node: MeshNode) -> int:
    return node.chain.view_at(node.chain.head).account(address(0)).nonce


def _double_vote(cluster: Cluster, key: bytes, height: int) -> Evidence:
    signer = Secp256k1Key(key)
    node = cluster.nodes[0]
    domain = ChainDomain(node.chain.chain_id, node.chain.genesis_hash)
    votes = []
    for value in (b"\x01", b"\x02"):
        draft = Statement(Kind.PRECOMMIT, height, 0, Hash32(value * 32), NONE, signer.address)
        votes.append(draft.signed(signer.sign(draft.signing_digest(domain))))
    return Evidence(votes[0], votes[1])


async def _accuse(cluster: Cluster, evidence: Evidence) -> None:
    handler = cluster.nodes[0].switch.handlers[SMALL_TOPIC]
    verdict = await handler(NodeId(b"\x77" * 32), evidence.encode())
    assert verdict == ACCEPT, verdict


def _problems(cluster: Cluster) -> list[object]:
    return [v for node in cluster.nodes for v in node.switch.verdicts if v.kind is VerdictKind.REJECT]


def test_a_validator_joins_and_leaves_by_transaction():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=500)
        newcomer = cluster.make(5, key=KEYS[5], block_time_ms=500)
        cluster.nodes.append(newcomer)
        await cluster.start()
        await cluster.height(2)
        assert newcomer.driver.inspect()["validator"] is None
        _send(cluster, _set(0, _who(5), 1))
        await cluster.until(lambda: len(_weights(cluster.nodes[0])) == 5, 10_000)
        joined = cluster.nodes[0].head_number
        await cluster.height(joined + 8)
        assert newcomer.driver.inspect()["validator"] == "0x" + _who(5).hex()
        chain = cluster.nodes[0].chain
        signers = [decode_certificate(chain.seal_of(chain.canonical_hash(n))).signers for n in range(1, joined + 8)]
        assert all(_who(5) not in found for found in signers[:joined])
        assert any(_who(5) in found for found in signers[joined:])
        assert any(chain.header_by_number(n).coinbase == _who(5) for n in range(joined + 1, joined + 8))
        _send(cluster, _set(1, _who(0), 0))
        await cluster.until(lambda: _who(0) not in _weights(cluster.nodes[1]), 10_000)
        await cluster.height(cluster.nodes[1].head_number + 4)
        cluster.assert_agreement()
        assert cluster.nodes[0].driver.inspect()["validator"] is None
        assert not _problems(cluster)
        await cluster.stop()

    virtually(main())


def test_only_the_owner_changes_the_set_and_a_third_a_block_at_most():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=500)
        await cluster.start()
        await cluster.height(1)
        before = _weights(cluster.nodes[0])
        refused = [
            _set(0, _who(5), 1, sender=1),  # not the owner
            _set(0, _who(5), 2),  # half of the weight
            _set(1, Address(bytes(20)), 1),
            _set(2, _who(1), 2**33),
        ]
        _send(cluster, *refused)
        await cluster.until(
            lambda: cluster.nodes[0].chain.view_at(cluster.nodes[0].chain.head).account(address(0)).nonce == 3
        )
        assert _weights(cluster.nodes[0]) == before
        _send(cluster, _set(3, _who(5), 1), _set(4, _who(6), 1))  # together two of four
        await cluster.until(
            lambda: cluster.nodes[0].chain.view_at(cluster.nodes[0].chain.head).account(address(0)).nonce == 5
        )
        assert sorted(_weights(cluster.nodes[0])) == sorted([*before, _who(5)])
        await cluster.stop()

    virtually(main())


def test_a_conviction_takes_the_vote_and_nothing_brings_it_back():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=500)
        await cluster.start()
        await cluster.height(2)
        evidence = _double_vote(cluster, KEYS[3], 1)
        await _accuse(cluster, evidence)
        await cluster.until(lambda: len(_weights(cluster.nodes[0])) == 3, 10_000)
        convicted_at = cluster.nodes[0].head_number
        chain = cluster.nodes[0].chain
        assert chain.view_at(chain.head).slot(VALIDATOR_CONTRACT, weight_slot(_who(3))) == CONVICTED
        block = chain.block_by_number(convicted_at)
        assert decode_seal(block, chain.seal_of(block.hash)).evidence == (evidence,)
        assert block.header.parent_beacon_block_root != block.header.parent_hash
        _send(cluster, _set(0, _who(3), 1))
        await cluster.height(convicted_at + 6)
        cluster.assert_agreement()
        assert _who(3) not in _weights(cluster.nodes[0])
        for number in range(convicted_at + 1, convicted_at + 6):
            assert _who(3) not in decode_certificate(chain.seal_of(chain.canonical_hash(number))).signers
        assert cluster.nodes[3].driver.inspect()["validator"] is None
        assert not _problems(cluster)
        await cluster.stop()

    virtually(main())


def test_evidence_survives_a_restart_of_everybody_who_has_it():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=60_000)
        await cluster.start()
        await cluster.height(1, within_ms=120_000)
        await _accuse(cluster, _double_vote(cluster, KEYS[3], 1))
        await asyncio.sleep(1)
        assert all(len(_weights(node)) == 4 for node in cluster.nodes), "no block yet"
        for node in cluster.nodes:
            await node.kill()
        for node in cluster.nodes:
            await node.start()
        await cluster.until(lambda: all(len(_weights(node)) == 3 for node in cluster.nodes), 200_000)
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


def test_who_syncs_follows_the_changes_of_the_set():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=200)
        cluster.nodes += [cluster.make(index, key=KEYS[index], block_time_ms=200) for index in (4, 5, 6, 7)]
        await cluster.start()
        await cluster.height(3)
        for nonce, index in enumerate((4, 5, 6, 7)):  # the new ones join, one a block
            _send(cluster, _set(nonce, _who(index), 1))
            await cluster.until(lambda index=index: _who(index) in _weights(cluster.nodes[0]), 10_000)
        for nonce, index in enumerate((0, 1, 2, 3)):  # the old ones leave: nobody of the genesis set is left
            _send(cluster, _set(4 + nonce, _who(index), 0))
            await cluster.until(lambda index=index: _who(index) not in _weights(cluster.nodes[4]), 10_000)
        await cluster.height(cluster.nodes[4].head_number + 30, within_ms=60_000)
        late = cluster.make(9, block_time_ms=200)
        cluster.nodes.append(late)
        await late.start()
        await cluster.until(lambda: late.head_number >= cluster.nodes[4].head_number - 1, 60_000)
        assert late.told("catching up")
        cluster.assert_agreement()
        assert not late.switch.penalties
        await cluster.stop()

    virtually(main())


def test_the_set_survives_a_restart():
    async def main():
        cluster = Cluster(contract=True, block_time_ms=500)
        await cluster.start()
        await cluster.height(2)
        _send(cluster, _set(0, _who(3), 0))
        await cluster.until(lambda: all(len(_weights(node)) == 3 for node in cluster.nodes), 10_000)
        for node in cluster.nodes:
            await node.kill()
        for node in cluster.nodes:
            await node.start()
        await cluster.height(cluster.nodes[0].head_number + 3)
        assert len(cluster.nodes[0].driver.inspect()["validators"]) == 3
        cluster.assert_agreement()
        await cluster.stop()

    virtually(main())


@pytest.mark.parametrize(
    "wrong",
    [[Validator(_who(0))], [Validator(_who(0)), Validator(_who(1), 2)], [Validator(_who(0)), Validator(_who(2))]],
)
def test_a_genesis_whose_contract_and_list_differ_is_refused(wrong):
    validators = ValidatorSet([Validator(_who(0)), Validator(_who(1))])
    storage = initial_storage(address(0), validators)
    assert genesis_problem(storage, validators) == ""
    assert genesis_problem(storage, ValidatorSet(wrong))
