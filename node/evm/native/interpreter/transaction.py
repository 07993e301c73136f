"""A whole transaction on tables that live for a block: pay for gas, warm up, run the message, settle gas, remove.

It leaves everything in the tables; nothing of one that is given up stays, so another machine can run it.
"""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    call_handler,
    inline,
    is_null,
    load8,
    load32,
    load256,
    load_pointer,
    swap_bytes,
    unlikely,
)
from node.evm.native.compiler.types import i64, ptr, size_of, u64, u256
from node.evm.native.interpreter.calls import is_delegated
from node.evm.native.runtime.records import (
    CALL,
    EXISTS,
    GIVEN_UP,
    HAS_STORAGE,
    PRECOMPILE,
    ROW_BYTES,
    RUNNING,
    SUCCEEDED,
    TOUCHED,
    WARM,
    Account,
    Frame,
    Order,
    Rules,
    Run,
    Surroundings,
)
from node.evm.native.runtime.world import (
    find_account,
    find_slot,
    give_up,
    is_alive,
    keep_account,
    load_code,
    roll_back,
    touch,
    transfer,
)

REACHES: Final = EXISTS | TOUCHED


@apart
def begin_transaction(run: Run) -> None:
    """Nothing is warm, journaled, logged or refunded; accounts and slots are as the last transaction left them."""
    run.transaction += 1
    run.given_up = 0
    run.refund = 0
    run.journal_length = 0
    run.journal_mark = 0
    run.logs_length = 0
    run.logs_count = 0
    run.returned_size = 0
    run.init_codes_length = 0
    run.active_count = 0
    run.destroys = 0


@apart
def warm_up_list(run: Run, order: Order) -> None:
    """What the transaction names is warm from its beginning (EIP-2930)."""
    at: u64 = 0
    while at < order.access_list_size:
        account = find_account(run, load256(order.access_list, at))
        if unlikely(is_null(account)):
            return
        account.flags |= WARM
        slots: u64 = u64(load256(order.access_list, at + 32))
        at = at + 64
        while slots != 0:
            slot = find_slot(run, account, u64(0), load256(order.access_list, at))
            if unlikely(is_null(slot)):
                return
            slot.flags |= WARM
            at = at + 32
            slots = slots - 1


@apart
def open_message(run: Run, frame: Frame, order: Order, target: Account, data: ptr) -> None:
    """The outermost frame, with the code that the target has or delegates to (EIP-7702)."""
    load_code(run, target)
    if unlikely(run.given_up != 0):
        return
    source = target
    if Rules(run.rules).delegations != 0 and is_delegated(target):
        # the address behind the three bytes of the designator, which are pushed out
        source = find_account(run, swap_bytes(load256(target.code, 3)) >> 96)
        if unlikely(is_null(source)):
            return
        source.flags |= WARM
        load_code(run, source)
    frame.gas = order.gas
    frame.pc = source.code
    frame.sp = frame.stack
    frame.run = ptr(run)
    frame.memory_size = 0
    frame.code = source.code
    frame.code_size = source.code_size
    frame.jumps = source.jumps
    frame.data = data
    frame.data_size = order.data_size
    frame.account = ptr(target)
    frame.caller = order.sender
    frame.value = order.value
    frame.is_static = 0
    frame.depth = 0
    frame.kind = CALL
    frame.status = RUNNING
    frame.output = frame.memory
    frame.output_size = 0
    frame.logs_mark = 0
    frame.logs_count_mark = 0
    frame.refund_mark = 0
    frame.init_codes_mark = 0
    frame.is_outermost = 1


@apart
def settle_gas(run: Run, frame: Frame, order: Order, sender: Account, coinbase: Account) -> None:
    """Refunds (EIP-3529), the floor (EIP-7623), the rest back to the sender, the tip to the coinbase."""
    used: i64 = order.gas_limit - frame.gas
    order.gas_used_before_refund = used if used > order.floor else order.floor
    refund: i64 = run.refund
    cap: i64 = i64(u64(used) // order.refund_quotient)
    if refund > cap:
        refund = cap
    used = used - refund
    if used < order.floor:
        used = order.floor
    order.gas_used = used
    sender.balance += u256(order.gas_limit - used) * order.price
    coinbase.balance += u256(used) * order.tip
    coinbase.flags |= REACHES


@inline
def goes(account: Account) -> bool:
    """Touched, there, and empty."""
    return (account.flags & REACHES) == REACHES and not is_alive(account)


@inline
def active_account(run: Run, at: u64) -> Account:
    """One of those that this transaction met."""
    return Account(run.accounts + u64(load32(run.active, at << 2)) * size_of(Account))


@apart
def remove_empty(run: Run) -> None:
    """Accounts that were touched and are empty go (EIP-161). Gives up where one has slots, which the host knows."""
    at: u64 = 0
    while at < run.active_count:
        account = active_account(run, at)
        if goes(account) and unlikely((account.flags & HAS_STORAGE) != 0):
            give_up(run)
            return
        at = at + 1
    at = u64(0)
    while at < run.active_count:
        account = active_account(run, at)
        if goes(account):
            account.flags &= ~u64(EXISTS)
        at = at + 1


@apart
def run_transaction(run: Run, frame: Frame, order: Order, data: ptr) -> None:
    """``order.status`` is GIVEN_UP, or how the message ended; ``frame`` has its place in memory and on the stacks."""
    begin_transaction(run)
    order.status = GIVEN_UP
    sender = find_account(run, order.sender)
    if unlikely(is_null(sender)):
        return
    target = find_account(run, order.target)
    if unlikely(is_null(target)):
        return
    coinbase = find_account(run, Surroundings(run.surroundings).coinbase)
    if unlikely(is_null(coinbase)):
        return
    if unlikely((target.flags & PRECOMPILE) != 0):
        return
    keep_account(run, coinbase)
    touch(run, sender)
    keep_account(run, sender)
    sender.balance -= order.cost
    sender.nonce += 1
    sender.flags |= WARM
    target.flags |= WARM
    if order.warm_coinbase != 0:
        coinbase.flags |= WARM
    if order.access_list_size != 0:
        warm_up_list(run, order)
    mark: u64 = run.journal_length
    run.journal_mark = mark
    frame.journal_mark = mark
    if run.given_up == 0:
        open_message(run, frame, order, target, data)
    if run.given_up == 0:
        transfer(run, sender, target, order.value)
        if frame.code_size == 0:
            frame.status = SUCCEEDED
        else:
            first: ptr = load_pointer(run.rows, u64(load8(frame.pc)) * ROW_BYTES)
            call_handler(first, frame, frame.pc, frame.sp, frame.gas, run.rows)
    # whom it deletes loses all slots, which the host knows
    if run.given_up == 0 and frame.status != GIVEN_UP and run.destroys == 0:
        order.gas_left = frame.gas
        settle_gas(run, frame, order, sender, coinbase)
        if order.removes_empty != 0:
            remove_empty(run)
        if run.given_up == 0:
            order.output = frame.output
            order.output_size = frame.output_size
            order.logs_length = run.logs_length
            order.status = frame.status
            return
    roll_back(run, u64(0))
