"""A network for programs under virtual time: whole nodes in this process, whose clock is a number.

Everything follows the seed: the same test with the same seed is the same run, byte for byte. Waiting costs no time
of ours; requests and what the test does between them happen at one instant of the nodes' time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import orjson

from network.client import Ask, NodeClient, NodeUnreachable, ask_in_turn
from network.failures import BadInput, Disagreement, Failure, TimedOut
from network.faults.kinds import KINDS
from network.faults.liar import LIES
from network.faults.vocabulary import FaultAction, Plan
from network.invariants import InvariantViolated
from network.lab.members import Node
from network.lab.net import Net, Which
from network.manifest import Manifest
from network.simulator.level2 import FaultDriver, blueprint_simulation
from network.simulator.scenario import Scenario
from network.simulator.simulation import Simulation
from node.rpc.errors import RpcError as RefusedRequest
from node.rpc.eth_transactions import decoded

T = TypeVar("T")

LOG_LINES: Final = 30
STEP_MS: Final = 50
"""Between two looks at a condition."""
CONNECT_MS: Final = 10_000
REQUEST_MS: Final = 20
"""What a request costs: who asks again and again (web3.py waits so for a receipt) sees time pass."""
SENDING: Final = ("eth_sendRawTransaction", "eth_sendRawTransactionSync")
SETTINGS: Final = ("nodes", "consensus", "block_time", "slots_per_epoch")
"""Of the manifest's; the others are about files and ports, which there are none of."""


