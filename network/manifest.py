"""Manifest: what a whole network is. Defaults, then a TOML file, then environment, then flags.

[network]
name = "brave-otter"        # the run directory's name; chosen by chance when absent
nodes = 4                   # n0, n1, …
block_time = 1.0            # seconds between blocks; under pos the length of a slot
slots_per_epoch = 2         # pos only
consensus = "pos"           # or "bft" (final at once), or "instant" (one node); bft where block_time is below 1
chain_id = 31337
gas_limit = 30000000
state_history = 0           # final blocks that keep their state; 0: all
sync = "full"               # or "fast": a node that lost its disk begins with a state of the others
dev = false                 # state cheats (anvil_setBalance, evm_snapshot, impersonation); bft unless said otherwise
host = "127.0.0.1"          # where JSON-RPC and peers listen
port = 8545                 # node i: port + i; 0: free ports
p2p_port = 30303            # node i: p2p_port + i; 0: free ports
page = true                 # whether the network has a page for browsers
page_port = 8600            # of that page, on the loopback address; 0: a free port
accounts = 10               # funded accounts of the mnemonic
balance = "10000eth"        # of each
mnemonic = "test … junk"
fund = ["0xabc…:50"]        # further funded addresses, in ether
genesis = "genesis.json"    # a geth genesis file to use instead of our own
log_level = "info"          # debug, info, warning, error
log_format = "text"         # or "json"
evm = "auto"                # or "native", "transpiled", "plain": which EVM; auto: the first that can be here
hot = false                 # whether the native EVM compiles code that runs hot, in a process of its own

[node.n3]                   # what differs for one node
validator = false           # it follows and executes, but has no vote
weight = 2                  # its voting weight
keys = 3                    # pos only: it votes for so many validators, each of its weight
port = 9000
p2p_port = 31000
log_level = "debug"
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from network.accounts import DEFAULT_MNEMONIC, parse_address, seed_of
from network.amounts import parse_amount
from network.cluster.run_directory import check_name
from network.failures import BadInput
from node.primitives.scalars import ETHER, Address

CONSENSUS: Final = ("bft", "pos", "instant")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("text", "json")
EVMS: Final = ("auto", "native", "transpiled", "plain")
SYNC_MODES: Final = ("full", "fast")
NODES_MAX: Final = 64
KEYS_MAX: Final = 64
"""Validators that one node may vote for."""
POS_SLOT_MS_MIN: Final = 1000
ACCOUNTS_MAX: Final = 1000
MANIFEST_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NodeManifest:
    """What differs for one node."""

    validator: bool = True
    weight: int = 1
    keys: int = 1
    port: int | None = None
    p2p_port: int | None = None
    log_level: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A network as it was asked for. Times in milliseconds, amounts in wei."""

    name: str | None = None
    nodes: int = 4
    block_time: int = 1000
    """Milliseconds."""
    slots_per_epoch: int = 2
    consensus: str = "pos"
    chain_id: int = 31337
    gas_limit: int = 30_000_000
    state_history: int = 0
    """How many final blocks keep their state; 0: all of them."""
    sync: str = "full"
    """How a node without blocks catches up; see node/config.py."""
    dev: bool = False
    host: str = "127.0.0.1"
    port: int = 8545
    p2p_port: int = 30303
    page: bool = True
    page_port: int = 8600
    accounts: int = 10
    balance: int = 10_000 * ETHER
    mnemonic: str = field(default=DEFAULT_MNEMONIC, repr=False)
    fund: tuple[tuple[Address, int], ...] = ()
    genesis: Path | None = None
    log_level: str = "info"
    log_format: str = "text"
    evm: str = "auto"
    hot: bool = False
    node: Mapping[str, NodeManifest] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    """Keys that were set by hand: a port asked for by name is not shifted, a genesis file keeps its own values."""

    def node_names(self) -> list[str]:
        """n0, n1, …"""
        return [f"n{index}" for index in range(self.nodes)]

    def of_node(self, name: str) -> NodeManifest:
        """What differs for a node."""
        return self.node.get(name, NodeManifest())

    def with_values(self, values: Mapping[str, object], origin: str) -> Manifest:
        """These keys changed, each checked. Raises BadInput that names the key and its origin."""
        known = [f.name for f in fields(self) if f.name not in ("node", "given")]
        changed: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                raise BadInput(f"{origin}: unknown key {key!r}", _nearest(key, known))
            changed[key] = _checked(_READERS[key], value, f"{origin}: {key}")
        return replace(self, **changed, given=self.given | changed.keys())

    def checked(self) -> Manifest:
        """Itself, where its parts fit together. Raises BadInput.

        Where no engine is named, blocks faster than a second and a clock that can be moved ask for bft.
        """
        wants_bft = self.block_time < POS_SLOT_MS_MIN or self.dev
        if self.consensus == "pos" and wants_bft and "consensus" not in self.given:
            return replace(self, consensus="bft").checked()
        names = self.node_names()
        for name in self.node:
            if name not in names:
                raise BadInput(f"[node.{name}]: there is no such node", f"the nodes are {names[0]} to {names[-1]}")
        if self.consensus == "instant" and self.nodes != 1:
            raise BadInput(
                f"consensus instant works with one node, {self.nodes} were asked for",
                "use --nodes 1, or --consensus bft",
            )
        if self.consensus == "pos" and self.block_time < POS_SLOT_MS_MIN:
            raise BadInput(
                f"a slot of {self.block_time} ms is too short: pos takes header times from its slots, in seconds",
                "use a block time of at least 1, or --consensus bft",
            )
        if self.consensus != "pos":
            for name, own in self.node.items():
                if own.keys != 1:
                    raise BadInput(
                        f"[node.{name}]: keys = {own.keys}, but under {self.consensus} a node has one vote",
                        "use weight, or --consensus pos",
                    )
            if "slots_per_epoch" in self.given:
                raise BadInput(
                    f"{self.consensus} knows no epochs", "leave slots_per_epoch away, or use --consensus pos"
                )
        if not any(self.of_node(name).validator for name in names):
            raise BadInput("no node is a validator", "set validator = true for at least one node")
        if self.dev and self.state_history:
            raise BadInput(
                "a network for development may return to any state, so it keeps all of them", "leave state_history away"
            )
        if self.sync == "fast" and (self.dev or self.consensus == "instant"):
            raise BadInput(
                "fast sync is not for a network for development, which may return to any state, nor for one node",
                "leave sync away",
            )
        seed_of(self.mnemonic)
        for key in ("port", "p2p_port"):
            base = getattr(self, key)
            if base and base + self.nodes - 1 > 65535:
                raise BadInput(f"{key} {base} leaves no room for {self.nodes} nodes below 65536", "choose a lower one")
        return self


