"""``snapshot save``, ``snapshot load``: a network as a file."""

from __future__ import annotations

import time
from pathlib import Path

import click

from network import snapshot as snapshots
from network.cli.group import json_option, network_option
from network.cli.output import Output, shorten, with_tilde
from network.cluster import run_directory


@click.group(
    epilog="""\b
Examples:
  evmesh snapshot save before.evmesh
  evmesh snapshot load before.evmesh --name again --json
  evmesh up --resume --name again
"""
)
def snapshot() -> None:
    """Save a network with all its nodes, keys and blocks in one file; make a network out of one."""


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
@network_option
@json_option
def save(file: Path, network_name: str | None, as_json: bool) -> None:
    """Save a network, running or not. Its nodes stand still for the moment that copying takes.

    The file holds the network's keys and is readable for its owner only.
    """
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    about = snapshots.save(run, file)
    heads = {name: head for name, head in about["heads"].items() if head}
    words = ", ".join(f"{name} at #{head['number']} 0x{shorten(head['hash'])}" for name, head in heads.items())
    out.line(f"saved {run.name} ({words or 'not started yet'}) in {with_tilde(file)}, {file.stat().st_size:,} bytes")
    out.document({"file": str(file), "bytes": file.stat().st_size, **about})


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the new network (default: the saved one's, where it is free).")
@click.option("--port", type=int, help="JSON-RPC of node i: port + i (default 8545; 0: free).")
@click.option("--p2p-port", type=int, help="Peers of node i: port + i (default 30303; 0: free).")
@json_option
def load(file: Path, name: str | None, port: int | None, p2p_port: int | None, as_json: bool) -> None:
    """Make a network out of a snapshot, stopped and on ports of its own; evmesh up --resume starts it.

    Do not run it beside the one that it was saved from where the two could meet: their validators have the same keys.
    """
    out = Output(as_json)
    about = snapshots.read_about(file)
    run = snapshots.load(file, name, port, p2p_port)
    run_directory.mark_latest(run)
    saved = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(about["saved_ms"] / 1000))
    out.line(f"{run.name}: {len(run.node_names())} nodes as of {saved}, in {with_tilde(run.path)}")
    out.line(f"start it with: evmesh up --resume --name {run.name}")
    out.document({"name": run.name, "run_dir": str(run.path), "saved_ms": about["saved_ms"], "heads": about["heads"]})
