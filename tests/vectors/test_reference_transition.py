"""``t8n`` beside the reference specification's: the same inputs, every root and every account compared.

What the reference said lies in ``own/``. It is asked again where it is installed, skipped where
``ethereum-spec-evm`` (package ethereum-execution) is neither beside this Python nor on the PATH nor named by
EVMESH_SPEC_EVM.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from network.__main__ import run
from network.vectors.allocations import alloc_json, read_alloc

pytestmark = pytest.mark.vectors

KEY = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"
SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
STORES = "0x1000000000000000000000000000000000000000"
LOGS = "0x2000000000000000000000000000000000000000"
FAILS = "0x3000000000000000000000000000000000000000"
COINBASE = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
FORKS = "Frontier Homestead EIP150 EIP158 Byzantium ConstantinopleFix Istanbul Berlin London Paris Shanghai Cancun"
COMPARED = "stateRoot txRoot receiptsRoot logsHash logsBloom gasUsed withdrawalsRoot currentExcessBlobGas blobGasUsed"


def alloc() -> dict[str, Any]:
    return {
        SENDER: {"balance": hex(10**18), "nonce": "0x0", "code": "0x", "storage": {}},
        # slot 0 += 1, slot 1 = 0
        STORES: {
            "balance": "0x0",
            "nonce": "0x0",
            "code": "0x600054600101600055600060015500",
            "storage": {"0x01": "0x05"},
        },
        # memory word 7 logged with one topic
        LOGS: {"balance": "0x0", "nonce": "0x0", "code": "0x6007600052600960206000a100", "storage": {}},
        FAILS: {"balance": "0x0", "nonce": "0x0", "code": "0x60016000556000600056", "storage": {}},
    }


def txs(refused: bool) -> list[dict[str, Any]]:
    kinds = [
        {"to": STORES, "gas": "0x186a0"},
        {"to": LOGS, "gas": "0x186a0"},
        {"to": FAILS, "gas": "0xc350"},
        {"to": None, "gas": "0x30d40", "input": "0x600a600c600039600a6000f3" + "60016001016000556000"},
        {"to": COINBASE, "gas": "0x5208", "value": "0x3"},
    ]
    if refused:
        kinds.append({"to": COINBASE, "gas": "0x5208", "value": hex(10**19)})
    return [
        {
            "type": "0x0",
            "nonce": hex(index),
            "gasPrice": "0x3e8",
            "value": "0x0",
            "input": "0x",
            "v": "0x0",
            "r": "0x0",
            "s": "0x0",
            "protected": False,
            "secretKey": KEY,
            **kind,
        }
        for index, kind in enumerate(kinds)
    ]


def env(fork: str) -> dict[str, Any]:
    forks = FORKS.split()
    found: dict[str, Any] = {
        "currentCoinbase": COINBASE,
        "currentNumber": "0x1",
        "currentTimestamp": "0x3e8",
        "currentGasLimit": "0x1c9c380",
        "parentHash": "0x" + "11" * 32,
        "blockHashes": {"0": "0x" + "11" * 32},
        "ommers": [],
    }
    if forks.index(fork) >= forks.index("London"):
        found["currentBaseFee"] = "0x64"
    if forks.index(fork) >= forks.index("Paris"):
        found["currentRandom"] = "0x" + "22" * 32
    else:
        found["currentDifficulty"] = "0x20000"
    if forks.index(fork) >= forks.index("Shanghai"):
        found["withdrawals"] = [{"index": "0x0", "validatorIndex": "0x1", "address": STORES, "amount": "0x2"}]
    if forks.index(fork) >= forks.index("Cancun"):
        found["parentBeaconBlockRoot"] = "0x" + "33" * 32
        found["currentExcessBlobGas"] = "0x20000"
    return found


CASES = [*((fork, False) for fork in FORKS.split()), ("Cancun", True)]
PINNED = Path(__file__).parent / "own" / "transitions.json"
"""What the reference said, by fork; written anew with EVMESH_PIN=1 and the reference at hand."""


def transition(fork: str, refused: bool, folder: Path, call: Callable[[list[str]], None]) -> dict[str, Any]:
    """What a tool makes of the inputs: its roots, the accounts, who was refused."""
    for name, content in (("alloc", alloc()), ("env", env(fork)), ("txs", txs(refused))):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "out").mkdir()
    words = [f"--input.{name}={folder}/{name}.json" for name in ("alloc", "env", "txs")]
    words += ["--state.fork", fork, "--state.reward", "0" if fork in ("Paris", "Shanghai", "Cancun") else "5000"]
    words += ["--output.alloc", "alloc.json", "--output.result", "result.json", "--output.basedir", f"{folder}/out"]
    call(["t8n", *words])
    result = json.loads((folder / "out" / "result.json").read_text())
    found = {name: result[name] for name in COMPARED.split() if result.get(name) is not None}
    if refused:
        del found["txRoot"]  # the reference puts refused transactions into the trie, geth does not
    if found.get("blobGasUsed") == "0x0":
        del found["blobGasUsed"]  # the reference leaves out none
    found["alloc"] = alloc_json(read_alloc(json.loads((folder / "out" / "alloc.json").read_text()), "alloc"))
    found["rejected"] = [int(str(entry["index"]), 0) for entry in result.get("rejected") or []]
    return found


def name_of(fork: str, refused: bool) -> str:
    return fork + (" with a refused transaction" if refused else "")


@pytest.mark.parametrize(("fork", "refused"), CASES)
def test_what_the_reference_said(fork: str, refused: bool, tmp_path, capsys) -> None:
    def ours(words: list[str]) -> None:
        assert run(words) == 0, capsys.readouterr().err

    expected = json.loads(PINNED.read_text())[name_of(fork, refused)]
    assert transition(fork, refused, tmp_path, ours) == expected


@pytest.mark.parametrize(("fork", "refused"), CASES)
def test_the_reference_still_says_it(fork: str, refused: bool, tmp_path) -> None:
    beside = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    tool = os.environ.get("EVMESH_SPEC_EVM") or shutil.which("ethereum-spec-evm", path=beside)
    if tool is None:
        pytest.skip("ethereum-spec-evm is not there: pip install ethereum-execution")

    def theirs(words: list[str]) -> None:
        said = subprocess.run([tool, *words], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stderr[-2000:]

    found = transition(fork, refused, tmp_path, theirs)
    pinned = json.loads(PINNED.read_text()) if PINNED.exists() else {}
    if os.environ.get("EVMESH_PIN"):
        PINNED.parent.mkdir(exist_ok=True)
        PINNED.write_text(json.dumps({**pinned, name_of(fork, refused): found}, indent=1) + "\n")
    else:
        assert found == pinned[name_of(fork, refused)]
