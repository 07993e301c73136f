"""An open-loop load: every transaction has a moment at which it is due, whatever the network does meanwhile.

A closed loop waits for answers and so asks a slow network less; its latencies look good exactly when the network is
bad. Here the moments stand beforehand, and every latency counts from them, a late start of our own included.

    due ──> signed ──> eth_sendRawTransaction at a node ──> ChainWatch: seen in a block, seen final

A sender's transactions go to one node, in order of nonce; when that node does not answer they go to the next.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from network.accounts import Account
from network.load.workloads import FEES, Draw, signed
from node.primitives.hexadecimal import to_data

CONNECTIONS: Final = 64
"""A node; further requests wait in this process, and that counts as latency."""
REQUEST_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 0.25
RETRIES: Final = 40
KNOWN: Final = ("already known", "nonce too low")
"""What a node says to a transaction that it has had."""


@dataclass(slots=True)
class Shot:
    """One transaction of a load. Times in seconds of the monotonic clock."""

    index: int
    kind: str
    sender: int
    node: int
    due: float
    nonce: int
    hash: str = ""
    started: float = 0.0
    acknowledged: float | None = None
    handed: float = 0.0
    """When a node took it last."""
    refusal: str = ""
    resent: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """A node to send to."""

    name: str
    url: str


class Unreachable(Exception):
    """Nobody answers there."""


class Refused(Exception):
    """The node answered with an error."""


class Door:
    """One node's JSON-RPC over kept connections."""

    def __init__(self, session: aiohttp.ClientSession, target: Target) -> None:
        self.name = target.name
        self._url = target.url
        self._session = session
        self.away_at = 0.0
        """When it last did not answer, by the monotonic clock; 0 where it always did."""

    async def call(self, method: str, *parameters: Any) -> Any:
        """The result. Raises Unreachable, Refused."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            async with self._session.post(self._url, json=request) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self.away_at = time.monotonic()
            raise Unreachable(str(error) or type(error).__name__) from None
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise Unreachable("no JSON-RPC")
        if "error" in answer:
            raise Refused(str(answer["error"].get("message", answer["error"])))
        return answer["result"]


def open_session() -> aiohttp.ClientSession:
    """A session that keeps enough connections to each node."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """``per_second`` transactions for ``seconds``, evenly; kinds in turn, nodes and senders in turn."""

    per_second: float
    seconds: float
    seed: int = 1

    @property
    def count(self) -> int:
        """How many."""
        return max(1, round(self.per_second * self.seconds))


class Generator:
    """Sends a load; its shots tell what became of each transaction."""

    def __init__(
        self,
        doors: Sequence[Door],
        senders: Sequence[Account],
        draws: Sequence[tuple[str, Draw]],
        chain_id: int,
        pace: Pace,
    ) -> None:
        self._doors = doors
        self._senders = senders
        self._draws = draws
        self._chain_id = chain_id
        self._pace = pace
        self._nonces = [0] * len(senders)
        self._gaps: list[list[int]] = [[] for _ in senders]
        self._chance = random.Random(pace.seed)
        self._waiting: dict[int, tuple[Shot, str]] = {}
        """Those that are in no block yet, as far as is known, with their bytes."""
        self.shots: list[Shot] = []
        self.began = 0.0

    async def run(self, told: Callable[[int], None] = lambda sent: None) -> None:
        """Send everything, and wait for all answers. Raises Unreachable where the first node does not answer."""
        for index, sender in enumerate(self._senders):
            answer = await self._doors[0].call("eth_getTransactionCount", to_data(sender.address), "pending")
            self._nonces[index] = int(answer, 16)
        self.began = time.monotonic() + 0.05
        under_way: dict[asyncio.Task[None], None] = {}
        for index in range(self._pace.count):
            due = self.began + index / self._pace.per_second
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            shot, raw = self._next(index, due)
            task = asyncio.create_task(self._send(shot, raw))
            under_way[task] = None
            task.add_done_callback(lambda done: under_way.pop(done, None))
            told(index + 1)
        if under_way:
            await asyncio.gather(*list(under_way))

    def _next(self, index: int, due: float) -> tuple[Shot, bytes]:
        kind, draw = self._draws[index % len(self._draws)]
        sender = index % len(self._senders)
        order = draw(self._chance, self._senders)
        nonce = self._take_nonce(sender)
        identity, raw = signed(order, self._senders[sender], nonce, self._chain_id, FEES)
        shot = Shot(index, kind, sender, sender % len(self._doors), due, nonce, to_data(identity))
        self.shots.append(shot)
        return shot, raw

    def _take_nonce(self, sender: int) -> int:
        """The next nonce; first those of refused transactions, without which no later one could be included."""
        if self._gaps[sender]:
            self._gaps[sender].sort()
            return self._gaps[sender].pop(0)
        self._nonces[sender] += 1
        return self._nonces[sender] - 1

    async def _send(self, shot: Shot, raw: bytes) -> None:
        shot.started = time.monotonic()
        text = to_data(raw)
        self._waiting[shot.index] = (shot, text)
        for attempt in range(RETRIES):
            door = self._doors[(shot.node + attempt) % len(self._doors)]
            try:
                await door.call("eth_sendRawTransaction", text)
            except Unreachable as error:
                shot.resent += 1
                shot.refusal = f"nobody answers: {error}"
                if (attempt + 1) % len(self._doors) == 0:
                    await asyncio.sleep(RETRY_SECONDS)
                continue
            except Refused as refusal:
                if not (attempt and any(words in str(refusal) for words in KNOWN)):
                    shot.refusal = str(refusal)
                    self._waiting.pop(shot.index, None)
                    if KNOWN[1] not in shot.refusal:
                        self._gaps[shot.sender].append(shot.nonce)
                    return
            shot.acknowledged = shot.handed = time.monotonic()
            shot.refusal = ""
            return

    async def repeat_lost(self, is_included: Callable[[str], bool]) -> None:
        """Hand over again what a node had taken and may have forgotten, because it was away since: as wallets do."""
        for index, (shot, text) in list(self._waiting.items()):
            if is_included(shot.hash):
                del self._waiting[index]
                continue
            own = self._doors[shot.node]
            if shot.acknowledged is None or own.away_at < shot.handed:
                continue
            for door in self._doors:
                if door is own and len(self._doors) > 1:
                    continue
                try:
                    await door.call("eth_sendRawTransaction", text)
                except Unreachable:
                    continue
                except Refused:
                    pass  # it has it already, or it stands in a block
                shot.resent += 1
                shot.handed = time.monotonic()
                break

    def refusals(self) -> Counter[str]:
        """Why transactions were not taken, and how often."""
        return Counter(shot.refusal for shot in self.shots if shot.refusal)
