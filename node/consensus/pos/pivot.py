"""Which block a node without any blocks may start from, under pos: every vote replayed, no transaction executed.

What consensus knows after a block follows from the bodies of all blocks before it, and each header commits to its
body. So headers and bodies are taken from block 1 on, each proposer's and voter's signature is checked, and the
transition is applied as if the blocks had been executed. Where it shows a checkpoint as finalized, two thirds of the
weight have signed for that, and its block is the pivot: the same proof that a node asks for which executes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from node.consensus.engine import InvalidSeal, MalformedMessage
from node.consensus.pos.codec import PosCodec
from node.consensus.pos.messages import SignedBlock
from node.consensus.pos.rules import PosRules
from node.consensus.pos.seals import decode_seal, encode_seal
from node.consensus.pos.state import ChainState, InvalidTransition, Transition, genesis_state
from node.state.view import StateView
from node.types.blocks import Block, Header

HEADERS_AT_ONCE: Final = 256
KEPT_BELOW_PIVOT: Final = 512
"""Replayed blocks that are remembered below the finalized one, for their seals."""


@dataclass(frozen=True, slots=True)
class _Replayed:
    header: Header
    signed: SignedBlock | None
    state: ChainState


class PosPivot:
    """Replays what peers offer; whoever goes on from another's blocks need not be the one who sent them."""

    def __init__(self, rules: PosRules, genesis: Header, slot_now: Callable[[], int]) -> None:
        """``slot_now()``: the slot that the wall clock is in; blocks of later ones are refused."""
        self._transition = Transition(rules)
        self._codec = PosCodec(rules)
        self._slot_now = slot_now
        self._chain = [_Replayed(genesis, None, genesis_state(genesis.hash))]
        self._final = 0
        """Where the newest finalized block stands in the list."""

    @property
    def header(self) -> Header | None:
        """The block to start from, as far as it is proven; None while it would be the genesis block."""
        header = self._chain[self._final].header
        return header if header.number else None

    def next_request(self) -> tuple[int, int]:
        """(first, count) of the headers to ask for."""
        return self._chain[-1].header.number + 1, HEADERS_AT_ONCE

    def take(self, offered: Sequence[tuple[Header, bytes]]) -> bool:
        """Replay headers and seals; True when the peer has no more. Raises InvalidSeal."""
        if offered and offered[0][0].parent_hash != self._chain[-1].header.hash and len(self._chain) > self._final + 1:
            del self._chain[self._final + 1 :]  # another peer's branch, perhaps: again from what is final
            return False
        for header, seal in offered:
            self._replay(header, seal)
        del self._chain[: max(0, self._final - KEPT_BELOW_PIVOT)]
        self._final = min(self._final, KEPT_BELOW_PIVOT)
        return not offered

    def _replay(self, header: Header, seal: bytes) -> None:
        parent = self._chain[-1]
        if header.parent_hash != parent.header.hash:
            raise InvalidSeal(f"header {header.number} does not follow")
        try:
            signed, _ = decode_seal(Block(header, ()), seal)  # the state in it is its sender's, ours is computed
            if signed.at_slot > self._slot_now() + 1:
                raise InvalidSeal(f"slot {signed.at_slot} has not begun")
            self._codec.check(signed)
            state = self._transition.apply(parent.state, parent.header, signed)
        except (MalformedMessage, InvalidTransition) as error:
            raise InvalidSeal(str(error)) from error
        self._chain.append(_Replayed(header, signed, state))
        root = state.finality.finalized.root
        if root == self._chain[self._final].header.hash:
            return
        for index in range(len(self._chain) - 1, self._final, -1):
            if self._chain[index].header.hash == root:
                self._final = index
                break

    def check_state(self, view: StateView) -> None:
        """Nothing more: the validators of a pos chain do not stand in its state."""

    def seal_for(self, header: Header, offered: bytes) -> bytes | None:
        """The seal to keep beside a block up to the pivot, with the state that was computed here."""
        for one in self._chain:
            if one.header.hash == header.hash and one.signed is not None:
                return encode_seal(one.signed, one.state)
        return None
