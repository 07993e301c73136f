"""The doors through which RPC reads the node, and the services that its methods share.

Protocols name only what RPC asks for, so that the table of methods can be used over any chain that answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from node.chain.feed import News
from node.chain.logs import FoundLog, LogFilter
from node.evm.machine import VirtualMachine
from node.evm.spec import Spec
from node.primitives.scalars import Address, Hash32
from node.runtime.runtime import Runtime
from node.state.view import StateView
from node.telemetry.logs import Log
from node.trie.nodes import NodeSource
from node.types.blobs import Sidecar
from node.types.blocks import Block, Header
from node.types.operations import Operation
from node.types.receipts import Receipt
from node.types.transactions import Transaction


class NewsFeed(Protocol):
    """Where news of the chain rises (chain/feed.py)."""

    def subscribe(self, callback: Callable[[News], None]) -> Callable[[], None]:
        """Call ``callback`` with each piece of news; returns the function that ends it."""
        ...


class PlannedFork(Protocol):
    """A fork by time (forks/schedule.py)."""

    @property
    def timestamp(self) -> int:
        """When it begins to rule, Unix seconds."""
        ...

    @property
    def spec(self) -> Spec:
        """Its rules."""
        ...


class ForkIdentity(Protocol):
    """EIP-2124 (forks/schedule.py)."""

    @property
    def hash(self) -> bytes:
        """4 bytes."""
        ...


class Forks(Protocol):
    """When which rules begin (forks/schedule.py)."""

    @property
    def activations(self) -> Sequence[PlannedFork]:
        """By time, in order."""
        ...

    def fork_id(self, genesis_hash: Hash32, genesis_timestamp: int, timestamp: int) -> ForkIdentity:
        """What identifies the chain with a head of this time."""
        ...


class ChainReads(Protocol):
    """The chain's reads (chain/chain.py). Plain functions; safe to call from a worker thread."""

    @property
    def chain_id(self) -> int:
        """EIP-155."""
        ...

    @property
    def genesis_hash(self) -> Hash32:
        """Hash of block 0."""
        ...

    @property
    def schedule(self) -> Forks:
        """Its forks."""
        ...

    @property
    def feed(self) -> NewsFeed:
        """New heads."""
        ...

    @property
    def head(self) -> Header:
        """``latest``."""
        ...

    @property
    def safe(self) -> Header:
        """``safe``."""
        ...

    @property
    def finalized(self) -> Header:
        """``finalized``."""
        ...

    @property
    def state_from(self) -> int:
        """The lowest height whose state is kept."""
        ...

    @property
    def blocks_from(self) -> int:
        """The lowest height above 0 whose block is here; 0 where all are."""
        ...

    def header_by_hash(self, block_hash: bytes) -> Header | None:
        """A known header."""
        ...

    def header_by_number(self, number: int) -> Header | None:
        """The canonical header at a height."""
        ...

    def block_by_hash(self, block_hash: bytes) -> Block | None:
        """A known block."""
        ...

    def canonical_hash(self, number: int) -> Hash32 | None:
        """The canonical block hash at a height."""
        ...

    def receipts_of(self, block_hash: bytes) -> tuple[Receipt, ...] | None:
        """The receipts of a stored block."""
        ...

    def operations_of(self, block_hash: bytes) -> tuple[Operation, ...]:
        """What consensus ordered into a stored block ahead of its transactions."""
        ...

    def transaction_location(self, transaction_hash: bytes) -> tuple[Hash32, int] | None:
        """(block hash, index) of a canonical transaction."""
        ...

    def view_at(self, header: Header) -> StateView:
        """The state after a block."""
        ...

    def nodes_at(self, header: Header) -> NodeSource:
        """Trie nodes as seen from a block."""
        ...

    def block_hashes(self, parent: Header) -> Callable[[int], Hash32]:
        """BLOCKHASH for a child of ``parent``."""
        ...

    def spec_for(self, header: Header) -> Spec:
        """The rules that this block ran under."""
        ...

    def next_spec(self, parent: Header, timestamp: int) -> Spec:
        """The rules for a child of ``parent``."""
        ...

    def search_logs(self, first: int, last: int, wanted: LogFilter, logs_max: int) -> list[FoundLog]:
        """Matching logs of canonical blocks. Raises TooManyLogs."""
        ...

    def logs_of_block(self, header: Header, wanted: LogFilter) -> list[FoundLog]:
        """Matching logs of one stored block."""
        ...


class PoolContent(Protocol):
    """All waiting transactions by sender and nonce (txpool/pool.py)."""

    @property
    def pending(self) -> Mapping[Address, Mapping[int, Transaction]]:
        """Executable ones."""
        ...

    @property
    def queued(self) -> Mapping[Address, Mapping[int, Transaction]]:
        """Those behind a gap."""
        ...


