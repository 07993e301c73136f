"""Who a node is: an X25519 key pair. The public half is its NodeId and stands in every dial string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key, key_agreement
from Crypto.PublicKey.ECC import EccKey

from node.runtime.transport import split_address

NodeId = NewType("NodeId", bytes)
"""32 bytes: an X25519 public key (RFC 7748)."""

NODE_ID_BYTES: Final = 32
SEED_BYTES: Final = 32
SCHEME: Final = "evmesh://"


class InvalidKey(ValueError):
    """The bytes are not a usable key."""


class KeyPair:
    """An X25519 private key and its public half; the private one never shows in a repr."""

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        """From 32 secret bytes. Raises InvalidKey."""
        if len(seed) != SEED_BYTES:
            raise InvalidKey(f"a node key has {SEED_BYTES} bytes, not {len(seed)}")
        self._private: EccKey = import_x25519_private_key(seed)
        self.public = bytes(self._private.public_key().export_key(format="raw"))

    def agree(self, other_public: bytes) -> bytes:
        """The 32-byte shared secret with another's public key. Raises InvalidKey for points of small order."""
        try:
            other = import_x25519_public_key(other_public)
            return bytes(key_agreement(static_priv=self._private, static_pub=other, kdf=bytes))
        except ValueError as error:
            raise InvalidKey("not a usable X25519 public key") from error

    def __repr__(self) -> str:
        return f"KeyPair({self.public.hex()[:16]}…)"


class Identity:
    """The long-lived key pair of one node."""

    __slots__ = ("key", "node_id")

    def __init__(self, seed: bytes) -> None:
        """From 32 secret bytes. Raises InvalidKey."""
        self.key = KeyPair(seed)
        self.node_id = NodeId(self.key.public)

    @classmethod
    def from_hex(cls, text: str) -> Identity:
        """From the content of a key file: 64 hex digits, with or without 0x and white space. Raises InvalidKey."""
        digits = text.strip().removeprefix("0x")
        try:
            seed = bytes.fromhex(digits)
        except ValueError:
            raise InvalidKey("a node key file holds 64 hex digits") from None  # the text is a secret
        return cls(seed)

    def dial_string(self, address: str) -> str:
        """What others put among their bootnodes to find this node at ``host:port``."""
        return str(DialAddress(self.node_id, address))

    def __repr__(self) -> str:
        return f"Identity({short(self.node_id)})"


@dataclass(frozen=True, slots=True)
class DialAddress:
    """A node and where it listens: ``evmesh://<64 hex>@host:port``."""

    node_id: NodeId
    address: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.node_id.hex()}@{self.address}"


def parse_dial_string(text: str) -> DialAddress:
    """Raises ValueError saying which part is wrong."""
    if not text.startswith(SCHEME):
        raise ValueError(f"dial string {text!r} does not start with {SCHEME}")
    identity, separator, address = text.removeprefix(SCHEME).partition("@")
    if not separator:
        raise ValueError(f"dial string {text!r} has no @host:port")
    try:
        node_id = bytes.fromhex(identity)
    except ValueError:
        raise ValueError(f"dial string {text!r}: the node id is not hex") from None
    if len(node_id) != NODE_ID_BYTES:
        raise ValueError(f"dial string {text!r}: a node id has {NODE_ID_BYTES} bytes, not {len(node_id)}")
    split_address(address)
    return DialAddress(NodeId(node_id), address)


def short(node_id: bytes) -> str:
    """The first eight hex digits, for logs."""
    return node_id.hex()[:8]
