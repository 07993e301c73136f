"""What can befall a node's disk: it is lost, its log is torn, it takes no more."""

from __future__ import annotations

import os
import resource
import shutil
import time
from pathlib import Path
from typing import Final

import lmdb

from network.cluster.process import ProcessRecord
from network.cluster.run_directory import RunDirectory
from network.failures import Busy, Failure
from node.storage import schema
from node.storage.database import Batch, DatabaseLocked
from node.storage.lmdb_database import LmdbDatabase

LOCK_SECONDS: Final = 5.0
TORN_RECORD: Final = (1000).to_bytes(4, "big") + b"the power went while this was being writt"
"""A length, and less than that: what a write leaves that was never finished."""


def lose_disk(run: RunDirectory, node: str) -> None:
    """Delete a stopped node's database: chain, state and the log of what it signed. Its keys stay."""
    shutil.rmtree(run.database_dir(node), ignore_errors=True)


def tear_log(run: RunDirectory, node: str) -> int:
    """Leave a half-written record behind the last one of a stopped validator's log; its sequence number.

    A record is durable before its message leaves, so a torn one belongs to a message that was never sent. Raises
    Failure where the node has no log.
    """
    with _open(run, node) as database:
        last = _last_record(database)
        if last is None:
            raise Failure(f"{node} has no consensus log that could be torn", "it must be a validator that has voted")
        batch = Batch()
        batch.put(schema.consensus_log(last + 1), TORN_RECORD)
        database.write(batch, durable=True)
        return last + 1


def forget_votes(run: RunDirectory, node: str) -> int:
    """Delete what a stopped validator has signed from its log, so that it does not know; how many records."""
    with _open(run, node) as database:
        keys = [key for key, _ in database.iterate(schema.CONSENSUS_LOG, (1).to_bytes(8, "big"))]
        batch = Batch()
        for key in keys:
            batch.delete(key)
        database.write(batch, durable=True)
        return len(keys)


def copy_database(run: RunDirectory, node: str, target: Path, stopped: bool = False) -> None:
    """A copy of a node's database as of its last commit, whether it runs or not. Raises Failure.

    ``stopped``: its process stands still (SIGSTOP), perhaps with LMDB's lock in its hands; nobody writes meanwhile.
    """
    target.mkdir(mode=0o700, exist_ok=True)
    try:
        source = str(run.database_dir(node))
        with lmdb.open(source, readonly=True, create=False, lock=not stopped) as environment:
            environment.copy(str(target), compact=True)
    except lmdb.Error as error:
        raise Failure(f"{node}'s database cannot be copied: {error}") from None


def fill_disk(run: RunDirectory, node: str, record: ProcessRecord, free_bytes: int) -> int:
    """Let no file of a running node grow beyond its database's size and ``free_bytes``; the limit. Raises Failure."""
    size = (run.database_dir(node) / "data.mdb").stat().st_size
    _limit_files(record, size + free_bytes)
    return size + free_bytes


def free_disk(record: ProcessRecord) -> None:
    """Take that limit away. Raises Failure."""
    _limit_files(record, resource.RLIM_INFINITY)


def _limit_files(record: ProcessRecord, limit: int) -> None:
    if not hasattr(resource, "prlimit"):
        raise Failure("this system cannot limit another process's files", "a full disk needs Linux")
    try:
        _, hard = resource.prlimit(record.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(record.pid, resource.RLIMIT_FSIZE, (limit, hard))
    except (OSError, ValueError) as error:
        raise Failure(f"cannot limit the files of process {record.pid}: {error}") from None


def _open(run: RunDirectory, node: str) -> LmdbDatabase:
    if not os.path.exists(run.database_dir(node) / "data.mdb"):
        raise Failure(f"{node} has no database", f"start it first: evmesh restart {node}")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return LmdbDatabase(run.database_dir(node))
        except DatabaseLocked as locked:  # a process that was killed just now may still be letting go of its files
            if time.monotonic() > deadline:
                raise Busy(f"{node}'s database is in use", "stop the node first", path=str(locked.filename)) from None
            time.sleep(0.02)


def _last_record(database: LmdbDatabase) -> int | None:
    """Sequence number of the last record after the first one, which only names the log."""
    for key, _ in database.iterate(schema.CONSENSUS_LOG, reverse=True):
        sequence = int.from_bytes(key[len(schema.CONSENSUS_LOG) :], "big")
        return sequence or None
    return None
