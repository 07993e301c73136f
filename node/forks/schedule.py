"""When which fork rules: read from a geth-style chain configuration. The one place that asks number or time.

config -> ForkSchedule -> spec_at(number, timestamp) -> Spec, passed down by the chain
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from node.evm.spec import BlobRules, Spec
from node.forks import bpo1, bpo2, cancun, osaka, paris, prague, shanghai
from node.primitives.hexadecimal import HexError, from_data
from node.primitives.scalars import U64_MAX, Address, Hash32

SPECS_BY_NAME: Final[Mapping[str, Spec]] = {
    module.SPEC.name: module.SPEC for module in (paris, shanghai, cancun, prague, osaka, bpo1, bpo2)
}
"""Every fork, oldest first."""

PRE_MERGE_KEYS: Final = (
    "homesteadBlock",
    "daoForkBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
    "arrowGlacierBlock",
    "grayGlacierBlock",
    "mergeNetsplitBlock",
)
"""Forks by block number: over before the first block here, so 0 or absent."""

TIMED_FORKS: Final = ("shanghai", "cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
"""Forks by time, in their order, as config spells them; the key is this and ``Time``."""

BLOB_ONLY: Final = ("bpo1", "bpo2", "bpo3", "bpo4", "bpo5")
"""Forks that change blob parameters alone, so each may be left out (EIP-7892)."""

BLOB_SCHEDULE_NAMES: Final = (*TIMED_FORKS[1:], "amsterdam")

_SPECS: Final[Mapping[str, Spec]] = {name.lower(): spec for name, spec in SPECS_BY_NAME.items()}
_BLOB_KEYS: Final = ("target", "max", "baseFeeUpdateFraction")


class ScheduleError(ValueError):
    """The chain configuration makes no sense; the message names the key."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A fork and the first timestamp (Unix seconds) at which it rules."""

    timestamp: int
    key: str
    """The fork as config spells it: ``cancun``, ``bpo1``."""
    spec: Spec


@dataclass(frozen=True, slots=True)
class ForkId:
    """What two nodes compare before anything else (EIP-2124, EIP-6122)."""

    hash: bytes
    """4 bytes: CRC-32 of the genesis hash and all forks passed."""
    next: int
    """The timestamp of the next fork, 0 where none is planned."""


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """The forks of one chain, from the Merge on."""

    first: Spec
    """Rules until the first activation."""
    activations: tuple[Activation, ...]
    """By time."""
    blob_schedule: Mapping[str, BlobRules]
    """Overrides that the configuration gave, by fork."""
    deposit_contract: Address | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ForkSchedule:
        """Read ``config`` of a genesis file. Raises ScheduleError. Keys that name no fork are not looked at."""
        _check_pre_merge(config)
        _check_no_unknown_forks(config)
        overrides = _blob_schedule(config.get("blobSchedule"))
        deposits = _deposit_contract(config.get("depositContractAddress"))
        activations: list[Activation] = []
        spec = paris.SPEC
        for key, timestamp in _times(config):
            spec = _spec_after(spec, key, overrides)
            activations.append(Activation(timestamp, key, _with_deposits(spec, deposits)))
        return cls(paris.SPEC, tuple(activations), overrides, deposits)

    def spec_at(self, number: int, timestamp: int) -> Spec:
        """The rules of the block with this number and timestamp."""
        found = self.first
        for activation in self.activations:
            if timestamp < activation.timestamp:
                break
            found = activation.spec
        return found

    def to_config(self) -> dict[str, Any]:
        """The same schedule as a geth-style configuration; ``from_config`` of it gives this schedule again."""
        config: dict[str, Any] = {key: 0 for key in PRE_MERGE_KEYS if key != "daoForkBlock"}
        config["terminalTotalDifficulty"] = 0
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

    def fork_id(self, genesis_hash: Hash32, genesis_timestamp: int, timestamp: int) -> ForkId:
        """The identifier of this chain for a head with ``timestamp``; forks that rule at genesis do not count."""
        times = [activation.timestamp for activation in self.activations if activation.timestamp > genesis_timestamp]
        return fork_id(genesis_hash, [], times, 0, timestamp)


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


def _check_pre_merge(config: Mapping[str, Any]) -> None:
    for key in PRE_MERGE_KEYS:
        if config.get(key) is not None and _number(config[key], key) != 0:
            raise ScheduleError(f"{key}: chains here start after the Merge, so it must be 0 or absent")
    difficulty = config.get("terminalTotalDifficulty")
    if difficulty is not None and _number(difficulty, "terminalTotalDifficulty") != 0:
        raise ScheduleError("terminalTotalDifficulty: chains here start after the Merge, so it must be 0 or absent")
    if config.get("terminalTotalDifficultyPassed") is False:
        raise ScheduleError("terminalTotalDifficultyPassed: chains here start after the Merge, so it must not be false")


def _check_no_unknown_forks(config: Mapping[str, Any]) -> None:
    known = (*PRE_MERGE_KEYS, *(key + "Time" for key in TIMED_FORKS))
    for key, value in config.items():
        if key.endswith(("Time", "Block")) and value is not None and key not in known:
            raise ScheduleError(f"{key}: no such fork is known here; known are {', '.join(known)}")


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
