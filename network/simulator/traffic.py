"""Users of a simulated cluster: signed transactions, sent through JSON-RPC without a socket, followed until they stand.

    seed ──> Traffic: who pays whom, who calls the counter ──> eth_sendRawTransaction at a live node
                      not included after a while: the same bytes again, at another node

Each account has one user, who sends with consecutive nonces; nothing a node loses in a crash stays lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from network.abi import selector
from network.accounts import Account
from network.load.contracts import bundled
from network.simulator.entropy import seeded_random
from node.evm.addresses import create_address
from node.primitives.scalars import GWEI, Address
from node.types.transactions import FEE_MARKET, Transaction

RESEND_MS: Final = 5_000
MAX_FEE: Final = 100 * GWEI
TIP: Final = GWEI


class Cluster(Protocol):
    """What users need of a cluster."""

    @property
    def now_ms(self) -> int:
        """Virtual milliseconds."""
        ...

    def live(self) -> Sequence[str]:
        """Names of the nodes that can be asked."""
        ...

    def submit(self, name: str, transaction: Transaction) -> None:
        """Send to one node, without waiting for its answer."""
        ...

    def is_included(self, transaction_hash: bytes) -> bool:
        """Whether some node's chain has it."""
        ...


def sign(
    account: Account,
    chain_id: int,
    nonce: int,
    to: Address | None,
    value: int = 0,
    data: bytes = b"",
    gas_limit: int = 21_000,
    tip: int = TIP,
) -> Transaction:
    """A fee-market transaction (EIP-1559)."""
    return Transaction(
        type=FEE_MARKET,
        nonce=nonce,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        max_fee_per_gas=MAX_FEE,
        max_priority_fee_per_gas=tip,
        chain_id=chain_id,
    ).signed_by(account.private_key)


@dataclass(slots=True)
class _Sent:
    transaction: Transaction
    at_ms: int


class Traffic:
    """``per_second`` transactions, drawn from the seed: transfers between accounts, and calls of a shared counter."""

    def __init__(
        self, cluster: Cluster, seed: int, chain_id: int, accounts: Sequence[Account], per_second: float = 5.0
    ) -> None:
        self._cluster = cluster
        self._chance = seeded_random(seed, "traffic")
        self._chain_id = chain_id
        self._accounts = accounts
        self._interval_s = 1 / per_second
        self._nonces = [0] * len(accounts)
        self._waiting: dict[bytes, _Sent] = {}
        self._counter: Address | None = None
        self._increment = selector("increment()")
        self.sent: dict[bytes, Transaction] = {}

    @property
    def waiting(self) -> int:
        """Transactions in no chain yet."""
        return sum(1 for transaction_hash in self._waiting if not self._cluster.is_included(transaction_hash))

    async def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Send until told otherwise; then only repeat what is not included yet."""
        while True:
            if self._cluster.live() and not until():
                self._send(self._next())
            self._repeat()
            await asyncio.sleep(self._interval_s)

    def _draw(self, below: int) -> int:
        return int(self._chance.random() * below)

    def _next(self) -> Transaction:
        sender = self._draw(len(self._accounts))
        account, nonce = self._accounts[sender], self._nonces[sender]
        self._nonces[sender] += 1
        if self._counter is None:
            self._counter = create_address(account.address, nonce)
            return sign(account, self._chain_id, nonce, None, data=bundled("Counter").bytecode, gas_limit=500_000)
        if self._draw(3) == 0:
            return sign(account, self._chain_id, nonce, self._counter, data=self._increment, gas_limit=100_000)
        to = self._accounts[self._draw(len(self._accounts))].address
        return sign(account, self._chain_id, nonce, to, value=1 + self._draw(10**15), tip=TIP + self._draw(GWEI))

    def _send(self, transaction: Transaction) -> None:
        self.sent[transaction.hash] = transaction
        self._waiting[transaction.hash] = _Sent(transaction, self._cluster.now_ms)
        self._submit(transaction)

    def _submit(self, transaction: Transaction) -> None:
        live = self._cluster.live()
        if live:
            self._cluster.submit(live[self._draw(len(live))], transaction)

    def _repeat(self) -> None:
        now_ms = self._cluster.now_ms
        for transaction_hash, entry in list(self._waiting.items()):
            if now_ms - entry.at_ms < RESEND_MS:
                continue
            if self._cluster.is_included(transaction_hash):
                del self._waiting[transaction_hash]
            else:
                entry.at_ms = now_ms
                self._submit(entry.transaction)


def request(method: str, params: Sequence[Any], number: int = 1) -> dict[str, Any]:
    """One JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
