"""Networks of real node processes, started and stopped through the command line as a user would."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from network.accounts import derive_accounts, seed_of
from network.client import NodeClient
from network.cluster.process import tail

ROOT = Path(__file__).resolve().parent.parent.parent


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.cluster)


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
