"""The compiler by itself: what it computes, and how it says no."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from node.evm.native.compiler.expressions import UnsupportedSource
from node.evm.native.compiler.intrinsics import (
    handler,
    load64,
    load256,
    rotate_left,
    store256,
    swap_bytes,
)
from node.evm.native.compiler.module import compile_module
from node.evm.native.compiler.types import Struct, Table, i64, i256, layout, ptr, size_of, u8, u64, u128, u256
from tests.unit.evm.native.compiling import WORD, load, needs_llvm, on_u64, on_words

pytestmark = needs_llvm

PRIMES = Table((2, 3, 5, 7, 11))
STEP = 3


class Pair(Struct):
    first: u64
    word: u256
    second: i64


def arithmetic(a: u64, b: u64) -> u64:
    c: u64 = a * b + STEP
    c -= a ^ b
    return c // (b | 1) + c % 7


def compared(a: u64, b: u64) -> u64:
    result: u64 = 0
    if a < b:
        result += 1
    if i64(a) < i64(b):
        result += 2
    if a == b or not (a > b):
        result += 4
    return result + (u64(8) if a >= b and b != 0 else 16)


def looped(a: u64, b: u64) -> u64:
    total: u64 = 0
    while True:
        a = a - 1
        if a == 0:
            break
        if a % b == 0:
            continue
        total = total + a
    for at in range(5):
        total = total + load64(ptr(PRIMES), 8 * at)
    return total


def shifts(p: ptr) -> None:
    amount: u256 = load256(p)
    value: u256 = load256(p, 32)
    kind: u8 = u8(load256(p, 64))
    if kind == 0:
        store256(p, 0, value << amount)
    elif kind == 1:
        store256(p, 0, value >> amount)
    else:
        store256(p, 0, u256(i256(value) >> amount))


def divided(a: u64, b: u64) -> u64:
    return a // b + a % b


def structs(start: ptr, b: u64) -> u64:
    pair = Pair(start)
    pair.second = i64(b)
    pair.word = u256(pair.first) << 200
    pair.first += 2
    return pair.first


def swapped(p: ptr) -> None:
    store256(p, 0, swap_bytes(load256(p)))


def guarded(a: u64, b: ptr) -> u64:
    """The second operand and the other branch must not run: both would read at address 0."""
    if a != 0 and load64(b) == 9:
        return u64(1)
    return load64(b) if a != 0 else u64(2)


def adder(step: int) -> Callable[[int, int], int]:
    def add_step(a: u64, b: u64) -> u64:
        return a + b * step

    return add_step


add_two, add_five = adder(2), adder(5)


def both_adders(a: u64, b: u64) -> u64:
    return add_two(a, b) + add_five(a, b) * 1000


def twice(operation: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def apply_twice(a: u64, b: u64) -> u64:
        return operation(operation(a, b), b)

    return apply_twice


twice_two, twice_five = twice(add_two), twice(add_five)


def both_twice(a: u64, b: u64) -> u64:
    return twice_two(a, b) + twice_five(a, b) * 1000


def rotated(a: u64, b: u64) -> u64:
    return rotate_left(a, b)


def wide(a: u64, b: u64) -> u64:
    return u64((u128(a) * u128(b)) >> 64)


U64 = 2**64 - 1


def test_arithmetic_wraps_at_the_width() -> None:
    function = on_u64(load(arithmetic)["arithmetic"])
    for a, b in ((5, 7), (U64, U64), (0, 0), (2**63, 3)):
        c = (a * b + 3 - (a ^ b)) & U64
        assert function(a, b) == (c // (b | 1) + c % 7) & U64


def test_comparisons_follow_the_type() -> None:
    function = on_u64(load(compared)["compared"])
    assert function(1, 2) == 1 + 2 + 4 + 16
    assert function(U64, 1) == 2 + 8  # -1 < 1 only where signed
    assert function(3, 3) == 4 + 8
    assert function(3, 0) == 16


def test_loops_break_continue_and_unroll() -> None:
    function = on_u64(load(looped)["looped"])
    assert function(10, 3) == sum(n for n in range(1, 10) if n % 3) + 28


@pytest.mark.parametrize("level", [0, 2])
def test_shifts_have_a_result_for_every_amount(level: int) -> None:
    function = on_words(load(shifts, level=level)["shifts"])
    value = 0x80F0 << 240 | 1
    for amount in (0, 1, 64, 255, 256, 257, 2**64, WORD - 1):
        assert (
            function(amount, value, 0) == (value << amount) % WORD if amount < 256 else not function(amount, value, 0)
        )
        assert function(amount, value, 1) == (value >> min(amount, 256))
        assert function(amount, value, 2) == ((value - WORD) >> min(amount, 256)) % WORD


def test_division_by_zero_is_zero() -> None:
    assert on_u64(load(divided)["divided"])(9, 0) == 0


def test_structs_are_addresses_with_named_fields() -> None:
    buffer = ctypes.create_string_buffer(size_of(Pair))
    ctypes.memmove(buffer, (40).to_bytes(8, "little"), 8)
    assert on_u64(load(structs)["structs"])(ctypes.addressof(buffer), U64) == 42
    assert int.from_bytes(buffer.raw[8:40], "little") == 40 << 200
    assert buffer.raw[40:] == b"\xff" * 8
    assert {name: field.offset for name, field in layout(Pair).items()} == {"first": 0, "word": 8, "second": 40}


def test_what_is_not_chosen_does_not_run() -> None:
    function = on_u64(load(guarded)["guarded"])
    assert function(0, 0) == 2
    word = ctypes.create_string_buffer((9).to_bytes(8, "little"), 8)
    assert function(1, ctypes.addressof(word)) == 1


def test_functions_of_a_factory_keep_their_constants() -> None:
    assert on_u64(load(both_adders)["both_adders"])(1, 2) == 5 + 11_000


def test_functions_that_close_over_functions_are_told_apart() -> None:
    assert on_u64(load(both_twice)["both_twice"])(1, 2) == 9 + 21_000


def test_bits() -> None:
    assert on_words(load(swapped)["swapped"])(0x0102) == 0x0201 << 240
    assert on_u64(load(rotated)["rotated"])(2**63 | 1, 1) == 3
    assert on_u64(load(wide)["wide"])(U64, U64) == U64 - 1


# --- tail calls ---


@handler
def count_down(frame: Pair, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    frame.first += 1
    if gas == 0:
        return
    return count_down_again(frame, pc, sp, gas - 1, rows)


@handler
def count_down_again(frame: Pair, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    return count_down(frame, pc, sp, gas, rows)


def test_handlers_call_each_other_without_a_stack() -> None:
    """Ten million frames of any size would overflow the native stack."""
    from node.evm.native import llvm, object_file
    from node.evm.native.compiler.module import HANDLER_AT
    from tests.unit.evm.native import entering

    text = compile_module({"enter": entering.enter}, (count_down, count_down_again))
    assert text.count("musttail call preserve_nonecc void") == 2
    loaded = object_file.load_object(llvm.compile_object(text, 0), ("enter", HANDLER_AT))
    first = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(loaded.addresses[HANDLER_AT])(0)
    buffer = ctypes.create_string_buffer(size_of(Pair))
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(loaded.addresses["enter"])
    run(first, buffer, 10_000_000)
    assert int.from_bytes(buffer.raw[:8], "little") == 10_000_001


# --- refusals ---


def divides_words(p: ptr) -> None:
    store256(p, 0, load256(p) // load256(p, 32))


def mixes_types(a: u64, b: u64) -> u64:
    return a + u256(b)


def has_no_result(a: u64, b: u64) -> u64:
    if a == b:
        return a


def shifts_too_far(a: u64, b: u64) -> u64:
    return a << 64


def literal_too_large(a: u64, b: u64) -> u64:
    return a + 2**64


def uses_a_list(a: u64, b: u64) -> u64:
    return [a, b][0]


def catches(a: u64, b: u64) -> u64:
    try:
        return a
    finally:
        pass


def chains(a: u64, b: u64) -> u64:
    return u64(1) if 0 < a < b else u64(0)


def runs_over_a_variable(a: u64, b: u64) -> u64:
    for _at in range(a):
        b = b + 1
    return b


def takes_a_string(a: u64, b: str) -> u64:
    return a


def uses_before_value(a: u64, b: u64) -> u64:
    return a + missing  # type: ignore[name-defined] # noqa: F821


def asks_for_a_field(a: Pair, b: u64) -> u64:
    return a.third  # type: ignore[attr-defined]


def address_of_a_number(a: u64, b: u64) -> u64:
    return load64(ptr(a)) + b


def truth_of_a_number(a: u64, b: u64) -> u64:
    if a:
        return b
    return a


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (divides_words, "no division of u256"),
        (mixes_types, "is u256 where u64 is wanted"),
        (has_no_result, "the end is reached without a result"),
        (shifts_too_far, "shifts u64 by 64"),
        (literal_too_large, "18446744073709551616 does not fit into u64"),
        (uses_a_list, "Subscript is not supported"),
        (catches, "Try is not supported"),
        (chains, "chains of comparisons"),
        (runs_over_a_variable, "must be constants"),
        (takes_a_string, "b has no type of restricted Python (str)"),
        (uses_before_value, "missing: has no value here"),
        (asks_for_a_field, "Pair has no field third"),
        (address_of_a_number, "no conversion from u64 to ptr"),
        (truth_of_a_number, "is u64 where a bool is wanted"),
    ],
)
def test_refusals_name_file_line_and_construct(function: Callable[..., object], words: str) -> None:
    with pytest.raises(UnsupportedSource) as caught:
        compile_module({"function": function})
    text = str(caught.value)
    assert words in text
    file, line, _ = text.split(":", 2)
    assert file == __file__
    first = function.__code__.co_firstlineno
    assert first <= int(line) <= first + 5


def test_intrinsics_say_that_they_are_not_python() -> None:
    with pytest.raises(TypeError, match="name for the compiler"):
        load64(0)
