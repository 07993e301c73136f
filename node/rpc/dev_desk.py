"""What a node on a chain for development does in its users' name: orders state writes, signs, acts for others.

Everything becomes a transaction (types/transactions.py UNSIGNED), gossiped and included like any other, so all nodes
agree on it. An answer comes when the transaction is in a block that this node holds as head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from node.chain.feed import News
from node.crypto.hashes import keccak256
from node.execution.intrinsic import intrinsic_gas
from node.primitives.scalars import Address, Hash32
from node.rpc.backend import ChainReads, Pool
from node.rpc.errors import RpcError, refused
from node.txpool.rejection import PoolRejected
from node.types.operations import ORDERS, Operation, encode_operations
from node.types.transactions import UNSIGNED, Transaction

NOT_DEV: Final = "this network was started without --dev, so nobody may write its state or act for others"
INCLUDED_WITHIN_MS: Final = 25_000


class DevDesk:
    """One for a node. ``keys``: private keys of the accounts that the node signs for."""

    def __init__(self, chain: ChainReads, pool: Pool, name: str, keys: Mapping[Address, bytes]) -> None:
        self._chain = chain
        self._pool = pool
        self._sender = Address(keccak256(b"evmesh/dev/" + name.encode())[12:])
        self._turn = asyncio.Lock()
        self.keys = dict(keys)
        self.impersonated: dict[Address, None] = {}
        self.acts_for_anybody = False

    def check(self) -> None:
        """Raises RpcError where the network is none for development."""
        if UNSIGNED not in self._chain.spec_for(self._chain.head).transaction_types:
            raise refused(f"{NOT_DEV}; start one with: evmesh up --dev")

    def may_act_for(self, account: Address) -> bool:
        """Whether unsigned transactions of this account were asked for."""
        return self.acts_for_anybody or account in self.impersonated

    async def order(self, *operations: Operation) -> Hash32:
        """Have the state written; the transaction's hash, once it is in the head's chain. Raises RpcError."""
        self.check()
        async with self._turn:  # two orders at once must not take one nonce
            tx = self._unsigned(self._sender, ORDERS, 0, encode_operations(operations), None, None)
            self._submit(tx)
        await self.included(tx.hash)
        return tx.hash

    def act(
        self, account: Address, to: Address | None, value: int, data: bytes, gas: int, nonce: int | None
    ) -> Transaction:
        """Send an unsigned transaction of this account. Raises RpcError."""
        self.check()
        tx = self._unsigned(account, to, value, data, gas, nonce)
        self._submit(tx)
        return tx

    def next_nonce(self, account: Address) -> int:
        """Behind the account's own and those that wait."""
        found = self._chain.view_at(self._chain.head).account(account)
        return max(0 if found is None else found.nonce, self._pool.pending_nonce(account) or 0)

    def _unsigned(
        self, sender: Address, to: Address | None, value: int, data: bytes, gas: int | None, nonce: int | None
    ) -> Transaction:
        tx = Transaction(
            type=UNSIGNED,
            nonce=self.next_nonce(sender) if nonce is None else nonce,
            gas_limit=0 if gas is None else gas,
            to=to,
            value=value,
            data=data,
            max_fee_per_gas=0,
            max_priority_fee_per_gas=0,
            chain_id=self._chain.chain_id,
            origin=sender,
        )
        if gas is not None:
            return tx
        # the height makes it another transaction than the same order before a state was restored
        needed = max(intrinsic_gas(tx, self._chain.spec_for(self._chain.head)))
        return replace(tx, gas_limit=needed + self._chain.head.number)

    def _submit(self, tx: Transaction) -> None:
        try:
            self._pool.add(tx, local=True)
        except PoolRejected as error:
            raise refused(error.message) from error

    async def included(self, transaction_hash: Hash32) -> None:
        """Wait until the transaction is in the head's chain. Raises RpcError after INCLUDED_WITHIN_MS."""
        if not await self._head_brings(lambda: self._chain.transaction_location(transaction_hash) is not None):
            raise RpcError(
                -32000,
                f"0x{transaction_hash.hex()} is in no block after {INCLUDED_WITHIN_MS} ms: does the chain go on?",
            )

    async def _head_brings(self, condition: Callable[[], bool]) -> bool:
        came = asyncio.Event()

        def told(news: News) -> None:
            came.set()

        unsubscribe = self._chain.feed.subscribe(told)
        try:
            async with asyncio.timeout(INCLUDED_WITHIN_MS / 1000):
                while not condition():
                    await came.wait()
                    came.clear()
            return True
        except TimeoutError:
            return False
        finally:
            unsubscribe()
