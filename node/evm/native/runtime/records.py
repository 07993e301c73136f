"""Records in memory that compiled code and Python share. The arena (arena.py) makes them, the bridge fills them."""

from __future__ import annotations

from typing import Final

from node.evm.native.compiler.types import Struct, i64, ptr, u64, u256

# --- how a frame ended ---
RUNNING: Final = 0
SUCCEEDED: Final = 1
REVERTED: Final = 2
OUT_OF_GAS: Final = 3
INVALID_OPCODE: Final = 4
STACK_UNDERFLOW: Final = 5
STACK_OVERFLOW: Final = 6
INVALID_JUMP: Final = 7
STATIC_WRITE: Final = 8
RETURN_DATA_OUT_OF_BOUNDS: Final = 9
ADDRESS_COLLISION: Final = 10
CODE_SIZE_EXCEEDED: Final = 11
INITCODE_SIZE_EXCEEDED: Final = 12
INVALID_CODE_PREFIX: Final = 13
UNPAID_DEPOSIT: Final = 14
"""Out of gas for the deposit of code."""
UNPAID_STIPEND: Final = 15
"""SSTORE on no more gas than a call's stipend."""
GIVEN_UP: Final = 99
"""A table or an area is full, or Python could not answer: the message runs again on the plain machine."""

# --- what a frame is ---
CALL: Final = 0
CREATE: Final = 1

# --- flags of an account ---
EXISTS: Final = 1
WARM: Final = 2
TOUCHED: Final = 4
CREATED: Final = 8
DESTROYED: Final = 16
CODE_LOADED: Final = 32
CODE_CHANGED: Final = 64
PRECOMPILE: Final = 128
HAS_STORAGE: Final = 256
"""Storage from before this message, which forbids a creation (EIP-7610)."""
TOUCH_SURVIVES: Final = 512
"""Stays touched when the touch is undone (see state/journal.py)."""
BORN: Final = 1024
"""Created since the tables were empty: CREATED lasts for a transaction only."""
ALWAYS_WARM: Final = 2048
"""Warm at the beginning of every transaction."""
LASTING: Final = EXISTS | CODE_LOADED | CODE_CHANGED | PRECOMPILE | HAS_STORAGE | TOUCH_SURVIVES | BORN | ALWAYS_WARM
"""What a transaction leaves of an account's flags to the next."""

# --- flags of a slot; WARM is shared ---
TRANSIENT: Final = 1 << 32
"""Added to the account's number: the slot is one of EIP-1153."""

# --- bytes of a jump map; 0 is no landing place ---
LANDING: Final = 1
COUNTED: Final = 2
"""A landing place whose hits are counted."""
ENTRY: Final = 3
"""This and more: a landing place from which a compiled unit goes on."""
ENTRIES_MAX: Final = 253
HOT_HITS: Final = 1024
"""Hits that make a landing place hot."""
HITS_MAX: Final = 2**15
"""Hits after which nobody counts on: what is frequent is known."""

# --- questions to Python ---
ASK_ACCOUNT: Final = 1
ASK_CODE: Final = 2
ASK_SLOT: Final = 3
ASK_PRECOMPILE: Final = 4
ASK_BLOCK_HASH: Final = 5

ROW_BYTES: Final = 16
"""A row of the instruction table: the handler's address, then the base gas in 32 bits."""
STACK_BYTES: Final = 1 << 16
"""Every stack begins at a multiple of this, so that a stack pointer tells how many words there are."""
JOURNAL_RECORD: Final = 128
DIGESTS: Final = 4096
DIGEST_BYTES: Final = 104
"""1 where there is one, the 64 bytes, their hash."""
HASH_BYTES: Final = 40
"""A block's number and its hash as a word."""
NO_LIMIT: Final = 2**62


class Rules(Struct):
    """One fork's prices and switches (``gas_schedule.GasSchedule``, ``spec.Spec``), under their names there."""

    memory_word: u64
    memory_quadratic_divisor: u64
    copy_word: u64
    keccak_word: u64
    exp_byte: u64
    log_data_byte: u64
    cold_account: i64
    warm_access: i64
    cold_slot: i64
    sstore_noop: i64
    sstore_set: i64
    sstore_reset: i64
    sstore_clear_refund: i64
    sstore_stipend_guard: i64
    call_value: i64
    call_stipend: i64
    new_account: i64
    code_deposit_byte: u64
    self_destruct_refund: i64
    initcode_word: u64
    initcode_size_max: u64
    code_size_max: u64
    contract_nonce: u64
    keeps_64th: u64
    new_account_needs_value: u64
    self_destruct_pays_new_account: u64
    unpaid_deposit_fails: u64
    rejects_ef_code: u64
    self_destruct_only_created: u64
    delegations: u64


class Surroundings(Struct):
    """Block and transaction as words."""

    origin: u256
    gas_price: u256
    coinbase: u256
    timestamp: u256
    number: u256
    difficulty: u256
    prev_randao: u256
    gas_limit: u256
    chain_id: u256
    base_fee: u256
    blob_base_fee: u256


