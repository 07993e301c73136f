"""Memory, logs, call data, code, return data, block and transaction; RETURN, REVERT, STOP."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import (
    ask,
    copy_bytes,
    handler,
    inline,
    likely,
    load64,
    load256,
    store8,
    store64,
    store256,
    swap_bytes,
    unlikely,
)
from node.evm.native.compiler.types import i64, layout, ptr, u8, u64, u256
from node.evm.native.interpreter.flow import Handler, end, give_up_here, go, out_of_gas, static_write
from node.evm.native.runtime.digests import hash_of_memory
from node.evm.native.runtime.memory import BYTES_MAX, copy_padded, expand, grow, pay_by_words, too_large
from node.evm.native.runtime.records import (
    ASK_BLOCK_HASH,
    HASH_BYTES,
    RETURN_DATA_OUT_OF_BOUNDS,
    REVERTED,
    SUCCEEDED,
    Account,
    Frame,
    Rules,
    Run,
    Surroundings,
)

HASHES_REMEMBERED = 256
"""BLOCKHASH answers for this many blocks before the current one."""


# --- memory ---


@inline
@handler
def mload(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The word at an offset."""
    offset: u256 = load256(sp - 32)
    if unlikely(offset > BYTES_MAX):
        gas = too_large(Run(frame.run), gas)
        return out_of_gas(frame, pc, sp, gas, rows)
    if unlikely(u64(offset) + 32 > frame.memory_size):
        gas = grow(frame, gas, u64(offset) + 32)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, swap_bytes(load256(frame.memory, u64(offset))))
    return go(frame, pc + 1, sp, gas, rows)


