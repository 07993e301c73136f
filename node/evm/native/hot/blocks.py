"""Bytecode as straight pieces that end at jumps, before landing places, and before what a unit does not do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from node.evm.native.hot.rulebook import Rulebook
from node.evm.opcodes import Opcode

STEPS_MAX: Final = 150
"""Instructions of a block; a longer one goes on in another block."""
REACH_MAX: Final = 48
"""Words by which a block may go below or above the height at which it begins, for the same."""
_DOES: Final = {
    "arithmetic": "add mul sub div sdiv mod smod addmod mulmod exp signextend",
    "bitwise": "lt gt slt sgt eq iszero and_ or_ xor not_ byte shl shr sar clz",
    "memory": "keccak mload mstore mstore8 msize mcopy",
    "context": "address origin caller callvalue calldataload calldatasize calldatacopy codesize codecopy gasprice "
    "returndatasize selfbalance",
    "block": "coinbase timestamp number difficulty prevrandao gaslimit chainid basefee blobbasefee",
    "stack": "pop push0 push push1 push2 dup swap",
    "storage": "sload sstore tload tstore",
    "control": "jump jumpi pc gas jumpdest",
    "logs": "log",
}
DOES: Final = frozenset(f"{room}.{name}" for room, names in _DOES.items() for name in names.split())
"""Plain instructions that units do; they are left before any other one."""
JUMP, JUMPI, FALL, LEAVE = "jump", "jumpi", "fall", "leave"


class Step(NamedTuple):
    """One instruction. ``immediate`` is the word that a PUSH pushes."""

    pc: int
    opcode: int
    plain: str
    pops: int
    pushes: int
    gas: int
    immediate: int


@dataclass(frozen=True, slots=True)
class Block:
    """``steps`` run one after another; then ``ending``, where ``next_pc`` is what stands behind."""

    pc: int
    steps: tuple[Step, ...]
    ending: str
    next_pc: int
    is_dead_end: bool
    """Leaves before REVERT or an undefined instruction: nothing that runs often."""


def landing_places(code: bytes) -> frozenset[int]:
    """Every JUMPDEST that is not PUSH data (Yellow Paper 9.4.3)."""
    found = []
    at = 0
    while at < len(code):
        opcode = code[at]
        if opcode == Opcode.JUMPDEST:
            found.append(at)
        elif Opcode.PUSH1 <= opcode <= Opcode.PUSH32:
            at += opcode - Opcode.PUSH1 + 1
        at += 1
    return frozenset(found)


class Code:
    """A code's blocks, found when they are asked for."""

    def __init__(self, code: bytes, rules: Rulebook) -> None:
        self.code = code
        self.rules = rules
        self.landings = landing_places(code)
        self._blocks: dict[int, Block] = {}

    def block(self, pc: int) -> Block:
        """The block that begins at an instruction."""
        found = self._blocks.get(pc)
        if found is None:
            found = self._blocks[pc] = self._read(pc)
        return found

    def _read(self, begin: int) -> Block:
        steps: list[Step] = []
        pc, height = begin, 0
        while pc < len(self.code):
            opcode = self.code[pc]
            row = self.rules.rows[opcode]
            is_far = row is not None and (height - row.pops < -REACH_MAX or height - row.pops + row.pushes > REACH_MAX)
            if steps and (opcode == Opcode.JUMPDEST or len(steps) == STEPS_MAX or is_far):
                return Block(begin, tuple(steps), FALL, pc, is_dead_end=False)
            if row is None or row.plain not in DOES:
                dead = row is None or row.plain == "control.revert"
                return Block(begin, tuple(steps), LEAVE, pc, is_dead_end=dead)
            width = opcode - Opcode.PUSH1 + 1 if Opcode.PUSH1 <= opcode <= Opcode.PUSH32 else 0
            data = self.code[pc + 1 : pc + 1 + width].ljust(width, b"\0")
            steps.append(Step(pc, opcode, *row, int.from_bytes(data, "big")))
            pc += 1 + width
            height += row.pushes - row.pops
            if opcode == Opcode.JUMP:
                return Block(begin, tuple(steps), JUMP, pc, is_dead_end=False)
            if opcode == Opcode.JUMPI:
                return Block(begin, tuple(steps), JUMPI, pc, is_dead_end=False)
        return Block(begin, tuple(steps), LEAVE, pc, is_dead_end=False)  # the padding: STOP
