"""Transactions of types 0 to 4: exact Ethereum encodings, hashes and senders.

| type | name | EIP |
|---|---|---|
| 0 | legacy, with or without chain id in v | 155 |
| 1 | access list | 2930 |
| 2 | fee market | 1559 |
| 3 | blob | 4844 |
| 4 | set code | 7702 |
| 0x7e | unsigned: names its sender, costs nothing; chains for development only | none |

One class for all: a field that a type does not have holds its neutral value (``gas_price`` of a legacy
transaction stands in both fee fields), so that fees and validity need no case distinction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from node.crypto import secp256k1
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.types.invalid import InvalidTransaction, TransactionReason

LEGACY: Final = 0
ACCESS_LIST: Final = 1
FEE_MARKET: Final = 2
BLOB: Final = 3
SET_CODE: Final = 4
UNSIGNED: Final = 0x7E
"""0x7e ‖ rlp([chain_id, nonce, gas_limit, from, to, value, data]). Whoever reaches such a chain may act as anybody."""

SET_CODE_MAGIC: Final = b"\x05"
"""Domain byte of an authorization's signing hash (EIP-7702)."""

AccessListEntry = tuple[Address, tuple[int, ...]]
"""An address and the storage slots of it that the transaction names."""

_keep = object.__setattr__
"""Puts what was derived into a frozen object: a list to hold it would be 90 bytes a piece."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Permission of an account to run the code at ``address`` (EIP-7702). ``chain_id`` 0 fits any chain."""

    chain_id: int
    address: Address
    nonce: int
    y_parity: int
    r: int
    s: int

    def signing_hash(self) -> Hash32:
        """keccak256(0x05 ‖ rlp([chain_id, address, nonce]))."""
        return keccak256(
            SET_CODE_MAGIC
            + rlp.encode_list(
                [rlp.encode_int(self.chain_id), rlp.encode_bytes(self.address), rlp.encode_int(self.nonce)]
            )
        )

    def authority(self) -> Address | None:
        """Who signed, or None where the signature is none (EIP-2 low s holds here too)."""
        if self.s > secp256k1.HALF_ORDER:
            return None
        try:
            return secp256k1.recover_address(self.signing_hash(), self.y_parity, self.r, self.s)
        except secp256k1.SignatureError:
            return None

    def encode(self) -> bytes:
        """RLP of the six fields."""
        return rlp.encode_list(
            [
                rlp.encode_int(self.chain_id),
                rlp.encode_bytes(self.address),
                *(rlp.encode_int(value) for value in (self.nonce, self.y_parity, self.r, self.s)),
            ]
        )


