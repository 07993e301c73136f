"""A real chain, pool and dispatcher in one process: blocks are made on request, nothing listens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from node.chain.chain import Chain
from node.chain.feed import NewHead, News
from node.chain.genesis import genesis_from_json
from node.crypto.secp256k1 import address_of_private_key
from node.evm.interpreter import Interpreter
from node.execution.builder import PayloadAttributes
from node.execution.fees import base_fee
from node.primitives.scalars import ETHER, GWEI, Address, Hash32
from node.rpc.api import Api, make_api
from node.rpc.backend import Backend, RpcLimits
from node.rpc.dispatch import Dispatcher
from node.rpc.service import make_dispatcher
from node.runtime.clock import SystemClock
from node.runtime.runtime import Runtime
from node.runtime.transport import TcpNetwork
from node.runtime.workers import ThreadWorkers
from node.storage.database import MemoryDatabase
from node.telemetry.logs import Log
from node.telemetry.metrics import Metrics
from node.txpool.pool import NextBlock, PoolConfig, TxPool
from node.types.transactions import Transaction

KEY = bytes.fromhex("11" * 32)
SENDER = address_of_private_key(KEY)
OTHER_KEY = bytes.fromhex("22" * 32)
OTHER = address_of_private_key(OTHER_KEY)
CHAIN_ID = 7331
PREDEPLOYED = Path(__file__).parents[3] / "network" / "contracts" / "predeployed.json"
"""The system contracts that Prague's blocks call."""

EMITTER = Address(bytes.fromhex("e1" * 20))
"""Stores its first argument in slot 0, logs it under the topics "emit" and itself, and returns it."""
REVERTER = Address(bytes.fromhex("e2" * 20))
"""Reverts with whatever it was called with."""
LOOPER = Address(bytes.fromhex("e3" * 20))
"""Never ends."""
TOPIC = b"emit".rjust(32, b"\x00")


def _emitter() -> bytes:
    return bytes.fromhex("5f35805f55805f527f" + TOPIC.hex() + "60205fa260205ff3")


CODES = {
    EMITTER: _emitter(),
    REVERTER: bytes.fromhex("365f5f37365ffd"),
    LOOPER: bytes.fromhex("5b5f56"),
}


