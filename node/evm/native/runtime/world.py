"""Accounts, slots and the journal in native tables; Python is asked once for each account and slot.

A table is an array of records in the order of their coming, and an index from hash to number. An index cell counts
only if the record it names says that it stands there, so nothing has to be wiped between messages.
"""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.intrinsics import (
    apart,
    ask,
    copy_bytes,
    inline,
    load8,
    load32,
    load64,
    load_pointer,
    store8,
    store32,
    store64,
    store_pointer,
    unlikely,
    zero_bytes,
)
from node.evm.native.compiler.types import ptr, size_of, u8, u32, u64, u256
from node.evm.native.runtime.records import (
    ACCOUNT_JOURNALED,
    ALWAYS_WARM,
    ASK_ACCOUNT,
    ASK_CODE,
    ASK_SLOT,
    CODE_LOADED,
    EMPTY_KECCAK,
    EXISTS,
    JOURNAL_RECORD,
    LASTING,
    SLOT_JOURNALED,
    TOUCH_SURVIVES,
    TOUCHED,
    TRANSIENT,
    WARM,
    Account,
    Run,
    Slot,
)

ADDRESS_MASK: Final = 2**160 - 1
CODE_PADDING: Final = 33
"""Zero bytes behind every code, see code.py."""


@inline
def mixed(value: u256, more: u64) -> u64:
    """A hash of a word and a number: multiplications fold every limb into every bit."""
    h: u64 = (u64(value) ^ more) * 0x9E3779B97F4A7C15
    h = (h ^ (h >> 29) ^ u64(value >> 64)) * 0xBF58476D1CE4E5B9
    h = (h ^ (h >> 32) ^ u64(value >> 128)) * 0x94D049BB133111EB
    h = (h ^ (h >> 29) ^ u64(value >> 192)) * 0x9E3779B97F4A7C15
    return h ^ (h >> 32)


def give_up(run: Run) -> None:
    """The message cannot go on here."""
    run.given_up = 1


@inline
def meet_account(run: Run, account: Account) -> None:
    """The transaction met the account for the first time: nothing of an earlier one's is left."""
    account.transaction = run.transaction
    flags: u64 = account.flags & LASTING
    if (flags & ALWAYS_WARM) != 0:
        flags = flags | WARM
    account.flags = flags
    store32(run.active, run.active_count << 2, u32(account.number))
    run.active_count += 1


@apart
def find_account(run: Run, word: u256) -> Account:
    """The account at the low 160 bits of ``word``; no address where there is no room or no answer."""
    address: u256 = word & ADDRESS_MASK
    at: u64 = mixed(address, run.seed) & run.accounts_mask
    while True:
        number: u64 = u64(load32(run.accounts_index, at << 2))
        account = Account(run.accounts + number * size_of(Account))
        if number >= run.accounts_count or account.position != at:
            break
        if account.address == address:
            if account.transaction != run.transaction:
                meet_account(run, account)
            return account
        at = (at + 1) & run.accounts_mask
    count: u64 = run.accounts_count
    if unlikely(count == run.accounts_capacity):
        give_up(run)
        return Account(0)
    account = Account(run.accounts + count * size_of(Account))
    account.address = address
    account.position = at
    account.number = count
    account.wrote = 0
    if unlikely(ask(run.callback, run, ASK_ACCOUNT, u64(ptr(account)), 0) < 0):
        give_up(run)
        return Account(0)
    store32(run.accounts_index, at << 2, u32(count))
    run.accounts_count = count + 1
    account.transaction = run.transaction
    store32(run.active, run.active_count << 2, u32(count))
    run.active_count += 1
    return account


@apart
def load_code(run: Run, account: Account) -> None:
    """Have the code at hand."""
    if (account.flags & CODE_LOADED) == 0:
        if unlikely(ask(run.callback, run, ASK_CODE, u64(ptr(account)), 0) < 0):
            give_up(run)
        account.flags |= CODE_LOADED


@apart
def find_slot(run: Run, account: Account, kind: u64, key: u256) -> Slot:
    """A slot of storage (kind 0) or of transient storage (TRANSIENT), from 0 if it is new there."""
    owner: u64 = account.number | kind
    at: u64 = mixed(key, run.seed + owner * 0x94D049BB133111EB) & run.slots_mask
    while True:
        number: u64 = u64(load32(run.slots_index, at << 2))
        slot = Slot(run.slots + number * size_of(Slot))
        if number >= run.slots_count or slot.position != at:
            break
        if slot.key == key and slot.owner == owner:
            if slot.transaction != run.transaction:
                slot.transaction = run.transaction
                slot.flags = 0
                if kind == TRANSIENT:
                    slot.value = 0
                slot.original = slot.value
            return slot
        at = (at + 1) & run.slots_mask
    count: u64 = run.slots_count
    if unlikely(count == run.slots_capacity):
        give_up(run)
        return Slot(0)
    slot = Slot(run.slots + count * size_of(Slot))
    slot.key = key
    slot.owner = owner
    slot.position = at
    slot.transaction = run.transaction
    slot.value = 0
    slot.original = 0
    slot.flags = 0
    slot.loaded = 0
    slot.loaded_flags = 0
    if kind != TRANSIENT and unlikely(ask(run.callback, run, ASK_SLOT, u64(ptr(slot)), u64(ptr(account))) < 0):
        give_up(run)
        return Slot(0)
    store32(run.slots_index, at << 2, u32(count))
    run.slots_count = count + 1
    return slot


