"""Everything that code may ask of the world. ``state/journal.py`` is its real tenant.

Addresses are 20 bytes, slots and values are ints. Every change is undone by ``rollback`` to an
earlier ``checkpoint``: balances, nonces, code, storage, transient storage, warm sets, refunds, logs,
created and destroyed sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeAlias

from node.primitives.scalars import Address, Hash32
from node.types.receipts import Log

AccountFacts: TypeAlias = tuple[bool, int, int, bytes, bool, bool, bool]
"""(exists, nonce, balance, code hash, is warm, is created, is destroyed); see the questions of these names."""


class Host(Protocol):
    """The state as the EVM sees it during one transaction."""

    # --- accounts ---
    def account_facts(self, address: Address) -> AccountFacts:
        """All at once, for machines that keep their own tables."""
        ...

    def account_exists(self, address: Address) -> bool:
        """There is an account, be it empty (what counted before EIP-161)."""
        ...

    def is_alive(self, address: Address) -> bool:
        """The account exists and is not empty (EIP-161)."""
        ...

    def balance(self, address: Address) -> int:
        """Wei."""
        ...

    def nonce(self, address: Address) -> int:
        """Transactions sent, or contracts created."""
        ...

    def code(self, address: Address) -> bytes:
        """The account's code (a delegation designator where EIP-7702 set one)."""
        ...

    def code_hash(self, address: Address) -> Hash32:
        """keccak256 of the code; of no bytes for an account without code or no account."""
        ...

    def transfer(self, sender: Address, recipient: Address, value: int) -> None:
        """Move wei; the caller has checked the balance. Touches both, also for 0 (EIP-161)."""
        ...

    def increment_nonce(self, address: Address) -> None:
        """Add one."""
        ...

    def set_code(self, address: Address, code: bytes) -> None:
        """Give the account code."""
        ...

    def can_create_at(self, address: Address) -> bool:
        """No nonce, no code and no storage there (EIP-684, EIP-7610)."""
        ...

    def touch(self, address: Address) -> None:
        """The account takes part in something that may change state (EIP-161)."""
        ...

    def set_balance(self, address: Address, balance: int) -> None:
        """Replace the balance, in wei. Touches."""
        ...

    def set_nonce(self, address: Address, nonce: int) -> None:
        """Replace the nonce. Touches."""
        ...

    def is_created(self, address: Address) -> bool:
        """``mark_created`` was called in this transaction and not undone."""
        ...

    def mark_created(self, address: Address) -> None:
        """The account becomes a contract in this transaction: storage empty, same-transaction SELFDESTRUCT deletes."""
        ...

    def self_destruct(self, address: Address, beneficiary: Address, only_created: bool) -> None:
        """Move the balance; delete at the end of the transaction (``only_created``: only if created in it, EIP-6780).

        A destroyed account that names itself burns its balance where it is deleted, keeps it where it is not.
        """
        ...

    def is_destroyed(self, address: Address) -> bool:
        """``self_destruct`` has marked it for deletion in this transaction."""
        ...

    def mark_destroyed(self, address: Address) -> None:
        """Delete it at the end of the transaction; its balance is settled."""
        ...

    # --- storage ---
    def slot_facts(self, address: Address, slot: int) -> tuple[int, int, bool]:
        """(value, value at the start of the transaction, whether it is warm), all at once."""
        ...

    def storage(self, address: Address, slot: int) -> int:
        """The current value."""
        ...

    def original_storage(self, address: Address, slot: int) -> int:
        """The value at the start of the transaction (EIP-2200)."""
        ...

    def set_storage(self, address: Address, slot: int, value: int) -> None:
        """Write."""
        ...

    def transient_storage(self, address: Address, slot: int) -> int:
        """EIP-1153."""
        ...

    def set_transient_storage(self, address: Address, slot: int, value: int) -> None:
        """EIP-1153."""
        ...

    @property
    def has_transient_storage(self) -> bool:
        """Something was written there in this transaction."""
        ...

    # --- access, refunds, logs ---
    def access_address(self, address: Address) -> bool:
        """Warm it up; True where it was cold (EIP-2929)."""
        ...

    def is_warm_address(self, address: Address) -> bool:
        """Without warming it up."""
        ...

    def access_slot(self, address: Address, slot: int) -> bool:
        """Warm it up; True where it was cold (EIP-2929)."""
        ...

    def is_warm_slot(self, address: Address, slot: int) -> bool:
        """Without warming it up."""
        ...

    def add_refund(self, amount: int) -> None:
        """Gas; negative amounts take back."""
        ...

    def emit_log(self, log: Log) -> None:
        """Append."""
        ...

    def emit_logs(self, logs: Iterable[Log]) -> None:
        """Append all of them; they may be read later, or never."""
        ...

    # --- undo ---
    def checkpoint(self) -> int:
        """A point to come back to. Checkpoints nest; leaving one without rollback needs no call."""
        ...

    def rollback(self, checkpoint: int) -> None:
        """Undo everything since."""
        ...


def delegation_target(code: bytes) -> Address | None:
    """Where an EIP-7702 designator (0xef0100 ‖ address) points, or None for other code."""
    if len(code) == 23 and code[:3] == b"\xef\x01\x00":
        return Address(code[3:])
    return None


__all__: Sequence[str] = ("AccountFacts", "Host", "delegation_target")
