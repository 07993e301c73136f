"""The hands that put a fault of the vocabulary on a running network, and take it away.

Commands and plans use the same ones. A fault is noted on the board before it is done and taken off after it is undone,
so whoever asks why in between finds the cause.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from network.cluster import byzantine, companion, links, node_disk, process
from network.cluster.fault_board import ActiveFault, Board, change_board
from network.cluster.process import ProcessRecord, send_signal
from network.cluster.run_directory import RunDirectory
from network.cluster.supervisor import restart_node
from network.failures import Failure
from network.faults.kinds import KINDS, Group
from network.faults.link_faults import Link, spoiled_links
from network.faults.steered_clock import CLOCK_FILE, Steering, read_steering, steer
from network.faults.vocabulary import FaultAction

STOP_SECONDS: Final = 10.0
LIES: Final = tuple(name for name, kind in KINDS.items() if kind.is_byzantine)
GONE_WITH_THE_PROCESS: Final = ("crash", "kill-between-effects", "pause", "full-disk")
"""What a node no longer has once it was started again."""


def carry_out(run: RunDirectory, board: Board) -> None:
    """Have the link process do what the board says, where there is one."""
    if links.Wiring.read(run.path) is not None and run.running():
        companion.apply(run, board)


def note(run: RunDirectory, fault: FaultAction, replaces: Iterable[str] = ()) -> None:
    """Put a fault on the board; one on single nodes takes the place of earlier ones of its kind and of ``replaces``."""
    kinds = (fault.kind, *replaces)

    def change(board: Board) -> Board:
        if fault.what.group is not Group.LINK:
            for node in fault.targets:
                board = board.without_node(node, kinds)
        return board.with_fault(fault)

    _, board = change_board(run.path, change)
    carry_out(run, board)


def forget(run: RunDirectory, node: str, kinds: Iterable[str]) -> list[ActiveFault]:
    """Take faults of one node off the board; those that were on it."""
    wanted = tuple(kinds)
    before, board = change_board(run.path, lambda one: one.without_node(node, wanted))
    gone = [fault for fault in before.faults if fault not in board.faults]
    if gone:
        carry_out(run, board)
    return gone


def running_node(run: RunDirectory, name: str) -> ProcessRecord:
    """A node's process. Raises BadInput where there is no such node, Failure where it does not run."""
    run.node(name)
    record = run.record(name)
    if record is None or not record.alive:
        raise Failure(f"{name} is not running", f"start it with: evmesh restart {name}")
    return record


# ---- links

CUTS: Final = ("partition", "one-way-partition", "bridge")
"""What lets nothing pass; a new cut takes the place of the earlier ones."""


def cut(run: RunDirectory, faults: Sequence[FaultAction], words: str) -> None:
    """Let these cuts, and no others, lie between the nodes; ``words`` names them on the board. Raises Failure."""

    def change(board: Board) -> Board:
        board = board.without(lambda fault: fault.kind in CUTS)
        for one in faults:
            board = board.with_fault(one, words)
        return board

    _, board = change_board(run.path, change)
    carry_out(run, board)


def heal(run: RunDirectory, everything: bool = False) -> tuple[list[str], list[str]]:
    """End every fault of the links, and with ``everything`` pauses, slowness and wrong clocks.

    Returns (healed, what still lasts), in words. Raises Failure.
    """

    def ends(fault: ActiveFault) -> bool:
        lasting = fault.kind in ("slow-node", "pause") or fault.group is Group.CLOCK
        return fault.group is Group.LINK or (everything and lasting)

    before, board = change_board(run.path, lambda one: one.without(ends))
    carry_out(run, board)
    for fault in before.faults:
        for node in fault.action.targets if ends(fault) else ():
            if fault.kind == "pause":
                record = run.record(node)
                if record is not None:
                    send_signal(record, signal.SIGCONT)
            elif fault.group is Group.CLOCK:
                steer(run.node_dir(node) / CLOCK_FILE, 0, 0)
    healed = list(dict.fromkeys(str(fault) for fault in before.faults if ends(fault)))
    return healed, list(dict.fromkeys(str(fault) for fault in board.lasting))


def spoil(
    run: RunDirectory, between: Sequence[Link], faults: Sequence[FaultAction], clear: bool = False, reset: bool = False
) -> Board:
    """Put faults on links, in the place of what those links had of the same kinds (``clear``: of any kind).

    ``between``: the links (from, to) that are meant; ``reset`` breaks their connections once. A cut stays. The board
    as it is then. Raises Failure.
    """
    names = run.node_names()
    kinds = [one.kind for one in faults]

    def replaced(fault: ActiveFault) -> bool:
        touched = spoiled_by(fault, names)
        return bool(touched) and all(one in between for one in touched) and (clear or fault.kind in kinds)

    def change(board: Board) -> Board:
        board = board.without(replaced)
        for one in faults:
            board = board.with_fault(one)
        return board.with_reset(between) if reset else board

    _, board = change_board(run.path, change)
    carry_out(run, board)
    return board


