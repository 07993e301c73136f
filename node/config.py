"""NodeConfig: what one operator decides, read from TOML. Unknown keys are refused with the nearest known name.

Protocol rules are not here (they are the genesis file's), nor what a whole cluster shares (network/manifest.py).
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from node.evm.native.choice import Evm
from node.runtime.transport import split_address
from node.telemetry.logs import LEVELS

SYNC_MODES: Final = ("full", "fast")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


class ConfigError(ValueError):
    """The file cannot be used; the message names the key, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class P2PSettings:
    """Where peers find this node, and where it looks for them."""

    listen: str = "127.0.0.1:30303"
    advertise: str = ""
    """Where others should dial us when that is not where we listen (a container, a proxy)."""
    node_key_file: str = ""
    bootnodes: tuple[str, ...] = ()
    peers_max: int = 25


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """The HTTP side."""

    dev_keys_file: str = ""
    """Keys of accounts that the node signs for, a line each; only on a chain for development."""

    host: str = "127.0.0.1"
    port: int = 8545
    cors_origins: tuple[str, ...] = ("*",)
    allowed_hosts: tuple[str, ...] = ()
    """Names that a Host header may carry beside loopback and IP addresses."""
    gas_cap: int = 50_000_000
    """Gas that one eth_call may use."""


@dataclass(frozen=True, slots=True)
class ConsensusSettings:
    """``engine`` must be the genesis file's; a node without a validator key follows."""

    engine: str = ""
    validator_key_file: str = ""
    validator_key_files: tuple[str, ...] = ()
    """Further keys; engine pos lets one node vote for several validators."""
    block_time_ms: int = 0
    """0: the genesis file's."""
    fee_recipient: str = ""
    """0x address; empty: the validator's own."""
    gas_limit: int = 0
    """What this proposer steers towards; 0 keeps the parent's."""
    extra_data: str = ""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Bounds of the transaction pool."""

    slots_max: int = 10_000
    slots_per_sender: int = 1_024


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The process itself."""

    name: str = "node"
    data_dir: str = ""
    genesis: str = ""
    log_level: str = "info"
    log_format: str = "text"
    evm: str = ""
    """native, transpiled, plain or auto; empty: EVMESH_EVM, else auto."""
    hot: bool = False
    """Whether the native EVM compiles code that runs hot; else EVMESH_HOT."""
    state_history: int = 0
    """How many final blocks keep their state; 0: all of them, from the first on."""
    sync: str = "full"
    """How a node without blocks catches up: full executes every block, fast begins with a state that peers give."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Everything of one node's file."""

    node: NodeSettings = field(default_factory=NodeSettings)
    p2p: P2PSettings = field(default_factory=P2PSettings)
    rpc: RpcSettings = field(default_factory=RpcSettings)
    consensus: ConsensusSettings = field(default_factory=ConsensusSettings)
    pool: PoolSettings = field(default_factory=PoolSettings)


_SECTIONS: Final[Mapping[str, type]] = {
    "node": NodeSettings,
    "p2p": P2PSettings,
    "rpc": RpcSettings,
    "consensus": ConsensusSettings,
    "pool": PoolSettings,
}


def load_config(path: Path) -> NodeConfig:
    """Read a node's file; relative paths in it are relative to it. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    return parse_config(text, str(path), path.resolve().parent)


def parse_config(text: str, origin: str = "node.toml", base: Path | None = None) -> NodeConfig:
    """Read the text of a node's file. Raises ConfigError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not TOML: {error}") from None
    sections: dict[str, Any] = {}
    for name, table in document.items():
        kind = _SECTIONS.get(name)
        if kind is None:
            raise ConfigError(f"{origin}: unknown section [{name}]{_nearest(name, _SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{origin}: [{name}] must be a table")
        sections[name] = _section(kind, table, f"{origin}: {name}")
    config = NodeConfig(**sections)
    return _checked(config, origin, base)


def _section(kind: type, table: Mapping[str, object], where: str) -> Any:
    known = {f.name: getattr(kind(), f.name) for f in fields(kind)}
    values: dict[str, object] = {}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{where}.{key}: unknown key{_nearest(key, known)}")
        default = known[key]
        if isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise ConfigError(f"{where}.{key}: expected a list of strings")
            values[key] = tuple(value)
        elif type(value) is not type(default):
            raise ConfigError(f"{where}.{key}: expected {type(default).__name__}, found {type(value).__name__}")
        elif isinstance(value, int) and value < 0:
            raise ConfigError(f"{where}.{key}: must not be negative")
        else:
            values[key] = value
    return kind(**values)


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _checked(config: NodeConfig, origin: str, base: Path | None) -> NodeConfig:
    if not config.node.data_dir:
        raise ConfigError(f"{origin}: node.data_dir is missing: where the database shall live")
    if not config.node.genesis:
        raise ConfigError(f"{origin}: node.genesis is missing: the genesis.json that all nodes share")
    if config.node.log_level not in LEVELS:
        raise ConfigError(f"{origin}: node.log_level: {config.node.log_level!r} is none of {', '.join(LEVELS)}")
    if config.node.log_format not in ("text", "json"):
        raise ConfigError(f"{origin}: node.log_format: {config.node.log_format!r} is neither text nor json")
    if config.node.evm and config.node.evm not in list(Evm):
        raise ConfigError(f"{origin}: node.evm: {config.node.evm!r} is none of {', '.join(Evm)}")
    if config.node.sync not in SYNC_MODES:
        raise ConfigError(f"{origin}: node.sync: {config.node.sync!r} is none of {', '.join(SYNC_MODES)}")
    if config.rpc.port > 65535:
        raise ConfigError(f"{origin}: rpc.port: {config.rpc.port} is above 65535")
    try:
        split_address(config.p2p.listen)
    except ValueError as error:
        raise ConfigError(f"{origin}: p2p.listen: {error}") from None
    if config.p2p.advertise:
        try:
            split_address(config.p2p.advertise)
        except ValueError as error:
            raise ConfigError(f"{origin}: p2p.advertise: {error}") from None
    if len(config.consensus.extra_data.encode()) > 32:
        raise ConfigError(f"{origin}: consensus.extra_data: at most 32 bytes stand in a header")
    if base is None:
        return config

    def resolved(text: str) -> str:
        return str(base / text) if text else ""

    return replace(
        config,
        node=replace(config.node, data_dir=resolved(config.node.data_dir), genesis=resolved(config.node.genesis)),
        rpc=replace(config.rpc, dev_keys_file=resolved(config.rpc.dev_keys_file)),
        p2p=replace(config.p2p, node_key_file=resolved(config.p2p.node_key_file)),
        consensus=replace(
            config.consensus,
            validator_key_file=resolved(config.consensus.validator_key_file),
            validator_key_files=tuple(resolved(text) for text in config.consensus.validator_key_files),
        ),
    )
