"""What the nodes of a running network say about their chains, fetched over RPC and laid before the judge.

Each look asks every running node once for its marks (``evmesh_status``, one moment each). Only where a head has moved
is more fetched: number, hash and state root of the new blocks as that node tells them, and each block's content once,
from whichever node shows it first. Nodes that were told to lie are left out; so is what a lost disk took.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from network.client import NodeClient, NodeUnreachable, ask_all
from network.cluster.fault_board import Board, read_board
from network.cluster.observer import clients_of
from network.cluster.run_directory import RunDirectory
from network.cluster.supply_check import check_supply, worth_checking
from network.failures import Failure
from network.invariants import BlockFacts, Invariant, InvariantViolated, Judge

BLOCKS_PER_LOOK: Final = 256
"""A node far ahead of what is known of it is followed in portions of this."""
CONTENT_PER_CALL: Final = 32
KEPT_BLOCKS: Final = 2_048
"""Below the lowest finalized block nothing older is kept."""
SUPPLY_SECONDS: Final = 4.0
SUPPLY_BLOCKS: Final = 16
"""How far below the finalized block one is looked for whose wei were not added up yet."""
CONTRADICTIONS_MAX: Final = 5
"""A chain may move between two questions; after so many looks in a row it is no coincidence."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A block as one node names it."""

    number: int
    block_hash: bytes
    state_root: bytes

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Mark:
        """From ``evmesh_status`` or ``evmesh_stateRoots``. Raises KeyError, ValueError."""
        return cls(int(told["number"], 16), _data(told["hash"]), _data(told["stateRoot"]))


@dataclass(slots=True)
class _Followed:
    """What was last heard of one node."""

    head: bytes = b""
    finalized: bytes = b""
    safe: bytes = b""
    contradictions: int = 0
    lost_disk_ms: int = 0


@dataclass(slots=True)
class _Answer:
    head: Mark
    safe: Mark
    finalized: Mark
    convicted: list[tuple[str, str]] = field(default_factory=list)
    """Validator address and what it is convicted of."""
    keys: tuple[str, ...] = ()
    """Addresses that the node votes with."""


