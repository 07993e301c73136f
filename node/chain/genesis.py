"""The first block: geth's ``genesis.json`` to values and back, and the state it starts from.

Consensus settings ride in ``config.evmesh``; every other client ignores the key:

    "evmesh": {"engine": "bft", "blockTimeMs": 1000, "validators": [{"address": "0x…", "weight": 1}]}
    "evmesh": {"engine": "pos", "slotMs": 1000, "slotsPerEpoch": 2, "validators": [{"address": "0x…"}]}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from node.crypto.hashes import EMPTY_LIST_KECCAK, EMPTY_TRIE_ROOT, keccak256
from node.forks.schedule import ForkSchedule
from node.primitives.hexadecimal import HexError, from_data
from node.primitives.scalars import U64_MAX, U256_MAX, ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from node.state.commit import CommitResult
from node.state.genesis_state import GenesisAccount, state_from_alloc
from node.types.blocks import Block, Header
from node.types.receipts import EMPTY_BLOOM
from node.types.transactions import UNSIGNED

ENGINES: Final = ("instant", "bft", "pos")
EXTRA_DATA_MAX: Final = 32
EMPTY_REQUESTS_HASH: Final = Hash32(bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
"""sha256 of no requests (EIP-7685)."""
INITIAL_BASE_FEE: Final = 1_000_000_000
GENESIS_BYTES_MAX: Final = 256 * 1024 * 1024
MESSAGE_MAX: Final = 240
"""Characters; keys and values of a file that nobody vouches for may have any length."""


class GenesisError(ValueError):
    """The genesis file cannot be used; the message names the field and what is wrong with it, cut to a line."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= MESSAGE_MAX else message[:MESSAGE_MAX] + "…")


@dataclass(frozen=True, slots=True)
class GenesisValidator:
    """A validator of the first height: who signs, and with what voting weight."""

    address: Address
    weight: int


@dataclass(frozen=True, slots=True)
class ConsensusRules:
    """What all nodes of a network share about consensus."""

    engine: str = "bft"
    block_time_ms: int = 1000
    slot_ms: int = 1000
    """Engine pos: the length of a slot. Slot 0 begins at the genesis block's timestamp."""
    slots_per_epoch: int = 2
    validators: tuple[GenesisValidator, ...] = ()
    dev: bool = False
    """A chain for development: unsigned transactions may act as anybody and write any state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A network's beginning: fork schedule, first header's fields, first state, consensus rules."""

    config: Mapping[str, Any]
    schedule: ForkSchedule
    chain_id: int
    consensus: ConsensusRules
    alloc: Mapping[Address, GenesisAccount]
    timestamp: int = 0
    extra_data: bytes = b""
    gas_limit: int = 30_000_000
    gas_used: int = 0
    difficulty: int = 0
    nonce: int = 0
    prev_randao: Hash32 = ZERO_HASH
    coinbase: Address = ZERO_ADDRESS
    base_fee_per_gas: int | None = None
    blob_gas_used: int | None = None
    excess_blob_gas: int | None = None
    parent_hash: Hash32 = ZERO_HASH
    parent_beacon_block_root: Hash32 = ZERO_HASH
    number: int = 0
    _state: list[CommitResult] = field(default_factory=list, repr=False, compare=False)

    @property
    def state(self) -> CommitResult:
        """The state trie of the allocation, computed once."""
        if not self._state:
            self._state.append(state_from_alloc(self.alloc))
        return self._state[0]

    def block(self) -> Block:
        """Block ``number`` (0), with the fields that its fork's header has."""
        items = self.schedule.spec_at(self.number, self.timestamp).header_items
        base_fee = self.base_fee_per_gas if self.base_fee_per_gas is not None else INITIAL_BASE_FEE
        header = Header(
            parent_hash=self.parent_hash,
            ommers_hash=EMPTY_LIST_KECCAK,
            coinbase=self.coinbase,
            state_root=self.state.root,
            transactions_root=EMPTY_TRIE_ROOT,
            receipts_root=EMPTY_TRIE_ROOT,
            logs_bloom=EMPTY_BLOOM,
            difficulty=self.difficulty,
            number=self.number,
            gas_limit=self.gas_limit,
            gas_used=self.gas_used,
            timestamp=self.timestamp,
            extra_data=self.extra_data,
            prev_randao=self.prev_randao,
            nonce=self.nonce.to_bytes(8, "big"),
            base_fee_per_gas=base_fee if items > 15 else None,
            withdrawals_root=EMPTY_TRIE_ROOT if items > 16 else None,
            blob_gas_used=(self.blob_gas_used or 0) if items > 17 else None,
            excess_blob_gas=(self.excess_blob_gas or 0) if items > 17 else None,
            parent_beacon_block_root=self.parent_beacon_block_root if items > 17 else None,
            requests_hash=EMPTY_REQUESTS_HASH if items > 20 else None,
        )
        return Block(header, (), (), () if items > 16 else None)

    def rules_hash(self) -> Hash32:
        """What two nodes must share beside the genesis block: fork schedule and consensus rules."""
        rules = self.consensus
        shared: dict[str, Any] = {
            "schedule": self.schedule.to_config(),
            "engine": rules.engine,
            "validators": [["0x" + v.address.hex(), v.weight] for v in rules.validators],
            "blockTimeMs": rules.block_time_ms,
        }
        if rules.engine == "pos":
            shared |= {"slotMs": rules.slot_ms, "slotsPerEpoch": rules.slots_per_epoch}
        if rules.dev:
            shared["dev"] = True
        return keccak256(json.dumps(shared, sort_keys=True).encode())