def load_manifest(path: Path) -> Manifest:
    """Read a TOML manifest. Raises BadInput naming the key, and the nearest known one."""
    try:
        if path.stat().st_size > MANIFEST_BYTES_MAX:
            raise BadInput(f"{path} is larger than {MANIFEST_BYTES_MAX} bytes")
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not TOML: {error}") from None
    return parse_manifest(document, str(path), path.resolve().parent)


def parse_manifest(document: Mapping[str, Any], origin: str, base: Path) -> Manifest:
    """A manifest from decoded TOML; a genesis path is taken from ``base``. Raises BadInput."""
    for key in document:
        if key not in ("network", "node"):
            raise BadInput(f"{origin}: unknown table [{key}]", _nearest(key, ["network", "node"]))
    tables = {key: document.get(key, {}) for key in ("network", "node")}
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise BadInput(f"{origin}: [{key}] is not a table")
    manifest = Manifest().with_values(tables["network"], origin)
    if manifest.genesis is not None:
        manifest = replace(manifest, genesis=base / manifest.genesis)
    nodes = {str(name): _node(entry, f"{origin}: node.{name}") for name, entry in tables["node"].items()}
    return replace(manifest, node=nodes)


def _node(table: object, origin: str) -> NodeManifest:
    if not isinstance(table, dict):
        raise BadInput(f"{origin} is not a table", "write [node.n0] and its keys below")
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _NODE_READERS:
            raise BadInput(f"{origin}: unknown key {key!r}", _nearest(key, list(_NODE_READERS)))
        values[key] = _checked(_NODE_READERS[key], value, f"{origin}.{key}")
    return NodeManifest(**values)


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _checked(read: Callable[[object], Any], value: object, where: str) -> Any:
    try:
        return read(value)
    except BadInput as error:
        raise BadInput(f"{where}: {error.message}", error.hint) from None


# --- one reader a kind of value -----------------------------------------------------------------


def _number(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadInput(f"{value!r} is not a whole number from {low} to {high}")
        return value

    return read


def _choice(options: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in options:
            raise BadInput(f"{value!r} is none of {', '.join(options)}", _nearest(str(value), list(options)))
        return str(value)

    return read


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise BadInput(f"{value!r} is not a text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"{value!r} is not true or false")
    return value


def _block_time(value: object) -> int:
    """Seconds to milliseconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.05 <= value <= 3600:
        raise BadInput(f"{value!r} is not a number of seconds from 0.05 to 3600")
    return round(value * 1000)


def _balance(value: object) -> int:
    """A bare number is ether, as in other devnets; text may carry a unit."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else _text(value)
    return parse_amount(text if text[-1:].isalpha() else f"{text}eth")


def _name(value: object) -> str:
    return check_name(_text(value))


def _mnemonic(value: object) -> str:
    text = _text(value)
    seed_of(text)
    return text


def _fund(value: object) -> tuple[tuple[Address, int], ...]:
    if not isinstance(value, list | tuple):
        raise BadInput(f"{value!r} is not a list", 'write ["0x…:50"]')
    funded = []
    for entry in value:
        address, separator, amount = _text(entry).partition(":")
        if not separator or not amount:
            raise BadInput(f"{entry!r} is not of the form ADDRESS:ETHER", "for example 0x…:50 or 0x…:20gwei")
        funded.append((parse_address(address), _balance(amount)))
    return tuple(funded)


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "name": _name,
    "nodes": _number(1, NODES_MAX),
    "block_time": _block_time,
    "slots_per_epoch": _number(2, 64),
    "consensus": _choice(CONSENSUS),
    "chain_id": _number(1, 2**53 - 1),
    "state_history": _number(0, 2**31),
    "sync": _choice(SYNC_MODES),
    "dev": _flag,
    "gas_limit": _number(5_000, 2**63 - 1),
    "host": _text,
    "port": _number(0, 65535),
    "p2p_port": _number(0, 65535),
    "page": _flag,
    "page_port": _number(0, 65535),
    "accounts": _number(0, ACCOUNTS_MAX),
    "balance": _balance,
    "mnemonic": _mnemonic,
    "fund": _fund,
    "genesis": lambda value: Path(value if isinstance(value, Path) else _text(value)),
    "log_level": _choice(LOG_LEVELS),
    "log_format": _choice(LOG_FORMATS),
    "evm": _choice(EVMS),
    "hot": _flag,
}

_NODE_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "validator": _flag,
    "weight": _number(1, 2**32),
    "keys": _number(1, KEYS_MAX),
    "port": _number(1, 65535),
    "p2p_port": _number(1, 65535),
    "log_level": _choice(LOG_LEVELS),
}
