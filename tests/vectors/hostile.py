"""Hostile files: state and blockchain tests, ``t8n`` inputs, genesis files and chain files, broken at random.

``python -m tests.vectors.hostile --seeds A..B`` runs the commands in this process and says which seed makes one of
them fail in another way than it should: a refusal is one line that names the file, exit code 2 (``t8n``: one of
geth's), and nothing is written.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from network.__main__ import run
from network.cli.group import evmesh
from network.vectors.fields import parse_json
from network.vectors.files import read_all
from tests.differential import chains, worlds
from tests.differential.cases import to_hex
from tests.vectors.fill import FOLDER

SECONDS_MAX = 15
"""Nothing here has work for longer."""
LINE_MAX = 1_500
"""Characters of the one line."""
T8N_CODES = (2, 3, 4, 10, 11, 12)
NESTED: list[Any] = []
for _ in range(200):
    NESTED = [NESTED]
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, -0.0, float("nan"), float("inf"), 2**63, 2**64, 2**256, 10**100, -(2**300)),
    *(
        "",
        "0x",
        "0x0",
        "0",
        "-1",
        "0x-1",
        "0xg",
        "x",
        "0X1",
        " 0x1",
        "0x1 ",
        "1_000",
        "+5",
        "１",
        "٣",
        "0x１",
        "1e3",
        "NaN",
    ),
    *("0x" + "f" * 64, "0x" + "f" * 65, "0x" + "0" * 500 + "1", "9" * 78, "9" * 5_000, "0x1ffffffffffffffff"),
    *("0x" + "00" * 20, "0x" + "ff" * 20, "0x" + "ab" * 32, "0x" + "5b" * 50_000, "0x" + "12" * 19, "0x123"),
    *(
        "\x00",
        "\ud800",
        "é" * 20,
        "a" * 100_000,
        "stdin",
        "/dev/null",
        "../x",
        "0xffffffffffffffff",
        "0x7fffffffffffffff",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        {"": ""},
        NESTED,
        [0] * 1_000,
        {"0x" + "11" * 20: {}},
        ["0x01"],
        [{}],
        [{"address": 1}],
    ),
)


@dataclass(frozen=True)
class Attempt:
    """One broken input: the command line, and the folder in which nothing may appear where it is refused."""

    words: list[str]
    output: Path
    codes: tuple[int, ...] = (0, 1, 2)


# --- breaking things ---


def paths_of(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something lies in a document."""
    found = [path]
    if isinstance(document, dict):
        for key, child in document.items():
            found += paths_of(child, (*path, key))
    elif isinstance(document, list):
        for index, child in enumerate(document[:50]):
            found += paths_of(child, (*path, index))
    return found


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        document = document[part]
    return document


