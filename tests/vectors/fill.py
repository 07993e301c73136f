"""Fills the own vectors anew: ``python -m tests.vectors.fill``. Needs the reference (extra ``oracles``).

Random cases of ``tests/differential`` become official fixtures: state tests (one transaction with several data, gas
limits and values, under every fork) and blockchain tests (a chain or two a fork, some blocks of it invalid). The
results are this project's; each is compared with the reference specification's, and nothing is written where one
differs. Accounts that do not matter to a case are left out.
"""

from __future__ import annotations

import copy
import gzip
import io
import itertools
import json
import random
import sys
import tarfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from network.vectors.allocations import read_alloc
from network.vectors.block_cases import _HEADER_NAMES as HEADER_NAMES
from network.vectors.verdicts import exception_name
from node.crypto.hashes import keccak256
from node.primitives import rlp
from node.state.genesis_state import state_from_alloc
from node.types.blocks import Header, decode_block
from node.types.invalid import InvalidBlock
from tests.differential import chains, node_answers, spec_answers, spec_chains, worlds
from tests.differential.cases import CHAIN_ID, FORKS, Case, differences, from_hex, to_hex

FOLDER = Path(__file__).parent / "own"
NAMES = {
    "TangerineWhistle": "EIP150",
    "SpuriousDragon": "EIP158",
    "Petersburg": "ConstantinopleFix",
}
"""Fixtures' names of forks."""
STATE_TESTS = 14
CHAINS = 2
"""Of each fork."""
ABOUT = {"comment": "filled by this project, checked against the reference specification; tests/vectors/fill.py"}


