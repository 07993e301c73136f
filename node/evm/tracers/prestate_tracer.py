"""prestateTracer: every account and slot that a transaction touched, as it was before; with ``diffMode`` also after.

An account is read when it is first named, which is before anything could change it: sender, recipient, coinbase
and authorities before gas is bought, all others before the instruction that names them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from node.crypto.hashes import EMPTY_KECCAK
from node.evm.addresses import create2_address, create_address
from node.evm.frame import Frame
from node.evm.host import Host, delegation_target
from node.evm.message import Message
from node.evm.opcodes import Opcode
from node.evm.outcome import Halt, Outcome
from node.evm.tracers.transaction_tracer import Budget, TransactionStart
from node.primitives.scalars import Address, Hash32, word_to_address

Json = dict[str, Any]

_SLOT_BYTES: Final = 140
_ACCOUNT_BYTES: Final = 200
_SLOTS: Final = (int(Opcode.SLOAD), int(Opcode.SSTORE))
_ACCOUNTS: Final = (
    int(Opcode.BALANCE),
    int(Opcode.EXTCODECOPY),
    int(Opcode.EXTCODEHASH),
    int(Opcode.EXTCODESIZE),
    int(Opcode.SELFDESTRUCT),
)
_CALLS: Final = (int(Opcode.CALL), int(Opcode.CALLCODE), int(Opcode.DELEGATECALL), int(Opcode.STATICCALL))
_WATCHED: Final = frozenset((*_SLOTS, *_ACCOUNTS, *_CALLS, int(Opcode.CREATE), int(Opcode.CREATE2)))


@dataclass(frozen=True, slots=True)
class PrestateTracerConfig:
    """geth's options."""

    diff_mode: bool = False
    disable_code: bool = False
    disable_storage: bool = False
    include_empty: bool = False


@dataclass(slots=True)
class _Before:
    """An account before the transaction."""

    balance: int
    nonce: int
    code_hash: Hash32
    code: bytes
    storage: dict[int, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.balance or self.nonce or self.code_hash != EMPTY_KECCAK)


