"""The native machine beside the plain one: gas, output, words of halts, logs, refunds, state; what it hands back."""

from __future__ import annotations

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from node.evm.interpreter import Interpreter
from node.evm.machine import VirtualMachine
from node.evm.native import object_file
from node.evm.native.arena import GUARDS_VARIABLE, put
from node.evm.native.interpreter.catalogue import UnknownInstruction, numbers_of
from node.evm.native.machine import NativeMachine
from node.evm.native.rules import GAS_MAX, rule_values
from node.evm.native.runtime.records import Run
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, Outcome, Revert, Success
from node.evm.spec import Spec
from node.forks import cancun, frontier, osaka
from node.forks.schedule import SPECS_BY_NAME
from tests.unit.evm.program import (
    COINBASE,
    GAS,
    OTHER,
    RETURN_TOP,
    SENDER,
    TARGET,
    World,
    call_operation,
    operation,
    program,
    push,
    returning,
    store_code,
)

THIRD = type(OTHER)(b"\xdd" * 20)


@dataclass
class Seen:
    """Everything that a message can change."""

    outcome: Outcome
    accounts: dict
    logs: tuple
    refund: int
    warm: list
    transient: list


def seen(world: World, outcome: Outcome) -> Seen:
    """What is there after a run."""
    state = world.state
    return Seen(
        outcome,
        {
            address: (found.nonce, found.balance, found.code_hash, found.slots) if found else None
            for address, found in state.diff().accounts.items()
        },
        state.logs,
        state.refund,
        [state.is_warm_address(address) for address in (SENDER, TARGET, OTHER, THIRD, COINBASE)]
        + [state.is_warm_slot(address, slot) for address in (TARGET, OTHER) for slot in range(4)],
        [state.transient_storage(address, slot) for address in (TARGET, OTHER) for slot in range(4)],
    )


def run_on(
    machine: VirtualMachine, code: bytes, spec: Spec = osaka.SPEC, others: dict | None = None, **message
) -> Seen:
    """One message on a fresh world."""
    world = World(spec, machine=machine)
    for address, held in (others or {}).items():
        world.deploy(address, held, balance=7)
    world.begin()
    return seen(world, world.run(code, **message))


def same(native: NativeMachine, code: bytes, spec: Spec = osaka.SPEC, others: dict | None = None, **message) -> Seen:
    """Both machines see the same, and the native one really ran it."""
    before = native.given_up
    plain = run_on(Interpreter(), code, spec, others, **message)
    assert run_on(native, code, spec, others, **message) == plain
    assert native.given_up == before
    return plain


@pytest.mark.parametrize("name", SPECS_BY_NAME)
def test_every_fork_has_handlers_and_rules(name: str) -> None:
    spec = SPECS_BY_NAME[name]
    rows = numbers_of(spec.instructions)
    assert [number == 0 for number, _ in rows] == [row is None for row in spec.instructions.table]
    assert rule_values(spec)


def test_an_unknown_instruction_is_refused(native_machine: NativeMachine) -> None:
    from dataclasses import replace

    row = osaka.SPEC.instructions[Opcode.ADD]
    assert row is not None
    other = osaka.SPEC.evolve(instructions=osaka.SPEC.instructions.with_(replace(row, execute=lambda frame: None)))
    with pytest.raises(UnknownInstruction, match="ADD"):
        numbers_of(other.instructions)
    cheap = osaka.SPEC.evolve(gas=replace(osaka.SPEC.gas, memory_quadratic_divisor=2**20))
    with pytest.raises(UnknownInstruction, match="memory"):
        rule_values(cheap)
    same(native_machine, program(push(1), push(2), Opcode.ADD, RETURN_TOP), cheap)


