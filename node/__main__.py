"""One node process: ``python -m node --config node.toml``.

Prints one line on standard output when it serves; logs go to standard error. Exit codes: 0 stopped by a signal,
1 failure, 2 unusable configuration, 5 port or directory busy.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path
from typing import Final

from node.chain.chain import WrongGenesis
from node.chain.genesis import Genesis, GenesisError, parse_genesis
from node.chain.store import CorruptDatabase
from node.config import ConfigError, NodeConfig, load_config
from node.keys import KeyFileError, read_key, write_key
from node.node import VERSION, Node
from node.rpc.server import PortBusy
from node.runtime.runtime import Runtime, system_runtime
from node.storage.database import DatabaseError, DatabaseLocked
from node.storage.lmdb_database import LmdbDatabase
from node.telemetry.logs import Log

OK: Final = 0
FAILED: Final = 1
UNUSABLE: Final = 2
BUSY: Final = 5

GC_THRESHOLD: Final = 20_000
"""Young objects before a collection; blocks make many short-lived ones that reference counting frees anyway."""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m node", description="Run one evmesh node.")
    parser.add_argument("--config", type=Path, required=True, help="the node's TOML file")
    parser.add_argument("--version", action="version", version=VERSION)
    return run(parser.parse_args(arguments).config)


def run(config_path: Path) -> int:
    """Run the node of ``config_path`` until a signal stops it. Returns the exit code."""
    try:
        config = load_config(config_path)
        genesis = load_genesis(config)
        runtime = system_runtime()
        log = Log(runtime.clock, config.node.name, config.node.log_level, config.node.log_format)
        node_key = load_node_key(config, runtime)
        validator_file = config.consensus.validator_key_file
        validator_key = read_key(Path(validator_file)) if validator_file else None
    except (ConfigError, GenesisError, KeyFileError) as error:
        return _refused(str(error), UNUSABLE)
    try:
        return asyncio.run(_serve(config, genesis, runtime, log, node_key, validator_key))
    except (ConfigError, WrongGenesis) as error:
        return _refused(str(error), UNUSABLE)
    except (DatabaseLocked, PortBusy) as error:
        return _refused(str(error), BUSY)
    except (DatabaseError, CorruptDatabase, OSError) as error:
        return _refused(str(error), FAILED)


def load_genesis(config: NodeConfig) -> Genesis:
    """The genesis file that the configuration names. Raises GenesisError."""
    path = Path(config.node.genesis)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise GenesisError(f"cannot read genesis file {path}: {error.strerror}") from None
    try:
        return parse_genesis(text)
    except GenesisError as error:
        raise GenesisError(f"{path}: {error}") from None


def load_node_key(config: NodeConfig, runtime: Runtime) -> bytes:
    """The p2p key; made at the first start where the configuration names no file. Raises KeyFileError."""
    if config.p2p.node_key_file:
        return read_key(Path(config.p2p.node_key_file))
    path = Path(config.node.data_dir) / "node.key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_key(path, runtime.entropy(32))
    return read_key(path)


async def _serve(
    config: NodeConfig,
    genesis: Genesis,
    runtime: Runtime,
    log: Log,
    node_key: bytes,
    validator_key: bytes | None,
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    database = LmdbDatabase(Path(config.node.data_dir) / "db")
    try:
        node = Node(config, genesis, runtime, database, log, node_key, validator_key)
        await node.start()
    except BaseException:
        runtime.workers.close()
        database.close()
        raise
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)
    print(f"ready http={node.rpc.url} p2p={node.switch.listen_address} id={node.switch.node_id.hex()}", flush=True)
    log.info("serving", http=node.rpc.url, p2p=node.switch.listen_address, head=node.head.number)
    failed = loop.create_task(node.wait_failed())
    stopped = loop.create_task(stop.wait())
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
        stopped.cancel()
        failed.cancel()
        await node.stop()


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
