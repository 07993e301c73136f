"""The kept seeds, answered as the reference did; new seeds through the oracles, where they are installed."""

from __future__ import annotations

import json

import pytest

from tests.differential import comparing, kept, native_bytes, node_answers
from tests.differential.campaign import Counting, CountingMachine, Plan, as_text, run
from tests.differential.cases import FORKS, KINDS
from tests.differential.shrinking import shrink

SEEDS = 4
"""Of each fork and kind, beyond those that are kept."""


@pytest.mark.parametrize("kind", KINDS)
def test_generated_seeds_are_answered_as_the_reference_did(kind: str) -> None:
    different = [
        (seed, fork)
        for seed, fork, found, answer in kept.read()["generated"]
        if found == kind and kept.digest(comparing.ours(comparing.generate(seed, fork, kind))) != answer
    ]
    assert not different, f"{kind}: {different}: or another generator: python -m tests.differential.kept"


def test_kept_cases_are_answered_as_the_reference_did() -> None:
    for entry in kept.read()["cases"]:
        assert kept.digest(comparing.ours(entry["case"])) == entry["answer"], entry["about"]


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
def test_new_seeds_through_the_reference(kind: str) -> None:
    _campaign("spec", kind, FORKS, SEEDS * len(FORKS))


def test_new_seeds_through_revm() -> None:
    _campaign("pyrevm", "program", ("Cancun",), 200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("machine", comparing.MACHINES)
def test_new_seeds_through_the_other_machines(kind: str, machine: str) -> None:
    _campaign(machine, kind, FORKS, (8 if machine == "native" else 2) * len(FORKS))


@pytest.mark.parametrize("machine", comparing.MACHINES)
def test_random_bytes_do_the_same_on_all_machines(machine: str) -> None:
    if why := comparing.unavailable(machine):
        pytest.skip(why)
    told = {seed: told for seed in range(2_000) if (told := native_bytes.differs(seed, machine))}
    assert not told, told


def _campaign(oracle: str, kind: str, forks: tuple[str, ...], count: int) -> None:
    if why := comparing.unavailable(oracle):
        pytest.skip(f"{oracle} cannot be asked: {why}")
    report = run(Plan(range(10_000, 10_000 + count), forks, (kind,), (oracle,), counts=False))
    told = [line for found in report.differences for line in (json.dumps(found.case), *found.lines)]
    assert not report.differences, "\n".join(told)
    assert not report.crashes, "\n".join(as_text(report))
    assert report.cases.total() == count


def test_programs_get_somewhere() -> None:
    """Most opcodes run within a few seeds, and frames end in many ways: else the generator is broken."""
    report = run(Plan(range(80), ("Osaka",), ("program", "transaction"), ()))
    assert len(report.opcodes) > 130, as_text(report)
    assert len(report.halts) >= 5, as_text(report)


def test_a_difference_is_made_small() -> None:
    """As if SELFBALANCE were wrong: of a long program hardly more than the way there remains."""
    case = next(
        case
        for seed in range(500)
        if (case := comparing.generate(seed, "Cancun", "program")) and _runs(case, "SELFBALANCE")
    )
    small = shrink(case, lambda candidate: _runs(candidate, "SELFBALANCE"), 600)
    assert _runs(small, "SELFBALANCE")
    assert len(json.dumps(small)) < len(json.dumps(case)) / 3


def _runs(case: dict[str, object], opcode: str) -> bool:
    counting = Counting()
    node_answers.answer(case, CountingMachine(counting))
    return opcode in counting.opcodes
