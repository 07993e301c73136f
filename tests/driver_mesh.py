"""Several consensus drivers over real chains and pools in virtual time; only the network is in memory.

Real: engine, driver, signer, log, codec with secp256k1, chain, EVM, pool, serving, sync. The mesh delivers
bytes between handlers exactly as the switch does: gossip to all peers, direct messages, requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from network.genesis import validator_account
from network.simulator.clocks import SkewedClock
from network.simulator.event_loop import VirtualTimeLoop
from node.chain.chain import Chain
from node.chain.feed import NewHead, News
from node.chain.genesis import Genesis, genesis_from_json
from node.consensus.assembly import bft_codec, bft_driver, instant_driver, pos_driver
from node.consensus.bft.messages import ChainDomain
from node.consensus.driver import ConsensusDriver
from node.consensus.pos.rules import PosRules
from node.consensus.signer import Secp256k1Key
from node.consensus.validator_contract import VALIDATOR_CONTRACT
from node.consensus.validators import Validator, ValidatorSet
from node.evm.interpreter import Interpreter
from node.execution.fees import base_fee
from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed, RequestRefused
from node.p2p.verdict import Handler, Verdict
from node.protocols.serving import DECIDED, Serving
from node.protocols.state_serving import HEADERS, RECENT, STATE, StateServing
from node.protocols.sync import Sync
from node.runtime.runtime import Runtime
from node.runtime.transport import TcpNetwork
from node.runtime.workers import InlineWorkers
from node.storage.database import MemoryDatabase
from node.telemetry.logs import Log
from node.txpool.pool import NextBlock, PoolConfig, TxPool
from node.types.transactions import Transaction
from tests.builders import address, genesis_json

KEYS = [bytes((index + 1,)) * 32 for index in range(8)]


class MeshSwitch:
    """What a node sees of the mesh: the switch's doors."""

    def __init__(self, mesh: Mesh, node_id: NodeId) -> None:
        self.mesh = mesh
        self.node_id = node_id
        self.gossip = self
        self.handlers: dict[str, Handler] = {}
        self.servers: dict[str, Callable[[NodeId, bytes], Coroutine[Any, Any, bytes]]] = {}
        self.ups: list[Callable[[NodeId], None]] = []
        self.downs: list[Callable[[NodeId], None]] = []
        self.penalties: list[tuple[NodeId, int, str]] = []
        self.verdicts: list[Verdict] = []

    def subscribe(self, topic: str, handler: Handler) -> None:
        assert topic not in self.handlers
        self.handlers[topic] = handler

    def publish(self, topic: str, payload: bytes) -> None:
        for peer in self.peer_ids():
            self.send(peer, topic, payload)

    def send(self, node_id: NodeId, topic: str, payload: bytes) -> bool:
        if node_id not in self.peer_ids():
            return False
        self.mesh.deliver(self.node_id, node_id, topic, payload)
        return True

    def peer_ids(self) -> list[NodeId]:
        return self.mesh.peers_of(self.node_id)

    def penalise(self, node_id: NodeId, points: int, why: str) -> None:
        self.penalties.append((node_id, points, why))

    def on_peer_up(self, callback: Callable[[NodeId], None]) -> None:
        self.ups.append(callback)

    def on_peer_down(self, callback: Callable[[NodeId], None]) -> None:
        self.downs.append(callback)

    async def request(
        self, node_id: NodeId, name: str, payload: bytes, timeout_ms: int, answer_bytes_max: int = 2**24
    ) -> bytes:
        if node_id not in self.peer_ids():
            raise RequestFailed("not connected")
        await asyncio.sleep(self.mesh.delay_ms / 1000)
        try:
            return await self.mesh.switches[node_id].servers[name](self.node_id, payload)
        except RequestRefused as refusal:
            raise RequestFailed(str(refusal)) from refusal


