"""Make, sign, send transactions and follow them to finality."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from network.accounts import Account
from network.client import NodeClient, NodeUnreachable, RpcError
from network.failures import Failure, TimedOut
from network.reverts import explain_revert
from node.primitives.hexadecimal import to_data, to_quantity
from node.primitives.scalars import GWEI, Address
from node.types.transactions import FEE_MARKET, Transaction

POLL_SECONDS: Final = 0.02
DEFAULT_TIP: Final = GWEI


@dataclass(frozen=True, slots=True)
class Fees:
    """Wei a gas."""

    max_fee_per_gas: int
    max_priority_fee_per_gas: int


def suggest_fees(client: NodeClient) -> Fees:
    """The node's tip, and room for the base fee to double."""
    base_fee = int(client.block("latest").get("baseFeePerGas") or "0x0", 16)
    try:
        tip = int(client.call("eth_maxPriorityFeePerGas"), 16)
    except RpcError:
        tip = DEFAULT_TIP
    return Fees(2 * base_fee + tip, tip)


def build(
    sender: Account,
    chain_id: int,
    nonce: int,
    fees: Fees,
    gas_limit: int,
    to: Address | None,
    value: int = 0,
    data: bytes = b"",
) -> Transaction:
    """A signed fee-market transaction (EIP-1559)."""
    unsigned = Transaction(
        type=FEE_MARKET,
        nonce=nonce,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        max_fee_per_gas=fees.max_fee_per_gas,
        max_priority_fee_per_gas=fees.max_priority_fee_per_gas,
        chain_id=chain_id,
    )
    return unsigned.signed_by(sender.private_key)


def estimate_gas(
    client: NodeClient, sender: Account, to: Address | None, value: int, data: bytes, abi: Sequence[dict[str, Any]] = ()
) -> int:
    """Gas that the transaction needs, by the node, with a tenth to spare. Raises Failure with a revert's reason."""
    request: dict[str, str] = {"from": to_data(sender.address), "value": to_quantity(value)}
    if data:
        request["data"] = to_data(data)
    if to is not None:
        request["to"] = to_data(to)
    try:
        used = int(client.call("eth_estimateGas", request), 16)
    except RpcError as error:
        raise reverted(error, abi) from None
    return used if not data and used == 21_000 else used + used // 10


def reverted(error: RpcError, abi: Sequence[dict[str, Any]]) -> Failure:
    """A revert as a failure that names its reason; other errors as they are."""
    data = error.revert_data
    if data is None:
        return error
    reason = explain_revert(data, abi)
    return Failure(f"execution reverted: {reason}", "", reason=reason, data=to_data(data))


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where a transaction stands in the chain."""

    receipt: dict[str, Any]
    seconds: float

    @property
    def block_number(self) -> int:
        """The block's number."""
        return int(self.receipt["blockNumber"], 16)

    @property
    def gas_used(self) -> int:
        """Gas of the transaction."""
        return int(self.receipt["gasUsed"], 16)

    @property
    def succeeded(self) -> bool:
        """Receipt status 1."""
        return int(self.receipt["status"], 16) == 1


def wait_included(client: NodeClient, transaction_hash: str, seconds: float) -> Inclusion:
    """Wait for the receipt. Raises TimedOut."""
    began = time.monotonic()
    while True:
        receipt = client.receipt(transaction_hash)
        if receipt is not None:
            return Inclusion(receipt, time.monotonic() - began)
        if time.monotonic() - began > seconds:
            raise TimedOut(
                f"{transaction_hash} is in no block after {seconds:g} s",
                "evmesh status shows whether blocks are decided",
                hash=transaction_hash,
            )
        time.sleep(POLL_SECONDS)


def wait_finalized(client: NodeClient, block_number: int, seconds: float) -> float:
    """Seconds until the block is final on this node. Raises TimedOut."""
    began = time.monotonic()
    while client.block_number("finalized") < block_number:
        if time.monotonic() - began > seconds:
            raise TimedOut(f"block #{block_number} is not final after {seconds:g} s", "evmesh status shows the quorum")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def nodes_that_know(clients: Sequence[NodeClient], transaction_hash: str, seconds: float) -> dict[str, float]:
    """Which nodes have the transaction, waiting or included, and after how many seconds each was seen to."""
    began = time.monotonic()
    known: dict[str, float] = {}
    while len(known) < len(clients) and time.monotonic() - began < seconds:
        for client in clients:
            if client.name in known:
                continue
            try:
                if client.call("eth_getTransactionByHash", transaction_hash) is not None:
                    known[client.name] = time.monotonic() - began
            except NodeUnreachable:
                continue
        if len(known) < len(clients):
            time.sleep(0.005)
    return {client.name: known[client.name] for client in clients if client.name in known}


def send_in_turn(
    clients: Sequence[NodeClient], transactions: Sequence[Transaction], sent: Callable[[int], None] = lambda count: None
) -> list[str]:
    """Submit each transaction to the next node, round and round; hashes in order. Raises RpcError."""
    hashes = []
    for index, transaction in enumerate(transactions):
        hashes.append(clients[index % len(clients)].send_raw(transaction.encode()))
        sent(index + 1)
    return hashes
