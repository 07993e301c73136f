"""Compile functions of a test and call them: words go through memory, 32 bytes each, little-endian."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from node.evm.native import llvm, object_file
from node.evm.native.compiler.module import compile_module

needs_llvm = pytest.mark.skipif(not llvm.is_installed(), reason="no llvmlite for this Python")

WORD = 2**256
_KEPT: list[object_file.LoadedObject] = []


def load(*functions: Callable[..., Any], level: int = 2) -> dict[str, int]:
    """Addresses of compiled functions by name."""
    exports = {function.__name__: function for function in functions}
    loaded = object_file.load_object(llvm.compile_object(compile_module(exports), level), exports)
    _KEPT.append(loaded)  # pytest goes on calling into it
    return loaded.addresses


def in_a_small_process(function: Callable[[], None]) -> None:
    """Call a function of a test's module in a new process: what LLVM itself loads needs room close together.

    Its memory manager lays sections where room is, and aborts where that is further than a relative address reaches:
    a test run that has mapped gigabytes met it.
    """
    program = f"from {function.__module__} import {function.__name__} as run; run()"
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def on_words(address: int) -> Callable[..., int]:
    """A compiled ``f(p)`` that reads words at p and leaves its result at p, as a function of ints."""
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)

    def call(*words: int) -> int:
        buffer = ctypes.create_string_buffer(b"".join(word.to_bytes(32, "little") for word in words), 160)
        function(buffer)
        return int.from_bytes(buffer.raw[:32], "little")

    return call


def on_u64(address: int, arguments: int = 2) -> Callable[..., int]:
    """A compiled function of u64s that gives a u64."""
    prototype = ctypes.CFUNCTYPE(ctypes.c_uint64, *[ctypes.c_uint64] * arguments)
    return prototype(address)
