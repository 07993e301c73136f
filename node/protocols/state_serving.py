"""What a node that joins is given: final headers with seals, pieces of states, recent blocks with receipts.

| request | payload | answer |
|---|---|---|
| headers/1 | [first, count]; first 0: the last ``count`` final ones | [[header, seal], …], consecutive, upwards |
| state/1 | [[kind, hash], …] | [bytes, …] in the same order, empty where there is none; may end early |
| recent/1 | [last, count] | [[header, body, seal, receipts], …], consecutive, downwards from ``last`` |

Headers, bodies, seals and receipts are strings of their own encodings. An answer ends where it would pass its bound,
but always holds one item. The database is walked by a worker, for one request at a time; a peer that asks for more
bytes than its share gets its answers later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, ParamSpec, Protocol, TypeVar

from node.chain.state_download import Piece, key_of
from node.p2p.identity import NodeId
from node.p2p.rate_limit import Rate, TokenBucket
from node.p2p.requests import RequestRefused
from node.p2p.scoring import REJECTED
from node.p2p.wire import PAYLOAD_BYTES_MAX
from node.primitives import rlp
from node.runtime.runtime import Runtime
from node.state.links import Link
from node.storage import schema
from node.storage.database import Database
from node.types.blocks import Header

P = ParamSpec("P")
T = TypeVar("T")

HEADERS: Final = "headers/1"
STATE: Final = "state/1"
RECENT: Final = "recent/1"

HEADERS_MAX: Final = 256
PIECES_MAX: Final = 384
RECENT_MAX: Final = 32
ANSWER_BYTES: Final = 512 * 1024
"""An answer of several items ends before the one that would pass this."""
REQUEST_BYTES_MAX: Final = 16 * 1024
PEER_RATE: Final = Rate(8 * 1024 * 1024, 32 * 1024 * 1024)
"""Bytes a second to one peer."""
PEERS_MAX: Final = 256
READ_AT_ONCE: Final = 64
"""Pieces read before the size is looked at: codes may be large."""
_HEADER_ROW: Final = (schema.header, schema.seal)
_RECENT_ROW: Final = (schema.header, schema.body, schema.seal, schema.receipts)


class ServedChain(Protocol):
    """Whose blocks these are (node/chain/chain.py)."""

    @property
    def head(self) -> Header:
        """The head."""
        ...

    @property
    def finalized(self) -> Header:
        """What nothing undoes."""
        ...


# --- the wire -----------------------------------------------------------------------------------


def encode_range(first: int, count: int) -> bytes:
    """The payload of ``headers/1`` and ``recent/1``."""
    return rlp.encode_list([rlp.encode_int(first), rlp.encode_int(count)])


def decode_range(payload: bytes, count_max: int) -> tuple[int, int]:
    """(first or last, count). Raises RLPError."""
    if len(payload) > 32:
        raise rlp.RLPError(f"request of {len(payload)} bytes")
    number, count = rlp.as_list(rlp.decode(payload), "request", 2)
    asked = rlp.as_int(number, "number", 63), rlp.as_int(count, "count", 16)
    if not 1 <= asked[1] <= count_max:
        raise rlp.RLPError("count out of bounds")
    return asked


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    """The payload of ``state/1``."""
    return rlp.encode_list(
        [rlp.encode_list([rlp.encode_int(piece.link), rlp.encode_bytes(piece.hash)]) for piece in pieces]
    )


def decode_pieces(payload: bytes) -> list[Piece]:
    """What is asked for. Raises RLPError."""
    if len(payload) > REQUEST_BYTES_MAX:
        raise rlp.RLPError(f"request of {len(payload)} bytes")
    pieces = []
    for item in rlp.decode_list(payload):
        kind, name = rlp.as_list(item, "piece", 2)
        link = rlp.as_int(kind, "kind", 8)
        if link > Link.CODE:
            raise rlp.RLPError(f"kind {link}")
        pieces.append(Piece(Link(link), rlp.as_bytes(name, "hash", 32)))
    if not 1 <= len(pieces) <= PIECES_MAX:
        raise rlp.RLPError(f"{len(pieces)} pieces")
    return pieces


def decode_strings(payload: bytes, count_max: int) -> list[bytes]:
    """The answer to ``state/1``. Raises RLPError."""
    return [rlp.decode_string(item) for item in rlp.split_list(payload, count_max)]


def decode_rows(payload: bytes, count_max: int, width: int) -> list[list[bytes]]:
    """The answer to the other two: rows of ``width`` strings. Raises RLPError."""
    rows = []
    for entry in rlp.split_list(payload, count_max):
        parts = rlp.split_list(entry, width)
        if len(parts) != width:
            raise rlp.RLPError(f"entry: {len(parts)} items where {width} were expected")
        rows.append([rlp.decode_string(part) for part in parts])
    return rows


# --- the server ---------------------------------------------------------------------------------


class StateServing:
    """Serves all three from a node's database."""

    def __init__(self, chain: ServedChain, database: Database, runtime: Runtime) -> None:
        self._chain = chain
        self._database = database
        self._runtime = runtime
        self._turn = asyncio.Semaphore(1)
        self._shares: dict[NodeId, TokenBucket] = {}

    async def headers(self, peer: NodeId, payload: bytes) -> bytes:
        """``headers/1``. Raises RequestRefused for a request that no honest node sends."""
        first, count = _read(HEADERS, decode_range, payload, HEADERS_MAX)
        last = min(self._chain.head.number, first + count - 1)
        if first == 0:
            last = self._chain.finalized.number
            first = max(1, last - count + 1)
        return await self._answer(peer, lambda: self._rows(range(first, last + 1), _HEADER_ROW))

    async def state(self, peer: NodeId, payload: bytes) -> bytes:
        """``state/1``. Raises RequestRefused."""
        pieces = _read(STATE, decode_pieces, payload)
        keys = [key_of(piece) for piece in pieces]

        def encoded() -> Iterator[bytes]:
            for start in range(0, len(keys), READ_AT_ONCE):
                for value in self._database.get_many(keys[start : start + READ_AT_ONCE]):
                    yield rlp.encode_bytes(value or b"")

        return await self._answer(peer, encoded)

    async def recent(self, peer: NodeId, payload: bytes) -> bytes:
        """``recent/1``. Raises RequestRefused."""
        last, count = _read(RECENT, decode_range, payload, RECENT_MAX)
        last = min(last, self._chain.head.number)
        return await self._answer(peer, lambda: self._rows(range(last, max(0, last - count), -1), _RECENT_ROW))

    def _rows(self, numbers: range, columns: Sequence[Callable[[bytes], bytes]]) -> Iterator[bytes]:
        """Canonical blocks in the order of ``numbers``, until one is not here."""
        for number in numbers:
            block_hash = self._database.get(schema.canonical(number))
            values = [] if block_hash is None else self._database.get_many([column(block_hash) for column in columns])
            if not values or values[0] is None:
                return
            yield rlp.encode_list([rlp.encode_bytes(value or b"") for value in values])

    async def _answer(self, peer: NodeId, items: Callable[[], Iterator[bytes]]) -> bytes:
        async with self._turn:
            answer = await self._runtime.workers.run(_within_bounds, items)
        pause_ms = self._share_of(peer).wait_ms(self._runtime.clock.monotonic_ms(), len(answer))
        if pause_ms:
            await asyncio.sleep(pause_ms / 1000)  # its requests are counted, so few answers wait here
        return answer

    def _share_of(self, peer: NodeId) -> TokenBucket:
        share = self._shares.pop(peer, None)
        if share is None:
            if len(self._shares) >= PEERS_MAX:
                del self._shares[next(iter(self._shares))]
            share = TokenBucket(PEER_RATE, self._runtime.clock.monotonic_ms())
        self._shares[peer] = share  # most recently used stands last
        return share


def _read(name: str, decode: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return decode(*arguments, **named)
    except rlp.RLPError as error:
        raise RequestRefused(f"{name}: {error}", REJECTED) from error


def _within_bounds(items: Callable[[], Iterator[bytes]]) -> bytes:
    taken: list[bytes] = []
    room = ANSWER_BYTES
    for item in items():
        room -= len(item)
        if room < 0 and taken:
            break
        if len(item) > PAYLOAD_BYTES_MAX - 16:
            raise RequestRefused("larger than a message may be")
        taken.append(item)
    return rlp.encode_list(taken)