# --- the journal ---


@inline
def is_kept(run: Run, mark: u64, record: ptr, at: u64) -> bool:
    """Whether the journal holds a copy of the record since ``mark``: an older one undoes all later changes, too."""
    if at < mark or at >= run.journal_length:
        return False
    return u64(load_pointer(run.journal, at)) == u64(record)


@inline
def journal_room(run: Run) -> ptr:
    """Room for one record; the first one again where there is no room, and the message is given up."""
    at: u64 = run.journal_length
    if unlikely(at == run.journal_capacity):
        give_up(run)
        return run.journal
    run.journal_length = at + JOURNAL_RECORD
    return run.journal + at


@apart
def keep_account(run: Run, account: Account) -> None:
    """Remember the account as it is now, unless the running frame has done so."""
    if is_kept(run, run.journal_mark, ptr(account), account.kept_at):
        return
    record: ptr = journal_room(run)
    store_pointer(record, 0, ptr(account))
    store64(record, 8, ACCOUNT_JOURNALED)
    copy_bytes(record + 16, ptr(account) + 32, ACCOUNT_JOURNALED)
    account.kept_at = record - run.journal


@inline
def keep_slot(run: Run, slot: Slot) -> None:
    """Remember the slot as it is now, unless the running frame has done so."""
    if not is_kept(run, run.journal_mark, ptr(slot), slot.kept_at):
        record: ptr = journal_room(run)
        store_pointer(record, 0, ptr(slot))
        store64(record, 8, SLOT_JOURNALED)
        copy_bytes(record + 16, ptr(slot) + 32, SLOT_JOURNALED)
        slot.kept_at = record - run.journal


@apart
def roll_back(run: Run, mark: u64) -> None:
    """Undo every change since the journal was ``mark`` bytes long."""
    while run.journal_length > mark:
        run.journal_length -= JOURNAL_RECORD
        record: ptr = run.journal + run.journal_length
        kept: ptr = load_pointer(record, 0)
        if load64(record, 8) == ACCOUNT_JOURNALED:
            account = Account(kept)
            stays: u64 = account.flags & TOUCHED
            copy_bytes(kept + 32, record + 16, ACCOUNT_JOURNALED)
            if (account.flags & TOUCH_SURVIVES) != 0:
                account.flags |= stays
        else:
            copy_bytes(kept + 32, record + 16, SLOT_JOURNALED)


# --- accounts ---


@inline
def warm_up(run: Run, account: Account) -> bool:
    """From now on the account is warm; whether it was cold (EIP-2929)."""
    if (account.flags & WARM) != 0:
        return False
    keep_account(run, account)
    account.flags |= WARM
    return True


def touch(run: Run, account: Account) -> None:
    """The account takes part in something that may change state (EIP-161); it exists from now on."""
    if (account.flags & (TOUCHED | EXISTS)) != (TOUCHED | EXISTS):
        keep_account(run, account)
        account.flags |= TOUCHED | EXISTS


@inline
def is_alive(account: Account) -> bool:
    """Not empty (EIP-161)."""
    return account.nonce != 0 or account.balance != 0 or account.code_hash != EMPTY_KECCAK


def transfer(run: Run, sender: Account, recipient: Account, value: u256) -> None:
    """Move wei that is there. Touches both, also for 0."""
    touch(run, sender)
    touch(run, recipient)
    if value != 0:
        keep_account(run, sender)
        sender.balance -= value
        keep_account(run, recipient)
        recipient.balance += value


@apart
def has_written_storage(run: Run, account: Account) -> bool:
    """Whether a slot of the account is not 0 now: a look at all slots, only for accounts that have ever written."""
    if account.wrote == 0:
        return False
    at: u64 = 0
    while at < run.slots_count:
        slot = Slot(run.slots + at * size_of(Slot))
        if slot.owner == account.number and slot.value != 0:
            return True
        at = at + 1
    return False


# --- code ---


@apart
def find_jumps(code: ptr, size: u64, jumps: ptr) -> None:
    """One byte for each byte of code: 1 at every JUMPDEST that is not PUSH data (Yellow Paper 9.4.3)."""
    zero_bytes(jumps, size)
    at: u64 = 0
    while at < size:
        opcode: u8 = load8(code, at)
        if opcode == 0x5B:
            store8(jumps, at, 1)
        elif opcode >= 0x60 and opcode <= 0x7F:
            at = at + (u64(opcode) - 0x5F)
        at = at + 1


def ready_code(source: ptr, size: u64, area: ptr, room: u64) -> u64:
    """Copy code into an area, padded, with its jump map behind it; bytes used, or 0 where there is no room."""
    padded: u64 = (size + CODE_PADDING + 7) & ~u64(7)
    used: u64 = padded + ((size + 7) & ~u64(7))
    if used > room:
        return u64(0)
    copy_bytes(area, source, size)
    zero_bytes(area + size, CODE_PADDING)
    find_jumps(area, size, area + padded)
    return used


@inline
def jumps_behind(area: ptr, size: u64) -> ptr:
    """Where ``ready_code`` has put the jump map."""
    return area + ((size + CODE_PADDING + 7) & ~u64(7))
