"""Nodes' switches under virtual time, on simulated links."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from network.faults.link_policy import LinkCondition, LinkPolicy
from network.simulator.clocks import SkewedClock
from network.simulator.entropy import seeded_entropy
from network.simulator.event_loop import NODE, VirtualTimeLoop
from network.simulator.links import SimulatedNetwork
from node.p2p.identity import Identity, NodeId
from node.p2p.peer_set import P2PConfig
from node.p2p.switch import Switch
from node.p2p.verdict import ACCEPT, Verdict
from node.runtime.runtime import Runtime
from node.runtime.transport import Connection
from node.runtime.workers import InlineWorkers
from node.telemetry.logs import Log

MS = 1_000_000


@dataclass
class Member:
    """One node of the world: its switch, what its handler of topic ``t`` saw, and its log."""

    name: str
    owner: str
    switch: Switch
    runtime: Runtime
    heard: list[tuple[str, bytes]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ups: list[str] = field(default_factory=list)
    judge: Callable[[bytes], Verdict] = lambda payload: ACCEPT

    @property
    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.heard]

    @property
    def peer_names(self) -> list[str]:
        return sorted(peer.name for peer in self.switch.peers())

    def log_text(self) -> str:
        return "\n".join(self.lines)


class World:
    """Up to nine nodes a, b, c, …; ``chain_of`` lets some live on another chain."""

    def __init__(self, seed: int = 1, delay_ms: float = 5.0) -> None:
        self.seed = seed
        self.loop = VirtualTimeLoop()
        self.policy = LinkPolicy(LinkCondition(delay_ms=delay_ms))
        self.network = SimulatedNetwork(self.loop, self.policy, seed, self)
        self.members: dict[str, Member] = {}
        self.names: dict[NodeId, str] = {}
        self.trace: list[str] = []
        self._runs = 0

    # the simulator's observer
    def on_frame(self, source: str, target: str, connection: int, frame: bytes) -> None:
        self.trace.append(f"{self.loop.now_ns} {source}>{target} {frame.hex()[:48]} {len(frame)}")

    def on_connection(self, source: str, target: str, connection: int, event: str) -> None:
        self.trace.append(f"{self.loop.now_ns} {source}>{target} {event}")

    def identity(self, name: str) -> Identity:
        return Identity(name.encode() * 32)

    def address(self, name: str) -> str:
        return f"10.0.0.{ord(name) - 96}:30303"

    def dial_string(self, name: str) -> str:
        return self.identity(name).dial_string(self.address(name))

    def runtime(self, name: str) -> Runtime:
        self._runs += 1
        owner = f"{name}#{self._runs}"
        door = self.network.door(name, owner, self.address(name).split(":")[0])
        clock = SkewedClock(self.loop, owner)
        runtime = Runtime(clock, door, InlineWorkers(), seeded_entropy(self.seed, owner))
        self._last_owner = owner
        return runtime

    def add(
        self, name: str, *bootnodes: str, chain: int = 1, up: bool = True, member: Member | None = None, **settings: Any
    ) -> Member:
        runtime = self.runtime(name)
        lines: list[str] = []
        config = P2PConfig(
            listen_address=self.address(name),
            bootnodes=tuple(self.dial_string(bootnode) for bootnode in bootnodes),
            **settings,
        )
        switch = Switch(
            config,
            self.identity(name),
            runtime,
            Log(runtime.clock, name, "debug", write=lines.append),
            hello=lambda: {"name": name, "chain_id": chain},
            check_hello=lambda theirs: None if theirs.get("chain_id") == chain else f"chain {theirs.get('chain_id')}",
        )
        made = Member(name, self._last_owner, switch, runtime, lines=lines)
        self.members[name] = made
        self.names[switch.node_id] = name

        async def on_topic(peer: NodeId, payload: bytes) -> Verdict:
            made.heard.append((self.names[peer], payload))
            return made.judge(payload)

        switch.gossip.subscribe("t", on_topic)
        switch.on_peer_up(lambda peer: made.ups.append(f"+{self.names[peer]}"))
        switch.on_peer_down(lambda peer: made.ups.append(f"-{self.names[peer]}"))
        if up:
            self.do(name, switch.start())
        return made

    def task(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = Context()
        context.run(NODE.set, self.members[name].owner if name in self.members else self._last_owner)
        return self.loop.create_task(coroutine, context=context)

    def do(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine as the node and give its result."""
        task = self.task(name, coroutine)
        assert self.loop.run_until(task.done, self.loop.now_ns + 60_000 * MS), f"{coroutine} does not end"
        return task.result()

    def wait(self, ms: int) -> None:
        self.loop.run_for(ms * MS)

    def until(self, condition: Callable[[], bool], ms: int = 20_000) -> None:
        assert self.loop.run_until(condition, self.loop.now_ns + ms * MS), "it does not come to pass"

    def kill(self, name: str) -> None:
        """As ``kill -9``."""
        owner = self.members[name].owner
        self.loop.crash(owner)
        self.network.kill(owner)

    def full_mesh(self, *names: str) -> None:
        self.until(lambda: all(len(self.members[name].switch.peers()) == len(names) - 1 for name in names))
        self.wait(500)  # neighbour lists

    def connection(self, name: str, target: str) -> Connection:
        """A bare connection of a stranger ``name`` to a member: no handshake yet."""
        runtime = self.runtime(name)
        connection: Connection = self.do(name, runtime.network.dial(self.address(target), 1000))
        return connection

    def close(self) -> None:
        self.network.mute()
        for name, member in self.members.items():
            if member.owner not in self.loop._dead:
                self.do(name, member.switch.stop())
        self.loop.bury()
        self.loop.close()
