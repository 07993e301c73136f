"""When which fork rules: read from a geth-style chain configuration. The one place that asks number or time.

config -> ForkSchedule -> spec_at(number, timestamp) -> Spec, passed down by the chain
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

from node.evm.spec import BlobRules, Spec
from node.primitives.hexadecimal import HexError, from_data
from node.primitives.scalars import U64_MAX, Address, Hash32

FORKS: Final = (
    "frontier",
    "homestead",
    "tangerine_whistle",
    "spurious_dragon",
    "byzantium",
    "constantinople",
    "petersburg",
    "istanbul",
    "muir_glacier",
    "berlin",
    "london",
    "arrow_glacier",
    "gray_glacier",
    "paris",
    "shanghai",
    "cancun",
    "prague",
    "osaka",
    "bpo1",
    "bpo2",
)
"""Every fork, oldest first: the modules of this folder that hold a ``SPEC``. A new fork is one line here."""

_SPECS: Final[Mapping[str, Spec]] = {name: import_module(f"{__package__}.{name}").SPEC for name in FORKS}

SPECS_BY_NAME: Final[Mapping[str, Spec]] = {spec.name: spec for spec in _SPECS.values()}
"""Every fork, oldest first."""

_OLDEST: Final = _SPECS["frontier"]
_MERGED: Final = _SPECS["paris"]

NUMBERED_FORKS: Final[Mapping[str, Spec]] = {
    "homesteadBlock": _SPECS["homestead"],
    "daoForkBlock": _SPECS["homestead"],
    "eip150Block": _SPECS["tangerine_whistle"],
    "eip155Block": _SPECS["spurious_dragon"],
    "eip158Block": _SPECS["spurious_dragon"],
    "byzantiumBlock": _SPECS["byzantium"],
    "constantinopleBlock": _SPECS["constantinople"],
    "petersburgBlock": _SPECS["petersburg"],
    "istanbulBlock": _SPECS["istanbul"],
    "muirGlacierBlock": _SPECS["muir_glacier"],
    "berlinBlock": _SPECS["berlin"],
    "londonBlock": _SPECS["london"],
    "arrowGlacierBlock": _SPECS["arrow_glacier"],
    "grayGlacierBlock": _SPECS["gray_glacier"],
    "mergeNetsplitBlock": _SPECS["paris"],
}
"""Forks by block number, in their order, as config spells them, with the rules from that block on."""

MAY_BE_ABSENT: Final = ("daoForkBlock", "muirGlacierBlock", "arrowGlacierBlock", "grayGlacierBlock")
"""Forks by number that a chain may leave out though a later one is set: they change nothing that the EVM sees."""

BLOB_ONLY: Final = ("bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
"""Forks that change blob parameters alone, so each may be left out (EIP-7892). Those without a module have no
parameters of their own: the chain's ``blobSchedule`` must give them."""


def _timed_forks() -> tuple[str, ...]:
    merged = FORKS[FORKS.index("paris") + 1 :]
    behind = 1 + max(merged.index(name) for name in BLOB_ONLY if name in merged)
    return (*merged[:behind], *(name for name in BLOB_ONLY if name not in merged), *merged[behind:])


TIMED_FORKS: Final = _timed_forks()
"""Forks by time, in their order, as config spells them; the key is this and ``Time``."""

BLOB_SCHEDULE_NAMES: Final = tuple(dict.fromkeys((*TIMED_FORKS[1:], "amsterdam")))

MERGE_KEY: Final = "mergeNetsplitBlock"

_BLOB_KEYS: Final = ("target", "max", "baseFeeUpdateFraction")


class ScheduleError(ValueError):
    """The chain configuration makes no sense; the message names the key."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A fork by time and the first timestamp (Unix seconds) at which it rules."""

    timestamp: int
    key: str
    """The fork as config spells it: ``cancun``, ``bpo1``."""
    spec: Spec


@dataclass(frozen=True, slots=True)
class BlockActivation:
    """A fork by number and the first block at which it rules."""

    number: int
    key: str
    """The whole key of config: ``londonBlock``."""
    spec: Spec


