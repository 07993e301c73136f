"""The roof: one node, built from the ground up out of every room, started and stopped as one.

The world comes in by the constructor (runtime, database), so that the simulator can build the same node
over virtual time and a disk that forgets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from node.chain.chain import Chain
from node.chain.feed import NewHead, News
from node.chain.genesis import Genesis
from node.config import ConfigError, NodeConfig
from node.consensus.assembly import bft_codec, bft_driver, instant_driver, pos_driver
from node.consensus.bft.messages import ChainDomain
from node.consensus.driver import ConsensusDriver, ProposerSettings
from node.consensus.engine import Engine
from node.consensus.journal import mark_new_keys
from node.consensus.pos.rules import PosRules
from node.consensus.validator_contract import VALIDATOR_CONTRACT, genesis_problem
from node.consensus.validators import Validator, ValidatorSet
from node.crypto.secp256k1 import address_of_private_key
from node.evm.machine import VirtualMachine
from node.evm.native import choice
from node.p2p.identity import Identity
from node.p2p.peer_set import P2PConfig
from node.p2p.switch import Switch
from node.pool_follows import follow, follow_head
from node.primitives.hexadecimal import HexError, from_data
from node.primitives.scalars import ZERO_ADDRESS, Address
from node.protocols import status
from node.protocols.serving import DECIDED, Serving
from node.protocols.state_serving import HEADERS, RECENT, STATE, StateServing
from node.protocols.sync import Sync
from node.protocols.transactions import TransactionExchange
from node.rpc.backend import Backend, RpcLimits
from node.rpc.server import ServerConfig
from node.rpc.service import RpcService
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.storage.database import Database
from node.telemetry.logs import Log
from node.telemetry.metrics import Metrics
from node.txpool.pool import PoolConfig, TxPool
from node.types.blocks import Header

VERSION: Final = "0.1.0"
CLIENT: Final = f"evmesh/{VERSION}"

PRUNING_LOOK_SECONDS: Final = 0.5
PRUNING_REST: Final = 9
"""Times as long as pruning took, nothing is pruned: a large state costs a tenth of the time, not all of it."""

WrapEngine = Callable[[Engine], Engine]


class Node:
    """``start`` brings it up, ``wait_failed`` returns when something broke, ``stop`` takes it down."""

    def __init__(
        self,
        config: NodeConfig,
        genesis: Genesis,
        runtime: Runtime,
        database: Database,
        log: Log,
        node_key: bytes,
        validator_key: bytes | None,
        wrap_engine: WrapEngine = lambda engine: engine,
        listen_http: bool = True,
        more_keys: Sequence[bytes] = (),
        dev_keys: Sequence[bytes] = (),
        new_keys: bool = False,
    ) -> None:
        """Raises ConfigError, WrongGenesis or CorruptDatabase; nothing is listening yet.

        ``more_keys``: further validators that this node votes for (engine pos). ``dev_keys``: accounts that it signs
        for, where the chain is one for development. ``new_keys``: somebody vouches that the keys have signed
        nothing, should this database not know.
        """
        check_engine(config, genesis)
        keys = [key for key in (validator_key, *more_keys) if key is not None]
        if len(keys) > 1 and genesis.consensus.engine != "pos":
            raise ConfigError(
                f"consensus.validator_key_files: engine {genesis.consensus.engine} votes with one key a node"
            )
        self.config = config
        self.log = log
        self._runtime = runtime
        self._database = database
        self._listen_http = listen_http
        self.pool = TxPool(
            PoolConfig(slots_max=config.pool.slots_max, sender_slots_max=config.pool.slots_per_sender),
            genesis.chain_id,
        )
        vm = machine_of(config, log)
        self.chain = Chain(database, genesis, vm, runtime, log, known_transaction=self.pool.get)
        self.switch = switch_of(config, genesis, self.chain, node_key, runtime, log)
        self._transactions = TransactionExchange(self.pool, self.switch, runtime, log)
        self._sync: Sync | None = None
        if new_keys:
            mark_new_keys(database)
        self.driver = self._build_consensus(genesis, keys, wrap_engine)
        self.chain.feed.subscribe(self._on_news)
        follow_head(self.pool, self.chain, NewHead(self.chain.head, (), ()))
        self.pool.on_added.append(lambda tx, local: self.driver.pool_has_work())
        metrics = Metrics()
        self.rpc = RpcService(
            Backend(
                chain=self.chain,
                pool=self.pool,
                peers=self.switch.peers,
                consensus=self.driver,
                vm=vm,
                runtime=runtime,
                log=log,
                name=config.node.name,
                version=VERSION,
                health=self._health,
                limits=RpcLimits(gas_cap=config.rpc.gas_cap),
                dev_keys={address_of_private_key(key): key for key in dev_keys} if genesis.consensus.dev else {},
            ),
            http_config(config),
            metrics,
        )
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    # --- building ---

    def _build_consensus(self, genesis: Genesis, keys: Sequence[bytes], wrap_engine: WrapEngine) -> ConsensusDriver:
        rules = genesis.consensus
        settings = self.config.consensus
        block_time_ms = settings.block_time_ms or rules.block_time_ms
        proposer = ProposerSettings(
            fee_recipient=_address(settings.fee_recipient),
            extra_data=settings.extra_data.encode() or CLIENT.encode(),
            gas_limit=settings.gas_limit or genesis.gas_limit,
        )
        if rules.engine == "instant":
            return instant_driver(self.chain, self.pool, self._runtime, self.log, settings.block_time_ms, proposer)
        states = StateServing(self.chain, self._database, self._runtime)
        for name, server in ((HEADERS, states.headers), (STATE, states.state), (RECENT, states.recent)):
            self.switch.requests.serve(name, server)
        if rules.engine == "pos":
            driver = pos_driver(
                pos_rules(genesis),
                self.chain,
                self.pool,
                self.switch,
                self._database,
                self._runtime,
                self.log,
                keys,
                proposer,
            )
            driver.engine = wrap_engine(driver.engine)
            return driver
        validators = genesis_validators(genesis)
        domain = ChainDomain(genesis.chain_id, self.chain.genesis_hash)
        codec = bft_codec(domain, validators, self.chain)
        driver = bft_driver(
            domain,
            validators,
            codec,
            self.chain,
            self.pool,
            self.switch,
            self._database,
            self._runtime,
            self.log,
            keys[0] if keys else None,
            block_time_ms,
            proposer,
        )
        driver.engine = wrap_engine(driver.engine)
        self.switch.requests.serve(DECIDED, Serving(self.chain).serve)
        # a codec of its own: sync checks certificates in a worker thread, the driver on the loop
        seals = bft_codec(domain, validators, self.chain)
        switch = self.switch
        sync = Sync(self.chain, switch.requests, driver, seals, self._runtime, self.log, switch.penalise)
        driver.on_peer_height = sync.note_height
        driver.on_decided = sync.note_decided
        driver.syncing = sync.progress
        self.switch.on_peer_down(sync.forget)
        self._sync = sync
        return driver

    # --- life ---

    async def start(self) -> None:
        """Join the network, then answer clients. Raises OSError (PortBusy for HTTP) when an address is taken."""
        await self.switch.start()
        try:
            if self._listen_http:
                await self.rpc.start()
        except BaseException:
            await self.switch.stop()
            raise
        self._task = asyncio.get_running_loop().create_task(self._run(), name="node")

    async def _run(self) -> None:
        async with TaskScope("node") as scope:
            scope.spawn(self.driver.run(), "consensus")
            if self._sync is not None:
                scope.spawn(self._sync.run(), "sync")
            scope.spawn(self.switch.wait_stopped(), "p2p")
            self._transactions.start(scope)
            if self.config.node.state_history:
                scope.spawn(self._prune(self.config.node.state_history), "pruning")
            await self._stopping.wait()

    async def _prune(self, history: int) -> None:
        """Keep the state history short: whenever as many more blocks are final as shall be kept."""
        clock = self._runtime.clock
        pruned_at = self.chain.state_from
        while True:
            await asyncio.sleep(PRUNING_LOOK_SECONDS)
            if self.chain.finalized.number - history < pruned_at + max(1, history // 2):
                continue
            began_ms = clock.monotonic_ms()
            done = await self.chain.prune(history)
            took_ms = clock.monotonic_ms() - began_ms
            pruned_at = done.state_from
            self.log.info(
                "state pruned",
                state_from=done.state_from,
                nodes_kept=done.kept_nodes,
                nodes_deleted=done.deleted_nodes,
                milliseconds=took_ms,
            )
            await asyncio.sleep(PRUNING_REST * took_ms / 1000)

    async def wait_failed(self) -> None:
        """Returns when the node has stopped by itself; raises what broke it."""
        assert self._task is not None, "not started"
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Stop taking requests, leave the network, close the database. Idempotent."""
        await self.rpc.stop()
        self._stopping.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self.switch.stop()
        self._runtime.workers.close()
        self._database.close()

    # --- news ---

    def _on_news(self, news: News) -> None:
        if isinstance(news, NewHead) and news.removed:
            old, header = news.removed[0].header, news.header
            self.log.warning(
                "reorganisation",
                depth=len(news.removed),
                old_height=old.number,
                old_hash=old.hash,
                height=header.number,
                hash=header.hash,
                transactions_undone=sum(len(block.transactions) for block in news.removed),
            )
        follow(self.pool, self.chain, news)

    def _health(self) -> str | None:
        if self._task is None:
            return "starting"
        return "stopping" if self._stopping.is_set() or self._task.done() else None

    def ready_line(self) -> str:
        """Where it serves, for standard output."""
        return f"ready http={self.rpc.url} p2p={self.switch.listen_address} id={self.switch.node_id.hex()}"

    @property
    def head(self) -> Header:
        """The head of this node's chain."""
        return self.chain.head


