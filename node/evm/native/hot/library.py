"""Texts of restricted functions for units: compiled from the machine's own sources, declared where it exports them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from node.evm.native.compiler.function import FunctionCompiler, signature_of
from node.evm.native.hot.services import SERVICES

_NAMES: Final = {signature_of(function).name: exported for exported, function in SERVICES.items()}


def symbols(addresses: dict[str, int]) -> dict[str, int]:
    """What units call, under the names that their texts have: from the addresses of the machine's exports."""
    return {name: addresses[exported] for name, exported in _NAMES.items()}


def name_of(function: Callable[..., Any]) -> str:
    """As LLVM writes it."""
    return f'@"{signature_of(function).name}"'


@functools.cache
def _text(function: Callable[..., Any]) -> tuple[str, tuple[Callable[..., Any], ...], tuple[str, ...]]:
    """(definition or declaration, what it calls, declarations of LLVM's own functions)."""
    signature = signature_of(function)
    if signature.name in _NAMES:
        kinds = ", ".join(kind.ir for _, kind in signature.parameters)
        return f'declare {signature.returns.ir} @"{signature.name}"({kinds}) nounwind\n', (), ()
    compiler = FunctionCompiler(function)
    text = compiler.compile()
    return text, tuple(compiler.callees), tuple(compiler.declarations.values())


def texts(functions: Iterable[Callable[..., Any]]) -> tuple[list[str], list[str]]:
    """(texts, declarations of LLVM's own functions) of functions and of all that they call, each once."""
    found: dict[str, str] = {}
    declarations: dict[str, None] = {}
    waiting = list(functions)
    for function in waiting:
        name = signature_of(function).name
        if name in found:
            continue
        text, callees, declared = _text(function)
        found[name] = text
        declarations.update(dict.fromkeys(declared))
        waiting += callees
    return list(found.values()), list(declarations)