class Run(Struct):
    """One message with all its children. Areas have a beginning, a length in bytes that is used, and a capacity.

    Python sets the fields up to ``answer`` for every message, and reads them at its end.
    """

    given_up: u64
    refund: i64
    accounts_count: u64
    slots_count: u64
    journal_length: u64
    journal_mark: u64
    """Where the innermost checkpoint lies: the running frame's, or that of a call about to begin."""
    logs_length: u64
    logs_count: u64
    returned_size: u64
    init_codes_length: u64
    deployed_length: u64
    blob_hashes: ptr
    blob_count: u64
    answer: u256
    """Python's answer; at the beginning the target of the message."""
    hashes: ptr
    """256 pairs of a block's number and its hash, by the number's low byte."""
    question_gas: i64
    callback: ptr
    rules: ptr
    surroundings: ptr
    rows: ptr
    transaction: u64
    """Which transaction runs; records of an earlier one are made ready for this one where they are met."""
    active: ptr
    """Numbers of the accounts that this transaction met, 32 bits each."""
    active_count: u64
    hot: u64
    """Landing places that have become hot since Python looked."""
    destroys: u64
    """Not 0 once this transaction has marked an account for deletion, be it undone."""
    modulus: u256
    """Of the latest MULMOD; then what is known of it (``runtime/moduli``)."""
    modulus_shifted: u256
    modulus_inverse: u256
    modulus_bits: u256
    modulus_known: u64
    digests: ptr
    """Hashes of 64 bytes that were computed before, by what was hashed: see ``runtime/digests``."""
    seed: u64
    """Mixed into hashes, so that nobody can choose keys that collide."""
    frames: ptr
    stacks: ptr
    memory_end: ptr
    accounts: ptr
    accounts_capacity: u64
    accounts_index: ptr
    accounts_mask: u64
    slots: ptr
    slots_capacity: u64
    slots_index: ptr
    slots_mask: u64
    journal: ptr
    journal_capacity: u64
    logs: ptr
    logs_capacity: u64
    returned: ptr
    returned_capacity: u64
    init_codes: ptr
    init_codes_capacity: u64
    deployed: ptr
    deployed_capacity: u64


class Heat(Struct):
    """What is known of a code's hot places; its address stands in the 8 bytes before the code's jump map."""

    hits: ptr
    """32 bits for every byte of the code."""
    entries: ptr
    """Addresses of units, by the mark in the jump map less ENTRY."""
    hot: u64
    """Landing places that have become hot."""


class Frame(Struct):
    """One call frame. ``gas``, ``pc`` and ``sp`` are current only while another frame runs, or at the end."""

    gas: i64
    pc: ptr
    sp: ptr
    run: ptr
    stack: ptr
    memory: ptr
    memory_size: u64
    code: ptr
    code_size: u64
    jumps: ptr
    data: ptr
    data_size: u64
    account: ptr
    caller: u256
    value: u256
    is_static: u64
    depth: u64
    kind: u64
    status: u64
    output: ptr
    output_size: u64
    wanted_offset: u64
    wanted_size: u64
    """Where in this frame's memory the output of its child goes, and at most how many bytes of it."""
    journal_mark: u64
    logs_mark: u64
    logs_count_mark: u64
    refund_mark: i64
    init_codes_mark: u64
    is_outermost: u64


class Account(Struct):
    """What is known of an account. From ``balance`` to ``flags`` the journal keeps copies."""

    address: u256
    balance: u256
    code_hash: u256
    nonce: u64
    code: ptr
    code_size: u64
    jumps: ptr
    flags: u64
    position: u64
    number: u64
    kept_at: u64
    """Where the journal's newest copy lies, if it still does."""
    wrote: u64
    """Not 0 once the account has written storage since the tables were empty, be it undone."""
    transaction: u64
    """The last one that met it."""


ACCOUNT_JOURNALED: Final = 104
"""Bytes from ``balance`` to ``flags``."""


class Slot(Struct):
    """A storage slot. ``value`` and ``flags`` are journaled."""

    key: u256
    value: u256
    flags: u64
    original: u256
    loaded: u256
    """The value when Python was asked."""
    loaded_flags: u64
    owner: u64
    """The account's number, plus TRANSIENT."""
    position: u64
    kept_at: u64
    transaction: u64


class Order(Struct):
    """A transaction that is known to be valid, and what became of it. Wei are words, gas is i64."""

    sender: u256
    target: u256
    value: u256
    cost: u256
    """All its gas, and its blobs."""
    price: u256
    tip: u256
    """The coinbase's share of the price."""
    gas_limit: i64
    gas: i64
    """What is left of the limit for the message."""
    floor: i64
    refund_quotient: u64
    warm_coinbase: u64
    removes_empty: u64
    access_list: ptr
    """(address, number of slots, slots) as words."""
    access_list_size: u64
    data_size: u64
    status: u64
    gas_used: i64
    gas_used_before_refund: i64
    gas_left: i64
    output: ptr
    output_size: u64
    logs_length: u64


SLOT_JOURNALED: Final = 40
"""Bytes of ``value`` and ``flags``."""
EMPTY_KECCAK: Final = 0xC5D2460186F7233C927E7DB2DCC703C0E500B653CA82273B7BFAD8045D85A470
