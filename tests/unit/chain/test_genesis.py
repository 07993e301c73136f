"""genesis.json: read, refused with the field's name, and the same block on every node."""

import json

import pytest

from node.chain.genesis import GenesisError, genesis_from_json, parse_genesis
from tests.builders import genesis_json, make_genesis


def test_same_document_same_hash_whatever_the_order() -> None:
    document = genesis_json()
    shuffled = dict(reversed(document.items()))
    shuffled["alloc"] = dict(reversed(document["alloc"].items()))  # type: ignore[attr-defined]
    assert genesis_from_json(document).block().hash == genesis_from_json(shuffled).block().hash


def test_header_has_the_forks_fields() -> None:
    header = make_genesis().block().header
    assert header.requests_hash is not None
    assert header.excess_blob_gas == 0
    plain = make_genesis(config={"chainId": 1, "terminalTotalDifficulty": 0}).block()
    assert plain.header.withdrawals_root is None
    assert plain.withdrawals is None


def test_consensus_rules() -> None:
    config = dict(genesis_json()["config"])  # type: ignore[call-overload]
    config["evmesh"] = {
        "engine": "bft",
        "blockTimeMs": 250,
        "validators": [{"address": "0x" + "02" * 20, "weight": 3}, {"address": "0x" + "01" * 20}],
    }
    genesis = make_genesis(config=config)
    assert [v.weight for v in genesis.consensus.validators] == [1, 3]
    assert genesis.consensus.block_time_ms == 250
    config["evmesh"]["blockTimeMs"] = 251
    assert make_genesis(config=config).rules_hash() != genesis.rules_hash()
    assert make_genesis(config=config).block().hash == genesis.block().hash


def test_rules_of_engine_pos() -> None:
    config = dict(genesis_json()["config"])  # type: ignore[call-overload]
    config["evmesh"] = {
        "engine": "pos",
        "slotMs": 2000,
        "slotsPerEpoch": 4,
        "validators": [{"address": "0x" + "02" * 20}],
    }
    genesis = make_genesis(config=config)
    assert (genesis.consensus.slot_ms, genesis.consensus.slots_per_epoch) == (2000, 4)
    for key in ("slotMs", "slotsPerEpoch"):
        other = (
            {**config, "evmesh": {**config["evmesh"], key: 8000}}
            if key == "slotMs"
            else config | {"evmesh": {**config["evmesh"], key: 8}}
        )
        assert make_genesis(config=other).rules_hash() != genesis.rules_hash()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": 3}, "config: expected an object"),
        ({"gasLimit": "x"}, "gasLimit"),
        ({"gasLimit": "0x" + "f" * 17}, "outside"),
        ({"gasLimit": -1}, "outside"),
        ({"gasLimit": True}, "expected a number"),
        ({"gasLimit": "0x" + "f" * 5000}, "too long"),
        ({"extraData": "0x" + "00" * 33}, "at most 32"),
        ({"coinbase": "0x00"}, "coinbase"),
        ({"alloc": {"0x12": {}}}, "alloc.0x12"),
        ({"alloc": {"0x" + "11" * 20: {"balnce": "1"}}}, "balnce: unknown key"),
        ({"alloc": {"0x" + "11" * 20: {"storage": {"zz": "1"}}}}, "storage key zz"),
        ({"alloc": {"0x" + "11" * 20: {"code": "60"}}}, "code"),
        ({"config": {"evmesh": {"engine": "raft"}}}, "none of instant, bft"),
        ({"config": {"evmesh": {"engin": "bft"}}}, "unknown key"),
        ({"config": {"evmesh": {"validators": [{"address": "0x" + "01" * 20, "weight": 0}]}}}, "at least 1"),
        ({"config": {"evmesh": {"validators": [{"address": "0x" + "01" * 20}] * 2}}}, "twice"),
        ({"config": {"evmesh": {"validators": [{}]}}}, "validators[0].address"),
        ({"config": {"evmesh": {"engine": "pos", "blockTimeMs": 5}}}, "known to engine pos are dev, engine, slotMs"),
        ({"config": {"evmesh": {"slotMs": 1000}}}, "known to engine bft"),
        ({"config": {"evmesh": {"engine": "pos", "slotMs": "x"}}}, "slotMs"),
        ({"config": {"terminalTotalDifficulty": 0, "evmesh": {"engine": "pos"}}}, "parentBeaconBlockRoot (EIP-4788)"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, object], words: str) -> None:
    with pytest.raises(GenesisError) as refusal:
        make_genesis(**changes)
    assert words in str(refusal.value)


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"config": {}', "[" * 100_000])
def test_not_a_genesis(text: str) -> None:
    with pytest.raises(GenesisError):
        parse_genesis(text)


def test_text_round_trip() -> None:
    assert parse_genesis(json.dumps(genesis_json())).block().hash == make_genesis().block().hash


def test_balances_beyond_64_bits_are_exact() -> None:
    document = genesis_json()
    document["alloc"] = {"0x" + "11" * 20: {"balance": 10**27 + 1}}
    genesis = parse_genesis(json.dumps(document))
    assert [account.balance for account in genesis.alloc.values()] == [10**27 + 1]
