"""The methods that wallets and libraries use, over a real chain and pool."""

from __future__ import annotations

from typing import Any

import pytest

from node.crypto.hashes import keccak256
from node.evm.addresses import create_address
from node.primitives.scalars import GWEI

Hex = str


def h(data: bytes) -> str:
    return "0x" + data.hex()


def n(text: str) -> int:
    return int(text, 16)


@pytest.fixture
async def busy(devnet: Any, rpc: Any) -> Any:
    """Block 1 holds a transfer, an emit and a creation; block 2 is empty."""
    await devnet.send(devnet.signed(value=5))
    await devnet.send(devnet.signed(to=rpc.EMITTER, data=(77).to_bytes(32, "big")))
    await devnet.send(devnet.signed(to=None, data=bytes.fromhex("5f5ff3"), type=0))
    await devnet.mine()
    await devnet.mine()
    return devnet


async def test_identity(devnet: Any) -> None:
    assert await devnet.ask("eth_chainId") == hex(7331)
    assert await devnet.ask("net_version") == "7331"
    assert (await devnet.ask("web3_clientVersion")).startswith("evmesh/v0.1.0/")
    assert await devnet.ask("web3_sha3", "0x68656c6c6f") == "0x" + keccak256(b"hello").hex()
    assert await devnet.ask("net_listening") is True
    assert await devnet.ask("net_peerCount") == "0x1"
    assert await devnet.ask("eth_accounts") == []
    assert await devnet.ask("eth_syncing") is False
    assert await devnet.ask("eth_blockNumber") == "0x0"


async def test_blocks_by_number_hash_and_tag(busy: Any) -> None:
    block = await busy.ask("eth_getBlockByNumber", "0x1", True)
    assert [n(tx["transactionIndex"]) for tx in block["transactions"]] == [0, 1, 2]
    assert await busy.ask("eth_getBlockByHash", block["hash"], True) == block
    bare = await busy.ask("eth_getBlockByHash", block["hash"], False)
    assert bare == {**block, "transactions": [tx["hash"] for tx in block["transactions"]]}
    for tx in block["transactions"]:
        assert await busy.ask("eth_getTransactionByHash", tx["hash"]) == tx
        assert await busy.ask("eth_getTransactionByBlockNumberAndIndex", "0x1", tx["transactionIndex"]) == tx
        assert await busy.ask("eth_getTransactionByBlockHashAndIndex", block["hash"], tx["transactionIndex"]) == tx
    assert (await busy.ask("eth_getBlockByNumber", "latest", False))["number"] == "0x2"
    assert (await busy.ask("eth_getBlockByNumber", "earliest", False))["number"] == "0x0"
    assert (await busy.ask("eth_getBlockByNumber", "finalized", False))["number"] == "0x0"
    await busy.finalize()
    assert (await busy.ask("eth_getBlockByNumber", "finalized", False))["number"] == "0x2"
    assert (await busy.ask("eth_getBlockByNumber", "safe", False))["number"] == "0x2"
    for missing in ("0x3", "0xffffffff"):
        assert await busy.ask("eth_getBlockByNumber", missing, False) is None
    assert await busy.ask("eth_getBlockByHash", "0x" + "ab" * 32, True) is None
    assert await busy.ask("eth_getBlockTransactionCountByNumber", "0x1") == "0x3"
    assert await busy.ask("eth_getBlockTransactionCountByHash", block["hash"]) == "0x3"
    assert await busy.ask("eth_getUncleCountByBlockNumber", "0x1") == "0x0"
    assert await busy.ask("eth_getUncleByBlockNumberAndIndex", "0x1", "0x0") is None


async def test_pending_block_follows_the_head(busy: Any) -> None:
    pending = await busy.ask("eth_getBlockByNumber", "pending", True)
    latest = await busy.ask("eth_getBlockByNumber", "latest", False)
    assert n(pending["number"]) == n(latest["number"]) + 1
    assert pending["parentHash"] == latest["hash"]
    assert pending["nonce"] == "0x0000000000000000"
    assert len(pending["hash"]) == 66
    assert pending["transactions"] == []
    assert set(pending) == set(latest)


