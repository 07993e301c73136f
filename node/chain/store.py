"""Blocks, receipts, indexes and marks in the database. All reads of the chain go through here.

Writing is split: ``stage_*`` methods fill a Batch, and head.py writes it in one durable transaction,
so that a block is either wholly there or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from node.primitives import rlp
from node.primitives.bounded_cache import BoundedCache
from node.primitives.scalars import Hash32
from node.storage import schema
from node.storage.database import Batch, Database
from node.types.blocks import Block, Header, decode_body, decode_header
from node.types.operations import MalformedOperations, Operation, decode_operations, encode_operations
from node.types.receipts import Receipt, decode_receipts, encode_receipts

CACHED_HEADERS: Final = 1024
CACHED_TRANSACTIONS: Final = 8_192
"""In cached blocks, and as many in cached receipts (about 2 KB each): full blocks must not fill memory."""
STATE_FROM: Final = "state-from"
BLOCKS_FROM: Final = "blocks-from"


class CorruptDatabase(RuntimeError):
    """The database lacks or garbles something that it must hold; the node must not go on."""


def _weight_of_block(block: Block) -> int:
    return len(block.transactions) + 16


def _weight_of_receipts(receipts: tuple[Receipt, ...]) -> int:
    return len(receipts) + 16


class ChainStore:
    """Reads, and batches to write. Caches hold immutable content-addressed values only."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.on_nodes: Callable[[Iterable[bytes]], None] | None = None
        """Hears the hashes of all trie nodes that are about to be written."""
        self._headers: BoundedCache[bytes, Header] = BoundedCache(CACHED_HEADERS)
        self._blocks: BoundedCache[bytes, Block] = BoundedCache(CACHED_TRANSACTIONS, _weight_of_block)
        self._receipts: BoundedCache[bytes, tuple[Receipt, ...]] = BoundedCache(
            CACHED_TRANSACTIONS, _weight_of_receipts
        )

    # --- reads ---

    def header(self, block_hash: bytes) -> Header | None:
        """A stored header."""
        header = self._headers.get(block_hash)
        if header is None:
            raw = self.database.get(schema.header(block_hash))
            if raw is None:
                return None
            header = decode_header(raw)
            self._headers.put(block_hash, header)
        return header

    def block(self, block_hash: bytes) -> Block | None:
        """A stored block."""
        block = self._blocks.get(block_hash)
        if block is None:
            header = self.header(block_hash)
            raw = self.database.get(schema.body(block_hash))
            if header is None or raw is None:
                return None
            block = decode_body(header, raw)
            self._blocks.put(block_hash, block)
        return block

    def receipts(self, block_hash: bytes) -> tuple[Receipt, ...] | None:
        """The receipts of a stored block."""
        receipts = self._receipts.get(block_hash)
        if receipts is None:
            raw = self.database.get(schema.receipts(block_hash))
            if raw is None:
                return None
            receipts = decode_receipts(raw)
            self._receipts.put(block_hash, receipts)
        return receipts

    def seal(self, block_hash: bytes) -> bytes | None:
        """What consensus decided the block by."""
        return self.database.get(schema.seal(block_hash))

    def operations(self, block_hash: bytes) -> tuple[Operation, ...]:
        """What consensus wrote into the state ahead of the block's transactions. Raises CorruptDatabase."""
        raw = self.database.get(schema.operations(block_hash))
        if raw is None:
            return ()
        try:
            return decode_operations(raw)
        except MalformedOperations as error:
            raise CorruptDatabase(f"operations of block 0x{block_hash.hex()}: {error}") from error

    def unfinalized(self) -> list[tuple[int, Hash32]]:
        """(height, hash) of every block that was stored before it was final, lowest first."""
        start = len(schema.UNFINALIZED)
        return [
            (int.from_bytes(key[start : start + 8], "big"), Hash32(key[start + 8 :]))
            for key, _ in self.database.iterate(schema.UNFINALIZED)
        ]

    def canonical_hash(self, number: int) -> Hash32 | None:
        """The canonical block at a height."""
        if number < 0 or number >= 2**64:
            return None
        raw = self.database.get(schema.canonical(number))
        return None if raw is None else Hash32(raw)

    def transaction_location(self, transaction_hash: bytes) -> tuple[Hash32, int] | None:
        """(block hash, index) of a canonical transaction."""
        raw = self.database.get(schema.transaction(transaction_hash))
        return None if raw is None else (Hash32(raw[:32]), int.from_bytes(raw[32:], "big"))

    def mark(self, name: str) -> Hash32 | None:
        """A named mark: genesis, head, safe, finalized."""
        raw = self.database.get(schema.mark(name))
        return None if raw is None else Hash32(raw)

    def node(self, node_hash: bytes) -> bytes | None:
        """RLP of a trie node."""
        return self.database.get(schema.NODE + node_hash)

    def code(self, code_hash: bytes) -> bytes | None:
        """Contract code."""
        return self.database.get(schema.CODE + code_hash)

    # --- staging ---

    def stage_block(
        self, batch: Batch, block: Block, receipts: tuple[Receipt, ...], operations: tuple[Operation, ...] = ()
    ) -> None:
        """Header, body, receipts, and what consensus ordered."""
        block_hash = block.hash
        batch.put(schema.header(block_hash), block.header.encode())
        batch.put(schema.body(block_hash), block.encode_body())
        batch.put(schema.receipts(block_hash), encode_receipts(receipts))
        if operations:
            batch.put(schema.operations(block_hash), encode_operations(operations))

    def stage_unfinalized(self, batch: Batch, block: Block) -> None:
        """Note that the block is stored and not final."""
        batch.put(schema.unfinalized(block.number, block.hash), b"")

    def stage_settled(self, batch: Batch, number: int, block_hash: bytes) -> None:
        """Take back what ``stage_unfinalized`` wrote."""
        batch.delete(schema.unfinalized(number, block_hash))

    def stage_forgotten(self, batch: Batch, block_hash: bytes) -> None:
        """Delete a block that finality has cut off. Its state nodes stay: other blocks may share them."""
        for name in (schema.header, schema.body, schema.receipts, schema.seal, schema.operations):
            batch.delete(name(block_hash))

    def forget(self, block_hash: bytes) -> None:
        """Drop a deleted block from the caches."""
        self._headers.drop(block_hash)
        self._blocks.drop(block_hash)
        self._receipts.drop(block_hash)

    def remember(self, block: Block, receipts: tuple[Receipt, ...]) -> None:
        """Keep a block that has just been written: its transactions know their senders, a decoded copy would not."""
        self._headers.put(block.hash, block.header)
        self._blocks.put(block.hash, block)
        self._receipts.put(block.hash, receipts)

    def stage_state(self, batch: Batch, nodes: dict[Hash32, bytes], codes: dict[Hash32, bytes]) -> None:
        """New trie nodes and codes."""
        if self.on_nodes is not None:
            self.on_nodes(nodes)
        entries = batch.entries
        for node_hash, node in nodes.items():
            entries[schema.NODE + node_hash] = node
        for code_hash, code in codes.items():
            entries[schema.CODE + code_hash] = code

    def stage_canonical(self, batch: Batch, block: Block) -> None:
        """Number and transactions point to this block."""
        block_hash = block.hash
        batch.put(schema.canonical(block.number), block_hash)
        for index, tx in enumerate(block.transactions):
            batch.put(schema.transaction(tx.hash), block_hash + index.to_bytes(4, "big"))

    def stage_uncanonical(self, batch: Batch, block: Block) -> None:
        """Take back what ``stage_canonical`` wrote; blocks that replace it are staged afterwards."""
        batch.delete(schema.canonical(block.number))
        for tx in block.transactions:
            batch.delete(schema.transaction(tx.hash))

    def stage_seal(self, batch: Batch, block_hash: bytes, seal: bytes) -> None:
        """What consensus decided the block by."""
        batch.put(schema.seal(block_hash), seal)

    def state_from(self) -> int:
        """The lowest height whose state may be whole: those below it have been pruned."""
        raw = self.database.get(schema.mark(STATE_FROM))
        return 0 if raw is None else int.from_bytes(raw, "big")

    def stage_state_from(self, batch: Batch, number: int) -> None:
        """Say that states below this height are no longer kept."""
        batch.put(schema.mark(STATE_FROM), number.to_bytes(8, "big"))

    def blocks_from(self) -> int:
        """The lowest height above 0 whose block was ever here: a node that joined by a state lacks those below."""
        raw = self.database.get(schema.mark(BLOCKS_FROM))
        return 0 if raw is None else int.from_bytes(raw, "big")

    def stage_blocks_from(self, batch: Batch, number: int) -> None:
        """Say that blocks below this height, but for the genesis block, never came."""
        batch.put(schema.mark(BLOCKS_FROM), number.to_bytes(8, "big"))

    def stage_mark(self, batch: Batch, name: str, block_hash: bytes) -> None:
        """Move a mark."""
        batch.put(schema.mark(name), block_hash)

    # --- opening ---

    def check_schema(self) -> bool:
        """True for a database of ours, False for a fresh one. Raises CorruptDatabase for another version."""
        raw = self.database.get(schema.mark("schema"))
        if raw is None:
            if next(self.database.iterate(b""), None) is not None:
                raise CorruptDatabase("the directory holds a database that evmesh did not write")
            return False
        try:
            version = rlp.as_int(rlp.decode(raw), "schema version")
        except rlp.RLPError as error:
            raise CorruptDatabase(f"schema version is unreadable: {error}") from error
        if version != schema.SCHEMA_VERSION:
            raise CorruptDatabase(
                f"the database has layout {version}, this program reads {schema.SCHEMA_VERSION}; use a new directory"
            )
        return True

    def stage_schema(self, batch: Batch) -> None:
        """Say which layout this is."""
        batch.put(schema.mark("schema"), rlp.encode_int(schema.SCHEMA_VERSION))