class ManualClock(SystemClock):
    """The system's clock, moved on by hand."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.offset_ms


def genesis_json(**config: Any) -> dict[str, Any]:
    return {
        "config": {
            "chainId": CHAIN_ID,
            "terminalTotalDifficulty": 0,
            "shanghaiTime": 0,
            "cancunTime": 0,
            "pragueTime": 0,
            "osakaTime": 0,
            "blobSchedule": {
                "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3338477},
                "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
                "osaka": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716},
            },
            **config,
        },
        "gasLimit": "0x1c9c380",
        "baseFeePerGas": "0x3b9aca00",
        "timestamp": "0x1",
        "alloc": {
            **{
                address: {"nonce": contract["nonce"], "code": contract["code"]}
                for address, contract in json.loads(PREDEPLOYED.read_text()).items()
            },
            "0x" + SENDER.hex(): {"balance": hex(1000 * ETHER)},
            "0x" + OTHER.hex(): {"balance": hex(ETHER)},
            **{"0x" + address.hex(): {"code": "0x" + code.hex(), "balance": "0x0"} for address, code in CODES.items()},
        },
    }


@dataclass
class Peer:
    node_id: bytes = b"\x01" * 32
    name: str = "n1"
    remote_address: str = "127.0.0.1:30304"
    outbound: bool = True
    score: float = 1.5
    connected_ms: int = 7
    rtt_ms: int | None = 2
    bytes_in: int = 10
    bytes_out: int = 20
    dropped: int = 0


class Consensus:
    """What the driver would say."""

    def inspect(self) -> dict[str, Any]:
        return {
            "engine": "bft",
            "role": "validator",
            "height": 3,
            "round": 0,
            "step": "propose",
            "validators": [{"address": SENDER, "weight": 1}],
        }


@dataclass
class Devnet:
    """The whole of it. ``mine`` takes everything executable out of the pool."""

    chain: Chain
    pool: TxPool
    backend: Backend
    api: Api
    dispatcher: Dispatcher
    clock: ManualClock
    lines: list[str]
    metrics: Metrics
    nonces: dict[Address, int] = field(default_factory=dict)

    async def raw(self, body: bytes | str) -> Any:
        answer = await self.dispatcher.call(body.encode() if isinstance(body, str) else body)
        return orjson.loads(answer) if answer else None

    async def request(self, name: str, *params: Any) -> dict[str, Any]:
        told = await self.raw(orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}))
        assert told["jsonrpc"] == "2.0"
        assert told["id"] == 1
        assert ("result" in told) != ("error" in told)
        return dict(told)

    async def ask(self, name: str, *params: Any) -> Any:
        told = await self.request(name, *params)
        assert "error" not in told, told
        return told["result"]

    async def error(self, name: str, *params: Any) -> dict[str, Any]:
        told = await self.request(name, *params)
        assert "error" in told, told
        return dict(told["error"])

    def signed(self, key: bytes = KEY, **fields: Any) -> Transaction:
        sender = address_of_private_key(key)
        nonce = self.nonces.get(sender, 0)
        values = {
            "type": 2,
            "nonce": nonce,
            "gas_limit": 100_000,
            "to": OTHER,
            "value": 0,
            "data": b"",
            "max_fee_per_gas": 10 * GWEI,
            "max_priority_fee_per_gas": GWEI,
            "chain_id": CHAIN_ID,
            **fields,
        }
        if "nonce" not in fields:
            self.nonces[sender] = nonce + 1
        return Transaction(**values).signed_by(key)

    async def send(self, tx: Transaction) -> str:
        return str(await self.ask("eth_sendRawTransaction", "0x" + tx.encode().hex()))

    async def mine(self, parent: Hash32 | None = None, extra: bytes = b"") -> Hash32:
        on = self.chain.head if parent is None else self.chain.header_by_hash(parent)
        assert on is not None
        attributes = PayloadAttributes(
            timestamp=on.timestamp + 1, prev_randao=Hash32(bytes(32)), coinbase=Address(b"\xcc" * 20), extra_data=extra
        )
        built = await self.chain.build_payload(
            on.hash, attributes, list(self.pool.candidates()), self.clock.monotonic_ms() + 60_000
        )
        made = built.block.hash
        finalized = self.chain.finalized.hash
        await self.chain.forkchoice_updated(made, made if parent is None else finalized, finalized, {})
        return made

    async def finalize(self) -> None:
        head = self.chain.head.hash
        await self.chain.forkchoice_updated(head, head, head, {})


def follow(chain: Chain, pool: TxPool) -> None:
    def update(news: News) -> None:
        if isinstance(news, NewHead):
            head = news.header
            pool.on_new_head(
                chain.view_at(head),
                chain.next_spec(head, head.timestamp + 1),
                NextBlock(base_fee=base_fee(head), gas_limit=head.gas_limit, blob_base_fee=1),
                [tx for block in news.added for tx in block.transactions],
                [tx for block in news.removed for tx in block.transactions],
            )

    chain.feed.subscribe(update)
    update(NewHead(chain.head, (), ()))


def make_devnet(limits: RpcLimits | None = None, dev_keys: Any = None, **config: Any) -> Devnet:
    clock = ManualClock()
    lines: list[str] = []
    log = Log(clock, "n0", write=lines.append)
    counter = iter(range(1, 1_000_000))
    runtime = Runtime(
        clock=clock,
        network=TcpNetwork(),
        workers=ThreadWorkers(2),
        entropy=lambda size: next(counter).to_bytes(size, "big"),
    )
    genesis = genesis_from_json(genesis_json(**config))
    vm = Interpreter()
    chain = Chain(MemoryDatabase(), genesis, vm, runtime, log)
    pool = TxPool(PoolConfig(), CHAIN_ID)
    follow(chain, pool)
    backend = Backend(
        chain=chain,
        pool=pool,
        peers=lambda: [Peer()],
        consensus=Consensus(),
        vm=vm,
        runtime=runtime,
        log=log,
        name="n0",
        version="0.1.0",
        limits=limits or RpcLimits(),
        dev_keys=dev_keys or {},
    )
    api = make_api(backend)
    metrics = Metrics()
    return Devnet(chain, pool, backend, api, make_dispatcher(api, metrics), clock, lines, metrics)


@pytest.fixture
async def devnet() -> AsyncIterator[Devnet]:
    made = make_devnet()
    yield made
    made.api.close()
    made.backend.runtime.workers.close()


@pytest.fixture
def rpc() -> Any:
    """This file's constants, for test modules (which cannot import it by name)."""
    import sys

    return sys.modules[__name__]
