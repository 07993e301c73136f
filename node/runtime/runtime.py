"""The four doors to the outside world, in one value."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from node.runtime.clock import Clock, SystemClock
from node.runtime.transport import Network, TcpNetwork
from node.runtime.workers import ThreadWorkers, Workers

Entropy = Callable[[int], bytes]
"""``entropy(n)``: n unpredictable bytes."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a node may ask of the world."""

    clock: Clock
    network: Network
    workers: Workers
    entropy: Entropy


def system_runtime() -> Runtime:
    """The machine's own clock, TCP, threads and OS entropy."""
    return Runtime(clock=SystemClock(), network=TcpNetwork(), workers=ThreadWorkers(), entropy=os.urandom)
