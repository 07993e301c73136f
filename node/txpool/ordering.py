"""In which order a block is filled: the best effective tip first, each sender's transactions in nonce order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heapreplace

from node.txpool.account_queue import PooledTransaction
from node.types.transactions import BLOB, UNSIGNED, Transaction


def best_first(
    senders: Sequence[Sequence[PooledTransaction]], base_fee: int, blob_base_fee: int
) -> Iterator[Transaction]:
    """Transactions that pay at least the base fees (wei), by effective tip, then arrival.

    ``senders`` holds each sender's executable part; a transaction that does not pay ends its sender's turn.
    """
    heap: list[tuple[int, int, int, int]] = []
    for number, entries in enumerate(senders):
        if entries and _pays(entries[0].tx, base_fee, blob_base_fee):
            heap.append((*_rank(entries[0], base_fee), number, 0))
    heapify(heap)
    while heap:
        _, _, number, index = heap[0]
        entries = senders[number]
        yield entries[index].tx
        index += 1
        if index < len(entries) and _pays(entries[index].tx, base_fee, blob_base_fee):
            heapreplace(heap, (*_rank(entries[index], base_fee), number, index))
        else:
            heappop(heap)


def _pays(tx: Transaction, base_fee: int, blob_base_fee: int) -> bool:
    if tx.type == UNSIGNED:
        return True
    return tx.max_fee_per_gas >= base_fee and (tx.type != BLOB or tx.max_fee_per_blob_gas >= blob_base_fee)


def _rank(entry: PooledTransaction, base_fee: int) -> tuple[int, int]:
    tx = entry.tx
    if tx.type == UNSIGNED:
        return -1, entry.arrival  # ahead of all that pay nothing on top; it pays nothing at all
    return base_fee - tx.effective_gas_price(base_fee), entry.arrival
