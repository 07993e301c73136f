"""One node, a block whenever there is work, and every ``block_time_ms`` where that is set. No votes.

For development: the same driver and the same durable head as with votes, nobody to agree with. An empty
block is only made by the interval.
"""

from __future__ import annotations

from node.consensus.engine import (
    BuildPayload,
    ConsensusMessage,
    Decide,
    Effect,
    Input,
    MalformedMessage,
    Moment,
    Note,
    PayloadBuilt,
    PoolHasWork,
    SetTimer,
    Started,
    TimerFired,
    TimerKey,
    Triage,
)
from node.consensus.proposal_fields import next_timestamp, prev_randao
from node.types.blocks import Block, Header

_INTERVAL = TimerKey("interval")
BUILD_BUDGET_MS = 1000


class InstantEngine:
    """The engine of a network of one."""

    name = "instant"

    def __init__(self, block_time_ms: int = 0) -> None:
        self._block_time_ms = block_time_ms
        self._head: Header | None = None
        self._request = 0
        self._building = False
        self._due = False
        """The interval has run out: the next block may be empty."""
        self._work = False
        """Work came while a block was being built."""
        self._last_decided_wall_ms = 0

    @property
    def height(self) -> int:
        """The next block's number."""
        return self._head.number + 1 if self._head else 0

    def handle(self, event: Input) -> list[Effect]:
        """Advance by one input."""
        if isinstance(event, Started):
            self._head = event.head
            return self._interval()
        if self._head is None:
            return []
        if isinstance(event, TimerFired) and event.key == _INTERVAL:
            self._due = True
            return [*self._interval(), *self._build(event.at)]
        if isinstance(event, PoolHasWork):
            self._work = True
            return self._build(event.at)
        if isinstance(event, PayloadBuilt) and event.request == self._request and self._building:
            return self._on_built(event)
        return []

    def _interval(self) -> list[Effect]:
        return [SetTimer(_INTERVAL, self._block_time_ms)] if self._block_time_ms else []

    def _build(self, at: Moment) -> list[Effect]:
        if self._building or self._head is None:
            return []
        self._building = True
        self._work = False
        self._request += 1
        parent_hash = self._head.hash
        return [
            BuildPayload(
                self._request,
                parent_hash,
                self.height,
                next_timestamp(self._head, at.wall_ms),
                prev_randao(parent_hash),
                parent_hash,
                BUILD_BUDGET_MS,
            )
        ]

    def _on_built(self, event: PayloadBuilt) -> list[Effect]:
        self._building = False
        block = event.block
        effects: list[Effect] = []
        if block is None:
            effects.append(Note("building failed", {"height": self.height, "why": event.problem}, "warning"))
        elif block.transactions or self._due:
            effects.append(self._decide(block, event.at))
        if self._work:
            effects.extend(self._build(event.at))
        return effects

    def _decide(self, block: Block, at: Moment) -> Effect:
        self._due = False
        self._head = block.header
        self._last_decided_wall_ms = at.wall_ms
        return Decide(block, b"")

    def triage(self, message: ConsensusMessage) -> Triage:
        """Nobody else takes part."""
        return Triage(False, "one node needs no votes")

    def inspect(self) -> dict[str, object]:
        """State for RPC, in JSON types."""
        return {
            "engine": self.name,
            "height": self.height,
            "round": 0,
            "step": "building" if self._building else "waiting",
            "validators": [],
            "lastDecidedMs": self._last_decided_wall_ms,
        }


class SoloCodec:
    """The instant engine sends nothing and understands nothing."""

    def decode(self, data: bytes) -> ConsensusMessage:
        """Raises MalformedMessage."""
        raise MalformedMessage("the instant engine has no messages")

    def claim(self, data: bytes) -> ConsensusMessage:
        """Raises MalformedMessage."""
        raise MalformedMessage("the instant engine has no messages")

    def is_large(self, message: ConsensusMessage) -> bool:
        """Never asked."""
        return False

    def check(self, message: ConsensusMessage) -> None:
        """Raises MalformedMessage."""
        raise MalformedMessage("the instant engine has no messages")

    def decided(self, block: Block, seal: bytes) -> ConsensusMessage:
        """Raises MalformedMessage."""
        raise MalformedMessage("the instant engine has no messages")

    def height_of(self, message: ConsensusMessage) -> int | None:
        """Nothing."""
        return None
