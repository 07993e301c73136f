"""A data directory without a network: a chain that came from a file, and a node that serves it over HTTP.

    DIR/genesis.json   the chain's beginning, as it was given
    DIR/db             the database

No peers, no consensus: the last imported block is head, safe and finalized. Clients may read, call, trace and hand
in transactions, which then wait in the pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from node.chain.chain import Chain
from node.chain.feed import NewHead, News
from node.chain.genesis import GENESIS_BYTES_MAX, Genesis, GenesisError, parse_genesis
from node.config import ConfigError
from node.evm.native import choice
from node.pool_follows import follow, follow_head
from node.rpc.backend import Backend
from node.rpc.server import ServerConfig
from node.rpc.service import RpcService
from node.runtime.runtime import Runtime
from node.storage.lmdb_database import LmdbDatabase
from node.telemetry.logs import Log
from node.telemetry.metrics import Metrics
from node.txpool.pool import PoolConfig, TxPool

GENESIS_FILE: Final = "genesis.json"
DATABASE_FOLDER: Final = "db"
NAME: Final = "archive"


def read_genesis(path: Path) -> tuple[bytes, Genesis]:
    """A genesis file, as bytes and as what they say. Raises GenesisError naming the file."""
    try:
        with path.open("rb") as file:
            text = file.read(GENESIS_BYTES_MAX + 1)  # a file may have no end
    except OSError as error:
        raise GenesisError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return text, parse_genesis(text)
    except GenesisError as error:
        raise GenesisError(f"{path}: {error}") from None


class DataDir:
    """The chain of one directory, open until ``close``."""

    def __init__(self, path: Path, genesis: Genesis, runtime: Runtime, log: Log) -> None:
        """Makes the database where there is none; EVMESH_EVM says which EVM runs.

        Raises WrongGenesis, CorruptDatabase or DatabaseError; ConfigError for an EVM that there is not.
        """
        self.genesis = genesis
        self.runtime = runtime
        self.log = log
        try:
            self.vm = choice.machine(choice.from_environment(), lambda line: log.info(line))
        except choice.NoSuchMachine as error:
            raise ConfigError(str(error)) from None
        self._database = LmdbDatabase(path / DATABASE_FOLDER)
        try:
            self.chain = Chain(self._database, genesis, self.vm, runtime, log)
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def existing(cls, path: Path, runtime: Runtime, log: Log) -> DataDir:
        """The directory of an earlier import. Raises GenesisError where there is none, and like the constructor."""
        if not (path / DATABASE_FOLDER).is_dir():
            raise GenesisError(f"{path}: no chain here; make one with: evmesh import --genesis FILE --datadir {path}")
        return cls(path, read_genesis(path / GENESIS_FILE)[1], runtime, log)

    def close(self) -> None:
        """Close the database. Idempotent."""
        self._database.close()


class _NoConsensus:
    """What RPC is told where nobody votes."""

    def inspect(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"engine": "none", "role": NAME, "validators": []}


class ChainServer:
    """JSON-RPC over the chain of a directory; closes the directory when it stops."""

    def __init__(self, directory: DataDir, version: str, config: ServerConfig) -> None:
        self._directory = directory
        chain = directory.chain
        self.pool = TxPool(PoolConfig(), chain.chain_id)
        follow_head(self.pool, chain, NewHead(chain.head, (), ()))
        chain.feed.subscribe(self._on_news)
        self.rpc = RpcService(
            Backend(
                chain=chain,
                pool=self.pool,
                peers=lambda: (),
                consensus=_NoConsensus(),
                vm=directory.vm,
                runtime=directory.runtime,
                log=directory.log,
                name=NAME,
                version=version,
            ),
            config,
            Metrics(),
        )

    def _on_news(self, news: News) -> None:
        follow(self.pool, self._directory.chain, news)

    async def start(self) -> None:
        """Listen. Raises PortBusy."""
        await self.rpc.start()

    async def wait_failed(self) -> None:
        """Nothing here fails by itself."""
        await asyncio.Event().wait()

    def ready_line(self) -> str:
        """Where it serves, for standard output."""
        return f"ready http={self.rpc.url} head={self._directory.chain.head.number}"

    async def stop(self) -> None:
        """Close port and database. Idempotent."""
        await self.rpc.stop()
        self._directory.runtime.workers.close()
        self._directory.close()
