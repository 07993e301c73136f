"""What a client wants of a trace: geth's TraceConfig, and what traceCall has beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from node.execution.overrides import BlockOverrides
from node.rpc.override_parameters import StateOverrides, block_overrides, state_overrides
from node.rpc.parameters import ParameterError, count, fields, text

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_MILLISECONDS: Final = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6}
_STRUCT_LOG: Final = ("enableMemory", "disableStack", "disableStorage", "enableReturnData", "limit")


@dataclass(frozen=True, slots=True)
class TraceConfig:
    """Which tracer, its own configuration, and how long it may take."""

    tracer: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class CallTraceConfig:
    """``transaction_index``: trace on the state before this transaction of the block."""

    trace: TraceConfig = TraceConfig()
    state: StateOverrides | None = None
    block: BlockOverrides | None = None
    transaction_index: int | None = None


def trace_config(value: object) -> TraceConfig:
    """Read the object. Raises ParameterError."""
    given = fields(value, "trace config")
    tracer = given.get("tracer")
    timeout = given.get("timeout")
    name = "" if tracer is None else text(tracer)
    config = given.get("tracerConfig") if name else {key: given.get(key) for key in _STRUCT_LOG}
    return TraceConfig(
        tracer=name,
        config={} if config is None else fields(config, "tracerConfig"),
        timeout_ms=None if timeout is None else duration_ms(text(timeout)),
    )


def call_trace_config(value: object) -> CallTraceConfig:
    """Read the object. Raises ParameterError."""
    given = fields(value, "trace config")
    state, block, index = given.get("stateOverrides"), given.get("blockOverrides"), given.get("txIndex")
    return CallTraceConfig(
        trace=trace_config(given),
        state=None if state is None else state_overrides(state),
        block=None if block is None else block_overrides(block),
        transaction_index=None if index is None else count(index),
    )


def duration_ms(written: str) -> int:
    """A duration as Go writes it ("1m30s", "500ms"), in milliseconds. Raises ParameterError."""
    parts = _DURATION.findall(written) if len(written) <= 64 else []
    if not parts or "".join(number + unit for number, unit in parts) != written:
        raise ParameterError(f'time: invalid duration "{written[:64]}"')
    return int(sum(float(number) * _MILLISECONDS[unit] for number, unit in parts))
