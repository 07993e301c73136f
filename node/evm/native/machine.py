"""The native machine behind the door of ``call_stack.execute_message``: a message and all its children in one run.

Where it cannot run a message it answers None, and the plain machine runs it: no code or a precompile, gas beyond
``GAS_MAX``, rules without handlers, a full table, a host that could not answer. It never half runs one.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Final

from node.evm.frame import Frame
from node.evm.host import Host
from node.evm.interpreter import Interpreter, stack_fault
from node.evm.machine import FrameResult, MessageMachine, Tracer
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.native import object_file
from node.evm.native.arena import get
from node.evm.native.bridge import Bridge, address_of
from node.evm.native.codes import CodeCache
from node.evm.native.compiler.module import HANDLER_AT
from node.evm.native.compiler.types import layout
from node.evm.native.interpreter.catalogue import UnknownInstruction
from node.evm.native.llvm import LoadedObject
from node.evm.native.object_file import NativeUnavailable
from node.evm.native.rules import GAS_MAX, lay_out
from node.evm.native.runtime import records
from node.evm.native.runtime.records import Frame as FrameRecord
from node.evm.outcome import Halt, HaltReason, Outcome, Revert, Success
from node.evm.spec import Spec

MUCH_GAS: Final = 5_000_000
"""A message that used more may have touched much memory."""
_REASONS: Final = {
    records.OUT_OF_GAS: HaltReason.OUT_OF_GAS,
    records.INVALID_OPCODE: HaltReason.INVALID_OPCODE,
    records.STACK_UNDERFLOW: HaltReason.STACK_UNDERFLOW,
    records.STACK_OVERFLOW: HaltReason.STACK_OVERFLOW,
    records.INVALID_JUMP: HaltReason.INVALID_JUMP,
    records.STATIC_WRITE: HaltReason.STATIC_WRITE,
    records.RETURN_DATA_OUT_OF_BOUNDS: HaltReason.RETURN_DATA_OUT_OF_BOUNDS,
    records.CODE_SIZE_EXCEEDED: HaltReason.CODE_SIZE_EXCEEDED,
    records.INITCODE_SIZE_EXCEEDED: HaltReason.INITCODE_SIZE_EXCEEDED,
    records.INVALID_CODE_PREFIX: HaltReason.INVALID_CODE_PREFIX,
    records.UNPAID_DEPOSIT: HaltReason.OUT_OF_GAS,
    records.UNPAID_STIPEND: HaltReason.OUT_OF_GAS,
}
_FIELDS: Final = tuple(layout(FrameRecord))
_FRAME: Final = struct.Struct("<13q32s32s14q")
assert (_FIELDS[13], len(_FIELDS), _FIELDS[-1]) == ("caller", 29, "is_outermost"), "what _FRAME packs"
_STATUS: Final = _FIELDS.index("status")
_OUTPUT: Final = _FIELDS.index("output")
_OUTPUT_SIZE: Final = _FIELDS.index("output_size")
_REST: Final = (0,) * (len(_FIELDS) - _OUTPUT - 2)
"""From ``output_size`` to the field before the last."""


class NativeMachine(MessageMachine):
    """Runs whole messages in compiled code. Safe to share between threads: each run borrows an arena."""

    def __init__(self, loaded: LoadedObject, seed: int = 0) -> None:
        self._plain = Interpreter()
        self._loaded = loaded
        addresses = loaded.addresses
        run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)
        self._run = run(addresses["run_message"])
        self._handler_at = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(addresses[HANDLER_AT])
        find_jumps = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)(addresses["find_jumps"])
        self._codes = CodeCache(find_jumps)
        self._seed = seed or hash(b"evmesh") & (2**64 - 1)
        self._idle: list[Bridge] = [self._new_bridge()]
        self.given_up = 0
        """Messages that began here and ran on the plain machine after all."""

    def _new_bridge(self) -> Bridge:
        """Raises OSError where there is no room for an arena."""
        return Bridge(self._codes, self._seed)

    def run_frame(self, frame: Frame, tracer: Tracer | None = None) -> FrameResult:
        """What the native part does not run, runs here: traced frames, and the messages it hands back."""
        return self._plain.run_frame(frame, tracer)

    def run_message(
        self, message: Message, host: Host, block: BlockEnvironment, tx: TransactionEnvironment, spec: Spec
    ) -> Outcome | None:
        """Run ``message`` with all that it leads to; None where the plain machine must."""
        if not message.code or message.gas >= GAS_MAX or host.has_transient_storage:
            return None
        if message.is_create:
            if not host.can_create_at(message.target):
                return None
        elif not message.disable_precompiles and message.code_address in spec.precompiles:
            return None
        try:
            bridge = self._idle.pop() if self._idle else self._new_bridge()
        except OSError:  # another thread's arena finds no address space
            return None
        try:
            return self._run_on(bridge, message, host, block, tx, spec)
        except (UnknownInstruction, OverflowError):  # both before anything has begun
            return None
        finally:
            self._idle.append(bridge)

    def _run_on(
        self,
        bridge: Bridge,
        message: Message,
        host: Host,
        block: BlockEnvironment,
        tx: TransactionEnvironment,
        spec: Spec,
    ) -> Outcome | None:
        arena = bridge.arena
        lay_out(arena, spec, self._handler_at)
        bridge.begin(message.target, host, block, tx, spec)
        is_create = message.is_create
        code = self._codes.once(message.code) if is_create else self._codes.get(message.code)
        bridge.keep(code)
        memory = arena.memory.address
        _FRAME.pack_into(
            arena.frames.view,
            0,
            message.gas,
            code.address,
            0,
            0,
            arena.stacks.address,
            memory,
            0,
            code.address,
            code.size,
            code.jumps_address,
            address_of(message.data),
            len(message.data),
            0,
            message.caller[::-1].ljust(32, b"\0"),
            message.value.to_bytes(32, "little"),
            message.is_static,
            message.depth,
            records.CREATE if is_create else records.CALL,
            records.RUNNING,
            memory,
            *_REST,
            1,
        )
        self._run(arena.run.address, arena.frames.address, message.transfers_value)
        if bridge.interrupt is not None:
            raise bridge.interrupt
        counters = arena.counters()
        frame = _FRAME.unpack_from(arena.frames.view)
        status = frame[_STATUS]
        if counters.given_up or status in (records.RUNNING, records.GIVEN_UP):
            self.given_up += 1
            arena.shrink()
            return None
        gas = frame[0]
        if status in (records.SUCCEEDED, records.REVERTED):
            size = frame[_OUTPUT_SIZE]
            output = ctypes.string_at(frame[_OUTPUT], size) if size else b""
            if status == records.SUCCEEDED:
                bridge.write_back(counters)
                outcome: Outcome = Success(gas, output)
            else:
                bridge.write_back_failure()
                outcome = Revert(gas, output)
        else:
            bridge.write_back_failure()
            outcome = Halt(_REASONS[status], self._detail(bridge, status, code.address, message, spec))
        if message.gas - gas > MUCH_GAS:
            arena.shrink()
        else:
            arena.end(counters)
        return outcome

    def _detail(self, bridge: Bridge, status: int, code: int, message: Message, spec: Spec) -> str:
        """The words that the plain machine has for a halt of the outermost frame."""
        frames = bridge.arena.frames
        if status == records.UNPAID_DEPOSIT:
            return "code deposit"
        if status == records.UNPAID_STIPEND:
            return "SSTORE on no more than a call stipend"
        if status == records.CODE_SIZE_EXCEEDED:
            return f"{get(frames, FrameRecord, 'wanted_size')} bytes of {spec.code_size_max}"
        position = get(frames, FrameRecord, "pc") - code
        opcode = message.code[position] if position < len(message.code) else 0
        if status == records.INVALID_OPCODE:
            return f"opcode {opcode:#04x}"
        top = get(frames, FrameRecord, "sp") - bridge.arena.stacks.address
        if status in (records.STACK_UNDERFLOW, records.STACK_OVERFLOW):
            return stack_fault(top // 32, spec.instructions.dispatch[opcode][2]).detail
        if status == records.INITCODE_SIZE_EXCEEDED:
            size = int.from_bytes(bridge.arena.stacks.view[top - 96 : top - 64], "little")
            return f"{size} bytes of {spec.initcode_size_max}"
        return ""


def load_machine(say: Callable[[str], None] = lambda line: None) -> NativeMachine:
    """The native machine of this process, compiled or taken from its cache; ``say`` hears when it must be compiled.

    Raises ``NativeUnavailable`` where it cannot be.
    """
    loaded = object_file.load(say)
    try:
        return NativeMachine(loaded)
    except OSError as error:
        raise NativeUnavailable(f"no room for the tables: {error}") from None


__all__ = ("NativeMachine", "NativeUnavailable", "load_machine")
