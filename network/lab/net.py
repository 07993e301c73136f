"""A running network as an object: send, deploy, split, kill, lie, and wait until the nodes agree again.

Whatever carries it (real processes, or the simulator) does the faults and lets time pass; everything else is here,
over each node's JSON-RPC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Self

from network.accounts import Account, checksum_address
from network.client import Ask, NodeClient, RpcError, ask_all
from network.cluster.observer import Comparison, compare
from network.failures import BadInput, Failure, TimedOut
from network.faults.kinds import KINDS, BadPlan, Value
from network.faults.link_faults import partitions
from network.faults.vocabulary import FaultAction
from network.lab.members import Node, address_of
from network.load.contracts import Artifact, find_function, functions_of, load_artifact
from network.wallet import build, estimate_gas, reverted, suggest_fees
from node.primitives.scalars import Address

Which = Node | int | str
"""A node, its number or its name."""
Who = Account | int | bytes
"""An account: one of the funded ones, its number, or an address."""

LIES: Final = {
    "equivocate": "equivocating-proposer",
    "wrong-root": "wrong-state-root",
    "invalid-tx": "invalid-transaction",
    "withhold": "withheld-block",
    "silent": "silent-voter",
}
"""The short names of ``evmesh byz``; the others are called as in the table of faults."""


class Net(ABC):
    """A network that runs. A context manager: leaving it ends all nodes, and tells of a promise that broke."""

    wait_seconds: float = 30.0
    """How long the verbs that wait do so, where nothing else is said."""
    _ask: Ask = staticmethod(ask_all)

    def __init__(self, nodes: Sequence[Node], accounts: Sequence[Account], chain_id: int) -> None:
        self.nodes = tuple(nodes)
        self.accounts = tuple(accounts)
        self.chain_id = chain_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close(check=error is None)

    def __getitem__(self, which: Which) -> Node:
        if isinstance(which, Node):
            return which
        if isinstance(which, int) and -len(self.nodes) <= which < len(self.nodes):
            return self.nodes[which]
        for node in self.nodes:
            if node.name == which:
                return node
        raise BadInput(f"there is no node {which!r}", f"the nodes are {', '.join(node.name for node in self.nodes)}")

    def __len__(self) -> int:
        return len(self.nodes)

    # ---- what carries it

    @property
    @abstractmethod
    def running(self) -> tuple[Node, ...]:
        """Nodes that can be asked: neither killed nor paused."""

    @abstractmethod
    def wait_until(
        self, condition: Callable[[], bool], seconds: float | None = None, what: str = "the condition"
    ) -> None:
        """Let time pass until the condition holds. Raises TimedOut."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    @abstractmethod
    def begin(self, fault: FaultAction) -> None:
        """Put a fault on. Raises Failure."""

    @abstractmethod
    def end(self, fault: FaultAction) -> None:
        """End a fault that lasts. Raises Failure."""

    @abstractmethod
    def _cut(self, faults: Sequence[FaultAction]) -> None:
        """Let these cuts, and no others, lie between the nodes."""

    @abstractmethod
    def heal(self) -> None:
        """End every fault of the links: cuts, delays, losses. Nodes that were killed come back with ``restart``."""

    @abstractmethod
    def restart(self, which: Which, wait: bool = True) -> None:
        """Start a node anew (killing it first where it runs); with ``wait`` until it has the others' head."""

    @abstractmethod
    def honest(self, which: Which) -> None:
        """End a node's lies."""

    @abstractmethod
    def newest(self, lines: int = 15) -> str:
        """What happened last, for the report of a failure."""

    @abstractmethod
    def close(self, check: bool = True) -> None:
        """End everything. With ``check`` raises Disagreement where the network had broken a promise."""

    # ---- faults

    def split(self, *groups: Iterable[Which]) -> tuple[tuple[Node, ...], ...]:
        """Let nothing pass between the groups; nodes that no group names are one more. Returns all groups.

        Takes the place of an earlier split. Raises BadInput.
        """
        sides = [tuple(self[one] for one in group) for group in groups]
        named = [node.name for side in sides for node in side]
        if len(dict.fromkeys(named)) != len(named):
            raise BadInput(f"a node is in two groups: {', '.join(named)}")
        rest = tuple(node for node in self.nodes if node.name not in named)
        if rest:
            sides.append(rest)
        if len(sides) < 2 or not all(sides):
            raise BadInput("a split has two groups or more, none of them empty", "for example: net.split([0, 1])")
        self._cut(partitions([[node.name for node in side] for side in sides]))
        return tuple(sides)

    def fault(self, kind: str, *targets: Which, **parameters: Value) -> FaultAction:
        """Put any fault of the vocabulary on (``evmesh inject --help``); ``end`` takes it away. Raises BadInput.

        ``net.fault("delay", "n0", delay_ms=200)``, ``net.fault("clock-offset", 2, offset_ms=-3000)``
        """
        fault = _action(kind, [self[one].name for one in targets], parameters)
        self.begin(fault)
        return fault

    def kill(self, which: Which) -> None:
        """End a node as a crash would (SIGKILL): nothing is flushed, nobody is told."""
        self.fault("crash", which)

    def pause(self, which: Which) -> None:
        """Freeze a node (SIGSTOP): it holds its connections and says nothing."""
        self.fault("pause", which)

    def resume(self, which: Which) -> None:
        """Let a paused node go on."""
        self.end(_action("pause", [self[which].name], {}))

    def byz(self, which: Which, kind: str, share: float = 1.0) -> None:
        """Have a node lie on this share of the occasions, until ``honest``: equivocate, double-vote, silent, …

        Raises BadInput.
        """
        name = LIES.get(kind, kind)
        if name not in KINDS or not KINDS[name].is_byzantine:
            known = [*LIES, *(one for one, what in KINDS.items() if what.is_byzantine and one not in LIES.values())]
            raise BadInput(f"there is no lie called {kind!r}", f"known: {', '.join(known)}")
        shares = any(parameter.name == "share" for parameter in KINDS[name].parameters)
        self.fault(name, which, **({"share": share} if shares else {}))

    # ---- transactions

    def account(self, who: Who) -> Account:
        """One of the funded accounts. Raises BadInput."""
        if isinstance(who, Account):
            return who
        if isinstance(who, int) and 0 <= who < len(self.accounts):
            return self.accounts[who]
        for account in self.accounts:
            if account.address == who:
                return account
        raise BadInput(f"{who!r} is none of the {len(self.accounts)} funded accounts")

    def send(
        self,
        sender: Who = 0,
        to: Who | None = 1,
        value: int = 0,
        data: bytes = b"",
        *,
        node: Which | None = None,
        nonce: int | None = None,
        gas: int | None = None,
        abi: Sequence[dict[str, Any]] = (),
    ) -> str:
        """Sign a transaction of ``value`` wei and hand it to a node (the first that runs); its hash.

        Raises Failure with a revert's reason, RpcError for what the node refuses.
        """
        account, client = self.account(sender), self._node(node).client
        target = None if to is None else Address(address_of(to, self.accounts))
        limit = gas or (21_000 if target and not data else estimate_gas(client, account, target, value, data, abi))
        position = client.nonce(account.address) if nonce is None else nonce
        signed = build(account, self.chain_id, position, suggest_fees(client), limit, target, value, data)
        return client.send_raw(signed.encode())

    def deploy(self, artifact: str | Artifact, *arguments: Any, sender: Who = 0, node: Which | None = None) -> Contract:
        """Deploy a bundled contract by name, an artifact file, or an artifact; returns once it is in a block."""
        compiled = load_artifact(artifact) if isinstance(artifact, str) else artifact
        sent = self.send(sender, None, 0, compiled.creation_data(arguments), node=node, abi=compiled.abi)
        receipt = self.wait_included(sent, node=node)
        return Contract(self, Address(bytes.fromhex(receipt["contractAddress"][2:])), compiled)

    def _node(self, which: Which | None) -> Node:
        if which is not None:
            return self[which]
        running = self.running
        if not running:
            raise Failure("no node runs", "start one with restart()")
        return running[0]

    # ---- waiting

    def wait_included(
        self, transaction_hash: str, node: Which | None = None, seconds: float | None = None
    ) -> dict[str, Any]:
        """The receipt, once the node has the transaction in a block. Raises TimedOut, Failure where it failed."""
        client = self._node(node).client
        found: list[dict[str, Any]] = []

        def has_receipt() -> bool:
            receipt = client.receipt(transaction_hash)
            if receipt is not None:
                found.append(receipt)
            return receipt is not None

        self.wait_until(has_receipt, seconds, f"{transaction_hash} in a block of {client.name}")
        receipt = found[-1]
        if int(receipt["status"], 16) != 1:
            raise Failure(f"{transaction_hash} failed in block #{int(receipt['blockNumber'], 16)}", receipt=receipt)
        return receipt

    def wait_height(
        self, number: int, nodes: Iterable[Which] | None = None, tag: str = "latest", seconds: float | None = None
    ) -> None:
        """Wait until the nodes (those that run) have a latest (or finalized) block of at least this number."""
        chosen = self._chosen(nodes)
        names = ", ".join(node.name for node in chosen)

        def reached() -> bool:
            return all(node.block_number(tag) >= number for node in chosen)

        self.wait_until(reached, seconds, f"{tag} block {number} on {names}")

    def wait_blocks(self, count: int, nodes: Iterable[Which] | None = None, seconds: float | None = None) -> int:
        """Wait for so many more blocks on top of the highest head now; the number that was waited for."""
        chosen = self._chosen(nodes)
        target = max(node.block_number() for node in chosen) + count
        self.wait_height(target, chosen, seconds=seconds)
        return target

    def wait_finalized(
        self, what: int | str | None = None, nodes: Iterable[Which] | None = None, seconds: float | None = None
    ) -> int:
        """Wait until a block (by number), a transaction (by hash) or all there is now is final on the nodes.

        The nodes are those that run, unless named. Returns the block's number. Raises TimedOut.
        """
        chosen = self._chosen(nodes)
        if isinstance(what, str):
            self.wait_included(what, chosen[0], seconds)

            def final() -> bool:
                # asked anew each time: a block that held it may have been undone
                receipt = chosen[0].client.receipt(what)
                number = int(receipt["blockNumber"], 16) if receipt else -1
                return number >= 0 and all(node.block_number("finalized") >= number for node in chosen)

            self.wait_until(final, seconds, f"{what} final on {', '.join(node.name for node in chosen)}")
            receipt = chosen[0].client.receipt(what)
            assert receipt is not None
            return int(receipt["blockNumber"], 16)
        number = max(node.block_number() for node in chosen) if what is None else what
        self.wait_height(number, chosen, "finalized", seconds)
        return number

    # ---- agreement

    def compare(self, nodes: Iterable[Which] | None = None, tag: str = "latest") -> Comparison:
        """Block hash and state root of the nodes at the highest block that all of them have."""
        return compare([node.client for node in self._chosen(nodes)], [], tag, self._ask)

    def same_state(
        self, nodes: Iterable[Which] | None = None, tag: str = "latest", seconds: float | None = None
    ) -> bool:
        """Whether the nodes come to the same block and state root within the time; ``seconds=0``: have them now.

        The nodes are those that run, unless named.
        """
        chosen = list(self._chosen(nodes))
        try:
            if seconds == 0:
                return self.compare(chosen, tag).agree
            self.wait_until(lambda: self.compare(chosen, tag).agree, seconds, "the same state on all nodes")
        except TimedOut:
            return False
        return True

    def _chosen(self, nodes: Iterable[Which] | None) -> tuple[Node, ...]:
        chosen = self.running if nodes is None else tuple(self[one] for one in nodes)
        if not chosen:
            raise Failure("no node runs", "start one with restart()")
        return chosen

    def _catch_up(self, node: Node) -> None:
        others = [other for other in self.running if other is not node]
        if others:
            self.wait_height(max(other.block_number() for other in others), [node])


