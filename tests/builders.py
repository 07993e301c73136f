"""Small real things for tests: keys, signed transactions, a funded chain in memory."""

from __future__ import annotations

import json
from dataclasses import replace

from node.chain.chain import Chain
from node.chain.genesis import Genesis, genesis_from_json
from node.crypto.hashes import keccak256
from node.crypto.secp256k1 import address_of_private_key
from node.evm.interpreter import Interpreter
from node.execution.builder import PayloadAttributes
from node.primitives.scalars import ETHER, GWEI, Address, Hash32
from node.runtime.clock import SystemClock
from node.runtime.runtime import Runtime
from node.runtime.transport import TcpNetwork
from node.runtime.workers import InlineWorkers
from node.storage.database import Database, MemoryDatabase
from node.telemetry.logs import Log
from node.types.blocks import Block, Header
from node.types.transactions import FEE_MARKET, Transaction

CHAIN_ID = 31337
COINBASE = Address(b"\xc0" * 20)
FORK_TIMES = {"shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0}


def key(index: int) -> bytes:
    """The private key of test account ``index``."""
    return keccak256(b"test key %d" % index)


def address(index: int) -> Address:
    """The address of test account ``index``."""
    return address_of_private_key(key(index))


def test_log() -> Log:
    """A log that nobody reads."""
    return Log(SystemClock(), "test", write=lambda line: None)


def inline_runtime() -> Runtime:
    """Real clock and sockets, no threads, entropy that repeats."""
    return Runtime(SystemClock(), TcpNetwork(), InlineWorkers(), lambda size: b"\x07" * size)


def system_contracts() -> dict[str, dict[str, object]]:
    """Request contracts that answer nothing, so that blocks from Prague on can be built."""
    stop = {"code": "0x00", "nonce": 1, "balance": "0x0"}
    return {
        "0x00000961Ef480Eb55e80D19ad83579A64c007002": stop,
        "0x0000BBdDc7CE488642fb579F8B00f3a590007251": stop,
    }


def genesis_json(accounts: int = 4, **changes: object) -> dict[str, object]:
    """A genesis document with ``accounts`` accounts of 1,000 ether."""
    alloc: dict[str, object] = {"0x" + address(i).hex(): {"balance": hex(1000 * ETHER)} for i in range(accounts)}
    alloc.update(system_contracts())
    document: dict[str, object] = {
        "config": {"chainId": CHAIN_ID, "terminalTotalDifficulty": 0, **FORK_TIMES},
        "alloc": alloc,
        "gasLimit": hex(30_000_000),
        "timestamp": "0x0",
        "baseFeePerGas": hex(GWEI),
    }
    document.update(changes)
    return json.loads(json.dumps(document))


def make_genesis(accounts: int = 4, **changes: object) -> Genesis:
    """The parsed genesis."""
    return genesis_from_json(genesis_json(accounts, **changes))


def make_chain(database: Database | None = None, genesis: Genesis | None = None) -> Chain:
    """A chain at genesis (or wherever the database stands)."""
    return Chain(
        database if database is not None else MemoryDatabase(),
        genesis or make_genesis(),
        Interpreter(),
        inline_runtime(),
        test_log(),
    )


def transfer(sender: int, nonce: int, to: Address | None = None, value: int = 1, **changes: object) -> Transaction:
    """A signed EIP-1559 transfer of account ``sender``."""
    tx = Transaction(
        type=FEE_MARKET,
        chain_id=CHAIN_ID,
        nonce=nonce,
        gas_limit=21_000,
        to=to if to is not None else address(9),
        value=value,
        data=b"",
        max_fee_per_gas=10 * GWEI,
        max_priority_fee_per_gas=GWEI,
    )
    return replace(tx, **changes).signed_by(key(sender))


def attributes(parent: Header, coinbase: Address = COINBASE, **changes: object) -> PayloadAttributes:
    """Attributes of the next block, one second later."""
    values: dict[str, object] = {
        "timestamp": parent.timestamp + 1,
        "prev_randao": keccak256(b"randao"),
        "coinbase": coinbase,
        "parent_beacon_block_root": parent.hash,
        "gas_limit_target": 30_000_000,
    }
    values.update(changes)
    return PayloadAttributes(**values)  # type: ignore[arg-type]


async def build(chain: Chain, parent: Header, *txs: Transaction, **changes: object) -> Block:
    """A block of ``txs`` on ``parent``, executed and kept as a candidate, not head."""
    built = await chain.build_payload(parent.hash, attributes(parent, **changes), txs, 2**62)
    return built.block


async def advance(chain: Chain, *txs: Transaction) -> Block:
    """A block of ``txs`` on the head, made head, safe and finalized."""
    block = await build(chain, chain.head, *txs)
    await finalize(chain, block)
    return block


async def finalize(chain: Chain, block: Block) -> None:
    """Make ``block`` head, safe and finalized."""
    await chain.forkchoice_updated(block.hash, block.hash, block.hash, {block.hash: b"seal of " + block.hash})


def hash_of(text: str) -> Hash32:
    """Any hash."""
    return keccak256(text.encode())
