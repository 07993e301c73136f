"""Run directories of their own, and networks of stand-in nodes."""

from dataclasses import replace
from pathlib import Path

import pytest

from network.cluster import process, run_directory
from network.cluster.supervisor import Supervisor
from network.cluster.warm_server import WarmServer
from network.manifest import Manifest
from network.provision import choose_places, provision

ENTRY = "stand_in_node:run"


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("EVMESH_NETWORK", "EVMESH_NODES", "EVMESH_PORT", "EVMESH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "state" / "evmesh"


@pytest.fixture
def make_run(state_home):
    """Provisioned run directories on free ports; what they started is killed at the end."""
    made = []

    def make(name="test-run", node=None, **values):
        manifest = replace(Manifest(), node=node or {})
        manifest = manifest.with_values({"nodes": 2, "port": 0, "p2p_port": 0} | values, "test").checked()
        run = run_directory.create(name)
        places, _ = choose_places(manifest)
        provision(manifest, run, places, seed=b"\x07" * 32)
        made.append(run)
        return run

    yield make
    for run in made:
        process.kill_all(run.running().values())
    process.reap()


@pytest.fixture
def stand_in(monkeypatch):
    """A warm server for stand-in nodes."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    servers = []

    def make(entry=ENTRY):
        servers.append(WarmServer(entry))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


@pytest.fixture
def supervisor_of():
    said = []

    def make(run):
        return Supervisor(run, said.append)

    make.said = said
    return make
