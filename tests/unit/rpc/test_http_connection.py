"""The short way of a request over a raw socket: what it answers, and what it leaves to aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, ClassVar

import orjson
import pytest

from node.rpc import http_port
from node.rpc.backend import RpcLimits
from node.rpc.host_check import Doorkeeper
from node.rpc.http_connection import HEADS_KEPT, Heads
from node.rpc.server import ServerConfig
from node.rpc.service import RpcService
from node.telemetry.metrics import Metrics

CALL = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
ANSWER = {"jsonrpc": "2.0", "id": 1, "result": hex(7331)}


def post(body: bytes = CALL, *headers: bytes, start: bytes = b"POST / HTTP/1.1", host: bytes = b"localhost") -> bytes:
    lines = [start, b"Host: " + host, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.fixture
async def port(rpc: Any) -> AsyncIterator[Any]:
    devnet = rpc.make_devnet(replace(RpcLimits(), request_bytes_max=100_000, connections_max=4))
    service = RpcService(devnet.backend, ServerConfig(port=0), Metrics())
    await service.start()
    Wire.opened.clear()
    yield service
    for wire in Wire.opened:
        wire.close()
        with contextlib.suppress(ConnectionError):
            await wire.writer.wait_closed()
    await service.stop()
    devnet.backend.runtime.workers.close()


class Wire:
    """A client that says exactly what it is told to."""

    opened: ClassVar[list[Wire]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, service: RpcService) -> Wire:
        made = cls(*await asyncio.open_connection(*service.address))
        cls.opened.append(made)
        return made

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = head.rstrip().split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        return int(first.split()[1]), headers, await self.reader.readexactly(int(headers.get(b"content-length", 0)))

    async def ask(self, raw: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        self.writer.write(raw)
        return await self.answer()

    async def ended(self) -> bool:
        return await self.reader.read(1) == b""

    def close(self) -> None:
        self.writer.close()


def ours(service: RpcService) -> int:
    """Connections that aiohttp has not got."""
    return len(service._server._port._connections)


async def test_a_plain_request_and_the_next(port: Any) -> None:
    wire = await Wire.to(port)
    for _ in range(3):
        status, headers, body = await wire.ask(post())
        assert (status, orjson.loads(body)) == (200, ANSWER)
        assert headers[b"content-type"] == b"application/json"
        assert headers[b"date"].endswith(b" GMT")
    assert ours(port) == 1
    assert port._server._port._requests == 0


async def test_bytes_in_any_pieces(port: Any) -> None:
    wire = await Wire.to(port)
    raw = post()
    for size in (1, 7, 50):
        for at in range(0, len(raw), size):
            wire.writer.write(raw[at : at + size])
            await asyncio.sleep(0)
        assert orjson.loads((await wire.answer())[2]) == ANSWER
    assert ours(port) == 1


async def test_many_at_once_are_answered_in_order(port: Any, rpc: Any) -> None:
    wire = await Wire.to(port)
    bodies = []
    for number in range(60):
        wait = number % 7 == 3  # some have to wait for the lane
        method, params = ("eth_estimateGas", [{"to": "0x" + rpc.OTHER.hex()}]) if wait else ("eth_chainId", [])
        bodies.append(orjson.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
    wire.writer.write(b"".join(post(body) for body in bodies))
    told = [orjson.loads((await wire.answer())[2]) for _ in bodies]
    assert [one["id"] for one in told] == list(range(60))
    assert {one["result"] for one in told} == {hex(7331), "0x5208"}
    assert ours(port) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (post(start=b"POST / HTTP/1.0"), 200),
        (post(start=b"GET /health HTTP/1.1", body=b""), 200),
        (post(start=b"PUT / HTTP/1.1"), 405),
        (post(start=b"POST /nope HTTP/1.1"), 404),
        (post(start=b"nonsense"), 400),
        (post(host=b"evil.example"), 403),
        (post(CALL, b"Origin: https://evil.example"), 403),
        (post(CALL, b"Connection: close"), 200),
        (post(CALL, b"X-Something: else"), 200),
        (post(CALL, b"Content-Length: 1"), 400),
        (post(CALL, b"Host: localhost"), 400),
        (post(CALL, b"Spaced : name"), 400),
        (post(CALL, b"NoColon"), 400),
        (post(CALL, b"Accept: a\nb"), 400),
        (post(CALL, b"Accept: a\0b"), 400),
        (post(CALL, b"Content-Encoding: gzip"), 400),
        (post(b" " * 100_001), 413),
        (post(CALL, b"Accept: " + b"a" * 9_000), 400),
        (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(CALL), CALL),
            200,
        ),
    ],
    ids=range(19),
)
async def test_the_unusual_is_answered_by_aiohttp(port: Any, raw: bytes, status: int, capfd: Any) -> None:
    wire = await Wire.to(port)
    assert orjson.loads((await wire.ask(post()))[2]) == ANSWER  # a connection may begin plain
    told, _, body = await wire.ask(raw)
    assert told == status
    if status == 200 and b"/health" not in raw:
        assert orjson.loads(body) == ANSWER
    assert ours(port) == 0
    assert "Traceback" not in capfd.readouterr().err  # nobody may fill the node's log with his nonsense


async def test_a_line_feed_alone_ends_no_header(port: Any) -> None:
    heads = Heads(Doorkeeper([], []), 100)
    assert heads.length(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2") is None  # not a host that may come
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2") == 2
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101") is None
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2") is None
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length:") is None
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost") is None
    assert heads.length(b"POST / HTTP/1.1\r\nContent-Length: 2") is None
    assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\nContent-Length: 2\r\nContent-Length: 2") is None
    for number in range(2 * HEADS_KEPT):
        assert heads.length(b"POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %d\r\nContent-Length: 2" % number) == 2
    assert len(heads._known) == HEADS_KEPT


async def test_at_most_so_many_at_once(port: Any) -> None:
    for _ in range(4):
        assert port._server._port.enter()
    wire = await Wire.to(port)
    assert (await wire.ask(post()))[0] == 503
    for _ in range(4):
        port._server._port.leave()
    assert (await wire.ask(post()))[0] == 200


async def test_at_most_so_many_connections(port: Any) -> None:
    wires = [await Wire.to(port) for _ in range(4)]
    await wires[0].ask(post())
    assert (await wires[1].ask(post(start=b"GET /health HTTP/1.1", body=b"")))[0] == 200  # aiohttp's count too
    with contextlib.suppress(ConnectionError):
        assert await (await Wire.to(port)).ended()
    wires[1].close()
    async with asyncio.timeout(10):
        while port._server._handed_over():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    assert (await (await Wire.to(port)).ask(post()))[0] == 200


async def test_a_client_that_leaves_is_forgotten(port: Any, rpc: Any) -> None:
    wire = await Wire.to(port)
    raw = "0x" + rpc.Devnet.signed(SimpleNamespace(nonces={})).encode().hex()
    waits = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransactionSync", "params": [raw, "0x32"]}  # in no block
    wire.writer.write(post(orjson.dumps(waits)))
    shared = port._server._port
    async with asyncio.timeout(10):
        while not shared._requests:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
        wire.close()
        await shared._all_left.wait()
        while shared._requests:  # noqa: ASYNC110 - the answer is made and thrown away
            await asyncio.sleep(0.001)


async def test_a_client_that_does_not_read_gets_no_further_answers(port: Any) -> None:
    wire = await Wire.to(port)
    wire.writer.write(post())
    await wire.answer()
    (connection,) = port._server._port._connections
    connection.pause_writing()
    wire.writer.write(post() * 3)
    await asyncio.sleep(0.05)
    assert connection.answered == 1
    wire.writer.write(b" " * 100_000)
    await asyncio.sleep(0.05)
    assert not connection._transport.is_reading()
    connection.resume_writing()
    assert [orjson.loads((await wire.answer())[2]) for _ in range(3)] == [ANSWER] * 3


async def test_idle_connections_are_closed(port: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "KEEPALIVE_SECONDS", 0.02)
    silent, talking = await Wire.to(port), await Wire.to(port)
    silent.writer.write(post()[:-5])
    await talking.ask(post())
    port._server._port._close_idle()
    port._server._port._look.cancel()
    await talking.ask(post())
    port._server._port._close_idle()
    assert await silent.ended()
    assert orjson.loads((await talking.ask(post()))[2]) == ANSWER


async def test_a_websocket_on_a_connection_that_posted_before(port: Any) -> None:
    wire = await Wire.to(port)
    await wire.ask(post())
    wire.writer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
