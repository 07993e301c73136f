"""``simulate`` and ``replay``: seeded runs under virtual time, and the runs that broke something, again."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from network.amounts import parse_seconds
from network.cli.group import VERSION, json_option
from network.cli.output import Output
from network.cli.progress import progress
from network.cli.repro import show_again
from network.failures import EXIT_DISAGREEMENT, EXIT_FAILURE, BadInput
from network.faults.vocabulary import BadPlan, Plan, read_plan
from network.repro import is_repro
from network.simulator.choosing import chosen_scenario
from network.simulator.runs import FailureFile, Result, run
from network.simulator.scenario import ENGINES
from network.simulator.shrinking import Shrinker

SEEDS_MAX: Final = 10**9
_EXIT_CODES: Final = """\b
Exit code 0: every promise was kept; 3: one was broken; 1: the code failed; 2: the options cannot be used.
A run that fails is written to a file, and evmesh replay FILE brings it again.
"""


@dataclass(frozen=True, slots=True)
class _Choice:
    engine: str
    level: int
    nodes: int | None
    until_ms: int | None
    plan: Plan | None

    def run(self, seed: int, trace_to: Callable[[str], object] | None = None) -> Result:
        scenario = chosen_scenario(self.engine, self.level, seed, self.nodes, self.until_ms, self.plan)
        return run(self.level, scenario, trace_to)


@click.command(
    epilog=_EXIT_CODES
    + """
\b
Examples:
  evmesh simulate --seed 7
  evmesh simulate --seed 7 --nodes 4 --until 120s --engine bft --trace run.txt
  evmesh simulate --seeds 0..999 --jobs 2
  evmesh simulate --plan partition.toml --level 2
"""
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What chance decides follows it.")
@click.option("--seeds", metavar="A..B", help="All seeds from A to B instead, one line each.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes for --seeds.")
@click.option("--nodes", type=click.IntRange(1, 128), help="How many nodes. Default: drawn; 4 with a plan.")
@click.option("--until", metavar="T", help="Virtual time, like 60s. Default: a minute, and what the bounds need.")
@click.option("--engine", type=click.Choice(ENGINES), default="pos", show_default=True, help="Which consensus.")
@click.option("--level", type=click.IntRange(1, 2), default=1, show_default=True, help="1: engines; 2: whole nodes.")
@click.option("--plan", "plan_file", type=click.Path(path_type=Path), help="Faults from this file (.json or .toml).")
@click.option("--trace", "trace_file", type=click.Path(path_type=Path), help="Write one line an event to this file.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(), help="Folder for runs that fail. Default: this one."
)
@json_option
def simulate(
    seed: int,
    seeds: str | None,
    jobs: int,
    nodes: int | None,
    until: str | None,
    engine: str,
    level: int,
    plan_file: Path | None,
    trace_file: Path | None,
    out: Path,
    as_json: bool,
) -> int:
    """Run clusters under virtual time, with faults; judge what they must never do.

    A seed draws size, weights, delays, which faults come and which redundancy is off. The same seed is the same run,
    byte for byte.
    """
    output = Output(as_json)
    with _plans_told():
        plan = None if plan_file is None else read_plan(plan_file)
        until_ms = None if until is None else parse_seconds(until)
        choice = _Choice(engine, level, nodes, until_ms, plan)
        chosen = range(seed, seed + 1) if seeds is None else _parse_seeds(seeds)
        if seeds is not None and trace_file is not None:
            raise BadInput("--trace takes one run", "use --seed instead of --seeds")
        chosen_scenario(engine, level, chosen[0], nodes, until_ms, plan)  # what is wrong is said before any run
        with _sink(trace_file) as trace_to:
            results = [choice.run(seed, trace_to)] if seeds is None else _run_all(choice, chosen, jobs)
            return _report(results, output, out, None if seeds is None else len(chosen))


@click.command(
    epilog="""\b
Exit code 0: the run breaks nothing any more; 3: it breaks a promise again; 1: the code fails again. For a file of
evmesh bisect: 3: the two still differ; 0: they do not.

