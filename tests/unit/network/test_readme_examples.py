"""The Python examples of the README do what they say."""

import re
from pathlib import Path

import pytest

import network.lab.simulated  # noqa: F401 - see test_pytest_plugin.py

pytest_plugins = ["pytester"]

README = Path(__file__).resolve().parents[3] / "README.md"


def examples():
    """The Python blocks of the README."""
    return re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_there_are_two():
    assert len(examples()) == 2


@pytest.mark.cluster
@pytest.mark.parametrize("place", ["processes", "simulator"])
def test_the_network_in_a_with_block(place, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    text = examples()[0].replace("nodes=4", f'nodes=4, on="{place}"')
    if place == "simulator":  # whose nodes have no address
        text = text.replace("net[3].url", "net[3].name")
    exec(compile(text, str(README), "exec"), {})
    assert re.match(r"(http://127\.0\.0\.1:\d+|n3) \d+\n", capsys.readouterr().out)
    assert not list(tmp_path.glob("evmesh/*"))


def test_the_test_file(pytester):
    pytester.makepyfile(examples()[1])
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "--evmesh-on=simulator")
    result.assert_outcomes(passed=2)
