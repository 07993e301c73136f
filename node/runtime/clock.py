"""Time as a door: the only file that names ``time``."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings. Wall time may jump; monotonic time never goes back."""

    def now_ms(self) -> int:
        """Wall time: milliseconds since the Unix epoch."""
        ...

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary start, for timers and durations."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        """Wall time: milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> int:
        """Milliseconds since an arbitrary start, for timers and durations."""
        return time.monotonic_ns() // 1_000_000
