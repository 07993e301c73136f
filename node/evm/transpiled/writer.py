"""A region as the source of one Python function.

    def region(frame):
        words that the region uses leave the stack for locals        s0, s1, …
        while True:                                                   b says which block is next
            gas -= 37                                                 of a whole block, ahead of it
            if gas < floor: return leave(…)                           the plain loop takes over before the block
            …

The function answers LEFT where the plain loop must go on, None where it has gone to another place of the code
(``frame.pc``), else what ended the frame. Between blocks that follow one another words stay what they are: a name,
a constant, a comparison. A block's gas is charged up to the next instruction that sees gas.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from node.evm.gas import byte_length, words
from node.evm.transpiled.expressions import LOOKS, Truth, Word, comparison, condition, expression, fold, text
from node.evm.transpiled.regions import Node, Region, bounds
from node.evm.transpiled.rules import Kind, Rules, Step

DEPTH_MAX: Final = 30
"""Blocks inside one another; Python's tokenizer takes 100 levels."""
SOURCE_MAX: Final = 120_000
"""Characters: three times what a region of a real contract has. Beyond are high stacks, written again and again."""


class TooLong(Exception):
    """The region has more source than is compiled."""


@dataclass(slots=True)
class _Segment:
    """Instructions whose gas is charged at once: what they cost becomes known at the end."""

    line: int
    pc: int
    words: str
    paid: int = 0
    leaves: list[tuple[int, str, int]] = field(default_factory=list)
    """(line, its text with a place for the gas that is given back, what was paid before)."""