@dataclass(frozen=True, slots=True)
class Transaction:
    """A signed transaction. Fees are wei per gas, ``value`` is wei."""

    type: int
    nonce: int
    gas_limit: int
    to: Address | None
    value: int
    data: bytes
    max_fee_per_gas: int
    max_priority_fee_per_gas: int
    chain_id: int | None = None
    access_list: tuple[AccessListEntry, ...] = ()
    max_fee_per_blob_gas: int = 0
    blob_versioned_hashes: tuple[bytes, ...] = ()
    authorization_list: tuple[Authorization, ...] = ()
    origin: Address | None = None
    """The sender that an unsigned transaction names."""
    y_parity: int = 0
    r: int = 0
    s: int = 0
    # What follows from the fields, kept once it is known. Not in __init__, so that ``replace`` does not carry it over.
    _raw: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _hash: Hash32 | None = field(default=None, init=False, repr=False, compare=False)
    _sender: Address | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def gas_price(self) -> int:
        """What a legacy or access-list transaction pays a gas."""
        return self.max_fee_per_gas

    @property
    def v(self) -> int:
        """The legacy form of the parity: 27/28, or chain id × 2 + 35/36 (EIP-155); the bare parity for typed ones."""
        if self.type != LEGACY:
            return self.y_parity
        return self.y_parity + (27 if self.chain_id is None else 35 + 2 * self.chain_id)

    def effective_gas_price(self, base_fee: int) -> int:
        """Wei a gas that the sender pays in a block with this base fee (EIP-1559)."""
        return min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas)

    def encode(self) -> bytes:
        """The canonical form: what is hashed, gossiped, and (for type 0) stands in a block's list as such."""
        raw = self._raw
        if raw is None:
            if self.type == UNSIGNED:
                raw = _encode_unsigned(self)
            else:
                tail = [rlp.encode_int(value) for value in (self.v, self.r, self.s)]
                raw = _with_type(self.type, rlp.encode_list(_unsigned_fields(self) + tail))
            _keep(self, "_raw", raw)
        return raw

    @property
    def hash(self) -> Hash32:
        """keccak256 of the canonical form."""
        found = self._hash
        if found is None:
            found = keccak256(self.encode())
            _keep(self, "_hash", found)
        return found

    def signing_hash(self) -> Hash32:
        """What the sender signs."""
        fields = _unsigned_fields(self)
        if self.type == LEGACY and self.chain_id is not None:
            fields = [*fields, rlp.encode_int(self.chain_id), rlp.EMPTY_STRING, rlp.EMPTY_STRING]
        return keccak256(_with_type(self.type, rlp.encode_list(fields)))

    @property
    def sender(self) -> Address:
        """Who signed it. Recovered once. Raises InvalidTransaction. A high s is the fork's affair (EIP-2)."""
        found = self._sender
        if found is None:
            found = self.origin if self.origin is not None else self._recovered()
            _keep(self, "_sender", found)
        return found

    def _recovered(self) -> Address:
        if not (0 < self.r < secp256k1.ORDER and 0 < self.s < secp256k1.ORDER):
            raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, r=self.r, s=self.s)
        try:
            return secp256k1.recover_address(self.signing_hash(), self.y_parity, self.r, self.s)
        except secp256k1.SignatureError as error:
            raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, r=self.r, s=self.s) from error

    def adopt_sender(self, twin: Transaction) -> None:
        """Take over the sender that ``twin`` has recovered; it must be the same transaction (equal hashes)."""
        if twin._sender is not None and self._sender is None:
            assert twin.hash == self.hash, "the sender of another transaction"
            _keep(self, "_sender", twin._sender)

    def sent_by(self, sender: Address, raw: bytes | None = None) -> Transaction:
        """This transaction as one whose sender, and encoding, the caller answers for: for calls that nobody signed."""
        made = replace(self)
        _keep(made, "_sender", sender)
        _keep(made, "_raw", raw)
        return made

    def signed_by(self, private_key: bytes) -> Transaction:
        """This transaction with the signature of ``private_key``."""
        y_parity, r, s = secp256k1.sign(self.signing_hash(), private_key)
        return replace(self, y_parity=y_parity, r=r, s=s)

    def block_item(self) -> bytes:
        """How it stands, encoded, in the transaction list of a block body (EIP-2718: typed ones as a string)."""
        raw = self.encode()
        return raw if self.type == LEGACY else rlp.encode_bytes(raw)


def _encode_unsigned(tx: Transaction) -> bytes:
    assert tx.chain_id is not None, "typed transactions name their chain"
    assert tx.origin is not None, "an unsigned transaction names its sender"
    integer, string = rlp.encode_int, rlp.encode_bytes
    fields = [integer(tx.chain_id), integer(tx.nonce), integer(tx.gas_limit), string(tx.origin), string(tx.to or b"")]
    return _with_type(UNSIGNED, rlp.encode_list([*fields, integer(tx.value), string(tx.data)]))


def _with_type(kind: int, payload: bytes) -> bytes:
    return payload if kind == LEGACY else bytes((kind,)) + payload


def _encode_access_list(entries: tuple[AccessListEntry, ...]) -> bytes:
    return rlp.encode_list(
        [
            rlp.encode_list(
                [
                    rlp.encode_bytes(address),
                    rlp.encode_list([rlp.encode_bytes(slot.to_bytes(32, "big")) for slot in slots]),
                ]
            )
            for address, slots in entries
        ]
    )


