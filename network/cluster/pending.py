"""Why a transaction is in no block yet."""

from __future__ import annotations

from typing import Any

from network.client import NodeClient, ask_all
from network.cluster.diagnosis import Answer, Cause, why_not_final, why_stalled
from network.cluster.observer import clients_of
from network.cluster.reports import listed, take_reports
from network.cluster.run_directory import RunDirectory
from network.failures import Failure


def why_pending(run: RunDirectory, transaction_hash: str) -> Answer:
    """Where a transaction stands and what it waits for. Raises Failure where no node answers."""
    reports = take_reports(run)
    clients = [client for client in clients_of(run.network(), 3.0) if reports.node(client.name).answers]
    try:
        answers = ask_all(clients, lambda client: _ask(client, transaction_hash))
        told = {
            client.name: answer for client, answer in zip(clients, answers, strict=True) if isinstance(answer, dict)
        }
        if not told:
            raise Failure("no node answers", "evmesh status shows which nodes run")
        included = next((one["receipt"] for one in told.values() if one["receipt"]), None)
        if included is not None:
            number = int(included["blockNumber"], 16)
            final = max(report.number("finalized") for report in reports.answering)
            if number <= final:
                return Answer(True, f"It is not pending: block #{number} holds it, and is final.")
            rest = why_not_final(reports)
            headline = f"Block #{number} holds it, which is not final yet (#{final} is). {rest.headline}"
            return Answer(rest.well, headline, rest.votes, rest.causes, rest.needed)
        knowing = [name for name, one in told.items() if one["transaction"]]
        if not knowing:
            return Answer(
                False,
                "No node knows this transaction: it was never sent here, was refused, or was replaced by another one "
                "of the same sender and nonce.",
            )
        client = next(client for client in clients if client.name == knowing[0])
        transaction = told[knowing[0]]["transaction"]
        where = f"{listed(knowing)} {'have' if len(knowing) > 1 else 'has'} it in the pool"
        reason = _own_reason(client, transaction)
        if reason is not None:
            return Answer(False, f"{where}. {reason}")
        stalled = why_stalled(reports)
        if not stalled.well and stalled.votes:
            headline = f"{where}, and no blocks come. {stalled.headline}"
            return Answer(False, headline, stalled.votes, stalled.causes, stalled.needed)
        unaware = [name for name in told if name not in knowing]
        causes = []
        for name in unaware:
            cut = reports.cuts(knowing[0], name)
            if cut is not None:
                causes.append(Cause((name,), f"has not heard of it: {cut}", cut.kind, cut.clock, "evmesh heal"))
        if causes:
            return Answer(False, f"{where} only.", causes=tuple(causes))
        return Answer(True, f"{where}; nothing stands in its way. One of the next blocks should hold it.")
    finally:
        for client in clients:
            client.close()


def _ask(client: NodeClient, transaction_hash: str) -> dict[str, Any]:
    transaction, receipt = client.batch(
        [("eth_getTransactionByHash", [transaction_hash]), ("eth_getTransactionReceipt", [transaction_hash])]
    )
    return {"transaction": transaction, "receipt": receipt}


def _own_reason(client: NodeClient, transaction: dict[str, Any]) -> str | None:
    """What of the transaction itself keeps it from being included."""
    sender = bytes.fromhex(transaction["from"][2:])
    nonce, next_nonce = int(transaction["nonce"], 16), client.nonce(sender, "latest")
    if nonce > next_nonce:
        gap = f"nonce {next_nonce}" if nonce == next_nonce + 1 else f"nonces {next_nonce} to {nonce - 1}"
        pending = client.nonce(sender, "pending")
        sent = "" if pending < nonce else " They are in the pool and wait, too."
        return f"It has nonce {nonce}, and {transaction['from']} has not used {gap} yet.{sent}"
    block = client.block("latest")
    base_fee = int(block.get("baseFeePerGas") or "0x0", 16)
    offered = int(transaction.get("maxFeePerGas") or transaction.get("gasPrice") or "0x0", 16)
    if offered < base_fee:
        return f"It pays at most {offered} wei a gas, and the base fee is {base_fee}: send it again with a higher fee."
    gas, limit = int(transaction["gas"], 16), int(block["gasLimit"], 16)
    if gas > limit:
        return f"It asks for {gas} gas, and a block has {limit}."
    cost = gas * offered + int(transaction["value"], 16)
    balance = client.balance(sender)
    if balance < cost:
        return f"Its sender has {balance} wei, and it may cost {cost}."
    return None
