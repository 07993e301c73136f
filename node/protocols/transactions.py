"""Transactions between pools.

    handed in here ──25 ms──▶ pushed in batches to every peer
    from a peer    ──25 ms──▶ hash announced to peers that the sender does not reach
                   ──500 ms─▶ hash announced to the others, as a repair
    a peer comes   ─────────▶ all the pool's hashes announced to it

An announced hash that is unknown is fetched from whoever announced it first, and from the next one when that one does
not deliver. In a full mesh each transaction crosses each link once. Everything travels as direct messages on four
topics, so that each transaction of a batch is judged by itself.

Blob transactions are large: they are announced only, and who wants one is sent it alone, with its blobs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

import msgpack

from node.crypto.hashes import keccak256
from node.p2p.fetch_table import FetchBounds, FetchTable
from node.p2p.identity import NodeId, short
from node.p2p.rate_limit import Rate, TokenBucket
from node.p2p.switch import Switch
from node.p2p.verdict import ACCEPT, IGNORE, REJECT, Verdict
from node.primitives.scalars import Hash32
from node.runtime.runtime import Runtime
from node.runtime.task_scope import TaskScope
from node.telemetry.logs import Log
from node.txpool.rejection import PoolRejected
from node.types.blobs import InvalidSidecar, Sidecar, decode_wrapped, encode_wrapped
from node.types.invalid import InvalidTransaction
from node.types.transactions import BLOB, Transaction, decode

BATCH: Final = "tx/batch"
"""Topic: msgpack array of encoded transactions."""
HASHES: Final = "tx/hashes"
"""Topic: hashes of transactions that the sender has, one after the other."""
WANTED: Final = "tx/wanted"
"""Topic: hashes of transactions that the sender asks for."""

BLOBS: Final = "tx/blobs"
"""Topic: one blob transaction in its network form."""

WINDOW_MS: Final = 25
"""How long transactions gather before they leave."""
BATCH_BYTES: Final = 60 * 1024
"""Room for a frame's and a message's own bytes below p2p's 64 KiB."""
BATCH_BYTES_MAX: Final = 256 * 1024
"""A batch may hold a single larger transaction; the pool bounds that."""
BATCH_ITEMS_MAX: Final = 4096
HASHES_MAX: Final = 1024
WANTED_MAX: Final = 256
LATE_MS: Final = 500
REPEAT_MS: Final = 10_000
REPEAT_MAX: Final = 512
"""The oldest waiting transactions are announced again and again: whatever was lost on the way arrives after all."""
SEEN_MAX: Final = 16_384
SEEN_MS: Final = 30_000
"""A hash dealt with is not fetched again for this long, though the transaction has left the pool for a block."""
KNOWN_PER_PEER_MAX: Final = 4096
OUTGOING_MAX: Final = 16_384
READ_IN_PLACE_MAX: Final = 20
"""Larger batches are decoded, and their senders recovered, by a worker (100 µs a transaction)."""
ADDED_AT_ONCE_MAX: Final = 32
"""After so many the event loop gets its turn."""
FETCHES: Final = FetchBounds(keys_max=32_768, keys_per_peer_max=16_384, asked_per_peer_max=512, answer_ms=1500)
SERVED_BYTES: Final = Rate(4 * 1024 * 1024, 16 * 1024 * 1024)
"""What one peer may fetch from us."""


NOTED: Final = IGNORE("")
"""Neither good nor bad, and not worth a line in the log."""


class Pool(Protocol):
    """What is asked of the pool (txpool/pool.py)."""

    on_added: list[Callable[[Transaction, bool], None]]

    def add(self, tx: Transaction, local: bool, sidecar: Sidecar | None = None) -> None:
        """Take it. Raises PoolRejected, ``permanent`` where no honest peer would have passed it on."""
        ...

    def sidecar(self, transaction_hash: bytes) -> Sidecar | None:
        """The blobs of a waiting blob transaction."""
        ...

    def get(self, transaction_hash: bytes) -> Transaction | None:
        """The transaction, if it waits here."""
        ...

    def __contains__(self, transaction_hash: bytes) -> bool: ...

    def transactions(self) -> list[Transaction]:
        """All of them, in order of arrival."""
        ...


