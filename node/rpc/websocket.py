"""JSON-RPC over WebSocket at the HTTP port: the same methods, and subscriptions."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from node.rpc.api import Api
from node.rpc.dispatch import Dispatcher
from node.rpc.eth_blocks import syncing
from node.rpc.subscriptions import Broadcast, Session
from node.runtime.task_scope import TaskScope

CALLS_AT_ONCE: Final = 16
"""Of one connection; further requests wait unread."""
HEARTBEAT_SECONDS: Final = 30.0
CONNECTIONS_MAX: Final = 512


class WebSocketDoor:
    """Takes upgrade requests."""

    def __init__(self, api: Api, dispatcher: Dispatcher) -> None:
        self._api = api
        self._dispatcher = dispatcher
        self._broadcast = Broadcast(api.backend.chain, api.backend.pool, lambda: syncing(api))
        self._open: dict[web.WebSocketResponse, None] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one connection until it ends."""
        if len(self._open) >= CONNECTIONS_MAX:
            return web.Response(status=503, text="too many connections\n")
        limits = self._api.backend.limits
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, max_msg_size=limits.request_bytes_max, compress=False
        )
        if not socket.can_prepare(request):
            return web.Response(status=400, text="not a WebSocket handshake\n")
        await socket.prepare(request)
        session = Session(self._api.backend.runtime, limits)
        leave = self._broadcast.join(session)
        self._open[socket] = None
        try:
            async with TaskScope("rpc/websocket") as scope:
                scope.spawn(self._write(socket, session), "write")
                scope.spawn(self._cut_off(socket, session), "cut off")
                await self._read(socket, session, scope)
        except ConnectionError:
            pass  # the client went away in the middle of a message
        finally:
            leave()
            self._open.pop(socket, None)
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: Session, scope: TaskScope) -> None:
        places = asyncio.Semaphore(CALLS_AT_ONCE)

        async def answer(begun: Coroutine[Any, Any, bytes]) -> None:
            try:
                told = await begun
            finally:
                places.release()
            if told:
                session.outbox.put(told)

        async for message in socket:
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                break
            body = message.data.encode("utf-8", "surrogatepass") if message.type is WSMsgType.TEXT else message.data
            begun = self._dispatcher.begin(body, session.methods)
            if isinstance(begun, bytes):
                if begun:
                    session.outbox.put(begun)
                continue
            await places.acquire()
            scope.spawn(answer(begun), "call")

    @staticmethod
    async def _write(socket: web.WebSocketResponse, session: Session) -> None:
        while True:
            await socket.send_str((await session.outbox.get()).decode())

    @staticmethod
    async def _cut_off(socket: web.WebSocketResponse, session: Session) -> None:
        await session.outbox.overflowed.wait()
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"reading too slowly")

    async def close(self) -> None:
        """Say goodbye to all connections; stop listening to news."""
        self._broadcast.close()
        for socket in list(self._open):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"node is stopping")
