"""The account tuple of the state trie (Yellow Paper 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT
from node.primitives import rlp
from node.primitives.scalars import Hash32


@dataclass(frozen=True, slots=True)
class Account:
    """``balance`` in wei."""

    nonce: int = 0
    balance: int = 0
    storage_root: Hash32 = EMPTY_TRIE_ROOT
    code_hash: Hash32 = EMPTY_KECCAK

    @property
    def is_empty(self) -> bool:
        """No nonce, balance or code (EIP-161)."""
        return self.nonce == 0 and self.balance == 0 and self.code_hash == EMPTY_KECCAK

    def encode(self) -> bytes:
        """RLP([nonce, balance, storageRoot, codeHash]), a leaf of the state trie."""
        return rlp.encode_list(
            [
                rlp.encode_int(self.nonce),
                rlp.encode_int(self.balance),
                rlp.encode_bytes(self.storage_root),
                rlp.encode_bytes(self.code_hash),
            ]
        )


EMPTY_ACCOUNT: Final = Account()


def decode_account(data: bytes) -> Account:
    """Inverse of ``Account.encode``. Raises RLPError."""
    nonce, balance, storage_root, code_hash = rlp.as_list(rlp.decode(data), "account", 4)
    return Account(
        nonce=rlp.as_int(nonce, "nonce", 64),
        balance=rlp.as_int(balance, "balance"),
        storage_root=Hash32(rlp.as_bytes(storage_root, "storageRoot", 32)),
        code_hash=Hash32(rlp.as_bytes(code_hash, "codeHash", 32)),
    )
