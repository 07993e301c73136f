"""Whatever the code: being watched changes neither gas nor output nor state, and every trace can be written."""

from __future__ import annotations

from typing import Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.evm.machine import Tracer
from node.evm.opcodes import Opcode
from node.evm.outcome import Outcome
from node.evm.tracers.catalogue import make_tracer
from node.evm.tracers.log_tracer import LogTracer
from node.evm.tracers.nesting import writable
from node.evm.tracers.transaction_tracer import Budget
from node.state.diff import StateDiff
from tests.unit.evm.program import OTHER, TARGET, World, call_operation, operation, program

OPCODES: Final = tuple(int(opcode) for opcode in Opcode)
ADDRESSES: Final = (TARGET, OTHER, bytes(19) + b"\x04", bytes(19) + b"\x01")

small = st.sampled_from((0, 1, 2, 31, 32, 33, 1000, 2**255))
operations = st.one_of(
    st.builds(
        lambda opcode, operands: operation(opcode, *operands), st.sampled_from(OPCODES), st.lists(small, max_size=7)
    ),
    st.builds(
        lambda kind, to, size: call_operation(kind, to, gas=5_000, data=(0, size)),
        st.sampled_from((Opcode.CALL, Opcode.CALLCODE, Opcode.DELEGATECALL, Opcode.STATICCALL)),
        st.sampled_from(ADDRESSES),
        st.sampled_from((0, 4, 33)),
    ),
    st.binary(max_size=4),
)
programs = st.lists(operations, max_size=12).map(lambda parts: program(*parts))
MUXED: Final = {
    "callTracer": {"withLog": True},
    "prestateTracer": {"diffMode": True},
    "4byteTracer": {},
    "structLog": {"enableMemory": True, "enableReturnData": True},
}


def _run(code: bytes, other: bytes, tracer: Tracer | None) -> tuple[Outcome, StateDiff, int]:
    world = World()
    world.deploy(OTHER, other, balance=9)
    outcome = world.run(code, data=b"\x01\x02\x03\x04\x05", gas=60_000, tracer=tracer)
    refund = world.state.refund
    world.state.end_transaction()
    return outcome, world.state.diff(), refund


@settings(max_examples=150, deadline=None)
@given(programs, programs)
def test_watching_changes_nothing(code: bytes, other: bytes) -> None:
    alone = _run(code, other, None)
    tracer = make_tracer("muxTracer", MUXED, Budget())
    assert _run(code, other, tracer) == alone
    orjson.dumps(writable(tracer.result()))
    logs = LogTracer(0, transfers=False)
    assert _run(code, other, logs) == alone


@pytest.mark.parametrize("kind", [Opcode.CALL, Opcode.DELEGATECALL])
def test_the_property_meets_calls(kind: Opcode) -> None:
    """So that the random programs above are not all over before their first call."""
    tracer = make_tracer("callTracer", {}, Budget())
    _run(call_operation(kind, OTHER, gas=5_000), b"\x00", tracer)
    assert len(tracer.result()["calls"]) == 1
