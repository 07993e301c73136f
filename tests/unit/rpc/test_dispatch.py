"""The envelope: whatever comes in, well-formed JSON-RPC goes out."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from node.rpc.backend import RpcLimits
from node.rpc.dispatch import Dispatcher
from node.rpc.errors import RpcError
from node.rpc.methods import MethodTable, combined
from node.telemetry.logs import Log


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"{nonsense", -32700, None),
        (b"", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":["\\ud800"]}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, -32700, None),
        (b'{"jsonrpc":"2.0","id":NaN,"method":"eth_chainId"}', -32700, None),
        (b"[]", -32600, None),
        (b"1", -32600, None),
        (b"null", -32600, None),
        (b'"eth_chainId"', -32600, None),
        (b'{"jsonrpc":"2.0","id":1}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600, 1),
        (b'{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}', -32600, 1),
        (b'{"id":1,"method":"eth_chainId"}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"eth_chainId"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"eth_chainId"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":{}}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":"0x"}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[null]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12","latest"]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x01",false]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[1,false]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":[1.5,false]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x1","false"]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0xffffffffffffffff",false]}', -32602, 1),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x1ffffffffffffffff",false]}', -32602, 1),
    ],
)
async def test_malformed_requests(devnet: Any, body: bytes, code: int, request_id: Any) -> None:
    told = await devnet.raw(body)
    assert set(told) == {"jsonrpc", "id", "error"}
    assert (told["error"]["code"], told["id"]) == (code, request_id)


async def test_unknown_method_in_words_that_ethers_matches(devnet: Any) -> None:
    error = await devnet.error("eth_noSuchMethod")
    assert error == {"code": -32601, "message": "the method eth_noSuchMethod does not exist/is not available"}
    for name in ("__class__", "eth_getBalance ", "", "x" * 100_000):
        assert (await devnet.error(name))["code"] == -32601
    assert len((await devnet.error("x" * 100_000))["message"]) < 200


@pytest.mark.parametrize("request_id", ["a", "", 7, 0, -3, 1.5, None, 2**53 - 1])
async def test_ids_come_back_as_they_went_in(devnet: Any, request_id: Any) -> None:
    body = orjson.dumps({"jsonrpc": "2.0", "id": request_id, "method": "eth_chainId"})
    assert await devnet.raw(body) == {"jsonrpc": "2.0", "id": request_id, "result": hex(7331)}


async def test_notifications_get_no_answer(devnet: Any) -> None:
    assert await devnet.dispatcher.call(b'{"jsonrpc":"2.0","method":"eth_chainId"}') == b""
    assert await devnet.dispatcher.call(b'[{"jsonrpc":"2.0","method":"eth_chainId"}]') == b""
    mixed = await devnet.raw(
        b'[{"jsonrpc":"2.0","method":"eth_nope"},{"jsonrpc":"2.0","id":null,"method":"eth_chainId"},7]'
    )
    assert [("result" in told, told["id"]) for told in mixed] == [(True, None), (False, None)]


async def test_batches_answer_in_order_and_errors_stay_in_place(devnet: Any) -> None:
    calls = [{"jsonrpc": "2.0", "id": i, "method": "eth_blockNumber"} for i in ("a", 7, 0)]
    told = await devnet.raw(orjson.dumps([*calls, {"jsonrpc": "2.0", "id": 9, "method": "eth_nope"}, [], "x"]))
    assert [one["id"] for one in told] == ["a", 7, 0, 9, None, None]
    assert all("error" not in one for one in told[:3])
    assert [one["error"]["code"] for one in told[3:]] == [-32601, -32600, -32600]


async def test_batch_limits(devnet: Any) -> None:
    one = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    assert len(await devnet.raw(orjson.dumps([one] * 1_000))) == 1_000
    assert (await devnet.raw(orjson.dumps([one] * 1_001)))["error"] == {"code": -32600, "message": "batch too large"}


TOY = MethodTable()


@TOY.method("toy_big")
def big(api: Any) -> str:
    return "x" * 600


@TOY.method("toy_broken")
def broken(api: Any) -> str:
    raise KeyError("/home/someone/secret")


@TOY.method("toy_refuses")
async def refuses(api: Any) -> str:
    raise RpcError(-32000, "no", "0x12")


@TOY.method("toy_wide")
def wide(api: Any) -> int:
    return 2**70


@TOY.method("toy_object")
def strange(api: Any) -> Any:
    return object()


@TOY.method("toy_optional")
def optional(api: Any, first: bytes | None = None, second: int = 5) -> Any:
    return [None if first is None else first.hex(), second]


def toy(lines: list[str], clock: Any, **limits: Any) -> Dispatcher:
    return Dispatcher(None, combined([TOY]), clock=clock, log=Log(clock, "n0", write=lines.append), **limits)


def call_of(name: str, *params: Any, request_id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": name, "params": list(params)}


async def ask(dispatcher: Dispatcher, body: Any) -> Any:
    return orjson.loads(await dispatcher.call(orjson.dumps(body)))


@pytest.mark.parametrize("name", ["toy_broken", "toy_wide", "toy_object"])
async def test_our_own_failures_tell_nothing_outside_and_something_inside(devnet: Any, name: str) -> None:
    lines: list[str] = []
    told = await ask(toy(lines, devnet.clock), call_of(name))
    assert told["error"] == {"code": -32603, "message": "internal error"}
    assert name in lines[0]


async def test_errors_carry_data_only_where_there_is_some(devnet: Any) -> None:
    told = await ask(toy([], devnet.clock), call_of("toy_refuses"))
    assert told["error"] == {"code": -32000, "message": "no", "data": "0x12"}


async def test_null_stands_for_the_default(devnet: Any) -> None:
    dispatcher = toy([], devnet.clock)
    assert (await ask(dispatcher, call_of("toy_optional")))["result"] == [None, 5]
    assert (await ask(dispatcher, call_of("toy_optional", None, None)))["result"] == [None, 5]
    assert (await ask(dispatcher, call_of("toy_optional", "0x12", "0x6")))["result"] == ["12", 6]
    told = await ask(dispatcher, call_of("toy_optional", 1, 2, 3))
    assert told["error"]["message"] == "too many arguments, want at most 2"


async def test_response_limits(devnet: Any) -> None:
    told = await ask(toy([], devnet.clock, response_bytes_max=100), call_of("toy_big"))
    assert told["error"]["code"] == -32003
    batch = [call_of("toy_big", request_id=i) for i in range(5)]
    told = await ask(toy([], devnet.clock, batch_response_bytes_max=1_000), batch)
    assert ["result" in one for one in told] == [True, True, False, False, False]
    assert [one["id"] for one in told] == [0, 1, 2, 3, 4]
    assert told[4]["error"] == {"code": -32003, "message": "response too large"}


async def test_a_batch_that_takes_too_long_is_cut_short(devnet: Any) -> None:
    table = MethodTable()

    @table.method("toy_slow")
    def slow(api: Any) -> int:
        devnet.clock.offset_ms += 400
        return 1

    dispatcher = Dispatcher(None, combined([table]), clock=devnet.clock, log=devnet.backend.log, request_time_ms=1_000)
    told = await ask(dispatcher, [call_of("toy_slow", request_id=i) for i in range(5)])
    assert ["result" in one for one in told] == [True, True, True, False, False]
    assert told[4]["error"]["code"] == -32002


async def test_a_long_batch_lets_others_run(devnet: Any) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    body = orjson.dumps([call_of("eth_chainId", request_id=i) for i in range(500)])
    batch = asyncio.create_task(devnet.dispatcher.call(body))
    await asyncio.sleep(0)
    task = asyncio.create_task(other())
    await task
    assert not batch.done()
    assert len(orjson.loads(await batch)) == 500


async def test_requests_are_counted_by_known_names_only(devnet: Any) -> None:
    await devnet.ask("eth_chainId")
    await devnet.error("eth_somebody_made_this_up")
    text = devnet.metrics.render().decode()
    assert 'evmesh_rpc_requests_total{method="eth_chainId",outcome="ok"} 1.0' in text
    assert 'evmesh_rpc_requests_total{method="unknown",outcome="error"} 1.0' in text
    assert "made_this_up" not in text


def test_limits_fit_what_clients_send() -> None:
    limits = RpcLimits()
    assert limits.request_bytes_max > 6 * 2 * 131_072  # a transaction with six blobs, in hex
    assert limits.response_bytes_max > 21_000_000  # the largest recorded answer