NESTED = program(
    operation(Opcode.SSTORE, 0, 5),
    operation(Opcode.TSTORE, 0, 5),
    call_operation(Opcode.CALL, OTHER, gas=200_000, value=3),
    push(1),
    Opcode.SSTORE,
    call_operation(Opcode.DELEGATECALL, THIRD, gas=200_000),
    push(2),
    Opcode.SSTORE,
    operation(Opcode.SLOAD, 0),
    operation(Opcode.TLOAD, 0),
    Opcode.ADD,
    RETURN_TOP,
)
"""Writes, calls a stranger with wei, lends itself to another, and looks at what is left."""
FAILING = program(
    operation(Opcode.SSTORE, 0, 9),
    operation(Opcode.SSTORE, 3, 9),
    operation(Opcode.TSTORE, 0, 9),
    operation(Opcode.LOG1, 0, 32, 77),
    push(0),
    push(0),
    Opcode.REVERT,
)
WRITING = program(operation(Opcode.SSTORE, 0, 0), operation(Opcode.SSTORE, 1, 8), operation(Opcode.TSTORE, 0, 8))


@pytest.mark.parametrize("first", [FAILING, WRITING, program(0xFE), b""], ids=["reverts", "writes", "halts", "no code"])
@pytest.mark.parametrize("second", [FAILING, WRITING, program(0xFE)], ids=["reverts", "writes", "halts"])
@pytest.mark.parametrize("ending", [b"", program(0xFE)], ids=["stays", "all undone"])
def test_nested_writes_roll_back(native_machine: NativeMachine, first: bytes, second: bytes, ending: bytes) -> None:
    found = same(native_machine, ending + NESTED, others={OTHER: first, THIRD: second})
    if first == FAILING and second == FAILING and not ending:
        assert isinstance(found.outcome, Success)
        assert int.from_bytes(found.outcome.output, "big") == 10  # both 5s, untouched by the undone 9s
        assert found.logs == ()


@pytest.mark.parametrize("name", ["Byzantium", "Istanbul", "Berlin", "Osaka"])
@pytest.mark.parametrize("ending", [b"", operation(Opcode.REVERT, 0, 0), program(0xFE)])
def test_refunds_roll_back(native_machine: NativeMachine, name: str, ending: bytes) -> None:
    """A child clears what its parent wrote; the refund is the child's, and goes with it."""
    clearing = program(operation(Opcode.SSTORE, 0, 0), ending or operation(Opcode.SELFDESTRUCT, 1))
    writing = program(operation(Opcode.SSTORE, 0, 5), call_operation(Opcode.DELEGATECALL, OTHER, gas=100_000))
    found = same(native_machine, writing, SPECS_BY_NAME[name], {OTHER: clearing})
    assert (found.refund > 0) == (not ending)


def test_gas_swept_across_nested_calls(native_machine: NativeMachine) -> None:
    """Every gas limit ends both machines at the same place, with the same words."""
    others = {OTHER: program(operation(Opcode.LOG2, 0, 64, 1, 2), WRITING), THIRD: FAILING}
    reasons = set()
    for gas in range(0, 140_000, 97):
        found = same(native_machine, NESTED, others=others, gas=gas)
        reasons.add(found.outcome.detail if isinstance(found.outcome, Halt) else "success")
    assert {"", "success", "SSTORE on no more than a call stipend"} <= reasons


CREATOR = program(
    store_code(returning(WRITING)),
    push(len(returning(WRITING))),
    push(0),
    push(1),
    Opcode.CREATE,
    push(0),
    Opcode.SSTORE,
    push(7),
    push(len(returning(WRITING))),
    push(0),
    push(0),
    Opcode.CREATE2,
    Opcode.DUP1,
    push(1),
    Opcode.SSTORE,
    *(push(0),) * 5,
    Opcode.DUP6,
    Opcode.GAS,
    Opcode.CALL,
    Opcode.RETURNDATASIZE,
    Opcode.ADD,
    push(2),
    Opcode.SSTORE,
)


@pytest.mark.parametrize("name", ["Frontier", "Homestead", "Spurious Dragon", "Berlin", "Shanghai", "Osaka"])
def test_creations_with_every_gas_limit(native_machine: NativeMachine, name: str) -> None:
    world = World(machine=native_machine)
    world.deploy(TARGET, CREATOR, balance=5)
    for gas in range(0, 400_000, 2_003):
        same(native_machine, CREATOR, SPECS_BY_NAME[name], gas=gas, value=2)


