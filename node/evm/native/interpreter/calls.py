"""The CALL family, CREATE, CREATE2, SELFDESTRUCT: a child's frame is made, and the next instruction is its first."""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    ask,
    call_handler,
    copy_bytes,
    handler,
    inline,
    is_null,
    load8,
    load256,
    load_pointer,
    scratch,
    store8,
    store256,
    swap_bytes,
    unlikely,
)
from node.evm.native.compiler.types import i64, ptr, size_of, u8, u64, u256
from node.evm.native.interpreter.ending import hand_over
from node.evm.native.interpreter.flow import Handler, end, give_up_here, go, out_of_gas, static_write
from node.evm.native.interpreter.state import access
from node.evm.native.runtime.digests import hash_of
from node.evm.native.runtime.memory import expand, pay_by_words
from node.evm.native.runtime.records import (
    ASK_PRECOMPILE,
    BORN,
    CALL,
    CREATE,
    CREATED,
    DESTROYED,
    EMPTY_KECCAK,
    EXISTS,
    HAS_STORAGE,
    INITCODE_SIZE_EXCEEDED,
    NO_LIMIT,
    PRECOMPILE,
    ROW_BYTES,
    RUNNING,
    STACK_BYTES,
    SUCCEEDED,
    Account,
    Frame,
    Rules,
    Run,
)
from node.evm.native.runtime.world import (
    find_account,
    give_up,
    has_written_storage,
    is_alive,
    jumps_behind,
    keep_account,
    load_code,
    ready_code,
    roll_back,
    touch,
    transfer,
    warm_up,
)

CALL_DEPTH_LIMIT: Final = 1024
STARTED: Final = 0
ANSWERED: Final = 1
"""What a call leads to: a child that runs now, or an answer that stands on the stack already."""
FRAME_BYTES: Final = size_of(Frame)
U64_LAST: Final = 2**64 - 1


@inline
def child_of(frame: Frame) -> Frame:
    """The record behind the frame's own."""
    return Frame(ptr(frame) + FRAME_BYTES)


def open_frame(run: Run, parent: Frame, gas: i64, kind: u64, mark: u64) -> Frame:
    """A child's frame: its marks, stack and memory; who calls sets the rest."""
    child = child_of(parent)
    child.gas = gas
    child.run = ptr(run)
    child.stack = parent.stack + STACK_BYTES
    child.sp = child.stack
    child.memory = parent.memory + parent.memory_size
    child.memory_size = 0
    child.depth = parent.depth + 1
    child.kind = kind
    child.status = RUNNING
    child.output = child.memory
    child.output_size = 0
    child.is_static = parent.is_static
    child.is_outermost = 0
    child.journal_mark = mark
    child.logs_mark = run.logs_length
    child.logs_count_mark = run.logs_count
    child.refund_mark = run.refund
    child.init_codes_mark = run.init_codes_length
    run.returned_size = 0
    return child


def creates_account(rules: Rules, recipient: Account, value: u256) -> bool:
    """Whether sending ``value`` pays for a new account (EIP-161; before, be the value 0)."""
    if rules.new_account_needs_value != 0:
        return value != 0 and not is_alive(recipient)
    return (recipient.flags & EXISTS) == 0


@inline
def is_delegated(account: Account) -> bool:
    """Whether the code is an EIP-7702 designator."""
    if account.code_size != 23:
        return False
    return load8(account.code) == 0xEF and load8(account.code, 1) == 1 and load8(account.code, 2) == 0


def answer(run: Run, frame: Frame, output: ptr, size: u64, result: u256) -> None:
    """What a call leaves that never became a frame: return data, and its result where the operands stood."""
    run.journal_mark = frame.journal_mark
    hand_over(run, frame, output, size)
    copied: u64 = size
    if copied > frame.wanted_size:
        copied = frame.wanted_size
    if copied != 0:
        copy_bytes(frame.memory + frame.wanted_offset, output, copied)
    store256(frame.sp, 0, result)
    frame.sp = frame.sp + 32


def run_precompile(run: Run, frame: Frame, account: Account, gas: i64, data: ptr, size: u64, mark: u64) -> None:
    """Let Python run a contract that is not EVM code; it leaves its output where return data lies."""
    run.question_gas = gas
    run.returned_size = size
    left: i64 = ask(run.callback, run, ASK_PRECOMPILE, u64(ptr(account)), u64(data))
    if left < 0:
        roll_back(run, mark)
        answer(run, frame, data, u64(0), u256(0))
        return
    frame.gas += left
    answer(run, frame, run.returned, run.returned_size, u256(1))


