"""Fork choice cases: a list of events to replay against the store, and what it must answer in between.

``{"name", "slots_per_epoch", "anchor": [root, slot, justified, finalized], "events": [[kind, …], …]}``; a
checkpoint is ``[epoch, root]``, a root is 64 hex digits. The official cases, reduced to this form.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network.vectors.fields import FieldError, FixtureError, cut, parse_json
from network.vectors.files import FILE_BYTES_MAX, READ_BYTES, read_file
from node.consensus.pos.checkpoints import Checkpoint, Finality
from node.consensus.pos.fork_choice import BlockNode, ForkChoice, Refused, Weights

NUMBER_BITS: Final = 63
NO_ROOT: Final = bytes(32)
XZ_MEMORY_MAX: Final = 256 * 2**20

Event = list[Any]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: how many checks passed and failed, and the first difference in words."""

    name: str
    passed: int
    failed: int
    difference: str = ""


def read_cases(path: Path) -> list[Any]:
    """The cases of a ``.json`` or ``.json.xz`` file, unchecked. Raises FixtureError."""
    content = read_file(path)
    if path.name.endswith(".xz"):
        content = _unpacked(content, str(path))
    try:
        cases = parse_json(content)
    except FieldError as error:
        raise FixtureError(str(path), "", "", str(error)) from None
    if isinstance(cases, dict) and "events" in cases:
        cases = [cases]
    if not isinstance(cases, list) or not cases:
        raise FixtureError(str(path), "", "", "expected a list of cases")
    return cases


def _unpacked(content: bytes, name: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_MAX)
        part = unpacker.decompress(content, READ_BYTES)
        while True:
            parts.append(part)
            size += len(part)
            if size > FILE_BYTES_MAX:
                raise FixtureError(name, "", "", f"unpacks to more than {FILE_BYTES_MAX} bytes")
            if unpacker.eof:
                return b"".join(parts)
            if unpacker.needs_input and not part:
                raise FixtureError(name, "", "", "xz data is cut off")
            part = unpacker.decompress(b"", READ_BYTES)
    except (lzma.LZMAError, EOFError) as error:
        raise FixtureError(name, "", "", f"not xz data: {error}") from None


def run_file(path: Path) -> Iterator[CaseResult]:
    """Every case of a file. Raises FixtureError at the first that cannot be used."""
    for index, case in enumerate(read_cases(path)):
        where = f"case {index}"
        try:
            if not isinstance(case, dict):
                raise FieldError("", "expected an object")
            name = case.get("name")
            if not isinstance(name, str):
                raise FieldError("name", "expected a string")
            where = f"case {index} ({cut(name)})"
            yield CaseReplay(name, case).run()
        except FieldError as error:
            raise FixtureError(str(path), where, "", str(error)) from None


