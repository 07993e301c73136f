"""The transpiled machine beside the plain one: every way a frame can end, every gas limit; what is compiled, when."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import network.contracts
from node.crypto.hashes import keccak256
from node.evm.frame import BrokenOff, Frame
from node.evm.instructions import stack
from node.evm.interpreter import Interpreter
from node.evm.machine import FrameResult, Tracer, VirtualMachine
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, HaltReason, Revert, Success
from node.evm.transpiled.machine import RULES_MAX, TranspiledMachine
from node.evm.transpiled.rules import Kind, Rules
from node.forks import frontier, osaka
from node.forks.schedule import SPECS_BY_NAME
from tests.differential.transpiled_answers import EAGER
from tests.unit.evm.program import OTHER, RETURN_TOP, SENDER, TARGET, World, call_operation, operation, program, push
from tests.unit.evm.transpiled.beside import LOOP, programs_of, same, seen

TOKEN = json.loads((Path(network.contracts.__file__).parent / "DemoToken.json").read_text(encoding="utf-8"))


# --- the same as plain ---


def token(spender: bytes = OTHER) -> dict[str, bytes]:
    """Calls of the token by what they do."""
    word = "".rjust(64, "0")
    to = spender.hex().rjust(64, "0")

    def call(signature: str, *words: str) -> bytes:
        return keccak256(signature.encode())[:4] + bytes.fromhex("".join(words))

    return {
        "transfer": call("transfer(address,uint256)", to, f"{5:064x}"),
        "too much": call("transfer(address,uint256)", to, f"{10**9:064x}"),
        "approve": call("approve(address,uint256)", to, f"{7:064x}"),
        "to nobody": call("transfer(address,uint256)", word, f"{5:064x}"),
        "balance": call("balanceOf(address)", SENDER.hex().rjust(64, "0")),
        "name": call("name()"),
        "unknown": b"\x01\x02\x03\x04",
        "short": b"\xa9\x05",
    }


@pytest.fixture(scope="module")
def deployed() -> tuple[bytes, dict[int, int]]:
    """The token's code, and its storage where the sender has 1,000."""
    world = World()
    outcome = world.create(bytes.fromhex(TOKEN["bytecode"].removeprefix("0x")) + (1_000).to_bytes(32, "big"), gas=10**7)
    assert isinstance(outcome, Success)
    account = world.state.diff().accounts[OTHER]
    assert account is not None
    return outcome.output, dict(account.slots)


