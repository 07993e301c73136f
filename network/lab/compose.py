"""A network for programs in containers: one for each node, told to an engine as a compose file.

Each node has one network to its host, for JSON-RPC, and one that it shares with the nodes that it can reach; a split
moves nodes to networks of their own. What an engine cannot do to a container (clocks, links that are merely bad, lies)
is refused: processes and the simulator can.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from network.client import NodeClient
from network.cluster import ports
from network.cluster.readiness import wait_until
from network.containers import HTTP_PORT, IMAGE, provision_compose
from network.failures import Failure
from network.faults.vocabulary import FaultAction
from network.lab.defaults import with_defaults
from network.lab.members import Node
from network.lab.net import Net, Which
from network.manifest import Manifest
from network.provision import SEED_BYTES, funded_accounts

IMAGE_VARIABLE: Final = "EVMESH_IMAGE"
READY_SECONDS: Final = 60.0
COMMAND_SECONDS: Final = 120.0
COMPOSE_FILE: Final = "compose.json"
LOOPBACK: Final = "127.0.0.1"
_DO: Final[Mapping[str, str]] = {"crash": "kill", "pause": "pause"}
_UNDO: Final[Mapping[str, str]] = {"crash": "start", "pause": "unpause"}


class Engine:
    """The container engine's command line."""

    def __init__(self) -> None:
        if not shutil.which("docker"):
            raise Failure("there is no docker command here", "install a container engine, or use processes")
        self("version")
        try:
            self("compose", "version")
            self._compose: tuple[str, ...] = ("docker", "compose")
        except Failure:
            if not shutil.which("docker-compose"):
                raise Failure("docker has no compose here", "install its compose plugin, or use processes") from None
            self._compose = ("docker-compose",)

    def __call__(self, *words: str) -> str:
        """Standard output of a command. Raises Failure with what the engine said."""
        return _run(("docker", *words))

    def compose(self, file: Path, *words: str) -> str:
        """The same of compose, about the project of a file."""
        return _run((*self._compose, "-p", file.parent.name, "-f", str(file), *words))


def _run(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command[:3])} did not end within {COMMAND_SECONDS:g} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"{' '.join(command[:3])}: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout.strip()


class ComposeNet(Net):
    """A network of containers that are this program's own."""

    def __init__(self, folder: Path, engine: Engine, manifest: Manifest, keep: bool) -> None:
        self.folder = folder
        self._engine = engine
        self._keep = keep
        self._closed = False
        self._groups: list[str] = []
        """Networks that a split made."""
        names = manifest.node_names()
        self._containers = {
            name: engine.compose(folder / COMPOSE_FILE, "ps", "-q", name).splitlines()[0] for name in names
        }
        self._down: list[str] = []
        accounts = funded_accounts(manifest)
        urls = {
            name: f"http://{engine('port', one, f'{HTTP_PORT}/tcp').splitlines()[0]}"
            for name, one in self._containers.items()
        }
        nodes = [Node(at, name, urls[name], NodeClient(urls[name], name), accounts) for at, name in enumerate(names)]
        super().__init__(nodes, accounts, manifest.chain_id)

    @property
    def running(self) -> tuple[Node, ...]:
        """Nodes that can be asked: neither killed nor paused."""
        return tuple(node for node in self.nodes if node.name not in self._down)

    def wait_until(
        self, condition: Callable[[], bool], seconds: float | None = None, what: str = "the condition"
    ) -> None:
        """Let time pass until the condition holds; nodes that do not answer count as not yet. Raises TimedOut."""
        wait_until(condition, self.wait_seconds if seconds is None else seconds, what)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def begin(self, fault: FaultAction) -> None:
        """Put a fault on. Raises Failure for what an engine cannot do to a container."""
        command = _DO.get(fault.kind)
        if command is None:
            raise Failure(
                f"{fault.kind} cannot be brought about in containers",
                f"containers know {', '.join(_DO)} and split; use processes or the simulator for the others",
            )
        for name in fault.targets:
            self._engine(command, self._containers[name])
            self._down.append(name)

    def end(self, fault: FaultAction) -> None:
        """End a fault that lasts. Raises Failure."""
        for name in fault.targets:
            self._engine(_UNDO[fault.kind], self._containers[name])
            self._down.remove(name)

    def _cut(self, faults: Sequence[FaultAction]) -> None:
        sides = sides_of([node.name for node in self.nodes], faults)
        self.heal()
        for number, side in enumerate(sides[1:], 1):
            group = f"{self.folder.name}_side{number}"
            self._engine("network", "create", "--internal", group)
            self._groups.append(group)
            for name in side:
                self._move(name, f"{self.folder.name}_peers", group)

    def heal(self) -> None:
        """Bring all nodes to one network again. Nodes that were killed come back with ``restart``."""
        for group in self._groups:
            told = json.loads(self._engine("network", "inspect", group))[0]["Containers"]
            for name, container in self._containers.items():
                if container in told or any(one.startswith(container) for one in told):
                    self._move(name, group, f"{self.folder.name}_peers")
            self._engine("network", "rm", group)
        self._groups.clear()

    def _move(self, name: str, source: str, target: str) -> None:
        self._engine("network", "disconnect", "-f", source, self._containers[name])
        self._engine("network", "connect", "--alias", name, target, self._containers[name])

    def restart(self, which: Which, wait: bool = True) -> None:
        """Start a node anew (killing it first where it runs); with ``wait`` until it has the others' head."""
        node = self[which]
        self._engine("restart", "-t", "0", self._containers[node.name])
        node.client.close()
        if node.name in self._down:
            self._down.remove(node.name)
        if wait:
            self._catch_up(node)

    def honest(self, which: Which) -> None:
        """End a node's lies: in a container it cannot be told to lie."""

    def newest(self, lines: int = 15) -> str:
        """What the nodes wrote last, for the report of a failure."""
        return self._engine.compose(self.folder / COMPOSE_FILE, "logs", "--no-color", "--tail", str(lines))

    def close(self, check: bool = True) -> None:
        """End everything. No judge watches containers; ``check`` compares the final state of those that run."""
        if self._closed:
            return
        self._closed = True
        try:
            if check and len(self.running) > 1 and not self._groups:
                found = self.compare(tag="finalized")
                if not found.agree:
                    raise Failure(f"{', '.join(found.differing())} differ at block #{found.height}")
        finally:
            for node in self.nodes:
                node.client.close()
            discard(self._engine, self.folder, self._groups, self._keep)


