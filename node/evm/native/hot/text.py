"""The lines of a unit's function while they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from node.evm.native.compiler.function import signature_of
from node.evm.native.compiler.types import Struct, layout
from node.evm.native.hot import library

Value: TypeAlias = int | str
"""A word: a constant, or the name that LLVM knows it by."""
RARELY: Final = ", !prof !1"


class Text:
    """Instructions of LLVM in order; names are given out once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.functions: dict[Callable[..., Any], None] = {}
        """Restricted functions that are called."""
        self.declarations: dict[str, None] = {}
        self._count = 0
        self._shared: dict[str, str] = {}

    def fresh(self) -> str:
        """A name that is not taken, for a value or a label."""
        self._count += 1
        return f"n{self._count}"

    def emit(self, line: str) -> None:
        """One instruction."""
        self.lines.append("  " + line)

    def result(self, line: str) -> str:
        """One instruction with a result: its name."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {line}")
        return name

    def label(self, name: str) -> None:
        """A block begins."""
        self.lines.append(f"{name}:")

    def split(self, condition: str, rare: str) -> None:
        """Go to ``rare`` on a condition that mostly does not hold, else on."""
        on = self.fresh()
        self.emit(f"br i1 {condition}, label %{rare}, label %{on}{RARELY}")
        self.label(on)

    def allocate(self, kind: str) -> str:
        """Room on the native stack."""
        name = "%" + self.fresh()
        self.allocations.append(f"  {name} = alloca {kind}, align 16")
        return name

    def shared(self, kind: str) -> str:
        """Room that one instruction uses; the next one uses it anew."""
        if kind not in self._shared:
            self._shared[kind] = self.allocate(kind)
        return self._shared[kind]

    def place(self, base: str, offset: int | str) -> str:
        """An address some bytes further."""
        return self.result(f"getelementptr i8, ptr {base}, i64 {offset}")

    def field(self, base: str, struct: type[Struct], name: str) -> str:
        """A field's value."""
        found = layout(struct)[name]
        return self.result(f"load {found.type.ir}, ptr {self.place(base, found.offset)}, align 8")

    def intrinsic(self, name: str, *arguments: str) -> str:
        """LLVM's own function on words."""
        kinds = ", ".join(argument.split(" ")[0] for argument in arguments)
        self.declarations[f"declare i256 @{name}({kinds})"] = None
        return self.result(f"call i256 @{name}({', '.join(arguments)})")

    def call(self, function: Callable[..., Any], *arguments: Value) -> str:
        """A restricted function: its result's name, or nothing."""
        self.functions[function] = None
        signature = signature_of(function)
        passed = ", ".join(
            f"{kind.ir} {argument}" for (_, kind), argument in zip(signature.parameters, arguments, strict=True)
        )
        line = f"call {signature.returns.ir} {library.name_of(function)}({passed})"
        if signature.returns.ir == "void":
            self.emit(line)
            return ""
        return self.result(line)