@pytest.mark.parametrize("name", SPECS_BY_NAME)
@pytest.mark.parametrize("beneficiary", [THIRD, TARGET, OTHER], ids=["nobody", "itself", "somebody"])
def test_self_destruction(native_machine: NativeMachine, name: str, beneficiary: bytes) -> None:
    dying = operation(Opcode.SELFDESTRUCT, int.from_bytes(beneficiary, "big"))
    calls = program(call_operation(Opcode.CALL, OTHER, value=2), call_operation(Opcode.CALL, OTHER), RETURN_TOP)
    same(native_machine, calls, SPECS_BY_NAME[name], {OTHER: dying}, value=4)
    same(native_machine, dying, SPECS_BY_NAME[name], {OTHER: b"\0"}, value=4)


def test_depth_1024_costs_no_native_stack(native_machine: NativeMachine) -> None:
    again = program(
        push(1),
        Opcode.SLOAD,
        push(1),
        Opcode.ADD,
        push(1),
        Opcode.SSTORE,
        *(push(0),) * 5,
        Opcode.ADDRESS,
        Opcode.GAS,
        Opcode.CALL,
        push(0),
        Opcode.MSTORE,
        push(32),
        push(0),
        Opcode.RETURN,
    )
    found = same(native_machine, again, gas=10**13)
    assert found.accounts[TARGET][3][1] == 1025
    assert found.outcome.gas_left > 0


@pytest.mark.parametrize("opcode", range(256))
def test_every_opcode_on_every_stack_of_edges(native_machine: NativeMachine, opcode: int) -> None:
    """With too few words, with enough, on a full stack; under the oldest rules and the newest."""
    chance = random.Random(opcode)
    edges = (0, 1, 31, 32, 33, 255, 256, 2**64 - 1, 2**255, 2**256 - 1, int.from_bytes(OTHER, "big"))
    for spec in (frontier.SPEC, cancun.SPEC, osaka.SPEC):
        for size in (0, 1, 2, 7, 17, 1023, 1024):
            words = [chance.choice(edges) for _ in range(min(size, 17))]
            filler = program(push(1), push(4)) + bytes((Opcode.JUMPDEST,)) if size > 17 else b""
            code = filler + program(push(3)) * (size - len(words) - (2 if filler else 0))
            code += program(*(push(word) for word in words), opcode, Opcode.MSIZE, Opcode.GAS, RETURN_TOP)
            same(native_machine, code, spec, {OTHER: WRITING}, gas=400_000, data=b"\x01" * 40)


def test_static_frames_refuse_writes(native_machine: NativeMachine) -> None:
    for write in (WRITING, FAILING, operation(Opcode.CREATE, 0, 0, 0), call_operation(Opcode.CALL, THIRD, value=1)):
        found = same(native_machine, write, static=True)
        assert isinstance(found.outcome, Halt)
        same(
            native_machine,
            program(call_operation(Opcode.STATICCALL, OTHER, gas=50_000), RETURN_TOP),
            others={OTHER: write},
        )


def test_too_much_gas_and_full_tables_go_to_the_plain_machine(native_machine: NativeMachine) -> None:
    code = program(operation(Opcode.SSTORE, 0, 5), operation(Opcode.SSTORE, 1, 5))
    same(native_machine, code, gas=GAS_MAX)
    bridge = native_machine._idle[-1]
    for name, capacity in (("slots_capacity", 1), ("accounts_capacity", 1), ("journal_capacity", 256)):
        kept = {"slots_capacity": 2**18, "accounts_capacity": 2**15, "journal_capacity": bridge.arena.journal.size}[
            name
        ]
        put(bridge.arena.run, Run, name, capacity)
        before = native_machine.given_up
        try:
            assert run_on(native_machine, code) == run_on(Interpreter(), code), name
        finally:
            put(bridge.arena.run, Run, name, kept)
        assert native_machine.given_up == before + 1, name