def machine_of(config: NodeConfig, log: Log) -> VirtualMachine:
    """The EVM that the operator has chosen. Raises ConfigError."""
    try:
        vm = choice.machine(choice.read_choice(config.node.evm, "node.evm"), lambda line: log.info(line))
    except choice.NoSuchMachine as error:
        raise ConfigError(str(error)) from None
    if config.node.hot and not choice.compile_hot_code(vm, choice.Hot.LOOPS):
        log.info("hot code is not compiled here")
    return vm


def switch_of(
    config: NodeConfig, genesis: Genesis, chain: Chain, node_key: bytes, runtime: Runtime, log: Log
) -> Switch:
    """The door to the peers of this chain, not opened yet. Raises ValueError for a bootnode that is none."""
    own = status.Status(
        status.ChainIdentity(genesis.chain_id, chain.genesis_hash, genesis.rules_hash()),
        config.node.name,
        CLIENT,
        lambda: (chain.head.number, chain.head.hash),
    )
    places = P2PConfig(
        listen_address=config.p2p.listen,
        advertise_address=config.p2p.advertise,
        bootnodes=config.p2p.bootnodes,
        peers_max=config.p2p.peers_max,
    )
    return Switch(places, Identity(node_key), runtime, log, own.hello, own.check_hello)