class Contract:
    """A deployed contract."""

    def __init__(self, net: Net, address: Address, artifact: Artifact) -> None:
        self.address = address
        self.artifact = artifact
        self._net = net

    def __repr__(self) -> str:
        return f"<{self.artifact.name} at {checksum_address(self.address)}>"

    def read(self, function: str, *arguments: Any, node: Which | None = None, tag: int | str = "latest") -> Any:
        """What a function returns on a node: the value, or a list where there are several. Raises Failure (revert)."""
        wanted = find_function(functions_of(self.artifact.abi), function, len(arguments), self.artifact.name)
        client: NodeClient = self._net[node].client if node is not None else self._net.running[0].client
        try:
            data = client.eth_call(self.address, wanted.call_data(arguments), tag)
        except RpcError as error:
            raise reverted(error, self.artifact.abi) from None
        if not data and wanted.outputs:
            raise Failure(f"{self!r} answers nothing on {client.name}", "does that node have its block?")
        values = wanted.result(data) if wanted.outputs else []
        return values[0] if len(values) == 1 else values

    def send(self, function: str, *arguments: Any, sender: Who = 0, value: int = 0, node: Which | None = None) -> str:
        """Call a function in a transaction; its hash. Raises Failure where it would revert."""
        wanted = find_function(functions_of(self.artifact.abi), function, len(arguments), self.artifact.name)
        data = wanted.call_data(arguments)
        return self._net.send(sender, self.address, value, data, node=node, abi=self.artifact.abi)


def _action(kind: str, targets: Sequence[str], parameters: dict[str, Value]) -> FaultAction:
    try:
        return FaultAction(0, kind, tuple(targets), parameters)
    except BadPlan as error:
        raise BadInput(str(error)) from None
