"""What a unit holds: regions of blocks, each entered at its root with the stack in memory.

Inside a region the height of the stack is known relative to the root's, so its words live in registers. A block is
held once for every height and every set of return addresses with which it is reached: small functions are copied into
their callers, and their ways back are ordinary branches. Between regions ("hops") the stack goes through memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from node.evm.native.hot.blocks import FALL, JUMP, JUMPI, LEAVE, Block, Code
from node.evm.opcodes import Opcode

REGION_STEPS: Final = 300
"""Instructions of a region; what is reached beyond them is another one."""
COPIES: Final = 12
"""Of one block in one region."""
DEPTH: Final = 40
"""How far below and above the root's height a block of a region may begin."""
COLD_SHARE: Final = 64
"""A landing place with this many times fewer hits than the hottest is left out."""

Values: TypeAlias = tuple[tuple[int, int], ...]
"""Stack slots, counted from the root's height, that hold known landing places."""


@dataclass(frozen=True, slots=True)
class Place:
    """A block in a region: ``height`` is relative to the root's."""

    pc: int
    height: int
    known: Values = ()


@dataclass(frozen=True, slots=True)
class Inner:
    """To a block of the same region."""

    place: Place


@dataclass(frozen=True, slots=True)
class Hop:
    """To the root of a region."""

    pc: int


@dataclass(frozen=True, slots=True)
class Leave:
    """To the interpreter."""

    pc: int


@dataclass(frozen=True, slots=True)
class Dynamic:
    """To wherever the top of the stack says."""


@dataclass(frozen=True, slots=True)
class Refused:
    """To no landing place: the interpreter runs the jump, and ends the frame."""


Edge: TypeAlias = Inner | Hop | Leave | Dynamic | Refused


@dataclass(slots=True)
class Held:
    """A block of a region, and where it leads: ``taken`` by its jump, ``falls`` to what stands behind it."""

    place: Place
    block: Block
    taken: Edge | None = None
    falls: Edge | None = None
    height: int = 0
    """At the end."""
    written: frozenset[int] = frozenset()
    dirty: frozenset[int] = frozenset()
    """Slots that may differ from the stack in memory when the block begins."""
    entries: int = 0
    """Edges that lead here."""

    def edges(self) -> list[Edge]:
        """All ways out."""
        return [edge for edge in (self.taken, self.falls) if edge is not None]


@dataclass(slots=True)
class Region:
    """``low`` and ``high`` bound the slots that are used, relative to the root's height."""

    root: int
    blocks: dict[Place, Held] = field(default_factory=dict)
    steps: int = 0
    low: int = 0
    high: int = 0


class Heat:
    """Which landing places run often: hits by place; none given means that all do."""

    def __init__(self, hits: Mapping[int, int] | None = None) -> None:
        self._hits = hits
        self._least = max(hits.values(), default=0) // COLD_SHARE if hits else 0

    def is_cold(self, pc: int) -> bool:
        """Whether a landing place is left to the interpreter."""
        return self._hits is not None and self._hits.get(pc, 0) <= self._least

    def order(self, places: Iterable[int]) -> list[int]:
        """Those that are not cold, the rarest first: outer loops before inner ones."""
        hits = self._hits or {}
        return sorted((pc for pc in places if not self.is_cold(pc)), key=lambda pc: (hits.get(pc, 0), pc))


