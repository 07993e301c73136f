"""Wei is conserved: what a block's transactions change in all balances together is what they burn, and no more.

A node is asked to trace a block with geth's prestate tracer in diff mode, which names every balance before and after;
the changes must add up to base fee times gas used. One small block every few seconds, from one node after the other:
tracing runs the block again, and must not cost more than the blocks themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from network.client import NodeClient, RpcError
from network.invariants import BlockFacts, Invariant, InvariantViolated

TRANSACTIONS_MAX: Final = 16


def worth_checking(block: BlockFacts) -> bool:
    """Whether it has something to check, and not too much."""
    return 0 < len(block.transactions) <= TRANSACTIONS_MAX


def check_supply(client: NodeClient, block: BlockFacts) -> bool:
    """Compare balance changes with what is burnt; False where that cannot be told. Raises InvariantViolated."""
    block_hash = "0x" + block.block_hash.hex()
    diff = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
    try:
        header, traces = client.batch(
            [("eth_getBlockByHash", [block_hash, False]), ("debug_traceBlockByHash", [block_hash, diff])]
        )
    except RpcError:
        return False
    if not isinstance(header, dict) or int(header.get("blobGasUsed") or "0x0", 16):
        return False  # blobs burn at a price that the header does not name
    burnt = int(header.get("baseFeePerGas") or "0x0", 16) * int(header["gasUsed"], 16)
    changed = sum(change_of(trace["result"]) for trace in traces)
    if changed != -burnt:
        raise InvariantViolated(
            Invariant.SUPPLY,
            f"in {block}, as {client.name} executes it, all balances together change by {changed} wei, "
            f"and {-burnt} is what its transactions burn",
        )
    return True


def change_of(diff: Mapping[str, Any]) -> int:
    """Wei that one transaction's accounts have more together; an account that is gone has none."""
    before, after = diff["pre"], diff["post"]
    change = 0
    for address, account in after.items():
        if "balance" in account:
            change += int(account["balance"], 16) - _balance(before.get(address))
    return change - sum(_balance(account) for address, account in before.items() if address not in after)


def _balance(account: Mapping[str, Any] | None) -> int:
    return int((account or {}).get("balance", "0x0"), 16)
