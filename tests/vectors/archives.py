"""Where the official fixtures are: ``<archive>.tar.gz`` beside the project; a sample of one; its files as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from network.vectors.fields import parse_json
from network.vectors.files import read_all
from network.vectors.running import Kind, Options, Totals, run_files
from network.vectors.verdicts import Verdict
from node.evm.native import choice

FIXTURES = Path(__file__).resolve().parents[2].parent / "shared" / "fixtures"


def archive_path(archive: str) -> Path:
    """The archive; skips the test where it is not there."""
    path = FIXTURES / f"{archive}.tar.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there: official fixtures are not part of the project")
    return path


def read_files(archive: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path inside the archive, its JSON) of the files whose path is ``wanted``."""
    for name, content in read_all([archive_path(archive)], wanted):
        yield name, parse_json(content)


def one_in(every: int, share: int = 0, shares: int = 1) -> Callable[[str], bool]:
    """About one file in ``every`` by the hash of its path, and of those one share."""

    def wanted(path: str) -> bool:
        digest = sha256(path.encode()).digest()
        number = int.from_bytes(digest[:4], "big")
        return number % every == 0 and int.from_bytes(digest[4:8], "big") % shares == share

    return wanted


def run_archive(
    archive: str, kind: Kind, wanted: Callable[[str], bool], evm: choice.Evm = choice.DEFAULT
) -> tuple[Totals, list[Verdict]]:
    """The counts and the failures of an archive's wanted files, on one of the machines."""
    totals = Totals()
    failures: list[Verdict] = []
    jobs = int(os.environ.get("EVMESH_VECTOR_JOBS", "1"))
    for result in run_files(read_all([archive_path(archive)], wanted), Options(kind, evm=evm), jobs):
        totals.add(result)
        failures += [verdict for verdict in result.verdicts if not verdict.passed]
    return totals, failures