def _unsigned_fields(tx: Transaction) -> list[bytes]:
    integer, string = rlp.encode_int, rlp.encode_bytes
    target = string(tx.to or b"")
    if tx.type == LEGACY:
        return [
            integer(tx.nonce),
            integer(tx.max_fee_per_gas),
            integer(tx.gas_limit),
            target,
            integer(tx.value),
            string(tx.data),
        ]
    assert tx.chain_id is not None, "typed transactions name their chain"
    head = [integer(tx.chain_id), integer(tx.nonce)]
    if tx.type == ACCESS_LIST:
        head.append(integer(tx.max_fee_per_gas))
    else:
        head += [integer(tx.max_priority_fee_per_gas), integer(tx.max_fee_per_gas)]
    head += [integer(tx.gas_limit), target, integer(tx.value), string(tx.data), _encode_access_list(tx.access_list)]
    if tx.type == BLOB:
        head.append(integer(tx.max_fee_per_blob_gas))
        head.append(rlp.encode_list([string(h) for h in tx.blob_versioned_hashes]))
    if tx.type == SET_CODE:
        head.append(rlp.encode_list([authorization.encode() for authorization in tx.authorization_list]))
    return head


# --- decoding -----------------------------------------------------------------------------------


def decode(raw: bytes) -> Transaction:
    """Decode the canonical form of one transaction. Raises InvalidTransaction naming the field."""
    if not raw:
        raise InvalidTransaction(TransactionReason.RLP_INVALID, problem="empty transaction")
    first = raw[0]
    try:
        if first >= 0xC0:
            tx = _decode_legacy(rlp.decode_list(raw))
        elif first == UNSIGNED:
            tx = _decode_unsigned(rlp.as_list(rlp.decode(raw[1:]), "transaction", 7))
        elif first in _TYPED_FIELD_COUNT:
            tx = _decode_typed(first, rlp.as_list(rlp.decode(raw[1:]), "transaction", _TYPED_FIELD_COUNT[first]))
        else:
            raise InvalidTransaction(TransactionReason.TYPE_NOT_SUPPORTED, type=first)
    except rlp.RLPError as error:
        raise InvalidTransaction(_rlp_reason(str(error)), problem=str(error)) from error
    _keep(tx, "_raw", bytes(raw))
    return tx


def from_block_item(item: rlp.Item, raw_item: bytes | None = None) -> Transaction:
    """Decode an entry of a block's transaction list. Raises InvalidTransaction."""
    if isinstance(item, bytes):
        if item and item[0] >= 0xC0:
            raise InvalidTransaction(TransactionReason.RLP_INVALID, problem="legacy transaction wrapped in a string")
        return decode(item)
    return decode(raw_item if raw_item is not None else rlp.encode(item))


_TYPED_FIELD_COUNT: Final = {ACCESS_LIST: 11, FEE_MARKET: 12, BLOB: 14, SET_CODE: 13}


def _rlp_reason(problem: str) -> TransactionReason:
    if "leading zero" in problem:
        return TransactionReason.RLP_LEADING_ZEROS
    if problem.startswith("to:"):
        return TransactionReason.ADDRESS_TOO_SHORT if "is shorter" in problem else TransactionReason.ADDRESS_TOO_LONG
    if problem.startswith("authorization"):
        return TransactionReason.TYPE_4_INVALID_AUTHORIZATION_FORMAT
    return TransactionReason.RLP_INVALID


def _target(item: rlp.Item, may_create: bool = True) -> Address | None:
    target = rlp.as_bytes(item, "to")
    if not target and may_create:
        return None
    if len(target) != 20:
        raise rlp.RLPError(
            f"to: address of {len(target)} bytes is {'shorter' if len(target) < 20 else 'longer'} than 20"
        )
    return Address(target)


def _decode_legacy(fields: list[rlp.Item]) -> Transaction:
    if len(fields) != 9:
        raise rlp.RLPError(f"transaction: expected 9 items, found {len(fields)}")
    gas_price = rlp.as_int(fields[1], "gasPrice")
    v = rlp.as_int(fields[6], "v")
    if v in (27, 28):
        chain_id, y_parity = None, v - 27
    elif v >= 35:
        chain_id, y_parity = (v - 35) // 2, (v - 35) % 2
    else:
        raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, v=v)
    return Transaction(
        type=LEGACY,
        nonce=rlp.as_int(fields[0], "nonce", 64),
        max_fee_per_gas=gas_price,
        max_priority_fee_per_gas=gas_price,
        gas_limit=rlp.as_int(fields[2], "gasLimit", 64),
        to=_target(fields[3]),
        value=rlp.as_int(fields[4], "value"),
        data=rlp.as_bytes(fields[5], "data"),
        chain_id=chain_id,
        y_parity=y_parity,
        r=rlp.as_int(fields[7], "r"),
        s=rlp.as_int(fields[8], "s"),
    )


