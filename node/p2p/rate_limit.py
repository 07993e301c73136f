"""Token buckets: how often a peer may say a thing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` on average, ``burst`` at once."""

    per_second: int
    burst: int


class TokenBucket:
    """Integer arithmetic in thousandths of a token, on the caller's monotonic milliseconds."""

    __slots__ = ("_at_ms", "_milli", "_rate")

    def __init__(self, rate: Rate, now_ms: int) -> None:
        self._rate = rate
        self._milli = rate.burst * 1000
        self._at_ms = now_ms

    def _refill(self, now_ms: int) -> None:
        if now_ms > self._at_ms:
            self._milli = min(self._rate.burst * 1000, self._milli + (now_ms - self._at_ms) * self._rate.per_second)
            self._at_ms = now_ms

    def take(self, now_ms: int, tokens: int = 1) -> bool:
        """Whether ``tokens`` were there; they are gone if so, untouched if not."""
        self._refill(now_ms)
        if self._milli < tokens * 1000:
            return False
        self._milli -= tokens * 1000
        return True

    def wait_ms(self, now_ms: int, tokens: int) -> int:
        """Take ``tokens`` on credit; how long to pause until the debt is paid."""
        self._refill(now_ms)
        self._milli -= tokens * 1000
        if self._milli >= 0:
            return 0
        return -(self._milli // self._rate.per_second)


class PeerLimits:
    """One peer's buckets by kind of message."""

    __slots__ = ("_buckets",)

    def __init__(self, rates: dict[str, Rate], now_ms: int) -> None:
        self._buckets = {kind: TokenBucket(rate, now_ms) for kind, rate in rates.items()}

    def take(self, kind: str, now_ms: int, tokens: int = 1) -> bool:
        """Whether the peer may say ``tokens`` things of this kind now."""
        return self._buckets[kind].take(now_ms, tokens)

    def wait_ms(self, kind: str, now_ms: int, tokens: int) -> int:
        """How long to stop listening to the peer after ``tokens`` of this kind."""
        return self._buckets[kind].wait_ms(now_ms, tokens)
