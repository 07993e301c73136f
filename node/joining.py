"""A node that begins with a state of its peers: fetch it, then become an ordinary node on the same ports.

    start ─▶ the database is at genesis? ── no ─────────────────────▶ Node
               │ yes: p2p, and JSON-RPC over the genesis block          ▲
               └─▶ FastSync ── done, or not possible ── both closed ────┘

Meanwhile clients are told what is true: the head is block 0, eth_syncing says where it goes, health says why it should
not be used, and transactions are refused. The consensus log of the node's keys is begun before the first block
comes: a log that is new is one that knows nothing, and the engines ask or wait before such a key votes again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from node.chain.chain import Chain
from node.chain.feed import NewHead
from node.chain.genesis import Genesis
from node.config import NodeConfig
from node.consensus.bft.messages import ChainDomain
from node.consensus.bft.pivot import BftPivot
from node.consensus.journal import Journal
from node.consensus.pos.pivot import PosPivot
from node.crypto.secp256k1 import address_of_private_key
from node.node import (
    VERSION,
    Node,
    check_engine,
    genesis_validators,
    http_config,
    machine_of,
    pos_rules,
    switch_of,
)
from node.pool_follows import follow_head
from node.primitives.hexadecimal import to_data
from node.protocols.fast_sync import FastSync, PivotProof
from node.protocols.sources import Claim, Sources
from node.rpc.backend import Backend, RpcLimits
from node.rpc.service import RpcService
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.storage.database import Database
from node.telemetry.logs import Log
from node.telemetry.metrics import Metrics
from node.txpool.pool import PoolConfig, TxPool
from node.txpool.rejection import PoolCode, PoolRejected
from node.types.blobs import Sidecar
from node.types.transactions import Transaction

BLOCKS_MIN: Final = 64
"""A chain that is shorter is executed: that is as quick, and keeps its history."""

MakeNode = Callable[[NodeConfig], Node]


class Joining:
    """Stands in a node's place from its start; ``node`` is there once it has joined."""

    def __init__(
        self,
        config: NodeConfig,
        genesis: Genesis,
        runtime: Runtime,
        database: Database,
        log: Log,
        node_key: bytes,
        validator_keys: Sequence[bytes],
        make_node: MakeNode,
        listen_http: bool = True,
    ) -> None:
        """``make_node(config)`` builds the node over the same database. Raises like it; nothing is listening yet."""
        check_engine(config, genesis)
        self.node: Node | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening = False
        self._config = config
        self._genesis = genesis
        self._runtime = runtime
        self._database = database
        self._log = log
        self._make_node = make_node
        self._listen_http = listen_http
        vm = machine_of(config, log)
        self._chain = Chain(database, genesis, vm, runtime, log)
        if self._chain.head.number:
            self.node = make_node(config)
            return
        addresses = [address_of_private_key(key) for key in validator_keys]
        members = genesis_validators(genesis)
        addresses = [one for one in addresses if genesis.consensus.engine == "bft" or one in members]
        if addresses:
            Journal(database, self._chain.genesis_hash, addresses, 0)
        self._switch = switch_of(config, genesis, self._chain, node_key, runtime, log)
        sources = Sources(self._claims, self._switch.requests, runtime.clock, log, self._switch.penalise)
        self._sync = FastSync(
            self._chain, self._proof(), sources, runtime, log, max(1, len(config.p2p.bootnodes)), BLOCKS_MIN
        )
        pool = _NotYet(PoolConfig(), genesis.chain_id)
        follow_head(pool, self._chain, NewHead(self._chain.head, (), ()))
        metrics = Metrics()
        metrics.gauge("evmesh_fast_sync", "What joining by a state has fetched.", ("what",), read=self._numbers)
        self._rpc = RpcService(
            Backend(
                chain=self._chain,
                pool=pool,
                peers=self._switch.peers,
                consensus=self,
                vm=vm,
                runtime=runtime,
                log=log,
                name=config.node.name,
                version=VERSION,
                health=lambda: "joins the network: fetches a state",
                limits=RpcLimits(gas_cap=config.rpc.gas_cap),
            ),
            http_config(config),
            metrics,
        )

    def _proof(self) -> PivotProof:
        genesis = self._genesis
        if genesis.consensus.engine == "pos":
            rules = pos_rules(genesis)
            clock = self._runtime.clock
            return PosPivot(rules, genesis.block().header, lambda: rules.slot_at(clock.now_ms()))
        domain = ChainDomain(genesis.chain_id, self._chain.genesis_hash)
        return BftPivot(domain, genesis_validators(genesis))

    def _claims(self) -> list[Claim]:
        heights = [(peer.node_id, peer.hello.get("head_number")) for peer in self._switch.peers()]
        return [Claim(peer, height) for peer, height in heights if isinstance(height, int)]

    # --- what clients are told meanwhile ---

    def inspect(self) -> Mapping[str, Any]:
        """Of consensus: nothing runs yet. Plain JSON values."""
        return {
            "engine": self._genesis.consensus.engine,
            "role": "joining",
            "height": 1,
            "validators": [
                {"address": to_data(one.address), "weight": one.weight} for one in self._genesis.consensus.validators
            ],
            "syncing": self._sync.progress(),
        }

    def _numbers(self) -> dict[tuple[str, ...], float]:
        sync = self._sync
        return {("pieces",): sync.pieces, ("bytes",): sync.bytes, ("pivots",): sync.pivots}

    # --- life ---

    async def start(self) -> None:
        """Listen; the rest goes on by itself. Raises OSError (PortBusy for HTTP) when an address is taken."""
        if self.node is not None:
            await self.node.start()
            return
        await self._switch.start()
        self._listening = True
        if self._listen_http:
            await self._rpc.start()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="joining")

    async def _run(self) -> None:
        async with TaskScope("joining") as scope:
            scope.spawn(self._switch.wait_stopped(), "p2p")
            await self._sync.run()
            config = replace(self._config, p2p=replace(self._config.p2p, listen=self._switch.listen_address))
            if self._listen_http:
                config = replace(config, rpc=replace(config.rpc, port=self._rpc.address[1]))
            node = self._make_node(config)
            await self._close()
        self.node = node
        await node.start()
        await node.wait_failed()

    async def wait_failed(self) -> None:
        """Returns when the node has stopped by itself; raises what broke it."""
        if self._task is not None:
            await asyncio.shield(self._task)
        else:
            assert self.node is not None, "not started"
            await self.node.wait_failed()

    async def stop(self) -> None:
        """Leave the network, close the database. Idempotent."""
        if self._task is not None and self.node is None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self.node is not None:
            await self.node.stop()
            if self._task is not None:
                await asyncio.gather(self._task, return_exceptions=True)
            return
        await self._close()
        self._runtime.workers.close()
        self._database.close()

    async def _close(self) -> None:
        """The ports are free for the node."""
        await self._rpc.stop()
        if self._listening:
            self._listening = False
            await self._switch.stop()

    def ready_line(self) -> str:
        """Where it serves, for standard output."""
        if self.node is not None:
            return self.node.ready_line()
        return f"ready http={self._rpc.url} p2p={self._switch.listen_address} id={self._switch.node_id.hex()}"


class _NotYet(TxPool):
    """A pool that takes nothing: no state is here that a transaction could be checked against."""

    def add(self, tx: Transaction, local: bool, sidecar: Sidecar | None = None) -> None:
        """Raises PoolRejected."""
        raise PoolRejected(PoolCode.NO_HEAD, "this node is joining the network and takes no transactions yet")
