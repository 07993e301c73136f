"""Call trees are as deep as calls go, a thousand levels; what writes JSON nests less."""

from __future__ import annotations

from typing import Any, Final

import orjson

Json = dict[str, Any]

PLAIN_DEPTH_MAX: Final = 48
"""Calls within calls that are handed to the JSON writer as they are."""


def writable(trace: Any) -> Any:
    """Calls nested deeper than the JSON writer goes are written from the inside out."""
    if not isinstance(trace, dict) or "calls" not in trace:
        if isinstance(trace, dict):
            return {name: writable(value) if isinstance(value, dict) else value for name, value in trace.items()}
        return trace
    waiting: list[tuple[Json, int]] = [(trace, 0)]
    deep: list[tuple[Json, int]] = []
    while waiting:
        call, depth = waiting.pop()
        if depth and depth % PLAIN_DEPTH_MAX == 0:
            deep.append((call, depth))
        waiting.extend((child, depth + 1) for child in call.get("calls", ()))
    deep.sort(key=lambda entry: entry[1])
    for call, _ in reversed(deep):
        call["calls"] = [orjson.Fragment(orjson.dumps(child)) for child in call.get("calls", ())]
        if not call["calls"]:
            del call["calls"]
    return trace
