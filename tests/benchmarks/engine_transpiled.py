"""evmesh's transpiled machine as an engine of the benchmark; see ``evmesh_engine.py``."""

from __future__ import annotations

from node.evm.native.choice import Evm
from tests.benchmarks.evmesh_engine import Adapter as Either


class Adapter(Either):
    """That one, whatever the environment says."""

    evm = Evm.TRANSPILED