class Writer:
    """Writes one region."""

    def __init__(self, region: Region, rules: Rules) -> None:
        self._region = region
        self._rules = rules
        self._low = -region.lowest
        self._dispatched: list[Node] = [region.entry]
        self._temps = 0
        self._lines: list[str] = []
        self._segment: _Segment | None = None
        self._known: dict[str, int] = {}
        """Bytes that memory has at least: of all ("") and behind the offset in a local."""
        self._size = 0

    def source(self) -> str:
        """The text of ``region``. Raises TooLong."""
        bodies = []
        for node in self._dispatched:  # which grows
            self._lines = []
            self._known = {}
            stack: list[Word] = [f"s{index}" for index in range(self._low + node.height)]
            for position, value in node.constants:
                stack[self._low + position] = value
            self._node(node, stack, 0, 0)
            bodies.append(self._lines)
        return "\n".join([*self._head(), *_dispatch(bodies)]) + "\n"

    def _head(self) -> list[str]:
        least, most = bounds(self._region)
        lines = [
            "def region(frame):",
            " stack = frame.stack",
            f" if not {least} <= len(stack) <= {most}: return LEFT",
            " gas = frame.gas; floor = frame.floor; memory = frame.memory; data = frame.message.data; pop = stack.pop",
        ]
        lines += [f" s{index} = pop()" for index in reversed(range(least))]
        return lines

    # --- lines ---

    def _say(self, indent: int, line: str) -> None:
        self._lines.append(" " * indent + line)

    def _words(self, stack: list[Word]) -> str:
        """A tuple of them, bottom first. What is long in a source is these. Raises TooLong."""
        found = "(" + "".join(f"{text(word)}, " for word in stack) + ")"
        self._size += len(found)
        if self._size > SOURCE_MAX:
            raise TooLong
        return found

    def _temp(self, indent: int, value: str) -> str:
        self._temps += 1
        name = f"t{self._temps}"
        self._say(indent, f"{name} = {value}")
        return name

    def _open(self, indent: int, pc: int, stack: list[Word]) -> _Segment:
        """The segment that ``pc`` is in, begun there if there is none."""
        segment = self._segment
        if segment is None:
            segment = self._segment = _Segment(len(self._lines), pc, self._words(stack))
            self._lines += [" " * indent] * 2
        return segment

    def _close(self) -> None:
        """Charge what the segment costs."""
        segment = self._segment
        if segment is None:
            return
        self._segment = None
        line, paid = segment.line, segment.paid
        if paid:
            self._lines[line] += f"gas -= {paid}"
            self._lines[line + 1] += f"if gas < floor: return leave(frame, gas + {paid}, {segment.pc}, {segment.words})"
        for line, template, before in segment.leaves:
            self._lines[line] = template.format(paid - before)

    def _leave_if(self, indent: int, unaffordable: str, before: int, pc: int, stack: list[Word]) -> None:
        """Leave ahead of the instruction at ``pc`` on a condition; ``before`` was paid for what precedes it."""
        assert self._segment is not None
        template = f"{' ' * indent}if {unaffordable}: return leave(frame, gas + {{}}, {pc}, {self._words(stack)})"
        self._segment.leaves.append((len(self._lines), template, before))
        self._lines.append("")

    # --- blocks ---

    def _node(self, node: Node, stack: list[Word], indent: int, depth: int) -> None:
        for pc, step, pushed in node.instructions:
            kind = step.kind
            if kind is Kind.FOREIGN:
                self._close()
                self._say(indent, f"return leave(frame, gas, {pc}, {self._words(stack)})")
                return
            segment = self._open(indent, pc, stack)
            before = segment.paid
            segment.paid += step.base_gas
            if kind is Kind.PUSH:
                stack.append(pushed)
            elif kind is Kind.DUP:
                stack.append(stack[-step.pops])
            elif kind is Kind.SWAP:
                stack[-1], stack[-step.pops] = stack[-step.pops], stack[-1]
            elif kind is Kind.POP:
                stack.pop()
            elif kind is Kind.WORD:
                self._word(step, stack, indent)
            elif kind is Kind.PLAIN:
                self._plain(step, stack, indent)
            elif kind is Kind.END:
                self._end(pc, step, stack, indent)
                return
            elif kind is Kind.JUMP or kind is Kind.JUMPI:
                self._jump(pc, step, node, stack, indent, depth)
                return
            else:
                self._other(pc, step, stack, indent, before)
        self._goto(node.following, node.behind, stack, indent, depth)

    def _goto(self, node: Node | None, pc: int, stack: list[Word], indent: int, depth: int) -> None:
        """Go on at ``node``, or where the region ends at ``pc``. A segment goes on where only this leads."""
        if node is not None and node.arrivals == 1 and depth < DEPTH_MAX:
            self._node(node, stack, indent, depth + 1)
            return
        self._close()
        if node is None:
            if stack:
                self._say(indent, f"stack += {self._words(stack)}")
            self._say(indent, f"frame.gas = gas; frame.pc = {pc}")
            self._say(indent, "return")
            return
        if node not in self._dispatched:
            self._dispatched.append(node)
        constant = {self._low + position for position, _ in node.constants}
        moves = [
            (f"s{index}", text(word))
            for index, word in enumerate(stack)
            if index not in constant and word != f"s{index}"
        ]
        if moves:
            self._say(indent, f"{', '.join(name for name, _ in moves)} = {', '.join(value for _, value in moves)}")
        self._say(indent, f"b = {self._dispatched.index(node)}")
        self._say(indent, "continue")

    def _jump(self, pc: int, step: Step, node: Node, stack: list[Word], indent: int, depth: int) -> None:
        if node.target is None:
            self._close()
            self._say(indent, f"stack += {self._words(stack)}")
            self._say(indent, f"frame.gas = gas; frame.pc = {pc + 1}")
            self._say(indent, f"x{step.opcode:02x}(frame)")
            self._say(indent, "return")
            return
        stack.pop()
        if step.kind is Kind.JUMP:
            self._goto(node.taken, node.target, stack, indent, depth)
            return
        wanted = stack.pop()
        if isinstance(wanted, int):
            if wanted:
                self._goto(node.taken, node.target, stack, indent, depth)
            else:
                self._goto(node.following, node.behind, stack, indent, depth)
            return
        self._close()
        known = self._known.copy()
        self._say(indent, f"if {condition(wanted)}:")
        self._goto(node.taken, node.target, stack.copy(), indent + 1, depth + 1)
        self._known = known
        self._goto(node.following, node.behind, stack, indent, depth)

    def _end(self, pc: int, step: Step, stack: list[Word], indent: int) -> None:
        self._close()
        # who is called sees all words; of one that is over nobody asks for the rest
        seen = stack if step.pushes else stack[len(stack) - step.pops :]
        if seen:
            self._say(indent, f"stack += {self._words(seen)}")
        self._say(indent, f"frame.gas = gas; frame.pc = {pc + 1}")
        self._say(indent, f"return x{step.opcode:02x}(frame)")

    # --- instructions ---

    def _word(self, step: Step, stack: list[Word], indent: int) -> None:
        operands = [stack.pop() for _ in range(step.pops)]
        constants = [operand for operand in operands if isinstance(operand, int)]
        if len(constants) == len(operands):
            stack.append(fold(self._rules.names[f"x{step.opcode:02x}"], constants))
            return
        if step.name != "iszero":  # no comparison inside another: text that is doubled would grow and grow
            operands = [self._temp(indent, text(word)) if isinstance(word, Truth) else word for word in operands]
        truth = comparison(step.name, operands)
        stack.append(truth if truth is not None else self._temp(indent, expression(step.name, operands)))

    def _plain(self, step: Step, stack: list[Word], indent: int) -> None:
        self._close()
        if step.pops:
            self._say(indent, f"stack += {self._words(stack[-step.pops :])}")
            del stack[-step.pops :]
        self._say(indent, "frame.gas = gas")
        self._say(indent, f"x{step.opcode:02x}(frame)")
        self._say(indent, "gas = frame.gas")
        if step.pushes:
            stack.append(self._temp(indent, "pop()"))

    def _other(self, pc: int, step: Step, stack: list[Word], indent: int, before: int) -> None:
        kind = step.kind
        if kind is Kind.NOTHING:
            return
        if kind is Kind.PC:
            stack.append(pc)
        elif kind is Kind.GAS:
            self._close()
            stack.append(self._temp(indent, "gas"))
        elif kind is Kind.LOOK:
            stack.append(self._temp(indent, LOOKS[step.name]))
        elif kind is Kind.CALLDATALOAD:
            offset = stack.pop()
            span = f"data[{text(offset)}:{_plus(offset, 32)}]"
            stack.append(self._temp(indent, f'from_bytes({span}.ljust(32, b"\\0"), "big")'))
        elif kind is Kind.EXP:
            self._exp(pc, stack, indent, before)
        elif kind is Kind.KECCAK:
            self._keccak(pc, stack, indent, before)
        else:
            self._memory(pc, kind, stack, indent, before)

    def _exp(self, pc: int, stack: list[Word], indent: int, before: int) -> None:
        price = self._rules.gas.exp_byte
        untouched = stack.copy()
        base, exponent = stack.pop(), stack.pop()
        assert self._segment is not None
        if isinstance(exponent, int):
            self._segment.paid += price * byte_length(exponent)
            if isinstance(base, int):
                stack.append(pow(base, exponent, 2**256))
                return
        else:
            name = self._temp(indent, text(exponent))
            self._say(indent, f"left = gas - {price} * ({name}.bit_length() + 7 >> 3)")
            self._leave_if(indent, "left < floor", before, pc, untouched)
            self._say(indent, "gas = left")
            exponent = name
        stack.append(self._temp(indent, f"pow({text(base)}, {text(exponent)}, {2**256:#x})"))

    def _keccak(self, pc: int, stack: list[Word], indent: int, before: int) -> None:
        price = self._rules.gas.keccak_word
        untouched = stack.copy()
        offset, size = stack.pop(), stack.pop()
        assert self._segment is not None
        if isinstance(size, int):
            self._segment.paid += price * words(size)
            self._room(offset, size, indent, before, pc, untouched)
        else:
            size = self._temp(indent, text(size))
            self._say(indent, f"left = gas - {price} * ({size} + 31 >> 5)")
            self._say(
                indent, f"if {_plus(offset, size)} > len(memory): left = grow(frame, {text(offset)}, {size}, left)"
            )
            self._leave_if(indent, "left < floor", before, pc, untouched)
            self._say(indent, "gas = left")
        hashed = f"keccak256(memory[{text(offset)}:{_plus(offset, size)}])"
        stack.append(self._temp(indent, f'from_bytes({hashed}, "big")'))

    def _memory(self, pc: int, kind: Kind, stack: list[Word], indent: int, before: int) -> None:
        untouched = stack.copy()
        offset = stack.pop()
        if isinstance(offset, Truth):
            offset = self._temp(indent, text(offset))
        self._room(offset, 1 if kind is Kind.MSTORE8 else 32, indent, before, pc, untouched)
        place = f"memory[{text(offset)}:{_plus(offset, 32)}]"
        if kind is Kind.MLOAD:
            stack.append(self._temp(indent, f'from_bytes({place}, "big")'))
            return
        value = stack.pop()
        if kind is Kind.MSTORE8:
            self._say(indent, f"memory[{text(offset)}] = {text(value)} & 255")
        elif isinstance(value, int):
            self._say(indent, f"{place} = {value.to_bytes(32, 'big')!r}")
        else:
            self._say(indent, f'{place} = {text(value)}.to_bytes(32, "big")')

    def _room(self, offset: Word, size: int, indent: int, before: int, pc: int, untouched: list[Word]) -> None:
        """Memory up to ``offset + size``, paid for."""
        if size == 0:
            return
        known = self._known
        if isinstance(offset, int):
            if offset + size <= known.get("", 0):
                return
            known[""] = offset + size + 31 & ~31
        else:
            if size <= known.get(text(offset), 0):
                return
            known[text(offset)] = size
        self._say(indent, f"if {_plus(offset, size)} > len(memory):")
        self._say(indent + 1, f"left = grow(frame, {text(offset)}, {size}, gas)")
        self._leave_if(indent + 1, "left < floor", before, pc, untouched)
        self._say(indent + 1, "gas = left")


def _plus(offset: Word, size: Word) -> str:
    """Their sum as text."""
    if isinstance(offset, int) and isinstance(size, int):
        return str(offset + size)
    return f"{text(offset)} + {text(size)}"


def _dispatch(bodies: list[list[str]]) -> list[str]:
    """All bodies in one loop, found by halves."""
    if len(bodies) == 1:
        loops = any(line.endswith("continue") for line in bodies[0])
        return [" while True:", *_indented(bodies[0], 2)] if loops else _indented(bodies[0], 1)
    return [" b = 0", " while True:", *_halves(bodies, 0, len(bodies), 2)]


def _halves(bodies: list[list[str]], first: int, end: int, indent: int) -> list[str]:
    if end - first == 1:
        return _indented(bodies[first], indent)
    middle = (first + end + 1) // 2
    return [
        f"{' ' * indent}if b < {middle}:",
        *_halves(bodies, first, middle, indent + 1),
        *_halves(bodies, middle, end, indent),
    ]


def _indented(lines: list[str], indent: int) -> list[str]:
    space = " " * indent
    return [space + line for line in lines]
