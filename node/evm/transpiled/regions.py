"""Regions: blocks joined by jumps whose targets are known, each at a known height of the stack above the entry.

A node is a block at a height and with the constants that matter: the words on the stack that are jump destinations. So
a function that code calls from two places is in a region twice, and its way back is known, too. What is too far, too
much, or has never been seen to run is left out: there the region is left, and whoever runs it looks for another one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from node.evm.code import Code
from node.evm.instruction import STACK_LIMIT
from node.evm.opcodes import Opcode
from node.evm.transpiled.rules import Kind, Step

NODES_MAX: Final = 96
STEPS_MAX: Final = 1_000
"""In one region: what bounds the time that writing and compiling it takes (about 10 ms)."""
HEIGHT_MAX: Final = 64
"""Words above or below the entry: a function that calls itself leaves its region before."""
BLOCK_STEPS_MAX: Final = 128

Constants: TypeAlias = tuple[tuple[int, int], ...]
"""(position above the entry, jump destination) of known words, in order."""
Instruction: TypeAlias = tuple[int, Step, int]
"""(pc, what it is, what it pushes)."""


@dataclass(slots=True)
class Node:
    """One block of a region. ``height`` is that of the stack at its beginning, above the region's entry."""

    number: int
    pc: int
    height: int
    constants: Constants
    instructions: list[Instruction]
    behind: int
    """Where the code goes on if nothing jumps."""
    taken: Node | None = None
    target: int | None = None
    """Of its jump, where it is known to be good."""
    following: Node | None = None
    arrivals: int = 0
    """How many nodes lead here; the entry of the region counts as one."""


@dataclass(slots=True)
class Region:
    """What is written as one function. ``lowest`` and ``highest`` bound the stack, above the entry."""

    entry: Node
    nodes: list[Node] = field(default_factory=list)
    lowest: int = 0
    highest: int = 0
    steps: int = 0


class Finder:
    """Finds the region at one place of a code: where jumps have landed before, or (None) wherever they may."""

    def __init__(self, code: Code, steps: tuple[Step, ...], heat: bytearray | None) -> None:
        self._code = code
        self._steps = steps
        self._heat = heat
        self._blocks: dict[int, tuple[list[Instruction], int]] = {}
        self._found: dict[tuple[int, int, Constants], Node] = {}

    def region(self, pc: int) -> Region:
        """From ``pc`` on, the nearest blocks first."""
        entry = self._node(pc, 0, ())
        region = Region(entry, [entry], steps=len(entry.instructions))
        entry.arrivals = 1
        for node in region.nodes:  # which grows, until the region is full
            self._follow(region, node)
        return region

    def _node(self, pc: int, height: int, constants: Constants) -> Node:
        instructions, behind = self._block(pc)
        node = Node(len(self._found), pc, height, constants, instructions, behind)
        self._found[pc, height, constants] = node
        return node

    def _block(self, pc: int) -> tuple[list[Instruction], int]:
        known = self._blocks.get(pc)
        if known is not None:
            return known
        code = self._code.padded
        steps = self._steps
        start = pc
        instructions: list[Instruction] = []
        while True:
            step = steps[code[pc]]
            if pc != start and (step.kind is Kind.NOTHING or len(instructions) == BLOCK_STEPS_MAX):
                break
            size = step.opcode - Opcode.PUSH0 if step.kind is Kind.PUSH else 0
            pushed = int.from_bytes(code[pc + 1 : pc + 1 + size], "big")
            instructions.append((pc, step, pushed))
            pc += 1 + size
            if step.ends_block:
                break
        self._blocks[start] = instructions, pc
        return instructions, pc

    def _follow(self, region: Region, node: Node) -> None:
        """Give ``node`` its successors, making those that are new."""
        stack: dict[int, int] = dict(node.constants)
        height = node.height
        for _, step, pushed in node.instructions:
            kind = step.kind
            region.lowest = min(region.lowest, height - step.pops)
            if kind is Kind.DUP:
                copied = stack.get(height - step.pops)
                if copied is not None:
                    stack[height] = copied
                else:
                    stack.pop(height, None)
            elif kind is Kind.SWAP:
                top, below = stack.pop(height - 1, None), stack.pop(height - step.pops, None)
                if top is not None:
                    stack[height - step.pops] = top
                if below is not None:
                    stack[height - 1] = below
            elif kind is Kind.JUMP or kind is Kind.JUMPI:
                target = stack.get(height - 1)
                if target is not None and self._code.is_jump_destination(target):
                    node.target = target
            else:
                for position in range(height - step.pops, height):
                    stack.pop(position, None)
                if kind is Kind.PUSH:
                    stack[height] = pushed
            height += step.pushes - step.pops
            region.highest = max(region.highest, height)
        last = node.instructions[-1][1]
        if last.ends_block and node.target is None:
            return
        constants = tuple(
            (position, value)
            for position, value in sorted(stack.items())
            if position < height and self._code.is_jump_destination(value)
        )
        if node.target is not None and (self._heat is None or self._heat[node.target]):
            node.taken = self._arrive(region, node.target, height, constants)
        if last.kind is not Kind.JUMP:
            node.following = self._arrive(region, node.behind, height, constants)

    def _arrive(self, region: Region, pc: int, height: int, constants: Constants) -> Node | None:
        found = self._found.get((pc, height, constants))
        if found is None:
            if len(region.nodes) >= NODES_MAX or region.steps > STEPS_MAX or abs(height) > HEIGHT_MAX:
                return None
            found = self._node(pc, height, constants)
            region.nodes.append(found)
            region.steps += len(found.instructions)
        found.arrivals += 1
        return found


def bounds(region: Region) -> tuple[int, int]:
    """How many words the stack must hold at the entry at least, and at most."""
    return -region.lowest, STACK_LIMIT - region.highest
