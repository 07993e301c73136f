"""``partition``, ``heal``, ``link``: trouble between nodes, and its end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from network.cli.completing import node_names
from network.cli.group import json_option, network_option
from network.cli.output import Output, seconds
from network.cli.quantities import bytes_per_second, duration_ms, share
from network.cluster import aftermath, fault_hands, run_directory
from network.cluster.fault_board import ActiveFault, read_board
from network.cluster.fault_words import action, braced, check_sides, node_list, quorum_words, require_links
from network.cluster.observer import clients_of
from network.cluster.reports import listed
from network.cluster.run_directory import RunDirectory
from network.failures import BadInput
from network.faults.kinds import Group
from network.faults.link_faults import Link, cut_links, partitions
from network.faults.vocabulary import FaultAction


@click.command(
    epilog="""\b
Examples:
  evmesh partition n0,n1 / n2,n3            nothing passes between the two sides
  evmesh partition n3                       n3 alone, the others together
  evmesh partition n0,n1 / n2,n3 --one-way  what n0 and n1 send does not arrive, the way back is open
  evmesh partition n0 / n2,n3 --bridge n1   only n1 hears both sides
  evmesh heal                               undo it
""",
)
@click.argument("groups", nargs=-1, required=True, metavar="NODES [/ NODES]...", shell_complete=node_names)
@click.option("--one-way", is_flag=True, help="Only from the first group to the second.")
@click.option("--bridge", metavar="NODES", help="These hear both sides.")
@network_option
@json_option
def partition(
    groups: tuple[str, ...], one_way: bool, bridge: str | None, network_name: str | None, as_json: bool
) -> None:
    """Split the network into groups that do not hear each other. Takes the place of an earlier split."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    require_links(run)
    sides = _sides(run, groups, node_list(run, bridge) if bridge else ())
    bridges = node_list(run, bridge) if bridge else ()
    arrow = " -> " if one_way else " | "
    split = arrow.join(braced(side) for side in sides)
    if bridges:
        if len(sides) != 2 or one_way:
            raise BadInput(
                "a bridge stands between two groups", "write it like: evmesh partition n0 / n2,n3 --bridge n1"
            )
        actions = [action("bridge", bridges, side=tuple(sides[0]))]
        split += f" bridged by {','.join(bridges)}"
    elif one_way:
        if len(sides) != 2:
            raise BadInput("--one-way takes two groups", "write it like: evmesh partition n0 / n1,n2,n3 --one-way")
        actions = [action("one-way-partition", sides[0], others=tuple(sides[1]))]
    else:
        actions = partitions(sides)
    fault_hands.cut(run, actions, f"{actions[0].kind} {split}")
    quorum = "" if one_way else quorum_words(run, [[*side, *bridges] for side in sides])
    out.line(f"split: {split}" + (f"   {quorum}" if quorum else ""))
    out.document({"kind": actions[0].kind, "groups": sides, "bridge": list(bridges), "quorum": quorum or None})


def _sides(run: RunDirectory, words: Sequence[str], bridges: Sequence[str]) -> list[list[str]]:
    """The groups; one group alone stands against all others. Raises BadInput."""
    texts = " ".join(words).replace("|", "/").split("/")
    sides = [list(node_list(run, text.strip().replace(" ", ","))) for text in texts]
    if len(sides) == 1:
        sides.append([name for name in run.node_names() if name not in sides[0] and name not in bridges])
        if not sides[1]:
            raise BadInput("all nodes are in one group", "name those of one side, for example: evmesh partition n3")
    check_sides(run, sides, bridges)
    return sides


@click.command(
    epilog="\b\nExamples:\n  evmesh heal          links are whole again\n  evmesh heal --all    nodes, too\n"
)
@click.option("--all", "everything", is_flag=True, help="End slow, paused and clock faults, too.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the nodes to agree on one branch.")
@click.option("--timeout", type=float, default=60.0, show_default=True, help="Seconds to wait for that.")
@network_option
@json_option
def heal(everything: bool, no_wait: bool, timeout: float, network_name: str | None, as_json: bool) -> None:
    """End every fault of the links, and say whose blocks were replaced where the network had been split.

    Nodes that were killed come back with evmesh restart.
    """
    out = Output(as_json)
    run = run_directory.find(network_name)
    clients = [] if no_wait else clients_of(run.network(), 5.0)
    try:
        told = aftermath.branches(clients)
        fork = aftermath.fork_of(told)
        transactions = aftermath.transactions_of(clients, told, fork) if fork is not None else {}
        began = time.monotonic()
        healed, left = fault_hands.heal(run, everything)
        out.line(f"healed: {'; '.join(healed)}" if healed else "there was nothing to heal")
        if left:
            out.line(f"still on: {'; '.join(left)}")
        after = None
        if fork is not None and healed:
            names = [branch.name for branch in told]
            asked = [client for client in clients if client.name in names]
            finalized = aftermath.settled(asked, fork, began + timeout)
            after = aftermath.outcome(asked, told, transactions, finalized, time.monotonic() - began)
            for line in _after_words(after):
                out.line(line)
        out.document({"healed": healed, "still_on": left, "after": after.to_json() if after else None})
    finally:
        for client in clients:
            client.close()


