"""From a code to the object file of its unit: what a worker does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from node.evm.native import llvm
from node.evm.native.hot.blocks import Code
from node.evm.native.hot.emitter import UnitWriter
from node.evm.native.hot.plan import plan
from node.evm.native.hot.regions import Heat
from node.evm.native.hot.rulebook import Rulebook
from node.evm.native.hot.units import CompiledUnit, read_request, write_answer
from node.evm.native.runtime.records import ENTRIES_MAX

LEVEL: Final = 1
"""Of LLVM's optimisations."""


def unit_text(code: bytes, rules: Rulebook, hits: Mapping[int, int] | None, triple: str) -> tuple[str, tuple[int, ...]]:
    """(LLVM IR, entries); no entries where there is nothing to compile. ``hits`` None: everything is hot."""
    known = Code(code, rules)
    unit = plan(known, Heat(hits))
    if not unit.regions:
        return "", ()
    entries = tuple(root for root in unit.regions if root in known.landings)[:ENTRIES_MAX]
    return UnitWriter(known, unit).write(triple), entries


def compile_unit(
    code: bytes, rules: Rulebook, hits: Mapping[int, int] | None = None, level: int = LEVEL
) -> CompiledUnit:
    """The unit of a code. Raises ``RuntimeError`` where LLVM refuses the text, which is a mistake of the emitter."""
    text, entries = unit_text(code, rules, hits, llvm.target_triple())
    if not entries:
        return CompiledUnit(b"", ())
    return CompiledUnit(llvm.compile_object(text, level), entries)


class InPlace:
    """A worker that is no process: for tests, which want every code compiled before it runs."""

    def __init__(self, level: int = LEVEL) -> None:
        self._level = level
        self._answer: bytes | None = None

    def ask(self, request: bytes) -> bool:
        """Compile it here and now."""
        self._answer = write_answer(compile_unit(*read_request(request), self._level))
        return True

    def answer(self) -> bytes | None:
        """What was asked for last."""
        answer, self._answer = self._answer, None
        return answer
