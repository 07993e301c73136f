"""What the native machine makes of a case, and how often it really ran it."""

from __future__ import annotations

import functools

from node.evm.native import choice
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.native.object_file import NativeUnavailable
from tests.differential import chains, node_answers
from tests.differential.cases import Answer, Case


@functools.cache
def machine() -> NativeMachine:
    """One for the process; EVMESH_HOT=all compiles every code. Raises NativeUnavailable."""
    made = load_machine()
    choice.compile_hot_code(made, choice.hot_from_environment())
    return made


def available() -> str:
    """Empty where there is a native machine."""
    try:
        machine()
    except NativeUnavailable as error:
        return str(error)
    return ""


def answer(case: Case) -> Answer:
    """Every part must be as on the plain machine, outputs and refusals, too; which also makes the blocks."""
    return chains.answer(case, machine()) if case["kind"] == "block" else node_answers.answer(case, machine())
