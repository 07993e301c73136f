"""What the transpiled machine makes of a case, everything compiled before it runs for the first time."""

from __future__ import annotations

import functools
from typing import Final

from node.evm.transpiled.machine import TranspiledMachine, probe
from node.evm.transpiled.program import Thrift
from tests.differential import chains, node_answers
from tests.differential.cases import Answer, Case

EAGER: Final = Thrift(look_every=1, landings_per_step=0, only_seen=False)
"""As no node would have it: the whole of a code, at once."""


@functools.cache
def machine() -> TranspiledMachine:
    """One for the process."""
    return TranspiledMachine(thrift=EAGER)


def available() -> str:
    """Empty where source may be compiled."""
    return probe()


def answer(case: Case) -> Answer:
    """Every part must be as on the plain machine, outputs and refusals, too; which also makes the blocks."""
    return chains.answer(case, machine()) if case["kind"] == "block" else node_answers.answer(case, machine())
