"""The first state: from an allocation to a root."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from node.crypto.hashes import EMPTY_KECCAK, keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.state.account import Account
from node.state.commit import CommitResult
from node.state.view import account_key, slot_key
from node.trie.sorted_build import build_sorted


@dataclass(frozen=True, slots=True)
class GenesisAccount:
    """An entry of the allocation. ``balance`` in wei; slots with value 0 are left out."""

    balance: int = 0
    nonce: int = 0
    code: bytes = b""
    storage: Mapping[int, int] = field(default_factory=dict)


def state_from_alloc(alloc: Mapping[Address, GenesisAccount]) -> CommitResult:
    """The state that holds exactly these accounts, empty ones too (as geth does with an allocation)."""
    nodes: dict[Hash32, bytes] = {}
    codes: dict[Hash32, bytes] = {}
    leaves: list[tuple[bytes, bytes]] = []
    for address, entry in alloc.items():
        slots = [(slot_key(slot), rlp.encode_int(value)) for slot, value in entry.storage.items() if value]
        storage_root = build_sorted(sorted(slots), nodes.__setitem__)
        code_hash = EMPTY_KECCAK
        if entry.code:
            code_hash = keccak256(entry.code)
            codes[code_hash] = entry.code
        account = Account(entry.nonce, entry.balance, storage_root, code_hash)
        leaves.append((account_key(address), account.encode()))
    root = build_sorted(sorted(leaves), nodes.__setitem__)
    return CommitResult(root, nodes, codes)