def spoiled_by(fault: ActiveFault, names: Sequence[str]) -> list[Link]:
    """Links that a fault delays, loses or slows; none for a cut."""
    return [] if fault.group is not Group.LINK or fault.kind in CUTS else spoiled_links(fault.action, names)


# ---- processes


def kill(run: RunDirectory, node: str, kind: str = "crash") -> ProcessRecord:
    """SIGKILL, as a crash. Raises Failure."""
    record = running_node(run, node)
    note(run, FaultAction(0, kind, (node,)), ["pause"])
    process.kill_all([record])
    return record


def pause(run: RunDirectory, node: str) -> ProcessRecord:
    """SIGSTOP. Raises Failure."""
    record = running_node(run, node)
    note(run, FaultAction(0, "pause", (node,)))
    if not send_signal(record, signal.SIGSTOP):
        raise Failure(f"{node} ended just now", f"start it with: evmesh restart {node}")
    return record


def resume(run: RunDirectory, node: str) -> ProcessRecord:
    """SIGCONT. Raises Failure."""
    record = running_node(run, node)
    if not send_signal(record, signal.SIGCONT):
        raise Failure(f"{node} ended just now", f"start it with: evmesh restart {node}")
    forget(run, node, ["pause"])
    return record


def stop(run: RunDirectory, node: str, hard: bool = False) -> None:
    """End a node's process, where it runs: ask it to, or kill it."""
    record = run.record(node)
    if record is not None and record.alive:
        if hard:
            process.kill_all([record])
        else:
            process.stop_all([record], STOP_SECONDS)


def start(run: RunDirectory, node: str, seconds: float = 30.0) -> ProcessRecord:
    """Start a node that does not run; whatever ended it is over. Raises Failure, TimedOut."""
    forget(run, node, ["kill-between-effects"])  # else it would be started in the form that dies
    record = restart_node(run, node, seconds)
    forget(run, node, GONE_WITH_THE_PROCESS)
    return record


def restart(run: RunDirectory, node: str) -> ProcessRecord:
    """Ask a node to end, where it runs, and start it. Raises Failure, TimedOut."""
    stop(run, node)
    return start(run, node)


def kill_between_effects(run: RunDirectory, node: str, effects: int) -> None:
    """Start a node in a form that kills itself after so many more effects of its engine, and wait until it has."""
    stop(run, node)
    note(run, FaultAction(0, "kill-between-effects", (node,), {"effects": effects}))
    with contextlib.suppress(Failure):  # it may be gone before it serves
        restart_node(run, node)


# ---- clocks


def set_clock(run: RunDirectory, node: str, fault: FaultAction) -> None:
    """Set a running node's clock wrong as a clock fault says. Raises Failure."""
    running_node(run, node)
    path = run.node_dir(node) / CLOCK_FILE
    now_ms = time.monotonic_ns() // 1_000_000
    steering = read_steering(path)
    wrong_ms = steering.wrong_by_ms(now_ms)
    note(run, fault, ["clock-jump"] if fault.kind == "clock-offset" else [])
    match fault.kind:
        case "clock-offset":
            steer(path, fault.number("offset_ms"), steering.drift_ppm)
        case "clock-drift":
            steer(path, wrong_ms, fault.number("ppm"))
        case "clock-jump":
            steer(path, wrong_ms + fault.number("by_ms"), steering.drift_ppm)


def right_clock(run: RunDirectory, node: str) -> None:
    """Set a node's clock right."""
    steer(run.node_dir(node) / CLOCK_FILE, 0, 0)
    forget(run, node, [name for name, kind in KINDS.items() if kind.group is Group.CLOCK])


