"""Nodes that lie, as processes: a lying program in the place of the honest one, a memory that is gone, a twin."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from network.cluster import links, node_disk, ports, process, readiness
from network.cluster.fault_board import read_board
from network.cluster.process import ProcessRecord
from network.cluster.run_directory import RunDirectory
from network.failures import Failure

BY_PROCESS: Final = ("amnesia", "twins")
"""Kinds that are done to processes; all others are a lying program."""
TWIN_SECONDS: Final = 30.0


def command_of(run: RunDirectory, node: str) -> list[str]:
    """The command line that runs a node: the liar's while it is told to lie, else the honest one."""
    config = run.config_file(node)
    for fault in reversed(read_board(run.path).faults):
        if fault.touches(node) and fault.kind == "kill-between-effects":
            program = [sys.executable, "-m", "network.faults.liar_node", str(config)]
            return [*program, fault.kind, str(fault.action.number("effects"))]
        if fault.touches(node) and fault.action.what.is_byzantine and fault.kind not in BY_PROCESS:
            lie = [str(config), fault.kind, str(fault.action.share())]
            return [sys.executable, "-m", "network.faults.liar_node", *lie]
    return process.node_command(config)


def forget_votes(run: RunDirectory, node: str) -> int:
    """Take from a stopped validator what it has signed, so that it may contradict itself; how many records."""
    return node_disk.forget_votes(run, node)


def twin_dir(run: RunDirectory, node: str) -> Path:
    """Where the twin of a node lives."""
    return run.path / f"{node}-twin"


def twin_record(run: RunDirectory, node: str) -> ProcessRecord | None:
    """The twin's process, where it runs."""
    record = ProcessRecord.read(twin_dir(run, node) / "process.json")
    return record if record is not None and record.alive else None


def start_twin(run: RunDirectory, node: str, peers: Sequence[str] = ()) -> ProcessRecord:
    """Run a second node with the same validator key, a copy of its database, another identity, and peers of its own.

    It dials ``peers`` (else half of the other nodes) where they listen, past the links, so a partition does not hold
    for it: that is how two sides of a split can each hear a vote of one validator. Raises Failure, TimedOut.
    """
    if twin_record(run, node) is not None:
        raise Failure(f"{node} has a twin already", f"end it with: evmesh byz {node} honest")
    entry = run.node(node)
    if entry.validator is None:
        raise Failure(f"{node} is no validator, so a twin of it would change nothing", "choose another node")
    folder = twin_dir(run, node)
    folder.mkdir(mode=0o700, exist_ok=True)
    wiring = links.Wiring.read(run.path)
    host = wiring.host if wiring is not None else "127.0.0.1"
    http_port, p2p_port = ports.pick_free(host, 2)
    text = run.config_file(node).read_text("utf-8")
    text = re.sub(r"(?m)^name = .*$", f'name = "{node}-twin"', text, count=1)
    text = re.sub(r'(?m)^(listen = ".*):\d+"$', rf'\g<1>:{p2p_port}"', text, count=1)
    text = re.sub(r"(?m)^port = \d+$", f"port = {http_port}", text, count=1)
    others = [one for one in run.network().nodes if one.name != node]
    dialled = [one for one in others if one.name in peers] if peers else others[len(others) // 2 :]
    bootnodes = ", ".join(f'"evmesh://{one.node_id}@{host}:{one.p2p_port}"' for one in dialled)
    text = re.sub(r"(?ms)^bootnodes = \[.*?\]$", f"bootnodes = [{bootnodes}]", text, count=1)
    (folder / "node.toml").write_text(text, "utf-8")
    shutil.rmtree(folder / "db", ignore_errors=True)
    node_disk.copy_database(run, node, folder / "db")
    _write_secret(folder / "node.key", secrets.token_bytes(32).hex() + "\n")
    for key in run.node_dir(node).glob("validator*.key"):
        _write_secret(folder / key.name, key.read_text("ascii"))
    output, log = folder / "node.out", folder / "node.log"
    output.unlink(missing_ok=True)
    pid = process.spawn(process.node_command(folder / "node.toml"), output, log)
    record = process.record_of(pid, http_port, p2p_port)
    record.write(folder / "process.json")
    readiness.wait_ready(run, {folder.name: record}, TWIN_SECONDS, process.reap)
    return record


def stop_twin(run: RunDirectory, node: str) -> bool:
    """End a node's twin; whether there was one."""
    record = twin_record(run, node)
    if record is None:
        return False
    process.stop_all([record], 5.0)
    process.reap()
    return True


def twins(run: RunDirectory) -> list[ProcessRecord]:
    """Every twin that runs."""
    found = (twin_record(run, name) for name in run.node_names())
    return [record for record in found if record is not None]


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