@pytest.mark.parametrize("call", token())
def test_a_whole_token_at_every_gas_limit(deployed: tuple[bytes, dict[int, int]], call: str) -> None:
    """Where a run fails, what it says and what is left are the same, whatever runs out at whichever instruction."""
    code, slots = deployed
    machine = TranspiledMachine(thrift=EAGER)

    def run(vm: VirtualMachine, gas: int) -> list[object]:
        world = World(machine=vm)
        world.deploy(TARGET, code)
        for slot, value in slots.items():
            world.state.set_storage(TARGET, slot, value)
        world.begin()
        return seen(world, world.run(code, token()[call], gas))

    whole = run(Interpreter(), 10**6)
    assert run(machine, 10**6) == whole
    used = 10**6 - whole[0].gas_left
    for gas in [*range(0, min(used, 1_000), 3), *range(1_000, used + 60, max(1, used // 250))]:
        assert run(machine, gas) == run(Interpreter(), gas), gas
    assert programs_of(machine)[0].regions


def test_a_broken_off_run_breaks_off_where_plain_does() -> None:
    class Floored:
        """As calls on the event loop run."""

        def __init__(self, machine: VirtualMachine, floor: int) -> None:
            self._machine = machine
            self._floor = floor

        def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
            frame.floor = self._floor
            return self._machine.run_frame(frame, tracer)

    def ends(machine: VirtualMachine, code: bytes, floor: int) -> object:
        try:
            return World(machine=Floored(machine, floor)).run(code, data=(2_000).to_bytes(32, "big"), gas=10_000)
        except BrokenOff:
            return "broken off"

    machine = TranspiledMachine(thrift=EAGER)
    filling = program(
        push(0), Opcode.CALLDATALOAD, Opcode.MLOAD, push(0), Opcode.CALLDATALOAD, Opcode.MLOAD, Opcode.STOP
    )
    for code in (LOOP, filling):
        answers = {}
        for floor in range(0, 10_000, 13):
            answers[floor] = ends(machine, code, floor)
            assert answers[floor] == ends(Interpreter(), code, floor)
        assert "broken off" in answers.values()
        assert any(isinstance(answer, Success) for answer in answers.values())


WORDS = [0, 1, 2, 31, 32, 255, 256, 2**64, 2**255 - 1, 2**255, 2**256 - 1]
TWO = [
    *(Opcode.ADD, Opcode.MUL, Opcode.SUB, Opcode.DIV, Opcode.SDIV, Opcode.MOD, Opcode.SMOD, Opcode.EXP),
    *(Opcode.SIGNEXTEND, Opcode.LT, Opcode.GT, Opcode.SLT, Opcode.SGT, Opcode.EQ, Opcode.AND, Opcode.OR, Opcode.XOR),
    *(Opcode.BYTE, Opcode.SHL, Opcode.SHR, Opcode.SAR),
]
OTHERS = [Opcode.ISZERO, Opcode.NOT, Opcode.CLZ, Opcode.ADDMOD, Opcode.MULMOD]


@pytest.mark.parametrize("opcode", [*TWO, *OTHERS], ids=lambda opcode: opcode.name)
def test_edges_of_every_operation_known_and_unknown(opcode: Opcode) -> None:
    """Operands as words that only the run knows, as constants, one of each; as a number, a condition, its opposite."""
    count = 3 if opcode in (Opcode.ADDMOD, Opcode.MULMOD) else 2 if opcode in TWO else 1
    rows = [[a, b, 2**256 - 3][:count] for a in WORDS for b in (WORDS if count > 1 else [0])]
    machine = TranspiledMachine(thrift=EAGER)
    loads = [program(push(32 * index), Opcode.CALLDATALOAD) for index in range(count)]

    def check(row: list[int], known: int) -> None:
        operands = [push(word) if known >> index & 1 else loads[index] for index, word in enumerate(row)]
        made = program(*reversed(operands), opcode)
        branch = program(push(0), Opcode.JUMPI)  # where no jump may land: halts unless the condition is 0
        code = program(made, push(0), Opcode.MSTORE, made, Opcode.ISZERO, branch, push(32), push(0), Opcode.RETURN)
        data = b"".join(word.to_bytes(32, "big") for word in row)
        same(code, machine=machine, data=data)
        same(program(made, branch, made, Opcode.ISZERO, Opcode.ISZERO, RETURN_TOP), machine=machine, data=data)

    for row in rows:
        check(row, 0)
    for row in random.Random(opcode).sample(rows, min(10, len(rows))):
        for known in range(1, 2**count):
            check(row, known)


@pytest.mark.parametrize("fork", SPECS_BY_NAME)
def test_every_row_of_every_fork_is_known(fork: str) -> None:
    instructions = SPECS_BY_NAME[fork].instructions
    steps = Rules(instructions, SPECS_BY_NAME[fork].gas).steps
    assert [step.kind is Kind.FOREIGN for step in steps] == [row is None for row in instructions.table]


PIECES = st.one_of(
    st.sampled_from([*TWO, *OTHERS, Opcode.MLOAD, Opcode.MSTORE, Opcode.MSTORE8, Opcode.KECCAK256]).map(
        lambda opcode: bytes((opcode,))
    ),
    st.sampled_from(
        [Opcode.GAS, Opcode.PC, Opcode.MSIZE, Opcode.CALLER, Opcode.CALLDATASIZE, Opcode.POP, Opcode.JUMPDEST]
    ).map(lambda opcode: bytes((opcode,))),
    st.sampled_from([Opcode.SLOAD, Opcode.SSTORE, Opcode.LOG1, Opcode.CALLDATALOAD, Opcode.MCOPY, Opcode.STOP]).map(
        lambda opcode: bytes((opcode,))
    ),
    st.integers(0x80, 0x9F).map(lambda opcode: bytes((opcode,))),
    st.sampled_from([*WORDS, 3, 64, 96, 100]).map(push),
    st.tuples(st.integers(0, 120), st.sampled_from([Opcode.JUMP, Opcode.JUMPI])).map(
        lambda jump: program(push(jump[0], 1), jump[1])
    ),
    st.just(call_operation(Opcode.CALL, OTHER, gas=30_000)),
)


@settings(max_examples=150, deadline=None)
@given(
    pieces=st.lists(PIECES, max_size=60),
    gas=st.integers(0, 60_000),
    fork=st.sampled_from(["Frontier", "Istanbul", "Osaka"]),
    data=st.binary(max_size=70),
)
def test_any_program(pieces: list[bytes], gas: int, fork: str, data: bytes) -> None:
    code = program(*(push(number) for number in range(1, 18)), Opcode.JUMPDEST, *pieces)
    same(code, SPECS_BY_NAME[fork], gas=gas, data=data)


@settings(max_examples=60, deadline=None)
@given(body=st.lists(PIECES, max_size=12), rounds=st.integers(1, 30), gas=st.integers(500, 40_000))
def test_any_body_of_a_loop_with_a_function(body: list[bytes], rounds: int, gas: int) -> None:
    """A counter in memory, a function that is called from two places, and whatever comes between."""
    function = 4
    code = program(push(19, 1), Opcode.JUMP, Opcode.STOP, Opcode.JUMPDEST)  # 4: the function adds 1 to memory[0]
    code = program(code, push(0), Opcode.MLOAD, push(1), Opcode.ADD, push(0), Opcode.MSTORE, Opcode.JUMP)
    code = code.ljust(19, b"\x00") + bytes((Opcode.JUMPDEST,))
    for _ in range(2):
        code = program(code, push(len(code) + 5, 1), push(function, 1), Opcode.JUMP, Opcode.JUMPDEST)
    code = program(code, *(push(number) for number in range(8)), *body)
    code = program(code, push(rounds), push(0), Opcode.MLOAD, Opcode.LT, push(19, 1), Opcode.JUMPI, Opcode.STOP)
    same(code, gas=gas)


def test_what_sees_gas_sees_what_plain_shows() -> None:
    """SSTORE's guard and a child's share: nothing behind them is paid yet."""
    write = program(push(0), push(3), Opcode.SSTORE, *(program(push(0), Opcode.POP) for _ in range(40)))
    call = program(
        call_operation(Opcode.CALL, OTHER, gas=2**60), Opcode.POP, *(push(0) for _ in range(40)), Opcode.STOP
    )
    machine = TranspiledMachine(thrift=EAGER)
    for gas in [*range(2_200, 2_700), *range(4_400, 4_900)]:
        same(write, machine=machine, gas=gas)
    for gas in range(100, 31_000, 97):
        same(call, machine=machine, gas=gas)


def test_memory_that_one_branch_makes_is_not_there_in_the_other() -> None:
    taken = program(Opcode.JUMPDEST, operation(Opcode.MSTORE, 640, 1), Opcode.GAS, RETURN_TOP)
    fallen = program(operation(Opcode.MSTORE, 320, 1), push(600), Opcode.MLOAD, Opcode.MSIZE, Opcode.GAS)
    fallen = program(fallen, Opcode.ADD, Opcode.ADD, RETURN_TOP)
    code = program(push(0), Opcode.CALLDATALOAD, push(6 + len(fallen)), Opcode.JUMPI, fallen, taken)
    machine = TranspiledMachine(thrift=EAGER)
    for condition in (0, 1):
        assert isinstance(same(code, machine=machine, data=condition.to_bytes(32, "big")), Success)


def test_a_byte_of_a_large_word() -> None:
    known = operation(Opcode.MSTORE8, 5, 0x1234)
    told = program(push(0), Opcode.CALLDATALOAD, push(6), Opcode.MSTORE8)
    assert isinstance(same(program(known, told, push(0), Opcode.MLOAD, RETURN_TOP), data=b"\x99" * 32), Success)


def test_a_jump_to_a_copied_word() -> None:
    """What the stack holds is followed through copies and exchanges, so the way back of a function is known."""
    code = program(push(11, 1), push(10, 1), Opcode.DUP2, Opcode.SWAP1, Opcode.POP, Opcode.JUMP, Opcode.INVALID)
    code = program(code.ljust(11, b"\xfe"), Opcode.JUMPDEST, RETURN_TOP)
    machine = TranspiledMachine(thrift=EAGER)
    assert same(code, machine=machine).output == (11).to_bytes(32, "big")
    swapped = program(push(9, 1), push(3), push(4), Opcode.SWAP2, Opcode.JUMP).ljust(9, b"\xfe")
    assert isinstance(same(program(swapped, Opcode.JUMPDEST, RETURN_TOP), machine=machine), Success)
    assert all(list(each.regions) == [0] for each in programs_of(machine))


def test_stacks_that_are_too_small_or_too_high() -> None:
    for depth in (0, 1, 2, 1_010, 1_020, 1_022, 1_023, 1_024, 1_025):
        filled = bytes((Opcode.PUSH0,)) * depth
        code = program(filled, Opcode.JUMPDEST, Opcode.DUP2, Opcode.DUP1, Opcode.ADD, Opcode.POP, RETURN_TOP)
        same(code)
        same(program(filled, Opcode.JUMPDEST, Opcode.SWAP2, Opcode.JUMP))


@pytest.mark.parametrize("last", [bytes((Opcode.POP,)) * 9, bytes((Opcode.PUSH0,)) * 9])
def test_the_last_block_of_a_region_that_is_full_counts(last: bytes) -> None:
    """Nothing behind it belongs to the region, but the words that it takes or leaves do."""
    idle = bytes((Opcode.PUSH0, Opcode.POP)) * 60
    machine = TranspiledMachine(thrift=EAGER)
    for count in (8, 14):
        blocks = b"".join(program(Opcode.JUMPDEST, idle, last) for _ in range(count))
        for height in (20, 126, 130, *range(880, 980, 3)):
            same(program(bytes((Opcode.PUSH0,)) * height, blocks, RETURN_TOP), machine=machine)


def test_memory_that_nobody_can_pay() -> None:
    for offset in (2**32, 2**63, 2**256 - 1):
        for body in (
            operation(Opcode.MSTORE, offset, 1),
            operation(Opcode.MSTORE8, offset, 1),
            operation(Opcode.MLOAD, offset),
            operation(Opcode.KECCAK256, offset, 1),
            operation(Opcode.KECCAK256, 1, offset),
            program(push(offset), push(0), Opcode.CALLDATALOAD, Opcode.KECCAK256),
            program(push(0), Opcode.CALLDATALOAD, push(offset), Opcode.KECCAK256),
        ):
            assert same(body, data=offset.to_bytes(32, "big")) == Halt(HaltReason.OUT_OF_GAS)
        assert isinstance(same(operation(Opcode.KECCAK256, offset, 0)), Success)
        assert isinstance(same(program(push(0), push(0), Opcode.CALLDATALOAD, Opcode.KECCAK256)), Success)


def test_comparisons_of_comparisons_stay_short() -> None:
    """Text that holds its operand twice must not hold one that does so, too."""
    code = program(push(0), Opcode.CALLDATALOAD, *(bytes((Opcode.DUP1, op)) for op in [Opcode.EQ, Opcode.LT] * 150))
    assert isinstance(same(program(code, RETURN_TOP)), Success)


def test_a_child_sees_and_leaves_the_whole_stack() -> None:
    call = call_operation(Opcode.CALL, OTHER, gas=50_000, output=(0, 32))
    code = program(push(11), push(22), Opcode.JUMPDEST, call, Opcode.ADD, Opcode.ADD, RETURN_TOP)
    machine = TranspiledMachine(thrift=EAGER)
    assert same(code, machine=machine).output == (34).to_bytes(32, "big")
    assert len(max(programs_of(machine), key=lambda each: len(each.regions)).regions) == 2


def test_traced_frames_and_init_code_run_plain() -> None:
    machine = TranspiledMachine(thrift=EAGER)
    world = World(machine=machine)
    assert isinstance(world.create(program(push(0), push(0), Opcode.RETURN)), Success)
    assert programs_of(machine) == []


# --- other rules ---


def test_a_foreign_instruction_runs_as_it_is() -> None:
    """Rules are values, and somebody may hand in others: whatever is not known here is left to the plain loop."""

    def jumps_on(frame: Frame) -> None:
        frame.pc += 1

    row = osaka.SPEC.instructions[Opcode.ADD]
    assert row is not None
    other = osaka.SPEC.instructions.with_(
        replace(row, execute=lambda frame: frame.stack.append(7), pops=0),
        replace(row, opcode=0x0C, name="SKIP", execute=jumps_on, pops=0, pushes=0),
    )
    spec = osaka.SPEC.evolve(instructions=other)
    code = program(push(1), push(2), Opcode.ADD, 0x0C, Opcode.INVALID, LOOP[2:])
    machine = TranspiledMachine(thrift=EAGER)
    same(program(push(1), push(2), Opcode.ADD, RETURN_TOP), spec, machine)
    same(code, spec, machine, gas=3_000)
    same(program(push(1), push(2), Opcode.ADD, RETURN_TOP), osaka.SPEC, machine)


@pytest.mark.parametrize("opcode", [Opcode.PUSH1, Opcode.PUSH2, Opcode.DUP1, Opcode.ADD, Opcode.SLOAD])
def test_rows_that_only_look_known(opcode: Opcode) -> None:
    """Another function under the number of an instruction, another number for one, and other operands."""
    row = osaka.SPEC.instructions[opcode]
    assert row is not None

    def seven(frame: Frame) -> None:
        frame.stack.append(7)

    others = [
        replace(row, execute=seven, pops=0, pushes=1),
        replace(row, pops=row.pops + 1),
        replace(row, execute=stack.dup(3), pops=3, pushes=4),
        replace(row, execute=stack.push(9), pops=0, pushes=1),
    ]
    for other in others:
        spec = osaka.SPEC.evolve(instructions=osaka.SPEC.instructions.with_(other))
        assert Rules(spec.instructions, spec.gas).steps[opcode].kind is Kind.FOREIGN
        code = program(push(1, 3), push(2, 3), push(3, 3), opcode, Opcode.STOP, Opcode.STOP, Opcode.STOP)
        same(program(code, push(0, 3), Opcode.MSTORE), spec)


def test_prices_come_from_the_rules() -> None:
    row = osaka.SPEC.instructions[Opcode.JUMPDEST]
    assert row is not None
    dear = osaka.SPEC.instructions.with_(replace(row, base_gas=50))
    gas = replace(osaka.SPEC.gas, memory_word=9, keccak_word=60, exp_byte=11)
    code = program(
        operation(Opcode.KECCAK256, 5, 100), operation(Opcode.EXP, 3, 2**64), Opcode.GAS, LOOP[:1], RETURN_TOP
    )
    machine = TranspiledMachine(thrift=EAGER)
    for spec in (osaka.SPEC, osaka.SPEC.evolve(instructions=dear), osaka.SPEC.evolve(gas=gas), frontier.SPEC):
        same(code, spec, machine)
        same(LOOP, spec, machine)
    for _ in range(2 * RULES_MAX):
        same(LOOP, osaka.SPEC.evolve(gas=replace(osaka.SPEC.gas)), machine)
    assert len(machine._rules) <= RULES_MAX


def test_a_function_that_calls_itself_leaves_its_region() -> None:
    # f(n) = n ? f(n - 1) + 1 : 0, its return addresses on the stack
    head = program(push(10, 1), push(0), Opcode.CALLDATALOAD, push(23, 1), Opcode.JUMP)
    code = head.ljust(10, b"\x00") + program(Opcode.JUMPDEST, RETURN_TOP)
    code = code.ljust(23, b"\x00")
    code += program(Opcode.JUMPDEST, Opcode.DUP1, push(31, 1), Opcode.JUMPI, Opcode.SWAP1, Opcode.JUMP)
    code = code.ljust(31, b"\x00")
    code += program(Opcode.JUMPDEST, push(44, 1), Opcode.SWAP1, push(1), Opcode.SWAP1, Opcode.SUB, push(23, 1))
    code = program(code, Opcode.JUMP).ljust(44, b"\x00")
    code += program(Opcode.JUMPDEST, push(1), Opcode.ADD, Opcode.SWAP1, Opcode.JUMP)
    machine = TranspiledMachine(thrift=EAGER)
    for depth in (0, 1, 3, 40, 200, 600):
        outcome = same(code, machine=machine, data=depth.to_bytes(32, "big"))
        if depth < 600:
            assert outcome.output == depth.to_bytes(32, "big")
    assert programs_of(machine)[0].regions


def test_reverts_and_returns_keep_their_gas() -> None:
    assert isinstance(same(operation(Opcode.REVERT, 0, 64)), Revert)
    assert isinstance(same(operation(Opcode.RETURN, 0, 64)), Success)
    assert isinstance(same(operation(Opcode.RETURN, 0, 2**40)), Halt)
