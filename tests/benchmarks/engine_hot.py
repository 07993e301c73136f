"""evmesh's native machine with hot code as an engine of the benchmark; see ``evmesh_engine.py``.

Units are waited for behind the first calls, outside of what is measured; a node never waits.
"""

from __future__ import annotations

import time

from node.evm.native.choice import Evm
from node.evm.native.hot.workers import process
from node.evm.native.machine import load_machine
from tests.benchmarks.evmesh_engine import Adapter as Either


class Adapter(Either):
    """That one, whatever the environment says."""

    evm = Evm.NATIVE
    elapsed: tuple[float, float] | None = None
    """Wall and CPU seconds of the latest call; the benchmark takes them instead of its own."""

    def __init__(self, block: dict) -> None:
        super().__init__(block)
        worker = process()
        if worker is None:
            raise RuntimeError("no hot code here")
        self._worker = worker
        self._vm = load_machine()  # of its own: another engine's must stay as it is
        self._foreman = self._vm.compile_hot_code(worker)
        self.version += ", hot code"

    def call(self, caller: bytes, to: bytes, data: bytes, gas: int) -> tuple[int, bytes]:
        """(gas used, output) of one message call; the state is as before."""
        wall, cpu = time.perf_counter(), time.process_time()
        answer = super().call(caller, to, data, gas)
        self.elapsed = time.perf_counter() - wall, time.process_time() - cpu
        while self._foreman.is_busy:
            time.sleep(0.005)
            self._foreman.go_on()
        return answer

    def close(self) -> None:
        """The worker goes, too."""
        self._worker.close()
