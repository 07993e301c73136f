"""A difference made small: transactions, blocks, accounts, slots and instructions dropped while it still differs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.differential.cases import Case, from_hex, to_hex

JUMPDEST = 0x5B
"""What a dropped instruction becomes: nothing happens, and every other one stays where it was."""

Differs = Callable[[Case], bool]


def shrink(case: Case, differs: Differs, tries_max: int = 3_000) -> Case:
    """The smallest case found that still differs. ``differs`` must say no to cases that nobody can run."""
    budget = [tries_max]

    def keeps(candidate: Case) -> bool:
        if budget[0] <= 0:
            return False
        budget[0] -= 1
        return differs(candidate)

    while True:
        smaller = _round(case, keeps)
        if smaller == case or budget[0] <= 0:
            return smaller
        case = smaller


def _round(case: Case, keeps: Differs) -> Case:
    for drops in (_list_drops, _account_drops, _field_drops):
        again = True
        while again:
            again = False
            for candidate in drops(case):
                if keeps(candidate):
                    case, again = candidate, True
                    break
    for place, code in list(_codes(case)):
        case = _shrunk_code(case, place, code, keeps)
    return case


def _list_drops(case: Case) -> Iterator[Case]:
    """Without one block, transaction, withdrawal, ommer, access list entry, authorization."""
    for index in range(len(case.get("blocks", ())) - 1, -1, -1):
        yield _without(case, ["blocks", index])
    for path, value in _walk({"txs": case.get("txs", []), "blocks": case.get("blocks", [])}):
        if path[-1] in ("txs", "withdrawals", "ommers", "accessList", "storageKeys", "authorizationList"):
            for index in range(len(value) - 1, -1, -1):
                yield _without(case, [*path, index])


def _account_drops(case: Case) -> Iterator[Case]:
    for address in case["alloc"]:
        yield _without(case, ["alloc", address])


def _field_drops(case: Case) -> Iterator[Case]:
    """Without a slot; without tampering; with a number that is 0."""
    for address, account in case["alloc"].items():
        for slot in account["storage"]:
            yield _without(case, ["alloc", address, "storage", slot])
    for index, block in enumerate(case.get("blocks", ())):
        for name in block.get("tamper", {}):
            yield _without(case, ["blocks", index, "tamper", name])
    for path, value in _walk({"txs": case.get("txs", []), "blocks": case.get("blocks", [])}):
        if path[-1] in ("value", "amount") and value != "0x0":
            yield _with(case, path, "0x0")
        if path[-1] == "input" and len(value) > 2 and "to" in _at(case, path[:-1]) and _at(case, path[:-1])["to"]:
            yield _with(case, path, "0x")


def _codes(case: Case) -> Iterator[tuple[list[Any], bytes]]:
    """Where programs lie, the longest first."""
    found = [(["alloc", address, "code"], from_hex(account["code"])) for address, account in case["alloc"].items()]
    for path, value in _walk({"txs": case.get("txs", []), "blocks": case.get("blocks", [])}):
        if path[-1] == "input" and not _at(case, path[:-1]).get("to"):
            found.append((path, from_hex(value)))
    yield from sorted((one for one in found if one[1]), key=lambda one: -len(one[1]))


def _shrunk_code(case: Case, place: list[Any], code: bytes, keeps: Differs) -> Case:
    if keeps(_with(case, place, "0x")):
        return _with(case, place, "0x")
    steps = _steps(code)
    size = len(steps)
    while size >= 1:
        start = 0
        while start < len(steps):
            chosen = [step for step in steps[start : start + size] if not _is_blank(code, step)]
            if chosen:
                changed = bytearray(code)
                for first, end in chosen:
                    changed[first:end] = bytes((JUMPDEST,)) * (end - first)
                candidate = _with(case, place, to_hex(bytes(changed)))
                if keeps(candidate):
                    case, code = candidate, bytes(changed)
            start += size
        size //= 2
    return _closed_up(case, place, code, keeps)


def _closed_up(case: Case, place: list[Any], code: bytes, keeps: Differs) -> Case:
    """Without the blanks, as far as no jump misses its target."""
    for run in reversed(_blank_runs(code)):
        changed = code[: run[0]] + code[run[1] :]
        candidate = _with(case, place, to_hex(changed))
        if keeps(candidate):
            case, code = candidate, changed
    return case


def _blank_runs(code: bytes) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for first, end in _steps(code):
        if _is_blank(code, (first, end)):
            if runs and runs[-1][1] == first:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((first, end))
    return runs


def _is_blank(code: bytes, step: tuple[int, int]) -> bool:
    return code[step[0]] == JUMPDEST


def _steps(code: bytes) -> list[tuple[int, int]]:
    """Where each instruction begins and ends."""
    found = []
    place = 0
    while place < len(code):
        size = 1 + (code[place] - 0x5F if 0x60 <= code[place] <= 0x7F else 0)
        found.append((place, min(place + size, len(code))))
        place += size
    return found


def _walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[list[Any], Any]]:
    if path:
        yield list(path), value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _walk(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _walk(child, (*path, index))


def _at(case: Case, path: list[Any]) -> Any:
    found: Any = case
    for part in path:
        found = found[part]
    return found


def _with(case: Case, path: list[Any], value: Any) -> Case:
    changed = copy.deepcopy(case)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _without(case: Case, path: list[Any]) -> Case:
    changed = copy.deepcopy(case)
    del _at(changed, path[:-1])[path[-1]]
    return changed
