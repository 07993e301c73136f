"""The first blocks of public networks from their allocations, which other packages ship; none is in this repository.

Mainnet's comes with ``ethereum-execution`` (extra ``oracles``); all three with ``@ethereumjs/genesis`` of npm, looked
for in ``node_modules`` of the project, or of the folder that EVMESH_NODE_MODULES names.
"""

from __future__ import annotations

import json
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from node.chain.genesis import genesis_from_json

pytestmark = pytest.mark.vectors

NODE_MODULES = Path(os.environ.get("EVMESH_NODE_MODULES", Path(__file__).resolve().parents[2] / "node_modules"))
BLOCKS_AT_ZERO = "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul berlin london"

NETWORKS: dict[str, tuple[dict[str, Any], str]] = {
    "mainnet": (
        {
            "config": {"chainId": 1, "homesteadBlock": 1_150_000},
            "nonce": "0x42",
            "extraData": "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
            "gasLimit": "0x1388",
            "difficulty": "0x400000000",
        },
        "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
    ),
    "sepolia": (
        {
            "config": {
                "chainId": 11_155_111,
                **{f"{name}Block": 0 for name in BLOCKS_AT_ZERO.split()},
                "mergeNetsplitBlock": 1_735_371,
                "terminalTotalDifficulty": 17_000_000_000_000_000,
                "shanghaiTime": 1_677_557_088,
            },
            "timestamp": "0x6159af19",
            "extraData": "0x" + b"Sepolia, Athens, Attica, Greece!".hex(),
            "gasLimit": "0x1c9c380",
            "difficulty": "0x20000",
        },
        "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9",
    ),
    "hoodi": (
        {
            "config": {
                "chainId": 560_048,
                **{f"{name}Block": 0 for name in BLOCKS_AT_ZERO.split()},
                "terminalTotalDifficulty": 0,
                "shanghaiTime": 0,
                "cancunTime": 0,
                "pragueTime": 1_742_999_832,
            },
            "nonce": "0x1234",
            "timestamp": "0x67d80ec0",
            "gasLimit": "0x2255100",
            "difficulty": "0x1",
        },
        "bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b",
    ),
}
"""Header and forks of each, and the hash of its first block."""


def test_mainnet_from_the_reference() -> None:
    try:
        text = resources.files("ethereum").joinpath("assets", "mainnet.json").read_bytes()
    except (ImportError, OSError):
        pytest.skip("mainnet's allocation is not there: pip install 'evmesh[oracles]'")
    document = json.loads(text)
    for name in ("daoForkBlock", "daoForkSupport"):  # refused here: its change of the state is not known
        del document["config"][name]
    genesis = genesis_from_json(document)
    assert len(genesis.alloc) == 8893
    assert genesis.block().hash.hex() == NETWORKS["mainnet"][1]


@pytest.mark.parametrize("network", NETWORKS)
def test_from_the_npm_package(network: str) -> None:
    document, expected = NETWORKS[network]
    genesis = genesis_from_json({**document, "alloc": _allocation(network)})
    assert genesis.block().hash.hex() == expected


def _allocation(network: str) -> dict[str, Any]:
    """Of ``address: balance`` or ``address: [balance, code, [[slot, value]...], nonce]`` in a JavaScript literal."""
    path = NODE_MODULES / "@ethereumjs" / "genesis" / "dist" / "cjs" / "genesisStates" / f"{network}.js"
    if not path.exists():
        pytest.skip(f"{path} is not there: npm install @ethereumjs/genesis")
    literal = path.read_text().partition(f"{network}Genesis = {{")[2].partition("};")[0]
    told = json.loads("{" + re.sub(r",(\s*[\]}])", r"\1", literal.replace("'", '"').rstrip().rstrip(",")) + "}")
    found = {}
    for address, entry in told.items():
        balance, code, slots, nonce = (
            ([*entry, *("0x", "0x", [], "0x0")[len(entry) :]]) if isinstance(entry, list) else (entry, "0x", [], "0x0")
        )
        found[address] = {
            "balance": balance,
            "code": code,
            "storage": {_number(slot): _number(value) for slot, value in slots},
            "nonce": nonce,
        }
    return found


def _number(text: str) -> str:
    return hex(int(text, 16))
