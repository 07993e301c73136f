"""Some hundreds of requests of the fuzz campaign (tests/rpc_fuzz.py) to a node in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from node.rpc.backend import RpcLimits
from node.rpc.server import ServerConfig
from node.rpc.service import RpcService
from node.telemetry.metrics import Metrics
from tests.rpc_fuzz import Fuzz, Wrong, check
from tests.rpc_fuzz_maker import Maker


async def test_nothing_breaks_a_node_that_listens(rpc: Any) -> None:
    devnet = rpc.make_devnet(replace(RpcLimits(), call_time_ms=1_000, trace_time_ms=1_000))
    await devnet.mine()
    service = RpcService(devnet.backend, ServerConfig(port=0), Metrics())
    await service.start()
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        fuzz = Fuzz(service.url, 5, session)
        await fuzz.run(600)
    await service.stop()
    devnet.backend.runtime.workers.close()
    assert fuzz.wrong == []
    assert [line for line in devnet.lines if "ERROR" in line] == []
    assert fuzz.outcomes["result"] > 50
    assert fuzz.outcomes["-32602"] > 50
    assert fuzz.outcomes["-32700"] > 5


def test_one_seed_is_one_run() -> None:
    first, second = Maker(3), Maker(3)
    assert [first.body() for _ in range(100)] == [second.body() for _ in range(100)]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        b"[]x",
        b'{"id":1,"result":1}',
        b'{"jsonrpc":"2.0","id":2,"result":1}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"more":1}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":""}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"","why":1}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"internal error"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"Traceback (most recent call last)"}}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"cannot open /tmp/x/db"}}',
    ],
)
def test_what_the_campaign_would_notice(answer: bytes) -> None:
    asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
    assert check(b"", asked, b'{"jsonrpc":"2.0","id":1,"result":1}') == {"result": 1}
    with pytest.raises(Wrong):
        check(json.dumps(asked).encode(), asked, answer)
