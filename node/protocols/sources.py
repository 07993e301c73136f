"""Peers as sources of something large: whom to ask next, who rests, who is asked nothing more.

Static peers are never banned by their score, so a liar is remembered here as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed
from node.p2p.scoring import REJECTED
from node.p2p.wire import PAYLOAD_BYTES_MAX
from node.runtime.clock import Clock
from node.telemetry.logs import Log

REQUEST_TIMEOUT_MS: Final = 10_000
REST_MS: Final = 10_000
"""A peer that did not answer, or had nothing, is left alone for so long."""
STALL_MS: Final = 60_000
"""Without anything new for so long it is given up."""
LOOK_MS: Final = 50


class Asker(Protocol):
    """The switch's requests."""

    async def request(
        self, node_id: NodeId, name: str, payload: bytes, timeout_ms: int, answer_bytes_max: int = ...
    ) -> bytes:
        """The peer's answer. Raises RequestFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A connected peer, and the height that it said it stands at when it came."""

    peer: NodeId
    height: int


class BadAnswer(ValueError):
    """A peer's answer is not what was asked for; the text says why."""


class GivenUp(Exception):
    """It cannot be done now; the text says why."""


class Sources:
    """The peers of one long download."""

    def __init__(
        self,
        claims: Callable[[], Sequence[Claim]],
        asker: Asker,
        clock: Clock,
        log: Log,
        penalise: Callable[[NodeId, int, str], None],
    ) -> None:
        self.claims = claims
        self.clock = clock
        self._asker = asker
        self._log = log
        self._penalise = penalise
        self._resting: dict[NodeId, int] = {}
        self._liars: dict[NodeId, None] = {}
        self._turn = 0
        self.received_bytes = 0
        """Of all answers."""

    def honest(self) -> list[NodeId]:
        """Live peers that have not lied, resting ones included."""
        return [claim.peer for claim in self.claims() if claim.peer not in self._liars]

    def all_lie(self) -> bool:
        """Whether peers are there, and every one of them has lied."""
        return bool(self.claims()) and not self.honest()

    def usable(self) -> list[NodeId]:
        """Those that may be asked now, each call beginning with another."""
        now_ms = self.clock.monotonic_ms()
        peers = [peer for peer in self.honest() if self._resting.get(peer, 0) <= now_ms]
        self._turn += 1
        shift = self._turn % len(peers) if peers else 0
        return peers[shift:] + peers[:shift]

    def rest(self, peer: NodeId) -> None:
        """Leave a peer alone for a while."""
        self._resting[peer] = self.clock.monotonic_ms() + REST_MS

    def wake(self) -> None:
        """Whoever rests may be asked again."""
        self._resting.clear()

    def blame(self, peer: NodeId, name: str, lie: Exception) -> None:
        """It lied: it is penalised, and asked nothing more."""
        self._log.warning("bad answer", peer=peer, request=name, why=str(lie))
        self._liars[peer] = None
        self._penalise(peer, REJECTED, f"{name}: {lie}")

    async def ask(self, peer: NodeId, name: str, payload: bytes, bytes_max: int = PAYLOAD_BYTES_MAX) -> bytes:
        """The peer's answer. Raises RequestFailed."""
        answer = await self._asker.request(peer, name, payload, REQUEST_TIMEOUT_MS, bytes_max)
        self.received_bytes += len(answer)
        return answer

    async def until_one(self, name: str, ask: Callable[[NodeId], Awaitable[bool]]) -> None:
        """Ask one after the other until ``ask(peer)`` is content. Raises GivenUp when nobody helps for a long time."""
        until_ms = self.clock.monotonic_ms() + STALL_MS
        while True:
            for peer in self.usable():
                try:
                    if await ask(peer):
                        return
                    self.rest(peer)
                except RequestFailed as failure:
                    self._log.debug("no answer", peer=peer, request=name, why=str(failure))
                    self.rest(peer)
                except BadAnswer as lie:
                    self.blame(peer, name, lie)
            if self.clock.monotonic_ms() >= until_ms or self.all_lie():
                raise GivenUp(f"nobody answers {name}")
            await asyncio.sleep(LOOK_MS / 1000)
