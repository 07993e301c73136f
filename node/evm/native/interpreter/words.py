"""ADD .. CLZ, the stack, and jumps: instructions that touch nothing but stack and program counter."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import (
    handler,
    inline,
    leading_zeros,
    load8,
    load32,
    load64,
    load256,
    store256,
    swap_bytes,
    unlikely,
)
from node.evm.native.compiler.types import i64, i256, ptr, u8, u32, u64, u256
from node.evm.native.interpreter.flow import Handler, bad_jump, go, land, out_of_gas
from node.evm.native.runtime.arithmetic import (
    byte_length,
    power,
    quotient_of,
    remainder_of,
    signed_quotient,
    signed_remainder,
    sum_modulo,
)
from node.evm.native.runtime.moduli import product_modulo_again
from node.evm.native.runtime.records import LANDING, Frame, Rules, Run


def _add(a: u256, b: u256) -> u256:
    return a + b


def _mul(a: u256, b: u256) -> u256:
    return a * b


def _sub(a: u256, b: u256) -> u256:
    return a - b


def _lt(a: u256, b: u256) -> u256:
    return u256(a < b)


def _gt(a: u256, b: u256) -> u256:
    return u256(a > b)


def _slt(a: u256, b: u256) -> u256:
    return u256(i256(a) < i256(b))


def _sgt(a: u256, b: u256) -> u256:
    return u256(i256(a) > i256(b))


def _eq(a: u256, b: u256) -> u256:
    return u256(a == b)


def _and(a: u256, b: u256) -> u256:
    return a & b


def _or(a: u256, b: u256) -> u256:
    return a | b


def _xor(a: u256, b: u256) -> u256:
    return a ^ b


@inline
def byte_of(position: u256, word: u256) -> u256:
    """BYTE: the byte at a position, 0 for the most significant."""
    if position > 31:
        return u256(0)
    return (word >> ((31 - position) << 3)) & 0xFF


@inline
def shifted_left(shift: u256, value: u256) -> u256:
    """SHL."""
    return value << shift


@inline
def shifted_right(shift: u256, value: u256) -> u256:
    """SHR."""
    return value >> shift


@inline
def shifted_signed(shift: u256, value: u256) -> u256:
    """SAR."""
    return u256(i256(value) >> shift)


@inline
def signextended(size: u256, value: u256) -> u256:
    """SIGNEXTEND: ``size`` is the place of the byte that holds the sign, from the least significant."""
    if size > 30:
        return value
    unused: u256 = (31 - size) << 3
    return u256(i256(value << unused) >> unused)


def _two(operation: object) -> Handler:
    @inline
    @handler
    def two_words(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        word: u256 = operation(load256(sp - 32), load256(sp - 64))  # type: ignore[operator]
        store256(sp - 64, 0, word)
        return go(frame, pc + 1, sp - 32, gas, rows)

    return two_words


def _three(operation: object) -> Handler:
    @inline
    @handler
    def three_words(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        word: u256 = operation(load256(sp - 32), load256(sp - 64), load256(sp - 96))  # type: ignore[operator]
        store256(sp - 96, 0, word)
        return go(frame, pc + 1, sp - 64, gas, rows)

    return three_words


add, mul, sub = _two(_add), _two(_mul), _two(_sub)
div, sdiv, mod, smod = _two(quotient_of), _two(signed_quotient), _two(remainder_of), _two(signed_remainder)
addmod = _three(sum_modulo)
signextend = _two(signextended)
lt, gt, slt, sgt, eq = _two(_lt), _two(_gt), _two(_slt), _two(_sgt), _two(_eq)
and_, or_, xor = _two(_and), _two(_or), _two(_xor)
byte, shl, shr, sar = _two(byte_of), _two(shifted_left), _two(shifted_right), _two(shifted_signed)


@inline
@handler
def mulmod(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """(a * b) % m."""
    word: u256 = product_modulo_again(Run(frame.run), load256(sp - 32), load256(sp - 64), load256(sp - 96))
    store256(sp - 96, 0, word)
    return go(frame, pc + 1, sp - 64, gas, rows)


@inline
@handler
def exp(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """base ** exponent."""
    exponent: u256 = load256(sp - 64)
    gas = gas - i64(Rules(Run(frame.run).rules).exp_byte * byte_length(exponent))
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    store256(sp - 64, 0, power(load256(sp - 32), exponent))
    return go(frame, pc + 1, sp - 32, gas, rows)


@inline
@handler
def iszero(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """a == 0."""
    store256(sp - 32, 0, u256(load256(sp - 32) == 0))
    return go(frame, pc + 1, sp, gas, rows)


@inline
@handler
def not_(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """All bits turned over."""
    store256(sp - 32, 0, ~load256(sp - 32))
    return go(frame, pc + 1, sp, gas, rows)


@inline
@handler
def clz(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Zero bits before the first one; 256 for 0 (EIP-7939)."""
    store256(sp - 32, 0, leading_zeros(load256(sp - 32)))
    return go(frame, pc + 1, sp, gas, rows)


