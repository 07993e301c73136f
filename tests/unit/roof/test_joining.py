"""A node that joins by a state over real sockets: what clients are told meanwhile, and that it becomes a node."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from network.simulator.blueprint import make_blueprint
from node import joining
from node.config import ConfigError
from node.joining import Joining
from node.node import Node
from node.p2p.requests import RequestFailed
from node.protocols.sources import Sources
from node.runtime.runtime import system_runtime
from node.storage.database import MemoryDatabase
from node.telemetry.logs import Log

HEIGHT = 10


def _config(plan, bootnodes=(), sync="full", port=0):
    return replace(
        plan.config,
        node=replace(plan.config.node, sync=sync, evm="plain"),
        p2p=replace(plan.config.p2p, listen="127.0.0.1:0", bootnodes=bootnodes),
        rpc=replace(plan.config.rpc, port=port),
    )


class World:
    """One validator that makes blocks, and whoever joins it."""

    def __init__(self, engine="bft"):
        self.blueprint = make_blueprint(1, nodes=2, weights=[3, 1], block_time_ms=50, engine=engine)
        self.lines = []
        self.started = []

    def _node(self, plan, config, runtime, database):
        log = Log(runtime.clock, plan.name, "info", write=self.lines.append)
        return Node(config, self.blueprint.genesis, runtime, database, log, plan.node_key, plan.validator_key)

    async def validator(self):
        plan = self.blueprint.nodes[0]
        node = self._node(plan, _config(plan), system_runtime(), MemoryDatabase())
        await self._start(node)
        await _until(lambda: node.head.number >= HEIGHT)
        return node

    async def joiner(self, *bootnodes, database=None):
        plan = self.blueprint.nodes[1]
        runtime, database = system_runtime(), database or MemoryDatabase()
        log = Log(runtime.clock, plan.name, "info", write=self.lines.append)
        one = Joining(
            _config(plan, bootnodes, "fast"),
            self.blueprint.genesis,
            runtime,
            database,
            log,
            plan.node_key,
            [plan.validator_key],
            lambda config: self._node(plan, config, runtime, database),
        )
        await self._start(one)
        return one

    async def _start(self, service):
        self.started.append(service)
        await service.start()

    async def stop(self):
        for service in reversed(self.started):
            await service.stop()


@pytest.fixture
async def world(monkeypatch):
    monkeypatch.setattr(joining, "BLOCKS_MIN", HEIGHT // 2)
    one = World()
    yield one
    await one.stop()


async def _ask(url, method, *parameters):
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}) as response,
    ):
        return await response.json()


async def _until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def _url(ready_line):
    return ready_line.split()[1].removeprefix("http=")


async def test_it_becomes_a_node_on_the_same_ports(world):
    validator = await world.validator()
    one = await world.joiner(validator.switch.dial_string)
    ready = one.ready_line()
    await _until(lambda: one.node is not None and one.node.head.number > HEIGHT + 2)
    assert one.node.chain.state_from >= HEIGHT // 2
    assert one.ready_line() == ready
    # its log is new, not lost: it has asked where the others stand, and votes by now
    await _until(lambda: one.node.driver.inspect()["voting"])
    assert (await _ask(_url(ready), "eth_syncing"))["result"] is False
    number = hex(one.node.head.number)
    theirs, ours = [await _ask(url, "eth_getBlockByNumber", number, False) for url in (validator.rpc.url, _url(ready))]
    assert ours["result"] == theirs["result"]


async def test_what_clients_are_told_meanwhile(world, monkeypatch):
    go_on = asyncio.Event()
    ask = Sources.ask

    async def slow(self, peer, name, *more):
        await go_on.wait() if name == "state/1" else None
        return await ask(self, peer, name, *more)

    monkeypatch.setattr(Sources, "ask", slow)
    validator = await world.validator()
    one = await world.joiner(validator.switch.dial_string)
    url = _url(one.ready_line())
    await _until(lambda: one.inspect()["syncing"] is not None)
    told = (await _ask(url, "eth_syncing"))["result"]
    assert told["startingBlock"] == told["currentBlock"] == "0x0"
    assert int(told["highestBlock"], 16) >= HEIGHT // 2
    status = (await _ask(url, "evmesh_status"))["result"]
    assert (status["role"], status["health"]) == ("joining", "joins the network: fetches a state")
    raw = "0x" + world.blueprint.accounts[0].address.hex()
    assert (await _ask(url, "eth_getBalance", raw, "latest"))["result"] == hex(10_000 * 10**18)
    async with aiohttp.ClientSession() as session:
        async with session.get(url + "/health") as response:
            assert response.status == 503
        async with session.get(url + "/metrics") as response:
            assert 'evmesh_fast_sync{what="pivots"} 1.0' in await response.text()
    go_on.set()
    await _until(lambda: one.node is not None and one.node.head.number > HEIGHT)


async def test_stopped_in_the_middle_it_goes_on_later(world, monkeypatch):
    database = MemoryDatabase()
    ask = Sources.ask
    asked = []

    async def broken(self, peer, name, *more):
        asked.append(name)
        if name == "recent/1":
            raise RequestFailed("not now")
        return await ask(self, peer, name, *more)

    monkeypatch.setattr(Sources, "ask", broken)
    validator = await world.validator()
    one = await world.joiner(validator.switch.dial_string, database=database)
    await _until(lambda: "recent/1" in asked)
    await world.started.pop().stop()
    assert one.node is None
    monkeypatch.setattr(Sources, "ask", ask)
    again = await world.joiner(validator.switch.dial_string, database=database)
    await _until(lambda: again.node is not None and again.node.head.number > HEIGHT)
    # a node that has blocks is one at once, whatever its configuration says
    await world.started.pop().stop()
    third = await world.joiner(validator.switch.dial_string, database=database)
    assert third.node is not None
    assert third.node.head.number >= again.node.head.number


async def test_nobody_to_ask_is_no_reason_to_wait_long(world, monkeypatch):
    monkeypatch.setattr(joining, "BLOCKS_MIN", 10**6)
    validator = await world.validator()
    one = await world.joiner(validator.switch.dial_string)
    await _until(lambda: one.node is not None and one.node.head.number >= HEIGHT)
    assert one.node.chain.state_from == 0
    assert any("nobody is far ahead" in line for line in world.lines)


@pytest.mark.parametrize("changes", [{"dev": True}, {"engine": "instant"}])
def test_networks_it_is_not_for(changes):
    plan = make_blueprint(1, nodes=2).nodes[1]
    genesis = make_blueprint(1, nodes=2).genesis
    genesis = replace(genesis, consensus=replace(genesis.consensus, **changes))
    config = replace(_config(plan, sync="fast"), consensus=replace(plan.config.consensus, engine=""))
    runtime = system_runtime()
    with pytest.raises(ConfigError, match=r"node\.sync"):
        Joining(config, genesis, runtime, MemoryDatabase(), Log(runtime.clock, "x"), bytes(32), [], lambda _: None)
    runtime.workers.close()
