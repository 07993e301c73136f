"""RPC as the roof sees it: a backend in, a started service out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from node.rpc import (
    consensus,
    debug,
    dev_accounts,
    dev_state,
    devnet,
    eth_blocks,
    eth_calls,
    eth_config,
    eth_fees,
    eth_fill,
    eth_logs,
    eth_simulate,
    eth_state,
    eth_transactions,
    net,
    replay,
    testing,
    trace_flat,
    txpool,
)
from node.rpc.api import Api, make_api
from node.rpc.backend import Backend
from node.rpc.dispatch import Dispatcher
from node.rpc.methods import combined
from node.rpc.node_metrics import register_node_metrics
from node.rpc.server import Handler, Health, RpcServer, ServerConfig
from node.rpc.websocket import WebSocketDoor
from node.telemetry.metrics import Metrics

TABLES: Final = (
    eth_blocks.METHODS,
    eth_calls.METHODS,
    eth_config.METHODS,
    eth_fees.METHODS,
    eth_fill.METHODS,
    eth_logs.METHODS,
    eth_simulate.METHODS,
    eth_state.METHODS,
    eth_transactions.METHODS,
    net.METHODS,
    replay.METHODS,
    testing.METHODS,
    txpool.METHODS,
    consensus.METHODS,
    dev_accounts.METHODS,
    dev_state.METHODS,
    devnet.METHODS,
    debug.METHODS,
    trace_flat.METHODS,
)


def make_dispatcher(api: Api, metrics: Metrics) -> Dispatcher:
    """All methods over ``api``, measured."""
    backend = api.backend
    limits = backend.limits
    requests = metrics.counter("evmesh_rpc_requests_total", "JSON-RPC requests by method.", ("method", "outcome"))
    durations = metrics.histogram("evmesh_rpc_duration_seconds", "Time to answer a JSON-RPC request.", ("method",))

    def observe(method: str, elapsed_ms: int, succeeded: bool) -> None:
        requests.add(1, method, "ok" if succeeded else "error")
        durations.observe(elapsed_ms / 1000, method)

    return Dispatcher(
        api,
        combined(TABLES),
        clock=backend.runtime.clock,
        log=backend.log,
        batch_items_max=limits.batch_items_max,
        response_bytes_max=limits.response_bytes_max,
        batch_response_bytes_max=limits.batch_response_bytes_max,
        request_time_ms=limits.request_time_ms,
        observe=observe,
        prepare=api.pending.prepare,
    )


class RpcService:
    """The HTTP side of a node. ``start`` listens, ``stop`` closes; ``dispatcher`` answers without sockets."""

    def __init__(
        self,
        backend: Backend,
        config: ServerConfig,
        metrics: Metrics,
        routes: Mapping[tuple[str, str], Handler] | None = None,
    ) -> None:
        self._backend = backend
        self.api = make_api(backend)
        register_node_metrics(metrics, backend)
        self.dispatcher = make_dispatcher(self.api, metrics)
        self._websocket = WebSocketDoor(self.api, self.dispatcher)
        self._server = RpcServer(
            replace(
                config,
                request_bytes_max=backend.limits.request_bytes_max,
                connections_max=backend.limits.connections_max,
            ),
            self.dispatcher,
            self._health,
            metrics.render,
            backend.runtime.clock,
            backend.log,
            routes,
            self._websocket.handle,
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._server.address

    async def start(self) -> None:
        """Listen. Raises PortBusy."""
        await self._server.start()

    async def stop(self) -> None:
        """Close the port; stop listening to news. Idempotent."""
        await self._server.stop(before_close=self._websocket.close)
        self.api.close()

    def _health(self) -> Health:
        backend = self._backend
        facts: dict[str, Any] = {
            "name": backend.name,
            "head": backend.chain.head.number,
            "finalized": backend.chain.finalized.number,
            "peers": len(backend.peers()),
        }
        return Health(backend.health(), facts)
