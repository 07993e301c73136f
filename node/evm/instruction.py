"""An opcode as a record, and a fork's table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Execute = Callable[..., Any]
"""``execute(frame)``: the semantics; refined by frame.py."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row of the table. ``base_gas`` is charged before ``execute``, which charges the dynamic rest."""

    opcode: int
    name: str
    base_gas: int
    pops: int
    pushes: int
    execute: Execute


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """256 rows; None where the opcode is not defined."""

    table: tuple[Instruction | None, ...]

    def with_(self, *rows: Instruction) -> InstructionSet:
        """This set with rows added or replaced."""
        table = list(self.table)
        for row in rows:
            table[row.opcode] = row
        return InstructionSet(tuple(table))

    def __getitem__(self, opcode: int) -> Instruction | None:
        return self.table[opcode]


def instruction_set(rows: Iterable[Instruction]) -> InstructionSet:
    """A set from its rows."""
    return InstructionSet((None,) * 256).with_(*rows)
