"""Join from a state: find a final block that is proven, fetch its state by hash and the last blocks, begin there.

    peers ─▶ pivot: headers and seals, judged by consensus (``PivotProof``)
               │
               ▼
             state: pieces by hash, from all peers at once ─▶ database ─▶ the validators that it names are checked
               │ nobody has them any more: a newer pivot, and what came so far is not fetched again
               ▼
             the last 256 blocks with receipts ─▶ one durable write: they are the chain, the pivot is its head

Runs before there is a node: an engine cannot jump heights. Whatever goes wrong ends in "no": the node then executes
everything from the first block on, as it would have without this. Nothing of a peer is believed but by a hash or a
signature; who lies is asked nothing more, who is silent or has nothing rests for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from node.chain.adoption import Adoption, BadBlock
from node.chain.chain import Chain
from node.chain.state_download import BadState, StateDownload
from node.consensus.engine import InvalidSeal
from node.p2p.identity import NodeId
from node.primitives import rlp
from node.primitives.scalars import Hash32
from node.protocols.sources import LOOK_MS, BadAnswer, GivenUp, Sources
from node.protocols.state_fetch import StalePivot, StateFetch
from node.protocols.state_serving import HEADERS, HEADERS_MAX, RECENT, RECENT_MAX, decode_rows, encode_range
from node.runtime.runtime import Runtime
from node.state.view import StateView
from node.telemetry.logs import Log
from node.types.blocks import Header, decode_header
from node.types.invalid import InvalidBlock

HEADER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of an answer with headers and seals; an honest one has half a megabyte, or one larger seal."""
PEERS_WAIT_MS: Final = 5_000
"""How long somebody with a state is waited for at the start."""
PIVOTS_MAX: Final = 64
BARREN_PIVOTS_MAX: Final = 8
"""Pivots in a row for which nothing could be fetched."""
TOLD_MS: Final = 5_000
"""Between two log lines on the progress."""


class PivotProof(Protocol):
    """Consensus' word on where to begin (consensus/bft/pivot.py, consensus/pos/pivot.py)."""

    @property
    def header(self) -> Header | None:
        """The block to start from, as far as it is proven."""
        ...

    def next_request(self) -> tuple[int, int]:
        """(first, count) of headers to ask for; first 0: the last final ones."""
        ...

    def take(self, offered: Sequence[tuple[Header, bytes]]) -> bool:
        """Judge headers and seals; True when this peer need not be asked for more. Raises InvalidSeal."""
        ...

    def check_state(self, view: StateView) -> None:
        """Judge the state that was fetched. Raises InvalidSeal."""
        ...

    def seal_for(self, header: Header, offered: bytes) -> bytes | None:
        """The seal to keep beside one of the last blocks, None where none is proven."""
        ...