def _after_words(after: aftermath.Aftermath) -> list[str]:
    lines = [
        f"reorg on {listed(loss.nodes)}: depth {loss.depth}, from #{loss.fork_number + 1} on" for loss in after.losses
    ]
    lines += [f"dropped: {transaction} ({why})" for transaction, why in after.gone]
    return [*lines, f"finalized #{after.finalized} on all nodes ({seconds(after.seconds)})"]


@click.command(
    epilog="""\b
Examples:
  evmesh link n0 n1 --delay 200ms --jitter 50ms   slow and uneven, both ways
  evmesh link n0 n1,n2 --loss 10% --one-way       what n0 sends to them gets lost
  evmesh link all all --rate 100kB/s              every link is narrow
  evmesh link n0 n1 --reset                       break the connection once
  evmesh link n0 n1                               what is wrong with it now
  evmesh link n0 n1 --clear                       nothing any more
""",
)
@click.argument("source", shell_complete=node_names)
@click.argument("target", shell_complete=node_names)
@click.option("--delay", metavar="TIME", help="Added one way, for example 200ms.")
@click.option("--jitter", metavar="TIME", help="Up to so much more, by chance.")
@click.option("--loss", metavar="SHARE", help="Share of the pieces that are sent again after a timeout (TCP).")
@click.option("--rate", metavar="RATE", help="Bytes a second that it carries, for example 100kB/s.")
@click.option("--duplicate", metavar="SHARE", help="Share of the pieces that arrive twice (TCP drops the second).")
@click.option("--reorder", metavar="SHARE", help="Share of the pieces that are overtaken (TCP makes the others wait).")
@click.option("--reset", is_flag=True, help="Break the connections between them, once.")
@click.option("--one-way", is_flag=True, help="Only from the first to the second.")
@click.option("--clear", is_flag=True, help="End all of this between them (a partition stays: evmesh heal).")
@network_option
@json_option
def link(
    source: str,
    target: str,
    reset: bool,
    one_way: bool,
    clear: bool,
    network_name: str | None,
    as_json: bool,
    **settings: str | None,
) -> None:
    """Make the link between two nodes bad. SOURCE and TARGET are nodes, lists of them, or all."""
    out = Output(as_json)
    run = run_directory.find(network_name)
    require_links(run)
    ends = node_list(run, source), node_list(run, target)
    names = run.node_names()
    between = [(one, two) for one in ends[0] for two in ends[1] if one != two]
    if not one_way:
        between += [(two, one) for one, two in between if (two, one) not in between]
    if not between:
        raise BadInput(f"a link has two ends, {source} and {target} are the same node", "name two nodes")
    actions = _actions(ends, one_way, settings)
    if clear and (actions or reset):
        raise BadInput("--clear goes alone", "first --clear, then set what you want")
    if clear or actions or reset:
        board = fault_hands.spoil(run, between, actions, clear, reset)
    else:
        board = read_board(run.path)
    shown = [fault for fault in board.of_group(Group.LINK) if _touching(fault, between, names)]
    label = f"{source} {'->' if one_way else '<->'} {target}"
    states = list(dict.fromkeys(str(fault) for fault in shown))
    if reset:
        out.line(f"{label}: connections broken; they are made again by themselves")
    out.line(f"{label}: {'; '.join(states) if states else 'no fault'}")
    out.document({"source": list(ends[0]), "target": list(ends[1]), "reset": reset, "faults": _documents(shown)})


def _documents(faults: Sequence[ActiveFault]) -> list[dict[str, Any]]:
    return [fault.to_json() for fault in faults]


def _actions(
    ends: tuple[Sequence[str], Sequence[str]], one_way: bool, settings: dict[str, str | None]
) -> list[FaultAction]:
    both: dict[str, Any] = {"others": tuple(ends[1]), "one_way": one_way}
    targets, made = ends[0], []
    if settings["delay"] is not None:
        made.append(action("delay", targets, delay_ms=duration_ms(settings["delay"]), **both))
    if settings["jitter"] is not None:
        made.append(action("jitter", targets, jitter_ms=duration_ms(settings["jitter"]), **both))
    if settings["loss"] is not None:
        made.append(action("loss", targets, share=share(settings["loss"]), **both))
    if settings["rate"] is not None:
        made.append(action("slow-link", targets, bytes_per_s=bytes_per_second(settings["rate"]), **both))
    if settings["duplicate"] is not None:
        made.append(action("duplication", targets, share=share(settings["duplicate"]), **both))
    if settings["reorder"] is not None:
        made.append(action("reorder", targets, share=share(settings["reorder"]), **both))
    return made


def _touching(fault: ActiveFault, between: Sequence[Link], names: Sequence[str]) -> bool:
    touched = fault_hands.spoiled_by(fault, names) or cut_links(fault.action, names)
    return any(one in between for one in touched)
