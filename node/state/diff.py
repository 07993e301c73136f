"""What a block changed: the difference that a commit turns into a new root."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.primitives.scalars import Address, Hash32


@dataclass(frozen=True, slots=True)
class AccountChange:
    """An account after the block, and its storage writes."""

    nonce: int
    balance: int
    code_hash: Hash32
    slots: dict[int, int] = field(default_factory=dict)
    """Slot to new value; 0 deletes."""
    storage_cleared: bool = False
    """The account was created or destroyed-and-recreated here: ``slots`` apply to empty storage."""


@dataclass(slots=True)
class StateDiff:
    """All changes of a block (or transaction). ``None`` removes the account with its storage."""

    accounts: dict[Address, AccountChange | None] = field(default_factory=dict)
    codes: dict[Hash32, bytes] = field(default_factory=dict)
    """New contract codes by hash."""
