"""One node process: ``python -m node --config node.toml``; or ``--datadir DIR``: an imported chain, without peers.

Prints one line on standard output when it serves; logs go to standard error. Exit codes: 0 stopped by a signal,
1 failure, 2 unusable configuration, 5 port or directory busy.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from node.chain.chain import WrongGenesis
from node.chain.genesis import Genesis, GenesisError
from node.chain.store import CorruptDatabase
from node.config import ConfigError, NodeConfig, load_config
from node.consensus.journal import NEW_KEYS_FILE
from node.datadir import DATABASE_FOLDER, ChainServer, DataDir, read_genesis
from node.evm.native import choice
from node.joining import Joining
from node.keys import KeyFileError, read_key, read_keys, write_key
from node.node import VERSION, Node, WrapEngine
from node.rpc.server import PortBusy, ServerConfig
from node.runtime import allocator
from node.runtime.runtime import Runtime, system_runtime
from node.storage.database import DatabaseError, DatabaseLocked
from node.storage.lmdb_database import LmdbDatabase
from node.telemetry.logs import LEVELS, Log

OK: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2
BUSY: Final = 5

GC_THRESHOLD: Final = 20_000
"""Young objects before a collection; blocks make many short-lived ones that reference counting frees anyway."""


class Service(Protocol):
    """What runs until it is told to stop: a node, or an imported chain over HTTP."""

    async def start(self) -> None:
        """Raises OSError (PortBusy for HTTP) when an address is taken."""
        ...

    async def wait_failed(self) -> None:
        """Returns or raises when it has stopped by itself."""
        ...

    async def stop(self) -> None:
        """Idempotent."""
        ...

    def ready_line(self) -> str:
        """What standard output is told once it serves."""
        ...


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m node", description="Run one evmesh node.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--config", type=Path, help="the node's TOML file")
    what.add_argument("--datadir", type=Path, help="serve the chain that evmesh import put there, without peers")
    parser.add_argument("--http-host", default="127.0.0.1", help="with --datadir (default: %(default)s)")
    parser.add_argument("--http-port", type=int, default=8545, help="with --datadir (default: %(default)s; 0: any)")
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="with --datadir (default: %(default)s)")
    parser.add_argument("--version", action="version", version=VERSION)
    options = parser.parse_args(arguments)
    if options.config is not None:
        return run(options.config)
    if not 0 <= options.http_port <= 65535:
        return _refused(f"--http-port: {options.http_port} is no port", UNUSABLE)
    return run_datadir(options.datadir, options.http_host, options.http_port, options.log_level)


def run(
    config_path: Path,
    runtime: Runtime | None = None,
    wrap_engine: WrapEngine = lambda engine: engine,
    change_genesis: Callable[[Genesis], Genesis] = lambda genesis: genesis,
) -> int:
    """Run the node of ``config_path`` until a signal stops it. Returns the exit code.

    ``runtime``: other doors than the machine's. ``wrap_engine``: see Node. ``change_genesis``: other rules than the
    genesis file's.
    """
    try:
        config = load_config(config_path)
        if not config.node.evm:
            config = replace(config, node=replace(config.node, evm=choice.from_environment()))
        if choice.hot_from_environment() is choice.Hot.LOOPS:
            config = replace(config, node=replace(config.node, hot=True))
        genesis = change_genesis(load_genesis(config))
        runtime = runtime or system_runtime()
        log = Log(runtime.clock, config.node.name, config.node.log_level, config.node.log_format)
        node_key = load_node_key(config, runtime)
        validator_file = config.consensus.validator_key_file
        validator_key = read_key(Path(validator_file)) if validator_file else None
        dev_file = config.rpc.dev_keys_file
        dev_keys = read_keys(Path(dev_file)) if dev_file else []
        more_keys = [read_key(Path(text)) for text in config.consensus.validator_key_files]
    except (ConfigError, GenesisError, KeyFileError, choice.NoSuchMachine) as error:
        return _refused(str(error), UNUSABLE)

    def service() -> Service:
        folder = Path(config.node.data_dir) / DATABASE_FOLDER
        database = LmdbDatabase(folder)
        try:
            new_keys = folder / NEW_KEYS_FILE

            def node(settings: NodeConfig) -> Node:
                made = Node(
                    settings,
                    genesis,
                    runtime,
                    database,
                    log,
                    node_key,
                    validator_key,
                    wrap_engine,
                    more_keys=more_keys,
                    dev_keys=dev_keys,
                    new_keys=new_keys.exists(),
                )
                new_keys.unlink(missing_ok=True)
                return made

            if config.node.sync == "full" or new_keys.exists():
                return node(config)  # keys as new as the database: the network begins, there is no state to fetch
            keys = [key for key in (validator_key, *more_keys) if key is not None]
            return Joining(config, genesis, runtime, database, log, node_key, keys, node)
        except BaseException:
            database.close()
            raise

    return _carry_on(service, runtime, log)


def run_datadir(directory: Path, host: str, port: int, log_level: str) -> int:
    """Serve the chain of ``directory`` until a signal stops it. Returns the exit code."""
    runtime = system_runtime()
    log = Log(runtime.clock, "archive", log_level, "text")

    def service() -> Service:
        return ChainServer(DataDir.existing(directory, runtime, log), VERSION, ServerConfig(host=host, port=port))

    return _carry_on(service, runtime, log)


def _carry_on(make: Callable[[], Service], runtime: Runtime, log: Log) -> int:
    try:
        return asyncio.run(_serve(make, runtime, log))
    except (ConfigError, GenesisError, WrongGenesis) as error:
        return _refused(str(error), UNUSABLE)
    except (DatabaseLocked, PortBusy) as error:
        return _refused(str(error), BUSY)
    except (DatabaseError, CorruptDatabase, OSError) as error:
        return _refused(str(error), FAILED)


def load_genesis(config: NodeConfig) -> Genesis:
    """The genesis file that the configuration names. Raises GenesisError."""
    return read_genesis(Path(config.node.genesis))[1]


def load_node_key(config: NodeConfig, runtime: Runtime) -> bytes:
    """The p2p key; made at the first start where the configuration names no file. Raises KeyFileError."""
    if config.p2p.node_key_file:
        return read_key(Path(config.p2p.node_key_file))
    path = Path(config.node.data_dir) / "node.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_key(path, runtime.entropy(32))
    return read_key(path)


async def _serve(make: Callable[[], Service], runtime: Runtime, log: Log) -> int:
    allocator.settle()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        service = make()
    except BaseException:
        runtime.workers.close()
        raise
    try:
        await service.start()
    except BaseException:
        await service.stop()
        raise
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    print(service.ready_line(), flush=True)
    log.info("serving", where=service.ready_line())
    failed = loop.create_task(service.wait_failed())
    stopped = loop.create_task(stop.wait())
    tidy = loop.create_task(allocator.keep_giving_back(runtime.workers))
    try:
        await _first(failed, stopped)
        if failed.done():
            failed.result()
        log.info("stopping")
        return OK
    except Exception as error:
        log.error("the node has failed and stops", error=type(error).__name__, why=str(error))
        sys.excepthook(type(error), error, error.__traceback__)
        return FAILED
    finally:
        for task in (stopped, failed, tidy):
            task.cancel()
        await service.stop()


async def _first(*tasks: asyncio.Task[object]) -> None:
    """Wait until one of the tasks has ended."""
    ended = asyncio.Event()
    for task in tasks:
        task.add_done_callback(lambda _: ended.set())
    await ended.wait()


def _refused(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
