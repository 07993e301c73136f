"""R10: what peers sent for heights to come, bounded a peer."""

from __future__ import annotations

from typing import Final

from node.consensus.bft.messages import Proposal, Statement
from node.consensus.bft.triage import ROUNDS_AHEAD_MAX

EARLY_PER_PEER_MAX: Final = 256
EARLY_PROPOSALS_PER_PEER_MAX: Final = 4
PEERS_MAX: Final = 256


class _Early:
    """What one peer sent."""

    __slots__ = ("messages", "proposals")

    def __init__(self) -> None:
        self.messages: list[Statement | Proposal] = []
        self.proposals = 0


class EarlyMessages:
    """Of all peers, in the order in which each sent them."""

    def __init__(self) -> None:
        self._of: dict[bytes, _Early] = {}

    def keep(self, peer: bytes, message: Statement | Proposal) -> None:
        """Keep a message, unless its peer has sent too many."""
        early = self._of.get(peer)
        if early is None:
            if len(self._of) >= PEERS_MAX:
                return
            early = self._of[peer] = _Early()
        is_proposal = isinstance(message, Proposal)
        if len(early.messages) >= EARLY_PER_PEER_MAX or message.round > ROUNDS_AHEAD_MAX:
            return
        if is_proposal and early.proposals >= EARLY_PROPOSALS_PER_PEER_MAX:
            return
        early.messages.append(message)
        early.proposals += is_proposal

    def take(self, height: int) -> list[Statement | Proposal]:
        """The messages of a height that has come; older ones are forgotten."""
        taken: list[Statement | Proposal] = []
        for peer in list(self._of):
            early = self._of[peer]
            taken += [message for message in early.messages if message.height == height]
            early.messages = [message for message in early.messages if message.height > height]
            early.proposals = sum(isinstance(message, Proposal) for message in early.messages)
            if not early.messages:
                del self._of[peer]
        return taken

    def forget(self, peer: bytes) -> None:
        """The peer is gone."""
        self._of.pop(peer, None)

    @property
    def sizes(self) -> list[int]:
        """How many messages are kept of each peer."""
        return [len(early.messages) for early in self._of.values()]
