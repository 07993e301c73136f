"""Mutual authentication and key agreement: the Noise pattern XX over X25519, ChaCha20-Poly1305 and SHA-256.

A state machine without I/O: three messages, of which each side writes and reads its own::

    initiator                                   responder
      e                           ->
                                  <-   e, ee, s, es
      s, se                       ->

``e`` is a fresh ephemeral key, ``s`` the identity (sent encrypted), the pairs are Diffie-Hellman results that
are mixed into one chaining key. Everything either side has said stands in the transcript hash, which is the
associated data of each encryption: a changed byte anywhere makes the next decryption fail on both sides. The
initiator shows its identity only after the responder has proved the identity that was dialled.

Reference: The Noise Protocol Framework, revision 34, sections 5 and 7.5 (Noise_XX_25519_ChaChaPoly_SHA256).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from Crypto.Cipher import ChaCha20_Poly1305
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF

from node.p2p.identity import NODE_ID_BYTES, Identity, InvalidKey, KeyPair, NodeId

PROTOCOL_NAME: Final = b"Noise_XX_25519_ChaChaPoly_SHA256"
PROLOGUE: Final = b"evmesh p2p 1"
"""Both sides must speak the same protocol: it is part of the transcript but never sent."""

TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
HANDSHAKE_BYTES_MAX: Final = 1024
"""No handshake message is longer; the transport is told so before it reads one."""


class HandshakeFailed(Exception):
    """The other side is not who it should be, or its messages were changed on the way."""


@dataclass(frozen=True, slots=True, repr=False)
class SessionKeys:
    """What the handshake yields. Never shown."""

    send: bytes
    receive: bytes
    remote: NodeId
    transcript: bytes

    def __repr__(self) -> str:
        return f"SessionKeys(remote={self.remote.hex()[:8]})"


def nonce_of(counter: int) -> bytes:
    """The 12-byte nonce of a counter: four zero bytes, then little-endian (Noise section 12.3)."""
    return b"\x00\x00\x00\x00" + counter.to_bytes(8, "little")


class _Symmetric:
    """Chaining key, transcript hash and the current cipher key (Noise section 5.2)."""

    def __init__(self, prologue: bytes) -> None:
        self._hash = self._chaining_key = PROTOCOL_NAME  # exactly 32 bytes long, so it stands for its own hash
        self._key: bytes | None = None
        self._counter = 0
        self.mix_hash(prologue)

    @property
    def transcript(self) -> bytes:
        return self._hash

    def mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def mix_key(self, secret: bytes) -> None:
        self._chaining_key, self._key = _derive(secret, self._chaining_key)
        self._counter = 0

    def seal(self, plaintext: bytes) -> bytes:
        if self._key is None:
            sealed = plaintext
        else:
            cipher = ChaCha20_Poly1305.new(key=self._key, nonce=nonce_of(self._counter))
            cipher.update(self._hash)
            ciphertext, tag = cipher.encrypt_and_digest(plaintext)
            sealed = ciphertext + tag
            self._counter += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        if self._key is None:
            plaintext = sealed
        else:
            if len(sealed) < TAG_BYTES:
                raise HandshakeFailed("handshake message is too short")
            cipher = ChaCha20_Poly1305.new(key=self._key, nonce=nonce_of(self._counter))
            cipher.update(self._hash)
            try:
                plaintext = bytes(cipher.decrypt_and_verify(sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]))
            except ValueError as error:
                raise HandshakeFailed("handshake message was changed on the way, or is not for us") from error
            self._counter += 1
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        """The two session keys: initiator's sending key, responder's sending key."""
        return _derive(b"", self._chaining_key)


def _derive(secret: bytes, salt: bytes) -> tuple[bytes, bytes]:
    first, second = HKDF(secret, KEY_BYTES, salt, SHA256, num_keys=2)
    return bytes(first), bytes(second)


class _Handshake:
    def __init__(self, identity: Identity, ephemeral_seed: bytes, prologue: bytes) -> None:
        self._identity = identity
        self._ephemeral = KeyPair(ephemeral_seed)
        self._symmetric = _Symmetric(prologue)
        self._step = 0

    def _at(self, step: int) -> None:
        assert self._step == step, f"handshake step {step} out of order"
        self._step += 1

    def _mix_agreement(self, ours: KeyPair, theirs: bytes) -> None:
        try:
            self._symmetric.mix_key(ours.agree(theirs))
        except InvalidKey as error:
            raise HandshakeFailed(f"the other side's key is {error}") from error

    def _read_ephemeral(self, message: bytes) -> bytes:
        if len(message) < NODE_ID_BYTES or len(message) > HANDSHAKE_BYTES_MAX:
            raise HandshakeFailed(f"handshake message of {len(message)} bytes")
        theirs = message[:NODE_ID_BYTES]
        self._symmetric.mix_hash(theirs)
        return theirs

    def _write_ephemeral(self) -> bytes:
        self._symmetric.mix_hash(self._ephemeral.public)
        return self._ephemeral.public

    def _finish(self, remote: bytes, initiator: bool) -> SessionKeys:
        if remote == self._identity.node_id:
            raise HandshakeFailed("this is our own identity")
        from_initiator, from_responder = self._symmetric.split()
        send, receive = (from_initiator, from_responder) if initiator else (from_responder, from_initiator)
        return SessionKeys(send, receive, NodeId(remote), self._symmetric.transcript)


_SEALED_ID_BYTES: Final = NODE_ID_BYTES + TAG_BYTES


class Initiator(_Handshake):
    """The side that dials: ``write_first``, ``read_second``, ``write_third``."""

    def __init__(
        self,
        identity: Identity,
        ephemeral_seed: bytes,
        expected: NodeId | None = None,
        prologue: bytes = PROLOGUE,
    ) -> None:
        """``ephemeral_seed``: 32 fresh secret bytes. ``expected``: who must answer; None takes anyone."""
        super().__init__(identity, ephemeral_seed, prologue)
        self._expected = expected
        self._remote_ephemeral = b""
        self._remote = b""

    def write_first(self, payload: bytes = b"") -> bytes:
        """Our ephemeral key; ``payload`` goes in the clear."""
        self._at(0)
        return self._write_ephemeral() + self._symmetric.seal(payload)

    def read_second(self, message: bytes) -> bytes:
        """The responder's proof; returns its payload. Raises HandshakeFailed."""
        self._at(1)
        self._remote_ephemeral = self._read_ephemeral(message)
        self._mix_agreement(self._ephemeral, self._remote_ephemeral)
        rest = message[NODE_ID_BYTES:]
        self._remote = self._symmetric.open(rest[:_SEALED_ID_BYTES])
        self._mix_agreement(self._ephemeral, self._remote)
        payload = self._symmetric.open(rest[_SEALED_ID_BYTES:])
        if self._expected is not None and self._remote != self._expected:
            raise HandshakeFailed(f"dialled {self._expected.hex()[:8]} but {self._remote.hex()[:8]} answers there")
        return payload

    def write_third(self, payload: bytes = b"") -> tuple[bytes, SessionKeys]:
        """Our proof, and the keys."""
        self._at(2)
        sealed_id = self._symmetric.seal(self._identity.node_id)
        self._mix_agreement(self._identity.key, self._remote_ephemeral)
        message = sealed_id + self._symmetric.seal(payload)
        return message, self._finish(self._remote, initiator=True)