def http_config(config: NodeConfig) -> ServerConfig:
    """Where JSON-RPC is served, and to whom."""
    return ServerConfig(
        host=config.rpc.host,
        port=config.rpc.port,
        cors_origins=config.rpc.cors_origins,
        allowed_hosts=config.rpc.allowed_hosts,
    )


def genesis_validators(genesis: Genesis) -> ValidatorSet:
    """The set of the genesis file. Raises ValueError where it can run no chain."""
    return ValidatorSet(Validator(one.address, one.weight) for one in genesis.consensus.validators)


def check_engine(config: NodeConfig, genesis: Genesis) -> None:
    """Whether the operator's engine is the network's. Raises ConfigError."""
    wanted, rules = config.consensus.engine, genesis.consensus
    if wanted and wanted != rules.engine:
        raise ConfigError(f"consensus.engine is {wanted!r}, but the genesis file's network runs {rules.engine!r}")
    if not genesis.schedule.starts_merged:
        raise ConfigError(
            "the genesis file's chain begins with mined blocks, which no engine here makes: "
            "set terminalTotalDifficulty to 0 and all block-numbered forks to 0"
        )
    if rules.engine != "instant" and not rules.validators:
        raise ConfigError(
            "the genesis file names no validators: add config.evmesh.validators, or use engine instant for one node"
        )
    if rules.dev and config.node.state_history:
        raise ConfigError("node.state_history: a chain for development may return to any state; leave it at 0")
    if config.node.sync == "fast" and (rules.dev or rules.engine == "instant"):
        raise ConfigError(
            "node.sync: full here: a chain for development may return to any state, and engine instant has no peers"
        )
    if rules.engine == "pos":
        pos_rules(genesis)
    contract = genesis.alloc.get(VALIDATOR_CONTRACT)
    if rules.engine == "bft" and contract is not None and contract.code:
        validators = genesis_validators(genesis)
        problem = genesis_problem(contract.storage, validators)
        if problem:
            raise ConfigError(f"the genesis file's validator contract does not fit config.evmesh.validators: {problem}")


def pos_rules(genesis: Genesis) -> PosRules:
    """What a pos network's validators agree on. Raises ConfigError."""
    rules = genesis.consensus
    try:
        return PosRules(
            genesis.chain_id,
            genesis.block().hash,
            genesis_validators(genesis),
            genesis.timestamp * 1000,
            rules.slot_ms,
            rules.slots_per_epoch,
        )
    except ValueError as error:
        raise ConfigError(f"the genesis file's config.evmesh: {error}") from None


def _address(text: str) -> Address:
    if not text:
        return ZERO_ADDRESS
    try:
        return Address(from_data(text, 20))
    except HexError as error:
        raise ConfigError(f"consensus.fee_recipient: {error}") from None
