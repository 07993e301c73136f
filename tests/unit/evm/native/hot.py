"""Machines with units for tests, and programs of loops."""

from __future__ import annotations

import functools

from node.evm.native.hot.compiling import InPlace
from node.evm.native.hot.foreman import Foreman
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.opcodes import Opcode
from tests.unit.evm.program import program, push


@functools.cache
def hot_machine() -> tuple[NativeMachine, Foreman]:
    """One that compiles every code before it runs it, and who lets it."""
    machine = load_machine()
    return machine, machine.compile_hot_code(InPlace(level=0), everything=True)


FRAME = bytes.fromhex("6080604052")
"""What compilers begin with: memory[64] = 128."""


def loop(rounds: int, body: bytes, before: bytes = b"", after: bytes = b"", begin: bytes = FRAME) -> bytes:
    """``body`` leaves the stack as it finds it, with the counter on top; ``before`` lies below."""
    head = program(begin, before, push(rounds, 2))
    return program(
        head,
        Opcode.JUMPDEST,
        body,
        push(1),
        Opcode.SWAP1,
        Opcode.SUB,
        Opcode.DUP1,
        push(len(head), 2),
        Opcode.JUMPI,
        Opcode.POP,
        after,
    )