# --- reading ------------------------------------------------------------------------------------


def parse_genesis(text: str | bytes) -> Genesis:
    """Read a geth ``genesis.json``. Raises GenesisError naming the field."""
    if len(text) > GENESIS_BYTES_MAX:
        raise GenesisError(f"genesis file is larger than {GENESIS_BYTES_MAX} bytes")
    try:
        # orjson bounds nesting, but reads a balance above 64 bits as a float; json is exact, but nests without bound
        orjson.loads(text)
        document = json.loads(text)
    except ValueError as error:
        raise GenesisError(f"genesis is not JSON: {error}") from None
    return genesis_from_json(document)


def genesis_from_json(document: object) -> Genesis:
    """Read a decoded ``genesis.json``. Raises GenesisError naming the field."""
    root = _object(document, "genesis")
    config = _object(root.get("config"), "config")
    try:
        schedule = ForkSchedule.from_config(config)
    except ValueError as error:
        raise GenesisError(f"config: {error}") from error
    chain_id = _number(config.get("chainId", 1), "config.chainId", U64_MAX)
    extra_data = _bytes(root.get("extraData", "0x"), "extraData")
    if len(extra_data) > EXTRA_DATA_MAX:
        raise GenesisError(f"extraData: {len(extra_data)} bytes, at most {EXTRA_DATA_MAX}")
    alloc = _object(root.get("alloc", {}), "alloc")
    consensus = _consensus(config.get("evmesh", {}))
    genesis = Genesis(
        config=config,
        schedule=schedule.allowing(UNSIGNED) if consensus.dev else schedule,
        chain_id=chain_id,
        consensus=consensus,
        alloc=dict(sorted(_account(address, entry) for address, entry in alloc.items())),
        timestamp=_number(root.get("timestamp", 0), "timestamp", U64_MAX),
        extra_data=extra_data,
        gas_limit=_number(root.get("gasLimit", 30_000_000), "gasLimit", U64_MAX),
        gas_used=_number(root.get("gasUsed", 0), "gasUsed", U64_MAX),
        difficulty=_number(root.get("difficulty", 0), "difficulty", U256_MAX),
        nonce=_number(root.get("nonce", 0), "nonce", U64_MAX),
        prev_randao=Hash32(_bytes(root.get("mixHash", "0x" + "00" * 32), "mixHash", 32)),
        coinbase=Address(_bytes(root.get("coinbase", "0x" + "00" * 20), "coinbase", 20)),
        base_fee_per_gas=_optional(root.get("baseFeePerGas"), "baseFeePerGas", U256_MAX),
        blob_gas_used=_optional(root.get("blobGasUsed"), "blobGasUsed", U64_MAX),
        excess_blob_gas=_optional(root.get("excessBlobGas"), "excessBlobGas", U64_MAX),
        parent_hash=Hash32(_bytes(root.get("parentHash", "0x" + "00" * 32), "parentHash", 32)),
        number=_number(root.get("number", 0), "number", U64_MAX),
    )
    if genesis.consensus.engine == "pos" and genesis.block().header.parent_beacon_block_root is None:
        raise GenesisError(
            "config.evmesh.engine: pos needs parentBeaconBlockRoot (EIP-4788) in every header, because blocks commit "
            "to votes by it: let that fork begin with block 0, or use engine bft"
        )
    return genesis


