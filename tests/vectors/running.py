"""Run an archive, whole or a sample that is the same every time; count what passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests.vectors import chain_cases, state_cases
from tests.vectors.archives import read_files
from tests.vectors.verdicts import Verdict

ARCHIVES = ("state_tests", "blockchain_tests", "slow_state_tests", "slow_blockchain_tests")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files and forks of an archive. ``every`` n takes about one file in n, by the hash of its path."""

    archive: str
    every: int = 1
    containing: str = ""
    forks: frozenset[str] | None = None
    unpacked: Path | None = None
    shard: int = 0
    shards: int = 1

    def wants(self, path: str) -> bool:
        """The file is selected."""
        if self.containing not in path:
            return False
        digest = sha256(path.encode()).digest()
        return (
            int.from_bytes(digest[:4], "big") % self.every == 0
            and int.from_bytes(digest[4:8], "big") % self.shards == self.shard
        )


@dataclass(slots=True)
class Counts:
    """Per (source, fork): cases passed and failed; the failures and the exceptions with another name."""

    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Verdict] = field(default_factory=list)
    renamed: list[Verdict] = field(default_factory=list)

    def add(self, source: str, verdict: Verdict) -> None:
        """Count one case."""
        key = (source, verdict.fork)
        if verdict.passed:
            self.passed[key] += 1
        else:
            self.failed[key] += 1
            self.failures.append(verdict)
        if verdict.name_differs:
            self.renamed.append(verdict)

    def merge(self, other: Counts) -> None:
        """Add the counts of another shard."""
        self.passed.update(other.passed)
        self.failed.update(other.failed)
        self.failures += other.failures
        self.renamed += other.renamed


def verdicts(selection: Selection) -> Iterator[tuple[str, Verdict]]:
    """(source folder, verdict) of every selected case. A crash of ours is a failure with its name."""
    run_file = chain_cases.run_file if "blockchain" in selection.archive else state_cases.run_file
    for path, content in read_files(selection.archive, selection.wants, selection.unpacked):
        source = path.split("/")[1]
        for name, test in content.items():
            try:
                for verdict in run_file(path, {name: test}, selection.forks):
                    yield source, verdict
            except Exception as error:
                fork = test.get("network", "?")
                yield source, Verdict(f"{path}::{name}", fork, f"crashed: {type(error).__name__}: {error}")


def run(selection: Selection) -> Counts:
    """All selected cases in this process."""
    counts = Counts()
    for source, verdict in verdicts(selection):
        counts.add(source, verdict)
    return counts


def run_in_processes(selections: list[Selection]) -> Counts:
    """Shards beside one another."""
    if len(selections) == 1:
        return run(selections[0])
    total = Counts()
    with ProcessPoolExecutor(len(selections)) as pool:
        for counts in pool.map(run, selections):
            total.merge(counts)
    return total
