"""txpool: what waits at this node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from node.primitives.hexadecimal import to_quantity
from node.primitives.scalars import Address
from node.rpc import encoding
from node.rpc.api import Api
from node.rpc.methods import MethodTable
from node.types.transactions import Transaction

METHODS: Final = MethodTable()
method = METHODS.method

Json = dict[str, Any]
ByNonce = Mapping[int, Transaction]


def _by_nonce(transactions: ByNonce, tell: Callable[[Transaction], Any]) -> Json:
    return {str(nonce): tell(tx) for nonce, tx in sorted(transactions.items())}


def _by_sender(senders: Mapping[Address, ByNonce], tell: Callable[[Transaction], Any]) -> Json:
    """Keys are checksummed, as geth has them here and nowhere else."""
    return {encoding.checksum_address(sender): _by_nonce(senders[sender], tell) for sender in sorted(senders)}


def _summary(tx: Transaction) -> str:
    """One line for a person."""
    target = "contract creation" if tx.to is None else "0x" + tx.to.hex()
    return f"{target}: {tx.value} wei + {tx.gas_limit} gas × {tx.max_fee_per_gas} wei"


@method("txpool_status")
def status(api: Api) -> Json:
    """How many are executable, and how many wait for a gap to close."""
    pending, queued = api.backend.pool.status()
    return {"pending": to_quantity(pending), "queued": to_quantity(queued)}


@method("txpool_content")
async def content(api: Api) -> Json:
    """Everything, by sender and nonce."""
    found = api.backend.pool.content()

    def told() -> Json:
        return {
            "pending": _by_sender(found.pending, encoding.pending_transaction),
            "queued": _by_sender(found.queued, encoding.pending_transaction),
        }

    return await api.lane.run(told)


@method("txpool_contentFrom")
def content_from(api: Api, address: Address) -> Json:
    """One sender's, by nonce."""
    found = api.backend.pool.content()
    return {
        "pending": _by_nonce(found.pending.get(address, {}), encoding.pending_transaction),
        "queued": _by_nonce(found.queued.get(address, {}), encoding.pending_transaction),
    }


@method("txpool_inspect")
def inspect(api: Api) -> Json:
    """Everything, a line each."""
    found = api.backend.pool.content()
    return {"pending": _by_sender(found.pending, _summary), "queued": _by_sender(found.queued, _summary)}
