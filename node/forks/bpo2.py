"""BPO2: blob parameters only (EIP-7892)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from node.evm.spec import Spec
from node.forks import bpo1

assert bpo1.SPEC.blobs is not None

SPEC: Final[Spec] = bpo1.SPEC.evolve(
    name="BPO2",
    blobs=replace(bpo1.SPEC.blobs, target=14, max=21, base_fee_update_fraction=11_684_671),
)
