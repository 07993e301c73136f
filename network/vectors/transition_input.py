"""What ``t8n`` is given: the allocation, the environment of the block, the transactions. Read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from network.vectors.allocations import Alloc
from network.vectors.fields import FieldError, address, data, mapping, member, number, sequence, word
from network.vectors.fields import excess_blob_gas as check_excess
from network.vectors.transaction_json import read_transaction
from node.crypto.hashes import EMPTY_LIST_KECCAK, EMPTY_TRIE_ROOT
from node.evm.spec import Spec
from node.execution.difficulty import next_difficulty
from node.execution.fees import base_fee, excess_blob_gas
from node.primitives import rlp
from node.primitives.scalars import U256_MAX, ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.types.blocks import Header, Withdrawal
from node.types.invalid import InvalidTransaction
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import Transaction, from_block_item

EXIT_EVM: Final = 2
EXIT_CONFIG: Final = 3
EXIT_MISSING_BLOCK_HASH: Final = 4
EXIT_JSON: Final = 10
EXIT_IO: Final = 11
EXIT_RLP: Final = 12
_SHANGHAI_ITEMS: Final = 17
_CANCUN_ITEMS: Final = 20


class TransitionError(Exception):
    """The tool cannot go on; ``exit_code`` is geth's for the same trouble."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Ommer:
    """An ommer that is to be paid: ``delta`` blocks older than the block."""

    delta: int
    coinbase: Address