def broken(chance: random.Random, document: Any) -> Any:
    """A document with one to three things wrong in it."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        path = chance.choice(paths_of(document))
        if not path:
            if chance.random() < 0.1:
                return chance.choice(VALUES)
            continue
        holder, last = _at(document, path[:-1]), path[-1]
        action = chance.randrange(6)
        if action <= 2:
            holder[last] = copy.deepcopy(chance.choice(VALUES))
        elif action == 3:
            del holder[last]
        elif action == 4 and isinstance(holder, dict):
            holder[chance.choice((last.upper(), last + "0", "0x" + last, "", last[2:], "0x" + "9" * 40))] = holder.pop(
                last
            )
        else:
            holder[last] = copy.deepcopy(_at(document, chance.choice(paths_of(document))))
    return document


def as_bytes(chance: random.Random, document: Any) -> bytes:
    """JSON of it, broken once more now and then."""
    text = json.dumps(document).encode()
    roll = chance.random()
    if roll < 0.75:
        return text
    return broken_bytes(chance, text)


def broken_bytes(chance: random.Random, text: bytes) -> bytes:
    """Bytes with something wrong."""
    place = chance.randrange(len(text) + 1)
    kind = chance.randrange(10)
    if kind == 0:
        return text[:place]
    if kind == 1:
        return text[:place] + chance.randbytes(chance.choice((1, 3, 40))) + text[place:]
    if kind == 2:
        return text[:place] + text[place + chance.choice((1, 2, 10)) :]
    if kind == 3:
        return b"\xef\xbb\xbf" + text
    if kind == 4:
        return text.replace(b'"', b"'")
    if kind == 5:
        return text.replace(b"}", b',"x":1}', 1).replace(b"{", b'{"x":NaN,', 1)
    if kind == 6:
        return text.replace(b'{"', b'{"nonce":"0x1","nonce":"0x2","', 3)
    if kind == 7:
        return text[:place] + b"[" * 100_000 + text[place:]
    if kind == 8:
        return chance.choice((b"", b"\x00", b"null", b"[]", b"{}", b'"x"', b"1e999", b"[" * 3_000 + b"]" * 3_000))
    changed = bytearray(text or b"\x00")
    for _ in range(chance.choice((1, 1, 5))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


# --- what is broken ---


def _own(archive: str) -> list[dict[str, Any]]:
    return [parse_json(content) for _, content in read_all([FOLDER / f"{archive}.tar.gz"])]


def vector_file(chance: random.Random, folder: Path) -> Attempt:
    """A state or a blockchain test."""
    state = chance.random() < 0.5
    documents = _own("state_tests" if state else "blockchain_tests")
    document = copy.deepcopy(chance.choice(documents))
    if state:
        for test in document.values():
            for fork in sorted(test["post"])[1 + chance.randrange(3) :: 1]:
                del test["post"][fork]
    else:
        document = dict([chance.choice(list(document.items()))])
    path = folder / "hostile.json"
    path.write_bytes(as_bytes(chance, broken(chance, document)))
    return Attempt(["statetest" if state else "blocktest", str(path)], folder / "out")


def transition_files(chance: random.Random, folder: Path) -> Attempt:
    """``t8n``: accounts, surroundings, transactions; one of the three is broken."""
    fork = chance.choice(("Frontier", "Byzantium", "London", "Shanghai", "Prague", "Osaka"))
    case = worlds.transaction_case(chance, fork)
    env = case["env"]
    env |= {
        "parentHash": "0x" + "11" * 32,
        "previousHash": "0x" + "11" * 32,
        "blockHashes": {"0": "0x" + "11" * 32, "1": "0x" + "22" * 32, "299": "0x" + "33" * 32},
        "ommers": [{"delta": 1, "address": to_hex(worlds.COINBASE)}],
        "withdrawals": [{"index": "0x0", "validatorIndex": "0x1", "address": to_hex(worlds.ECHO), "amount": "0x2"}],
        "parentBeaconBlockRoot": "0x" + "44" * 32,
    }
    if fork in ("Shanghai", "Prague", "Osaka"):
        env["currentDifficulty"] = "0x0"
    if chance.random() < 0.3:
        for name in ("currentBaseFee", "currentExcessBlobGas", "currentDifficulty"):
            env.pop(name, None)
        env |= {"parentBaseFee": "0x7", "parentGasUsed": "0x5", "parentGasLimit": "0x1c9c380", "parentTimestamp": "0x5"}
        env |= {"parentDifficulty": "0x20000", "parentExcessBlobGas": "0x20000", "parentBlobGasUsed": "0x20000"}
    parts = {"alloc": case["alloc"], "env": env, "txs": case["txs"]}
    chosen = chance.choice(list(parts))
    for name, document in parts.items():
        content = as_bytes(chance, broken(chance, document)) if name == chosen else json.dumps(document).encode()
        (folder / f"{name}.json").write_bytes(content)
    output = folder / "out"
    words = ["t8n", *(f"--input.{name}={folder}/{name}.json" for name in parts), "--state.fork", fork]
    words += [
        "--output.basedir",
        str(output),
        "--output.body",
        "body.rlp",
        "--state.reward",
        chance.choice(("0", "-1", "5")),
    ]
    return Attempt(words, output, (0, *T8N_CODES))


def genesis_and_chain(chance: random.Random, folder: Path) -> tuple[dict[str, Any], bytes]:
    """A genesis file and a chain file that fit."""
    case = chains.chain_case(chance, "Cancun")
    for block in case["blocks"]:
        block["tamper"] = {}
    made = chains.make(case)
    header = made.genesis.header
    blocks = "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul berlin london mergeNetsplit"
    config = {"chainId": 1, **{f"{name}Block": 0 for name in blocks.split()}, "terminalTotalDifficulty": 0}
    document = {
        "config": {**config, "shanghaiTime": 0, "cancunTime": 0},
        "nonce": "0x0",
        "timestamp": to_hex(header.timestamp),
        "extraData": "0x",
        "gasLimit": to_hex(header.gas_limit),
        "gasUsed": to_hex(header.gas_used),
        "difficulty": "0x0",
        "mixHash": to_hex(header.prev_randao),
        "coinbase": to_hex(header.coinbase),
        "baseFeePerGas": to_hex(header.base_fee_per_gas or 0),
        "blobGasUsed": to_hex(header.blob_gas_used or 0),
        "excessBlobGas": to_hex(header.excess_blob_gas or 0),
        "alloc": case["alloc"],
    }
    return document, b"".join(made.raws)


def chain_files(chance: random.Random, folder: Path) -> Attempt:
    """``import``: the genesis file, or the chain file."""
    document, chain = genesis_and_chain(chance, folder)
    if chance.random() < 0.5:
        content = as_bytes(chance, broken(chance, document))
    else:
        content = json.dumps(document).encode()
        chain = broken_bytes(chance, chain)
    (folder / "genesis.json").write_bytes(content)
    (folder / "chain.rlp").write_bytes(chain)
    output = folder / "data"
    words = ["import", "--genesis", str(folder / "genesis.json"), "--datadir", str(output), str(folder / "chain.rlp")]
    return Attempt(words, output, (0, 2))


def prestate(chance: random.Random, folder: Path) -> Attempt:
    """``evm run`` on a genesis file."""
    document, _ = genesis_and_chain(chance, folder)
    (folder / "genesis.json").write_bytes(as_bytes(chance, broken(chance, document)))
    words = ["evm", "run", "--prestate", str(folder / "genesis.json"), "--receiver", to_hex(worlds.TARGET), "--gas"]
    return Attempt([*words, "100000", "--dump"], folder / "out", (0, 2))


MAKERS: tuple[Callable[[random.Random, Path], Attempt], ...] = (
    vector_file,
    vector_file,
    transition_files,
    transition_files,
    chain_files,
    prestate,
)


# --- judging ---


def judge(seed: int, counts: Counter[str]) -> str:
    """Empty where the seed's input is handled as it should be; else what went wrong."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        attempt = chance.choice(MAKERS)(chance, Path(name))
        if attempt.words[0] not in evmesh.list_commands(click.Context(evmesh)):
            return ""
        before = sorted(Path(name).rglob("*"))
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = run(attempt.words)
        except Exception:
            return f"{attempt.words[:2]}: {traceback.format_exc(limit=-3)}"
        counts[f"{attempt.words[0]} {code}"] += 1
        if code not in attempt.codes:
            return f"{attempt.words[:2]}: exit code {code}: {err.getvalue()[:300]}"
        if "crashed:" in out.getvalue():
            return f"{attempt.words[:2]}: {out.getvalue()[:400]}"
        if code in (0, 1):
            return ""
        said = err.getvalue().rstrip("\n")
        if not said or ("\n" in said and attempt.words[0] != "evm") or len(said) > LINE_MAX or "Traceback" in said:
            return f"{attempt.words[:2]}: said {said[:400]!r}"
        if sorted(Path(name).rglob("*")) != before:
            return f"{attempt.words[:2]}: refused, and yet wrote {sorted(set(Path(name).rglob('*')) - set(before))}"
    return ""


def _too_long(signal_number: int, frame: object) -> None:
    raise TimeoutError(f"more than {SECONDS_MAX} s")


def main() -> int:
    """Many seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.hostile", description=__doc__)
    parser.add_argument("--seeds", required=True, metavar="A..B")
    first, _, last = parser.parse_args().seeds.partition("..")
    counts: Counter[str] = Counter()
    failures = 0
    signal.signal(signal.SIGALRM, _too_long)
    for seed in range(int(first), int(last or first) + 1):
        signal.alarm(SECONDS_MAX)
        found = judge(seed, counts)
        if found:
            failures += 1
            print(f"seed {seed}: {found}", flush=True)
    signal.alarm(0)
    print(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
    print(f"{failures} handled badly")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