class FastSync:
    """One attempt; ``run`` once."""

    def __init__(
        self,
        chain: Chain,
        proof: PivotProof,
        sources: Sources,
        runtime: Runtime,
        log: Log,
        expected_peers: int,
        blocks_min: int,
    ) -> None:
        """``chain`` stands at its genesis block. ``expected_peers``: when so many are there and none is ahead, nobody
        else is waited for. ``blocks_min``: from which height on a pivot is worth it.
        """
        self._chain = chain
        self._proof = proof
        self._sources = sources
        self._runtime = runtime
        self._log = log
        self._expected_peers = expected_peers
        self._blocks_min = blocks_min
        self._target = 0
        self._told_ms = 0
        self.pieces = 0
        """Trie nodes and codes that came, over all pivots."""
        self.bytes = 0
        self.pivots = 0

    def progress(self) -> dict[str, int] | None:
        """Block numbers it goes ``from`` and ``to``, and what came; None while it is not under way."""
        if not self._target:
            return None
        return {"from": 0, "to": self._target, "pieces": self.pieces, "bytes": self.bytes}

    async def run(self) -> Header | None:
        """The block that is the head now; None where nothing has changed and the usual way must do."""
        began_ms = self._now()
        try:
            if not await self._somebody_is_ahead():
                return None
            pivot = await self._fetch_all()
        except GivenUp as why:
            self._log.warning("fast sync given up: every block will be executed", why=str(why))
            return None
        finally:
            self._target = 0
        self._log.info(
            "fast sync done",
            height=pivot.number,
            hash=pivot.hash,
            state_root=pivot.state_root,
            pieces=self.pieces,
            bytes=self.bytes,
            received_bytes=self._sources.received_bytes,
            pivots=self.pivots,
            milliseconds=self._now() - began_ms,
        )
        return pivot

    def _now(self) -> int:
        return self._runtime.clock.monotonic_ms()

    async def _somebody_is_ahead(self) -> bool:
        until_ms = self._now() + PEERS_WAIT_MS
        while True:
            claims = self._sources.claims()
            if any(claim.height >= self._blocks_min for claim in claims):
                return True
            if len(claims) >= self._expected_peers or self._now() >= until_ms:
                highest = max((claim.height for claim in claims), default=0)
                self._log.info("no fast sync: nobody is far ahead", peers=len(claims), highest=highest)
                return False
            await asyncio.sleep(LOOK_MS / 1000)

    async def _fetch_all(self) -> Header:
        barren = 0
        while self.pivots < PIVOTS_MAX and barren < BARREN_PIVOTS_MAX:
            pivot = await self._find_pivot()
            before = self.pieces
            try:
                await self._fetch_state(pivot)
                await self._runtime.workers.run(self._proof.check_state, self._chain.view_at(pivot))
                adoption, seals = await self._fetch_recent(pivot)
            except (StalePivot, InvalidSeal, BadState) as why:
                self._log.info("another pivot is needed", height=pivot.number, why=str(why))
                barren = barren + 1 if self.pieces == before else 0
                self._sources.wake()
                await asyncio.sleep(LOOK_MS * 4 / 1000)
                continue
            await self._runtime.workers.run(adoption.finish, seals)
            return pivot
        raise GivenUp(f"{self.pivots} pivots did not hold")

    # --- the pivot ---

    async def _find_pivot(self) -> Header:
        found: list[Header] = []

        async def ask(peer: NodeId) -> bool:
            done = False
            while not done:
                first, count = self._proof.next_request()
                answer = await self._sources.ask(peer, HEADERS, encode_range(first, count), HEADER_BYTES_MAX)
                done = await self._runtime.workers.run(self._judge_headers, answer, count)
            header = self._proof.header
            if header is None or header.number < self._blocks_min:
                return False
            found.append(header)
            return True

        await self._sources.until_one(HEADERS, ask)
        pivot = found[0]
        self.pivots += 1
        self._target = pivot.number
        self._log.info("fast sync", pivot=pivot.number, hash=pivot.hash, state_root=pivot.state_root)
        return pivot

    def _judge_headers(self, answer: bytes, count: int) -> bool:
        try:
            rows = decode_rows(answer, min(count, HEADERS_MAX), 2)
            return self._proof.take([(decode_header(header), seal) for header, seal in rows])
        except (rlp.RLPError, InvalidBlock, InvalidSeal) as error:
            raise BadAnswer(str(error)) from error

    # --- the state ---

    async def _fetch_state(self, pivot: Header) -> None:
        download = StateDownload(self._chain.store, pivot.state_root)
        await StateFetch(download, self._sources, self._runtime.workers, self._note).run()
        self._log.info("state fetched", height=pivot.number, on_disk_before=download.found, fetched=download.fetched)

    def _note(self, pieces: int, size: int) -> None:
        self.pieces += pieces
        self.bytes += size
        now_ms = self._now()
        if now_ms - self._told_ms >= TOLD_MS:
            self._told_ms = now_ms
            self._log.info("fast sync goes on", pivot=self._target, pieces=self.pieces, bytes=self.bytes)

    # --- the last blocks ---

    async def _fetch_recent(self, pivot: Header) -> tuple[Adoption, dict[Hash32, bytes]]:
        adoption = Adoption(self._chain.store, pivot, self._chain.spec_for)
        seals: dict[Hash32, bytes] = {}

        def judge(answer: bytes, count: int) -> int:
            try:
                rows = decode_rows(answer, count, 4)
                for header, body, seal, receipts in rows:
                    taken = adoption.take(header, body, receipts)
                    proven = self._proof.seal_for(taken, seal)
                    if proven is not None:
                        seals[taken.hash] = proven
            except (rlp.RLPError, BadBlock) as error:
                raise BadAnswer(str(error)) from error
            return len(rows)

        async def ask(peer: NodeId) -> bool:
            while not adoption.is_complete:
                count = min(RECENT_MAX, adoption.next_number - adoption.lowest + 1)
                answer = await self._sources.ask(peer, RECENT, encode_range(adoption.next_number, count))
                if not await self._runtime.workers.run(judge, answer, count):
                    return False
            return True

        await self._sources.until_one(RECENT, ask)
        if pivot.hash not in seals:
            raise InvalidSeal("the pivot came without its seal")
        return adoption, seals
