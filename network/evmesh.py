"""evmesh from Python: a network in a ``with`` block.

    from network.evmesh import Network

    with Network(nodes=4) as net:
        counter = net.deploy("Counter")
        net.split([0, 1], [2, 3])
        counter.send("increment", node=2)
        net.heal()
        net.wait_finalized()
        assert net.same_state() and counter.read("number", node=0) == 1

    async with Network(nodes=4) as net:      # the same verbs, awaited
        sent = await net.send(0, 1, value=10**18)
        await net.wait_finalized(sent)

``net`` is a ``network.lab.net.Net``: its docstrings are the reference. ``on="simulator"`` runs the same nodes in this
process under virtual time, decided by ``seed``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from network.cluster.warm_server import WarmServer
from network.failures import BadInput, Failure
from network.lab.members import Node
from network.lab.net import Contract, Net

PLACES: Final = ("processes", "simulator", "compose")
"""Where a network may run."""


def start(
    on: str = "processes",
    seed: int | None = None,
    *,
    server: WarmServer | None = None,
    keep: bool = False,
    home: Path | None = None,
    **settings: Any,
) -> Net:
    """Start a network; ``close()`` ends it. Settings are those of a manifest. Raises Failure."""
    if on == "processes":
        # loaded when it is used: who runs on the simulator need not wait for it, and the other way round
        from network.lab.processes import start_processes

        return start_processes(settings, server, seed, keep, home)
    if on == "simulator":
        from network.lab.simulated import start_simulated

        return start_simulated(settings, 1 if seed is None else seed)
    if on == "compose":
        from network.lab.compose import start_compose

        return start_compose(settings, seed, keep, home)
    raise BadInput(f"a network cannot run on {on!r}", f"choose one of {', '.join(PLACES)}")


class Network:
    """A network that lives as long as a ``with`` or ``async with`` block."""

    def __init__(
        self, nodes: int = 4, *, on: str = "processes", seed: int | None = None, keep: bool = False, **settings: Any
    ) -> None:
        """``settings``: consensus, block_time, slots_per_epoch, … as in a manifest (network/manifest.py).

        Without any, blocks are final at once (bft), four a second. ``keep`` leaves the run directory for a look.
        """
        self._start: Callable[[], Net] = lambda: start(on, seed, keep=keep, nodes=nodes, **settings)
        self._threads = 1 if on == "simulator" else 8
        self._net: Net | None = None
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Net:
        self._net = self._start()
        return self._net

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._net is not None:
            self._net.close(check=error is None)

    async def __aenter__(self) -> AsyncNet:
        # virtual time knows one thread; real nodes may be asked from several
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="evmesh")
        try:
            self._net = await asyncio.get_running_loop().run_in_executor(self._pool, self._start)
        except BaseException:
            self._pool.shutdown(wait=False)
            raise
        return AsyncNet(self._net, self._pool)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        net, pool = self._net, self._pool
        if net is None or pool is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(pool, lambda: net.close(check=error is None))
        finally:
            pool.shutdown(wait=False)


class _Awaited:
    """An object whose methods return awaitables: each runs in a thread."""

    def __init__(self, inner: Any, pool: ThreadPoolExecutor) -> None:
        self._inner = inner
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name.startswith("_") or not callable(found):
            return found

        async def run(*arguments: Any, **named: Any) -> Any:
            plain = [one._inner if isinstance(one, _Awaited) else one for one in arguments]

            def call() -> Any:
                return found(*plain, **named)

            result = await asyncio.get_running_loop().run_in_executor(self._pool, call)
            return _Awaited(result, self._pool) if isinstance(result, Contract) else result

        return run


class AsyncNet(_Awaited):
    """A network's verbs as coroutines: ``await net.split([0, 1], [2, 3])``. Nodes are the plain ones."""

    def __len__(self) -> int:
        return len(self._inner)

    def __getitem__(self, which: Node | int | str) -> Node:
        node: Node = self._inner[which]
        return node

    async def rpc(self, which: Node | int | str, method: str, *parameters: Any) -> Any:
        """The result of one JSON-RPC call of a node. Raises RpcError, NodeUnreachable."""
        node = self[which]
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: node.rpc(method, *parameters))


__all__ = ["PLACES", "AsyncNet", "Contract", "Failure", "Net", "Network", "Node", "start"]
