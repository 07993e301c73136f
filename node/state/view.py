"""Reading the state at one root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT, keccak256
from node.primitives import rlp
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Address, Hash32
from node.state.account import Account, decode_account
from node.trie.node_cache import NodeCache
from node.trie.nodes import NodeSource
from node.trie.trie import Trie

ACCOUNTS_MAX: Final = 20_000
SLOTS_MAX: Final = 50_000
"""Cached answers of one TrieView."""


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


class EmptyView:
    """No accounts at all: what lies below a genesis."""

    @property
    def root(self) -> Hash32:
        """The root of an empty trie."""
        return EMPTY_TRIE_ROOT

    def account(self, address: Address) -> Account | None:
        """None."""
        return None

    def code(self, code_hash: Hash32) -> bytes:
        """Empty for the empty hash, KeyError for any other."""
        if code_hash != EMPTY_KECCAK:
            raise KeyError(f"no code with hash 0x{code_hash.hex()}")
        return b""

    def slot(self, address: Address, slot: int) -> int:
        """0."""
        return 0


def account_key(address: Address) -> Hash32:
    """Where the state trie keeps an account: keys are hashed, so that nobody can choose deep paths."""
    return keccak256(address)


def slot_key(slot: int) -> Hash32:
    """Where a storage trie keeps a slot."""
    return keccak256(slot.to_bytes(32, "big"))


class TrieView:
    """The state under ``root``, read through the trie; bounded caches of answers. Threads may share it.

    ``nodes`` maps a node hash to its RLP (hand in one shared NodeCache to keep nodes across views),
    ``codes`` a code hash to the code. Reads raise MissingNode where the root is pruned.
    """

    __slots__ = ("_accounts", "_codes", "_nodes", "_root", "_slots", "_trie")

    def __init__(self, root: Hash32, nodes: NodeSource, codes: Callable[[bytes], bytes | None]) -> None:
        self._root = root
        self._nodes = nodes if isinstance(nodes, NodeCache) else NodeCache(nodes)
        self._codes = codes
        self._trie = Trie(root, self._nodes)
        self._accounts: BoundedCache[Address, Account | Literal[False]] = BoundedCache(ACCOUNTS_MAX)
        self._slots: BoundedCache[tuple[Address, int], int] = BoundedCache(SLOTS_MAX)

    @property
    def root(self) -> Hash32:
        """The state root that this view reads."""
        return self._root

    def account(self, address: Address) -> Account | None:
        """The account, or None where the trie holds none."""
        known = self._accounts.get(address)
        if known is None:
            encoded = self._trie.get(account_key(address))
            known = False if encoded is None else decode_account(encoded)
            self._accounts.put(address, known)
        return None if known is False else known

    def code(self, code_hash: Hash32) -> bytes:
        """Contract code; empty for the empty hash. A missing code is a broken database: KeyError."""
        if code_hash == EMPTY_KECCAK:
            return b""
        code = self._codes(code_hash)
        if code is None:
            raise KeyError(f"no code with hash 0x{code_hash.hex()}")
        return code

    def slot(self, address: Address, slot: int) -> int:
        """The 256-bit value at a storage slot, 0 where nothing is stored."""
        key = (address, slot)
        value = self._slots.get(key)
        if value is None:
            value = self._read_slot(address, slot)
            self._slots.put(key, value)
        return value

    def _read_slot(self, address: Address, slot: int) -> int:
        account = self.account(address)
        if account is None or account.storage_root == EMPTY_TRIE_ROOT:
            return 0
        encoded = Trie(account.storage_root, self._nodes).get(slot_key(slot))
        return 0 if encoded is None else rlp.as_int(rlp.decode(encoded), "storage value")