class _PeerState:
    """What we know of one peer's pool, and what it is to hear."""

    __slots__ = ("known", "late", "served", "soon")

    def __init__(self, now_ms: int) -> None:
        self.known: dict[Hash32, None] = {}
        self.soon: dict[Hash32, None] = {}
        self.late: dict[Hash32, None] = {}
        self.served = TokenBucket(SERVED_BYTES, now_ms)

    def knows(self, tx_hash: Hash32) -> None:
        self.known[tx_hash] = None
        if len(self.known) > KNOWN_PER_PEER_MAX:
            del self.known[next(iter(self.known))]


class TransactionExchange:
    """Keeps this node's pool and its peers' pools alike."""

    def __init__(self, pool: Pool, switch: Switch, runtime: Runtime, log: Log) -> None:
        self._pool = pool
        self._switch = switch
        self._runtime = runtime
        self._log = log
        self._peers: dict[NodeId, _PeerState] = {}
        self._missing = FetchTable(FETCHES)
        self._seen: dict[Hash32, int] = {}  # hash -> when, oldest first
        self._outgoing: dict[Hash32, Transaction] = {}
        self._outgoing_bytes = 0
        self._source: NodeId | None = None  # whose transaction is being added
        self._work = asyncio.Event()
        self._full = asyncio.Event()
        pool.on_added.append(self._on_added)
        switch.on_peer_up(self._on_peer_up)
        switch.on_peer_down(self._on_peer_down)
        switch.gossip.subscribe(BATCH, self._on_batch)
        switch.gossip.subscribe(HASHES, self._on_hashes)
        switch.gossip.subscribe(WANTED, self._on_wanted)
        switch.gossip.subscribe(BLOBS, self._on_blobs)

    def start(self, scope: TaskScope) -> None:
        """Send as tasks of ``scope``."""
        scope.spawn(self._send_loop(), "send transactions")
        scope.spawn(self._repair_loop(), "repair transactions")
        scope.spawn(self._repeat_loop(), "repeat transactions")

    # --- what happens here ---

    def _on_added(self, tx: Transaction, local: bool) -> None:
        tx_hash, source = tx.hash, self._source
        self._missing.got(tx_hash)
        self._note_seen(tx_hash)
        if tx.type == BLOB:
            local = False  # announced, not pushed
        if local and len(self._outgoing) < OUTGOING_MAX:  # beyond: the repairs will do
            self._outgoing[tx_hash] = tx
            self._outgoing_bytes += len(tx.encode())
        for node_id, peer in self._peers.items():
            if node_id == source or tx_hash in peer.known:
                continue
            reached = local or (source is not None and self._switch.reaches(source, node_id))
            announced = peer.late if reached else peer.soon
            if len(announced) < OUTGOING_MAX:
                announced[tx_hash] = None
        if self._outgoing_bytes >= BATCH_BYTES:
            self._full.set()
        self._work.set()

    def _on_peer_up(self, node_id: NodeId) -> None:
        peer = self._peers[node_id] = _PeerState(self._runtime.clock.monotonic_ms())
        for tx in self._pool.transactions():
            peer.soon[tx.hash] = None
        self._work.set()

    def _on_peer_down(self, node_id: NodeId) -> None:
        self._peers.pop(node_id, None)
        self._missing.drop_peer(node_id)

    def _note_seen(self, tx_hash: Hash32) -> None:
        self._seen.pop(tx_hash, None)
        self._seen[tx_hash] = self._runtime.clock.monotonic_ms()
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    def _is_known(self, tx_hash: Hash32) -> bool:
        if tx_hash in self._pool:
            return True
        seen_ms = self._seen.get(tx_hash)
        return seen_ms is not None and seen_ms + SEEN_MS > self._runtime.clock.monotonic_ms()

    # --- sending ---

    async def _send_loop(self) -> None:
        while True:
            await self._work.wait()
            try:
                async with asyncio.timeout(WINDOW_MS / 1000):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._work.clear()
            self._full.clear()
            self._push()
            for node_id, peer in self._peers.items():
                self._announce(node_id, peer, peer.soon)
                peer.soon = {}

    def _push(self) -> None:
        outgoing, self._outgoing, self._outgoing_bytes = self._outgoing, {}, 0
        if not outgoing:
            return
        for_all = _batches(tx.encode() for tx in outgoing.values())
        for node_id, peer in self._peers.items():
            unknown = [tx.encode() for tx_hash, tx in outgoing.items() if tx_hash not in peer.known]
            for batch in for_all if len(unknown) == len(outgoing) else _batches(unknown):
                self._switch.send(node_id, BATCH, batch)

    def _announce(self, node_id: NodeId, peer: _PeerState, hashes: Iterable[Hash32]) -> None:
        fresh = [tx_hash for tx_hash in hashes if tx_hash not in peer.known and tx_hash in self._pool]
        for start in range(0, len(fresh), HASHES_MAX):
            self._switch.send(node_id, HASHES, b"".join(fresh[start : start + HASHES_MAX]))

    async def _repair_loop(self) -> None:
        while True:
            await asyncio.sleep(LATE_MS / 1000)
            for node_id, peer in self._peers.items():
                if peer.late:
                    self._announce(node_id, peer, peer.late)
                    peer.late = {}
            self._missing.overdue(self._runtime.clock.monotonic_ms())
            for node_id in self._missing.waiting():
                self._ask(node_id)

    async def _repeat_loop(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_MS / 1000)
            oldest = [tx.hash for tx in self._pool.transactions()[:REPEAT_MAX]]
            for node_id, peer in self._peers.items():
                self._announce(node_id, peer, oldest)

    def _ask(self, node_id: NodeId) -> None:
        while hashes := self._missing.ask(node_id, self._runtime.clock.monotonic_ms(), WANTED_MAX):
            self._switch.send(node_id, WANTED, b"".join(hashes))

    # --- what peers send ---

    async def _on_hashes(self, node_id: NodeId, payload: bytes) -> Verdict:
        hashes = _split_hashes(payload, HASHES_MAX)
        if hashes is None:
            return REJECT(f"{len(payload)} bytes are no list of up to {HASHES_MAX} hashes")
        peer = self._peers.get(node_id)
        if peer is None:
            return IGNORE("peer is gone")
        for tx_hash in hashes:
            peer.knows(tx_hash)
            if not self._is_known(tx_hash):
                self._missing.add(tx_hash, node_id)
        self._ask(node_id)
        return NOTED

    async def _on_wanted(self, node_id: NodeId, payload: bytes) -> Verdict:
        hashes = _split_hashes(payload, WANTED_MAX)
        if hashes is None:
            return REJECT(f"{len(payload)} bytes are no list of up to {WANTED_MAX} hashes")
        peer = self._peers.get(node_id)
        if peer is None:
            return IGNORE("peer is gone")
        found = [tx for tx in map(self._pool.get, hashes) if tx is not None]
        messages = [(BATCH, batch) for batch in _batches(tx.encode() for tx in found if tx.type != BLOB)]
        for tx in found:
            sidecar = self._pool.sidecar(tx.hash)
            if sidecar is not None:
                messages.append((BLOBS, encode_wrapped(tx.encode(), sidecar)))
        for topic, message in messages:
            if not peer.served.take(self._runtime.clock.monotonic_ms(), len(message)):
                return IGNORE("it has fetched its share for now")
            self._switch.send(node_id, topic, message)
        return NOTED

    async def _on_blobs(self, node_id: NodeId, payload: bytes) -> Verdict:
        """Only what was asked for is looked at: checking proofs takes tens of milliseconds a blob."""
        try:
            raw, sidecar = decode_wrapped(payload)
        except InvalidSidecar as error:
            return REJECT(f"no blob transaction: {error}")
        tx_hash = keccak256(raw)
        if tx_hash not in self._missing or self._is_known(tx_hash):
            return IGNORE("nobody asked for it")
        self._missing.got(tx_hash)
        tx = _read([raw])[0]
        if isinstance(tx, InvalidTransaction):
            return REJECT(f"no valid transaction: {tx}")
        if not await self._runtime.workers.run(sidecar.holds):
            return REJECT(f"transaction 0x{tx_hash.hex()}: the proofs of its blobs do not hold")
        try:
            self._add(node_id, tx, sidecar)
        except PoolRejected as rejected:
            self._note_seen(tx_hash)
            if rejected.permanent:
                return REJECT(f"transaction 0x{tx_hash.hex()}: {rejected.message}")
            return IGNORE(f"transaction not taken: {rejected.message}")
        return ACCEPT

    async def _on_batch(self, node_id: NodeId, payload: bytes) -> Verdict:
        """Each transaction is judged by itself; the verdict on the batch is that on its worst."""
        items = _split_batch(payload)
        if items is None:
            return REJECT("not a batch of transactions")
        peer = self._peers.get(node_id)
        fresh: list[bytes] = []
        for raw in items:
            tx_hash = keccak256(raw)
            self._missing.got(tx_hash)
            if peer is not None:
                peer.knows(tx_hash)
            if not self._is_known(tx_hash):
                fresh.append(raw)
        if len(fresh) > READ_IN_PLACE_MAX:
            read = await self._runtime.workers.run(_read, fresh)
        else:
            read = _read(fresh)
        lie: Verdict | None = None
        added = 0
        for index, tx in enumerate(read):
            if index and index % ADDED_AT_ONCE_MAX == 0:
                await asyncio.sleep(0)
            if isinstance(tx, InvalidTransaction):
                lie = lie or REJECT(f"no valid transaction: {tx}")
                continue
            try:
                self._add(node_id, tx)
                added += 1
            except PoolRejected as rejected:
                self._note_seen(tx.hash)
                if rejected.permanent:
                    lie = lie or REJECT(f"transaction 0x{tx.hash.hex()}: {rejected.message}")
                else:
                    self._log.debug("transaction not taken", hash=tx.hash, peer=short(node_id), why=rejected.message)
        self._ask(node_id)
        if lie is not None:
            return lie
        return ACCEPT if added else IGNORE("nothing new")

    def _add(self, node_id: NodeId, tx: Transaction, sidecar: Sidecar | None = None) -> None:
        """Between here and ``_on_added`` nothing else runs: the source is certain."""
        self._source = node_id
        try:
            self._pool.add(tx, False, sidecar)
        finally:
            self._source = None


