"""``byz``: have a node lie, and see whether it is found out."""

from __future__ import annotations

import time

import click

from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.output import Output
from network.cluster import fault_words, lies, run_directory
from network.cluster.fault_board import read_board
from network.cluster.fault_hands import LIES
from network.cluster.reports import listed, take_reports
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput


@click.command(
    epilog="""\b
Examples:
  evmesh byz n2 equivocate   two different blocks for one turn, each shown to some
  evmesh byz n2 silent       it does not vote
  evmesh byz n2 twins        a second node with the same key
  evmesh byz n2 honest       the truth from now on
Kinds: equivocate, double-vote, surround-vote (pos), wrong-root, invalid-tx, withhold, silent, stale-replay,
amnesia, twins, honest; the long names of the fault vocabulary work, too.
""",
)
@click.argument("node", shell_complete=node_names)
@click.argument("kind")
@click.option("--share", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Of the occasions used.")
@click.option("--wait", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds for evidence.")
@click.option("--peers", metavar="NODES", help="With twins: whom the twin dials, past all partitions (default: half).")
@network_option
@json_option
def byz(
    node: str, kind: str, share: float, wait: float, peers: str | None, network_name: str | None, as_json: bool
) -> None:
    """Put a lying program in the place of a node. Its database and its key stay; others may convict it."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    name = lies.named(run, node, kind)
    if peers is not None and name != "twins":
        raise BadInput("--peers goes with twins only", f"for example: evmesh byz {node} twins --peers n0")
    dialled = [one for one in fault_words.node_list(run, peers) if one != node] if peers else []
    weights = fault_words.weights_of(run)
    lies.check_heeded(node, name, weights)
    known = _evidence(run, node)
    began = time.monotonic()
    lies.tell(run, node, name, share, dialled)
    lying = [one for one in run.node_names() if any(read_board(run.path).on_node(one, lie) for lie in LIES)]
    danger = _danger(weights, lying)
    seen = _wait_evidence(run, node, known, began + wait) if name in lies.CONVICTING else []
    words = f"{node} is honest again" if name == lies.HONEST else f"{node} lies: {name}"
    if name in lies.CONVICTING:
        words += f"; evidence seen by {listed(seen)}" if seen else f"; no evidence yet after {wait:g} s"
    out.line(words)
    if danger:
        out.line(danger)
    out.document({"node": node, "kind": name, "lying": lying, "evidence_seen_by": seen, "warning": danger or None})


def _danger(weights: dict[str, int], lying: list[str]) -> str:
    total, held = sum(weights.values()), sum(weights.get(name, 0) for name in lying)
    if not total or 3 * held < total:
        return ""
    hold = "holds" if len(lying) == 1 else "hold"
    return f"{listed(lying)} {hold} {held} of {total} votes, a third or more: nothing is promised any longer"


def _evidence(run: RunDirectory, node: str) -> dict[str, int]:
    """How many pieces of evidence against a node each other node holds."""
    reports = take_reports(run)
    return {
        report.name: sum(reports.name_of(one["validator"]) == node for one in report.consensus.get("evidence") or ())
        for report in reports.answering
        if report.name != node
    }


def _wait_evidence(run: RunDirectory, node: str, known: dict[str, int], deadline: float) -> list[str]:
    """Nodes that hold new evidence against the node, once all do or the time is over."""
    while True:
        seen = [name for name, count in _evidence(run, node).items() if count > known.get(name, 0)]
        if len(seen) == len(run.running()) - 1 or time.monotonic() > deadline:
            return seen
        time.sleep(0.2)
