"""A difference between two nodes as a file that shows it again, on any machine: ``evmesh bisect --repro``, ``replay``.

The file holds the chain up to the block that the two make different things of, that block, and what was different.
Replaying executes the chain once, gives both sides the same state, lets each run the block (with its seeded mistake,
where it had one) and compares as bisect does.

    {"format": "evmesh-bisect 1", "genesis": {…}, "blocks": ["0x…", …], "block": "0x…",
     "operations": {"17": "0x…"}, "nodes": [{"name": "n0", "bug": ""}, …], "found": {…}}

``operations`` has what consensus ordered into blocks (convictions): it stands beside a block, not in it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from network.bisect import Ask, Finding, Kind, compare_block
from network.chain_file import import_blocks
from network.failures import BadInput
from network.faults.evm_bugs import EVM_BUGS
from network.local_node import LocalNode
from node.chain.genesis import Genesis, GenesisError, parse_genesis
from node.types.operations import Operation, decode_operations, encode_operations

FORMAT: Final = "evmesh-bisect 1"
FILE_BYTES_MAX: Final = 1 << 30
BLOCKS_MAX: Final = 100_000
NO_OPERATIONS: Final = "0xc0"
COMPARED: Final = ("kind", "transaction", "transaction_hash", "results", "step", "changes")

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two nodes."""

    name: str
    bug: str = ""
    """Its seeded mistake."""


@dataclass(frozen=True, slots=True)
class Repro:
    """Content of a file."""

    genesis: Genesis
    blocks: tuple[bytes, ...]
    """Block 1 up to the last one that both agree on."""
    block: bytes
    operations: Mapping[int, tuple[Operation, ...]]
    """What consensus ordered into blocks, by height."""
    sides: tuple[Side, Side]
    found: Mapping[str, Any]


def write_repro(
    path: Path,
    found: Finding,
    genesis: bytes,
    sides: tuple[Side, Side],
    source: Ask,
    told: Progress = lambda number: None,
) -> None:
    """Write what bisect has found. ``source``: a node that has the chain. Raises Failure, BadInput."""
    if found.number is None or found.raw_block is None or found.kind is Kind.NONE:
        raise BadInput("there is no difference to write down")
    if found.number > BLOCKS_MAX:
        raise BadInput(f"{found.number} blocks are too many for a file", f"at most {BLOCKS_MAX}")
    blocks, operations = [], {found.number: found.operations or NO_OPERATIONS}
    for number in range(1, found.number):
        blocks.append(source("debug_getRawBlock", hex(number)))
        operations[number] = source("evmesh_blockOperations", hex(number))
        told(number)
    document = {
        "format": FORMAT,
        "genesis": json.loads(genesis),
        "blocks": blocks,
        "block": found.raw_block,
        "operations": {str(number): one for number, one in sorted(operations.items()) if one != NO_OPERATIONS},
        "nodes": [asdict(side) for side in sides],
        "found": plain(found),
    }
    try:
        path.write_text(json.dumps(document) + "\n", "utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}") from None


def plain(found: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    document: dict[str, Any] = json.loads(json.dumps({**asdict(found), "kind": found.kind.value}))
    return document


def is_repro(path: Path) -> bool:
    """Whether a file begins as ours do."""
    try:
        with path.open("rb") as file:
            return FORMAT.split()[0].encode() in file.read(64)
    except OSError:
        return False


def read_repro(path: Path) -> Repro:
    """Read a file, which anybody may have written. Raises BadInput."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise BadInput(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        document = orjson.loads(data)
        if document["format"] != FORMAT:
            raise BadInput(f"{path} has format {document['format']!r}, this evmesh reads {FORMAT!r}")
        sides = [Side(str(one["name"]), str(one["bug"])) for one in document["nodes"]]
        for side in sides:
            if side.bug and side.bug not in EVM_BUGS:
                raise BadInput(f"{path}: {side.bug!r} is no bug that is known")
        if len(document["blocks"]) > BLOCKS_MAX:
            raise BadInput(f"{path} has {len(document['blocks'])} blocks, at most {BLOCKS_MAX}")
        return Repro(
            parse_genesis(json.dumps(document["genesis"])),
            tuple(bytes.fromhex(one[2:]) for one in document["blocks"]),
            bytes.fromhex(document["block"][2:]),
            {
                int(number): decode_operations(bytes.fromhex(one[2:]))
                for number, one in document.get("operations", {}).items()
            },
            (sides[0], sides[1]),
            dict(document["found"]),
        )
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except GenesisError as error:
        raise BadInput(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise BadInput(
            f"{path} is no repro file: {type(error).__name__} {error}", "evmesh bisect A B --repro FILE writes one"
        ) from None


def replay_repro(repro: Repro, told: Progress = lambda number: None) -> Finding:
    """Do it again. Raises BadInput where a block cannot be executed."""
    with tempfile.TemporaryDirectory(prefix="evmesh-repro-") as folder:
        first, second = Path(folder) / "first", Path(folder) / "second"
        chain_file = Path(folder) / "chain.rlp"
        chain_file.write_bytes(b"".join(repro.blocks))
        with LocalNode("chain", first, repro.genesis) as node:
            if repro.blocks:
                node.run(import_blocks(node.chain, chain_file, told, repro.operations))
        shutil.copytree(first, second)
        one, other = repro.sides
        with (
            LocalNode(one.name, first, repro.genesis, one.bug) as left,
            LocalNode(other.name, second, repro.genesis, other.bug) as right,
        ):
            ordered = encode_operations(repro.operations.get(len(repro.blocks) + 1, ()))
            found = compare_block(left.call, right.call, "0x" + repro.block.hex(), "0x" + ordered.hex())
    if found is None:
        return Finding(Kind.NONE, len(repro.blocks) + 1)
    return found


def is_same(repro: Repro, found: Finding) -> bool:
    """Whether the difference is the one that was written down."""
    now = plain(found)
    return all(now.get(name) == repro.found.get(name) for name in COMPARED)
