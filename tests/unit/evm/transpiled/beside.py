"""One message on the plain and on the transpiled machine."""

from __future__ import annotations

from typing import Any

from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.opcodes import Opcode
from node.evm.spec import Spec
from node.evm.transpiled.machine import TranspiledMachine
from node.forks import osaka
from tests.differential.transpiled_answers import EAGER
from tests.unit.evm.program import OTHER, RETURN_TOP, World, operation, program, push


def seen(world: World, outcome: object) -> list[object]:
    """Everything that a message can change."""
    state = world.state
    accounts = [
        (address, found and (found.nonce, found.balance, found.code_hash, found.slots, found.storage_cleared))
        for address, found in sorted(state.diff().accounts.items())
    ]
    return [outcome, accounts, state.logs, state.refund, state._warm, state._warm_slots, state._touched]


def run_on(machine: VirtualMachine, code: bytes, spec: Spec = osaka.SPEC, **message: Any) -> list[object]:
    """One message on a fresh world, and what it left there."""
    world = World(spec, machine=machine)
    world.deploy(OTHER, program(operation(Opcode.SSTORE, 1, 7), push(32), push(0), Opcode.RETURN))
    world.begin()
    return seen(world, world.run(code, **message))


def same(code: bytes, spec: Spec = osaka.SPEC, machine: TranspiledMachine | None = None, **message: Any) -> object:
    """Both machines see the same; the outcome."""
    plain = run_on(Interpreter(), code, spec, **message)
    assert run_on(machine or TranspiledMachine(thrift=EAGER), code, spec, **message) == plain
    return plain[0]


def programs_of(machine: TranspiledMachine) -> list[Any]:
    """What it knows, the oldest first."""
    return list(machine._young.values())


LOOP = program(
    push(0), Opcode.JUMPDEST, push(1), Opcode.ADD, Opcode.DUP1, push(200), Opcode.GT, push(2), Opcode.JUMPI, RETURN_TOP
)
"""200 rounds."""
