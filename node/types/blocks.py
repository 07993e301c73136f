"""Headers, withdrawals, bodies and blocks: exact encodings and hashes, Frontier to Osaka.

Header fields that came with a later fork are None before it. They were only ever appended, so the
number of RLP items tells which are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from node.crypto.hashes import EMPTY_LIST_KECCAK, keccak256
from node.primitives import rlp
from node.primitives.scalars import Address, Hash32
from node.types import transactions
from node.types.invalid import BlockReason, InvalidBlock
from node.types.receipts import BLOOM_BYTES
from node.types.transactions import Transaction

NO_NONCE: Final = b"\x00" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A block header. Gas in gas units, fees in wei, ``timestamp`` in seconds."""

    parent_hash: Hash32
    ommers_hash: Hash32 = EMPTY_LIST_KECCAK
    coinbase: Address
    state_root: Hash32
    transactions_root: Hash32
    receipts_root: Hash32
    logs_bloom: bytes
    difficulty: int = 0
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes = b""
    prev_randao: Hash32
    """mixHash before the Merge (EIP-4399)."""
    nonce: bytes = NO_NONCE
    base_fee_per_gas: int | None = None
    """London (EIP-1559)."""
    withdrawals_root: Hash32 | None = None
    """Shanghai (EIP-4895)."""
    blob_gas_used: int | None = None
    """Cancun (EIP-4844)."""
    excess_blob_gas: int | None = None
    """Cancun (EIP-4844)."""
    parent_beacon_block_root: Hash32 | None = None
    """Cancun (EIP-4788)."""
    requests_hash: Hash32 | None = None
    """Prague (EIP-7685)."""
    _hash: Hash32 | None = field(default=None, init=False, repr=False, compare=False)

    def encode(self) -> bytes:
        """RLP of the fields that are there."""
        string, integer = rlp.encode_bytes, rlp.encode_int
        items = [
            string(self.parent_hash),
            string(self.ommers_hash),
            string(self.coinbase),
            string(self.state_root),
            string(self.transactions_root),
            string(self.receipts_root),
            string(self.logs_bloom),
            integer(self.difficulty),
            integer(self.number),
            integer(self.gas_limit),
            integer(self.gas_used),
            integer(self.timestamp),
            string(self.extra_data),
            string(self.prev_randao),
            string(self.nonce),
        ]
        for value in (
            self.base_fee_per_gas,
            self.withdrawals_root,
            self.blob_gas_used,
            self.excess_blob_gas,
            self.parent_beacon_block_root,
            self.requests_hash,
        ):
            if value is None:
                break
            items.append(integer(value) if isinstance(value, int) else string(value))
        return rlp.encode_list(items)

    @property
    def hash(self) -> Hash32:
        """keccak256 of the encoding."""
        found = self._hash
        if found is None:
            found = keccak256(self.encode())
            object.__setattr__(self, "_hash", found)
        return found


HEADER_ITEM_COUNTS: Final = (15, 16, 17, 20, 21)
"""Frontier, London, Shanghai, Cancun, Prague."""


def header_from_item(item: rlp.Item) -> Header:
    """A header from its decoded RLP. Raises RLPError naming the field."""
    fields = rlp.as_list(item, "header")
    if len(fields) not in HEADER_ITEM_COUNTS:
        raise rlp.RLPError(f"header: {len(fields)} items fit no fork")

    def word(index: int, name: str) -> Hash32:
        return Hash32(rlp.as_bytes(fields[index], name, 32))

    count = len(fields)
    return Header(
        parent_hash=word(0, "parentHash"),
        ommers_hash=word(1, "sha3Uncles"),
        coinbase=Address(rlp.as_bytes(fields[2], "miner", 20)),
        state_root=word(3, "stateRoot"),
        transactions_root=word(4, "transactionsRoot"),
        receipts_root=word(5, "receiptsRoot"),
        logs_bloom=rlp.as_bytes(fields[6], "logsBloom", BLOOM_BYTES),
        difficulty=rlp.as_int(fields[7], "difficulty"),
        number=rlp.as_int(fields[8], "number", 64),
        gas_limit=rlp.as_int(fields[9], "gasLimit", 64),
        gas_used=rlp.as_int(fields[10], "gasUsed", 64),
        timestamp=rlp.as_int(fields[11], "timestamp", 64),
        extra_data=rlp.as_bytes(fields[12], "extraData"),
        prev_randao=word(13, "mixHash"),
        nonce=rlp.as_bytes(fields[14], "nonce", 8),
        base_fee_per_gas=rlp.as_int(fields[15], "baseFeePerGas") if count > 15 else None,
        withdrawals_root=word(16, "withdrawalsRoot") if count > 16 else None,
        blob_gas_used=rlp.as_int(fields[17], "blobGasUsed", 64) if count > 17 else None,
        excess_blob_gas=rlp.as_int(fields[18], "excessBlobGas", 64) if count > 17 else None,
        parent_beacon_block_root=word(19, "parentBeaconBlockRoot") if count > 17 else None,
        requests_hash=word(20, "requestsHash") if count > 20 else None,
    )


