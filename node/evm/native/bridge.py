"""Between compiled code and the host: answers its questions, and writes its changes back when a message succeeds.

Answers only read the host. Until ``write_back`` nothing has changed, so a message can always be given up.
"""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from node.evm.host import Host
from node.evm.message import BlockEnvironment, TransactionEnvironment
from node.evm.native.arena import Arena, Counters, get, get_signed, put
from node.evm.native.codes import CodeCache
from node.evm.native.compiler.types import layout, size_of
from node.evm.native.runtime import records
from node.evm.native.runtime.records import Account, Run, Slot
from node.evm.spec import Spec
from node.primitives.scalars import Address
from node.types.receipts import Log

CALLBACK: Final = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64)
EMPTY_HASH: Final = records.EMPTY_KECCAK.to_bytes(32, "big")
RIPEMD160: Final = Address(bytes(19) + b"\x03")
"""Its account stays touched when the touch is undone (EIP-161 as block 2,675,119 has it)."""
_STATE: Final = struct.Struct("<32s32sQQQQQ")
"""balance .. flags of an account."""
_LOG_HEAD: Final = struct.Struct("<QQQ")
_SLOT: Final = struct.Struct("<32s32sQ32x32sQQ24x")
"""key, value, flags, loaded, loaded_flags, owner of a slot."""
_ANSWERED_SLOT: Final = struct.Struct("<32sQ32s32sQ")
"""value .. loaded_flags of a slot."""
_ACCOUNT_BYTES: Final = size_of(Account)
_SLOT_BYTES: Final = size_of(Slot)
_BALANCE_AT: Final = layout(Account)["balance"].offset
_CODE_AT: Final = layout(Account)["code"].offset
_FLAGS_AT: Final = layout(Account)["flags"].offset
_ANSWER_AT: Final = layout(Run)["answer"].offset
_TWELVE_ZEROS: Final = bytes(12)


class AccountState(NamedTuple):
    """``balance`` and ``code_hash`` are words; ``code`` and ``jumps`` addresses, if the code is loaded."""

    balance: bytes
    code_hash: bytes
    nonce: int
    code: int
    code_size: int
    jumps: int
    flags: int


