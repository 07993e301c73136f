"""What a link does to what is sent over it: the one definition, used by the simulator and by the TCP proxy.

A link goes one way, from one node to another. ``LinkPolicy`` holds a default condition, conditions of single links
and cuts, and answers one question: what becomes of this frame, sent now? It keeps no clock and no generator of its
own; both are handed in, so that the simulator's answers follow its seed.

Frames travel on a connection that promises order and no loss. So by default (``Loss.RETRANSMIT``) a lost frame is one
that comes later, after a retransmission timeout, and holds up those behind it; a doubled frame is dropped by the
receiver; an overtaken one waits. ``Loss.RESET`` breaks the connection instead. ``Loss.RAW`` really loses, doubles and
reorders frames, to see whether what stands above notices.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

NS_PER_MS: Final = 1_000_000
RETRANSMIT_MS: Final = 200
"""First retransmission timeout, doubled each time (RFC 6298 has 1 s at first; kernels use 200 ms)."""
RETRANSMITS_MAX: Final = 6
"""After as many losses in a row the sender gives the connection up."""


class Loss(Enum):
    """How the loss of a frame shows."""

    RETRANSMIT = "retransmit"
    RESET = "reset"
    RAW = "raw"


@dataclass(frozen=True, slots=True)
class LinkCondition:
    """State of one link. Probabilities are 0 to 1 a frame; times in milliseconds; 0 bytes a second is no limit."""

    delay_ms: float = 1.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 20.0
    bandwidth_bytes_per_s: int = 0
    on_loss: Loss = Loss.RETRANSMIT

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is not a probability")
        for name in ("delay_ms", "jitter_ms", "reorder_ms", "bandwidth_bytes_per_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is negative")


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What becomes of one frame: it arrives after each of ``after_ns``, in that order of sending.

    Empty ``after_ns`` without ``reset``: lost for good. ``reset``: the connection breaks. ``in_order``: the link keeps
    the order of sending, so an arrival waits for those before it.
    """

    after_ns: tuple[int, ...] = ()
    reset: bool = False
    in_order: bool = True


LOST: Final = Deliveries()
BROKEN: Final = Deliveries(reset=True)


@dataclass(slots=True)
class LinkPolicy:
    """Conditions and cuts of all links of a cluster."""

    default: LinkCondition = field(default_factory=LinkCondition)
    _conditions: dict[tuple[str, str], LinkCondition] = field(default_factory=dict)
    _cuts: dict[tuple[str, str], None] = field(default_factory=dict)
    _busy_until_ns: dict[tuple[str, str], int] = field(default_factory=dict)

    def condition(self, source: str, target: str) -> LinkCondition:
        """The link's condition, apart from cuts."""
        return self._conditions.get((source, target), self.default)

    def is_cut(self, source: str, target: str) -> bool:
        """Whether nothing passes from ``source`` to ``target``."""
        return (source, target) in self._cuts

    @property
    def cuts(self) -> tuple[tuple[str, str], ...]:
        """The links that are cut, oldest cut first."""
        return tuple(self._cuts)

    # ---- faults

    def set_condition(self, source: str, target: str, condition: LinkCondition) -> None:
        """Give one link a condition of its own."""
        self._conditions[source, target] = condition

    def change(self, source: str, target: str, **fields: object) -> None:
        """Change some fields of one link's condition: ``change("n0", "n1", loss=0.1)``."""
        self._conditions[source, target] = replace(self.condition(source, target), **fields)  # type: ignore[arg-type]

    def mend(self, source: str, target: str) -> None:
        """Back to the default condition."""
        self._conditions.pop((source, target), None)

    def cut_one_way(self, source: str, target: str) -> None:
        """Let nothing pass from ``source`` to ``target``; the way back stays open."""
        self._cuts[source, target] = None

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between the two."""
        self.cut_one_way(one, other)
        self.cut_one_way(other, one)

    def isolate(self, node: str, others: Iterable[str]) -> None:
        """Cut the node off from all others."""
        for other in others:
            if other != node:
                self.cut(node, other)

    def partition(self, *groups: Iterable[str]) -> None:
        """Cut every link between members of different groups. A node in two groups is a bridge: it hears both."""
        sides = [list(group) for group in groups]
        together = {(one, other): None for side in sides for one in side for other in side}
        for position, side in enumerate(sides):
            for rest in sides[position + 1 :]:
                for one in side:
                    for other in rest:
                        if one != other and (one, other) not in together:
                            self.cut(one, other)

    def heal(self) -> None:
        """Undo every cut. Conditions stay."""
        self._cuts.clear()

    def heal_link(self, source: str, target: str) -> None:
        """Undo the cut of one direction."""
        self._cuts.pop((source, target), None)

    # ---- the question

    def deliveries(self, source: str, target: str, size: int, now_ns: int, chance: random.Random) -> Deliveries:
        """What becomes of a frame of ``size`` bytes sent now. ``LOST`` on a cut link: the carrier may try it again."""
        if (source, target) in self._cuts:
            return LOST
        condition = self.condition(source, target)
        delay_ns = round(condition.delay_ms * NS_PER_MS)
        if condition.jitter_ms:
            delay_ns += round(condition.jitter_ms * NS_PER_MS * chance.random())
        if condition.bandwidth_bytes_per_s:
            free_ns = max(self._busy_until_ns.get((source, target), 0), now_ns)
            free_ns += size * 1_000_000_000 // condition.bandwidth_bytes_per_s
            self._busy_until_ns[source, target] = free_ns
            delay_ns += free_ns - now_ns
        if condition.loss and chance.random() < condition.loss:
            if condition.on_loss is Loss.RAW:
                return LOST
            if condition.on_loss is Loss.RESET:
                return BROKEN
            wait_ms, losses = RETRANSMIT_MS, 1
            while chance.random() < condition.loss:
                losses += 1
                wait_ms += RETRANSMIT_MS << (losses - 1)
                if losses > RETRANSMITS_MAX:
                    return BROKEN
            delay_ns += wait_ms * NS_PER_MS
        raw = condition.on_loss is Loss.RAW
        if condition.reorder and chance.random() < condition.reorder:
            delay_ns += round(condition.reorder_ms * NS_PER_MS * chance.random())
        if condition.duplication and chance.random() < condition.duplication and raw:
            return Deliveries((delay_ns, delay_ns + round(condition.reorder_ms * NS_PER_MS)), in_order=False)
        return Deliveries((delay_ns,), in_order=not raw)
