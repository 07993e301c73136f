"""Run files of vectors, in this process or in several, and hand the verdicts out in the order of the files."""

from __future__ import annotations

import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TextIO

from network.vectors import block_cases, state_cases
from network.vectors.fields import FieldError, FixtureError, mapping, parse_json
from network.vectors.networks import same_network
from network.vectors.verdicts import Verdict
from node.evm.machine import VirtualMachine
from node.evm.native import choice
from node.evm.tracers.eip3155 import StructLines

WAITING_PER_PROCESS: Final = 4
"""Files read ahead: what bounds the memory."""


class Kind(StrEnum):
    """Which tests the files hold."""

    STATE = "state"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and what to tell about it."""

    kind: Kind
    forks: frozenset[str] = frozenset()
    """Empty: all that are known."""
    pattern: str = ""
    """A regular expression that the name or ``file::name[fork-index]`` must hold."""
    index: int | None = None
    """Only this one of a fork's results in a state test."""
    trace: bool = False
    dump: bool = False
    trace_stack: bool = True
    trace_memory: bool = False
    trace_return_data: bool = False
    evm: choice.Evm = choice.DEFAULT

    def wants_fork(self, name: str) -> bool:
        """The fork is selected, by this or another name of it."""
        return not self.forks or any(same_network(name, wanted) for wanted in self.forks)


@dataclass(slots=True)
class FileResult:
    """One file: its verdicts, what was skipped for want of the fork, and why it is unusable, if it is."""

    file: str
    verdicts: list[Verdict] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    unusable: FixtureError | None = None


@dataclass(slots=True)
class Totals:
    """Counts per fork."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    named: int = 0
    """Cases that name an exception officially, and were refused."""
    renamed: int = 0
    """Of these, refused with another name."""
    unusable: list[FixtureError] = field(default_factory=list)

    def add(self, result: FileResult) -> None:
        """Count one file."""
        self.skipped.update(result.skipped)
        if result.unusable is not None:
            self.unusable.append(result.unusable)
        for verdict in result.verdicts:
            (self.passed if verdict.passed else self.failed)[verdict.fork] += 1
            if "Exception." in verdict.expected_exception and verdict.got_exception:
                self.named += 1
                self.renamed += bool(verdict.name_differs)

    def forks(self) -> list[str]:
        """Every fork that was run, in order of name."""
        return sorted({*self.passed, *self.failed})


def machine_of(options: Options) -> VirtualMachine:
    """The machine asked for. Raises ``choice.NoSuchMachine``."""
    vm = choice.machine(options.evm, lambda line: print(line, file=sys.stderr))
    choice.compile_hot_code(vm, choice.hot_from_environment())
    return vm


def run_file(name: str, content: bytes, options: Options, trace_to: TextIO | None = None) -> FileResult:
    """Every selected case of one file. A crash of ours is a failed case; a malformed file is ``unusable``."""
    result = FileResult(name)
    case_name = ""
    try:
        for case_name, test in mapping(parse_json(content), "").items():
            if case_name.startswith("_"):
                continue
            _run_test(result, name, case_name, test, options, trace_to or sys.stderr)
    except FieldError as error:
        result.unusable = FixtureError(name, case_name, error.field, error.why)
    return result


def _run_test(result: FileResult, file: str, name: str, test: object, options: Options, trace_to: TextIO) -> None:
    skipped: dict[str, int] = {}
    cases: Iterable[Any] = (state_cases if options.kind is Kind.STATE else block_cases).cases_of(
        file, name, test, skipped
    )
    pattern = re.compile(options.pattern)
    for case in cases:
        fork = case.fork if isinstance(case, state_cases.StateCase) else case.network.name
        index = case.index if isinstance(case, state_cases.StateCase) else None
        if not options.wants_fork(fork):
            continue
        if options.index is not None and index not in (None, options.index):
            continue
        if not (pattern.search(name) or pattern.search(case.id)):
            continue
        result.verdicts.append(_run_case(case, fork, index, options, trace_to))
    for fork, count in skipped.items():
        if options.wants_fork(fork):
            result.skipped[fork] = result.skipped.get(fork, 0) + count


def _run_case(
    case: state_cases.StateCase | block_cases.BlockCase,
    fork: str,
    index: int | None,
    options: Options,
    trace_to: TextIO,
) -> Verdict:
    lines = None
    if options.trace:
        lines = StructLines(
            trace_to, stack=options.trace_stack, memory=options.trace_memory, return_data=options.trace_return_data
        )
    try:
        if isinstance(case, state_cases.StateCase):
            verdict = state_cases.run_case(case, lines, options.dump, machine_of(options))
            if lines is not None:
                lines.state_root(verdict.state_root)
            return verdict
        return block_cases.run_case(case, machine_of(options), options.dump, lines)
    except FieldError:
        raise
    except Exception as error:
        # ours, and the reader's proof of it: one broken case must not hide the others
        problem = f"crashed: {type(error).__name__}: {error}"
        return Verdict(case.file, case.name, fork, problem, index=index)


def run_files(files: Iterator[tuple[str, bytes]], options: Options, jobs: int) -> Iterator[FileResult]:
    """The results in the order of the files. An unreadable file ends it with an ``unusable`` result."""
    if jobs <= 1:
        yield from _one_after_another(files, options)
        return
    submitted: deque[tuple[str, Future[FileResult]]] = deque()
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for name, content in files:
                submitted.append((name, pool.submit(run_file, name, content, options)))
                while len(submitted) >= jobs * WAITING_PER_PROCESS or (submitted and submitted[0][1].done()):
                    yield _outcome(*submitted.popleft())
        except FixtureError as error:
            unreadable = FileResult(error.file, unusable=error)
        except BrokenProcessPool:
            unreadable = None
        else:
            unreadable = None
        while submitted:
            yield _outcome(*submitted.popleft())
        if unreadable is not None:
            yield unreadable


def _outcome(name: str, future: Future[FileResult]) -> FileResult:
    """The file's result, also where its process was killed, as for want of memory."""
    try:
        return future.result()
    except BrokenProcessPool:
        return FileResult(name, unusable=FixtureError(name, "", "", "the process that ran it was killed"))


def _one_after_another(files: Iterator[tuple[str, bytes]], options: Options) -> Iterator[FileResult]:
    try:
        for name, content in files:
            yield run_file(name, content, options)
    except FixtureError as error:
        yield FileResult(error.file, unusable=error)