class SimulatedClient(NodeClient):
    """A node's JSON-RPC dispatcher, asked without a socket."""

    def __init__(self, net: SimulatedNet, name: str) -> None:
        super().__init__("http://simulated", name)
        self._net = net

    def _exchange(self, verb: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        return self._net.exchange(self.name, body)


class SimulatedNet(Net):
    """A network of simulated nodes. To be used from one thread."""

    _ask: Ask = staticmethod(ask_in_turn)

    def __init__(self, scenario: Scenario) -> None:
        self.simulation: Simulation = blueprint_simulation(scenario)
        self._driver = FaultDriver(self.simulation, scenario)
        self._lies = {(action.targets[0], action.kind): action for action in scenario.faults.actions}
        self._closed = False
        accounts = self.simulation.blueprint.accounts
        super().__init__(
            [
                Node(index, name, None, SimulatedClient(self, name), accounts)
                for index, name in enumerate(self.simulation.names)
            ],
            accounts,
            self.simulation.blueprint.genesis.chain_id,
        )
        self.simulation.start()

    @property
    def now_ms(self) -> int:
        """Virtual milliseconds since the start."""
        return self.simulation.now_ms

    @property
    def trace_hash(self) -> str:
        """What has happened so far, as one number: equal for equal runs."""
        return self.simulation.trace.hash

    @property
    def running(self) -> tuple[Node, ...]:
        """Nodes that can be asked: neither killed nor paused."""
        live = self.simulation.live()
        return tuple(node for node in self.nodes if node.name in live)

    def exchange(self, name: str, body: bytes | None) -> tuple[int, bytes]:
        """A node's answer to the body of a request. Raises NodeUnreachable."""
        if name not in self.simulation.live():
            raise NodeUnreachable(f"{name} does not answer", "it was killed or paused; restart() or resume() it")
        if body is None:
            return 200, b"ok"
        self._note_sent(body)
        self.sleep(REQUEST_MS / 1000)
        node = self.simulation.nodes.get(name)
        if node is None:
            raise NodeUnreachable(f"{name} ended just now", "restart() starts it again")
        return 200, self._judged(lambda: self.simulation.world.run(node.rpc.dispatcher.call(body), on=name))

    def _note_sent(self, body: bytes) -> None:
        """The judge asks of every transaction in a block who sent it."""
        document = orjson.loads(body)
        for request in document if isinstance(document, list) else [document]:
            if request["method"] in SENDING and request["params"]:
                with suppress(ValueError, RefusedRequest):  # the node will say so
                    sent, _ = decoded(bytes.fromhex(str(request["params"][0]).removeprefix("0x")))
                    self.simulation.sent[sent.hash] = sent

    def wait_until(
        self, condition: Callable[[], bool], seconds: float | None = None, what: str = "the condition"
    ) -> None:
        """Let virtual time pass until the condition holds. Raises TimedOut."""
        limit = self.wait_seconds if seconds is None else seconds
        deadline = self.now_ms + round(1000 * limit)
        while True:
            with suppress(NodeUnreachable):
                if condition():
                    return
            if self.now_ms >= deadline:
                raise TimedOut(f"{what}: not within {limit:g} simulated s")
            self.sleep(STEP_MS / 1000)

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._judged(lambda: self.simulation.run_for(round(1000 * seconds)))

    def begin(self, fault: FaultAction) -> None:
        """Put a fault on. Raises Failure."""
        for name in fault.targets:
            if fault.kind in ("crash", "pause") and self[name] not in self.running:
                raise Failure(f"{name} is not running", "restart() starts it")
        if fault.kind == "twins":
            raise BadInput("a simulated network has its twins from the start or never", "use --evmesh-on=processes")
        if fault.kind not in LIES:
            self._driver.begin(fault)
            return
        for name in fault.targets:
            told = self._lies[name, fault.kind]
            self._driver.begin(told)
            self._driver.set_share(name, told, fault.share())

    def end(self, fault: FaultAction) -> None:
        """End a fault that lasts. Raises Failure."""
        for name in fault.targets if fault.kind in LIES else ():
            self._driver.end(self._lies[name, fault.kind])
        if fault.kind not in LIES:
            self._driver.end(fault)

    def _cut(self, faults: Sequence[FaultAction]) -> None:
        for fault in self._driver.on:
            if fault.kind in ("partition", "one-way-partition", "bridge"):
                self._driver.end(fault)
        for fault in faults:
            self._driver.begin(fault)

    def heal(self) -> None:
        """End every fault of the links: cuts, delays, losses. Nodes that were killed come back with ``restart``."""
        self._driver.heal_links()

    def restart(self, which: Which, wait: bool = True) -> None:
        """Start a node anew (killing it first where it runs); with ``wait`` until it has the others' head."""
        node = self[which]
        if self.simulation.world.machines[node.name].is_up:
            self.simulation.crash(node.name)
        for fault in self._driver.on:
            if fault.kind in ("crash", "pause") and fault.targets == (node.name,):
                self._driver.end(fault)
        if not self.simulation.world.machines[node.name].is_up:
            self.simulation.start(node.name)
        self.wait_until(lambda: node in self.running, what=f"{node.name} runs")
        if wait:
            self._catch_up(node)

    def honest(self, which: Which) -> None:
        """End a node's lies."""
        name = self[which].name
        for fault in self._driver.on:
            if KINDS[fault.kind].is_byzantine and name in fault.targets:
                self._driver.end(fault)

    def wait_connected(self) -> None:
        """Wait until every node has all others as peers. Raises TimedOut."""
        self.wait_until(lambda: len(self.running) == len(self), CONNECT_MS / 1000, "all nodes started")
        wanted = len(self) - 1
        self.wait_until(
            lambda: all(node.client.peer_count() >= wanted for node in self.nodes), CONNECT_MS / 1000, "all peers found"
        )

    def newest(self, lines: int = LOG_LINES) -> str:
        """What happened last, for the report of a failure."""
        return "\n".join([f"--- trace {self.trace_hash[:16]}", *list(self.simulation.trace.newest)[-lines:]])

    def close(self, check: bool = True) -> None:
        """End everything. Broken promises were raised when they broke."""
        if not self._closed:
            self._closed = True
            self.simulation.close()

    def _judged(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except InvariantViolated as broken:
            raise Disagreement(str(broken), f"the same again with seed {self.simulation.seed}") from broken


def start_simulated(settings: Mapping[str, Any], seed: int = 1) -> SimulatedNet:
    """Start a simulated network. Raises BadInput for settings that mean nothing there."""
    for key in settings:
        if key not in SETTINGS:
            raise BadInput(f"the simulator has no {key}", f"it takes {', '.join(SETTINGS)}")
    engine = settings.get("consensus") or ("pos" if "slots_per_epoch" in settings else "bft")
    usual = {"consensus": engine, "block_time": 1.0 if engine == "pos" else 0.25}
    manifest = Manifest().with_values({**usual, **settings}, "Network").checked()
    names = manifest.node_names()
    scenario = Scenario(
        engine=manifest.consensus,
        seed=seed,
        nodes=manifest.nodes,
        block_time_ms=manifest.block_time,
        slot_ms=max(1000, manifest.block_time),
        slots_per_epoch=manifest.slots_per_epoch,
        delay_min_ms=2,
        delay_ms=10,
        keys=1,
    )
    # a liar stands around its engine from the start, and tells the truth until it is told otherwise
    lies = tuple(FaultAction(0, lie, (name,)) for name in names for lie in LIES)
    net = SimulatedNet(dataclasses.replace(scenario, faults=Plan(lies)))
    try:
        net.wait_connected()
    except BaseException:
        net.close()
        raise
    return net
