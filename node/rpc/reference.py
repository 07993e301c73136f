"""METHODS.md out of the method tables: ``python -m node.rpc.reference > node/rpc/METHODS.md``.

Names, parameters, defaults and the words of the functions' own docstrings; a test keeps the file as the tables are.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final

from node.rpc import subscriptions
from node.rpc.methods import Method, Parameter, combined
from node.rpc.service import TABLES

_HEAD: Final = """# JSON-RPC methods

Made by `python -m node.rpc.reference`, out of the tables; do not edit. Every node answers over HTTP (POST /) and
WebSocket (/ and /ws) on one port, in batches too. Parameters in brackets may be left out; null stands for
their default.

| word | means |
|---|---|
| address, hash | 20 or 32 bytes of 0x-prefixed hex |
| data | hex of whole bytes |
| quantity | 0x-prefixed number without leading zeros |
| block number | quantity, `latest`, `earliest`, `pending`, `safe` or `finalized` |
| block | block number, hash, or an object of EIP-1898 |
| count | quantity, decimal text or a JSON number |
| call, overrides, filter, … | the object of the execution-apis or of geth |
"""
_WORDS: Final = {
    "address": "address",
    "hash32": "hash",
    "boolean": "true or false",
    "quantity64": "quantity",
    "quantity": "quantity",
    "data": "data",
    "text": "text",
    "block_number": "block number",
    "block_id": "block",
    "storage_key": "slot",
    "storage_keys": "slots",
    "call_request": "call",
    "state_overrides": "state overrides",
    "block_overrides": "block overrides",
    "log_criteria": "filter",
    "simulation_request": "simulation",
    "trace_config": "trace options",
    "call_trace_config": "trace options",
    "percentiles": "percentiles",
    "storage_requests": "slots by address",
    "payload_attributes": "payload attributes",
    "raw_transactions": "transactions",
    "typed_data": "typed data",
}
"""What a parameter wants, by the name of what reads it."""


def _wanted(method: Method) -> str:
    names = list(inspect.signature(inspect.unwrap(method.function)).parameters)[1:]
    return ", ".join(_parameter(name, one) for name, one in zip(names, method.parameters, strict=True)) or "–"


def _parameter(name: str, parameter: Parameter) -> str:
    reader = getattr(parameter.parser, "__name__", "")
    word = _WORDS.get(reader, "count" if reader == "<lambda>" else reader)
    label = name if word in (name, name.replace("_", " ")) else f"{name}: {word}"
    if parameter.is_required:
        return label
    default = parameter.default
    shown = "" if default is None or default == () else f" = {_default(default)}"
    return f"[{label}{shown}]"


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "0x" if value == b"" else str(value)


def _in_full(method: Method) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", inspect.getdoc(method.function) or "")


def _first_words(method: Method) -> str:
    return " ".join(_in_full(method).split("\n\n")[0].split()).replace("|", "\\|")


def _table(methods: Iterable[Method]) -> list[str]:
    rows = [f"| `{one.name}` | {_wanted(one)} | {_first_words(one)} |" for one in methods]
    return ["| method | parameters | |", "|---|---|---|", *rows, ""]


def rendered() -> str:
    """The whole page."""
    methods = combined(TABLES)
    rooms: dict[str, list[Method]] = {}
    for name in sorted(methods):
        rooms.setdefault(name.partition("_")[0], []).append(methods[name])
    lines = [_HEAD]
    for room in sorted(rooms):
        lines += [f"## {room}", ""]
        if room == "evmesh":
            for one in rooms[room]:
                lines += [f"### {one.name}", "", f"Parameters: {_wanted(one)}", "", _in_full(one), ""]
        else:
            lines += _table(rooms[room])
    lines += ["## On a WebSocket only", "", *_table(subscriptions.METHODS)]
    topics = ", ".join(f"`{topic.value}`" for topic in subscriptions.Topic)
    lines.append(f"Topics: {topics}. A client that reads too slowly is told so and cut off (close code 1013).")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(rendered(), end="")
