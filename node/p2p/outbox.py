"""What waits to be sent to one peer: a control lane that goes first, and one lane a topic, served in turn.

A flood on one topic can neither delay nor displace another topic's messages by more than one message a turn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from node.p2p.wire import BATCH_BYTES, BATCH_MESSAGES_MAX, PAYLOAD_BYTES_MAX

CONTROL_MESSAGES_MAX: Final = 2048
CONTROL_BYTES_MAX: Final = 2 * 1024 * 1024
LANE_MESSAGES_MAX: Final = 2048
LANE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 4 * 1024 * 1024
ANSWERS: Final = "\x00answers"
"""The lane of request answers: no topic can have this name. What is promised is not dropped."""


class OutboxOverflow(Exception):
    """The peer does not take what it must not miss: close the session."""


class _Lane:
    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: deque[bytes] = deque()
        self.size = 0

    def push(self, encoded: bytes) -> None:
        self.items.append(encoded)
        self.size += len(encoded)

    def pop(self) -> bytes:
        encoded = self.items.popleft()
        self.size -= len(encoded)
        return encoded


class Outbox:
    """Encoded messages in, frames' worth out."""

    def __init__(self) -> None:
        self._control = _Lane()
        self._lanes: dict[str, _Lane] = {}
        self._turn: deque[str] = deque()  # the non-empty lanes, next to be served first
        self._waiting = asyncio.Event()
        self.dropped = 0

    def put_control(self, encoded: bytes) -> None:
        """Small, first to go. Raises OutboxOverflow."""
        if len(self._control.items) >= CONTROL_MESSAGES_MAX or self._control.size + len(encoded) > CONTROL_BYTES_MAX:
            raise OutboxOverflow("control messages pile up")
        self._control.push(encoded)
        self._waiting.set()

    def put_answer(self, encoded: bytes) -> None:
        """An answer to a request. Raises OutboxOverflow."""
        lane = self._lanes.get(ANSWERS)
        if lane is not None and lane.size + len(encoded) > 2 * LANE_BYTES_MAX:
            raise OutboxOverflow("answers pile up")
        self._put(ANSWERS, encoded)

    def put_topic(self, topic: str, encoded: bytes) -> None:
        """A topic's message; the topic's oldest make room."""
        lane = self._put(topic, encoded)
        while len(lane.items) > LANE_MESSAGES_MAX or (lane.size > LANE_BYTES_MAX and len(lane.items) > 1):
            lane.pop()
            self.dropped += 1

    def _put(self, name: str, encoded: bytes) -> _Lane:
        lane = self._lanes.setdefault(name, _Lane())
        if not lane.items:
            self._turn.append(name)
        lane.push(encoded)
        self._waiting.set()
        return lane

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._control.items) + sum(len(lane.items) for lane in self._lanes.values())

    async def wait(self) -> None:
        """Until something waits to be sent."""
        await self._waiting.wait()

    def take(self) -> list[bytes]:
        """The next frame: messages up to BATCH_BYTES together, or one that is larger. Empty when nothing waits."""
        taken: list[bytes] = []
        size = 0
        while len(taken) < BATCH_MESSAGES_MAX:
            if self._control.items:
                source, name = self._control, ""
            elif self._turn:
                name = self._turn[0]
                source = self._lanes[name]
            else:
                self._waiting.clear()
                break
            size += len(source.items[0])
            if taken and size > BATCH_BYTES:
                break
            taken.append(source.pop())
            if name:
                self._turn.popleft()
                if source.items:
                    self._turn.append(name)
        return taken
