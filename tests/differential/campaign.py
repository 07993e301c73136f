"""Many seeds in several processes; what differed, made small; what the programs covered."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from node.evm.frame import Frame
from node.evm.interpreter import Interpreter
from node.evm.machine import FrameResult, Tracer
from node.evm.message import Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, Outcome
from tests.differential import comparing, node_answers
from tests.differential.cases import FORKS, KINDS, Case
from tests.differential.shrinking import shrink

CHUNK = 20
"""Seeds that a process takes at a time."""


@dataclass(frozen=True)
class Difference:
    """A case that two answered differently."""

    seed: int
    oracle: str
    lines: tuple[str, ...]
    case: Case


@dataclass
class Report:
    """What a campaign did."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By oracle and kind."""
    differences: list[Difference] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    """Seeds at which an oracle, or this node, failed in a way that is no answer."""
    opcodes: Counter[str] = field(default_factory=Counter)
    halts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    """Processor time of this and of all processes."""

    def add(self, other: Report) -> None:
        """Take in a part."""
        self.cases += other.cases
        self.differences += other.differences
        self.crashes += other.crashes
        self.opcodes += other.opcodes
        self.halts += other.halts
        self.seconds += other.seconds


@dataclass(frozen=True)
class Plan:
    """Which seeds, under what, by whom. Empty tuples mean all."""

    seeds: range
    forks: tuple[str, ...] = FORKS
    kinds: tuple[str, ...] = KINDS
    oracles: tuple[str, ...] = comparing.ORACLES
    shrinks: bool = True
    counts: bool = True

    def cases(self) -> Iterator[tuple[int, str, str]]:
        """(seed, fork, kind): each seed is one fork's, every kind of it is run."""
        for seed in self.seeds:
            for kind in self.kinds:
                yield seed, self.forks[seed % len(self.forks)], kind


class Counting(Tracer):
    """Which opcodes ran, and how frames ended."""

    def __init__(self) -> None:
        self.opcodes: Counter[str] = Counter()
        self.halts: Counter[str] = Counter()

    def enter(self, message: Message) -> None:
        """Not told to machines."""

    def step(self, frame: Frame, opcode: int) -> None:
        if frame.message.depth in (100, 1024):
            self.halts[f"steps at depth {frame.message.depth}"] += 1
        self.opcodes[Opcode(opcode).name if opcode in Opcode._value2member_map_ else f"0x{opcode:02x}"] += 1

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        self.halts[halt.reason.value] += 1

    def exit(self, message: Message, outcome: Outcome) -> None:
        """Not told to machines."""


class CountingMachine:
    """The interpreter, watched."""

    def __init__(self, tracer: Counting) -> None:
        self._machine = Interpreter()
        self._tracer = tracer

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """Run it."""
        return self._machine.run_frame(frame, self._tracer)


def run(plan: Plan, jobs: int = 1) -> Report:
    """All of it."""
    parts = [
        Plan(plan.seeds[start : start + CHUNK], plan.forks, plan.kinds, plan.oracles, plan.shrinks, plan.counts)
        for start in range(0, len(plan.seeds), CHUNK)
    ]
    report = Report()
    if jobs == 1:
        for part in parts:
            report.add(_run_part(part))
        return report
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap_unordered(_run_part, parts):
            report.add(found)
    return report


def _run_part(plan: Plan) -> Report:
    report = Report()
    began = time.process_time()
    counting = Counting()
    for seed, fork, kind in plan.cases():
        case = comparing.generate(seed, fork, kind)
        if plan.counts and kind != "block":
            node_answers.answer(case, CountingMachine(counting))
        for oracle in plan.oracles:
            _judge(plan, report, seed, case, oracle)
    report.opcodes = counting.opcodes
    report.halts = counting.halts
    report.seconds = time.process_time() - began
    return report


def _judge(plan: Plan, report: Report, seed: int, case: Case, oracle: str) -> None:
    try:
        lines = comparing.compare(case, oracle)
    except Exception as error:
        report.crashes.append(f"seed {seed}, {case['fork']}, {case['kind']}, {oracle}: {error!r}")
        return
    if lines is None:
        return
    report.cases[oracle, case["kind"]] += 1
    if lines:
        where = _places(lines)
        small = shrink(case, lambda candidate: _differs(candidate, oracle, where)) if plan.shrinks else case
        report.differences.append(Difference(seed, oracle, tuple(comparing.compare(small, oracle) or lines), small))


def _places(lines: list[str]) -> set[str]:
    """Which parts of the answers differ; a smaller case must not differ in others."""
    return {line.partition(":")[0].partition(".")[0].partition("[")[0] for line in lines}


def _differs(case: Case, oracle: str, where: set[str]) -> bool:
    try:
        lines = comparing.compare(case, oracle)
    except Exception:  # what nobody can run is no smaller case
        return False
    return bool(lines) and _places(lines or []) <= where


def as_text(report: Report) -> list[str]:
    """Lines for people."""
    lines = [f"{oracle} {kind}: {count} cases" for (oracle, kind), count in sorted(report.cases.items())]
    known = {opcode.name for opcode in Opcode}
    missing = sorted(known - set(report.opcodes))
    if report.opcodes:
        lines.append(
            f"opcodes: {len(known) - len(missing)} of {len(known)} ran" + f", not {', '.join(missing)}" * bool(missing)
        )
        lines.append("ends: " + ", ".join(f"{name} {count}" for name, count in sorted(report.halts.items())))
    lines += [f"no answer: {crash}" for crash in report.crashes[:20]]
    lines.append(
        f"{len(report.differences)} differences, {len(report.crashes)} without an answer, {report.seconds:.0f} s"
    )
    return lines


def default_jobs() -> int:
    """One for each processor."""
    return os.cpu_count() or 1


def as_seed(difference: Difference) -> dict[str, Any]:
    """As ``seeds.json`` keeps it."""
    return {"about": f"seed {difference.seed}, {difference.oracle}: {difference.lines[0]}", "case": difference.case}
