"""The end of a frame: deposit the code of a creation, undo what failed, hand the output to the parent."""

from __future__ import annotations

from node.evm.native.compiler.intrinsics import (
    apart,
    copy_bytes,
    load8,
    store256,
    unlikely,
)
from node.evm.native.compiler.types import i64, ptr, u64, u256
from node.evm.native.runtime.digests import hash_of
from node.evm.native.runtime.records import (
    CODE_CHANGED,
    CODE_LOADED,
    CODE_SIZE_EXCEEDED,
    CREATE,
    INVALID_CODE_PREFIX,
    REVERTED,
    SUCCEEDED,
    UNPAID_DEPOSIT,
    Account,
    Frame,
    Rules,
    Run,
)
from node.evm.native.runtime.world import give_up, jumps_behind, keep_account, ready_code, roll_back, touch


@apart
def deposit_code(run: Run, frame: Frame) -> None:
    """Store what init code returned (Yellow Paper 7), or halt."""
    rules = Rules(run.rules)
    size: u64 = frame.output_size
    if rules.rejects_ef_code != 0 and size != 0 and load8(frame.output) == 0xEF:  # EIP-3541
        frame.status = INVALID_CODE_PREFIX
        return
    if size > rules.code_size_max:  # EIP-170
        frame.status = CODE_SIZE_EXCEEDED
        frame.wanted_size = size  # for the words of the outcome
        return
    left: i64 = frame.gas - i64(rules.code_deposit_byte * size)
    if left < 0:
        if rules.unpaid_deposit_fails == 0:  # before EIP-2
            frame.output_size = 0
        else:
            frame.status = UNPAID_DEPOSIT
        return
    frame.gas = left
    if size == 0:
        return
    area: ptr = run.deployed + run.deployed_length
    used: u64 = ready_code(frame.output, size, area, run.deployed_capacity - run.deployed_length)
    if used == 0:
        give_up(run)
        return
    run.deployed_length += used
    account = Account(frame.account)
    touch(run, account)
    keep_account(run, account)
    account.code = area
    account.code_size = size
    account.jumps = jumps_behind(area, size)
    account.code_hash = hash_of(area, size)
    account.flags |= CODE_LOADED | CODE_CHANGED
    frame.output = area


@apart
def close_frame(run: Run, frame: Frame) -> None:
    """Keep or undo what the frame did; afterwards ``gas``, ``output`` and ``output_size`` are what the parent gets."""
    if frame.status == SUCCEEDED and frame.kind == CREATE:
        deposit_code(run, frame)
    run.init_codes_length = frame.init_codes_mark
    if frame.status == SUCCEEDED:
        return
    roll_back(run, frame.journal_mark)
    run.logs_length = frame.logs_mark
    run.logs_count = frame.logs_count_mark
    run.refund = frame.refund_mark
    if frame.status != REVERTED:
        frame.gas = 0
        frame.output_size = 0


@apart
def resume_parent(run: Run, parent: Frame, child: Frame) -> None:
    """The second half of CALL and CREATE: gas back, output to memory, the result on the parent's stack."""
    run.journal_mark = parent.journal_mark
    parent.gas += child.gas
    result: u256 = 0
    size: u64 = child.output_size
    if child.status == SUCCEEDED:
        result = u256(1)
        if child.kind == CREATE:
            result = Account(child.account).address
    if child.kind == CREATE and child.status == SUCCEEDED:
        size = 0  # only a revert leaves data: the output of a success is the deployed code (EIP-211)
    hand_over(run, parent, child.output, size)
    if child.kind == CREATE:
        store256(parent.sp, 0, result)
    else:
        copied: u64 = size
        if copied > parent.wanted_size:
            copied = parent.wanted_size
        if copied != 0:
            copy_bytes(parent.memory + parent.wanted_offset, child.output, copied)
        store256(parent.sp, 0, result)
    parent.sp = parent.sp + 32


def hand_over(run: Run, parent: Frame, output: ptr, size: u64) -> None:
    """Make an output what RETURNDATACOPY reads: the running frame's only, so one buffer serves all."""
    if unlikely(size > run.returned_capacity):
        give_up(run)
        return
    run.returned_size = size
    if size != 0:
        copy_bytes(run.returned, output, size)
