"""``kill``, ``pause``, ``resume``, ``restart``: trouble for one node."""

from __future__ import annotations

import difflib
import time

import click

from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.client import NodeClient
from network.cluster import fault_hands, fault_words, run_directory
from network.cluster.readiness import wait_height
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput
from network.manifest import SYNC_MODES


@click.command(epilog="\b\nExamples:\n  evmesh kill n3\n  evmesh kill n3 --after-effects 3\n  evmesh restart n3\n")
@click.argument("node", shell_complete=node_names)
@click.option("--term", is_flag=True, help="Ask it to stop (SIGTERM) instead.")
@click.option(
    "--after-effects",
    type=click.IntRange(0, 10_000),
    metavar="N",
    help="Start it anew in a form that dies after so many more effects of its engine.",
)
@network_option
@json_option
def kill(node: str, term: bool, after_effects: int | None, network_name: str | None, as_json: bool) -> None:
    """Kill a node as a crash would (SIGKILL); nothing is flushed, nobody is told."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    record = fault_hands.running_node(run, node)
    if term and after_effects is not None:
        raise BadInput("--term and --after-effects exclude each other", "leave one away")
    if after_effects is not None:
        fault_hands.kill_between_effects(run, node, after_effects)
        how, name = f"dies after {after_effects} effects", "SIGKILL"
    elif term:
        fault_hands.stop(run, node)
        fault_hands.note(run, fault_words.action("crash", (node,)))
        how, name = "stopped", "SIGTERM"
    else:
        fault_hands.kill(run, node)
        how, name = "killed", "SIGKILL"
    out.line(f"{node} {how} (pid {record.pid})")
    out.document({"node": node, "pid": record.pid, "signal": name})


@click.command(epilog="\b\nExamples:\n  evmesh pause n1\n  evmesh resume n1\n")
@click.argument("node", shell_complete=node_names)
@network_option
@json_option
def pause(node: str, network_name: str | None, as_json: bool) -> None:
    """Freeze a node (SIGSTOP): it holds its connections and says nothing."""
    out = Output(as_json)
    record = fault_hands.pause(run_directory.find(network_name), node)
    out.line(f"{node} paused (pid {record.pid})")
    out.document({"node": node, "pid": record.pid, "signal": "SIGSTOP"})


@click.command(epilog="\b\nExamples:\n  evmesh resume n1\n")
@click.argument("node", shell_complete=node_names)
@network_option
@json_option
def resume(node: str, network_name: str | None, as_json: bool) -> None:
    """Let a paused node go on (SIGCONT)."""
    out = Output(as_json)
    record = fault_hands.resume(run_directory.find(network_name), node)
    out.line(f"{node} resumed (pid {record.pid})")
    out.document({"node": node, "pid": record.pid, "signal": "SIGCONT"})


@click.command(
    epilog="""\b
Examples:
  evmesh restart n3
  evmesh restart n3 --no-wait
  evmesh restart n3 --lose-disk   with an empty database: it fetches everything again
  evmesh restart n3 --lose-disk --sync fast   it begins with a state of the others instead of block 1
  evmesh restart n3 --tear-log    as after a power cut in the middle of a write
  evmesh restart n3 --mutate slt-unsigned   with a mistake in its EVM, for evmesh bisect to find
  evmesh restart n3               without any
"""
)
@click.argument("node", shell_complete=node_names)
@click.option("--no-wait", is_flag=True, help="Do not wait until it has caught up with the others.")
@click.option("--lose-disk", is_flag=True, help="Kill it and delete its database first; its keys stay.")
@click.option("--sync", help="How it catches up without blocks, now and later: full or fast.")
@click.option("--tear-log", is_flag=True, help="Kill it and leave a half-written record in its consensus log.")
@click.option("--mutate", metavar="BUG", help="Start it with a seeded mistake in its EVM; 'list' names them.")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, help="Seconds to wait.")
@network_option
@json_option
def restart(
    node: str,
    no_wait: bool,
    lose_disk: bool,
    sync: str | None,
    tear_log: bool,
    mutate: str | None,
    timeout: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Start a node again (stopping it first when it runs), and wait until it has caught up."""
    out = Output(as_json)
    run = run_directory.find(network_name, must_run=False)
    entry = run.node(node)
    if mutate is not None and not _mutated(run, node, mutate, out):
        return
    if sync is not None and sync not in SYNC_MODES:
        raise BadInput(f"--sync: {sync!r} is none of {', '.join(SYNC_MODES)}", f"evmesh restart {node} --sync fast")
    if lose_disk and tear_log:
        raise BadInput("--lose-disk and --tear-log exclude each other", "a lost disk has no log")
    if lose_disk:
        fault_hands.lose_disk(run, node)
    elif tear_log:
        fault_hands.tear_log(run, node)
    else:
        fault_hands.stop(run, node)
    if sync is not None:
        run.set_sync(node, sync)
    others = [one for one in run.network().nodes if one.name != node and one.name in run.running()]
    began = time.monotonic()
    bug_file = run.bug_file(node)
    if mutate is None:
        bug_file.unlink(missing_ok=True)
    else:
        bug_file.write_text(mutate + "\n", "ascii")
    record = fault_hands.start(run, node, timeout)
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


def _mutated(run: RunDirectory, node: str, name: str, out: Output) -> bool:
    """Whether to go on: False where the bugs were listed only. Raises BadInput for one that is not known."""
    # imported here: it brings the EVM with it, which other commands need not wait for
    from network.faults.evm_bugs import EVM_BUGS

    if name == "list":
        out.table(["bug", "instruction", "what"], [[bug.name, bug.opcode.name, bug.what] for bug in EVM_BUGS.values()])
        out.document({"bugs": {bug.name: bug.what for bug in EVM_BUGS.values()}})
        return False
    if name not in EVM_BUGS:
        near = difflib.get_close_matches(name, EVM_BUGS, n=1)
        raise BadInput(
            f"{name!r} is no bug that is known",
            f"did you mean {near[0]}?" if near else "evmesh restart NODE --mutate list names them",
        )
    return True