def _consensus(value: object) -> ConsensusRules:
    rules = _object(value, "config.evmesh")
    engine = rules.get("engine", "bft")
    if engine not in ENGINES:
        raise GenesisError(f"config.evmesh.engine: {engine!r} is none of {', '.join(ENGINES)}")
    known = {"engine", "validators", "dev"} | ({"slotMs", "slotsPerEpoch"} if engine == "pos" else {"blockTimeMs"})
    for key in rules:
        if key not in known:
            names = ", ".join(sorted(known))
            raise GenesisError(f"config.evmesh.{key}: unknown key; known to engine {engine} are {names}")
    numbers = {
        key: _number(rules.get(key, default), f"config.evmesh.{key}", maximum)
        for key, default, maximum in (
            ("blockTimeMs", 1000, 3_600_000),
            ("slotMs", 1000, 3_600_000),
            ("slotsPerEpoch", 2, 1024),
        )
    }
    entries = rules.get("validators", [])
    if not isinstance(entries, list):
        raise GenesisError("config.evmesh.validators: expected a list")
    validators: list[GenesisValidator] = []
    for index, entry in enumerate(entries):
        where = f"config.evmesh.validators[{index}]"
        fields = _object(entry, where)
        address = Address(_bytes(fields.get("address"), f"{where}.address", 20))
        weight = _number(fields.get("weight", 1), f"{where}.weight", 2**32)
        if weight == 0:
            raise GenesisError(f"{where}.weight: must be at least 1")
        if any(validator.address == address for validator in validators):
            raise GenesisError(f"{where}.address: 0x{address.hex()} stands here twice")
        validators.append(GenesisValidator(address, weight))
    dev = rules.get("dev", False)
    if not isinstance(dev, bool):
        raise GenesisError("config.evmesh.dev: expected true or false")
    ordered = tuple(sorted(validators, key=lambda v: v.address))
    return ConsensusRules(engine, numbers["blockTimeMs"], numbers["slotMs"], numbers["slotsPerEpoch"], ordered, dev)


def _account(key: str, value: object) -> tuple[Address, GenesisAccount]:
    text = key if key.startswith("0x") else "0x" + key
    address = Address(_bytes(text, f"alloc.{key[:48]}", 20))
    fields = _object(value, f"alloc.{key}")
    for name in fields:
        if name not in ("balance", "nonce", "code", "storage", "secretKey", "comment"):
            raise GenesisError(f"alloc.{key}.{name}: unknown key; known are balance, nonce, code, storage")
    storage: dict[int, int] = {}
    for slot, word in _object(fields.get("storage", {}), f"alloc.{key}.storage").items():
        number = _number(word, f"alloc.{key}.storage.{slot}", U256_MAX)
        if number:
            storage[_number(slot, f"alloc.{key}.storage key {slot}", U256_MAX)] = number
    return address, GenesisAccount(
        balance=_number(fields.get("balance", 0), f"alloc.{key}.balance", U256_MAX),
        nonce=_number(fields.get("nonce", 0), f"alloc.{key}.nonce", U64_MAX),
        code=_bytes(fields.get("code", "0x"), f"alloc.{key}.code"),
        storage=storage,
    )


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise GenesisError(f"{where}: expected an object")
    return value


def _number(value: object, where: str, maximum: int) -> int:
    """A JSON number, decimal text, or hex text (leading zeros allowed, as geth's files have them)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise GenesisError(f"{where}: expected a number")
    if isinstance(value, str) and len(value) > 128:
        raise GenesisError(f"{where}: number is too long")
    try:
        number = value if isinstance(value, int) else int(value, 16 if value[:2] in ("0x", "0X") else 10)
    except ValueError:
        raise GenesisError(f"{where}: {value!r} is not a number") from None
    if not 0 <= number <= maximum:
        raise GenesisError(f"{where}: {value} is outside 0..{maximum}")
    return number


def _optional(value: object, where: str, maximum: int) -> int | None:
    return None if value is None else _number(value, where, maximum)


def _bytes(value: object, where: str, size: int | None = None) -> bytes:
    if value == "" and size is None:
        return b""
    try:
        return from_data(value, size)
    except HexError as error:
        raise GenesisError(f"{where}: {error}") from None
