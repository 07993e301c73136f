"""The main job: a real token on a real network, and the proof that every node computed the same.

deploy DemoToken (OpenZeppelin's ERC-20)  →  hand tokens to nine accounts
→  sign 200 transfers of ten senders, submit them to all nodes in turn  →  wait until all are final
→  read head, block hash, state root, total supply and a balance of every node at one block, and compare
→  one more call that must revert, with its reason, on every node
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from network.accounts import Account
from network.client import NodeClient, RpcError, ask_all
from network.cluster.observer import Comparison, compare
from network.failures import Failure, TimedOut
from network.load.contracts import Artifact, bundled
from network.reverts import explain_revert
from network.wallet import Fees, build, send_in_turn, suggest_fees, wait_finalized, wait_included
from node.primitives.hexadecimal import to_data
from node.primitives.scalars import ETHER, Address
from node.types.transactions import Transaction

TRANSFERS: Final = 200
SUPPLY: Final = 1_000_000 * ETHER
SHARE: Final = 10_000 * ETHER
"""Tokens that each sender starts with."""
DEPLOY_GAS: Final = 2_000_000
TRANSFER_GAS: Final = 100_000
_POLL_SECONDS: Final = 0.05

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """What one node says at the compared block."""

    node: str
    head: int | None
    block_hash: str | None
    state_root: str | None
    total_supply: int | None
    balance: int | None
    equal: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of the main job."""

    token: str
    block: int
    transfers: int
    sampled: str
    """Address whose balance is compared."""
    rows: tuple[Row, ...]
    expected_balance: int
    reverted_call: str
    revert_reasons: tuple[str, ...]
    """One a node."""
    seconds: float
    differences: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether every node said the same, and what was said is right."""
        return not self.differences


class MainJob:
    """Runs the job against a network that is up."""

    def __init__(
        self, clients: Sequence[NodeClient], accounts: Sequence[Account], chain_id: int, progress: Progress
    ) -> None:
        if len(accounts) < 2:
            raise Failure("the main job needs at least two funded accounts", "start the network with --accounts 10")
        self._clients = list(clients)
        self._accounts = list(accounts[:10])
        self._chain_id = chain_id
        self._progress = progress
        self._token: Artifact = bundled("DemoToken")

    def run(self, timeout_seconds: float = 120.0) -> Verdict:
        """The whole job. Raises Failure where a step fails; differences between nodes are in the verdict."""
        began = time.monotonic()
        fees = suggest_fees(self._clients[0])
        # room for the base fee to climb through a few full blocks while the transfers wait
        fees = Fees(4 * fees.max_fee_per_gas, fees.max_priority_fee_per_gas)
        nonces = {one.address: self._clients[0].nonce(one.address) for one in self._accounts}
        token = self._deploy(fees, nonces, timeout_seconds)
        self._distribute(token, fees, nonces, timeout_seconds)
        balances = self._balances(token)
        transactions = self._sign_transfers(token, fees, nonces, balances)
        last_block = self._submit(transactions, timeout_seconds)
        return self._judge(token, last_block, balances, began)

    def _deploy(self, fees: Fees, nonces: dict[Address, int], timeout: float) -> Address:
        deployer = self._accounts[0]
        data = self._token.creation_data([SUPPLY])
        transaction = build(deployer, self._chain_id, _take(nonces, deployer), fees, DEPLOY_GAS, None, data=data)
        transaction_hash = self._clients[0].send_raw(transaction.encode())
        inclusion = wait_included(self._clients[0], transaction_hash, timeout)
        if not inclusion.succeeded:
            raise Failure(f"deploying DemoToken failed in block #{inclusion.block_number}")
        address = Address(bytes.fromhex(inclusion.receipt["contractAddress"][2:]))
        self._progress(f"DemoToken at {to_data(address)} (block #{inclusion.block_number}, gas {inclusion.gas_used})")
        return address

    def _distribute(self, token: Address, fees: Fees, nonces: dict[Address, int], timeout: float) -> None:
        """Give every other account its share, so that ten senders can pay."""
        owner = self._accounts[0]
        shares = [
            self._transfer(owner, _take(nonces, owner), fees, token, other.address, SHARE)
            for other in self._accounts[1:]
        ]
        hashes = send_in_turn(self._clients, shares)
        for transaction_hash in hashes:
            if not wait_included(self._clients[0], transaction_hash, timeout).succeeded:
                raise Failure(f"handing out tokens failed: {transaction_hash}")
        self._progress(f"{len(self._accounts)} accounts hold tokens")

    def _balances(self, token: Address) -> dict[Address, int]:
        return {one.address: self._balance_of(self._clients[0], token, one.address) for one in self._accounts}

    def _balance_of(self, client: NodeClient, token: Address, holder: Address) -> int:
        function = self._token.function("balanceOf")
        return int(function.result(client.eth_call(token, function.call_data([holder])))[0])

    def _sign_transfers(
        self, token: Address, fees: Fees, nonces: dict[Address, int], balances: dict[Address, int]
    ) -> list[Transaction]:
        """Transfers of all senders in turn; ``balances`` is brought to what must come out."""
        count = len(self._accounts)
        transactions = []
        for index in range(TRANSFERS):
            sender = self._accounts[index % count]
            receiver = self._accounts[(index + 1 + index // count % (count - 1)) % count]
            amount = (index + 1) * 10**15
            transactions.append(self._transfer(sender, _take(nonces, sender), fees, token, receiver.address, amount))
            balances[sender.address] -= amount
            balances[receiver.address] += amount
        self._progress(f"signed {len(transactions)} transfers of {count} senders")
        return transactions

    def _transfer(
        self, sender: Account, nonce: int, fees: Fees, token: Address, receiver: Address, amount: int
    ) -> Transaction:
        data = self._token.function("transfer").call_data([receiver, amount])
        return build(sender, self._chain_id, nonce, fees, TRANSFER_GAS, token, data=data)

    def _submit(self, transactions: Sequence[Transaction], timeout: float) -> int:
        """Send to all nodes in turn and wait until all are final everywhere; the last block that has one of them."""
        began = time.monotonic()
        hashes = send_in_turn(self._clients, transactions)
        names = ", ".join(client.name for client in self._clients)
        self._progress(f"submitted {len(hashes)} to {names} in turn ({time.monotonic() - began:.1f} s)")
        last_block = self._wait_receipts(hashes, timeout)
        for client in self._clients:
            wait_finalized(client, last_block, timeout)
        self._progress(
            f"all {len(hashes)} are final on {len(self._clients)} nodes, the last in block #{last_block} "
            f"({time.monotonic() - began:.1f} s after the first was sent)"
        )
        return last_block

    def _wait_receipts(self, hashes: Sequence[str], timeout: float) -> int:
        """Wait for every receipt on the first node; the highest block. Raises TimedOut, Failure."""
        waiting = list(hashes)
        last_block, failed = 0, []
        deadline = time.monotonic() + timeout
        while waiting:
            receipts = self._clients[0].batch([("eth_getTransactionReceipt", [one]) for one in waiting[:100]])
            found = {receipt["transactionHash"]: receipt for receipt in receipts if receipt}
            for receipt in found.values():
                last_block = max(last_block, int(receipt["blockNumber"], 16))
                if int(receipt["status"], 16) != 1:
                    failed.append(receipt["transactionHash"])
            if found:
                waiting = [one for one in waiting if one not in found]
                deadline = time.monotonic() + timeout
                continue
            if time.monotonic() > deadline:
                raise TimedOut(f"{len(waiting)} transfers are in no block after {timeout:g} s", "evmesh status")
            waiting.append(waiting.pop(0))  # one that never comes must not hide the rest
            time.sleep(_POLL_SECONDS)
        if failed:
            raise Failure(f"{len(failed)} transfers failed, first {failed[0]}")
        return last_block

    def _judge(self, token: Address, last_block: int, balances: dict[Address, int], began: float) -> Verdict:
        sampled = self._accounts[1].address
        supply, balance = self._token.function("totalSupply"), self._token.function("balanceOf")
        calls = [(token, supply.call_data([])), (token, balance.call_data([sampled]))]
        comparison = compare(self._clients, calls, "finalized")
        rows = tuple(_row(reading, comparison) for reading in comparison.readings)
        label, reasons = self._reverting_call(token)
        differences = _differences(rows, comparison, reasons)
        if comparison.height < last_block:
            differences.append(f"the compared block #{comparison.height} is below #{last_block}, the transfers' last")
        for row in rows:
            if row.total_supply is not None and row.total_supply != SUPPLY:
                differences.append(f"{row.node}: total supply {row.total_supply}, expected {SUPPLY}")
            if row.balance is not None and row.balance != balances[sampled]:
                differences.append(f"{row.node}: balance {row.balance}, expected {balances[sampled]}")
        return Verdict(
            token=to_data(token),
            block=comparison.height,
            transfers=TRANSFERS,
            sampled=to_data(sampled),
            rows=rows,
            expected_balance=balances[sampled],
            reverted_call=label,
            revert_reasons=tuple(reasons),
            seconds=time.monotonic() - began,
            differences=tuple(differences),
        )

    def _reverting_call(self, token: Address) -> tuple[str, list[str]]:
        """Ask every node for a transfer of more than there is; the reasons, one a node."""
        sender, receiver = self._accounts[1], self._accounts[0]
        data = self._token.function("transfer").call_data([receiver.address, 2 * SUPPLY])

        def ask(client: NodeClient) -> str:
            try:
                client.eth_call(token, data, "finalized", sender.address)
            except RpcError as error:
                revert = error.revert_data
                return explain_revert(revert, self._token.abi) if revert is not None else f"error {error.message}"
            return "did not revert"

        label = f"DemoToken.transfer({receiver.checksummed}, {2 * SUPPLY})"
        answers: list[Any] = ask_all(self._clients, ask)
        return label, [one.message if isinstance(one, Failure) else one for one in answers]


def _take(nonces: dict[Address, int], account: Account) -> int:
    nonce = nonces[account.address]
    nonces[account.address] = nonce + 1
    return nonce


def _row(reading: Any, comparison: Comparison) -> Row:
    if reading.problem is not None:
        return Row(reading.name, reading.head, None, None, None, None, False, reading.problem)
    supply, balance = (int.from_bytes(value, "big") for value in reading.values)
    equal = reading.compared == comparison.majority
    return Row(reading.name, reading.head, reading.block_hash, reading.state_root, supply, balance, equal)


def _differences(rows: Sequence[Row], comparison: Comparison, reasons: Sequence[str]) -> list[str]:
    """What is not equal, node by node and field by field."""
    most = next((row for row in rows if row.equal), None)
    found = []
    for row in rows:
        if row.problem is not None:
            found.append(f"{row.node}: {row.problem}")
        elif not row.equal and most is not None:
            fields = [
                field
                for field in ("block_hash", "state_root", "total_supply", "balance")
                if getattr(row, field) != getattr(most, field)
            ]
            found.append(f"{row.node} differs at block #{comparison.height} in {', '.join(fields)}")
    expected = max(reasons, key=list(reasons).count)
    if not expected.startswith("ERC20InsufficientBalance"):
        found.append(f"the reverting call answered {expected!r}")
    found += [
        f"{row.node}: the reverting call answered {reason!r}"
        for row, reason in zip(rows, reasons, strict=True)
        if reason != expected
    ]
    return found
