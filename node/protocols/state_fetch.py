"""One state from all peers at once: requests go out, answers queue up, and a worker judges them one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from node.chain.state_download import Piece, StateDownload, WrongPiece
from node.p2p.identity import NodeId
from node.p2p.requests import RequestFailed
from node.primitives import rlp
from node.protocols.sources import LOOK_MS, STALL_MS, BadAnswer, GivenUp, Sources
from node.protocols.state_serving import PIECES_MAX, STATE, decode_strings, encode_pieces
from node.runtime.task_scope import TaskScope
from node.runtime.workers import Workers

STATE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of an answer; an honest one has half a megabyte, or one larger code."""
TURNS: Final = 2
"""Requests that one peer works on at once: the next is under way while one is checked."""
RUNNING_MAX: Final = 16
SAVED_MS: Final = 1_000
"""Between two durable writes: what a kill -9 costs at most."""


class StalePivot(Exception):
    """Nobody has this state any more."""


class StateFetch:
    """Runs one StateDownload. ``on_progress(pieces, bytes)`` hears of what came."""

    def __init__(
        self, download: StateDownload, sources: Sources, workers: Workers, on_progress: Callable[[int, int], None]
    ) -> None:
        self._download = download
        self._sources = sources
        self._workers = workers
        self._on_progress = on_progress
        self._answers: asyncio.Queue[tuple[NodeId, list[Piece], bytes | None]] = asyncio.Queue()
        self._running: dict[NodeId, int] = {}
        self._saved_ms = sources.clock.monotonic_ms()
        self._empty_handed: dict[NodeId, None] = {}
        """Who had nothing of what it was asked for since something came."""

    async def run(self) -> None:
        """Until the state is whole. Raises StalePivot, GivenUp, BadState."""
        last_ms = self._sources.clock.monotonic_ms()
        async with TaskScope("state fetch") as scope:
            while True:
                await self._hand_out(scope)
                if self._download.is_done:
                    return
                if self._sources.clock.monotonic_ms() - last_ms >= STALL_MS or self._sources.all_lie():
                    raise GivenUp("the state does not come")
                if not self._running and self._answers.empty():
                    self._look_for_hope()
                    await asyncio.sleep(LOOK_MS / 1000)
                    continue
                if await self._judge(*await self._answers.get()):
                    last_ms = self._sources.clock.monotonic_ms()

    async def _hand_out(self, scope: TaskScope) -> None:
        """Give every peer with a free turn a portion of what is missing."""
        for peer in self._sources.usable():
            while (
                peer not in self._empty_handed
                and self._running.get(peer, 0) < TURNS
                and sum(self._running.values()) < RUNNING_MAX
                and self._download.may_go_on
            ):
                pieces = await self._workers.run(self._download.next_portion, PIECES_MAX)
                if pieces:
                    self._running[peer] = self._running.get(peer, 0) + 1
                    scope.spawn(self._ask(peer, pieces), "ask")
        while self._download.may_go_on and not self._running:
            # nobody to ask: what is on disk can be walked all the same
            pieces = await self._workers.run(self._download.next_portion, PIECES_MAX)
            if pieces:
                self._download.give_back(pieces)
                break

    async def _ask(self, peer: NodeId, pieces: list[Piece]) -> None:
        answer: bytes | None = None
        with suppress(RequestFailed):  # then it rests, and the pieces are given to another
            answer = await self._sources.ask(peer, STATE, encode_pieces(pieces), STATE_BYTES_MAX)
        self._running[peer] -= 1
        if not self._running[peer]:
            del self._running[peer]
        self._answers.put_nowait((peer, pieces, answer))

    async def _judge(self, peer: NodeId, pieces: list[Piece], answer: bytes | None) -> bool:
        """Whether anything came."""
        if answer is None:
            self._download.give_back(pieces)
            self._sources.rest(peer)
            return False
        before = self._download.fetched_bytes
        try:
            came = await self._workers.run(self._take, pieces, answer)
        except BadAnswer as lie:
            self._sources.blame(peer, STATE, lie)
            return False
        if not came:
            self._empty_handed[peer] = None
            return False
        self._empty_handed.clear()
        self._on_progress(came, self._download.fetched_bytes - before)
        return True

    def _take(self, pieces: list[Piece], answer: bytes) -> int:
        try:
            values = decode_strings(answer, len(pieces))
        except rlp.RLPError as error:
            self._download.give_back(pieces)
            raise BadAnswer(str(error)) from error
        now_ms = self._sources.clock.monotonic_ms()
        durable = now_ms - self._saved_ms >= SAVED_MS
        if durable:
            self._saved_ms = now_ms
        try:
            return self._download.deliver(pieces, values, durable)
        except WrongPiece as error:
            raise BadAnswer(str(error)) from error

    def _look_for_hope(self) -> None:
        honest = self._sources.honest()
        if honest and all(peer in self._empty_handed for peer in honest):
            raise StalePivot("nobody has its state any more")
