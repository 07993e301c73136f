"""What the transpiled machine compiles, and when; what bounds it."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from node.evm.code import Code
from node.evm.interpreter import Interpreter
from node.evm.opcodes import Opcode
from node.evm.transpiled.machine import TranspiledMachine, probe
from node.evm.transpiled.program import STEPS_MAX, Thrift
from node.evm.transpiled.regions import Finder
from node.evm.transpiled.rules import Rules
from node.evm.transpiled.writer import TooLong, Writer
from node.forks import osaka
from tests.differential.transpiled_answers import EAGER
from tests.unit.evm.program import RETURN_TOP, World, program, push
from tests.unit.evm.transpiled.beside import LOOP, programs_of, run_on, same


def test_cold_code_is_not_compiled_and_a_hot_loop_is_while_it_runs() -> None:
    machine = TranspiledMachine()
    cold = program(push(1), push(2), Opcode.ADD, RETURN_TOP)
    run_on(machine, cold)
    run_on(machine, LOOP)
    of = {each._code.padded[: each._code.size]: each for each in programs_of(machine)}
    assert of[cold].regions == {}
    assert list(of[LOOP].regions) == [2]
    hot = of[LOOP]
    assert hot._spent == hot._steps * Thrift().landings_per_step <= hot.earned


def test_a_code_that_is_run_often_is_compiled() -> None:
    machine = TranspiledMachine()
    code = program(push(0), Opcode.CALLDATALOAD, push(1), Opcode.ADD, RETURN_TOP)
    runs = 0
    while not any(each.regions for each in programs_of(machine)):
        run_on(machine, code)
        runs += 1
        assert runs < 100
    assert runs > 8
    assert same(code, machine=machine, data=(8).to_bytes(32, "big")).output[-1] == 9


def test_compiling_is_earned_and_bounded() -> None:
    """Code that is written to be compiled and not to run: what it gets is a share of what it has run."""
    blocks = b"".join(
        program(Opcode.JUMPDEST, push(0), Opcode.CALLDATALOAD, push(3000, 2), Opcode.JUMPI, Opcode.ADDRESS, Opcode.POP)
        for _ in range(2_000)
    )
    thrifty = TranspiledMachine()
    world = World(machine=thrifty)
    for _ in range(30):
        world.run(blocks, gas=200_000)
    (program_of,) = programs_of(thrifty)
    assert program_of._steps * 4 <= program_of.earned <= 60
    eager = TranspiledMachine(thrift=EAGER)
    assert same(blocks, machine=eager, gas=10**6) == run_on(Interpreter(), blocks, gas=10**6)[0]
    assert max(each._steps for each in programs_of(eager)) <= STEPS_MAX


def test_memory_is_bounded() -> None:
    machine = TranspiledMachine(bytes_max=200_000, thrift=EAGER)
    most = 0
    for number in range(200):
        run_on(machine, program(push(number), Opcode.POP, LOOP.replace(b"\x60\x02\x57", b"\x60\x05\x57")))
        held = sum(each.bytes for each in {**machine._old, **machine._young}.values())
        assert held < 300_000
        most = max(most, len(programs_of(machine)))
    assert 5 < most < 50


def test_a_program_that_fell_back_a_generation_is_asked_for_its_rules() -> None:
    row = osaka.SPEC.instructions[Opcode.ADD]
    assert row is not None
    other = osaka.SPEC.evolve(instructions=osaka.SPEC.instructions.with_(replace(row, base_gas=99)))
    machine = TranspiledMachine(bytes_max=10, thrift=EAGER)  # every new one is a generation
    for number in range(6):
        same(program(push(1), push(2), Opcode.ADD, RETURN_TOP), (osaka.SPEC, other)[number % 2], machine)
        same(program(push(number)), osaka.SPEC, machine)


def test_the_source_is_made_of_templates_and_integers() -> None:
    """Whatever the bytes are: no string or name of the source comes from them."""
    chance = random.Random(5)
    allowed = re.compile(
        r"[bst]\d*|x[0-9a-f]{2}|pop|data|left|[a-z_]+256|sdiv|smod|signextend|from_bytes|to_bytes|extend"
    )
    known = {
        *(
            "def",
            "region",
            "frame",
            "stack",
            "if",
            "not",
            "len",
            "return",
            "LEFT",
            "gas",
            "floor",
            "memory",
            "while",
            "True",
        ),
        *(
            "message",
            "value",
            "leave",
            "grow",
            "else",
            "continue",
            "ljust",
            "big",
            "pow",
            "bit_length",
            "pc",
            "code",
            "size",
        ),
        *("address", "caller", "transaction", "origin", "gas_price", "return_data", "block", "timestamp", "number"),
        *("gas_limit", "chain_id", "base_fee_per_gas", "x00"),
    }
    rules = Rules(osaka.SPEC.instructions, osaka.SPEC.gas)
    for _ in range(60):
        code = Code(bytes((Opcode.JUMPDEST,)) + chance.randbytes(chance.choice((20, 200, 2_000))))
        try:
            source = Writer(Finder(code, rules.steps, None).region(0), rules).source()
        except TooLong:
            continue
        bare = re.sub(r"b'(\\x[0-9a-f]{2}|[^'\\]|\\.)*'|b\"([^\"\\]|\\.)*\"|0x[0-9a-f]+", "0", source)
        strange = {
            word for word in re.findall(r"[A-Za-z_]\w*", bare) if word not in known and not allowed.fullmatch(word)
        }
        assert not strange


def test_source_may_be_compiled_here() -> None:
    assert probe() == ""
