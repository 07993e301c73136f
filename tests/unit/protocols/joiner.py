"""A node without blocks that joins a mesh by a state, and peers that lie to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from network.simulator.clocks import SkewedClock
from node.chain.chain import Chain
from node.consensus.bft.messages import ChainDomain
from node.consensus.bft.pivot import BftPivot
from node.consensus.journal import Journal
from node.consensus.pos.pivot import PosPivot
from node.consensus.pos.rules import PosRules
from node.consensus.signer import Secp256k1Key
from node.evm.interpreter import Interpreter
from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed, RequestRefused
from node.protocols.fast_sync import FastSync
from node.protocols.sources import Claim, Sources
from node.runtime.runtime import Runtime
from node.runtime.transport import TcpNetwork
from node.runtime.workers import InlineWorkers
from node.telemetry.logs import Log
from tests.driver_mesh import Cluster, MeshNode

BLOCKS_MIN = 2
LIARS = 3

Answer = Callable[[NodeId, bytes], Awaitable[bytes]]
Lie = Callable[[Answer, NodeId, bytes], Awaitable[bytes]]
"""``await lie(honest server, who asks, payload)``: what is answered instead."""


class Joiner:
    """Everything around one FastSync; ``lies[peer][name]`` answers in the peer's place."""

    def __init__(self, cluster: Cluster, node: MeshNode, claims: Callable[[], list[Claim]] | None = None) -> None:
        self.cluster = cluster
        self.node = node
        self.lies: dict[NodeId, dict[str, Lie]] = {}
        self.first_lies: tuple[str, Lie] | None = None
        """What the first three that are asked for something say instead of the truth."""
        self.liars: list[NodeId] = []
        self.asked: list[tuple[NodeId, str]] = []
        self.penalties: list[tuple[NodeId, int, str]] = []
        self.lines: list[str] = []
        self.dead_after: int | None = None
        """So many answers more, then nobody answers any more."""
        self.interrupt: tuple[int, asyncio.Event] | None = None
        """Set the event at so many requests."""
        loop: Any = asyncio.get_running_loop()
        clock = SkewedClock(loop, node.name)
        runtime = Runtime(clock, TcpNetwork(), InlineWorkers(1), lambda size: b"\x07" * size)
        log = Log(clock, node.name, "debug", write=self.lines.append)
        self.chain = Chain(node.database, node.genesis, Interpreter(), runtime, log)
        if node.key is not None:
            Journal(node.database, self.chain.genesis_hash, Secp256k1Key(node.key).address, self.chain.head.number)
        sources = Sources(claims or self.claims, self, clock, log, self._penalise)
        assert node.validators is not None
        if node.engine == "pos":
            genesis_ms = node.genesis.timestamp * 1000
            rules = PosRules(node.genesis.chain_id, self.chain.genesis_hash, node.validators, genesis_ms, 1000, 2)
            proof: Any = PosPivot(rules, self.chain.head, lambda: rules.slot_at(clock.now_ms()))
        else:
            proof = BftPivot(ChainDomain(node.genesis.chain_id, self.chain.genesis_hash), node.validators)
        self.proof = proof
        self.sync = FastSync(self.chain, proof, sources, runtime, log, 4, BLOCKS_MIN)

    def claims(self) -> list[Claim]:
        """The peers that are there."""
        return [Claim(one.node_id, one.head_number) for one in self.cluster.nodes if one is not self.node]

    def _penalise(self, peer: NodeId, points: int, why: str) -> None:
        self.penalties.append((peer, points, why))

    @property
    def blamed(self) -> list[NodeId]:
        """Who was found lying, each once."""
        return list(dict.fromkeys(peer for peer, _, _ in self.penalties))

    async def request(
        self, node_id: NodeId, name: str, payload: bytes, timeout_ms: int, answer_bytes_max: int = 2**24
    ) -> bytes:
        """As the switch's, over the mesh."""
        self.asked.append((node_id, name))
        if self.interrupt is not None and len(self.asked) >= self.interrupt[0]:
            self.interrupt[1].set()
        await asyncio.sleep(self.cluster.mesh.delay_ms / 1000)
        if self.dead_after is not None:
            self.dead_after -= 1
            if self.dead_after < 0:
                await asyncio.sleep(timeout_ms / 1000)
                raise RequestFailed("timed out")
        server = self.cluster.mesh.switches[node_id].servers[name]
        lie = self.lies.get(node_id, {}).get(name)
        if self.first_lies is not None and self.first_lies[0] == name:
            if node_id not in self.liars and len(self.liars) < LIARS:
                self.liars.append(node_id)
            if node_id in self.liars:
                lie = self.first_lies[1]
        try:
            if lie is not None:
                answer = await lie(server, self.node.node_id, payload)
            else:
                answer = await server(self.node.node_id, payload)
        except RequestRefused as refusal:
            raise RequestFailed(str(refusal)) from refusal
        if len(answer) > answer_bytes_max:
            self._penalise(node_id, -20, "too long")
            raise RequestFailed("too long")
        return answer

    async def become_node(self) -> None:
        """Start the node on the same database."""
        self.cluster.nodes.append(self.node)
        await self.node.start()


def silent(seconds: int = 10) -> Lie:
    """Says nothing until the asker gives up."""

    async def lie(server: Answer, peer: NodeId, payload: bytes) -> bytes:
        await asyncio.sleep(seconds)
        raise RequestFailed("timed out")

    return lie


def changed(change: Callable[[bytes], bytes]) -> Lie:
    """The honest answer, falsified."""

    async def lie(server: Answer, peer: NodeId, payload: bytes) -> bytes:
        return change(await server(peer, payload))

    return lie