async def test_receipts(busy: Any, rpc: Any) -> None:
    block = await busy.ask("eth_getBlockByNumber", "0x1", True)
    receipts = await busy.ask("eth_getBlockReceipts", "0x1")
    assert receipts == await busy.ask("eth_getBlockReceipts", block["hash"])
    assert receipts == [await busy.ask("eth_getTransactionReceipt", tx["hash"]) for tx in block["transactions"]]
    used = 0
    for tx, receipt in zip(block["transactions"], receipts, strict=True):
        used += n(receipt["gasUsed"])
        assert n(receipt["cumulativeGasUsed"]) == used
        assert (receipt["from"], receipt["to"], receipt["status"]) == (tx["from"], tx["to"], "0x1")
        assert receipt["effectiveGasPrice"] == tx["gasPrice"]
    assert used == n(block["gasUsed"])
    assert receipts[0]["contractAddress"] is None
    assert receipts[2]["contractAddress"] == "0x" + create_address(rpc.SENDER, 2).hex()
    assert receipts[1]["logs"][0]["topics"] == ["0x" + rpc.TOPIC.hex(), "0x" + (77).to_bytes(32, "big").hex()]
    assert await busy.ask("eth_getBlockReceipts", "0x2") == []
    assert await busy.ask("eth_getBlockReceipts", "0x0") == []
    assert await busy.ask("eth_getBlockReceipts", "0x9") is None
    assert await busy.ask("eth_getTransactionReceipt", "0x" + "00" * 32) is None


async def test_state_reads_at_blocks(busy: Any, rpc: Any) -> None:
    emitter, sender = "0x" + rpc.EMITTER.hex(), "0x" + rpc.SENDER.hex()
    assert await busy.ask("eth_getStorageAt", emitter, "0x0", "latest") == "0x" + (77).to_bytes(32, "big").hex()
    assert await busy.ask("eth_getStorageAt", emitter, "0x0", "0x0") == "0x" + "00" * 32
    assert await busy.ask("eth_getStorageAt", emitter, "0x" + "00" * 32) == "0x" + (77).to_bytes(32, "big").hex()
    assert await busy.ask("eth_getCode", emitter) == "0x" + rpc.CODES[rpc.EMITTER].hex()
    assert await busy.ask("eth_getCode", sender, "latest") == "0x"
    assert n(await busy.ask("eth_getBalance", "0x" + rpc.OTHER.hex())) == 10**18 + 5
    assert n(await busy.ask("eth_getBalance", "0x" + rpc.OTHER.hex(), "earliest")) == 10**18
    assert await busy.ask("eth_getBalance", "0x" + "99" * 20, "latest") == "0x0"
    assert await busy.ask("eth_getTransactionCount", sender, "0x0") == "0x0"
    assert await busy.ask("eth_getTransactionCount", sender) == "0x3"
    block_hash = (await busy.ask("eth_getBlockByNumber", "0x0", False))["hash"]
    for form in (
        block_hash,
        {"blockHash": block_hash},
        {"blockNumber": "0x0"},
        {"blockHash": block_hash, "requireCanonical": True},
    ):
        assert await busy.ask("eth_getTransactionCount", sender, form) == "0x0"
    assert (await busy.error("eth_getBalance", sender, "0x99"))["message"] == "header not found"
    assert (await busy.error("eth_getBalance", sender, "0x" + "99" * 32))["code"] == -32000
    values = await busy.ask("eth_getStorageValues", {emitter: ["0x0", "0x1"]}, "latest")
    assert [n(value) for value in values[emitter]] == [77, 0]


async def test_proofs_verify_against_the_state_root(busy: Any, rpc: Any) -> None:
    from node.state.account import decode_account
    from node.trie.proofs import verify_proof

    block = await busy.ask("eth_getBlockByNumber", "latest", False)
    full = "0x" + "00" * 32
    told = await busy.ask("eth_getProof", "0x" + rpc.EMITTER.hex(), ["0x0", full, "0x05"], "latest")
    assert [item["key"] for item in told["storageProof"]] == ["0x0", full, "0x5"]
    nodes = [bytes.fromhex(item[2:]) for item in told["accountProof"]]
    account = verify_proof(bytes.fromhex(block["stateRoot"][2:]), keccak256(rpc.EMITTER), nodes)
    assert account is not None
    assert "0x" + decode_account(account).storage_root.hex() == told["storageHash"]
    slot = told["storageProof"][0]
    nodes = [bytes.fromhex(item[2:]) for item in slot["proof"]]
    assert verify_proof(bytes.fromhex(told["storageHash"][2:]), keccak256(bytes(32)), nodes) == b"\x4d"
    assert n(slot["value"]) == 77
    absent = await busy.ask("eth_getProof", "0x" + "99" * 20, [], "latest")
    assert (absent["balance"], absent["nonce"]) == ("0x0", "0x0")


