"""Virtual time: a heap of things to do, in order of time and of asking."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Heap:
    """Whole milliseconds; what is asked for first at one instant happens first."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._sequence = 0

    def at(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something after a delay."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, action))

    def run_events(self, until_ms: int, is_over: Callable[[], object]) -> None:
        """Process events up to a time, or until something is over."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            self.now_ms, _, action = heapq.heappop(heap)
            self.events += 1
            action()
            if is_over():
                return
        self.now_ms = max(self.now_ms, until_ms)
