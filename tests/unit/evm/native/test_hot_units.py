"""Units do what the interpreter does: every instruction, every amount of gas, every way out."""

from __future__ import annotations

import itertools
import random

import pytest

from node.evm.native import llvm
from node.evm.native.choice import Hot
from node.evm.native.hot import library
from node.evm.native.hot.blocks import DOES, Code
from node.evm.native.hot.compiling import InPlace, unit_text
from node.evm.native.hot.emitter import NAME
from node.evm.native.hot.plan import plan
from node.evm.native.hot.regions import Heat
from node.evm.native.hot.rulebook import rulebook_of
from node.evm.native.interpreter.catalogue import ENTRIES
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.opcodes import Opcode
from node.evm.outcome import Success
from node.evm.spec import Spec
from node.forks import osaka
from node.forks.schedule import SPECS_BY_NAME
from tests.differential import native_answers, native_hot
from tests.unit.evm.native.compiling import in_a_small_process
from tests.unit.evm.native.hot import FRAME, hot_machine, loop
from tests.unit.evm.program import GAS, OTHER, RETURN_TOP, TARGET, World, call_operation, operation, program, push

RULES = rulebook_of(osaka.SPEC)
EDGES = (0, 1, 2, 31, 255, 256, 2**64 - 1, 2**64, 2**127 - 1, 2**127, 2**128, 2**255, 2**256 - 2**127, 2**256 - 1)


@pytest.fixture
def hot(native_machine: NativeMachine) -> NativeMachine:
    """A machine that compiles everything."""
    return hot_machine()[0]


def seen(machine: NativeMachine, code: bytes, spec: Spec = osaka.SPEC, gas: int = GAS, **message) -> list[object]:
    """What one message leaves."""
    world = World(spec, machine=machine)
    world.deploy(OTHER, bytes.fromhex("602a60005260206000f3"))
    world.deploy(TARGET, code, balance=9)
    world.state.set_storage(TARGET, 1, 7)
    world.begin()
    outcome = world.run(code, gas=gas, **message)
    state = world.state
    return [outcome, state.diff().accounts, state.logs, state.refund, sorted(state._warm)]


def same(code: bytes, spec: Spec = osaka.SPEC, gas: int = GAS, **message) -> list[object]:
    """Equal with and without units; what it is."""
    ours = seen(hot_machine()[0], code, spec, gas, **message)
    assert ours == seen(native_answers.machine(), code, spec, gas, **message)
    return ours


def used(code: bytes) -> int:
    """Gas of a run that succeeds."""
    outcome = same(code)[0]
    assert isinstance(outcome, Success), outcome
    return GAS - outcome.gas_left


TWO = [entry for entry in ENTRIES if (entry.pops, entry.pushes) == (2, 1) and entry.plain[:5] in ("arith", "bitwi")]


@pytest.mark.parametrize("entry", TWO, ids=lambda entry: Opcode(entry.opcode).name)
def test_words_at_their_edges(hot: NativeMachine, entry) -> None:
    # both operands unknown, and each of them a constant
    for known in (None, *EDGES):
        if known is None:
            bodies = [program(push(32), Opcode.CALLDATALOAD, push(0), Opcode.CALLDATALOAD, entry.opcode)]
        else:
            bodies = [
                program(push(known), push(0), Opcode.CALLDATALOAD, entry.opcode),
                program(push(0), Opcode.CALLDATALOAD, push(known), entry.opcode),
            ]
        for body in bodies:
            code = loop(2, program(body, push(0), Opcode.MSTORE), after=program(push(0), Opcode.MLOAD, RETURN_TOP))
            pairs = itertools.product(EDGES, EDGES) if known is None else [(edge, 0) for edge in EDGES]
            for a, b in pairs:
                data = a.to_bytes(32, "big") + b.to_bytes(32, "big")
                same(code, data=data)