async def test_call_and_errors(busy: Any, rpc: Any) -> None:
    emitter, reverter = "0x" + rpc.EMITTER.hex(), "0x" + rpc.REVERTER.hex()
    word = "0x" + (5).to_bytes(32, "big").hex()
    assert await busy.ask("eth_call", {"to": emitter, "data": word}) == word
    assert (
        await busy.ask("eth_call", {"to": emitter, "data": word, "input": word, "chainId": hex(7331)}, "latest") == word
    )
    assert await busy.ask("eth_call", {"to": "0x" + "99" * 20}, "pending") == "0x"
    assert await busy.ask("eth_call", {"data": "0x60aa5f5260205ff3"}, "latest") == "0x" + "aa".zfill(64)
    reason = "0x08c379a0" + "20".zfill(64) + "4".zfill(64) + b"nope".hex().ljust(64, "0")
    error = await busy.error("eth_call", {"to": reverter, "input": reason}, "latest")
    assert error == {"code": 3, "message": "execution reverted: nope", "data": reason}
    error = await busy.error("eth_call", {"to": reverter, "input": "0x12345678"})
    assert error == {"code": 3, "message": "execution reverted", "data": "0x12345678"}
    assert (await busy.error("eth_call", {"to": reverter}))["data"] == "0x"
    panic = "0x4e487b71" + "1".zfill(64)
    assert (await busy.error("eth_call", {"to": reverter, "input": panic}))[
        "message"
    ] == "execution reverted: assert(false)"
    assert (await busy.error("eth_estimateGas", {"to": reverter, "input": reason}))["code"] == 3
    error = await busy.error("eth_call", {"to": "0x" + rpc.LOOPER.hex(), "gas": "0x186a0"})
    assert error == {"code": -32000, "message": "out of gas"}
    poor = {"from": "0x" + "99" * 20, "to": emitter, "value": "0x1"}
    assert "insufficient funds for gas * price + value" in (await busy.error("eth_call", poor))["message"]
    both = {"to": emitter, "data": "0x01", "input": "0x02"}
    assert (await busy.error("eth_call", both))["code"] == -32000
    for contradiction, words in (
        (
            {"gasPrice": "0x1", "maxFeePerGas": "0x1"},
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ),
        ({"chainId": "0x1"}, f"chainId does not match node's (have=1, want={rpc.CHAIN_ID})"),
        (
            {"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"},
            "max priority fee per gas higher than max fee per gas",
        ),
        ({"blobVersionedHashes": ["0x02" + "00" * 31]}, "blob 0 has invalid hash version"),
        ({"blobVersionedHashes": ["0x01" + "00" * 31] * 7}, "blob transaction has too many blobs"),
        ({"blobVersionedHashes": ["0x01" + "00" * 31], "to": None}, "blob transaction of type create"),
    ):
        error = await busy.error("eth_call", {"to": emitter, **contradiction})
        assert (error["code"], words in error["message"]) == (-32000, True), error
    assert await busy.ask("eth_call", {"to": emitter, "chainId": hex(rpc.CHAIN_ID)}) == "0x" + "00" * 32
    assert "data" not in await busy.error("eth_call", poor)


async def test_estimate_and_access_list(busy: Any, rpc: Any) -> None:
    plain = {"from": "0x" + rpc.SENDER.hex(), "to": "0x" + rpc.OTHER.hex(), "value": "0x1"}
    assert await busy.ask("eth_estimateGas", plain) == "0x5208"
    emit = {"to": "0x" + rpc.EMITTER.hex(), "input": "0x" + "01" * 32}
    estimate = n(await busy.ask("eth_estimateGas", emit, "latest"))
    assert 22_000 < estimate < 60_000
    await busy.send(busy.signed(to=rpc.EMITTER, data=b"\x01" * 32, gas_limit=estimate))
    await busy.mine()
    assert (await busy.ask("eth_getBlockReceipts", "latest"))[0]["status"] == "0x1"
    listed = await busy.ask("eth_createAccessList", emit, "latest")
    assert listed["accessList"] == [{"address": emit["to"], "storageKeys": ["0x" + "00" * 32]}]
    assert "error" not in listed
    failed = await busy.ask("eth_createAccessList", {"to": "0x" + rpc.REVERTER.hex()})
    assert failed["error"] == "execution reverted"