\b
Examples:
  evmesh replay evmesh-failure-pos-7.json
  evmesh replay evmesh-failure-pos-7.json --shrink
  evmesh replay part.json                             what evmesh bisect --repro has written
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--shrink", is_flag=True, help="Search a smaller run that breaks the same promise.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where to write it. Default: FILE with .small before .json."
)
@click.option("--runs", type=click.IntRange(1), default=400, show_default=True, help="Runs that the search may take.")
@click.option("--trace", "trace_file", type=click.Path(path_type=Path), help="Write one line an event to this file.")
@json_option
def replay(file: Path, shrink: bool, out: Path | None, runs: int, trace_file: Path | None, as_json: bool) -> int:
    """Run again what failed, from the file that evmesh simulate or evmesh bisect wrote."""
    output = Output(as_json)
    if is_repro(file):
        return show_again(file, output)
    with _plans_told(), _sink(trace_file) as trace_to:
        failure = FailureFile.read(file)
        if failure.version != VERSION:
            output.progress(f"written by evmesh {failure.version}; this is {VERSION}")
        result = run(failure.level, failure.scenario, trace_to)
        same = result.trace_hash == failure.trace_hash
        output.line(f"then: {failure.violation.kind}: {failure.violation.detail}")
        output.line(f"now:  {result.sentence()}")
        output.line(
            f"the same run, byte for byte: trace {result.trace_hash}"
            if same
            else f"another run than then: trace {result.trace_hash}, then {failure.trace_hash}"
        )
        document = {**_document(result), "same": same}
        if shrink and result.violation is not None:
            small = Shrinker(result, runs, told=lambda line: output.progress("smaller: " + line)).shrink()
            path = out or file.with_suffix(".small.json")
            FailureFile.of(small, VERSION).write(path)
            output.line(f"{_size(result)} -> {_size(small)}")
            for action in small.scenario.faults.actions:
                output.line(f"  {action}")
            output.line(f"written to {path}; {small.sentence()}")
            document["small"] = {**_document(small), "file": str(path)}
        output.document(document)
        return result.exit_code


@contextmanager
def _plans_told() -> Iterator[None]:
    try:
        yield
    except BadPlan as problem:
        raise BadInput(str(problem)) from None
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None


@contextmanager
def _sink(path: Path | None) -> Iterator[Callable[[str], object] | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield lambda line: file.write(line + "\n")


def _parse_seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    if not (dots and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise BadInput(f"--seeds {text!r} is no range", "write it like 0..999")
    begin, end = int(first[:12]), int(last[:12])
    if not begin <= end <= SEEDS_MAX:
        raise BadInput(f"--seeds {text}: nothing lies between", f"write it like 0..999, at most {SEEDS_MAX}")
    return range(begin, end + 1)


def _run_all(choice: _Choice, seeds: range, jobs: int) -> Iterator[Result]:
    """In the order of seeds, whoever is done first."""
    if jobs == 1:
        yield from map(choice.run, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=context) as pool:
        waiting = iter(seeds)
        running = [pool.submit(choice.run, seed) for seed in islice(waiting, 4 * jobs)]
        while running:
            yield running.pop(0).result()
            running += [pool.submit(choice.run, seed) for seed in islice(waiting, 1)]


def _report(results: Iterable[Result], output: Output, out: Path, total: int | None) -> int:
    """Tell each result; the exit code of the worst. ``total``: how many there will be, None for a single run."""
    many = total is not None
    codes: list[int] = []
    virtual_ms = 0
    with progress("seeds", total, quiet=not many or output.as_json) as bar:
        for result in results:
            codes.append(result.exit_code)
            bar.at(len(codes))
            virtual_ms += result.ended_ms
            document = _document(result)
            output.line(_line(result))
            if result.violation is not None:
                scenario = result.scenario
                path = out / f"evmesh-failure-{scenario.engine}-{scenario.seed}.json"
                FailureFile.of(result, VERSION).write(path)
                document["file"] = str(path)
                _tell(f"seed {scenario.seed}: {result.sentence()}", f"again: evmesh replay {path}")
            output.record(document) if many else output.document(document)
    broken = sum(1 for code in codes if code)
    if many:
        output.line(f"{len(codes)} seeds, {virtual_ms / 1000:.0f} simulated seconds: {broken} broke a promise")
    return EXIT_DISAGREEMENT if EXIT_DISAGREEMENT in codes else EXIT_FAILURE if broken else 0


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def _line(result: Result) -> str:
    scenario = result.scenario
    verdict = "ok" if result.violation is None else f"BROKEN: {result.violation.kind}"
    progress = "" if result.judged_progress or result.violation is not None else " (too short to ask for progress)"
    liars = f" {len(scenario.faulty)} faulty" if scenario.faulty else ""
    return (
        f"seed {scenario.seed}  {scenario.engine}  {scenario.nodes} nodes{liars}  "
        f"{len(scenario.faults.actions)} faults  {result.ended_ms / 1000:.0f} s  {result.final_blocks} final  "
        f"{verdict}{progress}  {result.trace_hash}"
    )


def _size(result: Result) -> str:
    scenario = result.scenario
    return f"{scenario.nodes} nodes, {len(scenario.faults.actions)} faults, {scenario.until_ms / 1000:g} s"


def _document(result: Result) -> dict[str, Any]:
    scenario, violation = result.scenario, result.violation
    return {
        "seed": scenario.seed,
        "engine": scenario.engine,
        "level": result.level,
        "nodes": scenario.nodes,
        "faults": len(scenario.faults.actions),
        "liars": [f"n{index}" for index in scenario.liars],
        "ended_ms": result.ended_ms,
        "events": result.events,
        "final_blocks": result.final_blocks,
        "convicted": result.convicted,
        "progress_judged": result.judged_progress,
        "violation": None if violation is None else {"kind": violation.kind, "detail": violation.detail},
        "trace_hash": result.trace_hash,
    }
