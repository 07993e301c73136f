"""Accounts from a mnemonic: BIP-39 seed, BIP-32 derivation, BIP-44 paths, EIP-55 addresses.

The funded accounts of a run come from a mnemonic that the whole world knows, so that every tool can use
them; validator keys come from a secret of the run's own and from another path, never from these.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from coincurve import PrivateKey

from network.failures import BadInput
from node.crypto.hashes import keccak256
from node.crypto.secp256k1 import ORDER, address_of_private_key
from node.primitives.scalars import Address

DEFAULT_MNEMONIC: Final = "test test test test test test test test test test test junk"
ACCOUNT_PATH: Final = "m/44'/60'/0'/0"
VALIDATOR_PATH: Final = "m/44'/60'/1'/0"
HARDENED: Final = 0x80000000
_WORD_COUNTS: Final = (12, 15, 18, 21, 24)


@dataclass(frozen=True, slots=True)
class Account:
    """A key and the address it signs for."""

    index: int
    address: Address
    private_key: bytes = field(repr=False)

    @property
    def checksummed(self) -> str:
        """The address as tools show it."""
        return checksum_address(self.address)


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """A node of a BIP-32 tree: a private key and its chain code."""

    private_key: bytes = field(repr=False)
    chain_code: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> ExtendedKey:
        """The root of the tree (BIP-32, master key generation)."""
        digest = hmac.digest(b"Bitcoin seed", seed, "sha512")
        return cls(digest[:32], digest[32:])

    def child(self, index: int) -> ExtendedKey:
        """Child ``index``; from 2^31 on a hardened one (BIP-32, CKDpriv)."""
        if index >= HARDENED:
            data = b"\x00" + self.private_key
        else:
            data = PrivateKey(self.private_key).public_key.format(compressed=True)
        digest = hmac.digest(self.chain_code, data + index.to_bytes(4, "big"), "sha512")
        tweak = int.from_bytes(digest[:32], "big")
        key = (tweak + int.from_bytes(self.private_key, "big")) % ORDER
        if tweak >= ORDER or key == 0:  # the standard says: take the next index; one chance in 2^127
            raise ValueError(f"child {index} is not a valid key")
        return ExtendedKey(key.to_bytes(32, "big"), digest[32:])

    def descend(self, path: str) -> ExtendedKey:
        """The key at ``m/44'/60'/0'/0/1``. Raises BadInput."""
        steps = path.split("/")
        if steps[0] != "m":
            raise BadInput(f"derivation path {path!r} does not begin with m/")
        key = self
        for step in steps[1:]:
            digits = step.removesuffix("'")
            if not (digits.isascii() and digits.isdigit()) or int(digits) >= HARDENED:
                raise BadInput(f"derivation path {path!r}: {step!r} is not an index")
            key = key.child(int(digits) + (HARDENED if step.endswith("'") else 0))
        return key


def seed_of(mnemonic: str, passphrase: str = "") -> bytes:
    """The 64-byte seed of a mnemonic (BIP-39). The word list and its checksum are not consulted."""
    words = unicodedata.normalize("NFKD", mnemonic).split()
    if len(words) not in _WORD_COUNTS:
        raise BadInput(
            f"a mnemonic of {len(words)} words",
            f"BIP-39 mnemonics have {', '.join(map(str, _WORD_COUNTS[:-1]))} or {_WORD_COUNTS[-1]} words",
        )
    salt = unicodedata.normalize("NFKD", "mnemonic" + passphrase)
    return hashlib.pbkdf2_hmac("sha512", " ".join(words).encode(), salt.encode(), 2048)


def derive_accounts(seed: bytes, count: int, path: str = ACCOUNT_PATH) -> list[Account]:
    """Accounts ``path/0`` to ``path/count-1``."""
    parent = ExtendedKey.from_seed(seed).descend(path)
    accounts = []
    for index in range(count):
        key = parent.child(index).private_key
        accounts.append(Account(index, address_of_private_key(key), key))
    return accounts


def checksum_address(address: bytes) -> str:
    """0x-prefixed, upper and lower case carrying a checksum (EIP-55)."""
    digits = address.hex()
    digest = keccak256(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(h, 16) >= 8 else c for c, h in zip(digits, digest, strict=False))


def parse_address(text: str) -> Address:
    """20 bytes from 0x hex; mixed case must carry the right checksum (EIP-55). Raises BadInput."""
    digits = text.removeprefix("0x")
    try:
        address = Address(bytes.fromhex(digits))
    except ValueError:
        raise BadInput(f"{text!r} is not an address", "an address is 0x and 40 hex digits") from None
    if len(address) != 20 or len(digits) != 40 or not text.startswith("0x"):
        raise BadInput(f"{text!r} is not an address", "an address is 0x and 40 hex digits")
    if digits not in (digits.lower(), digits.upper()) and checksum_address(address) != text:
        raise BadInput(
            f"{text} has a wrong checksum",
            f"check for a typing mistake; all lower case is taken as it is: {text.lower()}",
        )
    return address