class Mesh:
    """Who is connected with whom, and how long a message takes."""

    def __init__(self, delay_ms: int = 5) -> None:
        self.delay_ms = delay_ms
        self.switches: dict[NodeId, MeshSwitch] = {}
        self.cut: dict[tuple[NodeId, NodeId], None] = {}
        self.tasks: dict[asyncio.Task[None], None] = {}

    def peers_of(self, node_id: NodeId) -> list[NodeId]:
        if node_id not in self.switches:
            return []
        return [other for other in self.switches if other != node_id and (node_id, other) not in self.cut]

    def join(self, switch: MeshSwitch) -> None:
        self.switches[switch.node_id] = switch
        for other in self.peers_of(switch.node_id):
            for callback in switch.ups:
                callback(other)
            for callback in self.switches[other].ups:
                callback(switch.node_id)

    def leave(self, node_id: NodeId) -> None:
        others = self.peers_of(node_id)
        del self.switches[node_id]
        for other in others:
            for callback in self.switches[other].downs:
                callback(node_id)

    def deliver(self, sender: NodeId, target: NodeId, topic: str, payload: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._carry(sender, target, topic, payload))
        self.tasks[task] = None
        task.add_done_callback(lambda done: self.tasks.pop(done, None))

    async def _carry(self, sender: NodeId, target: NodeId, topic: str, payload: bytes) -> None:
        await asyncio.sleep(self.delay_ms / 1000)
        switch = self.switches.get(target)
        if switch is not None and (sender, target) not in self.cut:
            switch.verdicts.append(await switch.handlers[topic](sender, payload))


class MeshNode:
    """One node: everything that consensus touches, for real."""

    def __init__(
        self,
        mesh: Mesh,
        index: int,
        genesis: Genesis,
        validators: ValidatorSet | None,
        *,
        key: bytes | None = None,
        block_time_ms: int = 1000,
        chain_class: type[Chain] = Chain,
        execution_ms: int = 5,
        engine: str = "bft",
    ) -> None:
        self.mesh = mesh
        self.name = f"n{index}"
        self.node_id = NodeId(bytes((index + 1,)) * 32)
        self.genesis = genesis
        self.validators = validators
        self.key = key
        self.block_time_ms = block_time_ms
        self.chain_class = chain_class
        self.execution_ms = execution_ms
        self.engine = engine
        self.database = MemoryDatabase()
        self.lines: list[str] = []
        self.decided_ms: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Boot from the database and join the mesh."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        clock = SkewedClock(loop, self.name)
        runtime = Runtime(clock, TcpNetwork(), InlineWorkers(self.execution_ms), lambda size: b"\x07" * size)
        log = Log(clock, self.name, "debug", write=self.lines.append)
        self.chain = self.chain_class(self.database, self.genesis, Interpreter(), runtime, log)
        self.pool = TxPool(PoolConfig(), self.genesis.chain_id)
        self._feed_pool(NewHead(self.chain.head, (), ()))
        self.chain.feed.subscribe(self._feed_pool)
        self.chain.feed.subscribe(lambda news: self._note_time(news, clock))
        self.switch = MeshSwitch(self.mesh, self.node_id)
        states = StateServing(self.chain, self.database, runtime)
        self.switch.servers |= {HEADERS: states.headers, STATE: states.state, RECENT: states.recent}
        jobs: list[Coroutine[Any, Any, None]] = []
        if self.validators is None:
            self.driver: ConsensusDriver = instant_driver(self.chain, self.pool, runtime, log, self.block_time_ms)
        elif self.engine == "pos":
            genesis_ms = self.genesis.timestamp * 1000
            rules = PosRules(self.genesis.chain_id, self.chain.genesis_hash, self.validators, genesis_ms, 1000, 2)
            keys = [] if self.key is None else [self.key]
            self.driver = pos_driver(rules, self.chain, self.pool, self.switch, self.database, runtime, log, keys)
        else:
            domain = ChainDomain(self.genesis.chain_id, self.chain.genesis_hash)
            codec = bft_codec(domain, self.validators, self.chain)
            self.driver = bft_driver(
                domain,
                self.validators,
                codec,
                self.chain,
                self.pool,
                self.switch,
                self.database,
                runtime,
                log,
                self.key,
                self.block_time_ms,
            )
            seals = bft_codec(domain, self.validators, self.chain)
            self.sync = Sync(self.chain, self.switch, self.driver, seals, runtime, log, self.switch.penalise)
            self.driver.on_peer_height = self.sync.note_height
            self.driver.on_decided = self.sync.note_decided
            self.driver.syncing = self.sync.progress
            self.switch.on_peer_down(self.sync.forget)
            self.switch.servers[DECIDED] = Serving(self.chain).serve
            jobs.append(self.sync.run())
        self.tasks = [loop.create_task(self.driver.run()), *(loop.create_task(job) for job in jobs)]
        self.mesh.join(self.switch)

    def _feed_pool(self, news: News) -> None:
        if not isinstance(news, NewHead):
            return
        header = news.header
        included = [tx for block in news.added for tx in block.transactions]
        following = NextBlock(base_fee(header), header.gas_limit)
        spec = self.chain.next_spec(header, header.timestamp + 1)
        self.pool.on_new_head(self.chain.view_at(header), spec, following, included)

    def _note_time(self, news: News, clock: SkewedClock) -> None:
        if isinstance(news, NewHead):
            self.decided_ms.append(clock.monotonic_ms())

    async def kill(self) -> None:
        """Gone at once; only the database stays."""
        self.mesh.leave(self.node_id)
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError):
                await task

    def add(self, tx: Transaction) -> None:
        """A client hands in a transaction here."""
        self.pool.add(tx, local=True)
        self.driver.pool_has_work()

    @property
    def head_number(self) -> int:
        return self.chain.head.number

    def told(self, text: str) -> list[str]:
        """Log lines that contain ``text``."""
        return [line for line in self.lines if text in line]


