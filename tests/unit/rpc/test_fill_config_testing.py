"""eth_fillTransaction, eth_config, testing_buildBlockV1 on a chain of our own."""

from __future__ import annotations

from typing import Any

from node.types.transactions import decode

WORD = "0x" + "00" * 32


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


async def test_a_filled_transaction_can_be_signed_and_sent(devnet: Any, rpc: Any) -> None:
    order = {"from": hexed(rpc.SENDER), "to": hexed(rpc.EMITTER), "input": "0x" + "00" * 31 + "07"}
    filled = await devnet.ask("eth_fillTransaction", order)
    tx = decode(bytes.fromhex(filled["raw"][2:])).signed_by(rpc.KEY)
    assert (tx.nonce, tx.to, tx.data.hex()) == (0, rpc.EMITTER, order["input"][2:])
    assert filled["tx"]["nonce"] == "0x0"
    assert int(filled["tx"]["maxFeePerGas"], 16) == tx.max_fee_per_gas > tx.max_priority_fee_per_gas > 0
    sent = await devnet.send(tx)
    await devnet.mine()
    assert (await devnet.ask("eth_getTransactionReceipt", sent))["status"] == "0x1"
    assert (await devnet.ask("eth_fillTransaction", order))["tx"]["nonce"] == "0x1"


async def test_what_is_given_stays(devnet: Any, rpc: Any) -> None:
    order = {
        "from": hexed(rpc.SENDER),
        "to": hexed(rpc.OTHER),
        "gasPrice": "0x77359400",
        "gas": "0x5300",
        "nonce": "0x9",
    }
    told = (await devnet.ask("eth_fillTransaction", order))["tx"]
    assert (told["type"], told["gasPrice"], told["gas"], told["nonce"]) == ("0x0", "0x77359400", "0x5300", "0x9")
    failing = {"from": hexed(rpc.SENDER), "to": hexed(rpc.REVERTER), "input": "0xab"}
    assert (await devnet.error("eth_fillTransaction", failing))["code"] == 3
    assert (await devnet.error("eth_fillTransaction", {}))["code"] == -32000
    assert (await devnet.error("eth_fillTransaction", {**order, "chainId": "0x1"}))["code"] == -32000


async def test_config(devnet: Any) -> None:
    told = await devnet.ask("eth_config")
    assert (told["next"], told["last"]) == (None, None)
    current = told["current"]
    assert current["activationTime"] == 0
    assert current["blobSchedule"] == {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716}
    assert current["precompiles"]["P256VERIFY"].endswith("0100")
    assert len(current["precompiles"]) == 18
    assert len(current["systemContracts"]) == 5


async def test_a_block_is_made_and_forgotten(devnet: Any, rpc: Any) -> None:
    parent = devnet.chain.head
    attributes = {
        "timestamp": hex(parent.timestamp + 5),
        "prevRandao": WORD,
        "suggestedFeeRecipient": "0x" + "cc" * 20,
        "withdrawals": [],
        "parentBeaconBlockRoot": WORD,
    }
    tx = devnet.signed(to=rpc.EMITTER)
    asked = [hexed(parent.hash), attributes]
    built = await devnet.ask("testing_buildBlockV1", *asked, [hexed(tx.encode())], "0xabcd")
    payload = built["executionPayload"]
    assert payload["transactions"] == [hexed(tx.encode())]
    assert payload["extraData"] == "0xabcd"
    assert int(built["blockValue"], 16) == int(payload["gasUsed"], 16) * tx.max_priority_fee_per_gas
    assert devnet.chain.head.hash == parent.hash
    assert (await devnet.ask("testing_buildBlockV1", *asked, []))["executionPayload"]["transactions"] == []
    await devnet.send(tx)
    from_pool = await devnet.ask("testing_buildBlockV1", *asked, None)
    assert from_pool["executionPayload"]["transactions"] == [hexed(tx.encode())]
    await devnet.send(devnet.signed(key=rpc.OTHER_KEY, max_priority_fee_per_gas=999_999))  # tips too little
    from_pool = await devnet.ask("testing_buildBlockV1", *asked, None)
    assert from_pool["executionPayload"]["transactions"] == [hexed(tx.encode())]
    assert from_pool["blobsBundle"] == {"commitments": [], "proofs": [], "blobs": []}
    late = devnet.signed(to=rpc.EMITTER, nonce=5)
    error = await devnet.error("testing_buildBlockV1", *asked, [hexed(late.encode())])
    assert error["code"] == -32000
    assert "nonce too high" in error["message"]
    error = await devnet.error("testing_buildBlockV1", WORD, attributes, [])
    assert error["message"] == "unknown parent"
    error = await devnet.error("testing_buildBlockV1", hexed(parent.hash), {**attributes, "timestamp": "0x0"}, [])
    assert "invalid timestamp" in error["message"]
