"""``forkchoice``: official fork choice cases against the pos engine's store."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from network.cli.group import json_option
from network.cli.output import Output
from network.failures import EXIT_FAILURE, EXIT_USAGE
from network.vectors.fields import FixtureError
from network.vectors.fork_choice_cases import CaseResult, run_file

SHOWN_MAX: Final = 50
"""Failures listed for people; --json lists every case."""


@click.command(
    epilog="""\b
Exit code 0: every check passed; 1: a difference; 2: a file cannot be used.

\b
Examples:
  evmesh forkchoice fork_choice.json.xz
  evmesh forkchoice mine.json --json
"""
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--verbose", is_flag=True, help="List the cases that pass, too.")
@json_option
def forkchoice(files: tuple[Path, ...], verbose: bool, as_json: bool) -> int:
    """Replay fork choice cases (.json or .json.xz); compare head, checkpoints and boost."""
    out = Output(as_json)
    results: list[tuple[Path, CaseResult]] = []
    unusable: list[str] = []
    shown = 0
    for path in files:
        try:
            for result in run_file(path):
                results.append((path, result))
                if result.failed and shown < SHOWN_MAX:
                    shown += 1
                    out.line(f"FAILED {result.name}: {result.passed} passed, {result.failed} failed")
                    out.line(f"  first difference: {result.difference}")
                elif verbose and not result.failed:
                    out.line(f"ok     {result.name}: {result.passed} passed")
        except FixtureError as error:
            unusable.append(" ".join(str(error).split()))
    bad = sum(1 for _, result in results if result.failed)
    passed = sum(result.passed for _, result in results)
    failed = sum(result.failed for _, result in results)
    if bad > shown:
        out.line(f"… and {bad - shown} more; --json lists every case")
    out.line(f"{len(results) - bad} of {len(results)} cases passed; {passed} checks passed, {failed} failed")
    out.document(
        {
            "cases": [
                {
                    "file": str(path),
                    "name": result.name,
                    "passed": result.passed,
                    "failed": result.failed,
                    "difference": result.difference or None,
                }
                for path, result in results
            ],
            "cases_passed": len(results) - bad,
            "cases_failed": bad,
            "checks_passed": passed,
            "checks_failed": failed,
            "errors": unusable,
        }
    )
    for problem in unusable:
        print(f"error: {problem}", file=sys.stderr)
    if unusable:
        return EXIT_USAGE
    return EXIT_FAILURE if bad else 0