def _decode_unsigned(fields: list[rlp.Item]) -> Transaction:
    chain_id, nonce, gas_limit, origin, target, value, data = fields
    return Transaction(
        type=UNSIGNED,
        nonce=rlp.as_int(nonce, "nonce", 64),
        gas_limit=rlp.as_int(gas_limit, "gasLimit", 64),
        to=_target(target),
        value=rlp.as_int(value, "value"),
        data=rlp.as_bytes(data, "data"),
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
        chain_id=rlp.as_int(chain_id, "chainId"),
        origin=Address(rlp.as_bytes(origin, "from", 20)),
    )


def _decode_typed(kind: int, fields: list[rlp.Item]) -> Transaction:
    chain_id = rlp.as_int(fields[0], "chainId")
    nonce = rlp.as_int(fields[1], "nonce", 64)
    if kind == ACCESS_LIST:
        max_fee = priority_fee = rlp.as_int(fields[2], "gasPrice")
        rest = fields[3:]
    else:
        priority_fee = rlp.as_int(fields[2], "maxPriorityFeePerGas")
        max_fee = rlp.as_int(fields[3], "maxFeePerGas")
        rest = fields[4:]
    gas_limit, target, value, data, access_list = rest[:5]
    signature = rest[-3:]
    y_parity = rlp.as_int(signature[0], "yParity", 64)
    if y_parity > 1:
        raise InvalidTransaction(TransactionReason.INVALID_SIGNATURE_VRS, y_parity=y_parity)
    blob_fee = 0
    blob_hashes: tuple[bytes, ...] = ()
    authorizations: tuple[Authorization, ...] = ()
    if kind == BLOB:
        if rlp.as_bytes(target, "to") == b"":
            raise InvalidTransaction(TransactionReason.TYPE_3_TX_CONTRACT_CREATION)
        blob_fee = rlp.as_int(rest[5], "maxFeePerBlobGas")
        blob_hashes = tuple(
            rlp.as_bytes(item, "blobVersionedHash", 32) for item in rlp.as_list(rest[6], "blobVersionedHashes")
        )
    if kind == SET_CODE:
        if rlp.as_bytes(target, "to") == b"":
            raise InvalidTransaction(TransactionReason.TYPE_4_TX_CONTRACT_CREATION)
        authorizations = tuple(_decode_authorization(item) for item in rlp.as_list(rest[5], "authorizationList"))
    return Transaction(
        type=kind,
        nonce=nonce,
        max_fee_per_gas=max_fee,
        max_priority_fee_per_gas=priority_fee,
        gas_limit=rlp.as_int(gas_limit, "gasLimit", 64),
        to=_target(target),
        value=rlp.as_int(value, "value"),
        data=rlp.as_bytes(data, "data"),
        chain_id=chain_id,
        access_list=_decode_access_list(access_list),
        max_fee_per_blob_gas=blob_fee,
        blob_versioned_hashes=blob_hashes,
        authorization_list=authorizations,
        y_parity=y_parity,
        r=rlp.as_int(signature[1], "r"),
        s=rlp.as_int(signature[2], "s"),
    )


def _decode_access_list(item: rlp.Item) -> tuple[AccessListEntry, ...]:
    entries: list[AccessListEntry] = []
    for entry in rlp.as_list(item, "accessList"):
        address, slots = rlp.as_list(entry, "accessList entry", 2)
        entries.append(
            (
                Address(rlp.as_bytes(address, "accessList address", 20)),
                tuple(
                    int.from_bytes(rlp.as_bytes(slot, "accessList slot", 32), "big")
                    for slot in rlp.as_list(slots, "accessList slots")
                ),
            )
        )
    return tuple(entries)


def _decode_authorization(item: rlp.Item) -> Authorization:
    fields = rlp.as_list(item, "authorization", 6)
    return Authorization(
        chain_id=rlp.as_int(fields[0], "authorization chainId"),
        address=Address(rlp.as_bytes(fields[1], "authorization address", 20)),
        nonce=rlp.as_int(fields[2], "authorization nonce", 64),
        y_parity=rlp.as_int(fields[3], "authorization yParity", 8),
        r=rlp.as_int(fields[4], "authorization r"),
        s=rlp.as_int(fields[5], "authorization s"),
    )
