"""Who may be our peer: the hello's content, and what must be equal in another's.

The p2p room carries the hello and adds where the node listens (``listen``); it does not know what a chain is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from node.p2p.wire import HelloValue
from node.primitives.scalars import Hash32

PROTOCOL_VERSION: Final = 1
NAME_LENGTH_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class ChainIdentity:
    """What makes two nodes members of one network."""

    chain_id: int
    genesis_hash: Hash32
    rules_hash: Hash32
    """Of the fork schedule and the consensus rules (chain/genesis.py): they do not show in the genesis hash."""


class Status:
    """Our side of the introduction. ``head()``: number and hash of our head, for the other side's information."""

    def __init__(
        self,
        chain: ChainIdentity,
        name: str,
        client: str,
        head: Callable[[], tuple[int, Hash32]],
    ) -> None:
        self._chain = chain
        self._name = name[:NAME_LENGTH_MAX]
        self._client = client[:NAME_LENGTH_MAX]
        self._head = head

    def hello(self) -> dict[str, HelloValue]:
        """What we say of ourselves."""
        number, block_hash = self._head()
        return {
            "protocol": PROTOCOL_VERSION,
            "chain_id": self._chain.chain_id,
            "genesis": self._chain.genesis_hash,
            "rules": self._chain.rules_hash,
            "name": self._name,
            "client": self._client,
            "head_number": number,
            "head_hash": block_hash,
        }

    def check_hello(self, theirs: Mapping[str, HelloValue]) -> str | None:
        """Why the other side cannot be our peer, in words for both logs; None if it can."""
        if theirs.get("protocol") != PROTOCOL_VERSION or type(theirs["protocol"]) is not int:
            return f"protocol {_shown(theirs.get('protocol'))} is not ours ({PROTOCOL_VERSION})"
        chain = self._chain
        if theirs.get("chain_id") != chain.chain_id or type(theirs["chain_id"]) is not int:
            return f"chain id {_shown(theirs.get('chain_id'))} is not ours ({chain.chain_id})"
        if theirs.get("genesis") != chain.genesis_hash:
            return f"genesis {_shown(theirs.get('genesis'))} is not ours ({_shown(chain.genesis_hash)})"
        if theirs.get("rules") != chain.rules_hash:
            return "same genesis block, but other fork times or consensus rules in its configuration"
        if not isinstance(theirs.get("name"), str) or len(str(theirs["name"])) > NAME_LENGTH_MAX:
            return f"a node's name is a string of at most {NAME_LENGTH_MAX} characters"
        if type(theirs.get("head_number")) is not int or not _is_hash(theirs.get("head_hash")):
            return "the hello does not tell the head"
        return None


def _is_hash(value: HelloValue) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _shown(value: HelloValue) -> str:
    if isinstance(value, bytes):
        return "0x" + value[:8].hex() + ("…" if len(value) > 8 else "")
    return repr(value)[:40]
