"""What a topic's handler has yet to judge: one line a peer, served in turn, bounded in messages and bytes.

However much one peer sends, it delays another's message by one message of its own a turn, and what it sends beyond
its bound displaces its own oldest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from node.p2p.identity import NodeId
from node.p2p.wire import PAYLOAD_BYTES_MAX, MessageId

MESSAGES_MAX: Final = 1024
BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 4 * 1024 * 1024
"""A peer's bounds in one topic."""
TOTAL_BYTES_MAX: Final = 64 * 1024 * 1024
"""All peers together in one topic; the longest line gives way."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to be judged. ``id`` is None for a direct one, which is never forwarded."""

    peer: NodeId
    payload: bytes
    id: MessageId | None


class _Line:
    __slots__ = ("letters", "size")

    def __init__(self) -> None:
        self.letters: deque[Letter] = deque()
        self.size = 0

    def pop(self) -> Letter:
        letter = self.letters.popleft()
        self.size -= len(letter.payload)
        return letter


class TopicInbox:
    """Letters in, fair turns out."""

    def __init__(self) -> None:
        self._lines: dict[NodeId, _Line] = {}  # the non-empty ones
        self._turn: deque[NodeId] = deque()
        self._size = 0
        self._waiting = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return sum(len(line.letters) for line in self._lines.values())

    def put(self, letter: Letter) -> list[Letter]:
        """Queue a letter; what had to make room for it."""
        line = self._lines.get(letter.peer)
        if line is None:
            line = self._lines[letter.peer] = _Line()
            self._turn.append(letter.peer)
        line.letters.append(letter)
        line.size += len(letter.payload)
        self._size += len(letter.payload)
        self._waiting.set()
        displaced: list[Letter] = []
        while len(line.letters) > MESSAGES_MAX or line.size > BYTES_MAX:
            displaced.append(self._pop(letter.peer))
        while self._size > TOTAL_BYTES_MAX:
            longest = max(self._lines, key=lambda peer: self._lines[peer].size)
            displaced.append(self._pop(longest))
        self.dropped += len(displaced)
        return displaced

    def _pop(self, peer: NodeId) -> Letter:
        line = self._lines[peer]
        letter = line.pop()
        self._size -= len(letter.payload)
        if not line.letters:
            del self._lines[peer]
            self._turn.remove(peer)
        return letter

    async def take(self) -> Letter:
        """The next letter; waits for one."""
        while not self._turn:
            self._waiting.clear()
            await self._waiting.wait()
        peer = self._turn[0]
        letter = self._pop(peer)
        if peer in self._lines:
            self._turn.rotate(-1)
        return letter
