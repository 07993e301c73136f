"""debug_*: traces over a real chain, raw bytes, storage in trie order; overrides of calls."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from node.primitives.scalars import ETHER, Address
from node.types.blocks import decode_block

RECURSIVE = Address(bytes.fromhex("e9" * 20))
"""Calls itself for as long as there is gas."""
RECURSIVE_CODE = "0x" + "5f5f5f5f5f305af100"
STORE = Address(bytes.fromhex("ea" * 20))
WORD = "0x" + "00" * 31


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


async def mined(devnet: Any, **fields: Any) -> str:
    """Send and mine one transaction; its hash."""
    sent = await devnet.send(devnet.signed(**fields))
    await devnet.mine()
    return str(sent)


async def test_trace_transaction(devnet: Any, rpc: Any) -> None:
    sent = await mined(devnet, to=rpc.EMITTER, data=(7).to_bytes(32, "big"))
    trace = await devnet.ask("debug_traceTransaction", sent)
    receipt = await devnet.ask("eth_getTransactionReceipt", sent)
    assert trace["gas"] == int(receipt["gasUsed"], 16)
    assert trace["failed"] is False
    assert trace["returnValue"] == WORD + "07"
    assert [step["op"] for step in trace["structLogs"]][:3] == ["PUSH0", "CALLDATALOAD", "DUP1"]
    call = await devnet.ask("debug_traceTransaction", sent, {"tracer": "callTracer", "tracerConfig": {"withLog": True}})
    assert call["gasUsed"] == receipt["gasUsed"]
    assert [log["address"] for log in call["logs"]] == [hexed(rpc.EMITTER)]


async def test_earlier_transactions_of_the_block_count(devnet: Any, rpc: Any) -> None:
    await devnet.send(devnet.signed(to=rpc.EMITTER, data=(7).to_bytes(32, "big")))
    second = await devnet.send(devnet.signed(to=rpc.EMITTER, data=(9).to_bytes(32, "big")))
    await devnet.mine()
    prestate = await devnet.ask("debug_traceTransaction", second, {"tracer": "prestateTracer"})
    assert prestate[hexed(rpc.EMITTER)]["storage"] == {WORD + "00": WORD + "07"}
    assert prestate[hexed(rpc.SENDER)]["nonce"] == 1


async def test_trace_block(devnet: Any, rpc: Any) -> None:
    sent = await mined(devnet, to=rpc.EMITTER)
    config = {"tracer": "4byteTracer"}
    by_number = await devnet.ask("debug_traceBlockByNumber", "latest", config)
    assert by_number == [{"txHash": sent, "result": {}}]
    head = await devnet.ask("eth_getBlockByNumber", "latest", False)
    assert await devnet.ask("debug_traceBlockByHash", head["hash"], config) == by_number
    raw = await devnet.ask("debug_getRawBlock", "latest")
    assert await devnet.ask("debug_traceBlock", raw, config) == by_number
    plain = await devnet.ask("debug_traceBlockByNumber", "0x1")
    assert plain[0]["result"] == await devnet.ask("debug_traceTransaction", sent)


@pytest.mark.parametrize(
    ("name", "params", "code", "words"),
    [
        ("debug_traceTransaction", [WORD + "01"], -32000, "transaction not found"),
        ("debug_traceBlockByHash", [WORD + "01"], -32000, f"block {WORD}01 not found"),
        ("debug_traceBlockByNumber", ["0x0"], -32000, "genesis is not traceable"),
        ("debug_traceBlockByNumber", ["0x99"], -32000, "block #153 not found"),
        ("debug_traceBlockByNumber", ["3"], -32602, "invalid argument 0: hex string without 0x prefix"),
        ("debug_traceCall", [{}, "latest", {"tracer": "nope"}], -32000, "tracer not found: nope"),
        ("debug_traceCall", [{}, "latest", {"timeout": "soon"}], -32602, "invalid duration"),
        ("debug_traceCall", [{}, "latest", {"tracer": "callTracer", "tracerConfig": 1}], -32602, "tracerConfig"),
        ("debug_traceCall", [{"gas": "0x1"}, "latest", {}], -32000, "tracing failed: intrinsic gas too low"),
        ("debug_traceBlock", ["0xc0"], -32000, "could not decode block"),
        ("debug_getRawBlock", ["0x99"], -32000, "block not found"),
        ("debug_getRawBlockAccessList", ["latest"], -32001, "block access list not found"),
    ],
)
async def test_refusals(devnet: Any, name: str, params: list[Any], code: int, words: str) -> None:
    error = await devnet.error(name, *params)
    assert error["code"] == code
    assert words in error["message"]


async def test_trace_call_with_overrides(devnet: Any, rpc: Any) -> None:
    config = {
        "tracer": "callTracer",
        "stateOverrides": {hexed(STORE): {"code": "0x4260005260206000f3", "balance": "0x5"}},
        "blockOverrides": {"time": "0x77"},
    }
    call = await devnet.ask("debug_traceCall", {"to": hexed(STORE)}, "latest", config)
    assert call["output"] == WORD + "77"
    assert call["gas"] == hex(devnet.backend.limits.gas_cap)


async def test_trace_call_inside_a_block(devnet: Any, rpc: Any) -> None:
    await devnet.send(devnet.signed(to=rpc.EMITTER, data=(7).to_bytes(32, "big")))
    await devnet.send(devnet.signed(to=rpc.EMITTER, data=(9).to_bytes(32, "big")))
    await devnet.mine()
    call = {"to": hexed(rpc.EMITTER), "data": WORD + "01"}
    for index, value in ((0, "00"), (1, "07")):
        config = {"tracer": "prestateTracer", "txIndex": hex(index)}
        prestate = await devnet.ask("debug_traceCall", call, "latest", config)
        assert prestate[hexed(rpc.EMITTER)]["storage"] == {WORD + "00": WORD + value}
    error = await devnet.error("debug_traceCall", call, "latest", {"txIndex": "0x2"})
    assert "out of range" in error["message"]


async def test_deep_call_trees_are_written(devnet: Any) -> None:
    config = {"tracer": "callTracer", "stateOverrides": {hexed(RECURSIVE): {"code": RECURSIVE_CODE}}}
    request = {"to": hexed(RECURSIVE), "gas": "0x1c9c380"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "debug_traceCall", "params": [request, "latest", config]}
    answer = await devnet.dispatcher.call(orjson.dumps(body))
    assert answer.count(b'"calls":[') > 300
    assert b'"error"' not in answer.split(b'"calls"')[0]
    depth = deepest = 0
    for character in answer.decode():
        depth += (character in "{[") - (character in "]}")
        deepest = max(deepest, depth)
    assert depth == 0
    assert deepest > 600


async def test_a_trace_that_is_too_large_is_refused(devnet: Any, rpc: Any) -> None:
    request = {"to": hexed(rpc.LOOPER), "gas": "0x2faf080"}
    error = await devnet.error("debug_traceCall", request, "latest", {"timeout": "1ms"})
    assert error["code"] == -32000
    assert "timeout" in error["message"]


async def test_raw_bytes(devnet: Any, rpc: Any) -> None:
    sent = await mined(devnet, to=rpc.EMITTER)
    block = decode_block(bytes.fromhex((await devnet.ask("debug_getRawBlock", "0x1"))[2:]))
    assert block.hash == devnet.chain.head.hash
    assert await devnet.ask("debug_getRawHeader", "latest") == hexed(block.header.encode())
    assert await devnet.ask("debug_getRawTransaction", sent) == hexed(block.transactions[0].encode())
    (receipt,) = devnet.chain.receipts_of(block.hash)
    assert await devnet.ask("debug_getRawReceipts", "0x1") == [hexed(receipt.encode())]
    assert await devnet.ask("debug_getRawTransaction", WORD + "01") == "0x"
    assert await devnet.ask("debug_getBadBlocks") == []
    assert await devnet.ask("eth_getBlockAccessList", "latest") is None


async def test_intermediate_roots(devnet: Any, rpc: Any) -> None:
    await devnet.send(devnet.signed(to=rpc.EMITTER))
    await devnet.send(devnet.signed(value=1))
    head = await devnet.mine()
    roots = await devnet.ask("debug_intermediateRoots", hexed(head))
    assert len(roots) == 2
    assert roots[1] == hexed(devnet.chain.head.state_root)
    assert roots[0] != roots[1]


async def test_storage_range(devnet: Any, rpc: Any) -> None:
    await mined(devnet, to=rpc.EMITTER, data=(7).to_bytes(32, "big"))
    await mined(devnet, to=rpc.EMITTER, data=(9).to_bytes(32, "big"))
    key = "0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563"
    asked = [hexed(rpc.EMITTER), "0x", 10]
    assert await devnet.ask("debug_storageRangeAt", "0x2", 0, *asked) == {
        "storage": {key: {"key": None, "value": WORD + "07"}},
        "nextKey": None,
    }
    empty = await devnet.ask("debug_storageRangeAt", "0x1", 0, hexed(rpc.EMITTER), "0x", 10)
    assert empty == {"storage": {}, "nextKey": None}
    assert (await devnet.ask("debug_storageRangeAt", "0x2", 0, hexed(rpc.EMITTER), "0x", 0))["nextKey"] == key


# --- overrides of calls -------------------------------------------------------------------------


async def test_call_on_overridden_accounts(devnet: Any, rpc: Any) -> None:
    load = "0x5f545f5260205ff3"
    call = {"to": hexed(STORE)}
    slots = {WORD + "00": WORD + "2a"}
    for state in ({"stateDiff": slots}, {"state": slots}):
        told = await devnet.ask("eth_call", call, "latest", {hexed(STORE): {"code": load, **state}})
        assert told == WORD + "2a"
    await mined(devnet, to=rpc.EMITTER, data=(7).to_bytes(32, "big"))
    for state, value in (({"stateDiff": {}}, "07"), ({"state": {}}, "00")):
        call = {"to": hexed(rpc.EMITTER)}
        told = await devnet.ask("eth_call", call, "latest", {hexed(rpc.EMITTER): {"code": load, **state}})
        assert told == WORD + value


async def test_call_with_money_from_nowhere(devnet: Any) -> None:
    call = {"from": hexed(RECURSIVE), "to": hexed(STORE), "value": hex(ETHER)}
    assert "insufficient funds" in (await devnet.error("eth_call", call, "latest"))["message"]
    rich = {hexed(RECURSIVE): {"balance": hex(2 * ETHER)}}
    assert await devnet.ask("eth_call", call, "latest", rich) == "0x"
    assert await devnet.ask("eth_estimateGas", call, "latest", rich) == "0x5208"


@pytest.mark.parametrize(
    ("opcode", "changes", "value"),
    [
        ("43", {"number": "0x1234"}, 0x1234),
        ("42", {"time": "0xffff"}, 0xFFFF),
        ("45", {"gasLimit": "0x99"}, 0x99),
        ("41", {"feeRecipient": "0x" + "ab" * 20}, int("ab" * 20, 16)),
        ("44", {"prevRandao": "0x" + "cd" * 32}, int("cd" * 32, 16)),
        ("4a", {"blobBaseFee": "0x55"}, 0x55),
    ],
)
async def test_call_in_another_block(devnet: Any, opcode: str, changes: dict[str, str], value: int) -> None:
    state = {hexed(STORE): {"code": f"0x{opcode}5f5260205ff3"}}
    told = await devnet.ask("eth_call", {"to": hexed(STORE)}, "latest", state, changes)
    assert int(told, 16) == value


async def test_moved_precompile(devnet: Any) -> None:
    identity, moved = "0x" + "00" * 19 + "04", hexed(STORE)
    for name in ("MovePrecompileToAddress", "movePrecompileToAddress"):
        state = {identity: {name: moved}}
        assert await devnet.ask("eth_call", {"to": moved, "data": "0xabcd"}, "latest", state) == "0xabcd"
    assert await devnet.ask("eth_call", {"to": identity, "data": "0xabcd"}, "latest", state) == "0x"
    error = await devnet.error("eth_call", {}, "latest", {moved: {"movePrecompileToAddress": identity}})
    assert error["message"].endswith("is not a precompile")


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ({"0x12": {}}, -32602, "state overrides"),
        ({"0x" + "11" * 20: {"nonce": "x"}}, -32602, "nonce"),
        ({"0x" + "11" * 20: {"state": {}, "stateDiff": {}}}, -32000, "has both 'state' and 'stateDiff'"),
        ({"0x" + "11" * 20: {"state": {"0x1": WORD + "00"}}}, -32602, "state"),
        ([], -32602, "expected an object"),
    ],
)
async def test_refused_overrides(devnet: Any, state: Any, code: int, words: str) -> None:
    error = await devnet.error("eth_call", {}, "latest", state)
    assert error["code"] == code
    assert words in error["message"]


async def test_overrides_leave_no_trace(devnet: Any, rpc: Any) -> None:
    state = {hexed(rpc.EMITTER): {"code": "0x00", "balance": "0x77", "state": {}}}
    await devnet.ask("eth_createAccessList", {"to": hexed(rpc.EMITTER)}, "latest", state)
    assert await devnet.ask("eth_getBalance", hexed(rpc.EMITTER), "latest") == "0x0"
    assert await devnet.ask("eth_getCode", hexed(rpc.EMITTER), "latest") != "0x00"
