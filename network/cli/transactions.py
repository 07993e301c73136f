"""``send``: a transaction, followed from the pool to finality."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from network.accounts import Account
from network.amounts import parse_amount
from network.cli.group import follow_options, json_option, network_option, signer_options
from network.cli.output import Output, seconds
from network.cli.resolve import account_of, client_of, target_of
from network.client import NodeClient, RpcError
from network.cluster import run_directory
from network.cluster.observer import clients_of, paused_nodes
from network.cluster.run_directory import NetworkFile, RunDirectory
from network.failures import BadInput, Failure
from network.wallet import (
    Inclusion,
    build,
    estimate_gas,
    nodes_that_know,
    reverted,
    suggest_fees,
    wait_finalized,
    wait_included,
)
from node.primitives.hexadecimal import HexError, from_data, to_data
from node.primitives.scalars import Address

_PENDING_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Order:
    """A transaction to make."""

    to: Address | None
    value: int = 0
    data: bytes = b""
    gas: int | None = None
    nonce: int | None = None
    abi: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it."""

    hash: str
    known: dict[str, float]
    inclusion: Inclusion | None
    included_by: str | None
    finalized_seconds: float | None

    def words(self) -> str:
        """One line: pending where, included when and by whom, final when."""
        parts = [self.hash]
        if self.known:
            parts.append(f"pending on {','.join(self.known)} ({seconds(max(self.known.values()))})")
        if self.inclusion is not None:
            by = f" by {self.included_by}" if self.included_by else ""
            parts.append(f"included #{self.inclusion.block_number}{by} ({seconds(self.inclusion.seconds)})")
        if self.finalized_seconds is not None:
            parts.append(f"finalized ({seconds(self.finalized_seconds)})")
        return "  ".join(parts)

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "hash": self.hash,
            "pending_on": {name: round(value, 4) for name, value in self.known.items()},
            "included_seconds": round(self.inclusion.seconds, 4) if self.inclusion else None,
            "included_by": self.included_by,
            "finalized_seconds": round(self.finalized_seconds, 4) if self.finalized_seconds is not None else None,
            "receipt": self.inclusion.receipt if self.inclusion else None,
        }


def carry_out(
    run: RunDirectory,
    network: NetworkFile,
    client: NodeClient,
    sender: Account,
    order: Order,
    wait: str,
    timeout: float,
) -> Sent:
    """Sign, send and follow. Raises Failure: refused, reverted, or not included in time."""
    fees = suggest_fees(client)
    gas = order.gas or estimate_gas(client, sender, order.to, order.value, order.data, order.abi)
    nonce = client.nonce(sender.address) if order.nonce is None else order.nonce
    transaction = build(sender, network.chain_id, nonce, fees, gas, order.to, order.value, order.data)
    began = time.monotonic()
    transaction_hash = client.send_raw(transaction.encode())
    running = run.running()
    paused = paused_nodes(run, running)
    others = [one for one in clients_of(network, 5.0) if one.name in running and one.name not in paused]
    known = nodes_that_know(others, transaction_hash, _PENDING_SECONDS)
    if wait == "none":
        return Sent(transaction_hash, known, None, None, None)
    found = wait_included(client, transaction_hash, timeout)
    inclusion = Inclusion(found.receipt, time.monotonic() - began)
    miner = str(client.block(inclusion.block_number).get("miner", "")).lower()
    by = next((node.name for node in network.nodes if node.validator and node.validator.lower() == miner), None)
    finalized = None
    if wait == "finalized":
        wait_finalized(client, inclusion.block_number, timeout)
        finalized = time.monotonic() - began
    sent = Sent(transaction_hash, known, inclusion, by, finalized)
    if not inclusion.succeeded:
        why = _reason(client, sender, order, inclusion)
        raise Failure(
            f"{transaction_hash} is in block #{inclusion.block_number} and failed{why}",
            "",
            **sent.document(),
        )
    return sent


def _reason(client: NodeClient, sender: Account, order: Order, inclusion: Inclusion) -> str:
    """Why, by asking the same again on the state before its block (what else was in the block may differ)."""
    if order.to is None:
        return ""
    try:
        client.eth_call(order.to, order.data, inclusion.block_number - 1, sender.address)
    except RpcError as error:
        return f": {reverted(error, order.abi).message}" if error.revert_data is not None else ""
    return ""


def parse_data(text: str) -> bytes:
    """0x hex. Raises BadInput."""
    try:
        return from_data(text)
    except HexError as error:
        raise BadInput(f"--data: {error}", "write it as 0x and pairs of hex digits") from None


@click.command(
    epilog="""\b
Examples:
  evmesh send --from 0 --to 1 --value 1eth
  evmesh send --from 0 --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 20gwei --node n2 --wait finalized
  evmesh send --from 3 --to Counter --data 0xd09de08a
""",
)
@signer_options
@click.option("--to", required=True, help="Account index, address, or name of a deployed contract.")
@click.option("--value", default="0", show_default=True, help="Amount, like 1eth, 20gwei or 7 (wei).")
@click.option("--data", default="0x", help="Call data, 0x hex.")
@click.option("--gas", type=click.IntRange(min=1), help="Gas limit (default: estimated by the node).")
@click.option("--nonce", type=click.IntRange(min=0), help="Nonce (default: the next one).")
@click.option("--node", "node_name", metavar="NODE", help="Hand it to this node (default: the first that runs).")
@follow_options
@network_option
@json_option
def send(
    sender: str,
    key_file: Path | None,
    to: str,
    value: str,
    data: str,
    gas: int | None,
    nonce: int | None,
    node_name: str | None,
    wait: str,
    timeout: float,
    network_name: str | None,
    as_json: bool,
) -> None:
    """Send ether or data, and follow the transaction through the network."""
    out = Output(as_json)
    amount, payload = parse_amount(value), parse_data(data)
    run = run_directory.find(network_name)
    network = run.network()
    account = account_of(network, sender, key_file)
    order = Order(target_of(run, network, to), amount, payload, gas, nonce)
    sent = carry_out(run, network, client_of(run, network, node_name), account, order, wait, timeout)
    out.line(sent.words())
    out.document({"from": account.checksummed, "to": to_data(order.to or b""), **sent.document()})
