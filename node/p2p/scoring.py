"""How much we trust a peer: points lost for lies and floods, regained with time and useful deliveries, and bans.

A score belongs to the node id, so that hanging up and dialling again washes nothing off. Static peers lose points
but are never banned: the operator named them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.p2p.identity import NodeId

SCORE_MAX: Final = 20
"""Goodwill has a low ceiling: nobody can save up for a lie."""
RECORDS_MAX: Final = 2048

# what each event is worth
ACCEPTED: Final = 1
REJECTED: Final = -20
MALFORMED: Final = -60
FLOODED: Final = -1
UNSOLICITED: Final = -5
UNDELIVERED: Final = -1
TIMED_OUT: Final = -2


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """Points regained a second, where the ban begins, how long it lasts."""

    regain_per_second: int = 1
    ban_below: int = -100
    ban_ms: int = 600_000


@dataclass(slots=True)
class _Record:
    milli: int
    at_ms: int
    banned_until_ms: int = 0


class Scores:
    """Every peer's score and ban. Bounded: the oldest untouched, unbanned record makes room."""

    def __init__(self, rules: ScoreRules) -> None:
        self._rules = rules
        self._records: dict[NodeId, _Record] = {}

    def score(self, peer: NodeId, now_ms: int) -> int:
        """The score now: 0 for strangers."""
        record = self._records.get(peer)
        return 0 if record is None else -(-self._decayed(record, now_ms) // 1000)

    def add(self, peer: NodeId, points: int, now_ms: int, bannable: bool = True) -> bool:
        """Note an event; True when it just got the peer banned."""
        record = self._records.pop(peer, None)
        if record is None:
            self._make_room(now_ms)
            record = _Record(0, now_ms)
        self._records[peer] = record  # most recently touched stands last
        record.milli = min(SCORE_MAX * 1000, self._decayed(record, now_ms) + points * 1000)
        record.at_ms = now_ms
        if not bannable or record.milli > self._rules.ban_below * 1000 or record.banned_until_ms > now_ms:
            return False
        record.banned_until_ms = now_ms + self._rules.ban_ms
        return True

    def banned_for_ms(self, peer: NodeId, now_ms: int) -> int:
        """How much longer the peer is banned; 0 when it is not."""
        record = self._records.get(peer)
        return 0 if record is None else max(0, record.banned_until_ms - now_ms)

    def ban(self, peer: NodeId, now_ms: int) -> None:
        """Ban at once."""
        self._records.pop(peer, None)
        self._make_room(now_ms)
        self._records[peer] = _Record(self._rules.ban_below * 1000, now_ms, now_ms + self._rules.ban_ms)

    def forgive(self, peer: NodeId) -> None:
        """Forget everything about a peer."""
        self._records.pop(peer, None)

    def _decayed(self, record: _Record, now_ms: int) -> int:
        if record.milli >= 0:
            return record.milli
        return min(0, record.milli + (now_ms - record.at_ms) * self._rules.regain_per_second)

    def _make_room(self, now_ms: int) -> None:
        if len(self._records) < RECORDS_MAX:
            return
        for peer, record in self._records.items():
            if record.banned_until_ms <= now_ms:
                del self._records[peer]
                return
        del self._records[next(iter(self._records))]
