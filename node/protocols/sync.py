"""Catch up: fetch decided blocks with their certificates, check both, hand them to the engine.

    heights heard ─▶ behind? ─▶ request ranges (one ahead) ─▶ decode, linkage, certificate (a worker)
                                                                  │
    chain.head moves  ◀─ driver: execute, compare, persist  ◀─────┘  a window ahead of the head

A certificate makes a block final whoever sends it, so any peer will do; a peer that sends anything else is
blamed and left. Execution happens where every block is executed, in the engine's own R6: sync decides nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from node.consensus.engine import ConsensusMessage, InvalidSeal, MalformedMessage, UnknownSigners
from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed
from node.p2p.scoring import REJECTED
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.protocols.serving import BLOCKS_MAX, DECIDED, decode_answer, encode_request
from node.runtime.runtime import Runtime
from node.telemetry.logs import Log
from node.types.blocks import Block, Header, decode_block
from node.types.invalid import InvalidBlock, InvalidTransaction

BEHIND_MIN: Final = 8
"""Blocks behind before ranges are asked for; a smaller gap closes by consensus' own messages."""
WINDOW: Final = 12
"""Blocks handed to the engine ahead of the head; it keeps 16."""
REQUEST_TIMEOUT_MS: Final = 10_000
STALL_MS: Final = 30_000
"""No block within this: the range is given up."""
PAUSE_MS: Final = 1_000
PEERS_MAX: Final = 256


class SyncChain(Protocol):
    """What sync asks of the chain."""

    @property
    def head(self) -> Header:
        """The last decided block."""
        ...


class Asker(Protocol):
    """The switch's requests."""

    async def request(self, node_id: NodeId, name: str, payload: bytes, timeout_ms: int) -> bytes:
        """The peer's answer. Raises RequestFailed."""
        ...


class Sink(Protocol):
    """The consensus driver."""

    def hear_decided(self, peer: NodeId, message: ConsensusMessage) -> None:
        """Take a decided block."""
        ...


class SealChecker(Protocol):
    """The engine's codec; one of its own for sync, which checks in a worker."""

    def check_seal(self, header: Header, seal: bytes) -> object:
        """Raises InvalidSeal."""
        ...

    def decided(self, block: Block, seal: bytes) -> ConsensusMessage:
        """A decided block as a message. Raises MalformedMessage."""
        ...


@dataclass(frozen=True, slots=True)
class _Entry:
    block: Block
    message: ConsensusMessage


class BadAnswer(ValueError):
    """A peer's answer is not what was asked for; the text says why."""