@pytest.mark.parametrize("opcode", [Opcode.ADDMOD, Opcode.MULMOD])
def test_sums_and_products_modulo_at_their_edges(hot: NativeMachine, opcode: Opcode) -> None:
    operands = b"".join(program(push(32 * place), Opcode.CALLDATALOAD) for place in range(3))
    code = loop(
        2,
        program(operands, opcode, push(0), Opcode.MSTORE),
        after=program(push(0), Opcode.MLOAD, RETURN_TOP),
    )
    rows = list(itertools.product(EDGES, repeat=3))  # the modulus comes first: it is learned when it comes again
    for numbers in rows + random.Random(1).sample(rows, 1_000):
        same(code, data=b"".join(number.to_bytes(32, "big") for number in numbers))


@pytest.mark.parametrize(
    "modulus",
    [0, 1, 2**64, 2**64 + 13, 2**128 - 1, 2**200 + 7, 2**254 - 1, 2**255, 2**255 + 1, 2**256 - 2**32 - 977, 2**256 - 1],
)
def test_products_modulo_what_is_known(hot: NativeMachine, modulus: int) -> None:
    """No division is left: the modulus's inverse is computed with the unit."""
    factors = program(push(32), Opcode.CALLDATALOAD, push(0), Opcode.CALLDATALOAD)
    code = loop(
        2,
        program(push(modulus), factors, Opcode.MULMOD, push(0), Opcode.MSTORE),
        after=program(push(0), Opcode.MLOAD, RETURN_TOP),
    )
    assert ("product_modulo_known" in unit_text(code, RULES, None, "")[0]) == (modulus >= 2**64)
    chance = random.Random(modulus)
    numbers = [*EDGES, modulus - 1, modulus // 2, *(chance.randrange(modulus or 1) for _ in range(12))]
    for a, b in itertools.product([number % 2**256 for number in numbers], repeat=2):
        same(code, data=a.to_bytes(32, "big") + b.to_bytes(32, "big"))


@pytest.mark.parametrize("opcode", [Opcode.DIV, Opcode.SDIV])
def test_a_product_divided_by_its_factor(hot: NativeMachine, opcode: Opcode) -> None:
    """Compilers' check for an overflow is no division here."""
    factors = program(push(32), Opcode.CALLDATALOAD, push(0), Opcode.CALLDATALOAD)  # y x
    product = program(factors, Opcode.DUP1 + 1, Opcode.DUP1 + 1, Opcode.MUL)  # y x xy
    by_first = program(product, opcode, Opcode.SWAP1, Opcode.POP)
    by_second = program(product, Opcode.SWAP1, Opcode.POP, opcode)
    for body in (by_first, by_second):
        code = loop(2, program(body, push(0), Opcode.MSTORE), after=program(push(0), Opcode.MLOAD, RETURN_TOP))
        assert "product_quotient" in unit_text(code, RULES, None, "")[0]
        for a, b in itertools.product((*EDGES, 3, 2**129, 2**256 - 3), repeat=2):
            same(code, data=a.to_bytes(32, "big") + b.to_bytes(32, "big"))


def test_every_amount_of_gas(hot: NativeMachine) -> None:
    """Memory, hashing, storage, logs, EXP, GAS and MSIZE in one loop; each unit of gas is where it must be."""
    body = program(
        operation(Opcode.KECCAK256, 0, 64),
        push(0),
        Opcode.MSTORE,
        program(Opcode.DUP1, push(5), Opcode.SHL, Opcode.MLOAD, Opcode.POP),
        program(Opcode.DUP1, Opcode.DUP1, push(96), Opcode.MUL, Opcode.MSTORE),
        program(Opcode.DUP1, push(7), Opcode.EXP, push(32), Opcode.MSTORE),
        program(push(3), Opcode.DUP1 + 1, Opcode.EXP, Opcode.POP),
        program(Opcode.GAS, Opcode.MSIZE, Opcode.XOR, push(200), Opcode.MSTORE),
        program(Opcode.DUP1, Opcode.SLOAD, push(1), Opcode.ADD, Opcode.DUP1 + 1, Opcode.SSTORE),
        program(Opcode.DUP1, push(40), push(20), Opcode.LOG1),
        program(Opcode.DUP1, push(63), Opcode.AND, push(2), Opcode.KECCAK256, push(64), Opcode.MSTORE8),
    )
    code = loop(3, body, after=program(Opcode.MSIZE, push(0), Opcode.RETURN))
    whole = used(code)
    for gas in [*range(0, whole, 13), whole - 1, whole]:
        same(code, gas=gas)
    for gas in range(0, whole, 131):
        same(code, gas=gas, static=True)


@pytest.mark.parametrize("opcode", [Opcode.CALLDATACOPY, Opcode.CODECOPY, Opcode.MCOPY])
def test_copies_of_every_kind(hot: NativeMachine, opcode: Opcode) -> None:
    """Sizes, targets and sources that are known, unknown, far, empty, or overlap."""
    known = b"".join(
        operation(opcode, target, source, size)
        for target, source, size in ((0, 1, 70), (1, 0, 70), (200, 5, 33), (2**70, 2**80, 0), (300, 2**32 - 99, 0))
    )
    # both offsets grow from round to round: the first one is the interpreter's
    source = program(Opcode.DUP1 + 1, push(300), Opcode.MUL, push(1000), Opcode.SUB, push(32), Opcode.CALLDATALOAD)
    target = program(Opcode.DUP1 + 2, push(200), Opcode.MUL, push(900), Opcode.SUB, push(64), Opcode.CALLDATALOAD)
    unknown = program(push(0), Opcode.CALLDATALOAD, source, Opcode.ADD, target, Opcode.ADD, opcode)
    body = program(operation(Opcode.MSTORE, 7, 2**255 + 99), known, unknown)
    code = loop(3, body, after=program(Opcode.MSIZE, push(0), Opcode.RETURN))
    for numbers in itertools.product((0, 1, 31, 64, 700, 2**33, 2**255), repeat=3):
        same(code, data=b"".join(number.to_bytes(32, "big") for number in numbers))
    whole = used(code)
    for gas in range(0, whole, 3):
        same(code, gas=gas)


def test_memory_at_known_places_grows_in_a_unit(hot: NativeMachine) -> None:
    """What the first rounds, which are the interpreter's, jump over."""
    grows = (
        operation(Opcode.MCOPY, 2_000, 40, 50),
        operation(Opcode.MCOPY, 40, 3_000, 50),
        operation(Opcode.MSTORE, 4_000, 9),
        program(operation(Opcode.KECCAK256, 5_000, 77), push(0), Opcode.MSTORE),
        operation(Opcode.LOG0, 6_000, 77),
        operation(Opcode.CALLDATACOPY, 7_000, 1, 33),
    )
    for rare in (*grows, b"".join(grows)):
        over = len(FRAME) + 3 + 1 + 8 + len(rare)
        body = program(Opcode.DUP1, push(2), Opcode.LT, push(over, 2), Opcode.JUMPI, rare, Opcode.JUMPDEST)
        code = loop(4, body, after=program(Opcode.MSIZE, push(0), Opcode.RETURN))
        assert code[over] == Opcode.JUMPDEST
        for gas in range(used(code) - 700, used(code) + 1):
            same(code, gas=gas)


def test_what_was_done_is_not_done_again(hot: NativeMachine) -> None:
    """The unit leaves in the middle of a block, behind what cannot be done twice: the halt is the interpreter's."""
    read_cold = program(Opcode.DUP1, Opcode.SLOAD, Opcode.POP)
    grow = program(Opcode.DUP1, Opcode.DUP1, push(1000), Opcode.MUL, Opcode.MSTORE)
    write = program(Opcode.DUP1, Opcode.DUP1, Opcode.SSTORE)
    code = loop(2, program(read_cold, Opcode.GAS, Opcode.POP, grow, write))
    for gas in range(2_000, 6_000):
        same(code, gas=gas, static=True)


@pytest.mark.parametrize("name", ["Frontier", "Byzantium", "Berlin", "Cancun"])
def test_prices_are_the_forks(hot: NativeMachine, name: str) -> None:
    spec = SPECS_BY_NAME[name]
    body = program(Opcode.DUP1, push(300), Opcode.EXP, Opcode.DUP1, Opcode.SSTORE)
    code = loop(3, program(operation(Opcode.EXP, 2, 300), Opcode.DUP1 + 1, Opcode.SSTORE), after=body[:0])
    same(code, spec)
    same(code, spec, gas=30_000)


def test_calls_leave_and_come_back(hot: NativeMachine) -> None:
    called = program(call_operation(Opcode.CALL, OTHER, gas=5_000, output=(96, 32)), Opcode.POP)
    code = loop(
        5,
        program(called, Opcode.RETURNDATASIZE, push(96), Opcode.MLOAD, Opcode.ADD, push(0), Opcode.MSTORE),
        after=program(push(0), Opcode.MLOAD, RETURN_TOP),
    )
    whole = used(code)
    for gas in range(0, whole, 101):
        same(code, gas=gas)


def test_a_stack_that_grows_in_a_loop_ends_at_its_limit(hot: NativeMachine) -> None:
    grows = program(FRAME, push(5), Opcode.JUMPDEST, Opcode.DUP1, push(7), Opcode.JUMP)
    same(grows)
    shrinks = program(FRAME, *([push(1)] * 40), Opcode.JUMPDEST, Opcode.POP, push(85), Opcode.JUMP)
    assert shrinks[85] == Opcode.JUMPDEST
    same(shrinks)


def test_jumps_to_nowhere_and_to_the_end(hot: NativeMachine) -> None:
    for target in (0, 4, 2**64 + 5, 2**255, 1000):
        same(loop(3, program(Opcode.DUP1, push(2), Opcode.EQ, push(target), Opcode.JUMPI)))
        same(
            loop(3, program(Opcode.DUP1, push(2), Opcode.EQ, push(0), Opcode.CALLDATALOAD, Opcode.JUMPI)),
            data=target.to_bytes(32, "big"),
        )
    same(program(FRAME, push(3), push(9), Opcode.JUMP, Opcode.JUMPDEST))


def test_little_memory_is_left_to_the_interpreter(hot: NativeMachine) -> None:
    same(loop(3, operation(Opcode.MSTORE, 0, 5), begin=b"", after=program(Opcode.MSIZE, RETURN_TOP)))


def test_units_are_really_entered(hot: NativeMachine) -> None:
    """A unit with a mistake gives wrong answers: nothing else shows that all this ran compiled."""
    code = loop(50, program(Opcode.DUP1, push(0), Opcode.MSTORE))
    _, foreman = hot_machine()
    before = foreman.installed
    same(code)
    assert foreman.installed == before + 1


def test_a_unit_that_llvm_loads_does_the_same() -> None:
    """Where there is no loader of our own."""
    in_a_small_process(run_a_unit_that_llvm_loads)


def run_a_unit_that_llvm_loads() -> None:
    machine = load_machine()
    foreman = machine.compile_hot_code(InPlace(level=0))
    symbols = library.symbols(machine._loaded.addresses)
    foreman._load = lambda content: llvm.LoadedObject(content, (NAME,), symbols)
    body = program(operation(Opcode.KECCAK256, 0, 64), push(3), Opcode.SDIV, push(32), Opcode.MSTORE)
    code = loop(3_000, body, after=program(push(32), Opcode.MLOAD, RETURN_TOP))
    for _ in range(2):
        assert seen(machine, code) == seen(native_answers.machine(), code)
    assert foreman.installed == 1


def test_all_that_a_unit_does_is_an_instruction() -> None:
    assert {entry.plain for entry in ENTRIES} >= DOES


@pytest.mark.parametrize("name", SPECS_BY_NAME)
def test_every_fork_has_a_rulebook(name: str) -> None:
    rules = rulebook_of(SPECS_BY_NAME[name])
    assert len(rules.rows) == 256
    assert plan(Code(loop(9, b""), rules), Heat()).regions


def test_choice_has_words_for_it() -> None:
    assert [word.value for word in Hot] == ["0", "1", "all"]


def test_random_programs_of_loops(hot: NativeMachine) -> None:
    machine, _ = native_hot.hot_machine(level=0)
    told = [line for seed in range(40) for line in native_hot.differences(machine, seed, 8)[:1]]
    assert not told, told
