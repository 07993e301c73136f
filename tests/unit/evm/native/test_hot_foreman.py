"""Hot code on a running machine: asked for, never waited for, entered, refused for good when it kills the worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from node.evm.native import choice
from node.evm.native.codes import CodeCache
from node.evm.native.hot import foreman as foreman_file
from node.evm.native.hot import workers
from node.evm.native.hot.compiling import InPlace, compile_unit
from node.evm.native.hot.foreman import Foreman
from node.evm.native.hot.rulebook import rulebook_of
from node.evm.native.hot.units import CompiledUnit, Request, read_answer, read_request, write_answer, write_request
from node.evm.native.machine import NativeMachine, load_machine
from node.evm.native.runtime.records import COUNTED, HITS_MAX, HOT_HITS, LANDING
from node.evm.opcodes import Opcode
from node.evm.outcome import Success
from node.forks import cancun, osaka
from node.runtime.side_process import Limits, SideProcess, is_supported
from tests.unit.evm.native.hot import FRAME, loop
from tests.unit.evm.program import RETURN_TOP, TARGET, World, program, push

MUCH = 30_000_000
ROUNDS = 3_000
SUM = loop(
    ROUNDS,
    program(Opcode.DUP1, push(0), Opcode.MLOAD, Opcode.ADD, push(0), Opcode.MSTORE),
    after=program(push(0), Opcode.MLOAD, RETURN_TOP),
)
HEAD = SUM.index(Opcode.JUMPDEST)


@pytest.fixture
def machine(native_machine: NativeMachine) -> NativeMachine:
    """One of this test's own."""
    return load_machine()


@pytest.fixture
def worker() -> Iterator[SideProcess]:
    """The process that nodes have, too."""
    if not is_supported():
        pytest.skip("processes of POSIX")
    made = workers.process()
    assert made is not None
    yield made
    made.close()


def run(machine: NativeMachine, code: bytes, gas: int = MUCH, spec=osaka.SPEC) -> tuple[int, bytes]:
    """(gas left, output) of one message."""
    outcome = World(spec, machine=machine).run(code, gas=gas)
    assert isinstance(outcome, Success), outcome
    return outcome.gas_left, outcome.output


def run_until_compiled(machine: NativeMachine, foreman: Foreman, code: bytes) -> None:
    """Run again and again: each time the same comes out."""
    before = foreman.installed
    expected = run(machine, code)
    while foreman.installed == before:
        assert run(machine, code) == expected
        time.sleep(0.01)
    assert run(machine, code) == expected


def test_hot_code_is_compiled_beside_and_entered(machine: NativeMachine, worker: SideProcess) -> None:
    foreman = machine.compile_hot_code(worker)
    run_until_compiled(machine, foreman, SUM)
    heat = foreman.codes_of(osaka.SPEC).get(SUM).heat
    assert heat is not None
    before = heat.hits()[HEAD]
    expected = sum(range(ROUNDS + 1))
    assert int.from_bytes(run(machine, SUM)[1], "big") == expected
    assert heat.hits()[HEAD] == before, "nobody counts any more: the unit runs"


def test_little_is_not_worth_it(machine: NativeMachine, worker: SideProcess) -> None:
    foreman = machine.compile_hot_code(worker)
    run(machine, loop(HOT_HITS - 24, b""))
    assert not foreman.is_busy
    assert worker.pid is None


def test_hits_are_counted_up_to_a_bound(machine: NativeMachine) -> None:
    foreman = machine.compile_hot_code(Refusing())
    code = loop(60_000, b"")
    run(machine, code)
    heat = foreman.codes_of(osaka.SPEC).get(code).heat
    assert heat is not None
    assert heat.hits() == {code.index(Opcode.JUMPDEST): HITS_MAX}
    assert heat.hot() == 1


class Refusing:
    """A worker that cannot be started."""

    def ask(self, request: bytes) -> bool:
        """No."""
        return False

    def answer(self) -> bytes | None:
        """Nothing."""
        return None


def test_a_machine_whose_worker_cannot_start_goes_on(machine: NativeMachine) -> None:
    foreman = machine.compile_hot_code(Refusing())
    for _ in range(3):
        assert int.from_bytes(run(machine, SUM)[1], "big") == sum(range(ROUNDS + 1))
    assert (foreman.installed, foreman.is_busy) == (0, False)


def test_a_code_that_kills_the_worker_is_never_sent_again(machine: NativeMachine) -> None:
    killed = SideProcess("tests.side_worker", Limits(cpu_seconds=1))
    try:
        foreman = machine.compile_hot_code(killed)
        expected = run(machine, SUM)
        while not foreman.is_busy:
            assert run(machine, SUM) == expected
        pid = killed.pid
        assert pid is not None
        killed._process.kill()  # type: ignore[union-attr]
        while foreman.is_busy:
            assert run(machine, SUM) == expected
            time.sleep(0.01)
        for _ in range(3):
            assert run(machine, SUM) == expected
        assert (foreman.installed, killed.starts, killed.pid) == (0, 1, None)
    finally:
        killed.close()


