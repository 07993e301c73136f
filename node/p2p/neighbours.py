"""Peers tell one another whom they are connected with, and where those listen.

Two uses: nodes that know one bootnode find all others, and gossip knows whom a sender reaches by itself.
"""

from __future__ import annotations

import asyncio
from typing import Final

from node.p2p.identity import NodeId
from node.p2p.peer import Peer
from node.p2p.peer_set import PeerSet
from node.p2p.wire import NEIGHBOURS_MAX, Neighbours
from node.runtime.clock import Clock
from node.runtime.task_scope import TaskScope

GATHER_MS: Final = 100
"""Changes within this time travel in one list."""


class NeighbourExchange:
    """Sends our list when it changes, takes in others'."""

    def __init__(self, peers: PeerSet, clock: Clock) -> None:
        self._peers = peers
        self._clock = clock
        self._changed = asyncio.Event()

    def start(self, scope: TaskScope) -> None:
        """Send as a task of ``scope``."""
        scope.spawn(self._send(), "neighbour lists")

    def changed(self) -> None:
        """A session has begun or ended."""
        self._changed.set()

    def on_neighbours(self, peer: Peer, message: Neighbours) -> None:
        """A peer's list replaces the one before."""
        peer.neighbours = dict(message.peers)
        if self._peers.book.learn(peer.node_id, message.peers, self._clock.monotonic_ms()):
            self._peers.wake()

    async def _send(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_MS / 1000)
            self._changed.clear()
            for peer in list(self._peers.live.values()):
                peer.send_control(Neighbours(tuple(self._list_for(peer.node_id))))

    def _list_for(self, reader: NodeId) -> list[tuple[NodeId, str]]:
        book = self._peers.book
        others = [node_id for node_id in self._peers.live if node_id != reader]
        return [(node_id, book.address_to_share(node_id)) for node_id in others[:NEIGHBOURS_MAX]]
