"""What code is told: its message and its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from node.primitives.scalars import Address, Hash32


class CallKind(IntEnum):
    """Which instruction (or transaction) asked for the frame."""

    CALL = 0
    CALLCODE = 1
    DELEGATECALL = 2
    STATICCALL = 3
    CREATE = 4
    CREATE2 = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One call frame's instructions.

    ``target`` owns the storage (for a creation: the new address); ``code_address`` is whose code runs;
    ``code`` is that code (for a creation: the init code); ``value`` is what CALLVALUE says and
    ``transfers_value`` whether it really moves (not for DELEGATECALL and CALLCODE).
    """

    kind: CallKind
    caller: Address
    target: Address
    code_address: Address
    code: bytes
    data: bytes
    value: int
    gas: int
    depth: int = 0
    is_static: bool = False
    transfers_value: bool = True
    disable_precompiles: bool = False
    """The target of an EIP-7702 delegation never runs as a precompile."""

    @property
    def is_create(self) -> bool:
        """CREATE, CREATE2 or a transaction without ``to``."""
        return self.kind >= CallKind.CREATE


@dataclass(frozen=True, slots=True)
class BlockEnvironment:
    """What the block tells. ``block_hash(n)`` is asked only for the 256 numbers before this block's."""

    chain_id: int
    number: int
    timestamp: int
    coinbase: Address
    gas_limit: int
    prev_randao: Hash32
    base_fee_per_gas: int
    blob_base_fee: int
    block_hash: Callable[[int], Hash32]
    difficulty: int = 0


@dataclass(frozen=True, slots=True)
class TransactionEnvironment:
    """What the transaction tells. ``gas_price`` is the effective one, wei a gas."""

    origin: Address
    gas_price: int
    blob_versioned_hashes: tuple[bytes, ...] = ()