async def test_fees(busy: Any) -> None:
    head = await busy.ask("eth_getBlockByNumber", "latest", False)
    assert n(await busy.ask("eth_maxPriorityFeePerGas")) == GWEI
    assert n(await busy.ask("eth_gasPrice")) == n(await busy.ask("eth_baseFee")) + GWEI
    assert await busy.ask("eth_blobBaseFee") == "0x1"
    history = await busy.ask("eth_feeHistory", "0x5", "latest", [0, 50, 100])
    assert history["oldestBlock"] == "0x0"
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1 == 4
    assert history["baseFeePerGas"][-2] == head["baseFeePerGas"]
    assert history["baseFeePerGas"][-1] == await busy.ask("eth_baseFee")
    assert history["reward"][0] == ["0x0", "0x0", "0x0"]
    assert n(history["reward"][1][0]) == GWEI
    assert n(history["reward"][1][2]) > GWEI  # the legacy transaction's price
    assert len(history["baseFeePerBlobGas"]) == 4
    assert history["blobGasUsedRatio"] == [0, 0, 0]
    one = await busy.ask("eth_feeHistory", 1, "0x1", [])
    assert one["oldestBlock"] == "0x1"
    assert "reward" not in one
    assert one["baseFeePerGas"] == history["baseFeePerGas"][1:3]
    assert (await busy.error("eth_feeHistory", "0x1", "0x9", []))["message"].startswith("request beyond head block")
    for wrong in ([101], [50, 40], ["a"], [True], {}):
        assert (await busy.error("eth_feeHistory", "0x1", "latest", wrong))["code"] == -32602


async def test_transactions_in_the_pool(devnet: Any, rpc: Any) -> None:
    sender = "0x" + rpc.SENDER.hex()
    first = devnet.signed(value=1)
    sent = await devnet.send(first)
    assert sent == "0x" + first.hash.hex()
    waiting = await devnet.ask("eth_getTransactionByHash", sent)
    for key in ("blockHash", "blockNumber", "blockTimestamp", "transactionIndex"):
        assert waiting[key] is None
    assert n(waiting["gasPrice"]) == first.max_fee_per_gas
    assert await devnet.ask("eth_getTransactionReceipt", sent) is None
    assert await devnet.ask("eth_getTransactionCount", sender, "pending") == "0x1"
    assert await devnet.ask("eth_getTransactionCount", sender, "latest") == "0x0"
    gapped = devnet.signed(nonce=5)
    await devnet.send(gapped)
    assert await devnet.ask("txpool_status") == {"pending": "0x1", "queued": "0x1"}
    content = await devnet.ask("txpool_content")
    from eth_utils import to_checksum_address

    key = to_checksum_address(sender)
    assert content["pending"][key]["0"] == waiting
    assert list(content["queued"][key]) == ["5"]
    assert (await devnet.ask("txpool_contentFrom", sender))["pending"] == {"0": waiting}
    assert await devnet.ask("txpool_contentFrom", "0x" + "00" * 20) == {"pending": {}, "queued": {}}
    assert "1 wei" in (await devnet.ask("txpool_inspect"))["pending"][key]["0"]
    assert await devnet.ask("eth_getRawTransactionByHash", sent) == "0x" + first.encode().hex()
    await devnet.mine()
    mined = await devnet.ask("eth_getTransactionByHash", sent)
    assert mined["blockNumber"] == "0x1"
    assert n(mined["gasPrice"]) < first.max_fee_per_gas
    assert await devnet.ask("eth_getRawTransactionByHash", sent) == "0x" + first.encode().hex()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nonce": 0}, "nonce too low"),
        ({"gas_limit": 20_000}, "intrinsic gas too low"),
        ({"value": 10**30}, "insufficient funds for gas * price + value"),
        ({"chain_id": 5}, "invalid chain id"),
        ({"max_fee_per_gas": 1, "max_priority_fee_per_gas": 2}, "max priority fee per gas higher than max fee per gas"),
        ({"gas_limit": 2**24 + 1}, "gas limit"),
    ],
)
async def test_refusals_in_words_that_libraries_match(devnet: Any, fields: dict[str, Any], words: str) -> None:
    await devnet.send(devnet.signed())
    await devnet.mine()
    error = await devnet.error("eth_sendRawTransaction", "0x" + devnet.signed(**fields).encode().hex())
    assert error["code"] == -32000
    assert words in error["message"]
    assert "data" not in error


async def test_already_known_and_underpriced(devnet: Any) -> None:
    tx = devnet.signed(nonce=0)
    await devnet.send(tx)
    assert (await devnet.error("eth_sendRawTransaction", "0x" + tx.encode().hex()))["message"] == "already known"
    again = devnet.signed(nonce=0, value=1)
    error = await devnet.error("eth_sendRawTransaction", "0x" + again.encode().hex())
    assert error["message"] == "replacement transaction underpriced"


