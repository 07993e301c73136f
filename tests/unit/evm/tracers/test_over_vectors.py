"""Every state test of the project's own vectors, and a sample of the official ones, with all tracers watching.

The roots, logs and refusals that the vectors tell must come out all the same.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from network.vectors.fields import mapping, parse_json
from network.vectors.state_cases import StateCase, cases_of, run_case
from node.evm.tracers.catalogue import make_tracer
from node.evm.tracers.log_tracer import LogTracer
from node.evm.tracers.mux_tracer import MuxTracer
from node.evm.tracers.nesting import writable
from node.evm.tracers.transaction_tracer import Budget, TransactionTracer

ROOT: Final = Path(__file__).parents[4]
OWN: Final = ROOT / "tests" / "vectors" / "own" / "state_tests.tar.gz"
OFFICIAL: Final = ROOT.parent / "shared" / "fixtures" / "state_tests.tar.gz"
OFFICIAL_EVERY: Final = 97
BYTES_MAX: Final = 200_000
"""Of a file of official tests: the long ones are run elsewhere."""
WATCHING: Final[dict[str, dict[str, Any]]] = {
    "": {"enableReturnData": True},
    "callTracer": {"withLog": True},
    "prestateTracer": {"diffMode": True},
    "4byteTracer": {},
}


class _Watched(MuxTracer):
    """The named tracers and the one that collects logs."""

    def __init__(self) -> None:
        budget = Budget()
        tracers: dict[str, TransactionTracer] = {
            name: make_tracer(name, config, budget) for name, config in WATCHING.items()
        }
        super().__init__(tracers, budget)


def _cases(archive: Path, every: int) -> Iterator[StateCase]:
    with tarfile.open(archive) as opened:
        members = [member for member in opened if member.name.endswith(".json") and member.size <= BYTES_MAX]
        for member in members[::every]:
            content = opened.extractfile(member)
            assert content is not None
            for name, test in mapping(parse_json(content.read()), "").items():
                if not name.startswith("_"):
                    yield from cases_of(member.name, name, test, {})


def _check(cases: Iterator[StateCase]) -> int:
    count = 0
    for case in cases:
        tracer = _Watched()
        verdict = run_case(case, tracer)
        assert not verdict.problem, f"{case.id}: {verdict.problem}"
        orjson.dumps(writable(tracer.result()))
        assert not run_case(case, LogTracer(0, transfers=True)).problem
        count += 1
    return count


def test_own_vectors() -> None:
    assert _check(_cases(OWN, 1)) > 10


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="the official state tests are not beside this checkout")
def test_official_sample() -> None:
    assert _check(_cases(OFFICIAL, OFFICIAL_EVERY)) > 20
