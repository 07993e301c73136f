"""An opcode as a record, and a fork's table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeAlias

from node.evm.outcome import FrameHalted, HaltReason

STACK_LIMIT: Final = 1024
"""Words (Yellow Paper 9.1)."""

Execute = Callable[..., Any]
"""``execute(frame)`` returns None to go on, or an Outcome or ChildCall that ends the run. See machine.py."""

DispatchRow: TypeAlias = tuple[Execute, int, int, int]
"""(execute, base gas, words the stack must hold at least, at most)."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One row of the table. ``base_gas`` is charged before ``execute``, which charges the dynamic rest.

    DUPn "pops" n words and pushes n + 1, SWAPn pops and pushes n + 1: the counts bound the stack.
    """

    opcode: int
    name: str
    base_gas: int
    pops: int
    pushes: int
    execute: Execute


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """256 rows; None where the opcode is not defined. ``dispatch`` is the same, ready for a loop."""

    table: tuple[Instruction | None, ...]
    dispatch: tuple[DispatchRow, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows: list[DispatchRow] = []
        for row in self.table:
            if row is None:
                rows.append((undefined, 0, 0, STACK_LIMIT))
            else:
                rows.append((row.execute, row.base_gas, row.pops, STACK_LIMIT - row.pushes + row.pops))
        object.__setattr__(self, "dispatch", tuple(rows))

    def with_(self, *rows: Instruction) -> InstructionSet:
        """This set with rows added or replaced."""
        table = list(self.table)
        for row in rows:
            table[row.opcode] = row
        return InstructionSet(tuple(table))

    def __getitem__(self, opcode: int) -> Instruction | None:
        return self.table[opcode]


def undefined(frame: Any) -> NoReturn:
    """What an opcode without a row does; INVALID (0xfe) is one for ever (EIP-141)."""
    raise FrameHalted(HaltReason.INVALID_OPCODE, f"opcode {frame.code.padded[frame.pc - 1]:#04x}")


def instruction_set(rows: Iterable[Instruction]) -> InstructionSet:
    """A set from its rows."""
    return InstructionSet((None,) * 256).with_(*rows)