class Pool(Protocol):
    """Waiting transactions (txpool/pool.py)."""

    @property
    def on_added(self) -> list[Callable[[Transaction, bool], None]]:
        """Called with each transaction that was taken, and whether it was handed in here."""
        ...

    def add(self, tx: Transaction, local: bool, sidecar: Sidecar | None = None) -> None:
        """Take it in, with the blobs of a blob transaction. Raises PoolRejected."""
        ...

    def __contains__(self, transaction_hash: bytes) -> bool: ...

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """A waiting transaction."""
        ...

    def sidecar(self, transaction_hash: bytes) -> Sidecar | None:
        """The blobs of a waiting blob transaction."""
        ...

    def pending_nonce(self, address: Address) -> int:
        """The next nonce after the account's executable transactions."""
        ...

    def content(self) -> PoolContent:
        """Everything."""
        ...

    @property
    def revision(self) -> int:
        """Grows whenever what waits may have changed."""
        ...

    def candidates(self, base_fee: int | None = None, blob_base_fee: int = 0) -> Iterator[Transaction]:
        """Executable transactions that pay these fees (wei a gas), best first."""
        ...

    def status(self) -> tuple[int, int]:
        """How many are executable, and how many wait for a gap to close."""
        ...


class PeerFacts(Protocol):
    """What one connected peer is (p2p/peer.py, PeerInfo)."""

    @property
    def node_id(self) -> bytes:
        """32 bytes."""
        ...

    @property
    def name(self) -> str:
        """What it calls itself."""
        ...

    @property
    def remote_address(self) -> str:
        """The other end of the connection, ``host:port``."""
        ...

    @property
    def outbound(self) -> bool:
        """This node dialled."""
        ...

    @property
    def score(self) -> float:
        """Good deeds less bad ones."""
        ...

    @property
    def connected_ms(self) -> int:
        """For how long it is connected."""
        ...

    @property
    def rtt_ms(self) -> int | None:
        """The last heartbeat's way there and back; None before the first."""
        ...

    @property
    def bytes_in(self) -> int:
        """Received."""
        ...

    @property
    def bytes_out(self) -> int:
        """Sent."""
        ...

    @property
    def dropped(self) -> int:
        """Messages that made room for newer ones because the peer reads too slowly."""
        ...


class ConsensusFacts(Protocol):
    """What consensus says of itself (consensus/driver.py)."""

    def inspect(self) -> Mapping[str, Any]:
        """Engine, role, height, round, step, validators: plain JSON values."""
        ...


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """Bounds of the HTTP side: what one request may cost."""

    request_bytes_max: int = 5 * 1024 * 1024
    """geth's; the largest legitimate request is a transaction with six blobs (1.6 MB of hex)."""
    response_bytes_max: int = 64 * 1024 * 1024
    """Of one answer; a fixture of the execution-apis is 21 MB."""
    batch_items_max: int = 1_000
    batch_response_bytes_max: int = 25_000_000
    request_time_ms: int = 30_000
    """Of a whole batch; items beyond it are answered with -32002."""
    call_time_ms: int = 5_000
    """Of one eth_call, estimate or search."""
    trace_time_ms: int = 25_000
    """Of one trace; a tracer may be told to take less."""
    traces_queued_max: int = 16
    calls_queued_max: int = 256
    """Long calls waiting for a worker."""
    gas_cap: int = 50_000_000
    """Gas of one eth_call; what geth gives."""
    logs_max: int = 100_000
    log_bytes_max: int = 24 * 1024 * 1024
    """Raw data of the logs in one answer."""
    log_blocks_max: int = 1_000_000
    filters_max: int = 1_024
    filter_idle_ms: int = 300_000
    connections_max: int = 1_024
    subscriptions_max: int = 128
    """Per WebSocket connection."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What RPC is given by the roof.

    ``peers()`` lists connected peers; ``health()`` says why the node should not be used, or None;
    ``p2p_address`` is where it listens.
    """

    chain: ChainReads
    pool: Pool
    peers: Callable[[], Sequence[PeerFacts]]
    consensus: ConsensusFacts
    vm: VirtualMachine
    runtime: Runtime
    log: Log
    name: str
    version: str
    health: Callable[[], str | None] = lambda: None
    dev_keys: Mapping[Address, bytes] = field(default_factory=dict, repr=False)
    """Private keys of accounts that the node signs for, on a chain for development."""
    limits: RpcLimits = field(default_factory=RpcLimits)


def canonical(chain: ChainReads, header: Header) -> bool:
    """Whether the block stands on the canonical chain."""
    return chain.canonical_hash(header.number) == header.hash
