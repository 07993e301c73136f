"""``statetest``, ``blocktest``: official vectors against this EVM."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from network.cli.group import json_option
from network.cli.output import Output
from network.cli.progress import progress
from network.failures import EXIT_FAILURE, EXIT_USAGE, BadInput
from network.vectors.files import read_all
from network.vectors.networks import known_forks, network_named
from network.vectors.running import Kind, Options, Totals, machine_of, run_files
from node.evm.native import choice

SHOWN_MAX: Final = 50
"""Failures listed for people; --json lists every case."""

evm_option = click.option(
    "--evm",
    type=click.Choice([kind.value for kind in choice.Evm]),
    envvar=choice.VARIABLE,
    default=choice.DEFAULT.value,
    show_default=True,
    help="The machine; traces come from the plain one.",
)

F = TypeVar("F", bound=Callable[..., Any])


def vector_options(function: F) -> F:
    """What both commands take."""
    for option in reversed(
        [
            click.argument("paths", nargs=-1, metavar="PATH..."),
            click.option("--fork", "forks", multiple=True, metavar="FORK", help="Only this fork (repeatable)."),
            click.option("--run", "pattern", default="", metavar="REGEX", help="Only cases whose name matches."),
            click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."),
            click.option("--trace", is_flag=True, help="EIP-3155 lines on standard error (one process)."),
            click.option("--dump", is_flag=True, help="Add the accounts after each case to --json."),
            evm_option,
            json_option,
        ]
    ):
        function = option(function)
    return function


@click.command(
    epilog="""\b
PATH is a JSON file, a folder of them, or a .tar.gz; without one, names are read from standard input.
Exit code 0: all passed; 1: some failed; 2: a file cannot be used, or nothing was selected.

\b
Examples:
  evmesh statetest state_tests.tar.gz --jobs 2
  evmesh statetest add11.json --fork Cancun --trace
  evmesh statetest tests/ --run 'push0.*Shanghai-0' --json
"""
)
@vector_options
@click.option("--index", type=click.IntRange(min=0), help="Only this one of a fork's results.")
def statetest(paths: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """Run state tests: one transaction each, judged by state root and logs."""
    return run_vectors(Kind.STATE, paths, as_json=as_json, **flags)


@click.command(
    epilog="""\b
PATH is a JSON file, a folder of them, or a .tar.gz; without one, names are read from standard input.
Exit code 0: all passed; 1: some failed; 2: a file cannot be used, or nothing was selected.

\b
Examples:
  evmesh blocktest blockchain_tests.tar.gz --jobs 2
  evmesh blocktest tests/ --fork Prague --fork CancunToPragueAtTime15k
"""
)
@vector_options
def blocktest(paths: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """Run blockchain tests: import blocks, refuse the invalid ones, compare head and accounts."""
    return run_vectors(Kind.BLOCK, paths, as_json=as_json, **flags)


def run_vectors(
    kind: Kind,
    paths: tuple[str, ...],
    *,
    as_json: bool,
    forks: tuple[str, ...] = (),
    pattern: str = "",
    jobs: int = 1,
    trace: bool = False,
    dump: bool = False,
    index: int | None = None,
    trace_stack: bool = True,
    trace_memory: bool = False,
    trace_return_data: bool = False,
    evm: str = choice.DEFAULT,
) -> int:
    """Run, print, and answer the exit code. Raises BadInput where the flags make no sense."""
    _check_flags(forks, pattern)
    names = list(paths) or [line.strip() for line in sys.stdin if line.strip()]
    if not names:
        raise BadInput("no PATH is given", "name a JSON file, a folder or a .tar.gz")
    options = Options(
        kind,
        frozenset(forks),
        pattern,
        index,
        trace,
        dump,
        trace_stack,
        trace_memory,
        trace_return_data,
        choice.Evm(evm),
    )
    try:
        machine_of(options)
    except choice.NoSuchMachine as error:
        raise BadInput(f"--evm {evm}: {error}", "leave --evm out here") from None
    out = Output(as_json)
    totals = Totals()
    shown = 0
    documents: list[dict[str, Any]] = []
    files: Iterator[tuple[str, bytes]] = read_all([Path(name) for name in names])
    cases = 0
    with progress("cases", None, quiet=as_json or trace) as bar:
        for result in run_files(files, options, 1 if trace else jobs):
            for verdict in result.verdicts:
                if as_json:
                    documents.append(verdict.to_json())
                elif not verdict.passed:
                    shown += 1
                    if shown <= SHOWN_MAX:
                        out.line(f"FAILED {verdict.case}: {verdict.problem}")
            totals.add(result)
            cases += len(result.verdicts)
            bar.at(cases, f"{totals.failed.total()} failed" if totals.failed else "")
    out.document(documents)
    if not as_json:
        _summary(out, totals, shown)
    for unusable in totals.unusable:
        print(f"error: {unusable}", file=sys.stderr)
    return _exit_code(totals)


def _check_flags(forks: tuple[str, ...], pattern: str) -> None:
    for fork in forks:
        if network_named(fork) is None:
            raise BadInput(f"--fork: {fork} is not known", f"known are {', '.join(known_forks())} and XToYAt… of them")
    try:
        re.compile(pattern)
    except re.error as error:
        raise BadInput(f"--run: not a regular expression: {error}") from None


def _summary(out: Output, totals: Totals, failures: int) -> None:
    if failures > SHOWN_MAX:
        out.line(f"… and {failures - SHOWN_MAX} more; --json lists every case")
    rows = [[fork, str(totals.passed[fork]), str(totals.failed[fork])] for fork in totals.forks()]
    rows.append(["all", str(totals.passed.total()), str(totals.failed.total())])
    out.table(["fork", "passed", "failed"], rows)
    if totals.named:
        out.line(f"refusals with the official name: {totals.named - totals.renamed} of {totals.named}")
    for fork, count in sorted(totals.skipped.items()):
        out.line(f"skipped: {count} of {fork}, whose rules are not known here")


def _exit_code(totals: Totals) -> int:
    if totals.unusable:
        return EXIT_USAGE
    if totals.failed:
        return EXIT_FAILURE
    if not totals.passed:
        print("error: no case was selected", file=sys.stderr)
        return EXIT_USAGE
    return 0