class ChainWatch:
    """Looks at all nodes, again and again. ``look`` raises InvariantViolated."""

    def __init__(self, run: RunDirectory, timeout_seconds: float = 3.0) -> None:
        self._run = run
        network = run.network()
        self._clients = {client.name: client for client in clients_of(network, timeout_seconds)}
        self._validators = {(node.validator or "").lower(): node.name for node in network.nodes}
        self._followed = {node.name: _Followed() for node in network.nodes}
        self._contents: dict[bytes, BlockFacts] = {}
        self._judge: Judge | None = None
        self._liars: dict[str, None] = {}
        self.looks = 0
        self.weighed = 0
        """Blocks whose balances were added up."""
        self._weighed: deque[bytes] = deque(maxlen=4 * SUPPLY_BLOCKS)
        self._weighed_at = 0.0
        self._dev = network.dev

    @property
    def checks(self) -> int:
        """Blocks that were compared."""
        return self._judge.checks if self._judge is not None else 0

    @property
    def finalized(self) -> int:
        """The highest block that any judged node has finalized."""
        return max(self._judge.finalized().values(), default=0) if self._judge is not None else 0

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def look(self) -> None:
        """Ask every node that runs, and judge what it says. A node that does not answer is passed over."""
        self.looks += 1
        board = read_board(self._run.path)
        self._heed(board)
        records = self._run.running()
        asked = [
            client
            for name, client in self._clients.items()
            if name in records and name not in self._liars and not records[name].paused
        ]
        answers = ask_all(asked, _ask)
        for client, answer in zip(asked, answers, strict=True):
            if isinstance(answer, _Answer):
                try:
                    self._follow(client, answer)
                except NodeUnreachable:
                    continue
        self._check_convictions(asked, answers)
        self._check_supply(
            [client for client, answer in zip(asked, answers, strict=True) if isinstance(answer, _Answer)]
        )
        self._forget()

    def _heed(self, board: Board) -> None:
        """Liars are not judged; what a node without a disk had said is not held against it."""
        self._liars.update(dict.fromkeys(board.liars))
        for fault in board.faults:
            for node in fault.action.targets:
                if fault.kind == "lost-disk" and node in self._followed:
                    followed = self._followed[node]
                    if followed.lost_disk_ms < fault.since_ms and self._judge is not None:
                        self._judge.on_lost_disk(node)
                        self._followed[node] = _Followed(lost_disk_ms=fault.since_ms)

    # ---- one node

    def _follow(self, client: NodeClient, answer: _Answer) -> None:
        followed = self._followed[client.name]
        marks = (answer.head.block_hash, answer.safe.block_hash, answer.finalized.block_hash)
        if marks == (followed.head, followed.safe, followed.finalized):
            return
        judge = self._judge_for(client)
        if judge.chain_of(client.name) is None:
            judge.on_joined(client.name, self._joined_at(client, answer.finalized))
        try:
            complete = self._take_blocks(judge, client, answer)
        except _Contradiction as contradiction:
            followed.contradictions += 1
            if followed.contradictions > CONTRADICTIONS_MAX:
                raise InvariantViolated(Invariant.LINKAGE, str(contradiction)) from None
            return
        followed.contradictions = 0
        if complete:
            judge.on_finalized(client.name, answer.finalized.number, answer.finalized.block_hash)
            followed.head, followed.safe, followed.finalized = marks

    def _judge_for(self, client: NodeClient) -> Judge:
        if self._judge is None:
            self._judge = Judge(_data(client.block(0)["hash"]), state_may_return=self._dev)
        return self._judge

    def _joined_at(self, client: NodeClient, finalized: Mark) -> BlockFacts:
        """Where following begins: some way below what is final, so that nodes seen for the first time are compared."""
        number = max(0, finalized.number - BLOCKS_PER_LOOK // 2)
        mark = _roots(client, number, number)[0]
        if number == 0:
            return BlockFacts(0, mark.block_hash, bytes(32), mark.state_root)
        return self._content(client, [mark])[0]

    def _take_blocks(self, judge: Judge, client: NodeClient, answer: _Answer) -> bool:
        """Have the judge follow the node's head; False where more is to come at the next look."""
        name = client.name
        chain = judge.chain_of(name) or {}
        known, final = judge.heights()[name], judge.finalized()[name]
        if answer.finalized.number < final:
            judge.on_finalized(name, answer.finalized.number, answer.finalized.block_hash)  # raises
        first = known + 1
        had = chain.get(known)
        replaced = had is not None and answer.head.number == known and had.block_hash != answer.head.block_hash
        if answer.head.number < known or replaced:
            first = final + 1  # it has left blocks that it had
        last = min(answer.head.number, first + BLOCKS_PER_LOOK - 1)
        marks = _roots(client, first, last)
        contents = self._content(client, marks)
        if contents and first > final + 1 and had is not None and contents[0].parent_hash != had.block_hash:
            first = final + 1  # a longer branch than the one it had
            last = min(answer.head.number, first + BLOCKS_PER_LOOK - 1)
            marks = _roots(client, first, last)
            contents = self._content(client, marks)
        _check_linked(name, contents, answer.head if last == answer.head.number else None)
        common = first - 1
        for block in contents:
            if block.number not in chain or chain[block.number].block_hash != block.block_hash:
                break
            common = block.number
        removed = [chain[height] for height in range(known, common, -1)]
        added = [block for block in contents if block.number > common]
        safe = answer.safe.number if last == answer.head.number else None
        judge.on_head(name, added, removed, safe)
        return last == answer.head.number

    def _content(self, client: NodeClient, marks: list[Mark]) -> list[BlockFacts]:
        """The blocks' content, fetched where no node has shown it yet; compared with what this node names."""
        missing = [mark for mark in marks if mark.block_hash not in self._contents]
        for start in range(0, len(missing), CONTENT_PER_CALL):
            portion = missing[start : start + CONTENT_PER_CALL]
            calls = [("eth_getBlockByHash", ["0x" + mark.block_hash.hex(), True]) for mark in portion]
            for mark, told in zip(portion, client.batch(calls), strict=True):
                if not isinstance(told, dict):
                    raise _Contradiction(f"{client.name} names block #{mark.number} and does not have it")
                self._contents[mark.block_hash] = _facts(told)
        blocks = []
        for mark in marks:
            block = self._contents[mark.block_hash]
            if block.number != mark.number or block.state_root != mark.state_root:
                raise InvariantViolated(
                    Invariant.AGREEMENT,
                    f"{client.name} says that {block} is #{mark.number} with state root {mark.state_root.hex()[:12]}",
                )
            blocks.append(block)
        return blocks

    # ---- all nodes

    def _check_convictions(self, asked: list[NodeClient], answers: list[Any]) -> None:
        if self._judge is None:
            return
        for client, answer in zip(asked, answers, strict=True):
            if isinstance(answer, _Answer):
                self._validators.update(dict.fromkeys(answer.keys, client.name))
        for client, answer in zip(asked, answers, strict=True):
            for validator, what in answer.convicted if isinstance(answer, _Answer) else ():
                guilty = self._validators.get(validator)
                if guilty is not None and guilty not in self._liars:
                    self._judge.on_convicted(guilty, client.name, what)

    def _check_supply(self, clients: list[NodeClient]) -> None:
        """Weigh one small final block every few seconds, each time on another node."""
        now = time.monotonic()
        if self._judge is None or self._dev or not clients or now - self._weighed_at < SUPPLY_SECONDS:
            return
        client = clients[self.weighed % len(clients)]
        final, chain = self._judge.finalized().get(client.name, 0), self._judge.chain_of(client.name) or {}
        for number in range(final, max(0, final - SUPPLY_BLOCKS), -1):
            block = chain.get(number)
            if block is not None and block.block_hash not in self._weighed and worth_checking(block):
                self._weighed_at = now
                self._weighed.append(block.block_hash)
                with contextlib.suppress(NodeUnreachable):
                    self.weighed += check_supply(client, block)
                return

    def _forget(self) -> None:
        if self._judge is None or self.looks % 64:
            return
        lowest = min(self._judge.finalized().values(), default=0) - KEPT_BLOCKS
        if lowest > 0:
            self._judge.forget_below(lowest)
            self._contents = {key: block for key, block in self._contents.items() if block.number >= lowest}


class _Contradiction(Exception):
    """Two answers of one node do not fit together; it may have moved between them."""


def _ask(client: NodeClient) -> _Answer | None:
    told = client.call("evmesh_status")
    try:
        if told.get("role") == "joining":
            return None  # it has no chain yet, and will not go through the blocks below the state that it fetches
        evidence = told.get("consensus", {}).get("evidence") or []
        return _Answer(
            Mark.read(told["head"]),
            Mark.read(told["safe"]),
            Mark.read(told["finalized"]),
            [(str(one["validator"]).lower(), str(one["kind"])) for one in evidence],
            tuple(str(key).lower() for key in told.get("consensus", {}).get("keys") or ()),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Failure(f"{client.name}: evmesh_status cannot be read: {error!r}") from None


def _roots(client: NodeClient, first: int, last: int) -> list[Mark]:
    if last < first:
        return []
    told = client.call("evmesh_stateRoots", hex(first), hex(last))
    marks = [Mark.read(one) for one in told]
    if [mark.number for mark in marks] != list(range(first, last + 1)):
        raise _Contradiction(f"{client.name} does not name all blocks from #{first} to #{last}")
    return marks


def _check_linked(node: str, blocks: list[BlockFacts], head: Mark | None) -> None:
    for below, block in pairwise(blocks):
        if block.parent_hash != below.block_hash:
            raise _Contradiction(f"{node} shows {block}, which does not build on its {below}")
    if head is not None and blocks and blocks[-1].block_hash != head.block_hash:
        raise _Contradiction(f"{node} shows {blocks[-1]}, and names {head.block_hash.hex()[:12]} as its head")


def _facts(told: Mapping[str, Any]) -> BlockFacts:
    transactions = told["transactions"]
    return BlockFacts(
        int(told["number"], 16),
        _data(told["hash"]),
        _data(told["parentHash"]),
        _data(told["stateRoot"]),
        tuple(_data(one["hash"]) for one in transactions),
        tuple((_data(one["from"]), int(one["nonce"], 16)) for one in transactions),
    )


def _data(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
