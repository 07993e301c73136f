"""``down``, ``ls``: networks end, and are listed."""

from __future__ import annotations

import time

import click

from network.cli.completing import network_names
from network.cli.group import json_option
from network.cli.output import Output, seconds, with_tilde
from network.cluster import companion, run_directory
from network.cluster.run_directory import RunDirectory
from network.cluster.supervisor import Supervisor
from network.failures import BadInput, Disagreement


@click.command(
    epilog="""\b
Examples:
  evmesh down                 the network that runs
  evmesh down brave-otter     this one
  evmesh down --all --remove  all, and delete their data
""",
)
@click.argument("name", required=False, shell_complete=network_names)
@click.option("--all", "everything", is_flag=True, help="Every network.")
@click.option("--remove", is_flag=True, help="Delete the run directory, too.")
@click.option("--timeout", type=float, default=5.0, show_default=True, help="Seconds before a node is killed.")
@json_option
def down(name: str | None, everything: bool, remove: bool, timeout: float, as_json: bool) -> None:
    """Stop a network. Its directory stays; evmesh up --resume continues it.

    Exit code 3 when the network had broken one of its promises while it ran.
    """
    out = Output(as_json)
    if everything:
        runs = [run for run in run_directory.all_runs() if remove or run.running()]
    else:
        runs = [_the_one(name, remove)]
    stopped = []
    verdict: Disagreement | None = None
    for run in runs:
        nodes = list(run.running())
        killed = Supervisor(run, out.progress).stop(timeout)
        if nodes:
            out.line(f"stopped {run.name} ({', '.join(nodes)})" + (f"; killed {', '.join(killed)}" if killed else ""))
        if nodes:
            try:
                companion.check_verdict(run)
            except Disagreement as broken:
                verdict = verdict or broken
        if remove:
            run.remove()
            out.line(f"removed {with_tilde(run.path)}")
        stopped.append({"name": run.name, "nodes": nodes, "killed": killed, "removed": remove})
    if not runs:
        out.line("no network is running")
    if verdict is not None:
        raise verdict
    out.document({"stopped": stopped})


def _the_one(name: str | None, remove: bool) -> RunDirectory:
    """The network to stop: never one of several by guess."""
    running = [run for run in run_directory.all_runs() if run.running()]
    if name is None and len(running) > 1:
        names = ", ".join(run.name for run in running)
        raise BadInput(f"several networks are running: {names}", "name one, or use --all")
    return run_directory.find(name, must_run=not (name and remove))


@click.command(epilog="\b\nExamples:\n  evmesh ls\n  evmesh ls --json\n")
@json_option
def ls(as_json: bool) -> None:
    """List networks, running and stopped."""
    out = Output(as_json)
    rows, documents = [], []
    last = run_directory.latest()
    for run in run_directory.all_runs():
        network = run.network()
        running = run.running()
        age = max(0, time.time_ns() // 1_000_000 - network.created_ms) // 1000
        state = "stopped" if not running else "running" if len(running) == len(network.nodes) else "partly running"
        is_latest = last is not None and last.name == run.name
        rows.append(
            [
                run.name + (" (latest)" if is_latest else ""),
                state,
                f"{len(running)}/{len(network.nodes)}",
                str(network.chain_id),
                network.nodes[0].url,
                _age(age),
            ]
        )
        documents.append(
            {
                "name": run.name,
                "state": state,
                "latest": is_latest,
                "running": list(running),
                "nodes": [node.name for node in network.nodes],
                "chain_id": network.chain_id,
                "url": network.nodes[0].url,
                "run_dir": str(run.path),
                "age_seconds": age,
            }
        )
    if rows:
        out.table(["network", "state", "nodes", "chain id", "rpc", "age"], rows)
    else:
        out.line("no network yet; start one with: evmesh up")
    out.document(documents)


def _age(total: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if total >= length:
            return f"{total // length} {unit}"
    return seconds(float(total)) if total < 1 else f"{total} s"