def make_room(frame: Frame, sp: ptr, first: u64, gas: i64) -> i64:
    """Pay for the memory of a call's input and output; ``first`` is the operand that says where the input begins."""
    operands: ptr = sp - ((first + 1) << 5)
    gas = expand(frame, gas, load256(operands), load256(operands - 32))
    if gas < 0:
        return gas
    return expand(frame, gas, load256(operands - 64), load256(operands - 96))


def calling(opcode: int) -> Handler:
    """CALL (0xf1), CALLCODE (0xf2), DELEGATECALL (0xf4), STATICCALL (0xfa)."""
    takes_value = opcode in (0xF1, 0xF2)
    operands = 7 if takes_value else 6
    as_caller = opcode in (0xF2, 0xF4)
    is_call = opcode == 0xF1
    is_delegate = opcode == 0xF4
    is_staticcall = opcode == 0xFA
    first = 3 if takes_value else 2
    bottom = 32 * operands

    @apart
    def begin_call(run: Run, frame: Frame, target: Account, code_of: Account, delegated: bool, gas: i64) -> u64:
        """Everything behind the gas: refuse, answer, or make the child's frame. ``frame`` holds what it keeps."""
        sp: ptr = frame.sp
        value: u256 = 0
        if takes_value:
            value = load256(sp - 96)
        begin: ptr = frame.memory
        size: u64 = u64(load256(sp - (32 * first + 64)))
        if size != 0:
            begin = begin + u64(load256(sp - (32 * first + 32)))
        frame.wanted_size = u64(load256(sp - (32 * first + 128)))
        frame.wanted_offset = 0
        if frame.wanted_size != 0:
            frame.wanted_offset = u64(load256(sp - (32 * first + 96)))
        frame.sp = sp - bottom
        own = Account(frame.account)
        if frame.depth >= CALL_DEPTH_LIMIT or (value != 0 and own.balance < value):
            frame.gas += gas
            answer(run, frame, begin, u64(0), u256(0))
            return u64(ANSWERED)
        mark: u64 = run.journal_length
        run.journal_mark = mark
        if is_call or is_staticcall:
            transfer(run, own, target, value)
        if not delegated and (code_of.flags & PRECOMPILE) != 0:
            run_precompile(run, frame, code_of, gas, begin, size, mark)
            return u64(ANSWERED)
        if code_of.code_size == 0:
            frame.gas += gas
            answer(run, frame, begin, u64(0), u256(1))
            return u64(ANSWERED)
        child = open_frame(run, frame, gas, u64(CALL), mark)
        child.code = code_of.code
        child.code_size = code_of.code_size
        child.jumps = code_of.jumps
        child.pc = child.code
        child.data = begin
        child.data_size = size
        child.value = value
        child.caller = own.address
        child.account = ptr(target)
        if as_caller:
            child.account = frame.account
        if is_delegate:
            child.caller = frame.caller
            child.value = frame.value
        if is_staticcall:
            child.is_static = 1
        return u64(STARTED)

    @handler
    def call(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        run = Run(frame.run)
        rules = Rules(run.rules)
        gas = make_room(frame, sp, u64(first), gas)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        value: u256 = 0
        if takes_value:
            value = load256(sp - 96)
        if is_call and unlikely(value != 0 and frame.is_static != 0):
            return static_write(frame, pc, sp, gas, rows)
        # whose code runs: the target's, or its delegate's (EIP-7702), each touched and paid for
        target = find_account(run, load256(sp - 64))
        if unlikely(is_null(target)):
            return give_up_here(frame, pc, sp, gas, rows)
        gas = gas - access(run, target)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        load_code(run, target)
        if unlikely(run.given_up != 0):
            return give_up_here(frame, pc, sp, gas, rows)
        code_of = target
        delegated: bool = False
        if rules.delegations != 0 and is_delegated(target):
            delegated = True
            code_of = find_account(run, swap_bytes(load256(target.code, 3)) >> 96)
            if unlikely(is_null(code_of)):
                return give_up_here(frame, pc, sp, gas, rows)
            gas = gas - access(run, code_of)
            if unlikely(gas < 0):
                return out_of_gas(frame, pc, sp, gas, rows)
            load_code(run, code_of)
            if unlikely(run.given_up != 0):
                return give_up_here(frame, pc, sp, gas, rows)
        if is_call and creates_account(rules, target, value):
            gas = gas - rules.new_account
        if takes_value and value != 0:
            gas = gas - rules.call_value
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        # what the child gets: what was asked for, at most all but a 64th (EIP-150)
        wanted: u256 = load256(sp - 32)
        most: i64 = gas
        if rules.keeps_64th != 0:
            most = gas - i64(u64(gas) >> 6)
        elif wanted > u256(gas):
            return out_of_gas(frame, pc, sp, gas, rows)
        granted: i64 = most if wanted > u256(most) else i64(u64(wanted))
        gas = gas - granted
        if takes_value and value != 0:
            granted = granted + rules.call_stipend
        frame.gas = gas
        frame.pc = pc
        frame.sp = sp
        if begin_call(run, frame, target, code_of, delegated, granted) == STARTED:
            child = child_of(frame)
            return go(child, child.pc, child.sp, child.gas, rows)
        if unlikely(run.given_up != 0):
            return give_up_here(frame, pc, sp, gas, rows)
        return go(frame, pc + 1, frame.sp, frame.gas, rows)

    call.__name__ = begin_call.__name__ = f"call_{opcode:02x}"
    return call


# --- creation and its opposite ---


def created_address(sender: u256, nonce: u64) -> u256:
    """The last 20 bytes of keccak256(rlp([sender, nonce])) (Yellow Paper 7)."""
    text: ptr = scratch(40)
    size: u64 = 0
    if nonce >= 0x80:
        rest: u64 = nonce
        while rest != 0:
            size = size + 1
            rest = rest >> 8
        at: u64 = 0
        while at < size:
            store8(text, 23 + at, u8(nonce >> (8 * (size - 1 - at))))
            at = at + 1
        store8(text, 22, u8(0x80 + size))
    else:
        store8(text, 22, u8(0x80) if nonce == 0 else u8(nonce))
    store8(text, 0, u8(0xC0 + 22 + size))
    store8(text, 1, 0x94)
    put_address(text + 2, sender)
    return hash_of(text, 23 + size)


def put_address(place: ptr, address: u256) -> None:
    """The 20 bytes of an address, most significant first."""
    word: ptr = scratch(32)
    store256(word, 0, swap_bytes(address << 96))
    copy_bytes(place, word, 20)


def created_address_2(sender: u256, salt: u256, code: ptr, size: u64) -> u256:
    """The last 20 bytes of keccak256(0xff, sender, salt, keccak256(init code)) (EIP-1014)."""
    text: ptr = scratch(88)
    store8(text, 0, 0xFF)
    put_address(text + 1, sender)
    store256(text, 21, swap_bytes(salt))
    store256(text, 53, swap_bytes(hash_of(code, size)))
    return hash_of(text, u64(85))


@apart
def can_create_at(run: Run, account: Account) -> bool:
    """No nonce, no code and no storage there (EIP-684, EIP-7610)."""
    if account.nonce != 0 or account.code_hash != EMPTY_KECCAK:
        return False
    return (account.flags & HAS_STORAGE) == 0 and not has_written_storage(run, account)


@apart
def begin_create(run: Run, frame: Frame, new: Account, value: u256, code: ptr, size: u64, gas: i64) -> u64:
    """The sender's nonce is raised already. A child that runs the init code, or an answer on the stack."""
    rules = Rules(run.rules)
    frame.wanted_size = 0
    if not can_create_at(run, new):
        answer(run, frame, code, u64(0), u256(0))  # the gas is gone
        return u64(ANSWERED)
    mark: u64 = run.journal_length
    run.journal_mark = mark
    touch(run, new)
    keep_account(run, new)
    new.flags |= CREATED | BORN
    new.nonce += rules.contract_nonce
    transfer(run, Account(frame.account), new, value)
    if size == 0:
        frame.gas += gas
        answer(run, frame, code, u64(0), new.address)
        return u64(ANSWERED)
    child = open_frame(run, frame, gas, u64(CREATE), mark)
    area: ptr = run.init_codes + run.init_codes_length
    used: u64 = ready_code(code, size, area, run.init_codes_capacity - run.init_codes_length)
    if used == 0:
        give_up(run)
        return u64(ANSWERED)
    run.init_codes_length += used
    child.code = area
    child.code_size = size
    child.jumps = jumps_behind(area, size)
    child.pc = area
    child.data = area
    child.data_size = 0
    child.account = ptr(new)
    child.caller = Account(frame.account).address
    child.value = value
    return u64(STARTED)


def creating(opcode: int) -> Handler:
    """CREATE (0xf0) and CREATE2 (0xf5)."""
    salted = opcode == 0xF5
    bottom = 128 if salted else 96

    @handler
    def create(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
        run = Run(frame.run)
        rules = Rules(run.rules)
        if unlikely(frame.is_static != 0):
            return static_write(frame, pc, sp, gas, rows)
        value: u256 = load256(sp - 32)
        size: u256 = load256(sp - 96)
        limit: u64 = rules.initcode_size_max
        if unlikely(limit != NO_LIMIT and size > u256(limit)):  # EIP-3860
            frame.status = INITCODE_SIZE_EXCEEDED
            return end(frame, pc, sp, gas, rows)
        price: u64 = rules.initcode_word
        if salted:
            price = price + rules.keccak_word
        gas = pay_by_words(run, gas, price, size)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        gas = expand(frame, gas, load256(sp - 64), size)
        if unlikely(gas < 0):
            return out_of_gas(frame, pc, sp, gas, rows)
        code: ptr = frame.memory
        if size != 0:
            code = code + u64(load256(sp - 64))
        granted: i64 = gas
        if rules.keeps_64th != 0:
            granted = gas - i64(u64(gas) >> 6)
        own = Account(frame.account)
        frame.gas = gas - granted
        frame.pc = pc
        frame.sp = sp - bottom
        frame.wanted_size = 0
        if frame.depth >= CALL_DEPTH_LIMIT or own.balance < value or own.nonce == U64_LAST:
            frame.gas = gas
            answer(run, frame, code, u64(0), u256(0))
            return go(frame, pc + 1, frame.sp, frame.gas, rows)
        where: u256 = 0
        if salted:
            where = created_address_2(own.address, load256(sp - 128), code, u64(size))
        else:
            where = created_address(own.address, own.nonce)
        new = find_account(run, where)
        if unlikely(is_null(new)):
            return give_up_here(frame, pc, sp, gas, rows)
        # both outlive a failed creation
        touch(run, own)
        keep_account(run, own)
        own.nonce += 1
        warm_up(run, new)
        if begin_create(run, frame, new, value, code, u64(size), granted) == STARTED:
            child = child_of(frame)
            return go(child, child.pc, child.sp, child.gas, rows)
        if unlikely(run.given_up != 0):
            return give_up_here(frame, pc, sp, gas, rows)
        return go(frame, pc + 1, frame.sp, frame.gas, rows)

    return create


@handler
def selfdestruct(frame: Frame, pc: ptr, sp: ptr, gas: i64, rows: ptr) -> None:
    """End and give everything to a beneficiary; the account goes too, by the fork's rule (EIP-6780)."""
    run = Run(frame.run)
    rules = Rules(run.rules)
    if unlikely(frame.is_static != 0):
        return static_write(frame, pc, sp, gas, rows)
    beneficiary = find_account(run, load256(sp - 32))
    if unlikely(is_null(beneficiary)):
        return give_up_here(frame, pc, sp, gas, rows)
    own = Account(frame.account)
    if warm_up(run, beneficiary):
        gas = gas - rules.cold_account
    if rules.self_destruct_pays_new_account != 0 and creates_account(rules, beneficiary, own.balance):
        gas = gas - rules.new_account
    if unlikely(gas < 0):
        return out_of_gas(frame, pc, sp, gas, rows)
    if (own.flags & DESTROYED) == 0:
        run.refund += rules.self_destruct_refund
    transfer(run, own, beneficiary, own.balance)
    if rules.self_destruct_only_created == 0 or (own.flags & CREATED) != 0:
        keep_account(run, own)
        own.balance = 0
        own.flags |= DESTROYED
        run.destroys = 1
    frame.output_size = 0
    frame.status = SUCCEEDED
    return end(frame, pc, sp, gas, rows)


@apart
def run_message(run: Run, frame: Frame, transfers_value: u64) -> None:
    """The outermost frame, from its beginning to its end: ``run.answer`` says who the target is.

    ``frame`` is filled but for the account and the marks; a creation's target can be created.
    """
    run.active_count = 0
    target = find_account(run, run.answer)
    if is_null(target):
        return
    frame.account = ptr(target)
    frame.run = ptr(run)
    frame.sp = frame.stack
    if frame.kind == CREATE:
        touch(run, target)
        keep_account(run, target)
        target.flags |= CREATED | BORN
        target.nonce += Rules(run.rules).contract_nonce
    if transfers_value != 0:
        sender = find_account(run, frame.caller)
        if is_null(sender):
            return
        transfer(run, sender, target, frame.value)
    first: ptr = load_pointer(run.rows, u64(load8(frame.pc)) * ROW_BYTES)
    call_handler(first, frame, frame.pc, frame.sp, frame.gas, run.rows)
