"""What every method is handed: the backend and the services that methods share."""

from __future__ import annotations

from dataclasses import dataclass

from node.rpc.backend import Backend
from node.rpc.block_lookup import BlockLookup
from node.rpc.brief_calls import BriefCalls
from node.rpc.dev_desk import DevDesk
from node.rpc.fee_oracle import FeeOracle
from node.rpc.filters import Filters
from node.rpc.log_search import LogSearch
from node.rpc.pending import PendingBlocks
from node.rpc.work_lane import WorkLane


@dataclass(frozen=True, slots=True)
class Api:
    """One for a node. Made by ``make_api``; ended by ``close``."""

    backend: Backend
    lane: WorkLane
    trace_lane: WorkLane
    """For replays, which may take longer than calls."""
    brief: BriefCalls
    """For calls that need no lane."""
    blocks: BlockLookup
    pending: PendingBlocks
    dev: DevDesk
    fees: FeeOracle
    log_search: LogSearch
    filters: Filters
    started_ms: int
    """Monotonic."""

    def close(self) -> None:
        """Stop listening to news."""
        self.filters.close()


def make_api(backend: Backend) -> Api:
    """The services over a backend. Needs a running event loop."""
    chain, limits, runtime = backend.chain, backend.limits, backend.runtime
    lane = WorkLane(runtime.workers, runtime.clock, limits.call_time_ms, limits.calls_queued_max)
    pending = PendingBlocks(chain, backend.pool, backend.vm, runtime.clock, lane)
    blocks = BlockLookup(chain, runtime.clock, lane, pending)
    return Api(
        backend=backend,
        lane=lane,
        trace_lane=WorkLane(runtime.workers, runtime.clock, limits.trace_time_ms, limits.traces_queued_max),
        brief=BriefCalls(runtime.clock),
        blocks=blocks,
        pending=pending,
        dev=DevDesk(chain, backend.pool, backend.name, backend.dev_keys),
        fees=FeeOracle(chain),
        log_search=LogSearch(chain, blocks, lane, limits),
        filters=Filters(chain, backend.pool, runtime, lane, limits),
        started_ms=runtime.clock.monotonic_ms(),
    )