def decode_header(data: bytes) -> Header:
    """Decode one header. Raises RLPError."""
    return header_from_item(rlp.decode(data))


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A validator's withdrawal (EIP-4895). ``amount_gwei`` is credited outside of gas."""

    index: int
    validator_index: int
    address: Address
    amount_gwei: int

    def encode(self) -> bytes:
        """RLP of the four fields."""
        return rlp.encode_list(
            [
                rlp.encode_int(self.index),
                rlp.encode_int(self.validator_index),
                rlp.encode_bytes(self.address),
                rlp.encode_int(self.amount_gwei),
            ]
        )


def _withdrawal_from_item(item: rlp.Item) -> Withdrawal:
    index, validator, address, amount = rlp.as_list(item, "withdrawal", 4)
    return Withdrawal(
        index=rlp.as_int(index, "withdrawal index", 64),
        validator_index=rlp.as_int(validator, "withdrawal validatorIndex", 64),
        address=Address(rlp.as_bytes(address, "withdrawal address", 20)),
        amount_gwei=rlp.as_int(amount, "withdrawal amount", 64),
    )


@dataclass(frozen=True, slots=True)
class Block:
    """A header with its body. ``withdrawals`` is None before Shanghai."""

    header: Header
    transactions: tuple[Transaction, ...]
    ommers: tuple[Header, ...] = ()
    withdrawals: tuple[Withdrawal, ...] | None = ()

    @property
    def hash(self) -> Hash32:
        """The header's hash."""
        return self.header.hash

    @property
    def number(self) -> int:
        """The header's number."""
        return self.header.number

    def _body_items(self) -> list[bytes]:
        items = [
            rlp.encode_list([tx.block_item() for tx in self.transactions]),
            rlp.encode_list([ommer.encode() for ommer in self.ommers]),
        ]
        if self.withdrawals is not None:
            items.append(rlp.encode_list([withdrawal.encode() for withdrawal in self.withdrawals]))
        return items

    def encode(self) -> bytes:
        """RLP([header, transactions, ommers, withdrawals])."""
        return rlp.encode_list([self.header.encode(), *self._body_items()])

    def encode_body(self) -> bytes:
        """RLP([transactions, ommers, withdrawals]), for storage."""
        return rlp.encode_list(self._body_items())


def decode_block(data: bytes) -> Block:
    """Decode one block. Raises InvalidBlock(RLP_STRUCTURES_ENCODING) or InvalidTransaction."""
    try:
        items = rlp.decode_list(data)
        if len(items) not in (3, 4):
            raise rlp.RLPError(f"block: {len(items)} items fit no fork")
        return block_from_parts(header_from_item(items[0]), items[1:])
    except rlp.RLPError as error:
        raise InvalidBlock(BlockReason.RLP_STRUCTURES_ENCODING, problem=str(error)) from error


def decode_body(header: Header, data: bytes) -> Block:
    """A block from its header and ``encode_body`` bytes. Raises like ``decode_block``."""
    try:
        return block_from_parts(header, rlp.decode_list(data))
    except rlp.RLPError as error:
        raise InvalidBlock(BlockReason.RLP_STRUCTURES_ENCODING, problem=str(error)) from error


def block_from_parts(header: Header, body: list[rlp.Item]) -> Block:
    """A block from a header and the decoded body items. Raises RLPError or InvalidTransaction."""
    if len(body) not in (2, 3):
        raise rlp.RLPError(f"body: {len(body)} items fit no fork")
    return Block(
        header=header,
        transactions=tuple(transactions.from_block_item(item) for item in rlp.as_list(body[0], "transactions")),
        ommers=tuple(header_from_item(item) for item in rlp.as_list(body[1], "ommers")),
        withdrawals=tuple(_withdrawal_from_item(item) for item in rlp.as_list(body[2], "withdrawals"))
        if len(body) == 3
        else None,
    )
