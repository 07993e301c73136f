"""Reading the state at one root."""

from __future__ import annotations

from typing import Protocol

from node.primitives.scalars import Address, Hash32
from node.state.account import Account


class StateView(Protocol):
    """Accounts, code and slots at one root. Reads only; safe to share."""

    @property
    def root(self) -> Hash32:
        """The state root that this view reads."""
        ...

    def account(self, address: Address) -> Account | None:
        """The account, or None where the trie holds none."""
        ...

    def code(self, code_hash: Hash32) -> bytes:
        """Contract code; empty for the empty hash. A missing code is a broken database: KeyError."""
        ...

    def slot(self, address: Address, slot: int) -> int:
        """The 256-bit value at a storage slot, 0 where nothing is stored."""
        ...
