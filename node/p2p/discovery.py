"""Where other nodes may be found, and when to dial them next.

Addresses come from the operator (static: bootnodes) and from peers' neighbour lists. What we pass on ourselves is
only what a session has proven: we reached that node at that address, or it dialled us from that host.
Pure bookkeeping: the dialling is peer_set.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from node.p2p.identity import DialAddress, NodeId
from node.runtime.runtime import Entropy
from node.runtime.transport import split_address

ENTRIES_MAX: Final = 1024
LEARNED_PER_PEER_MAX: Final = 64
"""So many unproven addresses may stand in the book on one peer's word."""
FAILURES_MAX: Final = 12
"""A learned address that failed so often in a row is forgotten."""
UNPROVEN_REDIAL_MS_MAX: Final = 60_000
HIGHER_ID_DELAY_MS: Final = 1500
"""Of two nodes that hear of each other at once the one with the lower id dials; the other waits this long."""
ANY_HOST: Final = ("0.0.0.0", "::", "[::]")


@dataclass(slots=True)
class Entry:
    """One node we may dial."""

    node_id: NodeId
    address: str
    static: bool
    next_dial_ms: int
    failures: int = 0
    met: bool = False
    """A session with it has existed: it is worth dialling often."""
    proven: bool = False
    """It was met at this very address."""
    source: NodeId | None = None


class AddressBook:
    """Bounded; entries in the order they were learned."""

    def __init__(self, own: NodeId, redial_ms_min: int, redial_ms_max: int, entropy: Entropy) -> None:
        self._own = own
        self._redial_ms_min = redial_ms_min
        self._redial_ms_max = redial_ms_max
        self._entropy = entropy
        self._entries: dict[NodeId, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, node_id: NodeId) -> Entry | None:
        """What is known of a node."""
        return self._entries.get(node_id)

    def is_static(self, node_id: NodeId) -> bool:
        """Whether the operator named it."""
        entry = self._entries.get(node_id)
        return entry is not None and entry.static

    def add_static(self, target: DialAddress, now_ms: int) -> None:
        """A node the operator wants us to be connected with; never forgotten, its address never overruled."""
        if target.node_id != self._own:
            self._entries[target.node_id] = Entry(target.node_id, target.address, static=True, next_dial_ms=now_ms)

    def remove(self, node_id: NodeId) -> None:
        """Dial it no more."""
        self._entries.pop(node_id, None)

    def learn(self, source: NodeId, neighbours: Iterable[tuple[NodeId, str]], now_ms: int) -> int:
        """Note what a peer says about others; how many were new."""
        room = LEARNED_PER_PEER_MAX - sum(
            1 for entry in self._entries.values() if entry.source == source and not entry.met
        )
        learned = 0
        for node_id, address in neighbours:
            if not address or node_id == self._own or split_address(address)[0] in ANY_HOST:
                continue
            known = self._entries.get(node_id)
            if known is not None:
                if not known.static and not known.proven and known.failures and known.address != address:
                    known.address, known.source = address, source  # what we had does not work
                continue
            if learned >= room or not self._make_room():
                break
            delay_ms = 0 if self._own < node_id else HIGHER_ID_DELAY_MS
            self._entries[node_id] = Entry(node_id, address, False, now_ms + delay_ms, source=source)
            learned += 1
        return learned

    def met(self, node_id: NodeId, address: str, proven: bool) -> None:
        """A session with the node has begun; it says it listens at ``address`` (empty: it does not)."""
        entry = self._entries.get(node_id)
        if entry is None:
            if not address or not self._make_room():
                return
            entry = self._entries[node_id] = Entry(node_id, address, static=False, next_dial_ms=0)
        if not entry.static and address and (proven or not entry.proven):
            entry.address = address
        entry.met = True
        entry.failures = 0
        entry.proven = proven if entry.address == address else entry.proven

    def lost(self, node_id: NodeId, now_ms: int) -> None:
        """A session has ended: dial again soon, but not in step with the other side."""
        entry = self._entries.get(node_id)
        if entry is not None:
            entry.next_dial_ms = now_ms + self._jittered(self._redial_ms_min)

    def failed(self, node_id: NodeId, now_ms: int) -> None:
        """Dialling did not lead to a session: wait longer each time."""
        entry = self._entries.get(node_id)
        if entry is None:
            return
        entry.failures += 1
        if not entry.static and entry.failures >= FAILURES_MAX * (10 if entry.met else 1):
            del self._entries[node_id]
            return
        longest_ms = self._redial_ms_max if entry.static or entry.met else UNPROVEN_REDIAL_MS_MAX
        backoff_ms = min(longest_ms, self._redial_ms_min << min(entry.failures, 16))
        entry.next_dial_ms = now_ms + self._jittered(backoff_ms)

    def due(self, now_ms: int, skip: Callable[[NodeId], bool]) -> list[Entry]:
        """Whom to dial now: static nodes first."""
        due = [entry for entry in self._entries.values() if entry.next_dial_ms <= now_ms and not skip(entry.node_id)]
        due.sort(key=lambda entry: not entry.static)
        return due

    def next_due_ms(self, skip: Callable[[NodeId], bool]) -> int | None:
        """When the next dial is due; None when there is nobody to dial."""
        return min((entry.next_dial_ms for entry in self._entries.values() if not skip(entry.node_id)), default=None)

    def address_to_share(self, node_id: NodeId) -> str:
        """The node's address if a session has proven it, else empty."""
        entry = self._entries.get(node_id)
        return entry.address if entry is not None and entry.proven else ""

    def _jittered(self, wait_ms: int) -> int:
        """Between half and the whole of ``wait_ms``."""
        half = max(1, wait_ms // 2)
        return half + int.from_bytes(self._entropy(4), "big") % half

    def _make_room(self) -> bool:
        if len(self._entries) < ENTRIES_MAX:
            return True
        candidates = [entry for entry in self._entries.values() if not entry.static and not entry.met]
        if not candidates:
            return False
        worst = max(candidates, key=lambda entry: entry.failures)
        del self._entries[worst.node_id]
        return True


def reachable_address(claimed: str, remote: str) -> tuple[str, bool]:
    """Where an inbound peer can be dialled: its claimed listen address, with the host it came from filled in where it
    listens on all of them; and whether the claim is proven, which it is when it came from that very host."""
    host, port = split_address(claimed)
    try:
        remote_host = split_address(remote)[0]
    except ValueError:  # a transport whose addresses are no host:port proves nothing
        return claimed, False
    if host in ANY_HOST:
        return (f"[{remote_host}]:{port}" if ":" in remote_host else f"{remote_host}:{port}"), True
    return claimed, host == remote_host