class RegionBuilder:
    """Follows one region from its root."""

    def __init__(self, code: Code, heat: Heat, root: int, roots: Iterable[int], built: Iterable[int]) -> None:
        """``roots`` are those that there are, ``built`` those whose regions exist already."""
        self._code = code
        self._heat = heat
        self._roots = frozenset(roots)
        self._built = frozenset(built)
        self._copies: dict[int, int] = {}
        self.region = Region(root)
        self.hops: list[int] = []
        """Where hops lead."""
        self.left: list[int] = []
        """Landing places that lie on the stack when the region is left: ways back."""

    def build(self) -> Region:
        """The whole region."""
        first = Place(self.region.root, 0)
        waiting = [first]
        self._hold(first)
        for place in waiting:
            for edge in self._follow(self.region.blocks[place]):
                if isinstance(edge, Inner):
                    if edge.place not in self.region.blocks:
                        self._hold(edge.place)
                        waiting.append(edge.place)
                    self.region.blocks[edge.place].entries += 1
                elif isinstance(edge, Hop):
                    self.hops.append(edge.pc)
        self._spread_dirt()
        return self.region

    def _hold(self, place: Place) -> None:
        block = self._code.block(place.pc)
        self.region.blocks[place] = Held(place, block)
        self.region.steps += len(block.steps)
        self._copies[place.pc] = self._copies.get(place.pc, 0) + 1

    def _follow(self, held: Held) -> list[Edge]:
        """Run the block on what is known of the stack, and find its ways out."""
        stack = dict(held.place.known)
        height = held.place.height
        written: set[int] = set()
        target: int | None = None
        region = self.region
        for step in held.block.steps:
            region.low = min(region.low, height - step.pops)
            if Opcode.DUP1 <= step.opcode <= Opcode.DUP16:
                value = stack.get(height - step.pops)
                height += 1
                _put(stack, height - 1, value)
                written.add(height - 1)
            elif Opcode.SWAP1 <= step.opcode <= Opcode.SWAP16:
                top, other = height - 1, height - step.pops
                a, b = stack.get(top), stack.get(other)
                _put(stack, top, b)
                _put(stack, other, a)
                written |= {top, other}
            else:
                if step.opcode in (Opcode.JUMP, Opcode.JUMPI):
                    target = stack.get(height - 1)
                for slot in range(height - step.pops, height):
                    stack.pop(slot, None)
                height += step.pushes - step.pops
                for slot in range(height - step.pushes, height):
                    written.add(slot)
                if step.plain.startswith("stack.push"):
                    _put(stack, height - 1, step.immediate)
            region.high = max(region.high, height)
        held.height = height
        held.written = frozenset(written)
        landings = self._code.landings
        known = {slot: value for slot, value in stack.items() if value in landings and slot < height}
        if held.block.ending in (JUMP, JUMPI):
            if target is None:
                held.taken = Dynamic()
            elif target in landings:
                # only jumps are counted: what code falls into is as hot as what stands before it
                held.taken = Leave(target) if self._heat.is_cold(target) else self._edge(target, height, known)
            else:
                held.taken = Refused()
        if held.block.ending in (JUMPI, FALL):
            held.falls = self._edge(held.block.next_pc, height, known)
        elif held.block.ending == LEAVE:
            held.falls = Leave(held.block.next_pc)
        if held.block.ending == LEAVE or any(isinstance(edge, Hop | Dynamic) for edge in held.edges()):
            self.left += sorted(known.values())
        return held.edges()

    def _edge(self, pc: int, height: int, known: dict[int, int]) -> Edge:
        region = self.region
        block = self._code.block(pc)
        if block.is_dead_end or not block.steps:
            return Leave(pc)
        place = Place(pc, height, tuple(sorted(known.items())))
        if place in region.blocks:
            return Inner(place)
        if pc == region.root:
            if height == 0:
                return Inner(Place(pc, 0))
            return Hop(pc)
        if pc in self._built or (pc in self._roots and self._copies.get(pc, 0)):
            return Hop(pc)
        full = region.steps + len(block.steps) > REGION_STEPS or self._copies.get(pc, 0) >= COPIES
        if full or not -DEPTH < height < DEPTH:
            return Hop(pc)
        return Inner(place)

    def _spread_dirt(self) -> None:
        """To the least sets that hold what each way in may have written."""
        blocks = self.region.blocks
        waiting = [Place(self.region.root, 0)]
        seen = set(waiting)
        while waiting:
            held = blocks[waiting.pop()]
            after = frozenset(slot for slot in held.dirty | held.written if slot < held.height)
            for edge in held.edges():
                if isinstance(edge, Inner):
                    target = blocks[edge.place]
                    if edge.place not in seen or not after <= target.dirty:
                        target.dirty |= after
                        seen.add(edge.place)
                        waiting.append(edge.place)


def _put(stack: dict[int, int], slot: int, value: int | None) -> None:
    if value is None:
        stack.pop(slot, None)
    else:
        stack[slot] = value


def loop_heads(region: Region) -> list[int]:
    """Landing places in which a circle of the region closes, seen from its root."""
    found: dict[int, None] = {}
    grey: set[Place] = set()
    done: set[Place] = set()
    root = Place(region.root, 0)
    path: list[tuple[Place, list[Place]]] = [(root, _inner(region.blocks[root]))]
    grey.add(root)
    while path:
        place, rest = path[-1]
        if not rest:
            path.pop()
            grey.discard(place)
            done.add(place)
            continue
        target = rest.pop()
        if target in grey:
            # a circle that comes forward into the root only shows that the root lies somewhere in it
            if target != root or place.pc >= root.pc:
                found[target.pc] = None
        elif target not in done:
            grey.add(target)
            path.append((target, _inner(region.blocks[target])))
    return list(found)


def _inner(held: Held) -> list[Place]:
    return [edge.place for edge in held.edges() if isinstance(edge, Inner)]