@dataclass(frozen=True, slots=True)
class ForkId:
    """What two nodes compare before anything else (EIP-2124, EIP-6122)."""

    hash: bytes
    """4 bytes: CRC-32 of the genesis hash and all forks passed."""
    next: int
    """The block or timestamp of the next fork, 0 where none is planned."""


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """The forks of one chain: by number up to the Merge, by time after it.

    The Merge is where ``mergeNetsplitBlock`` says, else at the first block whose parent's total difficulty has
    reached ``terminalTotalDifficulty``. A chain whose forks by number are all 0 or absent and that names neither
    (or a terminal difficulty of 0) starts merged.
    """

    blocks: tuple[BlockActivation, ...]
    """By number; empty for a chain that starts merged."""
    activations: tuple[Activation, ...]
    """By time."""
    blob_schedule: Mapping[str, BlobRules]
    """Overrides that the configuration gave, by fork."""
    deposit_contract: Address | None = None
    terminal_total_difficulty: int | None = 0
    """0 for a chain that starts merged; None for one that is never going to merge."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ForkSchedule:
        """Read ``config`` of a genesis file. Raises ScheduleError. Keys that name no fork are not looked at."""
        _check_no_unknown_forks(config)
        blocks, terminal = _blocks(config)
        overrides = _blob_schedule(config.get("blobSchedule"))
        deposits = _deposit_contract(config.get("depositContractAddress"))
        activations: list[Activation] = []
        spec = _MERGED
        for key, timestamp in _times(config):
            spec = _spec_after(spec, key, overrides)
            activations.append(Activation(timestamp, key, _with_deposits(spec, deposits)))
        return cls(blocks, tuple(activations), overrides, deposits, terminal)

    def allowing(self, transaction_type: int) -> ForkSchedule:
        """The same forks, each of them taking one more type of transaction."""
        return self.with_rules(lambda spec: spec.evolve(transaction_types=(*spec.transaction_types, transaction_type)))

    def with_rules(self, change: Callable[[Spec], Spec]) -> ForkSchedule:
        """The same forks at the same times, each under the rules that ``change`` makes of its own."""
        return replace(
            self,
            blocks=tuple(replace(one, spec=change(one.spec)) for one in self.blocks),
            activations=tuple(replace(one, spec=change(one.spec)) for one in self.activations),
        )

    @property
    def starts_merged(self) -> bool:
        """No block of this chain was mined: Paris, or a later fork, rules from the genesis block on."""
        return not self.blocks and self.terminal_total_difficulty == 0

    @property
    def asks_total_difficulty(self) -> bool:
        """Where the mining ends is only known from the total difficulty."""
        names_merge = bool(self.blocks) and self.blocks[-1].key == MERGE_KEY
        return not self.starts_merged and not names_merge and self.terminal_total_difficulty is not None

    def spec_at(self, number: int, timestamp: int, parent_total_difficulty: int | None = None) -> Spec:
        """The rules of the block with this number and timestamp.

        ``parent_total_difficulty`` is asked only of a chain that was mined once and does not name the block of its
        Merge: without it such a chain counts as merged from the first fork by time on.
        """
        if not self._is_merged(number, timestamp, parent_total_difficulty):
            found = _OLDEST
            for block in self.blocks:
                if number < block.number:
                    break
                found = block.spec
            return found
        found = _MERGED
        for activation in self.activations:
            if timestamp < activation.timestamp:
                break
            found = activation.spec
        return found

    def _is_merged(self, number: int, timestamp: int, parent_total_difficulty: int | None) -> bool:
        if self.starts_merged:
            return True
        if self.blocks and self.blocks[-1].key == MERGE_KEY:
            return number >= self.blocks[-1].number
        if parent_total_difficulty is not None and self.terminal_total_difficulty is not None:
            return number > 0 and parent_total_difficulty >= self.terminal_total_difficulty
        return bool(self.activations) and timestamp >= self.activations[0].timestamp

    def to_config(self) -> dict[str, Any]:
        """The same schedule as a geth-style configuration; ``from_config`` of it gives this schedule again."""
        config: dict[str, Any] = {}
        if self.starts_merged:
            config = {key: 0 for key in NUMBERED_FORKS if key != "daoForkBlock"}
        for block in self.blocks:
            config[block.key] = block.number
        if self.terminal_total_difficulty is not None:
            config["terminalTotalDifficulty"] = self.terminal_total_difficulty
        for activation in self.activations:
            config[activation.key + "Time"] = activation.timestamp
        scheduled = {
            activation.key: activation.spec.blobs
            for activation in self.activations
            if activation.spec.blobs is not None
        }
        blobs = {**self.blob_schedule, **scheduled}
        if blobs:
            config["blobSchedule"] = {
                key: dict(zip(_BLOB_KEYS, (rules.target, rules.max, rules.base_fee_update_fraction), strict=True))
                for key, rules in blobs.items()
            }
        if self.deposit_contract is not None:
            config["depositContractAddress"] = "0x" + self.deposit_contract.hex()
        return config

    def fork_id(self, genesis_hash: Hash32, genesis_timestamp: int, timestamp: int, number: int = U64_MAX) -> ForkId:
        """The identifier of this chain for a head with ``timestamp`` and ``number`` (default: behind all numbers).

        Forks that rule at genesis do not count.
        """
        blocks = [block.number for block in self.blocks if block.number > 0]
        times = [activation.timestamp for activation in self.activations if activation.timestamp > genesis_timestamp]
        return fork_id(genesis_hash, blocks, times, number, timestamp)


def fork_id(genesis_hash: bytes, blocks: list[int], times: list[int], number: int, timestamp: int) -> ForkId:
    """EIP-2124 with EIP-6122: forks by ``blocks`` and ``times`` (ascending, without those of genesis)."""
    checksum = zlib.crc32(genesis_hash)
    planned = [(block, number) for block in _distinct(blocks)] + [(time, timestamp) for time in _distinct(times)]
    for fork, position in planned:
        if position < fork:
            return ForkId(checksum.to_bytes(4, "big"), fork)
        checksum = zlib.crc32(fork.to_bytes(8, "big"), checksum)
    return ForkId(checksum.to_bytes(4, "big"), 0)


def _distinct(values: list[int]) -> list[int]:
    """Forks at one point count once."""
    return [value for index, value in enumerate(values) if value and value not in values[:index]]


# --- reading the configuration ---


def _check_no_unknown_forks(config: Mapping[str, Any]) -> None:
    known = (*NUMBERED_FORKS, *(key + "Time" for key in TIMED_FORKS))
    for key, value in config.items():
        if key.endswith(("Time", "Block")) and value is not None and key not in known:
            raise ScheduleError(f"{key}: no such fork is known here; known are {', '.join(known)}")


def _blocks(config: Mapping[str, Any]) -> tuple[tuple[BlockActivation, ...], int | None]:
    """The forks by number in order, and the terminal total difficulty. No forks for a chain that starts merged."""
    numbers = {key: _number(config[key], key) for key in NUMBERED_FORKS if config.get(key) is not None}
    value = config.get("terminalTotalDifficulty")
    terminal = None if value is None else _number(value, "terminalTotalDifficulty")
    if not any(numbers.values()) and not terminal:
        if config.get("terminalTotalDifficultyPassed") is False:
            raise ScheduleError("terminalTotalDifficultyPassed: false, but nothing comes before the Merge")
        return (), 0
    _check_order(numbers)
    if numbers.get("eip155Block") != numbers.get("eip158Block"):
        raise ScheduleError("eip155Block and eip158Block: one fork here, so they must be the same")
    if config.get("daoForkSupport") and numbers.get("daoForkBlock"):
        raise ScheduleError("daoForkSupport: the irregular state change of that fork is not known here")
    if terminal == 0 and MERGE_KEY not in numbers:
        raise ScheduleError("terminalTotalDifficulty: 0 merges at genesis, but a fork by block comes later")
    if "constantinopleBlock" in numbers and "petersburgBlock" not in numbers:
        numbers["petersburgBlock"] = numbers["constantinopleBlock"]  # as other clients read it
    order = [key for key in NUMBERED_FORKS if key in numbers]
    return tuple(BlockActivation(numbers[key], key, NUMBERED_FORKS[key]) for key in order), terminal


def _check_order(numbers: Mapping[str, int]) -> None:
    missing: str | None = None
    last: tuple[str, int] | None = None
    for key in NUMBERED_FORKS:
        if key not in numbers:
            after_constantinople = key == "petersburgBlock" and "constantinopleBlock" in numbers
            if key not in MAY_BE_ABSENT and not after_constantinople:
                missing = missing or key
            continue
        if missing is not None:
            raise ScheduleError(f"{key}: set, but the fork before it ({missing}) is not")
        if last is not None and numbers[key] < last[1]:
            raise ScheduleError(f"{key}: {numbers[key]} is before {last[0]}: {last[1]}")
        last = key, numbers[key]


def _times(config: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The planned forks in order: (key, timestamp)."""
    planned: list[tuple[str, int]] = []
    missing: str | None = None
    for key in TIMED_FORKS:
        name = key + "Time"
        if config.get(name) is None:
            if key not in BLOB_ONLY:
                missing = missing or name
            continue
        if missing is not None:
            raise ScheduleError(f"{name}: set, but the fork before it ({missing}) is not")
        planned.append((key, _number(config[name], name)))
    for (earlier, earlier_time), (later, later_time) in pairwise(planned):
        if later_time < earlier_time:
            raise ScheduleError(f"{later}Time: {later_time} is before {earlier}Time: {earlier_time}")
    return planned


