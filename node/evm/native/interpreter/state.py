"""SLOAD, SSTORE, TLOAD, TSTORE, and looking at other accounts."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import handler, is_null, load256, store256, unlikely
from node.evm.native.compiler.types import i64, ptr, u64, u256
from node.evm.native.interpreter.context import copy_to_memory
from node.evm.native.interpreter.flow import end, give_up_here, go, out_of_gas, static_write
from node.evm.native.runtime.records import TRANSIENT, UNPAID_STIPEND, WARM, Account, Frame, Rules, Run, Slot
from node.evm.native.runtime.world import find_account, find_slot, is_alive, keep_slot, load_code, warm_up


@handler
def sload(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """A slot of the running account."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    slot = find_slot(run, Account(frame.account), u64(0), load256(sp - 32))
    if unlikely(is_null(slot)):
        return give_up_here(frame, pc, sp, gas, rows)
    if (slot.flags & WARM) != 0:
        gas = gas - rules.warm_access
    else:
        keep_slot(run, slot)
        slot.flags |= WARM
        gas = gas - rules.cold_slot
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, slot.value)
    return go(frame, pc + 1, sp, gas, rows)


def write_price(run: Run, rules: Rules, slot: Slot, value: u256) -> i64:
    """The price of SSTORE on a warm slot; sets the refund counter right (EIP-1283, 2200, 2929, 3529).

    A refund that the price then does not let stand is undone with the frame.
    """
    current: u256 = slot.value
    if current == value:
        return rules.sstore_noop
    original: u256 = slot.original
    if original == current:
        if original == 0:
            return rules.sstore_set
        if value == 0:
            run.refund += rules.sstore_clear_refund
        return rules.sstore_reset
    if original != 0:
        if current == 0:
            run.refund -= rules.sstore_clear_refund
        elif value == 0:
            run.refund += rules.sstore_clear_refund
    if original == value:
        if original == 0:
            run.refund += rules.sstore_set - rules.sstore_noop
        else:
            run.refund += rules.sstore_reset - rules.sstore_noop
    return rules.sstore_noop


@handler
def sstore(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Write a slot; net metering against the values now and at the start of the transaction (EIP-2200)."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    if unlikely(frame.is_static != 0):
        return static_write(frame, pc, sp, gas, rows)
    if unlikely(gas <= rules.sstore_stipend_guard):
        frame.status = UNPAID_STIPEND
        return end(frame, pc, sp, gas, rows)
    value: u256 = load256(sp - 64)
    slot = find_slot(run, Account(frame.account), u64(0), load256(sp - 32))
    if unlikely(is_null(slot)):
        return give_up_here(frame, pc, sp, gas, rows)
    keep_slot(run, slot)
    if (slot.flags & WARM) == 0:
        slot.flags |= WARM
        gas = gas - rules.cold_slot
    gas = gas - write_price(run, rules, slot, value)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    slot.value = value
    Account(frame.account).wrote = 1
    return go(frame, pc + 1, sp - 64, gas, rows)


@handler
def sstore_gross(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Write a slot; every write is paid in full (before EIP-1283, and between EIP-1716 and EIP-2200)."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    if unlikely(frame.is_static != 0):
        return static_write(frame, pc, sp, gas, rows)
    value: u256 = load256(sp - 64)
    slot = find_slot(run, Account(frame.account), u64(0), load256(sp - 32))
    if unlikely(is_null(slot)):
        return give_up_here(frame, pc, sp, gas, rows)
    if slot.value == 0 and value != 0:
        gas = gas - rules.sstore_set
    else:
        gas = gas - rules.sstore_reset
        if slot.value != 0 and value == 0:
            run.refund += rules.sstore_clear_refund
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    keep_slot(run, slot)
    slot.value = value
    Account(frame.account).wrote = 1
    return go(frame, pc + 1, sp - 64, gas, rows)


@handler
def tload(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """A transient slot: forgotten at the end of the transaction (EIP-1153)."""
    slot = find_slot(Run(frame.run), Account(frame.account), u64(TRANSIENT), load256(sp - 32))
    if unlikely(is_null(slot)):
        return give_up_here(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, slot.value)
    return go(frame, pc + 1, sp, gas, rows)


@handler
def tstore(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Write a transient slot (EIP-1153)."""
    run = Run(frame.run)
    if unlikely(frame.is_static != 0):
        return static_write(frame, pc, sp, gas, rows)
    slot = find_slot(run, Account(frame.account), u64(TRANSIENT), load256(sp - 32))
    if unlikely(is_null(slot)):
        return give_up_here(frame, pc, sp, gas, rows)
    keep_slot(run, slot)
    slot.value = load256(sp - 64)
    return go(frame, pc + 1, sp - 64, gas, rows)


# --- other accounts ---


def access(run: Run, account: Account) -> i64:
    """The price of touching an account, which is warm from now on (EIP-2929)."""
    rules = Rules(run.rules)
    return rules.cold_account if warm_up(run, account) else rules.warm_access


@handler
def balance(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Wei of an account."""
    run = Run(frame.run)
    account = find_account(run, load256(sp - 32))
    if unlikely(is_null(account)):
        return give_up_here(frame, pc, sp, gas, rows)
    gas = gas - access(run, account)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, account.balance)
    return go(frame, pc + 1, sp, gas, rows)


@handler
def extcodesize(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Bytes of an account's code; 23 for a delegated one, whose designator is its code (EIP-7702)."""
    run = Run(frame.run)
    account = find_account(run, load256(sp - 32))
    if unlikely(is_null(account)):
        return give_up_here(frame, pc, sp, gas, rows)
    gas = gas - access(run, account)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    load_code(run, account)
    if unlikely(run.given_up != 0):
        return give_up_here(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, u256(account.code_size))
    return go(frame, pc + 1, sp, gas, rows)


@handler
def extcodecopy(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """An account's code to memory; a delegated one shows its designator (EIP-7702)."""
    run = Run(frame.run)
    account = find_account(run, load256(sp - 32))
    if unlikely(is_null(account)):
        return give_up_here(frame, pc, sp, gas, rows)
    gas = gas - access(run, account)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    load_code(run, account)
    if unlikely(run.given_up != 0):
        return give_up_here(frame, pc, sp, gas, rows)
    frame.output = account.code
    frame.output_size = account.code_size
    return copy_to_memory(frame, pc, sp - 32, gas, rows)


@handler
def extcodehash(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """Hash of an account's code, 0 for an account that is empty or not there (EIP-1052)."""
    run = Run(frame.run)
    account = find_account(run, load256(sp - 32))
    if unlikely(is_null(account)):
        return give_up_here(frame, pc, sp, gas, rows)
    gas = gas - access(run, account)
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    store256(sp - 32, 0, account.code_hash if is_alive(account) else u256(0))
    return go(frame, pc + 1, sp, gas, rows)
