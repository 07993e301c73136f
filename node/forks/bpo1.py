"""BPO1: blob parameters only (EIP-7892)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.spec import Spec
from node.forks import osaka

assert osaka.SPEC.blobs is not None

SPEC: Final[Spec] = osaka.SPEC.evolve(
    name="BPO1",
    blobs=replace(osaka.SPEC.blobs, target=10, max=15, base_fee_update_fraction=8_346_193),
)
