"""A unit as one LLVM function that is a handler: entered at the roots of its regions, left to other handlers.

Gas of a block's fixed prices is taken when it begins. Where the block cannot be finished, the unit leaves at its
latest point: the block's begin, or later, where what was done since could not be done again. The interpreter gets
the words of the stack, and the gas that is not spent there, and runs what the unit could not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from node.evm.native.compiler.expressions import HANDLER_CONVENTION
from node.evm.native.compiler.types import layout
from node.evm.native.hot import library, operations
from node.evm.native.hot.blocks import JUMP, JUMPI, Code, Step
from node.evm.native.hot.plan import Unit
from node.evm.native.hot.regions import Dynamic, Edge, Held, Hop, Inner, Leave, Place, Refused, Region
from node.evm.native.hot.text import Text, Value
from node.evm.native.interpreter.flow import STACK_LIMIT
from node.evm.native.runtime.records import ROW_BYTES, STACK_BYTES, Frame
from node.evm.opcodes import Opcode

NAME: Final = "unit"
_TOTAL: Final = "<total>"
_WEIGHTS: Final = '!0 = !{!"branch_weights", i32 2000, i32 1}\n!1 = !{!"branch_weights", i32 1, i32 2000}\n'


@dataclass(slots=True)
class Point:
    """Where the interpreter can go on: the state of the stack there, and gas of the block that was spent before."""

    label: str
    pc: int
    height: int
    spent: int
    values: dict[int, Value]
    dirty: frozenset[int]
    is_used: bool = False


@dataclass(slots=True)
class State:
    """Words of the stack by slot, as far as they are known by name; ``fresh`` ones do not lie in their places yet."""

    values: dict[int, Value] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)


class UnitWriter:
    """Writes all regions of a unit."""

    def __init__(self, code: Code, unit: Unit) -> None:
        self.code = code
        self.unit = unit
        self.text = Text()
        self.products: dict[str, tuple[Value, Value]] = {}
        """Results of MUL with their factors."""

    def write(self, triple: str) -> str:
        """The whole module."""
        text = self.text
        entries = " ".join(f"i64 {root}, label %E{root}" for root in self.unit.regions)
        text.emit(f"switch i64 %begin, label %lost [ {entries} ]")
        text.label("lost")
        text.emit("store i64 %begin, ptr %exit")
        text.emit("br label %leave")
        for region in self.unit.regions.values():
            RegionWriter(self, region).write()
        text.label("leave")
        at = text.result("load i64, ptr %exit")
        pc = text.place("%code", at)
        opcode = text.result(f"zext i8 {text.result(f'load i8, ptr {pc}, align 1')} to i64")
        row = text.place("%rows", text.result(f"mul i64 {opcode}, {ROW_BYTES}"))
        handler = text.result(f"load ptr, ptr {row}, align 8")
        sp, gas = text.result("load ptr, ptr %sp"), text.result("load i64, ptr %gas")
        passed = f"ptr %frame, ptr {pc}, ptr {sp}, i64 {gas}, ptr %rows"
        text.emit(f"musttail call {HANDLER_CONVENTION} void {handler}({passed})")
        text.emit("ret void")
        body, text.lines = text.lines, []
        for name in ("code", "memory"):  # they stay where they are while the frame runs
            place = text.place("%frame", layout(Frame)[name].offset)
            text.emit(f"%{name} = load ptr, ptr {place}, align 8")
        here, there = (text.result(f"ptrtoint ptr %{name} to i64") for name in ("pc", "code"))
        text.emit(f"%begin = sub i64 {here}, {there}")
        text.emit("store i64 %given, ptr %gas")
        text.emit("store ptr %top, ptr %sp")
        size = text.field("%frame", Frame, "memory_size")
        text.emit(f"store i64 {size}, ptr %size")
        text.emit(f"br i1 {text.result(f'icmp ult i64 {size}, {operations.MEMORY_FLOOR}')}, label %lost, label %enter")
        text.label("enter")
        head = text.lines
        own = [f"  %{name} = alloca {kind}" for name, kind in _VARIABLES]
        functions, declarations = library.texts(text.functions)
        declared = dict.fromkeys([*declarations, *text.declarations])
        parameters = "ptr %frame, ptr %pc, ptr %top, i64 %given, ptr %rows"
        return "\n".join(
            [
                f'target triple = "{triple}"',
                *declared,
                *functions,
                f"define {HANDLER_CONVENTION} void @{NAME}({parameters}) nounwind {{",
                "entry:",
                *own,
                *text.allocations,
                *head,
                *body,
                "}",
                _WEIGHTS,
            ]
        )


_VARIABLES: Final = (("gas", "i64"), ("sp", "ptr"), ("size", "i64"), ("exit", "i64"))


class RegionWriter:
    """Writes one region: its entry, then its blocks."""

    def __init__(self, writer: UnitWriter, region: Region) -> None:
        self.writer = writer
        self.text = writer.text
        self.region = region
        self.base = self.text.allocate("ptr")
        self.slots = {slot: self.text.allocate("i256") for slot in range(region.low, region.high)}
        self._numbers = {place: number for number, place in enumerate(region.blocks)}

    def label_of(self, place: Place) -> str:
        """Where a block begins."""
        return f"B{self.region.root}_{self._numbers[place]}"

    def write(self) -> None:
        """The entry, and every block that is reached."""
        text, region = self.text, self.region
        root = Place(region.root, 0)
        text.label(f"E{region.root}")
        base = text.result("load ptr, ptr %sp")
        text.emit(f"store ptr {base}, ptr {self.base}")
        used = text.result(f"and i64 {text.result(f'ptrtoint ptr {base} to i64')}, {STACK_BYTES - 1}")
        text.emit(f"store i64 {region.root}, ptr %exit")
        text.split(text.result(f"icmp ult i64 {used}, {-32 * region.low}"), "leave")
        text.split(text.result(f"icmp ugt i64 {used}, {32 * (STACK_LIMIT - region.high)}"), "leave")
        for slot in range(region.low, 0):
            word = text.result(f"load i256, ptr {text.place(base, 32 * slot)}, align 8")
            text.emit(f"store i256 {word}, ptr {self.slots[slot]}")
        text.emit(f"br label %{self.label_of(root)}")
        waiting = [(root, State())]
        written = {root}
        while waiting:
            place, state = waiting.pop()
            for target, handed in BlockWriter(self, region.blocks[place], state).write():
                if target not in written:
                    written.add(target)
                    waiting.append((target, handed))


class BlockWriter:
    """Writes one block; what ``operations`` need to write an instruction."""

    def __init__(self, owner: RegionWriter, held: Held, state: State) -> None:
        self.owner = owner
        self.text = owner.text
        self.rules = owner.writer.code.rules
        self.code_size = len(owner.writer.code.code)
        self.products = owner.writer.products
        self.held = held
        self.height = held.place.height
        self.values = dict(state.values)
        self.values.update(held.place.known)
        self.fresh = set(state.fresh)
        self.dirty = set(held.dirty)
        self.spent = 0
        """Gas of what was written so far, without what memory cost."""
        self._begun = 0
        """The same where the instruction began."""
        self.stale = False
        """Whether what was done since the latest point could not be done again."""
        self._reads: list[tuple[int, int] | None] = []
        self._points: list[Point] = []
        self._step = held.block.steps[0]
        self._handed: list[tuple[Place, State]] = []

    # --- the stack ---

    def get(self, slot: int) -> Value:
        """The word in a slot."""
        found = self.values.get(slot)
        if found is None:
            found = self.values[slot] = self.text.result(f"load i256, ptr {self.owner.slots[slot]}")
        return found

    def put(self, slot: int, value: Value) -> None:
        """Another word in a slot."""
        self.values[slot] = value
        self.fresh.add(slot)
        self.dirty.add(slot)

    def _drop(self, height: int) -> None:
        for slot in range(height, self.height):
            self.values.pop(slot, None)
            self.fresh.discard(slot)
            self.dirty.discard(slot)
        self.height = height

    # --- points ---

    def _mark(self, pc: int) -> Point:
        """The state here as a point."""
        point = Point(self.text.fresh(), pc, self.height, self._begun, dict(self.values), frozenset(self.dirty))
        self._points.append(point)
        return point

    def point(self) -> str:
        """The label of the latest point from which everything can be done again."""
        if self.stale:
            self._mark(self._step.pc)
            self.stale = False
            self._reads.clear()
        self._points[-1].is_used = True
        return self._points[-1].label

    def leave_if(self, condition: str) -> None:
        """The unit does not go on where this holds."""
        self.text.split(condition, self.point())

    def read_memory(self, offset: Value, size: Value) -> None:
        """A piece of memory was looked at."""
        self._reads.append(_range(offset, size))

    def wrote_memory(self, offset: Value, size: Value) -> None:
        """A piece of memory has changed; where it was looked at before, that cannot be done again."""
        piece = _range(offset, size)
        if any(_overlap(piece, read) for read in self._reads):
            self.stale = True

    def rest(self) -> str:
        """Gas that the interpreter would still have after the base gas of this instruction, besides what is left."""
        return f"<rest:{self.spent + self._step.gas}>"

    # --- the block ---

    def write(self) -> list[tuple[Place, State]]:
        """All of it; blocks that come behind, with what they are handed."""
        text = self.text
        text.label(self.owner.label_of(self.held.place))
        begin = len(text.lines)
        self._mark(self.held.place.pc)
        gas = text.result(f"sub i64 {text.result('load i64, ptr %gas')}, {_TOTAL}")
        text.emit(f"store i64 {gas}, ptr %gas")
        self.leave_if(text.result(f"icmp slt i64 {gas}, 0"))
        for step in self.held.block.steps:
            self._step = step
            self._begun = self.spent
            if step.opcode in (Opcode.JUMP, Opcode.JUMPI):
                break
            self._operate(step)
            self.spent += step.gas
        self._end()
        for point in self._points:
            if point.is_used:
                self._leave_at(point)
        total = self.spent
        for at in range(begin, len(text.lines)):
            line = text.lines[at]
            if "<" in line:
                text.lines[at] = _resolved(line, total)
        return self._handed

    def charge(self, gas: int) -> None:
        """A price that turned out to be fixed."""
        self.spent += gas

    def _operate(self, step: Step) -> None:
        opcode = step.opcode
        if Opcode.DUP1 <= opcode <= Opcode.DUP16:
            self.height += 1
            self.put(self.height - 1, self.get(self.height - 1 - step.pops))
        elif Opcode.SWAP1 <= opcode <= Opcode.SWAP16:
            top, other = self.height - 1, self.height - step.pops
            a, b = self.get(top), self.get(other)
            self.put(top, b)
            self.put(other, a)
        elif step.plain.startswith("stack.push"):
            self.height += 1
            self.put(self.height - 1, step.immediate)
        elif step.plain == "stack.pop":
            self._drop(self.height - 1)
        elif step.plain != "control.jumpdest":
            operands = [self.get(self.height - 1 - number) for number in range(step.pops)]
            word = operations.write(self, step, operands)
            self._drop(self.height - step.pops)
            if step.pushes:
                assert word is not None
                self.height += 1
                self.put(self.height - 1, word)

    def _end(self) -> None:
        held, text = self.held, self.text
        if held.block.ending not in (JUMP, JUMPI):
            assert held.falls is not None
            self._go(held.falls)
            return
        step = self._step
        target = self.get(self.height - 1)
        refused = None
        if isinstance(held.taken, Dynamic | Refused):
            refused = self._mark(step.pc)
            refused.is_used = True
        condition = self.get(self.height - 2) if held.block.ending == JUMPI else None
        self.spent += step.gas
        self._drop(self.height - step.pops)
        if condition is not None:
            jumps, falls = text.fresh(), text.fresh()
            text.emit(f"br i1 {text.result(f'icmp ne i256 {condition}, 0')}, label %{jumps}, label %{falls}")
            text.label(jumps)
        assert held.taken is not None
        self._go(held.taken, target, refused)
        if condition is not None:
            text.label(falls)
            assert held.falls is not None
            self._go(held.falls)

    # --- ways out ---

    def _go(self, edge: Edge, target: Value = 0, refused: Point | None = None) -> None:
        text = self.text
        if isinstance(edge, Inner):
            behind = self.owner.region.blocks[edge.place]
            if behind.entries == 1 and edge.place != Place(self.owner.region.root, 0):
                self._handed.append((edge.place, State(dict(self.values), set(self.fresh))))
            else:
                for slot in sorted(self.fresh):
                    text.emit(f"store i256 {self.values[slot]}, ptr {self.owner.slots[slot]}")
                self._handed.append((edge.place, State()))
            text.emit(f"br label %{self.owner.label_of(edge.place)}")
        elif isinstance(edge, Hop):
            self._spill(self.height, self.values, self.dirty)
            text.emit(f"br label %E{edge.pc}")
        elif isinstance(edge, Leave):
            self._spill(self.height, self.values, self.dirty)
            text.emit(f"store i64 {edge.pc}, ptr %exit")
            text.emit("br label %leave")
        else:
            assert refused is not None
            roots = [pc for pc in self.owner.writer.unit.regions if pc in self.owner.writer.code.landings]
            if isinstance(edge, Dynamic) and roots:
                far = text.result(f"icmp uge i256 {target}, {self.code_size}")
                text.split(far, refused.label)
                self._spill(self.height, self.values, self.dirty)
                place = text.result(f"trunc i256 {target} to i64")
                cases = " ".join(f"i64 {pc}, label %E{pc}" for pc in roots)
                text.emit(f"switch i64 {place}, label %{refused.label} [ {cases} ]")
            else:
                text.emit(f"br label %{refused.label}")

    def _spill(self, height: int, values: dict[int, Value], dirty: set[int] | frozenset[int]) -> None:
        """Bring the stack in memory up to date."""
        text = self.text
        base = text.result(f"load ptr, ptr {self.owner.base}")
        for slot in sorted(dirty):
            word = values.get(slot)
            if word is None:
                word = text.result(f"load i256, ptr {self.owner.slots[slot]}")
            text.emit(f"store i256 {word}, ptr {text.place(base, 32 * slot)}, align 8")
        text.emit(f"store ptr {text.place(base, 32 * height)}, ptr %sp")

    def _leave_at(self, point: Point) -> None:
        text = self.text
        text.label(point.label)
        gas = text.result(f"add i64 {text.result('load i64, ptr %gas')}, <rest:{point.spent}>")
        text.emit(f"store i64 {gas}, ptr %gas")
        self._spill(point.height, point.values, point.dirty)
        text.emit(f"store i64 {point.pc}, ptr %exit")
        text.emit("br label %leave")


def _range(offset: Value, size: Value) -> tuple[int, int] | None:
    return (offset, offset + size) if isinstance(offset, int) and isinstance(size, int) else None


def _overlap(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])


def _resolved(line: str, total: int) -> str:
    """The line with the block's gas in it."""
    line = line.replace(_TOTAL, str(total))
    while "<rest:" in line:
        before, _, after = line.partition("<rest:")
        spent, _, after = after.partition(">")
        line = f"{before}{total - int(spent)}{after}"
    return line
