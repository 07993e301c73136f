"""Look at every node at once: what each stands at, and whether they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from network.client import Ask, NodeClient, ask_all
from network.cluster.fault_board import read_board
from network.cluster.process import ProcessRecord
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.failures import Failure


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One row of a status table. Fields of the chain are None while the node does not answer."""

    name: str
    role: str
    url: str
    pid: int | None
    state: str
    """running, paused, stopped, or not answering"""
    peers: int | None = None
    head: int | None = None
    head_hash: str | None = None
    state_root: str | None = None
    finalized: int | None = None
    finalized_hash: str | None = None
    evm: str | None = None
    """native, transpiled or plain"""


def clients_of(network: NetworkFile, timeout_seconds: float = 30.0) -> list[NodeClient]:
    """A client for every node, in order."""
    return [NodeClient(node.url, node.name, timeout_seconds) for node in network.nodes]


def paused_nodes(run: RunDirectory, records: Mapping[str, ProcessRecord]) -> list[str]:
    """Those that stand still and will until they are resumed; a slow node stands still only for a moment."""
    slow = [node for fault in read_board(run.path).faults if fault.kind == "slow-node" for node in fault.action.targets]
    return [name for name, record in records.items() if name not in slow and record.paused]


def observe(run: RunDirectory, timeout_seconds: float = 3.0) -> list[NodeStatus]:
    """Every node's status, asked at the same time."""
    network = run.network()
    records = run.running()
    paused = paused_nodes(run, records)
    asked = [
        client
        for client in clients_of(network, timeout_seconds)
        if client.name in records and client.name not in paused
    ]
    answers = dict(zip((client.name for client in asked), ask_all(asked, _facts), strict=True))
    for client in asked:
        client.close()
    rows = []
    for node in network.nodes:
        record = records.get(node.name)
        answer = answers.get(node.name)
        facts: dict[str, Any] = answer if isinstance(answer, dict) else {}
        if record is None:
            state = "stopped"
        elif node.name in paused:
            state = "paused"
        else:
            state = "running" if facts else "not answering"
        rows.append(NodeStatus(node.name, node.role, node.url, record.pid if record else None, state, **facts))
    return rows


def _facts(client: NodeClient) -> dict[str, Any]:
    latest, finalized, peers, status = client.batch(
        [
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_getBlockByNumber", ["finalized", False]),
            ("net_peerCount", []),
            ("evmesh_status", []),
        ]
    )
    return {
        "peers": int(peers, 16),
        "head": int(latest["number"], 16),
        "head_hash": latest["hash"],
        "state_root": latest["stateRoot"],
        "finalized": int(finalized["number"], 16) if finalized else 0,
        "finalized_hash": finalized["hash"] if finalized else None,
        "evm": status.get("evm") if isinstance(status, dict) else None,
    }


@dataclass(frozen=True, slots=True)
class Reading:
    """One node's answer at a height that all compared nodes have."""

    name: str
    head: int | None
    block_hash: str | None
    state_root: str | None
    values: tuple[Any, ...]
    problem: str | None = None

    @property
    def compared(self) -> tuple[Any, ...]:
        """What must be equal."""
        return (self.block_hash, self.state_root, *self.values)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All nodes' readings at one height."""

    height: int
    readings: tuple[Reading, ...]

    @property
    def answered(self) -> list[Reading]:
        """Readings of the nodes that answered."""
        return [reading for reading in self.readings if reading.problem is None]

    @property
    def majority(self) -> tuple[Any, ...] | None:
        """What most nodes say (the first of them in node order when it is a tie)."""
        votes = [reading.compared for reading in self.answered]
        return max(votes, key=votes.count) if votes else None

    def differing(self) -> list[str]:
        """Nodes that answered otherwise than most, or not at all."""
        most = self.majority
        return [reading.name for reading in self.readings if reading.problem or reading.compared != most]

    @property
    def agree(self) -> bool:
        """Whether every node answered, and all the same."""
        return bool(self.readings) and not self.differing()


def compare(
    clients: Sequence[NodeClient], calls: Sequence[tuple[bytes, bytes]], tag: str = "latest", ask: Ask = ask_all
) -> Comparison:
    """Read the same calls ``(to, data)`` of every node at the highest block that all have.

    Comparing each node at its own head would report a difference where one is only a block ahead.
    """
    heads = ask(clients, lambda client: client.block_number(tag))
    known = [head for head in heads if isinstance(head, int)]
    if not known:
        raise Failure("no node answers", "evmesh status shows which nodes run")
    height = min(known)
    answers = ask(clients, lambda client: _read_at(client, height, calls))
    readings = []
    for client, head, answer in zip(clients, heads, answers, strict=True):
        problem = head if isinstance(head, Failure) else answer if isinstance(answer, Failure) else None
        if problem is not None:
            shown = head if isinstance(head, int) else None
            readings.append(Reading(client.name, shown, None, None, (), problem.message))
        else:
            block_hash, state_root, values = answer
            readings.append(Reading(client.name, head, block_hash, state_root, values))
    return Comparison(height, tuple(readings))


def _read_at(
    client: NodeClient, height: int, calls: Sequence[tuple[bytes, bytes]]
) -> tuple[str, str, tuple[bytes, ...]]:
    block = client.block(height)
    values = tuple(client.eth_call(to, data, height) for to, data in calls)
    return block["hash"], block["stateRoot"], values
