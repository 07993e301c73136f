"""Blobs of transactions that stand in blocks which may still be undone.

A block does not hold the blobs of its transactions, so a branch that loses could not give its blob transactions back to
the pool, and every later transaction of their senders would wait for ever behind the gap. Until a block is final the
blobs that were in this pool are kept here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.primitives.scalars import Hash32
from node.types.blobs import Sidecar

BYTES_MAX: Final = 64 * 2**20
"""As much as the pool holds: the blobs of 23 full blocks (21 each). Where finality stalls longer, the oldest go."""


@dataclass(slots=True)
class _Kept:
    sidecar: Sidecar
    number: int
    """The height of the block that holds the transaction, or one above it."""


class Limbo:
    """Sidecars by transaction hash, oldest first."""

    def __init__(self) -> None:
        self._kept: dict[Hash32, _Kept] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, tx_hash: Hash32, sidecar: Sidecar | None, number: int) -> None:
        """A block up to height ``number`` includes it. ``sidecar``: None where the pool did not hold it."""
        known = self._kept.pop(tx_hash, None)
        if known is not None:
            sidecar = known.sidecar
        elif sidecar is not None:
            self._bytes += sidecar.size
        if sidecar is None:
            return
        self._kept[tx_hash] = _Kept(sidecar, number)
        while self._bytes > BYTES_MAX:
            self._remove(next(iter(self._kept)))

    def take(self, tx_hash: Hash32) -> Sidecar | None:
        """Take the blobs of an undone transaction out."""
        return self._remove(tx_hash) if tx_hash in self._kept else None

    def forget_final(self, number: int) -> None:
        """Blocks up to this height will not be undone any more."""
        for tx_hash in [tx_hash for tx_hash, kept in self._kept.items() if kept.number <= number]:
            self._remove(tx_hash)

    def _remove(self, tx_hash: Hash32) -> Sidecar:
        sidecar = self._kept.pop(tx_hash).sidecar
        self._bytes -= sidecar.size
        return sidecar
