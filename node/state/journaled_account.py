"""One account of a journalled state."""

from __future__ import annotations

from node.crypto.hashes import EMPTY_KECCAK
from node.state.account import Account


class JournaledAccount:
    """An account as it is now. ``base`` is what the view holds; caches of reads are never undone."""

    __slots__ = ("balance", "base", "cleared", "code", "code_hash", "exists", "loaded", "nonce", "original", "slots")

    def __init__(self, base: Account | None) -> None:
        self.base = base
        if base is None:
            self.exists = False
            self.nonce = 0
            self.balance = 0
            self.code_hash = EMPTY_KECCAK
        else:
            self.exists = True
            self.nonce = base.nonce
            self.balance = base.balance
            self.code_hash = base.code_hash
        self.code: bytes | None = b"" if self.code_hash == EMPTY_KECCAK else None
        self.slots: dict[int, int] = {}
        """Every slot that was read or written, with its value now."""
        self.loaded: dict[int, int] = {}
        """What the view answered for the slots that were read."""
        self.original: dict[int, int] = {}
        """Slots written in this transaction, with their value at its start."""
        self.cleared = base is None
        """The view's storage no longer shows through."""

    @property
    def is_empty(self) -> bool:
        """No nonce, no balance, no code (EIP-161)."""
        return self.nonce == 0 and self.balance == 0 and self.code_hash == EMPTY_KECCAK
