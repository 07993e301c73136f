"""How long a validator waits for others before it goes on without them. Only progress depends on it, never safety."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Milliseconds. Timeouts grow by ``delta_ms`` a round (linear, uncapped) and start anew each height.

    ``execute_ms``: a proposal that is still executing when timer propose fires gets so much more, once a round.
    """

    propose_ms: int = 1000
    prevote_ms: int = 250
    precommit_ms: int = 250
    delta_ms: int = 250
    execute_ms: int = 0

    @staticmethod
    def paced(block_time_ms: int) -> Timeouts:
        """Such that a round without its proposer and the block of the next fit into two block intervals."""
        vote_ms = max(100, min(250, block_time_ms // 4))
        return Timeouts(max(200, min(1000, block_time_ms * 45 // 100)), vote_ms, vote_ms, 250, 1000)

    def after_ms(self, kind: str, round_number: int) -> int:
        """How long to wait for ``kind`` ("propose", "prevote", "precommit") in a round."""
        base = {"propose": self.propose_ms, "prevote": self.prevote_ms, "precommit": self.precommit_ms}[kind]
        return base + round_number * self.delta_ms
