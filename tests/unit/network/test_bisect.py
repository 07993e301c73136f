"""Two nodes part at a seeded bug of the EVM, and bisect finds block, transaction, instruction and what it changed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from network.bisect import Finding, Kind, find_difference
from network.cli.bisect import told
from network.failures import BadInput, Failure
from network.faults.evm_bugs import EVM_BUGS, with_bug
from network.repro import NO_OPERATIONS, Side, is_same, read_repro, replay_repro, write_repro
from node.chain.chain import Chain
from node.chain.genesis import Genesis, genesis_from_json
from node.evm.interpreter import Interpreter
from node.primitives.scalars import Address
from node.rpc.api import make_api
from node.rpc.backend import Backend
from node.rpc.service import make_dispatcher
from node.telemetry.metrics import Metrics
from node.txpool.pool import PoolConfig, TxPool
from node.types.blocks import Block
from node.types.operations import SetStorage
from tests.builders import CHAIN_ID, build, finalize, genesis_json, inline_runtime, make_genesis, transfer
from tests.builders import test_log as quiet_log

PROGRAM = Address(b"\x77" * 20)
MAX = 2**256 - 1
CLEARED = 99


def push(number: int) -> bytes:
    return b"\x7f" + (number % 2**256).to_bytes(32, "big")


def stored(slot: int, code: bytes) -> bytes:
    return code + push(slot) + b"\x55"


CODE = b"".join(
    [
        push(1) + push(0x200) + b"\x52",  # MSTORE
        stored(1, push(1) + push(-1) + b"\x12"),  # SLT
        stored(12, push(1) + b"\x54"),  # SLOAD of what was just written
        stored(2, push(2) + push(-7) + b"\x05"),  # SDIV
        stored(3, push(3) + push(-7) + b"\x07"),  # SMOD
        stored(4, push(-8) + push(1) + b"\x1d"),  # SAR
        stored(5, push(256) + push(4) + b"\x1c"),  # SHR
        stored(6, push(2) + push(1) + b"\x03"),  # SUB
        stored(7, push(7) + push(5) + push(MAX) + b"\x08"),  # ADDMOD
        stored(8, push(0x0102) + push(31) + b"\x1a"),  # BYTE
        stored(9, push(1) + b"\x15"),  # ISZERO
        stored(10, b"\x34"),  # CALLVALUE
        push(0xAB) + push(0) + b"\x53",  # MSTORE8
        stored(11, push(5) + push(0) + b"\x20"),  # KECCAK256
        push(2) + push(1) + push(0) + push(0) + b"\xa2",  # LOG2
        push(0) + push(CLEARED) + b"\x55",  # a slot is cleared
        b"\x00",
    ]
)


class Node:
    """A chain behind the real dispatcher, asked from another thread."""

    def __init__(self, genesis: Genesis) -> None:
        runtime, log = inline_runtime(), quiet_log()
        self.chain = Chain(_database(), genesis, Interpreter(), runtime, log)
        backend = Backend(
            chain=self.chain,
            pool=TxPool(PoolConfig(), CHAIN_ID),
            peers=lambda: (),
            consensus=_Nobody(),
            vm=Interpreter(),
            runtime=runtime,
            log=log,
            name="n",
            version="0",
        )
        self.dispatcher = make_dispatcher(make_api(backend), Metrics())
        self.loop = asyncio.get_running_loop()

    def ask(self, method: str, *params: Any) -> Any:
        body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        answer = orjson.loads(asyncio.run_coroutine_threadsafe(self.dispatcher.call(body), self.loop).result(30))
        if "error" in answer:
            raise Failure(answer["error"]["message"])
        return answer["result"]


def _database() -> Any:
    from node.storage.database import MemoryDatabase

    return MemoryDatabase()


class _Nobody:
    def inspect(self) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.close()


def genesis_document() -> dict[str, Any]:
    alloc: Any = {
        **genesis_json()["alloc"],  # type: ignore[dict-item]
        "0x" + PROGRAM.hex(): {"balance": "0x0", "code": "0x" + CODE.hex(), "storage": {hex(CLEARED): "0x5"}},
    }
    return genesis_json(alloc=alloc)


def genesis() -> Genesis:
    return genesis_from_json(genesis_document())


CONVICTION = (SetStorage(PROGRAM, 77, 2**255),)
"""What consensus orders into a block that convicts somebody."""


async def _chain_with_the_program(at: int, length: int, convicting: tuple[int, ...] = ()) -> tuple[Node, list[Block]]:
    node, blocks = Node(genesis()), []
    for number in range(1, length + 1):
        txs = [transfer(0, number - 1)]
        if number == at:
            txs += [transfer(1, 0, to=PROGRAM, value=5, gas_limit=1_000_000), transfer(2, 0)]
        ordered = CONVICTION if number in convicting else ()
        block = await build(node.chain, node.chain.head, *txs, operations=ordered)
        await finalize(node.chain, block)
        blocks.append(block)
    return node, blocks


async def _follower(spoiled: Genesis, blocks: list[Block], convicting: tuple[int, ...] = ()) -> Node:
    """A node that takes blocks as long as it agrees with them."""
    node = Node(spoiled)
    for block in blocks:
        ordered = CONVICTION if block.number in convicting else ()
        if not (await node.chain.new_payload(block, ordered)).valid:
            break
        await node.chain.forkchoice_updated(block.hash, block.hash, block.hash, {})
    return node


def run(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(120)


@pytest.fixture(scope="module")
def honest(loop: asyncio.AbstractEventLoop) -> tuple[Node, list[Block]]:
    made: tuple[Node, list[Block]] = run(loop, _chain_with_the_program(37, 60))
    return made


@pytest.mark.parametrize("name", EVM_BUGS)
def test_every_bug_is_found_at_its_block_transaction_and_instruction(
    name: str, honest: tuple[Node, list[Block]], loop: asyncio.AbstractEventLoop
) -> None:
    node, blocks = honest
    spoiled = run(loop, _follower(with_bug(genesis(), name), blocks))
    assert spoiled.chain.head.number == 36
    found: Finding = find_difference(node.ask, spoiled.ask)
    assert (found.number, found.transaction, found.refused_by) == (37, 1, 1)
    assert found.transaction_hash == "0x" + blocks[36].transactions[1].hash.hex()
    assert found.kind is Kind.EXECUTION
    assert found.step is not None
    assert found.step.opcode == EVM_BUGS[name].opcode.name
    assert found.step.depth == 1
    if name == "sub-saturates":
        assert any(
            change.what.startswith("slot") and change.account == "0x" + PROGRAM.hex() for change in found.changes
        )
    mirrored = find_difference(spoiled.ask, node.ask)
    assert (mirrored.number, mirrored.refused_by, mirrored.step and mirrored.step.index) == (37, 0, found.step.index)


def test_a_chain_that_the_buggy_node_built_itself_is_found_by_its_hashes(
    honest: tuple[Node, list[Block]], loop: asyncio.AbstractEventLoop
) -> None:
    node, blocks = honest

    async def alone() -> Node:
        made = Node(with_bug(genesis(), "sdiv-rounds-down"))
        for block in blocks:
            header = block.header
            rebuilt = await build(
                made.chain, made.chain.head, *block.transactions, timestamp=header.timestamp, coinbase=header.coinbase
            )
            await finalize(made.chain, rebuilt)
        return made

    found = find_difference(node.ask, run(loop, alone()).ask)
    assert (found.number, found.transaction, found.kind) == (37, 1, Kind.EXECUTION)
    assert found.step is not None
    assert found.step.opcode == "SDIV"
    assert set(found.header) == {"stateRoot"}
    assert None not in found.hashes


def test_equal_chains_and_one_that_merely_lags(
    honest: tuple[Node, list[Block]], loop: asyncio.AbstractEventLoop
) -> None:
    node, blocks = honest
    same = run(loop, _follower(genesis(), blocks))
    assert find_difference(node.ask, same.ask).kind is Kind.NONE
    behind = run(loop, _follower(genesis(), blocks[:20]))
    found = find_difference(node.ask, behind.ask)
    assert (found.kind, found.number, found.refused_by) == (Kind.NONE, 21, 1)


def test_other_input_and_other_networks(honest: tuple[Node, list[Block]], loop: asyncio.AbstractEventLoop) -> None:
    node, blocks = honest

    async def forked() -> Node:
        made = await _follower(genesis(), blocks[:10])
        block = await build(made.chain, made.chain.head, transfer(0, 10, value=9))
        await finalize(made.chain, block)
        return made

    found = find_difference(node.ask, run(loop, forked()).ask)
    assert (found.kind, found.number, found.transaction) == (Kind.INPUT, 11, None)
    assert "transactionsRoot" in found.header

    async def stranger() -> Node:
        return Node(make_genesis(timestamp="0x5"))

    with pytest.raises(Failure, match="different networks"):
        find_difference(node.ask, run(loop, stranger()).ask)


def test_the_answer_fits_a_screen_and_names_both(
    honest: tuple[Node, list[Block]], loop: asyncio.AbstractEventLoop
) -> None:
    node, blocks = honest
    spoiled = run(loop, _follower(with_bug(genesis(), "mstore8-high-byte"), blocks))
    lines = told(find_difference(node.ask, spoiled.ask), ("n0", "n3"))
    text = "\n".join(lines)
    assert len(lines) < 20
    assert max(len(line) for line in lines) < 220
    for words in (
        "#37",
        "n3 stands before it",
        "transaction  1 0x",
        "MSTORE8 at pc",
        "memory: n0 [0]",
        "→ different execution",
    ):
        assert words in text, text
    same = told(find_difference(node.ask, node.ask), ("n0", "n1"))
    assert same[0].startswith("no difference: both are at #60")


@pytest.mark.parametrize("convicting", [(), (3,), (3, 9), (9,)])
def test_a_repro_file_carries_what_consensus_ordered_into_blocks(
    convicting: tuple[int, ...], loop: asyncio.AbstractEventLoop, tmp_path: Path
) -> None:
    bug = "sdiv-rounds-down"
    node, blocks = run(loop, _chain_with_the_program(9, 12, convicting))
    spoiled = run(loop, _follower(with_bug(genesis(), bug), blocks, convicting))
    found = find_difference(node.ask, spoiled.ask)
    # the node that stands before the block does not have it, nor what was ordered into it
    assert (found.number, found.refused_by, found.step and found.step.opcode) == (9, 1, "SDIV")
    assert (found.operations != NO_OPERATIONS) is (9 in convicting)
    file = tmp_path / "part.json"
    document = json.dumps(genesis_document()).encode()
    write_repro(file, found, document, (Side("n0"), Side("n3", bug)), node.ask)
    assert sorted(json.loads(file.read_text())["operations"]) == [str(number) for number in convicting]
    repro = read_repro(file)
    again = replay_repro(repro)
    assert is_same(repro, again)
    assert again.kind is Kind.EXECUTION


def test_operations_that_are_none_make_no_file(tmp_path: Path, loop: asyncio.AbstractEventLoop) -> None:
    file = tmp_path / "part.json"
    node, _ = run(loop, _chain_with_the_program(2, 2))
    for wrong in ("0xff", "0xc1c0", "0xc4c30a8080"):
        document = {
            "format": "evmesh-bisect 1",
            "genesis": genesis_document(),
            "blocks": [],
            "block": "0xc0",
            "operations": {"1": wrong},
            "nodes": [{"name": "a", "bug": ""}, {"name": "b", "bug": ""}],
            "found": {},
        }
        file.write_text(json.dumps(document))
        with pytest.raises(BadInput, match="no repro file"):
            read_repro(file)
        with pytest.raises(Failure, match="could not decode operations"):
            node.ask("evmesh_replayBlock", node.ask("debug_getRawBlock", "0x1"), wrong)