@pytest.mark.parametrize(
    "raw", ["0x", "0xdeadbeef", "0x02c0", "0xc0", "0x7f01", "0xf800", "0x03c0", "0x03f8", "0x04" + "c1" * 60]
)
async def test_garbage_transactions_are_refused(devnet: Any, raw: str) -> None:
    error = await devnet.error("eth_sendRawTransaction", raw)
    assert error["code"] in (-32000, -32602)
    assert error["message"] != "internal error"


async def test_evmesh_namespace(busy: Any, rpc: Any) -> None:
    status = await busy.ask("evmesh_status")
    assert status["name"] == "n0"
    assert status["chainId"] == hex(7331)
    assert status["engine"] == "bft"
    assert status["consensus"] == {"height": 3, "round": 0, "step": "propose"}
    assert status["validators"] == [{"address": "0x" + rpc.SENDER.hex(), "weight": 1}]
    assert status["head"]["number"] == "0x2"
    assert status["peers"][0] == {
        "id": "01" * 32,
        "name": "n1",
        "address": "127.0.0.1:30304",
        "direction": "outbound",
        "score": 1.5,
    }
    assert status["pool"] == {"pending": 0, "queued": 0}
    assert status["uptimeMs"] >= 0
    assert await busy.ask("evmesh_validators") == status["validators"]
    roots = await busy.ask("evmesh_stateRoots", "0x0", "latest")
    assert [n(root["number"]) for root in roots] == [0, 1, 2]
    assert roots[-1] == status["head"]
    assert (await busy.error("evmesh_stateRoots", "0x2", "0x1"))["code"] == -32602
    (peer,) = await busy.ask("evmesh_peers")
    assert status["peers"][0].items() < peer.items()
    assert {key: peer[key] for key in ("connectedMs", "rttMs", "bytesIn", "bytesOut", "dropped")} == {
        "connectedMs": 7,
        "rttMs": 2,
        "bytesIn": 10,
        "bytesOut": 20,
        "dropped": 0,
    }


async def test_the_tree_of_blocks(devnet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = devnet.chain.head.hash
    first = await devnet.mine()
    await devnet.mine()
    told = await devnet.ask("evmesh_blockTree")
    assert told["head"]["number"] == "0x2"
    assert [(one["number"], one["canonical"]) for one in told["blocks"]] == [(0, True), (1, True), (2, True)]
    await devnet.finalize()
    assert [one["number"] for one in (await devnet.ask("evmesh_blockTree"))["blocks"]] == [2]
    other = b"\x0f" * 32
    consensus = type(devnet.backend.consensus)
    plain = consensus.inspect
    tree = [{"hash": h(block), "parent": h(parent), "number": 1, "slot": 1, "weight": 0} for block in (first, other)]
    monkeypatch.setattr(consensus, "inspect", lambda self: {**plain(self), "tree": tree})
    blocks = (await devnet.ask("evmesh_blockTree"))["blocks"]
    assert [(one["hash"], one["canonical"]) for one in blocks] == [(h(first), True), (h(other), False)]


async def test_a_node_checks_its_own_promises(devnet: Any, rpc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        await devnet.mine()
    told = await devnet.ask("evmesh_invariants")
    assert told["holds"] is True
    assert [one["name"] for one in told["promises"]] == ["order", "canonical", "linkage", "honesty"]

    async def broken() -> dict[str, str]:
        told = await devnet.ask("evmesh_invariants")
        assert told["holds"] is all(one["holds"] for one in told["promises"])
        return {one["name"]: one["why"] for one in told["promises"] if not one["holds"]}

    chain = type(devnet.chain)
    one = devnet.chain.header_by_number(1)
    with monkeypatch.context() as patch:
        patch.setattr(chain, "head", one)
        assert list(await broken()) == ["order"]
    with monkeypatch.context() as patch:
        by_number = chain.header_by_number
        patch.setattr(chain, "header_by_number", lambda self, number: one if number == 2 else by_number(self, number))
        assert await broken() == {"linkage": "block 3 does not stand on block 2"}
    with monkeypatch.context() as patch:
        patch.setattr(chain, "canonical_hash", lambda self, number: bytes(32))
        assert list(await broken()) == ["canonical"]
    consensus = type(devnet.backend.consensus)
    plain = consensus.inspect
    key = h(rpc.SENDER)
    for facts in ({"slashed": [key]}, {"evidence": [{"validator": key, "kind": "double vote"}]}):
        monkeypatch.setattr(consensus, "inspect", lambda self, facts=facts: {**plain(self), "keys": [key], **facts})
        assert await broken() == {"honesty": f"convicted: {key}"}
