"""HTTP: POST / (JSON-RPC), WebSocket at / and /ws, GET /health, GET /metrics, and what else the roof mounts.

The room's only socket. A connection begins as an ``HttpConnection``, which answers what JSON-RPC clients send; all
else is aiohttp's low-level server (no router, no application): one handler, a dictionary of paths.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from node.rpc.dispatch import Dispatcher
from node.rpc.errors import INVALID_REQUEST, RpcError
from node.rpc.host_check import Doorkeeper
from node.rpc.http_connection import Heads, HttpConnection
from node.rpc.http_port import KEEPALIVE_SECONDS, HttpPort
from node.runtime.clock import Clock
from node.telemetry.logs import Log

JSON: Final = "application/json"
SHUTDOWN_SECONDS: Final = 2.0
BACKLOG: Final = 512

_SILENT: Final = logging.Logger("aiohttp", logging.CRITICAL + 1)
"""aiohttp writes a traceback for whatever is no HTTP, so that anybody could fill the node's log."""

WEBSOCKET_PATHS: Final = ("/", "/ws")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def _wants_websocket(request: web.BaseRequest) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"


class PortBusy(OSError):
    """Another process listens there."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where to listen (port 0: any free one), who may come, how much at once."""

    host: str = "127.0.0.1"
    port: int = 8545
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    """Names that a Host header may carry beside loopback and IP addresses; "*" for any."""
    request_bytes_max: int = 5 * 1024 * 1024
    connections_max: int = 1_024


@dataclass(frozen=True, slots=True)
class Health:
    """What /health answers: a reason not to use the node, or None, and some facts."""

    reason: str | None
    facts: Mapping[str, Any]


class _Listener(web.Server):
    """aiohttp's server, whose connections begin as ours."""

    def __init__(
        self, begin: Callable[[Callable[[], asyncio.Protocol]], asyncio.Protocol], *args: Any, **settings: Any
    ) -> None:
        """``begin`` makes a connection's protocol; it is handed what makes aiohttp's."""
        super().__init__(*args, **settings)
        self._begin = begin

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]
        return self._begin(super().__call__)


