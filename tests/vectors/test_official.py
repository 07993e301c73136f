"""The official state and blockchain tests: a fixed sample; all of them with EVMESH_VECTORS=all (slow ones: =slow)."""

from __future__ import annotations

import os

import pytest

from tests.vectors.archives import archive_path
from tests.vectors.running import Counts, Selection, run

WANTED = os.environ.get("EVMESH_VECTORS", "sample")
SAMPLE_EVERY = 12

pytestmark = [pytest.mark.vectors, pytest.mark.timeout(3600)]


def _run(archive: str, every: int = 1) -> Counts:
    if not archive_path(archive).exists():
        pytest.skip(f"{archive_path(archive)} is not there: official fixtures are not part of the project")
    return run(Selection(archive, every=every))


def _assert_all_passed(counts: Counts) -> None:
    assert counts.passed, "the selection is not empty"
    listed = "\n".join(f"{verdict.case}: {verdict.problem}" for verdict in counts.failures[:20])
    assert not counts.failures, f"{len(counts.failures)} failed:\n{listed}"


@pytest.mark.parametrize("archive", ["state_tests", "blockchain_tests"])
def test_official(archive: str) -> None:
    _assert_all_passed(_run(archive, every=1 if WANTED in ("all", "slow") else SAMPLE_EVERY))


@pytest.mark.skipif(WANTED != "slow", reason="takes many minutes: EVMESH_VECTORS=slow")
@pytest.mark.parametrize("archive", ["slow_state_tests", "slow_blockchain_tests"])
def test_official_slow(archive: str) -> None:
    _assert_all_passed(_run(archive))
