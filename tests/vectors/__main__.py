"""``python -m tests.vectors``: how many official cases pass, per source and fork. Exits 1 if any fails."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from tests.vectors.archives import archive_path
from tests.vectors.running import ARCHIVES, Counts, Selection, run_in_processes


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors", description=__doc__)
    parser.add_argument("archive", nargs="*", default=list(ARCHIVES[:2]), help=f"of {', '.join(ARCHIVES)}")
    parser.add_argument("--fork", action="append", help="only this fork or network (repeatable)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="about one file in N")
    parser.add_argument("--containing", default="", metavar="TEXT", help="only files whose path holds TEXT")
    parser.add_argument("--unpacked", type=Path, metavar="DIR", help="read DIR/<archive>/ instead of the tar.gz")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="failures to print")
    arguments = parser.parse_args()
    failed = False
    for archive in arguments.archive:
        if archive not in ARCHIVES:
            parser.error(f"no archive {archive}")
        if arguments.unpacked is None and not archive_path(archive).exists():
            print(f"{archive}: {archive_path(archive)} is not there", file=sys.stderr)
            return 2
        selection = Selection(
            archive=archive,
            every=arguments.every,
            containing=arguments.containing,
            forks=frozenset(arguments.fork) if arguments.fork else None,
            unpacked=arguments.unpacked,
            shards=arguments.jobs,
        )
        counts = run_in_processes([replace(selection, shard=shard) for shard in range(arguments.jobs)])
        _print(archive, counts, arguments.show)
        failed = failed or bool(counts.failures)
    return 1 if failed else 0


def _print(archive: str, counts: Counts, show: int) -> None:
    totals: Counter[str] = Counter()
    for key in sorted(set(counts.passed) | set(counts.failed)):
        passed, failed = counts.passed[key], counts.failed[key]
        totals["passed"] += passed
        totals["failed"] += failed
        source, fork = key
        print(f"{archive:22} {source:15} {fork:26} {passed:6} of {passed + failed:6}")
    print(f"{archive:22} all: {totals['passed']} passed, {totals['failed']} failed; ", end="")
    print(f"{len(counts.renamed)} refused with another exception name")
    for verdict in counts.failures[:show]:
        print(f"  FAILED {verdict.case}: {verdict.problem}")
    for verdict in counts.renamed[:show]:
        print(f"  name   {verdict.case}: {verdict.name_differs}")


if __name__ == "__main__":
    sys.exit(main())