def steering_of(run: RunDirectory, node: str) -> tuple[int, Steering]:
    """(how wrong a node's clock is now, in ms, and why)."""
    steering = read_steering(run.node_dir(node) / CLOCK_FILE)
    return steering.wrong_by_ms(time.monotonic_ns() // 1_000_000), steering


# ---- disks


def fill_disk(run: RunDirectory, node: str, free_bytes: int) -> int:
    """Leave a running node so much room; the limit in bytes. Raises Failure."""
    record = running_node(run, node)
    limit = node_disk.fill_disk(run, node, record, free_bytes)
    note(run, FaultAction(0, "full-disk", (node,), {"free_bytes": free_bytes}))
    return limit


def free_disk(run: RunDirectory, node: str) -> bool:
    """Take the limit away; whether the node still runs."""
    record = run.record(node)
    alive = record is not None and record.alive
    if record is not None and alive:
        node_disk.free_disk(record)
    forget(run, node, ["full-disk"])
    return alive


def make_room(run: RunDirectory, node: str) -> None:
    """Free a node's disk, and start it if it has stopped for want of room. Raises Failure, TimedOut."""
    if not free_disk(run, node):
        start(run, node)


def lose_disk(run: RunDirectory, node: str) -> None:
    """Kill a node and delete its database."""
    stop(run, node, hard=True)
    node_disk.lose_disk(run, node)
    note(run, FaultAction(0, "lost-disk", (node,)))


def tear_log(run: RunDirectory, node: str) -> None:
    """Kill a node and leave a half-written record in its consensus log. Raises Failure."""
    stop(run, node, hard=True)
    node_disk.tear_log(run, node)


# ---- lies


def begin_lie(run: RunDirectory, fault: FaultAction, twin_peers: Iterable[str] = ()) -> None:
    """Have a node lie. It is noted first: the judge must know that it is none of the honest ones. Raises Failure."""
    node = fault.targets[0]
    byzantine.stop_twin(run, node)
    note(run, fault, LIES)
    if fault.kind == "twins":
        byzantine.start_twin(run, node, tuple(twin_peers))
        return
    stop(run, node, hard=fault.kind == "amnesia")
    if fault.kind == "amnesia":
        byzantine.forget_votes(run, node)
    start(run, node)


def end_lies(run: RunDirectory, node: str) -> None:
    """The truth from now on."""
    lied = forget(run, node, LIES)
    byzantine.stop_twin(run, node)
    if any(fault.kind not in byzantine.BY_PROCESS for fault in lied):
        stop(run, node)
        start(run, node)


# ---- by name

Hand = Callable[[RunDirectory, str, FaultAction], object]

_BEGIN: Final[Mapping[str, Hand]] = {
    "crash": lambda run, node, fault: kill(run, node),
    "kill-between-effects": lambda run, node, fault: kill_between_effects(run, node, fault.number("effects")),
    "pause": lambda run, node, fault: pause(run, node),
    "restart": lambda run, node, fault: restart(run, node),
    "slow-node": lambda run, node, fault: note(run, FaultAction(0, fault.kind, (node,), fault.parameters)),
    "lost-disk": lambda run, node, fault: lose_disk(run, node),
    "torn-log": lambda run, node, fault: tear_log(run, node),
    "full-disk": lambda run, node, fault: fill_disk(run, node, fault.number("free_bytes")),
    **{
        kind: lambda run, node, fault: set_clock(run, node, FaultAction(0, fault.kind, (node,), fault.parameters))
        for kind in ("clock-offset", "clock-drift", "clock-jump")
    },
    **{
        kind: lambda run, node, fault: begin_lie(run, FaultAction(0, fault.kind, (node,), fault.parameters))
        for kind in LIES
    },
}


def _ensure_runs(run: RunDirectory, node: str) -> None:
    record = run.record(node)
    if record is None or not record.alive:
        start(run, node)


_END: Final[Mapping[str, Hand]] = {
    "crash": lambda run, node, fault: _ensure_runs(run, node),
    "kill-between-effects": lambda run, node, fault: restart(run, node),
    "pause": lambda run, node, fault: resume(run, node),
    "slow-node": lambda run, node, fault: forget(run, node, [fault.kind]),
    "lost-disk": lambda run, node, fault: _ensure_runs(run, node),
    "torn-log": lambda run, node, fault: _ensure_runs(run, node),
    "full-disk": lambda run, node, fault: make_room(run, node),
    **{kind: lambda run, node, fault: right_clock(run, node) for kind in ("clock-offset", "clock-drift")},
    **{kind: lambda run, node, fault: end_lies(run, node) for kind in LIES},
}


def begin(run: RunDirectory, fault: FaultAction) -> None:
    """Put any fault of the vocabulary on. Raises Failure."""
    if fault.what.group is Group.LINK:
        note(run, fault)
        return
    for node in fault.targets:
        _BEGIN[fault.kind](run, node, fault)


def end(run: RunDirectory, fault: FaultAction) -> None:
    """End a fault that lasts, and undo what it did as far as it can be undone. Raises Failure."""
    if fault.what.group is Group.LINK:
        _, board = change_board(run.path, lambda one: one.without(lambda active: active.action == fault))
        carry_out(run, board)
        return
    for node in fault.targets:
        hand = _END.get(fault.kind)
        if hand is not None:
            hand(run, node, fault)
