"""``import``, ``export``: chain files into and out of a data directory, which ``python -m node --datadir`` serves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from network.chain_file import Imported, export_blocks, import_blocks, scan
from network.cli.group import json_option
from network.cli.output import Output
from network.cli.progress import Progress, progress
from network.failures import BadInput, Busy, Failure
from node.chain.chain import WrongGenesis
from node.chain.genesis import Genesis, GenesisError
from node.chain.store import CorruptDatabase
from node.config import ConfigError
from node.datadir import DATABASE_FOLDER, GENESIS_FILE, DataDir, read_genesis
from node.runtime.runtime import Runtime, system_runtime
from node.storage.database import DatabaseError, DatabaseLocked
from node.telemetry.logs import Log

DEFAULT_FOLDER: Final = "evmesh-data"

_datadir_option = click.option(
    "--datadir",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="EVMESH_DATADIR",
    default=Path(DEFAULT_FOLDER),
    show_default=True,
    help="Where the chain lives.",
)


@click.command(
    "import",
    epilog="""\b
FILE holds blocks as RLP items one after another, as geth's export writes them; .gz too. Every block is executed
and every field of its header compared; seals of mined blocks are not checked. A new directory appears only when
all of FILE stands; in one that is there already, the blocks before a bad one are kept.
Exit code 0: all imported; 2: a file cannot be used or a block is invalid; 5: the directory is in use.

\b
Examples:
  evmesh import --genesis genesis.json chain.rlp
  evmesh import more.rlp.gz --datadir evmesh-data
  python -m node --datadir evmesh-data --http-port 8545
""",
)
@click.option(
    "--genesis", "genesis_file", type=click.Path(path_type=Path), help="geth's genesis.json; needed the first time."
)
@_datadir_option
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@json_option
def import_(genesis_file: Path | None, datadir: Path, files: tuple[Path, ...], as_json: bool) -> int:
    """Import a chain file: every block validated in full."""
    out = Output(as_json)
    text, genesis = _genesis(genesis_file, datadir)
    block = genesis.block()
    total = sum(scan(file, block) for file in files)
    fresh = not (datadir / DATABASE_FOLDER).exists()
    target = datadir.with_name(f".{datadir.name}.importing-{os.getpid()}") if fresh else datadir
    began = time.monotonic()
    with _translated(), _cleared(target if fresh else None):
        if fresh:
            target.mkdir(parents=True)
            (target / GENESIS_FILE).write_bytes(text)
        with progress("importing blocks", total, quiet=as_json) as bar:
            done, head = _import_all(target, genesis, files, _counted(bar))
        if fresh:
            _move_into_place(target, datadir)
    elapsed = time.monotonic() - began
    number, head_hash, state_root = head
    blocks, skipped = sum(one.blocks for one in done), sum(one.skipped for one in done)
    out.line(f"imported {blocks} blocks in {elapsed:.1f} s" + (f"; {skipped} were there already" if skipped else ""))
    out.line(f"head       {number} 0x{head_hash.hex()}")
    out.line(f"state root 0x{state_root.hex()}")
    out.line(f"serve it   python -m node --datadir {datadir} --http-port 8545")
    out.document(
        {
            "datadir": str(datadir),
            "imported": blocks,
            "skipped": skipped,
            "head": {"number": number, "hash": "0x" + head_hash.hex(), "stateRoot": "0x" + state_root.hex()},
            "seconds": round(elapsed, 3),
        }
    )
    return 0


def _genesis(given: Path | None, datadir: Path) -> tuple[bytes, Genesis]:
    """The chain's beginning: the file that was given, or the directory's own."""
    own = datadir / GENESIS_FILE
    with _translated():
        if given is None:
            if not own.exists():
                raise BadInput("a new chain needs --genesis FILE", hint="it is the genesis.json that geth init takes")
            return read_genesis(own)
        text, genesis = read_genesis(given)
        if own.exists() and read_genesis(own)[1].config != genesis.config:
            raise BadInput(
                f"{given}: its config differs from that of {own}, which the chain there was made with",
                hint="leave --genesis out, or name a new --datadir",
            )
        return text, genesis


def _import_all(
    target: Path, genesis: Genesis, files: tuple[Path, ...], told: Callable[[int], None]
) -> tuple[list[Imported], tuple[int, bytes, bytes]]:
    runtime, log = _world()
    directory = DataDir(target, genesis, runtime, log)

    async def work() -> list[Imported]:
        return [await import_blocks(directory.chain, file, told) for file in files]

    try:
        done = asyncio.run(work())
        head = directory.chain.head
        return done, (head.number, head.hash, head.state_root)
    finally:
        runtime.workers.close()
        directory.close()


def _move_into_place(target: Path, datadir: Path) -> None:
    """One rename; a directory that exists already (it holds no chain) takes in the parts."""
    if not datadir.exists():
        datadir.parent.mkdir(parents=True, exist_ok=True)
        target.rename(datadir)
        return
    for part in (DATABASE_FOLDER, GENESIS_FILE):
        (target / part).rename(datadir / part)


@click.command(
    epilog="""\b
