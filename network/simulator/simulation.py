"""N whole nodes in one process under virtual time: the same ``Node`` that ``python -m node`` runs, behind other doors.

    with Simulation(seed=7) as simulation:
        simulation.start()
        simulation.run_until_height(10)
        simulation.crash("n3")
        ...
        simulation.trace.hash

Every head that moves is reported to the judge (network/invariants.py), which ends the run at the first thing that
must not be. Requests go to a node's JSON-RPC dispatcher directly, as part of that node's process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from typing import Any, Final, Self

from network.faults.link_policy import LinkCondition, LinkPolicy
from network.invariants import BlockFacts, Invariant, InvariantViolated, Judge
from network.simulator.blueprint import Blueprint, NodePlan, make_blueprint
from network.simulator.disk import SimulatedDatabase
from network.simulator.event_loop import NODE
from network.simulator.trace import Trace
from network.simulator.traffic import Traffic, request
from network.simulator.world import Machine, World
from node.chain.feed import Finalized, NewHead, News
from node.config import NodeConfig
from node.consensus.engine import Engine
from node.joining import Joining
from node.node import Node
from node.primitives.scalars import Address
from node.runtime.runtime import Runtime
from node.telemetry.logs import Log
from node.types.blocks import Block
from node.types.transactions import Transaction

QUIET_LINKS: Final = LinkCondition(delay_ms=5, jitter_ms=5)
"""A local network: what links do when no fault is on."""


class RequestRefused(RuntimeError):
    """A node answered a JSON-RPC request with an error."""

    def __init__(self, node: str, error: dict[str, Any]) -> None:
        super().__init__(f"{node}: {error.get('code')} {error.get('message')}")
        self.error = error


def facts_of(block: Block) -> BlockFacts:
    """A block as the judge takes it."""
    header = block.header
    transactions = tuple(bytes(transaction.hash) for transaction in block.transactions)
    senders = tuple((bytes(transaction.sender), transaction.nonce) for transaction in block.transactions)
    return BlockFacts(header.number, block.hash, header.parent_hash, header.state_root, transactions, senders)


class Simulation:
    """A cluster under one seed. A context manager: leaving it ends all nodes."""

    def __init__(
        self,
        seed: int,
        nodes: int = 4,
        *,
        blueprint: Blueprint | None = None,
        links: LinkCondition = QUIET_LINKS,
        shuffle: bool = True,
        trace_to: Callable[[str], object] | None = None,
        log_to: Callable[[str], object] | None = None,
    ) -> None:
        self.seed = seed
        self.blueprint = blueprint or make_blueprint(seed, nodes)
        self.world = World(seed, LinkPolicy(links), shuffle, trace_to)
        self._plans = {plan.name: plan for plan in self.blueprint.nodes}
        self._log_to = log_to or (lambda line: None)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.nodes: dict[str, Node] = {}
        self.sent: dict[bytes, Transaction] = {}
        self.refused: list[str] = []
        self.wrap_engine: Callable[[str, Engine], Engine] = lambda name, engine: engine
        """What stands around a node's engine, from its next start on."""
        self.judge = Judge(self.blueprint.genesis.block().hash, self.sent)
        self._touched: dict[Address, None] = dict.fromkeys(self.blueprint.genesis.alloc)
        for plan in self.blueprint.nodes:
            self.world.add_machine(plan.name)
        self._first_disks = {name: machine.disk for name, machine in self.world.machines.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self.world.close()

    @property
    def trace(self) -> Trace:
        """What happened, as a hash."""
        return self.world.trace

    @property
    def names(self) -> list[str]:
        """All nodes, running or not."""
        return list(self._plans)

    @property
    def now_ms(self) -> int:
        """Virtual milliseconds since the start."""
        return self.world.now_ms

    def live(self) -> list[str]:
        """Nodes that run and are not paused."""
        return [name for name, machine in self.world.machines.items() if name in self.nodes and not machine.paused]

    # ---- processes

    def start(self, *names: str) -> None:
        """Start these nodes, or all that are down; returns at once."""
        for name in names or [name for name, machine in self.world.machines.items() if not machine.is_up]:
            self.world.start(name, self._program(self._plans[name]))

    def _program(self, plan: NodePlan) -> Callable[[Machine, Runtime, SimulatedDatabase], Any]:
        async def run(machine: Machine, runtime: Runtime, database: SimulatedDatabase) -> None:
            name = machine.name
            genesis = self.blueprint.genesis
            log = Log(runtime.clock, name, plan.config.node.log_level, write=self._log_to)
            new_keys = machine.disk is self._first_disks[name]

            def made(config: NodeConfig) -> Node:
                node = Node(
                    config,
                    genesis,
                    runtime,
                    database,
                    log,
                    plan.node_key,
                    plan.validator_key,
                    lambda engine: self.wrap_engine(name, engine),
                    listen_http=False,
                    new_keys=new_keys,
                )
                self._report_start(name, node)
                node.chain.feed.subscribe(lambda news: self._on_news(name, news))
                return node

            def joined(config: NodeConfig) -> Node:
                node = self.nodes[name] = made(config)
                return node

            service: Node | Joining
            if plan.config.node.sync == "full" or new_keys:
                service = made(plan.config)
            else:
                keys = [plan.validator_key] if plan.validator_key else []
                service = Joining(plan.config, genesis, runtime, database, log, plan.node_key, keys, joined, False)
            try:
                await service.start()
                if isinstance(service, Node):
                    self.nodes[name] = service
                await service.wait_failed()
            finally:
                self.nodes.pop(name, None)
                await service.stop()

        return run

    def stop(self, *names: str) -> None:
        """Stop these nodes cleanly, or all."""
        for name in names or list(self.nodes):
            self.world.stop(name)

    def crash(self, name: str) -> None:
        """SIGKILL."""
        self.nodes.pop(name, None)
        self.world.crash(name)

    def cut_power(self, name: str) -> int:
        """The machine goes dark; returns how many undurable writes it lost."""
        self.nodes.pop(name, None)
        return self.world.cut_power(name)

    def restart(self, name: str) -> None:
        """SIGKILL where it runs, then start."""
        if self.world.machines[name].is_up:
            self.crash(name)
        self.start(name)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.world.pause(name)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.world.resume(name)

    def partition(self, *groups: Sequence[str]) -> None:
        """Cut every link between the groups."""
        self.world.partition(*(list(group) for group in groups))

    def heal(self) -> None:
        """Undo every cut."""
        self.world.heal()

    # ---- what nodes report

    def _report_start(self, name: str, node: Node) -> None:
        chain = node.chain
        blocks = [facts_of(block) for block in self._blocks(node)]
        self._judged(lambda: self.judge.on_restart(name, blocks, chain.finalized.number))

    def _on_news(self, name: str, news: News) -> None:
        if isinstance(news, NewHead):
            header = news.header
            self.trace.record(f"head {name} {header.number} {header.hash.hex()} {header.state_root.hex()}")
            added, removed = [facts_of(block) for block in news.added], [facts_of(block) for block in news.removed]
            self._judged(lambda: self.judge.on_head(name, added, removed))
            self._touched.update(dict.fromkeys(news.changed or ()))
            for block in news.added:
                self._touched[block.header.coinbase] = None
                for transaction in block.transactions:
                    self._touched.update(dict.fromkeys((transaction.sender, transaction.to or transaction.sender)))
        elif isinstance(news, Finalized):
            header = news.header
            self.trace.record(f"final {name} {header.number}")
            self._judged(lambda: self.judge.on_finalized(name, header.number, header.hash))

    def _judged(self, report: Callable[[], None]) -> None:
        try:
            report()
        except InvariantViolated as violation:
            self.world.fail(violation)  # ends the run; the node that reported knows nothing of judges

    @staticmethod
    def _blocks(node: Node) -> Iterable[Block]:
        for number in range(1, node.chain.head.number + 1):
            block = node.chain.block_by_number(number)
            assert block is not None, f"canonical block {number} is missing"
            yield block

    def check_same_chains(self, final: bool = False) -> int:
        """All live nodes have byte-equal blocks and receipts up to the lowest head; returns that height.

        ``final``: up to the lowest finalized block instead; heads may differ for a moment.
        """
        height: int = min((node.chain.finalized if final else node.chain.head).number for node in self.nodes.values())
        for number in range(1, height + 1):
            seen: dict[tuple[bytes, tuple[bytes, ...]], str] = {}
            for name, node in self.nodes.items():
                block = node.chain.block_by_number(number)
                assert block is not None, f"{name} lacks block {number}"
                receipts = node.chain.receipts_of(block.hash)
                assert receipts is not None, f"{name} lacks the receipts of block {number}"
                seen.setdefault((block.encode(), tuple(receipt.encode() for receipt in receipts)), name)
            assert len(seen) == 1, f"block {number} differs: {list(seen.values())}"
        return height

    def check_supply(self, name: str) -> int:
        """All accounts that ever changed hold what genesis gave less what was burnt, at a node's finalized block.

        Wei. Raises InvariantViolated: wei came from nowhere, or went where no account is known.
        """
        chain = self.nodes[name].chain
        expected = sum(account.balance for account in self.blueprint.genesis.alloc.values())
        for number in range(1, chain.finalized.number + 1):
            header = chain.header_by_number(number)
            assert header is not None, f"{name} lacks block {number}"
            expected -= (header.base_fee_per_gas or 0) * header.gas_used
        view = chain.view_at(chain.finalized)
        held = (view.account(address) for address in self._touched)
        total = sum(account.balance for account in held if account is not None)
        if total != expected:
            number = chain.finalized.number
            raise InvariantViolated(Invariant.SUPPLY, f"{name} has {total} wei at block {number}, not {expected}")
        return expected

    # ---- time

    def height(self, name: str) -> int:
        """A running node's head; -1 while it is down."""
        node = self.nodes.get(name)
        return node.chain.head.number if node else -1

    def run_until(self, condition: Callable[[], bool], timeout_ms: int = 60_000) -> bool:
        """Let time pass until the condition holds; False when the timeout comes first."""
        return self.world.run_until(condition, timeout_ms)

    def run_for(self, duration_ms: int) -> None:
        """Let time pass."""
        self.world.run_for(duration_ms)

    def run_until_height(self, height: int, timeout_ms: int = 60_000, names: Sequence[str] = ()) -> bool:
        """Until every named node (or every one that is up) has a head of at least ``height``."""

        def reached() -> bool:
            wanted = names or [name for name, machine in self.world.machines.items() if machine.is_up]
            return all(self.height(name) >= height for name in wanted)

        return self.run_until(reached, timeout_ms)

    # ---- requests

    async def ask(self, name: str, method: str, *params: Any) -> Any:
        """A node's answer to a JSON-RPC request. Raises RequestRefused."""
        body = json.dumps(request(method, params)).encode()
        answer = json.loads(await self.nodes[name].rpc.dispatcher.call(body))
        if "error" in answer:
            raise RequestRefused(name, answer["error"])
        return answer["result"]

    def rpc(self, name: str, method: str, *params: Any) -> Any:
        """As ``ask``, while the world goes on."""
        return self.world.run(self.ask(name, method, *params), on=name)

    def submit(self, name: str, transaction: Transaction) -> None:
        """eth_sendRawTransaction, without waiting for the answer; refusals are kept in ``refused``."""
        self.sent[bytes(transaction.hash)] = transaction

        async def send() -> None:
            try:
                await self.ask(name, "eth_sendRawTransaction", "0x" + transaction.encode().hex())
            except RequestRefused as refusal:
                self.refused.append(str(refusal))

        context = Context()
        context.run(NODE.set, self.world.machines[name].owner)
        self._keep(self.world.loop.create_task(send(), name=f"submit/{name}", context=context))

    def is_included(self, transaction_hash: bytes) -> bool:
        """Whether some node's chain has the transaction."""
        return self.judge.inclusion_of(transaction_hash) is not None

    def traffic(self, per_second: float = 5.0, until: Callable[[], bool] = lambda: False) -> Traffic:
        """Users that send from now on."""
        users = Traffic(self, self.seed, self.blueprint.genesis.chain_id, self.blueprint.accounts, per_second)
        self._keep(self.world.loop.create_task(users.run(until), name="traffic", context=Context()))
        return users

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(self._ended, context=Context())

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.world.fail(error)
