"""Networks of real node processes, started and stopped through the command line as a user would."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from network.accounts import derive_accounts, seed_of
from network.client import NodeClient
from network.cluster.observer import compare
from network.cluster.process import tail
from network.cluster.readiness import wait_height, wait_until
from network.failures import Failure
from network.wallet import Fees, build, wait_included

ROOT = Path(__file__).resolve().parent.parent.parent


CAMPAIGNS = (
    "test_bisect.py",
    "test_byzantine.py",
    "test_containers.py",
    "test_fault_commands.py",
    "test_hot_code.py",
    "test_load.py",
    "test_page.py",
    "test_pos.py",
    "test_pos_faults.py",
    "test_ten_minutes.py",
)
"""Faults of every kind on real processes, a browser on them: minutes, most of them waiting."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.cluster)
            if Path(item.path).name in CAMPAIGNS:
                item.add_marker(pytest.mark.campaign)


class Shell:
    """A user's shell with a state folder of its own."""

    def __init__(self, folder):
        self.state = folder
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("EVMESH_")},
            "XDG_STATE_HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "NO_COLOR": "1",
        }

    def run(self, *words, timeout=90):
        """(exit code, stdout, stderr)."""
        done = subprocess.run(
            [sys.executable, "-m", "network", *words],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            cwd=self.state,
        )
        return done.returncode, done.stdout, done.stderr

    def start(self, *words):
        """A command that goes on: its process."""
        return subprocess.Popen(
            [sys.executable, "-m", "network", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.state,
            # a shell that runs the tests in the background has its children ignore Ctrl-C
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def json(self, *words, timeout=90):
        """The JSON document of a command that must succeed."""
        code, out, err = self.run(*words, "--json", timeout=timeout)
        assert code == 0, f"evmesh {' '.join(words)} ended with {code}:\n{err}\n{out}\n{self.logs()}"
        return json.loads(out)

    def logs(self):
        """The end of every node's log, for failures."""
        lines = []
        for path in sorted(self.state.glob("evmesh/*/n*/node.log")):
            if not path.parent.parent.is_symlink():
                lines += [f"--- {path}", *tail(path, 25)]
        return "\n".join(lines)

    def up(self, *words, block_time=0.25):
        """A detached network on free ports."""
        defaults = ["--port", "0", "--p2p-port", "0", "--block-time", str(block_time)]
        return Cluster(self, self.json("up", "-d", *defaults, *words))


class Cluster:
    """A network that runs."""

    def __init__(self, shell, started):
        self.shell = shell
        self.started = started
        self.name = started["name"]
        self.chain_id = started["chain_id"]
        self.nodes = started["nodes"]
        self.clients = [NodeClient(node["url"], node["name"]) for node in self.nodes]
        self.accounts = derive_accounts(seed_of(started["mnemonic"]), len(started["accounts"]))
        self.run_dir = Path(started["run_dir"])
        self.block_seconds = started["block_time_ms"] / 1000

    def close(self):
        """Close what the clients keep open."""
        for client in self.clients:
            client.close()

    def json(self, command, *words, **options):
        """A command about this network."""
        return self.shell.json(command, *words, "--network", self.name, **options)

    def run(self, command, *words):
        """A command about this network that may fail."""
        return self.shell.run(command, *words, "--network", self.name)


FEES = Fees(10**11, 10**9)


class Load:
    """Transfers to several nodes in turn, at a steady pace; keeps what was acknowledged."""

    def __init__(self, cluster, names, pause=0.02):
        self.cluster = cluster
        self.clients = [client for client in cluster.clients if client.name in names]
        self.acknowledged = []
        self.refused = []
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        self._thread.join()

    def check_nothing_lost(self):
        """Every acknowledged transfer is in a block that is final on every node, and all nodes agree."""
        assert self.acknowledged
        for transaction in self.acknowledged:
            assert wait_included(self.clients[0], transaction, 30).succeeded
        last = max(client.block_number() for client in self.clients)
        for client in self.cluster.clients:
            wait_height(client, last, 40, "finalized")
        wait_until(lambda: compare(self.cluster.clients, [], "finalized").agree, 20, "all nodes agree")
        assert self.cluster.run("status")[0] == 0

    def _run(self):
        sender, receiver = self.cluster.accounts[0], self.cluster.accounts[1]
        nonce = self.clients[0].nonce(sender.address)
        while not self._stop.is_set():
            raw = build(sender, self.cluster.chain_id, nonce, FEES, 21_000, receiver.address, 1).encode()
            client = self.clients[nonce % len(self.clients)]
            try:
                self.acknowledged.append(client.send_raw(raw))
                nonce += 1
            except Failure as failure:
                self.refused.append(failure.message)
            time.sleep(self._pause)


@pytest.fixture
def load_on():
    """Load for a cluster: ``with load_on(cluster, names)``."""
    return Load


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A shell whose networks are gone at the end."""
    one = Shell(tmp_path_factory.mktemp("shell"))
    yield one
    one.run("down", "--all", "--remove", "--timeout", "3")


@pytest.fixture(scope="module")
def cluster(shell):
    """Four nodes that the tests of a module share (and leave as they found them)."""
    one = shell.up()
    yield one
    one.close()


@pytest.fixture
def own_cluster(shell):
    """Four nodes for one test that does them harm."""
    one = shell.up()
    yield one
    one.close()
    shell.run("down", one.name, "--remove", "--timeout", "3")