Writes canonical blocks FIRST to LAST (default: 1 to the head) as RLP items one after another; gzipped where FILE
ends with .gz. The file appears when it is whole.

\b
Examples:
  evmesh export chain.rlp
  evmesh export part.rlp.gz 10 20 --datadir evmesh-data
""",
)
@_datadir_option
@click.option("--force", is_flag=True, help="Replace FILE where it exists.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("first", type=click.IntRange(min=0), default=1)
@click.argument("last", type=click.IntRange(min=0), required=False)
@json_option
def export(datadir: Path, force: bool, file: Path, first: int, last: int | None, as_json: bool) -> int:
    """Write the chain of a data directory to a file."""
    out = Output(as_json)
    if file.exists() and not force:
        raise BadInput(f"{file} exists", hint="choose another name, or give --force")
    runtime, log = _world()
    part = file.with_name(f".{file.name}.part-{os.getpid()}")
    with _translated(), _cleared(part):
        directory = DataDir.existing(datadir, runtime, log)
        try:
            head = directory.chain.head.number
            end = head if last is None else last
            if not first <= end <= head:
                raise BadInput(f"blocks {first} to {end}: the chain here has 0 to {head}")
            with (
                progress("exporting blocks", end - first + 1, quiet=as_json) as bar,
                gzip.open(part, "wb") if file.suffix == ".gz" else part.open("wb") as stream,
            ):
                count = export_blocks(directory.chain, stream, first, end, _counted(bar))  # type: ignore[arg-type]
        finally:
            runtime.workers.close()
            directory.close()
        part.replace(file)
    out.line(f"exported blocks {first} to {end} to {file}")
    out.document({"file": str(file), "first": first, "last": end, "blocks": count, "bytes": file.stat().st_size})
    return 0


def _world() -> tuple[Runtime, Log]:
    runtime = system_runtime()
    return runtime, Log(runtime.clock, "chain", "warning", "text")


def _counted(bar: Progress) -> Callable[[int], None]:
    """Tells the bar of one block after the other."""
    done = 0

    def tell(number: int) -> None:
        nonlocal done
        done += 1
        bar.at(done, f"block {number}")

    return tell


@contextlib.contextmanager
def _cleared(path: Path | None) -> Iterator[None]:
    """Whatever happens, what was made at ``path`` on the way is gone afterwards."""
    try:
        yield
    finally:
        if path is not None:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Troubles of files and directories in the user's words."""
    try:
        yield
    except (ConfigError, GenesisError, WrongGenesis) as error:
        raise BadInput(str(error)) from None
    except DatabaseLocked as error:
        raise Busy(str(error)) from None
    except (DatabaseError, CorruptDatabase) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{error.filename or 'file'}: {error.strerror or error}") from None
