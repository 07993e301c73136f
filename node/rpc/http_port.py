"""What the connections of one listening port share: how much is under way, who is idle, what the Date header says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Protocol

KEEPALIVE_SECONDS: Final = 75.0
"""A connection without a complete request for so long is closed, at the latest after twice the time."""


class Connection(Protocol):
    """What the port knows of a connection."""

    @property
    def answered(self) -> int:
        """Requests so far."""
        ...

    @property
    def busy(self) -> bool:
        """An answer is being made."""
        ...

    def close(self) -> None:
        """After the answer that is being made, if there is one."""
        ...

    def abort(self) -> None:
        """Now."""
        ...


class HttpPort:
    """One for a server. ``now_ms``: wall time, Unix milliseconds.

    ``at_once_max``: connections, and requests under way; ``others`` counts connections that another protocol has.
    """

    def __init__(self, at_once_max: int, now_ms: Callable[[], int], others: Callable[[], int]) -> None:
        self._at_once_max = at_once_max
        self._others = others
        self._requests = 0
        self._now_ms = now_ms
        self._date = b""
        self._connections: dict[Connection, int] = {}
        """With the number of requests that each had answered at the last look for idle ones."""
        self._look: asyncio.TimerHandle | None = None
        self._all_left = asyncio.Event()

    def enter(self) -> bool:
        """Whether one more request may be under way; each entered one must ``leave``."""
        if self._requests >= self._at_once_max:
            return False
        self._requests += 1
        return True

    def leave(self) -> None:
        """One request less."""
        self._requests -= 1

    def date(self) -> bytes:
        """Now, as the Date header wants it (RFC 9110, 5.6.7); made once for the answers of a second."""
        if not self._date:
            now_ms = self._now_ms()
            self._date = formatdate(now_ms // 1000, usegmt=True).encode()
            asyncio.get_running_loop().call_later((1000 - now_ms % 1000) / 1000, self._second_ended)
        return self._date

    def _second_ended(self) -> None:
        self._date = b""

    def joined(self, connection: Connection) -> bool:
        """A connection began; False where there are too many."""
        if len(self._connections) + self._others() >= self._at_once_max:
            return False
        self._connections[connection] = -1
        self._all_left.clear()
        return True

    def left(self, connection: Connection) -> None:
        """A connection ended, or another protocol has it."""
        self._connections.pop(connection, None)
        if not self._connections:
            self._all_left.set()

    def watch(self) -> None:
        """Close idle connections from now on."""
        self._look = asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        for connection, answered in list(self._connections.items()):
            if connection.answered == answered and not connection.busy:
                connection.close()
            else:
                self._connections[connection] = connection.answered
        self.watch()

    async def close(self, seconds: float) -> None:
        """Close all connections, let answers that are under way go out for so long."""
        if self._look is not None:
            self._look.cancel()
        for connection in list(self._connections):
            connection.close()
        if not self._connections:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._all_left.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()
