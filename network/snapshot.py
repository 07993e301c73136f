"""A whole network in one file: keys, genesis, contracts, and every node's database as of one moment.

Saving stops all nodes for the moment (SIGSTOP) and copies what each has committed: exactly what a power cut that hit
all of them at once would have left, which is a state that nodes start from. Loading gives it new ports and a run
directory of its own; ``evmesh up --resume`` continues it.

    snapshot.json             format, name, when, each node's head
    network.json genesis.json validators.seed contracts.json
    n0/node.toml n0/*.key n0/dev.keys n0/data.mdb
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

from network.cluster import node_disk, process, run_directory
from network.cluster.process import send_signal
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.failures import BadInput, Failure
from network.manifest import Manifest
from network.provision import Place, choose_links, choose_places
from node.storage import schema
from node.storage.lmdb_database import LmdbDatabase
from node.types.blocks import decode_header

FORMAT: Final = 1
SHARED_FILES: Final = ("network.json", "genesis.json", "validators.seed", "contracts.json")
NODE_FILE: Final = re.compile(r"node\.toml|node\.key|validator[0-9]*\.key|dev\.keys|data\.mdb")
SMALL_BYTES_MAX: Final = 256 * 1024 * 1024
"""Of every file but a database: a genesis file may be large."""
DATABASE_BYTES_MAX: Final = 1 << 40
COMPRESSION: Final = 3
PAUSE_SECONDS: Final = 5.0


def save(run: RunDirectory, target: Path) -> dict[str, Any]:
    """Write a network into ``target`` (mode 0600: it holds its keys); what it is. Raises Failure."""
    network = run.network()
    if target.exists():
        raise BadInput(f"{target} exists already", "choose another name, or remove it")
    with tempfile.TemporaryDirectory(prefix=".snapshot-", dir=run.path) as folder:
        copies = Path(folder)
        with _standing_still(run):
            for node in network.nodes:
                if (run.database_dir(node.name) / "data.mdb").exists():
                    node_disk.copy_database(run, node.name, copies / node.name, stopped=True)
        about = {
            "format": FORMAT,
            "name": network.name,
            "saved_ms": time.time_ns() // 1_000_000,
            "heads": {node.name: _head(copies / node.name) for node in network.nodes if (copies / node.name).exists()},
        }
        partial = target.with_name(target.name + ".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _write(file, run, network, copies, about)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
        except OSError as error:
            raise Failure(f"cannot write {target}: {error.strerror}", "is there room on the disk?") from None
        finally:
            partial.unlink(missing_ok=True)
    return about


def _write(file: IO[bytes], run: RunDirectory, network: NetworkFile, copies: Path, about: Mapping[str, Any]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=COMPRESSION) as archive:
        note = copies / "snapshot.json"
        note.write_text(json.dumps(about), "utf-8")
        archive.add(note, "snapshot.json")
        for name in SHARED_FILES:
            if (run.path / name).exists():
                archive.add(run.path / name, name)
        for node in network.nodes:
            for path in sorted(run.node_dir(node.name).iterdir()):
                if path.is_file() and NODE_FILE.fullmatch(path.name):
                    archive.add(path, f"{node.name}/{path.name}")
            database = copies / node.name / "data.mdb"
            if database.exists():
                archive.add(database, f"{node.name}/data.mdb")


@contextlib.contextmanager
def _standing_still(run: RunDirectory) -> Iterator[None]:
    """No node of the network does anything meanwhile; those that were paused before stay so."""
    awake = [record for record in run.running().values() if not record.paused]
    try:
        for record in awake:
            send_signal(record, signal.SIGSTOP)
        deadline = time.monotonic() + PAUSE_SECONDS
        while any(record.alive and not record.paused for record in awake):
            if time.monotonic() > deadline:
                raise Failure("the nodes did not stand still", "is the machine very busy? try again")
            time.sleep(process.POLL_SECONDS / 10)
        yield
    finally:
        for record in awake:
            send_signal(record, signal.SIGCONT)


def _head(folder: Path) -> dict[str, Any] | None:
    """Number and hash of a copied database's head."""
    with LmdbDatabase(folder) as database:
        block_hash = database.get(schema.mark("head"))
        raw = None if block_hash is None else database.get(schema.header(block_hash))
    return (
        None if raw is None or block_hash is None else {"number": decode_header(raw).number, "hash": block_hash.hex()}
    )


def read_about(source: Path) -> dict[str, Any]:
    """What a snapshot says of itself. Raises BadInput."""
    with _opened(source) as archive:
        return _about(archive, source)


