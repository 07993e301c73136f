"""What happened in a run, in order, as one hash: two runs of one seed are equal when their hashes are.

Every frame that arrives (with a digest of its bytes), every connection that opens or ends, every fault and every head
change becomes one line; the hash is BLAKE2b over the lines. The newest lines are kept for the report of a failure,
and a sink may take them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from network.simulator.event_loop import VirtualTimeLoop

KEPT_LINES: Final = 200
_NS: Final = 1_000_000_000


class Trace:
    """The observer of a world (see ``links.LinkObserver``)."""

    def __init__(self, loop: VirtualTimeLoop, sink: Callable[[str], object] | None = None) -> None:
        self._loop = loop
        self._sink = sink
        self._hash = blake2b(digest_size=32)
        self.events = 0
        self.newest: deque[str] = deque(maxlen=KEPT_LINES)

    def record(self, what: str) -> None:
        """One event, at this instant."""
        now_ns = self._loop.now_ns
        line = f"{now_ns // _NS}.{now_ns % _NS:09} {what}"
        self._hash.update(line.encode() + b"\n")
        self.events += 1
        self.newest.append(line)
        if self._sink is not None:
            self._sink(line)

    def on_frame(self, source: str, target: str, connection: int, frame: bytes) -> None:
        """A frame has reached the target's inbox."""
        digest = blake2b(frame, digest_size=8).hexdigest()
        self.record(f"frame {source}>{target} #{connection} {len(frame)} {digest}")

    def on_connection(self, source: str, target: str, connection: int, event: str) -> None:
        """A connection opened or ended."""
        self.record(f"{event} {source}>{target} #{connection}")

    @property
    def hash(self) -> str:
        """Hex digest of all that happened so far."""
        return self._hash.hexdigest()