def test_a_bomb_costs_the_worker_and_nothing_else(machine: NativeMachine) -> None:
    """With hardly any memory or time to spend, every unit is a bomb."""
    if not is_supported():
        pytest.skip("processes of POSIX")
    poor = SideProcess(workers.MODULE, Limits(cpu_seconds=10, memory_bytes=2**26))
    foreman = machine.compile_hot_code(poor)
    expected = run(machine, SUM)
    while foreman.is_busy or not foreman._never:
        assert run(machine, SUM) == expected
        time.sleep(0.01)
    other = loop(ROUNDS, program(Opcode.DUP1, Opcode.POP))
    run(machine, other)
    assert foreman.installed == 0
    poor.close()


def test_threads_run_a_code_while_its_unit_is_entered(machine: NativeMachine) -> None:
    """Long runs let other threads in: they run on the same jump map, whose marks change under them."""
    codes = [
        loop(ROUNDS, program(push(number), Opcode.DUP1 + 1, Opcode.ADD, push(0), Opcode.MSTORE)) for number in range(9)
    ]
    cold = load_machine()
    expected = [run(cold, code) for code in codes]
    foreman = machine.compile_hot_code(InPlace(level=0))
    with ThreadPoolExecutor(3) as pool:
        for _ in range(4):
            assert list(pool.map(lambda code: run(machine, code), codes * 2)) == expected * 2
    assert foreman.installed == len(codes)


def test_another_forks_prices_are_another_unit(machine: NativeMachine) -> None:
    foreman = machine.compile_hot_code(InPlace(level=0))
    for spec in (osaka.SPEC, cancun.SPEC, osaka.SPEC):
        run(machine, SUM, spec=spec)
    assert foreman.installed == 2
    assert foreman.codes_of(osaka.SPEC) is not foreman.codes_of(cancun.SPEC)


def test_a_code_that_comes_back_finds_its_unit(machine: NativeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    foreman = machine.compile_hot_code(InPlace(level=0))
    run(machine, SUM)
    cache: CodeCache = foreman.codes_of(osaka.SPEC)
    cache._young.clear()
    cache._old.clear()
    run(machine, SUM)
    assert foreman.installed == 2, "entered twice"
    assert len(foreman._units) == 1, "compiled once"
    monkeypatch.setattr(foreman_file, "UNITS_BYTES_MAX", 1)
    run(machine, loop(ROUNDS, program(Opcode.DUP1, Opcode.POP)))
    assert not foreman._units, "too many bytes: the oldest go"


def test_units_weigh_in_the_cache_of_codes(machine: NativeMachine) -> None:
    foreman = machine.compile_hot_code(InPlace(level=0))
    run(machine, SUM)
    cache = foreman.codes_of(osaka.SPEC)
    unit = next(iter(foreman._units.values()))[0]
    assert cache._young_bytes > len(unit.content) + 7 * len(SUM)


def test_marks_of_codes_that_are_not_counted() -> None:
    machine = load_machine()
    plain, counted = (CodeCache(machine._find_jumps, made=made).get(SUM) for made in (None, lambda code, cache: None))
    assert plain.heat is None
    assert plain._jumps.raw[8 + HEAD] == LANDING
    assert counted._jumps.raw[8 + HEAD] == COUNTED


def test_requests_and_answers_travel_as_they_are() -> None:
    rules = rulebook_of(osaka.SPEC)
    for hits in (None, {3: 9, 1: 2}):
        request = Request(b"\x01\x02", rules, hits)
        assert read_request(write_request(request)) == request
    unit = CompiledUnit(b"\x7fELF\0", (1, 300))
    assert read_answer(write_answer(unit)) == unit
    assert read_answer(b"") is None


def test_a_code_without_landing_places_has_no_unit(native_machine: NativeMachine) -> None:
    assert compile_unit(program(push(1), Opcode.POP), rulebook_of(osaka.SPEC)) == CompiledUnit(b"", ())


def test_the_switch(monkeypatch: pytest.MonkeyPatch, native_machine: NativeMachine) -> None:
    monkeypatch.delenv(choice.HOT_VARIABLE, raising=False)
    assert choice.hot_from_environment() is choice.Hot.NOTHING
    assert not choice.compile_hot_code(native_machine, choice.Hot.NOTHING)
    assert not choice.compile_hot_code(choice.machine(choice.Evm.PLAIN, print), choice.Hot.LOOPS)
    monkeypatch.setenv(choice.HOT_VARIABLE, "1")
    assert choice.hot_from_environment() is choice.Hot.LOOPS
    monkeypatch.setenv(choice.HOT_VARIABLE, "yes")
    with pytest.raises(choice.NoSuchMachine, match="EVMESH_HOT: 'yes' is none of 0, 1, all"):
        choice.hot_from_environment()


def test_a_frame_without_memory_runs_too(machine: NativeMachine, worker: SideProcess) -> None:
    foreman = machine.compile_hot_code(worker)
    code = loop(ROUNDS, b"", begin=b"")
    run_until_compiled(machine, foreman, code)
    assert FRAME not in code
    assert TARGET
