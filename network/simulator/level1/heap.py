"""Virtual time: a heap of things to do, in order of time and of asking."""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

COLLECTED_AFTER: Final = 200_000
"""New objects between two looks for garbage: what waits on the heap is alive, and looking at it is a third of a run."""


class Heap:
    """Whole milliseconds; what is asked for first at one instant happens first."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.events = 0
        self._heap: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._sequence = 0

    def at(self, delay_ms: int, action: Callable[..., object], *arguments: Any) -> None:
        """Do something after a delay."""
        self._sequence += 1
        heapq.heappush(self._heap, (self.now_ms + delay_ms, self._sequence, action, arguments))

    def run_events(self, until_ms: int, is_over: Callable[[], object]) -> None:
        """Process events up to a time, or until something is over."""
        heap, pop = self._heap, heapq.heappop
        with _rare_collections():
            while heap and heap[0][0] <= until_ms:
                self.now_ms, _, action, arguments = pop(heap)
                self.events += 1
                action(*arguments)
                if is_over():
                    return
        self.now_ms = max(self.now_ms, until_ms)


@contextmanager
def _rare_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