def _same(case: Case, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    found = [line for line in differences(ours, theirs) if not line.startswith("?")]
    if found:
        raise SystemExit(f"{case['fork']} differs, nothing is written: {found[:3]}")


def _without_idle_accounts(case: Case, told: Callable[[Case], Any]) -> Case:
    """Only the accounts without which something else would happen."""
    wanted = told(case)
    for address in list(case["alloc"]):
        smaller = copy.deepcopy(case)
        del smaller["alloc"][address]
        if told(smaller) == wanted:
            case = smaller
    return case


# --- state tests ---


def state_test(seed: int) -> dict[str, Any]:
    """One state test with results for every fork."""
    chance = random.Random(f"state {seed}")
    fork = ("Osaka", "Cancun", "London", "Byzantium", "Prague")[seed % 5]
    case = worlds.transaction_case(chance, fork)
    for address in [address for address in case["alloc"] if case["alloc"][address] == worlds.account_json()]:
        del case["alloc"][address]
    case["env"] = worlds.environment(random.Random(f"environment {seed}"), "BPO2", 7)
    tx = worlds.transaction(chance, fork, case["alloc"], 0, 0)
    if seed % 4 == 3:
        worlds.spoil(chance, fork, tx)
    tx.pop("highS", None)
    tx["protected"] = False
    data, gas = [tx["input"], "0x"], [tx["gas"], to_hex(60_000)]
    values = [tx["value"], "0x1"]
    cases = []
    for fork, (index, (d, g, v)) in itertools.product(
        FORKS, enumerate(itertools.product(range(2), range(2), range(2)))
    ):
        if index and not (d and g and v) and index % 3:
            continue
        chosen = {**tx, "input": data[d], "gas": gas[g], "value": values[v]}
        cases.append((fork, (d, g, v), {**case, "fork": fork, "txs": [chosen]}))

    def told(alloc: dict[str, Any]) -> list[Any]:
        found = []
        for _, _, one in cases:
            answer = node_answers.answer({**one, "alloc": alloc})
            found.append((answer["gas"], answer["logs"], answer["rejected"], answer["?outputs"]))
        return found

    alloc = _without_idle_accounts(case, lambda smaller: told(smaller["alloc"]))["alloc"]
    post: dict[str, list[Any]] = {}
    for fork, (d, g, v), one in cases:
        entry = _post({**one, "alloc": alloc})
        post.setdefault(NAMES.get(fork, fork), []).append({**entry, "indexes": {"data": d, "gas": g, "value": v}})
    return {
        "_info": ABOUT,
        "env": case["env"],
        "pre": alloc,
        "transaction": _listed(tx, data, gas, values),
        "post": post,
        "config": {"chainid": to_hex(CHAIN_ID)},
    }


def _listed(tx: dict[str, Any], data: list[str], gas: list[str], values: list[str]) -> dict[str, Any]:
    found = {key: value for key, value in tx.items() if key not in ("input", "gas", "value", "protected", "type")}
    found |= {"to": tx["to"] or "", "data": data, "gasLimit": gas, "value": values}
    found["sender"] = to_hex(node_answers.signed(tx).sender)
    if "accessList" in found:
        found["accessLists"] = [found.pop("accessList")] * 2
    return found


def _post(case: Case) -> dict[str, Any]:
    ours = node_answers.answer(case)
    _same(case, ours, spec_answers.answer(case))
    logs = [
        [from_hex(address), [from_hex(topic) for topic in topics], from_hex(data)]
        for address, topics, data in ours["logs"]
    ]
    entry: dict[str, Any] = {
        "hash": ours["state_root"],
        "logs": to_hex(keccak256(rlp.encode(logs))),
        "txbytes": to_hex(node_answers.signed(case["txs"][0]).encode()),
    }
    if ours["rejected"]:
        entry["hash"] = to_hex(state_from_alloc(read_alloc(case["alloc"], "alloc")).root)
        entry["expectException"] = "TransactionException." + ours["?refusals"][0].split(" ")[0]
    return entry


# --- blockchain tests ---


def blockchain_test(fork: str, number: int) -> dict[str, Any]:
    """One chain under a fork; the first of a fork has no invalid block."""
    for seed in itertools.count():
        case = chains.chain_case(random.Random(f"chain {fork} {number} {seed}"), fork)
        if "next" in case:
            continue
        if number == 0:
            for block in case["blocks"]:
                block["tamper"] = {}
        made = chains.make(case)
        busy = len(case["blocks"]) >= 2 and sum(len(block["txs"]) for block in case["blocks"]) >= 2
        wanted = all(made.accepted) if number == 0 else not all(made.accepted) and any(made.accepted)
        if busy and wanted:
            break
    case = _without_idle_accounts(case, _what_happens)
    ours = chains.answer(case)
    _same(case, ours, spec_chains.answer(case))
    made = chains.make(case)
    assert made.chain is not None, "it was made"
    refusals = iter(made.errors)
    blocks: list[dict[str, Any]] = []
    for raw, accepted in zip(made.raws, made.accepted, strict=True):
        if accepted:
            blocks.append({"rlp": to_hex(raw), "blockHeader": header_json(decode_block(raw).header)})
        else:
            blocks.append({"rlp": to_hex(raw), "expectException": exception_name(next(refusals))})
    return {
        "_info": ABOUT,
        "network": NAMES.get(fork, fork),
        "sealEngine": "NoProof",
        "config": {"chainid": to_hex(CHAIN_ID)},
        "genesisBlockHeader": header_json(made.genesis.header),
        "genesisRLP": to_hex(made.genesis.encode()),
        "pre": case["alloc"],
        "blocks": blocks,
        "lastblockhash": to_hex(made.chain.head.hash),
        "postState": {
            address: {"nonce": to_hex(nonce), "balance": to_hex(balance), "code": code, "storage": slots}
            for address, (nonce, balance, code, slots) in ours["accounts"].items()
        },
    }


def _what_happens(case: Case) -> Any:
    try:
        made = chains.make(case)
    except InvalidBlock:  # without a contract that the end of a block calls
        return None
    told = [decode_block(raw).header for raw in made.raws]
    return (
        made.accepted,
        [reason.split(" ")[0] for reason in made.refusals],
        [(one.gas_used, one.logs_bloom) for one in told],
    )


def header_json(header: Header) -> dict[str, str]:
    """A header with the fixtures' names."""
    found = {"hash": to_hex(header.hash)}
    for entry in fields(header):
        name, value = HEADER_NAMES.get(entry.name), getattr(header, entry.name)
        if name is not None and value is not None:
            found[name] = to_hex(value)
    return found


def write_archive(path: Path, documents: dict[str, Any]) -> None:
    """A ``.tar.gz`` of JSON files, the same bytes for the same content."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, document in documents.items():
            content = json.dumps(document, separators=(",", ":")).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(held.getvalue(), 9, mtime=0))


def main() -> int:
    """Write both archives."""
    if why := spec_answers.available():
        print(f"error: the reference cannot be asked: {why}", file=sys.stderr)
        return 2
    states = {
        f"state_tests/random{seed:02}.json": {f"random{seed:02}": state_test(seed)} for seed in range(STATE_TESTS)
    }
    chain_tests = {
        f"blockchain_tests/{fork}.json": {
            f"{fork.lower()}{number}": blockchain_test(fork, number) for number in range(CHAINS)
        }
        for fork in FORKS
        if not fork.endswith("Glacier")
    }
    write_archive(FOLDER / "state_tests.tar.gz", states)
    write_archive(FOLDER / "blockchain_tests.tar.gz", chain_tests)
    return 0


if __name__ == "__main__":
    sys.exit(main())
