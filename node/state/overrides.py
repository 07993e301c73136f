"""A state as somebody would like it to be: accounts changed before a call that nobody keeps.

overridden(view, overrides) -> OverlayView, read like any other view
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from node.crypto.hashes import EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import Address, Hash32
from node.state.account import Account
from node.state.diff import StateDiff
from node.state.journal import JournaledState
from node.state.view import StateView

_SOME_STORAGE: Final = Hash32(keccak256(b"storage that no trie holds"))
"""Stands for a root that was never computed: all that is asked of it is whether storage is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOverride:
    """What to change of an account; None leaves it. ``state`` replaces all slots, ``state_diff`` some of them."""

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    state: Mapping[int, int] | None = None
    state_diff: Mapping[int, int] | None = None


def override_accounts(journal: JournaledState, overrides: Mapping[Address, AccountOverride]) -> None:
    """Change the accounts as if a transaction before had done it. Ends the journal's present transaction."""
    journal.begin_transaction()
    for address, override in overrides.items():
        if override.nonce is not None:
            journal.set_nonce(address, override.nonce)
        if override.code is not None:
            journal.touch(address)
            journal.set_code(address, override.code)
        if override.balance is not None:
            journal.set_balance(address, override.balance)
        if override.state is not None:
            journal.replace_storage(address, override.state)
        for slot, value in (override.state_diff or {}).items():
            journal.set_storage(address, slot, value)
    journal.end_transaction(remove_empty=False)


def overridden(view: StateView, overrides: Mapping[Address, AccountOverride]) -> StateView:
    """``view`` with ``overrides``; itself where there are none."""
    if not overrides:
        return view
    journal = JournaledState(view)
    override_accounts(journal, overrides)
    return OverlayView(view, journal.diff())


class OverlayView:
    """A view with a difference laid over it. ``root`` stays the one below: nobody has computed another."""

    __slots__ = ("_below", "_diff")

    def __init__(self, below: StateView, diff: StateDiff) -> None:
        self._below = below
        self._diff = diff

    @property
    def root(self) -> Hash32:
        """The root of the view below."""
        return self._below.root

    def account(self, address: Address) -> Account | None:
        """The account; of its storage root only whether it is the empty one can be relied on."""
        accounts = self._diff.accounts
        if address not in accounts:
            return self._below.account(address)
        change = accounts[address]
        if change is None:
            return None
        base = None if change.storage_cleared else self._below.account(address)
        root = EMPTY_TRIE_ROOT if base is None else base.storage_root
        if root == EMPTY_TRIE_ROOT and any(change.slots.values()):
            root = _SOME_STORAGE
        return Account(change.nonce, change.balance, root, change.code_hash)

    def code(self, code_hash: Hash32) -> bytes:
        """Contract code."""
        code = self._diff.codes.get(code_hash)
        return self._below.code(code_hash) if code is None else code

    def slot(self, address: Address, slot: int) -> int:
        """The value at a storage slot."""
        accounts = self._diff.accounts
        if address not in accounts:
            return self._below.slot(address, slot)
        change = accounts[address]
        if change is None:
            return 0
        value = change.slots.get(slot)
        if value is not None:
            return value
        return 0 if change.storage_cleared else self._below.slot(address, slot)
