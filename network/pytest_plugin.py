"""The pytest plugin: the fixture ``evmesh`` is a running network, on processes or under virtual time.

    def test_both_sides_come_together(evmesh):
        left, right = evmesh.split([0, 1], [2, 3])
        sent = evmesh.send(0, 1, value=10**18, node=left[0])
        evmesh.heal()
        evmesh.wait_finalized(sent)
        assert evmesh.same_state()

    @pytest.mark.evmesh(nodes=7, consensus="pos")
    def test_more(evmesh): ...

pytest loads this module in every run in which evmesh is installed, so nothing of evmesh is imported until a test asks
for a network.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

_SEED = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flags."""
    group = parser.getgroup("evmesh", "networks of Ethereum-like nodes")
    group.addoption(
        "--evmesh-on",
        choices=("processes", "simulator", "compose"),
        default="processes",
        help="where the networks of the evmesh fixture run (default: processes of this machine)",
    )
    group.addoption(
        "--evmesh-seed",
        type=int,
        default=_SEED,
        metavar="N",
        help="what keys and, on the simulator, all that happens by chance follow (default: 1)",
    )
    group.addoption("--evmesh-keep", action="store_true", help="leave the networks' run directories for a look")


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers", "evmesh(nodes=4, consensus='bft', block_time=0.25, ...): settings of this test's network"
    )


@pytest.fixture(scope="session")
def evmesh_start(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """Starts networks: ``evmesh_start(nodes=7, seed=3)``. Those that nobody closed end with the session.

    The program that starts nodes is kept warm between them, so a network of four is there in a fraction of a second.
    """
    # imported here, as everything of evmesh is: runs without networks must not pay for them
    from network.cluster.warm_server import WarmServer
    from network.evmesh import start

    options = request.config.option
    started: list[Any] = []
    servers: list[WarmServer] = []

    def start_one(on: str | None = None, seed: int | None = None, **settings: Any) -> Any:
        place = on or options.evmesh_on
        home: Path | None = None
        if place == "processes" and not servers:
            servers.append(WarmServer())
        if place != "simulator":
            # one run directory a network, below the folder that pytest gives this worker
            home = tmp_path_factory.mktemp("evmesh") / "evmesh"
            home.mkdir()
        net = start(
            place,
            options.evmesh_seed if seed is None else seed,
            server=servers[0] if servers else None,
            keep=options.evmesh_keep,
            home=home,
            **settings,
        )
        started.append(net)
        return net

    yield start_one
    for net in started:
        net.close(check=False)
    for server in servers:
        server.close()


@pytest.fixture
def evmesh(request: pytest.FixtureRequest, evmesh_start: Callable[..., Any]) -> Iterator[Any]:
    """A network for this test alone (``network.lab.net.Net``): four nodes, unless ``@pytest.mark.evmesh(...)`` says."""
    marker = request.node.get_closest_marker("evmesh")
    net = evmesh_start(**{"seed": seed_of(request.node, request.config.option.evmesh_seed), **_settings(marker)})
    yield net
    net.close()


def _settings(marker: pytest.Mark | None) -> dict[str, Any]:
    if marker is None:
        return {}
    if marker.args:
        raise pytest.UsageError("the marker evmesh takes settings by name: @pytest.mark.evmesh(nodes=7)")
    return dict(marker.kwargs)


def seed_of(item: pytest.Item, seed: int) -> int:
    """A test's own seed: another one for each test, the same in every run and on every worker."""
    return int.from_bytes(sha256(f"{seed} {item.nodeid}".encode()).digest()[:6], "big")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows how to run it again, and what its nodes wrote last."""
    report = yield
    if report.failed and "evmesh" in getattr(item, "fixturenames", ()):
        options = item.config.option
        words = f"again: pytest {item.nodeid!r} --evmesh-on={options.evmesh_on} --evmesh-seed={options.evmesh_seed}"
        net = getattr(item, "funcargs", {}).get("evmesh")
        told = net.newest() if net is not None and report.when == "call" else ""
        report.sections.append(("evmesh", "\n".join(part for part in (words, told) if part)))
    return report
