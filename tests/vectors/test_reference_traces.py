"""EIP-3155 lines beside the reference specification's: the same transactions, every line compared.

Skipped where the reference is not installed (see test_reference_transition.py).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from network.__main__ import run
from tests.unit.execution.test_tracing import CALLER, CODES
from tests.vectors import test_reference_transition as transitions

pytestmark = pytest.mark.vectors

FORKS = ("Berlin", "London", "Shanghai", "Cancun")
FLAGS = ("--trace", "--trace.memory", "--trace.returndata")


def _inputs(fork: str, folder: Path) -> list[str]:
    """The transactions of the roots' comparison, and one that calls in every way."""
    alloc = transitions.alloc()
    for address, code in CODES.items():
        alloc["0x" + address.hex()] = {"balance": "0x5", "nonce": "0x1", "code": "0x" + code.hex(), "storage": {}}
    txs = transitions.txs(refused=False)
    last = {**txs[0], "to": "0x" + CALLER.hex(), "gas": "0xf4240", "value": "0x7", "nonce": hex(len(txs))}
    for name, content in (("alloc", alloc), ("env", transitions.env(fork)), ("txs", [*txs, last])):
        (folder / f"{name}.json").write_text(json.dumps(content))
    words = [f"--input.{name}={folder}/{name}.json" for name in ("alloc", "env", "txs")]
    words += ["--state.fork", fork, "--state.reward", "0", "--output.basedir", f"{folder}/out", *FLAGS]
    return [*words, "--output.alloc", "alloc.json", "--output.result", "result.json"]


def _lines(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The trace of each transaction, by its place in the block."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder / "out").glob("trace-*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.name.split("-")[1]] = lines
    return found


def _compared(line: dict[str, Any]) -> dict[str, Any]:
    """Words of errors differ (ours are geth's), so do prices of instructions that fail; REVERT counts as no error."""
    kept = {name: value for name, value in line.items() if name != "error"}
    failed = "error" in line and line.get("opName") != "REVERT"
    if failed:
        kept.pop("gasCost", None)
    return {**kept, "failed": failed}


def _reference() -> str | None:
    beside = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    return os.environ.get("EVMESH_SPEC_EVM") or shutil.which("ethereum-spec-evm", path=beside)


@pytest.mark.parametrize("fork", FORKS)
def test_lines_are_the_references(fork: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = _reference()
    if tool is None:
        pytest.skip("ethereum-spec-evm is not there: pip install ethereum-execution")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        (folder / "out").mkdir(parents=True)
    assert run(["t8n", *_inputs(fork, ours)]) == 0, capsys.readouterr().err
    subprocess.run([tool, "t8n", *_inputs(fork, theirs)], check=True, capture_output=True, timeout=60)
    mine, expected = _lines(ours), _lines(theirs)
    assert mine.keys() == expected.keys()
    for index, lines in expected.items():
        assert [_compared(line) for line in mine[index]] == [_compared(line) for line in lines]
