"""The port: paths, headers, limits, start and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest

from node.rpc.backend import RpcLimits
from node.rpc.host_check import Doorkeeper, host_name
from node.rpc.server import PortBusy, ServerConfig
from node.rpc.service import RpcService
from node.telemetry.metrics import Metrics

CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'


@pytest.fixture
async def served(rpc: Any) -> AsyncIterator[tuple[RpcService, aiohttp.ClientSession, Any]]:
    devnet = rpc.make_devnet(replace(RpcLimits(), request_bytes_max=100_000))
    reason: list[str] = []
    backend = replace(devnet.backend, health=lambda: reason[0] if reason else None)
    service = RpcService(
        backend,
        ServerConfig(port=0, cors_origins=("https://app.example",), allowed_hosts=("node.example",)),
        Metrics(),
    )
    await service.start()
    devnet.reason = reason
    async with aiohttp.ClientSession() as session:
        yield service, session, devnet
    await service.stop()
    devnet.backend.runtime.workers.close()


async def post(served: Any, body: bytes = CALL, **headers: str) -> tuple[int, bytes, Any]:
    service, session, _ = served
    async with session.post(service.url, data=body, headers={"Content-Type": "application/json", **headers}) as answer:
        return answer.status, await answer.read(), answer.headers


async def test_json_rpc_over_http(served: Any) -> None:
    status, body, headers = await post(served)
    assert (status, orjson.loads(body)["result"]) == (200, hex(7331))
    assert headers["Content-Type"] == "application/json"
    assert "Access-Control-Allow-Origin" not in headers
    status, body, _ = await post(served, b"{nonsense")
    assert (status, orjson.loads(body)["error"]["code"]) == (200, -32700)
    status, body, _ = await post(served, b'{"jsonrpc":"2.0","method":"eth_chainId"}')
    assert (status, body) == (200, b"")


async def test_size_limit_with_and_without_a_length(served: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 1_000

    status, body, _ = await post(served, b" " * 100_001)
    assert (status, orjson.loads(body)["error"]["code"]) == (413, -32600)
    service, session, _ = served
    async with session.post(service.url, data=chunks()) as answer:
        assert answer.status == 413
        assert orjson.loads(await answer.read())["error"]["code"] == -32600
    assert (await post(served))[0] == 200


async def test_host_header_against_rebinding(served: Any) -> None:
    for host in (
        "localhost",
        "localhost:8545",
        "127.0.0.1:1",
        "[::1]:8545",
        "192.168.1.5",
        "node.example:8545",
        "x.localhost",
    ):
        assert (await post(served, Host=host))[0] == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example:8545", "localhost.evil.example"):
        assert (await post(served, Host=host))[0] == 403, host


async def test_cross_origin(served: Any) -> None:
    service, session, _ = served
    status, _, headers = await post(served, Origin="https://app.example")
    assert (status, headers["Access-Control-Allow-Origin"], headers["Vary"]) == (200, "https://app.example", "Origin")
    assert (await post(served, Origin="https://evil.example"))[0] == 403
    same = service.url
    assert (await post(served, Origin=same))[0] == 200
    async with session.options(service.url, headers={"Origin": "https://app.example"}) as answer:
        assert answer.status == 204
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
    async with session.options(service.url, headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403


def test_doorkeeper() -> None:
    assert [host_name(text) for text in ("A.b:1", "[::1]:5", "::1", "x")] == ["a.b", "::1", "::1", "x"]
    anyone = Doorkeeper(["*"], ["*"])
    assert anyone.host_allowed("evil.example")
    assert anyone.allowed_origin("https://x") == "*"
    nobody = Doorkeeper([], [])
    assert nobody.host_allowed(None)
    assert not nobody.host_allowed("name")
    assert nobody.allowed_origin("null") is None
    assert not nobody.may_post("null", "localhost")


async def test_health_metrics_and_other_paths(served: Any) -> None:
    service, session, devnet = served
    async with session.get(service.url + "/health") as answer:
        told = orjson.loads(await answer.read())
        assert (answer.status, told["status"], told["name"], told["head"]) == (200, "ok", "n0", 0)
    devnet.reason.append("no block for 60 s")
    async with session.get(service.url + "/health") as answer:
        told = orjson.loads(await answer.read())
        assert (answer.status, told["status"], told["reason"]) == (503, "unhealthy", "no block for 60 s")
    await post(served)
    async with session.get(service.url + "/metrics") as answer:
        text = await answer.text()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for line in ("evmesh_head_block_number 0.0", "evmesh_peers 1.0", 'evmesh_rpc_requests_total{method="eth_chainId"'):
        assert line in text
    for method, path, status in (("GET", "/", 200), ("GET", "/nope", 404), ("PUT", "/", 405), ("POST", "/health", 405)):
        async with session.request(method, service.url + path) as answer:
            assert answer.status == status


async def test_a_busy_port_is_named(served: Any) -> None:
    service, _, devnet = served
    host, port = service.address
    second = RpcService(devnet.backend, ServerConfig(host=host, port=port), Metrics())
    with pytest.raises(PortBusy, match=f"port {port} on 127.0.0.1 is in use"):
        await second.start()
    await second.stop()
    wrong = RpcService(devnet.backend, ServerConfig(host="203.0.113.7", port=0), Metrics())
    with pytest.raises(OSError, match=r"cannot listen on 203\.0\.113\.7:0"):
        await wrong.start()
    await wrong.stop()


async def test_stopping_lets_answers_out_and_frees_the_port(rpc: Any) -> None:
    devnet = rpc.make_devnet()
    service = RpcService(devnet.backend, ServerConfig(port=0), Metrics())
    await service.start()
    url, (_, port) = service.url, service.address
    async with aiohttp.ClientSession() as session:
        slow = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_call",
            "params": [{"to": "0x" + rpc.LOOPER.hex(), "gas": "0x493e0"}],
        }
        asked = asyncio.create_task(session.post(url, json=slow))
        await asyncio.sleep(0.02)
        await service.stop()
        answer = await asked
        assert "error" in orjson.loads(await answer.read())
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(url, json=slow)
    await service.stop()
    again = RpcService(devnet.backend, ServerConfig(port=port), Metrics())
    await again.start()
    await again.stop()
    devnet.backend.runtime.workers.close()