class PrestateTracer:
    """Reads the host as the run goes; what it has read once it does not read again."""

    def __init__(self, config: PrestateTracerConfig, budget: Budget) -> None:
        self._config = config
        self._budget = budget
        self._before: dict[Address, _Before] = {}
        self._deleted: dict[Address, bool] = {}
        self._result: Json = {}

    def begin(self, start: TransactionStart) -> None:
        """Forget the last transaction; read whom the transaction itself names."""
        self._before = {}
        self._deleted = {}
        self._result = {}
        host = start.host
        if not start.is_create:
            delegate = delegation_target(host.code(start.target))
            if delegate is not None:
                self._see(host, delegate)
        for address in (start.sender, start.target, start.coinbase, *start.authorities):
            self._see(host, address)

    def enter(self, message: Message) -> None:
        """The instruction before has shown it."""

    def step(self, frame: Frame, opcode: int) -> None:
        """Read what the instruction is about to touch."""
        self._budget.step()
        if opcode not in _WATCHED:
            return
        stack, host = frame.stack, frame.host
        size = len(stack)
        if opcode in _SLOTS:
            if size >= 1:
                self._see_slot(host, frame.address, stack[-1])
        elif opcode in _ACCOUNTS:
            if size >= 1:
                self._see(host, word_to_address(stack[-1]))
                if opcode == Opcode.SELFDESTRUCT:
                    self._deleted[frame.address] = True
        elif opcode in _CALLS:
            if size >= 5:
                called = word_to_address(stack[-2])
                self._see(host, called)
                delegate = delegation_target(host.code(called))
                if delegate is not None:
                    self._see(host, delegate)
        elif opcode == Opcode.CREATE:
            self._see(host, create_address(frame.address, host.nonce(frame.address)))
        elif size >= 4:
            self._see_create2(frame)

    def _see_create2(self, frame: Frame) -> None:
        offset, length, salt = frame.stack[-2], frame.stack[-3], frame.stack[-4]
        if length * max(frame.prices.initcode_word, frame.prices.keccak_word) > 32 * frame.gas:
            return  # it cannot be paid
        init_code = bytes(frame.memory[offset : offset + length]).ljust(length, b"\x00") if length else b""
        self._see(frame.host, create2_address(frame.address, salt.to_bytes(32, "big"), init_code))

    def _see(self, host: Host, address: Address) -> None:
        if address in self._before:
            return
        code = b"" if self._config.disable_code else host.code(address)
        self._budget.hold(_ACCOUNT_BYTES + 2 * len(code))
        self._before[address] = _Before(host.balance(address), host.nonce(address), host.code_hash(address), code)

    def _see_slot(self, host: Host, address: Address, slot: int) -> None:
        if self._config.disable_storage:
            return
        self._see(host, address)
        storage = self._before[address].storage
        if slot not in storage:
            self._budget.hold(_SLOT_BYTES)
            storage[slot] = host.storage(address, slot)

    def fault(self, frame: Frame, opcode: int, halt: Halt) -> None:
        """What was read stays read."""

    def exit(self, message: Message, outcome: Outcome) -> None:
        """Also what was undone was touched."""

    def end(self, gas_used: int, outcome: Outcome, host: Host) -> None:
        """Compare, in diff mode; drop what was not there before."""
        shown = {
            address: before
            for address, before in self._before.items()
            if self._config.include_empty or not before.is_empty
        }
        if not self._config.diff_mode:
            self._result = {_hex(address): _told(before) for address, before in shown.items()}
            return
        pre: Json = {}
        post: Json = {}
        for address, before in self._before.items():
            if address in self._deleted:
                changed = dict(before.storage)
            else:
                after, changed = self._after(address, before, host)
                if not after and not changed:
                    continue
                post[_hex(address)] = after
            if address in shown:
                pre[_hex(address)] = _told(
                    _Before(before.balance, before.nonce, before.code_hash, before.code, changed)
                )
        self._result = {"post": post, "pre": pre}

    def _after(self, address: Address, before: _Before, host: Host) -> tuple[Json, dict[int, int]]:
        """What is different now (storage only where it is not 0), and the old values of changed slots (likewise)."""
        after: Json = {}
        balance, nonce, code_hash = host.balance(address), host.nonce(address), host.code_hash(address)
        if balance != before.balance:
            after["balance"] = hex(balance)
        if nonce != before.nonce:
            after["nonce"] = nonce
        if code_hash != before.code_hash:
            after["codeHash"] = _hex(code_hash if code_hash != EMPTY_KECCAK else bytes(32))
            if not self._config.disable_code:
                code = host.code(address)
                if code:
                    after["code"] = _hex(code)
        storage: dict[int, int] = {}
        changed: dict[int, int] = {}
        for slot, old in before.storage.items():
            new = host.storage(address, slot)
            if new != old:
                storage[slot] = new
                if old:
                    changed[slot] = old
        written = {slot: value for slot, value in storage.items() if value}
        if written:
            after["storage"] = _storage(written)
        return after, changed

    def result(self) -> Json:
        """geth's object: accounts by address, or ``{pre, post}``."""
        return self._result


def _told(before: _Before) -> Json:
    told: Json = {"balance": hex(before.balance)}
    if before.code:
        told["code"] = _hex(before.code)
    if before.code_hash != EMPTY_KECCAK:
        told["codeHash"] = _hex(before.code_hash)
    if before.nonce:
        told["nonce"] = before.nonce
    if before.storage:
        told["storage"] = _storage(before.storage)
    return told


def _storage(slots: dict[int, int]) -> dict[str, str]:
    return {f"0x{slot:064x}": f"0x{value:064x}" for slot, value in slots.items()}


def _hex(value: bytes) -> str:
    return "0x" + value.hex()
