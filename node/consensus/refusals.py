"""What was refused of peers' consensus messages: counted, and paid for with attention.

A rejected message costs its bearer score (p2p). Peers whom the operator named are never banned, so work needs a
bound of its own: every lie is a strike, more for a large one; who has too many is not listened to for a while.
Strikes fade, so a peer with a few mistakes stays heard. An honest peer judges before it passes on and gets none.
"""

from __future__ import annotations

from typing import Final

STRIKES_MAX: Final = 16
"""More than so many: muted."""
STRIKES_COUNTED_MAX: Final = 64
STRIKE_BYTES: Final = 16 * 1024
"""A lie counts once more for each of these."""
FADE_MS: Final = 1000
"""A strike is forgotten in this time, so that many lies mute for about a minute."""
PEERS_MAX: Final = 256


class Refusals:
    """Counters by reason, and each peer's strikes."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {"malformed": 0, "hostile": 0, "unwanted": 0, "busy": 0, "muted": 0}
        """Messages: no message of this engine or badly signed; by nobody who may say it; of no use now; while the
        inbox was full; from a muted peer."""
        self._strikes: dict[bytes, tuple[int, int]] = {}

    def count(self, kind: str) -> None:
        """One more message was refused."""
        self.counts[kind] += 1

    def strike(self, peer: bytes, now_ms: int, size: int) -> None:
        """The peer sent what no honest node sends, ``size`` bytes of it."""
        strikes = self._left(peer, now_ms) + 1 + size // STRIKE_BYTES
        self._strikes.pop(peer, None)
        if len(self._strikes) >= PEERS_MAX:
            del self._strikes[next(iter(self._strikes))]
        self._strikes[peer] = (min(strikes, STRIKES_COUNTED_MAX), now_ms)

    def is_muted(self, peer: bytes, now_ms: int) -> bool:
        """Whether the peer has lied too much lately."""
        return peer in self._strikes and self._left(peer, now_ms) > STRIKES_MAX

    def _left(self, peer: bytes, now_ms: int) -> int:
        strikes, at_ms = self._strikes.get(peer, (0, now_ms))
        return max(0, strikes - (now_ms - at_ms) // FADE_MS)