@dataclass(frozen=True, slots=True)
class Environment:
    """The block to make, as a header whose roots are not known yet, and what lies around it."""

    header: Header
    withdrawals: tuple[Withdrawal, ...] | None
    ommers: tuple[Ommer, ...]
    block_hashes: Mapping[int, Hash32]

    def block_hash(self, asked: int) -> Hash32:
        """The hash of an ancestor. Raises TransitionError where the environment does not tell it."""
        found = self.block_hashes.get(asked)
        if found is None:
            raise TransitionError(EXIT_MISSING_BLOCK_HASH, f"getHash({asked}) invoked, blockhash for it not provided")
        return found


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction of the list, or why it could not even be decoded."""

    tx: Transaction | None
    refusal: InvalidTransaction | None = None


@dataclass(frozen=True, slots=True)
class TransitionInput:
    """Everything that a transition needs."""

    alloc: Alloc
    environment: Environment
    transactions: tuple[Entry, ...]
    spec: Spec
    chain_id: int


def read_environment(value: object, spec: Spec) -> Environment:
    """``env``. Members that follow from the parent are computed where they are left out. Raises FieldError,
    and TransitionError where the fork needs a member that is not there."""
    env = mapping(value, "env")

    def of(name: str, bits: int = 256) -> int | None:
        return None if env.get(name) is None else number(env[name], f"env.{name}", bits)

    def needed(name: str, bits: int = 64) -> int:
        return number(member(env, name, "env"), f"env.{name}", bits)

    block_number = needed("currentNumber")
    parent = _parent(env, block_number)
    merged = spec.difficulty is None
    if merged and env.get("currentRandom") is None:
        raise TransitionError(EXIT_CONFIG, "env.currentRandom: missing, and the fork is after the Merge")
    if merged and of("currentDifficulty"):
        raise TransitionError(EXIT_CONFIG, "env.currentDifficulty: must be zero (or omitted) after the Merge")
    timestamp = needed("currentTimestamp")
    cancun = spec.header_items >= _CANCUN_ITEMS
    if spec.header_items >= _SHANGHAI_ITEMS and env.get("withdrawals") is None:
        raise TransitionError(EXIT_CONFIG, "env.withdrawals: missing, and the fork has withdrawals")
    if cancun and env.get("parentBeaconBlockRoot") is None:
        raise TransitionError(EXIT_CONFIG, "env.parentBeaconBlockRoot: missing, and the fork has beacon roots")
    hashes = {
        number(key, "env.blockHashes key", 64): Hash32(data(found, f"env.blockHashes.{key}", 32))
        for key, found in mapping(env.get("blockHashes") or {}, "env.blockHashes").items()
    }
    header = Header(
        parent_hash=_parent_hash(env, hashes, block_number, spec),
        coinbase=address(member(env, "currentCoinbase", "env"), "env.currentCoinbase"),
        state_root=ZERO_HASH,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        difficulty=0 if merged else _difficulty(of("currentDifficulty"), env, parent, timestamp, spec),
        number=block_number,
        gas_limit=needed("currentGasLimit"),
        gas_used=0,
        timestamp=timestamp,
        prev_randao=word(env["currentRandom"], "env.currentRandom") if merged else ZERO_HASH,
        base_fee_per_gas=_base_fee(of("currentBaseFee"), parent) if spec.has_base_fee else None,
        withdrawals_root=EMPTY_TRIE_ROOT if spec.header_items >= _SHANGHAI_ITEMS else None,
        blob_gas_used=0 if cancun else None,
        excess_blob_gas=_excess(of("currentExcessBlobGas", 64), parent, spec) if cancun else None,
        parent_beacon_block_root=word(env["parentBeaconBlockRoot"], "env.parentBeaconBlockRoot") if cancun else None,
        requests_hash=ZERO_HASH if spec.requests else None,
    )
    ommers = sequence(env.get("ommers") or [], "env.ommers")
    return Environment(
        header=header,
        withdrawals=_withdrawals(env["withdrawals"]) if spec.header_items >= _SHANGHAI_ITEMS else None,
        ommers=tuple(_ommer(entry, index) for index, entry in enumerate(ommers)),
        block_hashes=hashes,
    )


def _parent(env: Mapping[str, Any], block_number: int) -> Header:
    """The parent as far as the environment tells it."""

    def of(name: str, default: int = 0, bits: int = 256) -> int:
        return default if env.get(name) is None else number(env[name], f"env.{name}", bits)

    ommers = env.get("parentUncleHash")
    return Header(
        parent_hash=ZERO_HASH,
        ommers_hash=word(ommers, "env.parentUncleHash") if ommers else EMPTY_LIST_KECCAK,
        coinbase=ZERO_ADDRESS,
        state_root=ZERO_HASH,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        difficulty=of("parentDifficulty"),
        number=max(block_number - 1, 0),
        gas_limit=of("parentGasLimit", bits=64),
        gas_used=of("parentGasUsed", bits=64),
        timestamp=of("parentTimestamp", bits=64),
        prev_randao=ZERO_HASH,
        base_fee_per_gas=of("parentBaseFee") if env.get("parentBaseFee") is not None else None,
        blob_gas_used=of("parentBlobGasUsed", bits=64),
        excess_blob_gas=of("parentExcessBlobGas", bits=64),
    )


def _parent_hash(env: Mapping[str, Any], hashes: Mapping[int, Hash32], block_number: int, spec: Spec) -> Hash32:
    """What the start of the block stores (EIP-2935); only there it must be known."""
    found = hashes.get(block_number - 1)
    if found is not None:
        return found
    if env.get("previousHash") is not None:
        return word(env["previousHash"], "env.previousHash")
    if any(call.input == "parent_hash" for call in spec.system_calls):
        problem = f"env.blockHashes: block {block_number - 1} is missing, and the fork stores its hash"
        raise TransitionError(EXIT_MISSING_BLOCK_HASH, problem)
    return ZERO_HASH


def _base_fee(told: int | None, parent: Header) -> int:
    if told is not None:
        return told
    if parent.base_fee_per_gas is None or parent.gas_limit < 2:
        raise TransitionError(
            EXIT_CONFIG, "env.currentBaseFee: missing, and so are parentBaseFee, parentGasUsed, parentGasLimit"
        )
    return base_fee(parent)


def _difficulty(told: int | None, env: Mapping[str, Any], parent: Header, timestamp: int, spec: Spec) -> int:
    if told is not None:
        return told
    if env.get("parentDifficulty") is None or env.get("parentTimestamp") is None:
        raise TransitionError(
            EXIT_CONFIG, "env.currentDifficulty: missing, and so are parentDifficulty, parentTimestamp"
        )
    if timestamp <= parent.timestamp:
        raise TransitionError(
            EXIT_CONFIG, f"env.currentTimestamp: {timestamp} is not after parentTimestamp {parent.timestamp}"
        )
    assert spec.difficulty is not None, "the fork is before the Merge"
    found = next_difficulty(parent, timestamp, spec.difficulty)
    if found > U256_MAX:
        raise TransitionError(EXIT_CONFIG, "env.currentDifficulty: missing, and what follows has more than 256 bits")
    return found


def _excess(told: int | None, parent: Header, spec: Spec) -> int:
    assert spec.blobs is not None, "the fork has blobs"
    fraction = spec.blobs.base_fee_update_fraction
    if told is None:
        check_excess(parent.excess_blob_gas or 0, "env.parentExcessBlobGas", fraction)
        told = excess_blob_gas(parent, spec) or 0
    return check_excess(told, "env.currentExcessBlobGas", fraction)


def _withdrawals(value: object) -> tuple[Withdrawal, ...]:
    found: list[Withdrawal] = []
    for index, entry in enumerate(sequence(value, "env.withdrawals")):
        where = f"env.withdrawals[{index}]"
        held = mapping(entry, where)
        found.append(
            Withdrawal(
                index=number(member(held, "index", where), f"{where}.index", 64),
                validator_index=number(member(held, "validatorIndex", where), f"{where}.validatorIndex", 64),
                address=address(member(held, "address", where), f"{where}.address"),
                amount_gwei=number(member(held, "amount", where), f"{where}.amount", 64),
            )
        )
    return tuple(found)


def _ommer(value: object, index: int) -> Ommer:
    where = f"env.ommers[{index}]"
    held = mapping(value, where)
    delta = number(member(held, "delta", where), f"{where}.delta", 64)
    if not 1 <= delta <= 7:
        raise FieldError(f"{where}.delta", f"{delta} is not 1 to 7")
    return Ommer(delta, address(member(held, "address", where), f"{where}.address"))


def read_transactions(value: object, chain_id: int) -> tuple[Entry, ...]:
    """``txs``: an array of JSON transactions (null: none), or the hex of an RLP list. Raises FieldError,
    TransitionError."""
    if isinstance(value, str):
        return transactions_from_rlp(data(value, "txs"))
    items = sequence(value if value is not None else [], "txs")
    return tuple(Entry(read_transaction(item, f"txs[{index}]", chain_id)) for index, item in enumerate(items))


def transactions_from_rlp(raw: bytes) -> tuple[Entry, ...]:
    """The transaction list of a block body. One that cannot be decoded is rejected later; raises TransitionError."""
    try:
        items = rlp.decode_list(raw)
    except rlp.RLPError as error:
        raise TransitionError(EXIT_RLP, f"txs: not an RLP list: {error}") from None
    found: list[Entry] = []
    for item in items:
        try:
            found.append(Entry(from_block_item(item)))
        except InvalidTransaction as refusal:
            found.append(Entry(None, refusal))
    return tuple(found)
