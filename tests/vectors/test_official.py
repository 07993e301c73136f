"""The official state and blockchain tests: a fixed sample; all with EVMESH_VECTORS=all (the longest, too: =slow)."""

from __future__ import annotations

import os

import pytest

from network.vectors.running import Kind
from node.evm.native import llvm
from node.evm.native.choice import Evm
from tests.vectors.archives import one_in, run_archive

WANTED = os.environ.get("EVMESH_VECTORS", "sample")
SAMPLE_EVERY = 12
SHARES = 2
"""Tests that one archive is split into, for as many workers."""
SLOW_SHARES = 4
SLOW_SECONDS_MAX = 3 * 3600
"""Of one share: a case of the slow state tests takes up to eight minutes (README.md)."""
LONGEST = ("/vmPerformance/loopMul.json", "/stTimeConsuming/CALLBlake2f_MaxRounds.json")
"""Twelve cases of a minute to eight each: only with EVMESH_VECTORS=slow."""

MACHINES = (Evm.PLAIN, Evm.TRANSPILED, Evm.NATIVE)

NAMED_MIN = 0.95
"""Of the refusals whose official name the vectors tell, those that have it here."""

pytestmark = [pytest.mark.vectors, pytest.mark.timeout(3600)]


def _run(
    archive: str, kind: Kind, every: int, evm: Evm, share: int = 0, shares: int = 1, skipped: tuple[str, ...] = ()
) -> None:
    if evm is Evm.NATIVE and not llvm.is_installed():
        pytest.skip("no llvmlite here")
    chosen = one_in(every, share, shares)
    totals, failures = run_archive(archive, kind, lambda path: chosen(path) and not path.endswith(skipped), evm)
    assert not totals.unusable, totals.unusable[:5]
    assert totals.passed, "the selection is not empty"
    listed = "\n".join(f"{verdict.case}: {verdict.problem}" for verdict in failures[:20])
    assert not failures, f"{len(failures)} failed:\n{listed}"
    assert totals.renamed <= (1 - NAMED_MIN) * totals.named, f"{totals.renamed} of {totals.named} have another name"


@pytest.mark.parametrize("evm", MACHINES)
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize(("archive", "kind"), [("state_tests", Kind.STATE), ("blockchain_tests", Kind.BLOCK)])
def test_official(archive: str, kind: Kind, share: int, evm: Evm) -> None:
    _run(archive, kind, 1 if WANTED in ("all", "slow") else SAMPLE_EVERY, evm, share, SHARES)


def _longest(evm: Evm) -> tuple[str, ...]:
    """The loops take the native machine seconds; BLAKE2 is Python's on both."""
    return LONGEST[1:] if evm is Evm.NATIVE else LONGEST


@pytest.mark.skipif(WANTED not in ("all", "slow"), reason="takes minutes: EVMESH_VECTORS=all or slow")
@pytest.mark.timeout(SLOW_SECONDS_MAX)
@pytest.mark.parametrize("evm", MACHINES)
@pytest.mark.parametrize("share", range(SLOW_SHARES))
@pytest.mark.parametrize(("archive", "kind"), [("slow_state_tests", Kind.STATE), ("slow_blockchain_tests", Kind.BLOCK)])
def test_official_slow(archive: str, kind: Kind, share: int, evm: Evm) -> None:
    _run(archive, kind, 1, evm, share, SLOW_SHARES, skipped=() if WANTED == "slow" else _longest(evm))
