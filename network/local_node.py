"""A stopped node's database, asked as if it ran: the same JSON-RPC methods, without peers, votes or a port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, Self

import orjson

from network.client import RpcError
from network.failures import Busy, Failure
from network.faults.evm_bugs import EVM_BUGS, with_bug
from node.chain.chain import WrongGenesis
from node.chain.genesis import Genesis
from node.chain.store import CorruptDatabase
from node.config import ConfigError
from node.datadir import ChainServer, DataDir
from node.primitives.hexadecimal import to_data
from node.rpc.server import ServerConfig
from node.runtime.runtime import system_runtime
from node.storage.database import DatabaseError, DatabaseLocked
from node.telemetry.logs import Log

VERSION: Final = "local"


class LocalNode:
    """The chain in ``folder/db``. A context manager; nobody else may have the database open meanwhile."""

    def __init__(self, name: str, folder: Path, genesis: Genesis, bug: str = "") -> None:
        """``bug``: the seeded mistake that its EVM has (evm_bugs.py). Raises Failure, Busy."""
        if bug and bug not in EVM_BUGS:
            raise Failure(f"{name}: {bug!r} is no bug that is known", "evmesh restart NODE --mutate list names them")
        runtime = system_runtime()
        log = Log(runtime.clock, name, "error")
        try:
            directory = DataDir(folder, with_bug(genesis, bug) if bug else genesis, runtime, log)
        except DatabaseLocked:
            raise Busy(
                f"{name}'s database is in use", "stop the node first, or name it instead of its folder"
            ) from None
        except (DatabaseError, CorruptDatabase, WrongGenesis, ConfigError) as error:
            raise Failure(f"{name}: {error}") from None
        self.name = name
        self.chain = directory.chain
        self._server = ChainServer(directory, VERSION, ServerConfig())
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def call(self, method: str, *parameters: Any) -> Any:
        """The result of one call. Raises RpcError."""
        body = orjson.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": method, "params": [_plain(one) for one in parameters]}
        )
        answer = orjson.loads(self._runner.run(self._server.rpc.dispatcher.call(body)))
        if "error" in answer:
            error = answer["error"]
            raise RpcError(method, int(error["code"]), str(error["message"]), error.get("data"))
        return answer["result"]

    def run(self, coroutine: Any) -> Any:
        """Let a coroutine that uses the chain run to its end."""
        return self._runner.run(coroutine)

    def close(self) -> None:
        """Close the database. Idempotent."""
        self._runner.run(self._server.stop())
        self._runner.close()


def _plain(value: Any) -> Any:
    return to_data(value) if isinstance(value, bytes) else value