@inline
@handler
def mstore(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Write a word."""
    offset: u256 = load256(sp - 32)
    if unlikely(offset > BYTES_MAX):
        gas = too_large(Run(frame.run), gas)
        return out_of_gas(frame, pc, sp, gas, rows)
    if unlikely(u64(offset) + 32 > frame.memory_size):
        gas = grow(frame, gas, u64(offset) + 32)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
    store256(frame.memory, u64(offset), swap_bytes(load256(sp - 64)))
    return go(frame, pc + 1, sp - 64, gas, rows)


@inline
@handler
def mstore8(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Write the low byte of a word."""
    offset: u256 = load256(sp - 32)
    gas = expand(frame, gas, offset, u256(1))
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    store8(frame.memory, u64(offset), u8(load256(sp - 64)))
    return go(frame, pc + 1, sp - 64, gas, rows)


@inline
@handler
def msize(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Bytes of memory so far, a multiple of 32."""
    store256(sp, 0, u256(frame.memory_size))
    return go(frame, pc + 1, sp + 32, gas, rows)


@handler
def mcopy(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Copy inside memory; the two areas may overlap (EIP-5656)."""
    target: u256 = load256(sp - 32)
    source: u256 = load256(sp - 64)
    size: u256 = load256(sp - 96)
    gas = pay_by_words(Run(frame.run), gas, Rules(Run(frame.run).rules).copy_word, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    gas = expand(frame, gas, target if target > source else source, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    if size != 0:
        copy_bytes(frame.memory + u64(target), frame.memory + u64(source), u64(size))
    return go(frame, pc + 1, sp - 96, gas, rows)


@handler
def keccak(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """keccak256 of a piece of memory."""
    offset: u256 = load256(sp - 32)
    size: u256 = load256(sp - 64)
    gas = pay_by_words(Run(frame.run), gas, Rules(Run(frame.run).rules).keccak_word, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    gas = expand(frame, gas, offset, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    begin: u64 = u64(offset) if size != 0 else u64(0)
    store256(sp - 64, 0, hash_of_memory(Run(frame.run), frame.memory + begin, u64(size)))
    return go(frame, pc + 1, sp - 32, gas, rows)


# --- copies ---


@handler
def copy_to_memory(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The shared body of copies: (target, source, size) on the stack, what to copy from in ``output``."""
    target: u256 = load256(sp - 32)
    size: u256 = load256(sp - 96)
    gas = pay_by_words(Run(frame.run), gas, Rules(Run(frame.run).rules).copy_word, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    gas = expand(frame, gas, target, size)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    if size != 0:
        place: ptr = frame.memory + u64(target)
        copy_padded(place, frame.output, frame.output_size, load256(sp - 64), u64(size))
    return go(frame, pc + 1, sp - 96, gas, rows)


@inline
@handler
def calldatacopy(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Call data to memory."""
    frame.output = frame.data
    frame.output_size = frame.data_size
    return copy_to_memory(frame, pc, sp, gas, rows)


@inline
@handler
def codecopy(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The code that runs, to memory."""
    frame.output = frame.code
    frame.output_size = frame.code_size
    return copy_to_memory(frame, pc, sp, gas, rows)


@inline
@handler
def returndatacopy(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The last child's output to memory; unlike other copies it may not read behind the end (EIP-211)."""
    run = Run(frame.run)
    there: u256 = u256(run.returned_size)
    offset: u256 = load256(sp - 64)
    if unlikely(offset > there or load256(sp - 96) > there - offset):
        frame.status = RETURN_DATA_OUT_OF_BOUNDS
        return end(frame, pc, sp, gas, rows)
    frame.output = run.returned
    frame.output_size = run.returned_size
    return copy_to_memory(frame, pc, sp, gas, rows)


@inline
@handler
def calldataload(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """The word at an offset of the call data; 0 behind its end."""
    offset: u256 = load256(sp - 32)
    size: u64 = frame.data_size
    if likely(offset < u256(size) and u64(offset) + 32 <= size):
        store256(sp - 32, 0, swap_bytes(load256(frame.data, u64(offset))))
    else:
        copy_padded(sp - 32, frame.data, size, offset, u64(32))
        store256(sp - 32, 0, swap_bytes(load256(sp - 32)))
    return go(frame, pc + 1, sp, gas, rows)


# --- words that lie ready ---


@inline
@handler
def calldatasize(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Bytes of call data."""
    store256(sp, 0, u256(frame.data_size))
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def codesize(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Bytes of the code that runs."""
    store256(sp, 0, u256(frame.code_size))
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def returndatasize(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Bytes of the last child's output (EIP-211)."""
    store256(sp, 0, u256(Run(frame.run).returned_size))
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def address(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Who runs."""
    store256(sp, 0, Account(frame.account).address)
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def selfbalance(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Wei of the account that runs (EIP-1884)."""
    store256(sp, 0, Account(frame.account).balance)
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def caller(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Who sent this message."""
    store256(sp, 0, frame.caller)
    return go(frame, pc + 1, sp + 32, gas, rows)


@inline
@handler
def callvalue(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Wei that this message carries."""
    store256(sp, 0, frame.value)
    return go(frame, pc + 1, sp + 32, gas, rows)


def surrounding(name: str) -> Handler:
    """A word of the block or the transaction."""
    offset = layout(Surroundings)[name].offset

    @inline
    @handler
    def push_surrounding(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        store256(sp, 0, load256(Run(frame.run).surroundings, offset))
        return go(frame, pc + 1, sp + 32, gas, rows)

    return push_surrounding


@handler
def blockhash(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Hash of one of the last 256 blocks, 0 for any other number."""
    run = Run(frame.run)
    number: u256 = load256(sp - 32)
    now: u256 = Surroundings(run.surroundings).number
    word: u256 = 0
    if number < now and now - number <= HASHES_REMEMBERED:
        known: ptr = run.hashes + (u64(number) & 255) * HASH_BYTES
        if load64(known) != u64(number):
            if unlikely(ask(run.callback, run, ASK_BLOCK_HASH, u64(number), 0) < 0):
                return give_up_here(frame, pc, sp, gas, rows)
            store64(known, 0, u64(number))
            store256(known, 8, run.answer)
        word = load256(known, 8)
    store256(sp - 32, 0, word)
    return go(frame, pc + 1, sp, gas, rows)


@handler
def blobhash(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Versioned hash of one of the transaction's blobs, 0 where there is none (EIP-4844)."""
    run = Run(frame.run)
    index: u256 = load256(sp - 32)
    word: u256 = 0
    if index < u256(run.blob_count):
        word = swap_bytes(load256(run.blob_hashes, u64(index) << 5))
    store256(sp - 32, 0, word)
    return go(frame, pc + 1, sp, gas, rows)


# --- logs and endings ---


def log(topics: int) -> Handler:
    """LOGn; the price of the topics is in the base gas of its row."""
    head = 24 + 32 * topics

    @handler
    def log_n(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        run = Run(frame.run)
        offset: u256 = load256(sp - 32)
        size: u256 = load256(sp - 64)
        if unlikely(frame.is_static != 0):
            return static_write(frame, pc, sp, gas, rows)
        if unlikely(size > BYTES_MAX):
            gas = too_large(run, gas)
            return out_of_gas(frame, pc, sp, gas, rows)
        gas = gas - i64(Rules(run.rules).log_data_byte * u64(size))
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        gas = expand(frame, gas, offset, size)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        used: u64 = ((u64(size) + 7) & ~u64(7)) + head
        if unlikely(used > run.logs_capacity - run.logs_length):
            return give_up_here(frame, pc, sp, gas, rows)
        record: ptr = run.logs + run.logs_length
        store64(record, 0, Account(frame.account).number)
        store64(record, 8, topics)
        store64(record, 16, u64(size))
        for topic in range(topics):
            store256(record, 24 + 32 * topic, swap_bytes(load256(sp - (96 + 32 * topic))))
        if size != 0:
            copy_bytes(record + head, frame.memory + u64(offset), u64(size))
        run.logs_length += used
        run.logs_count += 1
        return go(frame, pc + 1, sp - (64 + 32 * topics), gas, rows)

    return log_n


@handler
def stop(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """End without output."""
    frame.output_size = 0
    frame.status = SUCCEEDED
    return end(frame, pc, sp, gas, rows)


def ending(status: int) -> Handler:
    """RETURN and REVERT: end with a piece of memory as output."""

    @handler
    def end_with_output(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        offset: u256 = load256(sp - 32)
        size: u256 = load256(sp - 64)
        gas = expand(frame, gas, offset, size)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        frame.output = frame.memory
        if size != 0:
            frame.output = frame.memory + u64(offset)
        frame.output_size = u64(size)
        frame.status = status
        return end(frame, pc, sp, gas, rows)

    return end_with_output


return_, revert = ending(SUCCEEDED), ending(REVERTED)
