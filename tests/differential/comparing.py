"""One case through this node and the oracles."""

from __future__ import annotations

import random

from tests.differential import (
    chains,
    native_answers,
    node_answers,
    revm_answers,
    spec_answers,
    spec_chains,
    transpiled_answers,
    worlds,
)
from tests.differential.cases import ROW, Answer, Case, differences

MACHINES = {"native": native_answers, "transpiled": transpiled_answers}
ORACLES = ("spec", "pyrevm", *MACHINES)


def generate(seed: int, fork: str, kind: str) -> Case:
    """The case of a seed."""
    chance = random.Random(f"{seed} {fork} {kind}")
    if kind == "program":
        return worlds.program_case(chance, fork)
    if kind == "transaction":
        return worlds.transaction_case(chance, fork)
    if kind == ROW:
        return worlds.row_case(chance, fork)
    return chains.chain_case(chance, fork)


def ours(case: Case) -> Answer:
    """This node's answer."""
    return chains.answer(case) if case["kind"] == "block" else node_answers.answer(case)


def compare(case: Case, oracle: str) -> list[str] | None:
    """Where the two differ; None where the oracle cannot judge such a case."""
    if oracle == "pyrevm":
        if not revm_answers.can_judge(case):
            return None
        return differences(revm_answers.reduced(ours(case), case), revm_answers.answer(case))
    if oracle in MACHINES:
        return differences(ours(case), MACHINES[oracle].answer(case))
    theirs = spec_chains.answer(case) if case["kind"] == "block" else spec_answers.answer(case)
    return [line for line in differences(ours(case), theirs) if not line.startswith("?")]


def unavailable(oracle: str) -> str:
    """Empty where the oracle can be asked, else why not."""
    answers = {"spec": spec_answers, "pyrevm": revm_answers, **MACHINES}
    return answers[oracle].available()
