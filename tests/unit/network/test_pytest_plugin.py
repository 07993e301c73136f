"""The pytest plugin as its users meet it: pytest runs in a process of its own, with tests that were written down."""

import re
import sys

import pytest

import network.lab.simulated  # noqa: F401 - what a run inside this process loads is forgotten after it, libraries break

pytest_plugins = ["pytester"]
PLUGIN = "network.pytest_plugin"
ALL_PLUGINS = ("all",)

DOUBLE_SPEND = """
    def test_double_spend(evmesh):
        left, right = evmesh.split([0, 1], [2, 3])
        nonce = evmesh[0].nonce(0)
        one = evmesh.send(0, 1, 5, node=left[0], nonce=nonce)
        other = evmesh.send(0, 2, 5, node=right[0], nonce=nonce)
        evmesh.heal()
        evmesh.wait_finalized()
        evmesh.wait_blocks(2)
        evmesh.wait_finalized()
        assert evmesh.same_state()
        assert sum(evmesh[0].rpc("eth_getTransactionReceipt", one_of) is not None for one_of in (one, other)) == 1
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Write a test file and run it, in this process where nothing speaks against it: its result."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def go(text, *flags, apart=()):
        pytester.makepyfile(text)
        words = ("-p", "no:cacheprovider", *flags)
        if not apart:
            return pytester.runpytest_inprocess("-p", "no:asyncio", *words)
        if apart != ALL_PLUGINS:  # the others take seconds to load
            monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            words = (*(word for name in apart for word in ("-p", name)), *words)
        return pytester.runpytest_subprocess(*words, timeout=100)

    return go


def test_the_fixture_under_xdist_and_without_other_plugins(run):
    more = DOUBLE_SPEND.replace("test_double_spend", "test_again")
    result = run(DOUBLE_SPEND + more, "--evmesh-on=simulator", "-n", "2", apart=(PLUGIN, "xdist"))
    result.assert_outcomes(passed=2)


def test_a_seed_is_one_run(run):
    text = """
        def test_hash(evmesh):
            evmesh.send(0, 1, 5)
            evmesh.wait_finalized()
            print("trace", evmesh.trace_hash)
    """
    hashes = []
    for seed in (1, 1, 2):
        output = run(text, "--evmesh-on=simulator", f"--evmesh-seed={seed}", "-s").stdout.str()
        hashes.append(re.search(r"trace (\w+)", output)[1])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_marker_sets_the_network(run):
    text = """
        import pytest

        @pytest.mark.evmesh(nodes=2, consensus="pos")
        def test_two(evmesh):
            assert len(evmesh) == 2
            assert evmesh[0].block("earliest")["number"] == "0x0"
            assert evmesh.running

        @pytest.mark.evmesh(7)
        def test_wrong(evmesh): ...
    """
    result = run(text, "--evmesh-on=simulator", "--strict-markers")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*takes settings by name*"])


def test_a_failure_says_how_to_run_it_again(run):
    text = """
        def test_wrong(evmesh):
            evmesh.wait_blocks(1)
            assert False
    """
    result = run(text, "--evmesh-on=simulator", "--evmesh-seed=9")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*evmesh*", "again: pytest *test_wrong* --evmesh-on=simulator --evmesh-seed=9"])


def test_containers_need_an_engine(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("def test_it(evmesh): ...", "--evmesh-on=compose")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no docker command here*"])


def test_runs_without_networks_load_nothing_of_evmesh(run):
    text = """
        import sys

        def test_nothing():
            ours = [name for name in sys.modules if name.split(".")[0] in ("network", "node")]
            assert ours == ["network", "network.pytest_plugin"], ours
    """
    run(text, apart=ALL_PLUGINS).assert_outcomes(passed=1)


@pytest.mark.cluster
@pytest.mark.skipif(sys.platform != "linux", reason="processes are told apart through /proc")
def test_the_same_test_on_processes(run, pytester):
    text = (
        DOUBLE_SPEND.replace("wait_blocks(2)", "wait_blocks(1)")
        + """
    def test_nodes_die_and_lie(evmesh):
        assert evmesh[1].url.startswith("http://127.0.0.1:")
        evmesh.kill("n3")
        evmesh.wait_blocks(1)
        evmesh.restart("n3")
        assert evmesh.same_state()
    """
    )
    result = run(text, "--evmesh-on=processes", apart=(PLUGIN,))
    result.assert_outcomes(passed=2)
    assert not list(pytester.path.glob("**/node.toml")), "nothing is left of the networks"
