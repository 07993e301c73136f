"""A StateDiff into the new state root and the trie nodes to keep."""

from __future__ import annotations

from dataclasses import dataclass

from node.crypto.hashes import EMPTY_TRIE_ROOT
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.state.account import Account, decode_account
from node.state.diff import AccountChange, StateDiff
from node.state.view import account_key, slot_key
from node.trie.batch_update import update
from node.trie.node_cache import NodeCache
from node.trie.nodes import NodeSource
from node.trie.trie import Trie


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit adds to the database: nothing is ever replaced or removed."""

    root: Hash32
    nodes: dict[Hash32, bytes]
    """Trie nodes by hash: of the state trie and of every storage trie that changed."""
    codes: dict[Hash32, bytes]
    """New contract codes by hash."""


def commit(view_root: Hash32, diff: StateDiff, nodes: NodeSource) -> CommitResult:
    """The state of ``diff`` applied to the state at ``view_root``. Raises MissingNode."""
    cache = nodes if isinstance(nodes, NodeCache) else NodeCache(nodes)
    state = Trie(view_root, cache)
    new_nodes: dict[Hash32, bytes] = {}
    accounts: list[tuple[bytes, bytes]] = []
    for address, change in diff.accounts.items():
        key = account_key(address)
        if change is None:
            accounts.append((key, b""))
            continue
        before = state.get(key)
        storage_root = EMPTY_TRIE_ROOT
        if before is not None and not change.storage_cleared:
            storage_root = decode_account(before).storage_root
        if change.slots:
            storage_root = _commit_slots(storage_root, change, cache, new_nodes)
        after = Account(change.nonce, change.balance, storage_root, change.code_hash).encode()
        if after != before:
            accounts.append((key, after))
    root, state_nodes = update(view_root, cache, accounts)
    new_nodes.update(state_nodes)
    return CommitResult(root, new_nodes, dict(diff.codes))


def _commit_slots(
    storage_root: Hash32, change: AccountChange, cache: NodeCache, new_nodes: dict[Hash32, bytes]
) -> Hash32:
    root, nodes = update(
        storage_root,
        cache,
        [(slot_key(slot), rlp.encode_int(value) if value else b"") for slot, value in change.slots.items()],
    )
    new_nodes.update(nodes)
    return root