def _blob_schedule(value: object) -> dict[str, BlobRules]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ScheduleError("blobSchedule: expected an object")
    found: dict[str, BlobRules] = {}
    for key, entry in value.items():
        where = f"blobSchedule.{key}"
        if key not in BLOB_SCHEDULE_NAMES:
            raise ScheduleError(f"{where}: no such fork is known here; known are {', '.join(BLOB_SCHEDULE_NAMES)}")
        if not isinstance(entry, Mapping):
            raise ScheduleError(f"{where}: expected an object")
        for part in _BLOB_KEYS:
            if part not in entry:
                raise ScheduleError(f"{where}.{part}: missing")
        target, most, fraction = (_number(entry[part], f"{where}.{part}") for part in _BLOB_KEYS)
        if most < target:
            raise ScheduleError(f"{where}: max {most} is below target {target}")
        if fraction == 0:
            raise ScheduleError(f"{where}.baseFeeUpdateFraction: must not be 0")
        found[key] = BlobRules(target, most, fraction)
    return found


def _spec_after(before: Spec, key: str, overrides: Mapping[str, BlobRules]) -> Spec:
    """The rules of fork ``key``, with the chain's own blob parameters where it gives some."""
    override = overrides.get(key)
    spec = _SPECS.get(key)
    if spec is None:
        if override is None:
            raise ScheduleError(f"blobSchedule.{key}: missing, and {key}Time is set")
        spec = before.evolve(name=key.upper())
    if override is not None:
        assert spec.blobs is not None
        blobs = replace(
            spec.blobs,
            target=override.target,
            max=override.max,
            base_fee_update_fraction=override.base_fee_update_fraction,
        )
        spec = spec.evolve(blobs=blobs)
    return spec


def _deposit_contract(value: object) -> Address | None:
    if value is None:
        return None
    try:
        return Address(from_data(value, 20))
    except HexError as error:
        raise ScheduleError(f"depositContractAddress: {error}") from error


def _with_deposits(spec: Spec, contract: Address | None) -> Spec:
    """Deposits of this chain come from its own contract (EIP-6110)."""
    if contract is None:
        return spec
    requests = tuple(replace(source, address=contract) if source.from_logs else source for source in spec.requests)
    return spec.evolve(requests=requests)


def _number(value: object, key: str) -> int:
    """A number as JSON gives it; decimal or 0x text as some tools write it. 64 bits, but for the difficulty."""
    if isinstance(value, str):
        try:
            value = int(value, 16 if value.lower().startswith("0x") else 10)
        except ValueError:
            raise ScheduleError(f"{key}: {value!r} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ScheduleError(f"{key}: expected a number, found {value!r}")
    if value < 0 or (value > U64_MAX and key != "terminalTotalDifficulty"):
        raise ScheduleError(f"{key}: {value} is out of range")
    return value