class RpcServer:
    """One listening port."""

    def __init__(
        self,
        config: ServerConfig,
        dispatcher: Dispatcher,
        health: Callable[[], Health],
        metrics: Callable[[], bytes],
        clock: Clock,
        log: Log,
        routes: Mapping[tuple[str, str], Handler] | None = None,
        websocket: Handler | None = None,
    ) -> None:
        self._config = config
        self._websocket = websocket
        self._log = log
        self._dispatcher = dispatcher
        self._health = health
        self._metrics = metrics
        self._door = Doorkeeper(config.allowed_hosts, config.cors_origins)
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/"): self._post,
            ("GET", "/"): self._greet,
            ("GET", "/ws"): self._greet,
            ("GET", "/health"): self._get_health,
            ("GET", "/metrics"): self._get_metrics,
            **(routes or {}),
        }
        self._runner: web.ServerRunner | None = None
        self._address = (config.host, config.port)
        self._stopping = False
        self._heads = Heads(self._door, config.request_bytes_max)
        self._aiohttp: web.Server | None = None
        self._port = HttpPort(config.connections_max, clock.now_ms, self._handed_over)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, with the real port once it listens."""
        return self._address

    @property
    def url(self) -> str:
        """http://host:port."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def start(self) -> None:
        """Listen. Raises PortBusy naming the port, or OSError for an address that is not ours."""
        server = _Listener(
            self._connection,
            self._handle,
            request_factory=self._request,
            access_log=None,
            logger=_SILENT,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        self._aiohttp = server
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        host, port = self._config.host, self._config.port
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise PortBusy(
                    error.errno, f"port {port} on {host} is in use by another program; stop it or choose another port"
                ) from None
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        self._runner = runner
        self._address = runner.addresses[0][:2]
        self._port.watch()

    async def stop(self, before_close: Callable[[], Awaitable[None]]) -> None:
        """Refuse new work, let answers that are under way go out, close. Idempotent."""
        self._stopping = True
        runner, self._runner = self._runner, None
        if runner is not None:
            for site in list(runner.sites):
                await site.stop()
            await before_close()
            await self._port.close(SHUTDOWN_SECONDS)
            await runner.cleanup()

    # --- requests ---

    def _handed_over(self) -> int:
        return 0 if self._aiohttp is None else len(self._aiohttp.connections)

    def _connection(self, other: Callable[[], asyncio.Protocol]) -> HttpConnection:
        return HttpConnection(self._dispatcher, self._heads, self._port, other)

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            asyncio.get_running_loop(),
            client_max_size=self._config.request_bytes_max,
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not self._door.host_allowed(request.headers.get("Host")):
            return web.Response(status=403, text="invalid host specified\n")
        if not self._port.enter():
            return web.Response(status=503, text="too many requests at once\n", headers={"Retry-After": "1"})
        try:
            return await self._routed(request)
        except (web.HTTPException, ConnectionError):
            raise
        except Exception as error:  # the rim: what a path's handler fails at must not look like the client's fault
            self._log.error("http request failed", path=request.path, error=f"{type(error).__name__}: {error}")
            return web.Response(status=500, text="internal error\n")
        finally:
            self._port.leave()

    async def _routed(self, request: web.BaseRequest) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        allowed = self._door.allowed_origin(origin)
        if request.method == "OPTIONS":
            return self._preflight(allowed)
        handler = self._routes.get((request.method, request.path))
        if handler is None:
            known = any(path == request.path for _, path in self._routes)
            return web.Response(status=405 if known else 404, text="not here; JSON-RPC is POST /\n")
        if not self._door.may_post(origin, request.headers.get("Host")):
            return web.Response(status=403, text="this origin may not use this node\n")
        if self._websocket is not None and request.path in WEBSOCKET_PATHS and _wants_websocket(request):
            return await self._websocket(request)
        response = await handler(request)
        if allowed is not None and not response.prepared:
            response.headers["Access-Control-Allow-Origin"] = allowed
            if allowed != "*":
                response.headers["Vary"] = "Origin"
        return response

    @staticmethod
    def _preflight(allowed: str | None) -> web.Response:
        if allowed is None:
            return web.Response(status=403, text="this origin may not use this node\n")
        return web.Response(
            status=204,
            headers={
                "Access-Control-Allow-Origin": allowed,
                "Access-Control-Allow-Methods": "POST, GET, OPTIONS",
                "Access-Control-Allow-Headers": "Content-Type",
                "Access-Control-Max-Age": "600",
            },
        )

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        length = request.content_length
        if length is not None and length > self._config.request_bytes_max:
            return self._too_large()
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return self._too_large()
        except web.RequestPayloadError:
            return web.Response(status=400, text="the body is not what its headers say\n")
        return web.Response(body=await self._dispatcher.call(body), content_type=JSON)

    def _too_large(self) -> web.Response:
        """The one JSON-RPC answer whose status is not 200: the request was not read."""
        error = RpcError(INVALID_REQUEST, f"request is larger than {self._config.request_bytes_max} bytes")
        response = web.Response(
            status=413,
            body=orjson.dumps({"jsonrpc": "2.0", "id": None, "error": error.to_json()}),
            content_type=JSON,
        )
        response.force_close()
        return response

    async def _greet(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="evmesh node: JSON-RPC is POST /; see also /health and /metrics\n")

    async def _get_health(self, request: web.BaseRequest) -> web.StreamResponse:
        health = self._health()
        reason = "stopping" if self._stopping else health.reason
        told = {"status": "ok" if reason is None else "unhealthy", **health.facts}
        if reason is not None:
            told["reason"] = reason
        return web.Response(status=200 if reason is None else 503, body=orjson.dumps(told), content_type=JSON)

    async def _get_metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