class Cluster:
    """Validators over one mesh."""

    def __init__(self, count: int = 4, contract: bool = False, **node_options: Any) -> None:
        """``contract``: the state holds the set, and test account 0 may change it."""
        self.mesh = Mesh()
        self.validators = ValidatorSet(Validator(Secp256k1Key(KEYS[index]).address) for index in range(count))
        document: Any = genesis_json()
        if contract:
            members = [(one.address, one.weight) for one in self.validators.validators]
            document["alloc"]["0x" + VALIDATOR_CONTRACT.hex()] = validator_account(address(0), members)
        self.genesis = replace(genesis_from_json(document), timestamp=1_800_000_000)
        self.nodes = [self.make(index, key=KEYS[index], **node_options) for index in range(count)]

    def make(self, index: int, **options: Any) -> MeshNode:
        return MeshNode(self.mesh, index, self.genesis, self.validators, **options)

    async def start(self) -> None:
        for node in self.nodes:
            await node.start()

    async def stop(self) -> None:
        for node in self.nodes:
            if node.node_id in self.mesh.switches:
                await node.kill()
        await asyncio.sleep(1)  # what is still on its way reaches nobody

    async def until(self, condition: Callable[[], bool], within_ms: int = 60_000) -> int:
        """Wait in virtual time; returns how long it took. AssertionError when it does not come true."""
        for waited in range(0, within_ms, 10):
            for node in self.nodes:
                for task in node.tasks:
                    if task.done() and not task.cancelled():
                        task.result()
            if condition():
                return waited
            await asyncio.sleep(0.01)
        raise AssertionError(f"not within {within_ms} ms; heads {[node.head_number for node in self.nodes]}")

    async def height(self, number: int, *nodes: MeshNode, within_ms: int = 60_000) -> int:
        """Wait until all (or these) nodes have a block."""
        return await self.until(lambda: all(node.head_number >= number for node in nodes or self.nodes), within_ms)

    def assert_agreement(self, *nodes: MeshNode) -> None:
        """Equal blocks at every common height."""
        self.assert_agreement_from(0, *nodes)

    def assert_agreement_from(self, first: int, *nodes: MeshNode) -> None:
        """Equal blocks at every common height from ``first`` on."""
        chosen = nodes or tuple(self.nodes)
        for number in range(first, min(node.head_number for node in chosen) + 1):
            hashes = [node.chain.canonical_hash(number) for node in chosen]
            assert hashes.count(hashes[0]) == len(hashes), f"different blocks at {number}"


def virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run a scenario in virtual time."""
    loop = VirtualTimeLoop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.bury()
        loop.close()
