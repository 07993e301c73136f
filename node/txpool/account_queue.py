"""One sender's transactions: in nonce order, the executable front part, the queued rest."""

from __future__ import annotations

from dataclasses import dataclass

from node.execution.validity import maximum_cost
from node.primitives.scalars import Address
from node.types.blobs import Sidecar
from node.types.transactions import Transaction


@dataclass(frozen=True, slots=True)
class PooledTransaction:
    """A transaction with what the pool asks of it again and again. ``cost`` in wei, ``size`` in bytes."""

    tx: Transaction
    sender: Address
    cost: int
    size: int
    arrival: int
    """Running number: the earlier of two equals goes first."""
    head: int
    """Running number of the head at which it came."""
    sidecar: Sidecar | None = None
    """The blobs of a blob transaction."""


def pooled(
    tx: Transaction, sender: Address, arrival: int, head: int, sidecar: Sidecar | None = None
) -> PooledTransaction:
    """The transaction with its cost and size worked out."""
    return PooledTransaction(
        tx=tx,
        sender=sender,
        cost=maximum_cost(tx),
        size=len(tx.encode()) + (sidecar.size if sidecar else 0),
        arrival=arrival,
        head=head,
        sidecar=sidecar,
    )


@dataclass(frozen=True, slots=True)
class SenderAccount:
    """The sender's account at the head. ``balance`` in wei."""

    nonce: int
    balance: int
    delegated: bool
    """Its code is a delegation (EIP-7702): its balance can leave without its nonce moving."""


class AccountQueue:
    """Transactions of one sender by nonce. ``executable_count`` of them follow the account's nonce, all paid for."""

    __slots__ = ("_by_nonce", "_executable_cost", "account", "executable_count", "local")

    def __init__(self, account: SenderAccount) -> None:
        self.account = account
        self.local = False
        """One of its transactions was handed in at this node."""
        self.executable_count = 0
        self._executable_cost = 0
        self._by_nonce: dict[int, PooledTransaction] = {}

    def __len__(self) -> int:
        return len(self._by_nonce)

    @property
    def next_nonce(self) -> int:
        """The nonce behind the executable part."""
        return self.account.nonce + self.executable_count

    @property
    def queued_count(self) -> int:
        """How many are not executable."""
        return len(self._by_nonce) - self.executable_count

    def get(self, nonce: int) -> PooledTransaction | None:
        """The transaction with this nonce."""
        return self._by_nonce.get(nonce)

    def is_executable(self, nonce: int) -> bool:
        """It is in the executable part."""
        return self.account.nonce <= nonce < self.next_nonce

    def would_execute(self, entry: PooledTransaction) -> bool:
        """It would be in the executable part if it were put in (not for one that replaces another)."""
        return entry.tx.nonce == self.next_nonce and self._executable_cost + entry.cost <= self.account.balance

    def executable(self) -> list[PooledTransaction]:
        """The executable part in nonce order."""
        first = self.account.nonce
        return [self._by_nonce[nonce] for nonce in range(first, first + self.executable_count)]

    def queued(self) -> list[PooledTransaction]:
        """The rest in nonce order."""
        border = self.next_nonce
        return [self._by_nonce[nonce] for nonce in sorted(self._by_nonce) if nonce >= border]

    def in_nonce_order(self) -> list[PooledTransaction]:
        """All of them."""
        return [self._by_nonce[nonce] for nonce in sorted(self._by_nonce)]

    def put(self, entry: PooledTransaction) -> PooledTransaction | None:
        """Insert; returns the one that it replaces."""
        nonce = entry.tx.nonce
        assert nonce >= self.account.nonce, "the pool refuses used nonces"
        replaced = self._by_nonce.get(nonce)
        self._by_nonce[nonce] = entry
        if replaced is None:
            self._extend()
        elif nonce < self.next_nonce:
            self._recount()
        return replaced

    def remove(self, nonce: int) -> PooledTransaction | None:
        """Take one out; those behind it become queued."""
        entry = self._by_nonce.pop(nonce, None)
        if entry is not None and nonce < self.next_nonce:
            self._recount()
        return entry

    def move_to(self, account: SenderAccount) -> list[PooledTransaction]:
        """Follow the account to a new head. Returns what it cannot send now: used nonces, costs above its balance."""
        self.account = account
        dropped = [
            entry for nonce, entry in self._by_nonce.items() if nonce < account.nonce or entry.cost > account.balance
        ]
        for entry in dropped:
            del self._by_nonce[entry.tx.nonce]
        self._recount()
        return dropped

    def _recount(self) -> None:
        self.executable_count = 0
        self._executable_cost = 0
        self._extend()

    def _extend(self) -> None:
        balance = self.account.balance
        while True:
            entry = self._by_nonce.get(self.next_nonce)
            if entry is None or self._executable_cost + entry.cost > balance:
                return
            self.executable_count += 1
            self._executable_cost += entry.cost
