"""What a load consists of: kinds of transactions, what each needs on the chain first, and who signs them.

transfers    ether from one sender to another
token        OpenZeppelin's ERC-20: two slots change
contention   every sender writes the same slot of one Counter
deploys      a contract is created
blobs        a transaction with one blob (EIP-4844), which the pool must verify
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from network.abi import encode, selector
from network.accounts import Account, derive_accounts
from network.client import NodeClient, ask_all
from network.failures import BadInput, Failure, TimedOut
from network.load.constant_blobs import constant_sidecar, hashes_of
from network.load.contracts import bundled
from network.wallet import Fees, build, wait_included
from node.primitives.scalars import ETHER, GWEI, Address
from node.types.blobs import encode_wrapped
from node.types.transactions import BLOB, Transaction

SENDER_PATH: Final = "m/44'/60'/1'/0"
"""Beside the funded accounts, so that a load takes no nonces from under anybody's feet."""
FEES: Final = Fees(1000 * GWEI, GWEI)
"""Room for the base fee to climb for a minute of full blocks."""
BLOB_FEE: Final = 1000 * GWEI
FUNDING: Final = 1000 * ETHER
"""Of each sender, at most."""
TOKENS: Final = 10**24
SETUP_SECONDS: Final = 60.0
BLOB_VALUES: Final = 32
"""Different blobs; what is proved is the same work for each."""


@dataclass(frozen=True, slots=True)
class Order:
    """A transaction to make; ``blob`` is the value of a constant blob, where it carries one."""

    to: Address | None
    gas: int
    value: int = 0
    data: bytes = b""
    blob: int | None = None


Draw = Callable[[random.Random, Sequence[Account]], Order]
"""The next transaction: chance, and all senders."""


def transfers() -> Draw:
    """A little ether to some sender."""
    return lambda chance, senders: Order(chance.choice(senders).address, 21_000, 1 + chance.randrange(10**9))


def token(address: Address) -> Draw:
    """A few tokens to some sender."""
    transfer = selector("transfer(address,uint256)")

    def draw(chance: random.Random, senders: Sequence[Account]) -> Order:
        receiver = chance.choice(senders).address
        amount = 1 + chance.randrange(10**9)
        return Order(address, 100_000, 0, transfer + encode(["address", "uint256"], [receiver, amount]))

    return draw


def contention(address: Address) -> Draw:
    """The one counter goes up."""
    increment = selector("increment()")
    return lambda chance, senders: Order(address, 60_000, 0, increment)


def deploys() -> Draw:
    """One more counter."""
    code = bundled("Counter").creation_data()
    return lambda chance, senders: Order(None, 300_000, 0, code)


def blobs() -> Draw:
    """A blob."""
    return lambda chance, senders: Order(
        chance.choice(senders).address, 21_000, 0, b"", 1 + chance.randrange(BLOB_VALUES)
    )


KINDS: Final = ("transfers", "token", "contention", "deploys", "blobs")


def signed(order: Order, sender: Account, nonce: int, chain_id: int, fees: Fees) -> tuple[bytes, bytes]:
    """(hash, bytes to hand to a node)."""
    if order.blob is None:
        made = build(sender, chain_id, nonce, fees, order.gas, order.to, order.value, order.data)
        return made.hash, made.encode()
    sidecar = constant_sidecar(order.blob)
    unsigned = Transaction(
        type=BLOB,
        nonce=nonce,
        gas_limit=order.gas,
        to=order.to,
        value=order.value,
        data=order.data,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        chain_id=chain_id,
        max_fee_per_blob_gas=BLOB_FEE,
        blob_versioned_hashes=hashes_of(sidecar),
    )
    made = unsigned.signed_by(sender.private_key)
    return made.hash, encode_wrapped(made.encode(), sidecar)


class Stage:
    """Accounts and contracts that a load needs, made by the network's funded accounts."""

    def __init__(self, clients: Sequence[NodeClient], funded: Sequence[Account], chain_id: int, seed: bytes) -> None:
        """``seed``: of the senders' keys. Raises Failure where nobody has ether."""
        self._client = clients[0]
        self._clients = clients
        self._chain_id = chain_id
        self._seed = seed
        self._rich = [account for account in funded if self._client.balance(account.address) > ETHER]
        if not self._rich:
            raise Failure("none of the network's accounts has ether", "start it with --accounts 10, or --fund")
        self._nonces = {account.address: self._client.nonce(account.address) for account in self._rich}

    def senders(self, count: int) -> list[Account]:
        """So many accounts with ether of their own. Raises Failure, TimedOut."""
        senders = derive_accounts(self._seed, count, SENDER_PATH)
        per_payer = -(-count // len(self._rich))
        sent = []
        for index, sender in enumerate(senders):
            payer = self._rich[index % len(self._rich)]
            left = self._client.balance(payer.address, "pending")
            amount = min(FUNDING, left // (2 * per_payer))
            has = self._client.balance(sender.address)
            if has < amount:
                sent.append(self._send(payer, sender.address, 21_000, amount - has))
        self._wait(sent)
        return senders

    def draw(self, kind: str, senders: Sequence[Account]) -> Draw:
        """What a kind of load draws its transactions from, its contracts in place. Raises BadInput, Failure."""
        if kind not in KINDS:
            raise BadInput(f"there is no load called {kind!r}", f"known: {', '.join(KINDS)}")
        if kind == "token":
            address = self._deploy("DemoToken", [TOKENS * (len(senders) + 1)])
            transfer = selector("transfer(address,uint256)")
            data = [transfer + encode(["address", "uint256"], [one.address, TOKENS]) for one in senders]
            self._wait([self._send(self._rich[0], address, 100_000, 0, one) for one in data])
            return token(address)
        if kind == "contention":
            return contention(self._deploy("Counter", []))
        plain: Mapping[str, Callable[[], Draw]] = {"transfers": transfers, "deploys": deploys, "blobs": blobs}
        return plain[kind]()

    def _deploy(self, name: str, arguments: Sequence[object]) -> Address:
        sent = self._send(self._rich[0], None, 2_000_000, 0, bundled(name).creation_data(arguments))
        self._wait([sent])
        receipt = self._client.receipt(sent)
        assert receipt is not None, "it was waited for"
        return Address(bytes.fromhex(receipt["contractAddress"][2:]))

    def _send(self, payer: Account, to: Address | None, gas: int, value: int, data: bytes = b"") -> str:
        nonce = self._nonces[payer.address]
        fees = Fees(100 * GWEI + FEES.max_priority_fee_per_gas, FEES.max_priority_fee_per_gas)
        sent = self._client.send_raw(build(payer, self._chain_id, nonce, fees, gas, to, value, data).encode())
        self._nonces[payer.address] = nonce + 1
        return sent

    def _wait(self, hashes: Sequence[str]) -> None:
        """Until all are in blocks, and every node has the last of these."""
        height = 0
        for one in hashes:
            inclusion = wait_included(self._client, one, SETUP_SECONDS)
            if not inclusion.succeeded:
                raise Failure(f"the load's own transaction {one} failed in block #{inclusion.block_number}")
            height = max(height, inclusion.block_number)
        for client, head in zip(self._clients, ask_all(self._clients, lambda one: one.block_number()), strict=True):
            if isinstance(head, int) and head + 50 < height:
                raise TimedOut(f"{client.name} is at block {head}, the others at {height}", "evmesh status, evmesh why")
