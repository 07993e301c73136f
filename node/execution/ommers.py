"""Ommers and rewards of mined blocks (Yellow Paper 11.1 to 11.3, EIP-649, EIP-1234)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from node.crypto.hashes import keccak256
from node.evm.spec import Spec
from node.execution.header import check_header
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.state.journal import JournaledState
from node.types.blocks import Block, Header
from node.types.invalid import BlockReason, InvalidBlock

OMMERS_MAX: Final = 2
GENERATIONS_MAX: Final = 6
"""An ommer's parent is at most so many generations above the block's parent."""
OMMER_SHARES: Final = 8
"""An ommer of age n is worth (8 - n) eighths of a reward."""
NEPHEW_SHARE: Final = 32
"""The block that names an ommer earns a 32nd of a reward more."""


class Ancestry(Protocol):
    """Where the ancestors of a block are looked up: ommers are judged against them."""

    def block(self, block_hash: Hash32) -> Block | None:
        """A known block by hash."""
        ...

    def spec_of(self, header: Header) -> Spec:
        """The rules that a header is under."""
        ...


def ommers_hash(block: Block) -> Hash32:
    """keccak256 of the RLP list of the body's ommers."""
    return keccak256(rlp.encode_list([ommer.encode() for ommer in block.ommers]))


def check_ommers(block: Block, ancestry: Ancestry) -> None:
    """Whether ``block`` may name its ommers. Raises InvalidBlock."""
    if not block.ommers:
        return
    if len(block.ommers) > OMMERS_MAX:
        raise InvalidBlock(BlockReason.TOO_MANY_UNCLES, body=len(block.ommers), maximum=OMMERS_MAX)
    ancestors, named = _recent(block, ancestry)
    for index, ommer in enumerate(block.ommers):
        if ommer.hash in named:
            raise InvalidBlock(BlockReason.UNCLE_IN_CHAIN, index=index, ommer=ommer.hash)
        named[ommer.hash] = None
        if ommer.hash in ancestors or ommer.hash == block.hash:
            raise InvalidBlock(BlockReason.UNCLE_IS_ANCESTOR, index=index, ommer=ommer.hash)
        if ommer.parent_hash == block.header.parent_hash:
            raise InvalidBlock(BlockReason.UNCLE_IS_BROTHER, index=index, ommer=ommer.hash)
        parent = ancestors.get(ommer.parent_hash)
        if parent is None:
            raise InvalidBlock(BlockReason.UNCLE_UNKNOWN_PARENT, index=index, parent=ommer.parent_hash)
        try:
            check_header(ommer, parent, ancestry.spec_of(ommer))
        except InvalidBlock as refusal:
            raise InvalidBlock(BlockReason.UNCLE_INVALID, index=index, problem=str(refusal)) from refusal


def _recent(block: Block, ancestry: Ancestry) -> tuple[dict[Hash32, Header], dict[Hash32, None]]:
    """The parent and the generations above it that ommers may hang on, and every ommer that they named."""
    ancestors: dict[Hash32, Header] = {}
    named: dict[Hash32, None] = {}
    cursor = block.header.parent_hash
    for _ in range(GENERATIONS_MAX + 1):
        ancestor = ancestry.block(cursor)
        if ancestor is None:
            break
        ancestors[cursor] = ancestor.header
        named.update(dict.fromkeys(ommer.hash for ommer in ancestor.ommers))
        cursor = ancestor.header.parent_hash
    return ancestors, named


def pay_rewards(
    journal: JournaledState, coinbase: Address, reward: int, ommers: Iterable[tuple[int, Address]], spec: Spec
) -> None:
    """Credit a mined block: ``reward`` in wei; ``ommers`` as (blocks older than the block, coinbase)."""
    journal.begin_transaction()
    total = reward
    for age, ommer_coinbase in ommers:
        total += reward // NEPHEW_SHARE
        journal.add_balance(ommer_coinbase, reward * (OMMER_SHARES - age) // OMMER_SHARES)
    journal.add_balance(coinbase, total)
    journal.end_transaction(remove_empty=spec.removes_empty)
