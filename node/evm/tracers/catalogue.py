"""Tracers by geth's names, from geth's configuration objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from node.evm.tracers.call_tracer import CallTracer, CallTracerConfig
from node.evm.tracers.four_byte_tracer import FourByteTracer
from node.evm.tracers.mux_tracer import MuxTracer
from node.evm.tracers.prestate_tracer import PrestateTracer, PrestateTracerConfig
from node.evm.tracers.struct_log import StructLog, StructLogConfig
from node.evm.tracers.transaction_tracer import Budget, TransactionTracer

Config = Mapping[str, Any]
MUXED_MAX: Final = 8


class TracerError(ValueError):
    """No such tracer, or a configuration that it cannot read."""


def make_tracer(name: str, config: Config, budget: Budget) -> TransactionTracer:
    """The tracer called ``name`` (empty: the struct logger). Raises TracerError."""
    make = _MAKERS.get(name)
    if make is None:
        shown = name if len(name) <= 60 else name[:60] + "…"
        raise TracerError(f"tracer not found: {shown} (there are {', '.join(sorted(filter(None, _MAKERS)))})")
    return make(config, budget)


def _struct_log(config: Config, budget: Budget) -> TransactionTracer:
    limit = config.get("limit")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise TracerError("limit: expected a number of bytes")
    return StructLog(
        StructLogConfig(
            enable_memory=_flag(config, "enableMemory"),
            disable_stack=_flag(config, "disableStack"),
            disable_storage=_flag(config, "disableStorage"),
            enable_return_data=_flag(config, "enableReturnData"),
            limit=limit or 0,
        ),
        budget,
    )


def _call_tracer(config: Config, budget: Budget) -> TransactionTracer:
    return CallTracer(
        CallTracerConfig(only_top_call=_flag(config, "onlyTopCall"), with_log=_flag(config, "withLog")), budget
    )


def _prestate_tracer(config: Config, budget: Budget) -> TransactionTracer:
    chosen = PrestateTracerConfig(
        diff_mode=_flag(config, "diffMode"),
        disable_code=_flag(config, "disableCode"),
        disable_storage=_flag(config, "disableStorage"),
        include_empty=_flag(config, "includeEmpty"),
    )
    if chosen.diff_mode and chosen.include_empty:
        raise TracerError("cannot use diffMode with includeEmpty")
    return PrestateTracer(chosen, budget)


def _mux_tracer(config: Config, budget: Budget) -> TransactionTracer:
    if len(config) > MUXED_MAX:
        raise TracerError(f"{len(config)} tracers at once, at most {MUXED_MAX}")
    tracers: dict[str, TransactionTracer] = {}
    for name, inner in config.items():
        if name == "muxTracer":
            raise TracerError("a muxTracer cannot hold another")
        if inner is not None and not isinstance(inner, dict):
            raise TracerError(f"{name}: expected an object")
        tracers[name] = make_tracer(name, inner or {}, budget)
    return MuxTracer(tracers, budget)


def _flag(config: Config, name: str) -> bool:
    value = config.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise TracerError(f"{name}: expected a boolean")
    return value


_MAKERS: Final[Mapping[str, Callable[[Config, Budget], TransactionTracer]]] = {
    "": _struct_log,
    "structLog": _struct_log,
    "callTracer": _call_tracer,
    "prestateTracer": _prestate_tracer,
    "4byteTracer": lambda config, budget: FourByteTracer(budget),
    "muxTracer": _mux_tracer,
    "noopTracer": lambda config, budget: MuxTracer({}, budget),
}
