"""What a unit is made of: blocks, loops, functions copied into their callers, bounds whatever the code is."""

from __future__ import annotations

import random

import pytest

from node.evm.native.hot.blocks import FALL, JUMP, JUMPI, LEAVE, Code, landing_places
from node.evm.native.hot.compiling import unit_text
from node.evm.native.hot.plan import REGIONS_MAX, UNIT_STEPS, Unit, plan
from node.evm.native.hot.regions import Dynamic, Heat, Hop, Inner, Leave, Place
from node.evm.native.hot.rulebook import rulebook_of
from node.evm.opcodes import Opcode
from node.forks import osaka
from tests.unit.evm.native.hot import FRAME, loop
from tests.unit.evm.program import program, push

RULES = rulebook_of(osaka.SPEC)


def planned(code: bytes, hits: dict[int, int] | None = None) -> Unit:
    """The unit of a code."""
    return plan(Code(code, RULES), Heat(hits))


def test_blocks_end_where_code_branches_and_before_what_units_do_not_do() -> None:
    text = program(push(0x5B), Opcode.JUMPDEST, push(9), Opcode.JUMPI, Opcode.CALLER, Opcode.BALANCE, Opcode.JUMP)
    code = Code(text, RULES)
    assert code.landings == {2} == landing_places(text)
    first = code.block(0)
    assert (first.ending, first.next_pc, [step.immediate for step in first.steps]) == (FALL, 2, [0x5B])
    assert (code.block(2).ending, code.block(2).next_pc) == (JUMPI, 6)
    assert (code.block(6).ending, code.block(6).next_pc) == (LEAVE, 7)
    assert code.block(8).ending == JUMP
    assert (code.block(9).ending, code.block(9).steps) == (LEAVE, ())


def test_a_push_that_the_end_cuts_off_pushes_zeros() -> None:
    block = Code(bytes((Opcode.PUSH1 + 3, 7)), RULES).block(0)
    assert block.steps[0].immediate == 7 << 24
    assert block.ending == LEAVE


def test_a_loop_is_a_region_that_comes_back_to_its_root() -> None:
    text = loop(9, b"")
    head = text.index(Opcode.JUMPDEST)
    unit = planned(text)
    assert list(unit.regions) == [head]
    held = unit.regions[head].blocks[Place(head, 0)]
    assert held.taken == Inner(Place(head, 0))
    assert held.falls == Inner(Place(held.block.next_pc, 0))


def test_a_function_is_copied_to_both_places_that_call_it() -> None:
    # (way back, a): a + 1, and back
    function = program(Opcode.JUMPDEST, push(1), Opcode.ADD, Opcode.SWAP1, Opcode.JUMP)
    head = len(FRAME) + 3
    backs = []
    body = b""
    for _ in range(2):
        at = head + 1 + len(body)
        backs.append(at + 10)
        body += program(push(at + 10, 2), push(3), push(0x200, 3), Opcode.JUMP, Opcode.JUMPDEST, Opcode.POP)
    text = loop(9, body)
    where = len(text) + 1
    text = text.replace(push(0x200, 3), push(where, 3)) + bytes((Opcode.STOP,)) + function
    unit = planned(text)
    assert next(iter(unit.regions)) == head
    copies = [held for place, held in unit.regions[head].blocks.items() if place.pc == where]
    assert [held.taken for held in copies] == [Inner(Place(back, 1)) for back in backs]
    assert not any(isinstance(edge, Dynamic) for held in unit.regions[head].blocks.values() for edge in held.edges())


def test_recursion_ends_in_hops() -> None:
    """A function that calls itself with one word more on the stack each time."""
    text = program(FRAME, push(1), push(8), Opcode.JUMP, Opcode.JUMPDEST)
    start = len(text) - 1
    text = text[:-2] + bytes((Opcode.JUMP, Opcode.JUMPDEST))
    text = text.replace(push(8), push(start))
    text += program(push(start + 6), push(7), push(start), Opcode.JUMP, Opcode.JUMPDEST, Opcode.SWAP1, Opcode.JUMP)
    unit = planned(text)
    assert unit.steps <= UNIT_STEPS
    assert any(
        isinstance(edge, Hop)
        for region in unit.regions.values()
        for held in region.blocks.values()
        for edge in held.edges()
    )


def test_inner_loops_are_regions_too_and_the_outer_one_holds_them() -> None:
    inner = program(push(5), Opcode.JUMPDEST, push(1), Opcode.SWAP1, Opcode.SUB, Opcode.DUP1)
    at = len(FRAME) + 3 + 1 + 2
    text = loop(9, program(inner, push(at), Opcode.JUMPI, Opcode.POP))
    outer = len(FRAME) + 3
    unit = planned(text, {outer: 2_000, at: 9_000})
    assert list(unit.regions) == [outer, at]
    assert Place(at, 1) in unit.regions[outer].blocks
    ways = [edge for held in unit.regions[at].blocks.values() for edge in held.edges()]
    assert Hop(outer) in ways


def test_what_is_cold_is_left_out() -> None:
    text = loop(9, program(Opcode.DUP1, push(30), Opcode.JUMPI))
    text += program(Opcode.STOP) * (30 - len(text)) + program(Opcode.JUMPDEST, push(1), Opcode.JUMP)
    head = text.index(Opcode.JUMPDEST)
    unit = planned(text, {head: 10_000, 30: 3})
    assert Leave(30) in unit.regions[head].blocks[Place(head, 0)].edges()
    assert 30 in {place.pc for place in planned(text).regions[head].blocks}


def bombs() -> dict[str, bytes]:
    """Codes that want to be large."""
    size = 24_576
    chance = random.Random(1)
    jumps = b"".join(program(Opcode.JUMPDEST, push((7 * n * 41) % size, 2), Opcode.JUMPI) for n in range(size // 5))
    chain = b"".join(program(Opcode.JUMPDEST, push(0), push(5 * n + 5, 2), Opcode.JUMPI) for n in range(size // 7))
    return {
        "jumpdests": bytes((Opcode.JUMPDEST,)) * size,
        "jumps everywhere": jumps,
        "a chain": chain,
        "deep": program(Opcode.JUMPDEST, *([push(1)] * 1000), push(0), Opcode.JUMP),
        "swaps": (program(Opcode.JUMPDEST, *range(0x80, 0xA0)) * 2_000)[:size],
        "divisions": program(Opcode.JUMPDEST, (bytes((Opcode.SDIV, Opcode.MULMOD, Opcode.EXP)) * 8_000)[: size - 1]),
        "memory": program(Opcode.JUMPDEST, (program(Opcode.DUP1, Opcode.DUP1, Opcode.MSTORE) * 8_000)[: size - 1]),
        "logs": program(Opcode.JUMPDEST, (bytes((Opcode.LOG0 + 4,)) * size)[: size - 1]),
        "ways back": program(
            *([Opcode.JUMPDEST, push(0, 2)] * 40), *(program(push(4 * n, 2), Opcode.JUMPDEST) for n in range(5_000))
        ),
        "noise": chance.randbytes(size),
    }


@pytest.mark.parametrize("name", list(bombs()))
def test_units_are_bounded_whatever_the_code_is(name: str) -> None:
    unit = planned(bombs()[name])
    assert unit.steps <= UNIT_STEPS
    assert len(unit.regions) <= REGIONS_MAX
    text, entries = unit_text(bombs()[name], RULES, None, "")
    assert len(text) < 3_000_000
    assert set(entries) <= landing_places(bombs()[name])