def test_a_host_that_fails_is_met_again_on_the_plain_machine(native_machine: NativeMachine) -> None:
    code = operation(Opcode.BLOCKHASH, 999)
    world = World(machine=native_machine).with_block(block_hash=lambda number: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        world.run(code)
    interrupted = World(machine=native_machine)

    def stop(number: int) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted.with_block(block_hash=stop).run(code)
    assert isinstance(World(machine=native_machine).run(code), Success)


@pytest.mark.parametrize("gas", [2**44 - 1, 2**45, 2**50, GAS_MAX - 1])
def test_memory_that_no_usual_gas_pays_for(native_machine: NativeMachine, gas: int) -> None:
    """Below 2**44 gas the answer is known; above, a size of more than 2**32 is the plain machine's to answer."""
    same(native_machine, program(operation(Opcode.MSTORE, 2**20, 1), Opcode.GAS, RETURN_TOP), gas=gas)
    far = 2**64  # more than any gas pays for, so the plain machine refuses at once, too
    for code in (operation(Opcode.MLOAD, far), operation(Opcode.KECCAK256, 0, far), operation(Opcode.LOG0, far, 1)):
        before = native_machine.given_up
        assert run_on(native_machine, code, gas=gas) == run_on(Interpreter(), code, gas=gas)
        assert native_machine.given_up - before == (gas >= 2**45)


def test_threads_have_arenas_of_their_own(native_machine: NativeMachine) -> None:
    """Compiled code runs without Python's lock, so messages really run at the same time."""
    codes = [
        program(push(0), bytes((Opcode.JUMPDEST,)), push(step), Opcode.ADD, push(2, 1), Opcode.JUMP)
        for step in range(1, 5)
    ]
    codes += [NESTED, CREATOR]
    alone = [run_on(native_machine, code, others={OTHER: WRITING, THIRD: FAILING}) for code in codes]
    with ThreadPoolExecutor(4) as pool:
        again = pool.map(lambda code: run_on(native_machine, code, others={OTHER: WRITING, THIRD: FAILING}), codes * 10)
        assert list(again) == alone * 10


def test_output_of_reverts_and_of_memory_never_written(native_machine: NativeMachine) -> None:
    found = same(native_machine, operation(Opcode.REVERT, 100, 2_000), gas=GAS)
    assert found.outcome == Revert(found.outcome.gas_left, bytes(2_000))
    same(native_machine, program(operation(Opcode.MSTORE, 5_000, 2**256 - 1), operation(Opcode.RETURN, 0, 6_000)))
    same(native_machine, operation(Opcode.RETURN, 0, 6_000))  # what the message before wrote there is gone


@pytest.mark.skipif(sys.platform == "win32", reason="pages of POSIX")
def test_beyond_an_area_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """With guards, one byte before or behind an area ends the process; inside all is as ever."""
    monkeypatch.setenv(GUARDS_VARIABLE, "1")
    text = (
        "import ctypes, sys; from node.evm.native.arena import Area; area = Area({size}, {alignment});"
        "ctypes.memset(area.address, 1, area.size); assert area.address % {alignment} == 0;"
        "ctypes.memset(area.address + {at}, 1, 1)"
    )
    for size, alignment, at, code in (
        (4096, 1, 4095, 0),
        (4096, 1, 4096, -11),
        (4096, 1, -1, -11),
        (200_000, 65_536, 262_144, -11),
        (104, 1, 104, -11),
    ):
        given = text.format(size=size, alignment=alignment, at=at)
        done = subprocess.run([sys.executable, "-c", given], capture_output=True, check=False)
        assert done.returncode == code, (size, alignment, at, done.stderr[-300:])
    guarded = NativeMachine(object_file.load())
    assert run_on(guarded, NESTED, others={OTHER: WRITING}) == run_on(Interpreter(), NESTED, others={OTHER: WRITING})


def test_logs_of_many_shapes_in_rows_and_mixed(native_machine: NativeMachine) -> None:
    chance = random.Random(4)
    shapes = [(0, 0), (1, 32), (3, 32), (3, 31), (3, 40), (4, 0)]
    rows = [shape for shape in shapes for _ in range(9)] + [chance.choice(shapes) for _ in range(60)] + [shapes[2]] * 20
    code = b"".join(
        operation(Opcode.LOG0 + topics, index % 7, size, *range(index, index + topics))
        for index, (topics, size) in enumerate(rows)
    )
    found = same(native_machine, program(operation(Opcode.MSTORE, 0, 2**255 + 77), code))
    assert [(len(log.topics), len(log.data)) for log in found.logs] == rows
