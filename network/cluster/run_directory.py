"""The run directory: everything a network leaves on disk, and how any shell finds it again.

``$XDG_STATE_HOME/evmesh/<name>/`` (``~/.local/state`` where unset), and ``latest`` beside them:

    network.json            what the network is: nodes, ports, accounts (mode 0600: it holds the mnemonic)
    genesis.json            the genesis in use, geth's format
    validators.seed         where validator keys come from (mode 0600)
    contracts.json          what ``evmesh deploy`` has deployed
    links.json              the port of every link between two nodes
    faults.json             the faults that are on
    links/ judge/ page/     the processes that carry the links, watch the promises, show the page: process.json, log
    violation.json          the promise that was broken, where one was
    n0/node.toml            a node's configuration
    n0/node.key             its network identity (mode 0600)
    n0/validator.key        its validator key (mode 0600), absent for a follower
    n0/process.json         its pid, start time and ports
    n0/node.out node.log    its standard output and its log
    n0/db/                  its database
    n0/clock                how wrong its clock is
    n0-twin/                a second node with its validator key, where it was told to have one
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from network.cluster.process import ProcessRecord, write_json
from network.failures import BadInput, Busy, Failure
from network.faults.kinds import BUG_FILE

FORMAT: Final = 1
PAGE_HOST: Final = "127.0.0.1"
"""The cluster page can put faults on nodes, so it is for this machine alone, wherever the nodes listen."""

_ADJECTIVES: Final = (
    "able amber bold brave bright brisk calm clever cosy daring eager fair fleet fond frank gentle glad golden "
    "happy hardy honest humble jolly keen kind lively loyal lucky mellow merry mild neat nimble noble patient "
    "plucky polite proud quick quiet rapid ready rosy shiny silent smart snug spry steady sunny swift tidy "
    "tender true trusty vivid warm wise witty zesty"
)
_ANIMALS: Final = (
    "badger beaver bison crane deer dolphin duck eagle falcon ferret finch fox gecko hare hawk heron horse ibis "
    "jay koala lark lemur llama lynx marten mole moose newt orca otter owl panda perch puffin quail rabbit raven "
    "robin salmon seal shrew sloth sparrow squid stork swan tapir tern tiger toad trout turtle viper vole walrus "
    "whale wolf wren yak zebra"
)


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """One node, as the whole network sees it."""

    name: str
    http_host: str
    http_port: int
    p2p_port: int
    node_id: str
    """Hex of its network identity."""
    validator: str | None
    """Checksummed address it votes with; None: a follower."""
    more_validators: tuple[str, ...] = ()
    """Further addresses it votes with (engine pos)."""

    @property
    def url(self) -> str:
        """Where its JSON-RPC is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.http_host, self.http_host)
        return f"http://[{host}]:{self.http_port}" if ":" in host else f"http://{host}:{self.http_port}"

    @property
    def role(self) -> str:
        """validator or follower."""
        return "validator" if self.validator else "follower"


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """Content of ``network.json``."""

    name: str
    chain_id: int
    engine: str
    block_time_ms: int
    gas_limit: int
    base_fee: int
    genesis_timestamp: int
    created_ms: int
    mnemonic: str = field(repr=False)
    accounts: int
    host: str
    nodes: tuple[NodeEntry, ...]
    dev: bool = False
    """For development: its state may be written by orders, and return to what it was."""
    page_port: int | None = None
    """Where the cluster page is (loopback); None: the network has none."""
    format: int = FORMAT

    @property
    def page_url(self) -> str | None:
        """Where a browser finds the cluster page."""
        return None if self.page_port is None else f"http://{PAGE_HOST}:{self.page_port}"