class CaseReplay:
    """One case on its way through a store. Raises FieldError where the case is malformed."""

    def __init__(self, name: str, case: dict[str, Any]) -> None:
        self._name = name
        slots_per_epoch = _number(case.get("slots_per_epoch"), "slots_per_epoch")
        if slots_per_epoch < 1:
            raise FieldError("slots_per_epoch", "must be at least 1")
        anchor = _list(case.get("anchor"), "anchor", 4)
        finality = Finality(_checkpoint(anchor[2], "anchor.justified"), _checkpoint(anchor[3], "anchor.finalized"))
        root = _root(anchor[0], "anchor.root")
        node = BlockNode(root, NO_ROOT, _number(anchor[1], "anchor.slot"), finality, finality)
        if finality.justified.root != root or finality.finalized.root != root:
            raise FieldError("anchor", "its checkpoints must name its own root")
        self._events = _list(case.get("events"), "events")
        self._weights = Weights()
        self._store = ForkChoice(node, slots_per_epoch, lambda justified: self._weights)
        self._passed = 0
        self._failed = 0
        self._difference = ""

    def run(self) -> CaseResult:
        """Replay all events."""
        for index, item in enumerate(self._events):
            where = f"events[{index}]"
            event = _list(item, where)
            kind = event[0] if event else None
            match kind:
                case "tick":
                    self._store.tick(_number(_fields(event, 2, where)[1], f"{where}.slot"))
                case "bal":
                    self._weights = _weights(_fields(event, 3, where), where)
                case "block":
                    self._block(_fields(event, 7, where), where)
                case "badblock":
                    # it never reaches the store: whoever hands blocks in has judged it
                    _root(_fields(event, 3, where)[1], f"{where}.root")
                    _number(event[2], f"{where}.slot")
                case "vote":
                    self._vote(_fields(event, 4, where), where)
                case "equiv":
                    validators = _numbers(_fields(event, 2, where)[1], f"{where}.validators")
                    self._store.discard_equivocators(validators)
                case "exp":
                    self._expect(_fields(event, 5, where), where)
                case _:
                    raise FieldError(where, f"no event is called {cut(str(kind))!r}")
        return CaseResult(self._name, self._passed, self._failed, self._difference)

    def _differs(self, text: str) -> None:
        self._difference = self._difference or text

    def _block(self, event: Event, where: str) -> None:
        root, parent = _root(event[1], f"{where}.root"), _root(event[2], f"{where}.parent")
        realized, unrealized = _finality(event[4], f"{where}.realized"), _finality(event[5], f"{where}.unrealized")
        if not isinstance(event[6], bool):
            raise FieldError(f"{where}.timely", "expected true or false")
        node = BlockNode(root, parent, _number(event[3], f"{where}.slot"), realized, unrealized, event[6])
        try:
            self._store.add_block(node)
        except Refused as error:
            self._failed += 1
            self._differs(f"{where} block {root.hex()} at slot {node.slot}: refused, {error}")

    def _vote(self, event: Event, where: str) -> None:
        validators = _numbers(event[1], f"{where}.validators")
        self._store.count_votes(validators, _root(event[2], f"{where}.root"), _number(event[3], f"{where}.epoch"))

    def _expect(self, event: Event, where: str) -> None:
        expected: dict[str, bytes | Checkpoint] = {
            "head": _root(event[1], f"{where}.head"),
            "justified": _checkpoint(event[2], f"{where}.justified"),
            "finalized": _checkpoint(event[3], f"{where}.finalized"),
            "boost": _root(event[4], f"{where}.boost"),
        }
        store = self._store
        ours: dict[str, bytes | Checkpoint] = {
            "head": store.head(),
            "justified": store.finality.justified,
            "finalized": store.finality.finalized,
            "boost": store.boost_root or NO_ROOT,
        }
        for name, value in expected.items():
            if ours[name] == value:
                self._passed += 1
                continue
            self._failed += 1
            self._differs(f"{where} at slot {store.slot}: {name} is {_shown(ours[name])}, expected {_shown(value)}")


def _shown(value: bytes | Checkpoint) -> str:
    return f"epoch {value.epoch} {value.root.hex()}" if isinstance(value, Checkpoint) else value.hex()


def _list(value: Any, field: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(field, "expected a list")
    if length is not None and len(value) != length:
        raise FieldError(field, f"expected {length} items, found {len(value)}")
    return value


def _fields(event: Event, length: int, where: str) -> Event:
    if len(event) != length:
        raise FieldError(where, f"{event[0]}: expected {length} items, found {len(event)}")
    return event


def _number(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**NUMBER_BITS:
        raise FieldError(field, f"expected a whole number below 2^{NUMBER_BITS}")
    return value


def _numbers(value: Any, field: str) -> list[int]:
    return [_number(item, f"{field}[{index}]") for index, item in enumerate(_list(value, field))]


def _root(value: Any, field: str) -> bytes:
    if isinstance(value, str) and len(value) == 64 and value.isascii() and value.isalnum():
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise FieldError(field, "expected 64 hex digits")


def _checkpoint(value: Any, field: str) -> Checkpoint:
    epoch, root = _list(value, field, 2)
    return Checkpoint(_number(epoch, f"{field}.epoch"), _root(root, f"{field}.root"))


def _finality(value: Any, field: str) -> Finality:
    justified, finalized = _list(value, field, 2)
    return Finality(_checkpoint(justified, f"{field}.justified"), _checkpoint(finalized, f"{field}.finalized"))


def _weights(event: Event, where: str) -> Weights:
    balances: dict[int, int] = {}
    for index, pair in enumerate(_list(event[1], f"{where}.balances")):
        field = f"{where}.balances[{index}]"
        validator, balance = _list(pair, field, 2)
        balances[_number(validator, field)] = _number(balance, field)
    return Weights(balances, _number(event[2], f"{where}.boost"))
