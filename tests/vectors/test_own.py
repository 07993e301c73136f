"""The own vectors, through the commands that anybody may run them with; and that the reference still says the same."""

from __future__ import annotations

import pytest

from network.__main__ import run
from network.vectors.fields import parse_json
from network.vectors.files import read_all
from tests.differential import spec_answers
from tests.vectors.fill import FOLDER, STATE_TESTS, blockchain_test, state_test

SIZE_MAX = 300_000
"""Bytes of everything in ``own``."""


@pytest.mark.parametrize(
    ("command", "archive", "passed"), [("statetest", "state_tests", 1064), ("blocktest", "blockchain_tests", 32)]
)
def test_they_pass(command: str, archive: str, passed: int, capsys) -> None:
    assert run([command, str(FOLDER / f"{archive}.tar.gz")]) == 0, capsys.readouterr().out
    last = [line for line in capsys.readouterr().out.splitlines() if line.startswith("all ")]
    assert last[0].split() == ["all", str(passed), "0"]


def test_they_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < SIZE_MAX


def _held(archive: str, name: str) -> dict[str, object]:
    ((_, content),) = read_all([FOLDER / f"{archive}.tar.gz"], lambda path: path.endswith(f"/{name}.json"))
    found: dict[str, object] = parse_json(content)
    return found


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(0, STATE_TESTS, 5))
def test_filling_a_state_test_again(seed: int) -> None:
    _needs_the_reference()
    assert _held("state_tests", f"random{seed:02}")[f"random{seed:02}"] == state_test(seed)


@pytest.mark.parametrize("fork", ["Frontier", "BPO2"])
def test_filling_a_blockchain_test_again(fork: str) -> None:
    _needs_the_reference()
    assert _held("blockchain_tests", fork)[f"{fork.lower()}0"] == blockchain_test(fork, 0)


def _needs_the_reference() -> None:
    if why := spec_answers.available():
        pytest.skip(f"the reference cannot be asked: {why}")