class Sync:
    """Keeps a node that is far behind fetching. ``note_height`` and ``note_decided`` feed it."""

    def __init__(
        self,
        chain: SyncChain,
        asker: Asker,
        sink: Sink,
        seals: SealChecker,
        runtime: Runtime,
        log: Log,
        penalise: Callable[[NodeId, int, str], None],
    ) -> None:
        self._chain = chain
        self._asker = asker
        self._sink = sink
        self._seals = seals
        self._runtime = runtime
        self._log = log
        self._penalise = penalise
        self._decided: dict[NodeId, int] = {}
        """The highest block that each peer says is decided."""
        self._turn = 0
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._start = 0
        self._target = 0

    # --- what feeds it ---------------------------------------------------------------------------

    def note_height(self, peer: NodeId, height: int) -> None:
        """A peer says that it works on ``height``."""
        if peer not in self._decided and len(self._decided) >= PEERS_MAX:
            del self._decided[next(iter(self._decided))]
        self._decided[peer] = height - 1
        if self._is_behind():
            self._wake.set()

    def forget(self, peer: NodeId) -> None:
        """A peer is gone."""
        self._decided.pop(peer, None)

    def note_decided(self, header: Header) -> None:
        """The head has moved."""
        self._moved.set()

    def progress(self) -> dict[str, int] | None:
        """Block numbers that the current catch-up goes ``from`` and ``to``; None when there is none."""
        return {"from": self._start, "to": self._target} if self._target else None

    def _is_behind(self) -> bool:
        return max(self._decided.values(), default=0) >= self._chain.head.number + BEHIND_MIN

    # --- the loop --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._wake.clear()
            if self._is_behind():
                await self._catch_up()
                await asyncio.sleep(PAUSE_MS / 1000)
            else:
                await self._wake.wait()

    async def _catch_up(self) -> None:
        """From the head to the highest height that somebody claims; ends early when it gets nowhere."""
        start = self._start = self._chain.head.number
        self._target = max(self._decided.values())
        self._log.info("catching up", head=start, target=self._target)
        fetching: asyncio.Task[tuple[NodeId, list[_Entry]]] | None = None
        try:
            parent = self._chain.head
            while parent.number < self._target:
                if fetching is None:
                    fetching = self._fetch_soon(parent.number + 1, parent.hash)
                peer, entries = await fetching
                fetching = None
                if not entries:
                    break
                last = entries[-1].block.header
                if last.number < self._target:
                    fetching = self._fetch_soon(last.number + 1, last.hash)
                if not await self._feed(peer, entries):
                    break
                parent = last
        finally:
            if fetching is not None:
                fetching.cancel()
            self._target = 0
        self._log.info("caught up", head=self._chain.head.number, blocks=self._chain.head.number - start)

    def _fetch_soon(self, first: int, parent_hash: Hash32) -> asyncio.Task[tuple[NodeId, list[_Entry]]]:
        return asyncio.get_running_loop().create_task(self._fetch(first, parent_hash), name="sync/fetch")

    async def _fetch(self, first: int, parent_hash: Hash32) -> tuple[NodeId, list[_Entry]]:
        """A checked range, from the first peer that delivers; empty when none does."""
        for peer in self._peers_with(first):
            count = min(BLOCKS_MAX, max(self._decided.get(peer, 0) - first + 1, 1))
            try:
                answer = await self._asker.request(peer, DECIDED, encode_request(first, count), REQUEST_TIMEOUT_MS)
                entries = await self._runtime.workers.run(self._check, answer, first, count, parent_hash)
            except RequestFailed as failure:
                self._log.debug("range not delivered", peer=peer, first=first, why=str(failure))
                self.forget(peer)
                continue
            except BadAnswer as lie:
                self._log.warning("bad range", peer=peer, first=first, why=str(lie))
                self._penalise(peer, REJECTED, f"{DECIDED}: {lie}")
                self.forget(peer)
                continue
            if entries:
                return peer, entries
            self.forget(peer)  # it claimed more than it has; its next status may be true
        return NodeId(b""), []

    def _peers_with(self, number: int) -> list[NodeId]:
        """Peers that have a block, each range beginning with another."""
        peers = [peer for peer, decided in self._decided.items() if decided >= number]
        self._turn += 1
        shift = self._turn % len(peers) if peers else 0
        return peers[shift:] + peers[:shift]

    def _check(self, answer: bytes, first: int, count: int, parent_hash: Hash32) -> list[_Entry]:
        """Decode, linkage and certificates, off the loop. Raises BadAnswer."""
        entries: list[_Entry] = []
        try:
            for offset, (encoded, seal) in enumerate(decode_answer(answer, count)):
                block = decode_block(encoded)
                if block.number != first + offset or block.header.parent_hash != parent_hash:
                    raise BadAnswer(f"block {block.number} does not follow")
                try:
                    self._seals.check_seal(block.header, seal)
                except UnknownSigners:
                    if block.number == self._chain.head.number + 1:
                        raise
                    break  # the validators change on the way; the rest is asked for again from there
                entries.append(_Entry(block, self._seals.decided(block, seal)))
                parent_hash = block.hash
        except (rlp.RLPError, InvalidBlock, InvalidTransaction, InvalidSeal, MalformedMessage) as error:
            raise BadAnswer(str(error)) from error
        return entries

    async def _feed(self, peer: NodeId, entries: list[_Entry]) -> bool:
        """Hand blocks to the engine, a window ahead of the head. False when the head stops moving."""
        for entry in entries:
            while entry.block.number > self._chain.head.number + WINDOW:
                if not await self._head_moves():
                    return False
            if entry.block.number > self._chain.head.number:
                self._sink.hear_decided(peer, entry.message)
        while self._chain.head.number < entries[-1].block.number:
            if not await self._head_moves():
                return False
        return True

    async def _head_moves(self) -> bool:
        before = self._chain.head.number
        try:
            async with asyncio.timeout(STALL_MS / 1000):
                while self._chain.head.number == before:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self._log.warning("catch-up stalls", head=before)
            return False
        return True
