"""What is sent to a worker and what it sends back, as bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from node.evm.native.hot.rulebook import Row, Rulebook

UNIT_BYTES_MAX: Final = 2**20
"""Of an object file."""
_HEAD_BYTES: Final = 4


class CompiledUnit(NamedTuple):
    """An object file, and the landing places at which its function may be entered."""

    content: bytes
    entries: tuple[int, ...]


class Request(NamedTuple):
    """``hits`` None: everything is hot."""

    code: bytes
    rules: Rulebook
    hits: Mapping[int, int] | None


def write_request(request: Request) -> bytes:
    """As JSON."""
    rules = request.rules
    return json.dumps(
        {
            "code": request.code.hex(),
            "hits": None if request.hits is None else list(request.hits.items()),
            "rows": rules.rows,
            "prices": [rules.keccak_word, rules.exp_byte, rules.copy_word, rules.log_data_byte],
        }
    ).encode()


def read_request(text: bytes) -> Request:
    """The worker's side; the text is a node's own."""
    found: dict[str, Any] = json.loads(text)
    rows = tuple(None if row is None else Row(*row) for row in found["rows"])
    hits = found["hits"]
    return Request(bytes.fromhex(found["code"]), Rulebook(rows, *found["prices"]), None if hits is None else dict(hits))


def write_answer(unit: CompiledUnit) -> bytes:
    """Entries as JSON behind their length, then the object file."""
    head = json.dumps(unit.entries).encode()
    return len(head).to_bytes(_HEAD_BYTES, "big") + head + unit.content


def read_answer(text: bytes) -> CompiledUnit | None:
    """None for nothing, which is what a worker leaves that died."""
    if len(text) < _HEAD_BYTES:
        return None
    begin = _HEAD_BYTES + int.from_bytes(text[:_HEAD_BYTES], "big")
    return CompiledUnit(text[begin:], tuple(json.loads(text[_HEAD_BYTES:begin])))
