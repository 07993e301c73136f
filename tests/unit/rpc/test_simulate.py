"""eth_simulateV1 on a chain of our own: what the recorded answers do not ask."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from node.primitives.scalars import ETHER, Address
from node.rpc.backend import RpcLimits

STORE = Address(bytes.fromhex("ea" * 20))
NOBODY = "0x" + "99" * 20
WORD = "0x" + "00" * 31


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


async def simulated(devnet: Any, *blocks: dict[str, Any], **options: Any) -> Any:
    return await devnet.ask("eth_simulateV1", {"blockStateCalls": list(blocks), **options}, "latest")


async def test_calls_see_what_earlier_ones_did(devnet: Any, rpc: Any) -> None:
    store = {"to": hexed(rpc.EMITTER), "input": WORD + "07"}
    load = {hexed(rpc.EMITTER): {"code": "0x5f545f5260205ff3"}}
    first, second = await simulated(
        devnet, {"calls": [store]}, {"stateOverrides": load, "calls": [{"to": hexed(rpc.EMITTER)}]}
    )
    assert second["calls"][0]["returnData"] == WORD + "07"
    assert second["parentHash"] == first["hash"]
    assert first["parentHash"] == hexed(devnet.chain.head.hash)
    assert int(second["number"], 16) == devnet.chain.head.number + 2
    (log,) = first["calls"][0]["logs"]
    assert (log["blockHash"], log["transactionHash"]) == (first["hash"], first["transactions"][0])
    assert first["logsBloom"] != second["logsBloom"]


async def test_nothing_is_kept(devnet: Any) -> None:
    before = devnet.chain.head.hash
    await simulated(devnet, {"calls": [{"to": NOBODY}]})
    assert devnet.chain.head.hash == before
    assert await devnet.ask("eth_blockNumber") == "0x0"


async def test_transfers_are_logged_on_demand(devnet: Any, rpc: Any) -> None:
    send = {"from": hexed(rpc.SENDER), "to": NOBODY, "value": hex(ETHER)}
    for transfers, count in ((True, 1), (False, 0)):
        (block,) = await simulated(devnet, {"calls": [send]}, traceTransfers=transfers)
        assert len(block["calls"][0]["logs"]) == count
        assert set(block["logsBloom"][2:]) == {"0"}, "they are in no receipt"


async def test_a_destroyed_account_transfers(devnet: Any, rpc: Any) -> None:
    state = {hexed(STORE): {"code": "0x73" + "99" * 20 + "ff", "balance": "0x5"}}
    (block,) = await simulated(devnet, {"stateOverrides": state, "calls": [{"to": hexed(STORE)}]}, traceTransfers=True)
    (log,) = block["calls"][0]["logs"]
    assert int(log["data"], 16) == 5


async def test_failures_are_told_by_call(devnet: Any, rpc: Any) -> None:
    calls = [{"to": hexed(rpc.REVERTER), "input": "0xabcd"}, {"to": hexed(rpc.LOOPER), "gas": "0x7530"}]
    (block,) = await simulated(devnet, {"calls": calls})
    reverted, halted = block["calls"]
    assert reverted["error"] == {"code": 3, "message": "execution reverted", "data": "0xabcd"}
    assert reverted["returnData"] == "0x"
    assert halted["error"] == {"code": -32015, "message": "out of gas"}
    assert halted["gasUsed"] == "0x7530"


async def test_gaps_are_filled(devnet: Any) -> None:
    blocks = await simulated(devnet, {"blockOverrides": {"number": "0x4"}})
    assert [int(block["number"], 16) for block in blocks] == [1, 2, 3, 4]
    times = [int(block["timestamp"], 16) for block in blocks]
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [12, 12, 12]


async def test_withdrawals(devnet: Any) -> None:
    paid = {"index": "0x0", "validatorIndex": "0x0", "address": NOBODY, "amount": "0x2"}
    (first, second) = await simulated(
        devnet,
        {"blockOverrides": {"withdrawals": [paid]}},
        {
            "stateOverrides": {hexed(STORE): {"code": "0x73" + "99" * 20 + "315f5260205ff3"}},
            "calls": [{"to": hexed(STORE)}],
        },
    )
    assert first["withdrawals"] == [paid]
    assert int(second["calls"][0]["returnData"], 16) == 2 * 10**9


async def test_gas_of_all_calls_is_bounded(rpc: Any) -> None:
    small = rpc.make_devnet(limits=RpcLimits(gas_cap=100_000))
    loop = {"to": hexed(rpc.LOOPER), "gas": hex(60_000)}
    (block,) = await simulated(small, {"calls": [loop, loop]})
    assert [call["gasUsed"] for call in block["calls"]] == [hex(60_000), hex(40_000)]
    error = await small.error("eth_simulateV1", {"blockStateCalls": [{"calls": [loop, loop, loop]}]}, "latest")
    assert error["code"] == -38013, "nothing is left for the third"
    small.api.close()
    small.backend.runtime.workers.close()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, -32602),
        ({"blockStateCalls": []}, -32602),
        ({"blockStateCalls": [{}] * 257}, -38026),
        ({"blockStateCalls": [{"blockOverrides": {"number": "0x999"}}]}, -38026),
        ({"blockStateCalls": [{"blockOverrides": {"number": "0x0"}}]}, -38020),
        ({"blockStateCalls": [{"blockOverrides": {"time": "0x1"}}]}, -38021),
        ({"blockStateCalls": [{"calls": [{"gas": "0xffffffffffff"}]}]}, -38015),
        ({"blockStateCalls": [{"calls": [{"nonce": "0x5"}]}], "validation": True}, -38011),
        ({"blockStateCalls": [{"calls": 5}]}, -32602),
        ({"blockStateCalls": [{"blockOverrides": {"withdrawals": [{}]}}]}, -32602),
    ],
)
async def test_refusals(devnet: Any, request_: Any, code: int) -> None:
    assert (await devnet.error("eth_simulateV1", request_, "latest"))["code"] == code


async def test_blobs_and_contradictions(devnet: Any, rpc: Any) -> None:
    sender = "0x" + rpc.SENDER.hex()
    blobs = {"from": sender, "to": sender, "maxFeePerGas": "0x3b9aca00", "blobVersionedHashes": ["0x01" + "00" * 31]}

    def simulation(call: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"blockStateCalls": [{"calls": [call]}], **more}

    assert (await devnet.ask("eth_simulateV1", simulation(blobs)))[0]["blobGasUsed"] == "0x20000"
    for wanted, code, words in (
        (simulation(blobs, validation=True), -32603, "max fee per blob gas less than block blob gas fee"),
        (simulation({**blobs, "to": None}), -32603, "blob transaction of type create"),
        (simulation({**blobs, "chainId": "0x1"}), -32000, "chainId does not match"),
        (simulation({"from": sender, "nonce": "0x5"}, validation=True), -38011, "nonce too high"),
        ({"blockStateCalls": [{"blockOverrides": {"number": "0x" + "f" * 40}}]}, -38026, "too many blocks"),
        ({"blockStateCalls": [{"stateOverrides": {sender: {"state": {}, "stateDiff": {}}}}]}, -32000, "has both"),
    ):
        error = await devnet.error("eth_simulateV1", wanted)
        assert (error["code"], words in error["message"]) == (code, True), error
