"""Where new contracts live."""

from __future__ import annotations

from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address


def create_address(sender: Address, nonce: int) -> Address:
    """The address of the contract that ``sender`` creates with ``nonce`` (Yellow Paper 7)."""
    return Address(keccak256(rlp.encode_list([rlp.encode_bytes(sender), rlp.encode_int(nonce)]))[12:])


def create2_address(sender: Address, salt: bytes, init_code: bytes) -> Address:
    """The address that CREATE2 gives; ``salt`` is 32 bytes (EIP-1014)."""
    return Address(keccak256(b"\xff" + sender + salt + keccak256(init_code))[12:])
