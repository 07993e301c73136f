"""``python -m tests.differential --seeds A..B``: the differential fuzzer. Exit code 1 where something differed."""

from __future__ import annotations

import argparse
import json
import sys

from tests.differential.campaign import Plan, as_seed, as_text, default_jobs, run
from tests.differential.cases import FORKS, KINDS, ROW
from tests.differential.comparing import ORACLES, unavailable


def _seeds(text: str) -> range:
    first, _, last = text.partition("..")
    return range(int(first), int(last or first) + 1)


def main() -> int:
    """Read the flags, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="A..B", help="the seeds, both ends with it")
    parser.add_argument("--fork", choices=FORKS, action="append", help="only this one (repeatable)")
    parser.add_argument("--kind", choices=(*KINDS, ROW), action="append", help="only this one (repeatable)")
    parser.add_argument("--oracle", choices=(*ORACLES, "all"), default="spec", help="whom to ask")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="processes")
    parser.add_argument("--as-found", action="store_true", help="differences are not made smaller")
    parser.add_argument("--keep", metavar="FILE", help="write the differences there, in the form of seeds.json")
    given = parser.parse_args()
    oracles = ORACLES if given.oracle == "all" else (given.oracle,)
    for oracle in oracles:
        if why := unavailable(oracle):
            print(f"error: {oracle} cannot be asked: {why}", file=sys.stderr)
            return 2
    plan = Plan(
        given.seeds, tuple(given.fork or FORKS), tuple(given.kind or KINDS), oracles, shrinks=not given.as_found
    )
    report = run(plan, given.jobs)
    for difference in report.differences:
        print(f"DIFFERENCE at seed {difference.seed} ({difference.case['fork']}, {difference.oracle}):")
        for line in difference.lines[:8]:
            print(f"  {line}")
        print(json.dumps(difference.case))
    print("\n".join(as_text(report)))
    if given.keep:
        with open(given.keep, "w", encoding="utf-8") as file:
            json.dump([as_seed(difference) for difference in report.differences], file, indent=1)
    return 1 if report.differences or report.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