def load(source: Path, name: str | None, port: int | None, p2p_port: int | None) -> RunDirectory:
    """A new run directory out of a snapshot, on free ports. Raises BadInput, Busy, Failure."""
    with _opened(source) as archive:
        about = _about(archive, source)
        wanted = name or _free_name(str(about["name"]))
        run = run_directory.create(wanted)
        try:
            _extract(archive, run, source)
            _settle(run, port, p2p_port)
        except BaseException:
            shutil.rmtree(run.path)
            raise
    return run


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(source, "r:gz") as archive:
            yield archive
    except (OSError, EOFError, tarfile.TarError) as error:
        raise BadInput(
            f"{source} cannot be read: {error}", "it must be a file that evmesh snapshot save wrote"
        ) from None


def _about(archive: tarfile.TarFile, source: Path) -> dict[str, Any]:
    member = archive.next()
    file = archive.extractfile(member) if member is not None and member.name == "snapshot.json" else None
    try:
        about = json.loads(file.read(1024 * 1024)) if file is not None else None
    except ValueError:
        about = None
    if not isinstance(about, dict) or "name" not in about:
        raise BadInput(f"{source} is no snapshot of a network", "evmesh snapshot save writes one")
    if about.get("format") != FORMAT:
        raise BadInput(f"{source} has format {about.get('format')!r}, this evmesh reads {FORMAT}")
    return about


def _extract(archive: tarfile.TarFile, run: RunDirectory, source: Path) -> None:
    """Only the files that a snapshot has, wherever else a crafted archive would like to write."""
    for member in archive:
        node, _, file_name = member.name.rpartition("/")
        if member.name == "snapshot.json":
            continue
        shared = member.name in SHARED_FILES
        if not member.isreg() or not (
            shared or (re.fullmatch(r"n[0-9]{1,3}", node) and NODE_FILE.fullmatch(file_name))
        ):
            raise BadInput(f"{source} holds {member.name!r}, which no snapshot has", "do not use it")
        bound = DATABASE_BYTES_MAX if file_name == "data.mdb" else SMALL_BYTES_MAX
        if member.size > bound:
            raise BadInput(f"{source}: {member.name} has {member.size} bytes, at most {bound} are taken")
        folder = run.path if shared else run.node_dir(node) / ("db" if file_name == "data.mdb" else "")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = archive.extractfile(member)
        assert content is not None, "regular members have content"
        try:
            descriptor = os.open(folder / file_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise BadInput(f"{source} holds {member.name} twice", "do not use it") from None
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)


def _settle(run: RunDirectory, port: int | None, p2p_port: int | None) -> None:
    """Name and ports of its own: in network.json, links.json and every node.toml."""
    network = run.network()
    names = [node.name for node in network.nodes]
    if names != [f"n{index}" for index in range(len(names))] or any(not run.config_file(one).exists() for one in names):
        raise BadInput("the snapshot's nodes are not complete", "evmesh snapshot save writes one that is")
    asked = {"port": port, "p2p_port": p2p_port}
    given = {key: value for key, value in asked.items() if value is not None}
    manifest = Manifest().with_values({"nodes": len(names), "host": network.host, **given}, "command line")
    places, _ = choose_places(manifest)
    wiring = choose_links(places)
    entries = []
    for node in network.nodes:
        place = places[node.name]
        bootnodes = [
            f"evmesh://{other.node_id}@"
            + (wiring.dial_address(node.name, other.name) if wiring else _dial(places[other.name]))
            for other in network.nodes
            if other.name != node.name
        ]
        _move(run.config_file(node.name), place, bootnodes)
        entries.append(replace(node, http_port=place.http_port, p2p_port=place.p2p_port))
    if wiring is not None:
        wiring.write(run.path)
    run.write_network(replace(network, name=run.name, nodes=tuple(entries)))


def _dial(place: Place) -> str:
    return f"{place.dial_host}:{place.p2p_port}"


def _move(config: Path, place: Place, bootnodes: list[str]) -> None:
    """The same node.toml at another place."""
    text = config.read_text("utf-8")
    text = re.sub(r'(?m)^(listen = ".*):\d+"$', rf'\g<1>:{place.p2p_port}"', text, count=1)
    text = re.sub(r'(?m)^(advertise = ".*):\d+"$', rf'\g<1>:{place.p2p_port}"', text, count=1)
    text = re.sub(r"(?m)^port = \d+$", f"port = {place.http_port}", text, count=1)
    listed = "".join(f'  "{one}",\n' for one in bootnodes)
    text = re.sub(r"(?ms)^bootnodes = \[.*?\]$", f"bootnodes = [\n{listed}]", text, count=1)
    config.write_text(text, "utf-8")


def _free_name(wanted: str) -> str:
    """The snapshot's name where it is free, else one like it."""
    taken = {run.name for run in run_directory.all_runs()}
    run_directory.check_name(wanted)
    if wanted not in taken:
        return wanted
    return next(name for number in range(2, 10_000) if (name := f"{wanted}-{number}") not in taken)
