"""How handlers go on, and how they end their frame.

A handler takes (frame, pc, sp, gas, rows): ``pc`` is the address of its opcode, ``sp`` that of the first free stack
word, ``gas`` what is left, ``rows`` the fork's instruction table. The five stay in registers from one to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from node.evm.native.compiler.intrinsics import (
    apart,
    handler,
    inline,
    jump,
    load8,
    load32,
    load_pointer,
    store8,
    store32,
    store256,
    unlikely,
)
from node.evm.native.compiler.types import i64, ptr, size_of, u32, u64, u256
from node.evm.native.interpreter.ending import close_frame, resume_parent
from node.evm.native.runtime.records import (
    COUNTED,
    ENTRY,
    GIVEN_UP,
    HITS_MAX,
    HOT_HITS,
    INVALID_JUMP,
    INVALID_OPCODE,
    LANDING,
    OUT_OF_GAS,
    ROW_BYTES,
    STACK_BYTES,
    STACK_OVERFLOW,
    STACK_UNDERFLOW,
    STATIC_WRITE,
    Frame,
    Heat,
    Run,
)

Handler: TypeAlias = Callable[[Frame, int, int, int, int], None]
STACK_LIMIT: Final = 1024


@inline
@handler
def go(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The instruction at ``pc``."""
    row: ptr = rows + u64(load8(pc)) * ROW_BYTES
    return jump(load_pointer(row), frame, pc, sp, gas, rows)


@apart
@handler
def end(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """``frame.status`` says how the frame ended: undo or keep its changes, and go on in its parent."""
    frame.gas = gas
    frame.pc = pc
    frame.sp = sp
    run = Run(frame.run)
    close_frame(run, frame)
    if frame.is_outermost != 0 or run.given_up != 0:
        return
    parent = Frame(ptr(frame) - size_of(Frame))
    resume_parent(run, parent, frame)
    return go(parent, parent.pc + 1, parent.sp, parent.gas, rows)


@apart
@handler
def out_of_gas(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Also where memory could not grow for another reason."""
    frame.status = OUT_OF_GAS
    return end(frame, pc, sp, gas, rows)


@apart
@handler
def stack_fault(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Too few words, or too many: half of the limit tells them apart, for no instruction needs or adds that many."""
    if (u64(sp) & (STACK_BYTES - 1)) < STACK_LIMIT * 16:
        frame.status = STACK_UNDERFLOW
    else:
        frame.status = STACK_OVERFLOW
    return end(frame, pc, sp, gas, rows)


@apart
@handler
def static_write(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Ends the frame where state must not change (EIP-214)."""
    frame.status = STATIC_WRITE
    return end(frame, pc, sp, gas, rows)


@apart
@handler
def bad_jump(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Ends the frame: no JUMPDEST there."""
    frame.status = INVALID_JUMP
    return end(frame, pc, sp, gas, rows)


@apart
@handler
def land(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """At a landing place that is counted, or where a compiled unit goes on (``hot``)."""
    heat = Heat(load_pointer(frame.jumps - 8))
    at: u64 = pc - frame.code
    mark: u64 = u64(load8(frame.jumps, at))
    if mark == COUNTED:
        hits: u32 = load32(heat.hits, at << 2) + 1
        store32(heat.hits, at << 2, hits)
        if unlikely(hits == HOT_HITS):
            Run(frame.run).hot += 1
            heat.hot += 1
        elif unlikely(hits == HITS_MAX):
            store8(frame.jumps, at, LANDING)
        return go(frame, pc, sp, gas, rows)
    return jump(load_pointer(heat.entries, (mark - ENTRY) << 3), frame, pc, sp, gas, rows)


@apart
@handler
def give_up_here(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The message must run elsewhere."""
    Run(frame.run).given_up = 1
    frame.status = GIVEN_UP
    return end(frame, pc, sp, gas, rows)


@handler
def undefined(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """An opcode that the fork does not have."""
    frame.status = INVALID_OPCODE
    return end(frame, pc, sp, gas, rows)


def checked(opcode: int, pops: int, pushes: int, body: Handler) -> Handler:
    """``body`` behind the checks that every instruction begins with: the stack, then the base gas of the row."""
    least = 32 * pops
    most = 32 * (STACK_LIMIT - pushes + pops)
    grows = pushes > pops
    price_at = ROW_BYTES * opcode + 8

    @handler
    def enter(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        if pops > 0 and unlikely((u64(sp) & (STACK_BYTES - 1)) < least):
            return stack_fault(frame, pc, sp, gas, rows)
        if grows and unlikely((u64(sp) & (STACK_BYTES - 1)) > most):
            return stack_fault(frame, pc, sp, gas, rows)
        gas = gas - i64(load32(rows, price_at))
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        return body(frame, pc, sp, gas, rows)

    enter.__name__ = f"op{opcode:02x}"
    return enter


@inline
def push_word(sp: ptr, word: u256) -> ptr:
    """Write a word on the stack; the stack pointer behind it."""
    store256(sp, 0, word)
    return sp + 32
