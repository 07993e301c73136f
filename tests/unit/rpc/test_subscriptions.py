"""eth_subscribe over a real WebSocket, and the bounds of a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from node.rpc import subscriptions
from node.rpc.server import ServerConfig
from node.rpc.service import RpcService
from node.telemetry.metrics import Metrics


@pytest.fixture
async def connected(devnet: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
    service = RpcService(devnet.backend, ServerConfig(port=0), Metrics())
    await service.start()
    async with aiohttp.ClientSession() as session, session.ws_connect(service.url) as socket:
        yield devnet, socket, service
    await service.stop()


async def call(socket: Any, name: str, *params: Any) -> Any:
    await socket.send_str(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}).decode())
    return orjson.loads(await socket.receive_str())


async def test_requests_and_errors(connected: Any) -> None:
    _, socket, _ = connected
    assert (await call(socket, "eth_chainId"))["result"] == hex(7331)
    assert (await call(socket, "eth_nope"))["error"]["code"] == -32601
    await socket.send_bytes(b'[{"jsonrpc":"2.0","id":7,"method":"eth_blockNumber"}]')
    assert orjson.loads(await socket.receive_str()) == [{"jsonrpc": "2.0", "id": 7, "result": "0x0"}]
    await socket.send_str("{nonsense")
    assert orjson.loads(await socket.receive_str())["error"]["code"] == -32700


async def test_news_in_order(connected: Any, rpc: Any) -> None:
    devnet, socket, _ = connected
    heads = (await call(socket, "eth_subscribe", "newHeads"))["result"]
    logs = (await call(socket, "eth_subscribe", "logs", {"address": "0x" + rpc.EMITTER.hex()}))["result"]
    silent = (await call(socket, "eth_subscribe", "logs", {"address": "0x" + "99" * 20}))["result"]
    pending = (await call(socket, "eth_subscribe", "newPendingTransactions", False))["result"]
    whole = (await call(socket, "eth_subscribe", "newPendingTransactions", True))["result"]
    assert len({heads, logs, silent, pending, whole}) == 5
    sent = await devnet.send(devnet.signed(to=rpc.EMITTER, data=bytes(32)))
    await devnet.mine()
    told = [orjson.loads(await socket.receive_str()) for _ in range(4)]
    assert all(one["method"] == "eth_subscription" and "id" not in one for one in told)
    by_key = {one["params"]["subscription"]: one["params"]["result"] for one in told}
    assert by_key[pending] == sent
    assert by_key[whole]["hash"] == sent
    assert (by_key[heads]["number"], by_key[heads]["hash"]) == ("0x1", "0x" + devnet.chain.head.hash.hex())
    assert (by_key[logs]["transactionHash"], by_key[logs]["removed"]) == (sent, False)
    for key in (heads, logs, silent, pending, whole):
        assert (await call(socket, "eth_unsubscribe", key))["result"] is True
    assert (await call(socket, "eth_unsubscribe", heads))["error"]["message"] == "subscription not found"
    await devnet.mine()
    assert (await call(socket, "eth_blockNumber"))["result"] == "0x2"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (["nothing"], -32601),
        ([], -32602),
        ([5], -32602),
        (["logs", 5], -32602),
        (["logs", {"address": "0x1"}], -32602),
        (["newPendingTransactions", 5], -32602),
        (["newHeads", {}, 1], -32602),
    ],
)
async def test_refusals(connected: Any, params: list[Any], code: int) -> None:
    _, socket, _ = connected
    assert (await call(socket, "eth_subscribe", *params))["error"]["code"] == code


async def test_subscriptions_are_bounded_and_only_for_connections(connected: Any) -> None:
    devnet, socket, _ = connected
    limit = devnet.backend.limits.subscriptions_max
    for _ in range(limit):
        assert "result" in await call(socket, "eth_subscribe", "newHeads")
    assert (await call(socket, "eth_subscribe", "newHeads"))["error"]["code"] == -32005
    assert (await devnet.error("eth_subscribe", "newHeads"))["code"] == -32601


async def test_a_slow_reader_is_cut_off(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _devnet, socket, _ = connected
    monkeypatch.setattr(subscriptions, "OUTBOX_MESSAGES_MAX", 0)
    await socket.send_str('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
    message = await socket.receive()
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert (message.data, message.extra) == (1013, "reading too slowly")


async def test_who_does_not_read_is_told_and_the_others_hear_on(
    connected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    devnet, slow, service = connected
    async with aiohttp.ClientSession() as session, session.ws_connect(service.url) as quick:
        for socket in (slow, quick):
            await call(socket, "eth_subscribe", "newHeads")
        outboxes = [one.outbox for one in service._websocket._broadcast._sessions.values()]
        for _ in range(200):  # 20 MB, more than the kernel takes for a client that does not read
            outboxes[0].put(b'"' + bytes(100_000).replace(b"\0", b"x") + b'"')
            await asyncio.sleep(0)
        assert not outboxes[0].overflowed.is_set()
        monkeypatch.setattr(subscriptions, "OUTBOX_BYTES_MAX", 1_000_000)
        await devnet.mine()
        assert outboxes[0].overflowed.is_set()
        assert not outboxes[1].overflowed.is_set()
        assert orjson.loads(await quick.receive_str())["params"]["result"]["number"] == "0x1"
        while (message := await slow.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1013, "reading too slowly")


async def test_logs_of_a_block_that_left_are_told_again(connected: Any, rpc: Any) -> None:
    devnet, socket, _ = connected
    logs = (await call(socket, "eth_subscribe", "logs", {"address": "0x" + rpc.EMITTER.hex()}))["result"]
    parent = devnet.chain.head.hash
    sent = await devnet.send(devnet.signed(to=rpc.EMITTER, data=bytes(32)))
    first = await devnet.mine()
    devnet.pool.on_added.clear()
    await devnet.mine(parent, extra=b"other")
    told = [orjson.loads(await socket.receive_str())["params"] for _ in range(2)]
    assert {one["subscription"] for one in told} == {logs}
    results = [one["result"] for one in told]
    assert [(one["removed"], one["blockHash"]) for one in results] == [
        (False, "0x" + first.hex()),
        (True, "0x" + first.hex()),
    ]
    assert {one["transactionHash"] for one in results} == {sent}


async def test_catching_up_is_told_when_it_begins_and_ends(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    devnet, socket, _ = connected
    key = (await call(socket, "eth_subscribe", "syncing"))["result"]
    facts: list[Any] = [False, {"from": 0, "to": 9}, {"from": 0, "to": 9}, False]
    consensus = type(devnet.backend.consensus)
    plain = consensus.inspect
    monkeypatch.setattr(consensus, "inspect", lambda self: {**plain(self), "syncing": facts[0]})
    for _ in range(4):
        await devnet.mine()
        del facts[0]
        facts.append(False)
    told = [orjson.loads(await socket.receive_str())["params"] for _ in range(2)]
    assert [one["subscription"] for one in told] == [key, key]
    status = {"startingBlock": "0x0", "currentBlock": "0x2", "highestBlock": "0x9"}
    assert [one["result"] for one in told] == [{"syncing": True, "status": status}, False]


async def test_stopping_says_goodbye(devnet: Any) -> None:
    service = RpcService(devnet.backend, ServerConfig(port=0), Metrics())
    await service.start()
    listeners = len(devnet.pool.on_added)
    async with aiohttp.ClientSession() as session, session.ws_connect(service.url + "/ws") as socket:
        assert (await call(socket, "eth_chainId"))["result"] == hex(7331)
        stopping = asyncio.create_task(service.stop())
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        await stopping
    assert len(devnet.pool.on_added) == listeners - 2


async def test_other_origins_are_refused(devnet: Any) -> None:
    service = RpcService(devnet.backend, ServerConfig(port=0, cors_origins=("https://app.example",)), Metrics())
    await service.start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(service.url, headers={"Origin": "https://evil.example"})
        async with session.ws_connect(service.url, headers={"Origin": "https://app.example"}) as socket:
            assert (await call(socket, "eth_chainId"))["result"] == hex(7331)
    await service.stop()