class RunDirectory:
    """One network's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The network's name."""
        return self.path.name

    @property
    def genesis_file(self) -> Path:
        """The genesis in use."""
        return self.path / "genesis.json"

    @property
    def contracts_file(self) -> Path:
        """Deployed contracts by name."""
        return self.path / "contracts.json"

    def node_dir(self, node: str) -> Path:
        """A node's own directory."""
        return self.path / node

    def database_dir(self, node: str) -> Path:
        """Where a node's database is."""
        return self.node_dir(node) / "db"

    def bug_file(self, node: str) -> Path:
        """Names the seeded mistake that the node's EVM shall have; absent for none."""
        return self.node_dir(node) / BUG_FILE

    def config_file(self, node: str) -> Path:
        """A node's configuration."""
        return self.node_dir(node) / "node.toml"

    def set_sync(self, node: str, mode: str) -> None:
        """How a node catches up when it has no blocks: ``full`` or ``fast``, from its next start on."""
        path = self.config_file(node)
        kept = re.sub(r'(?m)^sync = ".*"\n', "", path.read_text("utf-8"))
        path.write_text(kept.replace("[node]\n", f'[node]\nsync = "{mode}"\n', 1), "utf-8")

    def log_file(self, node: str) -> Path:
        """A node's log."""
        return self.node_dir(node) / "node.log"

    def output_file(self, node: str) -> Path:
        """A node's standard output: the ready line."""
        return self.node_dir(node) / "node.out"

    def process_file(self, node: str) -> Path:
        """A node's process record."""
        return self.node_dir(node) / "process.json"

    def network(self) -> NetworkFile:
        """What the network is. Raises Failure where the file cannot be used."""
        path = self.path / "network.json"
        try:
            content = json.loads(path.read_text("utf-8"))
            if content.get("format") != FORMAT:
                raise Failure(
                    f"{path} has format {content.get('format')!r}, this evmesh reads {FORMAT}",
                    f"remove the directory and start anew: rm -r {self.path}",
                )
            nodes = tuple(
                NodeEntry(**(entry | {"more_validators": tuple(entry.get("more_validators", ()))}))
                for entry in content.pop("nodes")
            )
            return NetworkFile(nodes=nodes, **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Failure(f"{path} cannot be used: {error}", f"remove it with: rm -r {self.path}") from None

    def write_network(self, network: NetworkFile) -> None:
        """Write ``network.json``."""
        write_json(self.path / "network.json", asdict(network), mode=0o600)

    def record(self, node: str) -> ProcessRecord | None:
        """A node's last process, running or not."""
        return ProcessRecord.read(self.process_file(node))

    def running(self) -> dict[str, ProcessRecord]:
        """Processes that run now, by node."""
        found = {}
        for node in self.node_names():
            record = self.record(node)
            if record is not None and record.alive:
                found[node] = record
        return found

    def node_names(self) -> list[str]:
        """Every node, in order; empty for a directory that was never finished."""
        try:
            return [node.name for node in self.network().nodes]
        except Failure:
            return []

    def node(self, name: str) -> NodeEntry:
        """A node by name. Raises BadInput naming the known ones."""
        nodes = self.network().nodes
        for node in nodes:
            if node.name == name:
                return node
        raise BadInput(f"network {self.name} has no node {name!r}", f"its nodes are {', '.join(n.name for n in nodes)}")

    def contracts(self) -> dict[str, dict[str, Any]]:
        """Deployed contracts: name -> {address, abi}, and storageLayout where it is known."""
        try:
            content = json.loads(self.contracts_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failure(f"{self.contracts_file} cannot be read: {error}") from None
        return content if isinstance(content, dict) else {}

    def add_contract(
        self, name: str, address: str, abi: list[dict[str, Any]], layout: dict[str, Any] | None = None
    ) -> None:
        """Remember a deployed contract; a newer one of the same name replaces it. ``layout``: solc's storageLayout."""
        entry = {"address": address, "abi": abi, **({"storageLayout": layout} if layout is not None else {})}
        write_json(self.contracts_file, self.contracts() | {name: entry})

    def remove(self) -> None:
        """Delete everything. Raises Busy while a node runs."""
        running = self.running()
        if running:
            raise Busy(
                f"network {self.name} is running ({', '.join(running)})", f"stop it first: evmesh down {self.name}"
            )
        shutil.rmtree(self.path)


def state_home() -> Path:
    """Where run directories live (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "state"  # relative ones are to be ignored
    return base / "evmesh"


def all_runs() -> list[RunDirectory]:
    """Every network on disk, by name."""
    try:
        entries = sorted(state_home().iterdir())
    except FileNotFoundError:
        return []
    return [RunDirectory(path) for path in entries if not path.is_symlink() and (path / "network.json").is_file()]


def check_name(name: str) -> str:
    """A name that is a plain folder name. Raises BadInput."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name[0] in ".-" or len(name) > 64 or name == "latest":
        raise BadInput(
            f"{name!r} is not usable as a network name", "use letters, digits, - and _, for example brave-otter"
        )
    return name


def new_name() -> str:
    """A name that no network on disk has."""
    taken = {run.name for run in all_runs()}
    chance = random.SystemRandom()  # the shared generator may have been seeded alike in several processes
    while True:
        name = f"{chance.choice(_ADJECTIVES.split())}-{chance.choice(_ANIMALS.split())}"
        if len(taken) > 500:
            name += f"-{chance.randrange(10_000)}"
        if name not in taken:
            return name


def create(name: str, home: Path | None = None) -> RunDirectory:
    """A new, empty directory, in ``home`` instead of the usual place. Raises Busy where it exists."""
    path = (home or state_home()) / check_name(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise Busy(
            f"network {name} exists already in {path}",
            "continue it with --resume, start over with --clean, or choose another --name (evmesh ls shows all)",
        ) from None
    except OSError as error:
        raise Failure(
            f"cannot create {path}: {error.strerror}", "set XDG_STATE_HOME to a folder you can write"
        ) from None
    return RunDirectory(path)


def mark_latest(run: RunDirectory) -> None:
    """Point ``latest`` at a network, in one step."""
    link = state_home() / "latest"
    temporary = state_home() / f".latest.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(run.name)
    os.replace(temporary, link)


def latest() -> RunDirectory | None:
    """The network that ``latest`` points at."""
    path = state_home() / "latest"
    try:
        target = state_home() / os.readlink(path)
    except OSError:
        return None
    return RunDirectory(target) if (target / "network.json").is_file() else None


def find(name: str | None, must_run: bool = True) -> RunDirectory:
    """The network that a command means: by name, else the latest (running) one. Raises BadInput or Failure."""
    if name is not None:
        run = RunDirectory(state_home() / check_name(name))
        if not (run.path / "network.json").is_file():
            known = ", ".join(one.name for one in all_runs())
            raise BadInput(f"no network is called {name}", f"known: {known}" if known else "start one with: evmesh up")
        if must_run and not run.running():
            raise Failure(f"network {name} is not running", f"start it again with: evmesh up --resume --name {name}")
        return run
    last = latest()
    if last is not None and (not must_run or last.running()):
        return last
    running = [run for run in all_runs() if run.running()]
    if len(running) == 1:
        return running[0]
    if running:
        names = ", ".join(run.name for run in running)
        raise BadInput(f"several networks are running: {names}", "say which one with --network NAME")
    hint = (
        f"start one with: evmesh up{f', or continue the last with: evmesh up --resume ({last.name})' if last else ''}"
    )
    raise Failure("no network is running" if must_run else "there is no network yet", hint)
