"""An engine whose process kills itself between two effects: after signing, before sending, and so on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

from node.consensus.engine import ConsensusMessage, Effect, Engine, Input, Triage


class _Fatal(list[Effect]):
    """Effects of which only the first so many are handed out; asking for the next one is the end."""

    def __init__(self, effects: list[Effect], last: int) -> None:
        super().__init__(effects)
        self._last = last

    def __iter__(self) -> Iterator[Effect]:
        for position, effect in enumerate(super().__iter__()):
            if position == self._last:
                os.kill(os.getpid(), signal.SIGKILL)
            yield effect


class DyingEngine:
    """Stands in for ``inner`` until ``effects`` more of its effects were carried out."""

    def __init__(self, inner: Engine, effects: int) -> None:
        self._inner = inner
        self._left = effects

    @property
    def name(self) -> str:
        """The inner engine's."""
        return self._inner.name

    @property
    def height(self) -> int:
        """The inner engine's."""
        return self._inner.height

    def triage(self, message: ConsensusMessage) -> Triage:
        """The inner engine's opinion."""
        return self._inner.triage(message)

    def inspect(self) -> dict[str, object]:
        """The inner engine's state."""
        return self._inner.inspect()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def handle(self, event: Input) -> list[Effect]:
        """Effects; the process ends before the one that is too many."""
        effects = self._inner.handle(event)
        if len(effects) > self._left:
            return _Fatal(effects, self._left)
        self._left -= len(effects)
        return effects
