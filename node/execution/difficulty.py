"""The difficulty of mined blocks (Yellow Paper 4.3.4, EIP-2, EIP-100 and the bomb's delays)."""

from __future__ import annotations

from typing import Final

from node.crypto.hashes import EMPTY_LIST_KECCAK
from node.evm.spec import DifficultyRule
from node.types.blocks import Header

DIFFICULTY_MIN: Final = 131_072
BOUND_DIVISOR: Final = 2_048
STEPS_DOWN_MAX: Final = 99
BOMB_PERIOD: Final = 100_000
"""Blocks after which the bomb doubles."""
BOMB_BITS_MAX: Final = 256
"""No header holds such a difficulty; block numbers of 64 bits would make one that no memory holds."""


def next_difficulty(parent: Header, timestamp: int, rule: DifficultyRule) -> int:
    """The difficulty of a block after ``parent`` at ``timestamp`` (seconds, later than the parent's)."""
    step = parent.difficulty // BOUND_DIVISOR
    late = timestamp - parent.timestamp
    if not rule.gradual:
        found = parent.difficulty + (step if late < 13 else -step)
    elif rule.counts_ommers:
        up = 1 if parent.ommers_hash == EMPTY_LIST_KECCAK else 2
        found = parent.difficulty + step * max(up - late // 9, -STEPS_DOWN_MAX)
    else:
        found = parent.difficulty + step * max(1 - late // 10, -STEPS_DOWN_MAX)
    found = max(found, DIFFICULTY_MIN)
    period = max(parent.number + 1 - rule.bomb_delay, 0) // BOMB_PERIOD
    return found + (1 << min(period - 2, BOMB_BITS_MAX)) if period > 1 else found
