"""The rules of one fork as a value; built in node/forks, passed down, never asked for its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from node.evm.gas_schedule import GasSchedule
from node.evm.instruction import InstructionSet
from node.primitives.scalars import Address

GAS_PER_BLOB: Final = 2**17
"""EIP-4844."""


@dataclass(frozen=True, slots=True)
class Precompile:
    """A contract at a fixed address that is not EVM code.

    ``gas(data)`` prices a call; ``run(data)`` answers, or None for a failure that takes all gas.
    """

    name: str
    gas: Callable[[bytes], int]
    run: Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class BlobRules:
    """Blob parameters (EIP-4844, EIP-7840); counts of blobs, not gas."""

    target: int
    max: int
    base_fee_update_fraction: int
    min_base_fee: int = 1
    max_per_transaction: int | None = None
    """EIP-7594: 6 from Osaka."""
    reserve_base_cost: int | None = None
    """EIP-7918: 8192 from Osaka; None where the blob fee has no reserve price."""


@dataclass(frozen=True, slots=True)
class SystemCall:
    """A call by SYSTEM_ADDRESS at the start of a block; ``input`` names what is handed over."""

    address: Address
    input: str
    """``parent_beacon_block_root`` (EIP-4788) or ``parent_hash`` (EIP-2935)."""


@dataclass(frozen=True, slots=True)
class RequestSource:
    """Where execution requests of one type come from at the end of a block (EIP-7685)."""

    request_type: int
    address: Address
    from_logs: bool = False
    """Deposits are read from logs (EIP-6110); the others are answers of a system call (7002, 7251)."""


@dataclass(frozen=True, slots=True)
class DifficultyRule:
    """How a block's difficulty follows from its parent's, before the Merge."""

    gradual: bool = True
    """EIP-2: the later a block, the larger the step down; before, one step up or one down around 13 seconds."""
    counts_ommers: bool = True
    """EIP-100: steps of 9 seconds instead of 10, and one more where the parent names ommers."""
    bomb_delay: int = 0
    """Blocks that the difficulty bomb pretends not to have seen (EIP-649, 1234, 2384, 3554, 4345, 5133)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One fork. Defaults are the rules of today; the oldest forks switch them off."""

    name: str
    gas: GasSchedule
    instructions: InstructionSet
    precompiles: Mapping[Address, Precompile]
    transaction_types: tuple[int, ...]
    header_items: int
    """RLP items of a header: 15 before London, 16 London and Paris, 17 Shanghai, 20 Cancun, 21 Prague."""
    # --- what the EVM asks ---
    keeps_64th: bool = True
    """EIP-150: a frame keeps a 64th of its gas from its children; before, a call that asks for too much halts."""
    new_account_needs_value: bool = True
    """EIP-161: only wei that reach an account that is not alive pay for a new one; before, any call to no account."""
    self_destruct_pays_new_account: bool = True
    """EIP-150."""
    contract_nonce: int = 1
    """What a new contract starts with (EIP-161); 0 before."""
    unpaid_deposit_fails: bool = True
    """EIP-2: a creation that cannot pay for its code halts; before, it left an account without code."""
    rejects_ef_code: bool = True
    """EIP-3541."""
    code_size_max: int | None = 24_576
    """Bytes (EIP-170); None where there is no limit."""
    initcode_size_max: int | None = None
    """Bytes (EIP-3860: 49,152 from Shanghai)."""
    warm_coinbase: bool = False
    """EIP-3651."""
    self_destruct_only_created: bool = False
    """EIP-6780."""
    delegations: bool = False
    """EIP-7702: calls follow designators."""
    # --- what transactions and blocks ask ---
    low_s: bool = True
    """EIP-2: a transaction's signature has the lower of the two possible s."""
    chain_id_in_signature: bool = True
    """EIP-155: a legacy transaction may be bound to its chain."""
    removes_empty: bool = True
    """EIP-161: touched accounts that are empty are deleted at the end of a transaction."""
    receipt_has_root: bool = False
    """Before EIP-658 a receipt holds the state root behind its transaction instead of a status."""
    has_base_fee: bool = True
    """EIP-1559."""
    difficulty: DifficultyRule | None = None
    """None from the Merge on (EIP-3675): difficulty and nonce are 0."""
    block_reward: int = 0
    """Wei for the coinbase of a block; ommers' shares follow from it."""
    ommers: bool = False
    """Blocks may name ommers."""
    blobs: BlobRules | None = None
    system_calls: tuple[SystemCall, ...] = ()
    requests: tuple[RequestSource, ...] = ()
    transaction_gas_limit_max: int | None = None
    """EIP-7825: 2**24 from Osaka."""
    warm_at_start: tuple[Address, ...] | None = None
    """Whom every transaction finds warm (EIP-2929): None for the precompiles, which only simulations move away."""
    block_rlp_size_max: int | None = None
    """Bytes (EIP-7934: 8 MiB from Osaka)."""

    def evolve(self, **changes: Any) -> Spec:
        """The next fork's rules: these, with changes."""
        return replace(self, **changes)
