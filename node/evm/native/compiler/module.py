"""A whole module of LLVM IR: the exported functions, the handlers, and everything that they call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from node.evm.native.compiler.expressions import UnsupportedSource
from node.evm.native.compiler.function import FunctionCompiler, signature_of
from node.evm.native.compiler.types import Table

HANDLER_AT: Final = "handler_at"
"""Exported by every module: the address of the handler with a number, for tables of handlers."""
_WEIGHTS: Final = '!0 = !{!"branch_weights", i32 2000, i32 1}\n!1 = !{!"branch_weights", i32 1, i32 2000}\n'


def _same(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """One function, or two of one factory that close over the same."""
    if one is other:
        return True
    cells = [[cell.cell_contents for cell in function.__closure__ or ()] for function in (one, other)]
    return one.__code__ is other.__code__ and cells[0] == cells[1]


def compile_module(
    exports: Mapping[str, Callable[..., Any]], handlers: Sequence[Callable[..., Any]] = (), triple: str = ""
) -> str:
    """The IR of ``exports``, callable from C under their names, and of ``handlers``, known by their numbers.

    Raises ``UnsupportedSource`` with file, line and construct.
    """
    texts: list[str] = []
    tables: dict[str, Table] = {}
    declarations: dict[str, str] = {}
    done: dict[str, Callable[..., Any]] = {}
    waiting: list[tuple[Callable[..., Any], str | None]] = [(function, name) for name, function in exports.items()]
    waiting += [(handler, None) for handler in handlers]
    while waiting:
        function, exported = waiting.pop(0)
        name = exported or signature_of(function).name
        if name in done:
            if not exported and not _same(done[name], function):
                raise UnsupportedSource(f"{function.__code__.co_filename}: two functions are called {name}")
            continue
        done[name] = function
        compiler = FunctionCompiler(function)
        texts.append(compiler.compile(exported))
        waiting += [(callee, None) for callee in compiler.callees]
        tables.update(compiler.tables)
        declarations.update(compiler.declarations)
    head = [f'target triple = "{triple}"'] if triple else []
    head += [
        f'@"{name}" = internal constant [{len(table.words)} x i64] [{", ".join(f"i64 {word}" for word in table.words)}]'
        for name, table in tables.items()
    ]
    head += declarations.values()
    if handlers:
        addresses = ", ".join(f'ptr @"{signature_of(handler).name}"' for handler in handlers)
        texts.append(
            f"@handlers = internal constant [{len(handlers)} x ptr] [{addresses}]\n"
            f"define ptr @{HANDLER_AT}(i64 %number) nounwind {{\n"
            f"  %place = getelementptr ptr, ptr @handlers, i64 %number\n"
            f"  %address = load ptr, ptr %place\n"
            f"  ret ptr %address\n}}\n"
        )
    return "\n".join([*head, *texts, _WEIGHTS])