def _read(items: Sequence[bytes]) -> list[Transaction | InvalidTransaction]:
    """Decode, and recover the senders. Pure."""
    read: list[Transaction | InvalidTransaction] = []
    for raw in items:
        try:
            tx = decode(raw)
            _ = tx.sender  # kept in the transaction
            read.append(tx)
        except InvalidTransaction as invalid:
            read.append(invalid)
    return read


def _batches(items: Iterable[bytes]) -> list[bytes]:
    batches: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for item in items:
        if gathered and (size + len(item) > BATCH_BYTES or len(gathered) >= BATCH_ITEMS_MAX):
            batches.append(bytes(msgpack.packb(gathered)))
            gathered, size = [], 0
        gathered.append(item)
        size += len(item) + 5
    if gathered:
        batches.append(bytes(msgpack.packb(gathered)))
    return batches


def _split_batch(payload: bytes) -> list[bytes] | None:
    if len(payload) > BATCH_BYTES_MAX:
        return None
    try:
        items: Any = msgpack.unpackb(
            payload,
            raw=True,
            max_array_len=BATCH_ITEMS_MAX,
            max_bin_len=BATCH_BYTES_MAX,
            max_str_len=0,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, msgpack.UnpackException):
        return None
    if type(items) is not list or not items or not all(type(item) is bytes and item for item in items):
        return None
    return items


def _split_hashes(payload: bytes, count_max: int) -> list[Hash32] | None:
    count, rest = divmod(len(payload), 32)
    if rest or not 0 < count <= count_max:
        return None
    return [Hash32(payload[start : start + 32]) for start in range(0, len(payload), 32)]
