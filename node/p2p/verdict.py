"""What a handler says about a message from a peer: true, of no use now, or a lie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from node.p2p.identity import NodeId


class VerdictKind(Enum):
    """The three answers."""

    ACCEPT = "accept"
    IGNORE = "ignore"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer and, where it is not ACCEPT, why."""

    kind: VerdictKind
    why: str = ""


ACCEPT: Final = Verdict(VerdictKind.ACCEPT)
"""True and new: forward it."""


def IGNORE(why: str) -> Verdict:
    """Late, early or of no use: nobody's fault, not forwarded; the same bytes may be judged again later."""
    return Verdict(VerdictKind.IGNORE, why)


def REJECT(why: str) -> Verdict:
    """A lie, whenever it arrives: costs the sender score."""
    return Verdict(VerdictKind.REJECT, why)


Handler = Callable[[NodeId, bytes], Awaitable[Verdict]]
"""``await handler(peer, payload)``"""