class Bridge:
    """One arena's way to whatever host its running message has."""

    def __init__(self, codes: CodeCache, seed: int) -> None:
        self._callback = CALLBACK(self._answer)
        self.arena = Arena(ctypes.cast(self._callback, ctypes.c_void_p).value or 0, seed)
        self.codes = codes
        """Where codes come from: set before a message or a block begins."""
        self.kept: list[object] = []
        """What must live until the next message."""
        self.addresses: list[Address] = []
        """Of the accounts in the table, in its order."""
        self.numbers: dict[Address, int] = {}
        """Their places in it."""
        self._loaded: list[tuple[bytes, int, int]] = []
        self._block: BlockEnvironment | None = None
        """Whose words lie in the surroundings."""
        self.interrupt: BaseException | None = None

    def begin(
        self, target: Address, host: Host, block: BlockEnvironment, tx: TransactionEnvironment, spec: Spec
    ) -> None:
        """A new message: whom to ask from now on. Raises OverflowError for surroundings that are no words."""
        self._ask_from_now_on(host, block, spec)
        hashes = b"".join(tx.blob_versioned_hashes)
        place = 0
        if hashes:
            self.kept.append(hashes)
            place = address_of(hashes)
        self.arena.begin(target[::-1] + _TWELVE_ZEROS, place, len(tx.blob_versioned_hashes))
        self.surround(tx.origin, tx.gas_price)

    def begin_block(self, host: Host, block: BlockEnvironment, spec: Spec) -> None:
        """Empty tables for many transactions. Raises OverflowError for surroundings that are no words."""
        self._ask_from_now_on(host, block, spec)
        self.arena.begin(bytes(32), 0, 0)

    def _ask_from_now_on(self, host: Host, block: BlockEnvironment, spec: Spec) -> None:
        self._host = host
        self._precompiles = spec.precompiles
        self.kept.clear()
        self.addresses.clear()
        self.numbers.clear()
        self._loaded.clear()
        self.interrupt = None
        if block is not self._block:
            self._block = None
            self.arena.surroundings.view[64:] = block_words(block)
            self._block = block
            self.arena.forget_hashes()

    def surround(self, origin: Address, gas_price: int) -> None:
        """The transaction's part of the surroundings."""
        self.arena.surroundings.view[:64] = origin[::-1] + _TWELVE_ZEROS + gas_price.to_bytes(32, "little")

    def state_of(self, number: int) -> AccountState:
        """What the table holds of the account at a place in it."""
        return AccountState._make(_STATE.unpack_from(self.arena.accounts.view, number * _ACCOUNT_BYTES + _BALANCE_AT))

    def keep(self, thing: object) -> None:
        """Let ``thing`` live until the next message."""
        self.kept.append(thing)

    # --- questions ---

    def _answer(self, run: int, question: int, a: int, b: int) -> int:
        try:
            if question == records.ASK_SLOT:
                return self._slot(a, b)
            if question == records.ASK_ACCOUNT:
                return self._account(a)
            if question == records.ASK_CODE:
                return self._code(a)
            if question == records.ASK_PRECOMPILE:
                return self._precompile(a, b)
            assert self._block is not None
            number = int.from_bytes(self._block.block_hash(a), "big")
            self.arena.run.view[_ANSWER_AT : _ANSWER_AT + 32] = number.to_bytes(32, "little")
            return 0
        except BaseException as error:
            # no exception crosses compiled code; the plain machine meets it again, an interrupt is raised later
            if not isinstance(error, Exception):
                self.interrupt = error
            put(self.arena.run, Run, "given_up", 1)
            return -1

    def _account(self, place: int) -> int:
        view = self.arena.accounts.view
        at = place - self.arena.accounts.address
        address = Address(view[at : at + 20].tobytes()[::-1])
        exists, nonce, balance, code_hash, warm, created, destroyed = self._host.account_facts(address)
        flags = exists * records.EXISTS | created * records.CREATED | destroyed * records.DESTROYED
        if warm:
            flags |= records.WARM | records.ALWAYS_WARM
        if address in self._precompiles:
            flags |= records.PRECOMPILE
        if address == RIPEMD160:
            flags |= records.TOUCH_SURVIVES
        code = jumps = 0
        if code_hash == EMPTY_HASH:
            flags |= records.CODE_LOADED
            code, _, jumps = self.codes.empty
            if nonce == 0 and not self._host.can_create_at(address):
                flags |= records.HAS_STORAGE
        word = balance.to_bytes(32, "little")
        _STATE.pack_into(view, at + _BALANCE_AT, word, code_hash[::-1], nonce, code, 0, jumps, flags)
        self.numbers[address] = len(self.addresses)
        self.addresses.append(address)
        self._loaded.append((word, nonce, flags))
        return 0

    def _code(self, place: int) -> int:
        at = place - self.arena.accounts.address
        view = self.arena.accounts.view
        address = Address(view[at : at + 20].tobytes()[::-1])
        ready = self.codes.get(self._host.code(address))
        self.kept.append(ready)
        struct.pack_into("<QQQ", view, at + _CODE_AT, ready.address, ready.size, ready.jumps_address)
        return 0

    def _slot(self, place: int, account: int) -> int:
        view = self.arena.slots.view
        at = place - self.arena.slots.address
        account -= self.arena.accounts.address
        owner = account // _ACCOUNT_BYTES
        key = int.from_bytes(view[at : at + 32], "little")
        number, before, is_warm = self._host.slot_facts(self.addresses[owner], key)
        if view_u64(self.arena.accounts.view, account + _FLAGS_AT) & records.BORN:
            number = before = 0  # the account is new here, whatever the host has
        value = number.to_bytes(32, "little")
        original = value if before == number else before.to_bytes(32, "little")
        warm = records.WARM if is_warm else 0
        _ANSWERED_SLOT.pack_into(view, at + 32, value, warm, original, value, warm)
        return 0

    def _precompile(self, place: int, data: int) -> int:
        arena = self.arena
        number = (place - arena.accounts.address) // _ACCOUNT_BYTES
        precompile = self._precompiles[self.addresses[number]]
        size = get(arena.run, Run, "returned_size")
        text = ctypes.string_at(data, size) if size else b""
        left = get_signed(arena.run, Run, "question_gas") - precompile.gas(text)
        if left < 0:
            return -1
        output = precompile.run(text)
        if output is None:
            return -1
        if len(output) > arena.returned.size:
            put(arena.run, Run, "given_up", 1)
            return -1
        arena.returned.view[: len(output)] = output
        put(arena.run, Run, "returned_size", len(output))
        return left

    # --- the result ---

    def write_back(self, counters: Counters) -> None:
        """Do to the host what the message did here: accounts, code, slots, refund, logs."""
        host = self._host
        arena = self.arena
        accounts = arena.accounts.view
        for number, (old_balance, old_nonce, old_flags) in enumerate(self._loaded):
            at = number * _ACCOUNT_BYTES + _BALANCE_AT
            balance, _, nonce, code, code_size, _, flags = _STATE.unpack_from(accounts, at)
            address = self.addresses[number]
            fresh = flags & ~old_flags
            if fresh & records.CREATED:
                host.mark_created(address)
            if balance != old_balance:
                host.set_balance(address, int.from_bytes(balance, "little"))
            if nonce != old_nonce:
                host.set_nonce(address, nonce)
            if flags & records.CODE_CHANGED:
                host.set_code(address, ctypes.string_at(code, code_size))
            if flags & records.TOUCHED:
                if flags & records.EXISTS:
                    host.touch(address)
                else:
                    self._touch_and_undo(address)
            if fresh & records.WARM:
                host.access_address(address)
            if fresh & records.DESTROYED:
                host.mark_destroyed(address)
        slots = arena.slots.view[: counters.slots_count * _SLOT_BYTES]
        addresses, number_of = self.addresses, int.from_bytes
        for key, value, flags, loaded, loaded_flags, owner in _SLOT.iter_unpack(slots):
            if owner & records.TRANSIENT:
                if value != loaded:
                    address = addresses[owner ^ records.TRANSIENT]
                    host.set_transient_storage(address, number_of(key, "little"), number_of(value, "little"))
            elif value != loaded:
                slot = number_of(key, "little")
                host.set_storage(addresses[owner], slot, number_of(value, "little"))
                if flags != loaded_flags:
                    host.access_slot(addresses[owner], slot)
            elif flags != loaded_flags:
                host.access_slot(addresses[owner], number_of(key, "little"))
        if counters.refund:
            host.add_refund(counters.refund)
        if counters.logs_count:
            host.emit_logs(LaterLogs(self.arena.logs.view[: counters.logs_length], self.addresses))

    def settle(self) -> None:
        """Do to the host what all transactions since ``begin_block`` did; the host has just begun one for it.

        An account that went ends there as a touched empty one, which the end of that transaction removes.
        """
        host = self._host
        accounts = self.arena.accounts.view
        for number, (old_balance, old_nonce, old_flags) in enumerate(self._loaded):
            at = number * _ACCOUNT_BYTES + _BALANCE_AT
            balance, _, nonce, code, code_size, _, flags = _STATE.unpack_from(accounts, at)
            address = self.addresses[number]
            if flags & records.BORN:
                host.mark_created(address)
            if balance != old_balance:
                host.set_balance(address, int.from_bytes(balance, "little"))
            if nonce != old_nonce:
                host.set_nonce(address, nonce)
            if flags & records.CODE_CHANGED:
                host.set_code(address, ctypes.string_at(code, code_size))
            if (flags ^ old_flags) & records.EXISTS:
                host.touch(address)
        slots = self.arena.slots.view[: self.arena.counters().slots_count * _SLOT_BYTES]
        addresses, number_of = self.addresses, int.from_bytes
        for key, value, _, loaded, _, owner in _SLOT.iter_unpack(slots):
            if value != loaded and not owner & records.TRANSIENT:
                host.set_storage(addresses[owner], number_of(key, "little"), number_of(value, "little"))

    def write_back_failure(self) -> None:
        """All is undone but the one touch that survives."""
        for number, (_, _, flags) in enumerate(self._loaded):
            if flags & records.TOUCH_SURVIVES:
                now = view_u64(self.arena.accounts.view, number * _ACCOUNT_BYTES + _FLAGS_AT)
                if now & records.TOUCHED:
                    self._touch_and_undo(self.addresses[number])

    def _touch_and_undo(self, address: Address) -> None:
        """What is left of a touch that survives: the account does not exist because of it."""
        checkpoint = self._host.checkpoint()
        self._host.touch(address)
        self._host.rollback(checkpoint)

    def logs(self, length: int) -> list[Log]:
        """What lies in the first ``length`` bytes."""
        return read_logs(self.arena.logs.view[:length], self.addresses)