class Responder(_Handshake):
    """The side that listens: ``read_first``, ``write_second``, ``read_third``."""

    def __init__(self, identity: Identity, ephemeral_seed: bytes, prologue: bytes = PROLOGUE) -> None:
        """``ephemeral_seed``: 32 fresh secret bytes."""
        super().__init__(identity, ephemeral_seed, prologue)
        self._remote_ephemeral = b""

    def read_first(self, message: bytes) -> bytes:
        """The initiator's ephemeral key; returns the payload. Raises HandshakeFailed."""
        self._at(0)
        self._remote_ephemeral = self._read_ephemeral(message)
        return self._symmetric.open(message[NODE_ID_BYTES:])

    def write_second(self, payload: bytes = b"") -> bytes:
        """Our ephemeral key and our proof. Raises HandshakeFailed when the initiator's key is none."""
        self._at(1)
        ephemeral = self._write_ephemeral()
        self._mix_agreement(self._ephemeral, self._remote_ephemeral)
        sealed_id = self._symmetric.seal(self._identity.node_id)
        self._mix_agreement(self._identity.key, self._remote_ephemeral)
        return ephemeral + sealed_id + self._symmetric.seal(payload)

    def read_third(self, message: bytes) -> tuple[bytes, SessionKeys]:
        """The initiator's proof: its payload, and the keys. Raises HandshakeFailed."""
        self._at(2)
        if len(message) > HANDSHAKE_BYTES_MAX:
            raise HandshakeFailed(f"handshake message of {len(message)} bytes")
        remote = self._symmetric.open(message[:_SEALED_ID_BYTES])
        self._mix_agreement(self._ephemeral, remote)
        payload = self._symmetric.open(message[_SEALED_ID_BYTES:])
        return payload, self._finish(remote, initiator=False)
