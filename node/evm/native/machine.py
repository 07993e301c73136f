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
from node.evm.interpreter import Interpreter
from node.evm.machine import BlockTables, FrameResult, MessageMachine, Tracer
from node.evm.message import BlockEnvironment, Message, TransactionEnvironment
from node.evm.native import object_file
from node.evm.native.arena import get, put
from node.evm.native.block_tables import MUCH_GAS, SHORT_GAS, NativeTables
from node.evm.native.bridge import Bridge, address_of
from node.evm.native.codes import CodeCache
from node.evm.native.compiler.module import HANDLER_AT
from node.evm.native.compiler.types import layout
from node.evm.native.endings import outcome_of
from node.evm.native.hot import library
from node.evm.native.hot.emitter import NAME
from node.evm.native.hot.foreman import Foreman, Worker
from node.evm.native.interpreter.catalogue import UnknownInstruction
from node.evm.native.object_file import LoadedObject, NativeUnavailable
from node.evm.native.rules import GAS_MAX, lay_out
from node.evm.native.runtime import records
from node.evm.native.runtime.records import Frame as FrameRecord
from node.evm.native.runtime.records import Run
from node.evm.outcome import Outcome, Success
from node.evm.spec import Spec

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
        place = ctypes.c_void_p
        at, other = (kind(None, place, place, ctypes.c_uint64) for kind in (ctypes.PYFUNCTYPE, ctypes.CFUNCTYPE))
        self._run = at(addresses["run_message"])
        self._run_long = other(addresses["run_message"])
        at, other = (kind(None, place, place, place, ctypes.c_char_p) for kind in (ctypes.PYFUNCTYPE, ctypes.CFUNCTYPE))
        self._entries = at(addresses["run_transaction"]), other(addresses["run_transaction"])
        self._handler_at = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(addresses[HANDLER_AT])
        of_code = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p)
        self._find_jumps = of_code(addresses["find_jumps"])
        self._codes = CodeCache(self._find_jumps)
        self._seed = seed or hash(b"evmesh") & (2**64 - 1)
        self._idle: list[Bridge] = [self._new_bridge()]
        self._foreman: Foreman | None = None
        self.given_up = 0
        """Messages that began here and ran on the plain machine after all."""

    def _new_bridge(self) -> Bridge:
        """Raises OSError where there is no room for an arena."""
        return Bridge(self._codes, self._seed)

    def compile_hot_code(self, worker: Worker, everything: bool = False) -> Foreman:
        """From now on codes that run hot are compiled by ``worker``; ``everything``: all of them, when they are met.

        Asked again, nothing changes.
        """
        if self._foreman is None:
            symbols = library.symbols(self._loaded.addresses)
            self._foreman = Foreman(
                worker, lambda content: object_file.load_object(content, (NAME,), symbols), self._find_jumps, everything
            )
        return self._foreman

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

    def _ready(self, bridge: Bridge, spec: Spec) -> None:
        """The fork's tables, and its codes. Raises ``UnknownInstruction``."""
        lay_out(bridge.arena, spec, self._handler_at)
        foreman = self._foreman
        if foreman is not None:
            if foreman.is_busy:
                foreman.go_on()
            bridge.codes = foreman.codes_of(spec)

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
        self._ready(bridge, spec)
        bridge.begin(message.target, host, block, tx, spec)
        is_create = message.is_create
        code = bridge.codes.once(message.code) if is_create else bridge.codes.get(message.code)
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
        run = self._run if message.gas <= SHORT_GAS else self._run_long
        run(arena.run.address, arena.frames.address, message.transfers_value)
        if bridge.interrupt is not None:
            raise bridge.interrupt
        if self._foreman is not None and get(arena.run, Run, "hot"):
            put(arena.run, Run, "hot", 0)
            self._foreman.look(bridge.kept, spec)
        counters = arena.counters()
        frame = _FRAME.unpack_from(arena.frames.view)
        status = frame[_STATUS]
        if counters.given_up or status in (records.RUNNING, records.GIVEN_UP):
            self.given_up += 1
            arena.shrink()
            return None
        outcome = outcome_of(bridge, status, frame[0], frame[_OUTPUT], frame[_OUTPUT_SIZE], spec)
        if isinstance(outcome, Success):
            bridge.write_back(counters)
        else:
            bridge.write_back_failure()
        if message.gas - outcome.gas_left > MUCH_GAS:
            arena.shrink()
        else:
            arena.end(counters)
        return outcome

    def open_block(self, host: Host, block: BlockEnvironment, spec: Spec) -> BlockTables | None:
        """Tables for the block's transactions; None for rules or surroundings that do not fit."""
        try:
            bridge = self._idle.pop() if self._idle else self._new_bridge()
        except OSError:
            return None
        try:
            self._ready(bridge, spec)
            bridge.begin_block(host, block, spec)
        except (UnknownInstruction, OverflowError):
            self._idle.append(bridge)
            return None
        return NativeTables(bridge, self._entries, host, block, spec, self._give_back)

    def _give_back(self, bridge: Bridge, spec: Spec) -> None:
        """A block's tables are no longer needed."""
        if self._foreman is not None and get(bridge.arena.run, Run, "hot"):
            put(bridge.arena.run, Run, "hot", 0)
            self._foreman.look(bridge.kept, spec)
        self._idle.append(bridge)


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