class LaterLogs:
    """Logs that become objects when they are read: a call that nobody asks for its logs pays for a copy of bytes."""

    def __init__(self, records: memoryview, addresses: Sequence[Address]) -> None:
        self._records = bytes(records)
        self._addresses = tuple(addresses)

    def __iter__(self) -> Iterator[Log]:
        return iter(read_logs(memoryview(self._records), self._addresses))


def read_logs(view: memoryview, addresses: Sequence[Address]) -> list[Log]:
    """Records as compiled code writes them; ``addresses`` by the accounts' numbers."""
    logs: list[Log] = []
    at = 0
    ahead = 1
    while at < len(view):
        _, topics, size = _LOG_HEAD.unpack_from(view, at)
        record = 24 + 32 * topics + ((size + 7) & ~7)
        # contracts write logs of one shape in rows: as many at once as there were before, twice
        rows = view[at : at + min(ahead, (len(view) - at) // record) * record]
        alike = 1 if ahead == 1 else _alike(rows, record, topics, size)
        end = 3 + topics
        logs += [
            _NEW_LOG(Log, (addresses[row[0]], row[3:end], row[end]))
            for row in _log_shape(topics, size).iter_unpack(rows[: alike * record])
        ]
        at += alike * record
        ahead = 2 * ahead if alike * record == len(rows) else 1
    return logs


_NEW_LOG: Final = tuple.__new__
"""A named tuple without its own constructor, which takes as long as all the rest."""


def _alike(rows: memoryview, record: int, topics: int, size: int) -> int:
    """How many records at the beginning have these topics and this size."""
    words = rows.cast("Q")
    heads = zip(words[1 :: record // 8].tolist(), words[2 :: record // 8].tolist(), strict=True)
    wanted = topics, size
    return next((place for place, head in enumerate(heads) if head != wanted), len(rows) // record)


@functools.lru_cache(maxsize=256)
def _log_shape(topics: int, size: int) -> struct.Struct:
    """A log's record: account, topics, size, then topics and data."""
    return struct.Struct(f"<QQQ{'32s' * topics}{size}s{-size % 8}x")


def block_words(block: BlockEnvironment) -> bytes:
    """The fields of ``Surroundings`` behind those of the transaction."""
    words = (
        int.from_bytes(block.coinbase, "big"),
        block.timestamp,
        block.number,
        block.difficulty,
        int.from_bytes(block.prev_randao, "big"),
        block.gas_limit,
        block.chain_id,
        block.base_fee_per_gas,
        block.blob_base_fee,
    )
    return b"".join([word.to_bytes(32, "little") for word in words])


def _number(word: bytes) -> int:
    return int.from_bytes(word, "little")


def view_u64(view: memoryview, at: int) -> int:
    """Eight bytes as a number."""
    return int.from_bytes(view[at : at + 8], "little")


def address_of(data: bytes) -> int:
    """Where the bytes lie; the caller keeps them alive."""
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0
