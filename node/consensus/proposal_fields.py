"""What consensus prescribes in a header, the same for every engine: time, randomness, roots.

Time. Ethereum wants ``timestamp`` (seconds) strictly above the parent's, and blocks may come faster
than one a second. So a proposer writes max(parent + 1, its clock), and a voter accepts a *fresh*
proposal whose timestamp is at most max(parent + 1, its clock + drift): chain time follows the wall
clock where blocks are slower than a second, and otherwise runs ahead by exactly one second a block,
whatever any clock says. Re-proposals (with a polka) are not judged by the clock, or validity would
differ between nodes.

prev_randao is keccak256("evmesh/prev-randao" ‖ parent hash): unbiasable by the proposer, and known to all
one block ahead. parent_beacon_block_root (EIP-4788) is the parent hash, or commits to the consensus body where
there is one: consensus blocks and execution blocks are one here. Withdrawals are empty. Coinbase, extra data and
gas limit are the proposer's choice within the header rules.
"""

from __future__ import annotations

from typing import Final

from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.types.blocks import Block, Header

CLOCK_DRIFT_MS_MAX: Final = 10_000
"""How far ahead of a voter's clock a fresh proposal may be."""

HEADER_BYTES_MAX: Final = 2048
BLOCK_PARTS_MAX: Final = 4
_RANDAO_DOMAIN: Final = b"evmesh/prev-randao"


def header_hash_of(block: bytes) -> Hash32:
    """The hash of an encoded block's header, nothing decoded. Raises RLPError."""
    parts = rlp.split_list(block, BLOCK_PARTS_MAX)
    if not parts or len(parts[0]) > HEADER_BYTES_MAX:
        raise rlp.RLPError("block: no header, or one that is too long")
    return keccak256(parts[0])


def prev_randao(parent_hash: Hash32) -> Hash32:
    """The randomness of the block after ``parent_hash``."""
    return keccak256(_RANDAO_DOMAIN + parent_hash)


def next_timestamp(parent: Header, wall_ms: int) -> int:
    """What an honest proposer writes, in seconds."""
    return max(parent.timestamp + 1, wall_ms // 1000)


def latest_timestamp(parent: Header, wall_ms: int) -> int:
    """The highest timestamp a voter accepts in a fresh proposal, in seconds."""
    return max(parent.timestamp + 1, (wall_ms + CLOCK_DRIFT_MS_MAX) // 1000)


def prescribed_problem(
    block: Block, parent: Header, beacon_root: Hash32 | None = None
) -> tuple[str, object, object] | None:
    """The first prescribed field that is wrong: (field, the header's, ours). Depends on its arguments only.

    ``beacon_root``: what the consensus body commits to; None where there is no body. A header of a fork before
    Cancun has no such field, and then no body either.
    """
    header = block.header
    parent_hash = parent.hash
    if header.number != parent.number + 1:
        return "number", header.number, parent.number + 1
    if header.parent_hash != parent_hash:
        return "parentHash", header.parent_hash, parent_hash
    if header.timestamp <= parent.timestamp:
        return "timestamp", header.timestamp, f"> {parent.timestamp}"
    expected = prev_randao(parent_hash)
    if header.prev_randao != expected:
        return "prevRandao", header.prev_randao, expected
    root = parent_hash if beacon_root is None else beacon_root
    if header.parent_beacon_block_root != root and (beacon_root or header.parent_beacon_block_root is not None):
        return "parentBeaconBlockRoot", header.parent_beacon_block_root, root
    if block.withdrawals:
        return "withdrawals", len(block.withdrawals), 0
    return None