# --- the stack ---


@inline
@handler
def pop(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Forget a word."""
    return go(frame, pc + 1, sp - 32, gas, rows)


@inline
@handler
def push0(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """EIP-3855."""
    store256(sp, 0, 0)
    return go(frame, pc + 1, sp + 32, gas, rows)


def push(n: int) -> Handler:
    """PUSHn: the n bytes behind the opcode; code is padded, so they are always there."""
    unused = 64 - 8 * n if n <= 8 else 256 - 8 * n

    @inline
    @handler
    def push_n(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        if n == 1:
            store256(sp, 0, u256(load8(pc, 1)))
        elif n == 4:
            store256(sp, 0, u256(swap_bytes(u32(load32(pc, 1)))))
        elif n <= 8:
            store256(sp, 0, u256(swap_bytes(u64(load64(pc, 1))) >> unused))
        else:
            store256(sp, 0, swap_bytes(load256(pc, 1)) >> unused)
        return go(frame, pc + (n + 1), sp + 32, gas, rows)

    return push_n


def dup(n: int) -> Handler:
    """DUPn: the n-th word once more."""
    distance = 32 * n

    @inline
    @handler
    def dup_n(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        store256(sp, 0, load256(sp - distance))
        return go(frame, pc + 1, sp + 32, gas, rows)

    return dup_n


def swap(n: int) -> Handler:
    """SWAPn: the top and the word n below it."""
    distance = 32 * (n + 1)

    @inline
    @handler
    def swap_n(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        top: u256 = load256(sp - 32)
        store256(sp - 32, 0, load256(sp - distance))
        store256(sp - distance, 0, top)
        return go(frame, pc + 1, sp, gas, rows)

    return swap_n


# --- jumps ---


@inline
@handler
def jump(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Go on at a JUMPDEST."""
    target: u256 = load256(sp - 32)
    if unlikely(target >= u256(frame.code_size)):
        return bad_jump(frame, pc, sp, gas, rows)
    mark: u8 = load8(frame.jumps, u64(target))
    if unlikely(mark != LANDING):
        if mark == 0:
            return bad_jump(frame, pc, sp, gas, rows)
        return land(frame, frame.code + u64(target), sp - 32, gas, rows)
    return go(frame, frame.code + u64(target), sp - 32, gas, rows)


@inline
@handler
def jumpi(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Go on at a JUMPDEST if the condition is not 0."""
    target: u256 = load256(sp - 32)
    if load256(sp - 64) == 0:
        return go(frame, pc + 1, sp - 64, gas, rows)
    if unlikely(target >= u256(frame.code_size)):
        return bad_jump(frame, pc, sp, gas, rows)
    mark: u8 = load8(frame.jumps, u64(target))
    if unlikely(mark != LANDING):
        if mark == 0:
            return bad_jump(frame, pc, sp, gas, rows)
        return land(frame, frame.code + u64(target), sp - 64, gas, rows)
    return go(frame, frame.code + u64(target), sp - 64, gas, rows)


@inline
@handler
def jumpdest(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Nothing: a place to land."""
    return go(frame, pc + 1, sp, gas, rows)


@inline
@handler
def program_counter(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Where this instruction stands."""
    store256(sp, 0, u256(pc - frame.code))
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def gas_left(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """What is left after paying for this instruction."""
    store256(sp, 0, u256(gas))
    return go(frame, pc + 1, sp + 32, gas, rows)
