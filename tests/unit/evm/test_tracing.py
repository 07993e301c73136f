"""What a tracer sees, and that it changes nothing."""

from __future__ import annotations

from node.evm.frame import Frame
from node.evm.message import CallKind, Message
from node.evm.opcodes import Opcode, name_of
from node.evm.outcome import Halt, HaltReason, Outcome, Revert, Success
from node.primitives.scalars import Address
from tests.unit.evm.program import GAS, OTHER, TARGET, World, call_operation, operation, program, push, returning

IDENTITY = Address((4).to_bytes(20, "big"))


class Recorder:
    """Writes down every event."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int, str, int, list[int]]] = []
        self.events: list[object] = []

    def enter(self, message: Message) -> None:
        self.events.append(("enter", message.kind, message.depth, message.target))

    def step(self, frame: Frame, opcode: int) -> None:
        assert frame.code.padded[frame.pc] == opcode
        self.steps.append((frame.message.depth, frame.pc, name_of(opcode), frame.gas, list(frame.stack)))

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        self.events.append(("fault", name_of(opcode), halt.reason))

    def exit(self, message: Message, outcome: Outcome) -> None:
        self.events.append(("exit", message.depth, type(outcome)))


def test_steps(world: World) -> None:
    tracer = Recorder()
    world.run(program(push(2), push(300), Opcode.ADD), tracer=tracer)
    assert tracer.steps == [
        (0, 0, "PUSH1", GAS, []),
        (0, 2, "PUSH2", GAS - 3, [2]),
        (0, 5, "ADD", GAS - 6, [2, 300]),
        (0, 6, "STOP", GAS - 9, [302]),
    ]
    assert tracer.events == [("enter", CallKind.CALL, 0, TARGET), ("exit", 0, Success)]


def test_children(world: World) -> None:
    tracer = Recorder()
    world.deploy(OTHER, program(push(0), push(0), Opcode.REVERT))
    calls = program(
        call_operation(Opcode.STATICCALL, OTHER),
        call_operation(Opcode.CALL, IDENTITY),
        call_operation(Opcode.CALL, OTHER, value=1),
        operation(Opcode.CREATE, 0, 0, 0),
    )
    world.run(calls, tracer=tracer)
    created = tracer.events[7]
    assert isinstance(created, tuple)
    assert tracer.events == [
        ("enter", CallKind.CALL, 0, TARGET),
        ("enter", CallKind.STATICCALL, 1, OTHER),
        ("exit", 1, Revert),
        ("enter", CallKind.CALL, 1, IDENTITY),
        ("exit", 1, Success),
        ("enter", CallKind.CALL, 1, OTHER),
        ("exit", 1, Halt),
        ("enter", CallKind.CREATE, 1, created[3]),
        ("exit", 1, Success),
        ("exit", 0, Success),
    ]
    assert [step[2] for step in tracer.steps if step[0] == 1] == ["PUSH1", "PUSH1", "REVERT"]


def test_gas_at_enter_is_after_payment(world: World) -> None:
    """The price of a call is the gas before it less the gas when its child begins: the forwarded gas included."""
    tracer = Recorder()
    world.deploy(OTHER, program(Opcode.STOP))
    frames: list[Frame] = []
    at_enter: list[int] = []

    class Watch(Recorder):
        def step(self, frame: Frame, opcode: int) -> None:
            super().step(frame, opcode)
            frames.append(frame)

        def enter(self, message: Message) -> None:
            if frames:
                at_enter.append(frames[-1].gas)

    tracer = Watch()
    world.run(call_operation(Opcode.CALL, OTHER, gas=5000), tracer=tracer)
    before = next(step[3] for step in tracer.steps if step[2] == "CALL")
    assert before - at_enter[0] == 2600 + 5000


def test_faults(world: World) -> None:
    for code, name, reason in (
        (program(Opcode.ADD), "ADD", HaltReason.STACK_UNDERFLOW),
        (program(0x0C), "opcode 0x0c not defined", HaltReason.INVALID_OPCODE),
        (program(push(0), Opcode.JUMP), "JUMP", HaltReason.INVALID_JUMP),
        (operation(Opcode.MLOAD, 2**64), "MLOAD", HaltReason.OUT_OF_GAS),
    ):
        tracer = Recorder()
        world.run(code, tracer=tracer)
        assert tracer.events[1:] == [("fault", name, reason), ("exit", 0, Halt)]


def test_tracing_changes_nothing() -> None:
    code = program(
        operation(Opcode.SSTORE, 1, 2),
        call_operation(Opcode.CALL, OTHER, data=(0, 32), output=(32, 32)),
        operation(Opcode.CREATE, 0, 0, 0),
        push(64),
        push(0),
        Opcode.RETURN,
    )
    plain, traced = World(), World()
    for world in (plain, traced):
        world.deploy(OTHER, returning(b"\x01" * 32))
    assert plain.run(code) == traced.run(code, tracer=Recorder())
    assert plain.state.diff() == traced.state.diff()
