"""What others say they have and we miss: whom to ask for it, how much at once, and whom to ask next.

Pure bookkeeping for gossip and for transactions alike. Bounded in all: what does not fit is left to a later
announcement.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.p2p.identity import NodeId

ANNOUNCERS_MAX = 4
"""Peers remembered for one key."""


@dataclass(frozen=True, slots=True)
class FetchBounds:
    """How much may be missing, and how long an answer may take."""

    keys_max: int
    keys_per_peer_max: int
    asked_per_peer_max: int
    answer_ms: int


@dataclass(slots=True)
class _Want:
    announcers: list[NodeId]  # the first is the one that is asked, or will be
    deadline_ms: int | None  # None: not asked yet


class FetchTable:
    """Keys (hashes, message ids) with those who announced them, in the order of announcement."""

    def __init__(self, bounds: FetchBounds) -> None:
        self._bounds = bounds
        self._wants: dict[bytes, _Want] = {}
        self._asked: dict[bytes, None] = {}  # in the order of asking, which is that of the deadlines
        self._queues: dict[NodeId, dict[bytes, None]] = {}
        self._in_flight: dict[NodeId, int] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def __contains__(self, key: bytes) -> bool:
        return key in self._wants

    def add(self, key: bytes, announcer: NodeId) -> bool:
        """Note that a peer has a missing key; False when there is no room for it."""
        want = self._wants.get(key)
        if want is not None:
            if announcer not in want.announcers and len(want.announcers) < ANNOUNCERS_MAX:
                want.announcers.append(announcer)
            return True
        bounds = self._bounds
        queue = self._queues.setdefault(announcer, {})
        if len(self._wants) >= bounds.keys_max:
            return False
        if len(queue) + self._in_flight.get(announcer, 0) >= bounds.keys_per_peer_max:
            return False
        self._wants[key] = _Want([announcer], None)
        queue[key] = None
        return True

    def ask(self, peer: NodeId, now_ms: int, count_max: int) -> list[bytes]:
        """What to ask the peer for now, at most ``count_max``; from now on it counts as asked."""
        queue = self._queues.get(peer)
        if not queue:
            return []
        in_flight = self._in_flight.get(peer, 0)
        count = min(count_max, len(queue), self._bounds.asked_per_peer_max - in_flight)
        keys = [key for key, _ in zip(queue, range(max(0, count)), strict=False)]
        for key in keys:
            del queue[key]
            self._wants[key].deadline_ms = now_ms + self._bounds.answer_ms
            self._asked[key] = None
        if keys:
            self._in_flight[peer] = in_flight + len(keys)
        return keys

    def got(self, key: bytes) -> bool:
        """The key has come, from whomever; whether it was missing."""
        want = self._wants.pop(key, None)
        if want is None:
            return False
        self._withdraw(key, want)
        return True

    def overdue(self, now_ms: int) -> list[NodeId]:
        """Give up on answers that did not come in time: the next announcer's turn. Returns who failed, per key."""
        failed: list[NodeId] = []
        for key in list(self._asked):
            want = self._wants[key]
            if want.deadline_ms is None or want.deadline_ms > now_ms:
                break
            failed.append(want.announcers[0])
            self._next(key, want)
        return failed

    def drop_peer(self, peer: NodeId) -> None:
        """The peer is gone: what it had is asked elsewhere."""
        for key, want in list(self._wants.items()):
            if want.announcers[0] == peer:
                self._next(key, want)
            elif peer in want.announcers:
                want.announcers.remove(peer)
        self._queues.pop(peer, None)
        self._in_flight.pop(peer, None)

    def waiting(self) -> list[NodeId]:
        """The peers that there is something to ask of."""
        return [peer for peer, queue in self._queues.items() if queue]

    def _withdraw(self, key: bytes, want: _Want) -> None:
        peer = want.announcers[0]
        if want.deadline_ms is None:
            self._queues[peer].pop(key, None)
        else:
            self._asked.pop(key, None)
            self._in_flight[peer] -= 1

    def _next(self, key: bytes, want: _Want) -> None:
        self._withdraw(key, want)
        want.announcers.pop(0)
        want.deadline_ms = None
        if want.announcers:
            self._queues.setdefault(want.announcers[0], {})[key] = None
        else:
            del self._wants[key]