def discard(engine: Engine, folder: Path, groups: Sequence[str], keep: bool) -> None:
    """Remove containers and networks, and unless ``keep`` the files."""
    engine.compose(folder / COMPOSE_FILE, "down", "-t", "0", "-v")
    for group in groups:
        engine("network", "rm", group)
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)


def sides_of(names: Sequence[str], faults: Sequence[FaultAction]) -> list[list[str]]:
    """The groups that these cuts leave: who is not cut off from one another is together."""
    cut = {(one, other) for fault in faults for one in fault.targets for other in fault.nodes("others")}
    sides: list[list[str]] = []
    for name in names:
        for side in sides:
            if (name, side[0]) not in cut and (side[0], name) not in cut:
                side.append(name)
                break
        else:
            sides.append([name])
    return sides


def compose_document(manifest: Manifest, folder: Path, image: str, host_ports: Sequence[int]) -> dict[str, Any]:
    """The compose file of a provisioned folder. Ports are named: one that an engine draws changes with a restart."""
    names = manifest.node_names()
    services = {
        name: {
            "image": image,
            "command": ["python", "-m", "node", "--config", "/data/node.toml"],
            # the files are this user's
            "user": f"{os.getuid()}:{os.getgid()}",
            "networks": {f"to-{name}": {"priority": 1000}, "peers": {"aliases": [name], "priority": 1}},
            "ports": [f"{LOOPBACK}:{port}:{HTTP_PORT}"],
            "volumes": [f"{folder / name}:/data"],
        }
        for name, port in zip(names, host_ports, strict=True)
    }
    networks: dict[str, Any] = {f"to-{name}": {} for name in names}
    return {"services": services, "networks": {**networks, "peers": {"internal": True}}}


def start_compose(
    settings: Mapping[str, Any], seed: int | None = None, keep: bool = False, home: Path | None = None
) -> ComposeNet:
    """Start a network of the manifest's settings in containers. Raises Failure.

    The image is EVMESH_IMAGE, or evmesh:latest; ``home`` is where its files shall be.
    """
    engine = Engine()
    image = os.environ.get(IMAGE_VARIABLE, IMAGE)
    try:
        engine("image", "inspect", image)
    except Failure:
        raise Failure(
            f"there is no image {image}", f"build it: docker build -t {image} . (or name another: {IMAGE_VARIABLE})"
        ) from None
    manifest = Manifest().with_values(with_defaults(settings), "Network").checked()
    secret = None if seed is None else (seed % 2 ** (8 * SEED_BYTES)).to_bytes(SEED_BYTES, "big")
    # its name is the project's, and an engine knows only one project of a name
    folder = home / f"evmesh{secrets.token_hex(4)}" if home else Path(tempfile.mkdtemp(prefix="evmesh"))
    provision_compose(manifest, folder, secret)
    document = compose_document(manifest, folder, image, ports.pick_free(LOOPBACK, manifest.nodes))
    (folder / COMPOSE_FILE).write_text(json.dumps(document, indent=1), "utf-8")
    try:
        engine.compose(folder / COMPOSE_FILE, "up", "-d")
        net = ComposeNet(folder, engine, manifest, keep)
        others = len(net.nodes) - 1
        net.wait_until(
            lambda: all(node.client.peer_count() >= others for node in net.nodes), READY_SECONDS, "nodes with all peers"
        )
        return net
    except BaseException:
        discard(engine, folder, (), keep)
        raise
