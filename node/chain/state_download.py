"""A state that comes in by pieces, from anybody: what is missing, what came, and whether it is whole.

    next_portion   walk down from the root over what the database holds; return what it lacks
    deliver        check each piece against the hash that was asked for, write it, walk on below it

A piece is taken by its hash alone, so it does not matter who sends it. The walk starts at the root in every run and
passes over what is on disk already: after kill -9, or under a newer root, only the rest is asked for. What came is
durable when somebody asks for it: whoever makes the state a head's, at the latest.

The methods are plain and each does a bounded portion of work; call them one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.chain.store import ChainStore
from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.state.links import Link, links_of
from node.storage import schema
from node.storage.database import Batch
from node.trie.nodes import MalformedNode

LOOKED_AT_ONCE: Final = 256
"""Pieces looked up in the database together."""
WALKED_AT_ONCE: Final = 4_096
"""Pieces that one call passes over before it returns, found or not."""
NAME_BYTES: Final = 16
"""Of a hash that are remembered. Nobody finds two nodes that share so many."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to ask for, by its hash (32 bytes)."""

    link: Link
    hash: bytes


class WrongPiece(ValueError):
    """A peer sent bytes that do not have the hash that was asked for."""


class BadState(ValueError):
    """What the root commits to is no state. No peer is to blame: whoever signed the root is."""


class StateDownload:
    """One state on its way into a database."""

    def __init__(self, store: ChainStore, root: Hash32) -> None:
        self._store = store
        self._seen: set[bytes] = set()  # asked for membership only, never walked
        self._stack = [] if root == EMPTY_TRIE_ROOT else [Piece(Link.ACCOUNTS, root)]
        self._asked = 0
        self.found = 0
        """Pieces that were on disk already."""
        self.fetched = 0
        self.fetched_bytes = 0

    @property
    def is_done(self) -> bool:
        """Whether every piece of the state is in the database."""
        return not self._stack and not self._asked

    @property
    def may_go_on(self) -> bool:
        """Whether ``next_portion`` has anything to look at."""
        return bool(self._stack)

    def next_portion(self, pieces_max: int) -> list[Piece]:
        """Missing pieces to ask for; each must come back by ``deliver`` or ``give_back``. Raises BadState.

        May be empty although the state is not done: call again while ``may_go_on``.
        """
        missing: list[Piece] = []
        walked = 0
        while self._stack and len(missing) < pieces_max and walked < WALKED_AT_ONCE:
            looked: list[Piece] = []
            while self._stack and len(looked) < min(LOOKED_AT_ONCE, pieces_max - len(missing)):
                piece = self._stack.pop()
                name = piece.hash[:NAME_BYTES]
                if name not in self._seen:
                    self._seen.add(name)
                    looked.append(piece)
            walked += len(looked)
            values = self._store.database.get_many([key_of(piece) for piece in looked])
            for piece, value in zip(looked, values, strict=True):
                if value is None:
                    missing.append(piece)
                else:
                    self.found += 1
                    self._walk_below(piece, value)
        self._asked += len(missing)
        return missing

    def deliver(self, pieces: Sequence[Piece], values: Sequence[bytes], durable: bool = False) -> int:
        """Take what came for ``pieces``, in their order: empty where the peer has none. How many came.

        With ``durable`` they, and all that came before, are on disk when it returns. The others may be asked for
        again. Raises WrongPiece, and then nothing is written and all may be asked for again; BadState.
        """
        batch = Batch()
        came: list[tuple[Piece, bytes]] = []
        lacking: list[Piece] = list(pieces[len(values) :])
        for piece, value in zip(pieces, values, strict=False):
            if not value:
                lacking.append(piece)
            elif keccak256(value) != piece.hash:
                self.give_back(pieces)
                raise WrongPiece(f"{piece.link.name.lower()} 0x{piece.hash.hex()}: other bytes came")
            else:
                batch.put(key_of(piece), value)
                came.append((piece, value))
        if came:
            self._store.database.write(batch, durable)
        self._asked -= len(came)
        self.give_back(lacking)
        for piece, value in came:
            self.fetched += 1
            self.fetched_bytes += len(value)
            self._walk_below(piece, value)
        return len(came)

    def give_back(self, pieces: Sequence[Piece]) -> None:
        """These did not come; somebody else shall be asked."""
        self._asked -= len(pieces)
        for piece in pieces:
            self._seen.discard(piece.hash[:NAME_BYTES])
            self._stack.append(piece)

    def _walk_below(self, piece: Piece, value: bytes) -> None:
        if piece.link is Link.CODE:
            return
        try:
            self._stack += [Piece(link, child) for link, child in links_of(value, piece.link)]
        except (MalformedNode, rlp.RLPError) as error:
            raise BadState(f"node 0x{piece.hash.hex()}: {error}") from error


def key_of(piece: Piece) -> bytes:
    """Where it lies in the database."""
    return schema.code(piece.hash) if piece.link is Link.CODE else schema.trie_node(piece.hash)
