"""Operations that Python has no sign for. Each is a name for the compiler; called from Python it raises.

Loads and stores are little-endian and may be unaligned. Who calls them has checked the bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from node.evm.native.compiler.types import Struct, i64, ptr, u8, u16, u32, u64, u128, u256, u512

F = TypeVar("F", bound=Callable[..., Any])


class OnlyCompiled(TypeError):
    """Restricted Python was run as Python."""

    def __init__(self) -> None:
        super().__init__("this is a name for the compiler of node.evm.native, not a function of Python")


def handler(function: F) -> F:
    """Marks a function that ends by jumping to another one; it takes (frame, pc, sp, gas, rows).

    Its ``return other(...)`` is a guaranteed tail call, so chains of handlers need no native stack.
    """
    function.__dict__["native_handler"] = True
    return function


def inline(function: F) -> F:
    """Marks a function that is copied into its callers."""
    function.__dict__["native_inline"] = True
    return function


def apart(function: F) -> F:
    """Marks a function that is never copied into its callers: rare or large."""
    function.__dict__["native_apart"] = True
    return function


def likely(condition: bool) -> bool:
    """The condition, which mostly holds."""
    raise OnlyCompiled


def unlikely(condition: bool) -> bool:
    """The condition, which mostly does not hold."""
    raise OnlyCompiled


def load8(address: ptr, offset: u64 = 0) -> u8:
    """One byte."""
    raise OnlyCompiled


def load16(address: ptr, offset: u64 = 0) -> u16:
    """Two bytes."""
    raise OnlyCompiled


def load32(address: ptr, offset: u64 = 0) -> u32:
    """Four bytes."""
    raise OnlyCompiled


def load64(address: ptr, offset: u64 = 0) -> u64:
    """Eight bytes."""
    raise OnlyCompiled


def load256(address: ptr, offset: u64 = 0) -> u256:
    """32 bytes."""
    raise OnlyCompiled


def load_pointer(address: ptr, offset: u64 = 0) -> ptr:
    """An address kept in memory."""
    raise OnlyCompiled


def store8(address: ptr, offset: u64, value: u8) -> None:
    """One byte."""
    raise OnlyCompiled


def store32(address: ptr, offset: u64, value: u32) -> None:
    """Four bytes."""
    raise OnlyCompiled


def store64(address: ptr, offset: u64, value: u64) -> None:
    """Eight bytes."""
    raise OnlyCompiled


def store256(address: ptr, offset: u64, value: u256) -> None:
    """32 bytes."""
    raise OnlyCompiled


def store512(address: ptr, offset: u64, value: u512) -> None:
    """64 bytes."""
    raise OnlyCompiled


def store_pointer(address: ptr, offset: u64, value: ptr) -> None:
    """An address."""
    raise OnlyCompiled


def swap_bytes(word: u256) -> u256:
    """Most significant byte first becomes least significant first; any width of whole byte pairs."""
    raise OnlyCompiled


def leading_zeros(value: u256) -> u256:
    """Zero bits before the first one, as the type of ``value``; the width for 0."""
    raise OnlyCompiled


def rotate_left(value: u64, count: u64) -> u64:
    """Bits that leave on the left come back on the right."""
    raise OnlyCompiled


def high_half(product: u128) -> u64:
    """The upper 64 bits."""
    raise OnlyCompiled


def copy_bytes(target: ptr, source: ptr, size: u64) -> None:
    """Copy; the areas may overlap."""
    raise OnlyCompiled


def zero_bytes(target: ptr, size: u64) -> None:
    """Fill with zeros."""
    raise OnlyCompiled


def scratch(size: int) -> ptr:
    """``size`` bytes, a constant, that live until the function returns."""
    raise OnlyCompiled


def is_null(address: ptr | Struct) -> bool:
    """No address."""
    raise OnlyCompiled


def ask(function: ptr, run: Struct, question: u64, a: u64, b: u64) -> i64:
    """Call a C function ``int64 f(void*, uint64, uint64, uint64)``: the leaf callback to Python."""
    raise OnlyCompiled


def jump(function: ptr, frame: Struct, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Tail call to the handler at an address; only behind ``return``."""
    raise OnlyCompiled


def call_handler(function: ptr, frame: Struct, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Call the handler at an address, and come back when its chain ends: how functions of C enter."""
    raise OnlyCompiled
