"""What a load has shown: latencies from the moment each transaction was due, throughput, and of each node.

Everything is milliseconds or a number a second. A transaction counts as included when the node that it was sent to
shows it in a block (another one, where that node is gone), and as final when that node calls the block final.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from network.load.chain_watch import ChainWatch
from network.load.generator import Shot

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
LATE_MS: Final = 50.0
"""A start later than this (99 of 100) says that the machine could not keep the pace: the load was not what it seems."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds; all None where there was nothing to measure."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Of these samples."""
        if not seconds:
            return cls()
        ordered = sorted(seconds)
        quantiles = {name: round(1000 * quantile(ordered, share), 1) for name, share in QUANTILES.items()}
        return cls(
            len(ordered), round(1000 * sum(ordered) / len(ordered), 1), max=round(1000 * ordered[-1], 1), **quantiles
        )


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of all does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class NodeShare:
    """One node's part."""

    name: str
    submitted: int
    accepted: int
    included: int
    final: int
    submit_ms: Latency
    blocks: int
    undone: int
    head_transactions_per_s: float
    """Of all transactions, in the blocks that this node showed."""
    gas_per_s: float
    unanswered: int


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the load, by the moments at which its transactions were due."""

    second: int
    due: int
    included: int
    """Seen in a block during this second."""
    final: int
    included_p50_ms: float | None
    included_p95_ms: float | None
    final_p50_ms: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole."""

    kinds: tuple[str, ...]
    offered_per_s: float
    seconds: float
    sent: int
    accepted: int
    included: int
    final: int
    failed: int
    """In a block, but without success."""
    lost: int
    """Accepted, and in no block at the end."""
    resent: int
    refusals: dict[str, int]
    included_per_s: float
    gas_per_s: float
    submit_ms: Latency
    included_ms: Latency
    final_ms: Latency
    start_late_ms: Latency
    nodes: tuple[NodeShare, ...]
    timeline: tuple[Second, ...] = field(repr=False)

    @property
    def refused(self) -> int:
        """How many the nodes did not take."""
        return self.sent - self.accepted

    @property
    def clean(self) -> bool:
        """Whether every transaction was taken, and is final with success."""
        return self.final == self.sent and not self.failed

    @property
    def was_late(self) -> bool:
        """Whether the sender itself could not keep the pace."""
        return (self.start_late_ms.p99 or 0.0) > LATE_MS

    def to_json(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self) | {"refused": self.refused, "clean": self.clean, "sender_was_late": self.was_late}


@dataclass(frozen=True, slots=True)
class _Fate:
    shot: Shot
    included: float | None
    final: float | None


def make_report(
    shots: Sequence[Shot], watches: Sequence[ChainWatch], began: float, per_second: float, failed: int
) -> Report:
    """From what was sent and what was seen. ``failed``: receipts without success."""
    fates = [_Fate(shot, _seen(shot, watches, "included"), _seen(shot, watches, "final")) for shot in shots]
    accepted = [fate for fate in fates if fate.shot.acknowledged is not None]
    included = [fate for fate in accepted if fate.included is not None]
    final = [fate for fate in accepted if fate.final is not None]
    last = max((fate.included for fate in included if fate.included is not None), default=began)
    length = max(last - began, 0.001)
    names = dict.fromkeys(shot.hash for shot in shots)
    # the kinds in the order in which they first came
    kinds = tuple(dict.fromkeys(shot.kind for shot in shots))
    return Report(
        kinds=kinds,
        offered_per_s=per_second,
        seconds=round(length, 3),
        sent=len(shots),
        accepted=len(accepted),
        included=len(included),
        final=len(final),
        failed=failed,
        lost=len(accepted) - len(included),
        resent=sum(shot.resent for shot in shots),
        refusals=dict(Counter(shot.refusal for shot in shots if shot.refusal).most_common()),
        included_per_s=round(len(included) / length, 1),
        gas_per_s=round(max((_gas(watch, names, began, last) for watch in watches), default=0) / length),
        submit_ms=Latency.of([one.shot.acknowledged - one.shot.due for one in accepted if one.shot.acknowledged]),
        included_ms=Latency.of([one.included - one.shot.due for one in included if one.included]),
        final_ms=Latency.of([one.final - one.shot.due for one in final if one.final]),
        start_late_ms=Latency.of([max(0.0, shot.started - shot.due) for shot in shots if shot.started]),
        nodes=tuple(_share(index, watch, fates, names, began, last, length) for index, watch in enumerate(watches)),
        timeline=tuple(_timeline(fates, began)),
    )


def _seen(shot: Shot, watches: Sequence[ChainWatch], what: str) -> float | None:
    times = [getattr(watch, what).get(shot.hash) for watch in watches]
    own: float | None = times[shot.node]
    return own if own is not None else min((time for time in times if time is not None), default=None)


def _gas(watch: ChainWatch, names: dict[str, None], began: float, last: float) -> int:
    """Of the blocks that hold a transaction of the load."""
    return sum(
        block.gas_used
        for block in watch.blocks.values()
        if began <= block.seen <= last + 1 and any(one in names for one in block.transactions)
    )


def _share(
    index: int,
    watch: ChainWatch,
    fates: Sequence[_Fate],
    names: dict[str, None],
    began: float,
    last: float,
    length: float,
) -> NodeShare:
    own = [fate for fate in fates if fate.shot.node == index]
    accepted = [fate for fate in own if fate.shot.acknowledged is not None]
    return NodeShare(
        name=watch.name,
        submitted=len(own),
        accepted=len(accepted),
        included=sum(one in watch.included for one in names),
        final=sum(one in watch.final for one in names),
        submit_ms=Latency.of([one.shot.acknowledged - one.shot.due for one in accepted if one.shot.acknowledged]),
        blocks=sum(block.seen >= began for block in watch.blocks.values()),
        undone=watch.undone,
        head_transactions_per_s=round(sum(one in watch.included for one in names) / length, 1),
        gas_per_s=round(_gas(watch, names, began, last) / length),
        unanswered=watch.failures,
    )


def _timeline(fates: Sequence[_Fate], began: float) -> list[Second]:
    moments = [time for fate in fates for time in (fate.shot.due, fate.included, fate.final) if time is not None]
    seconds = int(max(moments, default=began) - began) + 1
    due: list[list[_Fate]] = [[] for _ in range(seconds)]
    included, final = [0] * seconds, [0] * seconds
    for fate in fates:
        due[int(fate.shot.due - began)].append(fate)
        if fate.included is not None:
            included[max(0, int(fate.included - began))] += 1
        if fate.final is not None:
            final[max(0, int(fate.final - began))] += 1
    rows = []
    for second, own in enumerate(due):
        to_block = Latency.of([fate.included - fate.shot.due for fate in own if fate.included is not None])
        to_final = Latency.of([fate.final - fate.shot.due for fate in own if fate.final is not None])
        rows.append(Second(second, len(own), included[second], final[second], to_block.p50, to_block.p95, to_final.p50))
    return rows
