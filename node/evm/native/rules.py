"""A fork's rules as the tables that compiled code reads; nothing of a fork is compiled in."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from node.evm.native.arena import Arena
from node.evm.native.compiler.types import layout
from node.evm.native.interpreter.catalogue import UnknownInstruction, numbers_of
from node.evm.native.runtime.memory import ORDINARY_GAS
from node.evm.native.runtime.records import NO_LIMIT, ROW_BYTES, Rules
from node.evm.spec import Spec

GAS_MAX: Final = 2**63
"""Gas that runs here, exclusive. A stipend is less than the price of the call that has one, so gas never grows."""


def rule_values(spec: Spec) -> list[int]:
    """The fields of ``Rules`` in order. Raises ``UnknownInstruction`` for prices that the machine does not fit."""
    special = {
        "initcode_size_max": NO_LIMIT if spec.initcode_size_max is None else spec.initcode_size_max,
        "code_size_max": NO_LIMIT if spec.code_size_max is None else spec.code_size_max,
    }
    values = []
    for name in layout(Rules):
        value = special.get(name)
        if value is None:
            value = int(getattr(spec.gas if hasattr(spec.gas, name) else spec, name))
        if not 0 <= value <= NO_LIMIT:
            raise UnknownInstruction(f"{name} of {value}")
        values.append(value)
    gas = spec.gas
    if gas.call_stipend > gas.call_value:
        raise UnknownInstruction("a stipend above the price of its call")
    words = 2**27
    if gas.memory_quadratic_divisor == 0 or words * words // gas.memory_quadratic_divisor < 2 * ORDINARY_GAS:
        raise UnknownInstruction("memory too cheap for a machine of 32-bit sizes")
    return values


def lay_out(arena: Arena, spec: Spec, handler_at: Callable[[int], int]) -> None:
    """Write the tables of ``spec`` into the arena, if they are not there already."""
    if arena.spec is spec:
        return
    arena.spec = None
    values = rule_values(spec)
    struct.pack_into(f"<{len(values)}q", arena.rules.view, 0, *values)
    for opcode, (number, base_gas) in enumerate(numbers_of(spec.instructions)):
        struct.pack_into("<QQ", arena.rows.view, opcode * ROW_BYTES, handler_at(number), base_gas)
    arena.spec = spec
