"""``slow``, ``clock``, ``disk``: a node whose machine is not what it should be."""

from __future__ import annotations

import click

from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.cli.quantities import byte_count, drift_ppm, duration_ms
from network.cluster import fault_hands, run_directory
from network.cluster.fault_words import action
from network.failures import BadInput


@click.command(
    epilog="\b\nExamples:\n  evmesh slow n2 --by 200ms  it stands still, again and again\n  evmesh slow n2 --clear\n"
)
@click.argument("node", shell_complete=node_names)
@click.option("--by", "by", metavar="TIME", help="How long it stands still after every 50 ms of work (SIGSTOP).")
@click.option("--clear", is_flag=True, help="Let it run at full speed again.")
@network_option
@json_option
def slow(node: str, by: str | None, clear: bool, network_name: str | None, as_json: bool) -> None:
    """Make everything that a node does take longer."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    fault_hands.running_node(run, node)
    if clear == (by is not None):
        raise BadInput("say how slow, or --clear", f"for example: evmesh slow {node} --by 200ms")
    if by is None:
        was = fault_hands.forget(run, node, ["slow-node"])
        out.line(f"{node} runs at full speed" + ("" if was else ", as before"))
        out.document({"node": node, "work_ms": 0})
        return
    work_ms = duration_ms(by)
    fault_hands.note(run, action("slow-node", (node,), work_ms=work_ms))
    out.line(f"{node} stands still for {work_ms} ms after every 50 ms")
    out.document({"node": node, "work_ms": work_ms})


@click.command(
    epilog="""\b
Examples:
  evmesh clock n1 --offset 5s      five seconds ahead of the machine's clock
  evmesh clock n1 --offset=-5s     behind
  evmesh clock n1 --drift 500ppm   gains half a millisecond a second
  evmesh clock n1 --jump=-1h       an hour back, from where it is
  evmesh clock n1                  how wrong it is
  evmesh clock n1 --clear          right again
"""
)
@click.argument("node", shell_complete=node_names)
@click.option("--offset", metavar="TIME", help="Ahead of the machine's clock; negative: behind.")
@click.option("--drift", metavar="PPM", help="Too fast by so much, from now on; negative: too slow.")
@click.option("--jump", metavar="TIME", help="Forward from where it is; negative: back.")
@click.option("--clear", is_flag=True, help="Set it right.")
@network_option
@json_option
def clock(
    node: str,
    offset: str | None,
    drift: str | None,
    jump: str | None,
    clear: bool,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Set a node's wall clock wrong while it runs. Its timers stay right: they follow the monotonic clock."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    fault_hands.running_node(run, node)
    if sum((offset is not None, drift is not None, jump is not None, clear)) > 1:
        raise BadInput("one of --offset, --drift, --jump and --clear at a time", f"see evmesh clock {node} --help")
    if offset is not None:
        fault = action("clock-offset", (node,), offset_ms=duration_ms(offset, negative=True))
        fault_hands.set_clock(run, node, fault)
    elif drift is not None:
        fault_hands.set_clock(run, node, action("clock-drift", (node,), ppm=drift_ppm(drift)))
    elif jump is not None:
        fault_hands.set_clock(run, node, action("clock-jump", (node,), by_ms=duration_ms(jump, negative=True)))
    elif clear:
        fault_hands.right_clock(run, node)
    wrong_ms, steering = fault_hands.steering_of(run, node)
    ppm = steering.drift_ppm
    if wrong_ms or ppm:
        ahead = f"{seconds(abs(wrong_ms) / 1000)} {'ahead' if wrong_ms >= 0 else 'behind'}"
        out.line(f"{node}'s clock is {ahead}" + (f", drifting by {ppm} ppm" if ppm else ""))
    else:
        out.line(f"{node}'s clock is right")
    out.document({"node": node, "wrong_by_ms": wrong_ms, "drift_ppm": ppm})


@click.command(
    epilog="""\b
Examples:
  evmesh disk n3 --full        its next block does not fit: it stops, nothing is lost
  evmesh disk n3 --free 100kB  it fits that much more
  evmesh disk n3 --clear       room again; if it has stopped: evmesh restart n3
"""
)
@click.argument("node", shell_complete=node_names)
@click.option("--full", is_flag=True, help="The database cannot grow any more.")
@click.option("--free", "free", metavar="SIZE", help="It can grow by this much.")
@click.option("--clear", is_flag=True, help="Take the limit away.")
@network_option
@json_option
def disk(node: str, full: bool, free: str | None, clear: bool, network_name: str | None, as_json: bool) -> None:
    """Let a running node's disk be full (a limit on its files; Linux). A node that is started again has none."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    if sum((full, free is not None, clear)) != 1:
        raise BadInput("one of --full, --free and --clear", f"for example: evmesh disk {node} --full")
    if clear:
        alive = fault_hands.free_disk(run, run.node(node).name)
        out.line(f"{node} has room again" + ("" if alive else f"; start it with: evmesh restart {node}"))
        out.document({"node": node, "limit_bytes": None})
        return
    free_bytes = byte_count(free) if free is not None else 0
    limit = fault_hands.fill_disk(run, node, free_bytes)
    out.line(f"{node}'s disk has {free_bytes} bytes left")
    out.document({"node": node, "limit_bytes": limit})
