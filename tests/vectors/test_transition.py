"""``t8n`` against blocks that others made: inputs built from blockchain tests, the roots must be the header's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from network.__main__ import run
from network.vectors.networks import network_named
from node.primitives import rlp
from node.types.blocks import Block, decode_block
from tests.vectors.archives import one_in, read_files

pytestmark = pytest.mark.vectors

EVERY = 40
ROOTS = {
    "stateRoot": "state_root",
    "txRoot": "transactions_root",
    "receiptsRoot": "receipts_root",
    "logsBloom": "logs_bloom",
    "withdrawalsRoot": "withdrawals_root",
    "requestsHash": "requests_hash",
    "gasUsed": "gas_used",
    "currentBaseFee": "base_fee_per_gas",
    "currentExcessBlobGas": "excess_blob_gas",
    "blobGasUsed": "blob_gas_used",
}


def chains() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, content in read_files("blockchain_tests", one_in(EVERY)):
        for name, test in content.items():
            valid = all("blockHeader" in block for block in test["blocks"])
            if valid and len(test["blocks"]) <= 3 and network_named(test["network"]) is not None:
                yield f"{path}::{name}", test
                break


def env_of(block: Block, parent: Block, hashes: dict[str, str], computed: bool) -> dict[str, Any]:
    """The environment of ``block``; ``computed``: base fee and excess blob gas are left to the tool."""
    header = block.header
    env: dict[str, Any] = {
        "currentCoinbase": "0x" + header.coinbase.hex(),
        "currentNumber": hex(header.number),
        "currentTimestamp": str(header.timestamp),
        "currentGasLimit": hex(header.gas_limit),
        "currentRandom": "0x" + header.prev_randao.hex(),
        "blockHashes": hashes,
        "ommers": [],
    }
    if computed:
        env["parentBaseFee"] = hex(parent.header.base_fee_per_gas or 0)
        env["parentGasUsed"] = hex(parent.header.gas_used)
        env["parentGasLimit"] = hex(parent.header.gas_limit)
        env["parentExcessBlobGas"] = hex(parent.header.excess_blob_gas or 0)
        env["parentBlobGasUsed"] = hex(parent.header.blob_gas_used or 0)
    else:
        env["currentBaseFee"] = hex(header.base_fee_per_gas or 0)
        env["currentExcessBlobGas"] = hex(header.excess_blob_gas or 0)
    if block.withdrawals is not None:
        env["withdrawals"] = [
            {
                "index": hex(one.index),
                "validatorIndex": hex(one.validator_index),
                "address": "0x" + one.address.hex(),
                "amount": hex(one.amount_gwei),
            }
            for one in block.withdrawals
        ]
    if header.parent_beacon_block_root is not None:
        env["parentBeaconBlockRoot"] = "0x" + header.parent_beacon_block_root.hex()
    return env


def test_blocks_of_others_come_out_the_same(tmp_path, capsys) -> None:
    blocks = 0
    for case, test in chains():
        parent = decode_block(bytes.fromhex(test["genesisRLP"][2:]))
        hashes = {"0": "0x" + parent.hash.hex()}
        (tmp_path / "alloc.json").write_text(json.dumps(test["pre"]))
        for told in test["blocks"]:
            block = decode_block(bytes.fromhex(told["rlp"][2:]))
            env = env_of(block, parent, hashes, computed=blocks % 2 == 0)
            (tmp_path / "env.json").write_text(json.dumps(env))
            body = rlp.encode_list([tx.block_item() for tx in block.transactions])
            (tmp_path / "txs.rlp").write_text(json.dumps("0x" + body.hex()))
            words = ["t8n", "--state.fork", test["network"], "--output.basedir", str(tmp_path)]
            words += [f"--input.{part}={tmp_path}/{part}.json" for part in ("alloc", "env")]
            words += [f"--input.txs={tmp_path}/txs.rlp", "--output.body", "body.rlp"]
            words += ["--state.chainid", str(int(test["config"]["chainid"], 16) if "config" in test else 1)]
            assert run(words) == 0, f"{case}: {capsys.readouterr().err}"
            result = json.loads((tmp_path / "result.json").read_text())
            for ours, theirs in ROOTS.items():
                value = getattr(block.header, theirs)
                expected = None if value is None else hex(value) if isinstance(value, int) else "0x" + value.hex()
                assert result.get(ours) == expected, f"{case}: {ours}"
            assert "rejected" not in result, case
            assert json.loads((tmp_path / "body.rlp").read_text()) == "0x" + body.hex()
            hashes[str(block.number)] = "0x" + block.hash.hex()
            parent = block
            blocks += 1
    assert blocks > 20
