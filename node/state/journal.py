"""Journalled state: the overlay that one block writes over a ``StateView``, undoable to any checkpoint.

Every change appends one entry ``(container, key, old)`` to an undo log; ``rollback`` plays the log
backwards. A checkpoint is a length of that log: taking one costs nothing, however much was changed.

    view --first read--> JournaledAccount records --begin_transaction .. end_transaction, per transaction--> diff()

Within a transaction it keeps what the EIPs define per transaction: warm sets (2929), transient storage
(1153), original storage (2200), accounts created (6780), touched (161) and destroyed, refund and logs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, Final

from node.crypto.hashes import EMPTY_KECCAK, EMPTY_TRIE_ROOT, keccak256
from node.primitives.scalars import U256_MAX, Address, Hash32
from node.state.diff import AccountChange, StateDiff
from node.state.journaled_account import JournaledAccount
from node.state.view import StateView
from node.types.receipts import Log

_ABSENT: Final = object()
"""The old value of a key that was not there."""


TOUCH_SURVIVES: Final = Address(bytes(19) + b"\x03")
"""RIPEMD160's account stays touched when the call to it is undone: in block 2,675,119 of Ethereum's main network
clients deleted it, empty as it was, after such a call, and so the rule became part of EIP-161."""


class JournaledState:
    """The real tenant of ``evm.host.Host``. One writer; not for several threads.

    A checkpoint is good until the next ``begin_transaction``; ``end_transaction`` itself can be undone.
    """

    __slots__ = (
        "_accounts",
        "_codes",
        "_created",
        "_destroyed",
        "_logs",
        "_refund",
        "_touched",
        "_transient",
        "_undo",
        "_view",
        "_warm",
        "_warm_slots",
        "_written",
    )

    def __init__(self, view: StateView) -> None:
        self._view = view
        self._accounts: dict[Address, JournaledAccount] = {}
        self._codes: dict[Hash32, bytes] = {}
        # Containers in the undo log are dicts, lists and objects; the log itself is what makes this fast.
        self._undo: list[tuple[Any, Any, Any]] = []
        self._written: list[JournaledAccount] = []
        self._warm: dict[Address, bool] = {}
        self._warm_slots: dict[Address, dict[int, bool]] = {}
        self._transient: dict[Address, dict[int, int]] = {}
        self._created: dict[Address, bool] = {}
        self._destroyed: dict[Address, bool] = {}
        self._touched: dict[Address, bool] = {}
        self._refund = 0
        self._logs: list[Iterable[Log]] = []

    # --- transactions ---

    def begin_transaction(self, warm: Iterable[Address] = ()) -> None:
        """Start afresh: nothing transient, created, touched or destroyed; no refund, no logs; original = current.

        Only the accounts in ``warm`` are warm, and stay so whatever is undone. Earlier checkpoints end here.
        """
        self._undo.clear()
        for account in self._written:
            account.original = {}
        self._written = []
        self._warm = dict.fromkeys(warm, True)
        self._warm_slots = {}
        self._transient = {}
        self._created = {}
        self._destroyed = {}
        self._touched = {}
        self._refund = 0
        self._logs = []

    def end_transaction(self, remove_empty: bool = True) -> None:
        """Delete destroyed accounts with whatever they hold, and touched empty ones (EIP-161, ``remove_empty``)."""
        accounts = self._accounts
        for address in self._destroyed:
            self._remove(accounts[address])
        if remove_empty:
            for address in self._touched:
                account = accounts[address]
                if account.exists and account.is_empty:
                    self._remove(account)

    def _remove(self, account: JournaledAccount) -> None:
        undo = self._undo
        undo.append((account, "exists", account.exists))
        undo.append((account, "nonce", account.nonce))
        undo.append((account, "balance", account.balance))
        account.exists = False
        account.nonce = 0
        account.balance = 0
        self._replace_code(account, EMPTY_KECCAK, b"")
        self._clear_storage(account)

    def _clear_storage(self, account: JournaledAccount) -> None:
        undo = self._undo
        undo.append((account, "slots", account.slots))
        undo.append((account, "original", account.original))
        undo.append((account, "cleared", account.cleared))
        account.slots = {}
        account.original = {}
        account.cleared = True

    def _replace_code(self, account: JournaledAccount, code_hash: Hash32, code: bytes) -> None:
        undo = self._undo
        undo.append((account, "code_hash", account.code_hash))
        undo.append((account, "code", account.code))
        account.code_hash = code_hash
        account.code = code

    # --- accounts: reads ---

    def _load(self, address: Address) -> JournaledAccount:
        account = self._accounts[address] = JournaledAccount(self._view.account(address))
        return account

    def account_facts(self, address: Address) -> tuple[bool, int, int, bytes, bool, bool, bool]:
        """(exists, nonce, balance, code hash, is warm, is created, is destroyed)."""
        account = self._accounts.get(address) or self._load(address)
        return (
            account.exists,
            account.nonce,
            account.balance,
            account.code_hash,
            address in self._warm,
            address in self._created,
            address in self._destroyed,
        )

    def account_exists(self, address: Address) -> bool:
        """There is an account, be it empty: in the view, or touched since."""
        return (self._accounts.get(address) or self._load(address)).exists

    def is_alive(self, address: Address) -> bool:
        """The account exists and is not empty (EIP-161)."""
        return not (self._accounts.get(address) or self._load(address)).is_empty

    def balance(self, address: Address) -> int:
        """Wei."""
        return (self._accounts.get(address) or self._load(address)).balance

    def nonce(self, address: Address) -> int:
        """Transactions sent, or contracts created."""
        return (self._accounts.get(address) or self._load(address)).nonce

    def code(self, address: Address) -> bytes:
        """The account's code (a delegation designator where EIP-7702 set one)."""
        account = self._accounts.get(address) or self._load(address)
        code = account.code
        if code is None:
            code = self._codes.get(account.code_hash)
            if code is None:
                code = self._view.code(account.code_hash)
            account.code = code
        return code

    def code_hash(self, address: Address) -> Hash32:
        """keccak256 of the code; of no bytes for an account without code or no account."""
        return (self._accounts.get(address) or self._load(address)).code_hash

    def can_create_at(self, address: Address) -> bool:
        """No nonce, no code and no storage there (EIP-684, EIP-7610)."""
        account = self._accounts.get(address) or self._load(address)
        if account.nonce != 0 or account.code_hash != EMPTY_KECCAK:
            return False
        if not account.cleared and account.base is not None and account.base.storage_root != EMPTY_TRIE_ROOT:
            return False
        return not any(account.slots.values())

    # --- accounts: writes ---

    def touch(self, address: Address) -> None:
        """The account takes part in something that may change state (EIP-161); it exists until the transaction ends."""
        account = self._accounts.get(address) or self._load(address)
        touched = self._touched
        if address not in touched:
            if address != TOUCH_SURVIVES:
                self._undo.append((touched, address, _ABSENT))
            touched[address] = True
        if not account.exists:
            self._undo.append((account, "exists", False))
            account.exists = True

    def set_balance(self, address: Address, balance: int) -> None:
        """Replace the balance, in wei. Touches."""
        assert 0 <= balance <= U256_MAX, "balances are 256-bit"
        self.touch(address)
        account = self._accounts[address]
        self._undo.append((account, "balance", account.balance))
        account.balance = balance

    def add_balance(self, address: Address, amount: int) -> None:
        """Credit wei. Touches, also for 0."""
        self.touch(address)
        if amount:
            account = self._accounts[address]
            self._undo.append((account, "balance", account.balance))
            account.balance += amount

    def sub_balance(self, address: Address, amount: int) -> None:
        """Debit wei that the caller has checked to be there. Touches, also for 0."""
        self.touch(address)
        if amount:
            account = self._accounts[address]
            assert account.balance >= amount, "the caller checks the balance"
            self._undo.append((account, "balance", account.balance))
            account.balance -= amount

    def transfer(self, sender: Address, recipient: Address, value: int) -> None:
        """Move wei; the caller has checked the balance. Touches both, also for 0 (EIP-161)."""
        self.sub_balance(sender, value)
        self.add_balance(recipient, value)

    def set_nonce(self, address: Address, nonce: int) -> None:
        """Replace the nonce. Touches."""
        self.touch(address)
        account = self._accounts[address]
        self._undo.append((account, "nonce", account.nonce))
        account.nonce = nonce

    def increment_nonce(self, address: Address) -> None:
        """Add one. Touches."""
        self.touch(address)
        account = self._accounts[address]
        self._undo.append((account, "nonce", account.nonce))
        account.nonce += 1

    def set_code(self, address: Address, code: bytes) -> None:
        """Give the account code. Touches."""
        self.touch(address)
        code_hash = keccak256(code) if code else EMPTY_KECCAK
        if code:
            self._codes[code_hash] = code
        self._replace_code(self._accounts[address], code_hash, code)

    def mark_created(self, address: Address) -> None:
        """The account becomes a contract in this transaction; a balance that lies there stays. Touches.

        Its storage is empty from here on, and a SELFDESTRUCT in this transaction deletes it (EIP-6780).
        """
        self.touch(address)
        created = self._created
        if address not in created:
            self._undo.append((created, address, _ABSENT))
            created[address] = True
        self._clear_storage(self._accounts[address])

    def replace_storage(self, address: Address, slots: Mapping[int, int]) -> None:
        """Only ``slots`` are there from now on. Touches. Not for code: no rule of Ethereum does this."""
        self.touch(address)
        self._clear_storage(self._accounts[address])
        for slot, value in slots.items():
            self.set_storage(address, slot, value)

    def is_created(self, address: Address) -> bool:
        """``mark_created`` was called in this transaction and not undone."""
        return address in self._created

    def self_destruct(self, address: Address, beneficiary: Address, only_created: bool) -> None:
        """Move the balance; delete at the end of the transaction (``only_created``: only if created in it, EIP-6780).

        A destroyed account that names itself burns its balance where it is deleted, keeps it where it is not.
        """
        account = self._accounts.get(address) or self._load(address)
        self.transfer(address, beneficiary, account.balance)
        if only_created and address not in self._created:
            return
        if account.balance:  # it named itself
            self._undo.append((account, "balance", account.balance))
            account.balance = 0
        self.mark_destroyed(address)

    def mark_destroyed(self, address: Address) -> None:
        """Delete it at the end of the transaction; its balance is settled."""
        destroyed = self._destroyed
        if address not in destroyed:
            if address not in self._accounts:
                self._load(address)
            self._undo.append((destroyed, address, _ABSENT))
            destroyed[address] = True

    def is_destroyed(self, address: Address) -> bool:
        """``self_destruct`` has marked it for deletion in this transaction."""
        return address in self._destroyed

    # --- storage ---

    def storage(self, address: Address, slot: int) -> int:
        """The current value."""
        account = self._accounts.get(address) or self._load(address)
        value = account.slots.get(slot)
        return self._load_slot(account, address, slot) if value is None else value

    def slot_facts(self, address: Address, slot: int) -> tuple[int, int, bool]:
        """(value, value at the start of the transaction, whether it is warm)."""
        account = self._accounts.get(address) or self._load(address)
        value = account.slots.get(slot)
        if value is None:
            value = self._load_slot(account, address, slot)
        warm = self._warm_slots.get(address)
        return value, account.original.get(slot, value), warm is not None and slot in warm

    def _load_slot(self, account: JournaledAccount, address: Address, slot: int) -> int:
        if account.cleared:
            value = 0
        else:
            value = account.loaded[slot] = self._view.slot(address, slot)
        account.slots[slot] = value
        return value

    def original_storage(self, address: Address, slot: int) -> int:
        """The value at the start of the transaction (EIP-2200)."""
        account = self._accounts.get(address) or self._load(address)
        value = account.original.get(slot)
        return self.storage(address, slot) if value is None else value

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Write. The account runs code, so it exists."""
        account = self._accounts.get(address) or self._load(address)
        slots = account.slots
        old = slots.get(slot)
        if old is None:
            old = self._load_slot(account, address, slot)
        if old == value:
            return
        if not account.exists:
            self.touch(address)
        original = account.original
        if slot not in original:
            if not original:
                self._written.append(account)
            original[slot] = old
        self._undo.append((slots, slot, old))
        slots[slot] = value

    def transient_storage(self, address: Address, slot: int) -> int:
        """EIP-1153: gone when the transaction ends."""
        slots = self._transient.get(address)
        return slots.get(slot, 0) if slots is not None else 0

    def set_transient_storage(self, address: Address, slot: int, value: int) -> None:
        """EIP-1153: gone when the transaction ends."""
        slots = self._transient.get(address)
        if slots is None:
            slots = self._transient[address] = {}
        self._undo.append((slots, slot, slots.get(slot, 0)))
        slots[slot] = value

    @property
    def has_transient_storage(self) -> bool:
        """Something was written there in this transaction."""
        return bool(self._transient)

    # --- access, refunds, logs ---

    def access_address(self, address: Address) -> bool:
        """Warm it up; True where it was cold (EIP-2929)."""
        warm = self._warm
        if address in warm:
            return False
        warm[address] = True
        self._undo.append((warm, address, _ABSENT))
        return True

    def is_warm_address(self, address: Address) -> bool:
        """Without warming it up."""
        return address in self._warm

    def access_slot(self, address: Address, slot: int) -> bool:
        """Warm it up; True where it was cold (EIP-2929)."""
        warm = self._warm_slots.get(address)
        if warm is None:
            warm = self._warm_slots[address] = {}
        elif slot in warm:
            return False
        warm[slot] = True
        self._undo.append((warm, slot, _ABSENT))
        return True

    def is_warm_slot(self, address: Address, slot: int) -> bool:
        """Without warming it up."""
        warm = self._warm_slots.get(address)
        return warm is not None and slot in warm

    @property
    def refund(self) -> int:
        """Gas refunds collected in this transaction, before any cap."""
        return self._refund

    def add_refund(self, amount: int) -> None:
        """Gas; negative amounts take back."""
        self._undo.append((self, "_refund", self._refund))
        self._refund += amount

    @property
    def logs(self) -> tuple[Log, ...]:
        """What this transaction has logged, in order."""
        return tuple(chain.from_iterable(self._logs))

    def emit_log(self, log: Log) -> None:
        """Append."""
        self.emit_logs((log,))

    def emit_logs(self, logs: Iterable[Log]) -> None:
        """Append all of them; they are read when somebody asks for ``logs``, which few callers of calls do."""
        held = self._logs
        self._undo.append((held, len(held), None))
        held.append(logs)

    # --- undo ---

    def checkpoint(self) -> int:
        """A point to come back to. Checkpoints nest; leaving one without rollback needs no call."""
        return len(self._undo)

    def rollback(self, checkpoint: int) -> None:
        """Undo everything since."""
        undo = self._undo
        assert 0 <= checkpoint <= len(undo), "a checkpoint of an earlier transaction, or one already undone"
        while len(undo) > checkpoint:
            container, key, old = undo.pop()
            kind = type(container)
            if kind is dict:
                if old is _ABSENT:
                    del container[key]
                else:
                    container[key] = old
            elif kind is list:
                del container[key:]
            else:
                setattr(container, key, old)

    # --- the result ---

    @property
    def view(self) -> StateView:
        """What lies below."""
        return self._view

    def diff(self) -> StateDiff:
        """Everything that now differs from the view. The journal can go on after it."""
        result = StateDiff()
        for address, account in self._accounts.items():
            base = account.base
            if not account.exists:
                if base is not None:
                    result.accounts[address] = None
                continue
            if account.cleared:
                slots = {slot: value for slot, value in account.slots.items() if value}
            elif account.slots == account.loaded:
                slots = {}
            else:
                loaded = account.loaded
                slots = {slot: value for slot, value in account.slots.items() if value != loaded[slot]}
            if (
                base is None
                or slots
                or account.nonce != base.nonce
                or account.balance != base.balance
                or account.code_hash != base.code_hash
                or (account.cleared and base.storage_root != EMPTY_TRIE_ROOT)
            ):
                result.accounts[address] = AccountChange(
                    nonce=account.nonce,
                    balance=account.balance,
                    code_hash=account.code_hash,
                    slots=slots,
                    storage_cleared=account.cleared,
                )
                code = self._codes.get(account.code_hash)
                if code is not None:
                    result.codes[account.code_hash] = code
        return result
