"""Functions of the machine that units call: what is too large to be compiled into every unit.

Each either does all of its work or nothing, and then answers UNPAYABLE: the unit leaves before the instruction, and
the interpreter meets the same. ``gas`` is what is left after everything in the block that has a fixed price.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from node.evm.native.compiler.intrinsics import apart, copy_bytes, is_null, load256, store64, store256, swap_bytes
from node.evm.native.compiler.types import i64, ptr, u64, u256
from node.evm.native.interpreter.state import write_price
from node.evm.native.runtime.arithmetic import power, product_modulo, quotient_of, remainder_of, sum_modulo
from node.evm.native.runtime.digests import hash_of, hash_of_pair
from node.evm.native.runtime.memory import UNPAYABLE, copy_padded, grow
from node.evm.native.runtime.moduli import product_modulo_again
from node.evm.native.runtime.records import TRANSIENT, WARM, Account, Frame, Rules, Run
from node.evm.native.runtime.world import find_slot, keep_slot


@apart
def read_slot(frame: Frame, gas: i64, key: u256, place: ptr) -> i64:
    """SLOAD into ``place``; the gas left."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    slot = find_slot(run, Account(frame.account), u64(0), key)
    if is_null(slot):
        return i64(UNPAYABLE)
    is_warm: bool = (slot.flags & WARM) != 0
    gas = gas - (rules.warm_access if is_warm else rules.cold_slot)
    if gas < 0:
        return i64(UNPAYABLE)
    if not is_warm:
        keep_slot(run, slot)
        slot.flags |= WARM
    store256(place, 0, slot.value)
    return gas


@apart
def write_slot(frame: Frame, gas: i64, all_gas: i64, key: u256, value: u256) -> i64:
    """SSTORE with net metering; ``all_gas`` is what the interpreter would have left here. The gas left."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    if frame.is_static != 0 or all_gas <= rules.sstore_stipend_guard:
        return i64(UNPAYABLE)
    slot = find_slot(run, Account(frame.account), u64(0), key)
    if is_null(slot):
        return i64(UNPAYABLE)
    refund: i64 = run.refund
    if (slot.flags & WARM) == 0:
        gas = gas - rules.cold_slot
    gas = gas - write_price(run, rules, slot, value)
    if gas < 0:
        run.refund = refund
        return i64(UNPAYABLE)
    keep_slot(run, slot)
    slot.flags |= WARM
    slot.value = value
    Account(frame.account).wrote = 1
    return gas


@apart
def read_transient(frame: Frame, gas: i64, key: u256, place: ptr) -> i64:
    """TLOAD into ``place``; the gas as it was."""
    slot = find_slot(Run(frame.run), Account(frame.account), u64(TRANSIENT), key)
    if is_null(slot):
        return i64(UNPAYABLE)
    store256(place, 0, slot.value)
    return gas


@apart
def write_transient(frame: Frame, gas: i64, key: u256, value: u256) -> i64:
    """TSTORE; the gas as it was."""
    run = Run(frame.run)
    if frame.is_static != 0:
        return i64(UNPAYABLE)
    slot = find_slot(run, Account(frame.account), u64(TRANSIENT), key)
    if is_null(slot):
        return i64(UNPAYABLE)
    keep_slot(run, slot)
    slot.value = value
    return gas


@apart
def write_log(frame: Frame, offset: u64, size: u64, topics: u64, words: ptr) -> u64:
    """LOG of memory that is there, with ``topics`` words; 0 where the unit must leave."""
    run = Run(frame.run)
    head: u64 = 24 + (topics << 5)
    used: u64 = ((size + 7) & ~u64(7)) + head
    if frame.is_static != 0 or used > run.logs_capacity - run.logs_length:
        return u64(0)
    record: ptr = run.logs + run.logs_length
    store64(record, 0, Account(frame.account).number)
    store64(record, 8, topics)
    store64(record, 16, size)
    at: u64 = 0
    while at < topics:
        store256(record, 24 + (at << 5), swap_bytes(load256(words, at << 5)))
        at = at + 1
    if size != 0:
        copy_bytes(record + head, frame.memory + offset, size)
    run.logs_length += used
    run.logs_count += 1
    return u64(1)


@apart
def read_call_data(frame: Frame, offset: u256, place: ptr) -> None:
    """CALLDATALOAD into ``place``, most significant byte first."""
    copy_padded(place, frame.data, frame.data_size, offset, u64(32))


@apart
def copy_call_data(frame: Frame, place: u64, source: u256, size: u64) -> None:
    """CALLDATACOPY into memory that is there."""
    copy_padded(frame.memory + place, frame.data, frame.data_size, source, size)


@apart
def copy_code(frame: Frame, place: u64, source: u256, size: u64) -> None:
    """CODECOPY into memory that is there."""
    copy_padded(frame.memory + place, frame.code, frame.code_size, source, size)


@apart
def copy_memory(frame: Frame, place: u64, source: u64, size: u64) -> None:
    """MCOPY inside memory that is there."""
    copy_bytes(frame.memory + place, frame.memory + source, size)


SERVICES: Final[dict[str, Callable[..., Any]]] = {
    "hot_quotient": quotient_of,
    "hot_remainder": remainder_of,
    "hot_sum_modulo": sum_modulo,
    "hot_product_modulo": product_modulo,
    "hot_product_modulo_again": product_modulo_again,
    "hot_power": power,
    "hot_hash": hash_of,
    "hot_hash_pair": hash_of_pair,
    "hot_grow": grow,
    "hot_read_slot": read_slot,
    "hot_write_slot": write_slot,
    "hot_read_transient": read_transient,
    "hot_write_transient": write_transient,
    "hot_write_log": write_log,
    "hot_read_call_data": read_call_data,
    "hot_copy_call_data": copy_call_data,
    "hot_copy_code": copy_code,
    "hot_copy_memory": copy_memory,
}
"""By the names under which the machine's object file shows them."""
