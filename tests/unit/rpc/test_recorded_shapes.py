"""Encoders against answers that another client gave on a chain with every fork (execution-apis fixtures)."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from node.primitives import rlp
from node.rpc import encoding
from node.types.blocks import Block, block_from_parts, header_from_item
from node.types.receipts import Log, Receipt

FIXTURES: Final = Path(__file__).parents[4] / "shared" / "rpc-compat"
pytestmark = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="the execution-apis fixtures are not beside this checkout"
)


def _files(archive: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(FIXTURES / archive) as opened:
        for member in opened:
            if member.isfile():
                content = opened.extractfile(member)
                assert content is not None
                yield member.name, content.read()


@pytest.fixture(scope="module")
def blocks() -> dict[str, Block]:
    """The fixture chain by block hash."""
    raw = next(content for name, content in _files("chain.tar.xz") if name.endswith("chain.rlp"))
    found: dict[str, Block] = {}
    stream = io.BytesIO(raw)
    while first := stream.read(1):
        size = first[0] - 0xF7
        assert size > 0, "every block is a long list"
        length = stream.read(size)
        body = stream.read(int.from_bytes(length, "big"))
        items = rlp.decode_list(first + length + body)
        block = block_from_parts(header_from_item(items[0]), items[1:])
        found["0x" + block.hash.hex()] = block
    return found


@pytest.fixture(scope="module")
def recordings() -> list[tuple[str, dict[str, Any], Any]]:
    """(file, request, result) of every recorded answer that is a result."""
    found: list[tuple[str, dict[str, Any], Any]] = []
    for name, content in _files("tests.tar.xz"):
        if not name.endswith(".io"):
            continue
        request: dict[str, Any] = {}
        for line in content.decode().splitlines():
            if line.startswith(">> "):
                request = json.loads(line[3:])
            elif line.startswith("<< "):
                answer = json.loads(line[3:])
                if "result" in answer:
                    found.append((name, request, answer["result"]))
    return found


def test_blocks_are_told_exactly_as_recorded(blocks: dict[str, Block], recordings: list[Any]) -> None:
    compared = 0
    for name, request, result in recordings:
        if request["method"] in ("eth_getBlockByNumber", "eth_getBlockByHash") and result and result["hash"] in blocks:
            assert encoding.block(blocks[result["hash"]], request["params"][1]) == result, name
            compared += 1
    assert compared >= 8


def test_transactions_are_told_exactly_as_recorded(blocks: dict[str, Block], recordings: list[Any]) -> None:
    kinds = set()
    for name, request, result in recordings:
        if request["method"].startswith("eth_getTransactionBy") and result:
            block, index = blocks[result["blockHash"]], int(result["transactionIndex"], 16)
            assert encoding.mined_transaction(block.transactions[index], block.header, index) == result, name
            kinds.add(result["type"])
    assert {"0x0", "0x2", "0x3", "0x4"} <= kinds


def _receipt(told: dict[str, Any]) -> Receipt:
    """The consensus receipt inside a recorded answer."""
    return Receipt(
        type=int(told["type"], 16),
        status_or_root=bytes.fromhex(told["root"][2:]) if "root" in told else int(told["status"], 16),
        cumulative_gas_used=int(told["cumulativeGasUsed"], 16),
        bloom=bytes.fromhex(told["logsBloom"][2:]),
        logs=tuple(
            Log(
                bytes.fromhex(log["address"][2:]),  # type: ignore[arg-type]
                tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
                bytes.fromhex(log["data"][2:]),
            )
            for log in told["logs"]
        ),
    )


def test_receipts_are_told_exactly_as_recorded(blocks: dict[str, Block], recordings: list[Any]) -> None:
    compared = 0
    for name, request, result in recordings:
        if request["method"] not in ("eth_getTransactionReceipt", "eth_getBlockReceipts") or not result:
            continue
        for told in result if isinstance(result, list) else [result]:
            block, index = blocks[told["blockHash"]], int(told["transactionIndex"], 16)
            assert (
                encoding.receipt(
                    _receipt(told),
                    block.transactions[index],
                    block.header,
                    index,
                    gas_used_before=int(told["cumulativeGasUsed"], 16) - int(told["gasUsed"], 16),
                    first_log_index=int(told["logs"][0]["logIndex"], 16) if told["logs"] else 0,
                    blob_base_fee=1 if told["type"] == "0x3" else None,
                )
                == told
            ), name
            compared += 1
    assert compared >= 10


def test_logs_are_told_exactly_as_recorded(blocks: dict[str, Block], recordings: list[Any]) -> None:
    compared = 0
    for name, request, result in recordings:
        if request["method"] != "eth_getLogs":
            continue
        for told in result[:20]:
            block, index = blocks[told["blockHash"]], int(told["transactionIndex"], 16)
            log = _receipt(
                {"type": "0x0", "status": "0x1", "cumulativeGasUsed": "0x0", "logsBloom": "0x", "logs": [told]}
            )
            made = encoding.log(
                log.logs[0], block.header, block.transactions[index].hash, index, int(told["logIndex"], 16)
            )
            assert made == told, name
            compared += 1
    assert compared >= 20


def test_pool_transactions_are_told_as_recorded(recordings: list[Any]) -> None:
    """Same keys and forms as the recorded pool content; the transactions themselves are in the recorded requests."""
    from node.rpc.eth_transactions import decoded

    sent = {
        result: decoded(bytes.fromhex(request["params"][0][2:]))[0]
        for _, request, result in recordings
        if request["method"] == "eth_sendRawTransaction"
    }
    compared = 0
    for _, request, result in recordings:
        if request["method"] != "txpool_content":
            continue
        for sender, by_nonce in result["pending"].items():
            for told in by_nonce.values():
                if told["hash"] in sent:
                    tx = sent[told["hash"]]
                    assert encoding.pending_transaction(tx) == told
                    assert encoding.checksum_address(tx.sender) == sender
                    compared += 1
    assert compared >= 4
    assert {tx.type for tx in sent.values()} == {0, 1, 2, 3}


# --- answers against the OpenRPC schemas --------------------------------------------------------

SCHEMA_CALLS: Final[dict[str, list[tuple[Any, ...]]]] = {
    "eth_getBlockByNumber": [("latest", False), ("latest", True), ("0x0", True), ("pending", False), ("0x99", False)],
    "eth_getBlockReceipts": [("0x1",), ("latest",)],
    "eth_getLogs": [({"fromBlock": "earliest", "toBlock": "latest"},)],
    "eth_feeHistory": [("0x3", "latest", [10, 90]), ("0x1", "latest", [])],
    "eth_createAccessList": [({"to": "0x" + "e1" * 20},)],
    "eth_estimateGas": [({"to": "0x" + "e1" * 20},)],
    "eth_call": [({"to": "0x" + "e1" * 20},)],
    "eth_getProof": [("0x" + "e1" * 20, ["0x0", "0x" + "00" * 32], "latest")],
    "eth_getStorageAt": [("0x" + "e1" * 20, "0x0", "latest")],
    "eth_getStorageValues": [({"0x" + "e1" * 20: ["0x0"]}, "latest")],
    "eth_getTransactionByBlockNumberAndIndex": [("0x1", "0x0"), ("0x1", "0xffff")],
    "eth_newFilter": [({},)],
    "eth_newBlockFilter": [()],
    "eth_newPendingTransactionFilter": [()],
    "eth_gasPrice": [()],
    "eth_maxPriorityFeePerGas": [()],
    "eth_blobBaseFee": [()],
    "eth_baseFee": [()],
    "eth_syncing": [()],
    "eth_accounts": [()],
    "eth_chainId": [()],
    "eth_blockNumber": [()],
    "net_version": [()],
    "txpool_status": [()],
    "txpool_content": [()],
    "txpool_contentFrom": [("0x" + "e1" * 20,)],
}


async def test_answers_satisfy_the_schemas(devnet: Any, rpc: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="schema validation needs jsonschema")
    document = json.loads(next(content for name, content in _files("openrpc.tar.xz") if name.endswith("openrpc.json")))
    schemas = {method["name"]: method["result"]["schema"] for method in document["methods"] if method.get("result")}
    await devnet.send(devnet.signed(to=rpc.EMITTER, data=bytes(32)))
    await devnet.send(devnet.signed(to=None, data=bytes.fromhex("5f5ff3"), type=0))
    await devnet.mine()
    await devnet.send(devnet.signed())
    for name, calls in SCHEMA_CALLS.items():
        validator = jsonschema.Draft201909Validator(schemas[name])
        for params in calls:
            result = await devnet.ask(name, *params)
            problem = jsonschema.exceptions.best_match(validator.iter_errors(result))
            assert problem is None, f"{name}{params}: {problem.json_path}: {problem.message[-200:]}"
