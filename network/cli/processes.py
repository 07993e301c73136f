"""``kill``, ``pause``, ``resume``, ``restart``: trouble for one node."""

from __future__ import annotations

import signal
import time

import click

from network.cli import fault_words
from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.client import NodeClient
from network.cluster import node_disk, process, run_directory
from network.cluster.process import ProcessRecord, send_signal
from network.cluster.readiness import wait_height
from network.cluster.run_directory import RunDirectory
from network.cluster.supervisor import restart_node
from network.failures import BadInput, Failure


def running_node(run: RunDirectory, name: str) -> ProcessRecord:
    """A node's process. Raises BadInput where there is no such node, Failure where it does not run."""
    run.node(name)
    record = run.record(name)
    if record is None or not record.alive:
        raise Failure(f"{name} is not running", f"start it with: evmesh restart {name}")
    return record


@click.command(epilog="\b\nExamples:\n  evmesh kill n3\n  evmesh restart n3\n")
@click.argument("node")
@click.option("--term", is_flag=True, help="Ask it to stop (SIGTERM) instead.")
@network_option
@json_option
def kill(node: str, term: bool, network_name: str | None, as_json: bool) -> None:
    """Kill a node as a crash would (SIGKILL); nothing is flushed, nobody is told."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    record = running_node(run, node)
    fault_words.record(run, fault_words.action("crash", (node,)), ["pause"])
    if term:
        process.stop_all([record], 10.0)
    else:
        process.kill_all([record])
    out.line(f"{node} {'stopped' if term else 'killed'} (pid {record.pid})")
    out.document({"node": node, "pid": record.pid, "signal": "SIGTERM" if term else "SIGKILL"})


@click.command(epilog="\b\nExamples:\n  evmesh pause n1\n  evmesh resume n1\n")
@click.argument("node")
@network_option
@json_option
def pause(node: str, network_name: str | None, as_json: bool) -> None:
    """Freeze a node (SIGSTOP): it holds its connections and says nothing."""
    _signal(node, network_name, as_json, signal.SIGSTOP, "paused")


@click.command(epilog="\b\nExamples:\n  evmesh resume n1\n")
@click.argument("node")
@network_option
@json_option
def resume(node: str, network_name: str | None, as_json: bool) -> None:
    """Let a paused node go on (SIGCONT)."""
    _signal(node, network_name, as_json, signal.SIGCONT, "resumed")


def _signal(node: str, network_name: str | None, as_json: bool, number: signal.Signals, done: str) -> None:
    out = Output(as_json)
    run = run_directory.find(network_name)
    record = running_node(run, node)
    # noted before it is done (and after it is undone): whoever asks why must find the cause
    if number is signal.SIGSTOP:
        fault_words.record(run, fault_words.action("pause", (node,)))
    if not send_signal(record, number):
        raise Failure(f"{node} ended just now", f"start it with: evmesh restart {node}")
    if number is signal.SIGCONT:
        fault_words.forget(run, node, ["pause"])
    out.line(f"{node} {done} (pid {record.pid})")
    out.document({"node": node, "pid": record.pid, "signal": number.name})


@click.command(
    epilog="""\b
Examples:
  evmesh restart n3
  evmesh restart n3 --no-wait
  evmesh restart n3 --lose-disk   with an empty database: it fetches everything again
  evmesh restart n3 --tear-log    as after a power cut in the middle of a write
"""
)
@click.argument("node")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has caught up with the others.")
@click.option("--lose-disk", is_flag=True, help="Kill it and delete its database first; its keys stay.")
@click.option("--tear-log", is_flag=True, help="Kill it and leave a half-written record in its consensus log.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait.")
@network_option
@json_option
def restart(
    node: str,
    no_wait: bool,
    lose_disk: bool,
    tear_log: bool,
    timeout: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Start a node again (stopping it first when it runs), and wait until it has caught up."""
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    entry = run.node(node)
    if lose_disk and tear_log:
        raise BadInput("--lose-disk and --tear-log exclude each other", "a lost disk has no log")
    record = run.record(node)
    if record is not None and record.alive:
        if lose_disk or tear_log:
            process.kill_all([record])
        else:
            process.stop_all([record], 10.0)
    if lose_disk:
        node_disk.lose_disk(run, node)
        fault_words.record(run, fault_words.action("lost-disk", (node,)))
    elif tear_log:
        node_disk.tear_log(run, node)
    others = [one for one in run.network().nodes if one.name != node and one.name in run.running()]
    began = time.monotonic()
    record = restart_node(run, node, timeout)
    fault_words.forget(run, node, ["crash", "pause", "full-disk"])
    client = NodeClient(entry.url, node)
    first = client.block_number()
    head = 0
    if others and not no_wait:
        head = max(NodeClient(one.url, one.name).block_number() for one in others)
        wait_height(client, head, timeout)
    synced = max(0, head - first)
    took = time.monotonic() - began
    caught_up = f", caught up {synced} blocks to #{head}" if others and not no_wait else ""
    out.line(f"{node} runs again (pid {record.pid}){caught_up} in {seconds(took)}")
    out.document({"node": node, "pid": record.pid, "synced_blocks": synced, "head": head, "seconds": round(took, 3)})
